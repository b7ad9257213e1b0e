//! The kinds of things that EC2 keeps: how each is made, listed and deleted, and how one that is missing is refused.

use super::refusal::Refusal;
use crate::call::Request;

/// A kind of thing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// What its ids begin with, before a hyphen and hexadecimal digits.
    prefix: &'static str,
    /// The operation that makes one.
    pub(super) create: &'static str,
    /// The operation that lists them.
    pub(super) describe: &'static str,
    /// The operation that deletes one.
    pub(super) delete: &'static str,
    /// The request member that holds its id, a list in the describe call.
    pub(super) parameter: &'static str,
    /// The list in the describe call's answer.
    pub(super) set: &'static str,
    /// The answer member that holds its id.
    pub(super) id: &'static str,
    /// What it is called in tag specifications (botocore ec2 model, `ResourceType`).
    pub(super) taggable: &'static str,
    /// The code for one that does not exist (EC2 API reference, error codes).
    code: &'static str,
    /// What the message calls its id.
    noun: &'static str,
}

const KINDS: &[Kind] = &[
    Kind {
        prefix: "vpc",
        create: "CreateVpc",
        describe: "DescribeVpcs",
        delete: "DeleteVpc",
        parameter: "VpcId",
        set: "vpcSet",
        id: "vpcId",
        taggable: "vpc",
        code: "InvalidVpcID.NotFound",
        noun: "vpc ID",
    },
    Kind {
        prefix: "subnet",
        create: "CreateSubnet",
        describe: "DescribeSubnets",
        delete: "DeleteSubnet",
        parameter: "SubnetId",
        set: "subnetSet",
        id: "subnetId",
        taggable: "subnet",
        code: "InvalidSubnetID.NotFound",
        noun: "subnet ID",
    },
    Kind {
        prefix: "igw",
        create: "CreateInternetGateway",
        describe: "DescribeInternetGateways",
        delete: "DeleteInternetGateway",
        parameter: "InternetGatewayId",
        set: "internetGatewaySet",
        id: "internetGatewayId",
        taggable: "internet-gateway",
        code: "InvalidInternetGatewayID.NotFound",
        noun: "internetGateway ID",
    },
    Kind {
        prefix: "rtb",
        create: "CreateRouteTable",
        describe: "DescribeRouteTables",
        delete: "DeleteRouteTable",
        parameter: "RouteTableId",
        set: "routeTableSet",
        id: "routeTableId",
        taggable: "route-table",
        code: "InvalidRouteTableID.NotFound",
        noun: "routeTable ID",
    },
    Kind {
        prefix: "sg",
        create: "CreateSecurityGroup",
        describe: "DescribeSecurityGroups",
        delete: "DeleteSecurityGroup",
        parameter: "GroupId",
        set: "securityGroupInfo",
        id: "groupId",
        taggable: "security-group",
        code: "InvalidGroup.NotFound",
        noun: "security group",
    },
    Kind {
        prefix: "eipalloc",
        create: "AllocateAddress",
        describe: "DescribeAddresses",
        delete: "ReleaseAddress",
        parameter: "AllocationId",
        set: "addressesSet",
        id: "allocationId",
        taggable: "elastic-ip",
        code: "InvalidAllocationID.NotFound",
        noun: "allocation ID",
    },
    Kind {
        prefix: "nat",
        create: "CreateNatGateway",
        describe: "DescribeNatGateways",
        delete: "DeleteNatGateway",
        parameter: "NatGatewayId",
        set: "natGatewaySet",
        id: "natGatewayId",
        taggable: "natgateway",
        code: "InvalidNatGatewayID.NotFound",
        noun: "natGateway ID",
    },
    Kind {
        prefix: "eni",
        create: "CreateNetworkInterface",
        describe: "DescribeNetworkInterfaces",
        delete: "DeleteNetworkInterface",
        parameter: "NetworkInterfaceId",
        set: "networkInterfaceSet",
        id: "networkInterfaceId",
        taggable: "network-interface",
        code: "InvalidNetworkInterfaceID.NotFound",
        noun: "networkInterface ID",
    },
    Kind {
        prefix: "vpce",
        create: "CreateVpcEndpoint",
        describe: "DescribeVpcEndpoints",
        delete: "DeleteVpcEndpoints",
        parameter: "VpcEndpointId",
        set: "vpcEndpointSet",
        id: "vpcEndpointId",
        taggable: "vpc-endpoint",
        code: "InvalidVpcEndpointId.NotFound",
        noun: "Vpc Endpoint Id",
    },
    Kind {
        prefix: "acl",
        create: "CreateNetworkAcl",
        describe: "DescribeNetworkAcls",
        delete: "DeleteNetworkAcl",
        parameter: "NetworkAclId",
        set: "networkAclSet",
        id: "networkAclId",
        taggable: "network-acl",
        code: "InvalidNetworkAclID.NotFound",
        noun: "networkAcl ID",
    },
];

impl Kind {
    /// The kind that an id is of.
    pub(super) fn of(id: &str) -> Option<&'static Kind> {
        let (prefix, rest) = id.split_once('-')?;
        let kind = KINDS.iter().find(|kind| kind.prefix == prefix)?;
        (!rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(kind)
    }

    /// The kind that an operation makes.
    pub(super) fn made_by(operation: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.create == operation)
    }

    /// The kind that an operation deletes.
    pub(super) fn deleted_by(operation: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.delete == operation)
    }

    /// The kind that an operation lists.
    pub(super) fn listed_by(operation: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.describe == operation)
    }

    /// How a call refuses an id of which there is nothing.
    pub(super) fn missing_of(request: &Request, id: &str) -> Refusal {
        match Kind::of(id).or_else(|| Kind::deleted_by(&request.operation)) {
            Some(kind) => kind.missing(&request.operation, id),
            None => Refusal::new("InvalidParameterValue", format!("Value ({id}) is invalid.")),
        }
    }

    /// How an operation refuses one that does not exist.
    ///
    /// NAT gateways have a code of their own in their own operations (EC2 API reference, error codes), and the usual one
    /// elsewhere: <https://github.com/boto/boto3/issues/779>.
    pub(super) fn missing(&self, operation: &str, id: &str) -> Refusal {
        if self.prefix == "nat" && [self.describe, self.delete].contains(&operation) {
            return Refusal::new("NatGatewayNotFound", format!("NAT gateway {id} was not found"));
        }
        Refusal::new(self.code, format!("The {} '{id}' does not exist", self.noun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_kind() {
        let prefix = |id| Kind::of(id).map(|kind| kind.prefix);
        assert_eq!(prefix("vpc-0a1b"), Some("vpc"));
        assert_eq!(prefix("vpce-0a1b"), Some("vpce"));
        assert_eq!(prefix("vpc-cidr-assoc-0a1b"), None);
        assert_eq!(prefix("sg-"), None);
        assert_eq!(prefix("10.0.0.0/16"), None);
    }

    #[test]
    fn a_nat_gateway_is_missing_in_two_ways() {
        let nat = Kind::of("nat-1").expect("a kind");
        assert_eq!(
            nat.missing("CreateRoute", "nat-1"),
            Refusal::new("InvalidNatGatewayID.NotFound", "The natGateway ID 'nat-1' does not exist")
        );
        assert_eq!(
            nat.missing("DeleteNatGateway", "nat-1"),
            Refusal::new("NatGatewayNotFound", "NAT gateway nat-1 was not found")
        );
    }
}
