//! Roles: what IAM refuses, and how late they show.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use xmltree::{Element, XMLNode};

use super::VERSION;
use super::policy::{self, Purpose};
use crate::answer::Answer;
use crate::call::Request;
use crate::proxy::Proxy;
use crate::refusal::Refusal;
use crate::xml;

/// The most characters of a trust policy, and of a role's inline policies (IAM quotas).
const TRUST: usize = 2048;
const INLINE: usize = 10_240;

/// Roles that were made or deleted lately, by name.
#[derive(Debug, Default)]
pub(super) struct Roles {
    /// The simulated time at which each was made.
    made: Mutex<HashMap<String, f64>>,
    /// What is still shown of each that was deleted.
    gone: Mutex<HashMap<String, Gone>>,
}

#[derive(Debug)]
struct Gone {
    /// The simulated time at which it was deleted.
    since: f64,
    /// The answer to the last GetRole.
    shown: Answer,
}

impl Roles {
    /// Forgets all roles.
    pub(super) fn clear(&self) {
        self.made().clear();
        self.gone().clear();
    }

    /// Whether a role was made less than this many simulated seconds ago.
    fn is_new(&self, name: &str, now: f64, lasts: f64) -> bool {
        self.made().get(name).is_some_and(|made| now < made + lasts)
    }

