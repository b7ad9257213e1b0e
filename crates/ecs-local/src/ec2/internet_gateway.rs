//! Internet gateways: one for a VPC, and one VPC for each.

use super::in_use::{has_public_addresses, refuse};
use super::listing::{value, values};
use super::refusal::Refusal;
use super::{existing, of_kind};
use crate::call::Request;
use crate::proxy::Proxy;

/// Internet gateways in a region: as many as VPCs (VPC user guide, quotas).
const MOST: usize = 5;

/// Refuses to create more than there may be.
pub(super) async fn create(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    if of_kind(proxy, request, "DescribeInternetGateways", &[]).await.len() >= MOST {
        let message = "The maximum number of internet gateways has been reached.";
        return Err(Refusal::new("InternetGatewayLimitExceeded", message));
    }
    Ok(())
}

/// Refuses to attach a gateway that is attached, or to a VPC that has one.
///
/// AWS's words: <https://github.com/berlioz-the/berlioz/issues/1>,
/// <https://github.com/binlab/terraform-aws-vault-ha-raft/issues/54>.
pub(super) async fn attach(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let (Some(id), Some(vpc)) = (request.form_value("InternetGatewayId"), request.form_value("VpcId")) else {
        return Ok(());
    };
    let gateway = existing(proxy, request, id).await?;
    existing(proxy, request, vpc).await?;
    if let Some(other) = values(&gateway, "attachmentSet/item/vpcId").first() {
        let message = format!("resource {id} is already attached to network {other}");
        return Err(Refusal::new("Resource.AlreadyAssociated", message));
    }
    if !of_kind(proxy, request, "DescribeInternetGateways", &[("attachment.vpc-id", vpc)]).await.is_empty() {
        let message = format!("Network {vpc} already has an internet gateway attached");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    Ok(())
}

/// A gateway stays attached while something in the VPC has a public address through it.
pub(super) async fn detach(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let (Some(id), Some(vpc)) = (request.form_value("InternetGatewayId"), request.form_value("VpcId")) else {
        return Ok(());
    };
    let gateway = existing(proxy, request, id).await?;
    if value(&gateway, "attachmentSet/item/vpcId") != vpc {
        let message = format!("resource {id} is not attached to network {vpc}");
        return Err(Refusal::new("Gateway.NotAttached", message));
    }
    let used = has_public_addresses(proxy, request, vpc).await;
    refuse(
        used,
        format!(
            "Network {vpc} has some mapped public address(es). Please unmap those public address(es) before detaching the gateway."
        ),
    )
}

/// A gateway that is attached stays.
pub(super) async fn delete(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(id) = request.form_value("InternetGatewayId") else { return Ok(()) };
    let attached = value(&existing(proxy, request, id).await?, "attachmentSet/item/vpcId");
    refuse(!attached.is_empty(), format!("The internetGateway '{id}' has dependencies and cannot be deleted."))
}
