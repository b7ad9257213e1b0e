//! What befalls tasks, on a fake clock.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{World, service};
use crate::ecs::facts::{Fact, Question};
use crate::weather::{Happening, Misfortune, Weather};

impl World {
    fn befall(&mut self, misfortune: Misfortune) {
        let weather = Weather { misfortunes: vec![misfortune], ..Weather::default() };
        self.region.weather = Arc::new(weather);
    }

    /// Registers a revision of `web` whose container has a health check: three tries, 10 s apart.
    fn register_checked(&mut self) {
        let check = json!({"command": ["CMD", "true"], "interval": 10});
        let container =
            json!({"name": "web", "image": "nginx", "portMappings": [{"containerPort": 80}], "healthCheck": check});
        let request = json!({
            "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "containerDefinitions": [container],
        });
        self.ok("RegisterTaskDefinition", request);
    }

    /// Runs a one-off task; returns its ARN.
    fn run(&mut self) -> Value {
        let network = json!({"awsvpcConfiguration": {"subnets": ["subnet-1"]}});
        let request =
            json!({"cluster": "c", "taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network});
        self.ok("RunTask", request)["tasks"][0]["taskArn"].clone()
    }

    fn task(&mut self, arn: &Value) -> Value {
        self.ok("DescribeTasks", json!({"cluster": "c", "tasks": [arn]}))["tasks"][0].clone()
    }
}

#[test]
fn a_one_off_task_passes_every_stage() {
    let mut world = World::at_speed(60.0);
    let arn = world.run();
    let mut stages = Vec::new();
    for _ in 0..100 {
        let stage = world.task(&arn)["lastStatus"].clone();
        if stages.last() != Some(&stage) {
            stages.push(stage);
        }
        world.pass(1.0);
    }
    assert_eq!(stages, ["PROVISIONING", "PENDING", "RUNNING", "STOPPING", "DEPROVISIONING", "STOPPED"]);
    assert_eq!(world.task(&arn)["containers"][0]["exitCode"], 0);
}

#[test]
fn an_unhealthy_container_ends_a_task_of_a_service_only() {
    let mut world = World::at_speed(60.0);
    world.register_checked();
    let healthy = world.run();
    world.pass(40.0);
    assert_eq!(world.task(&healthy)["healthStatus"], "HEALTHY");
    world.befall(Misfortune::new("web", Happening::UnhealthyContainer));
    let unhealthy = world.run();
    world.pass(120.0);
    let task = world.task(&unhealthy);
    assert_eq!((&task["healthStatus"], &task["lastStatus"]), (&json!("UNHEALTHY"), &json!("RUNNING")));
    world.ok("CreateService", service(1));
    world.pass(90.0);
    assert!(world.says("failed container health checks."));
    assert!(world.described()["deployments"][0]["failedTasks"].as_i64() > Some(0));
}

#[test]
fn a_task_that_was_healthy_and_exits_is_replaced_and_no_failure() {
    for speed in [60.0, 0.0] {
        let mut world = World::at_speed(speed);
        let mut crash = Misfortune::new("web", Happening::Exits);
        (crash.after, crash.times) = (Some(Duration::from_secs(300)), Some(1));
        world.befall(crash);
        world.ok("CreateService", service(1));
        world.pass(250.0);
        assert_eq!(world.described()["runningCount"], 1, "at speed {speed}");
        world.pass(250.0);
        let described = world.described();
        assert_eq!(
            (&described["runningCount"], &described["deployments"][0]["rolloutState"]),
            (&json!(1), &json!("COMPLETED"))
        );
        let stopped = world.ok("ListTasks", json!({"cluster": "c", "desiredStatus": "STOPPED"}));
        assert_eq!(stopped["taskArns"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn a_task_that_always_exits_has_an_end_where_nothing_takes_time() {
    for happens in [Happening::Exits, Happening::OutOfMemory, Happening::NoCapacity, Happening::UnhealthyTarget] {
        for balanced in [true, false] {
            let mut world = World::at_speed(0.0);
            world.befall(Misfortune::new("web", happens));
            let mut request = service(2);
            request["deploymentConfiguration"] = json!({});
            if !balanced {
                request["loadBalancers"] = json!([]);
            }
            world.ok("CreateService", request);
            world.pass(30.0);
            let failed = world.described()["deployments"][0]["failedTasks"].as_i64().unwrap_or(0);
            let harmless = happens == Happening::UnhealthyTarget && !balanced;
            assert!(if harmless { failed == 0 } else { (3..20).contains(&failed) }, "{happens:?}: {failed}");
        }
    }
}

#[test]
fn an_image_must_be_there_where_others_are_or_the_weather_is_strict() {
    let mut world = World::at_speed(0.0);
    let image = Question::Image("web-1:1".to_owned());
    for (fact, strict, starts) in [
        (Fact::Found, true, true),
        (Fact::Empty, false, true),
        (Fact::Empty, true, false),
        (Fact::Missing, false, false),
    ] {
        world.facts.insert(image.clone(), fact.clone());
        world.region.weather = Arc::new(Weather { strict_images: strict, ..Weather::default() });
        let arn = world.run();
        let failed = world.task(&arn)["stopCode"] == "TaskFailedToStart";
        assert_eq!(failed, !starts, "{fact:?}, strict: {strict}");
    }
}
