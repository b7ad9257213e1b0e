//! Task definitions as JSON, in the form in which they are registered.
//!
//! The SDK's own codec turns its types into JSON, so nothing has to be copied member by member.

use aws_sdk_ecs::types::TaskDefinition;
use aws_smithy_json::codec::JsonCodec;
use aws_smithy_schema::Schema;
use aws_smithy_schema::codec::Codec as _;
use aws_smithy_schema::serde::{SerializableStruct, ShapeSerializer as _};
use ecs_core::{Error, Result};
use serde_json::{Map, Value};

/// What DescribeTaskDefinition adds and RegisterTaskDefinition does not take
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskDefinition.html>).
const SERVER_ONLY: [&str; 9] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
];

/// Returns a task definition as RegisterTaskDefinition takes it: without what only ECS writes into it, and without tags,
/// which stand beside it.
///
/// # Errors
/// When the SDK cannot write it as JSON.
pub fn registrable(definition: &TaskDefinition) -> Result<Map<String, Value>> {
    Ok(without_server_only(json_of(TaskDefinition::SCHEMA, definition)?))
}

/// Writes one of the SDK's types as JSON.
///
/// # Errors
/// When the SDK cannot.
pub fn json_of(schema: &Schema<'_>, value: &dyn SerializableStruct) -> Result<Value> {
    let unwritable = |why: String| Error::other(format!("the task definition cannot be written as JSON: {why}"));
    let mut serializer = JsonCodec::default().create_serializer();
    serializer.write_struct(schema, value).map_err(|error| unwritable(error.to_string()))?;
    serde_json::from_slice(&serializer.finish()).map_err(|error| unwritable(error.to_string()))
}

/// Takes out what RegisterTaskDefinition does not take.
pub fn without_server_only(definition: Value) -> Map<String, Value> {
    let mut members = match definition {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    for name in SERVER_ONLY {
        members.remove(name);
    }
    members
}
