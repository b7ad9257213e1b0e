//! Deployments of a service, the service deployments that follow them, and service revisions.

use serde_json::{Value, json};

use super::Region;
use super::alarm::Watch;
use super::error::{Stop, invalid_parameter, service_not_found};
use super::json::{list, number, page, text, texts};
use super::lifecycle::{Lifecycle, show_hooks};
use super::placement::Placement;
use super::service::Service;
use super::task::{Stage, Task};
use crate::clock::Scale;

/// `rolloutState` of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rollout {
    InProgress,
    Completed,
    Failed,
}

impl Rollout {
    fn name(self) -> &'static str {
        match self {
            Rollout::InProgress => "IN_PROGRESS",
            Rollout::Completed => "COMPLETED",
            Rollout::Failed => "FAILED",
        }
    }
}

/// A deployment of a service, as DescribeServices shows it. The first of a service is PRIMARY, the others ACTIVE.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    pub(crate) revision: String,
    pub(crate) definition: String,
    pub(crate) rollout: Rollout,
    pub(crate) reason: String,
    /// Shown as `failedTasks`.
    pub(crate) failed: i64,
    /// Failures since the last healthy task, for the pace of new attempts.
    pub(crate) failed_in_a_row: i64,
    /// No task is started before this.
    pub(crate) not_before: f64,
    pub(crate) created: f64,
    pub(crate) updated: f64,
    /// A rollback goes back to an older revision, and ends the service deployment that it belongs to.
    pub(crate) rollback: bool,
}

/// `status` of a service deployment. Nothing that is documented leads to STOP_REQUESTED.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeploymentStatus {
    Pending,
    InProgress,
    Successful,
    Stopped,
    RollbackRequested,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl DeploymentStatus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            DeploymentStatus::Pending => "PENDING",
            DeploymentStatus::InProgress => "IN_PROGRESS",
            DeploymentStatus::Successful => "SUCCESSFUL",
            DeploymentStatus::Stopped => "STOPPED",
            DeploymentStatus::RollbackRequested => "ROLLBACK_REQUESTED",
            DeploymentStatus::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            DeploymentStatus::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            DeploymentStatus::RollbackFailed => "ROLLBACK_FAILED",
        }
    }

    /// Whether nothing more comes of it.
    pub(crate) fn ended(self) -> bool {
        match self {
            DeploymentStatus::Pending
            | DeploymentStatus::InProgress
            | DeploymentStatus::RollbackRequested
            | DeploymentStatus::RollbackInProgress => false,
            DeploymentStatus::Successful
            | DeploymentStatus::Stopped
            | DeploymentStatus::RollbackSuccessful
            | DeploymentStatus::RollbackFailed => true,
        }
    }
}

/// A service deployment: one change from its request to its end, rollback included.
#[derive(Clone, Debug)]
pub(crate) struct ServiceDeployment {
    pub(crate) arn: String,
    pub(crate) status: DeploymentStatus,
    pub(crate) status_reason: Option<String>,
    pub(crate) target: String,
    pub(crate) sources: Vec<String>,
    pub(crate) configuration: Value,
    pub(crate) created: f64,
    pub(crate) started: Option<f64>,
    pub(crate) finished: Option<f64>,
    pub(crate) stopped: Option<f64>,
    pub(crate) updated: f64,
    pub(crate) rollback: Option<RollbackStart>,
    pub(crate) failures: i64,
    pub(crate) threshold: i64,
    /// The circuit breaker has failed it.
    pub(crate) triggered: bool,
    /// When ECS acts on a request to stop it.
    pub(crate) requested: Option<f64>,
    /// Its alarms.
    pub(crate) watch: Watch,
    /// Its stages, where it shifts traffic.
    pub(crate) lifecycle: Option<Lifecycle>,
}

/// The rollback of a service deployment.
#[derive(Clone, Debug)]
pub(crate) struct RollbackStart {
    pub(crate) reason: String,
    pub(crate) at: f64,
    pub(crate) revision: String,
}

