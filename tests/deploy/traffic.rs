//! Deployments that shift traffic: pauses, alarms, and waits that end before they do.

use ecs_local::Options;
use serde_json::{Value, json};

use crate::stage::Stage;

/// A service whose traffic can be shifted, made by hand.
struct Shifting {
    stage: Stage,
    rule: Value,
    groups: [Value; 2],
}

impl Shifting {
    async fn set() -> Self {
        // A bake of ten minutes is one second.
        let stage = Stage::set_with(Options { speed: 600.0, ..Options::default() }, "").await;
        let group = json!({"Names": ["backend-tg"]});
        let group = stage.call("elbv2", "describe_target_groups", group).await["TargetGroups"][0].clone();
        let other = json!({
            "Name": "backend-tg2", "Protocol": "HTTP", "Port": group["Port"], "VpcId": group["VpcId"], "TargetType": "ip",
        });
        let other = stage.call("elbv2", "create_target_group", other).await["TargetGroups"][0].clone();
        let groups = [&group, &other].map(|group| group["TargetGroupArn"].clone());
        let balancer = stage.call("elbv2", "describe_load_balancers", json!({})).await;
        let listeners = json!({"LoadBalancerArn": balancer["LoadBalancers"][0]["LoadBalancerArn"]});
        let listeners = stage.call("elbv2", "describe_listeners", listeners).await;
        let rules = json!({"ListenerArn": listeners["Listeners"][0]["ListenerArn"]});
        let rules = stage.call("elbv2", "describe_rules", rules).await;
        let mut rules = rules["Rules"].as_array().expect("rules").iter();
        let rule = rules.find(|rule| rule["IsDefault"] == false).expect("the backend's")["RuleArn"].clone();
        let targets = json!([
            {"TargetGroupArn": groups[0], "Weight": 1},
            {"TargetGroupArn": groups[1], "Weight": 0},
        ]);
        let actions = json!([{"Type": "forward", "ForwardConfig": {"TargetGroups": targets}}]);
        stage.call("elbv2", "modify_rule", json!({"RuleArn": rule, "Actions": actions})).await;
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs.amazonaws.com"}, "Action": "sts:AssumeRole"}],
        });
        let role = json!({"RoleName": "balancers", "AssumeRolePolicyDocument": trust.to_string()});
        let role = stage.call("iam", "create_role", role).await["Role"]["Arn"].clone();
        let mut balancers = stage.service("backend-service").await["loadBalancers"].take();
        balancers[0]["advancedConfiguration"] =
            json!({"alternateTargetGroupArn": groups[1], "productionListenerRule": rule, "roleArn": role});
        stage.ecs("update_service", "backend-service", json!({"loadBalancers": balancers})).await;
        for tag in ["2", "3"] {
            stage.push("backend-repo", tag).await;
        }
        stage.deploy("wait --service backend").await.is(0, "deployed");
        Self { stage, rule, groups }
    }

    /// Returns the weights of the first target group and of the other.
    async fn weights(&self) -> [i64; 2] {
        let rules = self.stage.call("elbv2", "describe_rules", json!({"RuleArns": [self.rule]})).await;
        let targets = rules["Rules"][0]["Actions"][0]["ForwardConfig"]["TargetGroups"].as_array().expect("two").clone();
        let of =
            |group: &Value| targets.iter().find(|target| target["TargetGroupArn"] == *group).expect("a target group");
        [&self.groups[0], &self.groups[1]].map(|group| of(group)["Weight"].as_i64().expect("a weight"))
    }

    async fn runs(&self) -> Value {
        self.stage.service("backend-service").await["taskDefinition"].take()
    }
}

