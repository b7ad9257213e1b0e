//! A schedule of EventBridge Scheduler, which runs a task of a service at certain times.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_scheduler::error::BuildError;
use aws_sdk_scheduler::operation::get_schedule::GetScheduleOutput;
use aws_sdk_scheduler::types::{
    AssignPublicIp, AwsVpcConfiguration, DeadLetterConfig, EcsParameters, FlexibleTimeWindow, FlexibleTimeWindowMode,
    LaunchType, NetworkConfiguration, PropagateTags, RetryPolicy, ScheduleState, Target,
};
use ecs_aws::Answer as _;
use ecs_core::id::{ClusterArn, RoleArn};
use ecs_core::stack::{Schedule as Config, Service};
use ecs_core::{Change, Error, Identity, Kind, Owner, Resource, Result, Stack};
use serde_json::{Value, json};

use crate::{LAYER, Place, Scheduler};

/// Tries and seconds of a retry policy that says neither: Scheduler's own. Source: `RetryPolicy` in the user guide,
/// "Configuring retry policies".
const RETRIES: (i32, i32) = (185, 86_400);

/// What a schedule stands on.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'g> {
    /// The cluster that the task runs in
    pub cluster: &'g ClusterArn,
    /// Where the service's tasks run
    pub place: &'g Place,
    /// The role with which Scheduler runs it
    pub role: &'g RoleArn,
    /// The role was made a moment ago
    pub new_role: bool,
}

/// A schedule.
#[derive(Debug)]
pub struct Schedule {
    identity: Identity,
    group: String,
    wanted: Live,
    new_role: bool,
}

/// What EventBridge Scheduler says the schedule is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    arn: String,
    expression: String,
    timezone: String,
    state: String,
    window: String,
    cluster: String,
    role: String,
    definition: String,
    launch: String,
    subnets: BTreeSet<String>,
    groups: BTreeSet<String>,
    public_ip: bool,
    tags: bool,
    /// What the task is told, as JSON
    input: Value,
    retries: (i32, i32),
    queue: String,
}

impl Schedule {
    /// Makes a schedule for a task of a service.
    pub fn new(
        stack: &Stack,
        (key, config): (&str, &Config),
        (service_key, service): (&str, &Service),
        ground: Ground<'_>,
    ) -> Self {
        let Ground { cluster, place, role, new_role } = ground;
        let input = if config.command.is_empty() {
            Value::Null
        } else {
            let container = service.container(service_key);
            json!({ "containerOverrides": [{ "name": container, "command": config.command }] })
        };
        let wanted = Live {
            arn: ecs_core::id::planned("schedule", key),
            expression: config.expression.clone(),
            timezone: config.timezone.clone().unwrap_or_else(|| "UTC".to_owned()),
            state: if config.enabled { "ENABLED" } else { "DISABLED" }.to_owned(),
            window: FlexibleTimeWindowMode::Off.as_str().to_owned(),
            cluster: cluster.to_string(),
            role: role.to_string(),
            definition: family_arn(cluster, &service.family(service_key)),
            launch: LaunchType::Fargate.as_str().to_owned(),
            subnets: place.net.private_subnet_ids.iter().map(ToString::to_string).collect(),
            groups: BTreeSet::from([place.sg.tasks_security_group_id.to_string()]),
            public_ip: false,
            tags: true,
            input,
            retries: (config.retry_attempts.unwrap_or(RETRIES.0), config.retry_seconds.unwrap_or(RETRIES.1)),
            queue: config.dead_letter_queue.clone().unwrap_or_default(),
        };
        let group = stack.schedule_group().to_owned();
        Self { identity: Identity::new(&stack.name, LAYER, key), group, wanted, new_role }
    }

    fn target(&self) -> Result<Target> {
        let wanted = &self.wanted;
        let vpc = AwsVpcConfiguration::builder()
            .set_subnets(Some(wanted.subnets.iter().cloned().collect()))
            .set_security_groups(Some(wanted.groups.iter().cloned().collect()))
            .assign_public_ip(AssignPublicIp::Disabled);
        let network = NetworkConfiguration::builder().awsvpc_configuration(built(vpc.build())?).build();
        let ecs = EcsParameters::builder().task_definition_arn(&wanted.definition).task_count(1);
        let ecs = ecs.launch_type(LaunchType::Fargate).network_configuration(network);
        let ecs = ecs.propagate_tags(PropagateTags::TaskDefinition).enable_ecs_managed_tags(true);
        let (attempts, seconds) = wanted.retries;
        let retry = RetryPolicy::builder().maximum_retry_attempts(attempts).maximum_event_age_in_seconds(seconds);
        let queue = (!wanted.queue.is_empty()).then(|| DeadLetterConfig::builder().arn(&wanted.queue).build());
        let target = Target::builder().arn(&wanted.cluster).role_arn(&wanted.role);
        let target = target.ecs_parameters(built(ecs.build())?).retry_policy(retry.build());
        let target = target.set_dead_letter_config(queue);
        built(target.set_input((!wanted.input.is_null()).then(|| wanted.input.to_string())).build())
    }

