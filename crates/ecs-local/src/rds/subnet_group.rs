//! DB subnet groups, where moto is wrong: it replaces namesakes, deletes what is in use, and loses what is modified.

use super::VERSION;
use crate::answer::{Answer, text, texts};
use crate::call::Request;
use crate::form::Form;
use crate::proxy::Proxy;
use crate::refusal::Refusal;

/// Refuses a name that is taken; moto replaces the group.
pub(super) async fn check_name(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(name) = request.form_value("DBSubnetGroupName") else { return Ok(()) };
    match describe(proxy, request, name).await {
        Some(_) => {
            Err(Refusal::new("DBSubnetGroupAlreadyExists", format!("The DB subnet group '{name}' already exists.")))
        }
        None => Ok(()),
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
