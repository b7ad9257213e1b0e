//! The `[alarms]` table and a `[services.NAME.alarms]` table: alarms for people, which roll nothing back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Describes what all alarms for people have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlarmsConfig {
    /// ARN of the SNS topic that is told, which exists (default: an alarm only shows)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}

/// Describes the alarms on one service: what is left out is not watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceAlarms {
    /// Average CPU utilisation that is too much, in per cent
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub cpu: Option<u32>,
    /// Average memory utilisation that is too much, in per cent
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub memory: Option<u32>,
    /// Number of 5xx answers of the service in one minute that is too much
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub errors_5xx: Option<u32>,
    /// Number of unhealthy tasks that is too much
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub unhealthy_hosts: Option<u32>,
    /// Minutes in a row that it takes
    #[schemars(range(min = 1, max = 1440))]
    pub periods: u32,
    /// ARN of another SNS topic than the stack's
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}
