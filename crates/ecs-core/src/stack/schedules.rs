//! A `[schedules.NAME]` table: a task that runs at certain times.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;

/// Describes a task that EventBridge Scheduler runs, with the latest task definition of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The service whose image, roles, environment and network it has
    pub service: String,
    /// Words to run in place of the service's own command
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// When, as AWS writes it: `cron(0 3 * * ? *)`, `rate(1 hour)` or `at(2027-01-01T00:00:00)`
    pub expression: String,
    /// Time zone of the expression, such as `Europe/Berlin` (default: UTC)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// Whether it runs
    #[serde(default = "defaults::enabled")]
    pub enabled: bool,
    /// How often ECS is asked again when it does not start the task (default: 185 times)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 185))]
    pub retry_attempts: Option<i32>,
    /// Seconds in which ECS is asked again (default: a day)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 86400))]
    pub retry_seconds: Option<i32>,
    /// ARN of the SQS queue, which exists, that is told of a task that could not be started
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_queue: Option<String>,
}
