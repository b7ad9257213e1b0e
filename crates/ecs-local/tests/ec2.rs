//! EC2 on a bad day: slow, late and strict.

mod query;

use std::time::{Duration, Instant};

use query::{Aws, Network, within};

/// How long a test waits for what must happen soon.
const SOON: Duration = Duration::from_secs(30);

/// Everything at once, at AWS's own pace, unless a line says otherwise.
fn at_once(lines: &str) -> String {
    let mut scenario = String::from("[provisioning]\n");
    for name in [
        "nat-gateway",
        "nat-gateway-deletion",
        "vpc-endpoint",
        "load-balancer",
        "database",
        "database-change",
        "database-deletion",
        "interfaces",
    ] {
        if !lines.contains(&format!("{name} =")) {
            scenario.push_str(&format!("{name} = '0s'\n"));
        }
    }
    scenario + lines
}

fn gateway(aws: &Aws, made: &Network, address: &str, name: &str) -> String {
    let tag = "TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.ResourceType=natgateway";
    let call = format!(
        "ec2:CreateNatGateway&SubnetId={}&AllocationId={address}&{tag}&TagSpecification.1.Tag.1.Value={name}",
        made.subnets[0]
    );
    aws.query(&call, "natGatewayId")
}

fn address(aws: &Aws) -> String {
    aws.query("ec2:AllocateAddress&Domain=vpc", "allocationId")
}

/// Asks until an answer holds a text.
fn until(aws: &Aws, call: &str, text: &str) {
    let begun = Instant::now();
    while !aws.raw(call).1.contains(text) {
        assert!(begun.elapsed() < SOON, "{call}: never {text}");
    }
}

/// How many items a filter finds.
fn count(aws: &Aws, describe: &str, filters: &[(&str, &str)], id: &str) -> usize {
    let mut call = format!("ec2:{describe}");
    for (at, (name, value)) in filters.iter().enumerate() {
        call.push_str(&format!("&Filter.{0}.Name={name}&Filter.{0}.Value.1={value}", at + 1));
    }
    aws.call(&call).matches(&format!("<{id}>")).count()
}

#[tokio::test]
async fn a_nat_gateway_comes_up_in_its_time() {
    let aws = Aws::in_weather(1.0, &at_once("nat-gateway = '1h'\n")).await;
    let made = aws.network();
    let id = gateway(&aws, &made, &address(&aws), "nat-a");
    let describe = format!("ec2:DescribeNatGateways&NatGatewayId.1={id}");
    assert_eq!(aws.query(&describe, "state"), "pending");
    for (name, value, found) in [
        ("state", "pending", 1),
        ("state", "available", 0),
        ("tag:Name", "nat-*", 1),
        ("tag:Name", "other", 0),
        ("vpc-id", made.vpc.as_str(), 1),
    ] {
        assert_eq!(count(&aws, "DescribeNatGateways", &[(name, value)], "natGatewayId"), found, "{name}={value}");
    }
    assert_eq!(
        aws.refused("ec2:DescribeNatGateways&Filter.1.Name=colour&Filter.1.Value.1=red"),
        "InvalidParameterValue"
    );
    assert_eq!(aws.refused("ec2:DescribeNatGateways&NatGatewayId.1=nat-0123"), "NatGatewayNotFound");
    let quick = Aws::in_weather(3600.0, "").await;
    let made = quick.network();
    let id = gateway(&quick, &made, &address(&quick), "nat-a");
    until(&quick, &format!("ec2:DescribeNatGateways&NatGatewayId.1={id}"), "<state>available</state>");
}

