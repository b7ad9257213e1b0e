//! What a `[services.NAME]` table says of containers: sidecars, checks, order.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;

/// Describes a check that ECS runs inside a container; times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// A line for the container's shell, or a list that starts with `CMD` or `CMD-SHELL`
    pub command: CheckCommand,
    /// Time between two checks
    #[serde(default = "defaults::interval")]
    #[schemars(range(min = 5, max = 300))]
    pub interval: i32,
    /// Time that a check may take
    #[serde(default = "defaults::timeout")]
    #[schemars(range(min = 2, max = 60))]
    pub timeout: i32,
    /// Number of checks in a row that must fail
    #[serde(default = "defaults::retries")]
    #[schemars(range(min = 1, max = 10))]
    pub retries: i32,
    /// Time after the start in which failed checks do not count
    #[serde(default)]
    #[schemars(range(min = 0, max = 300))]
    pub start_period: i32,
}

/// A check's command: a line for a shell, or a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CheckCommand {
    /// A line for the container's shell
    Shell(String),
    /// A list that starts with `CMD` or `CMD-SHELL`
    Words(Vec<String>),
}

/// Names how far another container must have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It has been started
    Start,
    /// It has ended
    Complete,
    /// It has ended with exit code 0
    Success,
    /// Its health check has passed
    Healthy,
}

/// Describes a container beside the one that serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sidecar {
    /// Full image reference
    pub image: String,
    /// Stop the task when this container stops
    #[serde(default = "defaults::essential")]
    pub essential: bool,
    /// Environment variables
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Secret environment variables, as those of the service
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Words to run in place of the image's entry point
    #[serde(default)]
    pub entry_point: Vec<String>,
    /// Words to run in place of the image's command
    #[serde(default)]
    pub command: Vec<String>,
    /// CPU units of the task's that are kept for it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Memory in MiB that it may use
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 6))]
    pub memory: Option<u32>,
    /// Memory in MiB that is kept for it
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 6))]
    pub memory_reservation: Option<u32>,
    /// TCP port that it listens on
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Check that ECS runs inside it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Containers that must have come so far before it starts
    #[serde(default)]
    pub depends_on: BTreeMap<String, Condition>,
}
