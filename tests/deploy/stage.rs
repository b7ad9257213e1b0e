//! A small stack to deploy to, and the people and pipelines that do something to it at the same time.

use std::io::Write as _;
use std::process::Stdio;

use ecs_local::weather::Weather;
use ecs_local::{Call, Options};
use ecs_pipe_tests::{Cloud, TOOLS, code, python, root};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::Mutex;

/// The cluster.
pub const CLUSTER: &str = "ecs-production-cluster";
/// The registry of the account.
pub const REGISTRY: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
/// A secret: no program may ever say it.
const SECRET: &str = "mauve-walrus-4711";
/// The value of a variable: reports name variables, and keep their values to themselves.
pub const VALUE: &str = "ochre-heron-1174";

/// The tutorial stack without its database, and with one small task for each service.
const SMALL: &str = r#"
[db]
enabled = false

[parameters]
"/ecs/backend/DB_HOST" = { remove = true }
"/ecs/backend/DB_PORT" = { remove = true }
"/ecs/backend/DB_NAME" = { remove = true }
"/ecs/backend/DB_USER" = { remove = true }
"/ecs/backend/DB_PASSWORD" = { remove = true }

[services.frontend]
cpu = 256
memory = 512
desired = 1

[services.backend]
cpu = 256
memory = 512
desired = 1

[services.backend.environment]
COLOUR = "VALUE"

[services.backend.secrets]
DB_HOST = { remove = true }
DB_PORT = { remove = true }
DB_NAME = { remove = true }
DB_USER = { remove = true }
DB_PASSWORD = "arn:aws:ssm:us-east-1:123456789012:parameter/backend/password"
"#;

/// A local AWS with the small stack, whose services run.
pub struct Stage {
    /// The local AWS
    pub cloud: Cloud,
    /// The stack document
    pub document: String,
    other: Mutex<Other>,
}

/// Somebody else, who uses boto3.
struct Other {
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

/// What a run of ecs-deploy left behind.
#[derive(Debug)]
pub struct Told {
    /// Its exit code
    pub code: i32,
    /// What it said
    pub stderr: String,
    /// Its report; null where it wrote none
    pub report: Value,
}

/// A run of ecs-deploy that goes on.
pub struct Running {
    process: Child,
    stderr: BufReader<ChildStderr>,
    /// What was read of it
    said: String,
}

impl Stage {
    /// Starts it; nothing takes time.
    pub async fn set() -> Self {
        Self::set_with(Options { speed: 0.0, ..Options::default() }, "").await
    }

