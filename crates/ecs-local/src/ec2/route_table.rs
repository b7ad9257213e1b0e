//! Route tables: routes to what is there, and one table for a subnet.

use std::collections::BTreeSet;

use super::in_use::refuse;
use super::kind::Kind;
use super::listing::{ask, value, values};
use super::refusal::Refusal;
use super::vpc::same_vpc;
use super::{existing, nat_gateway, of_kind};
use crate::answer::{Answer, texts};
use crate::call::Request;
use crate::proxy::Proxy;

/// What a route may lead to (botocore ec2 model, `CreateRouteRequest`).
const TARGETS: &[&str] = &[
    "GatewayId",
    "NatGatewayId",
    "NetworkInterfaceId",
    "InstanceId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
    "EgressOnlyInternetGatewayId",
    "VpcEndpointId",
    "LocalGatewayId",
    "CarrierGatewayId",
    "CoreNetworkArn",
    "LocalTarget",
];

/// Refuses a route to nothing, or to a gateway that is not there or not attached to the VPC.
pub(super) async fn route(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(id) = request.form_value("RouteTableId") else { return Ok(()) };
    let table = existing(proxy, request, id).await?;
    match TARGETS.iter().filter(|target| request.form_value(target).is_some()).count() {
        0 => {
            let message = "The request must contain exactly one of gatewayId, natGatewayId, networkInterfaceId, vpcPeeringConnectionId, egressOnlyInternetGatewayId, transitGatewayId, localGatewayId, carrierGatewayId, vpcEndpointId or instanceId";
            return Err(Refusal::new("MissingParameter", message));
        }
        1 => {}
        _ => {
            let message = "The request must contain exactly one target";
            return Err(Refusal::new("InvalidParameterCombination", message));
        }
    }
    if let Some(gateway) = request.form_value("NatGatewayId")
        && !nat_gateway::exists(proxy, &request.region, gateway).await
    {
        return Err(Kind::missing_of(request, gateway));
    }
    if let Some(gateway) = request.form_value("GatewayId").filter(|gateway| gateway.starts_with("igw-")) {
        let attached = value(&existing(proxy, request, gateway).await?, "attachmentSet/item/vpcId");
        if attached != value(&table, "vpcId") {
            // <https://github.com/giantswarm/aws-operator/pull/632>
            let message = format!("route table {id} and network gateway {gateway} belong to different networks");
            return Err(Refusal::new("InvalidParameterValue", message));
        }
    }
    Ok(())
}

/// Refuses to delete the route within the VPC.
pub(super) async fn delete_route(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let (Some(id), Some(range)) = (request.form_value("RouteTableId"), request.form_value("DestinationCidrBlock"))
    else {
        return Ok(());
    };
    let table = existing(proxy, request, id).await?;
    let ranges = values(&table, "routeSet/item/destinationCidrBlock");
    let origins = values(&table, "routeSet/item/origin");
    if ranges.iter().zip(&origins).any(|(of, origin)| of == range && origin == "CreateRouteTable") {
        let message = format!("cannot remove local route {range} in route table {id}");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    Ok(())
}

/// Refuses to associate a subnet that has another table already. moto answers with the association that there is, which is
/// right for the same table only.
pub(super) async fn associate(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let (Some(id), Some(subnet)) = (request.form_value("RouteTableId"), request.form_value("SubnetId")) else {
        return Ok(());
    };
    let table = existing(proxy, request, id).await?;
    if !same_vpc(&table, &existing(proxy, request, subnet).await?) {
        let message = format!("Route table {id} and subnet {subnet} belong to different networks");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let tables = of_kind(proxy, request, "DescribeRouteTables", &[("association.subnet-id", subnet)]).await;
    if tables.iter().any(|table| value(table, "routeTableId") != id) {
        let message = format!("the specified association for route table {id} conflicts with an existing association");
        return Err(Refusal::new("Resource.AlreadyAssociated", message));
    }
    Ok(())
}

/// Refuses to leave a VPC without its main table.
pub(super) async fn disassociate(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(id) = request.form_value("AssociationId") else { return Ok(()) };
    let mains = of_kind(proxy, request, "DescribeRouteTables", &[("association.main", "true")]).await;
    let is_main = |path: &str| mains.iter().any(|table| main_associations(table, path).contains(&id.to_owned()));
    if is_main("associationSet/item/routeTableAssociationId") {
        let message = format!("cannot disassociate the main route table association {id}");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    Ok(())
}

/// A table stays while it is associated, and the main one always does.
pub(super) async fn delete(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(id) = request.form_value("RouteTableId") else { return Ok(()) };
    let associated = values(&existing(proxy, request, id).await?, "associationSet/item/routeTableAssociationId");
    refuse(!associated.is_empty(), format!("The routeTable '{id}' has dependencies and cannot be deleted."))
}

/// Lets a subnet that is about to go leave its table: moto would have it there for ever.
pub(super) async fn leave(proxy: &Proxy, request: &Request) {
    let Some(subnet) = request.form_value("SubnetId") else { return };
    let tables = of_kind(proxy, request, "DescribeRouteTables", &[("association.subnet-id", subnet)]).await;
    for table in &tables {
        let associations = table.get_child("associationSet").into_iter().flat_map(|set| &set.children);
        for association in
            associations.filter_map(|node| node.as_element()).filter(|one| value(one, "subnetId") == subnet)
        {
            let id = value(association, "routeTableAssociationId");
            ask(proxy, &request.region, &[("Action", "DisassociateRouteTable"), ("AssociationId", &id)]).await;
        }
    }
}

/// Shows the routes that lead nowhere: to a NAT gateway that is deleted, or an internet gateway that is not attached (botocore
/// ec2 model, `Route.State`). moto has all routes active.
pub(super) async fn with_blackholes(proxy: &Proxy, request: &Request, mut answer: Answer) -> Answer {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let targets = || texts(&body, "natGatewayId").into_iter().chain(texts(&body, "gatewayId"));
    let mut open = BTreeSet::new();
    for target in targets().filter(|target| target.starts_with("nat-")) {
        if nat_gateway::exists(proxy, &request.region, target).await {
            open.insert(target.to_owned());
        }
    }
    if targets().any(|target| target.starts_with("igw-")) {
        let gateways = of_kind(proxy, request, "DescribeInternetGateways", &[]).await;
        let attached = gateways.iter().filter(|gateway| !value(gateway, "attachmentSet/item/vpcId").is_empty());
        open.extend(attached.map(|gateway| value(gateway, "internetGatewayId")));
    }
    let is_lost = |target: &&str| (target.starts_with("nat-") || target.starts_with("igw-")) && !open.contains(*target);
    let lost: BTreeSet<&str> = targets().filter(is_lost).collect();
    if lost.is_empty() {
        return answer;
    }
    // moto writes a route's state after its target, and nothing between routes has one.
    let mut routes = body.split("<state>active</state>").peekable();
    let mut shown = String::new();
    while let Some(route) = routes.next() {
        shown.push_str(route);
        if routes.peek().is_some() {
            let leads = ["natGatewayId", "gatewayId"].iter().filter_map(|tag| texts(route, tag).pop());
            let state = if leads.into_iter().any(|target| lost.contains(target)) { "blackhole" } else { "active" };
            shown.push_str(&format!("<state>{state}</state>"));
        }
    }
    answer.body = shown.into();
    answer
}

/// A table's associations with the VPC itself.
fn main_associations(table: &xmltree::Element, path: &str) -> Vec<String> {
    let mains = values(table, "associationSet/item/main");
    values(table, path).into_iter().zip(mains).filter(|(_, main)| main == "true").map(|(id, _)| id).collect()
}
