//! ELBv2, where moto is wrong: what is taken, what AWS refuses, and how long things take.

mod action;
mod condition;
mod load_balancer;
mod provisioning;
mod routes;
mod rule;
mod taken;
mod target_group;
mod target_health;

pub(crate) use routes::forwards;

use self::provisioning::Provisioning;
use crate::answer::Answer;
use crate::call::Request;
use crate::iam;
use crate::proxy::Proxy;
use crate::refusal::Refusal;
use crate::turn::Turn;

const VERSION: &str = "2015-12-01";

const NAMESPACE: &str = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/";

/// What we keep of ELBv2 ourselves.
#[derive(Debug, Default)]
pub(crate) struct State {
    turn: Turn,
    provisioning: Provisioning,
}

impl State {
    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.provisioning.clear();
    }
}

/// Answers a call to ELBv2.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    // What tasks have done since the last call to ECS must be seen here.
    proxy.ecs.settle(&proxy.upstream).await;
    let _turn = proxy.elasticloadbalancing.turn.take(request).await;
    if let Err(refusal) = check(proxy, request).await {
        return refusal.answer(request);
    }
    let taken = match request.operation.as_str() {
        "CreateLoadBalancer" => {
            iam::ensure_service_linked_role(&proxy.upstream, "elasticloadbalancing.amazonaws.com").await;
            taken::load_balancer(proxy, request).await.map(|answer| provisioning::show(proxy, answer))
        }
        "CreateTargetGroup" => taken::target_group(proxy, request).await,
        "CreateListener" => taken::listener(proxy, request).await,
        "DeregisterTargets" => Some(target_group::deregister(proxy, request).await),
        _ => None,
    };
    if let Some(answer) = taken {
        return answer;
    }
    let answer = proxy.upstream.forward(request).await;
    if !answer.status.is_success() {
        return answer;
    }
    match request.operation.as_str() {
        "CreateLoadBalancer" => {
            provisioning::begin(proxy, request, &answer);
            answer
        }
        "DescribeLoadBalancers" => provisioning::show(proxy, answer),
        "DescribeTargetHealth" => target_health::show(proxy, request, answer).await,
        "DescribeTargetGroups" => routes::show(proxy, &request.region, answer).await,
        _ => answer,
    }
}

/// Refuses what ELBv2 refuses and moto takes. What its published model does not allow has been refused before.
async fn check(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    match request.operation.as_str() {
        "CreateLoadBalancer" => load_balancer::check(proxy, request).await,
        "SetSubnets" | "SetSecurityGroups" => load_balancer::check_change(proxy, request).await,
        "DeleteLoadBalancer" => load_balancer::check_deletion(proxy, request).await,
        "ModifyLoadBalancerAttributes" => load_balancer::check_attributes(request),
        "CreateTargetGroup" => target_group::check(request),
        "ModifyTargetGroup" => target_group::check_change(proxy, request).await,
        "ModifyTargetGroupAttributes" => target_group::check_attributes(request),
        "RegisterTargets" => target_group::check_targets(proxy, request).await,
        "CreateListener" => rule::check_listener(proxy, request).await,
        "ModifyListener" => rule::check_listener_change(proxy, request).await,
        "CreateRule" => rule::check_rule(proxy, request).await,
        "ModifyRule" => rule::check_rule_change(proxy, request).await,
        "DeleteRule" => rule::check_rule_deletion(proxy, request).await,
        _ => Ok(()),
    }
}

/// A refusal as most are.
fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("ValidationError", message)
}

async fn describe(proxy: &Proxy, region: &str, form: &[(&str, &str)]) -> Option<String> {
    proxy.upstream.query("elasticloadbalancing", region, VERSION, form).await.ok()
}
