//! VPC endpoints: moto has them available at once, deletes them at once, and lists them for ever.

use xmltree::Element;

use super::kind::Kind;
use super::life::{Life, State};
use super::listing::{VERSION, ask, items, list, replace, set, structure, value, values};
use super::nat_gateway::later;
use super::refusal::Refusal;
use crate::answer::{Answer, escape, text, texts};
use crate::call::Request;
use crate::form::Form;
use crate::proxy::Proxy;
use crate::weather;

/// All endpoints of a region that are listed.
pub(super) async fn all(proxy: &Proxy, region: &str) -> Vec<Element> {
    settle(proxy).await;
    let now = proxy.clock.now();
    let Some(kind) = Kind::listed_by("DescribeVpcEndpoints") else { return Vec::new() };
    let mut endpoints = list(proxy, region, kind, &[]).await;
    endpoints.retain(|endpoint| value(endpoint, "state") != "deleted");
    for endpoint in &mut endpoints {
        let Some(life) = proxy.ec2.endpoints.get(&value(endpoint, "vpcEndpointId")) else { continue };
        let state = life.state(now);
        set(endpoint, "state", state.as_str());
        if let Some((code, message)) = life.failure.filter(|_| state == State::Failed) {
            replace(endpoint, structure("lastError", &[("message", &message), ("code", &code)]));
        }
    }
    endpoints
}

/// Creates one. A gateway endpoint is available at once: it is a route.
///
/// # Errors
/// There is no such service.
pub(super) async fn create(proxy: &Proxy, request: &Request) -> Result<Answer, Refusal> {
    let service = request.form_value("ServiceName").unwrap_or_default();
    let ours = ["com.amazonaws.", "aws.", "com.amazonaws.vpce."].iter().any(|start| service.starts_with(start));
    if !ours || !service.contains(&format!(".{}.", request.region)) {
        let message = format!("The Vpc Endpoint Service '{service}' does not exist");
        return Err(Refusal::new("InvalidServiceName", message));
    }
    let others = all(proxy, &request.region).await;
    let (vpc, asked) = (request.form_value("VpcId").unwrap_or_default(), Form::of(request));
    let mut same = others.iter().filter(|other| value(other, "vpcId") == vpc && value(other, "serviceName") == service);
    if request.form_value("VpcEndpointType") == Some("Interface") {
        let named = |other: &Element| value(other, "privateDnsEnabled") == "true";
        // <https://repost.aws/knowledge-center/vpc-interface-endpoint-domain-conflict>
        if request.form_value("PrivateDnsEnabled") == Some("true") && same.any(named) {
            let message = format!(
                "private-dns-enabled cannot be set because there is already a conflicting DNS domain for {service} in the VPC {vpc}"
            );
            return Err(Refusal::new("InvalidParameter", message));
        }
        if request.form_value("PrivateDnsEnabled") == Some("true") {
            dns_is_on(proxy, request, vpc).await?;
        }
        one_subnet_a_zone(proxy, request, &asked.values("SubnetId")).await?;
    } else {
        let tables = asked.values("RouteTableId");
        let routed =
            |other: &Element| values(other, "routeTableIdSet/item").iter().any(|id| tables.contains(&id.as_str()));
        if let Some(other) = same.find(|other| routed(other)) {
            // <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>
            let message = format!("route table has a route to {service} already, of {}", value(other, "vpcEndpointId"));
            return Err(Refusal::new("RouteAlreadyExists", message));
        }
    }
    // Gateway is the default (botocore ec2 model, `CreateVpcEndpointRequest`); moto cannot delete one without a type.
    let mut form = request.form.clone();
    if request.form_value("VpcEndpointType").is_none() {
        form.push(("VpcEndpointType".to_owned(), "Gateway".to_owned()));
    }
    let mut answer = proxy.upstream.forward(&request.with_form(form)).await;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let interface = request.form_value("VpcEndpointType") == Some("Interface");
    if let Some(id) = text(&body, "vpcEndpointId").filter(|_| interface && answer.status.is_success()) {
        let provisioning = &proxy.sky.weather().provisioning;
        let name = super::tag::name(request);
        let failure = proxy.ec2.failures.strike(provisioning, weather::Kind::VpcEndpoint, name);
        let interfaces = text(&body, "networkInterfaceIdSet").unwrap_or_default();
        let life = Life {
            region: request.region.clone(),
            interfaces: texts(interfaces, "item").into_iter().map(str::to_owned).collect(),
            ready: later(proxy, provisioning.vpc_endpoint),
            failure: failure.map(|failure| (failure.code, failure.message)),
            gone: None,
            released: false,
            regional: false,
        };
        let ready = life.failure.is_none() && life.state(proxy.clock.now()) == State::Available;
        proxy.ec2.endpoints.begin(id, life);
        if !ready {
            answer.body = body.replace("<state>available</state>", "<state>pending</state>").into();
        }
    }
    Ok(answer)
}

/// Refuses private DNS in a VPC without both DNS attributes.
///
/// <https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html>
async fn dns_is_on(proxy: &Proxy, request: &Request, vpc: &str) -> Result<(), Refusal> {
    for (attribute, member) in [("enableDnsSupport", "enableDnsSupport"), ("enableDnsHostnames", "enableDnsHostnames")]
    {
        let form = [("Action", "DescribeVpcAttribute"), ("VpcId", vpc), ("Attribute", attribute)];
        let answer = ask(proxy, &request.region, &form).await;
        if text(text(&answer, member).unwrap_or_default(), "value") == Some("false") {
            let message = "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes \
                           set to true";
            return Err(Refusal::new("InvalidParameter", format!("{message} for {vpc}")));
        }
    }
    Ok(())
}

