//! One-off tasks, what befalls tasks, and their logs. Needs a Python with moto, as tests/local_aws.rs does.

mod support;

use std::time::{Duration, Instant};

use ecs_local::weather::Weather;
use ecs_local::{LocalAws, Options};
use serde_json::{Value, json};

use self::support::{Aws, Foundation};

/// How long a test waits for something that takes seconds at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// A local AWS where nothing takes time, in a weather, and what a service stands on.
async fn start(weather: &str) -> (Aws, Foundation) {
    start_at(0.0, weather).await
}

async fn start_at(speed: f64, weather: &str) -> (Aws, Foundation) {
    let weather = Weather::parse(weather).expect("a scenario");
    let local = LocalAws::start(Options { speed, weather, ..Options::default() }).await.expect("a local AWS");
    let aws = Aws { local };
    let made = aws.foundation(true);
    aws.put_parameter("/web/secret");
    (aws, made)
}

/// Registers a revision of `migrate`, which reads a secret and writes to a log.
fn register(aws: &Aws) -> Value {
    let definition = definition();
    aws.ecs("RegisterTaskDefinition", definition)["taskDefinition"]["taskDefinitionArn"].clone()
}

fn definition() -> Value {
    let options = json!({"awslogs-group": "/migrate", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "ecs"});
    json!({
        "family": "migrate", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
        "containerDefinitions": [{
            "name": "migrate", "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1",
            "secrets": [{"name": "SECRET", "valueFrom": "/web/secret"}],
            "logConfiguration": {"logDriver": "awslogs", "options": options},
        }],
    })
}

fn log_group(aws: &Aws) {
    let (status, answer) = aws.json("logs", "Logs_20140328.CreateLogGroup", json!({"logGroupName": "/migrate"}));
    assert_eq!(status, 200, "{answer}");
}

fn run_request(made: &Foundation) -> Value {
    json!({
        "cluster": "c", "taskDefinition": "migrate", "launchType": "FARGATE", "startedBy": "ci/42",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": made.subnets, "securityGroups": [made.group]}},
    })
}

fn describe(aws: &Aws, task: &Value) -> Value {
    aws.ecs("DescribeTasks", json!({"cluster": "c", "tasks": [task["taskArn"]], "include": ["TAGS"]}))["tasks"][0]
        .clone()
}

/// Asks until a task is as wanted: time passes on the scaled clock.
fn wait_for(aws: &Aws, task: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let task = describe(aws, task);
        if wanted(&task) {
            return task;
        }
        assert!(started.elapsed() < PATIENCE, "{task}");
    }
}

/// Runs `migrate` to its end.
fn migrate(aws: &Aws, made: &Foundation) -> Value {
    let answer = aws.ecs("RunTask", run_request(made));
    assert_eq!(answer["failures"], json!([]), "{answer}");
    let task = describe(aws, &answer["tasks"][0]);
    assert_eq!(task["lastStatus"], "STOPPED", "{task}");
    task
}

fn ecs_refuses(aws: &Aws, operation: &str, request: Value) -> String {
    let (status, refusal) = aws.json("ecs", &format!("AmazonEC2ContainerServiceV20141113.{operation}"), request);
    assert_eq!(status, 400, "{refusal}");
    let text = |name: &str| refusal[name].as_str().unwrap_or_default().to_owned();
    format!("{}: {}", text("__type"), text("message"))
}

