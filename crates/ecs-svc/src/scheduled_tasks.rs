//! Tasks of the stack that no service keeps, as schedules start them: a cluster cannot be deleted while they run.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_ecs::types::{Task, TaskField};
use ecs_aws::Answer as _;
use ecs_core::{All as _, Error, Identity, Kind, Owner, Resource, Result, Stack};
use futures::future::join_all;

use crate::{Ecs, LAYER, ecs};

/// How many ARNs ListTasks returns in one reply, and DescribeTasks takes.
const PAGE: i32 = 100;
/// How the group of a service's tasks begins. Source: `Task`, `group`.
const OF_SERVICE: &str = "service:";
/// What their stopped reason says.
const REASON: &str = "the stack is being destroyed";

/// All such tasks in one cluster: a destroy stops them.
#[derive(Debug)]
pub struct ScheduledTasks {
    identity: Identity,
    /// Families of the stack file's services
    families: BTreeSet<String>,
    /// More may be started until the schedules are gone
    scheduled: bool,
    /// Those that were told to stop
    stopping: RefCell<BTreeSet<String>>,
}

/// ARNs of the tasks that are to run.
#[derive(Debug, Clone)]
pub struct Live {
    arns: Vec<String>,
}

impl ScheduledTasks {
    /// Makes the search in the stack's cluster.
    pub fn new(stack: &Stack) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, stack.cluster_name()),
            families: stack.services.iter().map(|(key, service)| service.family(key)).collect(),
            scheduled: !stack.schedules.is_empty(),
            stopping: RefCell::default(),
        }
    }

    async fn running(&self, ecs: &Ecs) -> Result<Vec<String>> {
        let call = ecs.read.list_tasks().cluster(&self.identity.name).into_paginator().page_size(PAGE).items().send();
        let arns = match call.collect::<std::result::Result<Vec<_>, _>>().await.answer("ecs:ListTasks") {
            // Without the cluster there is nothing in it.
            Err(error) if error.kind() == Kind::NotFound => return Ok(Vec::new()),
            arns => arns?,
        };
        let tasks = self.describe(ecs, &arns).await?;
        let ours = tasks.into_iter().filter(|task| self.is_ours(task));
        Ok(ours.filter_map(|task| task.task_arn).collect())
    }

    async fn describe(&self, ecs: &Ecs, arns: &[String]) -> Result<Vec<Task>> {
        let some = arns.chunks(PAGE.unsigned_abs() as usize).map(async |arns| {
            let call = ecs.read.describe_tasks().cluster(&self.identity.name).include(TaskField::Tags);
            let reply = call.set_tasks(Some(arns.to_vec())).send().await.answer("ecs:DescribeTasks")?;
            Ok(reply.tasks.unwrap_or_default())
        });
        Ok(join_all(some).await.all()?.into_iter().flatten().collect())
    }

    /// Says whether a task is the stack's, and no service's: schedules give tasks the tags of their definition, and one that
    /// was registered by a deployment may have none.
    fn is_ours(&self, task: &Task) -> bool {
        let definition = ecs::short(task.task_definition_arn().unwrap_or_default());
        let known = self.families.contains(definition.split(':').next().unwrap_or_default());
        let owned = match ecs::owner(&self.identity, task.tags()) {
            Owner::Ours => true,
            Owner::Nobody | Owner::Unread => known,
            Owner::Stack(_) => false,
        };
        owned && !task.group().unwrap_or_default().starts_with(OF_SERVICE)
    }
}

impl Resource for ScheduledTasks {
    type Api = Ecs;
    type Live = Live;
    const KIND: &'static str = "scheduled tasks in cluster";
    /// A container has up to 2 min to stop: <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>,
    /// `stopTimeout`.
    const PATIENCE: Duration = Duration::from_secs(5 * 60);
    const USUAL: &'static str = "up to 1 min";

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        match live.arns.len() {
            0 => "none runs".to_owned(),
            1 => "1 task".to_owned(),
            count => format!("{count} tasks"),
        }
    }

    fn planned(&self) -> Live {
        Live { arns: Vec::new() }
    }

    async fn find(&self, ecs: &Ecs) -> Result<Option<Live>> {
        let arns = self.running(ecs).await?;
        Ok((self.scheduled || !arns.is_empty()).then_some(Live { arns }))
    }

    /// Never called: schedules start them.
    async fn create(&self, _ecs: &Ecs) -> Result<Live> {
        Ok(self.planned())
    }

    /// Stops them, those too that were started since they were looked for, and waits until they have stopped.
    async fn delete(&self, ecs: &Ecs, _live: &Live) -> Result<()> {
        let running = self.running(ecs).await?;
        let stops = running.iter().map(async |arn| {
            let call = ecs.write.stop_task().cluster(&self.identity.name).task(arn).reason(REASON);
            match call.send().await.answer("ecs:StopTask") {
                // It has ended by itself.
                Err(error) if error.code() == Some("InvalidParameterException") => Ok(()),
                other => other.map(drop),
            }
        });
        join_all(stops).await.all()?;
        self.stopping.borrow_mut().extend(running);
        let stopping: Vec<String> = self.stopping.borrow().iter().cloned().collect();
        let tasks = self.describe(ecs, &stopping).await?;
        match tasks.iter().filter(|task| task.last_status() != Some("STOPPED")).count() {
            0 => Ok(()),
            1 => Err(Error::new(Kind::Busy, "stopping (1 task)")),
            count => Err(Error::new(Kind::Busy, format!("stopping ({count} tasks)"))),
        }
    }

    fn owner(&self, _live: &Live) -> Owner {
        // Nothing is found but what is the stack's.
        Owner::Ours
    }

    async fn adopt(&self, _ecs: &Ecs, _live: &Live) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::Tag;

    use super::*;

    #[test]
    fn only_tasks_of_the_stack_that_no_service_keeps_are_stopped() {
        let tasks = ScheduledTasks::new(&Stack::default());
        let task = |group: &str, family: &str, stack: Option<&str>| {
            let tag = stack.map(|stack| vec![Tag::builder().key("ecs-pipe:stack").value(stack).build()]);
            let arn = format!("arn:aws:ecs:r:1:task-definition/{family}:3");
            Task::builder().group(group).task_definition_arn(arn).set_tags(tag).build()
        };
        let cases = [
            (task("family:backend-task", "backend-task", Some("ecs-production")), true),
            (task("family:backend-task", "backend-task", None), true),
            (task("family:backend-task", "backend-task", Some("staging")), false),
            (task("service:backend-service", "backend-task", Some("ecs-production")), false),
            (task("family:reporting-task", "reporting-task", Some("ecs-production")), true),
            (task("family:theirs", "theirs", None), false),
        ];
        for (task, ours) in cases {
            assert_eq!(tasks.is_ours(&task), ours, "{task:?}");
        }
    }
}
