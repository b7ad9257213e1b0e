//! The stack file: what a stack is to be, with the tutorial stack's values as defaults.

pub mod check;
mod defaults;
mod derived;
pub mod fargate;
pub mod load;
mod pointer;
mod report;
mod schema;
mod source;
mod template;

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use derived::{Shift, SubnetPlan, Tier, endpoint_service};

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
    /// Parameters in the SSM Parameter Store, by name; a value may hold `${db.host}`, `${db.port}`, `${db.name}`,
    /// `${db.user}`, `${db.password}`, `${alb.dns_name}` and `${alb.url}`
    pub parameters: BTreeMap<String, Parameter>,
    /// Application Load Balancer
    pub alb: AlbConfig,
    /// ECS cluster
    pub cluster: ClusterConfig,
    /// Services, by a short name of your choice; a file that names any has exactly those
    pub services: BTreeMap<String, Service>,
}

/// Describes the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NetConfig {
    /// Name of the VPC (default: the stack's name and `-vpc`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_name: Option<String>,
    /// IPv4 range of the VPC, /16 to /24
    #[schemars(with = "schema::Range")]
    pub cidr: Ipv4Net,
    /// Availability zones, by letter or by full name: two or more
    pub zones: Vec<String>,
    /// One range a zone for the public subnets (default: computed from the VPC's range)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<schema::Range>>")]
    pub public_cidrs: Option<Vec<Ipv4Net>>,
    /// One range a zone for the private subnets (default: computed from the VPC's range)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<schema::Range>>")]
    pub private_cidrs: Option<Vec<Ipv4Net>>,
    /// Give each zone a third subnet, for a database: its route table has no way out
    pub database_subnets: bool,
    /// One range a zone for the database subnets (default: computed from the VPC's range)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<schema::Range>>")]
    pub database_cidrs: Option<Vec<Ipv4Net>>,
    /// NAT gateways, the way out of the private subnets
    pub nat: Nat,
    /// Services that the private and the database subnets reach by a route, which costs nothing
    pub gateway_endpoints: Vec<GatewayService>,
    /// Services that the private subnets reach by a network interface in each: `ecr.api`, or a full name such as
    /// `com.amazonaws.us-east-1.ecr.api`
    pub interface_endpoints: Vec<String>,
}

/// Names a service that has gateway endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GatewayService {
    /// S3, where ECR keeps the layers of images
    S3,
    /// DynamoDB
    DynamoDb,
}

impl GatewayService {
    /// Returns its name, as it stands in the stack file.
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::DynamoDb => "dynamodb",
        }
    }
}

/// Says how many NAT gateways there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nat {
    /// One in each zone: a zone that fails takes no other one's way out with it
    PerZone,
    /// One in the first zone, for all of them
    Single,
    /// None: the private subnets have no way out
    None,
}

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

/// Describes the roles; each service's task role is named in the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IamConfig {
    /// Name of the task execution role
    pub execution_role: String,
    /// Description of the task execution role
    pub execution_role_description: String,
    /// Name of the execution role's inline policy that lets it read this stack's parameters
    pub parameter_policy: String,
    /// Name of the role with which ECS shifts traffic, made when a service's deployment strategy does
    pub infrastructure_role: String,
    /// What ECS itself may do beside pulling images, writing logs and reading the services' secrets
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub execution_statements: Vec<Statement>,
    /// ARN of the managed policy that limits every role of the stack
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions_boundary: Option<String>,
    /// Role with which GitHub Actions may deploy this stack
    #[serde(skip_serializing_if = "Option::is_none")]
    pub github: Option<Github>,
}

/// Describes one statement of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Whether it allows or denies
    #[serde(default)]
    pub effect: Effect,
    /// Actions, such as `s3:GetObject`
    pub actions: Vec<String>,
    /// ARNs of what they may be done to
    pub resources: Vec<String>,
    /// Conditions, as IAM writes them: `{ StringEquals = { "aws:RequestedRegion" = "eu-west-1" } }`
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<String, BTreeMap<String, OneOrMore>>,
}

/// Says what a statement of a policy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It allows
    #[default]
    Allow,
    /// It denies, whatever else allows
    Deny,
}

/// A text, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One
    One(String),
    /// Any of several
    More(Vec<String>),
}

