//! A `[services.NAME]` table: a service, its task definition and its place behind the load balancer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, Connect, Deployment, HealthCheck, ServiceAlarms, Sidecar, Statement, Volume};

/// Describes one service: its task definition, its place behind the load balancer and how it is deployed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Service {
    /// Name of the ECS service (default: the key and `-service`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Task definition family (default: the key and `-task`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Container name (default: the key)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// ECR repository (default: the key and `-repo`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Image tag of the first task definition; later ones are put in by ecs-deploy
    pub tag: String,
    /// Full image reference, instead of a repository of this stack
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// CPU units: 256, 512, 1024, 2048, 4096, 8192 or 16384
    pub cpu: u32,
    /// Memory in MiB: a value that Fargate offers for the CPU units
    pub memory: u32,
    /// Part of the memory in MiB that is kept for the container: less than `memory`, more of which it may use all the same
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 6))]
    pub memory_reservation: Option<u32>,
    /// Processor that the image is built for
    pub architecture: Architecture,
    /// Words to run in place of the image's entry point (default: what somebody has set up at ECS stays)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<Vec<String>>,
    /// Words to run in place of the image's command (default: what somebody has set up at ECS stays)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Check that ECS runs inside the container (default: what somebody has set up at ECS stays)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Sidecars that must have come so far before the container starts
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<String, Condition>,
    /// Let people run commands in the tasks with ECS Exec; false switches it off where somebody has switched it on
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<bool>,
    /// Run tasks on Fargate Spot too, which AWS may take back (default: on demand)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spot: Option<Spot>,
    /// Containers beside the one that serves, by name
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sidecars: BTreeMap<String, Sidecar>,
    /// EFS file systems in the container that serves, by name
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Volume>,
    /// Place in Service Connect: the cluster's `namespace` (default: what somebody has set up at ECS stays)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<Connect>,
    /// TCP port that the container listens on
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Number of tasks
    pub desired: u32,
    /// Target group (default: the key and `-tg`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_group: Option<String>,
    /// Path that the load balancer checks
    pub health_path: String,
    /// Path pattern that is routed to the service; one service has none and takes everything else
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Priority of the listener rule for the path, 1 to 50000, each once
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50000))]
    pub priority: Option<i32>,
    /// Task role (default: the key and `TaskRole`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_role: Option<String>,
    /// ARN of a task role that somebody else made: used as it is, in place of one of this stack
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_role_arn: Option<String>,
    /// What the containers may do in the account: statements of the task role's inline policy
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<Statement>,
    /// Log group (default: `/ecs/` and the key)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_group: Option<String>,
    /// Environment variables
    pub environment: BTreeMap<String, String>,
    /// Secret environment variables: the name of a parameter of this stack, `${db.secret_arn}:password::`, or the ARN
    /// of a parameter or secret that exists
    pub secrets: BTreeMap<String, String>,
    /// Least share of the desired tasks that stays healthy while deploying, in per cent
    pub minimum_healthy_percent: i32,
    /// Greatest share of the desired tasks that runs while deploying, in per cent
    pub maximum_percent: i32,
    /// Seconds after its start in which a task's failed health checks do not count
    #[schemars(range(min = 0, max = 2147483647))]
    pub health_check_grace_period: i32,
    /// Seconds that a target drains: AWS's own default of 300 makes every deployment slow
    #[schemars(range(min = 0, max = 3600))]
    pub deregistration_delay: i32,
    /// CloudWatch alarms on the service, for people
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarms: Option<ServiceAlarms>,
    /// Let Application Auto Scaling own the number of tasks
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// How a new version takes over (default: task by task; what somebody has set up at ECS stays)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
}

/// Names the processors that Fargate has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Architecture {
    /// Intel and AMD
    #[default]
    #[serde(rename = "x86_64")]
    X86_64,
    /// AWS Graviton
    #[serde(rename = "arm64")]
    Arm64,
}

/// Describes how a service's tasks are spread over Fargate on demand and Fargate Spot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Spot {
    /// Number of tasks that run on demand before the shares count
    #[schemars(range(min = 0, max = 100_000))]
    pub base: i32,
    /// Share of the other tasks that runs on demand, against `weight`
    #[schemars(range(min = 0, max = 1000))]
    pub on_demand: i32,
    /// Share of the other tasks that runs on Spot, against `on_demand`
    #[schemars(range(min = 0, max = 1000))]
    pub weight: i32,
}

/// Describes how the number of a service's tasks scales: by at least one of the three targets, or by schedules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Autoscaling {
    /// Least number of tasks
    pub min: u32,
    /// Greatest number of tasks
    pub max: u32,
    /// Target for the average CPU utilisation, in per cent
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub cpu: Option<u32>,
    /// Target for the average memory utilisation, in per cent
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub memory: Option<u32>,
    /// Target for the load balancer's requests per task and minute
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub requests_per_target: Option<u32>,
    /// Other limits at certain times; from the first of them on, `min` and `max` are what the last one has set
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<ScheduledLimits>,
}

/// Describes at which times the number of tasks has which limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduledLimits {
    /// A short name, unique in the service
    pub name: String,
    /// When, as AWS writes it: `cron(0 20 * * ? *)`, `rate(1 day)` or `at(2027-01-01T00:00:00)`
    pub expression: String,
    /// Time zone of the expression, such as `Europe/Berlin` (default: UTC)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Least number of tasks from then on
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// Greatest number of tasks from then on
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}
