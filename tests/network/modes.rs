//! NAT gateways in each mode, and from one mode to another.

use std::collections::BTreeSet;

use ecs_local::Options;
use ecs_pipe_tests::Cloud;
use serde_json::{Value, json};

use crate::{MODES, TUTORIAL, assert_gone, assert_settled, count, made_new, overlay, pipe, prune, way_out};

#[tokio::test]
async fn each_mode_makes_its_nat_gateways_settles_and_goes() {
    for (mode, gateways) in MODES {
        let cloud = Cloud::start().await;
        let made = pipe(&cloud, "", mode).await.ok().json();
        assert_eq!(made["egress"]["nat_gateway_ids"].as_array().map(Vec::len), Some(gateways));
        let inventory = cloud.inventory().await;
        let regional = mode.contains("regional");
        let addresses = if regional { 0 } else { gateways };
        assert_eq!(
            (count(&inventory, "nat_gateways"), count(&inventory, "elastic_ips")),
            (gateways, addresses),
            "{mode}"
        );
        let ways = ["a", "b"].map(|zone| way_out(&inventory, &format!("ecs-production-private-us-east-1{zone}")));
        let gateway = |zone: &str| json!(format!("ecs-production-nat-us-east-1{zone}"));
        let expected = match gateways {
            0 => [Value::Null, Value::Null],
            1 if regional => ["ecs-production-nat-regional", "ecs-production-nat-regional"].map(|name| json!(name)),
            1 => [gateway("a"), gateway("a")],
            _ => [gateway("a"), gateway("b")],
        };
        assert_eq!(ways.map(Clone::clone), expected, "{mode}");
        assert_settled(&cloud, mode).await;
        assert_gone(&cloud, mode).await;
    }
}

#[tokio::test]
async fn every_change_of_mode_ends_in_the_stack_that_is_made_new() {
    let mut new = Vec::new();
    for (mode, _) in MODES {
        new.push(made_new(mode).await);
    }
    let cloud = Cloud::start().await;
    pipe(&cloud, "", MODES[0].0).await.ok();
    // From one zone each to none and back: see the endpoints.
    for place in [1, 0, 3, 2, 1, 3, 0] {
        let (mode, _) = MODES[place];
        cloud.take_calls();
        let names = |inventory: &Value, list: &str| -> BTreeSet<String> {
            let all = inventory[list].as_array().into_iter().flatten();
            all.map(|one| format!("{list} {}", one["tags"]["Name"])).collect()
        };
        let gateways = |inventory: &Value| -> BTreeSet<String> {
            let both = ["nat_gateways", "elastic_ips"].iter().flat_map(|list| names(inventory, list));
            both.collect()
        };
        let before = gateways(&cloud.inventory().await);
        let changed = pipe(&cloud, "", mode).await.ok();
        let writes = cloud.take_writes();
        assert!(
            !writes.iter().any(|call| call == "ec2:DeleteNatGateway" || call == "ec2:ReleaseAddress"),
            "{writes:?}"
        );
        let unneeded = before.difference(&gateways(&new[place])).count();
        assert_eq!(changed.stderr.matches("is no longer needed").count(), unneeded, "{}", changed.stderr);
        let pruned = prune(&cloud, mode).await.ok();
        cloud.assert_is(&new[place], &format!("{mode}{}{}", changed.stderr, pruned.stderr)).await;
        assert_settled(&cloud, mode).await;
    }
    assert_gone(&cloud, MODES[0].0).await;
}

#[tokio::test]
async fn what_a_change_of_mode_leaves_is_in_the_plan_and_goes_with_the_stack() {
    let cloud = Cloud::start().await;
    let before = pipe(&cloud, "", MODES[0].0).await.ok().json();
    let plan = pipe(&cloud, "plan", MODES[1].0).await.ok();
    for line in ["NAT gateway ecs-production-nat-us-east-1b", "elastic IP ecs-production-nat-us-east-1b"] {
        assert!(plan.stderr.contains(line), "{line}: {}", plan.stderr);
    }
    let file = overlay(MODES[1].0);
    let line = format!("ecs-net plan --prune {TUTORIAL} --stack {} < /dev/null", file.path().display());
    let plan = cloud.shell(&line).await.ok();
    assert!(plan.stderr.contains("NAT gateway: remove ecs-production-nat-us-east-1b"), "{}", plan.stderr);
    cloud.take_calls();
    let after = pipe(&cloud, "", MODES[1].0).await.ok().json();
    assert_eq!(cloud.take_writes(), ["ec2:ReplaceRoute"], "what stays is not touched");
    for key in ["vpc_id", "public_subnet_ids", "private_subnet_ids", "private_route_table_ids"] {
        assert_eq!(after["net"][key], before["net"][key], "what stays keeps its ids");
    }
    assert_gone(&cloud, MODES[2].0).await;
}

#[tokio::test]
async fn a_route_in_use_leads_to_a_new_gateway_only_when_that_takes_traffic() {
    // Fast enough for a test, and slow enough for a gateway to be pending when it is made.
    let cloud = Cloud::start_with(Options { speed: 60.0, ..Options::default() }).await;
    pipe(&cloud, "", MODES[1].0).await.ok();
    cloud.take_calls();
    pipe(&cloud, "", MODES[0].0).await.ok();
    let calls: Vec<String> = cloud.take_calls().into_iter().map(|call| call.operation).collect();
    let place = |operation: &str| calls.iter().position(|call| call == operation).expect("a call");
    let (made, routed) = (place("CreateNatGateway"), place("ReplaceRoute"));
    assert!(calls[made..routed].iter().any(|call| call == "DescribeNatGateways"), "{calls:?}");
    // The other way, the gateway goes after the route, and its address after it.
    prune(&cloud, MODES[1].0).await.ok();
    let calls: Vec<String> = cloud.take_calls().into_iter().map(|call| call.operation).collect();
    let place = |operation: &str| calls.iter().position(|call| call == operation).expect("a call");
    let order = ["ReplaceRoute", "DeleteNatGateway", "ReleaseAddress"].map(place);
    assert!(order.is_sorted(), "{calls:?}");
}