#[tokio::test]
async fn a_migration_ends_with_its_exit_code_and_its_log() {
    let weather = r#"
        [[misfortune]]
        service = "migrate"
        happens = "finishes"
        exit-code = 3
        log = ["migrating", "no such column: name"]
    "#;
    let (aws, made) = start(weather).await;
    log_group(&aws);
    register(&aws);
    let task = migrate(&aws, &made);
    assert_eq!(
        (&task["stopCode"], &task["stoppedReason"]),
        (&json!("EssentialContainerExited"), &json!("Essential container in task exited"))
    );
    let container = &task["containers"][0];
    assert_eq!((&container["exitCode"], &container["lastStatus"]), (&json!(3), &json!("STOPPED")));
    assert_eq!((&task["group"], &task["startedBy"]), (&json!("family:migrate"), &json!("ci/42")));
    let id = task["taskArn"].as_str().and_then(|arn| arn.rsplit('/').next()).expect("an id");
    let request =
        json!({"logGroupName": "/migrate", "logStreamName": format!("ecs/migrate/{id}"), "startFromHead": true});
    let (_, events) = aws.json("logs", "Logs_20140328.GetLogEvents", request);
    let lines: Vec<&Value> =
        events["events"].as_array().expect("events").iter().map(|event| &event["message"]).collect();
    assert_eq!(lines, ["migrating", "no such column: name"]);
    let (_, found) = aws.json("logs", "Logs_20140328.FilterLogEvents", json!({"logGroupName": "/migrate"}));
    assert_eq!(found["events"].as_array().map(Vec::len), Some(2));
    let list = |filter: Value| {
        let mut request = json!({"cluster": "c"});
        request.as_object_mut().expect("an object").extend(filter.as_object().expect("an object").clone());
        aws.ecs("ListTasks", request)["taskArns"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(list(json!({"desiredStatus": "STOPPED", "family": "migrate"})), 1);
    assert_eq!(list(json!({"desiredStatus": "STOPPED", "startedBy": "ci/42"})), 1);
    let both = json!({"cluster": "c", "startedBy": "ci/42", "family": "migrate"});
    assert!(ecs_refuses(&aws, "ListTasks", both).starts_with("InvalidParameterException"));
    assert_eq!(list(json!({"desiredStatus": "STOPPED", "startedBy": "ci/43"})), 0);
    assert_eq!(list(json!({"desiredStatus": "RUNNING"})), 0);
    assert!(
        ecs_refuses(&aws, "ListTasks", json!({"cluster": "c", "serviceName": "none"}))
            .starts_with("ServiceNotFoundException")
    );
    aws.local.stop().await;
}

#[tokio::test]
async fn a_misfortune_has_awss_own_words() {
    let (aws, made) = start("").await;
    log_group(&aws);
    register(&aws);
    for (happens, code, exit, reason) in [
        ("cannot-pull", "TaskFailedToStart", None, "CannotPullContainerError: pull image manifest has been retried"),
        (
            "secret-unreadable",
            "TaskFailedToStart",
            None,
            "AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/execution/",
        ),
        (
            "no-route",
            "TaskFailedToStart",
            None,
            "ResourceInitializationError: unable to pull secrets or registry auth: ",
        ),
        ("exits", "EssentialContainerExited", Some(1), "Essential container in task exited"),
        ("out-of-memory", "EssentialContainerExited", Some(137), "Essential container in task exited"),
    ] {
        let weather =
            format!("[[misfortune]]\nservice = \"mig*\"\nimage = \"*/web:1\"\ntimes = 1\nhappens = \"{happens}\"");
        aws.local.set_weather(Weather::parse(&weather).expect("a scenario"));
        let task = migrate(&aws, &made);
        let said = task["stoppedReason"].as_str().unwrap_or_default();
        assert!(task["stopCode"] == code && said.contains(reason), "{happens}: {task}");
        assert_eq!(task["containers"][0]["exitCode"].as_i64(), exit, "{happens}");
        let container = task["containers"][0]["reason"].as_str().unwrap_or_default();
        match happens {
            "cannot-pull" => assert_eq!(container, said),
            "out-of-memory" => assert_eq!(container, "OutOfMemoryError: Container killed due to memory usage"),
            _ => assert_eq!(container, ""),
        }
        // It strikes once.
        assert_eq!(migrate(&aws, &made)["containers"][0]["exitCode"], 0);
    }
    aws.local.set_weather(
        Weather::parse("[[misfortune]]\nservice = \"*\"\ntimes = 1\nhappens = \"no-capacity\"").expect("one"),
    );
    let mut request = run_request(&made);
    request["count"] = json!(2);
    let answer = aws.ecs("RunTask", request);
    let reason = "Capacity is unavailable at this time. Please try again later or in a different availability zone";
    assert_eq!(
        (answer["tasks"].as_array().map(Vec::len), &answer["failures"]),
        (Some(1), &json!([{"reason": reason}]))
    );
    aws.local.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_started_with() {
    let (aws, made) = start("").await;
    register(&aws);
    let reason = |aws: &Aws| migrate(aws, &made)["stoppedReason"].as_str().unwrap_or_default().to_owned();
    assert!(reason(&aws).contains("failed to create Cloudwatch log stream: ResourceNotFoundException"));
    log_group(&aws);
    assert_eq!(reason(&aws), "Essential container in task exited");
    aws.local.set_weather(Weather::parse("strict-images = true").expect("a scenario"));
    assert!(
        reason(&aws).ends_with("failed to resolve ref 123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1: not found")
    );
    aws.local.set_weather(Weather::default());
    let push = |tag: &str| {
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{{"digest":"sha256:{tag}"}},"layers":[]}}"#
        );
        let request = json!({"repositoryName": "web", "imageManifest": manifest, "imageTag": tag});
        let (status, answer) = aws.json("ecr", "AmazonEC2ContainerRegistry_V20150921.PutImage", request);
        assert_eq!(status, 200, "{answer}");
    };
    push("2");
    assert!(reason(&aws).ends_with("/web:1: not found"), "another image is there, and not this");
    push("1");
    assert_eq!(reason(&aws), "Essential container in task exited");
    aws.json("ssm", "AmazonSSM.DeleteParameter", json!({"Name": "/web/secret"}));
    assert!(reason(&aws).ends_with("invalid ssm parameters: /web/secret"));
    aws.local.stop().await;
}

