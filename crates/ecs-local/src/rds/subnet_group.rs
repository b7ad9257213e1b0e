//! DB subnet groups, where moto is wrong: it replaces namesakes, deletes what is in use, and loses what is modified.

use std::collections::BTreeSet;

use super::VERSION;
use crate::answer::{Answer, text, texts};
use crate::call::Request;
use crate::form::Form;
use crate::network;
use crate::proxy::Proxy;
use crate::refusal::Refusal;

/// Checks a group that is to be made; moto replaces one whose name is taken.
pub(super) async fn check_creation(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let name = request.form_value("DBSubnetGroupName").unwrap_or_default();
    // botocore rds model, CreateDBSubnetGroup.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._- ".contains(&byte);
    if name.is_empty() || name.len() > 255 || name == "default" || !name.bytes().all(plain) {
        let message = format!(
            "The parameter DBSubnetGroupName '{name}' is not valid: it must contain no more than 255 letters, \
             numbers, periods, underscores, spaces, or hyphens, and must not be default"
        );
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    if describe(proxy, request, name).await.is_some() {
        let message = format!("The DB subnet group '{name}' already exists.");
        return Err(Refusal::new("DBSubnetGroupAlreadyExists", message));
    }
    check_subnets(proxy, request).await.map(|_vpc| ())
}

/// Checks the subnets of a call: they exist, are of one VPC and of two zones or more. Returns the VPC.
async fn check_subnets(proxy: &Proxy, request: &Request) -> Result<String, Refusal> {
    let ids = Form::of(request).values("SubnetIds");
    let mut subnets = Vec::new();
    for id in &ids {
        let subnet = network::subnet(proxy, &request.region, id).await;
        let message = || format!("Some input subnets in :[{}] are invalid.", ids.join(", "));
        subnets.push(subnet.ok_or_else(|| Refusal::new("InvalidSubnet", message()))?);
    }
    let zones: BTreeSet<&str> = subnets.iter().map(|subnet| subnet.zone.as_str()).collect();
    let vpcs: BTreeSet<&str> = subnets.iter().map(|subnet| subnet.vpc.as_str()).collect();
    if vpcs.len() > 1 {
        return Err(Refusal::new("InvalidParameterValue", "The subnets are not in the same Vpc"));
    }
    match vpcs.into_iter().next() {
        Some(vpc) if zones.len() >= 2 => Ok(vpc.to_owned()),
        Some(_) | None => {
            let zones: Vec<&str> = zones.into_iter().collect();
            let message = format!(
                "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: \
                 {}. Add subnets to cover at least 2 AZs.",
                zones.join(", ")
            );
            Err(Refusal::new("DBSubnetGroupDoesNotCoverEnoughAZs", message))
        }
    }
}

/// Refuses to delete a group that an instance uses, one that is being deleted as well; moto deletes it all the same.
pub(super) async fn check_unused(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(name) = request.form_value("DBSubnetGroupName") else { return Ok(()) };
    let form = [("Action", "DescribeDBInstances")];
    let xml = proxy.upstream.query("rds", &request.region, VERSION, &form).await.ok().unwrap_or_default();
    if texts(&xml, "DBSubnetGroupName").contains(&name) {
        let message = format!(
            "Cannot delete the subnet group '{name}' because at least one database instance is still using it."
        );
        return Err(Refusal::new("InvalidDBSubnetGroupStateFault", message));
    }
    Ok(())
}

/// Modifies a group; moto forgets it, so that it must be made again.
pub(super) async fn modify(proxy: &Proxy, request: &Request) -> Answer {
    let name = request.form_value("DBSubnetGroupName").unwrap_or_default();
    let Some(before) = describe(proxy, request, name).await else {
        let refusal = Refusal::new("DBSubnetGroupNotFoundFault", format!("Subnet group {name} not found."));
        return refusal.with_status(hyper::StatusCode::NOT_FOUND).answer(request);
    };
    let same_vpc = match check_subnets(proxy, request).await {
        Ok(vpc) => text(&before, "VpcId") == Some(vpc.as_str()),
        Err(refusal) => return refusal.answer(request),
    };
    if !same_vpc {
        let message = "The new Subnets are not in the same Vpc as the existing subnet group";
        return Refusal::new("InvalidParameterValue", message).answer(request);
    }
    let arn = text(&before, "DBSubnetGroupArn").unwrap_or_default();
    let form = [("Action", "ListTagsForResource"), ("ResourceName", arn)];
    let tags = proxy.upstream.query("rds", &request.region, VERSION, &form).await.ok().unwrap_or_default();
    let answer = proxy.upstream.forward(request).await;
    if !answer.status.is_success() {
        return answer;
    }
    let after = String::from_utf8_lossy(&answer.body).into_owned();
    let description = text(&after, "DBSubnetGroupDescription").unwrap_or_default();
    let mut form: Vec<(String, &str)> = vec![
        ("Action".to_owned(), "CreateDBSubnetGroup"),
        ("DBSubnetGroupName".to_owned(), name),
        ("DBSubnetGroupDescription".to_owned(), description),
    ];
    for (index, subnet) in Form::of(request).values("SubnetIds").into_iter().enumerate() {
        form.push((format!("SubnetIds.SubnetIdentifier.{}", index + 1), subnet));
    }
    for (index, tag) in texts(&tags, "Tag").into_iter().enumerate() {
        let number = index + 1;
        form.push((format!("Tags.Tag.{number}.Key"), text(tag, "Key").unwrap_or_default()));
        form.push((format!("Tags.Tag.{number}.Value"), text(tag, "Value").unwrap_or_default()));
    }
    let form: Vec<(&str, &str)> = form.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let reply = proxy.upstream.query("rds", &request.region, VERSION, &form).await;
    if reply.status.is_success() { answer } else { Refusal::new("InternalFailure", reply.body).answer(request) }
}

/// A group as moto describes it, if it is there.
pub(super) async fn describe(proxy: &Proxy, request: &Request, name: &str) -> Option<String> {
    let form = [("Action", "DescribeDBSubnetGroups"), ("DBSubnetGroupName", name)];
    proxy.upstream.query("rds", &request.region, VERSION, &form).await.ok()
}
