//! NAT gateways: moto has them available at once, and deleted at once.

use std::time::{Duration, UNIX_EPOCH};

use xmltree::Element;

use super::kind::Kind;
use super::life::{LISTED, Life, State};
use super::listing::{self, ask, find, list, set, structure, value};
use super::refusal::Refusal;
use crate::answer::{Answer, text, texts};
use crate::call::Request;
use crate::proxy::Proxy;
use crate::weather;

/// All NAT gateways of a region that are listed.
pub(super) async fn all(proxy: &Proxy, region: &str) -> Vec<Element> {
    settle(proxy).await;
    let now = proxy.clock.now();
    let Some(kind) = Kind::listed_by("DescribeNatGateways") else { return Vec::new() };
    let gateways = list(proxy, region, kind, &[]).await;
    gateways.into_iter().filter_map(|gateway| as_it_is(proxy, gateway, now)).collect()
}

/// Creates one, which may never come up.
///
/// # Errors
/// There is no such subnet or address. What else is wrong shows only in the gateway's state (VPC user guide, "NAT gateway
/// creation fails").
pub(super) async fn create(proxy: &Proxy, request: &Request) -> Result<Answer, Refusal> {
    let missing =
        |what: &str| Refusal::new("MissingParameter", format!("The request must contain the parameter {what}"));
    if request.form_value("AvailabilityMode") == Some("regional") {
        return create_regional(proxy, request).await;
    }
    let subnet = request.form_value("SubnetId").ok_or_else(|| missing("subnetId"))?;
    let subnet = super::existing(proxy, request, subnet).await?;
    let public = request.form_value("ConnectivityType") != Some("private");
    let mut failure = None;
    let mut forwarded = request.clone();
    if public {
        let address = request.form_value("AllocationId").ok_or_else(|| missing("allocationId"))?;
        let association = value(&super::existing(proxy, request, address).await?, "associationId");
        let vpc = value(&subnet, "vpcId");
        let attached = [("attachment.vpc-id", vpc.as_str())];
        let gateways = super::of_kind(proxy, request, "DescribeInternetGateways", &attached).await;
        // Codes and words: botocore ec2 model, `NatGateway.FailureMessage`.
        if !association.is_empty() {
            let message = format!("Elastic IP address {address} is already associated");
            failure = Some(("Resource.AlreadyAssociated".to_owned(), message));
            // moto would refuse.
            let form = request.form.iter().filter(|(name, _)| name != "AllocationId").cloned().collect();
            forwarded = request.with_form(form);
        } else if gateways.is_empty() {
            let message = format!("Network {vpc} has no Internet gateway attached");
            failure = Some(("Gateway.NotAttached".to_owned(), message));
        }
    }
    let provisioning = &proxy.sky.weather().provisioning;
    let name = super::tag::name(request);
    if failure.is_none() {
        let struck = proxy.ec2.failures.strike(provisioning, weather::Kind::NatGateway, name);
        failure = struck.map(|failure| (failure.code, failure.message));
    }
    let mut answer = proxy.upstream.forward(&forwarded).await;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    if let Some(id) = text(&body, "natGatewayId").filter(|_| answer.status.is_success()) {
        let life = Life {
            region: request.region.clone(),
            interfaces: texts(&body, "networkInterfaceId").into_iter().map(str::to_owned).collect(),
            ready: later(proxy, provisioning.nat_gateway),
            failure,
            gone: None,
            released: false,
            regional: false,
        };
        // One that fails is pending first, even where nothing takes time.
        let ready = life.failure.is_none() && life.state(proxy.clock.now()) == State::Available;
        proxy.ec2.nat_gateways.begin(id, life);
        if !ready {
            answer.body = body.replace("<state>available</state>", "<state>pending</state>").into();
        }
    }
    Ok(answer)
}

