//! The one cause behind what ECS says of stopped tasks, and what a person can do about it.

use aws_sdk_ecs::types::Task;
use schemars::JsonSchema;
use serde::Serialize;

use super::stopped_because;

/// What keeps a service's tasks from running.
///
/// The texts are those of
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>: ECS has no codes of its
/// own for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The image is not in its registry
    ImageNotFound,
    /// The execution role may not pull the image
    ImageNotReadable,
    /// The image was built for another processor
    WrongArchitecture,
    /// A secret or parameter does not exist, or the execution role may not read it
    SecretNotReadable,
    /// The tasks reach neither the registry nor the secrets
    NoRoute,
    /// ECS may not take on the execution or the task role
    RoleNotAssumable,
    /// The log group does not exist
    LogGroupMissing,
    /// The container used more memory than it has
    OutOfMemory,
    /// The container exits by itself
    Crash,
    /// The container does not pass its health check, or the load balancer's
    HealthCheck,
    /// Fargate has no room at the moment
    NoCapacity,
    /// A quota of the account is used up
    Quota,
    /// A CloudWatch alarm went off
    Alarm,
    /// The load balancer's rules and target groups are not as ECS needs them
    Network,
    /// Somebody stopped the deployment, or another one took its place
    Stopped,
    /// Nothing that ECS says points to one cause
    Unknown,
}

/// Fragments of the reasons that tasks stop for, the more telling ones first.
const FRAGMENTS: [(Cause, &[&str]); 12] = [
    (Cause::WrongArchitecture, &["descriptor matching platform", "exec format error"]),
    (Cause::RoleNotAssumable, &["ECS was unable to assume the role"]),
    (
        Cause::NoRoute,
        &[
            "i/o timeout",
            "context deadline exceeded",
            "connection issue between the task",
            "no such host",
            "RequestCanceled",
        ],
    ),
    (Cause::LogGroupMissing, &["The specified log group does not exist", "failed to validate logger args"]),
    (Cause::SecretNotReadable, &["unable to pull secrets", "unable to retrieve secret", "invalid ssm parameters"]),
    (
        Cause::ImageNotReadable,
        &["pull access denied", "403 Forbidden", "ecr:BatchGetImage", "ecr:GetAuthorizationToken"],
    ),
    (Cause::ImageNotFound, &["CannotPullContainerError", "CannotPullImageManifestError", "ImageNotFound"]),
    (Cause::OutOfMemory, &["OutOfMemory"]),
    (Cause::NoCapacity, &["Capacity is unavailable", "capacity is unavailable"]),
    (Cause::Quota, &["reached the limit on the number", "LimitExceeded"]),
    (Cause::HealthCheck, &["failed ELB health checks", "failed container health checks"]),
    (Cause::Crash, &["Essential container in task exited", "CannotStartContainerError"]),
];

impl Cause {
    /// Returns the cause behind a task's end; none for one that was replaced in order.
    pub fn of_task(task: &Task) -> Option<Self> {
        let reason = stopped_because(task);
        if reason.is_empty() { None } else { Some(Self::of_text(&reason)) }
    }

    /// Returns the cause behind what ECS says of a task, an event or a deployment.
    pub fn of_text(text: &str) -> Self {
        let found = FRAGMENTS.iter().find(|(_, fragments)| fragments.iter().any(|fragment| text.contains(fragment)));
        found.map_or(Self::Unknown, |(cause, _)| *cause)
    }

    /// Says whether trying again, as ECS does, cannot help: somebody must change something first.
    pub fn is_final(self) -> bool {
        match self {
            Self::ImageNotFound
            | Self::ImageNotReadable
            | Self::WrongArchitecture
            | Self::SecretNotReadable
            | Self::RoleNotAssumable
            | Self::LogGroupMissing
            | Self::Network => true,
            Self::NoRoute
            | Self::OutOfMemory
            | Self::Crash
            | Self::HealthCheck
            | Self::NoCapacity
            | Self::Quota
            | Self::Alarm
            | Self::Stopped
            | Self::Unknown => false,
        }
    }

