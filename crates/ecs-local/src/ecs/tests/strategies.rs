//! Deployments that shift traffic.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{World, service};
use crate::ecs::facts::{Fact, Question};
use crate::ecs::task::Effect;
use crate::weather::Weather;

const RULE: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener-rule/app/a/1/2/3";

/// A service with a strategy.
fn staged(configuration: Value) -> Value {
    let mut request = service(2);
    request["loadBalancers"][0]["advancedConfiguration"] = json!({
        "alternateTargetGroupArn": "arn:tg2", "productionListenerRule": RULE,
        "roleArn": "arn:aws:iam::123456789012:role/ecs-balancers",
    });
    request["deploymentConfiguration"] = configuration;
    request
}

fn canary() -> Value {
    json!({
        "strategy": "CANARY", "bakeTimeInMinutes": 5,
        "canaryConfiguration": {"canaryPercent": 25.0, "canaryBakeTimeInMinutes": 10},
        "alarms": {"alarmNames": ["5xx"], "enable": true, "rollback": true},
    })
}

/// What a client sees of a deployment, second by second.
#[derive(Debug, Default)]
struct Seen {
    stages: Vec<String>,
    shares: Vec<f64>,
    /// The rule's weights of arn:tg and arn:tg2.
    weights: Vec<(i64, i64)>,
}

impl World {
    /// A service that rolls, and an update of it with a strategy, second by second until `seconds` have gone by.
    fn updated(configuration: Value, seconds: usize) -> (World, Seen) {
        let mut world = World::with_service();
        world.register("2");
        world.update(configuration);
        let seen = world.watch(seconds);
        (world, seen)
    }

    fn update(&mut self, configuration: Value) {
        let request = staged(configuration);
        self.ok(
            "UpdateService",
            json!({
                "cluster": "c", "service": "web", "taskDefinition": "web", "loadBalancers": request["loadBalancers"],
                "deploymentConfiguration": request["deploymentConfiguration"],
            }),
        );
    }

    /// Does to the rule what ECS does to it.
    fn weights(&mut self) -> (i64, i64) {
        let last =
            self.region.effects.iter().rev().find_map(|effect| {
                if let Effect::Shift { weights, .. } = effect { Some(weights.clone()) } else { None }
            });
        let weights = last.unwrap_or_else(|| vec![("arn:tg".to_owned(), 1), ("arn:tg2".to_owned(), 0)]);
        let of = |wanted: &str| weights.iter().find(|(arn, _)| arn == wanted).map_or(0, |(_, weight)| *weight);
        let both = (of("arn:tg"), of("arn:tg2"));
        self.facts.insert(Question::Rule(RULE.to_owned()), Fact::Rule { weights });
        both
    }

    fn watch(&mut self, seconds: usize) -> Seen {
        let mut seen = Seen::default();
        for _ in 0..seconds {
            let deployment = self.newest_deployment();
            let stage = deployment["lifecycleStage"].as_str().unwrap_or_default().to_owned();
            let share = deployment["targetServiceRevision"]["requestedProductionTrafficWeight"].as_f64();
            let weights = self.weights();
            if seen.stages.last() != Some(&stage) {
                seen.stages.push(stage);
            }
            seen.shares.extend(share.filter(|share| seen.shares.last() != Some(share)));
            if seen.weights.last() != Some(&weights) {
                seen.weights.push(weights);
            }
            self.pass(1.0);
        }
        seen
    }

    /// Sets an alarm off, or ends it.
    fn alarm(&mut self, alarming: bool) {
        self.facts.insert(Question::Alarm("5xx".to_owned()), Fact::Alarm { alarming, window: 60.0 });
        let now = self.now;
        for service in &mut self.region.services {
            service.wake_at(now);
        }
    }

    fn deployment_arn(&mut self) -> Value {
        self.newest_deployment()["serviceDeploymentArn"].clone()
    }
}

