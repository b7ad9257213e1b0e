//! The role layer: the task execution role, and one task role per service.

mod document;
mod role;
mod secret_access;

use std::collections::BTreeMap;

use aws_sdk_iam::Client;
use ecs_aws::{Api, Session};
use ecs_core::member;
use ecs_core::tool::Tool;
use ecs_core::{All as _, Result, Run, Stack};
use futures::future::join_all;
use futures::join;
use serde_json::{Value, json};

use crate::role::Role;

/// Name of the layer in the identity tags.
const LAYER: &str = "iam";

/// The tool `ecs-iam`.
#[derive(Debug)]
pub struct Iam;

/// Flags that only ecs-iam has: none.
#[derive(Debug, clap::Args)]
pub struct Options {}

impl Tool for Iam {
    const NAME: &'static str = "ecs-iam";
    const ABOUT: &'static str = "Create or update the roles of an ECS stack: task execution role, task roles";
    const EXAMPLES: &'static str = "  ecs-iam --stack prod.toml > iam.json
  ecs-iam plan --stack prod.toml
  ecs-net --stack prod.toml | ecs-sg | ecs-iam | ecs-ecr | ecs-db | ecs-alb | ecs-svc > prod.json
  ecs-iam destroy < prod.json";
    const MEMBERS: &'static [&'static str] = &["iam"];
    const STOOD_ON_BY: &'static [&'static str] = &["svc"];
    type Options = Options;
    type Cloud = Session;

    fn policy() -> Value {
        json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Identity",
                    "Effect": "Allow",
                    "Action": "sts:GetCallerIdentity",
                    "Resource": "*"
                },
                {
                    "Sid": "Roles",
                    "Effect": "Allow",
                    "Action": [
                        "iam:CreateRole",
                        "iam:DeleteRole",
                        "iam:DeleteRolePolicy",
                        "iam:DetachRolePolicy",
                        "iam:GetRole",
                        "iam:GetRolePolicy",
                        "iam:ListAttachedRolePolicies",
                        "iam:ListRolePolicies",
                        "iam:PutRolePolicy",
                        "iam:TagRole",
                        "iam:UpdateAssumeRolePolicy",
                        "iam:UpdateRoleDescription"
                    ],
                    "Resource": "arn:aws:iam::*:role/*"
                },
                {
                    "Sid": "ExecutionPolicy",
                    "Effect": "Allow",
                    "Action": "iam:AttachRolePolicy",
                    "Resource": "arn:aws:iam::*:role/*",
                    "Condition": {
                        "ArnEquals": { "iam:PolicyARN": role::execution_policy("aws") }
                    }
                },
                {
                    "Sid": "ServiceLinkedRole",
                    "Effect": "Allow",
                    "Action": "iam:CreateServiceLinkedRole",
                    "Resource": "arn:aws:iam::*:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS",
                    "Condition": {
                        "StringEquals": { "iam:AWSServiceName": "ecs.amazonaws.com" }
                    }
                }
            ]
        })
    }

    fn schema() -> Value {
        json!({ "iam": member::schema::<member::Iam>() })
    }

    async fn layer(run: &Run<'_>, session: &Session, stack: &Stack, _options: &Options) -> Result<()> {
        let iam = session.api(Client::new);
        let execution = Role::new(stack, &stack.iam.execution_role, &stack.iam.execution_role_description);
        // A destroy needs no more than the name: what a role has is looked up when the role is deleted.
        let execution = if run.destroys() { execution } else { execution.for_execution(stack) };
        let task_roles = task_roles(stack);
        let (execution, made) = join!(
            run.ensure(&iam, execution),
            join_all(task_roles.iter().map(|(name, key)| {
                run.ensure(&iam, Role::new(stack, name, &format!("Task role for {key} application")))
            })),
        );
        let (execution, made) = (execution, made.all()).all()?;

        let by_name: BTreeMap<_, _> =
            task_roles.keys().zip(&made).map(|(name, role)| (name.as_str(), &role.arn)).collect();
        let arn = |name: &str| by_name.get(name).copied().unwrap_or(&execution.arn).clone();
        let services = stack.services.iter();
        run.publish(&member::Iam {
            execution_role_arn: execution.arn.clone(),
            task_role_arns: services.map(|(key, service)| (key.clone(), arn(&service.task_role(key)))).collect(),
            new: execution.is_new() || made.iter().any(|role| role.is_new()),
        })
    }
}

/// Returns the task roles' names, each with the first service that has it.
///
/// A service may name the execution role as its task role: it is not made twice.
fn task_roles(stack: &Stack) -> BTreeMap<String, &str> {
    let mut roles = BTreeMap::new();
    for (key, service) in &stack.services {
        roles.entry(service.task_role(key)).or_insert(key.as_str());
    }
    roles.remove(&stack.iam.execution_role);
    roles
}

/// The client of IAM.
type IamApi = Api<Client>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_that_share_a_task_role_get_one() {
        let mut stack = Stack::default();
        let of = |stack: &Stack| -> Vec<(String, String)> {
            task_roles(stack).into_iter().map(|(name, key)| (name, key.to_owned())).collect()
        };
        let pair = |name: &str, key: &str| (name.to_owned(), key.to_owned());
        assert_eq!(of(&stack), [pair("backendTaskRole", "backend"), pair("frontendTaskRole", "frontend")]);
        for service in stack.services.values_mut() {
            service.task_role = Some("tasks".to_owned());
        }
        assert_eq!(of(&stack), [pair("tasks", "backend")]);
        stack.iam.execution_role = "tasks".to_owned();
        assert_eq!(of(&stack), []);
    }
}
