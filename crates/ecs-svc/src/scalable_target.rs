//! What Application Auto Scaling may do with a service: between how many tasks it scales.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_applicationautoscaling::types::{ScalableDimension, ScalingPolicy as Policy, ServiceNamespace};
use ecs_aws::Answer as _;
use ecs_core::stack::Autoscaling as Config;
use ecs_core::{All as _, Change, Error, Identity, Kind, Listing, Owner, Resource, Result, Stack};
use futures::join;

use crate::scaling_policy::Metric;
use crate::scheduled_action::{self, Actions};
use crate::{Autoscaling, LAYER};

/// Name of the difference that is a policy too many.
const SURPLUS: &str = "scaling policy";
/// Name of the difference that is a scheduled action too many.
const FORMER: &str = "scheduled action";

/// The scaling policies of one service, listed once for all of them.
pub type Policies = Rc<Listing<Vec<Policy>>>;

/// The registration of a service with Application Auto Scaling.
#[derive(Debug)]
pub struct ScalableTarget {
    identity: Identity,
    resource: String,
    min: i32,
    max: i32,
    /// Names of the policies that are wanted
    policies: Vec<String>,
    list: Policies,
    /// Limits that a schedule may have set by now
    scheduled: (Vec<i32>, Vec<i32>),
    /// Names of the scheduled actions that are wanted
    actions: Vec<String>,
    action_list: Actions,
}

/// What Application Auto Scaling says the target is.
#[derive(Debug, Clone)]
pub struct Live {
    min: i32,
    max: i32,
    /// Policies of ours that the stack file no longer has
    surplus: Vec<String>,
    /// Scheduled actions of ours that the stack file no longer has
    former: Vec<String>,
}

impl ScalableTarget {
    /// Makes the target of a service.
    pub fn new(stack: &Stack, service: &str, config: &Config, (list, actions): (&Policies, &Actions)) -> Self {
        let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        let schedules = config.schedules.iter();
        Self {
            identity: Identity::new(&stack.name, LAYER, service),
            resource: resource(stack, service),
            min: count(config.min),
            max: count(config.max),
            policies: Metric::wanted(config).map(|(metric, _)| metric.policy(service)).collect(),
            list: Rc::clone(list),
            scheduled: (
                schedules.clone().filter_map(|limits| limits.min.map(count)).collect(),
                schedules.clone().filter_map(|limits| limits.max.map(count)).collect(),
            ),
            actions: schedules.map(|limits| scheduled_action::name(service, limits)).collect(),
            action_list: Rc::clone(actions),
        }
    }

    /// Returns the policies of ours that are not wanted; others' are none of our business.
    fn surplus(&self, policies: &[Policy]) -> Vec<String> {
        let ours = Metric::ALL.map(|metric| metric.policy(&self.identity.name));
        let names = policies.iter().map(|policy| policy.policy_name().to_owned());
        names.filter(|name| ours.contains(name) && !self.policies.contains(name)).collect()
    }

    async fn register(&self, api: &Autoscaling, tags: Option<HashMap<String, String>>) -> Result<()> {
        let call = api.write.register_scalable_target().service_namespace(ServiceNamespace::Ecs);
        let call = call.resource_id(&self.resource).scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
        let call = call.min_capacity(self.min).max_capacity(self.max).set_tags(tags);
        let reply = call.send().await.answer("application-autoscaling:RegisterScalableTarget");
        reply.map(drop).map_err(not_yet)
    }
}