#[tokio::test]
async fn a_nat_gateway_holds_its_address_until_it_is_gone() {
    let aws = Aws::in_weather(1.0, &at_once("nat-gateway-deletion = '1h'\n")).await;
    let made = aws.network();
    let held = address(&aws);
    let id = gateway(&aws, &made, &held, "nat-a");
    let release = format!("ec2:ReleaseAddress&AllocationId={held}");
    let subnet = format!("ec2:DeleteSubnet&SubnetId={}", made.subnets[0]);
    assert_eq!(aws.query(&format!("ec2:DescribeNatGateways&NatGatewayId.1={id}"), "state"), "available");
    assert_eq!(aws.refused(&release), "InvalidIPAddress.InUse");
    let interface = aws.call("ec2:DescribeNetworkInterfaces&Filter.1.Name=status&Filter.1.Value.1=in-use");
    assert!(interface.contains(&format!("Interface for NAT Gateway {id}")), "{interface}");
    aws.call(&format!("ec2:DeleteNatGateway&NatGatewayId={id}"));
    assert_eq!(aws.query(&format!("ec2:DescribeNatGateways&NatGatewayId.1={id}"), "state"), "deleting");
    assert_eq!(aws.refused(&release), "InvalidIPAddress.InUse");
    assert_eq!(
        aws.message(&subnet, "DependencyViolation"),
        format!("The subnet '{}' has dependencies and cannot be deleted.", made.subnets[0])
    );

    aws.local.set_weather(ecs_local::Weather::parse(&at_once("")).expect("a scenario"));
    let other = address(&aws);
    let id = gateway(&aws, &made, &other, "nat-b");
    aws.call(&format!("ec2:DeleteNatGateway&NatGatewayId={id}"));
    assert_eq!(aws.query(&format!("ec2:DescribeNatGateways&NatGatewayId.1={id}"), "state"), "deleted");
    assert!(aws.query(&format!("ec2:DescribeNatGateways&NatGatewayId.1={id}"), "deleteTime").ends_with('Z'));
    assert_eq!(aws.refused(&format!("ec2:DeleteNatGateway&NatGatewayId={id}")), "NatGatewayNotFound");
    let route = format!("DestinationCidrBlock=0.0.0.0/0&NatGatewayId={id}");
    let table = aws.query(&format!("ec2:CreateRouteTable&VpcId={}", made.vpc), "routeTableId");
    assert_eq!(aws.refused(&format!("ec2:CreateRoute&RouteTableId={table}&{route}")), "InvalidNatGatewayID.NotFound");
    let live = gateway(&aws, &made, &other, "nat-c");
    aws.call(&format!("ec2:CreateRoute&RouteTableId={table}&DestinationCidrBlock=0.0.0.0/0&NatGatewayId={live}"));
    let states = || {
        let answer = aws.call(&format!("ec2:DescribeRouteTables&RouteTableId.1={table}"));
        ["active", "blackhole"].map(|state| answer.matches(&format!("<state>{state}</state>")).count())
    };
    assert_eq!(states(), [2, 0]);
    aws.call(&format!("ec2:DeleteNatGateway&NatGatewayId={live}"));
    assert_eq!(states(), [1, 1]);
    aws.call(&format!("ec2:ReleaseAddress&AllocationId={other}"));
    assert_eq!(aws.refused(&format!("ec2:ReleaseAddress&AllocationId={other}")), "InvalidAllocationID.NotFound");
}

#[tokio::test]
async fn a_nat_gateway_that_fails_says_why() {
    let failure = "[[provisioning.failure]]\nkind = 'nat-gateway'\nname = 'nat-*'\ntimes = 1\ncode = 'InternalError'\nmessage = 'Try again.'";
    let aws = Aws::in_weather(0.0, failure).await;
    let made = aws.network();
    let held = address(&aws);
    let id = gateway(&aws, &made, &held, "nat-a");
    let said = |id: &str| {
        let answer = aws.call(&format!("ec2:DescribeNatGateways&NatGatewayId.1={id}"));
        ["state", "failureCode", "failureMessage"].map(|tag| within(&answer, tag).unwrap_or_default())
    };
    assert_eq!(said(&id), ["failed", "InternalError", "Try again."]);
    assert_eq!(count(&aws, "DescribeNatGateways", &[("state", "failed")], "natGatewayId"), 1);
    assert_eq!(aws.refused(&format!("ec2:ReleaseAddress&AllocationId={held}")), "InvalidIPAddress.InUse");

    // An address that is in use shows in the state only.
    let second = gateway(&aws, &made, &held, "nat-b");
    let message = format!("Elastic IP address {held} is already associated");
    assert_eq!(said(&second), ["failed", "Resource.AlreadyAssociated", &message]);

    aws.call(&format!("ec2:DeleteNatGateway&NatGatewayId={id}"));
    let third = gateway(&aws, &made, &held, "nat-c");
    assert_eq!(said(&third), ["available", "", ""]);

    // So does a VPC without an internet gateway.
    let vpc = aws.query("ec2:CreateVpc&CidrBlock=10.1.0.0/16", "vpcId");
    let alone = Network { subnets: [aws.subnet(&vpc, "a", "10.1.0.0/24"), String::new()], vpc, group: String::new() };
    let fourth = gateway(&aws, &alone, &address(&aws), "nat-d");
    let message = format!("Network {} has no Internet gateway attached", alone.vpc);
    assert_eq!(said(&fourth), ["failed", "Gateway.NotAttached", &message]);
}

