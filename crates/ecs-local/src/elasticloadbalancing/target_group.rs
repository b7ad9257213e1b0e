//! What ELBv2 refuses about target groups and targets.

use std::net::{IpAddr, Ipv4Addr};

use hyper::StatusCode;

use super::{NAMESPACE, describe, invalid};
use crate::answer::{Answer, text, texts};
use crate::call::Request;
use crate::form::Form;
use crate::network;
use crate::proxy::Proxy;
use crate::refusal::Refusal;

/// The default of a health check's interval in seconds, and of its time-out, for HTTP.
const INTERVAL: i64 = 30;
const TIMEOUT: i64 = 5;

/// The keys of a target group's attributes (ELBv2 API reference, TargetGroupAttribute).
const ATTRIBUTES: &[&str] = &[
    "deregistration_delay.timeout_seconds",
    "deregistration_delay.connection_termination.enabled",
    "stickiness.enabled",
    "stickiness.type",
    "stickiness.app_cookie.cookie_name",
    "stickiness.app_cookie.duration_seconds",
    "stickiness.lb_cookie.duration_seconds",
    "load_balancing.algorithm.type",
    "load_balancing.algorithm.anomaly_mitigation",
    "load_balancing.cross_zone.enabled",
    "slow_start.duration_seconds",
    "target_group_health.dns_failover.minimum_healthy_targets.count",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
    "target_health_state.unhealthy.connection_termination.enabled",
    "target_health_state.unhealthy.draining_interval_seconds",
    "target_failover.on_deregistration",
    "target_failover.on_unhealthy",
    "preserve_client_ip.enabled",
    "proxy_protocol_v2.enabled",
    "lambda.multi_value_headers.enabled",
];

/// Checks a target group that is to be made, apart from its name, which moto checks.
pub(super) fn check(request: &Request) -> Result<(), Refusal> {
    let form = Form::of(request);
    check_health_check(&form, form.value("Protocol"), (INTERVAL, TIMEOUT))
}

/// Checks a health check that is to be changed.
pub(super) async fn check_change(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(arn) = request.form_value("TargetGroupArn") else { return Ok(()) };
    let form = [("Action", "DescribeTargetGroups"), ("TargetGroupArns.member.1", arn)];
    let Some(xml) = describe(proxy, &request.region, &form).await else { return Ok(()) };
    let present = |member: &str, usual| text(&xml, member).and_then(|value| value.parse().ok()).unwrap_or(usual);
    let present = (present("HealthCheckIntervalSeconds", INTERVAL), present("HealthCheckTimeoutSeconds", TIMEOUT));
    check_health_check(&Form::of(request), text(&xml, "Protocol"), present)
}

/// Checks attributes that are to be set.
pub(super) fn check_attributes(request: &Request) -> Result<(), Refusal> {
    for attribute in Form::of(request).list("Attributes") {
        let (Some(key), Some(value)) = (attribute.value("Key"), attribute.value("Value")) else { continue };
        if !ATTRIBUTES.contains(&key) {
            return Err(invalid(format!("Target group attribute key '{key}' is not recognized")));
        }
        let seconds = value.parse::<u32>().ok();
        if key == "deregistration_delay.timeout_seconds" && seconds.is_none_or(|seconds| seconds > 3600) {
            return Err(invalid(format!("'{key}' value '{value}' must be between '0-3600' inclusive")));
        }
        let slow = seconds.is_some_and(|seconds| seconds == 0 || (30..=900).contains(&seconds));
        if key == "slow_start.duration_seconds" && !slow {
            return Err(invalid(format!("'{key}' value '{value}' must be '0' or between '30-900' inclusive")));
        }
    }
    Ok(())
}

/// Checks targets that are to be registered: addresses in the VPC, or outside it with the zone `all`.
pub(super) async fn check_targets(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    let Some(arn) = request.form_value("TargetGroupArn") else { return Ok(()) };
    let form = [("Action", "DescribeTargetGroups"), ("TargetGroupArns.member.1", arn)];
    let Some(xml) = describe(proxy, &request.region, &form).await else { return Ok(()) };
    let (Some("ip"), Some(vpc)) = (text(&xml, "TargetType"), text(&xml, "VpcId")) else { return Ok(()) };
    let ranges = network::ranges(proxy, &request.region, vpc).await;
    for target in Form::of(request).list("Targets") {
        let id = target.value("Id").unwrap_or_default();
        let address: IpAddr =
            id.parse().map_err(|_| invalid(format!("The IP address '{id}' is not a valid IPv4 or IPv6 address")))?;
        let IpAddr::V4(address) = address else { continue };
        let inside = ranges.iter().any(|range| contains(range, address));
        if !inside && target.value("AvailabilityZone") != Some("all") {
            let message = format!(
                "You must specify an Availability Zone of 'all' for the IP address '{id}', which is outside the VPC"
            );
            return Err(invalid(message));
        }
    }
    Ok(())
}

