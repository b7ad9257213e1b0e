//! Least privilege: what a tool calls against what its `policy` allows.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use ecs_local::Call;
use serde_json::Value;

use crate::{programs, root};

// Why AWS checks an action that no call of a tool shows.
const RDS_NETWORK: &str = "RDS looks it up in the caller's name until its own role exists: AWS's knowledge centre, \
                           \"How do I give IAM users least privileges on RDS\"";
const RDS_PASSWORD: &str = "what RDS asks of the caller when it is to keep the password: \
                            https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html";
const RDS_SNAPSHOT: &str = "asked for by DeleteDBInstance with a final snapshot: \
                            https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBInstance.html";
const RDS_ROLE: &str = "the account's first instance makes RDS's role: \
                        https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAM.ServiceLinkedRoles.html";
const SECURE_STRINGS: &str = "Parameter Store uses the key in the caller's name: \
                              https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html";
const TABLE_KEYS: &str = "DynamoDB uses a key that the file names in the caller's name: \
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html";
const ELB_NETWORK: &str = "ELB looks it up in the caller's name: \
                           https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-api-permissions.html";
const ELB_ROLE: &str = "the account's first load balancer makes ELB's role: \
    https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/elb-service-linked-roles.html";
const ACM_TAGS: &str = "asked for by RequestCertificate with tags: \
    https://docs.aws.amazon.com/acm/latest/APIReference/API_RequestCertificate.html";
const ECS_PASSES: &str = "asked for by RegisterTaskDefinition with roles: \
                          https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html";
const ECS_ROLES: &str = "the first cluster and the first scalable target of an account make roles: \
                         https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html";
const ECS_TAGS: &str = "asked for by RegisterTaskDefinition and RunTask with tags: \
                        https://docs.aws.amazon.com/AmazonECS/latest/developerguide/supported-iam-actions-tagging.html";
const SCALING_TAGS: &str = "asked for by RegisterScalableTarget with tags: \
    https://docs.aws.amazon.com/autoscaling/application/userguide/resource-tagging-support.html";
const ENDPOINT_NAMES: &str = "what CreateVpcEndpoint depends on, for private DNS: \
                              https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html";

const FLOW_LOG_PASSES: &str = "asked for by CreateFlowLogs with a role: \
                               https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html";

const FLOW_LOG_BUCKET: &str = "asked for by flow logs into a bucket: \
                               https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-permissions.html";

const NAT_GATEWAY_ROLE: &str = "the account's first regional NAT gateway makes EC2's own role: \
    https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSNATGatewayServiceRolePolicy.html";

const SLOW_NAMESPACE: &str = "asked only about a namespace that is still being made, which takes seconds: \
    https://docs.aws.amazon.com/cloud-map/latest/api/API_CreateHttpNamespace.html";

