//! The least IAM policy that ecs-svc needs.

use serde_json::{Value, json};

/// Returns the policy.
///
/// Calls that ECS authorises without a resource are in `Read` and `Register`, with `*`
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html>).
pub fn policy() -> Value {
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
                "Sid": "Read",
                "Effect": "Allow",
                "Action": [
                    "ecs:DescribeClusters",
                    "ecs:DescribeServiceDeployments",
                    "ecs:DescribeServices",
                    "ecs:DescribeTaskDefinition",
                    "ecs:DescribeTasks",
                    "ecs:ListServiceDeployments",
                    "ecs:ListServices",
                    "ecs:ListTaskDefinitions",
                    "ecs:ListTasks",
                    "logs:DescribeLogGroups",
                    "scheduler:ListSchedules",
                    "servicediscovery:GetOperation",
                    "servicediscovery:ListNamespaces"
                ],
                "Resource": "*"
            },
            {
                "Sid": "Register",
                "Effect": "Allow",
                "Action": [
                    "ecs:CreateCluster",
                    "ecs:DeleteTaskDefinitions",
                    "ecs:DeregisterTaskDefinition",
                    "ecs:RegisterTaskDefinition"
                ],
                "Resource": "*"
            },
            {
                "Sid": "Write",
                "Effect": "Allow",
                "Action": [
                    "ecs:CreateService",
                    "ecs:DeleteCluster",
                    "ecs:DeleteService",
                    "ecs:PutClusterCapacityProviders",
                    "ecs:TagResource",
                    "ecs:UpdateClusterSettings",
                    "ecs:UpdateService"
                ],
                "Resource": [
                    "arn:aws:ecs:*:*:cluster/*",
                    "arn:aws:ecs:*:*:service/*",
                    "arn:aws:ecs:*:*:task-definition/*"
                ]
            },
            {
                "Sid": "StopTasks",
                "Effect": "Allow",
                "Action": "ecs:StopTask",
                "Resource": "arn:aws:ecs:*:*:task/*"
            },
            {
                "Sid": "Logs",
                "Effect": "Allow",
                "Action": [
                    "logs:CreateLogGroup",
                    "logs:DeleteLogGroup",
                    "logs:ListTagsForResource",
                    "logs:PutRetentionPolicy",
                    "logs:TagResource"
                ],
                "Resource": "arn:aws:logs:*:*:log-group:*"
            },
            {
                "Sid": "PassRoles",
                "Effect": "Allow",
                "Action": "iam:PassRole",
                "Resource": "arn:aws:iam::*:role/*",
                "Condition": {
                    "StringEquals": { "iam:PassedToService": ["ecs-tasks.amazonaws.com", "ecs.amazonaws.com", "scheduler.amazonaws.com"] }
                }
            },
            {
                "Sid": "Namespaces",
                "Effect": "Allow",
                "Action": [
                    "servicediscovery:CreateHttpNamespace",
                    "servicediscovery:DeleteNamespace",
                    "servicediscovery:ListTagsForResource",
                    "servicediscovery:TagResource"
                ],
                "Resource": "*"
            },
            {
                "Sid": "Schedules",
                "Effect": "Allow",
                "Action": [
                    "scheduler:CreateSchedule",
                    "scheduler:CreateScheduleGroup",
                    "scheduler:DeleteSchedule",
                    "scheduler:DeleteScheduleGroup",
                    "scheduler:GetSchedule",
                    "scheduler:GetScheduleGroup",
                    "scheduler:ListTagsForResource",
                    "scheduler:TagResource",
                    "scheduler:UpdateSchedule"
                ],
                "Resource": ["arn:aws:scheduler:*:*:schedule-group/*", "arn:aws:scheduler:*:*:schedule/*"]
            },
            {
                "Sid": "Autoscaling",
                "Effect": "Allow",
                "Action": [
                    "application-autoscaling:DeleteScalingPolicy",
                    "application-autoscaling:DeleteScheduledAction",
                    "application-autoscaling:DeregisterScalableTarget",
                    "application-autoscaling:DescribeScalableTargets",
                    "application-autoscaling:DescribeScalingPolicies",
                    "application-autoscaling:DescribeScheduledActions",
                    "application-autoscaling:PutScalingPolicy",
                    "application-autoscaling:PutScheduledAction",
                    "application-autoscaling:RegisterScalableTarget",
                    "application-autoscaling:TagResource"
                ],
                "Resource": "*"
            },
            // Application Auto Scaling makes, reads and deletes its own alarms in the name of whoever puts a target tracking
            // policy, by names of its own choice:
            // <https://docs.aws.amazon.com/autoscaling/application/userguide/security_iam_id-based-policy-examples.html>
            {
                "Sid": "Alarms",
                "Effect": "Allow",
                "Action": [
                    "cloudwatch:DeleteAlarms",
                    "cloudwatch:DescribeAlarms",
                    "cloudwatch:ListTagsForResource",
                    "cloudwatch:PutMetricAlarm",
                    "cloudwatch:TagResource"
                ],
                "Resource": "arn:aws:cloudwatch:*:*:alarm:*"
            },
            // The first cluster and the first scalable target of an account make these roles.
            {
                "Sid": "ServiceLinkedRoles",
                "Effect": "Allow",
                "Action": "iam:CreateServiceLinkedRole",
                "Resource": "arn:aws:iam::*:role/aws-service-role/*",
                "Condition": {
                    "StringEquals": {
                        "iam:AWSServiceName": ["ecs.amazonaws.com", "ecs.application-autoscaling.amazonaws.com"]
                    }
                }
            }
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Permissions that AWS asks for beside those for the calls themselves.
    const BESIDE: [&str; 4] =
        ["application-autoscaling:TagResource", "iam:CreateServiceLinkedRole", "iam:PassRole", "sts:GetCallerIdentity"];

    #[test]
    fn every_call_is_allowed_and_nothing_else_is() {
        let sources = [
            include_str!("alarm.rs"),
            include_str!("cluster.rs"),
            include_str!("ecs.rs"),
            include_str!("../../ecs-aws/src/deployment/mod.rs"),
            include_str!("former.rs"),
            include_str!("../../ecs-aws/src/log_group.rs"),
            include_str!("revisions.rs"),
            include_str!("namespace.rs"),
            include_str!("scalable_target.rs"),
            include_str!("scaling_policy.rs"),
            include_str!("schedule.rs"),
            include_str!("schedule_group.rs"),
            include_str!("scheduled_action.rs"),
            include_str!("scheduled_tasks.rs"),
            include_str!("service.rs"),
            include_str!("services.rs"),
            include_str!("task_definition.rs"),
            include_str!("task_definition_family.rs"),
        ];
        let calls = sources.iter().flat_map(|source| source.split("answer").skip(1));
        let calls = calls.filter_map(|rest| rest.trim_start_matches("_if_found").strip_prefix("(\""));
        let mut calls: Vec<&str> = calls.filter_map(|rest| rest.split('"').next()).chain(BESIDE).collect();
        calls.sort_unstable();
        calls.dedup();
        let policy = policy();
        let statements = policy["Statement"].as_array().expect("statements").iter();
        let actions = statements.flat_map(|statement| match statement["Action"].as_array() {
            Some(actions) => actions.iter().collect(),
            None => vec![&statement["Action"]],
        });
        let mut actions: Vec<&str> = actions.filter_map(Value::as_str).collect();
        actions.sort_unstable();
        assert_eq!(actions, calls);
    }
}