/// Describes who at GitHub may deploy, and as which role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Github {
    /// Repository whose workflows may take the role on: `organisation/repository`
    pub repository: String,
    /// Branch whose workflows may (default: `main`, unless `environment` is given)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Environment whose jobs may, instead of a branch
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Name of the role (default: the stack's name and `-deploy`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// Describes what all image repositories share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EcrConfig {
    /// Whether a tag may be pushed again
    pub mutability: TagMutability,
    /// Number of images that the lifecycle policy keeps
    #[schemars(range(min = 1))]
    pub keep_images: u32,
    /// Scan each image when it is pushed
    pub scan_on_push: bool,
}

/// Says whether an image tag may be pushed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TagMutability {
    /// A tag can be moved to another image
    Mutable,
    /// A tag names one image for ever
    Immutable,
}

/// Describes the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DbConfig {
    /// Make a database at all
    pub enabled: bool,
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
    /// Days that automatic backups are kept; 0 switches them off
    #[schemars(range(min = 0, max = 35))]
    pub backup_retention_days: i32,
    /// Let RDS install minor versions in the maintenance window
    pub auto_minor_version_upgrade: bool,
    /// Encrypt the storage
    pub encrypted: bool,
    /// Keep a standby in another zone
    pub multi_az: bool,
    /// Refuse to delete the instance
    pub deletion_protection: bool,
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

/// Describes one parameter of the Parameter Store: its value alone, or a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Parameter {
    /// A String parameter
    Plain(String),
    /// A parameter with its type
    Typed(TypedParameter),
}

/// Describes a parameter with its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TypedParameter {
    /// Value, which may hold `${…}` references
    pub value: String,
    /// Make it a SecureString
    #[serde(default)]
    pub secure: bool,
}

impl Parameter {
    /// Returns the value as the file gives it, references unresolved.
    pub fn template(&self) -> &str {
        match self {
            Parameter::Plain(value) => value,
            Parameter::Typed(typed) => &typed.value,
        }
    }

    /// Says whether it is a SecureString.
    pub fn secure(&self) -> bool {
        match self {
            Parameter::Plain(_) => false,
            Parameter::Typed(typed) => typed.secure,
        }
    }

    /// Returns the layer whose outputs the value needs, which is the layer that writes the parameter.
    pub fn layer(&self) -> ParameterLayer {
        if self.template().contains("${db.") { ParameterLayer::Db } else { ParameterLayer::Alb }
    }
}

/// Names the layer that writes a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterLayer {
    /// Written by ecs-db: it refers to the database
    Db,
    /// Written by ecs-alb: it refers to the load balancer, or to nothing
    Alb,
}

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

/// Describes the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// Name of the cluster (default: the stack's name and `-cluster`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
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

/// Describes one service: its task definition, its place behind the load balancer and how it is deployed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Service {
    /// Name of the ECS service (default: the key and `-service`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Task definition family (default: the key and `-task`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Container name (default: the key)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// ECR repository (default: the key and `-repo`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Image tag of the first task definition; later ones are put in by ecs-deploy
    pub tag: String,
    /// Full image reference, instead of a repository of this stack
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// CPU units: 256, 512, 1024, 2048, 4096, 8192 or 16384
    pub cpu: u32,
    /// Memory in MiB: a value that Fargate offers for the CPU units
    pub memory: u32,
    /// Part of the memory in MiB that is kept for the container: less than `memory`, more of which it may use all the same
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 6))]
    pub memory_reservation: Option<u32>,
    /// Processor that the image is built for
    pub architecture: Architecture,
    /// Words to run in place of the image's entry point (default: what somebody has set up at ECS stays)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_point: Option<Vec<String>>,
    /// Words to run in place of the image's command (default: what somebody has set up at ECS stays)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Check that ECS runs inside the container (default: what somebody has set up at ECS stays)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Sidecars that must have come so far before the container starts
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub depends_on: BTreeMap<String, Condition>,
    /// Let people run commands in the tasks with ECS Exec; false switches it off where somebody has switched it on
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<bool>,
    /// Run tasks on Fargate Spot too, which AWS may take back (default: on demand)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spot: Option<Spot>,
    /// Containers beside the one that serves, by name
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sidecars: BTreeMap<String, Sidecar>,
    /// TCP port that the container listens on
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Number of tasks
    pub desired: u32,
    /// Target group (default: the key and `-tg`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_group: Option<String>,
    /// Path that the load balancer checks
    pub health_path: String,
    /// Path pattern that is routed to the service; one service has none and takes everything else
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Priority of the listener rule for the path, 1 to 50000, each once
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50000))]
    pub priority: Option<i32>,
    /// Task role (default: the key and `TaskRole`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_role: Option<String>,
    /// What the containers may do in the account: statements of the task role's inline policy
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<Statement>,
    /// Log group (default: `/ecs/` and the key)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_group: Option<String>,
    /// Environment variables
    pub environment: BTreeMap<String, String>,
    /// Secret environment variables: the name of a parameter of this stack, `${db.secret_arn}:password::`, or the ARN
    /// of a parameter or secret that exists
    pub secrets: BTreeMap<String, String>,
    /// Least share of the desired tasks that stays healthy while deploying, in per cent
    pub minimum_healthy_percent: i32,
    /// Greatest share of the desired tasks that runs while deploying, in per cent
    pub maximum_percent: i32,
    /// Seconds after its start in which a task's failed health checks do not count
    #[schemars(range(min = 0, max = 2147483647))]
    pub health_check_grace_period: i32,
    /// Seconds that a target drains: AWS's own default of 300 makes every deployment slow
    #[schemars(range(min = 0, max = 3600))]
    pub deregistration_delay: i32,
    /// Let Application Auto Scaling own the number of tasks
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// How a new version takes over (default: task by task; what somebody has set up at ECS stays)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
}