/// What a deployment deployed: an unchanging copy of the service's settings.
#[derive(Clone, Debug)]
pub(crate) struct ServiceRevision {
    pub(crate) arn: String,
    pub(crate) definition: String,
    pub(crate) settings: Value,
    pub(crate) placement: Placement,
    /// Its tasks are in the alternate target groups.
    pub(crate) alternate: bool,
    /// The digests of its images, by container, as its first task found them: all its tasks run these (developer guide,
    /// "Container image resolution").
    pub(crate) digests: Vec<(String, String)>,
    pub(crate) created: f64,
}

/// Failures after which the circuit breaker gives up: half of the desired count, at least 3 and at most 200, unless the
/// configuration says otherwise (botocore ecs model, ThresholdConfiguration).
pub(crate) fn threshold(desired: i64, configuration: &Value) -> i64 {
    let configured = &configuration["deploymentCircuitBreaker"]["thresholdConfiguration"];
    let value = number(configured, "value").unwrap_or(50);
    let share = (desired * value + 99) / 100;
    match text(configured, "type") {
        Some("COUNT") => value,
        // Without a failure nothing has failed.
        Some("UNBOUNDED_PERCENT") => share.max(1),
        Some(_) | None => share.clamp(3, 200),
    }
}

impl Deployment {
    /// A deployment that begins.
    pub(crate) fn new(id: String, revision: String, definition: String, at: f64) -> Deployment {
        Deployment {
            reason: format!("ECS deployment {id} in progress."),
            id,
            revision,
            definition,
            rollout: Rollout::InProgress,
            failed: 0,
            failed_in_a_row: 0,
            not_before: at,
            created: at,
            updated: at,
            rollback: false,
        }
    }

    pub(crate) fn complete(&mut self, at: f64) {
        self.rollout = Rollout::Completed;
        self.reason = format!("ECS deployment {} completed.", self.id);
        self.updated = at;
    }

    pub(crate) fn show(&self, position: usize, service: &Service, tasks: &[Task], scale: &Scale) -> Value {
        let mine = |task: &&Task| task.service == service.arn && task.deployment == self.id;
        let running = tasks.iter().filter(mine).filter(|task| task.stage == Stage::Running).count();
        let pending = tasks.iter().filter(mine).filter(|task| task.is_pending()).count();
        let mut shown = json!({
            "id": self.id,
            "status": if position == 0 { "PRIMARY" } else { "ACTIVE" },
            "taskDefinition": self.definition,
            "desiredCount": service.requested(position),
            "pendingCount": pending,
            "runningCount": running,
            "failedTasks": self.failed,
            "createdAt": scale.wall(self.created),
            "updatedAt": scale.wall(self.updated),
            "platformVersion": service.platform_version(),
            "platformFamily": "Linux",
            "rolloutState": self.rollout.name(),
            "rolloutStateReason": self.reason,
        });
        for name in ["launchType", "capacityProviderStrategy", "networkConfiguration", "serviceConnectConfiguration"] {
            if let Some(value) = service.settings.get(name) {
                shown[name] = value.clone();
            }
        }
        shown
    }
}

impl ServiceDeployment {
    pub(crate) fn end(&mut self, at: f64, status: DeploymentStatus, reason: Option<&str>) {
        self.status = status;
        if let Some(reason) = reason {
            self.status_reason = Some(reason.to_owned());
        }
        self.finished = Some(at);
        self.updated = at;
        if status == DeploymentStatus::Stopped {
            self.stopped = Some(at);
        }
    }

    fn breaker(&self) -> &'static str {
        let enabled = self.configuration["deploymentCircuitBreaker"]["enable"] == json!(true);
        match (enabled, self.triggered, self.status.ended()) {
            (false, _, _) => "DISABLED",
            (true, true, _) => "TRIGGERED",
            (true, false, true) => "MONITORING_COMPLETE",
            (true, false, false) => "MONITORING",
        }
    }
}

