//! A network that somebody else has made, named in the stack file.

use ecs_pipe_tests::{Cloud, python};
use serde_json::{Value, json};

use crate::{BACKWARDS, TUTORIAL, assert_gone, overlay, pipe};

/// Takes the way out of the private subnets away, and the way in of the public ones.
const CLOSE: &str = r#"
import boto3
ec2 = boto3.client('ec2')
for table in ec2.describe_route_tables(Filters=[{'Name': 'route.destination-cidr-block', 'Values': ['0.0.0.0/0']}])['RouteTables']:
    if table['VpcId'] in [vpc['VpcId'] for vpc in ec2.describe_vpcs(Filters=[{'Name': 'tag:owner', 'Values': ['them']}])['Vpcs']]:
        ec2.delete_route(RouteTableId=table['RouteTableId'], DestinationCidrBlock='0.0.0.0/0')
"#;

/// Returns what a network is, with every tag.
async fn network(cloud: &Cloud) -> Value {
    let all = cloud.inventory().await;
    let lists =
        ["vpcs", "subnets", "route_tables", "internet_gateways", "nat_gateways", "elastic_ips", "vpc_endpoints"];
    lists.iter().map(|list| ((*list).to_owned(), all[*list].clone())).collect()
}

#[tokio::test]
async fn a_network_in_the_file_is_checked_told_and_never_touched() {
    let cloud = Cloud::start().await;
    let python = python().display().to_string();
    let theirs = cloud.run(&python, &["tests/foreign_network.py"], "").await.ok().json();
    let net = &theirs["net"];
    let text = format!(
        "[net]\nvpc_id = {}\npublic_subnet_ids = {}\nprivate_subnet_ids = {}\n",
        net["vpc_id"], net["public_subnet_ids"], net["private_subnet_ids"]
    );
    let before = network(&cloud).await;
    cloud.take_calls();
    let made = pipe(&cloud, "", &text).await.ok().json();
    for key in ["vpc_id", "public_subnet_ids", "private_subnet_ids"] {
        assert_eq!(made["net"][key], net[key], "{key}");
    }
    assert_eq!(made["net"]["private_route_table_ids"].as_array().map(Vec::len), Some(2), "{made}");
    assert_eq!(made["egress"]["nat_gateway_ids"].as_array().map(Vec::len), Some(1), "{made}");
    let writes = |cloud: &Cloud| -> Vec<String> {
        let ours = cloud.take_calls().into_iter().filter(|call| call.tool == "ecs-net");
        ours.map(|call| call.operation)
            .filter(|name| !name.starts_with("Describe") && name != "GetCallerIdentity")
            .collect()
    };
    assert_eq!(writes(&cloud), [""; 0]);
    assert_eq!(network(&cloud).await, before);
    let plan = pipe(&cloud, "plan --exit-code", &text).await;
    assert_eq!(plan.code, 0, "{}", plan.stderr);

    // Keys for a network of the stack's own are refused, and so is a network that does not fit, whole.
    let both = pipe(&cloud, "plan", &format!("{text}nat = \"single\"\n")).await;
    assert!(both.stderr.contains("`nat` is for a VPC that ecs-net makes"), "{}", both.stderr);
    cloud.run(&python, &["-c", CLOSE], "").await.ok();
    for verb in ["plan", ""] {
        let refused = pipe(&cloud, verb, &text).await;
        assert_ne!(refused.code, 0);
        for part in ["public_subnet_ids", "a load balancer needs a route to an internet gateway", "private_subnet_ids"]
        {
            assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
        }
    }

    let file = overlay(&text);
    cloud.take_calls();
    let closed = network(&cloud).await;
    cloud.pipe(&BACKWARDS, "destroy", &format!("{TUTORIAL} --stack {}", file.path().display())).await.ok();
    assert_eq!(writes(&cloud), [""; 0]);
    assert_eq!(network(&cloud).await, closed);
    cloud.assert_nothing_left("").await;
    assert_eq!(closed["vpcs"][0]["tags"], json!({"Name": "theirs", "owner": "them"}));
}

#[tokio::test]
async fn a_stack_that_has_made_a_network_does_not_move_to_another() {
    let cloud = Cloud::start().await;
    let theirs = cloud.run(&python().display().to_string(), &["tests/foreign_network.py"], "").await.ok().json();
    let net = &theirs["net"];
    let given = format!(
        "[net]\nvpc_id = {}\npublic_subnet_ids = {}\nprivate_subnet_ids = {}\n",
        net["vpc_id"], net["public_subnet_ids"], net["private_subnet_ids"]
    );
    let own = pipe(&cloud, "", "").await.ok().json()["net"]["vpc_id"].as_str().expect("an id").to_owned();
    let before = cloud.inventory().await;
    for verb in ["plan", ""] {
        let refused = pipe(&cloud, verb, &given).await;
        assert_ne!(refused.code, 0);
        assert!(refused.stderr.contains(&format!("has made a network, {own},")), "{}", refused.stderr);
    }
    assert_eq!(cloud.inventory().await, before);
    // A destroy knows both.
    assert_gone(&cloud, &given).await;
    assert_eq!(network(&cloud).await["vpcs"].as_array().map(Vec::len), Some(1));
}
