//! Database subnets.

use ecs_pipe_tests::Cloud;
use serde_json::{Value, json};

use crate::{assert_gone, assert_settled, made_new, pipe, prune, way_out};

const THREE_TIERS: &str = "[net]\ndatabase_subnets = true\n";

#[tokio::test]
async fn a_third_tier_has_a_subnet_and_a_closed_route_table_in_each_zone() {
    let cloud = Cloud::start().await;
    let made = pipe(&cloud, "", THREE_TIERS).await.ok().json();
    for list in ["database_subnet_ids", "database_route_table_ids"] {
        assert_eq!(made["net"][list].as_array().map(Vec::len), Some(2), "{list}");
    }
    let inventory = cloud.inventory().await;
    for (zone, cidr) in [("a", "10.0.5.0/24"), ("b", "10.0.6.0/24")] {
        let name = format!("ecs-production-database-us-east-1{zone}");
        assert_eq!(way_out(&inventory, &name), &Value::Null);
        let subnets = inventory["subnets"].as_array().expect("subnets");
        let subnet = subnets.iter().find(|subnet| subnet["tags"]["Name"] == name.as_str()).expect("a subnet");
        assert_eq!(subnet["CidrBlock"], cidr);
        let tables = inventory["route_tables"].as_array().expect("route tables");
        let table = tables.iter().find(|table| table["tags"]["Name"] == name.as_str()).expect("a table");
        assert_eq!(table["subnets"], json!([name]));
    }
    assert_settled(&cloud, THREE_TIERS).await;
    // A destroy finds them, whatever the file has become.
    assert_gone(&cloud, "").await;
}

#[tokio::test]
async fn a_third_tier_comes_to_a_living_stack_and_goes_when_it_is_told_to() {
    let (two, three) = (made_new("").await, made_new(THREE_TIERS).await);
    let cloud = Cloud::start().await;
    pipe(&cloud, "", "").await.ok();
    pipe(&cloud, "", THREE_TIERS).await.ok();
    cloud.assert_is(&three, "with a third tier").await;
    let left = pipe(&cloud, "", "").await.ok();
    assert_eq!(left.stderr.matches("is no longer needed").count(), 4, "{}", left.stderr);
    cloud.assert_is(&three, "without --prune").await;
    prune(&cloud, "").await.ok();
    cloud.assert_is(&two, "with --prune").await;
    assert_settled(&cloud, "").await;
}