#[tokio::test]
async fn a_pinned_image_is_found_by_its_digest() {
    let (aws, made) = start("").await;
    log_group(&aws);
    let manifest =
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]}"#;
    let request = json!({"repositoryName": "web", "imageManifest": manifest, "imageTag": "1"});
    let (status, answer) = aws.json("ecr", "AmazonEC2ContainerRegistry_V20150921.PutImage", request);
    assert_eq!(status, 200, "{answer}");
    let digest = answer["image"]["imageId"]["imageDigest"].as_str().expect("a digest").to_owned();
    let register = |reference: &str| {
        let mut definition = definition();
        let image = format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/web{reference}");
        definition["containerDefinitions"][0]["image"] = json!(image);
        aws.ecs("RegisterTaskDefinition", definition);
    };
    for reference in [format!("@{digest}"), format!(":1@{digest}"), ":1".to_owned()] {
        register(&reference);
        let task = migrate(&aws, &made);
        assert_eq!(task["stoppedReason"], "Essential container in task exited", "{reference}");
        assert_eq!(task["containers"][0]["imageDigest"], digest, "{reference}");
    }
    register("@sha256:00");
    let task = migrate(&aws, &made);
    assert_eq!(task["stopCode"], "TaskFailedToStart");
    let reason = task["stoppedReason"].as_str().expect("a reason");
    assert!(reason.starts_with("CannotPullContainerError") && reason.contains("web@sha256:00: not found"), "{reason}");
    assert_eq!((&task["containers"][0]["reason"], task["containers"][0].get("exitCode")), (&json!(reason), None));
    aws.local.stop().await;
}

#[tokio::test]
async fn a_stream_is_read_to_its_end() {
    let (aws, made) =
        start("[[misfortune]]\nservice = \"migrate\"\nhappens = \"finishes\"\nlog = [\"a\", \"b\", \"c\"]").await;
    log_group(&aws);
    register(&aws);
    let task = migrate(&aws, &made);
    let id = task["taskArn"].as_str().and_then(|arn| arn.rsplit('/').next()).expect("an id");
    let get = |stream: &str, more: Value| {
        let mut request =
            json!({"logGroupName": "/migrate", "logStreamName": stream, "startFromHead": true, "limit": 2});
        request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        aws.json("logs", "Logs_20140328.GetLogEvents", request)
    };
    let stream = format!("ecs/migrate/{id}");
    let mut token = Value::Null;
    let mut lines = Vec::new();
    loop {
        let (status, page) = get(&stream, if token.is_null() { json!({}) } else { json!({"nextToken": token}) });
        assert_eq!(status, 200, "{page}");
        lines.extend(page["events"].as_array().expect("events").iter().map(|event| event["message"].clone()));
        // At the end of the stream the token is the one that was given.
        if page["nextForwardToken"] == token {
            break;
        }
        token = page["nextForwardToken"].clone();
    }
    assert_eq!(lines, ["a", "b", "c"]);
    for (more, message) in [
        (json!({}), "The specified log stream does not exist."),
        (json!({"logGroupName": "/nothing"}), "The specified log group does not exist."),
    ] {
        let (status, refusal) = get("ecs/migrate/none", more);
        assert_eq!((status, &refusal["__type"]), (400, &json!("ResourceNotFoundException")));
        assert_eq!(refusal["message"], message);
    }
    aws.local.stop().await;
}

