#!/usr/bin/env python3
"""Writes the input shapes of the services that ecs-local checks, from the service models that botocore brings.

    .venv/bin/python3 crates/ecs-local/model/extract.py

writes one SERVICE.json beside this file for each service, named by its signing name. Run it when boto3 in
tests/requirements.txt changes. README.md describes the format.
"""

import gzip
import json
import re
from pathlib import Path

import botocore

HERE = Path(__file__).resolve().parent

NOTICE = (
    "Request shapes of {full}, API version {api}, extracted from the service model in botocore {version} "
    "(https://github.com/boto/botocore), Copyright Amazon.com, Inc. or its affiliates, Apache License 2.0."
)

# botocore's name of a service, and the operations that a tool for stacks may call.
SERVICES = {
    "ec2": [
        r"(Create|Delete|Describe|Modify)(Vpcs?|DefaultVpc|Subnets?|DefaultSubnet|RouteTables?|Route|NatGateways?)",
        r"(Create|Delete|Describe)(InternetGateways?|EgressOnlyInternetGateways?|DhcpOptions|FlowLogs|Tags)",
        r"(Create|Delete|Describe|Modify)(SecurityGroups?|SecurityGroupRules|NetworkInterfaces?|NetworkAcls?)",
        r"(Create|Delete|Describe|Modify)VpcEndpoints?",
        r"(Create|Delete|Replace)NetworkAclEntry",
        r"(Describe|Modify|Reset)(Vpc|Subnet|NetworkInterface)Attribute",
        r"(Associate|Disassociate|Attach|Detach)(RouteTable|Address|NatGatewayAddress|InternetGateway|NetworkInterface)",
        r"(Associate|Disassociate)(VpcCidrBlock|SubnetCidrBlock|DhcpOptions|SecurityGroupVpc)",
        r"Replace(Route|RouteTableAssociation|NetworkAclAssociation)",
        r"AllocateAddress|ReleaseAddress|DescribeAddresses|DescribeAddressesAttribute",
        r"(Authorize|Revoke)SecurityGroup(Ingress|Egress)|UpdateSecurityGroupRuleDescriptions(Ingress|Egress)",
        r"(Assign|Unassign)(PrivateIpAddresses|Ipv6Addresses|PrivateNatGatewayAddress)",
        r"DescribeAvailabilityZones|DescribeRegions|DescribeAccountAttributes",
        r"DescribeManagedPrefixLists|DescribePrefixLists|DescribeVpcEndpointServices|GetManagedPrefixListEntries",
        r"DescribeSecurityGroupReferences|DescribeStaleSecurityGroups|GetSecurityGroupsForVpc",
        r"DescribeInstances|DescribeVpcPeeringConnections|DescribeVpnGateways|DescribeTransitGatewayVpcAttachments",
    ],
    "iam": [
        r"(Create|Get|Delete|Update|Tag|Untag)(Role|Policy)|List(Roles|Policies|RoleTags|PolicyTags)",
        r"(Attach|Detach|Put|Get|Delete)RolePolicy|List(Attached)?RolePolicies|ListEntitiesForPolicy",
        r"(Create|Get|Delete|List)PolicyVersions?|SetDefaultPolicyVersion|UpdateAssumeRolePolicy|UpdateRoleDescription",
        r"(Put|Delete)RolePermissionsBoundary",
        r"(Create|Get|Delete|Tag|Untag|List)OpenIDConnectProvider(s|Tags)?",
        r"UpdateOpenIDConnectProviderThumbprint|(Add|Remove)ClientID(To|From)OpenIDConnectProvider",
        r"CreateServiceLinkedRole|DeleteServiceLinkedRole|GetServiceLinkedRoleDeletionStatus",
        r"(Create|Get|Delete)InstanceProfile|(Add|Remove)Role(To|From)InstanceProfile|ListInstanceProfiles(ForRole)?",
        r"ListAccountAliases|SimulatePrincipalPolicy|GetUser",
    ],
    "rds": [
        r"(Create|Delete|Describe|Modify|Start|Stop|Reboot)DBInstances?|CreateDBInstanceReadReplica",
        r"RestoreDBInstanceFromDBSnapshot|RestoreDBInstanceToPointInTime|PromoteReadReplica",
        r"(Create|Delete|Describe|Modify)DBSubnetGroups?",
        r"(Create|Delete|Describe|Modify|Reset|Copy)DBParameterGroups?|DescribeDBParameters",
        r"(Create|Delete|Describe|Modify|Copy)DBSnapshots?|DescribeDBSnapshotAttributes|ModifyDBSnapshotAttribute",
        r"DescribeDBEngineVersions|DescribeEngineDefaultParameters|DescribeOrderableDBInstanceOptions",
        r"DescribeEvents|DescribeEventCategories|DescribeDBLogFiles|DescribeAccountAttributes|DescribeCertificates",
        r"DescribePendingMaintenanceActions|ApplyPendingMaintenanceAction|DescribeValidDBInstanceModifications",
        r"AddTagsToResource|RemoveTagsFromResource|ListTagsForResource|(Add|Remove)Role(To|From)DBInstance",
    ],
    "elbv2": [r".*"],
    "ecs": [r".*"],
    "ecr": [r".*"],
    "ssm": [
        r"(Put|Get|Delete)Parameters?|GetParametersByPath|GetParameterHistory|DescribeParameters",
        r"(Label|Unlabel)ParameterVersion|AddTagsToResource|RemoveTagsFromResource|ListTagsForResource",
        r"StartSession|TerminateSession|DescribeSessions",
    ],
    "logs": [r".*"],
    "application-autoscaling": [r".*"],
    "cloudwatch": [
        r"(Put|Describe|Delete)(MetricAlarm|Alarms?|CompositeAlarm)|DescribeAlarmHistory|DescribeAlarmsForMetric",
        r"SetAlarmState|(Enable|Disable)AlarmActions|(Get|Put)MetricData|GetMetricStatistics|ListMetrics",
        r"(Put|Get|Delete|List)Dashboards?|TagResource|UntagResource|ListTagsForResource",
    ],
    "sts": [r".*"],
    "secretsmanager": [r".*"],
    "dynamodb": [
        r"(Create|Describe|Delete|Update|List)Tables?|DescribeLimits|(Describe|Update)TimeToLive",
        r"(Create|Describe|Delete|List)Backups?|(Describe|Update)ContinuousBackups|TagResource|UntagResource|ListTagsOfResource",
        r"(Get|Put|Delete|Update)Item|Query|Scan|Batch(Get|Write)Item|Transact(Get|Write)Items",
    ],
    "acm": [r".*"],
}