/// Refuses two subnets of one zone: an interface endpoint has one network interface in a zone.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>, `DuplicateSubnetsInSameZone`.
async fn one_subnet_a_zone(proxy: &Proxy, request: &Request, subnets: &[&str]) -> Result<(), Refusal> {
    let mut zones: Vec<String> = Vec::new();
    for subnet in subnets {
        let zone = value(&super::existing(proxy, request, subnet).await?, "availabilityZone");
        if zones.contains(&zone) {
            let message = format!("Found another VPC endpoint subnet in the availability zone of {subnet}");
            return Err(Refusal::new("DuplicateSubnetsInSameZone", message));
        }
        zones.push(zone);
    }
    Ok(())
}

/// Changes one. A gateway endpoint's routes come and go with its tables, which moto forgets.
///
/// # Errors
/// There is no such endpoint, table, subnet or group.
pub(super) async fn modify(proxy: &Proxy, request: &Request) -> Result<Answer, Refusal> {
    let id = request.form_value("VpcEndpointId").unwrap_or_default();
    let endpoints = all(proxy, &request.region).await;
    let Some(endpoint) = endpoints.iter().find(|endpoint| value(endpoint, "vpcEndpointId") == id) else {
        return Err(Kind::missing_of(request, id));
    };
    let form = Form::of(request);
    let (added, removed) = (form.values("AddRouteTableId"), form.values("RemoveRouteTableId"));
    for id in [&added, &removed].into_iter().flatten() {
        super::existing(proxy, request, id).await?;
    }
    for id in [form.values("AddSubnetId"), form.values("AddSecurityGroupId")].into_iter().flatten() {
        super::existing(proxy, request, id).await?;
    }
    let (added_subnets, removed_subnets) = (form.values("AddSubnetId"), form.values("RemoveSubnetId"));
    if !added_subnets.is_empty() {
        let present = values(endpoint, "subnetIdSet/item");
        let mut after: Vec<&str> = present.iter().map(String::as_str).collect();
        after.retain(|id| !removed_subnets.contains(id) && !added_subnets.contains(id));
        after.extend(added_subnets);
        one_subnet_a_zone(proxy, request, &after).await?;
    }
    let answer = proxy.upstream.forward(request).await;
    let service = value(endpoint, "serviceName");
    let lists = [
        ("Action", "DescribeManagedPrefixLists"),
        ("Filter.1.Name", "prefix-list-name"),
        ("Filter.1.Value.1", &service),
    ];
    let lists = items(&ask(proxy, &request.region, &lists).await, "prefixListSet");
    let list = lists.first().map(|list| value(list, "prefixListId"));
    let Some(list) = list.filter(|_| answer.status.is_success()) else { return Ok(answer) };
    for (action, tables) in [("CreateRoute", added), ("DeleteRoute", removed)] {
        for table in tables {
            let form =
                [("Action", action), ("RouteTableId", table), ("DestinationPrefixListId", &list), ("GatewayId", id)];
            ask(proxy, &request.region, &form).await;
        }
    }
    Ok(answer)
}

/// Deletes some. An interface endpoint is `deleting` while its network interfaces go; those that are not there are said
/// in an answer that is no refusal (botocore ec2 model, `DeleteVpcEndpointsResult.Unsuccessful`).
pub(super) async fn delete(proxy: &Proxy, request: &Request) -> Answer {
    let present = all(proxy, &request.region).await;
    let mut unsuccessful = String::new();
    for id in Form::of(request).values("VpcEndpointId") {
        if present.iter().all(|endpoint| value(endpoint, "vpcEndpointId") != id) {
            let message = format!("The Vpc Endpoint Id '{id}' does not exist");
            unsuccessful.push_str(&left(id, "InvalidVpcEndpoint.NotFound", &escape(&message)));
            continue;
        }
        proxy.ec2.tokens.forget(id);
        match proxy.ec2.endpoints.get(id) {
            Some(life) if life.gone.is_some() => {}
            Some(_) => proxy.ec2.endpoints.end(id, later(proxy, proxy.sky.weather().provisioning.interfaces)),
            None => {
                let form = [("Action", "DeleteVpcEndpoints"), ("VpcEndpointId.1", id)];
                let reply = proxy.upstream.query("ec2", &request.region, VERSION, &form).await;
                if !reply.status.is_success() {
                    let said = |tag| text(&reply.body, tag).unwrap_or("InternalError");
                    unsuccessful.push_str(&left(id, said("Code"), said("Message")));
                }
            }
        }
    }
    settle(proxy).await;
    Answer::ec2(&request.operation, &format!("<unsuccessful>{unsuccessful}</unsuccessful>"))
}

/// One that was not deleted.
fn left(id: &str, code: &str, message: &str) -> String {
    let id = escape(id);
    format!("<item><error><code>{code}</code><message>{message}</message></error><resourceId>{id}</resourceId></item>")
}

/// Deletes from moto what is gone, with its network interfaces.
pub(super) async fn settle(proxy: &Proxy) {
    let (_releasing, due) = proxy.ec2.endpoints.due(proxy.clock.now()).await;
    for (id, life) in due {
        ask(proxy, &life.region, &[("Action", "DeleteVpcEndpoints"), ("VpcEndpointId.1", &id)]).await;
        proxy.ec2.endpoints.released(&id);
    }
}
