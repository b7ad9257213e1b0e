//! The load balancer: its certificates and its name in DNS.

use super::Mistake;
use super::names::is_region;
use crate::stack::Stack;
use crate::stack::pointer::pointer;

/// Longest domain name of a certificate. Source: `RequestCertificate`, `DomainName`.
const FIRST_NAME: usize = 64;

/// Names of a certificate, by ACM's default quota: <https://docs.aws.amazon.com/acm/latest/userguide/acm-limits.html>
const NAMES: usize = 10;

/// Certificates of a load balancer beside the default one, by ELB's default quota:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html>
const FURTHER: usize = 25;

/// Checks the load balancer.
pub(super) fn check(stack: &Stack, region: Option<&str>, found: &mut Vec<Mistake>) {
    let alb = &stack.alb;
    if let Some(arn) = &alb.certificate_arn {
        certificate_arn(stack, region, "/alb/certificate_arn", arn, found);
    }
    for (index, arn) in alb.certificate_arns.iter().enumerate() {
        let place = pointer(&["alb", "certificate_arns", &index.to_string()]);
        if alb.certificate_arns[..index].contains(arn) || alb.certificate_arn.as_ref() == Some(arn) {
            found.push(Mistake::value(&place, "this certificate stands here twice"));
        }
        certificate_arn(stack, region, &place, arn, found);
    }
    if alb.certificate_arns.len() > FURTHER {
        let message =
            format!("{} certificates, a load balancer has at most {FURTHER} further ones", alb.certificate_arns.len());
        found.push(Mistake::value("/alb/certificate_arns", message));
    }
    if alb.certificate.is_some() && alb.certificate_arn.is_some() {
        found.push(
            Mistake::key("/alb/certificate", "`certificate` and `certificate_arn` exclude each other")
                .hint("`certificate_arn` names one that exists, `certificate` has one made; `certificate_arns` are further ones")
                .related(&["alb", "certificate_arn"]),
        );
    }
    for (key, given) in
        [("certificate_arns", !alb.certificate_arns.is_empty()), ("ssl_policy", alb.ssl_policy.is_some())]
    {
        if given && !alb.serves_https() {
            found.push(
                Mistake::key(pointer(&["alb", key]), format!("`{key}` without a certificate"))
                    .hint("give `certificate_arn`, or a table `[alb.certificate]`")
                    .related(&["alb", "certificate_arn"])
                    .related(&["alb", "certificate"]),
            );
        }
    }
    if let Some(policy) = &alb.ssl_policy {
        let fine =
            policy.starts_with("ELBSecurityPolicy-") && policy.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !fine {
            found.push(
                Mistake::value("/alb/ssl_policy", format!("`{policy}` is not the name of a security policy"))
                    .hint("a name is written like `ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09`"),
            );
        }
    }
    requested(stack, found);
    domain(stack, found);
    given(stack, region, found);
}

/// Checks what is said of a load balancer that somebody else has made.
fn given(stack: &Stack, region: Option<&str>, found: &mut Vec<Mistake>) {
    let alb = &stack.alb;
    let Some(arn) = &alb.load_balancer_arn else {
        if alb.listener_arn.is_some() {
            let mistake = Mistake::key("/alb/listener_arn", "a `listener_arn` without a `load_balancer_arn`");
            found.push(mistake.related(&["alb", "load_balancer_arn"]));
        }
        return;
    };
    let place = "/alb/load_balancer_arn";
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let its_region = match parts.as_slice() {
        ["arn", _, "elasticloadbalancing", its_region, _, resource] if resource.starts_with("loadbalancer/app/") => {
            *its_region
        }
        _ => {
            found.push(
                Mistake::value(place, format!("`{arn}` is not the ARN of an application load balancer"))
                    .hint("it is written like `arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/app/NAME/ID`"),
            );
            return;
        }
    };
    if let Some(region) = region.filter(|region| *region != its_region) {
        let message = format!("the load balancer is in {its_region}, the stack in {region}");
        found.push(Mistake::value(place, message).related(&["region"]));
    }
    let listeners = arn.replacen(":loadbalancer/", ":listener/", 1) + "/";
    if alb.listener_arn.as_ref().is_some_and(|listener| !listener.starts_with(&listeners)) {
        let mistake = Mistake::value("/alb/listener_arn", "that is no listener of the load balancer");
        found.push(mistake.related(&["alb", "load_balancer_arn"]));
    }
    let owned = [
        ("certificate_arn", alb.certificate_arn.is_some()),
        ("certificate_arns", !alb.certificate_arns.is_empty()),
        ("certificate", alb.certificate.is_some()),
        ("ssl_policy", alb.ssl_policy.is_some()),
    ];
    for (key, _) in owned.into_iter().filter(|(_, given)| *given) {
        let message = format!("the load balancer is somebody else's, and so is its listener: `{key}` would change it");
        found.push(Mistake::key(pointer(&["alb", key]), message).related(&["alb", "load_balancer_arn"]));
    }
    if stack.sg.alb_security_group_id.is_none() {
        found.push(
            Mistake::value(place, "the tasks must let the load balancer in, and its security group is not named")
                .hint("name it as `sg.alb_security_group_id`")
                .related(&["sg", "alb_security_group_id"]),
        );
    }
    for (key, _) in stack.services.iter().filter(|(_, service)| !service.is_routed()) {
        found.push(
            Mistake::key(
                pointer(&["services", key]),
                format!("`{key}` has neither host nor path, and the load balancer is not the stack's own"),
            )
            .hint("what no rule matches is somebody else's there: give it a `host` or a `path`, and a `priority`")
            .related(&["services", key, "host"])
            .related(&["services", key, "path"])
            .related(&["alb", "load_balancer_arn"]),
        );
    }
}

