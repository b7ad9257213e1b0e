//! What the containers of a service may do: exactly what the stack file says, and what ECS Exec needs where it is on.

use ecs_core::stack::{Effect, OneOrMore, Service, Statement};
use serde_json::{Value, json};

/// What ECS Exec's agent in the task calls. These actions know no resources, so `*` is all that there is:
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html#ecs-exec-required-iam-permissions>,
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsessionmanagermessagegatewayservice.html>
const EXEC: &[&str] = &[
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
];

/// Returns the policy, none when there is nothing to allow.
pub fn document(service: &Service) -> Option<Value> {
    let exec = service.exec.unwrap_or_default();
    let exec = exec.then(|| json!({ "Effect": "Allow", "Action": EXEC, "Resource": "*" }));
    let statements: Vec<Value> = service.policy.iter().map(statement).chain(exec).collect();
    (!statements.is_empty()).then(|| json!({ "Version": "2012-10-17", "Statement": statements }))
}

/// Returns a statement of the stack file as IAM writes it.
pub fn statement(statement: &Statement) -> Value {
    let Statement { effect, actions, resources, conditions } = statement;
    let effect = match effect {
        Effect::Allow => "Allow",
        Effect::Deny => "Deny",
    };
    let mut written = json!({ "Effect": effect, "Action": actions, "Resource": resources });
    for (operator, keys) in conditions {
        for (key, values) in keys {
            written["Condition"][operator][key] = match values {
                OneOrMore::One(value) => json!(value),
                OneOrMore::More(values) => json!(values),
            };
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_may_do_what_its_file_says_and_nothing_by_itself() {
        assert_eq!(document(&Service::default()), None);
        let policy = json!([
            { "actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::bucket/*"] },
            {
                "effect": "deny",
                "actions": ["s3:*"],
                "resources": ["arn:aws:s3:::bucket/secret/*"],
                "conditions": { "Bool": { "aws:SecureTransport": "false" }, "StringEquals": { "a": ["b", "c"] } },
            },
        ]);
        let policy = serde_json::from_value(policy).expect("statements");
        let service = Service { policy, exec: Some(true), ..Service::default() };
        let written = document(&service).expect("a policy");
        assert_eq!(
            written["Statement"],
            json!([
                { "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::bucket/*"] },
                {
                    "Effect": "Deny",
                    "Action": ["s3:*"],
                    "Resource": ["arn:aws:s3:::bucket/secret/*"],
                    "Condition": { "Bool": { "aws:SecureTransport": "false" }, "StringEquals": { "a": ["b", "c"] } },
                },
                { "Effect": "Allow", "Action": EXEC, "Resource": "*" },
            ])
        );
        let service = Service { exec: Some(false), policy: Vec::new(), ..service };
        assert_eq!(document(&service), None);
    }
}
