//! RDS: instances come up, change and go on the scaled clock, and what RDS refuses is refused.

mod query;

use self::query::{Aws, Network, within};

fn instance(network: &Network, more: &str) -> String {
    format!(
        "rds:CreateDBInstance&DBInstanceIdentifier=db&DBInstanceClass=db.t3.micro&Engine=postgres&AllocatedStorage=20\
         &MasterUsername=postgres&MasterUserPassword=password1&DBSubnetGroupName=db\
         &VpcSecurityGroupIds.VpcSecurityGroupId.1={}{more}",
        network.group
    )
}

fn subnet_group(subnets: &[String]) -> String {
    let [first, second] = subnets else { panic!("two subnets") };
    format!(
        "rds:CreateDBSubnetGroup&DBSubnetGroupName=db&DBSubnetGroupDescription=db\
         &SubnetIds.SubnetIdentifier.1={first}&SubnetIds.SubnetIdentifier.2={second}"
    )
}

/// The statuses that an instance goes through until it has this one, or is gone.
fn statuses(aws: &Aws, last: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    loop {
        let (_, body) = aws.raw("rds:DescribeDBInstances&DBInstanceIdentifier=db");
        let status = within(&body, "DBInstanceStatus").or_else(|| within(&body, "Code")).expect("a status or a code");
        let endpoint = body.contains("<Endpoint>");
        assert!(status != "creating" || !endpoint, "{body}");
        assert!(status != "available" || endpoint, "{body}");
        if seen.last() != Some(&status) {
            seen.push(status);
        }
        if seen.last().is_some_and(|status| status == last) {
            return seen;
        }
    }
}

#[tokio::test]
async fn an_instance_comes_up_changes_and_goes() {
    // A day in which what takes minutes takes a fraction of a second.
    let scenario = "[provisioning]\ndatabase = '400s'\ndatabase-change = '200s'\ndatabase-deletion = '200s'";
    let aws = Aws::in_weather(200.0, scenario).await;
    let network = aws.network();
    aws.call(&subnet_group(&network.subnets));
    let made = aws.call(&instance(&network, ""));
    assert_eq!(within(&made, "DBInstanceStatus").as_deref(), Some("creating"));
    assert!(!made.contains("<Endpoint>"), "{made}");
    let storage = "rds:ModifyDBInstance&DBInstanceIdentifier=db&AllocatedStorage=30&ApplyImmediately=true";
    assert_eq!(aws.refused(storage), "InvalidDBInstanceState");
    let final_snapshot = "rds:DeleteDBInstance&DBInstanceIdentifier=db&FinalDBSnapshotIdentifier=last";
    assert_eq!(aws.refused(final_snapshot), "InvalidDBInstanceState");
    assert_eq!(statuses(&aws, "available"), ["creating", "backing-up", "available"]);

    assert_eq!(aws.query(storage, "DBInstanceStatus"), "modifying");
    assert_eq!(aws.refused(storage), "InvalidDBInstanceState");
    assert_eq!(statuses(&aws, "available"), ["modifying", "available"]);

    assert_eq!(aws.query(final_snapshot, "DBInstanceStatus"), "deleting");
    let again = "rds:DeleteDBInstance&DBInstanceIdentifier=db&SkipFinalSnapshot=true";
    assert_eq!(aws.message(again, "InvalidDBInstanceState"), "Instance db is already being deleted.");
    let group = "rds:DeleteDBSubnetGroup&DBSubnetGroupName=db";
    assert_eq!(aws.refused(group), "InvalidDBSubnetGroupStateFault");
    assert_eq!(statuses(&aws, "DBInstanceNotFound"), ["deleting", "DBInstanceNotFound"]);
    aws.call(group);
    aws.call("rds:DescribeDBSnapshots&DBSnapshotIdentifier=last");
}

#[tokio::test]
async fn an_instance_that_fails_ends_in_the_status_that_the_weather_says() {
    let scenario = "[[provisioning.failure]]\nkind = 'database'\nname = 'd*'\ntimes = 1\ncode = 'incompatible-network'";
    let aws = Aws::in_weather(0.0, scenario).await;
    let network = aws.network();
    aws.call(&subnet_group(&network.subnets));
    aws.call(&instance(&network, ""));
    assert_eq!(statuses(&aws, "incompatible-network"), ["incompatible-network"]);
    let snapshot = "rds:DeleteDBInstance&DBInstanceIdentifier=db&FinalDBSnapshotIdentifier=last";
    assert_eq!(aws.refused(snapshot), "InvalidDBInstanceState");
    aws.call("rds:DeleteDBInstance&DBInstanceIdentifier=db&SkipFinalSnapshot=true");
    aws.call(&instance(&network, ""));
    assert_eq!(statuses(&aws, "available"), ["available"]);
}

