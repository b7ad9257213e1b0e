//! What EventBridge Scheduler may do with the stack: run exactly the tasks that are scheduled, in exactly its cluster.

use std::collections::BTreeSet;

use ecs_core::Stack;
use ecs_core::id::RoleArn;
use serde_json::{Value, json};

/// The stack whose tasks are run.
#[derive(Debug, Clone)]
pub struct SchedulerAccess {
    stack: Stack,
}

impl SchedulerAccess {
    /// Takes note of the stack.
    pub fn new(stack: &Stack) -> Self {
        Self { stack: stack.clone() }
    }

    /// Returns the policy for a role, whose own ARN tells the account and the partition that the stack is in.
    ///
    /// A schedule names the family alone: ECS then checks the ARN of the latest revision, before 2024 that of the family
    /// (<https://github.com/aws/aws-cdk/issues/30390>).
    pub fn document(&self, role: &RoleArn) -> Value {
        let stack = &self.stack;
        let mut parts = role.as_str().split(':');
        let (partition, account) = (parts.nth(1).unwrap_or_default(), parts.nth(2).unwrap_or_default());
        let region = stack.region.as_deref().unwrap_or("*");
        let ecs = |what: String| format!("arn:{partition}:ecs:{region}:{account}:{what}");
        let scheduled = stack.schedules.values().filter_map(|schedule| stack.services.get_key_value(&schedule.service));
        let role = |name: &str| format!("arn:{partition}:iam::{account}:role/{name}");
        let execution = stack.iam.execution_role_arn.clone().unwrap_or_else(|| role(&stack.iam.execution_role));
        let (mut families, mut roles) = (BTreeSet::new(), BTreeSet::from([execution]));
        for (key, service) in scheduled {
            families.insert(ecs(format!("task-definition/{}", service.family(key))));
            families.insert(ecs(format!("task-definition/{}:*", service.family(key))));
            roles.insert(service.task_role_arn.clone().unwrap_or_else(|| role(&service.task_role(key))));
        }
        let queues: BTreeSet<&String> =
            stack.schedules.values().filter_map(|schedule| schedule.dead_letter_queue.as_ref()).collect();
        let mut statements = vec![
            json!({
                "Effect": "Allow",
                "Action": "ecs:RunTask",
                "Resource": families,
                "Condition": { "ArnEquals": { "ecs:cluster": ecs(format!("cluster/{}", stack.cluster_name())) } }
            }),
            // RunTask with tags, which the tasks get from their definition:
            // https://docs.aws.amazon.com/AmazonECS/latest/developerguide/supported-iam-actions-tagging.html
            json!({
                "Effect": "Allow",
                "Action": "ecs:TagResource",
                "Resource": ecs(format!("task/{}/*", stack.cluster_name())),
                "Condition": { "StringEquals": { "ecs:CreateAction": "RunTask" } }
            }),
            json!({
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": roles,
                "Condition": { "StringEquals": { "iam:PassedToService": "ecs-tasks.amazonaws.com" } }
            }),
        ];
        if !queues.is_empty() {
            statements.push(json!({ "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queues }));
        }
        json!({ "Version": "2012-10-17", "Statement": statements })
    }
}

#[cfg(test)]
mod tests {
    use ecs_core::stack::Schedule;

    use super::*;

    #[test]
    fn exactly_the_scheduled_families_may_be_run_in_the_stacks_cluster() {
        let mut stack = Stack { region: Some("us-east-1".to_owned()), ..Stack::default() };
        let schedule = Schedule {
            service: "backend".to_owned(),
            command: Vec::new(),
            expression: "rate(1 hour)".to_owned(),
            timezone: None,
            enabled: true,
            retry_attempts: None,
            retry_seconds: None,
            dead_letter_queue: Some("arn:aws:sqs:us-east-1:123456789012:failed".to_owned()),
        };
        stack.schedules.insert("cleanup".to_owned(), schedule);
        let document = SchedulerAccess::new(&stack).document(&"arn:aws:iam::123456789012:role/x".into());
        let statements = &document["Statement"];
        let family = "arn:aws:ecs:us-east-1:123456789012:task-definition/backend-task";
        assert_eq!(statements[0]["Resource"], json!([family, format!("{family}:*")]));
        let cluster = "arn:aws:ecs:us-east-1:123456789012:cluster/ecs-production-cluster";
        assert_eq!(statements[0]["Condition"]["ArnEquals"]["ecs:cluster"], cluster);
        let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
        assert_eq!(statements[2]["Resource"], json!([role("backendTaskRole"), role("ecsTaskExecutionRole")]));
        assert_eq!(statements[3]["Resource"], json!(["arn:aws:sqs:us-east-1:123456789012:failed"]));

        // Roles of somebody else's are passed as they are.
        let theirs = ["arn:aws:iam::123456789012:role/a/theirs", "arn:aws:iam::123456789012:role/b/theirs"];
        stack.iam.execution_role_arn = Some(theirs[0].to_owned());
        stack.services.get_mut("backend").expect("the tutorial's").task_role_arn = Some(theirs[1].to_owned());
        let document = SchedulerAccess::new(&stack).document(&"arn:aws:iam::123456789012:role/x".into());
        assert_eq!(document["Statement"][2]["Resource"], json!(theirs));
    }
}
