//! Users: what keeps one from being deleted, trust policies that name one that is not there, and boundaries, which moto
//! does not know.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::StatusCode;
use serde_json::Value;
use xmltree::Element;

use super::policy::texts;
use super::{NAMESPACE, VERSION, role};
use crate::answer::{Answer, text};
use crate::call::Request;
use crate::proxy::Proxy;
use crate::refusal::Refusal;
use crate::xml;

/// The most roles that ListRoles returns in one reply.
const PAGE: &str = "1000";

/// What we keep of users.
#[derive(Debug, Default)]
pub(super) struct Users {
    /// The simulated time at which each was made, by name.
    made: Mutex<HashMap<String, f64>>,
    /// The boundary of each that has one, by name.
    boundaries: Mutex<HashMap<String, String>>,
}

impl Users {
    /// Forgets all users.
    pub(super) fn clear(&self) {
        self.made().clear();
        self.boundaries().clear();
    }

    fn made(&self) -> MutexGuard<'_, HashMap<String, f64>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn boundaries(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.boundaries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers a call about a user; none for those in which moto is right.
pub(super) async fn answer(proxy: &Proxy, request: &Request) -> Option<Answer> {
    let name = request.form_value("UserName").unwrap_or_default();
    let users = &proxy.iam.users;
    let boundary = request.form_value("PermissionsBoundary").map(str::to_owned);
    Some(match request.operation.as_str() {
        "CreateUser" => {
            let answer = proxy.upstream.forward(request).await;
            if answer.status.is_success() {
                users.made().insert(name.to_owned(), proxy.clock.now());
                users.boundaries().extend(boundary.map(|boundary| (name.to_owned(), boundary)));
            }
            answer
        }
        "GetUser" => {
            let boundary = users.boundaries().get(name).cloned();
            xml::change_each(proxy.upstream.forward(request).await, "User", |user| {
                let Some(arn) = &boundary else { return };
                let mut shown = Element::new("PermissionsBoundary");
                shown.namespace.clone_from(&user.namespace);
                xml::set_text(&mut shown, "PermissionsBoundaryType", "Policy");
                xml::set_text(&mut shown, "PermissionsBoundaryArn", arn);
                user.children.push(xmltree::XMLNode::Element(shown));
            })
        }
        "PutUserPermissionsBoundary" | "DeleteUserPermissionsBoundary" => {
            if describe(proxy, name).await.is_none() {
                let message = format!("The user with name {name} cannot be found.");
                let refusal = Refusal::new("NoSuchEntity", message).with_status(StatusCode::NOT_FOUND);
                return Some(refusal.answer(request));
            }
            users.boundaries().remove(name);
            users.boundaries().extend(boundary.map(|boundary| (name.to_owned(), boundary)));
            Answer::query(&request.operation, NAMESPACE, "")
        }
        "DeleteUser" => delete(proxy, request, name).await,
        _ => return None,
    })
}

async fn delete(proxy: &Proxy, request: &Request, name: &str) -> Answer {
    // What has to be deleted first: DeleteUser's reference.
    let things = [
        ("ListAccessKeys", "AccessKeyId", "delete access keys"),
        ("GetLoginProfile", "CreateDate", "delete login profile"),
        ("ListMFADevices", "SerialNumber", "delete MFA virtual device"),
        ("ListGroupsForUser", "GroupName", "remove user from groups"),
    ];
    for (operation, member, what) in things {
        let reply = query(proxy, &[("Action", operation), ("UserName", name)]).await;
        if reply.is_some_and(|reply| text(&reply, member).is_some()) {
            let message = format!("Cannot delete entity, must {what} first.");
            return Refusal::new("DeleteConflict", message).with_status(StatusCode::CONFLICT).answer(request);
        }
    }
    let user = describe(proxy, name).await;
    let answer = proxy.upstream.forward(request).await;
    if answer.status.is_success() {
        proxy.iam.users.made().remove(name);
        proxy.iam.users.boundaries().remove(name);
        if let Some((arn, id)) = user {
            forget_principal(proxy, &arn, &id).await;
        }
    }
    answer
}

/// Shows a user that is gone by its id in the trust policies that name it: one that is made again under its name is
/// another one
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-users>).
async fn forget_principal(proxy: &Proxy, arn: &str, id: &str) {
    let Some(reply) = query(proxy, &[("Action", "ListRoles"), ("MaxItems", PAGE)]).await else { return };
    let Ok(mut tree) = Element::parse(reply.as_bytes()) else { return };
    let roles = tree.get_mut_child("ListRolesResult").and_then(|result| result.take_child("Roles"));
    for role in roles.iter().flat_map(|roles| roles.children.iter()).filter_map(|node| node.as_element()) {
        let Some((name, trust)) = xml::text(role, "RoleName").zip(xml::text(role, "AssumeRolePolicyDocument")) else {
            continue;
        };
        let (trust, named) = (role::decoded(&trust), format!("\"{arn}\""));
        if trust.contains(&named) {
            let trust = trust.replace(&named, &format!("\"{id}\""));
            let form = [("Action", "UpdateAssumeRolePolicy"), ("RoleName", &name), ("PolicyDocument", &trust)];
            query(proxy, &form).await;
        }
    }
}

/// Refuses a trust policy that names a user that is not there, or does not show yet.
pub(super) async fn check_trust(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let document = match request.operation.as_str() {
        "CreateRole" => request.form_value("AssumeRolePolicyDocument"),
        "UpdateAssumeRolePolicy" => request.form_value("PolicyDocument"),
        _ => None,
    };
    let document: Value = document.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    for principal in users(&document) {
        let name = principal.rsplit('/').next().unwrap_or_default();
        let there = describe(proxy, name).await.is_some_and(|(arn, _)| arn == principal);
        let shown = proxy.iam.users.made().get(name).is_none_or(|made| proxy.clock.now() >= made + role::lag(proxy));
        if !there || !shown {
            let message = format!("Invalid principal in policy: \"AWS\":\"{principal}\"");
            return Err(Refusal::new("MalformedPolicyDocument", message));
        }
    }
    Ok(())
}

/// The users that a document names as principals.
fn users(document: &Value) -> Vec<&str> {
    let statements = &document["Statement"];
    let statements = statements.as_array().map_or_else(|| vec![statements], |statements| statements.iter().collect());
    let principals = statements.iter().flat_map(|statement| texts(statement["Principal"].get("AWS")));
    principals.filter(|principal| principal.contains(":user/") || principal.starts_with("AIDA")).collect()
}

/// A user's ARN and id.
async fn describe(proxy: &Proxy, name: &str) -> Option<(String, String)> {
    let reply = query(proxy, &[("Action", "GetUser"), ("UserName", name)]).await?;
    Some((text(&reply, "Arn")?.to_owned(), text(&reply, "UserId")?.to_owned()))
}

async fn query(proxy: &Proxy, form: &[(&str, &str)]) -> Option<String> {
    proxy.upstream.query("iam", "us-east-1", VERSION, form).await.ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn users_are_named_among_other_principals() {
        let arn = "arn:aws:iam::123456789012:user/ci";
        let statement = |principal: Value| json!({"Statement": [{"Principal": principal}]});
        assert_eq!(users(&statement(json!({"AWS": [arn, "arn:aws:iam::123456789012:root"]}))), [arn]);
        assert_eq!(users(&statement(json!({"AWS": "AIDAEXAMPLE"}))), ["AIDAEXAMPLE"]);
        assert_eq!(users(&statement(json!({"Service": "ecs.amazonaws.com"}))), [""; 0]);
        assert_eq!(users(&Value::Null), [""; 0]);
    }
}
