//! Waits that end before the deployment does, and what others do meanwhile.

use ecs_local::Options;
use ecs_local::weather::When;
use serde_json::{Value, json};

use crate::stage::{CLUSTER, Stage};

/// A minute is a second: a deployment takes more than one.
async fn slow() -> Stage {
    let stage = Stage::set_with(Options { speed: 60.0, ..Options::default() }, "").await;
    for tag in ["2", "3", "4", "5"] {
        stage.push("backend-repo", tag).await;
    }
    stage
}

#[tokio::test]
async fn a_wait_that_ended_early_is_taken_up_again() {
    let stage = slow().await;
    let told = stage.deploy("--image backend=:2 --timeout 200ms").await.is(5, "timed_out");
    let arn = told.arn("backend");
    assert!(told.text("backend", "/reason").contains(&format!("ecs-deploy wait {arn}")), "{:#}", told.report);
    let told = stage.deploy(&format!("wait {arn}")).await.is(0, "deployed");
    assert_eq!(told.arn("backend-service"), arn);

    // The credentials expire in the midst of it.
    stage.weather("[[fault]]\ntool = 'ecs-deploy'\ncall = 'ecs:DescribeServiceDeployments'\nafter = 2\ndo = 'expire'");
    let told = stage.deploy("--image backend=:3").await.is(8, "credentials");
    let arn = told.arn("backend");
    let resume = format!("ecs-deploy wait {arn}");
    assert!(told.text("backend", "/reason").contains(&resume), "{:#}", told.report);
    assert!(told.stderr.contains(&resume), "{}", told.stderr);
    stage.weather("");
    stage.deploy(&format!("wait {arn}")).await.is(0, "deployed");

    // Somebody presses Ctrl-C: ECS goes on.
    let mut look = stage.cloud.aws().hold("ecs:DescribeServiceDeployments", 0, When::After);
    let mut running = stage.start(&["--image", "backend=:4"]).await;
    look.reached().await.expect("a look");
    running.interrupt().await;
    let told = running.end().await.is(130, "interrupted");
    let arn = told.arn("backend");
    assert!(told.stderr.contains(&format!("ecs-deploy wait {arn}")), "{}", told.stderr);
    drop(look);
    stage.deploy(&format!("wait {arn}")).await.is(0, "deployed");

    // Before the update there is nothing that goes on.
    let mut update = stage.cloud.aws().hold("ecs:RegisterTaskDefinition", 0, When::Before);
    let mut running = stage.start(&["--image", "backend=:5"]).await;
    update.reached().await.expect("a revision");
    stage.take_calls();
    running.interrupt().await;
    update.release();
    let told = running.end().await.is(130, "interrupted");
    assert_eq!(told.of("backend")["deployment_arn"], Value::Null, "{:#}", told.report);
    assert!(!stage.take_writes().contains(&"UpdateService".to_owned()), "{}", told.stderr);

    // Nobody waits at first: the same line again follows what is under way.
    let told = stage.deploy("--image backend=:5 --detach").await.is(0, "begun");
    let arn = told.arn("backend");
    let again = stage.deploy("--image backend=:5").await.is(0, "deployed");
    assert_eq!(again.arn("backend"), arn);
}

