//! The `[iam]` table: roles and policy statements.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Describes the roles; each service's task role is named in the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IamConfig {
    /// Name of the task execution role
    pub execution_role: String,
    /// ARN of an execution role that somebody else made: used as it is, in place of one of this stack
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_role_arn: Option<String>,
    /// Description of the task execution role
    pub execution_role_description: String,
    /// Name of the execution role's inline policy that lets it read this stack's parameters
    pub parameter_policy: String,
    /// Name of the role with which ECS shifts traffic, made when a service's deployment strategy does
    pub infrastructure_role: String,
    /// ARN of such a role that somebody else made: used as it is, in place of one of this stack
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infrastructure_role_arn: Option<String>,
    /// Name of the role with which EventBridge Scheduler runs tasks, made when the file has schedules
    pub scheduler_role: String,
    /// What ECS itself may do beside pulling images, writing logs and reading the services' secrets
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub execution_statements: Vec<Statement>,
    /// ARN of the managed policy that limits every role of the stack
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions_boundary: Option<String>,
    /// Role with which GitHub Actions may deploy this stack
    #[serde(skip_serializing_if = "Option::is_none")]
    pub github: Option<Github>,
    /// User that may take the same role on, for a CI that needs access keys
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ci_user: Option<CiUser>,
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

impl OneOrMore {
    /// Returns all of them.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(all) => all,
        }
    }
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

/// Describes a user that may do nothing but take the deploy role on.
///
/// Nobody but a person makes its access key: `aws iam create-access-key`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CiUser {
    /// Name of the user (default: the stack's name and `-ci`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
