//! Availability zones: by name or by number, more of them and fewer.

use ecs_pipe_tests::Cloud;
use serde_json::Value;

use crate::{TUTORIAL, assert_gone, assert_settled, count, made_new, overlay, pipe, prune};

const TWO: &str = "[net]\nzones = 2\n";
const THREE: &str = "[net]\nzones = [\"a\", \"b\", \"c\"]\n";

/// Returns the zones of the subnets.
fn zones(inventory: &Value) -> Vec<String> {
    let subnets = inventory["subnets"].as_array().into_iter().flatten();
    let mut zones: Vec<String> = subnets.map(|subnet| subnet["AvailabilityZone"].to_string()).collect();
    zones.sort_unstable();
    zones.dedup();
    zones.iter().map(|zone| zone.trim_matches('"').trim_start_matches("us-east-1").to_owned()).collect()
}

#[tokio::test]
async fn a_number_of_zones_is_that_of_the_first_by_name_and_a_later_run_keeps_those_that_there_are() {
    let named = made_new("").await;
    let cloud = Cloud::start().await;
    pipe(&cloud, "", TWO).await.ok();
    cloud.assert_is(&named, "two zones").await;
    assert_settled(&cloud, TWO).await;
    assert_gone(&cloud, TWO).await;

    pipe(&cloud, "", "[net]\nzones = [\"c\", \"b\"]\n").await.ok();
    assert_settled(&cloud, TWO).await;
    assert_eq!(zones(&cloud.inventory().await), ["b", "c"]);
    pipe(&cloud, "", "[net]\nzones = 3\n").await.ok();
    assert_eq!(zones(&cloud.inventory().await), ["a", "b", "c"]);
    let many = pipe(&cloud, "", "[net]\nzones = 9\n").await;
    assert_ne!(many.code, 0);
    assert!(many.stderr.contains("9 availability zones are asked for, and this account has"), "{}", many.stderr);
    // A destroy finds what is in zones that the file no longer names.
    assert_gone(&cloud, TWO).await;
}

#[tokio::test]
async fn a_zone_comes_to_a_living_network_and_goes_when_it_is_told_to() {
    let three = format!("{THREE}interface_endpoints = [\"logs\"]\ngateway_endpoints = [\"s3\"]\n");
    let two = three.replace(", \"c\"", "");
    let (new_two, new_three) = (made_new(&two).await, made_new(&three).await);
    let cloud = Cloud::start().await;
    let before = pipe(&cloud, "", &two).await.ok().json();
    cloud.take_calls();
    let after = pipe(&cloud, "", &three).await.ok().json();
    for call in cloud.take_writes() {
        assert!(
            call.starts_with("ec2:Create") || call.starts_with("ec2:A") || call == "ec2:ModifyVpcEndpoint",
            "{call}"
        );
    }
    for list in ["public_subnet_ids", "private_subnet_ids", "private_route_table_ids"] {
        let (before, after) = (before["net"][list].as_array(), after["net"][list].as_array());
        assert_eq!(before.map(Vec::as_slice), after.and_then(|after| after.get(..2)), "{list}");
    }
    cloud.assert_is(&new_three, "with a third zone").await;
    assert_settled(&cloud, &three).await;

    let plan = pipe(&cloud, "plan", &two).await.ok();
    for what in ["NAT gateway", "elastic IP", "route table", "subnet"] {
        let line = format!("{what} ecs-production-");
        let lines = plan.stderr.lines().filter(|one| one.contains("is no longer needed") && one.contains(&line));
        assert_eq!(lines.count(), if what == "subnet" { 2 } else { 1 }, "{what}: {}", plan.stderr);
    }
    // Both endpoints are in the zone too.
    assert_eq!(plan.stderr.matches("VPC endpoint ecs-production-").count(), 2, "{}", plan.stderr);
    assert!(!plan.stderr.contains("somebody else"), "{}", plan.stderr);
    cloud.take_calls();
    pipe(&cloud, "", &two).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0], "what goes stays until it is told to");
    prune(&cloud, &two).await.ok();
    cloud.assert_is(&new_two, "without the third zone").await;
    assert_settled(&cloud, &two).await;
    let same = pipe(&cloud, "", &two).await.ok().json();
    for key in ["vpc_id", "public_subnet_ids", "private_subnet_ids", "private_route_table_ids"] {
        assert_eq!(same["net"][key], before["net"][key], "what stays keeps its ids");
    }
    assert_gone(&cloud, &two).await;
}

/// Returns the subnets of the load balancer and of the services, which are the same number everywhere.
fn spread(inventory: &Value) -> Vec<usize> {
    let mut found: Vec<usize> =
        inventory["load_balancers"].as_array().into_iter().flatten().map(|one| count(one, "subnets")).collect();
    found.extend(inventory["services"].as_array().into_iter().flatten().map(|one| count(one, "subnets")));
    found
}

#[tokio::test]
async fn the_load_balancer_and_the_services_follow_the_zones() {
    let cloud = Cloud::start().await;
    let whole = async |text: &str, environment: &str| {
        let file = overlay(text);
        let path = file.path().display();
        let rest = "ecs-sg | ecs-iam | ecs-ecr | ecs-db | ecs-alb | ecs-svc";
        cloud.shell(&format!("{environment} ecs-net {TUTORIAL} --stack {path} < /dev/null | {rest}")).await.ok()
    };
    whole("", "").await;
    let two = cloud.inventory().await;
    assert_eq!(spread(&two), [2, 2, 2]);
    whole(THREE, "").await;
    assert_eq!(spread(&cloud.inventory().await), [3, 3, 3]);
    // The subnets go when the rest of the pipe has moved what is in them.
    whole("", "export ECS_PRUNE=true;").await;
    let again = cloud.inventory().await;
    assert_eq!(spread(&again), [2, 2, 2]);
    for list in ["subnets", "route_tables", "nat_gateways", "elastic_ips", "vpcs", "load_balancers"] {
        assert_eq!(again[list], two[list], "{list}");
    }
}
