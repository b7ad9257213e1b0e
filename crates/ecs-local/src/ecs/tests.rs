//! The model on a fake clock, in a world that is made up.

mod deployments;
mod misfortunes;
mod strategies;

use serde_json::{Value, json};

use super::Region;
use super::error::Stop;
use super::facts::{Fact, Facts, Question};
use super::service::{Service, Status};
use super::task::{Effect, Stage};
use crate::clock::Scale;

/// ECS in one region, with a hand on the clock.
struct World {
    region: Region,
    facts: Facts,
    now: f64,
}

impl World {
    fn at_speed(speed: f64) -> World {
        let mut facts = Facts::default();
        facts.trusting = true;
        let region = Region::new("us-east-1", Scale { epoch: 1_700_000_000.0, speed }, 7);
        let mut world = World { region, facts, now: 0.0 };
        world.ok("CreateCluster", json!({"clusterName": "c"}));
        world.register("1");
        world
    }

    /// A cluster and a service of two tasks, steady.
    fn with_service() -> World {
        let mut world = World::at_speed(60.0);
        world.ok("CreateService", service(2));
        world.pass(300.0);
        assert_eq!(world.described()["deployments"][0]["rolloutState"], "COMPLETED");
        world
    }

    fn call(&mut self, operation: &str, request: Value) -> Result<Value, String> {
        self.pass(0.0);
        match self.region.perform(operation, &request, &self.facts) {
            Ok(answer) => Ok(answer),
            Err(Stop::Refused(refusal)) => Err(format!("{}: {}", refusal.code, refusal.message)),
            Err(Stop::Ask(questions)) => panic!("asks {questions:?}"),
        }
    }

    fn ok(&mut self, operation: &str, request: Value) -> Value {
        self.call(operation, request).expect(operation)
    }

    fn refused(&mut self, operation: &str, request: Value) -> String {
        self.call(operation, request).expect_err(operation)
    }

    fn pass(&mut self, seconds: f64) {
        self.now += seconds;
        self.region.advance(self.now, &self.facts).expect("everything is known");
    }

    fn register(&mut self, image: &str) -> String {
        let request = json!({
            "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
            "containerDefinitions": [{
                "name": "web", "image": format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/web-{image}:1"),
                "portMappings": [{"containerPort": 80}],
            }],
        });
        let answer = self.ok("RegisterTaskDefinition", request);
        answer["taskDefinition"]["taskDefinitionArn"].as_str().expect("an ARN").to_owned()
    }

    /// A revision whose image nobody can pull.
    fn register_broken(&mut self) -> String {
        self.facts.insert(Question::Repository("web-broken".to_owned()), Fact::Missing);
        self.register("broken")
    }

    fn described(&mut self) -> Value {
        let request = json!({"cluster": "c", "services": ["web"], "include": ["TAGS"]});
        self.ok("DescribeServices", request)["services"][0].clone()
    }

    fn model(&self) -> &Service {
        self.region.services.iter().find(|service| service.name == "web").expect("the service")
    }

    fn says(&self, what: &str) -> bool {
        self.model().events.messages().iter().any(|message| message.contains(what))
    }

    /// How many targets were registered and deregistered.
    fn registered(&self) -> (usize, usize) {
        let count = |wanted: fn(&&Effect) -> bool| self.region.effects.iter().filter(wanted).count();
        (
            count(|effect| matches!(effect, Effect::Register { .. })),
            count(|effect| matches!(effect, Effect::Deregister { .. })),
        )
    }

    fn newest_deployment(&mut self) -> Value {
        let request = json!({"cluster": "c", "service": "web"});
        let listed = self.ok("ListServiceDeployments", request);
        let arn = listed["serviceDeployments"][0]["serviceDeploymentArn"].clone();
        let request = json!({"serviceDeploymentArns": [arn]});
        self.ok("DescribeServiceDeployments", request)["serviceDeployments"][0].clone()
    }
}

fn service(desired: i64) -> Value {
    json!({
        "cluster": "c", "serviceName": "web", "taskDefinition": "web", "desiredCount": desired, "launchType": "FARGATE",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"]}},
        "loadBalancers": [{"targetGroupArn": "arn:tg", "containerName": "web", "containerPort": 80}],
        "deploymentConfiguration": {
            "minimumHealthyPercent": 100, "maximumPercent": 200,
            "deploymentCircuitBreaker": {"enable": true, "rollback": true},
        },
        "tags": [{"key": "a", "value": "b"}],
    })
}

