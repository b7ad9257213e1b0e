//! What goes well: a new image, nothing to do, a plan, a service that nobody described.

use serde_json::{Value, json};

use crate::stage::{CLUSTER, REGISTRY, Stage, VALUE};

/// The calls that a wait repeats.
const POLLING: [&str; 4] = ["DescribeServiceDeployments", "DescribeTargetHealth", "ListTasks", "DescribeTasks"];

/// Puts a revision with a sidecar and tags of its own into the backend's service.
async fn add_sidecar(stage: &Stage) -> Value {
    let running = stage.definition(&json!("backend-task")).await;
    let mut wanted = json!({
        "tags": [{"key": "team", "value": "shop"}, {"key": "ecs-pipe:stack", "value": "ecs-production"}],
        "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
        "ephemeralStorage": {"sizeInGiB": 30},
    });
    for member in [
        "family",
        "taskRoleArn",
        "executionRoleArn",
        "networkMode",
        "containerDefinitions",
        "requiresCompatibilities",
        "cpu",
        "memory",
    ] {
        wanted[member] = running["taskDefinition"][member].clone();
    }
    let sidecar = json!({"name": "proxy", "image": "envoyproxy/envoy:v1.31", "essential": false, "cpu": 32});
    wanted["containerDefinitions"].as_array_mut().expect("containers").push(sidecar);
    let registered = stage.call("ecs", "register_task_definition", wanted).await;
    let arn = registered["taskDefinition"]["taskDefinitionArn"].clone();
    stage.ecs("update_service", "backend-service", json!({"taskDefinition": arn})).await;
    arn
}

/// Takes out of a described task definition what differs between any two revisions.
fn settings(mut described: Value) -> Value {
    let definition = described["taskDefinition"].as_object_mut().expect("a task definition");
    for member in ["taskDefinitionArn", "revision", "registeredAt", "registeredBy"] {
        definition.remove(member);
    }
    described["tags"].as_array_mut().expect("tags").sort_by_key(Value::to_string);
    described
}

#[tokio::test]
async fn a_new_image_is_deployed_by_its_digest_and_nothing_else_changes() {
    let stage = Stage::set().await;
    let before = add_sidecar(&stage).await;
    let digest = stage.push("backend-repo", "2").await;
    let told = stage.deploy("--image backend=backend-repo:2").await.is(0, "deployed");

    let calls = stage.take_calls();
    let mut looks = 0;
    let others: Vec<&str> = calls
        .iter()
        .map(|call| call.operation.as_str())
        .filter(|operation| {
            looks += usize::from(*operation == "DescribeServices");
            !POLLING.contains(operation) && (*operation != "DescribeServices" || looks == 1)
        })
        .collect();
    assert!(others.len() <= 12, "{} calls: {others:?}", others.len());

    let after = stage.service("backend-service").await["taskDefinition"].clone();
    let image = format!("{REGISTRY}/backend-repo@{digest}");
    let revisions = &told.of("backend")["task_definition"];
    assert_eq!((&revisions["before"], &revisions["after"]), (&before, &after));
    let reported = json!([{"container": "backend-app", "asked": "backend-repo:2", "image": image, "digest": digest}]);
    assert_eq!(told.of("backend")["images"], reported);
    let listed = stage.deployments("backend-service").await;
    assert_eq!(
        (&listed[0]["serviceDeploymentArn"], &listed[0]["status"]),
        (&json!(told.arn("backend")), &json!("SUCCESSFUL"))
    );

    let mut wanted = settings(stage.definition(&before).await);
    wanted["taskDefinition"]["containerDefinitions"][0]["image"] = json!(image);
    assert_eq!(settings(stage.definition(&after).await), wanted);
    assert!(wanted["tags"].to_string().contains("shop"), "{wanted}");

    // The same again: there is nothing to do.
    stage.take_calls();
    let again = stage.deploy("--image backend=:2").await.is(0, "unchanged");
    assert_eq!(stage.take_writes(), [""; 0]);
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);

    let forced = stage.deploy("--service backend --force").await.is(0, "deployed");
    assert_eq!(stage.take_writes(), ["UpdateService"]);
    assert_ne!(forced.arn("backend"), told.arn("backend"));
    assert_eq!(forced.text("backend", "/task_definition/after"), after);
}

