//! What ELBv2 refuses about the actions of listeners and rules.

use super::{describe, invalid, routes};
use crate::answer::{text, texts};
use crate::form::Form;
use crate::proxy::Proxy;
use crate::refusal::Refusal;

/// The most target groups of a `forward` action (ELBv2 user guide, forward actions).
const TARGET_GROUPS: usize = 5;

/// Checks actions, and the target groups that a load balancer is to forward to by them.
pub(super) async fn check(proxy: &Proxy, region: &str, actions: &[Form<'_>], balancer: &str) -> Result<(), Refusal> {
    let target_groups = check_shape(actions)?;
    let form = [("Action", "DescribeLoadBalancers"), ("LoadBalancerArns.member.1", balancer)];
    let Some(described) = describe(proxy, region, &form).await else { return Ok(()) };
    let vpc = text(&described, "VpcId").unwrap_or_default();
    for arn in target_groups {
        let form = [("Action", "DescribeTargetGroups"), ("TargetGroupArns.member.1", arn)];
        let Some(xml) = describe(proxy, region, &form).await else {
            return Err(Refusal::new("TargetGroupNotFound", format!("Target group '{arn}' not found")));
        };
        if text(&described, "Type") == Some("application")
            && text(&xml, "Protocol").is_some_and(|protocol| !["HTTP", "HTTPS"].contains(&protocol))
        {
            let message =
                format!("Target group '{arn}' has a protocol that an application load balancer does not take");
            return Err(Refusal::new("IncompatibleProtocols", message));
        }
        if text(&xml, "VpcId").is_some_and(|own| own != vpc) {
            let message = format!("The following target groups are not in the load balancer's VPC '{vpc}': {arn}");
            return Err(Refusal::new("InvalidConfigurationRequest", message));
        }
        // moto keeps load balancers there that have long stopped to forward: so it is only a hint.
        let noted = text(&xml, "LoadBalancerArns").map(|arns| texts(arns, "member")).unwrap_or_default();
        if noted.iter().any(|noted| *noted != balancer) {
            let routes = routes::all(&proxy.upstream, region).await;
            if routes.iter().any(|route| route.target_group == arn && route.balancer != balancer) {
                let message =
                    format!("The following target groups cannot be associated with more than one load balancer: {arn}");
                return Err(Refusal::new("TargetGroupAssociationLimit", message));
            }
        }
    }
    Ok(())
}

/// Checks actions by themselves, and returns the target groups that they name.
fn check_shape<'a>(actions: &[Form<'a>]) -> Result<Vec<&'a str>, Refusal> {
    let mut target_groups = Vec::new();
    let mut ends = 0;
    for action in actions {
        match action.value("Type") {
            Some("forward") => target_groups.extend(check_forward(action)?),
            Some("redirect") => check_redirect(&action.within("RedirectConfig"))?,
            Some("fixed-response") => {}
            // The model has no other that ends a request.
            Some(_) | None => continue,
        }
        ends += 1;
    }
    if ends == 1 || actions.is_empty() {
        return Ok(target_groups);
    }
    let message = "You must specify exactly one of the actions forward, redirect and fixed-response";
    Err(Refusal::new("InvalidLoadBalancerAction", message))
}

