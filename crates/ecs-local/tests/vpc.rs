//! VPCs: network ACLs, NAT gateways of all zones, and where endpoints may be.

mod query;

use query::{Aws, within};

#[tokio::test]
async fn network_acls_and_their_rules_are_checked() {
    let aws = Aws::in_weather(0.0, "").await;
    let made = aws.network();
    let acl = aws.query(&format!("ec2:CreateNetworkAcl&VpcId={}", made.vpc), "networkAclId");
    let described = || aws.call(&format!("ec2:DescribeNetworkAcls&NetworkAclId.1={acl}"));
    assert_eq!(described().matches("<ruleNumber>32767</ruleNumber>").count(), 2, "{}", described());
    let rule = |operation: &str, number: u32, rest: &str| {
        format!("ec2:{operation}&NetworkAclId={acl}&RuleNumber={number}&Egress=false{rest}")
    };
    let whole = "&Protocol=6&RuleAction=allow&CidrBlock=0.0.0.0/0&PortRange.From=80&PortRange.To=80";
    assert_eq!(aws.refused(&rule("ReplaceNetworkAclEntry", 100, whole)), "InvalidNetworkAclEntry.NotFound");
    assert_eq!(aws.refused(&rule("DeleteNetworkAclEntry", 100, "")), "InvalidNetworkAclEntry.NotFound");
    let without_ports = "&Protocol=6&RuleAction=allow&CidrBlock=0.0.0.0/0";
    assert_eq!(aws.refused(&rule("CreateNetworkAclEntry", 100, without_ports)), "MissingParameter");
    for number in 0..20 {
        aws.call(&rule("CreateNetworkAclEntry", 100 + number, whole));
    }
    assert_eq!(aws.refused(&rule("CreateNetworkAclEntry", 100, whole)), "NetworkAclEntryAlreadyExists");
    assert_eq!(aws.refused(&rule("CreateNetworkAclEntry", 200, whole)), "NetworkAclEntryLimitExceeded");
    aws.call(&rule("DeleteNetworkAclEntry", 100, ""));

    let subnet = &made.subnets[0];
    let find = format!("ec2:DescribeNetworkAcls&Filter.1.Name=association.subnet-id&Filter.1.Value.1={subnet}");
    let own = aws.query(&find, "networkAclId");
    let associate = |association: &str, acl: &str| {
        format!("ec2:ReplaceNetworkAclAssociation&AssociationId={association}&NetworkAclId={acl}")
    };
    assert_eq!(aws.refused(&associate("aclassoc-0123", &acl)), "InvalidAssociationID.NotFound");
    let all = aws.call(&find);
    let at = all.find(&format!("<subnetId>{subnet}</subnetId>")).expect("the subnet");
    let (_, last) = all[..at].rsplit_once("<networkAclAssociationId>").expect("an association");
    let (association, _) = last.split_once('<').expect("its id");
    aws.call(&associate(association, &acl));
    assert_eq!(aws.query(&find, "networkAclId"), acl);
    assert_eq!(aws.refused(&format!("ec2:DeleteNetworkAcl&NetworkAclId={acl}")), "DependencyViolation");
    assert_eq!(aws.refused(&format!("ec2:DeleteNetworkAcl&NetworkAclId={own}")), "InvalidParameterValue");
    // It is free when its subnet is gone, and in the way of its VPC until it is gone too.
    aws.call(&format!("ec2:DeleteSubnet&SubnetId={subnet}"));
    aws.call(&format!("ec2:DeleteNetworkAcl&NetworkAclId={acl}"));
    assert_eq!(aws.refused(&format!("ec2:DeleteNetworkAcl&NetworkAclId={acl}")), "InvalidNetworkAclID.NotFound");
}