#[tokio::test]
async fn what_rds_refuses_to_delete_is_refused() {
    let aws = Aws::instant().await;
    let network = aws.network();
    aws.call(&subnet_group(&network.subnets));
    aws.call(&instance(&network, "&DeletionProtection=true"));
    let delete = "rds:DeleteDBInstance&DBInstanceIdentifier=DB";
    assert_eq!(aws.refused(delete), "InvalidParameterCombination");
    let both = format!("{delete}&SkipFinalSnapshot=true&FinalDBSnapshotIdentifier=last");
    assert_eq!(aws.refused(&both), "InvalidParameterCombination");
    let message = aws.message(&format!("{delete}&SkipFinalSnapshot=true"), "InvalidParameterCombination");
    assert!(message.starts_with("Cannot delete protected DB Instance"), "{message}");
    aws.call("rds:ModifyDBInstance&DBInstanceIdentifier=db&DeletionProtection=false&ApplyImmediately=true");
    aws.call("rds:CreateDBSnapshot&DBInstanceIdentifier=db&DBSnapshotIdentifier=taken");
    assert_eq!(aws.refused(&format!("{delete}&FinalDBSnapshotIdentifier=taken")), "DBSnapshotAlreadyExists");
    aws.call(&format!("{delete}&FinalDBSnapshotIdentifier=last"));
    assert_eq!(aws.refused("rds:DescribeDBInstances&DBInstanceIdentifier=db"), "DBInstanceNotFound");
}

#[tokio::test]
async fn a_modified_subnet_group_stays() {
    let aws = Aws::instant().await;
    let network = aws.network();
    let group = format!("{}&Tags.Tag.1.Key=stack&Tags.Tag.1.Value=prod", subnet_group(&network.subnets));
    let arn = aws.query(&group, "DBSubnetGroupArn");
    assert_eq!(aws.refused(&group), "DBSubnetGroupAlreadyExists");
    let other = aws.subnet(&network.vpc, "c", "10.0.2.0/24");
    let modify = format!(
        "rds:ModifyDBSubnetGroup&DBSubnetGroupName=db&SubnetIds.SubnetIdentifier.1={}&SubnetIds.SubnetIdentifier.2={other}",
        network.subnets[0]
    );
    aws.call(&modify);
    let described = aws.call("rds:DescribeDBSubnetGroups&DBSubnetGroupName=db");
    assert!(described.contains(&other) && !described.contains(&network.subnets[1]), "{described}");
    let tags = aws.call(&format!("rds:ListTagsForResource&ResourceName={arn}"));
    assert_eq!((within(&tags, "Key").as_deref(), within(&tags, "Value").as_deref()), (Some("stack"), Some("prod")));
}

#[tokio::test]
async fn what_rds_refuses_to_make_is_refused() {
    let aws = Aws::instant().await;
    let network = aws.network();
    let [first, second] = network.subnets.clone();
    let beside = aws.subnet(&network.vpc, "a", "10.0.5.0/24");
    let group = |subnets: [&String; 2]| subnet_group(&subnets.map(String::clone));
    let message = aws.message(&group([&first, &beside]), "DBSubnetGroupDoesNotCoverEnoughAZs");
    assert!(message.contains("Current AZ coverage: us-east-1a."), "{message}");
    assert_eq!(aws.refused(&group([&first, &"subnet-0123456789abcdef0".to_owned()])), "InvalidSubnet");
    aws.call(&group([&first, &second]));

    let create = instance(&network, "");
    assert_eq!(aws.refused(&create.replace("password1", "short")), "InvalidParameterValue");
    assert_eq!(
        aws.refused(&create.replace("AllocatedStorage=20", "AllocatedStorage=5")),
        "InvalidParameterCombination"
    );
    let vpc = aws.query("ec2:CreateVpc&CidrBlock=10.1.0.0/16", "vpcId");
    let form = format!("ec2:CreateSecurityGroup&GroupName=web&GroupDescription=web&VpcId={vpc}");
    let elsewhere = aws.query(&form, "groupId");
    let message = aws.message(&create.replace(&network.group, &elsewhere), "InvalidParameterCombination");
    assert!(message.starts_with("The DB instance and EC2 security group are in different VPCs."), "{message}");
    let nowhere = create.replace(&network.group, "sg-0123456789abcdef0");
    assert_eq!(aws.refused(&nowhere), "InvalidParameterValue");
    aws.call(&create);
    assert_eq!(aws.refused(&create), "DBInstanceAlreadyExists");
    let modify = "rds:ModifyDBInstance&DBInstanceIdentifier=db&AllocatedStorage=20&BackupRetentionPeriod=36";
    assert_eq!(aws.refused(modify), "InvalidParameterValue");
}
