//! How a deployment fails or is stopped, and what a service goes back to.

use serde_json::{Value, json};

use super::Region;
use super::deployment::{Deployment, DeploymentStatus, RollbackStart, Rollout, ServiceDeployment};
use super::error::{Stop, conflict, invalid_parameter, service_deployment_not_found};
use super::json::text;
use super::lifecycle::LifecycleStage;

/// Seconds from the request to stop a deployment until ECS acts on it. AWS states none.
const REQUEST: f64 = 5.0;

const NO_CANDIDATE: &str = "No rollback candidate was found to run the rollback.";

/// Why a deployment ends before it is done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cause {
    /// Too many tasks did not start.
    Breaker,
    /// These alarms went off.
    Alarm(Vec<String>),
    /// Somebody said no.
    HookFailed(LifecycleStage),
    /// Nobody said anything.
    HookTimedOut(LifecycleStage),
    /// Traffic cannot be shifted: why.
    Network(String),
    /// StopServiceDeployment.
    Requested,
}

impl Cause {
    /// `statusReason`. The breaker's, the network's and the hooks' words are AWS's (developer guide, "Troubleshooting
    /// blue/green deployments"); it documents none for alarms and requests.
    fn reason(&self) -> String {
        let because = "Service deployment rolled back because";
        match self {
            Cause::Breaker => format!("{because} the circuit breaker threshold was exceeded."),
            Cause::Alarm(names) => format!("{because} of CloudWatch alarms in ALARM state: {}.", names.join(", ")),
            Cause::HookFailed(stage) => format!("{because} {} lifecycle hook(s) failed.", stage.name()),
            Cause::HookTimedOut(stage) => format!("{because} {} pause hook timed out.", stage.name()),
            Cause::Network(why) => why.clone(),
            Cause::Requested => format!("{because} a rollback was requested."),
        }
    }

    /// What the event says that the deployment failed of.
    fn event(&self) -> String {
        match self {
            Cause::Breaker => "tasks failed to start.".to_owned(),
            Cause::Alarm(_) => "alarm detected.".to_owned(),
            Cause::HookFailed(_) | Cause::HookTimedOut(_) | Cause::Network(_) | Cause::Requested => self.reason(),
        }
    }

    /// What `rolloutStateReason` begins with.
    fn detector(&self) -> &'static str {
        match self {
            Cause::Breaker => "ECS deployment circuit breaker",
            Cause::Alarm(_) => "ECS deployment alarms",
            Cause::HookFailed(_) | Cause::HookTimedOut(_) | Cause::Network(_) | Cause::Requested => "ECS deployment",
        }
    }

    /// Whether a deployment of this configuration goes back; what nothing detected always does.
    fn rolls_back(&self, configuration: &Value) -> bool {
        match self {
            Cause::Breaker => configuration["deploymentCircuitBreaker"]["rollback"] == json!(true),
            Cause::Alarm(_) => configuration["alarms"]["rollback"] == json!(true),
            Cause::HookFailed(_) | Cause::HookTimedOut(_) | Cause::Network(_) | Cause::Requested => true,
        }
    }
}

impl Region {
    /// Ends the primary deployment as failed, and goes back to the last that completed, where that is wanted.
    pub(crate) fn fail_deployment(&mut self, index: usize, cause: &Cause) {
        let at = self.now;
        let digits = self.ids.digits();
        let service = &mut self.services[index];
        let Some(configuration) = service.in_flight().map(|deployment| deployment.configuration.clone()) else {
            return;
        };
        let rolls_back = cause.rolls_back(&configuration);
        let candidate = service.completed.clone().filter(|_| rolls_back);
        let revision = candidate
            .as_ref()
            .and_then(|(_, arn)| service.revisions.iter().find(|revision| revision.arn == *arn))
            .cloned();
        let present = service.source();
        let Some(primary) = service.deployments.first_mut() else { return };
        primary.rollout = Rollout::Failed;
        primary.reason = format!("{}: {}", cause.detector(), cause.event());
        primary.updated = at;
        let (failed, was_rollback) = (primary.id.clone(), primary.rollback);
        let mut messages = vec![format!("(deployment {failed}) deployment failed: {}", cause.event())];
        let mut staged = false;
        if let Some(under_way) = service.under_way() {
            staged = under_way.lifecycle.is_some() && !was_rollback;
            match cause {
                Cause::Breaker => under_way.triggered = true,
                Cause::Alarm(names) => under_way.trigger(names),
                Cause::HookFailed(_) | Cause::HookTimedOut(_) | Cause::Network(_) | Cause::Requested => {}
            }
            match (&revision, rolls_back) {
                (_, true) if was_rollback => {
                    under_way.end(at, DeploymentStatus::RollbackFailed, Some(&cause.reason()));
                }
                (Some(revision), _) => {
                    under_way.status = DeploymentStatus::RollbackInProgress;
                    under_way.status_reason = Some(cause.reason());
                    under_way.updated = at;
                    under_way.rollback =
                        Some(RollbackStart { reason: cause.reason(), at, revision: revision.arn.clone() });
                }
                (None, true) => under_way.end(at, DeploymentStatus::RollbackFailed, Some(NO_CANDIDATE)),
                (None, false) => {
                    let reason = cause.reason().replace("rolled back", "stopped");
                    under_way.end(at, DeploymentStatus::Stopped, Some(&reason));
                }
            }
        }
        if let (Some((goal, _)), Some(revision), false) = (candidate, revision, was_rollback) {
            messages.push(format!("rolling back to deployment {goal}."));
            service.definition = revision.definition.clone();
            service.placement = revision.placement.clone();
            for (name, value) in revision.settings.as_object().into_iter().flatten() {
                service.settings[name] = value.clone();
            }
            let reason = format!("{}: rolling back to deploymentId {goal}.", cause.detector());
            let back = match present.filter(|_| staged) {
                // Its tasks are still there: it serves again as it is.
                Some(position) => {
                    let mut back = service.deployments.remove(position);
                    back.rollout = Rollout::InProgress;
                    back.reason = reason;
                    back.updated = at;
                    back.rollback = true;
                    back
                }
                None => Deployment {
                    rollback: true,
                    reason,
                    ..Deployment::new(format!("ecs-svc/{digits}"), revision.arn, revision.definition, at)
                },
            };
            service.deployments.insert(0, back);
        }
        service.steady = false;
        service.wake_at(at);
        let arn = service.arn.clone();
        for message in messages {
            self.say(&arn, &message);
        }
        self.return_traffic_when_served(index);
    }

