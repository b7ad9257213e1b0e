//! What the stack file says of the security groups: ports, the way out, rules of its own, and groups that others made.

use ecs_pipe_tests::{Cloud, Outcome, overlay};
use serde_json::Value;

const TOOLS: [&str; 2] = ["ecs-net", "ecs-sg"];
const BACKWARDS: [&str; 2] = ["ecs-sg", "ecs-net"];
const TUTORIAL: &str = "--stack tests/stacks/tutorial.toml";

/// What the load balancer of a locked-down stack may do.
const TARGETS: &str = "[sg]\nalb_ports = [80]\nalb_egress = \"targets\"\n";

async fn pipe(cloud: &Cloud, verb: &str, text: &str) -> Outcome {
    let file = overlay(text);
    let tools = if verb == "destroy" { BACKWARDS } else { TOOLS };
    cloud.pipe(&tools, verb, &format!("{TUTORIAL} --stack {}", file.path().display())).await
}

async fn prune(cloud: &Cloud, text: &str) -> Outcome {
    let file = overlay(text);
    let path = file.path().display();
    cloud.shell(&format!("export ECS_PRUNE=true; ecs-net {TUTORIAL} --stack {path} < /dev/null | ecs-sg")).await
}

async fn assert_settled(cloud: &Cloud, text: &str) {
    let file = overlay(text);
    cloud.assert_settled(&TOOLS, &format!("{TUTORIAL} --stack {}", file.path().display()), text).await;
}

async fn assert_gone(cloud: &Cloud, text: &str) {
    pipe(cloud, "destroy", text).await.ok();
    let left = cloud.reader("tagged").await;
    assert_eq!(left.code, 0, "{text}: left behind: {}{}", left.stdout, left.stderr);
}

/// Returns a group's rules as `protocol from-to peer (description)`, in order.
fn rules(inventory: &Value, group: &str, direction: &str) -> Vec<String> {
    let groups = inventory["security_groups"].as_array().expect("groups");
    let found = groups.iter().find(|one| one["GroupName"] == group).unwrap_or_else(|| panic!("no {group}"));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let rule = |rule: &Value| {
        let description = text(&rule["description"]);
        format!("{} {}-{} {} ({description})", text(&rule["protocol"]), rule["from"], rule["to"], text(&rule["peer"]))
    };
    let mut rules: Vec<String> = found[direction].as_array().expect("rules").iter().map(rule).collect();
    rules.sort();
    rules
}

#[tokio::test]
async fn a_load_balancer_is_held_to_its_targets_and_let_go_again() {
    let cloud = Cloud::start().await;
    let made = pipe(&cloud, "", TARGETS).await.ok();
    let held = cloud.inventory().await;
    assert_eq!(rules(&held, "ALB-SG", "in"), ["tcp 80-80 0.0.0.0/0 (Allow HTTP from internet)"], "{}", made.stderr);
    let out = |port: u16| {
        ["3", "4"].map(|net| format!("tcp {port}-{port} 10.0.{net}.0/24 (Allow port {port} to private subnets)"))
    };
    let mut expected = [out(80), out(3001)].concat();
    expected.sort();
    assert_eq!(rules(&held, "ALB-SG", "out"), expected, "AWS's own rule is revoked");
    assert_settled(&cloud, TARGETS).await;

    // The way back: what is too much is reported, and goes when it is told to.
    let open = pipe(&cloud, "", "").await.ok();
    assert!(open.stderr.contains("egress rule tcp 3001 to 10.0.4.0/24 is no longer needed"), "{}", open.stderr);
    prune(&cloud, "").await.ok();
    let free = cloud.inventory().await;
    assert_eq!(rules(&free, "ALB-SG", "out").len(), 1);
    assert_settled(&cloud, "").await;
    // On a living stack AWS's rule goes as well, without being told to.
    pipe(&cloud, "", TARGETS).await.ok();
    assert_eq!(rules(&cloud.inventory().await, "ALB-SG", "out"), expected);
    assert_gone(&cloud, TARGETS).await;
}

/// Rules in both directions with every kind of peer; two groups that refer to one another.
const RULES: &str = r#"
[[sg.rules]]
group = "tasks"
ports = "9000-9100"
peer = "bastion"
description = "metrics"

[[sg.rules]]
group = "tasks"
direction = "egress"
ports = 5432
peer = "db"

