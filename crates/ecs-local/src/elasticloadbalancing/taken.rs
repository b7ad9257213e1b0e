//! Names and ports that are taken: ELBv2 answers the same create again, and refuses another.

use std::collections::BTreeSet;

use hyper::StatusCode;

use super::describe;
use crate::answer::{Answer, text, texts};
use crate::call::Request;
use crate::proxy::Proxy;

/// The answer to creating a load balancer whose name is taken: the same again, or a refusal. moto replaces it.
pub(super) async fn load_balancer(proxy: &Proxy, request: &Request) -> Option<Answer> {
    let name = request.form_value("Name")?;
    let xml =
        describe(proxy, &request.region, &[("Action", "DescribeLoadBalancers"), ("Names.member.1", name)]).await?;
    let given = |list: &str| -> BTreeSet<String> { request.form_values(list).map(str::to_owned).collect() };
    let subnets: BTreeSet<String> = texts(&xml, "SubnetId").into_iter().map(str::to_owned).collect();
    let groups: BTreeSet<String> = text(&xml, "SecurityGroups")
        .map(|groups| texts(groups, "member").into_iter().map(str::to_owned).collect())
        .unwrap_or_default();
    let usual =
        |member: &str, usual: &str| request.form_value(member).unwrap_or(usual) == text(&xml, member).unwrap_or(usual);
    let same = given("Subnets") == subnets
        && given("SecurityGroups") == groups
        && usual("Scheme", "internet-facing")
        && usual("Type", "application")
        && usual("IpAddressType", "ipv4");
    if same {
        return Some(again(&xml, "DescribeLoadBalancers", "CreateLoadBalancer"));
    }
    let message = format!("A load balancer with the same name '{name}' exists, but with different settings");
    Some(Answer::refuse(request, StatusCode::BAD_REQUEST, "DuplicateLoadBalancerName", &message))
}

/// The answer to creating a target group as it is already; moto refuses every namesake.
pub(super) async fn target_group(proxy: &Proxy, request: &Request) -> Option<Answer> {
    let name = request.form_value("Name")?;
    let form = [("Action", "DescribeTargetGroups"), ("Names.member.1", name)];
    let xml = describe(proxy, &request.region, &form).await?;
    let settings = [
        "Protocol",
        "Port",
        "VpcId",
        "TargetType",
        "ProtocolVersion",
        "IpAddressType",
        "HealthCheckProtocol",
        "HealthCheckPort",
        "HealthCheckPath",
        "HealthCheckIntervalSeconds",
        "HealthCheckTimeoutSeconds",
        "HealthyThresholdCount",
        "UnhealthyThresholdCount",
    ];
    // What the request leaves out is as it was left out before, as far as one can tell.
    let same =
        settings.iter().all(|member| request.form_value(member).is_none_or(|given| text(&xml, member) == Some(given)))
            && request.form_value("Matcher.HttpCode").is_none_or(|given| text(&xml, "HttpCode") == Some(given));
    same.then(|| again(&xml, "DescribeTargetGroups", "CreateTargetGroup"))
}

/// The answer to creating a listener on a port that is taken: the same again, or a refusal. moto makes a second.
pub(super) async fn listener(proxy: &Proxy, request: &Request) -> Option<Answer> {
    let balancer = request.form_value("LoadBalancerArn")?;
    let port = request.form_value("Port")?;
    let xml =
        describe(proxy, &request.region, &[("Action", "DescribeListeners"), ("LoadBalancerArn", balancer)]).await?;
    // A listener's ARN stands first in it, and nowhere else.
    let present = xml.split("<ListenerArn>").skip(1).find(|listener| text(listener, "Port") == Some(port))?;
    let action = request.form_value("DefaultActions.member.1.TargetGroupArn");
    let same = text(present, "Protocol") == request.form_value("Protocol")
        && action.is_some_and(|arn| texts(present, "TargetGroupArn").contains(&arn));
    if same {
        let arn = text(&format!("<ListenerArn>{present}"), "ListenerArn")?.to_owned();
        let xml = describe(proxy, &request.region, &[("Action", "DescribeListeners"), ("ListenerArns.member.1", &arn)])
            .await?;
        return Some(again(&xml, "DescribeListeners", "CreateListener"));
    }
    let message = "A listener already exists on this port for this load balancer";
    Some(Answer::refuse(request, StatusCode::BAD_REQUEST, "DuplicateListener", message))
}

/// A describe's answer as a create's: both hold the same list.
fn again(xml: &str, from: &str, to: &str) -> Answer {
    let mut answer = Answer::query(to, "", "");
    answer.body = xml.replace(from, to).into();
    answer
}
