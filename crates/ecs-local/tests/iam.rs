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
async fn an_identity_provider_gets_another_audience_once() {
    let aws = Aws::in_weather(1.0, "").await;
    let made =
        "iam:CreateOpenIDConnectProvider&Url=https://token.actions.githubusercontent.com&ClientIDList.member.1=one";
    aws.call(made);
    let arn = "OpenIDConnectProviderArn=arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com";
    let add = format!("iam:AddClientIDToOpenIDConnectProvider&ClientID=two&{arn}");
    aws.call(&add);
    aws.call(&add);
    let shown = aws.call(&format!("iam:GetOpenIDConnectProvider&{arn}"));
    assert_eq!((shown.matches("<member>one<").count(), shown.matches("<member>two<").count()), (1, 1), "{shown}");
    assert_eq!(aws.refused(&add.replace("githubusercontent", "example")), "NoSuchEntity");
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

#[tokio::test]
async fn a_simulation_says_what_is_allowed() {
    let aws = Aws::in_weather(0.0, "[[deny]]\naction = 'iam:PassRole'\nresource = '*:role/api'").await;
    let message = aws.message("iam:GetRole&RoleName=nobody", "NoSuchEntity");
    assert_eq!(message, "The role with name nobody cannot be found.");
    let caller = aws.query("sts:GetCallerIdentity", "Arn");
    assert_eq!(caller, "arn:aws:iam::123456789012:user/testing");
    let ask = |source: &str, rest: &str| format!("iam:SimulatePrincipalPolicy&PolicySourceArn={source}{rest}");
    let pass = "&ActionNames.member.1=iam:PassRole&ActionNames.member.2=ecs:RunTask";
    let roles = "&ResourceArns.member.1=arn:aws:iam::123456789012:role/web\
                 &ResourceArns.member.2=arn:aws:iam::123456789012:role/api";
    let said = aws.call(&ask(&caller, &format!("{pass}{roles}")));
    let (first, second) = said.split_once("<EvalActionName>ecs:RunTask<").expect("a result for each action");
    assert!(first.contains("<EvalActionName>iam:PassRole</EvalActionName>"), "{first}");
    assert!(first.contains("<EvalDecision>implicitDeny</EvalDecision>"), "{first}");
    assert!(first.contains("role/web</EvalResourceName><EvalResourceDecision>allowed<"), "{first}");
    assert!(first.contains("role/api</EvalResourceName><EvalResourceDecision>implicitDeny<"), "{first}");
    assert!(second.contains("<EvalDecision>allowed</EvalDecision>"), "{second}");
    let page = aws.call(&ask(&caller, &format!("{pass}&MaxItems=1")));
    assert_eq!(query::within(&page, "Marker").as_deref(), Some("1"));
    assert!(!page.contains("ecs:RunTask"), "{page}");
    let rest = aws.call(&ask(&caller, &format!("{pass}&MaxItems=1&Marker=1")));
    assert!(rest.contains("ecs:RunTask") && rest.contains("<IsTruncated>false<"), "{rest}");
    for (source, code) in [
        ("arn:aws:iam::123456789012:role/nobody", "NoSuchEntity"),
        ("arn:aws:sts::123456789012:assumed-role/web/session", "InvalidInput"),
        ("arn:aws:iam::123456789012:root", "InvalidInput"),
    ] {
        assert_eq!(aws.refused(&ask(source, pass)), code, "{source}");
    }
    aws.call(&format!("{CREATE}{TRUST}"));
    aws.call(&ask("arn:aws:iam::123456789012:role/task", pass));
}

#[tokio::test]
async fn what_nobody_may_do_is_refused() {
    let scenario = "[[deny]]\naction = 'iam:PassRole'\nresource = '*:role/api'\n\
                    [[deny]]\naction = 'ecs:StopTask'\n[[deny]]\naction = 'elasticloadbalancing:Describe*'\n\
                    [[deny]]\naction = 'sts:*'";
    let aws = Aws::in_weather(0.0, scenario).await;
    aws.ecs("CreateCluster", r#"{"clusterName": "c"}"#);
    let definition = |role: &str| {
        format!(
            r#"{{"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
                "memory": "512", "taskRoleArn": "{role}", "containerDefinitions": [{{"name": "web", "image": "nginx"}}]}}"#
        )
    };
    let denied = "User: arn:aws:iam::123456789012:user/testing is not authorized to perform: iam:PassRole on resource: \
                  arn:aws:iam::123456789012:role/api because no identity-based policy allows the iam:PassRole action";
    let refused = |operation: &str, body: &str| {
        let (status, refusal) = aws.ecs(operation, body);
        assert_eq!(status, 400, "{operation}: {refusal}");
        assert!(refusal.contains("AccessDeniedException"), "{operation}: {refusal}");
        refusal
    };
    assert!(refused("RegisterTaskDefinition", &definition("arn:aws:iam::123456789012:role/api")).contains(denied));
    assert_eq!(aws.ecs("RegisterTaskDefinition", &definition("web")).0, 200);
    let run = r#"{"cluster": "c", "taskDefinition": "web", "overrides": {"taskRoleArn": "api"}}"#;
    assert!(refused("RunTask", run).contains(denied));
    let shift = r#"{"cluster": "c", "service": "web", "loadBalancers": [{"advancedConfiguration": {
                    "alternateTargetGroupArn": "t", "productionListenerRule": "r", "roleArn": "arn:aws:iam::123456789012:role/api"}}]}"#;
    assert!(refused("UpdateService", shift).contains(denied));
    assert!(refused("StopTask", r#"{"cluster": "c", "task": "t1"}"#).contains("ecs:StopTask on resource: t1 "));
    assert_eq!(aws.refused("elasticloadbalancing:DescribeLoadBalancers"), "AccessDenied");
    // This one needs no permission.
    aws.call("sts:GetCallerIdentity");
}

#[tokio::test]
async fn a_trust_policy_names_only_users_that_there_are() {
    let aws = Aws::in_weather(1.0, "").await;
    let arn = "arn:aws:iam::123456789012:user/ecs-pipe/prod/ci";
    let trust = encoded(&format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {{"AWS": "{arn}"}}}}}}"#
    ));
    let create = format!("{CREATE}{trust}");
    let user =
        "iam:CreateUser&UserName=ci&Path=/ecs-pipe/prod/&PermissionsBoundary=arn:aws:iam::123456789012:policy/limit";
    assert_eq!(aws.refused(&create), "MalformedPolicyDocument");
    aws.local.set_weather(Weather::parse(LATE).expect("a scenario"));
    aws.call(user);
    assert_eq!(aws.refused(&create), "MalformedPolicyDocument");
    aws.local.set_weather(Weather::default());
    aws.call(&create);

    // One that is made again is another one.
    let get = "iam:GetRole&RoleName=task";
    assert!(aws.call(get).contains("ecs-pipe"));
    assert!(aws.call("iam:GetUser&UserName=ci").contains("policy/limit"));
    for (add, take) in [
        ("iam:CreateLoginProfile&UserName=ci&Password=a-Long-1-enough", "iam:DeleteLoginProfile&UserName=ci"),
        ("iam:CreateGroup&GroupName=people", "iam:DeleteGroup&GroupName=people"),
        ("iam:AddUserToGroup&GroupName=people&UserName=ci", "iam:RemoveUserFromGroup&GroupName=people&UserName=ci"),
    ] {
        aws.call(add);
        if add.contains("UserName") {
            assert_eq!(aws.refused("iam:DeleteUser&UserName=ci"), "DeleteConflict", "{add}");
            aws.call(take);
        }
    }
    aws.call("iam:DeleteUser&UserName=ci");
    aws.call(user);
    assert!(!aws.call(get).contains("ecs-pipe"));
    assert!(aws.call("iam:GetUser&UserName=ci").contains("policy/limit"));
    aws.call("iam:DeleteUserPermissionsBoundary&UserName=ci");
    assert!(!aws.call("iam:GetUser&UserName=ci").contains("policy/limit"));
    let update = "iam:UpdateAssumeRolePolicy&RoleName=task&PolicyDocument=";
    aws.call(&format!("{update}{trust}"));
    assert!(aws.call(get).contains("ecs-pipe"));
}