    /// Starts it, with an overlay over the small stack.
    pub async fn set_with(options: Options, overlay: &str) -> Self {
        let cloud = Cloud::start_with(options).await;
        let mut command = cloud.command(python());
        command.arg(root().join("tests/boto.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("Python");
        let requests = process.stdin.take().expect("a pipe");
        let answers = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let [small, more] = [SMALL.replace("VALUE", VALUE), overlay.to_owned()].map(|text| {
            let mut file = NamedTempFile::with_suffix(".toml").expect("a file");
            file.write_all(text.as_bytes()).expect("written");
            file
        });
        let files = format!(
            "--stack tests/stacks/tutorial.toml --stack {} --stack {}",
            small.path().display(),
            more.path().display()
        );
        let other = Mutex::new(Other { requests, answers, _process: process });
        let mut stage = Self { cloud, document: String::new(), other };
        let secret = json!({"Name": "/backend/password", "Value": SECRET, "Type": "SecureString"});
        stage.call("ssm", "put_parameter", secret).await;
        stage.document = stage.cloud.pipe(&TOOLS, "", &files).await.ok().stdout;
        // A repository that has images has the one that runs.
        for repository in ["backend-repo", "frontend-repo"] {
            stage.push(repository, "latest").await;
        }
        stage
    }

    /// Changes the weather.
    pub fn weather(&self, text: &str) {
        self.cloud.aws().set_weather(Weather::parse(text).expect("a weather"));
    }

    /// Runs ecs-deploy with the document to its end; the arguments are words between spaces.
    pub async fn deploy(&self, arguments: &str) -> Told {
        self.deploy_words(&arguments.split_whitespace().collect::<Vec<_>>()).await
    }

    /// Runs ecs-deploy with the document to its end.
    pub async fn deploy_words(&self, arguments: &[&str]) -> Told {
        self.start(arguments).await.end().await
    }

    /// Starts ecs-deploy with the document.
    pub async fn start(&self, arguments: &[&str]) -> Running {
        self.start_on(arguments, &self.document).await
    }

    /// Starts ecs-deploy with something on stdin.
    pub async fn start_on(&self, arguments: &[&str], stdin: &str) -> Running {
        let mut command = self.cloud.command("ecs-deploy");
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("ecs-deploy starts");
        let mut pipe = process.stdin.take().expect("a pipe");
        // A program that refuses its command line reads nothing.
        let _ = pipe.write_all(stdin.as_bytes()).await;
        let stderr = BufReader::new(process.stderr.take().expect("a pipe"));
        Running { process, stderr, said: String::new() }
    }

    /// Pushes an image, and returns its digest.
    pub async fn push(&self, repository: &str, tag: &str) -> String {
        self.push_for(repository, tag, "amd64").await
    }

    /// Pushes an image for a processor, or for several, and returns its digest.
    pub async fn push_for(&self, repository: &str, tag: &str, architecture: &str) -> String {
        let pushed = self.ask(json!({"push": repository, "tag": tag, "arch": architecture})).await;
        self.cloud.take_calls();
        pushed["digest"].as_str().expect("a digest").to_owned()
    }

    /// Makes a call in somebody else's name.
    pub async fn call(&self, service: &str, call: &str, request: Value) -> Value {
        let answer = self.ask(json!({"service": service, "call": call, "with": request})).await;
        assert!(answer.get("error").is_none(), "{service} {call}: {answer}");
        answer
    }

    /// Makes a call to ECS about a service in somebody else's name.
    pub async fn ecs(&self, call: &str, service: &str, mut request: Value) -> Value {
        request["cluster"] = json!(CLUSTER);
        request["service"] = json!(service);
        self.call("ecs", call, request).await
    }

    /// Returns a service as ECS describes it.
    pub async fn service(&self, name: &str) -> Value {
        let request = json!({"cluster": CLUSTER, "services": [name]});
        self.call("ecs", "describe_services", request).await["services"][0].take()
    }

    /// Returns a task definition, with its tags.
    pub async fn definition(&self, name: &Value) -> Value {
        self.call("ecs", "describe_task_definition", json!({"taskDefinition": name, "include": ["TAGS"]})).await
    }

    /// Returns the service deployments of a service, newest first.
    pub async fn deployments(&self, name: &str) -> Vec<Value> {
        let listed = self.ecs("list_service_deployments", name, json!({})).await;
        listed["serviceDeployments"].as_array().expect("deployments").clone()
    }

    /// Makes an alarm.
    pub async fn put_alarm(&self, name: &str) {
        let alarm = json!({
            "AlarmName": name, "Namespace": "AWS/ApplicationELB", "MetricName": "HTTPCode_Target_5XX_Count", "Period": 60,
            "EvaluationPeriods": 2, "Threshold": 1, "Statistic": "Sum", "ComparisonOperator": "GreaterThanThreshold",
        });
        self.call("cloudwatch", "put_metric_alarm", alarm).await;
    }

    /// Returns the calls of ecs-deploy so far, and forgets all calls.
    pub fn take_calls(&self) -> Vec<Call> {
        self.cloud.take_calls().into_iter().filter(|call| call.tool == "ecs-deploy").collect()
    }

    /// Returns the calls of ecs-deploy so far that changed something, and forgets all calls.
    pub fn take_writes(&self) -> Vec<String> {
        let calls = self.take_calls();
        calls.into_iter().filter(|call| !is_read(call)).map(|call| call.operation).collect()
    }

    async fn ask(&self, request: Value) -> Value {
        let mut other = self.other.lock().await;
        other.requests.write_all(format!("{request}\n").as_bytes()).await.expect("written");
        let answer = other.answers.next_line().await.expect("read").expect("an answer");
        serde_json::from_str(&answer).expect("JSON")
    }
}

impl Running {
    /// Waits until it has ended.
    pub async fn end(self) -> Told {
        let Self { process, mut stderr, said: mut text } = self;
        let (output, said) = tokio::join!(process.wait_with_output(), stderr.read_to_string(&mut text));
        said.expect("text");
        let output = output.expect("ended");
        let (stdout, stderr) = (String::from_utf8(output.stdout).expect("text"), text);
        for (what, value) in [("the secret", SECRET), ("the variable's value", VALUE)] {
            assert!(!stdout.contains(value), "{what} is in the report: {stdout}");
            assert!(!stderr.contains(value), "{what} was said: {stderr}");
        }
        let report = if stdout.is_empty() { Value::Null } else { serde_json::from_str(&stdout).expect("JSON") };
        Told { code: code(output.status), stderr, report }
    }

    /// Presses Ctrl-C, and returns when the program has noticed it.
    pub async fn interrupt(&mut self) {
        let process = self.process.id().expect("it runs").to_string();
        let sent = tokio::process::Command::new("kill").args(["-INT", &process]).status().await.expect("kill");
        assert!(sent.success());
        while !self.said.contains("interrupted: starting nothing new") {
            let read = self.stderr.read_line(&mut self.said).await.expect("text");
            assert!(read > 0, "it ended: {}", self.said);
        }
    }
}

impl Told {
    /// Checks the exit code and the verdict, those of the report as well.
    #[track_caller]
    pub fn is(self, code: i32, verdict: &str) -> Self {
        let said = (self.code, &self.report["exit_code"], &self.report["verdict"]);
        assert_eq!(said, (code, &json!(code), &json!(verdict)), "{:#}\n{}", self.report, self.stderr);
        self
    }

    /// Returns what is said of a service.
    #[track_caller]
    pub fn of(&self, service: &str) -> &Value {
        let of = &self.report["services"][service];
        assert!(of.is_object(), "{:#}\n{}", self.report, self.stderr);
        of
    }

    /// Returns a text that the report has about a service, by its JSON pointer; empty where it has none.
    #[track_caller]
    pub fn text(&self, service: &str, pointer: &str) -> &str {
        self.of(service).pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the ARN of the deployment.
    #[track_caller]
    pub fn arn(&self, service: &str) -> String {
        let arn = self.text(service, "/deployment_arn").to_owned();
        assert!(arn.contains(":service-deployment/"), "{:#}\n{}", self.report, self.stderr);
        arn
    }

    /// Returns what is wrong with a service.
    #[track_caller]
    pub fn problems(&self, service: &str) -> Vec<&str> {
        self.of(service)["problems"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }
}

/// Says whether a call only reads: AWS names all of those alike.
pub fn is_read(call: &Call) -> bool {
    ["BatchGet", "Describe", "Get", "List", "Simulate"].iter().any(|prefix| call.operation.starts_with(prefix))
}
