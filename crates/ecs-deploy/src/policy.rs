//! The least IAM policy that ecs-deploy needs.

use serde_json::{Value, json};

/// Returns the policy.
pub fn policy() -> Value {
    json!({})
}
