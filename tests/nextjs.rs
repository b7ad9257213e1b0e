//! The stack of one public web service that is delivered by canary: every value of it, as AWS has it.

use ecs_pipe_tests::{BACKWARDS, Cloud, TOOLS};
use serde_json::{Value, json};

const NEXTJS: &str = "--stack tests/stacks/nextjs.toml";

/// Returns the item of a list in an inventory that has a member.
fn item<'i>(inventory: &'i Value, list: &str, member: &str, value: &str) -> &'i Value {
    let items = inventory[list].as_array().unwrap_or_else(|| panic!("{list}"));
    items.iter().find(|item| item[member] == value).unwrap_or_else(|| panic!("no {value} in {list}"))
}

/// Returns a group's rules as `protocol first-last peer`, in order.
fn rules(group: &Value, direction: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let rule =
        |rule: &Value| format!("{} {}-{} {}", text(&rule["protocol"]), rule["from"], rule["to"], text(&rule["peer"]));
    group[direction].as_array().expect("rules").iter().map(rule).collect()
}

fn count(inventory: &Value, list: &str) -> usize {
    inventory[list].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn the_whole_stack_is_as_its_owners_had_it() {
    let cloud = Cloud::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("service.latest.json");
    let between = TOOLS[1..6].iter().map(|tool| format!("{tool} | ")).collect::<String>();
    let line = format!("ecs-net {NEXTJS} < /dev/null | {between}ecs-svc --write-task-definition {}", file.display());
    let made = cloud.shell(&line).await.ok().json();
    assert!(made["alb"]["url"].as_str().is_some_and(|url| url.starts_with("http://alb-node-app-prod-")), "{made}");

    let inventory = cloud.inventory().await;
    network(&inventory);
    security_groups(&inventory);
    roles(&inventory);
    service(&inventory);
    canary(&inventory);

    let written: Value = serde_json::from_str(&std::fs::read_to_string(&file).expect("a file")).expect("JSON");
    assert_eq!(written["family"], "task-definition-node");
    assert_eq!(written["containerDefinitions"][0]["name"], "nextjs-image");

    cloud.take_calls();
    cloud.pipe(&TOOLS, "", NEXTJS).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0]);
    let plan = cloud.pipe(&TOOLS, "plan --exit-code", NEXTJS).await;
    assert_eq!((plan.code, cloud.take_writes()), (0, Vec::new()), "{}", plan.stderr);

    cloud.pipe(&BACKWARDS, "destroy", NEXTJS).await.ok();
    cloud.assert_nothing_left("--stack node-app-prod").await;
}

fn network(inventory: &Value) {
    let [vpc] = inventory["vpcs"].as_array().expect("VPCs").as_slice() else { panic!("one VPC") };
    assert_eq!((&vpc["CidrBlock"], &vpc["tags"]["Name"]), (&json!("10.0.0.0/16"), &json!("node-app-prod-vpc")));
    let mut subnets: Vec<String> = Vec::new();
    for tier in ["database", "private", "public"] {
        for zone in ["a", "b"] {
            subnets.push(format!("node-app-prod-{tier}-us-east-1{zone}"));
        }
    }
    assert_eq!(count(inventory, "subnets"), 6);
    for (number, name) in [(5, &subnets[0]), (3, &subnets[2]), (1, &subnets[4])] {
        let subnets = inventory["subnets"].as_array().expect("subnets");
        let subnet = subnets.iter().find(|subnet| subnet["tags"]["Name"] == name.as_str()).expect("a subnet");
        assert_eq!(subnet["CidrBlock"], format!("10.0.{number}.0/24"));
    }
    assert_eq!((count(inventory, "nat_gateways"), count(inventory, "elastic_ips")), (1, 1));
    for (table, way) in [
        ("private-us-east-1a", json!("node-app-prod-nat-us-east-1a")),
        ("private-us-east-1b", json!("node-app-prod-nat-us-east-1a")),
        ("database-us-east-1a", Value::Null),
    ] {
        let tables = inventory["route_tables"].as_array().expect("tables");
        let name = format!("node-app-prod-{table}");
        let found = tables.iter().find(|one| one["tags"]["Name"] == name.as_str()).expect("a table");
        assert_eq!(found["routes"]["0.0.0.0/0"], way, "{table}");
    }
    let acls = inventory["network_acls"].as_array().expect("ACLs");
    let acl = acls.iter().find(|acl| acl["tags"]["ecs-pipe:stack"] == "node-app-prod").expect("an ACL");
    assert_eq!(acl["subnets"], json!(subnets));
    // Four rules in each direction, and AWS's own that denies all else.
    assert_eq!(acl["entries"].as_array().map(Vec::len), Some(10), "{acl}");
    for ports in ["22", "80", "443", "1024"] {
        assert_eq!(acl["entries"].to_string().matches(&format!("From\\\": {ports},")).count(), 2, "{ports}: {acl}");
    }
}

fn security_groups(inventory: &Value) {
    let [alb, tasks] = ["alb-sg-node-app-prod", "tasks-sg-node-app-prod"]
        .map(|name| item(inventory, "security_groups", "GroupName", name));
    assert_eq!(rules(alb, "in"), ["tcp 80-80 0.0.0.0/0"]);
    assert_eq!(rules(alb, "out"), ["tcp 3000-3000 10.0.3.0/24", "tcp 3000-3000 10.0.4.0/24"]);
    assert_eq!(rules(tasks, "in"), ["tcp 3000-3000 alb-sg-node-app-prod"]);
    assert_eq!(tasks["in"][0]["description"], "Allow port 3000 from ALB");
    assert_eq!(rules(tasks, "out"), ["-1 -1--1 0.0.0.0/0"]);
}

