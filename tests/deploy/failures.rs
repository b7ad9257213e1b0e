//! What goes wrong once tasks start: ECS goes back, and the report says why.

use std::time::{Duration, Instant};

use ecs_local::Options;
use serde_json::{Value, json};

use crate::stage::Stage;

/// How long a test waits for something that takes seconds at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// What befalls the backend's new tasks, and what is to be said of it.
struct Failing {
    misfortune: &'static str,
    cause: &'static str,
    /// What the summary and the hint say.
    words: &'static [&'static str],
}

const FAILING: [Failing; 6] = [
    Failing {
        misfortune: "happens = 'exits'\nexit-code = 42\nlog = ['listening', 'panicked: no database']",
        cause: "crash",
        words: &["exit code 42"],
    },
    Failing {
        misfortune: "happens = 'out-of-memory'",
        cause: "out_of_memory",
        words: &["OutOfMemoryError", "--memory"],
    },
    Failing {
        misfortune: "happens = 'unhealthy-target'\nstatus-code = 503",
        cause: "health_check",
        words: &["[503]", "another code"],
    },
    Failing { misfortune: "happens = 'unhealthy-target'", cause: "health_check", words: &["timed out", "port"] },
    Failing {
        misfortune: "happens = 'cannot-pull'",
        cause: "image_not_found",
        words: &["not found", "push the image"],
    },
    Failing {
        misfortune: "happens = 'secret-unreadable'",
        cause: "secret_not_readable",
        words: &["AccessDeniedException", "/backend/password", "execution role"],
    },
];

fn befalls(misfortune: &str) -> String {
    format!("[[misfortune]]\nservice = 'backend-service'\nimage = '*@sha256:*'\n{misfortune}")
}

#[tokio::test]
async fn what_fails_is_rolled_back_and_has_one_cause() {
    let stage = Stage::set().await;
    let before = stage.service("backend-service").await["taskDefinition"].clone();
    for (number, Failing { misfortune, cause, words }) in FAILING.iter().enumerate() {
        let tag = format!("{number}");
        stage.push("backend-repo", &tag).await;
        stage.weather(&befalls(misfortune));
        let told = stage.deploy(&format!("--image backend=:{tag}")).await.is(4, "rolled_back");
        assert_eq!(told.text("backend", "/diagnosis/cause"), *cause, "{:#}", told.report);
        let said = [told.text("backend", "/diagnosis/summary"), told.text("backend", "/diagnosis/hint")].join("\n");
        for word in *words {
            assert!(said.contains(word), "{misfortune}: {word}: {said}");
            assert!(told.stderr.contains(word), "{misfortune}: {word}: {}", told.stderr);
        }
        // Of this very deployment, and ECS is back where it was.
        let last = stage.deployments("backend-service").await.swap_remove(0);
        assert_eq!(
            (&last["serviceDeploymentArn"], &last["status"]),
            (&json!(told.arn("backend")), &json!("ROLLBACK_SUCCESSFUL"))
        );
        assert_eq!(stage.service("backend-service").await["taskDefinition"], before);
        assert_eq!(told.text("backend", "/task_definition/before"), before);
        assert!(told.text("backend", "/reason").contains("circuit breaker"), "{:#}", told.report);
        if *cause == "crash" {
            let stopped = &told.of("backend")["diagnosis"]["stopped_tasks"][0];
            assert_eq!(stopped["exit_codes"], json!([{"container": "backend-app", "code": 42}]));
            assert_eq!(
                told.of("backend")["diagnosis"]["logs"][0]["lines"],
                json!(["listening", "panicked: no database"])
            );
            assert!(told.stderr.contains("panicked: no database"), "{}", told.stderr);
        }
    }

    // A container's own health check.
    let mut checked = stage.definition(&before).await["taskDefinition"].take();
    let definition = checked.as_object_mut().expect("a task definition");
    definition.retain(|member, value| {
        !value.is_null()
            && ![
                "taskDefinitionArn",
                "revision",
                "status",
                "requiresAttributes",
                "compatibilities",
                "registeredAt",
                "registeredBy",
            ]
            .contains(&member.as_str())
    });
    checked["containerDefinitions"][0]["healthCheck"] = json!({"command": ["CMD", "true"], "retries": 2});
    stage.call("ecs", "register_task_definition", checked).await;
    stage.ecs("update_service", "backend-service", json!({"taskDefinition": "backend-task"})).await;
    stage.weather(&befalls("happens = 'unhealthy-container'"));
    let told = stage.deploy("--image backend=:1").await.is(4, "rolled_back");
    assert_eq!(told.text("backend", "/diagnosis/cause"), "health_check", "{:#}", told.report);
    assert!(told.text("backend", "/diagnosis/summary").contains("container health checks"), "{:#}", told.report);

    // Neither the new version runs nor the old one: that is no rollback.
    let image = json!({"repositoryName": "backend-repo", "imageIds": [{"imageTag": "latest"}]});
    stage.call("ecr", "batch_delete_image", image).await;
    stage.weather(&befalls("happens = 'exits'"));
    let told = stage.deploy("--image backend=:1").await.is(1, "failed");
    assert!(told.text("backend", "/reason").contains("ROLLBACK_FAILED"), "{:#}", told.report);
}

