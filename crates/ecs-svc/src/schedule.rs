//! A schedule of EventBridge Scheduler, which runs a task of a service at certain times.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use aws_sdk_scheduler::operation::get_schedule::GetScheduleOutput;
use aws_sdk_scheduler::primitives::DateTime;
use aws_sdk_scheduler::types::{
    AssignPublicIp, AwsVpcConfiguration, DeadLetterConfig, EcsParameters, FlexibleTimeWindow, FlexibleTimeWindowMode,
    LaunchType, NetworkConfiguration, PropagateTags, RetryPolicy, ScheduleState, Target,
};
use ecs_aws::Answer as _;
use ecs_core::id::{ClusterArn, RoleArn};
use ecs_core::stack::{Schedule as Config, Service};
use ecs_core::{Change, Error, Identity, Kind, Owner, Resource, Result, Stack};
use serde_json::{Value, json};

use crate::{LAYER, Place, Scheduler, ecs};

/// Tries and seconds of a retry policy that says neither: Scheduler's own. Source: `RetryPolicy` in the user guide,
/// "Configuring retry policies".
const RETRIES: (i32, i32) = (185, 86_400);

const WINDOW: &str = "flexible time window";
const ATTEMPTS: &str = "retry attempts";
const SECONDS: &str = "retry seconds";
const QUEUE: &str = "dead-letter queue";

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
    /// Where the stack file says how often and for how long ECS is asked again
    retries: (Option<i32>, Option<i32>),
    new_role: bool,
}

/// What EventBridge Scheduler says the schedule is.
#[derive(Debug, Clone, PartialEq)]
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
    /// All of it, with what the stack file does not speak of
    whole: Option<Rc<GetScheduleOutput>>,
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
            whole: None,
        };
        let group = stack.schedule_group().to_owned();
        let retries = (config.retry_attempts, config.retry_seconds);
        Self { identity: Identity::new(&stack.name, LAYER, key), group, wanted, retries, new_role }
    }

    /// Returns the target as it is to be: what others have set in the one that is, and the stack file does not speak of,
    /// stays.
    fn target(&self, live: &Live) -> Result<Target> {
        let wanted = &self.wanted;
        let whole = live.whole.as_deref().and_then(GetScheduleOutput::target);
        let vpc = AwsVpcConfiguration::builder()
            .set_subnets(Some(wanted.subnets.iter().cloned().collect()))
            .set_security_groups(Some(wanted.groups.iter().cloned().collect()))
            .assign_public_ip(AssignPublicIp::Disabled);
        let network = NetworkConfiguration::builder().awsvpc_configuration(ecs::built(vpc.build())?).build();
        let mut ecs = match whole.and_then(Target::ecs_parameters) {
            Some(ecs) => ecs.clone(),
            None => {
                let ecs = EcsParameters::builder().task_definition_arn(&wanted.definition).task_count(1);
                ecs::built(ecs.enable_ecs_managed_tags(true).build())?
            }
        };
        ecs.task_definition_arn.clone_from(&wanted.definition);
        ecs.network_configuration = Some(network);
        ecs.propagate_tags = Some(PropagateTags::TaskDefinition);
        ecs.launch_type = Some(LaunchType::Fargate);
        // One excludes the other.
        ecs.capacity_provider_strategy = None;
        let (attempts, seconds) = live.retries;
        let retry = RetryPolicy::builder().maximum_retry_attempts(attempts).maximum_event_age_in_seconds(seconds);
        let queue = (!live.queue.is_empty()).then(|| DeadLetterConfig::builder().arn(&live.queue).build());
        let target = Target::builder().arn(&wanted.cluster).role_arn(&wanted.role);
        let target = target.ecs_parameters(ecs).retry_policy(retry.build()).set_dead_letter_config(queue);
        ecs::built(target.set_input((!wanted.input.is_null()).then(|| wanted.input.to_string())).build())
    }

    /// Returns the schedule as it is to be after these changes.
    fn changed(&self, live: &Live, changes: &[Change]) -> Live {
        let changes = |field: &str| changes.iter().any(|change| change.field == field);
        let pick = |field: &str, is: i32, wanted: i32| if changes(field) { wanted } else { is };
        let (is, wanted) = (live.retries, self.wanted.retries);
        Live {
            retries: (pick(ATTEMPTS, is.0, wanted.0), pick(SECONDS, is.1, wanted.1)),
            queue: if changes(QUEUE) { &self.wanted.queue } else { &live.queue }.clone(),
            window: if changes(WINDOW) { &self.wanted.window } else { &live.window }.clone(),
            whole: live.whole.clone(),
            ..self.wanted.clone()
        }
    }

    fn window() -> Result<FlexibleTimeWindow> {
        ecs::built(FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off).build())
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
        let call = call.flexible_time_window(Self::window()?).target(self.target(wanted)?);
        let reply = call.send().await.answer("scheduler:CreateSchedule").map_err(|error| self.refused(error))?;
        Ok(Live { arn: reply.schedule_arn, ..self.planned() })
    }

    /// Compares; what the file does not speak of and somebody has set is theirs.
    fn diff(&self, live: &Live) -> Vec<Change> {
        let wanted = &self.wanted;
        let said = |said: bool, change: Option<Change>| {
            change.map(|change| if said { change } else { Change::foreign(change.field, change.from) })
        };
        let words = |words: &BTreeSet<String>| words.iter().cloned().collect::<Vec<_>>().join(", ");
        let text = |input: &Value| if input.is_null() { String::new() } else { input.to_string() };
        let changes = [
            Change::of("expression", &live.expression, &wanted.expression),
            Change::of("time zone", &live.timezone, &wanted.timezone),
            Change::of("state", &live.state, &wanted.state),
            said(false, Change::of(WINDOW, &live.window, &wanted.window)),
            Change::of("cluster", &live.cluster, &wanted.cluster),
            Change::of("role", &live.role, &wanted.role),
            Change::of("task definition", &live.definition, &wanted.definition),
            Change::of("launch type", &live.launch, &wanted.launch),
            Change::of("subnets", &words(&live.subnets), &words(&wanted.subnets)),
            Change::of("security groups", &words(&live.groups), &words(&wanted.groups)),
            Change::of("public IP", &live.public_ip, &wanted.public_ip),
            Change::of("tag propagation", &live.tags, &wanted.tags),
            Change::of("input", &text(&live.input), &text(&wanted.input)),
            said(self.retries.0.is_some(), Change::of(ATTEMPTS, &live.retries.0, &wanted.retries.0)),
            said(self.retries.1.is_some(), Change::of(SECONDS, &live.retries.1, &wanted.retries.1)),
            said(!wanted.queue.is_empty(), Change::of(QUEUE, &live.queue, &wanted.queue)),
        ];
        changes.into_iter().flatten().collect()
    }

    /// Writes all of it: "EventBridge Scheduler uses all values, including empty values, specified in the request"
    /// (`UpdateSchedule`).
    ///
    /// So what others have set goes back as it was; but for a start that is past, which Scheduler refuses: "The StartDate you
    /// specify cannot be earlier than 5 minutes ago" (<https://github.com/getmoto/moto/pull/8172>).
    async fn update(&self, scheduler: &Scheduler, live: &Live, changes: &[Change]) -> Result<()> {
        let changed = self.changed(live, changes);
        let whole = live.whole.as_deref().cloned();
        let theirs = whole.as_ref().and_then(|whole| whole.flexible_time_window.clone());
        let off = changed.window == FlexibleTimeWindowMode::Off.as_str();
        let window = match theirs.filter(|_| !off) {
            Some(window) => window,
            None => Self::window()?,
        };
        let call = scheduler.write.update_schedule().group_name(&self.group).name(&self.identity.name);
        let call = call.schedule_expression(&changed.expression).schedule_expression_timezone(&changed.timezone);
        let call = call.state(ScheduleState::from(changed.state.as_str()));
        let mut call = call.flexible_time_window(window).target(self.target(&changed)?);
        if let Some(whole) = whole {
            let now = DateTime::from(SystemTime::now());
            call = call.set_start_date(whole.start_date.filter(|start| *start > now)).set_end_date(whole.end_date);
            call = call.set_description(whole.description).set_kms_key_arn(whole.kms_key_arn);
            call = call.set_action_after_completion(whole.action_after_completion);
        }
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
        whole: Some(Rc::new(schedule.clone())),
    }
}

