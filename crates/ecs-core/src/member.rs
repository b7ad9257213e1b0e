//! The members of the stack document: what each layer tells the next ones. Their schema is the tools' interface.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::id::{
    ClusterArn, DbInstanceArn, InternetGatewayId, ListenerArn, ListenerRuleArn, LoadBalancerArn, NatGatewayId, RoleArn,
    RouteTableId, SecretArn, SecurityGroupId, ServiceArn, SubnetId, TableArn, TargetGroupArn, TaskDefinitionArn,
    VpcEndpointId, VpcId,
};

/// A member that one layer writes and others read.
pub trait Member: Serialize + DeserializeOwned + JsonSchema {
    /// Its name in the document.
    const NAME: &'static str;
    /// The tool that writes it.
    const TOOL: &'static str;
    /// The least that a person has to write by hand in its place.
    const BY_HAND: &'static str;
    /// What stands in for it when a destroy looks for things by name alone.
    fn unknown() -> Self;
}

/// The network: `net`, written as soon as the ids exist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Net {
    /// The VPC
    pub vpc_id: VpcId,
    /// Public subnets, in the order of the zones
    #[serde(default)]
    pub public_subnet_ids: Vec<SubnetId>,
    /// Private subnets, in the order of the zones
    pub private_subnet_ids: Vec<SubnetId>,
    /// IPv4 ranges of the private subnets, in the order of the zones; none where ecs-net has neither made nor looked at them
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_cidrs: Vec<String>,
    /// Subnets for a database, without a way out, in the order of the zones; none where the stack has no such tier
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub database_subnet_ids: Vec<SubnetId>,
    /// Internet gateway
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internet_gateway_id: Option<InternetGatewayId>,
    /// Route table of the public subnets
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_route_table_id: Option<RouteTableId>,
    /// Route tables of the private subnets, in the order of the zones
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_route_table_ids: Vec<RouteTableId>,
    /// Route tables of the database subnets, in the order of the zones
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub database_route_table_ids: Vec<RouteTableId>,
    /// The stack whose ecs-net made it; none for a network that somebody else made, which is checked before use
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The VPC was made by this very run: AWS may not show it everywhere yet
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new: bool,
}

/// The way out of the private subnets: `egress`, written when it works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Egress {
    /// NAT gateways, available and routed to, in the order of the zones: one each, one for all, or none
    pub nat_gateway_ids: Vec<NatGatewayId>,
    /// VPC endpoints, available, by service as the stack file names it
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vpc_endpoint_ids: BTreeMap<String, VpcEndpointId>,
}

/// The security groups: `sg`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sg {
    /// The load balancer's group
    pub alb_security_group_id: SecurityGroupId,
    /// The tasks' group
    pub tasks_security_group_id: SecurityGroupId,
    /// The database's group
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub db_security_group_id: Option<SecurityGroupId>,
    /// A group was made by this very run
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new: bool,
}

/// The roles: `iam`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Iam {
    /// Role that ECS itself uses to start tasks
    pub execution_role_arn: RoleArn,
    /// Task roles, by service
    #[serde(default)]
    pub task_role_arns: BTreeMap<String, RoleArn>,
    /// Role with which ECS shifts traffic, when a service's strategy does
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infrastructure_role_arn: Option<RoleArn>,
    /// Role with which EventBridge Scheduler runs tasks, when the stack file has schedules
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler_role_arn: Option<RoleArn>,
    /// Role with which CI deploys
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_role_arn: Option<RoleArn>,
    /// A role was made by this very run
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new: bool,
}

/// The image repositories: `ecr`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ecr {
    /// Repository URIs without a tag, by service
    pub repository_uris: BTreeMap<String, String>,
}

/// The database: `db`, written when it is available; `null` when the stack has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Db {
    /// Instance
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_arn: Option<DbInstanceArn>,
    /// DNS name
    pub host: String,
    /// TCP port
    pub port: u16,
    /// Name of the database inside the instance
    pub name: String,
    /// Secret that holds the master password, when RDS keeps it; never its value
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_arn: Option<SecretArn>,
}

/// The DynamoDB tables: `tables`, written when all of them can be used; `null` when the stack has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Tables {
    /// Tables, by the stack file's key
    pub tables: BTreeMap<String, Table>,
}

/// One table of the member `tables`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    /// Its name
    pub name: String,
    /// Its ARN
    pub arn: TableArn,
}

/// The load balancer: `alb`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alb {
    /// Load balancer
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_arn: Option<LoadBalancerArn>,
    /// DNS name
    pub dns_name: String,
    /// URL of the stack, without a trailing slash
    pub url: String,
    /// Listener that the services' rules hang on
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener_arn: Option<ListenerArn>,
    /// Target groups, by service
    pub target_group_arns: BTreeMap<String, TargetGroupArn>,
    /// Second target groups of services whose traffic ECS shifts, or has shifted, by service
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub alternate_target_group_arns: BTreeMap<String, TargetGroupArn>,
    /// The rules in which it shifts, by service
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub production_rule_arns: BTreeMap<String, ListenerRuleArn>,
}

