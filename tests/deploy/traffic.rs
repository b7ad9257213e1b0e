//! Deployments that shift traffic: pauses, alarms, and waits that end before they do.

use ecs_local::Options;
use serde_json::{Value, json};

use crate::stage::Stage;

/// Over the small stack.
const BLUE_GREEN: &str = "[services.backend.deployment]\nstrategy = 'blue_green'\nbake = '1m'";

/// A service whose traffic ECS shifts.
struct Shifting {
    stage: Stage,
    /// Where the traffic is shifted.
    rule: Value,
    /// The service's two target groups: the one that has the traffic at first, and the other.
    groups: [Value; 2],
}

impl Shifting {
    async fn set() -> Self {
        // A bake of ten minutes is one second.
        let stage = Stage::set_with(Options { speed: 600.0, ..Options::default() }, BLUE_GREEN).await;
        let balancer = stage.service("backend-service").await["loadBalancers"][0].take();
        let advanced = &balancer["advancedConfiguration"];
        for tag in ["2", "3"] {
            stage.push("backend-repo", tag).await;
        }
        let rule = advanced["productionListenerRule"].clone();
        let groups = [&balancer["targetGroupArn"], &advanced["alternateTargetGroupArn"]].map(Value::clone);
        let mut shifting = Self { stage, rule, groups };
        if shifting.shares().await == [0, 100] {
            shifting.groups.reverse();
        }
        shifting
    }

    /// Returns the shares of the two target groups, in percent.
    async fn shares(&self) -> [i64; 2] {
        let rules = self.stage.call("elbv2", "describe_rules", json!({"RuleArns": [self.rule]})).await;
        let targets = rules["Rules"][0]["Actions"][0]["ForwardConfig"]["TargetGroups"].as_array().expect("two").clone();
        let of = |group: &Value| targets.iter().find(|target| target["TargetGroupArn"] == *group).expect("it is there");
        let weights = [&self.groups[0], &self.groups[1]].map(|group| of(group)["Weight"].as_i64().expect("a weight"));
        weights.map(|weight| weight * 100 / (weights[0] + weights[1]))
    }

    async fn runs(&self) -> Value {
        self.stage.service("backend-service").await["taskDefinition"].take()
    }
}

#[tokio::test]
async fn a_paused_deployment_waits_for_a_person_and_a_baking_one_can_be_stopped() {
    let shifting = Shifting::set().await;
    let stage = &shifting.stage;
    let paused = stage.deploy("--image backend=:2 --strategy blue-green --bake 1m --pause-before traffic").await;
    let paused = paused.is(6, "paused");
    let arn = paused.arn("backend");
    assert!(paused.text("backend", "/reason").contains(&format!("ecs-deploy continue {arn}")), "{:#}", paused.report);
    assert_eq!(paused.text("backend", "/strategy"), "BLUE_GREEN");
    assert_eq!(shifting.shares().await, [100, 0]);

    // The answer is lost, but not what it says.
    stage.weather("[[fault]]\ncall = 'ecs:ContinueServiceDeployment'\ntimes = 1\ndo = 'lost'");
    let continued = stage.deploy(&format!("continue {arn}")).await.is(0, "deployed");
    assert_eq!(continued.arn("backend-service"), arn);
    assert_eq!(shifting.shares().await, [0, 100]);
    let second = shifting.runs().await;
    assert_eq!(paused.text("backend", "/task_definition/after"), second);
    let again = stage.deploy(&format!("continue {arn}")).await.is(1, "failed");
    assert!(again.text("backend-service", "/reason").contains("waits for nobody"), "{:#}", again.report);

    // Strategy and pause stay with the service.
    let paused = stage.deploy("--image backend=:3").await.is(6, "paused");
    let aborted = stage.deploy("abort --service backend").await.is(0, "rolled_back");
    assert_eq!(aborted.arn("backend"), paused.arn("backend"));
    assert_eq!((shifting.shares().await, shifting.runs().await), ([0, 100], second.clone()));

    // A wait may end when the traffic has moved.
    let reached = stage
        .deploy("--image backend=:3 --strategy blue-green --bake 24h --pause-before nothing --until traffic-shifted")
        .await;
    let reached = reached.is(0, "reached");
    assert_eq!(shifting.shares().await, [100, 0]);
    stage.deploy(&format!("wait --until bake {}", reached.arn("backend"))).await.is(0, "reached");
    let going = stage.deployments("backend-service").await.swap_remove(0);
    assert_eq!(
        (&going["serviceDeploymentArn"], &going["status"]),
        (&json!(reached.arn("backend")), &json!("IN_PROGRESS"))
    );

    // While it bakes, a rollback stops it.
    let back = stage.deploy("rollback --service backend").await.is(0, "rolled_back");
    assert_eq!(back.arn("backend"), reached.arn("backend"));
    assert_eq!((shifting.shares().await, shifting.runs().await), ([0, 100], second));
}

#[tokio::test]
async fn a_canary_is_rolled_back_by_an_alarm_and_with_fail_fast_by_its_failures() {
    let shifting = Shifting::set().await;
    let stage = &shifting.stage;
    let first = shifting.runs().await;
    let alarm = "backend-service-5xx";
    stage.weather(
        "[[alarm]]\nname = 'backend-service-5xx'\nservice = 'backend-service'\nstage = 'PRODUCTION_TRAFFIC_SHIFT'\nafter = '8m'",
    );
    let canary = "--image backend=:2 --strategy canary --percent 25 --bake 1h";
    let told = stage.deploy(canary).await.is(4, "rolled_back");
    assert_eq!(told.text("backend", "/diagnosis/cause"), "alarm", "{:#}", told.report);
    assert_eq!(told.of("backend")["diagnosis"]["alarms"], json!([alarm]));
    assert!(told.text("backend", "/diagnosis/summary").contains(alarm), "{:#}", told.report);
    assert!(told.stderr.contains("25 % of the traffic goes to the new version"), "{}", told.stderr);
    assert_eq!((shifting.shares().await, shifting.runs().await), ([100, 0], first.clone()));

    // ECS has no circuit breaker for it: with --fail-fast it ends as well.
    stage.weather("[[misfortune]]\nservice = 'backend-service'\nimage = '*@*'\nhappens = 'exits'\nexit-code = 9");
    let told = stage.deploy("--image backend=:2 --fail-fast").await.is(4, "rolled_back");
    assert_eq!(told.text("backend", "/diagnosis/cause"), "crash", "{:#}", told.report);
    assert!(stage.take_writes().contains(&"StopServiceDeployment".to_owned()));
    assert_eq!((shifting.shares().await, shifting.runs().await), ([100, 0], first));
    // Without, it goes on until somebody's patience ends, who then stops it.
    let told = stage.deploy("--image backend=:3 --timeout 1s").await.is(5, "timed_out");
    let back = stage.deploy("abort --service backend").await.is(0, "rolled_back");
    assert_eq!(back.arn("backend"), told.arn("backend"));

    // On a quiet day it comes through.
    stage.weather("");
    stage.deploy("--image backend=:2 --strategy canary --percent 25 --bake 5m").await.is(0, "deployed");
    assert_eq!(shifting.shares().await, [0, 100]);
}
