//! How a deployment stands, and what has changed since the last look: pure, so that no line is said twice.

use std::time::Duration;

use aws_sdk_ecs::types::{
    DeploymentConfiguration, DeploymentLifecycleHookDetail, DeploymentLifecycleHookStatus,
    DeploymentLifecycleHookTargetType, DeploymentStrategy, Service, ServiceDeployment,
    ServiceDeploymentStatus as Status, ServiceRevisionSummary,
};
use ecs_aws::deployment::{is_stalled, primary};
use ecs_core::console::human;

use crate::command::Until;

/// How a deployment stands.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// ECS's word
    pub status: Status,
    /// Stage of a deployment that shifts traffic
    pub stage: Option<String>,
    /// Whether it moves traffic between two versions, instead of replacing tasks one after the other
    pub shifts: bool,
    /// Whether ECS's circuit breaker watches over it; it has one for rolling deployments only
    pub breaker: bool,
    /// Tasks of the new version
    pub new: Tasks,
    /// Tasks of the versions before
    pub old: Tasks,
    /// Share of production traffic that the new version has, in per cent
    pub traffic: Option<f64>,
    /// Tasks that have failed
    pub failed: i32,
    /// Ids of the hooks that wait for a person
    pub paused: Vec<String>,
    /// The circuit breaker has given up with nothing to go back to
    pub stalled: bool,
}

/// Numbers of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tasks {
    /// That ECS wants
    pub wanted: i32,
    /// That run
    pub running: i32,
    /// That are on their way
    pub pending: i32,
}

/// Where a deployment is to be waited for, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Nothing that ends the wait
    Going,
    /// It succeeded
    Successful,
    /// As far as was asked for
    Reached,
    /// It waits for a person
    Paused,
    /// ECS has gone back
    RolledBack,
    /// It failed, and ECS has not gone back, or could not
    Failed,
    /// Stopped: by a person, or by the next deployment
    Stopped,
}

impl Tasks {
    fn of(summary: Option<&ServiceRevisionSummary>) -> Self {
        summary.map_or_else(Self::default, |summary| Self {
            wanted: summary.requested_task_count(),
            running: summary.running_task_count(),
            pending: summary.pending_task_count(),
        })
    }

    fn and(self, other: Self) -> Self {
        Self {
            wanted: self.wanted + other.wanted,
            running: self.running + other.running,
            pending: self.pending + other.pending,
        }
    }
}

impl View {
    /// Makes it of what ECS says; of the service, only what the deployment itself does not tell.
    pub fn of(deployment: &ServiceDeployment, service: Option<&Service>) -> Self {
        let status = deployment.status().cloned().unwrap_or(Status::Pending);
        let target = deployment.target_service_revision();
        let old = deployment.source_service_revisions().iter();
        let under_way = matches!(status, Status::Pending | Status::InProgress);
        let shifts = deployment.deployment_configuration().is_some_and(crate::strategy::shifts_traffic);
        let configuration = deployment.deployment_configuration();
        let breaker = configuration.and_then(DeploymentConfiguration::deployment_circuit_breaker);
        Self {
            shifts,
            breaker: !shifts && breaker.is_some_and(|breaker| breaker.enable()),
            stage: deployment.lifecycle_stage().map(|stage| stage.as_str().to_owned()),
            new: Tasks::of(target),
            old: old.map(|summary| Tasks::of(Some(summary))).fold(Tasks::default(), Tasks::and),
            traffic: target.and_then(ServiceRevisionSummary::requested_production_traffic_weight).filter(|_| shifts),
            failed: service.and_then(primary).map_or(0, |primary| primary.failed_tasks()),
            paused: paused(deployment),
            stalled: under_way && service.is_some_and(is_stalled),
            status,
        }
    }

    /// Says where it is.
    pub fn point(&self, until: Until) -> Point {
        let ended = [
            (Status::Successful, Point::Successful),
            (Status::RollbackSuccessful, Point::RolledBack),
            (Status::RollbackFailed, Point::Failed),
            (Status::Stopped, Point::Stopped),
        ];
        if let Some((_, point)) = ended.into_iter().find(|(status, _)| *status == self.status) {
            return point;
        }
        // It is being stopped or rolled back, or is something that ECS has since learnt.
        if !matches!(self.status, Status::Pending | Status::InProgress) {
            return Point::Going;
        }
        if self.stalled {
            Point::Failed
        } else if !self.paused.is_empty() {
            Point::Paused
        } else if self.has_reached(until) {
            Point::Reached
        } else {
            Point::Going
        }
    }

