//! What a deployment needs to be allowed: the one list, for the policy that `ecs-deploy policy` prints and for the role
//! that ecs-iam makes for CI.
//!
//! Which action can be limited to which resource is from AWS's Service Authorization Reference, of
//! [ECS](https://docs.aws.amazon.com/service-authorization/latest/reference/list_ecs.html),
//! [ECR](https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html),
//! [ELB](https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html),
//! [IAM](https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html),
//! [CloudWatch](https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html) and
//! [its logs](https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html),
//! [Secrets Manager](https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html) and
//! [Systems Manager](https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::Stack;

/// Calls for which AWS knows no resource, or of which the resource is not known before (`DescribeAlarms`: the alarms are
/// those of the live service).
const ANYWHERE: &[&str] = &[
    "cloudwatch:DescribeAlarms",
    "ecs:DescribeTaskDefinition",
    "elasticloadbalancing:DescribeTargetHealth",
    "ssm:DescribeParameters",
    "sts:GetCallerIdentity",
];

/// Calls about a service, and about its deployments and revisions, which have ARNs of their own.
const DEPLOYMENTS: &[&str] = &[
    "ecs:ContinueServiceDeployment",
    "ecs:DescribeServiceDeployments",
    "ecs:DescribeServiceRevisions",
    "ecs:DescribeServices",
    "ecs:ListServiceDeployments",
    "ecs:StopServiceDeployment",
    "ecs:UpdateService",
];

/// Calls about single tasks.
const TASKS: &[&str] = &["ecs:DescribeTasks", "ecs:TagResource"];

/// Calls about task definitions.
const TASK_DEFINITIONS: &[&str] = &["ecs:RegisterTaskDefinition", "ecs:TagResource"];

/// Calls that read an image.
const PULL: &[&str] = &["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];

/// Calls that push an image, beside those that read one: what Docker does to push
/// (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html>).
const PUSH: &[&str] = &[
    "ecr:BatchCheckLayerAvailability",
    "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
];

/// Calls that tell whether the roles of a task definition are there, and allow what the tasks need.
const ROLES: &[&str] = &["iam:GetRole", "iam:SimulatePrincipalPolicy"];

/// Number of the colon-separated parts of a secret's ARN; what follows is ECS's.
const SECRET_ARN_PARTS: usize = 7;

/// What a deployment may be of.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'s> {
    /// Anything in the account; without the push of images, which is no part of a deployment
    Everything,
    /// One stack alone, with the push to its repositories
    Stack {
        /// The stack
        stack: &'s Stack,
        /// AWS partition: `aws`
        partition: &'s str,
        /// Account that it is in
        account: &'s str,
    },
}

/// The resources of a scope, as ARNs.
struct Resources {
    /// Whether images may be pushed
    push: bool,
    /// The cluster, when it is one
    cluster: Option<String>,
    deployments: Vec<String>,
    tasks: Vec<String>,
    families: Vec<String>,
    repositories: Vec<String>,
    secrets: Vec<String>,
    roles: Vec<String>,
    infrastructure_role: Option<String>,
    log_streams: Vec<String>,
}

/// Returns the least policy for deployments.
pub fn policy(scope: Scope<'_>) -> Value {
    let resources = match scope {
        Scope::Everything => Resources::everything(),
        Scope::Stack { stack, partition, account } => Resources::of(stack, partition, account),
    };
    let Resources { push, cluster, deployments, tasks, families, repositories, secrets, roles, .. } = &resources;
    let in_cluster = cluster.as_ref().map(|arn| json!({ "ArnEquals": { "ecs:cluster": arn } }));
    let passed_to = |service: &str| Some(json!({ "StringEquals": { "iam:PassedToService": service } }));
    let everywhere = vec!["*".to_owned()];
    let images: Vec<&str> = PULL.iter().chain(PUSH.iter().filter(|_| *push)).copied().collect();
    let login = if *push { vec!["ecr:GetAuthorizationToken"] } else { Vec::new() };
    let infrastructure: Vec<String> = resources.infrastructure_role.iter().cloned().collect();
    let statements = [
        statement("Look", &[ANYWHERE, &login].concat(), &everywhere, None),
        statement("Deployments", DEPLOYMENTS, deployments, None),
        statement("Tasks", TASKS, tasks, None),
        // What tasks there are is asked of the cluster, not of the container instances that the reference names.
        statement("ListTasks", &["ecs:ListTasks"], &everywhere, in_cluster.clone()),
        statement("RunTask", &["ecs:RunTask"], families, in_cluster),
        statement("TaskDefinitions", TASK_DEFINITIONS, families, None),
        statement("Images", &images, repositories, None),
        statement("Secrets", &["secretsmanager:DescribeSecret"], secrets, None),
        statement("Roles", ROLES, roles, None),
        statement("PassRoles", &["iam:PassRole"], roles, passed_to("ecs-tasks.amazonaws.com")),
        statement("PassInfrastructureRole", &["iam:PassRole"], &infrastructure, passed_to("ecs.amazonaws.com")),
        statement("Logs", &["logs:GetLogEvents"], &resources.log_streams, None),
    ];
    json!({ "Version": "2012-10-17", "Statement": statements.into_iter().flatten().collect::<Vec<_>>() })
}

