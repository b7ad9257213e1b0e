//! What CI may do with the deploy role: deploy exactly this stack, and push to exactly its repositories.

use ecs_core::Stack;
use ecs_core::deploy_rights::{Scope, policy};
use ecs_core::id::RoleArn;
use serde_json::Value;

/// The stack that may be deployed.
#[derive(Debug, Clone)]
pub struct DeployAccess {
    stack: Stack,
}

impl DeployAccess {
    /// Takes note of the stack.
    pub fn new(stack: &Stack) -> Self {
        Self { stack: stack.clone() }
    }

    /// Returns the policy for a role, whose own ARN tells the account and the partition that the stack is in.
    pub fn document(&self, role: &RoleArn) -> Value {
        let mut parts = role.as_str().split(':');
        let (partition, account) = (parts.nth(1).unwrap_or_default(), parts.nth(2).unwrap_or_default());
        policy(Scope::Stack { stack: &self.stack, partition, account })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roles_own_arn_tells_partition_and_account() {
        let stack = Stack { region: Some("us-gov-west-1".to_owned()), ..Stack::default() };
        let document =
            DeployAccess::new(&stack).document(&"arn:aws-us-gov:iam::123456789012:role/x".into()).to_string();
        let service = "arn:aws-us-gov:ecs:us-gov-west-1:123456789012:service/ecs-production-cluster/backend-service";
        assert!(document.contains(service), "{document}");
    }
}