    /// Says whether the wait may end before the deployment does. A rolling deployment has no such points on its way.
    fn has_reached(&self, until: Until) -> bool {
        let bakes = matches!(self.stage.as_deref(), Some("BAKE_TIME" | "CLEAN_UP"));
        match until {
            Until::Done => false,
            Until::Bake => bakes,
            Until::TrafficShifted => {
                bakes
                    || (self.stage.as_deref() == Some("POST_PRODUCTION_TRAFFIC_SHIFT"))
                    || self.traffic.is_some_and(|share| share >= 100.0)
            }
        }
    }

    /// Says what has changed since the look before; everything at the first.
    pub fn lines(&self, before: Option<&Self>) -> Vec<String> {
        let mut lines = Vec::new();
        if before.is_none_or(|before| before.status != self.status) {
            lines.push(format!("deployment {}", words(self.status.as_str())));
        }
        if before.is_none_or(|before| before.stage != self.stage)
            && let Some(stage) = &self.stage
        {
            lines.push(format!("stage {}", words(stage)));
        }
        if before.is_none_or(|before| (before.new, before.old) != (self.new, self.old)) {
            lines.push(self.tasks());
        }
        if before.is_none_or(|before| before.traffic != self.traffic)
            && let Some(share) = self.traffic
        {
            lines.push(format!("{share} % of the traffic goes to the new version"));
        }
        if before.map_or(0, |before| before.failed) < self.failed {
            lines.push(format!("{} tasks of the new version have failed", self.failed));
        }
        lines
    }

    /// Writes the numbers of tasks for people.
    pub fn tasks(&self) -> String {
        let Tasks { wanted, running, pending } = self.new;
        let new = format!("new version: {running} of {wanted} tasks running");
        let new = if pending > 0 { format!("{new}, {pending} starting") } else { new };
        match self.old {
            Tasks { running: 0, pending: 0, .. } => new,
            old => format!("{new}; old: {} running", old.running + old.pending),
        }
    }

    /// Returns the pause before the next look: short when something is about to happen, longer while nothing can.
    ///
    /// Never more than two seconds, so that the end is noticed within that: ECS allows 20 reads a second and cluster
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html>).
    pub fn pace(&self, waited: Duration) -> Duration {
        let usual = if self.is_at_its_end() {
            Duration::from_millis(500)
        } else if self.stage.as_deref() == Some("BAKE_TIME") || self.is_baking() {
            Duration::from_secs(2)
        } else {
            Duration::from_secs(1)
        };
        // At the beginning more often: on a fast day it is over at once.
        usual.min(Duration::from_millis(50) + waited / 2)
    }

    fn is_at_its_end(&self) -> bool {
        let cleans = self.stage.as_deref() == Some("CLEAN_UP");
        let complete = self.new.wanted > 0 && self.new.running >= self.new.wanted && !self.shifts;
        cleans || complete || matches!(self.status, Status::RollbackInProgress | Status::RollbackRequested)
    }

    /// Says whether only time passes: some of the traffic has moved, and the rest waits.
    fn is_baking(&self) -> bool {
        self.traffic.is_some_and(|share| share > 0.0 && share < 100.0)
    }

    /// Writes how it stands in one line, for the live view.
    pub fn picture(&self, bake: Option<Duration>) -> String {
        let mut picture = format!("{}  {}", words(self.status.as_str()), self.tasks());
        if let Some(stage) = &self.stage {
            picture = format!("{picture}  stage {}", words(stage));
        }
        if let Some(share) = self.traffic {
            picture = format!("{picture}  traffic {share} %");
        }
        match bake {
            Some(left) => format!("{picture}  {} of baking left", human(left)),
            None => picture,
        }
    }
}

