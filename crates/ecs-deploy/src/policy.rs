//! The least IAM policy that ecs-deploy needs.

use ecs_core::deploy_rights::{Scope, policy as rights};
use serde_json::Value;

/// Returns the policy, for any service of the account.
pub fn policy() -> Value {
    rights(Scope::Everything)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Permissions that AWS asks for beside those for the calls themselves.
    const BESIDE: [&str; 3] = ["ecs:TagResource", "iam:PassRole", "sts:GetCallerIdentity"];

    #[test]
    fn every_call_is_allowed_and_nothing_else_is() {
        let sources = [
            include_str!("../../ecs-aws/src/deployment/mod.rs"),
            include_str!("check.rs"),
            include_str!("deploy.rs"),
            include_str!("diagnosis/evidence.rs"),
            include_str!("follow/mod.rs"),
            include_str!("image.rs"),
            include_str!("logs.rs"),
            include_str!("one_off.rs"),
            include_str!("services.rs"),
            include_str!("verbs.rs"),
        ];
        let calls = sources.iter().flat_map(|source| source.split("answer").skip(1));
        let calls = calls.filter_map(|rest| rest.trim_start_matches("_if_found").strip_prefix("(\""));
        let made: BTreeSet<&str> = calls.filter_map(|rest| rest.split('"').next()).chain(BESIDE).collect();
        let policy = policy();
        let statements = policy["Statement"].as_array().expect("statements").iter();
        let actions = statements.flat_map(|statement| match statement["Action"].as_array() {
            Some(actions) => actions.iter().collect(),
            None => vec![&statement["Action"]],
        });
        let allowed: BTreeSet<&str> = actions.filter_map(Value::as_str).collect();
        assert_eq!(allowed, made);
    }
}
