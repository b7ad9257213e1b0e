//! What runs right now, and what it runs with: what the stack file no longer asks for may be among it, until it has stopped.

use std::collections::BTreeMap;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{Service, Task, TaskDefinition};
use aws_sdk_scheduler::operation::get_schedule::GetScheduleOutput;
use ecs_core::{All as _, Error, Kind, Result, Stack};
use futures::future::join_all;
use futures::join;
use serde_json::Value;

use crate::error::Answer as _;
use crate::{Api, Session};

/// How many names DescribeServices takes, and how many calls go side by side.
const BATCH: usize = 10;
/// How many ARNs ListServices and ListTasks return in one reply, and DescribeTasks takes.
const PAGE: i32 = 100;
/// How the group of a service's tasks begins; those of others are in one of another name.
/// Source: `Task`, `group`.
const OF_SERVICE: &str = "service:";

/// The client of ECS.
type Ecs = Api<Client>;
/// The client of EventBridge Scheduler.
type Scheduler = Api<aws_sdk_scheduler::Client>;

/// Roles, parameters and secrets that something in the stack's cluster runs with, each with what that is.
#[derive(Debug, Default)]
pub struct InUse {
    users: BTreeMap<String, String>,
}

/// Task definitions that run, or that a schedule runs, each once with what runs it.
#[derive(Debug, Default)]
struct Running {
    definitions: Vec<(String, String)>,
}

impl InUse {
    /// Reads what runs in the stack's cluster, whoever has started it, and what the stack's schedules run; a cluster or a
    /// schedule group that does not exist uses nothing.
    ///
    /// A service that is being deleted counts as long as it has tasks, and one of the file in every deployment that is
    /// going on.
    ///
    /// # Errors
    /// Any refusal by ECS or EventBridge Scheduler.
    pub async fn read(session: &Session, stack: &Stack) -> Result<Self> {
        let ecs = session.api(Client::new);
        let scheduler = session.api(aws_sdk_scheduler::Client::new);
        let cluster = stack.cluster_name();
        let (services, tasks, schedules) =
            join!(services(&ecs, &cluster), tasks(&ecs, &cluster), schedules(&scheduler, stack.schedule_group()));
        let (services, tasks, schedules) = (services, tasks, schedules).all()?;
        let (mut used, mut running) = (Self::default(), Running::default());
        for service in &services {
            used.add_service(service, &mut running);
        }
        for task in &tasks {
            running.add_task(task);
        }
        for schedule in &schedules {
            used.add_schedule(schedule, &mut running);
        }
        for some in running.definitions.chunks(BATCH) {
            let described = join_all(some.iter().map(|(name, _)| definition(&ecs, name))).await.all()?;
            for ((_, user), definition) in some.iter().zip(described) {
                definition.iter().for_each(|definition| used.add_definition(user, definition));
            }
        }
        Ok(used)
    }

    /// Returns what uses a role or a secret by its ARN, if anything does: `service web-service`.
    pub fn of_arn(&self, arn: &str) -> Option<&str> {
        self.users.get(arn).map(String::as_str)
    }

    /// Returns what uses a parameter, if anything does: a task definition names it by its name or its ARN.
    pub fn of_parameter(&self, name: &str) -> Option<&str> {
        let end = format!(":parameter/{}", name.trim_start_matches('/'));
        let used = self.users.iter().find(|(what, _)| *what == name || what.ends_with(&end));
        used.map(|(_, user)| user.as_str())
    }

    /// Says of something that is no longer needed why it stays, and until when.
    pub fn stays(what: &str, user: &str) -> String {
        format!(
            "{what} is no longer needed, but {user} still runs with it: left alone, it goes with the next run with --prune \
             when {user} has stopped or runs without it"
        )
    }

    fn add_service(&mut self, service: &Service, running: &mut Running) {
        let runs = match service.status() {
            Some("ACTIVE") => true,
            Some("DRAINING") => service.running_count() + service.pending_count() > 0,
            Some(_) | None => false,
        };
        if !runs {
            return;
        }
        let user = format!("service {}", service.service_name().unwrap_or_default());
        let balancers = service.load_balancers().iter().filter_map(|balancer| balancer.advanced_configuration());
        self.add(&user, balancers.filter_map(|advanced| advanced.role_arn()));
        let going_on = service.deployments().iter().filter_map(|deployment| deployment.task_definition());
        for arn in going_on.chain(service.task_definition()) {
            running.add(arn, &user);
        }
    }