/// Creates one that is in no zone: AWS extends it to each zone that the VPC has network interfaces in, with addresses of its
/// own (VPC user guide, "Regional NAT gateways for automatic multi-AZ expansion").
///
/// # Errors
/// There is no such VPC; it is to be in a subnet, or to have an address, as only a zonal one can.
async fn create_regional(proxy: &Proxy, request: &Request) -> Result<Answer, Refusal> {
    if ["SubnetId", "AllocationId"].iter().any(|name| request.form_value(name).is_some()) {
        let message = "A regional NAT gateway takes neither subnetId nor allocationId";
        return Err(Refusal::new("InvalidParameterCombination", message));
    }
    let Some(vpc) = request.form_value("VpcId") else {
        return Err(Refusal::new("MissingParameter", "The request must contain the parameter vpcId"));
    };
    super::existing(proxy, request, vpc).await?;
    let gateways = super::of_kind(proxy, request, "DescribeInternetGateways", &[("attachment.vpc-id", vpc)]).await;
    let unattached = format!("Network {vpc} has no Internet gateway attached");
    let mut failure = gateways.is_empty().then(|| ("Gateway.NotAttached".to_owned(), unattached));
    let provisioning = &proxy.sky.weather().provisioning;
    if failure.is_none() {
        let struck = proxy.ec2.failures.strike(provisioning, weather::Kind::NatGateway, super::tag::name(request));
        failure = struck.map(|failure| (failure.code, failure.message));
    }
    // moto knows zonal ones only, and those of a VPC without subnets not at all.
    let subnets = super::of_kind(proxy, request, "DescribeSubnets", &[("vpc-id", vpc)]).await;
    let Some(subnet) = subnets.first().map(|subnet| value(subnet, "subnetId")) else {
        return Err(Refusal::new("InvalidParameterValue", format!("{vpc} has no subnets")));
    };
    let mut form = request.form.clone();
    form.retain(|(name, _)| !["AvailabilityMode", "VpcId", "ConnectivityType"].contains(&name.as_str()));
    form.extend([("SubnetId".to_owned(), subnet), ("ConnectivityType".to_owned(), "private".to_owned())]);
    let answer = proxy.upstream.forward(&request.with_form(form)).await;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let Some(id) = text(&body, "natGatewayId").filter(|_| answer.status.is_success()) else { return Ok(answer) };
    for interface in texts(&body, "networkInterfaceId") {
        let form = [("Action", "DeleteNetworkInterface"), ("NetworkInterfaceId", interface)];
        ask(proxy, &request.region, &form).await;
    }
    let life = Life {
        region: request.region.clone(),
        interfaces: Vec::new(),
        ready: later(proxy, provisioning.nat_gateway),
        failure,
        gone: None,
        released: false,
        regional: true,
    };
    proxy.ec2.nat_gateways.begin(id, life);
    let made = all(proxy, &request.region).await.into_iter().find(|gateway| value(gateway, "natGatewayId") == id);
    let mut made = made.unwrap_or_else(|| Element::new("natGateway"));
    "natGateway".clone_into(&mut made.name);
    Ok(Answer::ec2(&request.operation, &listing::render(&made)))
}

/// Whether a VPC has gateways that are in none of its subnets, and so have no network interface there.
pub(super) async fn has_regional(proxy: &Proxy, region: &str, vpc: &str) -> bool {
    let gone = |gateway: &Element| value(gateway, "state") == State::Deleted.as_str();
    let regional = |gateway: &Element| value(gateway, "availabilityMode") == "regional";
    let gateways = all(proxy, region).await;
    gateways.iter().any(|gateway| value(gateway, "vpcId") == vpc && regional(gateway) && !gone(gateway))
}

/// Deletes one: it keeps its address and its network interface until it is gone.
///
/// # Errors
/// It is not there, or is deleted already.
pub(super) async fn delete(proxy: &Proxy, request: &Request) -> Result<Answer, Refusal> {
    let id = request.form_value("NatGatewayId").unwrap_or_default();
    let now = proxy.clock.now();
    match proxy.ec2.nat_gateways.get(id).map(|life| life.state(now)) {
        None | Some(State::Deleted) => return Err(Kind::missing_of(request, id)),
        Some(State::Deleting) => {}
        Some(State::Pending | State::Failed | State::Available) => {
            let gone = later(proxy, proxy.sky.weather().provisioning.nat_gateway_deletion);
            proxy.ec2.nat_gateways.end(id, gone);
        }
    }
    let answer = proxy.upstream.forward(request).await;
    settle(proxy).await;
    Ok(answer)
}

