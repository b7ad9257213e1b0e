//! The `[cluster]` table: the ECS cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Describes the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// Name of the cluster (default: the stack's name and `-cluster`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// ARN of a cluster that exists and is not this stack's: it is used as it is
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Name of the Cloud Map namespace that the services' `connect` is about
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// CloudWatch Container Insights
    pub container_insights: ContainerInsights,
    /// Days that the services' logs are kept: a value that CloudWatch Logs accepts
    pub log_retention_days: i32,
}

/// Says how much Container Insights collects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContainerInsights {
    /// Nothing
    Disabled,
    /// Cluster and service metrics
    Enabled,
    /// Task and container metrics too
    Enhanced,
}