impl Resource for ScalableTarget {
    type Api = Autoscaling;
    type Live = Live;
    const KIND: &'static str = "scalable target";
    /// It exists at once and is deleted at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, _live: &Live) -> String {
        self.resource.clone()
    }

    fn planned(&self) -> Live {
        Live { min: self.min, max: self.max, surplus: Vec::new(), former: Vec::new() }
    }

    async fn find(&self, api: &Autoscaling) -> Result<Option<Live>> {
        let call = api.read.describe_scalable_targets().service_namespace(ServiceNamespace::Ecs);
        let call = call.resource_ids(&self.resource).scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
        let (targets, policies, actions) = join!(
            call.send(),
            policies(api, &self.resource, &self.list),
            scheduled_action::actions(api, &self.resource, &self.action_list),
        );
        let targets = targets.answer("application-autoscaling:DescribeScalableTargets");
        let (targets, policies, actions) = (targets, policies, actions).all()?;
        let prefix = scheduled_action::prefix(&self.identity.name);
        let former = actions.iter().map(|action| action.scheduled_action_name().to_owned());
        let former = former.filter(|name| name.starts_with(&prefix) && !self.actions.contains(name));
        let target = targets.scalable_targets().iter().find(|target| target.resource_id() == self.resource);
        Ok(target.map(|target| Live {
            min: target.min_capacity(),
            max: target.max_capacity(),
            surplus: self.surplus(&policies),
            former: former.collect(),
        }))
    }

    async fn create(&self, api: &Autoscaling) -> Result<Live> {
        let tags = self.identity.tags(|key, value| (key.to_owned(), value.to_owned())).into_iter().collect();
        self.register(api, Some(tags)).await?;
        Ok(self.planned())
    }

    /// Compares; a limit that a schedule sets is as it should be: when its time comes, it replaces that of the target.
    fn diff(&self, live: &Live) -> Vec<Change> {
        let limits = [
            Change::of("minimum capacity", &live.min, &self.min).filter(|_| !self.scheduled.0.contains(&live.min)),
            Change::of("maximum capacity", &live.max, &self.max).filter(|_| !self.scheduled.1.contains(&live.max)),
        ];
        let surplus = live.surplus.iter().map(|policy| Change::update(SURPLUS, policy, ""));
        let former = live.former.iter().map(|action| Change::former(FORMER, action));
        limits.into_iter().flatten().chain(surplus).chain(former).collect()
    }

    async fn update(&self, api: &Autoscaling, live: &Live, changes: &[Change]) -> Result<()> {
        if changes.iter().any(|change| ![SURPLUS, FORMER].contains(&change.field)) {
            self.register(api, None).await?;
        }
        for policy in &live.surplus {
            let call = api.write.delete_scaling_policy().service_namespace(ServiceNamespace::Ecs).policy_name(policy);
            let call = call.resource_id(&self.resource).scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
            call.send().await.answer("application-autoscaling:DeleteScalingPolicy")?;
        }
        // The engine hands them over only with --prune.
        for action in changes.iter().filter(|change| change.field == FORMER) {
            scheduled_action::delete(api, &self.resource, &action.from).await?;
        }
        Ok(())
    }

    /// Deregisters the service, which deletes its scaling policies too.
    async fn delete(&self, api: &Autoscaling, _live: &Live) -> Result<()> {
        deregister(api, &self.resource).await
    }

    fn owner(&self, _live: &Live) -> Owner {
        // The service's owner was settled before.
        Owner::Ours
    }

    async fn adopt(&self, _api: &Autoscaling, _live: &Live) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.list.forget();
        self.action_list.forget();
    }
}

/// Returns the name of a service with Application Auto Scaling.
pub fn resource(stack: &Stack, service: &str) -> String {
    format!("service/{}/{service}", stack.cluster_name())
}

/// Deregisters a service, which deletes its scaling policies and scheduled actions too; one that is not registered is done.
pub async fn deregister(api: &Autoscaling, resource: &str) -> Result<()> {
    let call = api.write.deregister_scalable_target().service_namespace(ServiceNamespace::Ecs);
    let call = call.resource_id(resource).scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
    match call.send().await.answer("application-autoscaling:DeregisterScalableTarget") {
        Err(error) if error.code() == Some("ObjectNotFoundException") => Ok(()),
        other => other.map(drop),
    }
}

/// Returns the scaling policies of a service.
pub async fn policies(api: &Autoscaling, resource: &str, list: &Policies) -> Result<Rc<Vec<Policy>>> {
    let load = async || {
        let call = api.read.describe_scaling_policies().service_namespace(ServiceNamespace::Ecs).resource_id(resource);
        let call = call.scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
        let all = call.into_paginator().items().send().collect::<std::result::Result<Vec<_>, _>>().await;
        all.answer("application-autoscaling:DescribeScalingPolicies")
    };
    list.get(load).await
}

/// Takes "no such service" for "not yet": it was found or made a moment ago. terraform-provider-aws tries again on the
/// same message (<https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/appautoscaling/target.go>).
fn not_yet(error: Error) -> Error {
    let unknown = error.code() == Some("ValidationException") && error.message().contains("service doesn't exist");
    if unknown { error.with_kind(Kind::NotYet) } else { error }
}

#[cfg(test)]
mod tests {
    use ecs_core::stack::ScheduledLimits;

    use super::*;

    fn target() -> ScalableTarget {
        let night = ScheduledLimits {
            name: "night".to_owned(),
            expression: "cron(0 22 * * ? *)".to_owned(),
            timezone: None,
            min: Some(0),
            max: None,
        };
        let config =
            Config { min: 2, max: 6, cpu: Some(70), memory: None, requests_per_target: None, schedules: vec![night] };
        ScalableTarget::new(&Stack::default(), "web", &config, (&Policies::default(), &Actions::default()))
    }

    #[test]
    fn limits_and_dropped_policies_are_differences() {
        let former = vec!["web-schedule-noon".to_owned()];
        let live = Live { min: 1, max: 6, surplus: vec!["web-memory".to_owned()], former };
        let changes = [
            Change::update("minimum capacity", "1", "2"),
            Change::update("scaling policy", "web-memory", ""),
            Change::former("scheduled action", "web-schedule-noon"),
        ];
        assert_eq!(target().diff(&live), changes);
        // What a schedule has set.
        assert_eq!(target().diff(&Live { min: 0, ..target().planned() }), []);
        assert_eq!(target().diff(&target().planned()), []);
    }
}