#[test]
fn blue_green_passes_every_stage() {
    let configuration = json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5});
    let (mut world, seen) = World::updated(configuration, 600);
    assert_eq!(
        seen.stages,
        [
            "PRE_SCALE_UP",
            "SCALE_UP",
            "POST_SCALE_UP",
            "TEST_TRAFFIC_SHIFT",
            "POST_TEST_TRAFFIC_SHIFT",
            "PRE_PRODUCTION_TRAFFIC_SHIFT",
            "PRODUCTION_TRAFFIC_SHIFT",
            "POST_PRODUCTION_TRAFFIC_SHIFT",
            "BAKE_TIME",
            "CLEAN_UP"
        ]
    );
    assert_eq!((seen.shares, seen.weights), (vec![0.0, 100.0], vec![(1, 0), (0, 100)]));
    let ended = world.newest_deployment();
    assert_eq!(ended["status"], "SUCCESSFUL");
    assert_eq!(ended["sourceServiceRevisions"][0]["requestedProductionTrafficWeight"], 0.0);
    assert_eq!(ended["alarms"]["status"], "DISABLED");
    let described = world.described();
    assert_eq!((&described["runningCount"], described["deployments"].as_array().map(Vec::len)), (&json!(2), Some(1)));
    assert!(described["taskDefinition"].as_str().is_some_and(|arn| arn.ends_with("web:2")));
    assert!(world.says("registered 2 targets in (target-group arn:tg2)"));
    let revision = ended["targetServiceRevision"]["arn"].clone();
    let revisions = world.ok("DescribeServiceRevisions", json!({"serviceRevisionArns": [revision]}));
    let resolved = &revisions["serviceRevisions"][0]["resolvedConfiguration"]["loadBalancers"][0];
    assert_eq!(resolved["targetGroupArn"], "arn:tg2");
    // The next goes back to the first target group.
    world.ok("UpdateService", json!({"cluster": "c", "service": "web", "forceNewDeployment": true}));
    let seen = world.watch(600);
    assert_eq!(seen.weights, [(0, 100), (100, 0)]);
    assert_eq!(world.newest_deployment()["status"], "SUCCESSFUL");
}

#[test]
fn a_canary_waits_before_the_rest_follows() {
    let (mut world, seen) = World::updated(canary(), 400);
    assert_eq!((seen.shares, seen.weights), (vec![0.0, 25.0], vec![(1, 0), (75, 25)]));
    let midway = world.newest_deployment();
    assert_eq!(midway["lifecycleStage"], "PRODUCTION_TRAFFIC_SHIFT");
    let source = &midway["sourceServiceRevisions"][0];
    assert_eq!(
        (&source["requestedProductionTrafficWeight"], &source["requestedTaskCount"], &source["runningTaskCount"]),
        (&json!(75.0), &json!(2), &json!(2))
    );
    assert_eq!(world.described()["runningCount"], 4);
    let seen = world.watch(800);
    assert_eq!(seen.weights, [(75, 25), (0, 100)]);
    assert_eq!(seen.stages.first().map(String::as_str), Some("PRODUCTION_TRAFFIC_SHIFT"));
    assert_eq!(seen.stages[1], "PRE_PRODUCTION_TRAFFIC_SHIFT");
    assert_eq!(world.newest_deployment()["status"], "SUCCESSFUL");
    assert_eq!(world.newest_deployment()["alarms"]["status"], "MONITORING_COMPLETE");
}

#[test]
fn a_linear_shift_goes_in_steps() {
    let configuration = json!({
        "strategy": "LINEAR", "bakeTimeInMinutes": 0,
        "linearConfiguration": {"stepPercent": 40.0, "stepBakeTimeInMinutes": 1},
    });
    let (mut world, seen) = World::updated(configuration, 500);
    assert_eq!(seen.weights, [(1, 0), (60, 40), (20, 80), (0, 100)]);
    assert_eq!(world.newest_deployment()["status"], "SUCCESSFUL");
}

