//! What becomes of a task's containers once they run: they get healthy, exit, or go on until they are stopped.

use serde_json::Value;

use super::Region;
use super::json::{list, number, text};
use super::log::{Log, logs};
use super::task::{Effect, HEALTH_CHECK, Progress, Reason, Stage, Task};
use crate::clock::Scale;
use crate::weather::{Happening, Misfortune};

/// Seconds for which a one-off task runs, if nothing else is said.
const FINISHES: f64 = 20.0;
/// Seconds until a container that fails at its start has exited.
const EXITS: f64 = 3.0;
/// Seconds until a load balancer gives up a target: two failed checks, 30 s apart (its defaults).
const UNHEALTHY: f64 = 60.0;

/// What is to become of a task's containers, and what has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Course {
    pub(crate) misfortune: Option<Misfortune>,
    /// What RunTask says otherwise than the task definition; null for a service's task.
    pub(crate) overrides: Value,
    /// The first essential container: the one that misfortunes befall.
    pub(crate) container: String,
    /// Its health check, if it has one.
    check: Option<Check>,
    pub(crate) health: Health,
    /// The digests of the images that were pulled, by container.
    pub(crate) digests: Vec<(String, String)>,
    logs: Vec<Log>,
    /// Seconds for which failed health checks of the load balancer do not count.
    grace: f64,
    /// When it exits.
    exits_at: Option<f64>,
    pub(crate) exit: Option<Exit>,
    /// What the service has to say about it.
    event: Option<String>,
}

/// The health check of a container, in seconds.
#[derive(Clone, Copy, Debug)]
struct Check {
    /// Until it has passed for the first time.
    passes: f64,
    /// Until it has failed for the last time.
    fails: f64,
}

/// `healthStatus` of a task, and of the container that has the check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Health {
    #[default]
    Unknown,
    Healthy,
    Unhealthy,
}

impl Health {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Health::Unknown => "UNKNOWN",
            Health::Healthy => "HEALTHY",
            Health::Unhealthy => "UNHEALTHY",
        }
    }
}

/// How the container exited.
#[derive(Clone, Debug)]
pub(crate) struct Exit {
    pub(crate) code: i64,
    pub(crate) reason: Option<&'static str>,
}

impl Check {
    /// The check of a container definition, with the defaults of the API reference, HealthCheck.
    fn of(container: &Value) -> Option<Check> {
        let check = container.get("healthCheck").filter(|check| !check.is_null())?;
        let seconds = |name, usual| number(check, name).unwrap_or(usual) as f64;
        let interval = seconds("interval", 30);
        Some(Check { passes: interval, fails: seconds("startPeriod", 0) + interval * seconds("retries", 3) })
    }
}

impl Course {
    /// That of a task for which RunTask says something otherwise than the task definition.
    pub(crate) fn with(overrides: Value) -> Course {
        Course { overrides, ..Course::default() }
    }
}

impl Region {
    /// Settles what is to become of the newest task, which is of a service or of a family of this name.
    pub(crate) fn set_course(&mut self, name: &str) {
        let Some(definition) = self.tasks.last().map(|task| task.definition.clone()) else { return };
        let misfortune = self.strike(name, &definition, true);
        let content = self.task_definition(&definition).map_or(Value::Null, |definition| definition.content.clone());
        let region = self.name.clone();
        let services = &self.services;
        let Some(task) = self.tasks.last_mut() else { return };
        let service = services.iter().find(|service| service.arn == task.service);
        let grace = service.and_then(|service| number(&service.settings, "healthCheckGracePeriodSeconds"));
        let containers = list(&content, "containerDefinitions");
        let essential = containers.iter().find(|container| container["essential"] != serde_json::json!(false));
        let course = &mut task.course;
        course.misfortune = misfortune;
        course.container = essential.and_then(|container| text(container, "name")).unwrap_or_default().to_owned();
        course.check = essential.and_then(Check::of);
        course.grace = grace.unwrap_or(0) as f64;
        course.logs = logs(&content, super::json::last_part(&task.arn), &region);
    }