#[tokio::test]
async fn an_interface_endpoint_comes_up_and_goes_in_its_time() {
    let aws = Aws::in_weather(1.0, &at_once("vpc-endpoint = '1h'\ninterfaces = '1h'\n")).await;
    let made = aws.network();
    let create = |kind: &str, more: &str| {
        let call =
            format!("ec2:CreateVpcEndpoint&VpcId={}&ServiceName=com.amazonaws.us-east-1.{kind}&{more}", made.vpc);
        aws.query(&call, "vpcEndpointId")
    };
    let interface = create(
        "ecr.api",
        &format!("VpcEndpointType=Interface&SubnetId.1={}&SecurityGroupId.1={}", made.subnets[0], made.group),
    );
    let table = aws.query(&format!("ec2:CreateRouteTable&VpcId={}", made.vpc), "routeTableId");
    let gateway = create("s3", &format!("RouteTableId.1={table}"));
    let state = |id: &str| aws.query(&format!("ec2:DescribeVpcEndpoints&VpcEndpointId.1={id}"), "state");
    assert_eq!((state(&interface), state(&gateway)), ("pending".to_owned(), "available".to_owned()));
    assert_eq!(count(&aws, "DescribeVpcEndpoints", &[("vpc-endpoint-state", "pending")], "vpcEndpointId"), 1);
    let group = format!("ec2:DeleteSecurityGroup&GroupId={}", made.group);
    assert_eq!(aws.refused(&group), "DependencyViolation");
    aws.call(&format!("ec2:DeleteVpcEndpoints&VpcEndpointId.1={interface}&VpcEndpointId.2={gateway}"));
    assert_eq!(state(&interface), "deleting");
    assert_eq!(aws.refused(&group), "DependencyViolation");
    assert_eq!(
        aws.refused(&format!("ec2:DescribeVpcEndpoints&VpcEndpointId.1={gateway}")),
        "InvalidVpcEndpointId.NotFound"
    );
    let again = aws.call(&format!("ec2:DeleteVpcEndpoints&VpcEndpointId.1={gateway}"));
    assert!(again.contains("<code>InvalidVpcEndpoint.NotFound</code>"), "{again}");
    let unknown = format!("ec2:CreateVpcEndpoint&VpcId={}&ServiceName=com.amazonaws.eu-west-1.s3", made.vpc);
    assert_eq!(aws.refused(&unknown), "InvalidServiceName");
}

#[tokio::test]
async fn an_interface_endpoint_that_fails_says_why() {
    let failure =
        "[[provisioning.failure]]\nkind = 'vpc-endpoint'\nname = '*'\ncode = 'InternalError'\nmessage = 'No.'";
    let aws = Aws::in_weather(0.0, failure).await;
    let made = aws.network();
    let service = "ServiceName=com.amazonaws.us-east-1.ecr.api&VpcEndpointType=Interface";
    let create = format!("ec2:CreateVpcEndpoint&VpcId={}&{service}&SubnetId.1={}", made.vpc, made.subnets[0]);
    assert_eq!(aws.query(&create, "state"), "pending");
    let answer = aws.call("ec2:DescribeVpcEndpoints&Filter.1.Name=vpc-endpoint-state&Filter.1.Value.1=failed");
    assert!(answer.contains("<lastError><message>No.</message><code>InternalError</code></lastError>"), "{answer}");
}

