//! Going back, and how services are.

use serde_json::{Value, json};

use crate::stage::Stage;

async fn runs(stage: &Stage) -> Value {
    stage.service("backend-service").await["taskDefinition"].take()
}

#[tokio::test]
async fn a_rollback_goes_to_the_last_revision_that_was_successful() {
    let stage = Stage::set().await;
    let mut revisions = vec![runs(&stage).await];
    let nowhere = stage.deploy("rollback --service backend").await.is(1, "failed");
    assert!(nowhere.text("backend", "/reason").contains("nothing to go back to"), "{:#}", nowhere.report);
    for tag in ["2", "broken", "3"] {
        stage.push("backend-repo", tag).await;
    }
    stage.deploy("--image backend=:2").await.is(0, "deployed");
    revisions.push(runs(&stage).await);
    stage.weather("[[misfortune]]\nservice = 'backend-service'\nhappens = 'exits'\ntimes = 3");
    stage.deploy("--image backend=:broken").await.is(4, "rolled_back");
    stage.weather("");
    // ECS has gone back by itself.
    stage.take_calls();
    let back = stage.deploy("rollback --service backend").await.is(0, "unchanged");
    assert!(back.text("backend", "/reason").contains("rolled back already"), "{:#}", back.report);
    assert_eq!(stage.take_writes(), [""; 0]);

    stage.deploy("--image backend=:3").await.is(0, "deployed");
    revisions.push(runs(&stage).await);
    // Not the number before, which never worked.
    let back = stage.deploy("rollback --service backend").await.is(0, "deployed");
    assert_eq!(runs(&stage).await, revisions[1]);
    let reported = &back.of("backend")["task_definition"];
    assert_eq!((&reported["before"], &reported["after"]), (&revisions[2], &revisions[1]));
    assert_eq!(stage.deployments("backend-service").await[0]["serviceDeploymentArn"], back.arn("backend"));

    // Further back, not forward again to what was left.
    stage.deploy("rollback --service backend").await.is(0, "deployed");
    assert_eq!(runs(&stage).await, revisions[0]);
    stage.deploy("rollback --service backend --to 2").await.is(0, "deployed");
    stage.deploy("rollback --service backend --to 1").await.is(0, "deployed");
    assert_eq!(runs(&stage).await, revisions[0]);
    stage.deploy("rollback --service backend --to backend-task:1").await.is(0, "unchanged");
    stage.take_calls();
    stage.deploy("rollback --service backend --to 99").await.is(1, "failed");
    let image = json!({"repositoryName": "backend-repo", "imageIds": [{"imageTag": "3"}]});
    stage.call("ecr", "batch_delete_image", image).await;
    let gone = stage.deploy("rollback --service backend --to 4").await.is(1, "failed");
    assert!(gone.text("backend", "/reason").contains("not there any more"), "{:#}", gone.report);
    assert_eq!(stage.take_writes(), [""; 0]);
}

#[tokio::test]
async fn the_status_says_how_services_are_and_why() {
    let stage = Stage::set().await;
    let well = stage.deploy("status").await.is(0, "healthy");
    assert_eq!(well.of("frontend")["verdict"], "healthy");
    assert_eq!(well.text("backend", "/task_definition/after"), runs(&stage).await);
    // Without a circuit breaker ECS tries again and again.
    let breaker = json!({"deploymentCircuitBreaker": {"enable": false, "rollback": false}});
    stage.ecs("update_service", "backend-service", json!({"deploymentConfiguration": breaker})).await;
    for (misfortune, cause, word) in [
        ("happens = 'exits'\nexit-code = 7\nlog = ['no database']", "crash", "exit code 7"),
        ("happens = 'unhealthy-target'\nstatus-code = 503", "health_check", "[503]"),
    ] {
        stage.weather(&format!("[[misfortune]]\nservice = 'backend-service'\n{misfortune}"));
        stage.ecs("update_service", "backend-service", json!({"forceNewDeployment": true})).await;
        stage.take_calls();
        let ill = stage.deploy("status --service backend").await.is(1, "unhealthy");
        assert_eq!(ill.text("backend", "/diagnosis/cause"), cause, "{:#}", ill.report);
        let said = [ill.text("backend", "/diagnosis/summary"), ill.text("backend", "/diagnosis/hint")].join("\n");
        assert!(said.contains(word), "{word}: {said}");
        let both = stage.deploy("status").await.is(1, "unhealthy");
        assert_eq!(both.of("frontend")["verdict"], "healthy");
        assert_eq!(stage.take_writes(), [""; 0]);
    }
}
