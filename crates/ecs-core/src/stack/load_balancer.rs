//! The `[alb]` table: the Application Load Balancer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Describes the load balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlbConfig {
    /// Name of the load balancer: at most 32 letters, digits and hyphens
    pub name: String,
    /// ARN of an ACM certificate: adds a listener on 443 and redirects 80 to it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_arn: Option<String>,
}
