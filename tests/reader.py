#!/usr/bin/env python3
"""Reads the tutorial stack back from AWS, independently of the tools that made it.

    reader.py check       compare every resource with the table of the tutorial stack, one line a check
    reader.py inventory   print all that such a stack could have made as sorted JSON, without volatile ids
    reader.py tagged      list what still carries the stack's tag; nothing is the answer after a destroy
    reader.py serve       answer one such command line for each line on stdin, with one line of JSON:
                          {"code": 0, "stdout": "...", "stderr": "..."}

It knows nothing of the tools' code and shares none of it: only boto3 and what the stack must look like. It reads, never
writes, and only from an emulator on this machine: AWS_ENDPOINT_URL has to be a loopback address.

Exit codes: 0 all is well, 1 a check failed or something is left, 2 bad command line or AWS could not be read.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import gc
import io
import ipaddress
import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

Json = dict[str, Any]
Tags = dict[str, str]

# What can go wrong with a call. The last: moto answers an operation that it does not know with an HTML page.
CALL_ERRORS = (BotoCoreError, ClientError, ResponseParserError)

STACK_TAG = "ecs-pipe:stack"
LAYER_TAG = "ecs-pipe:layer"

# --- the tutorial stack, word for word ------------------------------------------------------------------------------

REGION = "us-east-1"
ZONES = ("us-east-1a", "us-east-1b")
VPC_CIDR = "10.0.0.0/16"
ANYWHERE = "0.0.0.0/0"

# Group: description, and its rules as (port, source, description).
SECURITY_GROUPS: dict[str, tuple[str, set[tuple[int, str, str]]]] = {
    "ALB-SG": (
        "Security group for Application Load Balancer",
        {(80, ANYWHERE, "Allow HTTP from internet"), (443, ANYWHERE, "Allow HTTPS from internet")},
    ),
    "ECS-SG": (
        "Security group for ECS tasks",
        {(80, "ALB-SG", "Allow port 80 from ALB"), (3001, "ALB-SG", "Allow port 3001 from ALB")},
    ),
    "RDS-SG": (
        "Security group for RDS database",
        {(5432, "ECS-SG", "Allow PostgreSQL from ECS tasks")},
    ),
}

EXECUTION_ROLE = "ecsTaskExecutionRole"
EXECUTION_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
PARAMETER_POLICY = "ParameterStoreAccess"
ROLES = {
    EXECUTION_ROLE: "Role for ECS task execution - allows pulling images, writing logs, reading parameters",
    "frontendTaskRole": "Task role for frontend application",
    "backendTaskRole": "Task role for backend application",
}

REPOSITORIES = ("frontend-repo", "backend-repo")
IMAGES_KEPT = 10

DB_SUBNET_GROUP = "ecs-db-subnet-group"
DB_SUBNET_GROUP_DESCRIPTION = "Subnet group for ECS RDS database"
DB_INSTANCE = "ecs-postgres-db"
DB_PORT = 5432
DB_FIELDS: Json = {
    "Engine": "postgres",
    "DBInstanceClass": "db.t3.medium",
    "AllocatedStorage": 20,
    "StorageType": "gp3",
    "PubliclyAccessible": False,
    "DBName": "fileanalyzer",
    "MasterUsername": "postgres",
    "BackupRetentionPeriod": 7,
    "AutoMinorVersionUpgrade": True,
    "StorageEncrypted": True,
    "DBInstanceStatus": "available",
    "Endpoint.Port": DB_PORT,
    "DBSubnetGroup.DBSubnetGroupName": DB_SUBNET_GROUP,
}
PASSWORD = "/ecs/backend/DB_PASSWORD"
PASSWORD_LENGTH = 16  # characters, at least
PASSWORD_FORBIDDEN = set('/@" ')  # RDS: "any printable ASCII character except /, \", @, or a space"

# Parameter: type, and the layers that may own it. The addresses belong to whoever knows the load balancer.
PARAMETERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "/ecs/backend/DB_HOST": ("String", ("db",)),
    "/ecs/backend/DB_PORT": ("String", ("db",)),
    "/ecs/backend/DB_NAME": ("String", ("db",)),
    "/ecs/backend/DB_USER": ("SecureString", ("db",)),
    PASSWORD: ("SecureString", ("db",)),
    "/ecs/backend/FRONTEND_URL": ("String", ("alb", "svc")),
    "/ecs/frontend/API_URL": ("String", ("alb", "svc")),
}

LOG_GROUPS = ("/ecs/frontend", "/ecs/backend")
LOG_RETENTION = 30  # days

LOAD_BALANCER = "ecs-alb"
# Target group: port and path of the health check.
TARGET_GROUPS = {"frontend-tg": (80, "/"), "backend-tg": (3001, "/api/health")}
RULE_PRIORITY = "100"
RULE_PATH = "/api/*"


class Workload(NamedTuple):
    """One service with its task definition."""

    service: str
    family: str
    cpu: str
    memory: str
    task_role: str
    container: str
    repository: str
    port: int
    log_group: str
    target_group: str
    environment: Tags
    secrets: Tags  # variable → parameter


WORKLOADS = (
    Workload(
        service="frontend-service",
        family="frontend-task",
        cpu="512",
        memory="1024",
        task_role="frontendTaskRole",
        container="frontend",
        repository="frontend-repo",
        port=80,
        log_group="/ecs/frontend",
        target_group="frontend-tg",
        environment={},
        secrets={"NEXT_PUBLIC_API_URL": "/ecs/frontend/API_URL"},
    ),
    Workload(
        service="backend-service",
        family="backend-task",
        cpu="1024",
        memory="2048",
        task_role="backendTaskRole",
        container="backend-app",
        repository="backend-repo",
        port=3001,
        log_group="/ecs/backend",
        target_group="backend-tg",
        environment={"PORT": "3001"},
        secrets={
            name: f"/ecs/backend/{name}"
            for name in ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD", "FRONTEND_URL")
        },
    ),
)
TASKS = 2  # of each service


# --- small functions ------------------------------------------------------------------------------------------------


def dig(value: Any, path: str) -> Any:
    """Returns the member of nested dicts and lists that `path` names (`"Endpoint.Port"`), `None` if there is none."""
    for step in path.split("."):
        if isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        elif isinstance(value, dict):
            value = value.get(step)
        else:
            return None
    return value


def tag_map(tags: Iterable[Json] | None) -> Tags:
    """Turns a list of tags, spelled `Key`/`Value` (most services) or `key`/`value` (ECS), into a dict."""
    return {str(tag.get("Key", tag.get("key"))): str(tag.get("Value", tag.get("value"))) for tag in tags or ()}


def pairs(items: Iterable[Json] | None, value: str = "value") -> Tags:
    """Turns ECS's `[{"name": …, value: …}]` into a dict."""
    return {item["name"]: str(item.get(value)) for item in items or ()}


def strings(value: Any) -> list[str]:
    """Returns a policy element, which may be one string or a list of them, as a sorted list."""
    return sorted([value] if isinstance(value, str) else value or [])


def chunks(items: list[str], size: int) -> Iterator[list[str]]:
    """Cuts a list into pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def policy_statements(document: Any) -> list[Json]:
    """Returns the statements of a policy, given as a dict or as URL-encoded JSON, with the lists in them sorted."""
    if isinstance(document, str):
        document = json.loads(unquote(document))
    statements = document.get("Statement", [])
    statements = [statements] if isinstance(statements, dict) else statements
    for statement in statements:
        for element in ("Action", "NotAction", "Resource", "NotResource"):
            if element in statement:
                statement[element] = strings(statement[element])
    return statements


def parameter_name(value_from: str) -> str:
    """Returns the name in a secret's `valueFrom`, which ECS takes as an ARN or, in one region, as a bare name."""
    return "/" + value_from.split(":parameter/", 1)[1] if ":parameter/" in value_from else value_from


def forwards_to(action: Json) -> list[str]:
    """Returns the ARNs of the target groups that a forward action names, in either of its two spellings."""
    groups = [group["TargetGroupArn"] for group in dig(action, "ForwardConfig.TargetGroups") or ()]
    return groups or [arn for arn in (action.get("TargetGroupArn"),) if arn]


def listener_paths(rule: Json) -> list[str]:
    """Returns the path patterns of a listener rule, in either of their two spellings."""
    return sorted(
        path
        for condition in rule.get("Conditions", ())
        if condition.get("Field") == "path-pattern"
        for path in dig(condition, "PathPatternConfig.Values") or condition.get("Values") or ()
    )


# --- reading --------------------------------------------------------------------------------------------------------