fn roles(inventory: &Value) {
    let mut names: Vec<&str> = inventory["roles"]
        .as_array()
        .expect("roles")
        .iter()
        .filter(|role| role["tags"]["ecs-pipe:stack"] == "node-app-prod")
        .filter_map(|role| role["RoleName"].as_str())
        .collect();
    names.sort_unstable();
    let expected = ["execution-role", "github", "infrastructure-role", "task-role"];
    assert_eq!(names, expected.map(|name| format!("{name}-node-app-prod")));
    let role = |name: &str| item(inventory, "roles", "RoleName", &format!("{name}-node-app-prod"));
    let execution = role("execution-role")["inline"].to_string();
    assert!(execution.contains("secretsmanager:GetSecretValue"), "{execution}");
    assert!(role("task-role")["inline"].to_string().contains("arn:aws:s3:::node-app-prod-assets/*"));
    let github = role("github");
    let subject = "repo:example/node-app:ref:refs/heads/main";
    let key = "token.actions.githubusercontent.com:sub";
    assert_eq!(github["trust"][0]["Condition"]["StringEquals"][key], subject);
    let rights = github["inline"]["Deploy"].to_string();
    for right in [
        "repository/node-app-prod",
        "ecs:RegisterTaskDefinition",
        "service/web-cluster-node-app-prod/web-service-node-app-prod",
        "role/execution-role-node-app-prod",
        "role/task-role-node-app-prod",
    ] {
        assert!(rights.contains(right), "{right}: {rights}");
    }
    assert_eq!(item(inventory, "repositories", "repositoryName", "node-app-prod")["tags"]["ecs-pipe:layer"], "ecr");
}

fn service(inventory: &Value) {
    let balancer = item(inventory, "load_balancers", "LoadBalancerName", "alb-node-app-prod");
    assert_eq!((&balancer["Scheme"], &balancer["Type"]), (&json!("internet-facing"), &json!("application")));
    assert_eq!(balancer["subnets"], json!(["node-app-prod-public-us-east-1a", "node-app-prod-public-us-east-1b"]));
    let [listener] = inventory["listeners"].as_array().expect("listeners").as_slice() else { panic!("one listener") };
    assert_eq!((&listener["Port"], &listener["Protocol"]), (&json!(80), &json!("HTTP")));
    let group = item(inventory, "target_groups", "TargetGroupName", "tg-node-app-prod");
    assert_eq!((&group["Port"], &group["TargetType"]), (&json!(3000), &json!("ip")));

    let cluster = item(inventory, "clusters", "clusterName", "web-cluster-node-app-prod");
    assert_eq!(cluster["settings"]["containerInsights"], "enabled");
    let logs = item(inventory, "log_groups", "logGroupName", "/aws/ecs/node-app-prod");
    assert_eq!(logs["retentionInDays"], 1);

    let definition = item(inventory, "task_definitions", "family", "task-definition-node");
    assert_eq!((&definition["cpu"], &definition["memory"]), (&json!("512"), &json!("1024")));
    assert_eq!(definition["execution_role"], "execution-role-node-app-prod");
    assert_eq!(definition["task_role"], "task-role-node-app-prod");
    let [container] = definition["containers"].as_array().expect("containers").as_slice() else {
        panic!("{definition}")
    };
    assert_eq!((&container["name"], &container["image"]), (&json!("nextjs-image"), &json!("nginx:latest")));
    assert_eq!(container["memoryReservation"], 512);
    assert_eq!(container["environment"], json!({"PORT": "3000"}));
    assert_eq!(container["portMappings"][0]["containerPort"], 3000);
    assert!(container["log"].to_string().contains("/aws/ecs/node-app-prod"), "{container}");

    let service = item(inventory, "services", "serviceName", "web-service-node-app-prod");
    assert_eq!(service["desiredCount"], 2);
    assert_eq!(service["subnets"], json!(["node-app-prod-private-us-east-1a", "node-app-prod-private-us-east-1b"]));
    assert_eq!(service["security_groups"], json!(["tasks-sg-node-app-prod"]));
    assert_eq!(service["public_ip"], "DISABLED");
}

/// How a canary goes, and how an alarm rolls it back, is shown with the same values by tests/strategies.rs.
fn canary(inventory: &Value) {
    let service = item(inventory, "services", "serviceName", "web-service-node-app-prod");
    let deployment = &service["deploymentConfiguration"];
    assert_eq!(deployment["strategy"], "CANARY");
    let shares = json!({"canaryPercent": 25.0, "canaryBakeTimeInMinutes": 10});
    assert_eq!(deployment["canaryConfiguration"], shares);
    let names = ["5xx", "unhealthy-hosts"].map(|name| format!("web-service-node-app-prod-{name}"));
    assert_eq!(deployment["alarms"], json!({"alarmNames": names, "enable": true, "rollback": true}));
    for (name, threshold) in names.iter().zip([10.0, 1.0]) {
        let alarm = item(inventory, "alarms", "AlarmName", name);
        assert_eq!((&alarm["Threshold"], &alarm["EvaluationPeriods"]), (&json!(threshold), &json!(2)), "{name}");
    }
    let wiring = "tg-node-app-prod and tg-node-app-prod-alt by rule 50000 as infrastructure-role-node-app-prod → nextjs-image:3000";
    assert_eq!(service["load_balancers"], json!([wiring]));
}