#[tokio::test]
async fn a_paused_deployment_waits_for_a_person_who_continues_or_aborts_it() {
    let shifting = Shifting::set().await;
    let stage = &shifting.stage;
    let paused = stage.deploy("--image backend=:2 --strategy blue-green --bake 1m --pause-before traffic").await;
    let paused = paused.is(6, "paused");
    let arn = paused.arn("backend");
    assert!(paused.text("backend", "/reason").contains(&format!("ecs-deploy continue {arn}")), "{:#}", paused.report);
    assert_eq!(paused.text("backend", "/strategy"), "BLUE_GREEN");
    assert_eq!(shifting.weights().await, [1, 0]);

    let continued = stage.deploy(&format!("continue {arn}")).await.is(0, "deployed");
    assert_eq!(continued.arn("backend-service"), arn);
    assert_eq!(shifting.weights().await, [0, 100]);
    let second = shifting.runs().await;
    assert_eq!(paused.text("backend", "/task_definition/after"), second);
    let again = stage.deploy(&format!("continue {arn}")).await.is(1, "failed");
    assert!(again.text("backend-service", "/reason").contains("waits for nobody"), "{:#}", again.report);

    // Strategy and pause stay with the service.
    let paused = stage.deploy("--image backend=:3").await.is(6, "paused");
    let aborted = stage.deploy("abort --service backend").await.is(0, "rolled_back");
    assert_eq!(aborted.arn("backend"), paused.arn("backend"));
    assert_eq!((shifting.weights().await, shifting.runs().await), ([0, 100], second));
}

#[tokio::test]
async fn a_wait_may_end_when_the_traffic_has_moved() {
    let shifting = Shifting::set().await;
    let stage = &shifting.stage;
    let first = shifting.runs().await;
    let reached = stage.deploy("--image backend=:2 --strategy blue-green --bake 24h --until traffic-shifted").await;
    let reached = reached.is(0, "reached");
    assert_eq!(shifting.weights().await, [0, 100]);
    stage.deploy(&format!("wait --until bake {}", reached.arn("backend"))).await.is(0, "reached");
    let going = stage.deployments("backend-service").await.swap_remove(0);
    assert_eq!(
        (&going["serviceDeploymentArn"], &going["status"]),
        (&json!(reached.arn("backend")), &json!("IN_PROGRESS"))
    );

    // While it bakes, a rollback stops it.
    let back = stage.deploy("rollback --service backend").await.is(0, "rolled_back");
    assert_eq!(back.arn("backend"), reached.arn("backend"));
    assert_eq!((shifting.weights().await, shifting.runs().await), ([1, 0], first));
}

#[tokio::test]
async fn an_alarm_during_a_canary_rolls_it_back_and_is_named() {
    let shifting = Shifting::set().await;
    let stage = &shifting.stage;
    let first = shifting.runs().await;
    stage.put_alarm("backend-5xx").await;
    stage.weather(
        "[[alarm]]\nname = 'backend-5xx'\nservice = 'backend-service'\nstage = 'PRODUCTION_TRAFFIC_SHIFT'\nafter = '8m'",
    );
    let canary = "--image backend=:2 --strategy canary --percent 25 --bake 1h --alarm backend-5xx";
    let told = stage.deploy(canary).await.is(4, "rolled_back");
    assert_eq!(told.text("backend", "/diagnosis/cause"), "alarm", "{:#}", told.report);
    assert_eq!(told.of("backend")["diagnosis"]["alarms"], json!(["backend-5xx"]));
    assert!(told.text("backend", "/diagnosis/summary").contains("backend-5xx"), "{:#}", told.report);
    assert!(told.stderr.contains("25 % of the traffic goes to the new version"), "{}", told.stderr);
    assert_eq!((shifting.weights().await, shifting.runs().await), ([1, 0], first));

    // On a quiet day it comes through, with the same settings.
    stage.weather("");
    stage.deploy("--image backend=:2 --strategy canary --percent 25 --bake 5m").await.is(0, "deployed");
    assert_eq!(shifting.weights().await, [0, 100]);
    let configuration = &stage.service("backend-service").await["deploymentConfiguration"];
    assert_eq!(configuration["alarms"]["alarmNames"], json!(["backend-5xx"]), "{configuration}");
}
