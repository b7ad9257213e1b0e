//! What a deployment needs to be allowed: the one list, for the policy that `ecs-deploy policy` prints and for the role
//! that ecs-iam makes for CI.
//!
//! A role's inline policies have 10,240 characters in all, so the one for a stack names each thing once. What may be done
//! with it under a condition only stands in the same statement as what may be done anyway, with `IfExists`, and a `Deny`
//! says that the condition must be there: together they allow to the letter what two statements would.
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
use crate::stack::ecr_repository;

/// Calls for which AWS knows no resource, or of which the resource is not known before (`DescribeAlarms`: the alarms are
/// those of the live service).
const ANYWHERE: &[&str] = &[
    "cloudwatch:DescribeAlarms",
    "ecs:DescribeTaskDefinition",
    "elasticloadbalancing:DescribeTargetHealth",
    "ssm:DescribeParameters",
    "sts:GetCallerIdentity",
];

/// Calls about a service, and about its deployments and revisions, which have ARNs of their own:
/// `service-deployment/CLUSTER/SERVICE/ID`, `service-revision/CLUSTER/SERVICE/ID`.
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
    /// Repositories of images that the file gives in full: read, and never pushed to
    foreign_repositories: Vec<String>,
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
    let in_any_case = |condition: Option<Value>| condition.map(|condition| if_exists(&condition));
    let services: Vec<&str> = if resources.infrastructure_role.is_some() {
        vec!["ecs-tasks.amazonaws.com", "ecs.amazonaws.com"]
    } else {
        vec!["ecs-tasks.amazonaws.com"]
    };
    let elsewhere = cluster.as_ref().map(|arn| json!({ "ArnNotEquals": { "ecs:cluster": arn } }));
    let login = if *push { vec!["ecr:GetAuthorizationToken"] } else { Vec::new() };
    let infrastructure: Vec<String> = resources.infrastructure_role.iter().cloned().collect();
    let to_tasks = || passed_to("ecs-tasks.amazonaws.com");
    // A role of the stack's own has few characters to spare. A policy for everything may stand beside others of one
    // identity, whose roles for other services a denial would take away.
    let (role_statement, pass_statement) = if cluster.is_some() {
        let elsewhere = json!({ "StringNotEquals": { "iam:PassedToService": services } });
        (
            statement("Roles", &[ROLES, &["iam:PassRole"]].concat(), roles, in_any_case(to_tasks())),
            deny("PassRolesElsewhere", "iam:PassRole", Some(elsewhere)),
        )
    } else {
        (statement("Roles", ROLES, roles, None), statement("PassRoles", &["iam:PassRole"], roles, to_tasks()))
    };
    let statements = [
        statement("Look", &[ANYWHERE, &login].concat(), &everywhere, None),
        statement("Deployments", DEPLOYMENTS, deployments, None),
        statement("Tasks", TASKS, tasks, None),
        // What tasks there are is asked of the cluster, not of the container instances that the reference names.
        statement("ListTasks", &["ecs:ListTasks"], &everywhere, in_cluster.clone()),
        statement("TaskDefinitions", &[TASK_DEFINITIONS, &["ecs:RunTask"]].concat(), families, in_any_case(in_cluster)),
        deny("RunTaskElsewhere", "ecs:RunTask", elsewhere),
        statement("Images", &images, repositories, None),
        statement("OtherImages", PULL, &resources.foreign_repositories, None),
        statement("Secrets", &["secretsmanager:DescribeSecret"], secrets, None),
        role_statement,
        pass_statement,
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
            foreign_repositories: Vec::new(),
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
            [format!("service/{path}"), format!("service-*/{path}/*")]
        });
        let task_roles =
            services().map(|(key, one)| one.task_role_arn.clone().unwrap_or_else(|| role(&one.task_role(key))));
        let execution = stack.iam.execution_role_arn.clone().unwrap_or_else(|| role(&stack.iam.execution_role));
        let roles: BTreeSet<String> = task_roles.chain([execution]).collect();
        let infrastructure = || {
            let given = stack.iam.infrastructure_role_arn.clone();
            given.unwrap_or_else(|| role(&stack.iam.infrastructure_role))
        };
        let images = services().filter_map(|(_, service)| service.image.as_deref());
        let foreign: BTreeSet<String> =
            images.filter_map(|image| Some(ecr_repository(image)?.arn(partition))).collect();
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
            foreign_repositories: foreign.into_iter().collect(),
            roles: roles.into_iter().collect(),
            infrastructure_role: stack.shifts().then(infrastructure),
            log_streams: log_groups.iter().map(|name| arn("logs", format!("log-group:{name}:*"))).collect(),
            cluster: Some(arn("ecs", format!("cluster/{cluster}"))),
        }
    }
}