    fn window() -> Result<FlexibleTimeWindow> {
        built(FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build())
    }

    /// Says of a refusal whether the same call may pass later: Scheduler tries to take a role on, and a new one does not
    /// show everywhere at once (<https://github.com/hashicorp/terraform-provider-aws/issues/29027>).
    fn refused(&self, error: Error) -> Error {
        let assume = error.message().contains("must allow AWS EventBridge Scheduler to assume the role");
        if self.new_role && error.code() == Some("ValidationException") && assume {
            return error.with_kind(Kind::NotYet);
        }
        error
    }
}

impl Resource for Schedule {
    type Api = Scheduler;
    type Live = Live;
    const KIND: &'static str = "schedule";
    /// It exists at once and is deleted at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.clone()
    }

    fn planned(&self) -> Live {
        self.wanted.clone()
    }

    /// Returns the schedule of that name in the stack's group; without the group there is none.
    async fn find(&self, scheduler: &Scheduler) -> Result<Option<Live>> {
        let call = scheduler.read.get_schedule().group_name(&self.group).name(&self.identity.name);
        Ok(call.send().await.answer_if_found("scheduler:GetSchedule")?.map(|schedule| live(&schedule)))
    }

    async fn create(&self, scheduler: &Scheduler) -> Result<Live> {
        let wanted = &self.wanted;
        let call = scheduler.write.create_schedule().group_name(&self.group).name(&self.identity.name);
        let call = call.schedule_expression(&wanted.expression).schedule_expression_timezone(&wanted.timezone);
        let call = call.state(ScheduleState::from(wanted.state.as_str()));
        let call = call.flexible_time_window(Self::window()?).target(self.target()?);
        let reply = call.send().await.answer("scheduler:CreateSchedule").map_err(|error| self.refused(error))?;
        Ok(Live { arn: reply.schedule_arn, ..self.planned() })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let wanted = &self.wanted;
        let words = |words: &BTreeSet<String>| words.iter().cloned().collect::<Vec<_>>().join(", ");
        let text = |input: &Value| if input.is_null() { String::new() } else { input.to_string() };
        let retries = |(attempts, seconds): (i32, i32)| format!("{attempts} times in {seconds} s");
        let changes = [
            Change::of("expression", &live.expression, &wanted.expression),
            Change::of("time zone", &live.timezone, &wanted.timezone),
            Change::of("state", &live.state, &wanted.state),
            Change::of("flexible time window", &live.window, &wanted.window),
            Change::of("cluster", &live.cluster, &wanted.cluster),
            Change::of("role", &live.role, &wanted.role),
            Change::of("task definition", &live.definition, &wanted.definition),
            Change::of("launch type", &live.launch, &wanted.launch),
            Change::of("subnets", &words(&live.subnets), &words(&wanted.subnets)),
            Change::of("security groups", &words(&live.groups), &words(&wanted.groups)),
            Change::of("public IP", &live.public_ip, &wanted.public_ip),
            Change::of("tag propagation", &live.tags, &wanted.tags),
            Change::of("input", &text(&live.input), &text(&wanted.input)),
            Change::of("retries", &retries(live.retries), &retries(wanted.retries)),
            Change::of("dead-letter queue", &live.queue, &wanted.queue),
        ];
        changes.into_iter().flatten().collect()
    }

    /// Writes all of it: "EventBridge Scheduler uses all values, including empty values, specified in the request"
    /// (`UpdateSchedule`).
    async fn update(&self, scheduler: &Scheduler, _live: &Live, _changes: &[Change]) -> Result<()> {
        let wanted = &self.wanted;
        let call = scheduler.write.update_schedule().group_name(&self.group).name(&self.identity.name);
        let call = call.schedule_expression(&wanted.expression).schedule_expression_timezone(&wanted.timezone);
        let call = call.state(ScheduleState::from(wanted.state.as_str()));
        let call = call.flexible_time_window(Self::window()?).target(self.target()?);
        call.send().await.answer("scheduler:UpdateSchedule").map_err(|error| self.refused(error))?;
        Ok(())
    }

    /// Never called: a schedule goes with its group.
    async fn delete(&self, _scheduler: &Scheduler, _live: &Live) -> Result<()> {
        Ok(())
    }

    fn owner(&self, _live: &Live) -> Owner {
        // The group's owner was settled before.
        Owner::Ours
    }

    async fn adopt(&self, _scheduler: &Scheduler, _live: &Live) -> Result<()> {
        Ok(())
    }
}

