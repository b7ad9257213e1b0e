//! A `[services.NAME.volumes.NAME]` table: an EFS file system in the container that serves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Describes an EFS file system, which exists, in the container; it is encrypted on its way, and IAM decides who may use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Id of the file system; its mount targets' security group must let the tasks' in on TCP 2049, and where it has a policy
    /// of its own, a container that runs as root needs an access point with a POSIX user
    pub file_system: String,
    /// Id of an access point of the file system
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_point: Option<String>,
    /// Directory in the container
    pub path: String,
    /// Whether the tasks may only read
    #[serde(default)]
    pub read_only: bool,
    /// Directory of the file system (default: its root, or what the access point says)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_directory: Option<String>,
}
