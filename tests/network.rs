//! What the stack file chooses of the network, and the way from one choice to another on a living stack.

use std::io::Write as _;

use ecs_local::Options;
use ecs_pipe_tests::{Cloud, Outcome};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const TOOLS: [&str; 2] = ["ecs-net", "ecs-sg"];
const BACKWARDS: [&str; 2] = ["ecs-sg", "ecs-net"];
const TUTORIAL: &str = "--stack tests/stacks/tutorial.toml";

/// Writes an overlay for the stack file.
fn overlay(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".toml").expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

/// Runs the two tools with the tutorial's stack file and an overlay.
async fn pipe(cloud: &Cloud, verb: &str, text: &str) -> Outcome {
    let overlay = overlay(text);
    cloud.pipe(&TOOLS, verb, &format!("{TUTORIAL} --stack {}", overlay.path().display())).await
}

/// Does the same, and lets them remove what is no longer needed.
async fn prune(cloud: &Cloud, text: &str) -> Outcome {
    let overlay = overlay(text);
    let path = overlay.path().display();
    cloud.shell(&format!("export ECS_PRUNE=true; ecs-net {TUTORIAL} --stack {path} < /dev/null | ecs-sg")).await
}

/// Returns all that a stack is that was made new.
async fn made_new(text: &str) -> Value {
    let cloud = Cloud::start().await;
    pipe(&cloud, "", text).await.ok();
    cloud.inventory().await
}

/// Checks that one more run writes nothing, and that a plan finds nothing to do.
async fn assert_settled(cloud: &Cloud, text: &str) {
    cloud.take_calls();
    let again = pipe(cloud, "", text).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0], "{text}: {}", again.stderr);
    let plan = pipe(cloud, "plan --exit-code", text).await;
    assert_eq!((plan.code, cloud.take_writes()), (0, Vec::new()), "{text}: {}", plan.stderr);
}

/// Destroys the stack as the file has it, and checks that nothing of it is left.
async fn assert_gone(cloud: &Cloud, text: &str) {
    let overlay = overlay(text);
    cloud.pipe(&BACKWARDS, "destroy", &format!("{TUTORIAL} --stack {}", overlay.path().display())).await.ok();
    let left = cloud.reader("tagged").await;
    assert_eq!(left.code, 0, "{text}: left behind: {}{}", left.stdout, left.stderr);
}

/// Returns how many things of a kind there are.
fn count(inventory: &Value, list: &str) -> usize {
    inventory[list].as_array().map_or(0, Vec::len)
}

/// Returns what the default route of a route table leads to.
fn way_out<'i>(inventory: &'i Value, table: &str) -> &'i Value {
    let tables = inventory["route_tables"].as_array().expect("route tables");
    let table = tables.iter().find(|one| one["tags"]["Name"] == table).unwrap_or_else(|| panic!("no {table}"));
    &table["routes"]["0.0.0.0/0"]
}

/// What tasks cannot do without where there is no NAT gateway; here it is in every mode.
macro_rules! with_endpoints {
    ($line:literal) => {
        concat!(
            "[net]\ngateway_endpoints = [\"s3\"]\n",
            "interface_endpoints = [\"ecr.api\", \"ecr.dkr\", \"logs\", \"ssm\"]\n",
            $line
        )
    };
}

/// Modes, and how many NAT gateways each has.
const MODES: [(&str, usize); 3] = [
    (with_endpoints!("nat = \"per_zone\"\n"), 2),
    (with_endpoints!("nat = \"single\"\n"), 1),
    (with_endpoints!("nat = \"none\"\n"), 0),
];

