//! The weather over the wire: what a client sees, and what took effect.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use ecs_local::weather::When;
use ecs_local::{LocalAws, Options, Weather};

async fn start() -> LocalAws {
    LocalAws::start(Options { speed: 0.0, ..Options::default() }).await.expect("a local AWS")
}

fn weather(text: &str) -> Weather {
    Weather::parse(text).expect("a weather")
}

/// Sends a request, and returns all that comes back: the end may be an error.
fn send(endpoint: &str, method: &str, path: &str, service: &str, body: &str) -> (String, Option<ErrorKind>) {
    let authority = endpoint.strip_prefix("http://").expect("an HTTP endpoint");
    let mut stream = TcpStream::connect(authority).expect("a connection");
    let scope =
        format!("Credential=testing/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\nauthorization: AWS4-HMAC-SHA256 {scope}\r\n\
         user-agent: a-client/1.0 app/ecs-net\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("a request sent");
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer).err().map(|error| error.kind());
    (String::from_utf8_lossy(&answer).into_owned(), end)
}

fn query(aws: &LocalAws, service: &str, body: &str) -> (String, Option<ErrorKind>) {
    send(&aws.endpoint(), "POST", "/", service, body)
}

const CREATE: &str = "Action=CreateRole&RoleName=r&AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22ecs-tasks.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D&Version=2010-05-08";

fn there(aws: &LocalAws) -> bool {
    query(aws, "iam", "Action=GetRole&RoleName=r&Version=2010-05-08").0.starts_with("HTTP/1.1 200")
}

/// Does one harm to the next CreateRole; returns what the client saw, and whether the role is there.
async fn harmed(harm: &str) -> (String, Option<ErrorKind>, bool) {
    let aws = start().await;
    aws.set_weather(weather(&format!("[[fault]]\ncall = 'iam:CreateRole'\ntimes = 1\ndo = {harm}")));
    let (answer, end) = query(&aws, "iam", CREATE);
    let role = there(&aws);
    // The fault befalls one call; the next one goes through.
    let again = query(&aws, "iam", CREATE).0;
    assert!(again.starts_with(if role { "HTTP/1.1 409" } else { "HTTP/1.1 200" }), "{harm}: {again}");
    let first = &aws.calls()[0];
    assert_eq!((first.tool.as_str(), first.weather.is_empty()), ("ecs-net", false), "{first:?}");
    (answer, end, role)
}

#[tokio::test]
async fn a_refused_call_has_no_effect() {
    for (harm, status, code) in [
        ("'throttle'", "400", "<Code>Throttling</Code>"),
        ("{ error = 500 }", "500", "<Code>ServiceFailure</Code>"),
        ("{ error = 503 }", "503", "<Code>ServiceUnavailable</Code>"),
        ("'expire'", "403", "<Code>ExpiredToken</Code>"),
    ] {
        let (answer, end, role) = harmed(harm).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(code), "{harm}: {answer}");
        assert_eq!((end, role), (None, false), "{harm}");
    }
}

#[tokio::test]
async fn a_reset_has_no_effect_and_no_answer() {
    let (answer, end, role) = harmed("'reset'").await;
    assert_eq!((answer.as_str(), end, role), ("", Some(ErrorKind::ConnectionReset), false));
}

#[tokio::test]
async fn a_lost_answer_leaves_the_effect() {
    let (answer, end, role) = harmed("'lost'").await;
    assert_eq!((answer.as_str(), end, role), ("", None, true));
}

#[tokio::test]
async fn a_cut_answer_is_shorter_than_it_says() {
    let (answer, _, role) = harmed("'cut'").await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .and_then(|length| length.parse().ok())
        .expect("a length");
    assert!(head.starts_with("HTTP/1.1 200") && body.len() < length, "{} of {length}", body.len());
    assert!(role);
}

#[tokio::test]
async fn a_slow_answer_is_whole() {
    let (answer, end, role) = harmed("{ slow = '50ms' }").await;
    assert!(answer.ends_with("</CreateRoleResponse>"), "{answer}");
    assert_eq!((end, role), (None, true));
}

#[test]
fn the_examples_are_weather() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/weather");
    let files: Vec<_> = std::fs::read_dir(examples).expect("examples").flatten().map(|file| file.path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        assert_ne!(Weather::read(&file).expect("a weather"), Weather::default(), "{}", file.display());
    }
}

#[tokio::test]
async fn buckets_run_dry() {
    let aws = start().await;
    aws.set_weather(weather("[[throttling.limit]]\ncall = 'iam:GetRole'\nper-second = 0\nburst = 2"));
    let get = || query(&aws, "iam", "Action=GetRole&RoleName=none&Version=2010-05-08").0;
    assert!(get().starts_with("HTTP/1.1 404") && get().starts_with("HTTP/1.1 404"));
    assert!(get().contains("<Code>Throttling</Code>"));
    aws.set_weather(Weather::default());
    assert!(get().starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn weather_can_be_changed_over_the_wire() {
    let aws = start().await;
    let endpoint = aws.endpoint();
    let path = "/_ecs-local/weather";
    let (bad, _) = send(&endpoint, "PUT", path, "", "[[fault]]\ndo = 'rain'");
    assert!(bad.starts_with("HTTP/1.1 400") && bad.contains("rain"), "{bad}");
    assert!(send(&endpoint, "PUT", path, "", "[[fault]]\ndo = { error = 503 }").0.starts_with("HTTP/1.1 200"));
    assert!(query(&aws, "ec2", "Action=DescribeVpcs").0.contains("<Code>Unavailable</Code>"));
    assert!(send(&endpoint, "DELETE", path, "", "").0.starts_with("HTTP/1.1 200"));
    assert!(query(&aws, "ec2", "Action=DescribeVpcs").0.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_held_call_waits_for_its_hold() {
    let aws = start().await;
    for (when, discard, effect) in [
        (When::Before, true, false),
        (When::After, true, true),
        (When::Before, false, true),
        (When::After, false, true),
    ] {
        let mut hold = aws.hold("iam:CreateRole", 0, when);
        let endpoint = aws.endpoint();
        let client = tokio::task::spawn_blocking(move || send(&endpoint, "POST", "/", "iam", CREATE));
        let call = hold.reached().await.expect("the call");
        assert_eq!((call.operation.as_str(), call.status), ("CreateRole", if when == When::After { 200 } else { 0 }));
        if discard {
            hold.discard()
        } else {
            hold.release()
        }
        let (answer, _) = client.await.expect("an end");
        assert_eq!(answer.starts_with("HTTP/1.1 200"), !discard, "{when:?}: {answer}");
        assert_eq!(there(&aws), effect, "{when:?}");
        aws.reset().await.expect("a reset");
    }
}