/// Makes a condition that a call need not be able to meet: `ArnEquals` becomes `ArnEqualsIfExists`.
fn if_exists(condition: &Value) -> Value {
    let operators = condition.as_object().into_iter().flatten();
    Value::Object(operators.map(|(operator, keys)| (format!("{operator}IfExists"), keys.clone())).collect())
}

/// Makes a statement that denies an action wherever a condition is met, and where its key is missing: so the negated
/// operators read it.
fn deny(sid: &str, action: &str, condition: Option<Value>) -> Option<Value> {
    let condition = condition?;
    Some(json!({ "Sid": sid, "Effect": "Deny", "Action": action, "Resource": "*", "Condition": condition }))
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
        let allowed = statements.filter(|one| one["Effect"] == "Allow");
        allowed.flat_map(|one| one["Action"].as_array().expect("actions")).filter_map(Value::as_str).collect()
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
                    ecs("service-*/ecs-production-cluster/backend-service/*"),
                    ecs("service/ecs-production-cluster/frontend-service"),
                    ecs("service-*/ecs-production-cluster/frontend-service/*"),
                ]),
                Value::Null,
            ),
            ("Tasks", json!([ecs("task/ecs-production-cluster/*")]), Value::Null),
            ("ListTasks", json!(["*"]), in_cluster.clone()),
            (
                "TaskDefinitions",
                json!([ecs("task-definition/backend-task:*"), ecs("task-definition/frontend-task:*")]),
                json!({ "ArnEqualsIfExists": in_cluster["ArnEquals"] }),
            ),
            ("RunTaskElsewhere", json!("*"), json!({ "ArnNotEquals": in_cluster["ArnEquals"] })),
            (
                "Images",
                json!([
                    "arn:aws:ecr:eu-west-1:123456789012:repository/backend-repo",
                    "arn:aws:ecr:eu-west-1:123456789012:repository/frontend-repo",
                ]),
                Value::Null,
            ),
            (
                "Roles",
                json!([
                    "arn:aws:iam::123456789012:role/backendTaskRole",
                    "arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
                    "arn:aws:iam::123456789012:role/frontendTaskRole",
                ]),
                json!({ "StringEqualsIfExists": { "iam:PassedToService": "ecs-tasks.amazonaws.com" } }),
            ),
            (
                "PassRolesElsewhere",
                json!("*"),
                json!({ "StringNotEquals": { "iam:PassedToService": ["ecs-tasks.amazonaws.com"] } }),
            ),
            (
                "Logs",
                json!([
                    "arn:aws:logs:eu-west-1:123456789012:log-group:/ecs/backend:*",
                    "arn:aws:logs:eu-west-1:123456789012:log-group:/ecs/frontend:*",
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
    fn what_is_somebody_elses_is_named_as_it_is_and_never_pushed_to() {
        let mut stack = tutorial();
        let arn = |name: &str| format!("arn:aws:iam::123456789012:role/path/{name}");
        stack.iam.execution_role_arn = Some(arn("execution"));
        for (key, service) in &mut stack.services {
            service.task_role_arn = Some(arn(key));
            service.image = Some(format!("210987654321.dkr.ecr.eu-west-1.amazonaws.com/team/{key}:1"));
        }
        let policy = of(&stack);
        assert_eq!(statement_of(&policy, "Roles")["Resource"], json!(["backend", "execution", "frontend"].map(arn)));
        let repository = |key: &str| format!("arn:aws:ecr:eu-west-1:210987654321:repository/team/{key}");
        let images = statement_of(&policy, "OtherImages");
        assert_eq!(images["Resource"], json!([repository("backend"), repository("frontend")]));
        assert_eq!(images["Action"], json!(PULL));
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
    fn seventeen_services_fit_into_an_inline_policy() {
        let mut stack = tutorial();
        let service = stack.services["backend"].clone();
        stack.services = (0..17).map(|index| (format!("a-service-named-{index}"), service.clone())).collect();
        let length = of(&stack).to_string().len();
        assert!(length <= 10_240, "{length}");
    }
}
