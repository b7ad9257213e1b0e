//! What the tool may do in the account: the least that it needs.

use serde_json::{Value, json};

/// Returns the least IAM policy with which the tool works.
pub fn policy() -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Read",
                "Effect": "Allow",
                "Action": [
                    "ecs:DescribeServices",
                    "ecs:DescribeTaskDefinition",
                    "ecs:DescribeTasks",
                    "ecs:ListServices",
                    "ecs:ListTasks",
                    "elasticloadbalancing:DescribeListenerCertificates",
                    "elasticloadbalancing:DescribeListeners",
                    "elasticloadbalancing:DescribeLoadBalancers",
                    "elasticloadbalancing:DescribeRules",
                    "elasticloadbalancing:DescribeTags",
                    "elasticloadbalancing:DescribeTargetGroupAttributes",
                    "elasticloadbalancing:DescribeTargetGroups",
                    "elasticloadbalancing:DescribeTargetHealth",
                    "scheduler:GetSchedule",
                    "scheduler:ListSchedules",
                    "ssm:DescribeParameters",
                    "sts:GetCallerIdentity"
                ],
                "Resource": "*"
            },
            {
                "Sid": "Write",
                "Effect": "Allow",
                "Action": [
                    "elasticloadbalancing:AddListenerCertificates",
                    "elasticloadbalancing:AddTags",
                    "elasticloadbalancing:CreateListener",
                    "elasticloadbalancing:CreateLoadBalancer",
                    "elasticloadbalancing:CreateRule",
                    "elasticloadbalancing:CreateTargetGroup",
                    "elasticloadbalancing:DeleteListener",
                    "elasticloadbalancing:DeleteLoadBalancer",
                    "elasticloadbalancing:DeleteRule",
                    "elasticloadbalancing:DeleteTargetGroup",
                    "elasticloadbalancing:ModifyListener",
                    "elasticloadbalancing:ModifyRule",
                    "elasticloadbalancing:ModifyTargetGroup",
                    "elasticloadbalancing:ModifyTargetGroupAttributes",
                    "elasticloadbalancing:RemoveListenerCertificates",
                    "elasticloadbalancing:RemoveTags",
                    "elasticloadbalancing:SetIpAddressType",
                    "elasticloadbalancing:SetRulePriorities",
                    "elasticloadbalancing:SetSecurityGroups",
                    "elasticloadbalancing:SetSubnets"
                ],
                "Resource": [
                    "arn:aws:elasticloadbalancing:*:*:listener-rule/app/*",
                    "arn:aws:elasticloadbalancing:*:*:listener/app/*",
                    "arn:aws:elasticloadbalancing:*:*:loadbalancer/app/*",
                    "arn:aws:elasticloadbalancing:*:*:targetgroup/*"
                ]
            },
            {
                "Sid": "Certificates",
                "Effect": "Allow",
                "Action": [
                    "acm:DeleteCertificate",
                    "acm:DescribeCertificate",
                    "acm:ListTagsForCertificate"
                ],
                "Resource": "arn:aws:acm:*:*:certificate/*"
            },
            {
                // The calls that make them and list them know no certificate yet; a tag goes with the request:
                // <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscertificatemanager.html>
                "Sid": "CertificateRequests",
                "Effect": "Allow",
                "Action": ["acm:AddTagsToCertificate", "acm:ListCertificates", "acm:RequestCertificate"],
                "Resource": "*"
            },
            {
                "Sid": "Records",
                "Effect": "Allow",
                "Action": ["route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"],
                "Resource": "arn:aws:route53:::hostedzone/*"
            },
            {
                "Sid": "Zones",
                "Effect": "Allow",
                "Action": ["route53:GetChange", "route53:ListHostedZones"],
                "Resource": "*"
            },
            {
                "Sid": "Parameters",
                "Effect": "Allow",
                "Action": [
                    "ssm:AddTagsToResource",
                    "ssm:DeleteParameter",
                    "ssm:GetParameters",
                    "ssm:ListTagsForResource",
                    "ssm:PutParameter"
                ],
                "Resource": "arn:aws:ssm:*:*:parameter/*"
            },
            {
                // What ELB looks up in the caller's name:
                // <https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-permissions.html>
                "Sid": "Network",
                "Effect": "Allow",
                "Action": [
                    "ec2:DescribeAccountAttributes",
                    "ec2:DescribeAddresses",
                    "ec2:DescribeInternetGateways",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeVpcs"
                ],
                "Resource": "*"
            },
            {
                // ELB makes it with an account's first load balancer, in the caller's name:
                // <https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-service-linked-roles.html>
                "Sid": "ServiceLinkedRole",
                "Effect": "Allow",
                "Action": "iam:CreateServiceLinkedRole",
                "Resource": "arn:aws:iam::*:role/aws-service-role/elasticloadbalancing.amazonaws.com/AWSServiceRoleForElasticLoadBalancing",
                "Condition": {
                    "StringEquals": { "iam:AWSServiceName": "elasticloadbalancing.amazonaws.com" }
                }
            }
        ]
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SOURCES: [&str; 15] = [
        include_str!("alias.rs"),
        include_str!("association.rs"),
        include_str!("certificate.rs"),
        include_str!("dns.rs"),
        include_str!("elb.rs"),
        include_str!("former.rs"),
        include_str!("former_aliases.rs"),
        include_str!("given.rs"),
        include_str!("listener.rs"),
        include_str!("listener_certificates.rs"),
        include_str!("load_balancer.rs"),
        include_str!("others.rs"),
        include_str!("rule.rs"),
        include_str!("target_group.rs"),
        include_str!("validation.rs"),
    ];

    #[test]
    fn the_policy_allows_the_calls_that_are_made_and_no_others() {
        let policy = policy();
        let statements = policy["Statement"].as_array().into_iter().flatten();
        let actions = statements.flat_map(|statement| statement["Action"].as_array().into_iter().flatten());
        let of = |service: &'static str| {
            actions.clone().filter_map(|action| action.as_str()).filter(move |action| action.starts_with(service))
        };
        for service in ["elasticloadbalancing:", "acm:", "route53:"] {
            let allowed: BTreeSet<&str> = of(service).filter(|action| *action != "acm:AddTagsToCertificate").collect();
            let calls = SOURCES.iter().flat_map(|source| source.split("(\"").skip(1));
            let calls = calls.filter_map(|rest| rest.split('"').next());
            let made: BTreeSet<&str> = calls.filter(|call| call.starts_with(service)).collect();
            assert_eq!(allowed, made);
        }
    }
}
