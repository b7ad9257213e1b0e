//! Deletes of what is in use.

use super::interface::with;
use super::listing::{value, values};
use super::refusal::Refusal;
use super::{existing, of_kind};
use crate::call::Request;
use crate::proxy::Proxy;

/// A group is in use by network interfaces (tasks, load balancers, databases) and by other groups' rules.
pub(super) async fn security_group(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(id) = request.form_value("GroupId") else { return Ok(()) };
    let group = existing(proxy, request, id).await?;
    if value(&group, "groupName") == "default" {
        let message = format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
        return Err(Refusal::new("CannotDelete", message));
    }
    let mut used = !with(proxy, request, "groupSet/item/groupId", id).await.is_empty();
    for filter in ["ip-permission.group-id", "egress.ip-permission.group-id"] {
        let groups = of_kind(proxy, request, "DescribeSecurityGroups", &[(filter, id)]).await;
        // A rule that refers to its own group does not hold it.
        used = used || groups.iter().any(|group| value(group, "groupId") != id);
    }
    refuse(used, format!("resource {id} has a dependent object"))
}

/// A subnet is in use by network interfaces: those of tasks, NAT gateways, endpoints, load balancers and databases.
pub(super) async fn subnet(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(id) = request.form_value("SubnetId") else { return Ok(()) };
    existing(proxy, request, id).await?;
    let used = !with(proxy, request, "subnetId", id).await.is_empty();
    if !used {
        super::network_acl::leave(proxy, request).await;
        super::route_table::leave(proxy, request).await;
    }
    refuse(used, format!("The subnet '{id}' has dependencies and cannot be deleted."))
}

/// A VPC goes last: after its gateways, its endpoints, its groups and its network ACLs. Subnets and route tables moto checks itself.
pub(super) async fn vpc(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(id) = request.form_value("VpcId") else { return Ok(()) };
    existing(proxy, request, id).await?;
    let groups = of_kind(proxy, request, "DescribeSecurityGroups", &[("vpc-id", id)]).await;
    let gateways = of_kind(proxy, request, "DescribeInternetGateways", &[("attachment.vpc-id", id)]).await;
    let acls = of_kind(proxy, request, "DescribeNetworkAcls", &[("vpc-id", id), ("default", "false")]).await;
    let endpoints = super::vpc_endpoint::all(proxy, &request.region).await;
    let used = groups.iter().any(|group| value(group, "groupName") != "default")
        || !gateways.is_empty()
        || !acls.is_empty()
        || super::nat_gateway::has_regional(proxy, &request.region, id).await
        || endpoints.iter().any(|endpoint| value(endpoint, "vpcId") == id)
        || !with(proxy, request, "vpcId", id).await.is_empty();
    refuse(used, format!("The vpc '{id}' has dependencies and cannot be deleted."))
}

/// A network interface is in use while it is attached.
pub(super) async fn interface(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(id) = request.form_value("NetworkInterfaceId") else { return Ok(()) };
    let interfaces = with(proxy, request, "networkInterfaceId", id).await;
    if interfaces.iter().any(|interface| value(interface, "status") == "in-use") {
        let message = format!("Network interface '{id}' is currently in use.");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    Ok(())
}

/// Whether something in a VPC has a public address.
pub(super) async fn has_public_addresses(proxy: &Proxy, request: &Request, vpc: &str) -> bool {
    let interfaces = with(proxy, request, "vpcId", vpc).await;
    interfaces.iter().any(|interface| !values(interface, "association/publicIp").is_empty())
        || super::nat_gateway::has_regional(proxy, &request.region, vpc).await
}

/// Refuses to delete what something depends on.
pub(super) fn refuse(used: bool, message: String) -> Result<(), Refusal> {
    if used { Err(Refusal::new("DependencyViolation", message)) } else { Ok(()) }
}