#[tokio::test]
async fn each_mode_makes_its_nat_gateways_settles_and_goes() {
    for (mode, gateways) in MODES {
        let cloud = Cloud::start().await;
        let made = pipe(&cloud, "", mode).await.ok().json();
        assert_eq!(made["egress"]["nat_gateway_ids"].as_array().map(Vec::len), Some(gateways));
        let inventory = cloud.inventory().await;
        assert_eq!(
            (count(&inventory, "nat_gateways"), count(&inventory, "elastic_ips")),
            (gateways, gateways),
            "{mode}"
        );
        let ways = ["a", "b"].map(|zone| way_out(&inventory, &format!("ecs-production-private-us-east-1{zone}")));
        let gateway = |zone: &str| json!(format!("ecs-production-nat-us-east-1{zone}"));
        let expected = match gateways {
            0 => [Value::Null, Value::Null],
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
    // Every way from one mode to another.
    for place in [1, 0, 2, 1, 2, 0] {
        let (mode, gateways) = MODES[place];
        cloud.take_calls();
        let before = count(&cloud.inventory().await, "nat_gateways");
        let changed = pipe(&cloud, "", mode).await.ok();
        let writes = cloud.take_writes();
        assert!(
            !writes.iter().any(|call| call == "ec2:DeleteNatGateway" || call == "ec2:ReleaseAddress"),
            "{writes:?}"
        );
        let unneeded = before.saturating_sub(gateways);
        assert_eq!(changed.stderr.matches("is no longer needed").count(), 2 * unneeded, "{}", changed.stderr);
        let pruned = prune(&cloud, mode).await.ok();
        cloud.assert_is(&new[place], &format!("{mode}{}{}", changed.stderr, pruned.stderr)).await;
        assert_settled(&cloud, mode).await;
    }
    assert_gone(&cloud, MODES[0].0).await;
}

#[tokio::test]
async fn what_a_change_of_mode_leaves_is_in_the_plan_and_goes_with_the_stack() {
    let cloud = Cloud::start().await;
    pipe(&cloud, "", MODES[0].0).await.ok();
    let plan = pipe(&cloud, "plan", MODES[1].0).await.ok();
    for line in ["NAT gateway ecs-production-nat-us-east-1b", "elastic IP ecs-production-nat-us-east-1b"] {
        assert!(plan.stderr.contains(line), "{line}: {}", plan.stderr);
    }
    let file = overlay(MODES[1].0);
    let line = format!("ecs-net plan --prune {TUTORIAL} --stack {} < /dev/null", file.path().display());
    let plan = cloud.shell(&line).await.ok();
    assert!(plan.stderr.contains("NAT gateway: remove ecs-production-nat-us-east-1b"), "{}", plan.stderr);
    cloud.take_calls();
    pipe(&cloud, "", MODES[1].0).await.ok();
    assert_eq!(cloud.take_writes(), ["ec2:ReplaceRoute"], "what stays is not touched");
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
async fn without_a_way_out_the_file_is_refused() {
    let cloud = Cloud::start().await;
    let refused = pipe(&cloud, "", "[net]\nnat = \"none\"\n").await;
    assert_ne!(refused.code, 0);
    for part in
        [":2:7", "`ecr.api`, `ecr.dkr`, `logs` and `ssm` to `interface_endpoints`", "`s3` to `gateway_endpoints`"]
    {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert_eq!(cloud.take_calls().len(), 0);
}

/// What System B of the three has: in and out the same ports.
const ACL: &str = "[net.network_acl]\n\
                   ingress = [22, 80, 443, \"1024-65535\"]\negress = [22, 80, 443, \"1024-65535\"]\n";

/// Spoils the network ACL: another rule, one rule changed, one gone, and a subnet that has the VPC's own.
const SPOIL_ACL: &str = r#"
import boto3
ec2 = boto3.client('ec2')
ours = lambda: ec2.describe_network_acls(Filters=[{'Name': 'tag:Name', 'Values': ['ecs-production-acl']}])['NetworkAcls'][0]
acl = ours()
rule = {'NetworkAclId': acl['NetworkAclId'], 'Egress': False, 'Protocol': '6', 'CidrBlock': '0.0.0.0/0'}
ec2.create_network_acl_entry(**rule, RuleNumber=90, RuleAction='allow', PortRange={'From': 8080, 'To': 8080})
ec2.replace_network_acl_entry(**rule, RuleNumber=110, RuleAction='deny', PortRange={'From': 80, 'To': 80})
ec2.delete_network_acl_entry(NetworkAclId=acl['NetworkAclId'], RuleNumber=120, Egress=True)
own = ec2.describe_network_acls(Filters=[{'Name': 'vpc-id', 'Values': [acl['VpcId']]}, {'Name': 'default', 'Values': ['true']}])
ec2.replace_network_acl_association(
    AssociationId=acl['Associations'][0]['NetworkAclAssociationId'], NetworkAclId=own['NetworkAcls'][0]['NetworkAclId'])
"#;

#[tokio::test]
async fn the_network_acl_is_what_the_file_lists_comes_to_a_living_stack_and_goes_when_it_is_told_to() {
    let (without, with) = (made_new("").await, made_new(ACL).await);
    let acl = &with["network_acls"][0];
    assert_eq!(acl["subnets"].as_array().map(Vec::len), Some(4), "{acl}");
    // Four rules in each direction, and the last one, which denies the rest.
    assert_eq!(acl["entries"].as_array().map(Vec::len), Some(10), "{acl}");
    assert_eq!(acl["tags"]["ecs-pipe:layer"], "net", "{acl}");

    let cloud = Cloud::start().await;
    pipe(&cloud, "", "").await.ok();
    let plan = pipe(&cloud, "plan", ACL).await.ok();
    assert!(plan.stderr.contains("+ create network ACL ecs-production-acl"), "{}", plan.stderr);
    let made = pipe(&cloud, "", ACL).await.ok();
    assert!(!made.stderr.contains("warning"), "{}", made.stderr);
    cloud.assert_is(&with, "with an ACL").await;
    assert_settled(&cloud, ACL).await;

    let python = ecs_pipe_tests::python().display().to_string();
    cloud.run(&python, &["-c", SPOIL_ACL], "").await.ok();
    let healed = pipe(&cloud, "", ACL).await.ok();
    let foreign = "somebody else has added ingress rule 90 allow tcp 8080 from 0.0.0.0/0: left alone";
    assert!(healed.stderr.contains(foreign), "{}", healed.stderr);
    prune(&cloud, ACL).await.ok();
    cloud.assert_is(&with, "healed").await;

    // A tier that is not named any more has the VPC's own ACL again.
    let private = format!("{ACL}tiers = [\"private\"]\n");
    pipe(&cloud, "", &private).await.ok();
    let acl = &cloud.inventory().await["network_acls"][0];
    assert_eq!(acl["subnets"].as_array().map(Vec::len), Some(2), "{acl}");
    assert_settled(&cloud, &private).await;

    cloud.take_calls();
    let plan = pipe(&cloud, "plan", "").await.ok();
    assert!(plan.stderr.contains("network ACL ecs-production-acl"), "{}", plan.stderr);
    prune(&cloud, "").await.ok();
    assert!(cloud.take_writes().iter().any(|call| call == "ec2:ReplaceNetworkAclAssociation"));
    cloud.assert_is(&without, "without an ACL").await;
    // A destroy finds it, whatever the file has become.
    pipe(&cloud, "", ACL).await.ok();
    assert_gone(&cloud, "").await;
}

#[tokio::test]
async fn a_network_acl_that_stops_answers_is_warned_of_and_made_all_the_same() {
    let cloud = Cloud::start().await;
    let text = "[net.network_acl]\ningress = [80, 443, \"1024-65535\"]\negress = [80, 443]\n";
    for verb in ["plan", ""] {
        let said = pipe(&cloud, verb, text).await.ok().stderr;
        for part in ["ecs-net: warning: `net.network_acl.egress` does not let TCP 1024-65535 through", "stateless"] {
            assert_eq!(said.matches(part).count(), 1, "{verb} {part}: {said}");
        }
    }
    let refused = pipe(&cloud, "", "[net.network_acl]\ningress = [\"443-80\", { ports = 22, number = 100 }]\n").await;
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains(":2:12"), "{}", refused.stderr);
    assert!(refused.stderr.contains("not a range of ports"), "{}", refused.stderr);
}
