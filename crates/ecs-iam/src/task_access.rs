//! What the containers of a service may do: exactly what the stack file says, and what ECS Exec needs where it is on.

use ecs_core::Stack;
use ecs_core::id::RoleArn;
use ecs_core::stack::{Effect, OneOrMore, Service, Statement, TableNames};
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

/// What the containers of a service may do.
#[derive(Debug, Clone)]
pub struct TaskAccess {
    statements: Vec<Statement>,
    exec: bool,
    tables: TableNames,
}

impl TaskAccess {
    /// Collects what a service of a stack may do.
    pub fn new(stack: &Stack, service: &Service) -> Self {
        let exec = service.exec.unwrap_or_default();
        Self { statements: service.policy.clone(), exec, tables: stack.table_names() }
    }

    /// Says whether there is anything to allow.
    pub fn is_any(&self) -> bool {
        self.exec || !self.statements.is_empty()
    }

    /// Returns the policy for a role, none when there is nothing to allow.
    ///
    /// The role's own ARN tells the account that the stack's tables are in.
    pub fn document(&self, role: &RoleArn) -> Option<Value> {
        let exec = self.exec.then(|| json!({ "Effect": "Allow", "Action": EXEC, "Resource": "*" }));
        let statements = self.statements.iter().map(|one| statement(one, &self.tables, role)).chain(exec);
        self.is_any().then(|| json!({ "Version": "2012-10-17", "Statement": statements.collect::<Vec<_>>() }))
    }
}

/// Returns a statement of the stack file as IAM writes it.
pub fn statement(statement: &Statement, tables: &TableNames, role: &RoleArn) -> Value {
    let account = role.as_str().split(':').nth(4).unwrap_or_default();
    let Statement { effect, actions, resources, conditions } = statement;
    let effect = match effect {
        Effect::Allow => "Allow",
        Effect::Deny => "Deny",
    };
    let resources: Vec<String> = resources.iter().map(|resource| tables.resolve(resource, account)).collect();
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
        let document = |service: &Service| TaskAccess::new(&Stack::default(), service).document(&"role".into());
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

    #[test]
    fn a_table_is_named_by_its_arn() {
        let mut stack = Stack { name: "shop".to_owned(), region: Some("eu-west-1".to_owned()), ..Stack::default() };
        let table = json!({ "partition_key": { "name": "id", "type": "S" } });
        stack.tables.insert("orders".to_owned(), serde_json::from_value(table).expect("a table"));
        let policy = json!([{
            "actions": ["dynamodb:Query"],
            "resources": ["${table.orders.arn}", "${table.orders.arn}/index/*"],
        }]);
        let policy = serde_json::from_value(policy).expect("statements");
        let access = TaskAccess::new(&stack, &Service { policy, ..Service::default() });
        let document = access.document(&"arn:aws:iam::123456789012:role/x".into()).expect("a policy");
        let arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/shop-orders";
        assert_eq!(document["Statement"][0]["Resource"], json!([arn, format!("{arn}/index/*")]));
    }
}
