//! A scheduled action: at which times a service may have how many tasks.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use aws_sdk_applicationautoscaling::types::{
    ScalableDimension, ScalableTargetAction, ScheduledAction as Described, ServiceNamespace,
};
use ecs_aws::Answer as _;
use ecs_core::stack::ScheduledLimits;
use ecs_core::{Change, Listing, Owner, Resource, Result, Stack};

use crate::Autoscaling;
use crate::scalable_target::resource;

/// How far the last clocks on Earth are behind UTC.
const WESTERNMOST: Duration = Duration::from_secs(12 * 60 * 60);

/// The scheduled actions of one service, listed once for all of them.
pub type Actions = Rc<Listing<Vec<Described>>>;

/// A scheduled action of one service.
#[derive(Debug)]
pub struct ScheduledAction {
    name: String,
    resource: String,
    wanted: Live,
    list: Actions,
}

/// What Application Auto Scaling says the action is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    expression: String,
    timezone: String,
    min: Option<i32>,
    max: Option<i32>,
}

impl ScheduledAction {
    /// Makes one of a service's actions.
    pub fn new(stack: &Stack, service: &str, limits: &ScheduledLimits, list: &Actions) -> Self {
        let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        Self {
            name: name(service, limits),
            resource: resource(stack, service),
            wanted: Live {
                expression: limits.expression.clone(),
                timezone: limits.timezone.clone().unwrap_or_else(|| "UTC".to_owned()),
                min: limits.min.map(count),
                max: limits.max.map(count),
            },
            list: Rc::clone(list),
        }
    }

    /// Puts the action; what a call leaves out is taken away.
    async fn put(&self, api: &Autoscaling) -> Result<()> {
        let Live { expression, timezone, min, max } = &self.wanted;
        let limits = ScalableTargetAction::builder().set_min_capacity(*min).set_max_capacity(*max).build();
        let call = api.write.put_scheduled_action().service_namespace(ServiceNamespace::Ecs);
        let call = call.resource_id(&self.resource).scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
        let call = call.scheduled_action_name(&self.name).schedule(expression).timezone(timezone);
        let call = call.scalable_target_action(limits);
        call.send().await.answer("application-autoscaling:PutScheduledAction")?;
        Ok(())
    }
}

impl Resource for ScheduledAction {
    type Api = Autoscaling;
    type Live = Live;
    const KIND: &'static str = "scheduled action";
    /// It exists at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        self.name.clone()
    }

    fn id(&self, _live: &Live) -> String {
        format!("{} of {}", self.name, self.resource)
    }

    fn planned(&self) -> Live {
        self.wanted.clone()
    }

    /// Returns the action. One for a time that has passed has done what it was for: it need not be there, and is not made again.
    async fn find(&self, api: &Autoscaling) -> Result<Option<Live>> {
        let list = actions(api, &self.resource, &self.list).await?;
        let found = list.iter().find(|action| action.scheduled_action_name() == self.name).map(live);
        Ok(found.or_else(|| is_over(&self.wanted.expression, SystemTime::now()).then(|| self.planned())))
    }

    async fn create(&self, api: &Autoscaling) -> Result<Live> {
        self.put(api).await?;
        Ok(self.planned())
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let count = |count: Option<i32>| count.map(|count| count.to_string()).unwrap_or_default();
        let wanted = &self.wanted;
        let changes = [
            Change::of("expression", &live.expression, &wanted.expression),
            Change::of("time zone", &live.timezone, &wanted.timezone),
            Change::of("minimum capacity", &count(live.min), &count(wanted.min)),
            Change::of("maximum capacity", &count(live.max), &count(wanted.max)),
        ];
        changes.into_iter().flatten().collect()
    }

    async fn update(&self, api: &Autoscaling, _live: &Live, _changes: &[Change]) -> Result<()> {
        self.put(api).await
    }

    /// Never called: an action goes with its scalable target.
    async fn delete(&self, _api: &Autoscaling, _live: &Live) -> Result<()> {
        Ok(())
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
    }
}