#[tokio::test]
async fn what_is_new_is_not_found() {
    let aws = Aws::in_weather(1.0, "").await;
    let made = aws.network();
    aws.local.set_weather(ecs_local::Weather::parse("[consistency]\nlag = '1h'").expect("a scenario"));
    let vpc = aws.query("ec2:CreateVpc&CidrBlock=10.1.0.0/16", "vpcId");
    let subnet = aws.subnet(&made.vpc, "c", "10.0.2.0/24");
    let group =
        aws.query(&format!("ec2:CreateSecurityGroup&GroupName=new&GroupDescription=new&VpcId={}", made.vpc), "groupId");
    let gateway = aws.query("ec2:CreateInternetGateway", "internetGatewayId");
    let table = aws.query(&format!("ec2:CreateRouteTable&VpcId={}", made.vpc), "routeTableId");
    let address = address(&aws);
    let rule = "IpPermissions.1.IpProtocol=-1&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8";
    for (call, code) in [
        (format!("DescribeVpcs&VpcId.1={vpc}"), "InvalidVpcID.NotFound"),
        (format!("DescribeVpcAttribute&VpcId={vpc}&Attribute=enableDnsSupport"), "InvalidVpcID.NotFound"),
        (format!("CreateSubnet&VpcId={vpc}&CidrBlock=10.1.0.0/24"), "InvalidVpcID.NotFound"),
        (format!("CreateTags&ResourceId.1={vpc}&Tag.1.Key=a&Tag.1.Value=b"), "InvalidVpcID.NotFound"),
        (format!("DescribeSubnets&SubnetId.1={subnet}"), "InvalidSubnetID.NotFound"),
        (format!("CreateNatGateway&SubnetId={subnet}&AllocationId={address}"), "InvalidSubnetID.NotFound"),
        (
            format!("CreateNatGateway&SubnetId={}&AllocationId={address}", made.subnets[0]),
            "InvalidAllocationID.NotFound",
        ),
        (format!("AuthorizeSecurityGroupIngress&GroupId={group}&{rule}"), "InvalidGroup.NotFound"),
        (
            format!("AttachInternetGateway&VpcId={}&InternetGatewayId={gateway}", made.vpc),
            "InvalidInternetGatewayID.NotFound",
        ),
        (
            format!("AssociateRouteTable&SubnetId={}&RouteTableId={table}", made.subnets[0]),
            "InvalidRouteTableID.NotFound",
        ),
    ] {
        assert_eq!(aws.refused(&format!("ec2:{call}")), code, "{call}");
    }
    assert_eq!(count(&aws, "DescribeVpcs", &[("cidr-block", "10.1.0.0/16")], "isDefault"), 0);
    // The default group and the main route table of a new VPC are as new as it is.
    assert_eq!(count(&aws, "DescribeSecurityGroups", &[("vpc-id", &vpc)], "groupName"), 0);
    assert_eq!(count(&aws, "DescribeSubnets", &[("vpc-id", &made.vpc)], "subnetArn"), 2);
    // The zone and the range are taken nevertheless.
    let twice = format!("ec2:CreateSubnet&VpcId={}&CidrBlock=10.0.2.0/24", made.vpc);
    assert_eq!(aws.refused(&twice), "InvalidSubnet.Conflict");
}

#[tokio::test]
async fn what_is_new_shows_when_its_time_has_come() {
    let aws = Aws::in_weather(60.0, "[consistency]\nlag = '30s'").await;
    let vpc = aws.query("ec2:CreateVpc&CidrBlock=10.1.0.0/16", "vpcId");
    until(&aws, &format!("ec2:DescribeVpcs&VpcId.1={vpc}"), "<vpcSet>");
    assert_eq!(count(&aws, "DescribeSecurityGroups", &[("vpc-id", &vpc)], "groupName"), 1);
}

#[tokio::test]
async fn what_is_deleted_is_still_listed() {
    let aws = Aws::in_weather(1.0, "").await;
    let made = aws.network();
    let spare = aws.subnet(&made.vpc, "c", "10.0.2.0/24");
    aws.local.set_weather(ecs_local::Weather::parse("[consistency]\nlag = '1h'").expect("a scenario"));
    let delete = format!("ec2:DeleteSubnet&SubnetId={spare}");
    aws.call(&delete);
    for call in [
        format!("ec2:DescribeSubnets&SubnetId.1={spare}"),
        format!("ec2:DescribeSubnets&SubnetId.1={}&SubnetId.2={spare}", made.subnets[0]),
        format!("ec2:DescribeSubnets&Filter.1.Name=vpc-id&Filter.1.Value.1={}", made.vpc),
        "ec2:DescribeSubnets".to_owned(),
    ] {
        assert!(aws.call(&call).contains(&format!("<subnetId>{spare}</subnetId>")), "{call}");
    }
    assert_eq!(count(&aws, "DescribeSubnets", &[("cidr-block", "10.0.0.0/24")], "subnetArn"), 1);
    assert_eq!(aws.refused(&delete), "InvalidSubnetID.NotFound");
}

