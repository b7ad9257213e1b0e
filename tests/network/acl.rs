//! The network ACL.

use ecs_pipe_tests::Cloud;

use crate::{assert_gone, assert_settled, made_new, pipe, prune};

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