impl Region {
    pub(crate) fn list_service_deployments(&self, request: &Value) -> Result<Value, Stop> {
        let service = self.service(request)?;
        let statuses = texts(request, "status");
        let bound = |name: &str| request["createdAt"][name].as_f64();
        let wanted = |deployment: &&ServiceDeployment| {
            let created = self.scale.wall(deployment.created);
            (statuses.is_empty() || statuses.contains(&deployment.status.name()))
                && bound("after").is_none_or(|after| created > after)
                && bound("before").is_none_or(|before| created < before)
        };
        let brief = |deployment: &ServiceDeployment| {
            let mut brief = json!({
                "serviceDeploymentArn": deployment.arn,
                "serviceArn": service.arn,
                "clusterArn": self.arn(&format!("cluster/{}", service.cluster)),
                "createdAt": self.scale.wall(deployment.created),
                "targetServiceRevisionArn": deployment.target,
                "status": deployment.status.name(),
            });
            self.put_times(&mut brief, &[("startedAt", deployment.started), ("finishedAt", deployment.finished)]);
            if let Some(reason) = &deployment.status_reason {
                brief["statusReason"] = json!(reason);
            }
            brief
        };
        // The newest comes first.
        let briefs = service.service_deployments.iter().rev().filter(wanted).map(brief).collect();
        page(request, "serviceDeployments", briefs, 100)
    }

    pub(crate) fn describe_service_deployments(&self, request: &Value) -> Result<Value, Stop> {
        let arns = texts(request, "serviceDeploymentArns");
        if arns.is_empty() || arns.len() > 20 {
            return Err(invalid_parameter("serviceDeploymentArns must be 1 to 20 in number."));
        }
        let (mut deployments, mut failures) = (Vec::new(), Vec::new());
        for arn in arns {
            let all = self
                .services
                .iter()
                .flat_map(|service| service.service_deployments.iter().map(move |deployment| (service, deployment)));
            match all.into_iter().find(|(_, deployment)| deployment.arn == arn) {
                Some((service, deployment)) => deployments.push(self.show_service_deployment(service, deployment)),
                None => failures.push(json!({"arn": arn, "reason": "MISSING"})),
            }
        }
        Ok(json!({"serviceDeployments": deployments, "failures": failures}))
    }

    pub(crate) fn describe_service_revisions(&self, request: &Value) -> Result<Value, Stop> {
        let arns = texts(request, "serviceRevisionArns");
        if arns.is_empty() || arns.len() > 20 {
            return Err(invalid_parameter("serviceRevisionArns must be 1 to 20 in number."));
        }
        let (mut revisions, mut failures) = (Vec::new(), Vec::new());
        for arn in arns {
            let all = self
                .services
                .iter()
                .flat_map(|service| service.revisions.iter().map(move |revision| (service, revision)));
            match all.into_iter().find(|(_, revision)| revision.arn == arn) {
                Some((service, revision)) => revisions.push(self.show_revision(service, revision)),
                None => failures.push(json!({"arn": arn, "reason": "MISSING"})),
            }
        }
        Ok(json!({"serviceRevisions": revisions, "failures": failures}))
    }

    /// The service of a request's `cluster` and `service`, inactive ones excluded.
    pub(crate) fn service(&self, request: &Value) -> Result<&Service, Stop> {
        let index = self.service_index(request, "service")?;
        self.services.get(index).ok_or_else(service_not_found)
    }

    fn show_service_deployment(&self, service: &Service, deployment: &ServiceDeployment) -> Value {
        let mut shown = json!({
            "serviceDeploymentArn": deployment.arn,
            "serviceArn": service.arn,
            "clusterArn": self.arn(&format!("cluster/{}", service.cluster)),
            "createdAt": self.scale.wall(deployment.created),
            "updatedAt": self.scale.wall(deployment.updated),
            "sourceServiceRevisions": deployment.sources.iter().map(|arn| self.show_summary(service, arn)).collect::<Vec<_>>(),
            "targetServiceRevision": self.show_summary(service, &deployment.target),
            "status": deployment.status.name(),
            "deploymentConfiguration": deployment.configuration,
            "deploymentCircuitBreaker": {
                "status": deployment.breaker(),
                "failureCount": deployment.failures,
                "threshold": deployment.threshold,
            },
            "alarms": deployment.show_alarms(),
        });
        self.put_times(
            &mut shown,
            &[
                ("startedAt", deployment.started),
                ("finishedAt", deployment.finished),
                ("stoppedAt", deployment.stopped),
            ],
        );
        if let Some(reason) = &deployment.status_reason {
            shown["statusReason"] = json!(reason);
        }
        match &deployment.lifecycle {
            Some(lifecycle) if deployment.started.is_some() => {
                shown["lifecycleStage"] = json!(lifecycle.stage.name());
                shown["lifecycleHookDetails"] = show_hooks(lifecycle, &self.scale);
                self.put_weights(&mut shown, service, lifecycle);
            }
            None if !deployment.status.ended() && deployment.started.is_some() => {
                shown["lifecycleStage"] = json!("SCALE_UP");
            }
            Some(_) | None => {}
        }
        if let Some(rollback) = &deployment.rollback {
            shown["rollback"] = json!({
                "reason": rollback.reason,
                "startedAt": self.scale.wall(rollback.at),
                "serviceRevisionArn": rollback.revision,
            });
        }
        shown
    }

