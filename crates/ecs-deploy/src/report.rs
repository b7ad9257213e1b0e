//! What the program writes on stdout: one JSON object, whatever became of it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_sdk_ecs::primitives::{DateTime, DateTimeFormat};
use ecs_core::Error;
use schemars::JsonSchema;
use serde::Serialize;

use crate::diagnosis::Diagnosis;
use crate::target::Target;
use crate::verdict::Verdict;

/// The whole report.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// The worst verdict of all services
    pub verdict: Verdict,
    /// The exit code of the program
    pub exit_code: u8,
    /// Services, by their key in the stack file or by their name
    pub services: BTreeMap<String, ServiceReport>,
}

/// What became of one service.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ServiceReport {
    /// Name of the cluster
    pub cluster: String,
    /// Name of the ECS service
    pub service: String,
    /// What became of it
    pub verdict: Verdict,
    /// Its exit code; not always the verdict's own: who asked for a rollback gets 0 for it
    pub exit_code: u8,
    /// Why, where there is something to say
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is wrong, one entry each, where something was looked at before
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Service deployment; `ecs-deploy wait ARN` follows it from anywhere
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_arn: Option<String>,
    /// Deployment strategy
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Task definition before and after
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_definition: Option<Revisions>,
    /// Images that were put in
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageReport>,
    /// What differs between the two revisions; of variables and secrets, only the names
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
    /// One-off tasks
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskReport>,
    /// When
    pub times: Times,
    /// Why the service or its deployment is not well
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
    /// Exit code that stands in for the verdict's own: 0 for a rollback that was asked for, a container's own
    #[serde(skip)]
    pub own_exit_code: Option<u8>,
}

impl ServiceReport {
    /// Begins the report about a service: until something is known, it has failed.
    pub fn new(target: &Target, started: SystemTime) -> Self {
        let started = time(&DateTime::from(started));
        let times = Times {
            ended_at: started.clone(),
            started_at: started,
            seconds: 0.0,
            deployment_created_at: None,
            deployment_finished_at: None,
        };
        Self {
            cluster: ecs_aws::deployment::short(&target.cluster).to_owned(),
            service: target.service.clone(),
            verdict: Verdict::Failed,
            exit_code: 0,
            reason: None,
            problems: Vec::new(),
            deployment_arn: None,
            strategy: None,
            task_definition: None,
            images: Vec::new(),
            changes: Vec::new(),
            tasks: Vec::new(),
            times,
            diagnosis: None,
            own_exit_code: None,
        }
    }

    /// Ends it: notes when, and which exit code comes of the verdict.
    pub fn end(&mut self, started: SystemTime) {
        let now = SystemTime::now();
        self.times.ended_at = time(&DateTime::from(now));
        let seconds = now.duration_since(started).unwrap_or_default().as_secs_f64();
        self.times.seconds = (seconds * 1000.0).round() / 1000.0;
        self.exit_code = self.own_exit_code.unwrap_or(self.verdict.exit_code());
    }

    /// Takes in a failure that ended the work.
    pub fn fail(&mut self, error: &Error) {
        self.verdict = Verdict::of_error(error);
        self.reason = Some(error.render());
        self.own_exit_code = Some(error.exit_code());
    }
}

/// The task definition before and after.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Revisions {
    /// ARN of the revision that ran before
    pub before: String,
    /// ARN of the revision that was deployed; `planned:…` in a plan
    pub after: String,
}

/// An image that was put into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ImageReport {
    /// Name of the container
    pub container: String,
    /// What was asked for
    pub asked: String,
    /// What stands in the task definition
    pub image: String,
    /// Digest of the image; none where its registry is not ECR
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// One one-off task.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TaskReport {
    /// Its ARN
    pub arn: String,
    /// Exit code of its container; none when it never ran, or when nobody waited for its end
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why it stopped, where ECS says so
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// When something began and ended.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Times {
    /// When this program began, RFC 3339
    pub started_at: String,
    /// When it ended, RFC 3339
    pub ended_at: String,
    /// Seconds in between
    pub seconds: f64,
    /// When ECS created the deployment, RFC 3339
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_created_at: Option<String>,
    /// When ECS ended the deployment, RFC 3339
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_finished_at: Option<String>,
}

/// Writes a time as RFC 3339.
pub fn time(at: &DateTime) -> String {
    // Fails only for years beyond 9999.
    at.fmt(DateTimeFormat::DateTime).unwrap_or_default()
}