impl Resources {
    fn everything() -> Self {
        let all = |resource: &str| format!("arn:aws:{resource}");
        let ecs = |resource: &str| all(&format!("ecs:*:*:{resource}/*"));
        Self {
            push: false,
            cluster: None,
            deployments: ["service", "service-deployment", "service-revision"].map(ecs).to_vec(),
            tasks: vec![ecs("task")],
            families: vec![ecs("task-definition")],
            repositories: vec![all("ecr:*:*:repository/*")],
            secrets: vec![all("secretsmanager:*:*:secret:*")],
            roles: vec![all("iam::*:role/*")],
            infrastructure_role: Some(all("iam::*:role/*")),
            log_streams: vec![all("logs:*:*:log-group:*:log-stream:*")],
        }
    }

    fn of(stack: &Stack, partition: &str, account: &str) -> Self {
        let region = stack.region.as_deref().unwrap_or("*");
        let cluster = stack.cluster_name();
        let arn = |service: &str, resource: String| format!("arn:{partition}:{service}:{region}:{account}:{resource}");
        let role = |name: &str| format!("arn:{partition}:iam::{account}:role/{name}");
        let services = || stack.services.iter();
        let deployments = services().flat_map(|(key, service)| {
            let path = format!("{cluster}/{}", service.service_name(key));
            [format!("service/{path}"), format!("service-deployment/{path}/*"), format!("service-revision/{path}/*")]
        });
        let task_roles = services().map(|(key, service)| service.task_role(key));
        let roles: BTreeSet<String> = task_roles.chain([stack.iam.execution_role.clone()]).collect();
        let repositories: BTreeSet<String> = services().filter_map(|(key, service)| service.repository(key)).collect();
        let log_groups: BTreeSet<String> = services().map(|(key, service)| service.log_group(key)).collect();
        let sources = services().flat_map(|(_, service)| service.secret_sources());
        let secrets: BTreeSet<String> = sources
            .filter_map(|source| {
                if source.starts_with("${db.secret_arn}") {
                    // RDS names its secrets so: <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html>
                    return Some(arn("secretsmanager", "secret:rds!db-*".to_owned()));
                }
                let parts: Vec<&str> = source.split(':').collect();
                let is_secret = parts.get(2) == Some(&"secretsmanager");
                is_secret.then(|| parts.get(..SECRET_ARN_PARTS).unwrap_or(&parts).join(":"))
            })
            .collect();
        Self {
            push: true,
            deployments: deployments.map(|resource| arn("ecs", resource)).collect(),
            tasks: vec![arn("ecs", format!("task/{cluster}/*"))],
            families: services()
                .map(|(key, one)| arn("ecs", format!("task-definition/{}:*", one.family(key))))
                .collect(),
            repositories: repositories.iter().map(|name| arn("ecr", format!("repository/{name}"))).collect(),
            secrets: secrets.into_iter().collect(),
            roles: roles.iter().map(|name| role(name)).collect(),
            infrastructure_role: stack.shifts().then(|| role(&stack.iam.infrastructure_role)),
            log_streams: log_groups.iter().map(|name| arn("logs", format!("log-group:{name}:log-stream:*"))).collect(),
            cluster: Some(arn("ecs", format!("cluster/{cluster}"))),
        }
    }
}

