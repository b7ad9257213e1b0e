//! What a tool that deploys sees of services, deployments, revisions and tasks, on a fake clock.

use serde_json::{Value, json};

use super::{World, service};
use crate::ecs::facts::{Fact, Question};
use crate::weather::{Happening, Misfortune, Weather};

impl World {
    fn update_service(&mut self, more: Value) -> Value {
        let mut request = json!({"cluster": "c", "service": "web"});
        for (name, value) in more.as_object().into_iter().flatten() {
            request[name] = value.clone();
        }
        self.ok("UpdateService", request)["service"].clone()
    }

    fn service_deployment(&mut self, arn: &Value) -> Value {
        self.ok("DescribeServiceDeployments", json!({"serviceDeploymentArns": [arn]}))
    }

    fn newest_arn(&mut self) -> Value {
        self.newest_deployment()["serviceDeploymentArn"].clone()
    }

    /// What ListTasks finds, described.
    fn tasks(&mut self, filter: Value) -> Vec<Value> {
        let mut request = json!({"cluster": "c"});
        for (name, value) in filter.as_object().into_iter().flatten() {
            request[name] = value.clone();
        }
        let arns = self.ok("ListTasks", request)["taskArns"].clone();
        if arns.as_array().is_none_or(Vec::is_empty) {
            return Vec::new();
        }
        let tasks = self.ok("DescribeTasks", json!({"cluster": "c", "tasks": arns}))["tasks"].take();
        tasks.as_array().cloned().unwrap_or_default()
    }

    /// The digest of the image that the newest deployment's revision has.
    fn resolved(&mut self) -> Value {
        let revision = self.newest_deployment()["targetServiceRevision"]["arn"].clone();
        let answer = self.ok("DescribeServiceRevisions", json!({"serviceRevisionArns": [revision]}));
        answer["serviceRevisions"][0]["containerImages"][0]["imageDigest"].clone()
    }
}

#[test]
fn all_tasks_of_a_deployment_run_what_the_first_pulled() {
    let mut world = World::at_speed(60.0);
    let push = |world: &mut World, digest: &str| {
        let image = Question::Image("web-1:1".to_owned());
        world.facts.insert(image, Fact::Image { digest: digest.to_owned() });
    };
    push(&mut world, "sha256:0a");
    world.ok("CreateService", service(1));
    assert_eq!(world.resolved(), Value::Null);
    world.pass(300.0);
    assert_eq!(world.resolved(), "sha256:0a");
    // The tag moves on, and tasks that come later stay with what the deployment has.
    push(&mut world, "sha256:0b");
    world.update_service(json!({"desiredCount": 2}));
    world.pass(300.0);
    let digests = |world: &mut World| -> Vec<Value> {
        let tasks = world.tasks(json!({"serviceName": "web"}));
        tasks.iter().map(|task| task["containers"][0]["imageDigest"].clone()).collect()
    };
    assert_eq!(digests(&mut world), ["sha256:0a", "sha256:0a"]);
    let before = world.newest_arn();
    world.update_service(json!({"forceNewDeployment": true}));
    assert_ne!(world.newest_arn(), before);
    world.pass(300.0);
    assert_eq!(world.newest_deployment()["status"], "SUCCESSFUL");
    assert_eq!((world.resolved(), digests(&mut world)), (json!("sha256:0b"), vec![json!("sha256:0b"); 2]));
}