#[test]
fn an_alarm_in_the_canary_sends_traffic_back() {
    let (mut world, _) = World::updated(canary(), 400);
    let described = world.described();
    let (new, old) = (described["deployments"][0]["id"].clone(), described["deployments"][1]["id"].clone());
    world.alarm(true);
    let seen = world.watch(120);
    assert_eq!(seen.weights, [(75, 25), (1, 0)]);
    let ended = world.newest_deployment();
    assert_eq!((&ended["status"], &ended["alarms"]["status"]), (&json!("ROLLBACK_SUCCESSFUL"), &json!("TRIGGERED")));
    assert_eq!(ended["alarms"]["triggeredAlarmNames"], json!(["5xx"]));
    assert!(ended["rollback"]["reason"].as_str().is_some_and(|reason| reason.contains("5xx")));
    assert_eq!(ended["rollback"]["serviceRevisionArn"], ended["sourceServiceRevisions"][0]["arn"]);
    let described = world.described();
    assert_eq!(
        (&described["deployments"][0]["id"], described["deployments"].as_array().map(Vec::len)),
        (&old, Some(1))
    );
    assert!(described["taskDefinition"].as_str().is_some_and(|arn| arn.ends_with("web:1")));
    let new = new.as_str().expect("an id");
    assert!(world.says(&format!("(deployment {new}) deployment failed: alarm detected.")));
    // The alarm is still on: the next deployment does not look at it.
    world.update(canary());
    world.watch(1500);
    let ended = world.newest_deployment();
    assert_eq!((&ended["status"], &ended["alarms"]["status"]), (&json!("SUCCESSFUL"), &json!("DISABLED")));
}

#[test]
fn the_weather_sets_an_alarm_off_and_ends_it() {
    for speed in [0.0, 60.0] {
        let mut world = World::at_speed(speed);
        world.alarm(false);
        world.ok("CreateService", service(2));
        world.pass(300.0);
        let script = "[[alarm]]\nname = \"5xx\"\nservice = \"web\"\nstage = \"BAKE_TIME\"\nafter = \"30s\"";
        world.region.weather = Arc::new(Weather::parse(script).expect("a scenario"));
        world.register("2");
        world.update(canary());
        world.pass(if speed == 0.0 { 0.0 } else { 2000.0 });
        let ended = world.newest_deployment();
        assert_eq!(ended["status"], "ROLLBACK_SUCCESSFUL", "{ended}");
        assert_eq!(world.weights(), (1, 0));
        let alarms: Vec<bool> = world
            .region
            .effects
            .iter()
            .filter_map(|effect| if let Effect::Alarm { alarming, .. } = effect { Some(*alarming) } else { None })
            .collect();
        assert_eq!(alarms, [true, false]);
    }
}

