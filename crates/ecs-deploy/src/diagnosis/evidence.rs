//! Collects what a diagnosis is concluded from, while it is there: stopped tasks, events, the health of targets.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use aws_sdk_ecs::primitives::DateTime;
use aws_sdk_ecs::types::{Service, ServiceDeployment, Task};
use aws_sdk_elasticloadbalancingv2::types::TargetHealthStateEnum;
use ecs_aws::Answer as _;
use ecs_aws::deployment::{Cause, short, stopped_because, stopped_tasks};
use ecs_core::Result;

use super::{Diagnosis, ExitCode, LogTail, StoppedTask, TargetState};
use crate::aws::Aws;
use crate::definition::Definition;
use crate::logs::{Stream, worth_reading};

/// How many events are kept for the report.
const EVENTS: usize = 20;
/// How many different reasons of stopped tasks are told.
const REASONS: usize = 5;
/// From how many stopped tasks on a service is not well, even where all that it wants are running.
const FLAPS: usize = 2;
/// Of how many tasks the log is read.
const LOGS: usize = 2;

/// What was seen so far of one service.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Only what is younger counts
    since: Option<DateTime>,
    seen: HashSet<String>,
    events: Vec<String>,
    tasks: Vec<Task>,
    targets: BTreeMap<(String, String), TargetState>,
}

impl Evidence {
    /// Starts to collect what is younger than a time.
    pub fn since(since: Option<DateTime>) -> Self {
        Self { since, ..Self::default() }
    }

    /// Takes in the service's events; returns those that are new, oldest first.
    pub fn take_events(&mut self, service: &Service) -> Vec<String> {
        let mut new = Vec::new();
        for event in service.events().iter().rev() {
            let young = match (event.created_at(), &self.since) {
                (Some(at), Some(since)) => at.as_nanos() >= since.as_nanos(),
                (_, _) => true,
            };
            let id = event.id().unwrap_or_default().to_owned();
            if let (true, true, Some(message)) = (young, self.seen.insert(id), event.message()) {
                new.push(message.to_owned());
            }
        }
        self.events.extend(new.iter().cloned());
        new
    }

    /// Looks for stopped tasks; returns the causes that were not known before.
    ///
    /// # Errors
    /// Any refusal by ECS.
    pub async fn take_tasks(&mut self, aws: &Aws, cluster: &str, service: &str) -> Result<Vec<Cause>> {
        let mut causes = Vec::new();
        for task in stopped_tasks(&aws.ecs, cluster, service).await? {
            let young = match (task.created_at(), &self.since) {
                (Some(at), Some(since)) => at.as_nanos() >= since.as_nanos(),
                (_, _) => true,
            };
            let known = self.tasks.iter().any(|known| known.task_arn() == task.task_arn());
            if let (true, false, Some(cause)) = (young, known, Cause::of_task(&task)) {
                if !self.tasks.iter().any(|known| Cause::of_task(known) == Some(cause)) && !causes.contains(&cause) {
                    causes.push(cause);
                }
                self.tasks.push(task);
            }
        }
        self.tasks.sort_by_key(|task| std::cmp::Reverse(task.stopped_at().map(|at| at.as_nanos())));
        Ok(causes)
    }

    /// Forgets stopped tasks of other revisions: those of a version that was rolled back.
    pub fn keep_tasks_of(&mut self, revision: &str) {
        self.tasks.retain(|task| task.task_definition_arn() == Some(revision));
    }

