//! The real thing: the proxy, the model and moto. Needs a Python with moto: `ECS_LOCAL_PYTHON`, or a `.venv` above.

mod support;

use std::process::{Command, Output};

use ecs_local::Call;
use serde_json::json;

use self::support::{Aws, within};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ecs-local"))
        .args(arguments)
        .env("AWS_PROFILE", "prod")
        .output()
        .expect("ecs-local runs")
}

#[tokio::test]
async fn a_service_runs_and_its_tasks_are_targets() {
    let aws = Aws::instant().await;
    let made = aws.foundation(true);
    aws.put_parameter("/web/secret");
    aws.register("/web/secret");
    aws.ecs("CreateService", made.service());
    let service = aws.service();
    assert_eq!(
        (&service["runningCount"], &service["deployments"][0]["rolloutState"]),
        (&json!(2), &json!("COMPLETED"))
    );
    let health = format!("Action=DescribeTargetHealth&TargetGroupArn={}", made.target_group);
    let (_, targets) = aws.query_raw("elasticloadbalancing", &health);
    assert_eq!(targets.matches("<State>healthy</State>").count(), 2, "{targets}");
    for form in [
        format!("Action=DeleteSecurityGroup&GroupId={}", made.group),
        format!("Action=DeleteSubnet&SubnetId={}", made.subnets[0]),
    ] {
        let (status, refusal) = aws.query_raw("ec2", &form);
        assert_eq!((status, within(&refusal, "Code").as_deref()), (400, Some("DependencyViolation")));
    }
    aws.ecs("DeleteService", json!({"cluster": "c", "service": "web", "force": true}));
    assert_eq!(aws.service()["status"], "INACTIVE");
    let (_, targets) = aws.query_raw("elasticloadbalancing", &health);
    assert!(!targets.contains("<State>"), "{targets}");
    aws.query("ec2", &format!("Action=DeleteSecurityGroup&GroupId={}", made.group), "requestId");
    aws.local.stop().await;
}

#[tokio::test]
async fn a_missing_parameter_is_rolled_back() {
    let aws = Aws::instant().await;
    let made = aws.foundation(true);
    aws.put_parameter("/web/secret");
    aws.register("/web/secret");
    aws.ecs("CreateService", made.service());
    aws.register("/web/missing");
    aws.ecs("UpdateService", json!({"cluster": "c", "service": "web", "taskDefinition": "web"}));
    let listed = aws.ecs("ListServiceDeployments", json!({"cluster": "c", "service": "web"}));
    assert_eq!(listed["serviceDeployments"][0]["status"], "ROLLBACK_SUCCESSFUL");
    let service = aws.service();
    assert!(service["taskDefinition"].as_str().is_some_and(|arn| arn.ends_with("web:1")));
    let stopped = aws.ecs("ListTasks", json!({"cluster": "c", "desiredStatus": "STOPPED"}));
    let tasks = aws.ecs("DescribeTasks", json!({"cluster": "c", "tasks": stopped["taskArns"]}));
    let failed = tasks["tasks"].as_array().expect("tasks").iter().find(|task| task["stopCode"] == "TaskFailedToStart");
    let reason = failed.and_then(|task| task["stoppedReason"].as_str()).expect("a reason");
    assert!(reason.ends_with("invalid ssm parameters: /web/missing"), "{reason}");
}

#[tokio::test]
async fn a_target_group_needs_a_listener() {
    let aws = Aws::instant().await;
    let made = aws.foundation(false);
    aws.register("/web/secret");
    let (status, refusal) = aws.json("ecs", "AmazonEC2ContainerServiceV20141113.CreateService", made.service());
    assert_eq!((status, &refusal["__type"]), (400, &json!("InvalidParameterException")));
    assert!(
        refusal["message"].as_str().is_some_and(|text| text.ends_with("does not have an associated load balancer.")),
        "{refusal}"
    );
}

#[tokio::test]
async fn what_aws_refuses_is_refused() {
    let aws = Aws::instant().await;
    aws.ecs("CreateCluster", json!({"clusterName": "c"}));
    let (status, refusal) = aws.query_raw("iam", "Action=CreateServiceLinkedRole&AWSServiceName=ecs.amazonaws.com");
    assert_eq!((status, within(&refusal, "Code").as_deref()), (400, Some("InvalidInput")), "{refusal}");
    let path = "/aws-service-role/ecs.amazonaws.com/";
    assert_eq!(aws.query("iam", "Action=GetRole&RoleName=AWSServiceRoleForECS", "Path"), path);
    let (status, unknown) = aws.query_raw("ec2", "Action=FlyToTheMoon");
    assert_eq!((status, within(&unknown, "Code").as_deref()), (400, Some("InvalidAction")));
    assert!(unknown.contains("ecs-local has no ec2:FlyToTheMoon"));
    let (status, unknown) = aws.json("ssm", "AmazonSSM.FlyToTheMoon", json!({}));
    assert_eq!((status, &unknown["__type"]), (400, &json!("UnknownOperationException")));
    let versions = "Action=DescribeDBEngineVersions&Engine=postgres&EngineVersion=17&DefaultOnly=true";
    assert!(aws.query("rds", versions, "EngineVersion").starts_with("17."));
}

#[tokio::test]
async fn calls_are_recorded_without_secrets() {
    let aws = Aws::instant().await;
    aws.put_parameter("/web/secret");
    let calls = aws.local.calls();
    let known = |call: &Call| (call.service.clone(), call.operation.clone(), call.resource.clone(), call.status);
    assert_eq!(
        calls.iter().map(known).collect::<Vec<_>>(),
        [("ssm".into(), "PutParameter".into(), "/web/secret".into(), 200)]
    );
    let (_, lines) = aws.send("GET", "/_ecs-local/calls", &[], "");
    assert!(lines.contains("PutParameter") && !lines.contains("hunter2"), "{lines}");
    aws.send("DELETE", "/_ecs-local/calls", &[], "");
    assert_eq!(aws.local.calls(), []);
    aws.local.reset().await.expect("a reset");
    let (_, answer) = aws.json("ssm", "AmazonSSM.GetParameters", json!({"Names": ["/web/secret"]}));
    assert_eq!(answer["InvalidParameters"], json!(["/web/secret"]));
}

#[test]
fn the_exit_code_is_the_commands() {
    assert_eq!(run(&["-q", "--", "true"]).status.code(), Some(0));
    assert_eq!(run(&["-q", "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(run(&["-q", "--", "sh", "-c", "kill -KILL $$"]).status.code(), Some(137));
    assert_eq!(run(&["-q", "--", "no-such-command"]).status.code(), Some(127));
    assert_eq!(run(&["--speed", "fast"]).status.code(), Some(2));
}

#[test]
fn the_command_cannot_reach_the_real_aws() {
    let output = run(&["-q", "--region", "eu-west-1", "--", "env"]);
    let environment = String::from_utf8_lossy(&output.stdout);
    assert!(environment.contains("AWS_ENDPOINT_URL=http://127.0.0.1:"));
    assert!(environment.contains("AWS_REGION=eu-west-1"));
    assert!(!environment.contains("AWS_PROFILE"), "{environment}");
}

#[test]
fn a_python_without_moto_is_refused() {
    let output = run(&["--python", "/no/such/python", "--", "true"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("ecs-local: error: /no/such/python cannot run moto:")
            && said.contains("pip install moto==5.2.5"),
        "{said}"
    );
}