    /// Adds a schedule: the role with which Scheduler starts its task, and what the task runs with.
    fn add_schedule(&mut self, schedule: &GetScheduleOutput, running: &mut Running) {
        let user = format!("schedule {}", schedule.name().unwrap_or_default());
        let Some(target) = schedule.target() else { return };
        self.add(&user, std::iter::once(target.role_arn()));
        if let Some(arn) = target.ecs_parameters().map(|parameters| parameters.task_definition_arn()) {
            // The family alone, which is the latest revision's name.
            running.add(arn.rsplit_once(":task-definition/").map_or(arn, |(_, name)| name), &user);
        }
        // It may give the task other roles: `TaskOverride` of RunTask.
        let input: Value = target.input().and_then(|input| serde_json::from_str(input).ok()).unwrap_or_default();
        let roles = ["taskRoleArn", "executionRoleArn"].into_iter().filter_map(|role| input.get(role)?.as_str());
        self.add(&user, roles);
    }

    fn add_definition(&mut self, user: &str, definition: &TaskDefinition) {
        self.add(user, [definition.task_role_arn(), definition.execution_role_arn()].into_iter().flatten());
        for container in definition.container_definitions() {
            let log = container.log_configuration().map(|log| log.secret_options()).unwrap_or_default();
            self.add(user, container.secrets().iter().chain(log).map(|secret| secret.value_from()));
        }
    }

    fn add<'w>(&mut self, user: &str, what: impl Iterator<Item = &'w str>) {
        for what in what {
            self.users.entry(what.to_owned()).or_insert_with(|| user.to_owned());
        }
    }
}

impl Running {
    /// Adds a task that is no service's: a schedule or a person has started it.
    fn add_task(&mut self, task: &Task) {
        let arn = task.task_definition_arn().unwrap_or_default();
        if !task.group().unwrap_or_default().starts_with(OF_SERVICE) {
            let family = arn.rsplit('/').next().and_then(|name| name.split(':').next()).unwrap_or_default();
            self.add(arn, &format!("a task of {family}"));
        }
    }

    fn add(&mut self, definition: &str, user: &str) {
        if !self.definitions.iter().any(|(known, _)| known == definition) {
            self.definitions.push((definition.to_owned(), user.to_owned()));
        }
    }
}

/// Returns all services of a cluster; `INACTIVE` ones may be among them.
async fn services(ecs: &Ecs, cluster: &str) -> Result<Vec<Service>> {
    let call = ecs.read.list_services().cluster(cluster).into_paginator().page_size(PAGE).items().send();
    let arns = call.collect::<std::result::Result<Vec<_>, _>>().await.answer("ecs:ListServices");
    let arns = if_found(arns)?;
    let described = arns.chunks(BATCH).map(async |arns| {
        let call = ecs.read.describe_services().cluster(cluster).set_services(Some(arns.to_vec()));
        if_found(call.send().await.answer("ecs:DescribeServices").map(|reply| reply.services.unwrap_or_default()))
    });
    Ok(join_all(described).await.all()?.into_iter().flatten().collect())
}

/// Returns all tasks of a cluster that are to run.
async fn tasks(ecs: &Ecs, cluster: &str) -> Result<Vec<Task>> {
    let call = ecs.read.list_tasks().cluster(cluster).into_paginator().page_size(PAGE).items().send();
    let arns = call.collect::<std::result::Result<Vec<_>, _>>().await.answer("ecs:ListTasks");
    let arns = if_found(arns)?;
    let described = arns.chunks(PAGE.unsigned_abs() as usize).map(async |arns| {
        let call = ecs.read.describe_tasks().cluster(cluster).set_tasks(Some(arns.to_vec()));
        if_found(call.send().await.answer("ecs:DescribeTasks").map(|reply| reply.tasks.unwrap_or_default()))
    });
    Ok(join_all(described).await.all()?.into_iter().flatten().collect())
}

/// Returns the schedules of a group.
async fn schedules(scheduler: &Scheduler, group: &str) -> Result<Vec<GetScheduleOutput>> {
    let call = scheduler.read.list_schedules().group_name(group).into_paginator().items().send();
    let listed = call.collect::<std::result::Result<Vec<_>, _>>().await.answer("scheduler:ListSchedules");
    let listed = if_found(listed)?;
    let read = listed.iter().filter_map(|schedule| schedule.name()).map(async |name| {
        let call = scheduler.read.get_schedule().group_name(group).name(name);
        call.send().await.answer_if_found("scheduler:GetSchedule")
    });
    Ok(join_all(read).await.all()?.into_iter().flatten().collect())
}