/// Returns how long both versions stay beside each other at one step of a deployment, if the configuration says.
pub fn bake_of(configuration: &DeploymentConfiguration, stage: Option<&str>) -> Option<Duration> {
    let minutes = match stage {
        Some("BAKE_TIME") => configuration.bake_time_in_minutes(),
        Some("PRODUCTION_TRAFFIC_SHIFT") => match configuration.strategy() {
            Some(DeploymentStrategy::Canary) => {
                configuration.canary_configuration().and_then(|canary| canary.canary_bake_time_in_minutes())
            }
            Some(DeploymentStrategy::Linear) => {
                configuration.linear_configuration().and_then(|linear| linear.step_bake_time_in_minutes())
            }
            Some(_) | None => None,
        },
        Some(_) | None => None,
    };
    minutes.and_then(|minutes| u64::try_from(minutes).ok()).map(|minutes| Duration::from_secs(minutes * 60))
}

/// Returns how long a deployment bakes in all.
pub fn bakes(configuration: Option<&DeploymentConfiguration>) -> Duration {
    let Some(configuration) = configuration else { return Duration::ZERO };
    let step = bake_of(configuration, Some("PRODUCTION_TRAFFIC_SHIFT")).unwrap_or_default();
    let steps = match configuration.strategy() {
        Some(DeploymentStrategy::Canary) => 1,
        Some(DeploymentStrategy::Linear) => {
            let percent = configuration.linear_configuration().and_then(|linear| linear.step_percent());
            // At least 3 per cent a step, 10 where nothing is said.
            (100.0 / percent.unwrap_or(10.0).clamp(3.0, 100.0)).ceil() as u32
        }
        Some(_) | None => 0,
    };
    step * steps + bake_of(configuration, Some("BAKE_TIME")).unwrap_or_default()
}

/// Returns the ids of the hooks that wait for a person.
pub fn paused(deployment: &ServiceDeployment) -> Vec<String> {
    let waits = |hook: &&DeploymentLifecycleHookDetail| {
        hook.status() == Some(&DeploymentLifecycleHookStatus::AwaitingAction)
            && hook.target_type() == Some(&DeploymentLifecycleHookTargetType::Pause)
    };
    let hooks = deployment.lifecycle_hook_details().iter().filter(waits);
    hooks.filter_map(|hook| hook.hook_id().map(str::to_owned)).collect()
}