#[test]
fn a_new_service_becomes_steady() {
    let mut world = World::at_speed(60.0);
    let created = world.ok("CreateService", service(2));
    assert_eq!(created["service"]["deployments"][0]["rolloutState"], "IN_PROGRESS");
    assert_eq!(world.newest_deployment()["status"], "IN_PROGRESS");
    world.pass(12.0);
    assert_eq!(world.described()["pendingCount"], 2);
    world.pass(60.0);
    let described = world.described();
    assert_eq!((&described["runningCount"], &described["status"]), (&json!(2), &json!("ACTIVE")));
    assert_eq!(described["deployments"].as_array().map(Vec::len), Some(1));
    assert_eq!(described["deployments"][0]["rolloutState"], "COMPLETED");
    assert_eq!(described["tags"], json!([{"key": "a", "value": "b"}]));
    assert_eq!(world.newest_deployment()["status"], "SUCCESSFUL");
    assert_eq!(world.registered(), (2, 0));
    let messages = world.model().events.messages();
    assert_eq!(messages.first().copied(), Some("(service web) has reached a steady state."));
    assert!(messages[1].ends_with("deployment completed."));
    assert!(messages.last().is_some_and(|first| first.contains("has started 2 tasks: (task ")));
    assert!(world.says("registered 2 targets in (target-group arn:tg)"));
}

#[test]
fn where_nothing_takes_time_a_service_is_steady_at_once() {
    let mut world = World::at_speed(0.0);
    world.ok("CreateService", service(3));
    assert_eq!(world.described()["runningCount"], 3);
    assert!(world.says("steady state"));
    let broken = world.register_broken();
    world.ok("UpdateService", json!({"cluster": "c", "service": "web", "taskDefinition": broken}));
    world.pass(0.0);
    assert_eq!(world.newest_deployment()["status"], "ROLLBACK_SUCCESSFUL");
    world.ok("DeleteService", json!({"cluster": "c", "service": "web", "force": true}));
    assert_eq!(world.described()["status"], "INACTIVE");
}

#[test]
fn a_rolling_update_keeps_between_its_percents() {
    for (desired, least, most) in
        [(1, 100, 200), (2, 100, 200), (2, 50, 100), (4, 50, 150), (4, 0, 100), (10, 100, 110), (3, 66, 100)]
    {
        let mut world = World::at_speed(60.0);
        let mut request = service(desired);
        request["deploymentConfiguration"]["minimumHealthyPercent"] = json!(least);
        request["deploymentConfiguration"]["maximumPercent"] = json!(most);
        world.ok("CreateService", request);
        world.pass(300.0);
        let new = world.register("2");
        world.ok("UpdateService", json!({"cluster": "c", "service": "web", "taskDefinition": new}));
        let (lower, upper) = ((desired * least + 99) / 100, desired * most / 100);
        for second in 0..2000 {
            world.pass(1.0);
            let count = |wanted: fn(&super::task::Task) -> bool| {
                i64::try_from(world.region.tasks.iter().filter(|task| wanted(task)).count()).expect("few")
            };
            let (active, healthy) = (count(|task| task.counts()), count(|task| task.healthy));
            assert!(active <= upper, "{desired} {least}-{most}: {active} tasks after {second} s");
            assert!(healthy >= lower, "{desired} {least}-{most}: {healthy} healthy after {second} s");
        }
        let deployment = &world.described()["deployments"][0];
        assert_eq!(
            (&deployment["rolloutState"], &deployment["taskDefinition"]),
            (&json!("COMPLETED"), &json!(new)),
            "{desired} {least}-{most}"
        );
        assert_eq!(world.newest_deployment()["status"], "SUCCESSFUL");
    }
}