    /// How many tasks a revision has now.
    fn show_summary(&self, service: &Service, revision: &str) -> Value {
        let ids: Vec<&str> = service
            .deployments
            .iter()
            .filter(|deployment| deployment.revision == revision)
            .map(|deployment| deployment.id.as_str())
            .collect();
        let mine = |task: &&Task| task.service == service.arn && ids.contains(&task.deployment.as_str());
        let position = service.deployments.iter().position(|deployment| deployment.revision == revision);
        json!({
            "arn": revision,
            "requestedTaskCount": position.map_or(0, |position| service.requested(position)),
            "runningTaskCount": self.tasks.iter().filter(mine).filter(|task| task.stage == Stage::Running).count(),
            "pendingTaskCount": self.tasks.iter().filter(mine).filter(|task| task.is_pending()).count(),
        })
    }

    /// Adds which share of the traffic each revision has, where ECS shifts any.
    fn put_weights(&self, shown: &mut Value, service: &Service, lifecycle: &Lifecycle) {
        if service.routes().is_empty() {
            return;
        }
        let put = |summary: &mut Value, production: f64, test: f64| {
            summary["requestedProductionTrafficWeight"] = json!(production);
            summary["requestedTestTrafficWeight"] = json!(test);
        };
        put(&mut shown["targetServiceRevision"], lifecycle.production, lifecycle.test);
        let source = service.completed.as_ref().map(|(_, revision)| revision.as_str());
        let sources = shown["sourceServiceRevisions"].as_array_mut();
        let only = sources.as_ref().is_some_and(|sources| sources.len() == 1);
        for summary in sources.into_iter().flatten() {
            let serves = only || text(summary, "arn") == source;
            let rest = |share: f64| if serves { 100.0 - share } else { 0.0 };
            put(summary, rest(lifecycle.production), rest(lifecycle.test));
        }
    }

    fn show_revision(&self, service: &Service, revision: &ServiceRevision) -> Value {
        let mut shown = revision.settings.clone();
        shown["serviceRevisionArn"] = json!(revision.arn);
        shown["serviceArn"] = json!(service.arn);
        shown["clusterArn"] = json!(self.arn(&format!("cluster/{}", service.cluster)));
        shown["taskDefinition"] = json!(revision.definition);
        shown["platformVersion"] = json!(service.platform_version());
        shown["platformFamily"] = json!("Linux");
        shown["guardDutyEnabled"] = json!(false);
        if !service.routes().is_empty() {
            shown["resolvedConfiguration"] = service.resolved(&revision.arn);
        }
        shown["createdAt"] = json!(self.scale.wall(revision.created));
        let content = self.task_definition(&revision.definition).map_or(&Value::Null, |definition| &definition.content);
        shown["containerImages"] = list(content, "containerDefinitions")
            .iter()
            .map(|container| {
                let name = text(container, "name").unwrap_or_default();
                let mut shown = json!({"containerName": name, "image": text(container, "image")});
                if let Some((_, digest)) = revision.digests.iter().find(|(container, _)| container == name) {
                    shown["imageDigest"] = json!(digest);
                }
                shown
            })
            .collect();
        shown
    }

    fn put_times(&self, shown: &mut Value, times: &[(&str, Option<f64>)]) {
        for (name, time) in times {
            if let Some(time) = time {
                shown[*name] = json!(self.scale.wall(*time));
            }
        }
    }
}