/// Checks the names of a certificate that is to be requested.
fn requested(stack: &Stack, found: &mut Vec<Mistake>) {
    let Some(certificate) = &stack.alb.certificate else { return };
    let first = std::iter::once((pointer(&["alb", "certificate", "domain"]), &certificate.domain));
    let others = certificate.alternative_names.iter().enumerate();
    let others =
        others.map(|(index, name)| (pointer(&["alb", "certificate", "alternative_names", &index.to_string()]), name));
    for (place, name) in first.chain(others) {
        let plain = name.strip_prefix("*.").unwrap_or(name);
        if let Some(problem) = name_problem(plain) {
            found.push(Mistake::value(place, format!("the domain name `{name}` {problem}")));
        }
    }
    if certificate.domain.len() > FIRST_NAME {
        let message = format!(
            "a certificate's first name has at most {FIRST_NAME} characters, found {}",
            certificate.domain.len()
        );
        let mistake = Mistake::value("/alb/certificate/domain", message);
        found.push(mistake.hint("put the longer name into `alternative_names`, and a shorter one here"));
    }
    if certificate.names().len() > NAMES {
        let message = format!("{} names, a certificate has at most {NAMES}", certificate.names().len());
        found.push(Mistake::value("/alb/certificate/alternative_names", message));
    }
}

fn domain(stack: &Stack, found: &mut Vec<Mistake>) {
    let Some(domain) = &stack.alb.domain else {
        if stack.alb.zone.is_some() {
            let mistake = Mistake::key("/alb/zone", "a `zone` without a `domain`");
            found.push(mistake.hint("a certificate's zone stands in `[alb.certificate]`").related(&["alb", "domain"]));
        }
        return;
    };
    if let Some(problem) = name_problem(domain) {
        found.push(Mistake::value("/alb/domain", format!("the domain name `{domain}` {problem}")));
    }
    if stack.alb.certificate.as_ref().is_some_and(|certificate| !certificate.covers(domain)) {
        found.push(
            Mistake::value("/alb/domain", format!("the certificate is not for `{domain}`"))
                .hint(format!("add `{domain}` to its `alternative_names`"))
                .related(&["alb", "certificate"]),
        );
    }
}

/// Returns what is wrong with a domain name.
///
/// Source: `RequestCertificate`, `DomainName`: its pattern, with parts of at most 63 characters, 253 in all.
pub(super) fn name_problem(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let part = |part: &str| {
        (1..=63).contains(&part.len()) && part.chars().all(allowed) && !part.starts_with('-') && !part.ends_with('-')
    };
    if name.len() > 253 {
        Some("has more than 253 characters")
    } else if !name.contains('.') {
        Some("has no dot")
    } else if !name.split('.').all(part) {
        Some("is none: parts of letters, digits and inner hyphens, with dots between them")
    } else {
        None
    }
}

fn certificate_arn(stack: &Stack, region: Option<&str>, place: &str, arn: &str, found: &mut Vec<Mistake>) {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "acm", its_region, account, resource] = parts.as_slice() else {
        let hint = "an ACM certificate is `arn:aws:acm:REGION:ACCOUNT:certificate/ID`";
        found.push(Mistake::value(place, format!("`{arn}` is not the ARN of an ACM certificate")).hint(hint));
        return;
    };
    let id = resource.strip_prefix("certificate/").unwrap_or_default();
    let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if !partition.starts_with("aws") || !is_region(its_region) || !digits || id.is_empty() || id.contains([' ', '/']) {
        let hint = "an ACM certificate is `arn:aws:acm:REGION:ACCOUNT:certificate/ID`";
        found.push(Mistake::value(place, format!("`{arn}` is not the ARN of an ACM certificate")).hint(hint));
        return;
    }
    // A load balancer takes certificates of its own region only (ELB's guide, "SSL certificates for your ALB").
    if let Some(region) = region.filter(|region| region != its_region) {
        found.push(
            Mistake::value(place, format!("the certificate is in {its_region}, the load balancer in {region}"))
                .hint(format!("request or import the certificate in {region}"))
                .related(&["region"]),
        );
    }
    if let Some(own) = stack.account.as_deref().filter(|own| own != account) {
        found.push(
            Mistake::value(place, format!("the certificate belongs to account {account}, the stack to {own}"))
                .related(&["account"]),
        );
    }
}