class Account:
    """What AWS says about one account in one region: each list is read once, whole, when it is first asked for."""

    def __init__(self, endpoint: str, region: str, clients: dict[str, Any] | None = None) -> None:
        self.region = region
        self._endpoint = endpoint
        # Never a profile and never a proxy: nothing must turn this away from the loopback address.
        self._session = boto3.Session(
            aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID") or "local",
            aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY") or "local",
            region_name=region,
        )
        self._config = Config(proxies={}, retries={"mode": "standard", "total_max_attempts": 3}, read_timeout=30)
        # To make a client takes longer than to use it: `serve` hands them on.
        self._clients: dict[str, Any] = {} if clients is None else clients

    def client(self, service: str) -> Any:
        """Returns the client of a service."""
        if service not in self._clients:
            self._clients[service] = self._session.client(service, endpoint_url=self._endpoint, config=self._config)
        return self._clients[service]

    def call(self, service: str, operation: str, **arguments: Any) -> Json:
        """Makes one call."""
        reply: Json = getattr(self.client(service), operation)(**arguments)
        return reply

    def all(self, service: str, operation: str, key: str, **arguments: Any) -> list[Any]:
        """Returns the items under `key` from all pages of an operation."""
        client = self.client(service)
        if not client.can_paginate(operation):
            return self.call(service, operation, **arguments).get(key) or []
        pages = client.get_paginator(operation).paginate(**arguments)
        return [item for page in pages for item in page.get(key) or ()]

    @cached_property
    def id(self) -> str:
        """The account's number."""
        return str(self.call("sts", "get_caller_identity")["Account"])

    # EC2. Default VPCs, and all in them, are the account's own.

    @cached_property
    def vpcs(self) -> list[Json]:
        """All VPCs but the default one."""
        return [vpc for vpc in self.all("ec2", "describe_vpcs", "Vpcs") if not vpc.get("IsDefault")]

    def _in_vpcs(self, operation: str, key: str) -> list[Json]:
        ids = {vpc["VpcId"] for vpc in self.vpcs}
        return [item for item in self.all("ec2", operation, key) if item.get("VpcId") in ids]

    @cached_property
    def subnets(self) -> list[Json]:
        """The subnets of those VPCs."""
        return self._in_vpcs("describe_subnets", "Subnets")

    @cached_property
    def internet_gateways(self) -> list[Json]:
        """All internet gateways but that of a default VPC."""
        mine = {vpc["VpcId"] for vpc in self.vpcs}
        return [
            gateway
            for gateway in self.all("ec2", "describe_internet_gateways", "InternetGateways")
            if {attachment["VpcId"] for attachment in gateway["Attachments"]} <= mine
        ]

    @cached_property
    def nat_gateways(self) -> list[Json]:
        """All NAT gateways that are not `deleted`: EC2 lists those for about an hour."""
        gateways = self.all("ec2", "describe_nat_gateways", "NatGateways")
        return [gateway for gateway in gateways if gateway["State"] != "deleted"]

    @cached_property
    def addresses(self) -> list[Json]:
        """All elastic IPs."""
        return self.all("ec2", "describe_addresses", "Addresses")

    @cached_property
    def route_tables(self) -> list[Json]:
        """The route tables of those VPCs, but not the main ones, which come and go with the VPC."""
        return [
            table
            for table in self._in_vpcs("describe_route_tables", "RouteTables")
            if not any(association.get("Main") for association in table["Associations"])
        ]

    @cached_property
    def network_acls(self) -> list[Json]:
        """The network ACLs of those VPCs, but not the default ones."""
        return [acl for acl in self._in_vpcs("describe_network_acls", "NetworkAcls") if not acl["IsDefault"]]

    @cached_property
    def flow_logs(self) -> list[Json]:
        """All flow logs."""
        return self.all("ec2", "describe_flow_logs", "FlowLogs")

    @cached_property
    def vpc_endpoints(self) -> list[Json]:
        """The VPC endpoints that are not `deleted`."""
        endpoints = self._in_vpcs("describe_vpc_endpoints", "VpcEndpoints")
        return [endpoint for endpoint in endpoints if endpoint["State"].lower() != "deleted"]

    @cached_property
    def prefix_lists(self) -> list[Json]:
        """The prefix lists of AWS's services, if a route leads to one by a gateway endpoint."""
        routed = any(route.get("DestinationPrefixListId") for table in self.route_tables for route in table["Routes"])
        return self.all("ec2", "describe_managed_prefix_lists", "PrefixLists") if routed else []

    @cached_property
    def security_groups(self) -> list[Json]:
        """The security groups of those VPCs, but not the default ones."""
        groups = self._in_vpcs("describe_security_groups", "SecurityGroups")
        return [group for group in groups if group["GroupName"] != "default"]

    @cached_property
    def security_group_rules(self) -> list[Json]:
        """The rules of those security groups."""
        mine = {group["GroupId"] for group in self.security_groups}
        rules = self.all("ec2", "describe_security_group_rules", "SecurityGroupRules")
        return [rule for rule in rules if rule["GroupId"] in mine]

    # IAM

    @cached_property
    def roles(self) -> list[Json]:
        """All roles but the service-linked ones, each with `Tags`, `Attached` and `Inline`."""
        roles = []
        for role in self.all("iam", "list_roles", "Roles"):
            if role["Path"].startswith("/aws-service-role/"):
                continue
            name = role["RoleName"]
            # ListRoles leaves out tags and, in places, the description.
            role = self.call("iam", "get_role", RoleName=name)["Role"]
            role["Attached"] = sorted(
                policy["PolicyArn"]
                for policy in self.all("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=name)
            )
            role["Inline"] = {
                policy: policy_statements(
                    self.call("iam", "get_role_policy", RoleName=name, PolicyName=policy)["PolicyDocument"]
                )
                for policy in self.all("iam", "list_role_policies", "PolicyNames", RoleName=name)
            }
            roles.append(role)
        return roles

    @cached_property
    def users(self) -> list[Json]:
        """All users, each with `Tags`, `Attached`, `Inline` and `Keys`."""
        users = []
        for user in self.all("iam", "list_users", "Users"):
            name = user["UserName"]
            user = self.call("iam", "get_user", UserName=name)["User"]
            attached = self.all("iam", "list_attached_user_policies", "AttachedPolicies", UserName=name)
            user["Attached"] = sorted(policy["PolicyArn"] for policy in attached)
            user["Inline"] = {
                policy: policy_statements(
                    self.call("iam", "get_user_policy", UserName=name, PolicyName=policy)["PolicyDocument"]
                )
                for policy in self.all("iam", "list_user_policies", "PolicyNames", UserName=name)
            }
            user["Keys"] = len(self.all("iam", "list_access_keys", "AccessKeyMetadata", UserName=name))
            users.append(user)
        return users

    @cached_property
    def policies(self) -> list[Json]:
        """The managed policies that are the account's own."""
        return self.all("iam", "list_policies", "Policies", Scope="Local")

    # ECR

    @cached_property
    def repositories(self) -> list[Json]:
        """All repositories, each with `Lifecycle` (its rules) and `Tags`."""
        repositories = self.all("ecr", "describe_repositories", "repositories")
        for repository in repositories:
            try:
                text = self.call("ecr", "get_lifecycle_policy", repositoryName=repository["repositoryName"])
                repository["Lifecycle"] = json.loads(text["lifecyclePolicyText"])["rules"]
            except ClientError as error:
                if error.response["Error"]["Code"] != "LifecyclePolicyNotFoundException":
                    raise
                repository["Lifecycle"] = []
            tags = self.call("ecr", "list_tags_for_resource", resourceArn=repository["repositoryArn"])
            repository["Tags"] = tags["tags"]
        return repositories

    # RDS

    def _rds_tags(self, arn: str) -> list[Json]:
        return self.all("rds", "list_tags_for_resource", "TagList", ResourceName=arn)

    @cached_property
    def db_subnet_groups(self) -> list[Json]:
        """All subnet groups but the default one, each with `Tags`."""
        groups = self.all("rds", "describe_db_subnet_groups", "DBSubnetGroups")
        groups = [group for group in groups if group["DBSubnetGroupName"] != "default"]
        return [group | {"Tags": self._rds_tags(group["DBSubnetGroupArn"])} for group in groups]

    @cached_property
    def db_instances(self) -> list[Json]:
        """All database instances."""
        return self.all("rds", "describe_db_instances", "DBInstances")

    @cached_property
    def db_parameter_groups(self) -> list[Json]:
        """All parameter groups but RDS's own, each with `Set` (what was set in it) and `Tags`."""
        groups = self.all("rds", "describe_db_parameter_groups", "DBParameterGroups")
        groups = [group for group in groups if not group["DBParameterGroupName"].startswith("default.")]
        for group in groups:
            name = group["DBParameterGroupName"]
            parameters = self.all("rds", "describe_db_parameters", "Parameters", DBParameterGroupName=name, Source="user")
            group["Set"] = {one["ParameterName"]: one.get("ParameterValue") for one in parameters}
            group["Tags"] = self._rds_tags(group["DBParameterGroupArn"])
        return groups

    @cached_property
    def db_snapshots(self) -> list[Json]:
        """All snapshots that do not go with their instance, each with `Tags`."""
        snapshots = self.all("rds", "describe_db_snapshots", "DBSnapshots")
        snapshots = [snapshot for snapshot in snapshots if snapshot.get("SnapshotType") != "automated"]
        return [snapshot | {"Tags": self._rds_tags(snapshot["DBSnapshotArn"])} for snapshot in snapshots]

    # DynamoDB

    @cached_property
    def tables(self) -> list[Json]:
        """All tables, each with `Recovery`, `TimeToLive` and `Tags`."""
        tables = []
        for name in self.all("dynamodb", "list_tables", "TableNames"):
            table: Json = self.call("dynamodb", "describe_table", TableName=name)["Table"]
            backups = self.call("dynamodb", "describe_continuous_backups", TableName=name)
            table["Recovery"] = dig(
                backups, "ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus"
            )
            ttl = self.call("dynamodb", "describe_time_to_live", TableName=name)
            table["TimeToLive"] = ttl["TimeToLiveDescription"]
            table["Tags"] = self.all("dynamodb", "list_tags_of_resource", "Tags", ResourceArn=table["TableArn"])
            tables.append(table)
        return tables

    @cached_property
    def table_backups(self) -> list[Json]:
        """All backups of tables, those that have gone too."""
        return self.all("dynamodb", "list_backups", "BackupSummaries", BackupType="ALL")

    # Systems Manager, Secrets Manager

    @cached_property
    def parameters(self) -> list[Json]:
        """All parameters with their decrypted values (never print those) and `Tags`."""
        found = {}
        for item in self.all("ssm", "describe_parameters", "Parameters"):
            # AWS publishes parameters of its own under /aws; emulators list them as if they were the account's.
            if not item["Name"].startswith("/aws/"):
                found[item["Name"]] = item
        for names in chunks(sorted(found), 10):
            for item in self.call("ssm", "get_parameters", Names=names, WithDecryption=True)["Parameters"]:
                found[item["Name"]] |= item
        for name, item in found.items():
            tags = self.call("ssm", "list_tags_for_resource", ResourceType="Parameter", ResourceId=name)
            item["Tags"] = tags["TagList"]
        return list(found.values())

    @cached_property
    def secrets(self) -> list[Json]:
        """All secrets that are not scheduled for deletion."""
        return [item for item in self.all("secretsmanager", "list_secrets", "SecretList") if "DeletedDate" not in item]

    # CloudWatch

    @cached_property
    def log_groups(self) -> list[Json]:
        """All log groups, each with `Tags`."""
        groups = self.all("logs", "describe_log_groups", "logGroups")
        for group in groups:
            arn = group["arn"].removesuffix(":*")
            group["Tags"] = self.call("logs", "list_tags_for_resource", resourceArn=arn)["tags"]
        return groups

    @cached_property
    def alarms(self) -> list[Json]:
        """All metric alarms, each with `Tags`."""
        alarms = self.all("cloudwatch", "describe_alarms", "MetricAlarms")
        for alarm in alarms:
            tags = self.call("cloudwatch", "list_tags_for_resource", ResourceARN=alarm["AlarmArn"])
            alarm["Tags"] = tags["Tags"]
        return alarms

    # Elastic Load Balancing

    @cached_property
    def namespaces(self) -> list[Json]:
        """Cloud Map namespaces, with tags."""
        return [
            item | {"Tags": self.call("servicediscovery", "list_tags_for_resource", ResourceARN=item["Arn"])["Tags"]}
            for item in self.all("servicediscovery", "list_namespaces", "Namespaces")
        ]

    @cached_property
    def schedule_groups(self) -> list[Json]:
        """Schedule groups that somebody has made, with tags."""
        groups = self.all("scheduler", "list_schedule_groups", "ScheduleGroups")
        return [
            group | {"Tags": self.call("scheduler", "list_tags_for_resource", ResourceArn=group["Arn"])["Tags"]}
            for group in groups
            if group["Name"] != "default"
        ]

    @cached_property
    def schedules(self) -> list[Json]:
        """Schedules, in full."""
        return [
            self.call("scheduler", "get_schedule", GroupName=item["GroupName"], Name=item["Name"])
            for item in self.all("scheduler", "list_schedules", "Schedules")
        ]

    def _with_load_balancing_tags(self, items: list[Json], key: str) -> list[Json]:
        tags: dict[str, list[Json]] = {}
        for arns in chunks([item[key] for item in items], 20):
            for entry in self.call("elbv2", "describe_tags", ResourceArns=arns)["TagDescriptions"]:
                tags[entry["ResourceArn"]] = entry["Tags"]
        return [item | {"Tags": tags.get(item[key], [])} for item in items]

    @cached_property
    def load_balancers(self) -> list[Json]:
        """All load balancers, each with `Tags`."""
        items = self.all("elbv2", "describe_load_balancers", "LoadBalancers")
        return self._with_load_balancing_tags(items, "LoadBalancerArn")

    @cached_property
    def target_groups(self) -> list[Json]:
        """All target groups, each with `Tags`, `Attributes` and `Targets`."""
        items = self.all("elbv2", "describe_target_groups", "TargetGroups")
        for item in items:
            arn = item["TargetGroupArn"]
            attributes = self.call("elbv2", "describe_target_group_attributes", TargetGroupArn=arn)["Attributes"]
            item["Attributes"] = tag_map(attributes)
            item["Targets"] = self.call("elbv2", "describe_target_health", TargetGroupArn=arn)[
                "TargetHealthDescriptions"
            ]
        return self._with_load_balancing_tags(items, "TargetGroupArn")

    @cached_property
    def listeners(self) -> list[Json]:
        """The listeners of all load balancers, each with `Tags`."""
        items: list[Json] = []
        for balancer in self.load_balancers:
            arn = balancer["LoadBalancerArn"]
            items += self.all("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=arn)
        return self._with_load_balancing_tags(items, "ListenerArn")

    @cached_property
    def rules(self) -> list[Json]:
        """The rules of all listeners, but not the default ones, each with `ListenerArn` and `Tags`."""
        items: list[Json] = []
        for listener in self.listeners:
            arn = listener["ListenerArn"]
            rules = self.all("elbv2", "describe_rules", "Rules", ListenerArn=arn)
            items += [rule | {"ListenerArn": arn} for rule in rules if rule["Priority"] != "default"]
        return self._with_load_balancing_tags(items, "RuleArn")

    # Certificates and DNS

    @cached_property
    def certificates(self) -> list[Json]:
        """The certificates that ACM was asked for, not those that were imported, each with `Tags`."""
        arns = [item["CertificateArn"] for item in self.all("acm", "list_certificates", "CertificateSummaryList")]
        items = [self.call("acm", "describe_certificate", CertificateArn=arn)["Certificate"] for arn in arns]
        return [
            item
            | {"Tags": self.call("acm", "list_tags_for_certificate", CertificateArn=item["CertificateArn"])["Tags"]}
            for item in items
            if item["Type"] == "AMAZON_ISSUED"
        ]

    @cached_property
    def record_sets(self) -> list[Json]:
        """The record sets of all hosted zones but those that Route 53 itself makes, each with `Zone`."""
        items: list[Json] = []
        for zone in self.all("route53", "list_hosted_zones", "HostedZones"):
            sets = self.all("route53", "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone["Id"])
            items += [one | {"Zone": zone["Name"]} for one in sets if one["Type"] not in ("NS", "SOA")]
        return items

    # ECS

    @cached_property
    def clusters(self) -> list[Json]:
        """All clusters that are not `INACTIVE`: ECS lists deleted ones for a while."""
        items: list[Json] = []
        for arns in chunks(self.all("ecs", "list_clusters", "clusterArns"), 100):
            reply = self.call("ecs", "describe_clusters", clusters=arns, include=["TAGS", "SETTINGS", "CONFIGURATIONS"])
            items += reply["clusters"]
        return [item for item in items if item["status"] != "INACTIVE"]

    @cached_property
    def services(self) -> list[Json]:
        """All services that are not `INACTIVE`; `DRAINING` ones are still there."""
        items: list[Json] = []
        for cluster in self.clusters:
            arn = cluster["clusterArn"]
            for arns in chunks(self.all("ecs", "list_services", "serviceArns", cluster=arn), 10):
                items += self.call("ecs", "describe_services", cluster=arn, services=arns, include=["TAGS"])["services"]
        return [item for item in items if item["status"] != "INACTIVE"]

    @cached_property
    def tasks(self) -> list[Json]:
        """All tasks that are to run."""
        items: list[Json] = []
        for cluster in self.clusters:
            arn = cluster["clusterArn"]
            for arns in chunks(self.all("ecs", "list_tasks", "taskArns", cluster=arn, desiredStatus="RUNNING"), 100):
                items += self.call("ecs", "describe_tasks", cluster=arn, tasks=arns, include=["TAGS"])["tasks"]
        return items

    @cached_property
    def task_definitions(self) -> list[Json]:
        """All active revisions of all task definitions, each with `tags`."""
        items = []
        for arn in self.all("ecs", "list_task_definitions", "taskDefinitionArns", status="ACTIVE"):
            reply = self.call("ecs", "describe_task_definition", taskDefinition=arn, include=["TAGS"])
            items.append(reply["taskDefinition"] | {"tags": reply.get("tags", [])})
        return items

    def newest_revision(self, family: str) -> Json | None:
        """Returns the newest active revision of a task definition."""
        revisions = [item for item in self.task_definitions if item["family"] == family]
        return max(revisions, key=lambda item: item["revision"], default=None)

    # Names

    @cached_property
    def names(self) -> dict[str, str]:
        """What ids and ARNs are called."""
        names: dict[str, str] = {}
        for items, key in (
            (self.vpcs, "VpcId"),
            (self.subnets, "SubnetId"),
            (self.internet_gateways, "InternetGatewayId"),
            (self.nat_gateways, "NatGatewayId"),
            (self.addresses, "AllocationId"),
            (self.route_tables, "RouteTableId"),
            (self.vpc_endpoints, "VpcEndpointId"),
        ):
            for item in items:
                name = tag_map(item.get("Tags")).get("Name")
                if name:
                    names[item[key]] = name
        for items, key, name_key in (
            (self.prefix_lists, "PrefixListId", "PrefixListName"),
            (self.security_groups, "GroupId", "GroupName"),
            (self.load_balancers, "LoadBalancerArn", "LoadBalancerName"),
            (self.target_groups, "TargetGroupArn", "TargetGroupName"),
            (self.roles, "Arn", "RoleName"),
            (self.clusters, "clusterArn", "clusterName"),
        ):
            names |= {item[key]: item[name_key] for item in items}
        return names

    def name(self, identifier: str | None) -> str | None:
        """Returns what an id or ARN is called; the kind of id (`subnet-?`) when it has no name."""
        if identifier is None or identifier in self.names:
            return self.names.get(identifier) if identifier else None
        return re.sub(r"-[0-9a-f]{8,}$", "-?", identifier)

    def named(self, identifiers: Iterable[str] | None) -> list[str]:
        """Returns the sorted names of ids."""
        return sorted(str(self.name(identifier)) for identifier in identifiers or ())


# --- check ----------------------------------------------------------------------------------------------------------


class Report:
    """Prints one line a check and counts."""

    def __init__(self, stack: str) -> None:
        self.stack = stack
        self.passed = 0
        self.failed = 0

    def record(self, what: str, passed: bool, expected: Any, got: Any) -> bool:
        """Records one check; returns whether it passed."""
        if passed:
            self.passed += 1
            print(f"ok {what}")
        else:
            self.failed += 1
            print(f"FAIL {what} expected {show(expected)} got {show(got)}")
        return passed

    def equal(self, what: str, got: Any, expected: Any) -> bool:
        """Checks a value. Sets are compared with any collection of the same, differently ordered members."""
        if isinstance(expected, (set, frozenset)) and isinstance(got, Collection) and not isinstance(got, str):
            return self.record(what, len(got) == len(expected) and set(got) == expected, expected, got)
        return self.record(what, got == expected and isinstance(got, bool) == isinstance(expected, bool), expected, got)

    def fields(self, what: str, item: Json, expected: Json) -> None:
        """Checks members of a resource, each a line; the keys are paths for `dig`."""
        for path, value in expected.items():
            self.equal(f"{what}: {path}", dig(item, path), value)

    def one(self, what: str, items: Iterable[Json]) -> Json | None:
        """Checks that there is exactly one, and returns it."""
        found = list(items)
        self.record(f"{what}: exists once", len(found) == 1, "1", str(len(found)))
        return found[0] if len(found) == 1 else None

    def tags(self, what: str, tags: Tags, layer: str | tuple[str, ...], name: str | None) -> None:
        """Checks the three tags; without a `name`, any name will do."""
        layers = (layer,) if isinstance(layer, str) else layer
        got = {key: tags.get(key) for key in ("Name", LAYER_TAG, STACK_TAG)}
        passed = (
            (got["Name"] == name if name else bool(got["Name"]))
            and got[LAYER_TAG] in layers
            and got[STACK_TAG] == self.stack
        )
        expected = {"Name": name or "(any)", LAYER_TAG: " or ".join(layers), STACK_TAG: self.stack}
        self.record(f"{what}: tags", passed, expected, got)


def show(value: Any) -> str:
    """Renders a value for a line of the report, always in the same order."""
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=str)
    return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)


def by(items: Iterable[Json], key: str, value: str) -> Iterator[Json]:
    """Yields the items whose `key` is `value`."""
    return (item for item in items if item.get(key) == value)


def by_name(items: Iterable[Json], name: str) -> Iterator[Json]:
    """Yields the items whose Name tag is `name`."""
    return (item for item in items if tag_map(item.get("Tags")).get("Name") == name)


def check_network(account: Account, report: Report) -> None:
    """VPC, internet gateway, subnets, NAT gateways and route tables."""
    stack = report.stack
    what = f"VPC {stack}-vpc"
    vpc = report.one(what, by_name(account.vpcs, f"{stack}-vpc"))
    if not vpc:
        return
    report.tags(what, tag_map(vpc["Tags"]), "net", f"{stack}-vpc")
    report.fields(what, vpc, {"CidrBlock": VPC_CIDR, "InstanceTenancy": "default", "State": "available"})
    blocks = [block["CidrBlock"] for block in vpc.get("CidrBlockAssociationSet", ())]
    report.equal(f"{what}: all CIDR blocks", blocks, [VPC_CIDR])
    report.equal(f"{what}: IPv6 blocks", vpc.get("Ipv6CidrBlockAssociationSet", []), [])
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        reply = account.call("ec2", "describe_vpc_attribute", VpcId=vpc["VpcId"], Attribute=attribute)
        report.equal(f"{what}: {attribute}", dig(reply, f"{attribute[0].upper()}{attribute[1:]}.Value"), True)

    inside = [item for item in account.internet_gateways if dig(item, "Attachments.0.VpcId") == vpc["VpcId"]]
    what = f"internet gateway {stack}-igw"
    if gateway := report.one(what, inside):
        report.tags(what, tag_map(gateway["Tags"]), "net", f"{stack}-igw")
        report.record(
            f"{what}: attached",
            dig(gateway, "Attachments.0.State") in ("available", "attached"),
            "available",
            dig(gateway, "Attachments.0.State"),
        )
    check_subnets(account, report, vpc)
    check_nat_gateways(account, report, vpc)
    check_route_tables(account, report, vpc)


def check_subnets(account: Account, report: Report, vpc: Json) -> None:
    """One public and one private subnet in each zone, inside the VPC, apart from each other."""
    subnets = list(by(account.subnets, "VpcId", vpc["VpcId"]))
    report.equal("subnets: number", len(subnets), 2 * len(ZONES))
    networks = [ipaddress.IPv4Network(subnet["CidrBlock"]) for subnet in subnets]
    overlaps = [
        f"{one} {other}" for at, one in enumerate(networks) for other in networks[at + 1 :] if one.overlaps(other)
    ]
    report.equal("subnets: overlapping", overlaps, [])
    for tier in ("public", "private"):
        for zone in ZONES:
            name = f"{report.stack}-{tier}-{zone}"
            what = f"subnet {name}"
            if subnet := report.one(what, by_name(subnets, name)):
                report.tags(what, tag_map(subnet["Tags"]), "net", name)
                report.fields(what, subnet, {"AvailabilityZone": zone, "State": "available"})
                network = ipaddress.IPv4Network(subnet["CidrBlock"])
                report.record(
                    f"{what}: inside the VPC",
                    network.subnet_of(ipaddress.IPv4Network(vpc["CidrBlock"])),
                    f"part of {vpc['CidrBlock']}",
                    subnet["CidrBlock"],
                )
                report.equal(f"{what}: IPv6 blocks", subnet.get("Ipv6CidrBlockAssociationSet", []), [])


def check_nat_gateways(account: Account, report: Report, vpc: Json) -> None:
    """A NAT gateway in each zone, in the public subnet, with an elastic IP of its own."""
    gateways = list(by(account.nat_gateways, "VpcId", vpc["VpcId"]))
    report.equal("NAT gateways: number", len(gateways), len(ZONES))
    ours = [item for item in account.addresses if tag_map(item.get("Tags")).get(STACK_TAG) == report.stack]
    report.equal("elastic IPs: number", len(ours), len(ZONES))
    for zone in ZONES:
        name = f"{report.stack}-nat-{zone}"
        what = f"elastic IP {name}"
        address = report.one(what, by_name(account.addresses, name))
        if address:
            report.tags(what, tag_map(address["Tags"]), "net", name)
            report.fields(what, address, {"Domain": "vpc"})
        what = f"NAT gateway {name}"
        if gateway := report.one(what, by_name(gateways, name)):
            report.tags(what, tag_map(gateway["Tags"]), "net", name)
            report.fields(what, gateway, {"State": "available"})
            report.equal(f"{what}: type", gateway.get("ConnectivityType", "public"), "public")
            report.equal(f"{what}: subnet", account.name(gateway["SubnetId"]), f"{report.stack}-public-{zone}")
            addresses = account.named(item.get("AllocationId") for item in gateway["NatGatewayAddresses"])
            report.equal(f"{what}: elastic IPs", addresses, [name])


def check_route_tables(account: Account, report: Report, vpc: Json) -> None:
    """One public route table to the internet gateway, one private route table a zone to its NAT gateway."""
    stack = report.stack
    expected = {f"{stack}-public": (f"{stack}-igw", {f"{stack}-public-{zone}" for zone in ZONES})} | {
        f"{stack}-private-{zone}": (f"{stack}-nat-{zone}", {f"{stack}-private-{zone}"}) for zone in ZONES
    }
    tables = list(by(account.route_tables, "VpcId", vpc["VpcId"]))
    report.equal("route tables: number, without the main one", len(tables), len(expected))
    for name, (target, subnets) in expected.items():
        what = f"route table {name}"
        if table := report.one(what, by_name(tables, name)):
            report.tags(what, tag_map(table["Tags"]), "net", name)
            report.equal(f"{what}: routes", routes(account, table), {VPC_CIDR: "local", ANYWHERE: target})
            states = {route.get("State", "active") for route in table["Routes"]}
            report.equal(f"{what}: state of the routes", states, {"active"})
            report.equal(f"{what}: subnets", associated_subnets(account, table), subnets)


def routes(account: Account, table: Json) -> dict[str, str | None]:
    """Returns a route table's routes: destination → name of the target."""
    return {
        route.get("DestinationCidrBlock") or account.name(route.get("DestinationPrefixListId")) or "?": account.name(
            route.get("NatGatewayId") or route.get("GatewayId")
        )
        for route in table["Routes"]
    }


def associated_subnets(account: Account, table: Json) -> list[str]:
    """Returns the names of a route table's subnets."""
    return account.named(item["SubnetId"] for item in table["Associations"] if item.get("SubnetId"))


def check_security_groups(account: Account, report: Report) -> None:
    """The three security groups, rule by rule."""
    vpc = next(by_name(account.vpcs, f"{report.stack}-vpc"), {})
    groups = list(by(account.security_groups, "VpcId", vpc.get("VpcId", "")))
    report.equal("security groups: names", [group["GroupName"] for group in groups], set(SECURITY_GROUPS))
    for name, (description, rules) in SECURITY_GROUPS.items():
        what = f"security group {name}"
        group = report.one(what, by(groups, "GroupName", name))
        if not group:
            continue
        report.tags(what, tag_map(group.get("Tags")), "sg", name)
        report.fields(what, group, {"Description": description})
        ingress = group_rules(account, group["IpPermissions"])
        expected = {("tcp", port, port, source, text) for port, source, text in rules}
        report.equal(f"{what}: rules in", ingress, expected)
        egress = [rule[:4] for rule in group_rules(account, group["IpPermissionsEgress"])]
        report.equal(f"{what}: rules out", egress, [("-1", -1, -1, ANYWHERE)])
        for rule in by(account.security_group_rules, "GroupId", group["GroupId"]):
            if not rule["IsEgress"]:
                report.tags(f"{what}: rule {rule.get('FromPort')}", tag_map(rule.get("Tags")), "sg", None)


def group_rules(account: Account, permissions: Iterable[Json]) -> list[tuple[str, int, int, str, str]]:
    """Returns rules as (protocol, first port, last port, source or destination, description), sorted.

    From DescribeSecurityGroups: moto's DescribeSecurityGroupRules loses descriptions where the source is a group.
    """
    peers = (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6"), ("PrefixListIds", "PrefixListId"))
    return sorted(
        (
            permission["IpProtocol"],
            # EC2 leaves the ports out where all are meant.
            permission.get("FromPort", -1),
            permission.get("ToPort", -1),
            str(account.name(peer[key]) if key == "GroupId" else peer[key]),
            peer.get("Description", ""),
        )
        for permission in permissions
        for kind, key in (*peers, ("UserIdGroupPairs", "GroupId"))
        for peer in permission.get(kind, ())
    )


def check_roles(account: Account, report: Report) -> None:
    """The three roles with their policies."""
    for name, description in ROLES.items():
        what = f"role {name}"
        role = report.one(what, by(account.roles, "RoleName", name))
        if not role:
            continue
        execution = name == EXECUTION_ROLE
        report.tags(what, tag_map(role.get("Tags")), "iam", name)
        report.fields(what, role, {"Description": description})
        trust = [
            (item["Effect"], item.get("Action"), strings(dig(item, "Principal.Service")))
            for item in policy_statements(role["AssumeRolePolicyDocument"])
        ]
        report.equal(f"{what}: trust", trust, [("Allow", ["sts:AssumeRole"], ["ecs-tasks.amazonaws.com"])])
        report.equal(f"{what}: managed policies", role["Attached"], [EXECUTION_POLICY] if execution else [])
        report.equal(f"{what}: inline policies", sorted(role["Inline"]), [PARAMETER_POLICY] if execution else [])
        if execution and PARAMETER_POLICY in role["Inline"]:
            check_parameter_policy(account, report, role["Inline"][PARAMETER_POLICY])


def check_parameter_policy(account: Account, report: Report, statements: list[Json]) -> None:
    """The inline policy allows this stack's parameters, no others, and to decrypt through SSM only."""
    what = f"inline policy {PARAMETER_POLICY}"
    allowed = {action for item in statements for action in item.get("Action", ())}
    reading = {"ssm:GetParameters", "ssm:GetParameter", "ssm:GetParametersByPath"}
    report.record(
        f"{what}: actions",
        {"ssm:GetParameters", "kms:Decrypt"} <= allowed <= reading | {"kms:Decrypt"},
        "ssm:GetParameter(s) and kms:Decrypt",
        sorted(allowed),
    )
    negations = [item for item in statements if {"NotAction", "NotResource"} & set(item) or item["Effect"] != "Allow"]
    report.equal(f"{what}: statements other than Allow", negations, [])

    prefix = f"arn:aws:ssm:{account.region}:{account.id}:parameter"
    patterns = [
        pattern
        for item in statements
        if any(action.startswith("ssm:") for action in item.get("Action", ()))
        for pattern in item.get("Resource", ())
    ]

    def covered(arn: str) -> bool:
        return any(fnmatch.fnmatchcase(arn, pattern) for pattern in patterns)

    needed = {f"{prefix}{parameter}" for workload in WORKLOADS for parameter in workload.secrets.values()}
    report.equal(f"{what}: parameters that it leaves out", sorted(arn for arn in needed if not covered(arn)), [])
    strangers = (
        f"{prefix}/another/SECRET",
        f"{prefix}/ecs/another-service/SECRET",
        f"{prefix}/ecs-another/backend/SECRET",
        f"arn:aws:ssm:eu-west-1:{account.id}:parameter/ecs/backend/DB_PASSWORD",
        f"arn:aws:ssm:{account.region}:999999999999:parameter/ecs/backend/DB_PASSWORD",
    )
    report.equal(f"{what}: other parameters that it lets in", [arn for arn in strangers if covered(arn)], [])

    via = f"ssm.{account.region}.amazonaws.com"
    for item in statements:
        if "kms:Decrypt" in item.get("Action", ()):
            report.equal(f"{what}: actions beside kms:Decrypt", item["Action"], ["kms:Decrypt"])
            condition = {
                operator: {key.lower(): strings(value) for key, value in keys.items()}
                for operator, keys in item.get("Condition", {}).items()
            }
            through = [keys.get("kms:viaservice") for operator, keys in condition.items() if operator == "StringEquals"]
            report.equal(f"{what}: kms:ViaService", through, [[via]])


def check_repositories(account: Account, report: Report) -> None:
    """The two repositories."""
    for name in REPOSITORIES:
        what = f"repository {name}"
        repository = report.one(what, by(account.repositories, "repositoryName", name))
        if not repository:
            continue
        report.tags(what, tag_map(repository["Tags"]), "ecr", name)
        report.fields(what, repository, {"imageScanningConfiguration.scanOnPush": True})
        mutability = repository.get("imageTagMutability")
        report.record(
            f"{what}: tag mutability", mutability in ("MUTABLE", "IMMUTABLE"), "MUTABLE or IMMUTABLE", mutability
        )
        kept = [
            (
                dig(rule, "selection.tagStatus"),
                dig(rule, "selection.countType"),
                dig(rule, "selection.countNumber"),
                dig(rule, "action.type"),
            )
            for rule in repository["Lifecycle"]
        ]
        report.equal(f"{what}: lifecycle", kept, [("any", "imageCountMoreThan", IMAGES_KEPT, "expire")])


def check_database(account: Account, report: Report, major: str | None) -> None:
    """The subnet group and the database instance."""
    private = {f"{report.stack}-private-{zone}" for zone in ZONES}
    what = f"DB subnet group {DB_SUBNET_GROUP}"
    if group := report.one(what, by(account.db_subnet_groups, "DBSubnetGroupName", DB_SUBNET_GROUP)):
        report.tags(what, tag_map(group["Tags"]), "db", DB_SUBNET_GROUP)
        report.fields(what, group, {"DBSubnetGroupDescription": DB_SUBNET_GROUP_DESCRIPTION})
        subnets = account.named(item["SubnetIdentifier"] for item in group["Subnets"])
        report.equal(f"{what}: subnets", subnets, private)

    what = f"database {DB_INSTANCE}"
    if instance := report.one(what, by(account.db_instances, "DBInstanceIdentifier", DB_INSTANCE)):
        report.tags(what, tag_map(instance.get("TagList")), "db", DB_INSTANCE)
        report.fields(what, instance, DB_FIELDS)
        groups = account.named(item["VpcSecurityGroupId"] for item in instance["VpcSecurityGroups"])
        report.equal(f"{what}: security groups", groups, ["RDS-SG"])
        check_engine_version(account, report, what, instance["EngineVersion"], major)


def check_engine_version(account: Account, report: Report, what: str, version: str, major: str | None) -> None:
    """The version is the latest minor of the major asked for, by default of the newest major that RDS offers.

    A bare major passes for its latest minor: that is how RDS takes it, and an emulator may store it as it came.
    """

    def numbers(text: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", text)]

    try:
        offers = account.all("rds", "describe_db_engine_versions", "DBEngineVersions", Engine="postgres")
    except CALL_ERRORS:
        # moto alone does not know the call.
        report.record(f"{what}: EngineVersion", bool(re.fullmatch(r"\d+(\.\d+)*", version)), "a version", version)
        return
    versions = [offer["EngineVersion"] for offer in offers]
    if major:
        versions = [offer for offer in versions if offer.split(".")[0] == major]
    newest = max(versions, key=numbers, default="(none offered)")
    report.record(f"{what}: EngineVersion", version in (newest, newest.split(".")[0]), newest, version)


def check_parameters(account: Account, report: Report) -> None:
    """The seven parameters, their types and their values. The password is judged, never shown."""
    database = next(by(account.db_instances, "DBInstanceIdentifier", DB_INSTANCE), {})
    balancer = next(by(account.load_balancers, "LoadBalancerName", LOAD_BALANCER), {})
    url = f"http://{balancer.get('DNSName')}"
    values = {
        "/ecs/backend/DB_HOST": dig(database, "Endpoint.Address"),
        "/ecs/backend/DB_PORT": str(DB_PORT),
        "/ecs/backend/DB_NAME": DB_FIELDS["DBName"],
        "/ecs/backend/DB_USER": DB_FIELDS["MasterUsername"],
        "/ecs/backend/FRONTEND_URL": url,
        "/ecs/frontend/API_URL": f"{url}/api",
    }
    below = [item["Name"] for item in account.parameters if item["Name"].startswith("/ecs/")]
    report.equal("parameters: names", below, set(PARAMETERS))
    for name, (kind, layers) in PARAMETERS.items():
        what = f"parameter {name}"
        parameter = report.one(what, by(account.parameters, "Name", name))
        if not parameter:
            continue
        report.tags(what, tag_map(parameter["Tags"]), layers, name)
        report.fields(what, parameter, {"Type": kind})
        value = parameter["Value"]
        if name != PASSWORD:
            report.equal(f"{what}: value", value, values[name])
            continue
        report.record(f"{what}: length", len(value) >= PASSWORD_LENGTH, f"≥ {PASSWORD_LENGTH}", len(value))
        fine = value.isascii() and value.isprintable() and not PASSWORD_FORBIDDEN & set(value)
        report.record(f"{what}: characters", fine, 'printable ASCII without / @ " and space', "(not shown)")
        report.record(f"{what}: not guessable", len(set(value)) >= 8, "≥ 8 different characters", len(set(value)))


def check_cluster(account: Account, report: Report) -> None:
    """The cluster and the log groups."""
    name = f"{report.stack}-cluster"
    what = f"cluster {name}"
    if cluster := report.one(what, by(account.clusters, "clusterName", name)):
        report.tags(what, tag_map(cluster.get("tags")), "svc", name)
        report.fields(what, cluster, {"status": "ACTIVE"})
    for name in LOG_GROUPS:
        what = f"log group {name}"
        if group := report.one(what, by(account.log_groups, "logGroupName", name)):
            report.tags(what, group["Tags"], "svc", name)
            report.fields(what, group, {"retentionInDays": LOG_RETENTION})


def check_load_balancer(account: Account, report: Report) -> None:
    """The load balancer, its target groups, its listener and its rule."""
    what = f"load balancer {LOAD_BALANCER}"
    balancer = report.one(what, by(account.load_balancers, "LoadBalancerName", LOAD_BALANCER))
    for name, (port, path) in TARGET_GROUPS.items():
        check_target_group(account, report, name, port, path)
    if not balancer:
        return
    report.tags(what, tag_map(balancer["Tags"]), "alb", LOAD_BALANCER)
    report.fields(
        what,
        balancer,
        {
            "Type": "application",
            "Scheme": "internet-facing",
            "IpAddressType": "ipv4",
            "State.Code": "active",
        },
    )
    report.equal(f"{what}: VPC", account.name(balancer["VpcId"]), f"{report.stack}-vpc")
    subnets = account.named(zone["SubnetId"] for zone in balancer["AvailabilityZones"])
    report.equal(f"{what}: subnets", subnets, {f"{report.stack}-public-{zone}" for zone in ZONES})
    report.equal(f"{what}: security groups", account.named(balancer.get("SecurityGroups")), ["ALB-SG"])

    what = "listener 80"
    listener = report.one(what, by(account.listeners, "LoadBalancerArn", balancer["LoadBalancerArn"]))
    if not listener:
        return
    report.tags(what, tag_map(listener["Tags"]), "alb", None)
    report.fields(what, listener, {"Port": 80, "Protocol": "HTTP"})
    actions = [(action["Type"], account.named(forwards_to(action))) for action in listener["DefaultActions"]]
    report.equal(f"{what}: default action", actions, [("forward", ["frontend-tg"])])

    rules = list(by(account.rules, "ListenerArn", listener["ListenerArn"]))
    report.equal("listener rules: priorities", [rule["Priority"] for rule in rules], {RULE_PRIORITY})
    what = f"listener rule {RULE_PRIORITY}"
    if rule := report.one(what, by(rules, "Priority", RULE_PRIORITY)):
        report.tags(what, tag_map(rule["Tags"]), "alb", None)
        fields = [condition["Field"] for condition in rule["Conditions"]]
        report.equal(f"{what}: conditions", fields, ["path-pattern"])
        report.equal(f"{what}: paths", listener_paths(rule), [RULE_PATH])
        actions = [(action["Type"], account.named(forwards_to(action))) for action in rule["Actions"]]
        report.equal(f"{what}: action", actions, [("forward", ["backend-tg"])])


def check_target_group(account: Account, report: Report, name: str, port: int, path: str) -> None:
    """One target group with its health check and its wiring."""
    what = f"target group {name}"
    group = report.one(what, by(account.target_groups, "TargetGroupName", name))
    if not group:
        return
    report.tags(what, tag_map(group["Tags"]), "alb", name)
    report.fields(
        what,
        group,
        {
            "TargetType": "ip",
            "Protocol": "HTTP",
            "Port": port,
            "HealthCheckEnabled": True,
            "HealthCheckProtocol": "HTTP",
            "HealthCheckPath": path,
            "HealthyThresholdCount": 2,
            "UnhealthyThresholdCount": 2,
            "HealthCheckTimeoutSeconds": 5,
            "HealthCheckIntervalSeconds": 30,
            "Matcher.HttpCode": "200",
        },
    )
    report.equal(f"{what}: VPC", account.name(group["VpcId"]), f"{report.stack}-vpc")
    report.equal(f"{what}: load balancers", account.named(set(group.get("LoadBalancerArns", ()))), [LOAD_BALANCER])


def check_task_definitions(account: Account, report: Report) -> None:
    """The newest revisions of both task definitions."""
    for workload in WORKLOADS:
        check_task_definition(account, report, workload)


def check_task_definition(account: Account, report: Report, workload: Workload) -> None:
    """The newest revision of one task definition."""
    what = f"task definition {workload.family}"
    newest = account.newest_revision(workload.family)
    if not report.record(f"{what}: exists", newest is not None, "an active revision", None) or newest is None:
        return
    report.tags(what, tag_map(newest["tags"]), "svc", workload.family)
    report.fields(
        what,
        newest,
        {
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "awsvpc",
            "cpu": workload.cpu,
            "memory": workload.memory,
            "runtimePlatform.operatingSystemFamily": "LINUX",
            "runtimePlatform.cpuArchitecture": "X86_64",
        },
    )
    report.equal(f"{what}: execution role", account.name(newest.get("executionRoleArn")), EXECUTION_ROLE)
    report.equal(f"{what}: task role", account.name(newest.get("taskRoleArn")), workload.task_role)
    containers = newest["containerDefinitions"]
    report.equal(f"{what}: containers", [item["name"] for item in containers], [workload.container])
    container = next(by(containers, "name", workload.container), None)
    if not container:
        return
    what = f"{what}: container {workload.container}"
    repository = next(by(account.repositories, "repositoryName", workload.repository), {})
    report.fields(
        what,
        container,
        {
            "image": f"{repository.get('repositoryUri')}:latest",
            "essential": True,
            "logConfiguration.logDriver": "awslogs",
            "logConfiguration.options": {
                "awslogs-group": workload.log_group,
                "awslogs-region": account.region,
                "awslogs-stream-prefix": "ecs",
            },
        },
    )
    ports = [(item["containerPort"], item.get("protocol", "tcp")) for item in container.get("portMappings", ())]
    report.equal(f"{what}: ports", ports, [(workload.port, "tcp")])
    report.equal(f"{what}: environment", pairs(container.get("environment")), workload.environment)
    secrets = {name: parameter_name(source) for name, source in pairs(container.get("secrets"), "valueFrom").items()}
    report.equal(f"{what}: secrets", secrets, workload.secrets)


def check_services(account: Account, report: Report) -> None:
    """Both services."""
    for workload in WORKLOADS:
        check_service(account, report, workload)


def check_service(account: Account, report: Report, workload: Workload) -> None:
    """One service: how it is wired, and that its tasks run behind the load balancer."""
    what = f"service {workload.service}"
    service = report.one(what, by(account.services, "serviceName", workload.service))
    if not service:
        return
    report.tags(what, tag_map(service.get("tags")), "svc", workload.service)
    report.equal(f"{what}: cluster", account.name(service["clusterArn"]), f"{report.stack}-cluster")
    report.fields(
        what,
        service,
        {
            "status": "ACTIVE",
            "desiredCount": TASKS,
            "runningCount": TASKS,
            "pendingCount": 0,
            "healthCheckGracePeriodSeconds": 60,
            "deploymentConfiguration.minimumHealthyPercent": 100,
            "deploymentConfiguration.maximumPercent": 200,
            "deploymentConfiguration.deploymentCircuitBreaker.enable": True,
            "deploymentConfiguration.deploymentCircuitBreaker.rollback": True,
            "networkConfiguration.awsvpcConfiguration.assignPublicIp": "DISABLED",
        },
    )
    report.equal(f"{what}: launch type", launch_type(service), "FARGATE")
    report.equal(f"{what}: strategy", dig(service, "deploymentConfiguration.strategy") or "ROLLING", "ROLLING")
    report.equal(f"{what}: controller", dig(service, "deploymentController.type") or "ECS", "ECS")
    network = dig(service, "networkConfiguration.awsvpcConfiguration") or {}
    private = {f"{report.stack}-private-{zone}" for zone in ZONES}
    report.equal(f"{what}: subnets", account.named(network.get("subnets")), private)
    report.equal(f"{what}: security groups", account.named(network.get("securityGroups")), ["ECS-SG"])
    report.equal(
        f"{what}: load balancers",
        wiring(account, service),
        [f"{workload.target_group} → {workload.container}:{workload.port}"],
    )
    newest = account.newest_revision(workload.family) or {}
    report.equal(f"{what}: task definition", service["taskDefinition"], newest.get("taskDefinitionArn"))
    deployments = [(item["status"], item.get("rolloutState")) for item in service.get("deployments", ())]
    report.equal(f"{what}: deployments", deployments, [("PRIMARY", "COMPLETED")])

    running = [
        task
        for task in account.tasks
        if task.get("group") == f"service:{workload.service}" and task.get("lastStatus") == "RUNNING"
    ]
    report.equal(f"{what}: running tasks", len(running), TASKS)
    group = next(by(account.target_groups, "TargetGroupName", workload.target_group), {})
    targets = group.get("Targets", [])
    states = [(dig(item, "Target.Port"), dig(item, "TargetHealth.State")) for item in targets]
    report.equal(f"{what}: registered targets", states, [(workload.port, "healthy")] * TASKS)
    networks = [
        ipaddress.IPv4Network(subnet["CidrBlock"])
        for subnet in account.subnets
        if subnet["SubnetId"] in network.get("subnets", ())
    ]
    strays = [
        dig(item, "Target.Id")
        for item in targets
        if not any(ipaddress.IPv4Address(dig(item, "Target.Id")) in block for block in networks)
    ]
    report.equal(f"{what}: targets outside its subnets", strays, [])


def launch_type(service: Json) -> str | None:
    """Returns how a service is launched: its launch type, or its capacity providers."""
    strategy = service.get("capacityProviderStrategy") or ()
    return "+".join(sorted(item["capacityProvider"] for item in strategy)) or service.get("launchType")


def wiring(account: Account, service: Json) -> list[str]:
    """Returns a service's load balancers as `TARGET-GROUP → CONTAINER:PORT`, with what ECS needs to shift traffic."""

    def target_groups(item: Json) -> str:
        first = str(account.name(item.get("targetGroupArn")))
        advanced = item.get("advancedConfiguration")
        if not advanced:
            return first
        rules = {rule["RuleArn"]: rule["Priority"] for rule in account.rules}
        second = account.name(advanced.get("alternateTargetGroupArn"))
        rule, role = rules.get(advanced.get("productionListenerRule")), account.name(advanced.get("roleArn"))
        return f"{first} and {second} by rule {rule} as {role}"

    return sorted(
        f"{target_groups(item)} → {item.get('containerName')}:{item.get('containerPort')}"
        for item in service.get("loadBalancers", ())
    )


def check(account: Account, stack: str, major: str | None) -> int:
    """Compares the account with the table; returns the exit code."""
    report = Report(stack)
    report.equal("region", account.region, REGION)
    layers: list[tuple[str, Callable[[], None]]] = [
        ("net", lambda: check_network(account, report)),
        ("sg", lambda: check_security_groups(account, report)),
        ("iam", lambda: check_roles(account, report)),
        ("ecr", lambda: check_repositories(account, report)),
        ("db", lambda: check_database(account, report, major)),
        ("parameters", lambda: check_parameters(account, report)),
        ("cluster", lambda: check_cluster(account, report)),
        ("alb", lambda: check_load_balancer(account, report)),
        ("task definitions", lambda: check_task_definitions(account, report)),
        ("services", lambda: check_services(account, report)),
    ]
    for layer, run in layers:
        # A layer that cannot be read fails by itself; the others are still worth reading.
        try:
            run()
        except CALL_ERRORS as error:
            report.record(f"{layer}: can be read", False, "an answer", str(error))
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


# --- inventory ------------------------------------------------------------------------------------------------------


def picked(item: Json, *paths: str) -> Json:
    """Returns the members of a resource that `paths` name, without those that it has not."""
    return {path: value for path in paths if (value := dig(item, path)) is not None}


def inventory_network(account: Account) -> Json:
    """VPCs and what is in them."""
    vpcs = []
    for vpc in account.vpcs:
        entry = picked(vpc, "CidrBlock", "InstanceTenancy", "State") | {"tags": tag_map(vpc.get("Tags"))}
        entry["ipv6"] = len(vpc.get("Ipv6CidrBlockAssociationSet", ()))
        for attribute in ("enableDnsSupport", "enableDnsHostnames"):
            reply = account.call("ec2", "describe_vpc_attribute", VpcId=vpc["VpcId"], Attribute=attribute)
            entry[attribute] = dig(reply, f"{attribute[0].upper()}{attribute[1:]}.Value")
        vpcs.append(entry)
    return {
        "vpcs": vpcs,
        "internet_gateways": [
            {"vpcs": account.named(one["VpcId"] for one in item["Attachments"]), "tags": tag_map(item.get("Tags"))}
            for item in account.internet_gateways
        ],
        "subnets": [
            picked(item, "CidrBlock", "AvailabilityZone", "MapPublicIpOnLaunch", "State")
            | {"vpc": account.name(item["VpcId"]), "tags": tag_map(item.get("Tags"))}
            for item in account.subnets
        ],
        "nat_gateways": [
            picked(item, "State", "ConnectivityType")
            | {
                "subnet": account.name(item.get("SubnetId")),
                "addresses": account.named(
                    one["AllocationId"] for one in item["NatGatewayAddresses"] if one.get("AllocationId")
                ),
                "tags": tag_map(item.get("Tags")),
            }
            for item in account.nat_gateways
        ],
        "elastic_ips": [
            {"domain": item.get("Domain"), "tags": tag_map(item.get("Tags"))} for item in account.addresses
        ],
        "route_tables": [
            {
                "vpc": account.name(item["VpcId"]),
                "routes": routes(account, item),
                "subnets": associated_subnets(account, item),
                "tags": tag_map(item.get("Tags")),
            }
            for item in account.route_tables
        ],
        "network_acls": [
            {
                "entries": sorted(show(entry) for entry in item["Entries"]),
                "subnets": account.named(one["SubnetId"] for one in item["Associations"]),
                "tags": tag_map(item.get("Tags")),
            }
            for item in account.network_acls
        ],
        "flow_logs": [
            picked(item, "TrafficType", "LogDestinationType", "LogGroupName", "LogDestination", "FlowLogStatus")
            | {
                "of": account.name(item["ResourceId"]),
                "role": account.name(item.get("DeliverLogsPermissionArn")),
                "tags": tag_map(item.get("Tags")),
            }
            for item in account.flow_logs
        ],
        "vpc_endpoints": [
            picked(item, "VpcEndpointType", "ServiceName", "State", "PrivateDnsEnabled")
            | {
                "subnets": account.named(item.get("SubnetIds")),
                "route_tables": account.named(item.get("RouteTableIds")),
                "security_groups": account.named(one["GroupId"] for one in item.get("Groups", ())),
                "tags": tag_map(item.get("Tags")),
            }
            for item in account.vpc_endpoints
        ],
    }


def inventory_security_groups(account: Account) -> Json:
    """Security groups with their rules."""

    def rules(permissions: Iterable[Json]) -> list[Json]:
        members = ("protocol", "from", "to", "peer", "description")
        return [dict(zip(members, rule, strict=True)) for rule in group_rules(account, permissions)]

    return {
        "security_groups": [
            picked(group, "GroupName", "Description")
            | {
                "vpc": account.name(group["VpcId"]),
                "in": rules(group["IpPermissions"]),
                "out": rules(group["IpPermissionsEgress"]),
                "tags_of_rules": [
                    picked(rule, "IsEgress", "FromPort") | {"tags": tag_map(rule.get("Tags"))}
                    for rule in by(account.security_group_rules, "GroupId", group["GroupId"])
                ],
                "tags": tag_map(group.get("Tags")),
            }
            for group in account.security_groups
        ]
    }


def inventory_roles(account: Account) -> Json:
    """Roles, users and managed policies."""
    return {
        "roles": [
            picked(role, "RoleName", "Path", "Description", "MaxSessionDuration")
            | {
                "trust": policy_statements(role["AssumeRolePolicyDocument"]),
                "managed": role["Attached"],
                "inline": role["Inline"],
                "boundary": dig(role, "PermissionsBoundary.PermissionsBoundaryArn"),
                "tags": tag_map(role.get("Tags")),
            }
            for role in account.roles
        ],
        "users": [
            picked(user, "UserName", "Path")
            | {
                "managed": user["Attached"],
                "inline": user["Inline"],
                "boundary": dig(user, "PermissionsBoundary.PermissionsBoundaryArn"),
                "keys": user["Keys"],
                "tags": tag_map(user.get("Tags")),
            }
            for user in account.users
        ],
        "policies": [picked(policy, "PolicyName", "Path", "Description") for policy in account.policies],
        "oidc_providers": [
            {"arn": arn}
            | picked(
                account.call("iam", "get_open_id_connect_provider", OpenIDConnectProviderArn=arn), "Url", "ClientIDList"
            )
            for arn in oidc_providers(account)
        ],
    }


def oidc_providers(account: Account) -> list[str]:
    """Returns the ARNs of the identity providers, which hold no volatile id."""
    reply = account.call("iam", "list_open_id_connect_providers")
    return [item["Arn"] for item in reply["OpenIDConnectProviderList"]]


def inventory_repositories(account: Account) -> Json:
    """Repositories."""
    return {
        "repositories": [
            picked(
                item, "repositoryName", "imageTagMutability", "imageScanningConfiguration", "encryptionConfiguration"
            )
            | {"lifecycle": item["Lifecycle"], "tags": tag_map(item["Tags"])}
            for item in account.repositories
        ]
    }


def inventory_database(account: Account) -> Json:
    """Databases, subnet groups and snapshots."""
    return {
        "db_subnet_groups": [
            picked(item, "DBSubnetGroupName", "DBSubnetGroupDescription")
            | {
                "subnets": account.named(one["SubnetIdentifier"] for one in item["Subnets"]),
                "tags": tag_map(item["Tags"]),
            }
            for item in account.db_subnet_groups
        ],
        "db_instances": [
            picked(
                item,
                *(path for path in DB_FIELDS if path != "Endpoint.Port"),
                "DBInstanceIdentifier",
                "EngineVersion",
                "Endpoint.Port",
                "MaxAllocatedStorage",
                "MultiAZ",
                "DeletionProtection",
                "CopyTagsToSnapshot",
                "ManageMasterUserPassword",
                "EnabledCloudwatchLogsExports",
            )
            | {
                "security_groups": account.named(one["VpcSecurityGroupId"] for one in item["VpcSecurityGroups"]),
                "managed_secret": bool(item.get("MasterUserSecret")),
                "parameter_groups": [
                    one["DBParameterGroupName"]
                    for one in item.get("DBParameterGroups", ())
                    if not one["DBParameterGroupName"].startswith("default.")
                ],
                "tags": tag_map(item.get("TagList")),
            }
            for item in account.db_instances
        ],
        "db_parameter_groups": [
            picked(item, "DBParameterGroupName", "DBParameterGroupFamily", "Set") | {"tags": tag_map(item["Tags"])}
            for item in account.db_parameter_groups
        ],
        "db_snapshots": [
            picked(item, "DBInstanceIdentifier", "SnapshotType", "Status") for item in account.db_snapshots
        ],
    }


def inventory_tables(account: Account) -> Json:
    """DynamoDB tables and their backups."""
    capacity = ("ProvisionedThroughput.ReadCapacityUnits", "ProvisionedThroughput.WriteCapacityUnits")
    return {
        "tables": [
            picked(item, "TableName", "TableStatus", "KeySchema", "AttributeDefinitions", *capacity)
            | picked(item, "BillingModeSummary.BillingMode", "TableClassSummary.TableClass")
            | picked(item, "SSEDescription.SSEType", "SSEDescription.Status", "DeletionProtectionEnabled")
            | {
                index: [
                    picked(one, "IndexName", "IndexStatus", "KeySchema", "Projection", *capacity)
                    for one in item.get(index, ())
                ]
                for index in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
            }
            | {
                "recovery": item["Recovery"],
                "ttl": item["TimeToLive"]["TimeToLiveStatus"],
                "ttl_attribute": item["TimeToLive"].get("AttributeName"),
                "tags": tag_map(item["Tags"]),
            }
            for item in account.tables
        ],
        "table_backups": [picked(item, "TableName", "BackupName", "BackupType") for item in account.table_backups],
    }


def inventory_parameters(account: Account) -> Json:
    """Parameters and secrets. Values of SecureStrings are not shown, and addresses are told by their owner."""
    addresses = {dig(item, "Endpoint.Address"): item["DBInstanceIdentifier"] for item in account.db_instances}
    addresses |= {item["DNSName"]: item["LoadBalancerName"] for item in account.load_balancers}

    def value(parameter: Json) -> str:
        if parameter["Type"] == "SecureString":
            return f"({len(parameter['Value'])} characters)"
        text = str(parameter["Value"])
        for address, name in addresses.items():
            text = text.replace(address, f"<{name}>") if address else text
        return text

    return {
        "parameters": [
            picked(item, "Name", "Type", "Version", "Tier", "KeyId")
            | {"value": value(item), "tags": tag_map(item["Tags"])}
            for item in account.parameters
        ],
        "secrets": [
            # Secrets Manager's own secrets for RDS are called after an id: rds!db-….
            {"name": item["Name"].split("!")[0], "tags": tag_map(item.get("Tags"))} | picked(item, "RotationRules")
            for item in account.secrets
        ],
    }


def inventory_load_balancers(account: Account) -> Json:
    """Load balancers, target groups, listeners and rules."""
    listeners = {item["ListenerArn"]: item for item in account.listeners}

    def actions(items: Iterable[Json]) -> list[Json]:
        return [
            picked(item, "Type", "RedirectConfig", "FixedResponseConfig")
            | {"target_groups": account.named(forwards_to(item))}
            | weights(item)
            for item in items
        ]

    def weights(item: Json) -> Json:
        groups = dig(item, "ForwardConfig.TargetGroups") or ()
        if len(groups) < 2:
            return {}
        return {"weights": {str(account.name(group["TargetGroupArn"])): group.get("Weight") for group in groups}}

    return {
        "load_balancers": [
            picked(item, "LoadBalancerName", "Type", "Scheme", "IpAddressType", "State.Code")
            | {
                "vpc": account.name(item["VpcId"]),
                "subnets": account.named(zone["SubnetId"] for zone in item["AvailabilityZones"]),
                "security_groups": account.named(item.get("SecurityGroups")),
                "tags": tag_map(item["Tags"]),
            }
            for item in account.load_balancers
        ],
        "target_groups": [
            picked(
                item,
                "TargetGroupName",
                "TargetType",
                "Protocol",
                "ProtocolVersion",
                "Port",
                "HealthCheckEnabled",
                "HealthCheckProtocol",
                "HealthCheckPort",
                "HealthCheckPath",
                "HealthyThresholdCount",
                "UnhealthyThresholdCount",
                "HealthCheckTimeoutSeconds",
                "HealthCheckIntervalSeconds",
                "Matcher.HttpCode",
            )
            | {
                "vpc": account.name(item.get("VpcId")),
                "load_balancers": account.named(set(item.get("LoadBalancerArns", ()))),
                "attributes": item["Attributes"],
                "targets": sorted(
                    f"{dig(one, 'Target.Port')} {dig(one, 'TargetHealth.State')}" for one in item["Targets"]
                ),
                "tags": tag_map(item["Tags"]),
            }
            for item in account.target_groups
        ],
        "listeners": [
            picked(item, "Port", "Protocol", "SslPolicy")
            | {
                "certificates": listener_certificates(account, item),
                "load_balancer": account.name(item["LoadBalancerArn"]),
                "actions": actions(item["DefaultActions"]),
                "tags": tag_map(item["Tags"]),
            }
            for item in account.listeners
        ],
        "listener_rules": [
            {
                "listener": dig(listeners[item["ListenerArn"]], "Port"),
                "priority": item["Priority"],
                "fields": sorted(condition["Field"] for condition in item["Conditions"]),
                "hosts": listener_hosts(item),
                "paths": listener_paths(item),
                "actions": actions(item["Actions"]),
                "tags": tag_map(item["Tags"]),
            }
            for item in account.rules
        ],
    }


def listener_certificates(account: Account, listener: Json) -> int:
    """Returns how many certificates a listener has beside its default one."""
    if listener["Protocol"] != "HTTPS":
        return 0
    arn = listener["ListenerArn"]
    all_of_them = account.all("elbv2", "describe_listener_certificates", "Certificates", ListenerArn=arn)
    return sum(not one.get("IsDefault") for one in all_of_them)


def listener_hosts(rule: Json) -> list[str]:
    """Returns the host names that a rule matches."""
    return sorted(
        {
            host
            for condition in rule["Conditions"]
            if condition["Field"] == "host-header"
            for host in (dig(condition, "HostHeaderConfig.Values") or condition.get("Values") or ())
        }
    )


def inventory_names(account: Account) -> Json:
    """Certificates, and records in DNS."""
    return {
        "certificates": [
            picked(item, "DomainName", "SubjectAlternativeNames", "Status")
            | {"used": bool(item.get("InUseBy")), "tags": tag_map(item["Tags"])}
            for item in account.certificates
        ],
        "record_sets": [
            picked(item, "Zone", "Name", "Type", "TTL")
            | {
                "values": [one["Value"] for one in item.get("ResourceRecords", ())],
                "alias": (dig(item, "AliasTarget.DNSName") or "").partition(".elb.")[2],
            }
            for item in account.record_sets
        ],
    }


def inventory_services(account: Account) -> Json:
    """Clusters, log groups, task definitions, services, tasks, and what scales and watches them."""
    families = sorted({item["family"] for item in account.task_definitions})
    return {
        "clusters": [
            picked(item, "clusterName", "status", "capacityProviders", "defaultCapacityProviderStrategy")
            | {"settings": pairs(item.get("settings")), "tags": tag_map(item.get("tags"))}
            for item in account.clusters
        ],
        "log_groups": [
            picked(item, "logGroupName", "retentionInDays", "logGroupClass", "kmsKeyId") | {"tags": item["Tags"]}
            for item in account.log_groups
        ],
        # The number of a revision is volatile (a family never counts from 1 again), how many are active is not.
        "task_definitions": [
            inventory_task_definition(account, newest)
            | {"active_revisions": sum(item["family"] == family for item in account.task_definitions)}
            for family in families
            if (newest := account.newest_revision(family))
        ],
        "services": [inventory_service(account, item) for item in account.services],
        "tasks": sorted(
            f"{item.get('group')} {item.get('lastStatus')} {item['taskDefinitionArn'].split('/')[-1].split(':')[0]}"
            for item in account.tasks
        ),
        "scalable_targets": [
            picked(item, "ResourceId", "ScalableDimension", "MinCapacity", "MaxCapacity")
            for item in scalable_targets(account)
        ],
        "scheduled_actions": [
            picked(item, "ResourceId", "ScheduledActionName", "Schedule", "Timezone", "ScalableTargetAction")
            for item in account.all(
                "application-autoscaling", "describe_scheduled_actions", "ScheduledActions", ServiceNamespace="ecs"
            )
        ],
        "namespaces": [picked(item, "Name", "Type") | {"tags": tag_map(item["Tags"])} for item in account.namespaces],
        "schedule_groups": [
            picked(item, "Name", "State") | {"tags": tag_map(item["Tags"])} for item in account.schedule_groups
        ],
        "schedules": [inventory_schedule(account, item) for item in account.schedules],
        "alarms": [
            picked(item, "AlarmName", "MetricName", "Namespace", "Threshold", "EvaluationPeriods", "Period", "Statistic")
            | picked(item, "DatapointsToAlarm", "ComparisonOperator", "TreatMissingData", "AlarmActions", "OKActions")
            | {
                "dimensions": watched(item.get("Dimensions")),
                "metrics": [
                    picked(one, "Id", "Expression", "ReturnData", "MetricStat.Stat", "MetricStat.Period")
                    | picked(one, "MetricStat.Metric.MetricName", "MetricStat.Metric.Namespace")
                    | {"dimensions": watched(dig(one, "MetricStat.Metric.Dimensions"))}
                    for one in item.get("Metrics", ())
                ],
                "tags": tag_map(item["Tags"]),
            }
            for item in account.alarms
        ],
    }


def inventory_schedule(account: Account, item: Json) -> Json:
    """One schedule."""
    target = item["Target"]
    parameters = target["EcsParameters"]
    network = dig(parameters, "NetworkConfiguration.awsvpcConfiguration") or {}
    return picked(item, "Name", "GroupName", "ScheduleExpression", "ScheduleExpressionTimezone", "State") | {
        "cluster": target["Arn"].split("/")[-1],
        "role": account.name(target["RoleArn"]),
        "input": target.get("Input"),
        "retries": target.get("RetryPolicy"),
        "task_definition": parameters["TaskDefinitionArn"].split("/")[-1],
        "subnets": account.named(network.get("Subnets")),
        "security_groups": account.named(network.get("SecurityGroups")),
    } | picked(parameters, "LaunchType", "PropagateTags", "EnableECSManagedTags")


def watched(dimensions: Iterable[Json] | None) -> Tags:
    """Returns the dimensions of a metric, without the volatile ids at their ends."""
    return {item["Name"]: item["Value"].rpartition("/")[0] for item in dimensions or ()}


def scalable_targets(account: Account) -> list[Json]:
    """Returns what application autoscaling scales in ECS."""
    return account.all(
        "application-autoscaling", "describe_scalable_targets", "ScalableTargets", ServiceNamespace="ecs"
    )


def inventory_task_definition(account: Account, item: Json) -> Json:
    """One task definition."""
    containers = [
        picked(one, "name", "image", "essential", "cpu", "memory", "memoryReservation", "portMappings")
        | picked(one, "dependsOn", "linuxParameters")
        | {
            "environment": pairs(one.get("environment")),
            "secrets": {
                name: parameter_name(source) for name, source in pairs(one.get("secrets"), "valueFrom").items()
            },
            "log": picked(one, "logConfiguration.logDriver", "logConfiguration.options"),
            # One text each: the order of their words tells.
            "entry_point": " ".join(one.get("entryPoint", ())),
            "command": " ".join(one.get("command", ())),
            "mount_points": one.get("mountPoints", []),
            "health_check": picked(one.get("healthCheck", {}), "interval", "timeout", "retries", "startPeriod")
            | {"command": " ".join(dig(one, "healthCheck.command") or ())},
        }
        for one in item["containerDefinitions"]
    ]
    paths = ("family", "cpu", "memory", "networkMode", "requiresCompatibilities", "runtimePlatform")
    return picked(item, *paths) | {
        "execution_role": account.name(item.get("executionRoleArn")),
        "task_role": account.name(item.get("taskRoleArn")),
        "containers": containers,
        "volumes": item.get("volumes", []),
        "tags": tag_map(item["tags"]),
    }


def connected(item: Json) -> Json | None:
    """Returns a service's place in Service Connect, which its primary deployment shows."""
    primary = next((one for one in item.get("deployments", ()) if one["status"] == "PRIMARY"), {})
    found = primary.get("serviceConnectConfiguration")
    return found and picked(found, "enabled", "services") | {"namespace": bool(found.get("namespace"))}


def inventory_service(account: Account, item: Json) -> Json:
    """One service."""
    family = item["taskDefinition"].split("/")[-1].rpartition(":")[0]
    newest = account.newest_revision(family) or {}
    network = dig(item, "networkConfiguration.awsvpcConfiguration") or {}
    paths = (
        "serviceName",
        "status",
        "desiredCount",
        "runningCount",
        "pendingCount",
        "healthCheckGracePeriodSeconds",
        "deploymentConfiguration",
        "deploymentController",
        "schedulingStrategy",
        "enableExecuteCommand",
        "enableECSManagedTags",
        "propagateTags",
        "availabilityZoneRebalancing",
        "platformVersion",
    )
    return picked(item, *paths) | {
        "cluster": account.name(item["clusterArn"]),
        "launch": launch_type(item),
        "capacityProviderStrategy": item.get("capacityProviderStrategy") or [],
        "task_definition": family,
        "newest_revision": item["taskDefinition"] == newest.get("taskDefinitionArn"),
        "load_balancers": wiring(account, item),
        "subnets": account.named(network.get("subnets")),
        "security_groups": account.named(network.get("securityGroups")),
        "public_ip": network.get("assignPublicIp"),
        "deployments": [picked(one, "status", "rolloutState") for one in item.get("deployments", ())],
        "connect": connected(item),
        "tags": tag_map(item.get("tags")),
    }


def inventory(account: Account) -> int:
    """Prints all that such a stack could have made; returns the exit code."""
    everything: Json = {}
    for part in (
        inventory_network,
        inventory_security_groups,
        inventory_roles,
        inventory_repositories,
        inventory_database,
        inventory_tables,
        inventory_parameters,
        inventory_load_balancers,
        inventory_names,
        inventory_services,
    ):
        everything |= part(account)
    print(json.dumps(ordered(everything), indent=2, sort_keys=True, default=str, ensure_ascii=False))
    return 0


def ordered(value: Any) -> Any:
    """Sorts every list in a value: AWS promises no order."""
    if isinstance(value, dict):
        return {key: ordered(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return sorted((ordered(item) for item in value), key=show)
    return value


# --- tagged ---------------------------------------------------------------------------------------------------------


def tagged_resources(account: Account) -> Iterator[tuple[str, str, Tags]]:
    """Yields kind, ARN or id, and tags of everything that a stack can tag and that is not gone.

    Not from the resource groups tagging API: it lags behind, and lists what has long been deleted.
    """
    ec2 = (
        ("VPC", "describe_vpcs", "Vpcs", "VpcId"),
        ("subnet", "describe_subnets", "Subnets", "SubnetId"),
        ("internet gateway", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
        ("elastic IP", "describe_addresses", "Addresses", "AllocationId"),
        ("route table", "describe_route_tables", "RouteTables", "RouteTableId"),
        ("network ACL", "describe_network_acls", "NetworkAcls", "NetworkAclId"),
        ("security group", "describe_security_groups", "SecurityGroups", "GroupId"),
        ("security group rule", "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"),
        ("network interface", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    )
    for kind, operation, key, identifier in ec2:
        for item in account.all("ec2", operation, key):
            yield kind, item[identifier], tag_map(item.get("Tags") or item.get("TagSet"))
    lists: tuple[tuple[str, list[Json], str, str], ...] = (
        ("NAT gateway", account.nat_gateways, "NatGatewayId", "Tags"),
        ("VPC endpoint", account.vpc_endpoints, "VpcEndpointId", "Tags"),
        ("flow log", account.flow_logs, "FlowLogId", "Tags"),
        ("role", account.roles, "Arn", "Tags"),
        ("user", account.users, "Arn", "Tags"),
        ("repository", account.repositories, "repositoryArn", "Tags"),
        ("DB subnet group", account.db_subnet_groups, "DBSubnetGroupArn", "Tags"),
        ("DB parameter group", account.db_parameter_groups, "DBParameterGroupArn", "Tags"),
        ("database", account.db_instances, "DBInstanceArn", "TagList"),
        ("DB snapshot", account.db_snapshots, "DBSnapshotArn", "Tags"),
        ("table", account.tables, "TableArn", "Tags"),
        ("parameter", account.parameters, "ARN", "Tags"),
        ("secret", account.secrets, "ARN", "Tags"),
        ("load balancer", account.load_balancers, "LoadBalancerArn", "Tags"),
        ("target group", account.target_groups, "TargetGroupArn", "Tags"),
        ("listener", account.listeners, "ListenerArn", "Tags"),
        ("listener rule", account.rules, "RuleArn", "Tags"),
        ("certificate", account.certificates, "CertificateArn", "Tags"),
        ("cluster", account.clusters, "clusterArn", "tags"),
        ("service", account.services, "serviceArn", "tags"),
        ("task", account.tasks, "taskArn", "tags"),
        ("task definition", account.task_definitions, "taskDefinitionArn", "tags"),
        ("alarm", account.alarms, "AlarmArn", "Tags"),
        ("schedule group", account.schedule_groups, "Arn", "Tags"),
        ("namespace", account.namespaces, "Arn", "Tags"),
    )
    for kind, items, identifier, member in lists:
        for item in items:
            yield kind, item[identifier], tag_map(item.get(member))
    for item in account.log_groups:
        yield "log group", item["arn"].removesuffix(":*"), item["Tags"]
    for item in account.policies:
        tags = account.all("iam", "list_policy_tags", "Tags", PolicyArn=item["Arn"])
        yield "policy", item["Arn"], tag_map(tags)
    for arn in oidc_providers(account):
        tags = account.call("iam", "list_open_id_connect_provider_tags", OpenIDConnectProviderArn=arn)["Tags"]
        yield "identity provider", arn, tag_map(tags)


def tagged(account: Account, stack: str) -> int:
    """Lists what still carries the stack's tag; returns the exit code."""
    left = sorted(f"{kind} {name}" for kind, name, tags in tagged_resources(account) if tags.get(STACK_TAG) == stack)
    for line in left:
        print(line)
    return 1 if left else 0


# --- command line ---------------------------------------------------------------------------------------------------


def loopback(url: str | None) -> bool:
    """Tells whether a URL leads to this machine and nowhere else."""
    try:
        parts = urlsplit(url or "")
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or parts.username is not None:
            return False
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def command_line() -> argparse.ArgumentParser:
    """Returns what reads a command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--stack", default="ecs-production", help="name of the stack (default: %(default)s)")
    parser.add_argument(
        "--region",
        default=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or REGION,
        help="region to read (default: %(default)s)",
    )
    parser.add_argument("--postgres-major", metavar="N", help="major version that the stack file asks for")
    parser.add_argument("verb", choices=("check", "inventory", "tagged", "serve"))
    return parser


def main() -> int:
    """Runs one verb; returns the exit code."""
    parser = command_line()
    options = parser.parse_args()

    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint is None or not loopback(endpoint):
        parser.error(f"AWS_ENDPOINT_URL must be a loopback address, not {endpoint!r}: this reads emulators only")
    # Almost all that is made here is botocore's models, which stay: to look for garbage among them takes a quarter of the time.
    gc.set_threshold(200_000, 50, 50)
    if options.verb == "serve":
        serve(endpoint, parser)
        return 0
    return answer(Account(endpoint, options.region), options)


def answer(account: Account, options: argparse.Namespace) -> int:
    """Runs one verb that reads; returns the exit code."""
    try:
        if options.verb == "check":
            return check(account, options.stack, options.postgres_major)
        if options.verb == "inventory":
            return inventory(account)
        return tagged(account, options.stack)
    except CALL_ERRORS as error:
        print(f"reader.py: error: {error}", file=sys.stderr)
        return 2


def serve(endpoint: str, parser: argparse.ArgumentParser) -> None:
    """Answers command lines from stdin until it ends."""
    clients: dict[str, dict[str, Any]] = {}
    for line in sys.stdin:
        options = parser.parse_args(shlex.split(line))
        account = Account(endpoint, options.region, clients.setdefault(options.region, {}))
        stdout, stderr = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            code = answer(account, options)
        print(json.dumps({"code": code, "stdout": stdout.getvalue(), "stderr": stderr.getvalue()}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