/// Returns the name of a service's action.
pub fn name(service: &str, limits: &ScheduledLimits) -> String {
    format!("{}{}", prefix(service), limits.name)
}

/// Returns how the names of all actions of a service begin that a stack file has asked for: they carry no tags.
pub fn prefix(service: &str) -> String {
    format!("{service}-schedule-")
}

/// Returns the scheduled actions of a service.
pub async fn actions(api: &Autoscaling, resource: &str, list: &Actions) -> Result<Rc<Vec<Described>>> {
    let load = async || {
        let call = api.read.describe_scheduled_actions().service_namespace(ServiceNamespace::Ecs).resource_id(resource);
        let call = call.scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
        let all = call.into_paginator().items().send().collect::<std::result::Result<Vec<_>, _>>().await;
        all.answer("application-autoscaling:DescribeScheduledActions")
    };
    list.get(load).await
}

/// Says whether an expression is for one time, and that has passed wherever its clock is.
fn is_over(expression: &str, now: SystemTime) -> bool {
    let Some(time) = expression.strip_prefix("at(").and_then(|rest| rest.strip_suffix(')')) else { return false };
    // As the expression is written, so that the later one is the greater text.
    let earliest = humantime::format_rfc3339_seconds(now - WESTERNMOST).to_string();
    time < earliest.trim_end_matches('Z')
}

/// Returns the least and greatest numbers of tasks that actions set, whoever has made them.
pub fn limits(actions: &[Described]) -> (Vec<i32>, Vec<i32>) {
    let limits = || actions.iter().filter_map(Described::scalable_target_action);
    (
        limits().filter_map(ScalableTargetAction::min_capacity).collect(),
        limits().filter_map(ScalableTargetAction::max_capacity).collect(),
    )
}

/// Deletes an action by its name; one that is gone is done.
pub async fn delete(api: &Autoscaling, resource: &str, name: &str) -> Result<()> {
    let call = api.write.delete_scheduled_action().service_namespace(ServiceNamespace::Ecs);
    let call = call.resource_id(resource).scalable_dimension(ScalableDimension::EcsServiceDesiredCount);
    match call.scheduled_action_name(name).send().await.answer("application-autoscaling:DeleteScheduledAction") {
        Err(error) if error.code() == Some("ObjectNotFoundException") => Ok(()),
        other => other.map(drop),
    }
}

fn live(action: &Described) -> Live {
    let limits = action.scalable_target_action();
    Live {
        expression: action.schedule().to_owned(),
        // "If a time zone is not provided, UTC is used by default" (`PutScheduledAction`, `Timezone`).
        timezone: action.timezone().unwrap_or("UTC").to_owned(),
        min: limits.and_then(ScalableTargetAction::min_capacity),
        max: limits.and_then(ScalableTargetAction::max_capacity),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn one_time_is_over_when_it_has_passed_on_every_clock() {
        // 2027-01-15T08:00:00Z
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (expression, over) in [
            ("at(2027-01-14T19:59:59)", true),
            ("at(2027-01-14T20:00:01)", false),
            ("at(2027-01-15T09:00:00)", false),
            ("cron(0 22 * * ? *)", false),
            ("rate(1 hour)", false),
        ] {
            assert_eq!(is_over(expression, now), over, "{expression}");
        }
    }

    #[test]
    fn another_time_and_other_limits_are_differences() {
        let limits = ScheduledLimits {
            name: "night".to_owned(),
            expression: "cron(0 22 * * ? *)".to_owned(),
            timezone: None,
            min: Some(1),
            max: None,
        };
        let action = ScheduledAction::new(&Stack::default(), "web", &limits, &Actions::default());
        assert_eq!(action.name(), "web-schedule-night");
        assert_eq!(action.diff(&action.planned()), []);
        let live = Live { expression: "rate(1 day)".into(), timezone: "UTC".into(), min: None, max: Some(4) };
        let changes: Vec<_> = action.diff(&live).iter().map(ToString::to_string).collect();
        assert_eq!(
            changes,
            ["expression: rate(1 day) -> cron(0 22 * * ? *)", "minimum capacity: add 1", "maximum capacity: remove 4"]
        );
    }
}