/// Deregisters the targets that are registered: one that is not is no error (ELBv2 API reference, DeregisterTargets).
pub(super) async fn deregister(proxy: &Proxy, request: &Request) -> Answer {
    let arn = request.form_value("TargetGroupArn").unwrap_or_default();
    let form = [("Action", "DescribeTargetHealth"), ("TargetGroupArn", arn)];
    let Some(registered) = describe(proxy, &request.region, &form).await else {
        let refusal = Refusal::new("TargetGroupNotFound", "One or more target groups not found");
        return refusal.answer(request);
    };
    let registered = texts(&registered, "Id");
    for target in Form::of(request).list("Targets") {
        let Some(id) = target.value("Id").filter(|id| registered.contains(id)) else { continue };
        let form = [("Action", "DeregisterTargets"), ("TargetGroupArn", arn), ("Targets.member.1.Id", id)];
        let reply = proxy.upstream.query("elasticloadbalancing", &request.region, super::VERSION, &form).await;
        if !reply.status.is_success() {
            let refusal = Refusal::new("InternalFailure", reply.body);
            return refusal.with_status(StatusCode::INTERNAL_SERVER_ERROR).answer(request);
        }
    }
    Answer::query("DeregisterTargets", NAMESPACE, "")
}

fn check_health_check(form: &Form<'_>, protocol: Option<&str>, (interval, timeout): (i64, i64)) -> Result<(), Refusal> {
    // The ranges are in the service's model, against which every call is held first.
    let seconds = |member: &str, usual| form.value(member).and_then(|value| value.parse().ok()).unwrap_or(usual);
    let interval: i64 = seconds("HealthCheckIntervalSeconds", interval);
    let timeout: i64 = seconds("HealthCheckTimeoutSeconds", timeout);
    if let Some("HTTP" | "HTTPS") = protocol
        && timeout >= interval
    {
        let message = format!("Health check timeout '{timeout}' must be smaller than the interval '{interval}'");
        return Err(invalid(message));
    }
    if let Some(path) = form.value("HealthCheckPath")
        && !path.starts_with('/')
    {
        return Err(invalid(format!("Health check path '{path}' must begin with a '/' character")));
    }
    if let Some(port) = form.value("HealthCheckPort")
        && port != "traffic-port"
        && !port.parse::<u16>().is_ok_and(|port| port > 0)
    {
        let message = format!("Health check port '{port}' must be in the range 1-65535 or 'traffic-port'");
        return Err(invalid(message));
    }
    if let Some(codes) = form.within("Matcher").value("HttpCode")
        && !codes.split(',').all(is_matcher)
    {
        // 200 to 499 for an application load balancer (botocore elbv2 model, Matcher).
        let message = format!("Health check matcher HTTP code '{codes}' must be within '200-499' inclusive");
        return Err(invalid(message));
    }
    Ok(())
}

/// Whether it is a status from 200 to 499, or a range of them: "200-299".
fn is_matcher(codes: &str) -> bool {
    let code = |text: &str| text.parse::<u16>().ok().filter(|code| text.len() == 3 && (200..=499).contains(code));
    match codes.split_once('-') {
        Some((first, last)) => matches!((code(first), code(last)), (Some(first), Some(last)) if first <= last),
        None => code(codes).is_some(),
    }
}

/// Whether a range ("10.0.0.0/16") contains an address.
fn contains(range: &str, address: Ipv4Addr) -> bool {
    let Some((network, bits)) = range.split_once('/') else { return false };
    let (Ok(network), Ok(bits @ 0..=32)) = (network.parse::<Ipv4Addr>(), bits.parse::<u32>()) else { return false };
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    network.to_bits() & mask == address.to_bits() & mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::request;

    #[test]
    fn a_health_check_is_within_its_ranges() {
        let refused = |more: &str| {
            let body = format!("Action=CreateTargetGroup&Name=web&Protocol=HTTP&Port=80&TargetType=ip{more}");
            check(&request("elasticloadbalancing", &body)).err().map(|refusal| refusal.message)
        };
        assert_eq!(refused("&HealthCheckIntervalSeconds=6&HealthCheckTimeoutSeconds=5&Matcher.HttpCode=200"), None);
        assert_eq!(refused("&Matcher.HttpCode=200,301-302&HealthCheckPort=traffic-port&HealthCheckPath=/x"), None);
        assert_eq!(
            refused("&HealthCheckTimeoutSeconds=30").as_deref(),
            Some("Health check timeout '30' must be smaller than the interval '30'")
        );
        for more in [
            "&HealthCheckIntervalSeconds=5",
            "&HealthCheckTimeoutSeconds=30",
            "&HealthCheckPath=health",
            "&HealthCheckPort=0",
            "&Matcher.HttpCode=500",
            "&Matcher.HttpCode=299-200",
        ] {
            assert!(refused(more).is_some(), "{more}");
        }
    }

    #[test]
    fn an_address_is_in_a_range() {
        let address = Ipv4Addr::new(10, 0, 1, 7);
        for (range, inside) in
            [("10.0.0.0/16", true), ("10.0.0.0/24", false), ("0.0.0.0/0", true), ("10.0.1.7/32", true), ("x", false)]
        {
            assert_eq!(contains(range, address), inside, "{range}");
        }
    }
}