#[tokio::test]
async fn of_several_deployments_each_run_tells_what_became_of_its_own() {
    let stage = slow().await;
    let running = stage.service("backend-service").await["taskDefinition"].take();
    let mut look = stage.cloud.aws().hold("ecs:DescribeServiceDeployments", 0, When::Before);
    let first = stage.start(&["--image", "backend=:2"]).await;
    look.reached().await.expect("a look");
    let other = json!({"taskDefinition": running, "forceNewDeployment": true});
    let other = stage.ecs("update_service", "backend-service", other).await;
    look.release();
    let told = first.end().await.is(1, "superseded");
    let taken = other["service"]["currentServiceDeployment"].as_str().expect("an ARN");
    assert!(told.text("backend", "/reason").contains(taken), "{:#}", told.report);
    assert_ne!(told.arn("backend"), taken);

    // Somebody stops it.
    let mut look = stage.cloud.aws().hold("ecs:DescribeServiceDeployments", 0, When::Before);
    let waiting = stage.start(&["--image", "backend=:2"]).await;
    look.reached().await.expect("a look");
    let aborted = stage.deploy("abort --service backend");
    look.release();
    let (told, aborted) = tokio::join!(waiting.end(), aborted);
    let (told, aborted) = (told.is(4, "rolled_back"), aborted.is(0, "rolled_back"));
    assert_eq!(told.arn("backend"), aborted.arn("backend"));
    let why = told.text("backend", "/reason");
    assert!(told.text("backend", "/diagnosis/summary").ends_with(why), "{:#}", told.report);

    // Two pipelines at once.
    let (one, two) = tokio::join!(stage.deploy("--image backend=:3"), stage.deploy("--image backend=:4"));
    let (winner, loser) = if one.code == 0 { (one, two) } else { (two, one) };
    let (winner, loser) = (winner.is(0, "deployed"), loser.is(1, "superseded"));
    assert!(loser.text("backend", "/reason").contains(&winner.arn("backend")), "{:#}", loser.report);
    let runs = stage.service("backend-service").await["taskDefinition"].take();
    assert_eq!(winner.text("backend", "/task_definition/after"), runs);

    // Two services side by side: the worst decides.
    for tag in ["2", "3"] {
        stage.push("frontend-repo", tag).await;
    }
    stage.take_calls();
    stage.deploy("--image backend=:2 --image frontend=:2").await.is(0, "deployed");
    let calls: Vec<String> = stage.take_calls().into_iter().map(|call| call.operation).collect();
    let of =
        |name: &str| calls.iter().enumerate().filter(|(_, call)| *call == name).map(|(at, _)| at).collect::<Vec<_>>();
    // One after the other, the first would have been looked at many times before the second is updated.
    let (updates, looks) = (of("UpdateService"), of("DescribeServiceDeployments"));
    assert!(updates.len() == 2 && looks.len() > 4 && updates[1] < looks[4], "{calls:?}");

    stage.weather("[[misfortune]]\nservice = 'frontend-service'\nimage = '*@*'\ntimes = 3\nhappens = 'exits'");
    let told = stage.deploy("--image backend=:3 --image frontend=:3").await.is(4, "rolled_back");
    let verdict = |service: &str| (told.of(service)["verdict"].clone(), told.of(service)["exit_code"].clone());
    assert_eq!(verdict("backend"), (json!("deployed"), json!(0)));
    assert_eq!(verdict("frontend"), (json!("rolled_back"), json!(4)));
    assert!(told.stderr.contains("ecs-deploy: frontend: rolled back"), "{}", told.stderr);
    let after = |service: &str| told.of(service)["task_definition"]["after"].clone();
    let live: Vec<Value> = vec![
        stage.service("backend-service").await["taskDefinition"].take(),
        stage.service("frontend-service").await["taskDefinition"].take(),
    ];
    assert_eq!(live[0], after("backend"));
    assert_ne!(live[1], after("frontend"));

    // Somebody deletes the service: it is looked at before the update, and then at the first look of the wait.
    let mut look = stage.cloud.aws().hold("ecs:DescribeServices", 1, When::Before);
    let running = stage.start(&["--image", "backend=:5"]).await;
    look.reached().await.expect("a look");
    stage.ecs("delete_service", "backend-service", json!({"force": true})).await;
    look.release();
    let told = running.end().await.is(1, "failed");
    assert!(told.text("backend", "/reason").contains("backend-service is gone"), "{:#}", told.report);
    stage.take_calls();
    let told = stage.deploy("--image backend=:5").await.is(1, "failed");
    assert!(told.text("backend", "/reason").contains("backend-service in the cluster"), "{:#}", told.report);
    let never = ["--cluster", CLUSTER, "--service", "never", "--image", "backend-repo:2"];
    let told = stage.deploy_words(&never).await.is(1, "failed");
    assert!(told.text("never", "/reason").contains("there is no service never"), "{:#}", told.report);
    assert_eq!(stage.take_writes(), [""; 0]);
}
