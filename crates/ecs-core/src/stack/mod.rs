//! The stack file: what a stack is to be, with the tutorial stack's values as defaults.

mod alarms;
pub mod check;
mod cluster;
mod connect;
mod container;
mod database;
mod defaults;
mod deployment;
mod derived;
pub mod fargate;
mod flow_logs;
pub mod load;
mod load_balancer;
mod network;
pub mod network_acl;
mod parameters;
mod pointer;
mod report;
mod repositories;
mod roles;
mod schedules;
mod schema;
mod security_groups;
mod service;
mod source;
mod tables;
mod template;
mod volume;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use alarms::{AlarmsConfig, ServiceAlarms};
pub use cluster::{ClusterConfig, ContainerInsights};
pub use connect::{AppProtocol, Connect};
pub use container::{CheckCommand, Condition, HealthCheck, Sidecar};
pub use database::{DbConfig, LogExport, PasswordStore};
pub use deployment::{Alarms, Deployment, Strategy};
pub use derived::{EcrRepository, Shift, SubnetPlan, Tier, ecr_repository, endpoint_service, partition};
pub use flow_logs::{FlowLogsConfig, Traffic};
pub use load_balancer::{AlbConfig, CertificateConfig};
pub use network::{GatewayService, Nat, NetConfig, Zones};
pub use network_acl::NetworkAclConfig;
pub use parameters::{Parameter, ParameterLayer, TypedParameter};
pub use repositories::{EcrConfig, TagMutability};
pub use roles::{CiUser, Effect, Github, IamConfig, OneOrMore, Statement};
pub use schedules::Schedule;
pub use security_groups::{AlbEgress, Direction, Peer, Ports, Protocol, SgConfig, SgGroup, SgRule};
pub use service::{Architecture, Autoscaling, ScheduledLimits, Service, Spot};
pub use tables::{
    AttributeType, Billing, BillingMode, GlobalIndex, KeyAttribute, LocalIndex, Projection, ProjectionKind, TableClass,
    TableConfig, TableNames, Throughput, refers_to_table,
};
pub use volume::Volume;

/// Greatest priority of a listener rule: that of the rule for what no other rule matches, where such a rule is needed.
///
/// Source: `CreateRule`, `Priority`.
pub const LAST_PRIORITY: i32 = 50_000;

/// Path pattern of that rule.
pub const DEFAULT_PATH: &str = "/*";

/// Describes a whole stack: every key is optional, and what a file leaves out is the tutorial stack's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Stack {
    /// Name of the stack: the value of the `ecs-pipe:stack` tag and the prefix of names that the file does not give
    pub name: String,
    /// AWS region; without it, the region of the person's AWS configuration
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Twelve digits of the AWS account that the stack belongs to; credentials for another account are refused
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// VPC, subnets, gateways and routes
    pub net: NetConfig,
    /// Security groups
    pub sg: SgConfig,
    /// Roles
    pub iam: IamConfig,
    /// Image repositories
    pub ecr: EcrConfig,
    /// PostgreSQL database
    pub db: DbConfig,
    /// DynamoDB tables, by a short name of your choice
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tables: BTreeMap<String, TableConfig>,
    /// Parameters in the SSM Parameter Store, by name; a value may hold `${db.host}`, `${db.port}`, `${db.name}`,
    /// `${db.user}`, `${db.password}`, `${table.NAME.name}`, `${table.NAME.arn}`, `${alb.dns_name}` and `${alb.url}`
    pub parameters: BTreeMap<String, Parameter>,
    /// Application Load Balancer
    pub alb: AlbConfig,
    /// Alarms for people
    pub alarms: AlarmsConfig,
    /// ECS cluster
    pub cluster: ClusterConfig,
    /// Services, by a short name of your choice; a file that names any has exactly those
    pub services: BTreeMap<String, Service>,
    /// Tasks that run at certain times, by a short name of your choice
    pub schedules: BTreeMap<String, Schedule>,
}