    /// Has services say what became of their tasks.
    pub(crate) fn tell_events(&mut self) {
        let told: Vec<(String, String)> = self
            .tasks
            .iter_mut()
            .filter_map(|task| task.course.event.take().map(|event| (task.service.clone(), event)))
            .collect();
        for (service, event) in told {
            self.say(&service, &event);
        }
    }

    /// What a load balancer makes of a task at an address: state, reason code and description of its target, if it is
    /// not simply healthy. The words are those of the ELBv2 API reference, TargetHealth, and of DescribeTargetHealth.
    pub(crate) fn target_health(
        &self,
        target_group: &str,
        address: &str,
    ) -> Option<(&'static str, &'static str, String)> {
        let mine = |task: &&Task| {
            task.stage < Stage::Stopped
                && task.address == address
                && task.targets.iter().any(|target| target.target_group == target_group)
        };
        let task = self.tasks.iter().rev().find(mine)?;
        let started = task.times.started?;
        if task.ending {
            return Some((
                "draining",
                "Target.DeregistrationInProgress",
                "Target deregistration is in progress".to_owned(),
            ));
        }
        if task.healthy {
            return None;
        }
        match &task.course.misfortune {
            Some(misfortune)
                if misfortune.happens == Happening::UnhealthyTarget
                    && started + self.scale.lasts(HEALTH_CHECK) <= self.now =>
            {
                Some(unhealthy(misfortune))
            }
            Some(_) | None => {
                Some(("initial", "Elb.InitialHealthChecking", "Initial health checks in progress".to_owned()))
            }
        }
    }
}

/// State, reason code and description of a target that is not healthy by script.
fn unhealthy(misfortune: &Misfortune) -> (&'static str, &'static str, String) {
    match misfortune.status_code {
        Some(code) => {
            ("unhealthy", "Target.ResponseCodeMismatch", format!("Health checks failed with these codes: [{code}]"))
        }
        None => ("unhealthy", "Target.Timeout", "Request timed out".to_owned()),
    }
}

impl Task {
    /// Whether RunTask started it, not a service.
    pub(crate) fn is_one_off(&self) -> bool {
        self.service.is_empty()
    }

    fn happens(&self) -> Option<Happening> {
        self.course.misfortune.as_ref().map(|misfortune| misfortune.happens)
    }

    /// The containers have started: works out what comes next, and writes their logs. Returns when that is.
    pub(crate) fn begin(&mut self, at: f64, scale: &Scale, effects: &mut Vec<Effect>) -> Option<f64> {
        let lines = self.course.misfortune.as_ref().map(|misfortune| misfortune.log.clone()).unwrap_or_default();
        for mut log in std::mem::take(&mut self.course.logs) {
            if log.container == self.course.container {
                log.lines.clone_from(&lines);
            }
            log.at_ms = (scale.wall(at) * 1000.0) as i64;
            effects.push(Effect::Log(log));
        }
        let after = self.course.misfortune.as_ref().and_then(|misfortune| misfortune.after);
        let lasts = match self.happens() {
            Some(Happening::Exits | Happening::OutOfMemory) => Some(EXITS),
            Some(Happening::Finishes) => Some(FINISHES),
            Some(
                Happening::Runs
                | Happening::UnhealthyContainer
                | Happening::UnhealthyTarget
                | Happening::CannotPull
                | Happening::SecretUnreadable
                | Happening::NoRoute
                | Happening::NoCapacity,
            ) => None,
            None => self.is_one_off().then_some(FINISHES),
        };
        let exits = lasts.map(|usual| at + scale.lasts(after.map_or(usual, |after| after.as_secs_f64())));
        self.course.exits_at = exits;
        let checked = self.checked().map(|seconds| at + scale.lasts(seconds));
        // What fails at its start is never healthy, or its service would never see it fail.
        self.healthy =
            checked.is_none() && exits.is_none_or(|exits| exits > at && (after.is_some() || self.is_one_off()));
        match (checked, exits) {
            (Some(checked), Some(exits)) => Some(checked.min(exits)),
            (one, other) => one.or(other),
        }
    }