#[tokio::test]
async fn network_interfaces_linger() {
    let aws = Aws::in_weather(1.0, &at_once("interfaces = '1h'\n")).await;
    let made = aws.network();
    let [one, other] = &made.subnets;
    let arn = aws.query(
        &format!(
            "elb:CreateLoadBalancer&Name=web&Subnets.member.1={one}&Subnets.member.2={other}&SecurityGroups.member.1={}",
            made.group
        ),
        "LoadBalancerArn",
    );
    aws.call(&format!(
        "rds:CreateDBSubnetGroup&DBSubnetGroupName=g&DBSubnetGroupDescription=g&SubnetIds.SubnetIdentifier.1={one}&SubnetIds.SubnetIdentifier.2={other}"
    ));
    aws.call(&format!(
        "rds:CreateDBInstance&DBInstanceIdentifier=db&Engine=postgres&DBInstanceClass=db.t4g.micro&AllocatedStorage=20&MasterUsername=app&MasterUserPassword=hunter2hunter2&DBSubnetGroupName=g&VpcSecurityGroupIds.VpcSecurityGroupId.1={}",
        made.group
    ));
    let name = arn.split_once("loadbalancer/").map(|(_, name)| format!("ELB {name}")).expect("an ARN");
    let name = name.replace(' ', "%20");
    let found = |filters: &[(&str, &str)]| count(&aws, "DescribeNetworkInterfaces", filters, "networkInterfaceId");
    let all = |deleted: bool| {
        for (filter, value, wanted) in [
            ("description", name.as_str(), 2),
            ("description", "RDSNetworkInterface", 1),
            ("group-id", &made.group, 3),
            ("vpc-id", &made.vpc, 3),
            ("status", "in-use", 3),
            ("status", "available", 0),
            ("attachment.instance-owner-id", "amazon-elb", 2),
            ("requester-managed", "true", 3),
        ] {
            assert_eq!(found(&[(filter, value)]), wanted, "{filter}={value}, deleted: {deleted}");
        }
        assert_eq!(found(&[("subnet-id", one), ("description", "ELB*")]), 1, "deleted: {deleted}");
        let gateway = aws.query("ec2:DescribeInternetGateways", "internetGatewayId");
        for (call, code) in [
            (format!("DeleteSecurityGroup&GroupId={}", made.group), "DependencyViolation"),
            (format!("DeleteSubnet&SubnetId={one}"), "DependencyViolation"),
            (format!("DetachInternetGateway&InternetGatewayId={gateway}&VpcId={}", made.vpc), "DependencyViolation"),
            (format!("DeleteVpc&VpcId={}", made.vpc), "DependencyViolation"),
        ] {
            assert_eq!(aws.refused(&format!("ec2:{call}")), code, "{call}, deleted: {deleted}");
        }
    };
    all(false);
    let id = aws
        .query("ec2:DescribeNetworkInterfaces&Filter.1.Name=description&Filter.1.Value.1=RDS*", "networkInterfaceId");
    assert_eq!(aws.query(&format!("ec2:DescribeNetworkInterfaces&NetworkInterfaceId.1={id}"), "status"), "in-use");
    assert_eq!(aws.refused(&format!("ec2:DeleteNetworkInterface&NetworkInterfaceId={id}")), "InvalidParameterValue");
    aws.call(&format!("elb:DeleteLoadBalancer&LoadBalancerArn={arn}"));
    aws.call("rds:DeleteDBInstance&DBInstanceIdentifier=db&SkipFinalSnapshot=true");
    all(true);
}