fn check_forward<'a>(action: &Form<'a>) -> Result<Vec<&'a str>, Refusal> {
    let config = action.within("ForwardConfig");
    let mut target_groups = Vec::new();
    for group in config.list("TargetGroups") {
        let Some(arn) = group.value("TargetGroupArn") else {
            return Err(invalid("A target group ARN must be specified"));
        };
        // The range: botocore elbv2 model, TargetGroupTuple.
        let weight = group.value("Weight").unwrap_or("1");
        if !weight.parse::<u32>().is_ok_and(|weight| weight <= 999) {
            return Err(invalid(format!("The weight '{weight}' of target group '{arn}' must be between '0-999'")));
        }
        if target_groups.contains(&arn) {
            return Err(invalid(format!("Target group '{arn}' is specified more than once in a forward action")));
        }
        target_groups.push(arn);
    }
    if target_groups.len() > TARGET_GROUPS {
        let message = format!("A forward action cannot have more than '{TARGET_GROUPS}' target groups");
        return Err(Refusal::new("InvalidLoadBalancerAction", message));
    }
    let stickiness = config.within("TargetGroupStickinessConfig");
    // The range: botocore elbv2 model, TargetGroupStickinessConfig.
    let lasts = stickiness.value("DurationSeconds").and_then(|seconds| seconds.parse().ok());
    if stickiness.value("Enabled") == Some("true") && !lasts.is_some_and(|seconds| (1..=604_800).contains(&seconds)) {
        return Err(invalid("Target group stickiness duration must be between 1 and 604800 seconds"));
    }
    match (action.value("TargetGroupArn"), &target_groups[..]) {
        (Some(arn), []) => Ok(vec![arn]),
        (Some(arn), [only]) if arn == *only => Ok(target_groups),
        (None, [_, ..]) => Ok(target_groups),
        (None, []) => Err(invalid("A target group must be specified for the action type 'forward'")),
        // Both only if they say the same (botocore elbv2 model, Action).
        (Some(_), [_, ..]) => Err(Refusal::new(
            "InvalidLoadBalancerAction",
            "You cannot specify both a target group ARN and another target group in a forward action",
        )),
    }
}

fn check_redirect(config: &Form<'_>) -> Result<(), Refusal> {
    let parts = [
        ("Protocol", "#{protocol}"),
        ("Port", "#{port}"),
        ("Host", "#{host}"),
        ("Path", "/#{path}"),
        ("Query", "#{query}"),
    ];
    // "You must modify at least one of protocol, port, host and path" (botocore elbv2 model, RedirectActionConfig).
    if parts[..4].iter().all(|(part, same)| config.value(part).is_none_or(|given| given == *same)) {
        let message = "The options specified for the RedirectConfig will create a redirect loop";
        return Err(Refusal::new("InvalidLoadBalancerAction", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::request;

    /// The target groups of actions, or the code of the refusal.
    fn shape(actions: &str) -> Result<Vec<String>, &'static str> {
        let actions: String = actions.split(' ').map(|member| format!("&Actions.member.{member}")).collect();
        let request = request("elasticloadbalancing", &format!("Action=CreateRule{actions}"));
        let found = check_shape(&Form::of(&request).list("Actions"));
        found.map(|groups| groups.into_iter().map(str::to_owned).collect()).map_err(|refusal| refusal.code)
    }

    #[test]
    fn actions_are_as_elbv2_takes_them() {
        let list = "ForwardConfig.TargetGroups.member";
        let weighted = |weights: &[u32]| {
            let groups = weights.iter().enumerate().map(|(index, weight)| {
                format!(" 1.{list}.{index}.TargetGroupArn=t{index} 1.{list}.{index}.Weight={weight}")
            });
            format!("1.Type=forward{}", groups.collect::<String>())
        };
        let groups = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
        for (actions, expected) in [
            ("1.Type=forward 1.TargetGroupArn=t", groups(&["t"])),
            ("1.Type=forward", Err("ValidationError")),
            (&format!("1.Type=forward 1.TargetGroupArn=t 1.{list}.1.TargetGroupArn=t"), groups(&["t"])),
            (
                &format!("1.Type=forward 1.TargetGroupArn=t 1.{list}.1.TargetGroupArn=u"),
                Err("InvalidLoadBalancerAction"),
            ),
            (&weighted(&[1, 0]), groups(&["t0", "t1"])),
            (&weighted(&[1000, 0]), Err("ValidationError")),
            (&weighted(&[1, 1, 1, 1, 1, 1]), Err("InvalidLoadBalancerAction")),
            ("1.Type=fixed-response 1.FixedResponseConfig.StatusCode=404", groups(&[])),
            ("1.Type=redirect 1.RedirectConfig.StatusCode=HTTP_301 1.RedirectConfig.Port=443", groups(&[])),
            ("1.Type=redirect 1.RedirectConfig.StatusCode=HTTP_301", Err("InvalidLoadBalancerAction")),
            (
                "1.Type=forward 1.TargetGroupArn=t 2.Type=fixed-response 2.FixedResponseConfig.StatusCode=404",
                Err("InvalidLoadBalancerAction"),
            ),
        ] {
            assert_eq!(shape(actions), expected, "{actions}");
        }
    }
}
