//! What ELBv2 and RDS ask EC2: which VPC a subnet or a security group is in.

use crate::answer::{text, texts};
use crate::proxy::Proxy;

const VERSION: &str = "2016-11-15";

/// Where a subnet is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subnet {
    pub(crate) vpc: String,
    pub(crate) zone: String,
}

/// A subnet, if it exists.
pub(crate) async fn subnet(proxy: &Proxy, region: &str, id: &str) -> Option<Subnet> {
    let xml = describe(proxy, region, &[("Action", "DescribeSubnets"), ("SubnetId.1", id)]).await?;
    Some(Subnet { vpc: text(&xml, "vpcId")?.to_owned(), zone: text(&xml, "availabilityZone")?.to_owned() })
}

/// The VPC of a security group, if it exists.
pub(crate) async fn security_group_vpc(proxy: &Proxy, region: &str, id: &str) -> Option<String> {
    let xml = describe(proxy, region, &[("Action", "DescribeSecurityGroups"), ("GroupId.1", id)]).await?;
    // The group's own: those of groups that its rules name come in `groups`, without one.
    text(&xml, "vpcId").map(str::to_owned)
}

/// Whether a VPC has an internet gateway.
pub(crate) async fn has_internet_gateway(proxy: &Proxy, region: &str, vpc: &str) -> bool {
    let form =
        [("Action", "DescribeInternetGateways"), ("Filter.1.Name", "attachment.vpc-id"), ("Filter.1.Value.1", vpc)];
    describe(proxy, region, &form).await.is_some_and(|xml| xml.contains("<internetGatewayId>"))
}

/// The ranges of a VPC: "10.0.0.0/16".
pub(crate) async fn ranges(proxy: &Proxy, region: &str, vpc: &str) -> Vec<String> {
    let form = [("Action", "DescribeVpcs"), ("VpcId.1", vpc)];
    let xml = describe(proxy, region, &form).await.unwrap_or_default();
    let mut ranges: Vec<String> = texts(&xml, "cidrBlock").into_iter().map(str::to_owned).collect();
    ranges.dedup();
    ranges
}

async fn describe(proxy: &Proxy, region: &str, form: &[(&str, &str)]) -> Option<String> {
    proxy.upstream.query("ec2", region, VERSION, form).await.ok()
}
