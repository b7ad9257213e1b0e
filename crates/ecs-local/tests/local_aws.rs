//! The real thing: the proxy, the model and moto. Needs a Python with moto: `ECS_LOCAL_PYTHON`, or a `.venv` above.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};

use ecs_local::{Call, LocalAws, Options};
use serde_json::{Value, json};

/// A local AWS and a client of it, as small as can be.
struct Aws {
    local: LocalAws,
}

impl Aws {
    async fn start(options: Options) -> Aws {
        Aws { local: LocalAws::start(options).await.expect("a local AWS") }
    }

    /// One where nothing takes time.
    async fn instant() -> Aws {
        Aws::start(Options { speed: 0.0, ..Options::default() }).await
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let endpoint = self.local.endpoint();
        let authority = endpoint.strip_prefix("http://").expect("an HTTP endpoint");
        let mut stream = TcpStream::connect(authority).expect("a connection");
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body);
        stream.write_all(request.as_bytes()).expect("a request sent");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("an answer");
        let (head, body) = response.split_once("\r\n\r\n").expect("a head and a body");
        assert!(method == "GET" || head.contains("x-amzn-requestid: "), "no request id: {head}");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body.to_owned())
    }

    fn signed(&self, service: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let mut all = vec![("authorization", scope.as_str())];
        all.extend(headers);
        self.send("POST", "/", &all, body)
    }

    /// Calls an operation of a query service, and returns the first text inside a tag of its answer.
    fn query(&self, service: &str, form: &str, tag: &str) -> String {
        let (status, body) = self.query_raw(service, form);
        assert_eq!(status, 200, "{form}: {body}");
        within(&body, tag).unwrap_or_else(|| panic!("no {tag} in {body}"))
    }

    fn query_raw(&self, service: &str, form: &str) -> (u16, String) {
        let version = match service {
            "ec2" => "2016-11-15",
            "iam" => "2010-05-08",
            "rds" => "2014-10-31",
            _ => "2015-12-01",
        };
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.signed(service, &kind, &format!("{form}&Version={version}"))
    }

    fn json(&self, service: &str, target: &str, body: Value) -> (u16, Value) {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let (status, answer) = self.signed(service, &headers, &body.to_string());
        (status, serde_json::from_str(&answer).expect("JSON"))
    }

    fn ecs(&self, operation: &str, body: Value) -> Value {
        let (status, answer) = self.json("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), body);
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    /// Everything that a service stands on. The listener comes last, and only where it is wanted.
    fn foundation(&self, listener: bool) -> Foundation {
        let vpc = self.query("ec2", "Action=CreateVpc&CidrBlock=10.0.0.0/16", "vpcId");
        let subnet = |zone: &str, range: &str| {
            let form = format!("Action=CreateSubnet&VpcId={vpc}&CidrBlock={range}&AvailabilityZone=us-east-1{zone}");
            self.query("ec2", &form, "subnetId")
        };
        let subnets = [subnet("a", "10.0.0.0/24"), subnet("b", "10.0.1.0/24")];
        let group = self.query(
            "ec2",
            &format!("Action=CreateSecurityGroup&GroupName=web&GroupDescription=web&VpcId={vpc}"),
            "groupId",
        );
        let form = format!("Action=CreateTargetGroup&Name=web&Protocol=HTTP&Port=80&TargetType=ip&VpcId={vpc}");
        let target_group = self.query("elasticloadbalancing", &form, "TargetGroupArn");
        let form = format!(
            "Action=CreateLoadBalancer&Name=web&Scheme=internal&Subnets.member.1={}&Subnets.member.2={}",
            subnets[0], subnets[1]
        );
        let balancer = self.query("elasticloadbalancing", &form, "LoadBalancerArn");
        if listener {
            let form = format!(
                "Action=CreateListener&LoadBalancerArn={balancer}&Port=80&Protocol=HTTP&DefaultActions.member.1.Type=forward&DefaultActions.member.1.TargetGroupArn={target_group}"
            );
            self.query("elasticloadbalancing", &form, "ListenerArn");
        }
        self.query("iam", &format!("Action=CreateRole&RoleName=execution&AssumeRolePolicyDocument={TRUST}"), "Arn");
        self.json("ecr", "AmazonEC2ContainerRegistry_V20150921.CreateRepository", json!({"repositoryName": "web"}));
        self.ecs("CreateCluster", json!({"clusterName": "c"}));
        Foundation { subnets, group, target_group }
    }

    fn register(&self, secret: &str) {
        self.ecs("RegisterTaskDefinition", json!({
            "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
            "containerDefinitions": [{
                "name": "web", "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1",
                "portMappings": [{"containerPort": 80}], "secrets": [{"name": "SECRET", "valueFrom": secret}],
            }],
        }));
    }

    fn put_parameter(&self, name: &str) {
        let request = json!({"Name": name, "Value": "hunter2", "Type": "SecureString"});
        let (status, answer) = self.json("ssm", "AmazonSSM.PutParameter", request);
        assert_eq!(status, 200, "{answer}");
    }

    fn service(&self) -> Value {
        self.ecs("DescribeServices", json!({"cluster": "c", "services": ["web"]}))["services"][0].clone()
    }
}

/// A trust policy for tasks, encoded for a form.
const TRUST: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22ecs-tasks.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D";

struct Foundation {
    subnets: [String; 2],
    group: String,
    target_group: String,
}

impl Foundation {
    fn service(&self) -> Value {
        json!({
            "cluster": "c", "serviceName": "web", "taskDefinition": "web", "desiredCount": 2, "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": self.subnets, "securityGroups": [self.group]}},
            "loadBalancers": [{"targetGroupArn": self.target_group, "containerName": "web", "containerPort": 80}],
            "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}},
        })
    }
}

fn within(xml: &str, tag: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
    Some(rest.split_once('<')?.0.to_owned())
}

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
