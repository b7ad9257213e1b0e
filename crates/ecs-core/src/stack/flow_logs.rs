//! The `[net.flow_logs]` table: what is written down of the traffic in the VPC.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Stack;

/// Describes the VPC's flow logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FlowLogsConfig {
    /// Traffic that is written down
    pub traffic: Traffic,
    /// Days that CloudWatch Logs keeps it
    pub retention_days: i32,
    /// CloudWatch Logs group (default: `/vpc/` and the stack's name)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_group: Option<String>,
    /// Role that writes into the group (default: the stack's name and `-flow-logs`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// ARN of an S3 bucket, with a folder or without, that takes it in place of CloudWatch Logs
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket_arn: Option<String>,
}

/// Says which traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Traffic {
    /// All of it
    All,
    /// What security groups and network ACLs let through
    Accept,
    /// What they do not
    Reject,
}

impl Traffic {
    /// Returns its name, as EC2 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::Accept => "ACCEPT",
            Self::Reject => "REJECT",
        }
    }
}

impl Default for FlowLogsConfig {
    fn default() -> Self {
        Self { traffic: Traffic::All, retention_days: 30, log_group: None, role: None, bucket_arn: None }
    }
}

impl FlowLogsConfig {
    /// Returns the name of the log group.
    pub fn log_group(&self, stack: &Stack) -> String {
        self.log_group.clone().unwrap_or_else(|| format!("/vpc/{}", stack.name))
    }

    /// Returns the name of the role.
    pub fn role(&self, stack: &Stack) -> String {
        self.role.clone().unwrap_or_else(|| format!("{}-flow-logs", stack.name))
    }
}