#[tokio::test]
async fn a_task_lives_stage_by_stage_and_is_stopped() {
    let (aws, made) = start_at(600.0, "[[misfortune]]\nservice = \"*\"\nhappens = \"runs\"").await;
    log_group(&aws);
    register(&aws);
    let task = aws.ecs("RunTask", run_request(&made))["tasks"][0].clone();
    assert_eq!((&task["lastStatus"], &task["desiredStatus"]), (&json!("PROVISIONING"), &json!("RUNNING")));
    let running = wait_for(&aws, &task, |task| task["lastStatus"] == "RUNNING");
    assert_eq!(running["containers"][0]["lastStatus"], "RUNNING");
    assert_eq!(aws.ecs("ListTasks", json!({"cluster": "c", "family": "migrate"}))["taskArns"][0], task["taskArn"]);
    let stopping =
        aws.ecs("StopTask", json!({"cluster": "c", "task": task["taskArn"], "reason": "not today"}))["task"].clone();
    assert_eq!((&stopping["lastStatus"], &stopping["desiredStatus"]), (&json!("STOPPING"), &json!("STOPPED")));
    let stopped = wait_for(&aws, &task, |task| task["lastStatus"] == "STOPPED");
    assert_eq!((&stopped["stopCode"], &stopped["stoppedReason"]), (&json!("UserInitiated"), &json!("not today")));
    assert_eq!(stopped["containers"][0]["exitCode"], 0);
    let times: Vec<f64> =
        ["createdAt", "pullStartedAt", "pullStoppedAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt"]
            .iter()
            .map(|name| stopped[name].as_f64().expect(name))
            .collect();
    assert!(times.is_sorted(), "{times:?}");
    aws.local.stop().await;
}

#[tokio::test]
async fn run_task_takes_what_it_is_given_and_refuses_the_rest() {
    let (aws, made) = start("").await;
    log_group(&aws);
    let arn = register(&aws);
    aws.ecs("TagResource", json!({"resourceArn": arn, "tags": [{"key": "team", "value": "db"}]}));
    let mut request = run_request(&made);
    request["clientToken"] = json!("once");
    request["tags"] = json!([{"key": "run", "value": "1"}]);
    request["propagateTags"] = json!("TASK_DEFINITION");
    let given =
        json!({"name": "migrate", "command": ["up"], "environment": [{"name": "A", "value": "1"}], "memory": 256});
    request["overrides"] = json!({"cpu": "512", "memory": "1024", "containerOverrides": [given]});
    let task = aws.ecs("RunTask", request.clone())["tasks"][0].clone();
    assert_eq!((&task["cpu"], &task["memory"]), (&json!("512"), &json!("1024")));
    assert_eq!(
        (&task["overrides"]["containerOverrides"], &task["containers"][0]["memory"]),
        (&json!([given]), &json!("256"))
    );
    let tags = json!([{"key": "team", "value": "db"}, {"key": "run", "value": "1"}]);
    assert_eq!(describe(&aws, &task)["tags"], tags);
    assert_eq!(aws.ecs("RunTask", request.clone())["tasks"][0]["taskArn"], task["taskArn"]);
    request["count"] = json!(2);
    assert!(
        ecs_refuses(&aws, "RunTask", request)
            .starts_with("ConflictException: The provided clientToken is already in use")
    );
    for (name, value, said) in [
        ("count", json!(11), "InvalidParameterException: count"),
        ("cluster", json!("none"), "ClusterNotFoundException"),
        ("taskDefinition", json!("none"), "ClientException: TaskDefinition not found."),
        ("networkConfiguration", json!(null), "InvalidParameterException: Network Configuration must be provided"),
        ("launchType", json!("EC2"), "InvalidParameterException: No Container Instances were found in your cluster."),
        (
            "capacityProviderStrategy",
            json!([{"capacityProvider": "FARGATE"}]),
            "InvalidParameterException: Specifying both",
        ),
        ("propagateTags", json!("SERVICE"), "InvalidParameterException"),
        ("platformVersion", json!("9.9.9"), "PlatformUnknownException"),
        ("startedBy", json!("a b"), "InvalidParameterException: Invalid startedBy"),
        (
            "enableExecuteCommand",
            json!(true),
            "InvalidParameterException: The task couldn't be run because a valid taskRoleArn",
        ),
        (
            "overrides",
            json!({"containerOverrides": [{"name": "x"}]}),
            "InvalidParameterException: Override for container named x is not",
        ),
        ("overrides", json!({"cpu": "300"}), "ClientException: No Fargate configuration exists"),
        (
            "overrides",
            json!({"taskRoleArn": "arn:aws:iam::123456789012:role/none"}),
            "ClientException: ECS was unable to assume the role",
        ),
    ] {
        let mut request = run_request(&made);
        request[name] = value;
        let refusal = ecs_refuses(&aws, "RunTask", request);
        assert!(refusal.starts_with(said), "{name}: {refusal}");
    }
    assert!(
        ecs_refuses(&aws, "StopTask", json!({"cluster": "c", "task": "none"}))
            .ends_with("The referenced task was not found.")
    );
    aws.local.stop().await;
}

