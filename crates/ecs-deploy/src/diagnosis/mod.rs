//! Why a service or its deployment is not well: one cause, what to do, and what it is concluded from.

mod evidence;

use aws_sdk_ecs::types::{Service, ServiceDeployment, ServiceDeploymentStatus};
use ecs_aws::deployment::{Cause, headline};
use schemars::JsonSchema;
use serde::Serialize;

pub use evidence::{Evidence, target_groups};

/// What ECS says where it cannot shift traffic
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/troubleshooting-blue-green.html>).
const NETWORK: [&str; 2] = ["invalid networking configuration", "ECS Infrastructure Role"];

/// Why it is not well.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Diagnosis {
    /// The one cause
    pub cause: Cause,
    /// What has happened, in one line
    pub summary: String,
    /// What a person can do
    pub hint: String,
    /// Tasks that have stopped and why, newest first
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stopped_tasks: Vec<StoppedTask>,
    /// The last lines that their containers wrote
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogTail>,
    /// Targets of the load balancer that are not healthy
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetState>,
    /// Events of the service, oldest first
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
    /// Alarms that went off
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
}

/// One task that has stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StoppedTask {
    /// Its ARN
    pub arn: String,
    /// Revision that it was of
    pub task_definition: String,
    /// Why, in ECS's words
    pub reason: String,
    /// What that means
    pub cause: Cause,
    /// Exit codes of its containers
    pub exit_codes: Vec<ExitCode>,
    /// How many others stopped for the same reason
    #[serde(skip_serializing_if = "is_zero")]
    pub others_like_it: usize,
}

/// The exit code of one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ExitCode {
    /// Name of the container
    pub container: String,
    /// Its exit code: 137 is a kill, by the kernel for want of memory or by ECS; 143 a stop in good order
    pub code: i32,
}

/// The end of one container's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LogTail {
    /// ARN of the task
    pub task: String,
    /// Name of the container
    pub container: String,
    /// Its last lines, oldest first
    pub lines: Vec<String>,
}

/// What the load balancer says of one target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct TargetState {
    /// Name of the target group
    pub target_group: String,
    /// Address and port
    pub target: String,
    /// ELB's word: `unhealthy`, `initial`, `draining`
    pub state: String,
    /// ELB's reason code, such as `Target.ResponseCodeMismatch`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// ELB's words
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Diagnosis {
    /// Concludes from what was found.
    pub fn conclude(
        service: &Service,
        deployment: Option<&ServiceDeployment>,
        tasks: Vec<StoppedTask>,
        targets: Vec<TargetState>,
        events: Vec<String>,
    ) -> Self {
        let alarms = deployment.and_then(ServiceDeployment::alarms);
        let alarms: Vec<String> = alarms.map(|alarms| alarms.triggered_alarm_names().to_vec()).unwrap_or_default();
        let said = headline(service, deployment);
        let status = deployment.and_then(ServiceDeployment::status);
        let stopped = status == Some(&ServiceDeploymentStatus::Stopped);
        let back = matches!(
            status,
            Some(ServiceDeploymentStatus::RollbackSuccessful | ServiceDeploymentStatus::RollbackFailed)
        );
        let cause = if !alarms.is_empty() {
            Cause::Alarm
        } else if NETWORK.iter().any(|fragment| said.contains(fragment)) {
            Cause::Network
        } else {
            let cause = cause_of(&tasks, &targets, &events);
            if cause == Cause::Unknown && stopped { Cause::Stopped } else { cause }
        };
        let unhealthy = targets.iter().find(|target| !target.description.is_empty());
        let first = tasks.iter().find(|task| task.cause == cause);
        let detail = match cause {
            Cause::Alarm => alarms.join(", "),
            Cause::HealthCheck => match (unhealthy, first) {
                (Some(target), _) => format!("{} ({} in {})", target.description, target.target, target.target_group),
                (None, Some(task)) => reason_in(&events).unwrap_or(&task.reason).to_owned(),
                (None, None) => reason_in(&events).unwrap_or(&said).to_owned(),
            },
            Cause::Network | Cause::Stopped => said,
            Cause::ImageNotFound
            | Cause::ImageNotReadable
            | Cause::WrongArchitecture
            | Cause::SecretNotReadable
            | Cause::NoRoute
            | Cause::RoleNotAssumable
            | Cause::LogGroupMissing
            | Cause::OutOfMemory
            | Cause::Crash
            | Cause::NoCapacity
            | Cause::Quota
            | Cause::Unknown => match first {
                Some(task) => task.reason.clone(),
                // The newest event is of the way back then: ECS says itself why it went.
                None if cause == Cause::Unknown && back => said,
                None => events.iter().rev().find(|event| Cause::of_text(event) == cause).cloned().unwrap_or(said),
            },
        };
        Self {
            cause,
            summary: format!("{}: {detail}", cause.title()),
            hint: hint(cause, &detail),
            stopped_tasks: tasks,
            logs: Vec::new(),
            targets,
            events,
            alarms,
        }
    }

    /// Writes it for people, one line each: summary, evidence, hint.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.summary.clone()];
        for task in &self.stopped_tasks {
            let others =
                if task.others_like_it > 0 { format!(" (and {} like it)", task.others_like_it) } else { String::new() };
            lines.push(format!("  stopped task {}: {}{others}", ecs_aws::deployment::short(&task.arn), task.reason));
        }
        for log in &self.logs {
            lines.extend(log.lines.iter().map(|line| format!("  {}: {line}", log.container)));
        }
        for target in &self.targets {
            lines.push(format!(
                "  target {} in {}: {} {}",
                target.target, target.target_group, target.state, target.description
            ));
        }
        lines.extend(self.alarms.iter().map(|alarm| format!("  alarm {alarm} went off")));
        lines.push(format!("  hint: {}", self.hint));
        lines
    }
}

