//! One-off tasks: run with a service's network, their log lines streamed, their exit codes passed on.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_ecs::types::{ContainerOverride, PropagateTags, Service, Tag, Task, TaskOverride};
use ecs_aws::deployment::{Cause, primary, short, stopped_because};
use ecs_aws::{Answer as _, present};
use ecs_core::console::human;
use ecs_core::{Error, Kind, Result};
use tokio::time::Instant;

use crate::aws::insist;
use crate::context::Context;
use crate::definition::Definition;
use crate::diagnosis::{Diagnosis, ExitCode, LogTail, StoppedTask};
use crate::logs::Stream;
use crate::report::TaskReport;

/// Longest wait where nobody says one: a migration may take its time, but not the whole night.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);
/// How often a silent wait says that it lives.
const SAY_EVERY: Duration = Duration::from_secs(15);
/// Bounds of the pause between two looks.
const PACE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How often the log of a task that has ended is read again, in case its last lines are not there yet.
const LAST_READS: u32 = 3;
/// Lines of a failed task that go into the report.
const TAIL: usize = 20;
/// What `startedBy` says of the tasks.
const STARTED_BY: &str = "ecs-deploy";

/// A command to run with a service's network and task definition.
pub struct OneOff<'o> {
    /// What it is run beside
    pub on: Context<'o>,
    /// The service whose network it has, as ECS describes it
    pub service: &'o Service,
    /// ARN of the revision to run
    pub revision: &'o str,
    /// That revision
    pub definition: &'o Definition,
    /// Container that runs the command
    pub container: String,
    /// Command and arguments; empty: the container's own
    pub command: &'o [String],
}

/// The tasks of one command, and what they wrote.
#[derive(Debug, Default)]
pub struct Tasks {
    /// As ECS described them at last
    pub tasks: Vec<Task>,
    container: String,
    tails: HashMap<String, Vec<String>>,
    /// The wait ended before the tasks did
    pub timed_out: bool,
}