# Look-around, back references, possessive quantifiers and atomic groups, and UTF-16 surrogates: Java has them,
# the regex crate has not.
UNKNOWN_TO_REGEX = re.compile(r"\(\?(?:[=!>]|<[=!])|\\[1-9]|[*+?}]\+|\\u[dD][89a-fA-F]")


def load(service):
    """The newest service model of botocore's data for a service."""
    versions = sorted((Path(botocore.__file__).parent / "data" / service).glob("*/service-2.json*"))
    newest = versions[-1]
    read = gzip.open if newest.suffix == ".gz" else open
    with read(newest, "rt", encoding="utf-8") as file:
        return json.load(file)


def wire_name(ec2, name, traits):
    """A member's name in a request, as botocore's serializers choose it."""
    if ec2:
        if "queryName" in traits:
            return traits["queryName"]
        if "locationName" in traits:
            return traits["locationName"][0].upper() + traits["locationName"][1:]
        return name
    return traits.get("locationName", name)


def compact(shape, ec2):
    """What a shape allows."""
    kind = shape["type"]
    out = {"type": kind}
    for trait in ("min", "max", "enum", "sensitive", "required", "document"):
        if shape.get(trait, False) is not False:
            out[trait] = shape[trait]
    if "pattern" in shape and not UNKNOWN_TO_REGEX.search(shape["pattern"]):
        out["pattern"] = shape["pattern"]
    if kind == "structure":
        members = []
        for name, member in shape["members"].items():
            wire = wire_name(ec2, name, member)
            members.append([name, member["shape"]] if wire == name else [name, member["shape"], wire])
        out["members"] = members
    elif kind == "list":
        out["element"] = shape["member"]["shape"]
    elif kind == "map":
        out["key"] = shape["key"]["shape"]
        out["value"] = shape["value"]["shape"]
    return out


def references(shape):
    """The names of the shapes that a shape stands on."""
    for member in shape.get("members", {}).values():
        yield member["shape"]
    for part in ("member", "key", "value"):
        if part in shape:
            yield shape[part]["shape"]


def extract(service, patterns):
    """The compact model of a service."""
    model = load(service)
    metadata = model["metadata"]
    wanted = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    operations = {
        name: operation["input"]["shape"]
        for name, operation in model["operations"].items()
        if wanted.fullmatch(name) and "input" in operation
    }
    shapes = {}
    todo = list(operations.values())
    while todo:
        name = todo.pop()
        if name not in shapes:
            shape = model["shapes"][name]
            shapes[name] = compact(shape, metadata["protocol"] == "ec2")
            todo.extend(references(shape))
    return {
        "notice": NOTICE.format(full=metadata["serviceFullName"], api=metadata["apiVersion"], version=botocore.__version__),
        "botocore": botocore.__version__,
        "api": metadata["apiVersion"],
        "operations": dict(sorted(operations.items())),
        "shapes": dict(sorted(shapes.items())),
    }, metadata.get("signingName", metadata["endpointPrefix"])


def write(model, path):
    """One shape a line: small, and a change shows as what it is."""

    def line(value):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    parts = []
    for key, value in model.items():
        if isinstance(value, dict):
            rows = ",\n".join(f"{line(name)}:{line(row)}" for name, row in value.items())
            parts.append(f"{line(key)}:{{\n{rows}\n}}")
        else:
            parts.append(f"{line(key)}:{line(value)}")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def main():
    for service, patterns in SERVICES.items():
        model, signing_name = extract(service, patterns)
        write(model, HERE / f"{signing_name}.json")


if __name__ == "__main__":
    main()