/// Returns the cause that most tasks point to, of those the newest; else that of targets, else that of events.
fn cause_of(tasks: &[StoppedTask], targets: &[TargetState], events: &[String]) -> Cause {
    let known = tasks.iter().filter(|task| task.cause != Cause::Unknown);
    // The first of those that occur most often: `max_by_key` takes the last, so it goes backwards.
    let most = known.clone().rev().max_by_key(|task| task.others_like_it);
    if let Some(task) = most {
        return task.cause;
    }
    if targets.iter().any(|target| target.state == "unhealthy") {
        return Cause::HealthCheck;
    }
    let mut causes = events.iter().rev().map(|event| {
        let cause = Cause::of_text(event);
        if cause == Cause::Unknown && event.contains("is unhealthy in") { Cause::HealthCheck } else { cause }
    });
    causes.find(|cause| *cause != Cause::Unknown).unwrap_or(Cause::Unknown)
}

/// Returns the reason that an event gives for an unhealthy target: `… due to (reason Request timed out).`
fn reason_in(events: &[String]) -> Option<&str> {
    let reason = |event: &'_ String| -> Option<(usize, usize)> {
        let start = event.find("(reason ")? + "(reason ".len();
        Some((start, event.rfind(')')?))
    };
    events.iter().rev().find_map(|event| reason(event).and_then(|(start, end)| event.get(start..end)))
}