#[tokio::test]
async fn a_plan_says_what_would_change_and_changes_nothing() {
    let stage = Stage::set().await;
    stage.push("backend-repo", "2").await;
    let arguments = ["--image", "backend=:2", "plan", "--exit-code", "--env", "COLOUR=blue", "--secret"];
    let source = "KEY=arn:aws:ssm:us-east-1:123456789012:parameter/backend/password";
    let plan = stage.deploy_words(&[&arguments[..], &[source, "--cpu", "512", "--memory", "1024"]].concat()).await;
    let plan = plan.is(3, "planned");
    let changes = plan.of("backend")["changes"].to_string();
    for word in ["backend-repo@sha256:", "COLOUR", "KEY", "512", "1024"] {
        assert!(changes.contains(word), "{word}: {changes}");
        assert!(plan.stderr.contains(word), "{word}: {}", plan.stderr);
    }
    // Neither the new value of the variable nor the old one.
    assert!(!changes.contains("blue") && !plan.stderr.contains("blue") && !changes.contains(VALUE), "{changes}");
    assert_eq!(plan.text("backend", "/task_definition/after"), "planned:task-definition");
    stage.deploy("plan --image backend=:2").await.is(0, "planned");
    stage.deploy("plan --exit-code --service backend").await.is(0, "unchanged");
    assert_eq!(stage.take_writes(), [""; 0]);

    // The stack file alone names the services as well.
    let plan = ["plan", "--stack", "tests/stacks/tutorial.toml", "--image", "backend=:2", "--no-input"];
    stage.start_on(&plan, "").await.end().await.is(0, "planned");

    // By its tag, with another variable, and from a file.
    let told = stage.deploy("--image backend=:2 --no-pin --env COLOUR=green").await.is(0, "deployed");
    assert_eq!(told.text("backend", "/images/0/image"), format!("{REGISTRY}/backend-repo:2"));
    let mut definition = stage.definition(&told.of("backend")["task_definition"]["after"]).await;
    let container = &definition["taskDefinition"]["containerDefinitions"][0];
    assert_eq!(container["image"], format!("{REGISTRY}/backend-repo:2"));
    let variables = container["environment"].to_string();
    assert!(variables.contains("green") && variables.contains("PORT"), "{variables}");
    definition["taskDefinition"]["containerDefinitions"][0]["stopTimeout"] = json!(45);
    let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
    std::fs::write(file.path(), definition.to_string()).expect("written");
    let path = file.path().display().to_string();
    let told = stage.deploy(&format!("--service backend --task-definition {path}")).await.is(0, "deployed");
    assert_eq!(told.of("backend")["changes"].as_array().map(Vec::len), Some(1), "{:#}", told.report);
    let definition = stage.definition(&told.of("backend")["task_definition"]["after"]).await;
    assert_eq!(definition["taskDefinition"]["containerDefinitions"][0]["stopTimeout"], 45);
    stage.deploy(&format!("--service backend --task-definition {path}")).await.is(0, "unchanged");

    // A service that the tools did not make, by its names.
    let live = stage.service("backend-service").await;
    let family = json!({
        "family": "legacy", "networkMode": "awsvpc", "cpu": "256", "memory": "512", "requiresCompatibilities": ["FARGATE"],
        "executionRoleArn": "arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
        "containerDefinitions": [
            {"name": "log", "image": "fluent/fluent-bit:3"},
            {"name": "web", "image": format!("{REGISTRY}/frontend-repo:latest"), "portMappings": [{"containerPort": 80}]},
        ],
    });
    stage.call("ecs", "register_task_definition", family).await;
    let service = json!({
        "cluster": CLUSTER, "serviceName": "legacy", "taskDefinition": "legacy", "desiredCount": 1, "launchType": "FARGATE",
        "networkConfiguration": live["networkConfiguration"],
    });
    stage.call("ecs", "create_service", service).await;
    let digest = stage.push("frontend-repo", "7").await;
    let web = format!("{REGISTRY}/frontend-repo:7");
    let named = ["--cluster", CLUSTER, "--service", "legacy", "--image"];
    let told = stage.start_on(&[&named[..], &[&format!("web={web}")]].concat(), "").await.end().await.is(0, "deployed");
    assert_eq!(told.text("legacy", "/task_definition/after"), stage.service("legacy").await["taskDefinition"]);
    assert_eq!(told.text("legacy", "/images/0/image"), format!("{REGISTRY}/frontend-repo@{digest}"));
    // The container that serves is the one with a port: it need not be named.
    let told = stage.start_on(&[&named[..], &[&web]].concat(), "").await.end().await.is(0, "unchanged");
    assert_eq!(told.text("legacy", "/images/0/container"), "web");
    let told = stage.start_on(&[&named[..], &["log=docker.io/fluent/fluent-bit:4"]].concat(), "").await.end().await;
    let told = told.is(0, "deployed");
    let definition = stage.definition(&told.of("legacy")["task_definition"]["after"]).await;
    let containers = &definition["taskDefinition"]["containerDefinitions"];
    assert_eq!(containers[0]["image"], "docker.io/fluent/fluent-bit:4");
    assert_eq!(containers[1]["image"], format!("{REGISTRY}/frontend-repo@{digest}"));
}
