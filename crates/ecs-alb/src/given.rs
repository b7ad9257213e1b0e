//! A load balancer that somebody else has made: only target groups, and rules on one of its listeners, are the stack's.

use aws_sdk_elasticloadbalancingv2::types::{Listener as Listens, LoadBalancer as Described, ProtocolEnum};
use ecs_core::id::{ListenerArn, VpcId};
use ecs_core::member::Sg;
use ecs_core::{Error, Identity, Owner, Result, Run, Stack};

use crate::elb::{self, Listings};
use crate::listener::Listeners;
use crate::load_balancer::{self, Live};
use crate::rule::{self, Rules};
use crate::{Elb, LAYER};

/// A load balancer that somebody else has made, and the listener on which the stack's rules are to hang.
#[derive(Debug)]
pub struct Given {
    /// The load balancer
    pub balancer: Live,
    /// The listener
    pub listener: ListenerArn,
    /// The listener speaks HTTPS
    pub https: bool,
}

impl Given {
    /// Looks at the load balancer that the stack file names; none where it names none.
    ///
    /// # Errors
    /// One that does not exist, or cannot be used; a listener that is not its own, or not clear.
    pub async fn look(elb: &Elb, stack: &Stack, vpc: &VpcId, listings: &Listings) -> Result<Option<Self>> {
        let Some(arn) = &stack.alb.load_balancer_arn else { return Ok(None) };
        let doing = |error: Error| error.doing("looking at `alb.load_balancer_arn`");
        let balancers = listings.load_balancers(elb).await.map_err(doing)?;
        let found = balancers.iter().find(|balancer| balancer.load_balancer_arn() == Some(arn));
        let found =
            found.ok_or_else(|| Error::usage(format!("`alb.load_balancer_arn`: there is no load balancer {arn}")))?;
        let balancer = check(found, vpc)?;
        let listeners = Listeners::given(&balancer);
        let listeners = listeners.get(elb).await.map_err(doing)?;
        let listener = pick(&listeners, stack.alb.listener_arn.as_deref())?;
        let https = listener.protocol() == Some(&ProtocolEnum::Https);
        let listener = listener.listener_arn().unwrap_or_default().into();
        Ok(Some(Self { balancer, listener, https }))
    }

    /// Checks that nobody else has the priorities that the stack wants, before anything is made.
    ///
    /// # Errors
    /// All those that are taken.
    pub async fn check_priorities(&self, elb: &Elb, stack: &Stack) -> Result<()> {
        let rules =
            Rules::read(elb, &self.listener).await.map_err(|error| error.doing("reading the listener's rules"))?;
        let wanted: Vec<(&String, String)> =
            stack.services.iter().filter_map(|(key, service)| Some((key, service.priority?.to_string()))).collect();
        let holder = |priority: &String| rules.iter().find(|rule| rule.priority() == Some(priority));
        let held: Vec<_> = wanted.iter().filter_map(|(key, priority)| Some((key, holder(priority)?))).collect();
        let arns: Vec<String> = held.iter().filter_map(|(_, rule)| rule.rule_arn.clone()).collect();
        let identity = Identity::new(&stack.name, LAYER, &stack.alb.name);
        let owners = elb::read_owners(elb, &arns, &identity).await?;
        let taken: Vec<String> = held
            .iter()
            .zip(owners)
            .filter(|(_, owner)| *owner != Owner::Ours)
            .map(|((key, rule), _)| format!("that of `{key}` by the rule {}", rule::describe(rule)))
            .collect();
        if taken.is_empty() {
            return Ok(());
        }
        let free = (1..).find(|free| rules.iter().all(|rule| rule.priority() != Some(&i32::to_string(free))));
        Err(Error::usage(format!("priorities are taken on the listener {}: {}", self.listener, taken.join(", ")))
            .hint(format!("give the services other priorities: {} is free", free.unwrap_or(1))))
    }

    /// Warns where the tasks let another security group in than the load balancer has.
    pub fn check_group(&self, run: &Run<'_>, sg: &Sg) {
        let group = sg.alb_security_group_id.as_str();
        if !self.balancer.has_group(group) {
            run.console().warn(&format!(
                "the load balancer has not the security group {group}, from which the tasks take requests: name one of \
                 its own as `sg.alb_security_group_id`"
            ));
        }
    }
}

/// Checks that it can be used.
fn check(found: &Described, vpc: &VpcId) -> Result<Live> {
    let live = load_balancer::live(found);
    match live.unusable(vpc) {
        Some(problem) => Err(Error::usage(format!("`alb.load_balancer_arn`: {problem}"))
            .hint("name an application load balancer in the stack's VPC, or leave it out: ecs-alb then makes one")),
        None => Ok(live),
    }
}

/// Returns the listener: the one that the file names, else the one on HTTPS, else the one on HTTP.
fn pick<'l>(listeners: &'l [Listens], given: Option<&str>) -> Result<&'l Listens> {
    if let Some(arn) = given {
        let found = listeners.iter().find(|listener| listener.listener_arn() == Some(arn));
        return found
            .ok_or_else(|| Error::usage(format!("`alb.listener_arn`: the load balancer has no listener {arn}")));
    }
    let all = |protocol: ProtocolEnum| -> Vec<&Listens> {
        listeners.iter().filter(|listener| listener.protocol() == Some(&protocol)).collect()
    };
    let (https, http) = (all(ProtocolEnum::Https), all(ProtocolEnum::Http));
    match (https.as_slice(), http.as_slice()) {
        ([one], _) | ([], [one]) => Ok(one),
        ([], []) => Err(Error::usage("the load balancer has no listener on HTTPS or HTTP")),
        _ => {
            let candidates = if https.is_empty() { http } else { https };
            let arns: Vec<&str> = candidates.iter().filter_map(|listener| listener.listener_arn()).collect();
            Err(Error::usage("the load balancer has several listeners that could be meant")
                .hint(format!("say which one as `alb.listener_arn`: {}", arns.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Listeners, the one that is named, and the one that is meant
    type Case<'c> = (&'c [(&'c str, ProtocolEnum)], Option<&'c str>, Option<&'c str>);

    fn listener(arn: &str, protocol: ProtocolEnum) -> Listens {
        Listens::builder().listener_arn(arn).protocol(protocol).build()
    }

    #[test]
    fn the_listener_is_the_one_that_is_named_or_the_only_one_on_https_or_else_on_http() {
        let (http, https) = (ProtocolEnum::Http, ProtocolEnum::Https);
        let cases: [Case<'_>; 6] = [
            (&[("a", http.clone())], None, Some("a")),
            (&[("a", http.clone()), ("b", https.clone())], None, Some("b")),
            (&[("a", http.clone()), ("b", http.clone())], None, None),
            (&[("a", http.clone()), ("b", http.clone())], Some("b"), Some("b")),
            (&[("a", https.clone()), ("b", https)], None, None),
            (&[("a", http)], Some("c"), None),
        ];
        for (listeners, given, expected) in cases {
            let listeners: Vec<_> = listeners.iter().map(|(arn, protocol)| listener(arn, protocol.clone())).collect();
            let found = pick(&listeners, given).ok().and_then(|listener| listener.listener_arn());
            assert_eq!(found, expected, "{listeners:?}");
        }
    }
}