    /// Sends traffic back to the revision that a rollback goes to, once that has its tasks, or where there is none.
    pub(crate) fn return_traffic_when_served(&mut self, index: usize) {
        let served = self.healthy(index, 0) >= self.services[index].wanted();
        let last = self.services[index].service_deployments.last();
        let shifted = |deployment: &&ServiceDeployment| {
            deployment.lifecycle.as_ref().is_some_and(|lifecycle| lifecycle.production > 0.0 || lifecycle.test > 0.0)
        };
        let returns = match last.filter(shifted).map(|deployment| deployment.status) {
            Some(DeploymentStatus::RollbackInProgress) => served,
            Some(DeploymentStatus::RollbackFailed) => true,
            Some(
                DeploymentStatus::Pending
                | DeploymentStatus::InProgress
                | DeploymentStatus::Successful
                | DeploymentStatus::Stopped
                | DeploymentStatus::RollbackRequested
                | DeploymentStatus::RollbackSuccessful,
            )
            | None => false,
        };
        if returns {
            self.return_traffic(index);
        }
    }

    /// StopServiceDeployment: it rolls back. ABORT stands in the model, and "the valid values are ROLLBACK" (API reference).
    pub(crate) fn stop_service_deployment(&mut self, request: &Value) -> Result<Value, Stop> {
        let arn = text(request, "serviceDeploymentArn").unwrap_or_default();
        if text(request, "stopType").is_some_and(|kind| kind != "ROLLBACK") {
            return Err(invalid_parameter("Invalid stopType. Valid values are: ROLLBACK"));
        }
        let (at, scale) = (self.now, self.scale);
        let Some((index, deployment)) = self.find_service_deployment(arn) else {
            return Err(service_deployment_not_found());
        };
        if deployment.status.ended() {
            return Err(conflict(
                "Stopping a service deployment is not allowed for service deployment in terminal states.",
            ));
        }
        // What stops or goes back already goes on with that (developer guide, "Stopping service deployments").
        if matches!(deployment.status, DeploymentStatus::Pending | DeploymentStatus::InProgress) {
            deployment.status = DeploymentStatus::RollbackRequested;
            deployment.requested = Some(at + scale.lasts(REQUEST));
            deployment.updated = at;
            self.services[index].wake_at(at);
        }
        Ok(json!({"serviceDeploymentArn": arn}))
    }

    /// Does what StopServiceDeployment asked for, when it is time.
    pub(crate) fn heed_request(&mut self, index: usize) {
        let at = self.now;
        let service = &mut self.services[index];
        let requested = |deployment: &&ServiceDeployment| deployment.status == DeploymentStatus::RollbackRequested;
        let Some(due) = service.in_flight().filter(requested).and_then(|deployment| deployment.requested) else {
            return;
        };
        if due > at {
            service.wake_at(due);
        } else {
            self.fail_deployment(index, &Cause::Requested);
        }
    }

    /// A service deployment by its ARN, and where its service is.
    pub(crate) fn find_service_deployment(&mut self, arn: &str) -> Option<(usize, &mut ServiceDeployment)> {
        self.services.iter_mut().enumerate().find_map(|(index, service)| {
            let mut deployments = service.service_deployments.iter_mut();
            Some((index, deployments.find(|deployment| deployment.arn == arn)?))
        })
    }
}