#[tokio::test]
async fn with_fail_fast_nobody_waits_for_the_circuit_breaker() {
    let stage = Stage::set_with(Options { speed: 40.0, ..Options::default() }, "").await;
    for tag in ["1", "2"] {
        stage.push("backend-repo", tag).await;
    }
    // Somebody deletes the image after it was looked for.
    let mut update = stage.cloud.aws().hold("ecs:UpdateService", 0, ecs_local::weather::When::Before);
    let running = stage.start(&["--image", "backend=:2"]).await;
    update.reached().await.expect("an update");
    let image = json!({"repositoryName": "backend-repo", "imageIds": [{"imageTag": "2"}]});
    stage.call("ecr", "batch_delete_image", image).await;
    update.release();
    let told = running.end().await.is(4, "rolled_back");
    assert_eq!(told.text("backend", "/diagnosis/cause"), "image_not_found", "{:#}", told.report);
    let others: Vec<&Value> =
        told.of("backend")["diagnosis"]["stopped_tasks"].as_array().expect("tasks").iter().collect();
    assert_eq!(others.iter().filter_map(|task| task["others_like_it"].as_u64()).sum::<u64>(), 2, "{:#}", told.report);
    assert!(!stage.take_writes().contains(&"StopServiceDeployment".to_owned()));

    stage.push("backend-repo", "3").await;
    stage.weather(&befalls("happens = 'cannot-pull'"));
    let told = stage.deploy("--image backend=:3 --fail-fast").await.is(4, "rolled_back");
    assert_eq!(told.text("backend", "/diagnosis/cause"), "image_not_found", "{:#}", told.report);
    assert!(stage.take_writes().contains(&"StopServiceDeployment".to_owned()));
    assert!(told.stderr.contains("rolling back (--fail-fast)"), "{}", told.stderr);
    // The circuit breaker would have waited for three.
    let like_it = &told.of("backend")["diagnosis"]["stopped_tasks"][0]["others_like_it"];
    assert!(like_it.as_u64().unwrap_or_default() < 2, "{:#}", told.report);

    // Without a circuit breaker it goes on like this, and the status says what the load balancer sees in the midst of it.
    let breaker = json!({"deploymentCircuitBreaker": {"enable": false, "rollback": false}});
    let again = json!({"deploymentConfiguration": breaker, "forceNewDeployment": true});
    stage.weather("[[misfortune]]\nservice = 'backend-service'\nhappens = 'unhealthy-target'\nstatus-code = 503");
    stage.ecs("update_service", "backend-service", again).await;
    let started = Instant::now();
    let told = loop {
        let told = stage.deploy("status --service backend").await;
        let targets = &told.of("backend")["diagnosis"]["targets"];
        if targets.as_array().into_iter().flatten().any(|target| target["state"] == "unhealthy") {
            break told.is(1, "unhealthy");
        }
        assert!(started.elapsed() < PATIENCE, "{:#}", told.report);
    };
    assert_eq!(told.text("backend", "/diagnosis/cause"), "health_check", "{:#}", told.report);
    assert!(told.text("backend", "/diagnosis/hint").contains("[503]"), "{:#}", told.report);
}