#[cfg(test)]
mod tests {
    use ecs_core::resource::Means;

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

    fn schedule(queue: &str, retries: (Option<i32>, Option<i32>)) -> Schedule {
        let mut wanted = live(&GetScheduleOutput::builder().build());
        wanted.queue = queue.to_owned();
        wanted.window = "OFF".to_owned();
        wanted.retries = (retries.0.unwrap_or(RETRIES.0), retries.1.unwrap_or(RETRIES.1));
        wanted.subnets = BTreeSet::from(["subnet-1".to_owned()]);
        let identity = Identity::new("prod", LAYER, "cleanup");
        Schedule { identity, group: "prod".to_owned(), wanted, retries, new_role: false }
    }

    #[test]
    fn what_the_file_does_not_speak_of_is_theirs_and_goes_back_as_it_was() {
        let ecs = EcsParameters::builder().task_definition_arn("d").task_count(2).enable_execute_command(true);
        let target = Target::builder().arn("c").role_arn("r").ecs_parameters(ecs.build().expect("a definition"));
        let queue = DeadLetterConfig::builder().arn("theirs").build();
        let retry = RetryPolicy::builder().maximum_retry_attempts(3).build();
        let target = target.dead_letter_config(queue).retry_policy(retry).build().expect("a target");
        let is = live(&GetScheduleOutput::builder().target(target).build());
        let retried = |schedule: &Schedule, changes: &[Change]| {
            let target = schedule.target(&schedule.changed(&is, changes)).expect("built");
            let attempts = target.retry_policy().and_then(RetryPolicy::maximum_retry_attempts);
            let queue = target.dead_letter_config().and_then(DeadLetterConfig::arn).map(str::to_owned);
            let count = target.ecs_parameters().and_then(EcsParameters::task_count);
            (attempts, queue, count)
        };
        let silent = schedule("", (None, None));
        let foreign: Vec<Change> =
            silent.diff(&is).into_iter().filter(|change| change.means == Means::Foreign).collect();
        let fields: Vec<&str> = foreign.iter().map(|change| change.field).collect();
        assert_eq!(fields, [WINDOW, ATTEMPTS, QUEUE]);
        assert_eq!(retried(&silent, &[]), (Some(3), Some("theirs".to_owned()), Some(2)));
        assert_eq!(retried(&silent, &foreign), (Some(RETRIES.0), None, Some(2)), "with --prune");
        let says = schedule("ours", (Some(5), None));
        let changes = says.diff(&is);
        assert_eq!(retried(&says, &changes), (Some(5), Some("ours".to_owned()), Some(2)));
    }
}