#[tokio::test]
async fn network_interfaces_go_in_the_end() {
    let aws = Aws::in_weather(600.0, "").await;
    let made = aws.network();
    let [one, other] = &made.subnets;
    let create = format!("elb:CreateLoadBalancer&Name=web&Subnets.member.1={one}&Subnets.member.2={other}");
    let arn = aws.query(&create, "LoadBalancerArn");
    let listed = format!("ec2:DescribeNetworkInterfaces&Filter.1.Name=vpc-id&Filter.1.Value.1={}", made.vpc);
    until(&aws, &listed, "ELB app/web/");
    aws.call(&format!("elb:DeleteLoadBalancer&LoadBalancerArn={arn}"));
    until(&aws, &listed, "<networkInterfaceSet></networkInterfaceSet>");
    aws.call(&format!("ec2:DeleteSubnet&SubnetId={one}"));
}

#[tokio::test]
async fn ranges_zones_and_quotas_are_checked() {
    let aws = Aws::instant().await;
    let made = aws.network();
    let subnet = format!("ec2:CreateSubnet&VpcId={}", made.vpc);
    for (call, code) in [
        ("ec2:CreateVpc&CidrBlock=10.0.0.0/8".to_owned(), "InvalidVpc.Range"),
        ("ec2:CreateVpc&CidrBlock=10.0.0.0/29".to_owned(), "InvalidVpc.Range"),
        ("ec2:CreateVpc&CidrBlock=10.0.0".to_owned(), "InvalidParameterValue"),
        (format!("{subnet}&CidrBlock=10.1.0.0/24"), "InvalidSubnet.Range"),
        (format!("{subnet}&CidrBlock=10.0.9.0/29"), "InvalidSubnet.Range"),
        (format!("{subnet}&CidrBlock=10.0.0.128/25"), "InvalidSubnet.Conflict"),
        (format!("{subnet}&CidrBlock=10.0.9.0/24&AvailabilityZone=us-east-1z"), "InvalidParameterValue"),
        (format!("{subnet}&CidrBlock=10.0.9.0/24&AvailabilityZone=eu-west-1a"), "InvalidParameterValue"),
        (
            format!(
                "ec2:ModifyVpcAttribute&VpcId={}&EnableDnsSupport.Value=true&EnableDnsHostnames.Value=true",
                made.vpc
            ),
            "InvalidParameterCombination",
        ),
        ("ec2:CreateSubnet&VpcId=vpc-0123&CidrBlock=10.0.9.0/24".to_owned(), "InvalidVpcID.NotFound"),
    ] {
        assert_eq!(aws.refused(&call), code, "{call}");
    }
    assert_eq!(aws.query(&format!("{subnet}&CidrBlock=10.0.9.7/24"), "cidrBlock"), "10.0.9.0/24");

    // The default VPC is the first of five.
    for number in 1..=3 {
        aws.call(&format!("ec2:CreateVpc&CidrBlock=10.{number}.0.0/16"));
    }
    assert_eq!(aws.refused("ec2:CreateVpc&CidrBlock=10.9.0.0/16"), "VpcLimitExceeded");
    for _ in 0..5 {
        address(&aws);
    }
    assert_eq!(
        aws.message("ec2:AllocateAddress&Domain=vpc", "AddressLimitExceeded"),
        "The maximum number of addresses has been reached."
    );
}

