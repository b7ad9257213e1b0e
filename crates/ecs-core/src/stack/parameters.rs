//! The `[parameters]` table: parameters in the SSM Parameter Store.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tables::refers_to_table;

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
        let template = self.template();
        if template.contains("${db.") || refers_to_table(template) { ParameterLayer::Db } else { ParameterLayer::Alb }
    }
}

/// Names the layer that writes a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterLayer {
    /// Written by ecs-db: it refers to the database, or to a table
    Db,
    /// Written by ecs-alb: it refers to the load balancer, or to nothing
    Alb,
}
