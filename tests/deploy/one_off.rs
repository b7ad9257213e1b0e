//! One-off tasks: before a deployment, and alone.

use serde_json::{Value, json};

use crate::stage::{CLUSTER, Stage};

const FAILS: &str = "[[misfortune]]\nservice = 'backend-task'\nhappens = 'finishes'\nexit-code = 3\n\
                     log = ['migrating', 'no such column: name']";

/// Returns how many one-off tasks have been run.
async fn one_offs(stage: &Stage) -> usize {
    let request = json!({"cluster": CLUSTER, "desiredStatus": "STOPPED", "startedBy": "ecs-deploy"});
    stage.call("ecs", "list_tasks", request).await["taskArns"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn a_one_off_task_decides_whether_anything_is_deployed_and_passes_its_exit_code_on() {
    let stage = Stage::set().await;
    stage.push("backend-repo", "2").await;
    let before = stage.service("backend-service").await["taskDefinition"].take();
    let line = ["--image", "backend=:2", "--run", "npm run 'the migration'"];
    stage.weather(FAILS);
    let told = stage.deploy_words(&line).await.is(1, "run_failed");
    assert_eq!(stage.take_writes(), ["RegisterTaskDefinition", "RunTask"]);
    assert_eq!(stage.service("backend-service").await["taskDefinition"], before);
    assert_eq!(told.of("backend")["tasks"][0]["exit_code"], 3, "{:#}", told.report);
    assert!(told.text("backend", "/reason").contains("left as it was"), "{:#}", told.report);
    for word in ["| migrating", "| no such column: name", "backend-task:2, which nothing uses"] {
        assert!(told.stderr.contains(word), "{word}: {}", told.stderr);
    }
    let task = told.text("backend", "/tasks/0/arn");
    let task =
        stage.call("ecs", "describe_tasks", json!({"cluster": CLUSTER, "tasks": [task]})).await["tasks"][0].take();
    let command = &task["overrides"]["containerOverrides"][0];
    assert_eq!(
        (&command["name"], &command["command"]),
        (&json!("backend-app"), &json!(["npm", "run", "the migration"]))
    );
    assert_eq!(told.text("backend", "/task_definition/after"), task["taskDefinitionArn"]);

    // It works: of the new revision first the task, then the deployment. The answer to RunTask is lost on the way.
    let run = one_offs(&stage).await;
    stage.weather("[[fault]]\ncall = 'ecs:RunTask'\ntimes = 1\ndo = 'lost'");
    let told = stage.deploy_words(&line).await.is(0, "deployed");
    let writes: Vec<String> = stage.take_writes();
    assert_eq!(writes, ["RegisterTaskDefinition", "RunTask", "RunTask", "UpdateService"]);
    assert_eq!(one_offs(&stage).await, run + 1);
    assert_eq!(told.of("backend")["tasks"][0]["exit_code"], 0, "{:#}", told.report);
    assert_eq!(
        told.text("backend", "/task_definition/after"),
        stage.service("backend-service").await["taskDefinition"]
    );

    // Nothing runs before nothing.
    stage.deploy_words(&line).await.is(0, "unchanged");
    assert_eq!(stage.take_writes(), [""; 0]);

    // Alone it passes its exit code on.
    stage.weather(FAILS);
    let told = stage.deploy("run --service backend -- npm run report").await.is(3, "run_failed");
    assert!(told.stderr.contains("| no such column: name"), "{}", told.stderr);
    assert_eq!(told.of("backend")["tasks"][0]["exit_code"], 3, "{:#}", told.report);
    stage.weather("");
    let told = stage.deploy("run --service backend --count 2 -- npm run report").await.is(0, "finished");
    let codes = told.of("backend")["tasks"].as_array().expect("tasks").iter().map(|task| task["exit_code"].clone());
    assert_eq!(codes.collect::<Vec<Value>>(), [json!(0), json!(0)], "{:#}", told.report);
    stage.weather("[[misfortune]]\nservice = 'backend-task'\nhappens = 'cannot-pull'");
    let told = stage.deploy("run --service backend -- npm run report").await.is(1, "run_failed");
    assert_eq!(told.text("backend", "/diagnosis/cause"), "image_not_found", "{:#}", told.report);
    stage.weather("[[misfortune]]\nservice = 'backend-task'\nhappens = 'no-capacity'");
    let told = stage.deploy("run --service backend -- npm run report").await.is(1, "failed");
    assert!(told.text("backend", "/reason").contains("Capacity is unavailable"), "{:#}", told.report);
    assert_eq!(stage.take_writes(), ["RunTask"; 4]);
}