/// Returns a task definition; none of one that has been deleted: its tasks run on, and nobody can tell with what.
async fn definition(ecs: &Ecs, name: &str) -> Result<Option<TaskDefinition>> {
    let reply = ecs.read.describe_task_definition().task_definition(name).send().await;
    match reply.answer("ecs:DescribeTaskDefinition") {
        Ok(reply) => Ok(reply.task_definition),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes what is in something that does not exist for nothing.
fn if_found<T>(reply: Result<Vec<T>>) -> Result<Vec<T>> {
    match reply {
        Err(error) if error.kind() == Kind::NotFound => Ok(Vec::new()),
        reply => reply,
    }
}

/// ECS has no error code of its own for a task definition that does not exist.
fn is_absent(error: &Error) -> bool {
    error.code() == Some("ClientException") && error.message().contains("Unable to describe task definition")
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{ContainerDefinition, Secret};
    use aws_sdk_scheduler::types::{EcsParameters, Target};

    use super::*;

    #[test]
    fn a_parameter_is_found_by_its_name_and_by_its_arn() {
        let secret = |from: &str| Secret::builder().name("X").value_from(from).build().expect("both are there");
        let container = ContainerDefinition::builder()
            .secrets(secret("arn:aws:ssm:us-east-1:1:parameter/ecs/backend/DB_HOST"))
            .secrets(secret("/ecs/backend/DB_PORT"));
        let definition = TaskDefinition::builder().task_role_arn("arn:aws:iam::1:role/tasks");
        let mut used = InUse::default();
        used.add_definition("backend-service", &definition.container_definitions(container.build()).build());
        for name in ["/ecs/backend/DB_HOST", "/ecs/backend/DB_PORT"] {
            assert_eq!(used.of_parameter(name), Some("backend-service"), "{name}");
        }
        assert_eq!(used.of_parameter("/backend/DB_HOST"), None);
        assert_eq!(used.of_arn("arn:aws:iam::1:role/tasks"), Some("backend-service"));
        assert_eq!(used.of_arn("arn:aws:iam::1:role/other"), None);
    }

    #[test]
    fn a_service_uses_its_definition_until_its_last_task_is_gone() {
        let runs = |status: &str, tasks: i32| {
            let service = Service::builder().service_name("web").status(status).running_count(tasks);
            let (mut used, mut running) = (InUse::default(), Running::default());
            used.add_service(&service.task_definition("web-task:1").build(), &mut running);
            running.definitions.first().map(|(_, user)| user.clone())
        };
        let web = || Some("service web".to_owned());
        let cases = [
            ("ACTIVE", 0, web()),
            ("ACTIVE", 2, web()),
            ("DRAINING", 1, web()),
            ("DRAINING", 0, None),
            ("INACTIVE", 0, None),
        ];
        for (status, tasks, wanted) in cases {
            assert_eq!(runs(status, tasks), wanted, "{status} with {tasks}");
        }
    }

    #[test]
    fn a_schedule_uses_its_role_and_what_its_tasks_run_with() {
        let ecs = EcsParameters::builder().task_definition_arn("arn:aws:ecs:r:1:task-definition/report-task");
        let target = Target::builder().arn("arn:cluster").role_arn("arn:scheduler");
        let target = target.ecs_parameters(ecs.build().expect("a definition"));
        let target = target.input(r#"{"taskRoleArn": "arn:other", "containerOverrides": []}"#);
        let schedule = GetScheduleOutput::builder().name("monthly").target(target.build().expect("a target"));
        let (mut used, mut running) = (InUse::default(), Running::default());
        used.add_schedule(&schedule.build(), &mut running);
        let monthly = Some("schedule monthly");
        assert_eq!((used.of_arn("arn:scheduler"), used.of_arn("arn:other")), (monthly, monthly));
        assert_eq!(running.definitions, [("report-task".to_owned(), "schedule monthly".to_owned())]);
    }

    #[test]
    fn a_task_counts_by_itself_where_no_service_has_started_it() {
        let mut running = Running::default();
        let task = |group: &str, name: &str| {
            let arn = format!("arn:aws:ecs:r:1:task-definition/{name}:3");
            Task::builder().group(group).task_definition_arn(arn).build()
        };
        running.add_task(&task("service:web", "web-task"));
        running.add_task(&task("family:report-task", "report-task"));
        let found: Vec<_> = running.definitions.into_iter().map(|(_, user)| user).collect();
        assert_eq!(found, ["a task of report-task"]);
    }
}