/// Makes a statement; none where there is nothing that it would be about.
fn statement(sid: &str, actions: &[&str], resources: &[String], condition: Option<Value>) -> Option<Value> {
    if actions.is_empty() || resources.is_empty() {
        return None;
    }
    let mut statement = json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources });
    if let Some(condition) = condition {
        statement["Condition"] = condition;
    }
    Some(statement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{Deployment, Strategy};

    fn tutorial() -> Stack {
        Stack { region: Some("eu-west-1".to_owned()), ..Stack::default() }
    }

    fn of(stack: &Stack) -> Value {
        policy(Scope::Stack { stack, partition: "aws", account: "123456789012" })
    }

    fn statement_of<'p>(policy: &'p Value, sid: &str) -> &'p Value {
        let statements = policy["Statement"].as_array().expect("statements").iter();
        statements.clone().find(|statement| statement["Sid"] == sid).unwrap_or(&Value::Null)
    }

    fn actions(policy: &Value) -> BTreeSet<&str> {
        let statements = policy["Statement"].as_array().expect("statements").iter();
        statements.flat_map(|one| one["Action"].as_array().expect("actions")).filter_map(Value::as_str).collect()
    }

    #[test]
    fn one_stack_is_named_to_the_letter() {
        let policy = of(&tutorial());
        let ecs = |resource: &str| format!("arn:aws:ecs:eu-west-1:123456789012:{resource}");
        let in_cluster = json!({ "ArnEquals": { "ecs:cluster": ecs("cluster/ecs-production-cluster") } });
        let rows = [
            (
                "Deployments",
                json!([
                    ecs("service/ecs-production-cluster/backend-service"),
                    ecs("service-deployment/ecs-production-cluster/backend-service/*"),
                    ecs("service-revision/ecs-production-cluster/backend-service/*"),
                    ecs("service/ecs-production-cluster/frontend-service"),
                    ecs("service-deployment/ecs-production-cluster/frontend-service/*"),
                    ecs("service-revision/ecs-production-cluster/frontend-service/*"),
                ]),
                Value::Null,
            ),
            ("Tasks", json!([ecs("task/ecs-production-cluster/*")]), Value::Null),
            ("ListTasks", json!(["*"]), in_cluster.clone()),
            (
                "RunTask",
                json!([ecs("task-definition/backend-task:*"), ecs("task-definition/frontend-task:*")]),
                in_cluster,
            ),
            (
                "Images",
                json!([
                    "arn:aws:ecr:eu-west-1:123456789012:repository/backend-repo",
                    "arn:aws:ecr:eu-west-1:123456789012:repository/frontend-repo",
                ]),
                Value::Null,
            ),
            (
                "PassRoles",
                json!([
                    "arn:aws:iam::123456789012:role/backendTaskRole",
                    "arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
                    "arn:aws:iam::123456789012:role/frontendTaskRole",
                ]),
                json!({ "StringEquals": { "iam:PassedToService": "ecs-tasks.amazonaws.com" } }),
            ),
            (
                "Logs",
                json!([
                    "arn:aws:logs:eu-west-1:123456789012:log-group:/ecs/backend:log-stream:*",
                    "arn:aws:logs:eu-west-1:123456789012:log-group:/ecs/frontend:log-stream:*",
                ]),
                Value::Null,
            ),
        ];
        for (sid, resources, condition) in rows {
            let statement = statement_of(&policy, sid);
            assert_eq!((&statement["Resource"], &statement["Condition"]), (&resources, &condition), "{sid}");
        }
        // No service has a secret of Secrets Manager, and no traffic is shifted.
        assert_eq!(statement_of(&policy, "Secrets"), &Value::Null);
        assert_eq!(statement_of(&policy, "PassInfrastructureRole"), &Value::Null);
    }

    #[test]
    fn what_a_stack_does_not_have_is_not_allowed_and_what_it_has_is() {
        let mut stack = tutorial();
        let frontend = stack.services.get_mut("frontend").expect("a frontend");
        frontend.deployment = Some(Deployment { strategy: Strategy::Canary, ..Deployment::default() });
        let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:token-AbCdEf";
        frontend.secrets.insert("TOKEN".to_owned(), format!("{secret}:key::"));
        frontend.secrets.insert("PASSWORD".to_owned(), "${db.secret_arn}:password::".to_owned());
        stack.services.values_mut().for_each(|service| service.image = Some("nginx".to_owned()));
        let policy = of(&stack);
        assert_eq!(statement_of(&policy, "Images"), &Value::Null);
        let rds = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:rds!db-*";
        assert_eq!(statement_of(&policy, "Secrets")["Resource"], json!([rds, secret]));
        let passed = statement_of(&policy, "PassInfrastructureRole");
        assert_eq!(passed["Resource"], json!(["arn:aws:iam::123456789012:role/ecsInfrastructureRole"]));
        assert_eq!(passed["Condition"], json!({ "StringEquals": { "iam:PassedToService": "ecs.amazonaws.com" } }));
    }

    #[test]
    fn a_deployment_itself_pushes_nothing_and_else_needs_the_same() {
        let mut stack = tutorial();
        let backend = stack.services.get_mut("backend").expect("a backend");
        backend.secrets.insert("PASSWORD".to_owned(), "${db.secret_arn}:password::".to_owned());
        let everything = policy(Scope::Everything);
        let one = of(&stack);
        let push: BTreeSet<&str> = PUSH.iter().copied().chain(["ecr:GetAuthorizationToken"]).collect();
        let (all, both) = (actions(&everything), actions(&one));
        assert_eq!(both.difference(&all).copied().collect::<BTreeSet<_>>(), push);
        assert_eq!(all.difference(&both).count(), 0);
    }

    /// IAM's quota for a role's inline policies, white space not counted:
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
    #[test]
    fn ten_services_fit_into_an_inline_policy() {
        let mut stack = tutorial();
        let service = stack.services["backend"].clone();
        stack.services = (0..10).map(|index| (format!("a-service-named-{index}"), service.clone())).collect();
        let length = of(&stack).to_string().len();
        assert!(length <= 10_240, "{length}");
    }
}