/// Returns the names of the schedules in the stack's group; none where there is no such group.
pub async fn names(scheduler: &Scheduler, stack: &Stack) -> Result<Vec<String>> {
    let call = scheduler.read.list_schedules().group_name(stack.schedule_group()).into_paginator().items().send();
    let found = call.collect::<std::result::Result<Vec<_>, _>>().await.answer("scheduler:ListSchedules");
    match found {
        Err(error) if error.kind() == Kind::NotFound => Ok(Vec::new()),
        found => Ok(found?.into_iter().filter_map(|schedule| schedule.name).collect()),
    }
}

/// Deletes a schedule of the stack's by its name; one that is gone is done.
pub async fn delete(scheduler: &Scheduler, stack: &Stack, name: &str) -> Result<()> {
    let call = scheduler.write.delete_schedule().group_name(stack.schedule_group()).name(name);
    call.send().await.answer_if_found("scheduler:DeleteSchedule").map(drop)
}

/// Returns the ARN of a family, without a revision: RunTask then runs the latest one, so that a task follows what is
/// deployed (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html>, `taskDefinition`).
fn family_arn(cluster: &ClusterArn, family: &str) -> String {
    match cluster.as_str().split_once(":cluster/") {
        Some((account, _)) => format!("{account}:task-definition/{family}"),
        None => ecs_core::id::planned("task-definition", family),
    }
}

fn live(schedule: &GetScheduleOutput) -> Live {
    let target = schedule.target();
    let ecs = target.and_then(Target::ecs_parameters);
    let vpc = ecs.and_then(EcsParameters::network_configuration).and_then(NetworkConfiguration::awsvpc_configuration);
    let retry = target.and_then(Target::retry_policy);
    let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Live {
        arn: owned(schedule.arn()),
        expression: owned(schedule.schedule_expression()),
        timezone: schedule.schedule_expression_timezone().unwrap_or("UTC").to_owned(),
        state: owned(schedule.state().map(ScheduleState::as_str)),
        window: owned(schedule.flexible_time_window().map(|window| window.mode().as_str())),
        cluster: owned(target.map(Target::arn)),
        role: owned(target.map(Target::role_arn)),
        definition: owned(ecs.map(EcsParameters::task_definition_arn)),
        launch: owned(ecs.and_then(EcsParameters::launch_type).map(LaunchType::as_str)),
        subnets: vpc.map(|vpc| vpc.subnets().iter().cloned().collect()).unwrap_or_default(),
        groups: vpc.map(|vpc| vpc.security_groups().iter().cloned().collect()).unwrap_or_default(),
        public_ip: vpc.and_then(AwsVpcConfiguration::assign_public_ip) == Some(&AssignPublicIp::Enabled),
        tags: ecs.and_then(EcsParameters::propagate_tags) == Some(&PropagateTags::TaskDefinition),
        input: target.and_then(Target::input).and_then(|input| serde_json::from_str(input).ok()).unwrap_or_default(),
        retries: (
            retry.and_then(RetryPolicy::maximum_retry_attempts).unwrap_or(RETRIES.0),
            retry.and_then(RetryPolicy::maximum_event_age_in_seconds).unwrap_or(RETRIES.1),
        ),
        queue: owned(target.and_then(Target::dead_letter_config).and_then(DeadLetterConfig::arn)),
    }
}

fn built<T>(value: std::result::Result<T, BuildError>) -> Result<T> {
    value.map_err(|error| Error::other(format!("a request cannot be built: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_clusters_account_and_no_revision() {
        let cluster = "arn:aws:ecs:us-east-1:123456789012:cluster/prod".into();
        assert_eq!(family_arn(&cluster, "web-task"), "arn:aws:ecs:us-east-1:123456789012:task-definition/web-task");
    }

    #[test]
    fn what_scheduler_leaves_out_is_its_default() {
        let live = live(&GetScheduleOutput::builder().build());
        assert_eq!((live.timezone.as_str(), live.retries, live.input), ("UTC", RETRIES, Value::Null));
    }
}
