//! VPC endpoints.

use ecs_local::Options;
use ecs_pipe_tests::Cloud;
use serde_json::{Value, json};

use crate::{MODES, assert_gone, assert_settled, made_new, pipe, prune, with_endpoints};

/// Returns the endpoints, by name.
fn endpoints(inventory: &Value) -> std::collections::BTreeMap<String, Value> {
    let endpoints = inventory["vpc_endpoints"].as_array().expect("endpoints").iter();
    endpoints.map(|one| (one["tags"]["Name"].as_str().unwrap_or_default().to_owned(), one.clone())).collect()
}

#[tokio::test]
async fn endpoints_are_where_the_private_subnets_are_and_available_before_egress_says_so() {
    // An interface endpoint takes its time here.
    let cloud = Cloud::start_with(Options { speed: 60.0, ..Options::default() }).await;
    let text = with_endpoints!("nat = \"none\"\ndatabase_subnets = true\n");
    let made = pipe(&cloud, "", text).await.ok();
    assert!(made.stderr.contains("VPC endpoint ecs-production-ecr.api is ready after"), "{}", made.stderr);
    let egress = &made.json()["egress"];
    assert_eq!(egress["nat_gateway_ids"], json!([]));
    let services = egress["vpc_endpoint_ids"].as_object().expect("endpoints").keys().cloned().collect::<Vec<_>>();
    assert_eq!(services, ["ecr.api", "ecr.dkr", "logs", "s3", "ssm"]);

    let inventory = cloud.inventory().await;
    let all = endpoints(&inventory);
    let zones = |tier: &str| ["a", "b"].map(|zone| format!("ecs-production-{tier}-us-east-1{zone}"));
    let gateway = &all["ecs-production-s3"];
    assert_eq!(
        (&gateway["VpcEndpointType"], &gateway["ServiceName"]),
        (&json!("Gateway"), &json!("com.amazonaws.us-east-1.s3"))
    );
    assert_eq!(gateway["route_tables"], json!([zones("database"), zones("private")].concat()));
    let interface = &all["ecs-production-ecr.dkr"];
    assert_eq!((&interface["VpcEndpointType"], &interface["PrivateDnsEnabled"]), (&json!("Interface"), &json!(true)));
    assert_eq!((&interface["subnets"], &interface["State"]), (&json!(zones("private")), &json!("available")));
    assert_eq!(interface["security_groups"], json!(["ecs-production-endpoints"]));
    let groups = inventory["security_groups"].as_array().expect("groups");
    let group = groups.iter().find(|group| group["GroupName"] == "ecs-production-endpoints").expect("a group");
    assert_eq!(group["in"].as_array().map(Vec::len), Some(1));
    let rule = &group["in"][0];
    assert_eq!(
        (&rule["peer"], &rule["from"], &rule["to"]),
        (&json!("10.0.0.0/16"), &json!(443), &json!(443)),
        "{rule}"
    );
    assert_settled(&cloud, text).await;
    // A destroy finds them, whatever the file has become, and waits for their network interfaces.
    assert_gone(&cloud, "").await;
}

#[tokio::test]
async fn endpoints_come_to_a_living_stack_and_go_when_they_are_told_to() {
    let three = with_endpoints!("database_subnets = true\n");
    let (none, some, all) = (made_new("").await, made_new(MODES[0].0).await, made_new(three).await);
    let cloud = Cloud::start().await;
    pipe(&cloud, "", "").await.ok();
    pipe(&cloud, "", MODES[0].0).await.ok();
    cloud.assert_is(&some, "with endpoints").await;
    // A gateway endpoint joins the route tables of a new tier.
    pipe(&cloud, "", three).await.ok();
    cloud.assert_is(&all, "with a third tier").await;
    // And leaves them before they go.
    prune(&cloud, MODES[0].0).await.ok();
    cloud.assert_is(&some, "without a third tier").await;

    let left = pipe(&cloud, "", "").await.ok();
    assert_eq!(left.stderr.matches("is no longer needed").count(), 6, "{}", left.stderr);
    cloud.assert_is(&some, "without --prune").await;
    prune(&cloud, "").await.ok();
    cloud.assert_is(&none, "with --prune").await;
    assert_settled(&cloud, "").await;
}

/// Spoils the endpoints: a rule in their group, a group and a subnet of one, and no private DNS.
const SPOIL: &str = r#"
import boto3
ec2 = boto3.client('ec2')
group = ec2.describe_security_groups(Filters=[{'Name': 'group-name', 'Values': ['ecs-production-endpoints']}])['SecurityGroups'][0]
rule = {'IpProtocol': 'tcp', 'FromPort': 443, 'ToPort': 443, 'IpRanges': [{'CidrIp': '192.168.0.0/16'}]}
ec2.revoke_security_group_ingress(GroupId=group['GroupId'], IpPermissions=group['IpPermissions'])
ec2.authorize_security_group_ingress(GroupId=group['GroupId'], IpPermissions=[rule])
endpoint = ec2.describe_vpc_endpoints(Filters=[{'Name': 'tag:Name', 'Values': ['ecs-production-logs']}])['VpcEndpoints'][0]
ec2.modify_vpc_endpoint(VpcEndpointId=endpoint['VpcEndpointId'], RemoveSubnetIds=endpoint['SubnetIds'][:1])
"#;

#[tokio::test]
async fn what_somebody_did_to_the_endpoints_is_healed_and_what_they_added_goes_with_prune() {
    let cloud = Cloud::start().await;
    let text = MODES[1].0;
    pipe(&cloud, "", text).await.ok();
    let clean = cloud.inventory().await;
    let python = ecs_pipe_tests::python().display().to_string();
    cloud.run(&python, &["-c", SPOIL], "").await.ok();
    let healed = pipe(&cloud, "", text).await.ok();
    assert!(healed.stderr.contains("ingress rule tcp 443 from 192.168.0.0/16: left alone"), "{}", healed.stderr);
    prune(&cloud, text).await.ok();
    cloud.assert_is(&clean, "healed").await;
    assert_settled(&cloud, text).await;
}

#[tokio::test]
async fn without_nat_gateways_the_endpoints_follow_from_what_the_stack_uses() {
    let (derived, listed) = ("[net]\nnat = \"none\"\n", MODES[2].0);
    let new = made_new(listed).await;
    let cloud = Cloud::start().await;
    pipe(&cloud, "", "").await.ok();
    pipe(&cloud, "", derived).await.ok();
    prune(&cloud, derived).await.ok();
    cloud.assert_is(&new, "from NAT gateways to endpoints").await;
    assert_settled(&cloud, derived).await;
    // A service in which commands can be run needs one more.
    let exec =
        format!("{derived}[services.frontend]\nexec = true\n[services.backend]\npath = \"/api/*\"\npriority = 100\n");
    let made = pipe(&cloud, "", &exec).await.ok().json();
    let services =
        made["egress"]["vpc_endpoint_ids"].as_object().expect("endpoints").keys().cloned().collect::<Vec<_>>();
    assert_eq!(services, ["ecr.api", "ecr.dkr", "logs", "s3", "ssm", "ssmmessages"]);
    prune(&cloud, "").await.ok();
    cloud.assert_is(&made_new("").await, "back to NAT gateways").await;

    let refused = pipe(&cloud, "", "[net]\nnat = \"none\"\ngateway_endpoints = [\"dynamodb\"]\n").await;
    assert_ne!(refused.code, 0);
    for part in
        [":2:7", "`ecr.api`, `ecr.dkr`, `logs` and `ssm` to `interface_endpoints`", "`s3` to `gateway_endpoints`"]
    {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
}