#[test]
fn what_triggers_no_deployment_triggers_none() {
    let mut world = World::with_service();
    let before = world.newest_arn();
    let pause = json!([{"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}]);
    let shown = world.update_service(json!({"deploymentConfiguration": {"lifecycleHooks": pause}}));
    assert_eq!(shown["deploymentConfiguration"]["lifecycleHooks"], pause);
    let shown = world.update_service(json!({"deploymentConfiguration": {"lifecycleHooks": []}}));
    assert_eq!(shown["deploymentConfiguration"]["lifecycleHooks"], json!([]));
    // What is not said stays.
    assert_eq!(shown["deploymentConfiguration"]["deploymentCircuitBreaker"]["enable"], true);
    world.update_service(json!({"desiredCount": 3}));
    assert_eq!(world.newest_arn(), before);
    // Neither does the definition that it has already.
    world.update_service(json!({"taskDefinition": "web:1"}));
    assert_eq!(world.newest_arn(), before);
}

#[test]
fn a_deployment_that_is_replaced_is_stopped_and_says_why() {
    let mut world = World::with_service();
    world.register("2");
    world.update_service(json!({"taskDefinition": "web:2"}));
    world.pass(20.0);
    let first = world.newest_arn();
    world.register("3");
    world.update_service(json!({"taskDefinition": "web:3"}));
    let stopped = world.service_deployment(&first)["serviceDeployments"][0].clone();
    assert_eq!(stopped["status"], "STOPPED");
    assert!(stopped["statusReason"].is_string() && stopped["stoppedAt"].is_number(), "{stopped}");
    assert_eq!(stopped.get("rollback"), None);
    let second = world.newest_deployment();
    assert_eq!(second["sourceServiceRevisions"].as_array().map(Vec::len), Some(2));
    world.pass(300.0);
    assert_eq!(world.newest_deployment()["status"], "SUCCESSFUL");
    assert_eq!(world.described()["deployments"].as_array().map(Vec::len), Some(1));
    let refusal = world.refused("StopServiceDeployment", json!({"serviceDeploymentArn": first}));
    assert!(refusal.starts_with("ConflictException"), "{refusal}");
}

#[test]
fn a_first_deployment_that_is_stopped_has_nothing_to_go_back_to() {
    let mut world = World::at_speed(60.0);
    world.ok("CreateService", service(2));
    world.pass(5.0);
    let arn = world.newest_arn();
    world.ok("StopServiceDeployment", json!({"serviceDeploymentArn": arn, "stopType": "ROLLBACK"}));
    assert_eq!(world.newest_deployment()["status"], "ROLLBACK_REQUESTED");
    world.pass(60.0);
    let ended = world.newest_deployment();
    assert_eq!(ended["status"], "ROLLBACK_FAILED");
    assert!(ended["statusReason"].as_str().is_some_and(|why| why.contains("No rollback candidate")), "{ended}");
}

#[test]
fn a_service_that_is_deleted_midway_leaves_a_stopped_deployment() {
    let mut world = World::with_service();
    world.register("2");
    world.update_service(json!({"taskDefinition": "web:2"}));
    world.pass(20.0);
    let arn = world.newest_arn();
    world.ok("DeleteService", json!({"cluster": "c", "service": "web", "force": true}));
    assert_eq!(world.described()["status"], "DRAINING");
    let shown = world.service_deployment(&arn);
    assert_eq!(shown["serviceDeployments"][0]["status"], "STOPPED");
    let refusal = world.refused("UpdateService", json!({"cluster": "c", "service": "web", "desiredCount": 1}));
    assert!(refusal.starts_with("ServiceNotActiveException"), "{refusal}");
    world.pass(300.0);
    assert_eq!(world.described()["status"], "INACTIVE");
    assert_eq!(world.service_deployment(&arn)["serviceDeployments"][0]["status"], "STOPPED");
    // After an hour nothing is known of it.
    world.pass(4000.0);
    let gone = json!({"serviceDeployments": [], "failures": [{"arn": arn, "reason": "MISSING"}]});
    assert_eq!(world.service_deployment(&arn), gone);
}

#[test]
fn the_evidence_of_a_failed_deployment_stays_for_an_hour() {
    let mut world = World::with_service();
    world.register("2");
    let mut misfortune = Misfortune::new("web", Happening::Exits);
    (misfortune.image, misfortune.exit_code) = (Some("*/web-2:1".to_owned()), Some(7));
    world.region.weather = Weather { misfortunes: vec![misfortune], ..Weather::default() }.into();
    world.update_service(json!({"taskDefinition": "web:2"}));
    let id = world.described()["deployments"][0]["id"].clone();
    world.pass(400.0);
    let ended = world.newest_deployment();
    assert_eq!(ended["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(ended["deploymentCircuitBreaker"], json!({"status": "TRIGGERED", "failureCount": 3, "threshold": 3}));
    assert!(ended["rollback"]["reason"].is_string() && ended["rollback"]["serviceRevisionArn"].is_string());
    let failed = |world: &mut World| -> Vec<Value> {
        let mut tasks = world.tasks(json!({"serviceName": "web", "desiredStatus": "STOPPED"}));
        tasks.retain(|task| task["startedBy"] == id);
        tasks
    };
    let tasks = failed(&mut world);
    assert!(tasks.len() >= 3, "{tasks:?}");
    assert_eq!(world.tasks(json!({"startedBy": id, "desiredStatus": "STOPPED"})).len(), tasks.len());
    for task in tasks {
        assert_eq!(task["stopCode"], "EssentialContainerExited");
        assert_eq!(task["stoppedReason"], "Essential container in task exited");
        let container = &task["containers"][0];
        assert_eq!((&container["exitCode"], &container["lastStatus"]), (&json!(7), &json!("STOPPED")));
        assert!(container["imageDigest"].is_string() && container["image"].is_string(), "{container}");
    }
    world.pass(4000.0);
    assert!(failed(&mut world).is_empty());
}

#[test]
fn the_circuit_breaker_falls_at_its_threshold() {
    for (configured, threshold) in [
        (json!({"type": "COUNT", "value": 1}), 1),
        (json!({"type": "UNBOUNDED_PERCENT", "value": 50}), 2),
        (json!({"type": "BOUNDED_PERCENT", "value": 100}), 4),
        (json!({"type": "BOUNDED_PERCENT", "value": 50}), 3),
        (Value::Null, 3),
    ] {
        let mut world = World::at_speed(60.0);
        let mut request = service(4);
        request["deploymentConfiguration"]["deploymentCircuitBreaker"]["thresholdConfiguration"] = configured;
        world.ok("CreateService", request);
        assert_eq!(world.newest_deployment()["deploymentCircuitBreaker"]["threshold"], threshold);
    }
}

#[test]
fn a_misfortune_finds_a_one_off_task_by_its_image() {
    let mut world = World::at_speed(60.0);
    let pinned = "123456789012.dkr.ecr.us-east-1.amazonaws.com/web@sha256:0b";
    let register = |world: &mut World, family: &str, image: &str| {
        let container = json!({"name": "job", "image": image});
        let request = json!({
            "family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
            "memory": "512", "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
            "containerDefinitions": [container],
        });
        world.ok("RegisterTaskDefinition", request);
    };
    register(&mut world, "pinned", pinned);
    register(&mut world, "tagged", "nginx:2");
    register(&mut world, "other", "nginx:1");
    let misfortune = |image: &str, code| {
        let mut misfortune = Misfortune::new("*", Happening::Exits);
        (misfortune.image, misfortune.exit_code) = (Some(image.to_owned()), Some(code));
        misfortune
    };
    let misfortunes = vec![misfortune("*@sha256:0b", 4), misfortune("*:2", 5)];
    world.region.weather = Weather { misfortunes, ..Weather::default() }.into();
    let run = |world: &mut World, family: &str| {
        let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}});
        let overrides = json!({"containerOverrides": [{
            "name": "job", "command": ["migrate"], "environment": [{"name": "A", "value": "b"}],
        }]});
        let request = json!({
            "cluster": "c", "taskDefinition": family, "launchType": "FARGATE", "networkConfiguration": network,
            "overrides": overrides, "count": 2,
        });
        let started = world.ok("RunTask", request)["tasks"].clone();
        assert_eq!(started.as_array().map(Vec::len), Some(2));
        assert_eq!(started[0]["overrides"]["containerOverrides"], overrides["containerOverrides"]);
        world.pass(120.0);
        let request = json!({"cluster": "c", "tasks": [started[1]["taskArn"]]});
        let task = world.ok("DescribeTasks", request)["tasks"][0].clone();
        assert_eq!(task["overrides"]["containerOverrides"], overrides["containerOverrides"]);
        task["containers"][0]["exitCode"].clone()
    };
    assert_eq!(["pinned", "tagged", "other"].map(|family| run(&mut world, family)), [4, 5, 0].map(|code| json!(code)));
}