/// The cluster and its services: `svc`, written when every service is steady.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Svc {
    /// Cluster
    pub cluster_arn: ClusterArn,
    /// Services, by the stack file's key
    pub services: BTreeMap<String, SvcService>,
}

/// One service of the member `svc`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SvcService {
    /// Name of the ECS service
    pub name: String,
    /// ECS service
    pub service_arn: ServiceArn,
    /// Task definition that it runs
    pub task_definition_arn: TaskDefinitionArn,
    /// Container that ecs-deploy puts a new image into
    pub container: String,
}

impl Member for Net {
    const NAME: &'static str = "net";
    const TOOL: &'static str = "ecs-net";
    const BY_HAND: &'static str =
        r#"{"net":{"vpc_id":"vpc-…","public_subnet_ids":["subnet-…"],"private_subnet_ids":["subnet-…"]}}"#;

    fn unknown() -> Self {
        Self {
            vpc_id: VpcId::planned("unknown"),
            public_subnet_ids: Vec::new(),
            private_subnet_ids: Vec::new(),
            private_cidrs: Vec::new(),
            database_subnet_ids: Vec::new(),
            internet_gateway_id: None,
            public_route_table_id: None,
            private_route_table_ids: Vec::new(),
            database_route_table_ids: Vec::new(),
            stack: None,
            new: false,
        }
    }
}

impl Member for Egress {
    const NAME: &'static str = "egress";
    const TOOL: &'static str = "ecs-net";
    const BY_HAND: &'static str = r#"{"egress":{"nat_gateway_ids":[]}}"#;

    fn unknown() -> Self {
        Self { nat_gateway_ids: Vec::new(), vpc_endpoint_ids: BTreeMap::new() }
    }
}

impl Member for Sg {
    const NAME: &'static str = "sg";
    const TOOL: &'static str = "ecs-sg";
    const BY_HAND: &'static str = r#"{"sg":{"alb_security_group_id":"sg-…","tasks_security_group_id":"sg-…"}}"#;

    fn unknown() -> Self {
        Self {
            alb_security_group_id: SecurityGroupId::planned("unknown"),
            tasks_security_group_id: SecurityGroupId::planned("unknown"),
            db_security_group_id: Some(SecurityGroupId::planned("unknown")),
            new: false,
        }
    }
}

impl Member for Iam {
    const NAME: &'static str = "iam";
    const TOOL: &'static str = "ecs-iam";
    const BY_HAND: &'static str = r#"{"iam":{"execution_role_arn":"arn:aws:iam::…","task_role_arns":{}}}"#;

    fn unknown() -> Self {
        Self {
            execution_role_arn: RoleArn::planned("unknown"),
            task_role_arns: BTreeMap::new(),
            infrastructure_role_arn: None,
            scheduler_role_arn: None,
            deploy_role_arn: None,
            new: false,
        }
    }
}

impl Member for Ecr {
    const NAME: &'static str = "ecr";
    const TOOL: &'static str = "ecs-ecr";
    const BY_HAND: &'static str = r#"{"ecr":{"repository_uris":{"SERVICE":"…"}}}"#;

    fn unknown() -> Self {
        Self { repository_uris: BTreeMap::new() }
    }
}

impl Member for Db {
    const NAME: &'static str = "db";
    const TOOL: &'static str = "ecs-db";
    const BY_HAND: &'static str = r#"{"db":{"host":"…","port":5432,"name":"…"}}"#;

    fn unknown() -> Self {
        Self { instance_arn: None, host: "unknown".to_owned(), port: 0, name: String::new(), secret_arn: None }
    }
}

impl Member for Tables {
    const NAME: &'static str = "tables";
    const TOOL: &'static str = "ecs-db";
    const BY_HAND: &'static str = r#"{"tables":{"NAME":{"name":"…","arn":"arn:…"}}}"#;

    fn unknown() -> Self {
        Self { tables: BTreeMap::new() }
    }
}

impl Member for Alb {
    const NAME: &'static str = "alb";
    const TOOL: &'static str = "ecs-alb";
    const BY_HAND: &'static str =
        r#"{"alb":{"dns_name":"…","url":"http://…","target_group_arns":{"SERVICE":"arn:…"}}}"#;

    fn unknown() -> Self {
        Self {
            load_balancer_arn: None,
            dns_name: "unknown".to_owned(),
            url: "http://unknown".to_owned(),
            listener_arn: None,
            target_group_arns: BTreeMap::new(),
            alternate_target_group_arns: BTreeMap::new(),
            production_rule_arns: BTreeMap::new(),
        }
    }
}

impl Member for Svc {
    const NAME: &'static str = "svc";
    const TOOL: &'static str = "ecs-svc";
    const BY_HAND: &'static str = r#"{"svc":{"cluster_arn":"arn:…","services":{}}}"#;

    fn unknown() -> Self {
        Self { cluster_arn: ClusterArn::planned("unknown"), services: BTreeMap::new() }
    }
}

/// Returns the JSON Schema of a member.
pub fn schema<M: Member>() -> serde_json::Value {
    schemars::schema_for!(M).to_value()
}