impl OneOff<'_> {
    /// Starts the tasks.
    ///
    /// # Errors
    /// Any refusal by ECS, a place that Fargate does not have included.
    pub async fn start(&self, count: i32) -> Result<Tasks> {
        self.on.stop.check()?;
        let token = self.token();
        let send = async || {
            let call = self.on.aws.ecs.write.run_task().cluster(self.service.cluster_arn().unwrap_or_default());
            let call = call.task_definition(self.revision).count(count).client_token(&token).started_by(STARTED_BY);
            let call = call.set_network_configuration(self.service.network_configuration().cloned());
            let strategy = self.service.capacity_provider_strategy();
            let call = if strategy.is_empty() {
                call.set_launch_type(self.service.launch_type().cloned())
            } else {
                call.set_capacity_provider_strategy(Some(strategy.to_vec()))
            };
            let call = call.set_platform_version(self.service.platform_version().map(str::to_owned));
            let call = call.propagate_tags(PropagateTags::TaskDefinition).enable_ecs_managed_tags(true);
            let call = call.set_overrides(self.overrides()).set_tags(Some(self.tags()));
            call.send().await.answer("ecs:RunTask")
        };
        // With its token, the same call sent again starts nothing twice.
        let reply = match insist(send).await {
            Err(error) if error.kind() == Kind::Transient => insist(send).await,
            reply => reply,
        };
        let reply = reply.map_err(|error| error.doing(format!("running a task of {}", short(self.revision))))?;
        let tasks = reply.tasks.unwrap_or_default();
        if let Some(failure) = reply.failures.unwrap_or_default().into_iter().next() {
            let reason = failure.reason.or(failure.detail).unwrap_or_else(|| "ECS gives no reason".to_owned());
            let error = Error::other(reason.clone()).doing(format!("running a task of {}", short(self.revision)));
            let error = error.hint(Cause::of_text(&reason).hint());
            let begun = tasks.iter().filter_map(Task::task_arn);
            return Err(begun.fold(error, |error, arn| error.left_behind(format!("task {arn}"))));
        }
        if tasks.is_empty() {
            return present(None, "ecs:RunTask", "the task");
        }
        for task in &tasks {
            self.on.voice.say(
                "running",
                &format!("running {} as task {}", self.words(), short(task.task_arn().unwrap_or_default())),
            );
        }
        Ok(Tasks { tasks, container: self.container.clone(), ..Tasks::default() })
    }

    /// Waits until the tasks have ended, and writes what they write to stderr.
    ///
    /// # Errors
    /// [`Kind::Interrupted`], [`Kind::Credentials`]; the tasks go on in both.
    pub async fn to_its_end(&self, begun: Tasks) -> Result<Tasks> {
        let mut run = begun;
        let ended = self.wait(&mut run).await;
        self.on.voice.end();
        let names: Vec<_> = run.tasks.iter().filter_map(Task::task_arn).map(short).collect();
        ended.map_err(|error| error.hint(format!("the task goes on without us: {}", names.join(", "))))?;
        Ok(run)
    }

    async fn wait(&self, run: &mut Tasks) -> Result<()> {
        let arns: Vec<String> = run.tasks.iter().filter_map(|task| task.task_arn().map(str::to_owned)).collect();
        let mut streams: HashMap<String, Stream> = HashMap::new();
        let (begin, mut said) = (Instant::now(), Instant::now());
        let (mut trouble, mut last_reads) = (None, 0);
        let mut states: Vec<String> = Vec::new();
        loop {
            match self.on.stop.or(self.look(&arns)).await? {
                Ok(tasks) if tasks.len() == arns.len() => {
                    trouble = None;
                    run.tasks = tasks;
                }
                // Not listed yet.
                Ok(_) => {}
                Err(error) if matches!(error.kind(), Kind::Throttled | Kind::Transient) => {
                    if trouble.as_deref() != Some(error.message()) {
                        self.on
                            .voice
                            .warn(&format!("no look at the task for the moment, it goes on: {}", error.message()));
                        trouble = Some(error.message().to_owned());
                    }
                }
                Err(error) => return Err(error),
            }
            let now: Vec<String> =
                run.tasks.iter().map(|task| task.last_status().unwrap_or_default().to_owned()).collect();
            if now != states {
                self.on.voice.say("progress", &format!("task {}", crate::follow::words(&now.join(", "))));
                said = Instant::now();
                states = now;
            }
            let read = self.on.stop.or(self.read(run, &mut streams)).await?;
            if read > 0 {
                said = Instant::now();
            }
            if run.tasks.iter().all(|task| task.last_status() == Some("STOPPED")) {
                // Where something came, it is whole: the driver waits for its last line before the task stops.
                last_reads += 1;
                if read == 0 && (last_reads >= LAST_READS || !run.tails.is_empty() || streams.is_empty()) {
                    return Ok(());
                }
            }
            let waited = begin.elapsed();
            if waited >= self.on.timeout.unwrap_or(PATIENCE) {
                run.timed_out = true;
                return Ok(());
            }
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                self.on
                    .voice
                    .say("waiting", &format!("waiting for the task: {}, for {}", states.join(", "), human(waited)));
            }
            self.on.voice.show(format!("{}  task {}", self.words(), states.join(", ")));
            self.on.stop.or(tokio::time::sleep((waited / 10).clamp(PACE.0, PACE.1))).await?;
        }
    }

    async fn look(&self, arns: &[String]) -> Result<Vec<Task>> {
        let call = self.on.aws.looks.read.describe_tasks().cluster(self.service.cluster_arn().unwrap_or_default());
        let reply = call.set_tasks(Some(arns.to_vec())).send().await.answer("ecs:DescribeTasks")?;
        Ok(reply.tasks.unwrap_or_default())
    }

    /// Writes the new log lines; returns how many there were.
    async fn read(&self, run: &mut Tasks, streams: &mut HashMap<String, Stream>) -> usize {
        let several = run.tasks.len() > 1;
        let mut count = 0;
        for task in &run.tasks {
            let arn = task.task_arn().unwrap_or_default().to_owned();
            if !matches!(task.last_status(), Some("RUNNING" | "DEPROVISIONING" | "STOPPING" | "STOPPED")) {
                continue;
            }
            if !streams.contains_key(&arn) {
                let Some(stream) = Stream::of(self.on.aws, self.definition, &self.container, &arn) else { continue };
                streams.insert(arn.clone(), stream);
            }
            let Some(stream) = streams.get_mut(&arn) else { continue };
            match stream.next().await {
                Ok(lines) => {
                    count += lines.len();
                    for line in &lines {
                        let prefix = if several { format!("{} ", short(&arn)) } else { String::new() };
                        self.on.voice.say("log", &format!("{prefix}| {line}"));
                    }
                    if !lines.is_empty() {
                        let tail = run.tails.entry(arn).or_default();
                        tail.extend(lines);
                        let surplus = tail.len().saturating_sub(TAIL);
                        tail.drain(..surplus);
                    }
                }
                Err(error) => {
                    self.on.voice.detail("log", &format!("the task's log cannot be read: {}", error.message()));
                }
            }
        }
        count
    }

    fn overrides(&self) -> Option<TaskOverride> {
        if self.command.is_empty() {
            return None;
        }
        let container = ContainerOverride::builder().name(&self.container).set_command(Some(self.command.to_vec()));
        Some(TaskOverride::builder().container_overrides(container.build()).build())
    }

    fn tags(&self) -> Vec<Tag> {
        let service = self.service.service_name().unwrap_or_default();
        vec![Tag::builder().key("ecs-pipe:one-off").value(service).build()]
    }

    /// Returns a token that no other run has: at most 64 characters.
    fn token(&self) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        format!("ecs-deploy-{}-{}", std::process::id(), now.as_nanos())
    }

    fn words(&self) -> String {
        if self.command.is_empty() { "its own command".to_owned() } else { shell_words::join(self.command) }
    }
}

