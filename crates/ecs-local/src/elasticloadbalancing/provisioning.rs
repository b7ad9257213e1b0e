//! Load balancers that come up, or do not.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::answer::{Answer, text};
use crate::call::Request;
use crate::failures::Failures;
use crate::proxy::Proxy;
use crate::weather::{Failure, Kind};
use crate::xml;

/// Load balancers on their way up.
#[derive(Debug, Default)]
pub(super) struct Provisioning {
    /// By ARN.
    balancers: Mutex<HashMap<String, Balancer>>,
    failures: Failures,
}

#[derive(Clone, Debug, PartialEq)]
struct Balancer {
    /// The simulated time from which it is active, or has failed.
    until: f64,
    failure: Option<Failure>,
}

/// What a load balancer's state is, where moto does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    code: &'static str,
    reason: Option<String>,
}

impl Provisioning {
    /// Forgets all load balancers.
    pub(super) fn clear(&self) {
        self.balancers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.failures.clear();
    }

    fn state(&self, arn: &str, now: f64) -> Option<State> {
        self.balancers.lock().unwrap_or_else(PoisonError::into_inner).get(arn)?.state(now)
    }
}

impl Balancer {
    fn state(&self, now: f64) -> Option<State> {
        if now < self.until {
            return Some(State { code: "provisioning", reason: None });
        }
        let failure = self.failure.as_ref()?;
        // The only code there is (botocore elbv2 model, LoadBalancerStateEnum).
        Some(State { code: "failed", reason: Some(failure.message.clone()).filter(|message| !message.is_empty()) })
    }
}

/// Notes a load balancer that was just made.
pub(super) fn begin(proxy: &Proxy, request: &Request, answer: &Answer) {
    let body = String::from_utf8_lossy(&answer.body);
    let (Some(arn), Some(name)) = (text(&body, "LoadBalancerArn"), request.form_value("Name")) else { return };
    let weather = proxy.sky.weather();
    let state = &proxy.elasticloadbalancing.provisioning;
    let failure = state.failures.strike(&weather.provisioning, Kind::LoadBalancer, name);
    let lasts = proxy.clock.scale.lasts(weather.provisioning.load_balancer.as_secs_f64());
    let balancer = Balancer { until: proxy.clock.now() + lasts, failure };
    state.balancers.lock().unwrap_or_else(PoisonError::into_inner).insert(arn.to_owned(), balancer);
}

/// The answer with each load balancer's state as it is now; moto calls all of them active.
pub(super) fn show(proxy: &Proxy, answer: Answer) -> Answer {
    let now = proxy.clock.now();
    let state = |arn: &str| proxy.elasticloadbalancing.provisioning.state(arn, now);
    let body = String::from_utf8_lossy(&answer.body);
    if crate::answer::texts(&body, "LoadBalancerArn").into_iter().all(|arn| state(arn).is_none()) {
        return answer;
    }
    xml::change_each(answer, "member", |balancer| {
        let Some(state) = xml::text(balancer, "LoadBalancerArn").and_then(|arn| state(&arn)) else { return };
        let Some(shown) = balancer.get_mut_child("State") else { return };
        xml::set_text(shown, "Code", state.code);
        if let Some(reason) = &state.reason {
            xml::set_text(shown, "Reason", reason);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_balancer_is_provisioning_then_active_or_failed() {
        let provisioning = Some(State { code: "provisioning", reason: None });
        let mut balancer = Balancer { until: 10.0, failure: None };
        assert_eq!((balancer.state(9.0), balancer.state(10.0)), (provisioning.clone(), None));
        balancer.failure = Some(Failure {
            kind: Kind::LoadBalancer,
            name: "web".to_owned(),
            times: None,
            code: "failed".to_owned(),
            message: "no capacity".to_owned(),
        });
        let failed = Some(State { code: "failed", reason: Some("no capacity".to_owned()) });
        assert_eq!((balancer.state(9.0), balancer.state(10.0)), (provisioning, failed));
    }
}
