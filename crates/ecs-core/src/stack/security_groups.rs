//! The `[sg]` table: security groups.

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Describes the three security groups; their rules follow from the services' and the database's ports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SgConfig {
    /// Name of the load balancer's group
    pub alb_name: String,
    /// Description of the load balancer's group
    pub alb_description: String,
    /// Name of the tasks' group
    pub tasks_name: String,
    /// Description of the tasks' group
    pub tasks_description: String,
    /// Name of the database's group
    pub db_name: String,
    /// Description of the database's group
    pub db_description: String,
    /// Ranges that may reach the load balancer
    #[schemars(with = "Vec<schema::Range>")]
    pub alb_sources: Vec<Ipv4Net>,
}
