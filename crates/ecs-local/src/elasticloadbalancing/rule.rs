//! What ELBv2 refuses about listeners and rules.

use super::{action, condition, describe, invalid};
use crate::answer::{text, texts};
use crate::call::Request;
use crate::form::Form;
use crate::proxy::Proxy;
use crate::refusal::Refusal;

/// The most rules of a listener besides the default one (ELBv2 quotas).
const RULES: usize = 100;

/// Checks a listener that is to be made.
pub(super) async fn check_listener(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let form = Form::of(request);
    let balancer = form.value("LoadBalancerArn").unwrap_or_default();
    let known = [("Action", "DescribeLoadBalancers"), ("LoadBalancerArns.member.1", balancer)];
    if describe(proxy, &request.region, &known).await.is_none() {
        // moto says so.
        return Ok(());
    }
    if let Some("HTTPS" | "TLS") = form.value("Protocol") {
        check_certificates(proxy, request, true).await?;
    }
    let actions = form.list("DefaultActions");
    if actions.is_empty() {
        return Err(invalid("A default action must be specified"));
    }
    action::check(proxy, &request.region, &actions, balancer).await
}

/// Checks a listener that is to be changed.
pub(super) async fn check_listener_change(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let form = Form::of(request);
    let Some(arn) = form.value("ListenerArn") else { return Ok(()) };
    let balancer = balancer_of(arn);
    if let Some(port) = form.value("Port") {
        let members = [("Action", "DescribeListeners"), ("LoadBalancerArn", balancer.as_str())];
        let xml = describe(proxy, &request.region, &members).await.unwrap_or_default();
        // A listener's ARN stands first in it, and nowhere else.
        let mut others = xml.split("<ListenerArn>").skip(1).filter(|listener| !listener.starts_with(arn));
        if others.any(|listener| text(listener, "Port") == Some(port)) {
            let message = "A listener already exists on this port for this load balancer";
            return Err(Refusal::new("DuplicateListener", message));
        }
    }
    check_certificates(proxy, request, false).await?;
    action::check(proxy, &request.region, &form.list("DefaultActions"), &balancer).await
}

/// Checks a rule that is to be made.
pub(super) async fn check_rule(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let form = Form::of(request);
    let Some(listener) = form.value("ListenerArn") else { return Ok(()) };
    let priority = form.value("Priority").unwrap_or_default();
    let (conditions, actions) = (form.list("Conditions"), form.list("Actions"));
    if conditions.is_empty() {
        return Err(invalid("A condition must be specified"));
    }
    if actions.is_empty() {
        return Err(invalid("An action must be specified"));
    }
    condition::check(&conditions)?;
    let members = [("Action", "DescribeRules"), ("ListenerArn", listener), ("PageSize", "400")];
    // A listener that is not there: moto says so.
    let Some(rules) = describe(proxy, &request.region, &members).await else { return Ok(()) };
    let priorities = texts(&rules, "Priority");
    if priorities.contains(&priority) {
        return Err(Refusal::new("PriorityInUse", format!("Priority '{priority}' is currently in use")));
    }
    if priorities.len() > RULES {
        let message = format!("The maximum number of rules on the listener '{listener}' has been reached");
        return Err(Refusal::new("TooManyRules", message));
    }
    action::check(proxy, &request.region, &actions, &balancer_of(listener)).await
}

/// Checks a rule that is to be changed.
pub(super) async fn check_rule_change(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    check_not_default(proxy, request, "modified").await?;
    let form = Form::of(request);
    condition::check(&form.list("Conditions"))?;
    let balancer = balancer_of(form.value("RuleArn").unwrap_or_default());
    action::check(proxy, &request.region, &form.list("Actions"), &balancer).await
}

/// Checks a rule that is to be deleted; moto deletes without a word what is not there, and fails at a default rule.
pub(super) async fn check_rule_deletion(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    check_not_default(proxy, request, "deleted").await
}

async fn check_not_default(proxy: &Proxy, request: &Request, verb: &str) -> Result<(), Refusal> {
    let Some(arn) = request.form_value("RuleArn") else { return Ok(()) };
    let members = [("Action", "DescribeRules"), ("RuleArns.member.1", arn)];
    let Some(xml) = describe(proxy, &request.region, &members).await else {
        return Err(Refusal::new("RuleNotFound", "One or more rules not found"));
    };
    if text(&xml, "IsDefault") == Some("true") {
        return Err(Refusal::new("OperationNotPermitted", format!("Default rule '{arn}' cannot be {verb}")));
    }
    Ok(())
}

/// Checks the certificates of a call; those of ACM must be there.
async fn check_certificates(proxy: &Proxy, request: &Request, needed: bool) -> Result<(), Refusal> {
    let certificates = Form::of(request).list("Certificates");
    let arns: Vec<&str> = certificates.iter().filter_map(|certificate| certificate.value("CertificateArn")).collect();
    if needed && arns.is_empty() {
        return Err(invalid("A certificate must be specified for HTTPS listeners"));
    }
    for arn in arns.into_iter().filter(|arn| arn.contains(":acm:")) {
        let body = serde_json::json!({"CertificateArn": arn});
        let reply = proxy.upstream.json("acm", &request.region, "CertificateManager.DescribeCertificate", &body).await;
        if !reply.status.is_success() {
            return Err(Refusal::new("CertificateNotFound", format!("Certificate '{arn}' not found")));
        }
        let status = crate::acm::status(proxy, &request.region, arn).await;
        if status.is_some_and(|status| status != "ISSUED") {
            let message = format!(
                "The certificate '{arn}' must have a fully-qualified domain name, a supported signature, and a supported \
                 key size."
            );
            return Err(Refusal::new("UnsupportedCertificate", message));
        }
    }
    Ok(())
}

/// The load balancer of a listener or a rule, by its ARN.
fn balancer_of(arn: &str) -> String {
    let (arn, ids) = match arn.split_once(":listener-rule/") {
        Some((start, rest)) => (format!("{start}:loadbalancer/{rest}"), 2),
        None => (arn.replace(":listener/", ":loadbalancer/"), 1),
    };
    let mut parts: Vec<&str> = arn.split('/').collect();
    parts.truncate(parts.len().saturating_sub(ids));
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_balancer_stands_in_the_arns_of_its_listeners_and_rules() {
        let balancer = "arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/web/b1";
        assert_eq!(balancer_of("arn:aws:elasticloadbalancing:us-east-1:1:listener/app/web/b1/l1"), balancer);
        assert_eq!(balancer_of("arn:aws:elasticloadbalancing:us-east-1:1:listener-rule/app/web/b1/l1/r1"), balancer);
    }
}