/// Tools, the actions of their policies that AWS checks on its own side, and why: no test can see them used.
pub const CHECKED_BY_AWS: &[(&str, &str, &str)] = &[
    ("ecs-net", "route53:AssociateVPCWithHostedZone", ENDPOINT_NAMES),
    ("ecs-net", "iam:CreateServiceLinkedRole", NAT_GATEWAY_ROLE),
    ("ecs-net", "iam:PassRole", FLOW_LOG_PASSES),
    ("ecs-net", "logs:CreateLogDelivery", FLOW_LOG_BUCKET),
    ("ecs-net", "logs:DeleteLogDelivery", FLOW_LOG_BUCKET),
    ("ecs-db", "ec2:DescribeAccountAttributes", RDS_NETWORK),
    ("ecs-db", "ec2:DescribeAvailabilityZones", RDS_NETWORK),
    ("ecs-db", "ec2:DescribeInternetGateways", RDS_NETWORK),
    ("ecs-db", "ec2:DescribeSecurityGroups", RDS_NETWORK),
    ("ecs-db", "ec2:DescribeSubnets", RDS_NETWORK),
    ("ecs-db", "ec2:DescribeVpcAttribute", RDS_NETWORK),
    ("ecs-db", "ec2:DescribeVpcs", RDS_NETWORK),
    ("ecs-db", "iam:CreateServiceLinkedRole", RDS_ROLE),
    ("ecs-db", "kms:CreateGrant", TABLE_KEYS),
    ("ecs-db", "kms:Decrypt", SECURE_STRINGS),
    ("ecs-db", "kms:DescribeKey", RDS_PASSWORD),
    ("ecs-db", "kms:Encrypt", SECURE_STRINGS),
    ("ecs-db", "kms:GenerateDataKey", TABLE_KEYS),
    ("ecs-db", "kms:GenerateDataKeyWithoutPlaintext", TABLE_KEYS),
    ("ecs-db", "kms:ReEncryptFrom", TABLE_KEYS),
    ("ecs-db", "kms:ReEncryptTo", TABLE_KEYS),
    ("ecs-db", "rds:CreateDBSnapshot", RDS_SNAPSHOT),
    ("ecs-db", "secretsmanager:CreateSecret", RDS_PASSWORD),
    ("ecs-db", "secretsmanager:TagResource", RDS_PASSWORD),
    ("ecs-alb", "acm:AddTagsToCertificate", ACM_TAGS),
    ("ecs-alb", "ec2:DescribeAccountAttributes", ELB_NETWORK),
    ("ecs-alb", "ec2:DescribeAddresses", ELB_NETWORK),
    ("ecs-alb", "ec2:DescribeInternetGateways", ELB_NETWORK),
    ("ecs-alb", "ec2:DescribeSecurityGroups", ELB_NETWORK),
    ("ecs-alb", "ec2:DescribeSubnets", ELB_NETWORK),
    ("ecs-alb", "ec2:DescribeVpcs", ELB_NETWORK),
    ("ecs-alb", "iam:CreateServiceLinkedRole", ELB_ROLE),
    ("ecs-svc", "application-autoscaling:TagResource", SCALING_TAGS),
    ("ecs-svc", "iam:CreateServiceLinkedRole", ECS_ROLES),
    ("ecs-svc", "iam:PassRole", ECS_PASSES),
    ("ecs-svc", "servicediscovery:GetOperation", SLOW_NAMESPACE),
    ("ecs-deploy", "ecs:TagResource", ECS_TAGS),
    ("ecs-deploy", "iam:PassRole", ECS_PASSES),
];

/// Returns the action that a call needs: `ec2:CreateVpc`. CloudWatch signs by another name than policies know it by.
pub fn action(call: &Call) -> String {
    let service = if call.service == "monitoring" { "cloudwatch" } else { &call.service };
    format!("{service}:{}", call.operation)
}

/// Returns the actions that a tool's policy allows: `ec2:CreateVpc`.
///
/// # Panics
/// When the tool does not print a policy.
pub fn actions(tool: &str) -> BTreeSet<String> {
    let output = Command::new(programs().join(tool)).arg("policy").output().expect("the tool runs");
    let policy: Value = serde_json::from_slice(&output.stdout).expect("a policy");
    let statements = policy["Statement"].as_array().expect("statements").iter();
    let list = |action: &Value| -> Vec<String> {
        let all = action.as_array().cloned().unwrap_or_else(|| vec![action.clone()]);
        all.iter().map(|action| action.as_str().expect("an action").to_owned()).collect()
    };
    statements.flat_map(|statement| list(&statement["Action"])).collect()
}

/// Returns the directory where every test notes which actions were used: a file for each, with lines of tool and action.
pub fn notes() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("used-actions")
}

/// Checks that each tool's own policy allows what the tool used, and notes it.
///
/// # Panics
/// When a tool has called what its policy does not allow.
pub fn check(used: &BTreeSet<(String, String)>) {
    let tools: BTreeSet<&str> = used.iter().map(|(tool, _)| tool.as_str()).collect();
    for tool in tools {
        let allowed = actions(tool);
        let denied: Vec<&str> = used
            .iter()
            .filter(|(user, action)| user == tool && !allowed.contains(action))
            .map(|(_, action)| action.as_str())
            .collect();
        assert!(denied.is_empty(), "{tool} calls what its policy does not allow: {denied:?}");
    }
    let lines: String = used.iter().map(|(tool, action)| format!("{tool} {action}\n")).collect();
    // A note that cannot be written shows as an action that nobody uses.
    let _ = std::fs::create_dir_all(notes());
    let file = std::fs::File::options().create(true).append(true).open(notes().join(std::process::id().to_string()));
    let _ = file.and_then(|mut file| file.write_all(lines.as_bytes()));
}