#[tokio::test]
async fn gateways_and_route_tables_are_checked() {
    let aws = Aws::instant().await;
    let made = aws.network();
    let vpc = &made.vpc;
    let attached = aws.query("ec2:DescribeInternetGateways", "internetGatewayId");
    let spare = aws.query("ec2:CreateInternetGateway", "internetGatewayId");
    let table = aws.query(&format!("ec2:CreateRouteTable&VpcId={vpc}"), "routeTableId");
    let other = aws.query(&format!("ec2:CreateRouteTable&VpcId={vpc}"), "routeTableId");
    let main = aws.query(
        &format!("ec2:DescribeRouteTables&Filter.1.Name=vpc-id&Filter.1.Value.1={vpc}&Filter.2.Name=association.main&Filter.2.Value.1=true"),
        "routeTableId",
    );
    let main_association =
        aws.query(&format!("ec2:DescribeRouteTables&RouteTableId.1={main}"), "routeTableAssociationId");
    aws.call(&format!("ec2:AssociateRouteTable&RouteTableId={table}&SubnetId={}", made.subnets[0]));
    let route = format!("CreateRoute&RouteTableId={table}&DestinationCidrBlock=0.0.0.0/0");
    aws.call(&format!("ec2:{route}&GatewayId={attached}"));
    for (call, code, words) in [
        (
            format!("AttachInternetGateway&VpcId={vpc}&InternetGatewayId={attached}"),
            "Resource.AlreadyAssociated",
            format!("resource {attached} is already attached to network {vpc}"),
        ),
        (
            format!("AttachInternetGateway&VpcId={vpc}&InternetGatewayId={spare}"),
            "InvalidParameterValue",
            format!("Network {vpc} already has an internet gateway attached"),
        ),
        (
            format!("DetachInternetGateway&VpcId={vpc}&InternetGatewayId={spare}"),
            "Gateway.NotAttached",
            format!("resource {spare} is not attached to network {vpc}"),
        ),
        (
            format!("DeleteInternetGateway&InternetGatewayId={attached}"),
            "DependencyViolation",
            format!("The internetGateway '{attached}' has dependencies and cannot be deleted."),
        ),
        (
            format!("{route}&GatewayId={attached}"),
            "RouteAlreadyExists",
            "The route identified by 0.0.0.0/0 already exists".to_owned(),
        ),
        (
            format!("CreateRoute&RouteTableId={table}&DestinationCidrBlock=9.0.0.0/8&GatewayId={spare}"),
            "InvalidParameterValue",
            format!("route table {table} and network gateway {spare} belong to different networks"),
        ),
        (
            format!("CreateRoute&RouteTableId={table}&DestinationCidrBlock=9.0.0.0/8&NatGatewayId=nat-0123"),
            "InvalidNatGatewayID.NotFound",
            "The natGateway ID 'nat-0123' does not exist".to_owned(),
        ),
        (
            format!("DeleteRoute&RouteTableId={table}&DestinationCidrBlock=10.0.0.0/16"),
            "InvalidParameterValue",
            format!("cannot remove local route 10.0.0.0/16 in route table {table}"),
        ),
        (
            format!("AssociateRouteTable&RouteTableId={other}&SubnetId={}", made.subnets[0]),
            "Resource.AlreadyAssociated",
            format!("the specified association for route table {other} conflicts with an existing association"),
        ),
        (
            format!("DisassociateRouteTable&AssociationId={main_association}"),
            "InvalidParameterValue",
            format!("cannot disassociate the main route table association {main_association}"),
        ),
        (
            format!("DeleteRouteTable&RouteTableId={table}"),
            "DependencyViolation",
            format!("The routeTable '{table}' has dependencies and cannot be deleted."),
        ),
        (
            format!("DeleteRouteTable&RouteTableId={main}"),
            "DependencyViolation",
            format!("The routeTable '{main}' has dependencies and cannot be deleted."),
        ),
    ] {
        assert_eq!(aws.message(&format!("ec2:{call}"), code), words, "{call}");
    }
    let missing = format!("ec2:CreateRoute&RouteTableId={table}&DestinationCidrBlock=9.0.0.0/8");
    assert_eq!(aws.refused(&missing), "MissingParameter");
    aws.call(&format!("ec2:DeleteRouteTable&RouteTableId={other}"));
}