#[test]
fn circuit_breaker_rolls_back_to_what_worked() {
    let mut world = World::with_service();
    let good = world.described();
    let broken = world.register_broken();
    let updated = world.ok("UpdateService", json!({"cluster": "c", "service": "web", "taskDefinition": broken}));
    let failing = updated["service"]["deployments"][0]["id"].clone();
    assert_eq!(updated["service"]["deployments"].as_array().map(Vec::len), Some(2));
    world.pass(600.0);
    let described = world.described();
    let deployment = &described["deployments"][0];
    assert_eq!(deployment["taskDefinition"], good["taskDefinition"]);
    assert_ne!(deployment["id"], failing);
    assert_ne!(deployment["id"], good["deployments"][0]["id"]);
    assert_eq!((&described["taskDefinition"], &described["runningCount"]), (&good["taskDefinition"], &json!(2)));
    let ended = world.newest_deployment();
    assert_eq!(ended["status"], "ROLLBACK_SUCCESSFUL");
    assert_eq!(ended["deploymentCircuitBreaker"]["status"], "TRIGGERED");
    assert!(
        ended["deploymentCircuitBreaker"]["failureCount"].as_i64()
            >= ended["deploymentCircuitBreaker"]["threshold"].as_i64()
    );
    assert_eq!(ended["rollback"]["serviceRevisionArn"], ended["sourceServiceRevisions"][0]["arn"]);
    assert!(world.says("deployment failed: tasks failed to start."));
    assert!(world.says("rolling back to deployment ecs-svc/"));
    let stopped = world.ok("ListTasks", json!({"cluster": "c", "desiredStatus": "STOPPED"}));
    let tasks = world.ok("DescribeTasks", json!({"cluster": "c", "tasks": stopped["taskArns"]}));
    let reasons: Vec<&str> =
        tasks["tasks"].as_array().expect("tasks").iter().filter_map(|task| task["stoppedReason"].as_str()).collect();
    assert!(reasons.iter().any(|reason| reason.starts_with("CannotPullContainerError")), "{reasons:?}");
}

#[test]
fn circuit_breaker_has_nothing_to_go_back_to_at_first() {
    let mut world = World::at_speed(60.0);
    world.register_broken();
    world.ok("CreateService", service(1));
    world.pass(3600.0);
    let ended = world.newest_deployment();
    assert_eq!(
        (&ended["status"], &ended["statusReason"]),
        (&json!("ROLLBACK_FAILED"), &json!("No rollback candidate was found to run the rollback."))
    );
    let described = world.described();
    assert_eq!(described["deployments"][0]["rolloutState"], "FAILED");
    assert_eq!((&described["runningCount"], &described["pendingCount"]), (&json!(0), &json!(0)));
}

#[test]
fn without_a_breaker_failures_go_on_ever_more_slowly() {
    for speed in [0.0, 60.0] {
        let mut world = World::at_speed(speed);
        world.register_broken();
        let mut request = service(1);
        request["deploymentConfiguration"] = json!({});
        world.ok("CreateService", request);
        world.pass(600.0);
        let failed = world.described()["deployments"][0]["failedTasks"].as_i64().expect("a number");
        assert!((4..20).contains(&failed), "{failed} failures at speed {speed}");
        assert!(world.says("is unable to consistently start tasks successfully"));
    }
}

#[test]
fn a_deleted_service_drains_and_its_name_is_free_again() {
    let mut world = World::with_service();
    let named = json!({"cluster": "c", "service": "web"});
    assert!(world.refused("DeleteService", named.clone()).contains("scaled above 0"));
    assert!(world.refused("DeleteCluster", json!({"cluster": "c"})).starts_with("ClusterContainsServicesException"));
    world.ok("UpdateService", json!({"cluster": "c", "service": "web", "desiredCount": 0}));
    world.ok("DeleteService", named.clone());
    world.pass(1.0);
    assert_eq!(world.described()["status"], "DRAINING");
    assert!(world.refused("UpdateService", named.clone()).starts_with("ServiceNotActiveException"));
    assert!(world.refused("CreateService", service(1)).contains("still Draining"));
    world.pass(120.0);
    assert_eq!(world.described()["status"], "INACTIVE");
    assert_eq!(world.ok("ListServices", json!({"cluster": "c"}))["serviceArns"], json!([]));
    assert!(world.region.tasks.iter().all(|task| task.stage == Stage::Stopped));
    assert_eq!(world.registered(), (2, 2));
    world.ok("CreateService", service(1));
    world.ok("DeleteService", json!({"cluster": "c", "service": "web", "force": true}));
    world.pass(4000.0);
    let gone = world.ok("DescribeServices", json!({"cluster": "c", "services": ["web"]}));
    assert_eq!(gone["failures"][0]["reason"], "MISSING");
    world.ok("DeleteCluster", json!({"cluster": "c"}));
    let request = json!({"clusters": ["c"]});
    assert_eq!(world.ok("DescribeClusters", request)["clusters"][0]["status"], "INACTIVE");
    world.ok("CreateCluster", json!({"clusterName": "c"}));
}

#[test]
fn a_client_token_makes_a_create_repeatable() {
    let mut world = World::at_speed(60.0);
    let mut request = service(1);
    request["clientToken"] = json!("t");
    let first = world.ok("CreateService", request.clone());
    let second = world.ok("CreateService", request.clone());
    assert_eq!(first["service"]["serviceArn"], second["service"]["serviceArn"]);
    assert_eq!(second["service"]["deployments"].as_array().map(Vec::len), Some(1));
    request["desiredCount"] = json!(2);
    assert!(world.refused("CreateService", request).contains("not idempotent"));
    assert!(world.refused("CreateService", service(1)).contains("not idempotent"));
}