    /// Says what it is, in a few words.
    pub fn title(self) -> &'static str {
        match self {
            Self::ImageNotFound => "the image is not there",
            Self::ImageNotReadable => "the image may not be pulled",
            Self::WrongArchitecture => "the image is for another processor",
            Self::SecretNotReadable => "a secret cannot be read",
            Self::NoRoute => "the tasks do not reach AWS",
            Self::RoleNotAssumable => "ECS cannot take on a role",
            Self::LogGroupMissing => "the log group is not there",
            Self::OutOfMemory => "the container ran out of memory",
            Self::Crash => "the container exits",
            Self::HealthCheck => "the health check does not pass",
            Self::NoCapacity => "Fargate has no capacity",
            Self::Quota => "a quota is used up",
            Self::Alarm => "an alarm went off",
            Self::Network => "traffic cannot be shifted",
            Self::Stopped => "the deployment was stopped",
            Self::Unknown => "no single cause",
        }
    }

    /// Says what a person can do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::ImageNotFound => "push the image, or deploy a tag that exists",
            Self::ImageNotReadable => {
                "let the execution role pull from the repository: attach AmazonECSTaskExecutionRolePolicy"
            }
            Self::WrongArchitecture => {
                "build the image for the task's processor (docker buildx build --platform linux/amd64), or change the task's runtime platform"
            }
            Self::SecretNotReadable => {
                "see that the secret or parameter exists, that the execution role may read it, and, with a key of your own, decrypt it"
            }
            Self::NoRoute => {
                "give the task's subnets a route out (NAT gateway) or endpoints for ecr.api, ecr.dkr, s3, logs, ssm and secretsmanager, and let the security group out on 443"
            }
            Self::RoleNotAssumable => {
                "let ecs-tasks.amazonaws.com take on the execution and the task role (trust policy)"
            }
            Self::LogGroupMissing => "make the log group, or let ecs-svc make it",
            Self::OutOfMemory => "give the task more memory (--memory), or see why the new version needs more",
            Self::Crash => "see the container's last log lines; a missing setting or a failed connection is usual",
            Self::HealthCheck => {
                "see that the container listens on its port on 0.0.0.0, answers the health check's path with the expected code, and in time for the grace period"
            }
            Self::NoCapacity => "try again later, or in more availability zones",
            Self::Quota => {
                "raise the quota \"Fargate On-Demand vCPU resource count\" in Service Quotas, or run fewer tasks"
            }
            Self::Alarm => "see what the alarm measures; deploy again when it is mended",
            Self::Network => {
                "run ecs-iam, ecs-alb and ecs-svc with the stack file: they make what ECS needs to shift traffic"
            }
            Self::Stopped => "deploy again when whoever stopped it agrees",
            Self::Unknown => "see the events, and the container's log",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What ECS says, from the developer guide's page on stopped tasks and from issues.
    #[test]
    fn a_reason_has_one_cause() {
        let pulling = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed:";
        let cases = [
            ("CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref r/app:9: not found".to_owned(), Cause::ImageNotFound),
            ("CannotPullContainerError: pull image manifest has been retried 7 time(s): image Manifest does not contain descriptor matching platform 'linux/amd64'".to_owned(), Cause::WrongArchitecture),
            ("CannotPullContainerError: ref pull has been retried 5 time(s): failed to do request: dial tcp 52.1.2.3:443: i/o timeout".to_owned(), Cause::NoRoute),
            (format!("{pulling} unable to retrieve ecr registry auth: RequestError: send request failed caused by: dial tcp 10.0.0.2:443: i/o timeout"), Cause::NoRoute),
            (format!("{pulling} unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid ssm parameters: /a"), Cause::SecretNotReadable),
            (format!("{pulling} unable to retrieve secrets from ssm: AccessDeniedException: User: x is not authorized to perform: ssm:GetParameters"), Cause::SecretNotReadable),
            ("ECS was unable to assume the role 'arn:aws:iam::1:role/r' that was provided for this task.".to_owned(), Cause::RoleNotAssumable),
            ("ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: ResourceNotFoundException: The specified log group does not exist.".to_owned(), Cause::LogGroupMissing),
            ("Essential container in task exited; app: OutOfMemoryError: Container killed due to memory usage".to_owned(), Cause::OutOfMemory),
            ("Essential container in task exited; app: exit code 1".to_owned(), Cause::Crash),
            ("Task failed ELB health checks in (target-group arn:aws:…)".to_owned(), Cause::HealthCheck),
            ("Task failed container health checks".to_owned(), Cause::HealthCheck),
            ("Capacity is unavailable at this time. Please try again later or in a different availability zone".to_owned(), Cause::NoCapacity),
            ("You've reached the limit on the number of vCPUs you can run concurrently".to_owned(), Cause::Quota),
            ("Task stopped by user".to_owned(), Cause::Unknown),
        ];
        for (text, cause) in cases {
            assert_eq!(Cause::of_text(&text), cause, "{text}");
        }
    }
}
