//! A client of a local AWS for tests, as small as can be, and what a service stands on.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{Read, Write};
use std::net::TcpStream;

use ecs_local::{LocalAws, Options};
use serde_json::{Value, json};

/// A local AWS and a client of it, as small as can be.
pub struct Aws {
    pub local: LocalAws,
}

impl Aws {
    pub async fn start(options: Options) -> Aws {
        Aws { local: LocalAws::start(options).await.expect("a local AWS") }
    }

    /// One where nothing takes time.
    pub async fn instant() -> Aws {
        Aws::start(Options { speed: 0.0, ..Options::default() }).await
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
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

    pub fn signed(&self, service: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let mut all = vec![("authorization", scope.as_str())];
        all.extend(headers);
        self.send("POST", "/", &all, body)
    }

    /// Calls an operation of a query service, and returns the first text inside a tag of its answer.
    pub fn query(&self, service: &str, form: &str, tag: &str) -> String {
        let (status, body) = self.query_raw(service, form);
        assert_eq!(status, 200, "{form}: {body}");
        within(&body, tag).unwrap_or_else(|| panic!("no {tag} in {body}"))
    }

    pub fn query_raw(&self, service: &str, form: &str) -> (u16, String) {
        let version = match service {
            "ec2" => "2016-11-15",
            "iam" => "2010-05-08",
            "rds" => "2014-10-31",
            _ => "2015-12-01",
        };
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.signed(service, &kind, &format!("{form}&Version={version}"))
    }

    pub fn json(&self, service: &str, target: &str, body: Value) -> (u16, Value) {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let (status, answer) = self.signed(service, &headers, &body.to_string());
        // Some operations answer with nothing at all.
        (status, if answer.is_empty() { Value::Null } else { serde_json::from_str(&answer).expect("JSON") })
    }

    pub fn ecs(&self, operation: &str, body: Value) -> Value {
        let (status, answer) = self.json("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), body);
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    /// Everything that a service stands on. The listener comes last, and only where it is wanted.
    pub fn foundation(&self, listener: bool) -> Foundation {
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
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
        self.query("iam", &format!("Action=CreateRole&RoleName=execution&AssumeRolePolicyDocument={trust}"), "Arn");
        self.json("ecr", "AmazonEC2ContainerRegistry_V20150921.CreateRepository", json!({"repositoryName": "web"}));
        self.ecs("CreateCluster", json!({"clusterName": "c"}));
        Foundation { subnets, group, target_group }
    }

    pub fn register(&self, secret: &str) {
        self.ecs("RegisterTaskDefinition", json!({
            "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
            "containerDefinitions": [{
                "name": "web", "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1",
                "portMappings": [{"containerPort": 80}], "secrets": [{"name": "SECRET", "valueFrom": secret}],
            }],
        }));
    }

    pub fn put_parameter(&self, name: &str) {
        let request = json!({"Name": name, "Value": "hunter2", "Type": "SecureString"});
        let (status, answer) = self.json("ssm", "AmazonSSM.PutParameter", request);
        assert_eq!(status, 200, "{answer}");
    }

    pub fn service(&self) -> Value {
        self.ecs("DescribeServices", json!({"cluster": "c", "services": ["web"]}))["services"][0].clone()
    }
}

/// What a service stands on.
pub struct Foundation {
    pub subnets: [String; 2],
    pub group: String,
    pub target_group: String,
}

impl Foundation {
    pub fn service(&self) -> Value {
        json!({
            "cluster": "c", "serviceName": "web", "taskDefinition": "web", "desiredCount": 2, "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": self.subnets, "securityGroups": [self.group]}},
            "loadBalancers": [{"targetGroupArn": self.target_group, "containerName": "web", "containerPort": 80}],
            "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true}},
        })
    }
}

/// The first text inside a tag.
pub fn within(xml: &str, tag: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
    Some(rest.split_once('<')?.0.to_owned())
}