#[tokio::test]
async fn groups_and_rules_are_checked() {
    let aws = Aws::instant().await;
    let made = aws.network();
    let group = &made.group;
    let create = |name: &str| format!("ec2:CreateSecurityGroup&GroupName={name}&GroupDescription=x&VpcId={}", made.vpc);
    assert_eq!(
        aws.message(&create("web"), "InvalidGroup.Duplicate"),
        format!("The security group 'web' already exists for VPC '{}'", made.vpc)
    );
    let stranger = create("web").replace(&made.vpc, "vpc-0123");
    assert_eq!(aws.refused(&stranger), "InvalidVpcID.NotFound");
    let other = aws.query(&create("other"), "groupId");
    let rule = |action: &str, port: u16, peer: &str| {
        format!(
            "ec2:{action}SecurityGroupIngress&GroupId={group}&IpPermissions.1.IpProtocol=tcp\
             &IpPermissions.1.FromPort={port}&IpPermissions.1.ToPort={port}&IpPermissions.1.{peer}"
        )
    };
    let range = "IpRanges.1.CidrIp=0.0.0.0/0";
    let reference = format!("Groups.1.GroupId={other}");
    aws.call(&rule("Authorize", 80, &format!("{range}&IpPermissions.1.IpRanges.1.Description=one")));
    aws.call(&rule("Authorize", 80, &format!("{reference}&IpPermissions.1.Groups.1.Description=one")));
    assert_eq!(
        aws.message(&rule("Authorize", 80, range), "InvalidPermission.Duplicate"),
        "the specified rule &quot;peer: 0.0.0.0/0, TCP, from port: 80, to port: 80, ALLOW&quot; already exists"
    );
    for (call, code) in [
        (rule("Authorize", 80, &reference), "InvalidPermission.Duplicate"),
        (rule("Authorize", 80, "Groups.1.GroupId=sg-0123"), "InvalidGroup.NotFound"),
        (rule("Revoke", 81, range), "InvalidPermission.NotFound"),
        (
            format!("ec2:RevokeSecurityGroupIngress&GroupId={group}&SecurityGroupRuleId.1=sgr-0123"),
            "InvalidSecurityGroupRuleId.NotFound",
        ),
        (format!("ec2:DeleteSecurityGroup&GroupId={other}"), "DependencyViolation"),
    ] {
        assert_eq!(aws.refused(&call), code, "{call}");
    }
    aws.call(&rule("Revoke", 80, &reference));
    aws.call(&format!("ec2:DeleteSecurityGroup&GroupId={other}"));
    let default = aws.query(
        &format!("ec2:DescribeSecurityGroups&Filter.1.Name=vpc-id&Filter.1.Value.1={}&Filter.2.Name=group-name&Filter.2.Value.1=default", made.vpc),
        "groupId",
    );
    assert_eq!(aws.refused(&format!("ec2:DeleteSecurityGroup&GroupId={default}")), "CannotDelete");
}

#[tokio::test]
async fn tags_are_checked() {
    let aws = Aws::instant().await;
    let made = aws.network();
    let create = "ec2:CreateInternetGateway&TagSpecification.1.ResourceType=internet-gateway";
    let many: String = (1..=51).map(|n| format!("&TagSpecification.1.Tag.{n}.Key=k{n}")).collect();
    for (call, code) in [
        (format!("{create}&TagSpecification.1.Tag.1.Key=aws:x"), "InvalidParameterValue"),
        (format!("{create}&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.2.Key=a"), "InvalidParameterValue"),
        (format!("{create}{many}"), "TagLimitExceeded"),
        (create.replace("=internet-gateway", "=vpc"), "InvalidParameterValue"),
        (format!("ec2:CreateTags&ResourceId.1={}&Tag.1.Key=AWS:x&Tag.1.Value=", made.vpc), "InvalidParameterValue"),
        (format!("ec2:CreateTags&ResourceId.1={}&Tag.1.Key={}", made.vpc, "k".repeat(129)), "InvalidParameterValue"),
        ("ec2:CreateTags&ResourceId.1=vpc-01234567&Tag.1.Key=a&Tag.1.Value=b".to_owned(), "InvalidVpcID.NotFound"),
    ] {
        assert_eq!(aws.refused(&call), code, "{call}");
    }
}

#[tokio::test]
async fn of_two_calls_at_the_same_moment_one_wins() {
    let aws = Aws::instant().await;
    let made = aws.network();
    let spares: Vec<String> = (0..3).map(|_| address(&aws)).collect();
    let statuses = std::thread::scope(|scope| {
        let (aws, made) = (&aws, &made);
        let calls = (0..8).map(|_| {
            scope.spawn(move || {
                aws.raw(&format!(
                    "ec2:CreateSubnet&VpcId={}&CidrBlock=10.0.5.0/24&AvailabilityZone=us-east-1a",
                    made.vpc
                ))
                .0
            })
        });
        let calls: Vec<_> = calls.collect();
        calls.into_iter().map(|call| call.join().expect("a status")).collect::<Vec<_>>()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    let statuses = std::thread::scope(|scope| {
        let aws = &aws;
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(move || aws.raw("ec2:AllocateAddress&Domain=vpc").0)).collect();
        calls.into_iter().map(|call| call.join().expect("a status")).collect::<Vec<_>>()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count() + spares.len(), 5, "{statuses:?}");
}
