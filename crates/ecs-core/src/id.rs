//! Ids of AWS resources as types of their own, with `planned:` ids for what does not exist yet.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Prefix of the id of something that a plan would make.
pub const PLANNED: &str = "planned:";

/// Returns the id of something that a plan would make: `planned:KIND/NAME`.
pub fn planned(kind: &str, name: &str) -> String {
    format!("{PLANNED}{}/{name}", kind.replace(' ', "-"))
}

macro_rules! ids {
    ($($(#[doc = $doc:expr])+ $name:ident)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// Makes the id of one that a plan would make.
            pub fn planned(name: &str) -> Self {
                Self(planned(stringify!($name).trim_end_matches("Id").trim_end_matches("Arn"), name))
            }

            /// Says whether it names something that does not exist yet.
            pub fn is_planned(&self) -> bool {
                self.0.starts_with(PLANNED)
            }

            /// Returns the id as AWS writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    )+};
}

ids! {
    /// A VPC's id, `vpc-…`.
    VpcId
    /// A subnet's id, `subnet-…`.
    SubnetId
    /// An internet gateway's id, `igw-…`.
    InternetGatewayId
    /// A NAT gateway's id, `nat-…`.
    NatGatewayId
    /// An elastic IP's allocation id, `eipalloc-…`.
    AllocationId
    /// A route table's id, `rtb-…`.
    RouteTableId
    /// A network ACL's id, `acl-…`.
    NetworkAclId
    /// A VPC endpoint's id, `vpce-…`.
    VpcEndpointId
    /// A security group's id, `sg-…`.
    SecurityGroupId
    /// A role's ARN.
    RoleArn
    /// An IAM user's ARN.
    UserArn
    /// A load balancer's ARN.
    LoadBalancerArn
    /// A listener's ARN.
    ListenerArn
    /// A listener rule's ARN.
    ListenerRuleArn
    /// A target group's ARN.
    TargetGroupArn
    /// A database instance's ARN.
    DbInstanceArn
    /// A DynamoDB table's ARN.
    TableArn
    /// A secret's ARN.
    SecretArn
    /// A cluster's ARN.
    ClusterArn
    /// A task definition's ARN, revision included.
    TaskDefinitionArn
    /// A service's ARN.
    ServiceArn
}
