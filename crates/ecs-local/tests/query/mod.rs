//! A client of a local AWS, for calls of the query protocol.

use std::io::{Read, Write};
use std::net::TcpStream;

use ecs_local::{LocalAws, Options, Weather};

/// A trust policy, encoded for a form.
#[allow(dead_code, reason = "not every test file makes a role")]
pub const TRUST: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22ecs-tasks.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D";

/// A local AWS and a client of it.
pub struct Aws {
    pub local: LocalAws,
}

/// A VPC with an internet gateway, two subnets in two zones, and a security group.
#[allow(dead_code, reason = "not every test looks at all of it")]
pub struct Network {
    pub vpc: String,
    pub subnets: [String; 2],
    pub group: String,
}

#[allow(dead_code, reason = "not every test file needs all of it")]
impl Aws {
    /// One where nothing takes time.
    pub async fn instant() -> Aws {
        Aws::in_weather(0.0, "").await
    }

    /// One at this speed, with this scenario.
    pub async fn in_weather(speed: f64, scenario: &str) -> Aws {
        let weather = Weather::parse(scenario).expect("a scenario");
        let options = Options { speed, weather, ..Options::default() };
        Aws { local: LocalAws::start(options).await.expect("a local AWS") }
    }

    /// Calls a service with these headers, and returns status and body.
    pub fn signed(&self, service: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let endpoint = self.local.endpoint();
        let authority = endpoint.strip_prefix("http://").expect("an HTTP endpoint");
        let scope =
            format!("AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/{service}/aws4_request, Signature=0");
        let mut request = format!(
            "POST / HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\nauthorization: {scope}\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body);
        let mut stream = TcpStream::connect(authority).expect("a connection");
        stream.write_all(request.as_bytes()).expect("a request sent");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("an answer");
        let (head, body) = response.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body.to_owned())
    }

    /// Calls an operation: "rds:DeleteDBInstance&DBInstanceIdentifier=db".
    pub fn raw(&self, call: &str) -> (u16, String) {
        let (service, form) = call.split_once(':').expect("a service and a form");
        let (service, version) = match service {
            "ec2" => ("ec2", "2016-11-15"),
            "iam" => ("iam", "2010-05-08"),
            "rds" => ("rds", "2014-10-31"),
            "sts" => ("sts", "2011-06-15"),
            _ => ("elasticloadbalancing", "2015-12-01"),
        };
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.signed(service, &kind, &format!("Action={form}&Version={version}"))
    }

    /// Calls an operation that succeeds, and returns its answer.
    pub fn call(&self, call: &str) -> String {
        let (status, body) = self.raw(call);
        assert_eq!(status, 200, "{call}: {body}");
        body
    }

    /// The first text inside a tag of the answer.
    pub fn query(&self, call: &str, tag: &str) -> String {
        let body = self.call(call);
        within(&body, tag).unwrap_or_else(|| panic!("no {tag} in {body}"))
    }

    /// The code of a refusal.
    pub fn refused(&self, call: &str) -> String {
        let (status, body) = self.raw(call);
        assert!(status >= 400, "{call}: {body}");
        within(&body, "Code").unwrap_or_else(|| panic!("no code in {body}"))
    }

    /// The message of a refusal with this code.
    pub fn message(&self, call: &str, code: &str) -> String {
        let (_, body) = self.raw(call);
        assert_eq!(within(&body, "Code").as_deref(), Some(code), "{call}: {body}");
        within(&body, "Message").unwrap_or_default()
    }

    /// Calls ECS, and returns status and body.
    pub fn ecs(&self, operation: &str, body: &str) -> (u16, String) {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        self.signed("ecs", &[("content-type", "application/x-amz-json-1.1"), ("x-amz-target", &target)], body)
    }

    /// Makes a network.
    pub fn network(&self) -> Network {
        let vpc = self.query("ec2:CreateVpc&CidrBlock=10.0.0.0/16", "vpcId");
        let gateway = self.query("ec2:CreateInternetGateway", "internetGatewayId");
        self.call(&format!("ec2:AttachInternetGateway&InternetGatewayId={gateway}&VpcId={vpc}"));
        let subnets = [self.subnet(&vpc, "a", "10.0.0.0/24"), self.subnet(&vpc, "b", "10.0.1.0/24")];
        let form = format!("ec2:CreateSecurityGroup&GroupName=web&GroupDescription=web&VpcId={vpc}");
        let group = self.query(&form, "groupId");
        Network { vpc, subnets, group }
    }

    /// Makes a subnet.
    pub fn subnet(&self, vpc: &str, zone: &str, range: &str) -> String {
        let form = format!("ec2:CreateSubnet&VpcId={vpc}&CidrBlock={range}&AvailabilityZone=us-east-1{zone}");
        self.query(&form, "subnetId")
    }
}

/// The text of the first such tag.
pub fn within(xml: &str, tag: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
    Some(rest.split_once('<')?.0.to_owned())
}