#[test]
fn a_pause_waits_for_a_word() {
    let pause = json!({
        "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1,
        "lifecycleHooks": [
            {"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP", "POST_TEST_TRAFFIC_SHIFT"], "timeoutConfiguration": {"timeoutInMinutes": 30}},
            {"hookTargetArn": "arn:aws:lambda:f", "roleArn": "arn:aws:iam::123456789012:role/f", "lifecycleStages": ["PRE_SCALE_UP"]},
        ],
    });
    let (mut world, _) = World::updated(pause.clone(), 300);
    let paused = world.newest_deployment();
    assert_eq!(paused["lifecycleStage"], "PRE_SCALE_UP");
    assert_eq!(paused["targetServiceRevision"]["runningTaskCount"], 0);
    let hooks = &paused["lifecycleHookDetails"];
    assert_eq!((&hooks[0]["status"], &hooks[1]["status"]), (&json!("AWAITING_ACTION"), &json!("SUCCEEDED")));
    let arn = world.deployment_arn();
    let say = |world: &mut World, id: &Value, action: &str| {
        world.call("ContinueServiceDeployment", json!({"serviceDeploymentArn": arn, "hookId": id, "action": action}))
    };
    assert!(say(&mut world, &json!("x"), "CONTINUE").is_err_and(|why| why.contains("ecs-{hookType}-{id}")));
    assert!(say(&mut world, &json!("ecs-pause-x"), "CONTINUE").is_err_and(|why| why.contains("not associated")));
    say(&mut world, &hooks[0]["hookId"], "CONTINUE").expect("goes on");
    assert!(say(&mut world, &hooks[0]["hookId"], "CONTINUE").is_err());
    world.watch(120);
    let paused = world.newest_deployment();
    assert_eq!(paused["lifecycleStage"], "POST_TEST_TRAFFIC_SHIFT");
    say(&mut world, &paused["lifecycleHookDetails"][2]["hookId"], "ROLLBACK").expect("goes back");
    world.watch(120);
    let ended = world.newest_deployment();
    assert_eq!(
        (&ended["status"], &ended["statusReason"]),
        (
            &json!("ROLLBACK_SUCCESSFUL"),
            &json!("Service deployment rolled back because POST_TEST_TRAFFIC_SHIFT lifecycle hook(s) failed.")
        )
    );
    assert!(say(&mut world, &json!("ecs-pause-x"), "CONTINUE").is_err_and(|why| why.contains("terminal states")));
    world.update(pause);
    world.watch(2000);
    let ended = world.newest_deployment();
    assert_eq!(
        (&ended["status"], &ended["statusReason"]),
        (
            &json!("ROLLBACK_SUCCESSFUL"),
            &json!("Service deployment rolled back because PRE_SCALE_UP pause hook timed out.")
        )
    );
}