#[tokio::test]
async fn a_service_whose_tasks_fail_is_rolled_back_and_says_why() {
    for (happens, more, event, reason) in [
        ("exits", "exit-code = 2", "deployment failed: tasks failed to start.", "Essential container in task exited"),
        (
            "unhealthy-target",
            "status-code = 503",
            ") (port 80) is unhealthy in (target-group ",
            "Task failed ELB health checks in (target-group ",
        ),
        ("unhealthy-container", "", "failed container health checks.", "Task failed container health checks"),
        (
            "no-capacity",
            "",
            "was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later",
            "",
        ),
    ] {
        let weather = format!("[[misfortune]]\nservice = \"web\"\nimage = \"*:2\"\nhappens = \"{happens}\"\n{more}");
        let (aws, made) = start(&weather).await;
        aws.register("/web/secret");
        aws.ecs("CreateService", made.service());
        let mut definition = definition();
        definition["family"] = json!("web");
        definition["containerDefinitions"] = json!([{
            "name": "web", "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/web:2", "portMappings": [{"containerPort": 80}],
            "healthCheck": {"command": ["CMD-SHELL", "true"]},
        }]);
        aws.ecs("RegisterTaskDefinition", definition);
        aws.ecs("UpdateService", json!({"cluster": "c", "service": "web", "taskDefinition": "web"}));
        let service = aws.service();
        let events = service["events"].to_string();
        assert!(events.contains(event), "{happens}: {events}");
        assert!(service["taskDefinition"].as_str().is_some_and(|arn| arn.ends_with("web:1")), "{happens}: {service}");
        let stopped = aws.ecs("ListTasks", json!({"cluster": "c", "desiredStatus": "STOPPED", "serviceName": "web"}));
        if !reason.is_empty() {
            let tasks =
                aws.ecs("DescribeTasks", json!({"cluster": "c", "tasks": stopped["taskArns"]}))["tasks"].to_string();
            assert!(tasks.contains(reason), "{happens}: {tasks}");
        }
        aws.local.stop().await;
    }
}

#[tokio::test]
async fn a_target_is_as_healthy_as_its_task() {
    let weather = "[[misfortune]]\nservice = \"web\"\nhappens = \"unhealthy-target\"\nstatus-code = 404";
    let (aws, made) = start_at(200.0, weather).await;
    aws.register("/web/secret");
    let mut service = made.service();
    service["healthCheckGracePeriodSeconds"] = json!(600);
    aws.ecs("CreateService", service);
    let health = format!("Action=DescribeTargetHealth&TargetGroupArn={}", made.target_group);
    let started = Instant::now();
    let mut initial = false;
    let targets = loop {
        let (_, targets) = aws.query_raw("elasticloadbalancing", &health);
        initial |= targets.contains("<Reason>Elb.InitialHealthChecking</Reason>");
        if targets.contains("<State>unhealthy</State>") {
            break targets;
        }
        assert!(started.elapsed() < PATIENCE, "{targets}");
    };
    assert!(initial && targets.contains("<Reason>Target.ResponseCodeMismatch</Reason>"), "{targets}");
    assert!(targets.contains("Health checks failed with these codes: [404]"), "{targets}");
    aws.local.stop().await;
}