    /// Seconds from the start of its containers until the health checks have decided; none: there are none.
    fn checked(&self) -> Option<f64> {
        let target = (!self.targets.is_empty()).then(|| match self.happens() {
            Some(Happening::UnhealthyTarget) => UNHEALTHY.max(self.course.grace),
            Some(_) | None => HEALTH_CHECK,
        });
        let container = self.course.check.map(|check| match self.happens() {
            Some(Happening::UnhealthyContainer) => check.fails,
            Some(_) | None => check.passes,
        });
        match (target, container) {
            (Some(target), Some(container)) => Some(target.max(container)),
            (one, other) => one.or(other),
        }
    }

    /// A running task is due: it exits, or its health checks have decided.
    pub(crate) fn decide(&mut self, at: f64, scale: &Scale, effects: &mut Vec<Effect>) -> Progress {
        self.due = None;
        let code = self.course.misfortune.as_ref().and_then(|misfortune| misfortune.exit_code);
        if self.course.exits_at.is_some_and(|exits| exits <= at) {
            // The agent's own words for a container that the kernel killed (amazon-ecs-agent, OutOfMemoryError).
            let exit = match self.happens() {
                Some(Happening::OutOfMemory) => {
                    Exit { code: 137, reason: Some("OutOfMemoryError: Container killed due to memory usage") }
                }
                Some(Happening::Exits) => Exit { code: code.unwrap_or(1), reason: None },
                Some(_) | None => Exit { code: code.unwrap_or(0), reason: None },
            };
            self.course.exit = Some(exit);
            self.times.execution_stopped = Some(at);
            let text = "Essential container in task exited".to_owned();
            return self.fail(at, Reason { code: "EssentialContainerExited", text }, scale, effects);
        }
        let scheduler = |text: String| Reason { code: "ServiceSchedulerInitiated", text };
        match self.happens() {
            Some(Happening::UnhealthyContainer) if self.course.check.is_some() => {
                self.course.health = Health::Unhealthy;
                self.version += 1;
                // ECS replaces an unhealthy task of a service; one that nobody keeps goes on.
                if self.is_one_off() {
                    return Progress::Going;
                }
                let id = super::json::last_part(&self.arn);
                self.course.event = Some(format!("(task {id}) failed container health checks."));
                return self.fail(at, scheduler("Task failed container health checks".to_owned()), scale, effects);
            }
            Some(Happening::UnhealthyTarget) if !self.targets.is_empty() => {
                let (target_group, port) = (self.targets[0].target_group.clone(), self.targets[0].port);
                let (.., why) = self.course.misfortune.as_ref().map_or_else(Default::default, unhealthy);
                let id = super::json::last_part(&self.arn);
                self.course.event = Some(format!(
                    "(task {id}) (port {port}) is unhealthy in (target-group {target_group}) due to (reason {why})."
                ));
                let text = format!("Task failed ELB health checks in (target-group {target_group})");
                return self.fail(at, scheduler(text), scale, effects);
            }
            Some(_) | None => {}
        }
        if self.course.check.is_some() {
            self.course.health = Health::Healthy;
        }
        self.version += 1;
        self.healthy = true;
        self.due = self.course.exits_at;
        Progress::Going
    }

    /// Ends by itself. One that was healthy before is no failure of its deployment.
    fn fail(&mut self, at: f64, reason: Reason, scale: &Scale, effects: &mut Vec<Effect>) -> Progress {
        let failed = !self.healthy && !self.is_one_off();
        self.stop(at, reason, scale, effects);
        if failed { Progress::Failed } else { Progress::Going }
    }
}