#[tokio::test]
async fn a_regional_nat_gateway_is_in_no_subnet_and_holds_its_vpc() {
    let aws = Aws::instant().await;
    let made = aws.network();
    let regional = format!("ec2:CreateNatGateway&AvailabilityMode=regional&VpcId={}", made.vpc);
    let zonal = "ec2:CreateNatGateway&AvailabilityMode=regional&SubnetId=";
    assert_eq!(aws.refused(&format!("{zonal}{}", made.subnets[0])), "InvalidParameterCombination");
    assert_eq!(aws.refused("ec2:CreateNatGateway&AvailabilityMode=regional"), "MissingParameter");
    assert_eq!(aws.refused(&regional.replace(&made.vpc, "vpc-0123")), "InvalidVpcID.NotFound");
    let answer = aws.call(&regional);
    let id = within(&answer, "natGatewayId").expect("an id");
    for (tag, text) in
        [("availabilityMode", "regional"), ("connectivityType", "public"), ("autoProvisionZones", "enabled")]
    {
        assert_eq!(within(&answer, tag).as_deref(), Some(text), "{answer}");
    }
    assert!(!answer.contains("subnetId"), "{answer}");
    let describe = format!("ec2:DescribeNatGateways&NatGatewayId.1={id}");
    assert_eq!(aws.query(&describe, "state"), "available");
    // Nothing of it is in the subnets, and it keeps its internet gateway.
    for subnet in &made.subnets {
        aws.call(&format!("ec2:DeleteSubnet&SubnetId={subnet}"));
    }
    let gateway = aws.query("ec2:DescribeInternetGateways", "internetGatewayId");
    let detach = format!("ec2:DetachInternetGateway&InternetGatewayId={gateway}&VpcId={}", made.vpc);
    assert_eq!(aws.refused(&detach), "DependencyViolation");
    aws.call(&format!("ec2:DeleteNatGateway&NatGatewayId={id}"));
    aws.call(&detach);
    let other = aws.query("ec2:CreateVpc&CidrBlock=10.1.0.0/16", "vpcId");
    aws.subnet(&other, "a", "10.1.0.0/24");
    let id = aws.query(&regional.replace(&made.vpc, &other), "natGatewayId");
    let failed = aws.call(&format!("ec2:DescribeNatGateways&NatGatewayId.1={id}"));
    assert_eq!(within(&failed, "failureCode").as_deref(), Some("Gateway.NotAttached"), "{failed}");
}

#[tokio::test]
async fn an_interface_endpoint_needs_names_and_one_subnet_a_zone() {
    let aws = Aws::instant().await;
    let made = aws.network();
    let endpoint = |rest: &str| {
        format!(
            "ec2:CreateVpcEndpoint&VpcId={}&VpcEndpointType=Interface&ServiceName=com.amazonaws.us-east-1.logs{rest}",
            made.vpc
        )
    };
    let in_one = format!("&SubnetId.1={}", made.subnets[0]);
    let named = endpoint(&format!("{in_one}&PrivateDnsEnabled=true"));
    let message = aws.message(&named, "InvalidParameter");
    assert!(message.contains("enableDnsHostnames"), "{message}");
    aws.call(&format!("ec2:ModifyVpcAttribute&VpcId={}&EnableDnsHostnames.Value=true", made.vpc));
    let id = aws.query(&named, "vpcEndpointId");
    let beside = aws.subnet(&made.vpc, "a", "10.0.7.0/24");
    let two = endpoint(&format!("{in_one}&SubnetId.2={beside}&PrivateDnsEnabled=false"));
    assert_eq!(aws.refused(&two), "DuplicateSubnetsInSameZone");
    let modify = format!("ec2:ModifyVpcEndpoint&VpcEndpointId={id}&AddSubnetId.1=");
    assert_eq!(aws.refused(&format!("{modify}{beside}")), "DuplicateSubnetsInSameZone");
    aws.call(&format!("{modify}{beside}&RemoveSubnetId.1={}", made.subnets[0]));
    aws.call(&format!("{modify}{}", made.subnets[1]));
}