impl Tasks {
    /// Returns what became of each task.
    pub fn reports(&self) -> Vec<TaskReport> {
        let report = |task: &Task| {
            let reason = stopped_because(task);
            TaskReport {
                arn: task.task_arn().unwrap_or_default().to_owned(),
                exit_code: self.exit_code_of(task),
                reason: (!reason.is_empty()).then_some(reason),
            }
        };
        self.tasks.iter().map(report).collect()
    }

    /// Returns the worst exit code of the tasks' containers: that of the first that is not 0; none for one that never ran.
    pub fn exit_code(&self) -> Option<i32> {
        let codes: Vec<Option<i32>> = self.tasks.iter().map(|task| self.exit_code_of(task)).collect();
        codes.iter().find(|code| **code != Some(0)).copied().unwrap_or(Some(0))
    }

    /// Says why they are no success; none where they are one.
    pub fn failure(&self) -> Option<String> {
        if self.timed_out {
            return Some("the one-off task has not ended in time; it goes on".to_owned());
        }
        let failed = self.tasks.iter().find(|task| self.exit_code_of(task) != Some(0))?;
        let reason = stopped_because(failed);
        Some(match self.exit_code_of(failed) {
            Some(code) => format!("the one-off task ended with exit code {code}"),
            None => format!("the one-off task never ran: {reason}"),
        })
    }

    /// Makes the diagnosis of a failure.
    pub fn into_diagnosis(self) -> Option<Diagnosis> {
        let failed = self.tasks.iter().find(|task| self.exit_code_of(task) != Some(0))?;
        let (reason, cause) = (stopped_because(failed), Cause::of_task(failed).unwrap_or(Cause::Unknown));
        let arn = failed.task_arn().unwrap_or_default().to_owned();
        let tail = self.tails.get(&arn).cloned().unwrap_or_default();
        let log = LogTail { task: arn.clone(), container: self.container.clone(), lines: tail };
        let exit_codes = failed.containers().iter().filter_map(|container| {
            Some(ExitCode { container: container.name()?.to_owned(), code: container.exit_code()? })
        });
        let stopped = StoppedTask {
            arn,
            task_definition: short(failed.task_definition_arn().unwrap_or_default()).to_owned(),
            reason: reason.clone(),
            cause,
            exit_codes: exit_codes.collect(),
            others_like_it: 0,
        };
        Some(Diagnosis {
            cause,
            summary: format!("{}: {reason}", cause.title()),
            hint: cause.hint().to_owned(),
            stopped_tasks: vec![stopped],
            logs: if log.lines.is_empty() { Vec::new() } else { vec![log] },
            targets: Vec::new(),
            events: Vec::new(),
            alarms: Vec::new(),
        })
    }

    fn exit_code_of(&self, task: &Task) -> Option<i32> {
        let container = task.containers().iter().find(|container| container.name() == Some(self.container.as_str()));
        container.and_then(aws_sdk_ecs::types::Container::exit_code)
    }
}

/// Returns the revision that a service runs, or is about to.
pub fn revision_of(service: &Service) -> &str {
    let running = primary(service).and_then(aws_sdk_ecs::types::Deployment::task_definition);
    running.or(service.task_definition()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::Container;

    use super::*;

    fn task(code: Option<i32>) -> Task {
        let container = Container::builder().name("app").set_exit_code(code).build();
        let sidecar = Container::builder().name("agent").exit_code(1).build();
        Task::builder()
            .task_arn("arn:task/c/1")
            .stopped_reason("Essential container in task exited")
            .containers(sidecar)
            .containers(container)
            .build()
    }

    fn tasks(codes: &[Option<i32>]) -> Tasks {
        let tasks = codes.iter().map(|code| task(*code)).collect();
        Tasks { tasks, container: "app".to_owned(), ..Tasks::default() }
    }

    #[test]
    fn the_exit_code_is_that_of_the_container_that_ran_the_command() {
        let cases = [
            (vec![Some(0)], Some(0), true),
            (vec![Some(0), Some(3)], Some(3), false),
            (vec![None], None, false),
            (vec![Some(0), Some(0)], Some(0), true),
        ];
        for (codes, code, fine) in cases {
            let tasks = tasks(&codes);
            assert_eq!((tasks.exit_code(), tasks.failure().is_none()), (code, fine), "{codes:?}");
        }
    }
}