    fn made(&self) -> MutexGuard<'_, HashMap<String, f64>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(&self) -> MutexGuard<'_, HashMap<String, Gone>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a role can be neither passed nor assumed yet. Deleted ones and unknown ones are old.
pub(super) fn is_unsettled(proxy: &Proxy, name: &str) -> bool {
    let lasts = lasts(proxy, proxy.sky.weather().consistency.roles);
    proxy.iam.roles.is_new(name, proxy.clock.now(), lasts)
}

/// Whether any role may be unsettled.
pub(super) fn may_be_unsettled(proxy: &Proxy) -> bool {
    lasts(proxy, proxy.sky.weather().consistency.roles) > 0.0 && !proxy.iam.roles.made().is_empty()
}

/// Notes a role that was just made.
pub(super) fn created(proxy: &Proxy, name: &str) {
    proxy.iam.roles.made().insert(name.to_owned(), proxy.clock.now());
    proxy.iam.roles.gone().remove(name);
}

/// Notes a role that was just deleted, with what GetRole said of it.
pub(super) fn deleted(proxy: &Proxy, name: &str, shown: Option<Answer>) {
    proxy.iam.roles.made().remove(name);
    if let Some(shown) = shown {
        proxy.iam.roles.gone().insert(name.to_owned(), Gone { since: proxy.clock.now(), shown });
    }
}

/// Whether it takes time until what was made or deleted shows.
pub(super) fn lags(proxy: &Proxy) -> bool {
    lag(proxy) > 0.0
}

/// What is still shown of a role that was deleted.
pub(super) fn afterglow(proxy: &Proxy, name: &str) -> Option<Answer> {
    let until = lag(proxy);
    let now = proxy.clock.now();
    proxy.iam.roles.gone().get(name).filter(|gone| now < gone.since + until).map(|gone| gone.shown.clone())
}

/// ListRoles's answer without the roles that do not show yet, and with those that still do.
pub(super) fn show(proxy: &Proxy, answer: Answer) -> Answer {
    let (now, lag) = (proxy.clock.now(), lag(proxy));
    if lag == 0.0 {
        return answer;
    }
    let gone: Vec<Element> = {
        let gone = proxy.iam.roles.gone();
        let shown = gone.values().filter(|gone| now < gone.since + lag);
        shown.filter_map(|gone| xml::read(&gone.shown)).filter_map(role_of).collect()
    };
    xml::change_each(answer, "Roles", |roles| {
        roles.children.retain(|node| {
            let name = node.as_element().and_then(|role| xml::text(role, "RoleName"));
            name.is_none_or(|name| !proxy.iam.roles.is_new(&name, now, lag))
        });
        roles.children.extend(gone.iter().cloned().map(XMLNode::Element));
    })
}

/// Refuses what IAM refuses and moto takes.
pub(super) fn check(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(name) = request.form_value("RoleName") else { return Ok(()) };
    let operation = request.operation.as_str();
    let reads = operation.starts_with("Get") || operation.starts_with("List");
    let tags = operation == "TagRole" || operation == "UntagRole";
    if name.starts_with("AWSServiceRoleFor") && !reads && !tags && operation != "CreateRole" {
        let message = format!(
            "Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS"
        );
        return Err(Refusal::new("UnmodifiableEntity", message));
    }
    if operation != "CreateRole" && proxy.iam.roles.is_new(name, proxy.clock.now(), lag(proxy)) {
        let message = format!("The role with name {name} cannot be found.");
        return Err(Refusal::new("NoSuchEntity", message).with_status(StatusCode::NOT_FOUND));
    }
    check_documents(request, name)
}

fn check_documents(request: &Request, name: &str) -> Result<(), Refusal> {
    // IAM counts no white space (IAM quotas).
    let size = |document: &str| document.chars().filter(|character| !character.is_whitespace()).count();
    let limit = |message| Err(Refusal::new("LimitExceeded", message).with_status(StatusCode::CONFLICT));
    let trust = match request.operation.as_str() {
        "CreateRole" => request.form_value("AssumeRolePolicyDocument"),
        "UpdateAssumeRolePolicy" => request.form_value("PolicyDocument"),
        "PutRolePolicy" => {
            let Some(document) = request.form_value("PolicyDocument") else { return Ok(()) };
            if size(document) > INLINE {
                return limit(format!("Maximum policy size of {INLINE} bytes exceeded for role {name}"));
            }
            return policy::check(document, Purpose::Identity);
        }
        _ => None,
    };
    match trust {
        Some(document) if size(document) > TRUST => limit(format!("Cannot exceed quota for ACLSizePerRole: {TRUST}")),
        Some(document) => policy::check(document, Purpose::Trust),
        None => Ok(()),
    }
}

/// What GetRole says of a role before it is deleted.
pub(super) async fn describe(proxy: &Proxy, request: &Request, name: &str) -> Option<Answer> {
    let form = [("Action", "GetRole"), ("RoleName", name)];
    let reply = proxy.upstream.query("iam", &request.region, VERSION, &form).await.ok()?;
    let mut answer = Answer::query("GetRole", super::NAMESPACE, "");
    answer.body = reply.into();
    Some(answer)
}

/// The role in GetRole's answer, as ListRoles shows it.
fn role_of(mut answer: Element) -> Option<Element> {
    let mut role = answer.get_mut_child("GetRoleResult")?.take_child("Role")?;
    "member".clone_into(&mut role.name);
    Some(role)
}

/// Whether a service of AWS's may take a role on; one that is not there, nobody may.
pub(super) async fn trusts(proxy: &Proxy, name: &str, service: &str) -> bool {
    let form = [("Action", "GetRole"), ("RoleName", name)];
    let Some(reply) = proxy.upstream.query("iam", "us-east-1", VERSION, &form).await.ok() else { return false };
    let document = crate::answer::text(&reply, "AssumeRolePolicyDocument").unwrap_or_default();
    let document: String = decoded(document);
    document.contains(&format!("\"{service}\""))
}

/// Undoes the percent-encoding in which IAM shows policies.
pub(super) fn decoded(text: &str) -> String {
    url::form_urlencoded::parse(format!("x={}", text.replace('+', "%2B")).as_bytes())
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// For how long what was made does not show.
pub(super) fn lag(proxy: &Proxy) -> f64 {
    lasts(proxy, proxy.sky.weather().consistency.lag)
}

fn lasts(proxy: &Proxy, duration: Duration) -> f64 {
    proxy.clock.scale.lasts(duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_new_for_a_while() {
        let roles = Roles::default();
        roles.made().insert("web".to_owned(), 10.0);
        assert!(roles.is_new("web", 17.9, 8.0) && !roles.is_new("web", 18.0, 8.0) && !roles.is_new("api", 10.0, 8.0));
    }
}
