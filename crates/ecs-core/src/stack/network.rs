//! The `[net]` table: VPC, subnets, ways out.

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NetworkAclConfig, schema};

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
    /// Network ACL of the subnets (default: the VPC's own, which lets everything through)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_acl: Option<NetworkAclConfig>,
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

impl Nat {
    /// Says whether each NAT gateway is in one zone, in a public subnet.
    pub fn is_zonal(self) -> bool {
        match self {
            Self::PerZone | Self::Single => true,
            Self::None => false,
        }
    }
}
