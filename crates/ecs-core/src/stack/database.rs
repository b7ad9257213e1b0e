//! The `[db]` table: the PostgreSQL database.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Describes the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DbConfig {
    /// Make a database at all
    pub enabled: bool,
    /// Use the instance `identifier` that somebody else made as it is: it is checked, and never modified or deleted
    pub existing: bool,
    /// Identifier of the RDS instance
    pub identifier: String,
    /// Name of the DB subnet group
    pub subnet_group: String,
    /// Description of the DB subnet group
    pub subnet_group_description: String,
    /// PostgreSQL version, a major (`17`: its latest minor) or a full one (`17.6`); default: the newest that RDS offers
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
    /// Instance class
    pub instance_class: String,
    /// Storage in GiB: at least 20 for gp3
    #[schemars(range(min = 20, max = 65536))]
    pub allocated_storage: i32,
    /// Upper limit in GiB of storage autoscaling (default: no autoscaling)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 21, max = 65536))]
    pub max_allocated_storage: Option<i32>,
    /// Storage type
    pub storage_type: String,
    /// Name of the database inside the instance
    pub database: String,
    /// Master user
    pub user: String,
    /// TCP port
    #[schemars(range(min = 1150, max = 65535))]
    pub port: u16,
    /// Where the master password lives: `parameter`: made here and kept in the Parameter Store;
    /// `secrets_manager`: made and kept by RDS in Secrets Manager
    pub password: PasswordStore,
    /// Days after which RDS changes the password that it keeps in Secrets Manager (default: as RDS sets it, which is 7)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub password_rotation_days: Option<u16>,
    /// Days that automatic backups are kept; 0 switches them off
    #[schemars(range(min = 0, max = 35))]
    pub backup_retention_days: i32,
    /// Let RDS install minor versions in the maintenance window
    pub auto_minor_version_upgrade: bool,
    /// Encrypt the storage
    pub encrypted: bool,
    /// Keep a standby in another zone
    pub multi_az: bool,
    /// Refuse connections without TLS (default: what RDS does for the version)
    pub force_tls: bool,
    /// Parameters of the server, by name, in a DB parameter group of its own; a value is text: `"100"`
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Logs that RDS sends to CloudWatch Logs
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log_exports: Vec<LogExport>,
    /// Refuse to delete the instance
    pub deletion_protection: bool,
}

/// Names the logs that RDS for PostgreSQL sends to CloudWatch Logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogExport {
    /// The server's log
    Postgresql,
    /// That of upgrades
    Upgrade,
}

impl LogExport {
    /// Returns its name, as RDS and the stack file write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgresql => "postgresql",
            Self::Upgrade => "upgrade",
        }
    }
}

/// Says where the database's master password is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PasswordStore {
    /// A SecureString parameter, the one whose value is `${db.password}`
    Parameter,
    /// A secret that RDS makes, owns and can rotate
    SecretsManager,
}