/// Lets go of the addresses and network interfaces of gateways that are gone. moto leaves them for ever.
pub(super) async fn settle(proxy: &Proxy) {
    let now = proxy.clock.now();
    proxy.ec2.nat_gateways.end_failed(now);
    let (_releasing, due) = proxy.ec2.nat_gateways.due(now).await;
    for (id, life) in due {
        for interface in &life.interfaces {
            let region = &life.region;
            let form = [
                ("Action", "DescribeAddresses"),
                ("Filter.1.Name", "network-interface-id"),
                ("Filter.1.Value.1", interface),
            ];
            for association in texts(&ask(proxy, region, &form).await, "associationId") {
                ask(proxy, region, &[("Action", "DisassociateAddress"), ("AssociationId", association)]).await;
            }
            let form = [("Action", "DeleteNetworkInterface"), ("NetworkInterfaceId", interface)];
            ask(proxy, region, &form).await;
        }
        proxy.ec2.nat_gateways.released(&id);
    }
}

/// The simulated time that a duration ends.
pub(super) fn later(proxy: &Proxy, duration: Duration) -> f64 {
    proxy.clock.now() + proxy.clock.scale.lasts(duration.as_secs_f64())
}

/// Whether a gateway can be a route's target.
pub(super) async fn exists(proxy: &Proxy, region: &str, id: &str) -> bool {
    let life = proxy.ec2.nat_gateways.get(id);
    let gone = life.is_some_and(|life| life.state(proxy.clock.now()) == State::Deleted);
    !gone && find(proxy, region, id).await.is_some()
}

/// A gateway as moto lists it, as it is; none once it is not listed any more.
fn as_it_is(proxy: &Proxy, mut gateway: Element, now: f64) -> Option<Element> {
    let Some(life) = proxy.ec2.nat_gateways.get(&value(&gateway, "natGatewayId")) else { return Some(gateway) };
    let state = life.state(now);
    if life.gone.is_some_and(|gone| now >= gone + LISTED) {
        return None;
    }
    set(&mut gateway, "state", state.as_str());
    set(&mut gateway, "availabilityMode", if life.regional { "regional" } else { "zonal" });
    if life.regional {
        gateway.take_child("subnetId");
        set(&mut gateway, "connectivityType", "public");
        for automatic in ["autoScalingIps", "autoProvisionZones"] {
            set(&mut gateway, automatic, "enabled");
        }
        listing::replace(&mut gateway, listing::set_of("natGatewayAddressSet", []));
    }
    if gateway.get_child("connectivityType").is_none() {
        let private = value(&gateway, "natGatewayAddressSet/item/publicIp").is_empty() && life.failure.is_none();
        set(&mut gateway, "connectivityType", if private { "private" } else { "public" });
    }
    if let Some((code, message)) = life.failure.as_ref().filter(|_| state != State::Pending) {
        set(&mut gateway, "failureCode", code);
        set(&mut gateway, "failureMessage", message);
    }
    let ended = match state {
        State::Pending | State::Available => None,
        State::Failed => Some(life.ready),
        State::Deleting | State::Deleted => life.gone,
    };
    if let Some(ended) = ended.filter(|ended| *ended <= now) {
        let wall = UNIX_EPOCH + Duration::from_secs_f64(proxy.clock.scale.wall(ended).max(0.0));
        set(&mut gateway, "deleteTime", &humantime::format_rfc3339_millis(wall).to_string());
    }
    if let Some(address) = life.failure.as_ref().and_then(|(_, message)| refused_address(message))
        && value(&gateway, "natGatewayAddressSet/item/allocationId").is_empty()
    {
        let address = structure("item", &[("allocationId", address)]);
        listing::replace(&mut gateway, listing::set_of("natGatewayAddressSet", [address]));
    }
    Some(gateway)
}

/// The address that was in use already, which moto was not told.
fn refused_address(message: &str) -> Option<&str> {
    message.strip_prefix("Elastic IP address ")?.strip_suffix(" is already associated")
}