#[test]
fn a_service_is_refused_what_aws_refuses() {
    let mut world = World::at_speed(60.0);
    let mut with = |path: &str, value: Value| {
        let mut request = service(1);
        *request.pointer_mut(path).expect(path) = value;
        world.refused("CreateService", request)
    };
    assert!(with("/cluster", json!("none")).starts_with("ClusterNotFoundException"));
    assert!(with("/taskDefinition", json!("none")).starts_with("ClientException: TaskDefinition not found."));
    assert!(with("/networkConfiguration", Value::Null).contains("Network Configuration must be provided"));
    assert!(with("/loadBalancers/0/containerName", json!("db")).contains("container db does not exist"));
    assert!(with("/loadBalancers/0/containerPort", json!(81)).contains("did not have a container port 81"));
    world.facts.insert(
        Question::TargetGroup("arn:tg".into()),
        Fact::TargetGroup { attached: false, deregistration_delay: 0.0 },
    );
    assert!(world.refused("CreateService", service(1)).contains("does not have an associated load balancer"));
    world.facts.insert(Question::SecurityGroup("sg-1".into()), Fact::Missing);
    assert!(world.refused("CreateService", service(1)).contains("InvalidGroup.NotFound"));
}

#[test]
fn a_changed_count_scales_without_a_deployment() {
    let mut world = World::with_service();
    let before = world.described()["deployments"][0]["id"].clone();
    world.ok("UpdateService", json!({"cluster": "c", "service": "web", "desiredCount": 4}));
    world.pass(100.0);
    let after = world.described();
    assert_eq!((&after["deployments"][0]["id"], &after["runningCount"]), (&before, &json!(4)));
    world.ok("UpdateService", json!({"cluster": "c", "service": "web", "desiredCount": 1}));
    world.pass(100.0);
    assert_eq!(world.described()["runningCount"], 1);
    world.ok("UpdateService", json!({"cluster": "c", "service": "web", "forceNewDeployment": true}));
    world.pass(100.0);
    assert_ne!(world.described()["deployments"][0]["id"], before);
}

#[test]
fn a_stopped_task_is_replaced_and_then_forgotten() {
    let mut world = World::with_service();
    let task = world.ok("ListTasks", json!({"cluster": "c", "serviceName": "web"}))["taskArns"][0].clone();
    world.ok("StopTask", json!({"cluster": "c", "task": task, "reason": "test"}));
    world.pass(120.0);
    let described = world.described();
    assert_eq!(described["runningCount"], 2);
    let request = json!({"cluster": "c", "tasks": [task]});
    let stopped = &world.ok("DescribeTasks", request.clone())["tasks"][0];
    assert_eq!(
        (&stopped["lastStatus"], &stopped["stopCode"], &stopped["stoppedReason"]),
        (&json!("STOPPED"), &json!("UserInitiated"), &json!("test"))
    );
    assert_eq!(stopped["containers"][0]["exitCode"], 0);
    world.pass(3700.0);
    assert_eq!(world.ok("DescribeTasks", request)["failures"][0]["reason"], "MISSING");
}

#[test]
fn revisions_are_never_numbered_twice() {
    let mut world = World::at_speed(60.0);
    let first =
        world.ok("DescribeTaskDefinition", json!({"taskDefinition": "web"}))["taskDefinition"]["taskDefinitionArn"]
            .clone();
    assert_eq!(first, "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1");
    world.ok("DeregisterTaskDefinition", json!({"taskDefinition": first}));
    assert_eq!(
        world.refused("DescribeTaskDefinition", json!({"taskDefinition": "web"})),
        "ClientException: Unable to describe task definition."
    );
    world.ok("DeleteTaskDefinitions", json!({"taskDefinitions": [first]}));
    assert!(world.register("2").ends_with("web:2"));
}

#[test]
fn deleting_is_final_once() {
    let mut world = World::with_service();
    world.ok("DeleteService", json!({"cluster": "c", "service": "web", "force": true}));
    assert_eq!(world.model().status, Status::Draining);
    world.ok("DeleteService", json!({"cluster": "c", "service": "web", "force": true}));
    world.pass(120.0);
    assert!(
        world
            .refused("DeleteService", json!({"cluster": "c", "service": "web"}))
            .starts_with("ServiceNotActiveException")
    );
}