#[test]
fn a_deployment_is_stopped_on_request() {
    let (mut world, _) = World::updated(canary(), 400);
    let arn = world.deployment_arn();
    world.ok("StopServiceDeployment", json!({"serviceDeploymentArn": arn}));
    assert_eq!(world.newest_deployment()["status"], "ROLLBACK_REQUESTED");
    world.ok("StopServiceDeployment", json!({"serviceDeploymentArn": arn}));
    world.watch(10);
    assert_eq!(world.newest_deployment()["status"], "ROLLBACK_IN_PROGRESS");
    world.watch(120);
    assert_eq!(world.newest_deployment()["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(world.weights(), (1, 0));
    let refusal = world.refused("StopServiceDeployment", json!({"serviceDeploymentArn": arn}));
    assert!(refusal.starts_with("ConflictException"), "{refusal}");
    let refusal = world.refused("StopServiceDeployment", json!({"serviceDeploymentArn": "x"}));
    assert!(refusal.starts_with("ServiceDeploymentNotFoundException"), "{refusal}");
    // A rolling one goes back as well, to a deployment of its own.
    world.register("3");
    let rolling = json!({"strategy": "ROLLING"});
    let request =
        json!({"cluster": "c", "service": "web", "taskDefinition": "web:3", "deploymentConfiguration": rolling});
    world.ok("UpdateService", request);
    world.pass(10.0);
    let arn = world.deployment_arn();
    world.ok("StopServiceDeployment", json!({"serviceDeploymentArn": arn, "stopType": "ROLLBACK"}));
    world.pass(200.0);
    assert_eq!(world.newest_deployment()["status"], "ROLLBACK_SUCCESSFUL");
    assert!(world.described()["taskDefinition"].as_str().is_some_and(|arn| arn.ends_with("web:1")));
}

#[test]
fn a_deployment_can_only_be_rolled_back() {
    let (mut world, _) = World::updated(canary(), 400);
    let arn = world.deployment_arn();
    let refusal = world.refused("StopServiceDeployment", json!({"serviceDeploymentArn": arn, "stopType": "ABORT"}));
    assert!(refusal.starts_with("InvalidParameterException"), "{refusal}");
    assert_eq!(world.newest_deployment()["status"], "IN_PROGRESS");
}

#[test]
fn an_update_in_the_midst_takes_over() {
    let (mut world, _) = World::updated(canary(), 400);
    let first = world.deployment_arn();
    world.register("3");
    world.update(canary());
    assert_eq!(world.described()["deployments"].as_array().map(Vec::len), Some(3));
    let seen = world.watch(1500);
    assert_eq!(seen.stages[..2], ["RECONCILE_SERVICE", "PRE_SCALE_UP"]);
    assert_eq!(seen.weights, [(1, 0), (75, 25), (0, 100)]);
    let described = world.described();
    assert!(described["taskDefinition"].as_str().is_some_and(|arn| arn.ends_with("web:3")));
    assert_eq!(described["deployments"].as_array().map(Vec::len), Some(1));
    let request = json!({"serviceDeploymentArns": [first]});
    let stopped = world.ok("DescribeServiceDeployments", request)["serviceDeployments"][0].clone();
    assert_eq!(stopped["status"], "STOPPED");
    assert!(stopped["statusReason"].is_string() && stopped["stoppedAt"].is_number(), "{stopped}");
}

#[test]
fn a_first_deployment_has_nothing_to_go_back_to() {
    let mut world = World::at_speed(60.0);
    let weights = vec![("arn:tg".to_owned(), 1), ("arn:tg2".to_owned(), 1)];
    world.facts.insert(Question::Rule(RULE.to_owned()), Fact::Rule { weights });
    world.ok("CreateService", staged(canary()));
    world.pass(60.0);
    let ended = world.newest_deployment();
    assert_eq!(ended["status"], "ROLLBACK_FAILED");
    assert!(world.says("should have exactly one target group serving traffic but found 2"));
    assert_eq!(world.described()["runningCount"], 0);
    for (weights, trusted, why) in [
        (vec![("arn:tg", 1), ("arn:other", 1)], true, "unexpected target group arn:other"),
        (vec![("arn:tg", 1)], true, "arn:tg2 is not associated with"),
        (vec![("arn:tg", 1), ("arn:tg2", 0)], false, "missing permissions on ECS Infrastructure Role"),
    ] {
        let weights = weights.into_iter().map(|(arn, weight)| (arn.to_owned(), weight)).collect();
        world.facts.insert(Question::Rule(RULE.to_owned()), Fact::Rule { weights });
        let fact = if trusted { Fact::Found } else { Fact::Missing };
        world.facts.insert(Question::Trust("ecs-balancers".to_owned()), fact);
        world.ok("UpdateService", json!({"cluster": "c", "service": "web", "forceNewDeployment": true}));
        world.pass(1.0);
        assert!(world.says(why), "{why}");
    }
}

#[test]
fn where_nothing_takes_time_a_canary_is_through_at_once() {
    let mut world = World::at_speed(0.0);
    world.ok("CreateService", staged(canary()));
    let first = world.newest_deployment();
    assert_eq!((&first["status"], &first["sourceServiceRevisions"]), (&json!("SUCCESSFUL"), &json!([])));
    assert_eq!(world.weights(), (0, 100));
    let broken = world.register_broken();
    let mut request = staged(canary());
    request["deploymentConfiguration"]["deploymentCircuitBreaker"] = json!({"enable": true, "rollback": true});
    let configuration = &request["deploymentConfiguration"];
    let request =
        json!({"cluster": "c", "service": "web", "taskDefinition": broken, "deploymentConfiguration": configuration});
    world.ok("UpdateService", request);
    // The circuit breaker is for rolling deployments only: this one goes on until somebody stops it.
    let going = world.newest_deployment();
    assert_eq!((&going["status"], &going["lifecycleStage"]), (&json!("IN_PROGRESS"), &json!("SCALE_UP")));
    let request = json!({"serviceDeploymentArn": going["serviceDeploymentArn"], "stopType": "ROLLBACK"});
    world.ok("StopServiceDeployment", request);
    let ended = world.newest_deployment();
    assert_eq!((&ended["status"], &ended["lifecycleStage"]), (&json!("ROLLBACK_SUCCESSFUL"), &json!("SCALE_UP")));
    assert_eq!((world.weights(), world.described()["runningCount"].clone()), ((0, 100), json!(2)));
}

#[test]
fn a_rolling_deployment_is_watched_after_its_end() {
    for alarming in [false, true] {
        let mut world = World::with_service();
        world.alarm(false);
        world.register("2");
        let configuration = json!({"alarms": {"alarmNames": ["5xx"], "enable": true, "rollback": true}});
        let request = json!({"cluster": "c", "service": "web", "taskDefinition": "web:2", "deploymentConfiguration": configuration});
        world.ok("UpdateService", request);
        while world.described()["deployments"].as_array().is_some_and(|deployments| deployments.len() > 1) {
            world.pass(1.0);
        }
        let baking = world.newest_deployment();
        assert_eq!((&baking["status"], &baking["alarms"]["status"]), (&json!("IN_PROGRESS"), &json!("MONITORING")));
        world.alarm(alarming);
        world.pass(300.0);
        let status = if alarming { "ROLLBACK_SUCCESSFUL" } else { "SUCCESSFUL" };
        assert_eq!(world.newest_deployment()["status"], status);
    }
}

#[test]
fn early_success_does_not_wait_for_the_rest() {
    let mut world = World::with_service();
    world.register("2");
    let criteria = json!({"enable": true, "healthyPercent": 50, "sourceServiceRevisionCleanup": "DEFERRED"});
    let configuration = json!({"minimumHealthyPercent": 50, "maximumPercent": 150, "earlySuccessCriteria": criteria});
    let request =
        json!({"cluster": "c", "service": "web", "taskDefinition": "web:2", "deploymentConfiguration": configuration});
    world.ok("UpdateService", request);
    while world.newest_deployment()["status"] != "SUCCESSFUL" {
        world.pass(1.0);
    }
    assert_eq!(world.described()["deployments"].as_array().map(Vec::len), Some(2));
    world.pass(200.0);
    assert_eq!(world.described()["deployments"].as_array().map(Vec::len), Some(1));
    assert!(world.says("steady state"));
}

#[test]
fn a_load_balancer_is_refused_what_aws_refuses() {
    let mut world = World::at_speed(60.0);
    let mut with = |change: fn(&mut Value), why: &str| {
        let mut request = staged(canary());
        change(&mut request);
        let refusal = world.refused("CreateService", request);
        assert!(refusal.starts_with("InvalidParameterException") && refusal.contains(why), "{why}: {refusal}");
    };
    with(
        |request| request["loadBalancers"][0]["advancedConfiguration"] = Value::Null,
        "advancedConfiguration field is required",
    );
    with(|request| request["loadBalancers"] = json!([]), "requires a load balancer");
    with(
        |request| {
            request["loadBalancers"][0]["advancedConfiguration"]["alternateTargetGroupArn"] = json!("arn:tg");
        },
        "Duplicate targetGroupArn found: arn:tg",
    );
    with(
        |request| {
            request["loadBalancers"][0]["advancedConfiguration"]["productionListenerRule"] =
                json!("arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/a/1/2");
        },
        "invalid ARN format",
    );
    with(
        |request| request["loadBalancers"][0]["advancedConfiguration"]["testListenerRule"] = json!(RULE),
        "both production and test",
    );
    with(
        |request| {
            request["deploymentConfiguration"]["lifecycleHooks"] =
                json!([{"targetType": "PAUSE", "lifecycleStages": ["PRODUCTION_TRAFFIC_SHIFT"]}]);
        },
        "Invalid lifecycle stage provided for Pause Hook",
    );
}
