//! The services' published models over the wire: what they do not allow is refused, and has no effect.

use std::io::{Read, Write};
use std::net::TcpStream;

use ecs_local::{LocalAws, Options};

async fn start() -> LocalAws {
    LocalAws::start(Options { speed: 0.0, ..Options::default() }).await.expect("a local AWS")
}

/// Sends a signed call; returns the status and the body.
fn call(aws: &LocalAws, service: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
    let endpoint = aws.endpoint();
    let authority = endpoint.strip_prefix("http://").expect("an HTTP endpoint");
    let mut stream = TcpStream::connect(authority).expect("a connection");
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\ncontent-length: {}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=0\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).expect("a request sent");
    stream.write_all(body).expect("a body sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}

fn query(aws: &LocalAws, service: &str, form: &str) -> (u16, String) {
    call(aws, service, "/", &[("content-type", "application/x-www-form-urlencoded")], form.as_bytes())
}

fn json(aws: &LocalAws, service: &str, target: &str, body: &str) -> (u16, String) {
    call(
        aws,
        service,
        "/",
        &[("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)],
        body.as_bytes(),
    )
}

#[tokio::test]
async fn query_services_refuse_what_their_models_do_not_allow() {
    let aws = start().await;

    let (status, body) = query(&aws, "ec2", "Action=CreateSubnet&CidrBlock=10.0.0.0/24&Version=2016-11-15");
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("<Code>MissingParameter</Code>"), "{body}");
    assert!(body.contains("<Message>The request must contain the parameter VpcId</Message>"), "{body}");

    let long = "r".repeat(65);
    let form = format!("Action=CreateRole&RoleName={long}&AssumeRolePolicyDocument=%7B%7D&Version=2010-05-08");
    let (status, body) = query(&aws, "iam", &form);
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("<Code>ValidationError</Code>"), "{body}");
    assert!(body.contains("Member must have length less than or equal to 64"), "{body}");
    let (_, body) = query(&aws, "iam", "Action=ListRoles&Version=2010-05-08");
    assert!(!body.contains(&long), "{body}");

    let form = "Action=CreateDBInstance&DBInstanceIdentifier=db&Engine=postgres&MasterUserPassword=hunter2\
                &AllocatedStorage=much&DBInstanceClass=db.t3.micro&Version=2014-10-31";
    let (status, body) = query(&aws, "rds", form);
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("<Code>InvalidParameterValue</Code>") && !body.contains("hunter2"), "{body}");
}

#[tokio::test]
async fn json_and_cbor_services_refuse_what_their_models_do_not_allow() {
    let aws = start().await;

    let target = "AmazonSSM.PutParameter";
    let (status, body) = json(&aws, "ssm", target, r#"{"Name": "/a", "Value": "hunter2", "Type": "Secret"}"#);
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("ValidationException") && body.contains("1 validation error detected"), "{body}");
    assert!(!body.contains("hunter2"), "{body}");
    let (status, body) = json(&aws, "ssm", target, r#"{"Name": "/a", "Value": "hunter2", "Type": "SecureString"}"#);
    assert_eq!(status, 200, "{body}");

    let target = "AmazonEC2ContainerServiceV20141113.CreateCluster";
    let (status, body) = json(&aws, "ecs", target, r#"{"clusterName": 5}"#);
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("SerializationException"), "{body}");
    // A member that the model does not know is passed over.
    let (status, body) = json(&aws, "ecs", target, r#"{"clusterName": "c", "colour": "blue"}"#);
    assert_eq!(status, 200, "{body}");

    // {"AlarmNames": "a"}: a text where the model has a list.
    let path = "/service/GraniteServiceVersion20100801/operation/DescribeAlarms";
    let headers = [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")];
    let (status, body) = call(&aws, "monitoring", path, &headers, b"\xa1\x6aAlarmNames\x61a");
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("SerializationException"), "{body}");
}
