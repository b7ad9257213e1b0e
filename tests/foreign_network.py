"""Makes a network as somebody else would, without any of our tags, and prints the member `net` for it."""

import json

import boto3

ec2 = boto3.client("ec2")


def tags(kind, name):
    """Their own tags."""
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}, {"Key": "owner", "Value": "them"}]}]


vpc = ec2.create_vpc(CidrBlock="172.16.0.0/16", TagSpecifications=tags("vpc", "theirs"))["Vpc"]["VpcId"]
subnets = [
    ec2.create_subnet(
        VpcId=vpc,
        CidrBlock=f"172.16.{i}.0/24",
        AvailabilityZone="us-east-1" + "abab"[i],
        TagSpecifications=tags("subnet", f"theirs-{i}"),
    )["Subnet"]["SubnetId"]
    for i in range(4)
]
gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
main = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"][0]["RouteTableId"]
ec2.create_route(RouteTableId=main, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
address = ec2.allocate_address(Domain="vpc")["AllocationId"]
nat = ec2.create_nat_gateway(SubnetId=subnets[0], AllocationId=address)["NatGateway"]["NatGatewayId"]
table = ec2.create_route_table(VpcId=vpc, TagSpecifications=tags("route-table", "theirs"))["RouteTable"]["RouteTableId"]
ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat)
for subnet in subnets[2:]:
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
print(json.dumps({"net": {"vpc_id": vpc, "public_subnet_ids": subnets[:2], "private_subnet_ids": subnets[2:]}}))
