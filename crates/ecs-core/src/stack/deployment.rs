//! A `[services.NAME.deployment]` table: how a new version takes over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Describes how a new version takes over.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Deployment {
    /// `rolling`: task by task; `blue_green`: all traffic at once, `canary`: first a little of it, `linear`: in equal
    /// steps to a second set of tasks
    pub strategy: Strategy,
    /// Share of the traffic in per cent: of a canary the first (default 5), of `linear` each step (at least 3, default 10)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.1, max = 100.0))]
    pub percent: Option<f64>,
    /// How long the new version is watched, such as `10m`: after all traffic has moved, or of a canary before the rest
    /// does (default 10m, for `linear` 0m)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bake: Option<String>,
    /// Time between two steps of `linear` (default 6m)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// Alarms that roll a deployment back (default: those on 5xx answers and unhealthy hosts, except for `rolling`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarms: Option<Alarms>,
}

/// Names the ways in which ECS brings in a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Task by task, in the same target group
    #[default]
    Rolling,
    /// All traffic at once to a second target group
    BlueGreen,
    /// A little of the traffic, then the rest
    Canary,
    /// In equal steps
    Linear,
}

/// Describes the alarms that roll a deployment back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Alarms {
    /// Number of 5xx answers of the service in one minute that is too much; 0: no such alarm
    pub errors_5xx: u32,
    /// Number of unhealthy tasks that is too much; 0: no such alarm
    pub unhealthy_hosts: u32,
    /// Minutes in a row that it takes
    #[schemars(range(min = 1, max = 10))]
    pub periods: u32,
    /// Names of further CloudWatch alarms, which exist
    pub names: Vec<String>,
}