/// Says what a person can do, as exactly as what was found allows.
fn hint(cause: Cause, detail: &str) -> String {
    if cause == Cause::HealthCheck && detail.contains("with these codes") {
        return format!(
            "the container answers the health check's path with another code than the target group expects ({detail}): mend what it \
             answers there, or the path and code of the health check"
        );
    }
    if cause == Cause::HealthCheck && (detail.contains("timed out") || detail.contains("Timeout")) {
        return "nothing answers in time on the target group's port: see that the container listens on that port on 0.0.0.0 and that its \
                security group lets the load balancer in"
            .to_owned();
    }
    cause.hint().to_owned()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::ServiceDeploymentAlarms;

    use super::*;

    fn task(reason: &str, others: usize) -> StoppedTask {
        StoppedTask {
            arn: "arn:aws:ecs:r:1:task/c/abc".to_owned(),
            task_definition: "app:2".to_owned(),
            reason: reason.to_owned(),
            cause: Cause::of_text(reason),
            exit_codes: Vec::new(),
            others_like_it: others,
        }
    }

    fn conclude(tasks: Vec<StoppedTask>, targets: Vec<TargetState>, events: &[&str]) -> Diagnosis {
        let events = events.iter().map(|event| (*event).to_owned()).collect();
        Diagnosis::conclude(&Service::builder().build(), None, tasks, targets, events)
    }

    #[test]
    fn most_tasks_decide() {
        let tasks = vec![
            task("Task failed ELB health checks in (target-group x)", 0),
            task("Essential container in task exited; app: exit code 1", 3),
        ];
        let found = conclude(tasks, Vec::new(), &[]);
        assert_eq!(found.cause, Cause::Crash);
        assert_eq!(found.summary, "the container exits: Essential container in task exited; app: exit code 1");
    }

    #[test]
    fn an_alarm_decides_before_all() {
        let alarms = ServiceDeploymentAlarms::builder().triggered_alarm_names("web-5xx").build();
        let deployment =
            ServiceDeployment::builder().status(ServiceDeploymentStatus::RollbackSuccessful).alarms(alarms).build();
        let tasks = vec![task("Essential container in task exited; app: exit code 1", 3)];
        let service = Service::builder().build();
        let found = Diagnosis::conclude(&service, Some(&deployment), tasks, Vec::new(), Vec::new());
        assert_eq!((found.cause, found.summary.as_str()), (Cause::Alarm, "an alarm went off: web-5xx"));
    }

    #[test]
    fn a_health_check_says_code_or_port() {
        let target = |description: &str| TargetState {
            target_group: "web-tg".to_owned(),
            target: "10.0.0.1:80".to_owned(),
            state: "unhealthy".to_owned(),
            reason: String::new(),
            description: description.to_owned(),
        };
        let failed = || vec![task("Task failed ELB health checks in (target-group x)", 0)];
        let codes = conclude(failed(), vec![target("Health checks failed with these codes: [503]")], &[]);
        assert!(codes.hint.contains("[503]") && codes.hint.contains("path"), "{}", codes.hint);
        let silent = conclude(failed(), vec![target("Request timed out")], &[]);
        assert!(silent.hint.contains("port"), "{}", silent.hint);
        // The targets may be gone by then: the event has the reason as well.
        let event =
            "(service web) (task 1) (port 80) is unhealthy in (target-group x) due to (reason Request timed out).";
        let gone = conclude(failed(), Vec::new(), &[event]);
        assert!(gone.summary.ends_with("Request timed out"), "{}", gone.summary);
    }

    #[test]
    fn what_was_stopped_and_shows_no_failure_was_stopped() {
        let stopped = ServiceDeployment::builder().status(ServiceDeploymentStatus::Stopped);
        let stopped = stopped.status_reason("The service was deleted.").build();
        let of =
            |tasks| Diagnosis::conclude(&Service::builder().build(), Some(&stopped), tasks, Vec::new(), Vec::new());
        let found = of(Vec::new());
        assert_eq!(found.cause, Cause::Stopped);
        assert!(found.summary.contains("The service was deleted"), "{}", found.summary);
        // The circuit breaker without rollback stops as well: then tasks say why.
        assert_eq!(of(vec![task("Essential container in task exited; app: exit code 1", 2)]).cause, Cause::Crash);
    }

    #[test]
    fn what_no_task_and_no_event_explains_has_ecss_own_reason() {
        let back = ServiceDeployment::builder().status(ServiceDeploymentStatus::RollbackSuccessful);
        let back = back.status_reason("Service deployment rolled back because of a hook.").build();
        let event = "(service web) has reached a steady state.".to_owned();
        let found = Diagnosis::conclude(&Service::builder().build(), Some(&back), Vec::new(), Vec::new(), vec![event]);
        assert_eq!(found.cause, Cause::Unknown);
        assert!(found.summary.ends_with("rolled back because of a hook"), "{}", found.summary);
    }

    #[test]
    fn an_event_alone_is_enough() {
        let event = "(service web) was unable to place a task. Reason: Capacity is unavailable at this time.";
        assert_eq!(conclude(Vec::new(), Vec::new(), &[event]).cause, Cause::NoCapacity);
        assert_eq!(conclude(Vec::new(), Vec::new(), &[]).cause, Cause::Unknown);
    }
}
