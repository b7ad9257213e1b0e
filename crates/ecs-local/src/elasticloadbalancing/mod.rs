//! ELBv2, where moto is wrong: what is taken, what AWS refuses, and how long things take.

mod provisioning;
mod taken;

use self::provisioning::Provisioning;
use crate::answer::Answer;
use crate::call::Request;
use crate::iam;
use crate::proxy::Proxy;
use crate::turn::Turn;

const VERSION: &str = "2015-12-01";

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
    let taken = match request.operation.as_str() {
        "CreateLoadBalancer" => {
            iam::ensure_service_linked_role(&proxy.upstream, "elasticloadbalancing.amazonaws.com").await;
            taken::load_balancer(proxy, request).await.map(|answer| provisioning::show(proxy, answer))
        }
        "CreateTargetGroup" => taken::target_group(proxy, request).await,
        "CreateListener" => taken::listener(proxy, request).await,
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
        _ => answer,
    }
}

async fn describe(proxy: &Proxy, request: &Request, form: &[(&str, &str)]) -> Option<String> {
    proxy.upstream.query("elasticloadbalancing", &request.region, VERSION, form).await.ok()
}
