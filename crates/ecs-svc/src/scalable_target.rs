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

/// Names of the differences that are limits.
const MINIMUM: &str = "minimum capacity";
const MAXIMUM: &str = "maximum capacity";
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
    /// Limits that a scheduled action may have set by now
    scheduled: (Vec<i32>, Vec<i32>),
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

    /// Writes limits; one that is left out stays as it is.
    async fn register(
        &self,
        api: &Autoscaling,
        (min, max): (Option<i32>, Option<i32>),
        tags: Option<HashMap<String, String>>,
    ) -> Result<()> {
        let call = api.write.register_scalable_target().service_namespace(ServiceNamespace::Ecs);
        let call = call.resource_id(&self.resource).scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
        let call = call.set_min_capacity(min).set_max_capacity(max).set_tags(tags);
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
        let scheduled = (Vec::new(), Vec::new());
        Live { min: self.min, max: self.max, surplus: Vec::new(), former: Vec::new(), scheduled }
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
            scheduled: scheduled_action::limits(&actions),
        }))
    }

    async fn create(&self, api: &Autoscaling) -> Result<Live> {
        let tags = self.identity.tags(|key, value| (key.to_owned(), value.to_owned())).into_iter().collect();
        self.register(api, (Some(self.min), Some(self.max)), Some(tags)).await?;
        Ok(self.planned())
    }

    /// Compares; a limit that a scheduled action sets is as it should be: when its time comes, it replaces that of the
    /// target.
    ///
    /// Application Auto Scaling shows one limit of each kind, and not who has set it: one that an action sets, and that is
    /// in force, is taken for that action's. So a new limit of the file does not show as long as such a one is there.
    fn diff(&self, live: &Live) -> Vec<Change> {
        let limits = [
            Change::of(MINIMUM, &live.min, &self.min).filter(|_| !live.scheduled.0.contains(&live.min)),
            Change::of(MAXIMUM, &live.max, &self.max).filter(|_| !live.scheduled.1.contains(&live.max)),
        ];
        let surplus = live.surplus.iter().map(|policy| Change::update(SURPLUS, policy, ""));
        let former = live.former.iter().map(|action| Change::former(FORMER, action));
        limits.into_iter().flatten().chain(surplus).chain(former).collect()
    }

    async fn update(&self, api: &Autoscaling, live: &Live, changes: &[Change]) -> Result<()> {
        // The other limit may be a schedule's.
        let limit = |field: &str, wanted: i32| changes.iter().any(|change| change.field == field).then_some(wanted);
        let limits = (limit(MINIMUM, self.min), limit(MAXIMUM, self.max));
        if limits != (None, None) {
            self.register(api, limits, None).await?;
        }
        for policy in &live.surplus {
            delete_policy(api, &self.resource, policy).await?;
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

/// The autoscaling of a service that stays, of which the stack file no longer has any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scaled {
    /// Name of the service
    pub service: String,
    /// Names of our policies
    policies: Vec<String>,
    /// Names of our scheduled actions
    actions: Vec<String>,
    /// What others have put on the same target
    pub theirs: Vec<String>,
}

impl Scaled {
    /// Reads what a service has.
    ///
    /// # Errors
    /// Any refusal by Application Auto Scaling.
    pub async fn read(api: &Autoscaling, stack: &Stack, service: &str) -> Result<Self> {
        let (resource, lists) = (resource(stack, service), (Policies::default(), Actions::default()));
        let (policies, actions) =
            join!(policies(api, &resource, &lists.0), scheduled_action::actions(api, &resource, &lists.1));
        let (policies, actions) = (policies, actions).all()?;
        let policies = policies.iter().map(|policy| policy.policy_name().to_owned());
        let actions = actions.iter().map(|action| action.scheduled_action_name().to_owned());
        Ok(Self::of(service, policies, actions))
    }

    fn of(
        service: &str,
        policies: impl IntoIterator<Item = String>,
        actions: impl IntoIterator<Item = String>,
    ) -> Self {
        let (ours, prefix) = (Metric::ALL.map(|metric| metric.policy(service)), scheduled_action::prefix(service));
        let (policies, others): (Vec<_>, Vec<_>) = policies.into_iter().partition(|name| ours.contains(name));
        let (actions, more): (Vec<_>, Vec<_>) = actions.into_iter().partition(|name| name.starts_with(&prefix));
        let others = others.into_iter().map(|name| format!("scaling policy {name}"));
        let theirs = others.chain(more.into_iter().map(|name| format!("scheduled action {name}"))).collect();
        Self { service: service.to_owned(), policies, actions, theirs }
    }

    /// Says whether any of it is ours.
    pub fn is_ours(&self) -> bool {
        !self.policies.is_empty() || !self.actions.is_empty()
    }

    /// Removes what is ours: all of it with the target, which stays where others have put something on it.
    ///
    /// # Errors
    /// Any refusal by Application Auto Scaling.
    pub async fn remove(&self, api: &Autoscaling, stack: &Stack) -> Result<()> {
        let resource = resource(stack, &self.service);
        if self.theirs.is_empty() {
            return deregister(api, &resource).await;
        }
        for policy in &self.policies {
            delete_policy(api, &resource, policy).await?;
        }
        for action in &self.actions {
            scheduled_action::delete(api, &resource, action).await?;
        }
        Ok(())
    }
}

/// Deletes a policy by its name; one that is gone is done.
async fn delete_policy(api: &Autoscaling, resource: &str, policy: &str) -> Result<()> {
    let call = api.write.delete_scaling_policy().service_namespace(ServiceNamespace::Ecs).policy_name(policy);
    let call = call.resource_id(resource).scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
    match call.send().await.answer("application-autoscaling:DeleteScalingPolicy") {
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
    fn what_others_have_put_on_a_target_is_told_from_ours() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let ours = Scaled::of("web", names(&["web-cpu"]), names(&["web-schedule-night"]));
        assert!(ours.is_ours() && ours.theirs.is_empty(), "{ours:?}");
        let both = Scaled::of("web", names(&["web-cpu", "queue-depth"]), names(&["sale"]));
        assert!(both.is_ours());
        assert_eq!(both.theirs, ["scaling policy queue-depth", "scheduled action sale"]);
        assert!(!Scaled::of("web", names(&["queue-depth"]), names(&[])).is_ours());
    }

    #[test]
    fn limits_and_dropped_policies_are_differences() {
        let former = vec!["web-schedule-noon".to_owned()];
        let live = Live { min: 1, surplus: vec!["web-memory".to_owned()], former, ..target().planned() };
        let changes = [
            Change::update("minimum capacity", "1", "2"),
            Change::update("scaling policy", "web-memory", ""),
            Change::former("scheduled action", "web-schedule-noon"),
        ];
        assert_eq!(target().diff(&live), changes);
        // What an action has set, and what it would not set.
        let scheduled = (vec![0], vec![9]);
        let night = Live { min: 0, scheduled, ..target().planned() };
        assert_eq!(target().diff(&night), []);
        assert_eq!(target().diff(&Live { min: 9, ..night }), [Change::update("minimum capacity", "9", "2")]);
        assert_eq!(target().diff(&target().planned()), []);
    }
}