    /// Looks at the health of the targets; returns a line for each that has changed.
    ///
    /// # Errors
    /// Any refusal by ELB.
    pub async fn take_targets(&mut self, aws: &Aws, groups: &BTreeSet<String>) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for arn in groups {
            let reply = aws.elb.read.describe_target_health().target_group_arn(arn).send().await;
            let reply = reply.answer_if_found("elasticloadbalancing:DescribeTargetHealth")?;
            for described in reply.and_then(|reply| reply.target_health_descriptions).unwrap_or_default() {
                let (Some(target), Some(health)) = (described.target(), described.target_health()) else { continue };
                let state = TargetState {
                    target_group: arn.split('/').nth(1).unwrap_or(arn).to_owned(),
                    target: format!("{}:{}", target.id().unwrap_or_default(), target.port().unwrap_or_default()),
                    state: health.state().map_or("", TargetHealthStateEnum::as_str).to_owned(),
                    reason: health.reason().map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
                    description: health.description().unwrap_or_default().to_owned(),
                };
                let place = (state.target_group.clone(), state.target.clone());
                if self.targets.get(&place) != Some(&state) {
                    let words = format!(
                        "target {} in {}: {} {}",
                        state.target, state.target_group, state.state, state.description
                    );
                    // Nothing has changed for one that is healthy when it is first seen.
                    if self.targets.contains_key(&place) || state.state != "healthy" {
                        lines.push(words.trim_end().to_owned());
                    }
                    // What was unhealthy before it was drained stays in evidence.
                    let drains = state.state == "draining" && self.targets.contains_key(&place);
                    if !drains {
                        self.targets.insert(place, state);
                    }
                }
            }
        }
        Ok(lines)
    }

    /// Returns the cause of the newest task that stopped.
    pub fn newest_cause(&self) -> Option<Cause> {
        self.tasks.iter().find_map(Cause::of_task)
    }

    /// Returns a cause of what was seen that trying again cannot mend.
    pub fn final_cause(&self) -> Option<Cause> {
        let tasks = self.tasks.iter().filter_map(Cause::of_task);
        tasks.chain(self.events.iter().map(|event| Cause::of_text(event))).find(|cause| cause.is_final())
    }

    /// Says whether what was seen is not well: a target that is not healthy, or tasks of the revision that runs which keep
    /// stopping.
    pub fn is_ill(&self, running: &str) -> bool {
        let targets = self.targets.values().any(|target| matches!(target.state.as_str(), "unhealthy" | "unavailable"));
        let stop = self.tasks.iter().filter(|task| task.task_definition_arn() == Some(running)).count();
        targets || stop >= FLAPS
    }

    /// Concludes; reads the last log lines of the tasks that failed. What cannot be read is left out, and said.
    pub async fn conclude(
        &mut self,
        aws: &Aws,
        service: &Service,
        deployment: Option<&ServiceDeployment>,
        warn: impl Fn(String),
    ) -> Diagnosis {
        let mut tasks: Vec<StoppedTask> = Vec::new();
        let mut newest: Vec<&Task> = Vec::new();
        for task in &self.tasks {
            let (reason, cause) = (stopped_because(task), Cause::of_task(task).unwrap_or(Cause::Unknown));
            if let Some(like) = tasks.iter_mut().find(|known| known.cause == cause && alike(&known.reason, &reason)) {
                like.others_like_it += 1;
            } else if tasks.len() < REASONS {
                tasks.push(stopped(task, reason, cause));
                newest.push(task);
            }
        }
        let ill = self.targets.values().filter(|target| !matches!(target.state.as_str(), "healthy" | "draining"));
        let events = self.events.iter().rev().take(EVENTS).rev().cloned().collect();
        let mut diagnosis = Diagnosis::conclude(service, deployment, tasks, ill.cloned().collect(), events);
        for task in newest.into_iter().take(LOGS) {
            match last_lines(aws, task).await {
                Ok(tails) => diagnosis.logs.extend(tails),
                Err(error) => warn(format!("the log of a stopped task cannot be read: {}", error.message())),
            }
        }
        let wrong = |log: &LogTail| log.lines.iter().any(|line| Cause::of_text(line) == Cause::WrongArchitecture);
        if diagnosis.cause == Cause::Crash && diagnosis.logs.iter().any(wrong) {
            // Only the log tells it from any other exit: "exec format error".
            diagnosis.cause = Cause::WrongArchitecture;
            diagnosis.hint = Cause::WrongArchitecture.hint().to_owned();
        }
        diagnosis
    }
}

/// Returns the target groups of a service, both where traffic is shifted.
pub fn target_groups(service: &Service) -> BTreeSet<String> {
    let both = service.load_balancers().iter().flat_map(|balancer| {
        let alternate = balancer.advanced_configuration().and_then(|advanced| advanced.alternate_target_group_arn());
        [balancer.target_group_arn(), alternate]
    });
    both.flatten().map(str::to_owned).collect()
}

fn stopped(task: &Task, reason: String, cause: Cause) -> StoppedTask {
    let code = |container: &aws_sdk_ecs::types::Container| {
        Some(ExitCode { container: container.name()?.to_owned(), code: container.exit_code()? })
    };
    StoppedTask {
        arn: task.task_arn().unwrap_or_default().to_owned(),
        task_definition: short(task.task_definition_arn().unwrap_or_default()).to_owned(),
        reason,
        cause,
        exit_codes: task.containers().iter().filter_map(code).collect(),
        others_like_it: 0,
    }
}

/// Says whether two reasons are the same but for ids and addresses.
fn alike(one: &str, other: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let plain = |word: &&str| !word.contains(|c: char| c.is_ascii_digit());
        text.split_whitespace().filter(plain).map(str::to_owned).collect()
    };
    words(one) == words(other)
}

/// Reads the last lines that a task's containers wrote.
async fn last_lines(aws: &Aws, task: &Task) -> Result<Vec<LogTail>> {
    let arn = task.task_definition_arn().unwrap_or_default();
    let reply = aws.ecs.read.describe_task_definition().task_definition(arn).send().await;
    let Some(described) = reply.answer("ecs:DescribeTaskDefinition")?.task_definition else { return Ok(Vec::new()) };
    let definition = Definition::of(&described)?;
    let mut tails = Vec::new();
    for container in worth_reading(task, &definition) {
        let id = task.task_arn().unwrap_or_default();
        let Some(stream) = Stream::of(aws, &definition, &container, id) else { continue };
        let lines = stream.last().await?;
        if !lines.is_empty() {
            tails.push(LogTail { task: id.to_owned(), container, lines });
        }
    }
    Ok(tails)
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::ServiceEvent;

    use super::*;

    #[test]
    fn events_from_before_are_not_evidence_and_none_counts_twice() {
        let event =
            |id: &str, at: i64| ServiceEvent::builder().id(id).created_at(DateTime::from_secs(at)).message(id).build();
        let service = Service::builder().events(event("new", 20)).events(event("old", 5)).build();
        let mut evidence = Evidence::since(Some(DateTime::from_secs(10)));
        assert_eq!(evidence.take_events(&service), ["new"]);
        assert_eq!(evidence.take_events(&service), [""; 0]);
    }

    #[test]
    fn reasons_are_alike_but_for_ids() {
        assert!(alike("Task failed in (target-group arn:1/2)", "Task failed in (target-group arn:3/4)"));
        assert!(!alike("Essential container exited", "Task failed container health checks"));
    }
}