[[sg.rules]]
group = "tasks"
direction = "egress"
protocol = "all"
peer = "fd00::/8"

[[sg.rules]]
group = "db"
protocol = "icmp"
peer = "10.8.0.0/16"
description = "ping"

[[sg.rules]]
group = "db"
direction = "egress"
ports = 443
peer = "tasks"

[[sg.rules]]
group = "alb"
ports = 3001
peer = "0.0.0.0/0"
"#;

/// Makes a group in the VPC, without or with rules for traffic in, and returns its id.
async fn make(cloud: &Cloud, name: &str, rule: &str) -> String {
    let lines = format!(
        "ec2 = boto3.client('ec2')
vpc = ec2.describe_vpcs(Filters=[{{'Name': 'tag:ecs-pipe:stack', 'Values': ['ecs-production']}}])['Vpcs'][0]['VpcId']
id = ec2.create_security_group(GroupName='{name}', Description='{name}', VpcId=vpc)['GroupId']
rule = {rule}
if rule: ec2.authorize_security_group_ingress(GroupId=id, IpPermissions=[rule])
print(id)"
    );
    cloud.by_hand(&lines).await
}

/// Gives a group rules for another one in both directions, or takes them away: `authorize`, `revoke`.
async fn refer(cloud: &Cloud, verb: &str, group: &str, to: &str) {
    let lines = format!(
        "ec2 = boto3.client('ec2')
id = lambda name: ec2.describe_security_groups(Filters=[{{'Name': 'group-name', 'Values': [name]}}])['SecurityGroups'][0]['GroupId']
rule = {{'IpProtocol': 'tcp', 'FromPort': 443, 'ToPort': 443, 'UserIdGroupPairs': [{{'GroupId': id('{to}')}}]}}
ec2.{verb}_security_group_ingress(GroupId=id('{group}'), IpPermissions=[rule])
ec2.{verb}_security_group_egress(GroupId=id('{group}'), IpPermissions=[rule])"
    );
    cloud.by_hand(&lines).await;
}

#[tokio::test]
async fn rules_of_the_file_take_every_kind_of_peer_and_a_cycle_of_groups_goes() {
    let cloud = Cloud::start().await;
    pipe(&cloud, "", "").await.ok();
    let refused = pipe(&cloud, "", RULES).await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("the VPC has no security group named `bastion`"), "{}", refused.stderr);
    make(&cloud, "bastion", "None").await;
    pipe(&cloud, "", RULES).await.ok();
    let inventory = cloud.inventory().await;
    let tasks = rules(&inventory, "ECS-SG", "in");
    assert!(tasks.contains(&"tcp 9000-9100 bastion (metrics)".to_owned()), "{tasks:?}");
    assert_eq!(rules(&inventory, "ECS-SG", "out").len(), 2, "AWS's own rule is gone");
    let db = rules(&inventory, "RDS-SG", "in");
    assert!(db.contains(&"icmp -1--1 10.8.0.0/16 (ping)".to_owned()), "{db:?}");
    assert_settled(&cloud, RULES).await;
    // A new description is one, and nothing else.
    pipe(&cloud, "", &RULES.replace("ports = 443\n", "ports = 443\ndescription = \"calls back\"\n")).await.ok();
    assert_eq!(cloud.take_writes(), ["ec2:UpdateSecurityGroupRuleDescriptionsEgress"]);
    assert_eq!(rules(&cloud.inventory().await, "RDS-SG", "out"), ["tcp 443-443 ECS-SG (calls back)"]);
    // The network stays: somebody else's group is in it.
    let file = overlay(RULES);
    let destroy = format!("{TUTORIAL} --stack {} --timeout 60s --no-input", file.path().display());
    // Rules of somebody else's group never go by themselves: nothing waits for them.
    refer(&cloud, "authorize", "bastion", "ECS-SG").await;
    let kept = cloud.pipe(&["ecs-sg"], "destroy", &destroy).await;
    assert_eq!(kept.code, 1, "{}", kept.stderr);
    for direction in ["ingress rule `tcp 443 from sg-", "egress rule `tcp 443 to sg-"] {
        assert!(kept.stderr.contains(direction), "{direction}: {}", kept.stderr);
    }
    assert!(kept.stderr.contains("of security group bastion (sg-"), "{}", kept.stderr);
    assert!(kept.stderr.contains("revoke those rules"), "{}", kept.stderr);
    let mut writes = cloud.take_writes();
    refer(&cloud, "revoke", "bastion", "ECS-SG").await;
    cloud.pipe(&["ecs-sg"], "destroy", &destroy).await.ok();
    writes.extend(cloud.take_writes());
    let place =
        |call: &str| writes.iter().position(|write| write == call).unwrap_or_else(|| panic!("{call}: {writes:?}"));
    assert!(place("ec2:RevokeSecurityGroupEgress") < place("ec2:DeleteSecurityGroup"), "{writes:?}");
    assert!(!rules_left(&cloud.inventory().await), "{writes:?}");
}

