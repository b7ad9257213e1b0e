//! IAM: roles show late and can be passed later still, and what is no policy is refused.

mod query;

use ecs_local::Weather;

use self::query::{Aws, TRUST};

/// A day on which nothing shows for an hour.
const LATE: &str = "[consistency]\nlag = '1h'";

/// A day on which everything shows after a moment.
const SOON: &str = "[consistency]\nlag = '1ms'";

const CREATE: &str = "iam:CreateRole&RoleName=task&AssumeRolePolicyDocument=";

/// Encodes a document for a form.
fn encoded(document: &str) -> String {
    document.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn a_new_role_is_not_found_for_a_while_and_a_deleted_one_still_is() {
    let aws = Aws::in_weather(1.0, LATE).await;
    aws.call(&format!("{CREATE}{TRUST}"));
    let get = "iam:GetRole&RoleName=task";
    let attach = "iam:AttachRolePolicy&RoleName=task\
                  &PolicyArn=arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";
    assert_eq!(aws.refused(get), "NoSuchEntity");
    assert_eq!(aws.refused(attach), "NoSuchEntity");
    assert!(!aws.call("iam:ListRoles").contains("<RoleName>task</RoleName>"));
    assert_eq!(aws.refused(&format!("{CREATE}{TRUST}")), "EntityAlreadyExists");
    aws.local.set_weather(Weather::parse(SOON).expect("a scenario"));
    aws.call(get);
    aws.call(attach);
    assert!(aws.call("iam:ListRoles").contains("<RoleName>task</RoleName>"));
    assert_eq!(aws.refused("iam:DeleteRole&RoleName=task"), "DeleteConflict");
    aws.call(&attach.replace("Attach", "Detach"));
    aws.call("iam:DeleteRole&RoleName=task");
    aws.local.set_weather(Weather::parse(LATE).expect("a scenario"));
    aws.call(get);
    assert!(aws.call("iam:ListRoles").contains("<RoleName>task</RoleName>"));
    aws.local.set_weather(Weather::default());
    assert_eq!(aws.refused(get), "NoSuchEntity");
    assert!(!aws.call("iam:ListRoles").contains("<RoleName>task</RoleName>"));
}

#[tokio::test]
async fn a_new_role_cannot_be_passed_for_a_while() {
    let aws = Aws::in_weather(1.0, "[consistency]\nroles = '1h'").await;
    let definition = |family: &str, role: &str| {
        format!(
            r#"{{"family": "{family}", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
                "memory": "512", "taskRoleArn": "arn:aws:iam::123456789012:role/{role}",
                "containerDefinitions": [{{"name": "web", "image": "nginx"}}]}}"#
        )
    };
    aws.ecs("CreateCluster", r#"{"clusterName": "c"}"#);
    aws.call(&format!("{CREATE}{TRUST}"));
    aws.call("iam:GetRole&RoleName=task");
    let (status, refusal) = aws.ecs("RegisterTaskDefinition", &definition("web", "task"));
    assert_eq!(status, 400, "{refusal}");
    assert!(refusal.contains("AccessDeniedException"), "{refusal}");
    assert!(
        refusal.contains("not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/task"),
        "{refusal}"
    );
    let service = r#"{"cluster": "c", "serviceName": "web", "taskDefinition": "web", "role": "task"}"#;
    let (_, refusal) = aws.ecs("CreateService", service);
    assert!(refusal.contains("verify that the ECS service role being passed has the proper permissions"), "{refusal}");
    let (_, made) = aws.ecs("RegisterTaskDefinition", &definition("job", "other"));
    assert!(made.contains(r#""family":"job""#), "{made}");
    let task = r#"{"cluster": "c", "taskDefinition": "job", "launchType": "FARGATE",
                   "overrides": {"taskRoleArn": "arn:aws:iam::123456789012:role/task"}}"#;
    let (_, refusal) = aws.ecs("RunTask", task);
    assert!(refusal.contains("ECS was unable to assume the role"), "{refusal}");
    aws.local.set_weather(Weather::default());
    assert_eq!(aws.ecs("RegisterTaskDefinition", &definition("web", "task")).0, 200);
}

#[tokio::test]
async fn what_is_no_policy_is_refused() {
    let aws = Aws::instant().await;
    let create = |trust: &str| format!("{CREATE}{}", encoded(trust));
    assert_eq!(aws.refused(&create("{}")), "MalformedPolicyDocument");
    let nobody = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}"#;
    assert_eq!(aws.refused(&create(nobody)), "MalformedPolicyDocument");
    let spaced = format!("{CREATE}{TRUST}").replace("RoleName=task", "RoleName=a%20task");
    assert_eq!(aws.refused(&spaced), "ValidationError");
    aws.call(&format!("{CREATE}{TRUST}"));
    let put = |document: &str| {
        format!("iam:PutRolePolicy&RoleName=task&PolicyName=read&PolicyDocument={}", encoded(document))
    };
    let read = r#"{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}"#;
    let policy = |statement: &str| format!(r#"{{"Version": "2012-10-17", "Statement": [{statement}]}}"#);
    let named = policy(&read.replace('}', r#", "Principal": "*"}"#));
    let message = aws.message(&put(&named), "MalformedPolicyDocument");
    assert_eq!(message, "Policy document should not specify a principal.");
    assert_eq!(aws.refused(&put(&policy(&read.replace("Allow", "Perhaps")))), "MalformedPolicyDocument");
    aws.call(&put(&policy(read)));
    assert_eq!(aws.refused("iam:DeleteRole&RoleName=task"), "DeleteConflict");
    aws.ecs("CreateCluster", r#"{"clusterName": "c"}"#);
    assert_eq!(aws.refused("iam:DeleteRole&RoleName=AWSServiceRoleForECS"), "UnmodifiableEntity");
}
