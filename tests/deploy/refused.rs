//! What is refused before anything changes, and all of it at once.

use serde_json::json;

use crate::stage::{CLUSTER, REGISTRY, Stage, Told};

/// Deploys what must be refused: nothing is written, and the one problem says these words.
async fn refuses(stage: &Stage, arguments: &str, words: &[&str]) -> Told {
    stage.take_calls();
    let told = stage.deploy(arguments).await.is(1, "refused");
    assert_eq!(stage.take_writes(), [""; 0], "{arguments}");
    let problems = told.problems("backend");
    assert_eq!(problems.len(), 1, "{arguments}: {problems:?}");
    for word in words {
        assert!(problems[0].contains(word), "{arguments}: {word}: {problems:?}");
        assert!(told.stderr.contains(word), "{arguments}: {word}: {}", told.stderr);
    }
    told
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_anything_changes() {
    let stage = Stage::set().await;
    stage.push("backend-repo", "2").await;
    refuses_input(&stage).await;
    refuses(&stage, "--image backend=:none", &["backend-repo:none", "is not there"]).await;
    refuses(&stage, "--image backend=no-repo:1", &["no-repo:1", "is not there"]).await;
    stage.push_for("backend-repo", "arm", "arm64").await;
    refuses(&stage, "--image backend=:arm", &["built for arm64", "runs on amd64", "--platform linux/amd64"]).await;
    refuses(&stage, "--image backend=:2 --cpu 256 --memory 4096", &["256 CPU units with 4096 MiB", "nearest"]).await;
    refuses(&stage, "--image backend=:2 --secret KEY=/none", &["parameter /none", "KEY", "does not exist"]).await;
    let gone = "arn:aws:secretsmanager:us-east-1:123456789012:secret:gone-AbCdEf";
    refuses(&stage, &format!("--image backend=:2 --secret KEY={gone}"), &["gone-AbCdEf", "KEY", "does not exist"])
        .await;
    refuses(&stage, "--image backend=:2 --strategy blue-green", &["BLUE_GREEN", "two target groups"]).await;

    stage.weather("[[deny]]\naction = 'iam:PassRole'\nresource = '*:role/backendTaskRole'");
    refuses(&stage, "--image backend=:2", &["may not pass", "backendTaskRole", "iam:PassRole"]).await;
    stage.weather("");

    // Both processors in one index are right for either.
    let digest = stage.push_for("backend-repo", "both", "multi").await;
    let told = stage.deploy("--image backend=:both").await.is(0, "deployed");
    assert_eq!(told.text("backend", "/images/0/image"), format!("{REGISTRY}/backend-repo@{digest}"));

    // Of one task, half is one and one and a half is one: ECS takes the numbers, and then nothing moves.
    let percents = json!({"minimumHealthyPercent": 50, "maximumPercent": 150});
    let still = json!({"deploymentConfiguration": percents});
    stage.ecs("update_service", "backend-service", still).await;
    refuses(&stage, "--image backend=:2", &["50 %", "150 %", "neither to stop nor to start"]).await;
}

#[tokio::test]
async fn all_that_is_wrong_is_said_in_one_run_and_an_alarm_can_be_ignored() {
    let stage = Stage::set().await;
    stage.push("backend-repo", "2").await;
    stage.push("frontend-repo", "2").await;
    stage.put_alarm("backend-5xx").await;
    let rings = json!({"AlarmName": "backend-5xx", "StateValue": "ALARM", "StateReason": "errors"});
    stage.call("cloudwatch", "set_alarm_state", rings).await;
    let with_alarm = "--image backend=:2 --alarm backend-5xx";
    refuses(&stage, with_alarm, &["backend-5xx", "--ignore-alarms"]).await;
    refuses(&stage, "--image backend=:2 --alarm none", &["alarm none", "does not exist"]).await;

    stage.call("ssm", "delete_parameter", json!({"Name": "/backend/password"})).await;
    refuses(&stage, "--image backend=:2", &["/backend/password", "DB_PASSWORD", "does not exist"]).await;
    let policies = json!({"RoleName": "backendTaskRole"});
    let attached = stage.call("iam", "list_attached_role_policies", policies.clone()).await;
    for policy in attached["AttachedPolicies"].as_array().expect("policies") {
        let detached = json!({"RoleName": "backendTaskRole", "PolicyArn": policy["PolicyArn"]});
        stage.call("iam", "detach_role_policy", detached).await;
    }
    let inline = stage.call("iam", "list_role_policies", policies.clone()).await;
    for name in inline["PolicyNames"].as_array().expect("names") {
        let deleted = json!({"RoleName": "backendTaskRole", "PolicyName": name});
        stage.call("iam", "delete_role_policy", deleted).await;
    }
    stage.call("iam", "delete_role", policies).await;
    stage.take_calls();
    let told = stage
        .deploy("--image backend=:none --image frontend=:2 --alarm backend-5xx --cpu 300 --memory 512")
        .await
        .is(1, "refused");
    assert_eq!(stage.take_writes(), [""; 0]);
    let problems = told.problems("backend").join("\n");
    for word in ["backend-repo:none", "/backend/password", "backendTaskRole", "backend-5xx", "300 CPU units"] {
        assert!(problems.contains(word), "{word}: {problems}");
        assert!(told.stderr.contains(word), "{word}: {}", told.stderr);
    }

    // One service alone that is well is not deployed either, beside one that is not.
    let told = stage.deploy("--image backend=:2 --image frontend=:2").await.is(1, "refused");
    assert!(told.text("frontend", "/reason").contains("another service"), "{:#}", told.report);
    assert_eq!(stage.take_writes(), [""; 0]);

    let alarmed = "--image frontend=:2 --alarm backend-5xx";
    let told = stage.deploy(&format!("{alarmed} --ignore-alarms")).await.is(0, "deployed");
    assert_eq!(stage.deployments("frontend-service").await[0]["serviceDeploymentArn"], told.arn("frontend"));
}

/// What is wrong with the input itself.
async fn refuses_input(stage: &Stage) {
    let line = ["--image", "backend=:2"];
    let document = &stage.document;
    let elsewhere = document.replace("123456789012", "999999999999");
    let planned = document.replace("arn:aws:ecs:us-east-1:123456789012:cluster/", "planned:cluster/");
    for (stdin, code, words) in [
        (&document[..document.len() / 2], 7, "ended before its closing brace"),
        ("", 2, "nothing says which services"),
        (&planned, 2, "comes from a plan"),
        ("{}", 2, "neither a member `svc` nor a `stack`"),
    ] {
        let told = stage.start_on(&line, stdin).await.end().await;
        assert_eq!((told.code, &told.report), (code, &serde_json::Value::Null), "{}", told.stderr);
        assert!(told.stderr.contains(words), "{words}: {}", told.stderr);
    }
    assert_eq!(stage.take_calls(), [], "nobody was asked anything");

    let told = stage.start_on(&line, &elsewhere).await.end().await.is(8, "credentials");
    for account in ["999999999999", "123456789012"] {
        assert!(told.text("backend", "/reason").contains(account), "{:#}", told.report);
    }
    for verb in ["abort", "rollback", "run", "continue"] {
        stage.start_on(&[verb, "--service", "backend"], &elsewhere).await.end().await.is(8, "credentials");
    }
    let told = stage.deploy("--image backend=:2 --region eu-west-1").await;
    assert_eq!(told.code, 8, "{}", told.stderr);
    assert_eq!(stage.take_writes(), [""; 0]);

    for (arguments, words) in [
        ("--image none=:2", "there is no service `none`"),
        ("--image :2", "several services"),
        ("--image backend=:2 --percent 5", "--strategy"),
        ("--image backend=:2 --strategy canary --every 5m", "--strategy linear"),
        ("--image backend=:2 --pause-before traffic", "cannot pause"),
        ("wait arn:aws:ecs:us-east-1:123456789012:service/c/web", "not the ARN of a service deployment"),
    ] {
        let told = stage.deploy(arguments).await;
        assert_eq!(told.code, 2, "{arguments}: {}", told.stderr);
        assert!(told.stderr.contains(words), "{words}: {}", told.stderr);
    }
    let told = stage.deploy(&format!("--cluster {CLUSTER} --image backend-repo:2")).await;
    assert_eq!(told.code, 2, "{}", told.stderr);
    assert_eq!(stage.take_writes(), [""; 0]);
}