/// Says whether any of the stack's groups is left.
fn rules_left(inventory: &Value) -> bool {
    let groups = inventory["security_groups"].as_array().expect("groups");
    groups.iter().any(|group| ["ALB-SG", "ECS-SG", "RDS-SG"].iter().any(|name| group["GroupName"] == *name))
}

#[tokio::test]
async fn groups_that_others_made_are_used_as_they_are_and_never_changed() {
    let cloud = Cloud::start().await;
    cloud.pipe(&["ecs-net"], "", TUTORIAL).await.ok();
    let web = "{'IpProtocol': 'tcp', 'FromPort': 80, 'ToPort': 80, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}";
    let (alb, tasks) = (make(&cloud, "their-alb", web).await, make(&cloud, "their-tasks", "None").await);
    let text = format!("[sg]\nalb_security_group_id = \"{alb}\"\ntasks_security_group_id = \"{tasks}\"\n");
    let before = cloud.inventory().await;
    cloud.take_calls();
    let made = pipe(&cloud, "", &text).await.ok();
    let writes = cloud.take_writes();
    assert_eq!(writes, ["ec2:CreateSecurityGroup", "ec2:AuthorizeSecurityGroupIngress"], "the database's alone");
    assert_eq!(made.json()["sg"]["alb_security_group_id"], alb.as_str());
    assert_eq!(made.json()["sg"]["tasks_security_group_id"], tasks.as_str());
    for missing in ["tcp 443 from 0.0.0.0/0", &format!("tcp 80 from {alb}"), &format!("tcp 3001 from {alb}")] {
        assert!(made.stderr.contains(&format!("has no rule for {missing}")), "{missing}: {}", made.stderr);
    }
    assert_eq!(made.stderr.matches("has no rule for").count(), 3, "{}", made.stderr);
    assert_settled(&cloud, &text).await;
    // A group of before is reported, and goes when it is told to.
    let renamed = format!("{text}db_name = \"another\"\n");
    let left = pipe(&cloud, "", &renamed).await.ok();
    assert!(left.stderr.contains("security group RDS-SG"), "{}", left.stderr);
    // Not while somebody else's rules refer to it.
    refer(&cloud, "authorize", "their-tasks", "RDS-SG").await;
    let left = prune(&cloud, &renamed).await.ok();
    assert!(left.stderr.contains("is no longer needed, and rules of others refer to it"), "{}", left.stderr);
    assert!(left.stderr.contains(&format!("of security group their-tasks ({tasks}): left alone")), "{}", left.stderr);
    refer(&cloud, "revoke", "their-tasks", "RDS-SG").await;
    prune(&cloud, &renamed).await.ok();
    let names: Vec<String> = cloud.inventory().await["security_groups"]
        .as_array()
        .expect("groups")
        .iter()
        .filter_map(|group| group["GroupName"].as_str().map(str::to_owned))
        .collect();
    assert!(names.contains(&"another".to_owned()) && !names.contains(&"RDS-SG".to_owned()), "{names:?}");
    let strange = pipe(&cloud, "", "[sg]\nalb_security_group_id = \"sg-0123456789abcdef0\"\n").await;
    assert_eq!(strange.code, 2, "{}", strange.stderr);
    assert!(strange.stderr.contains("has no security group sg-0123456789abcdef0"), "{}", strange.stderr);

    let file = overlay(&text);
    let line = format!("ecs-sg destroy {TUTORIAL} --stack {} < /dev/null", file.path().display());
    cloud.shell(&line).await.ok();
    cloud.assert_is(&before, "what others made is as it was").await;
}