/// Writes one of ECS's words as people do: `ROLLBACK_IN_PROGRESS` is "rollback in progress".
pub fn words(word: &str) -> String {
    word.to_ascii_lowercase().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::CanaryConfiguration;

    use super::*;

    fn summary(wanted: i32, running: i32, weight: Option<f64>) -> ServiceRevisionSummary {
        ServiceRevisionSummary::builder()
            .requested_task_count(wanted)
            .running_task_count(running)
            .set_requested_production_traffic_weight(weight)
            .build()
    }

    fn deployment(status: Status, stage: Option<&str>, new: ServiceRevisionSummary) -> ServiceDeployment {
        let canary = CanaryConfiguration::builder().canary_percent(25.0).canary_bake_time_in_minutes(10).build();
        let strategy = if stage.is_some() { DeploymentStrategy::Canary } else { DeploymentStrategy::Rolling };
        let configuration = DeploymentConfiguration::builder().strategy(strategy).canary_configuration(canary).build();
        ServiceDeployment::builder()
            .status(status)
            .set_lifecycle_stage(stage.map(Into::into))
            .target_service_revision(new)
            .source_service_revisions(summary(2, 2, None))
            .deployment_configuration(configuration)
            .build()
    }

    fn view(status: Status, stage: Option<&str>, running: i32, weight: Option<f64>) -> View {
        View::of(&deployment(status, stage, summary(2, running, weight)), None)
    }

    #[test]
    fn every_status_is_a_point() {
        let cases = [
            (Status::Pending, Point::Going),
            (Status::InProgress, Point::Going),
            (Status::Successful, Point::Successful),
            (Status::StopRequested, Point::Going),
            (Status::Stopped, Point::Stopped),
            (Status::RollbackRequested, Point::Going),
            (Status::RollbackInProgress, Point::Going),
            (Status::RollbackSuccessful, Point::RolledBack),
            (Status::RollbackFailed, Point::Failed),
            (Status::from("SOMETHING_NEW"), Point::Going),
        ];
        for (status, point) in cases {
            assert_eq!(view(status.clone(), None, 0, None).point(Until::Done), point, "{status}");
        }
        let stalled = View { stalled: true, ..view(Status::InProgress, None, 0, None) };
        assert_eq!(stalled.point(Until::Done), Point::Failed);
    }

    #[test]
    fn a_wait_may_end_before_the_deployment_does() {
        let going = |stage, weight| view(Status::InProgress, Some(stage), 2, Some(weight));
        let cases = [
            ("PRODUCTION_TRAFFIC_SHIFT", 25.0, false, false),
            ("PRODUCTION_TRAFFIC_SHIFT", 100.0, true, false),
            ("POST_PRODUCTION_TRAFFIC_SHIFT", 100.0, true, false),
            ("BAKE_TIME", 100.0, true, true),
            ("CLEAN_UP", 100.0, true, true),
        ];
        for (stage, weight, shifted, bakes) in cases {
            let reached = |until| going(stage, weight).point(until) == Point::Reached;
            assert_eq!((reached(Until::TrafficShifted), reached(Until::Bake)), (shifted, bakes), "{stage} {weight}");
            assert!(!reached(Until::Done));
        }
    }

    #[test]
    fn a_hook_that_waits_is_a_pause_even_at_a_stage_that_the_sdk_does_not_know() {
        let hook = DeploymentLifecycleHookDetail::builder()
            .hook_id("h")
            .target_type(DeploymentLifecycleHookTargetType::Pause)
            .status(DeploymentLifecycleHookStatus::AwaitingAction)
            .build();
        let mut paused = deployment(Status::InProgress, Some("PRE_PRODUCTION_TRAFFIC_SHIFT"), summary(2, 2, Some(0.0)));
        paused.lifecycle_hook_details = Some(vec![hook]);
        let view = View::of(&paused, None);
        assert_eq!(
            (view.point(Until::Done), view.stage.as_deref()),
            (Point::Paused, Some("PRE_PRODUCTION_TRAFFIC_SHIFT"))
        );
    }

    #[test]
    fn no_line_is_said_twice() {
        let first = view(Status::InProgress, Some("SCALE_UP"), 0, Some(0.0));
        assert_eq!(
            first.lines(None),
            [
                "deployment in progress",
                "stage scale up",
                "new version: 0 of 2 tasks running; old: 2 running",
                "0 % of the traffic goes to the new version"
            ]
        );
        assert_eq!(first.lines(Some(&first)), [""; 0]);
        let later = view(Status::InProgress, Some("PRODUCTION_TRAFFIC_SHIFT"), 2, Some(25.0));
        assert_eq!(
            later.lines(Some(&first)),
            [
                "stage production traffic shift",
                "new version: 2 of 2 tasks running; old: 2 running",
                "25 % of the traffic goes to the new version"
            ]
        );
    }

    #[test]
    fn a_rolling_deployment_has_no_share_of_traffic() {
        assert_eq!(view(Status::InProgress, None, 1, Some(100.0)).traffic, None);
    }

    #[test]
    fn looks_are_often_at_the_beginning_and_the_end_and_never_rarer_than_two_seconds() {
        let minute = Duration::from_secs(60);
        let going = view(Status::InProgress, None, 0, None);
        assert!(going.pace(Duration::ZERO) < Duration::from_millis(100));
        assert_eq!(going.pace(minute), Duration::from_secs(1));
        assert_eq!(view(Status::RollbackInProgress, None, 0, None).pace(minute), Duration::from_millis(500));
        let baking = view(Status::InProgress, Some("PRODUCTION_TRAFFIC_SHIFT"), 2, Some(25.0));
        assert_eq!(baking.pace(minute), Duration::from_secs(2));
    }

    #[test]
    fn baking_is_known_from_the_configuration() {
        let canary = deployment(Status::InProgress, Some("BAKE_TIME"), summary(2, 2, None));
        assert_eq!(bakes(canary.deployment_configuration()), Duration::from_secs(600));
        assert_eq!(bakes(None), Duration::ZERO);
    }
}