/// Names the processors that Fargate has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Architecture {
    /// Intel and AMD
    #[default]
    #[serde(rename = "x86_64")]
    X86_64,
    /// AWS Graviton
    #[serde(rename = "arm64")]
    Arm64,
}

/// Describes a check that ECS runs inside a container; times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// A line for the container's shell, or a list that starts with `CMD` or `CMD-SHELL`
    pub command: CheckCommand,
    /// Time between two checks
    #[serde(default = "defaults::interval")]
    #[schemars(range(min = 5, max = 300))]
    pub interval: i32,
    /// Time that a check may take
    #[serde(default = "defaults::timeout")]
    #[schemars(range(min = 2, max = 60))]
    pub timeout: i32,
    /// Number of checks in a row that must fail
    #[serde(default = "defaults::retries")]
    #[schemars(range(min = 1, max = 10))]
    pub retries: i32,
    /// Time after the start in which failed checks do not count
    #[serde(default)]
    #[schemars(range(min = 0, max = 300))]
    pub start_period: i32,
}

/// A check's command: a line for a shell, or a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CheckCommand {
    /// A line for the container's shell
    Shell(String),
    /// A list that starts with `CMD` or `CMD-SHELL`
    Words(Vec<String>),
}

/// Names how far another container must have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It has been started
    Start,
    /// It has ended
    Complete,
    /// It has ended with exit code 0
    Success,
    /// Its health check has passed
    Healthy,
}

/// Describes how a service's tasks are spread over Fargate on demand and Fargate Spot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Spot {
    /// Number of tasks that run on demand before the shares count
    #[schemars(range(min = 0, max = 100_000))]
    pub base: i32,
    /// Share of the other tasks that runs on demand, against `weight`
    #[schemars(range(min = 0, max = 1000))]
    pub on_demand: i32,
    /// Share of the other tasks that runs on Spot, against `on_demand`
    #[schemars(range(min = 0, max = 1000))]
    pub weight: i32,
}

/// Describes a container beside the one that serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sidecar {
    /// Full image reference
    pub image: String,
    /// Stop the task when this container stops
    #[serde(default = "defaults::essential")]
    pub essential: bool,
    /// Environment variables
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Secret environment variables, as those of the service
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Words to run in place of the image's entry point
    #[serde(default)]
    pub entry_point: Vec<String>,
    /// Words to run in place of the image's command
    #[serde(default)]
    pub command: Vec<String>,
    /// CPU units of the task's that are kept for it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Memory in MiB that it may use
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 6))]
    pub memory: Option<u32>,
    /// Memory in MiB that is kept for it
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 6))]
    pub memory_reservation: Option<u32>,
    /// TCP port that it listens on
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Check that ECS runs inside it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// Containers that must have come so far before it starts
    #[serde(default)]
    pub depends_on: BTreeMap<String, Condition>,
}

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

/// Describes target tracking for a service: at least one of the three targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Autoscaling {
    /// Least number of tasks
    pub min: u32,
    /// Greatest number of tasks
    pub max: u32,
    /// Target for the average CPU utilisation, in per cent
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub cpu: Option<u32>,
    /// Target for the average memory utilisation, in per cent
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub memory: Option<u32>,
    /// Target for the load balancer's requests per task and minute
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub requests_per_target: Option<u32>,
}
