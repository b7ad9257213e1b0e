//! An AWS that asks to slow down and loses its answers: one deployment all the same, and one revision.

use serde_json::json;

use crate::stage::Stage;

/// Returns how many deployments the backend's service has had, and how many revisions its family.
async fn count(stage: &Stage) -> (usize, usize) {
    let revisions = stage.call("ecs", "list_task_definitions", json!({"familyPrefix": "backend-task"})).await;
    let revisions = revisions["taskDefinitionArns"].as_array().expect("revisions").len();
    (stage.deployments("backend-service").await.len(), revisions)
}

/// Deploys an image on a bad day, and checks that ECS has one more deployment and one more revision then.
async fn comes_through(stage: &Stage, tag: &str, faults: &str) {
    stage.push("backend-repo", tag).await;
    let (deployments, revisions) = count(stage).await;
    stage.weather(faults);
    let told = stage.deploy(&format!("--image backend=:{tag}")).await.is(0, "deployed");
    let harmed = stage.take_calls().into_iter().filter(|call| !call.weather.is_empty()).count();
    assert!(harmed > 0, "nothing went wrong: {faults}");
    stage.weather("");
    assert_eq!(count(stage).await, (deployments + 1, revisions + 1), "{faults}\n{}", told.stderr);
    let runs = stage.service("backend-service").await;
    assert_eq!(told.text("backend", "/task_definition/after"), runs["taskDefinition"], "{faults}");
    assert_eq!(told.arn("backend"), runs["currentServiceDeployment"], "{faults}");
}

#[tokio::test]
async fn throttling_and_lost_answers_leave_one_deployment() {
    let stage = Stage::set().await;
    // The image's configuration is a blob of its own: where it cannot be read, its processor is not checked, and that is said.
    let unread = "[[deny]]\naction = 'ecr:GetDownloadUrlForLayer'\nresource = '*'";
    stage.push("backend-repo", "unread").await;
    stage.weather(unread);
    let told = stage.deploy("--image backend=:unread").await.is(0, "deployed");
    assert!(told.stderr.contains("is not checked"), "{}", told.stderr);
    let image = told.text("backend", "/images/0/image");
    assert!(image.contains("@sha256:"), "pinned all the same: {image}");
    stage.weather("");
    let fault = |call: &str, times: usize, what: &str| {
        format!("[[fault]]\ntool = 'ecs-deploy'\ncall = 'ecs:{call}'\ntimes = {times}\ndo = {what}\n")
    };
    let throttled = ["UpdateService", "RegisterTaskDefinition", "DescribeServiceDeployments"];
    comes_through(&stage, "throttled", &throttled.map(|call| fault(call, 2, "'throttle'")).concat()).await;
    for call in ["UpdateService", "RegisterTaskDefinition"] {
        for (tag, harm) in [("lost", "'lost'"), ("cut", "'cut'"), ("reset", "'reset'"), ("broken", "{ error = 503 }")] {
            comes_through(&stage, &format!("{call}-{tag}"), &fault(call, 1, harm)).await;
        }
    }
    // A stop is asked for once more when nobody heard of it; here it comes too late.
    stage.weather(&fault("StopServiceDeployment", 1, "'lost'"));
    let told = stage.deploy("abort --service backend").await.is(1, "failed");
    assert!(told.text("backend", "/reason").contains("nothing to stop"), "{:#}", told.report);
    // Without credentials from the start, and from the update on.
    stage.weather("[[fault]]\ntool = 'ecs-deploy'\ndo = 'expire'");
    let told = stage.deploy("--image backend=:lost").await.is(8, "credentials");
    assert!(told.text("backend", "/reason").contains("expired"), "{:#}", told.report);
    stage.weather("");
    stage.push("backend-repo", "expired").await;
    stage.weather(&fault("UpdateService", 1, "'expire'"));
    let told = stage.deploy("--image backend=:expired").await.is(8, "credentials");
    assert!(told.text("backend", "/reason").contains("updating the service"), "{:#}", told.report);
    stage.weather("");
    stage.deploy("--image backend=:expired").await.is(0, "deployed");

    let looks = ["DescribeServiceDeployments", "DescribeServices"];
    comes_through(&stage, "looks", &looks.map(|call| fault(call, 2, "'reset'")).concat()).await;
}
