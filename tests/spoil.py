#!/usr/bin/env python3
"""Does to a deployed tutorial stack what people do by hand; independent of the tools, as reader.py is.

    spoil.py values           change what can be changed in place, on each kind of resource
    spoil.py parameters       change two parameters
    spoil.py tags KIND...     take the stack's tag off one resource of each of these kinds
    spoil.py additions        put other things beside the stack's: a rule, a listener, a security group
    spoil.py certificate      import a certificate, and print its ARN
    spoil.py interface        put a network interface into a private subnet, and print its id

Several verbs run one after the other; `tags` comes last.
"""

from __future__ import annotations

import datetime
import json
import sys
from typing import Any

import boto3

TAG = "ecs-pipe:stack"
CLUSTER = "ecs-production-cluster"
PARAMETERS = ("/ecs/backend/DB_PORT", "/ecs/backend/FRONTEND_URL")

ec2, iam, ecr, rds, ssm, elb, ecs, logs, acm = (
    boto3.client(name) for name in ("ec2", "iam", "ecr", "rds", "ssm", "elbv2", "ecs", "logs", "acm")
)


def named(name: str) -> list[dict[str, str]]:
    """Returns the filter for a name."""
    return [{"Name": "tag:Name", "Values": [name]}]


def subnet_ids(kind: str) -> list[str]:
    """Returns the ids of the public or the private subnets."""
    return [one["SubnetId"] for one in ec2.describe_subnets(Filters=named(f"*-{kind}-*"))["Subnets"]]


def association_of(subnet: str) -> tuple[str, str]:
    """Returns the ids of a subnet's route table and of its association."""
    tables = ec2.describe_route_tables(Filters=[{"Name": "association.subnet-id", "Values": [subnet]}])
    associations = tables["RouteTables"][0]["Associations"]
    association = next(one for one in associations if one.get("SubnetId") == subnet)
    return association["RouteTableId"], association["RouteTableAssociationId"]


def group_id(name: str) -> str:
    """Returns the id of a security group."""
    groups = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [name]}])["SecurityGroups"]
    return str(groups[0]["GroupId"])


def target_group(name: str) -> str:
    """Returns the ARN of a target group."""
    return str(elb.describe_target_groups(Names=[name])["TargetGroups"][0]["TargetGroupArn"])


def load_balancer() -> str:
    """Returns the load balancer's ARN."""
    return str(elb.describe_load_balancers(Names=["ecs-alb"])["LoadBalancers"][0]["LoadBalancerArn"])


def listener() -> str:
    """Returns the ARN of the listener on port 80."""
    listeners = elb.describe_listeners(LoadBalancerArn=load_balancer())["Listeners"]
    return str(next(one["ListenerArn"] for one in listeners if one["Port"] == 80))


def the_rule() -> dict[str, Any]:
    """Returns the rule beside the default one."""
    rules: list[dict[str, Any]] = elb.describe_rules(ListenerArn=listener())["Rules"]
    return next(one for one in rules if not one["IsDefault"])


def rule() -> str:
    """Returns that rule's ARN."""
    return str(the_rule()["RuleArn"])


def forward(name: str) -> list[dict[str, Any]]:
    """Returns the actions that forward to a target group."""
    return [{"Type": "forward", "TargetGroupArn": target_group(name)}]


def path(pattern: str) -> list[dict[str, Any]]:
    """Returns the conditions for a path."""
    return [{"Field": "path-pattern", "PathPatternConfig": {"Values": [pattern]}}]


def values() -> None:
    """Changes values."""
    _, association = association_of(subnet_ids("public")[0])
    table, _ = association_of(subnet_ids("private")[0])
    ec2.replace_route_table_association(AssociationId=association, RouteTableId=table)
    web = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}
    web["IpRanges"] = [{"CidrIp": "0.0.0.0/0", "Description": "by hand"}]
    ec2.update_security_group_rule_descriptions_ingress(GroupId=group_id("ALB-SG"), IpPermissions=[web])

    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.update_assume_role_policy(RoleName="backendTaskRole", PolicyDocument=document)
    iam.update_role_description(RoleName="frontendTaskRole", Description="by hand")

    ecr.put_image_scanning_configuration(
        repositoryName="backend-repo", imageScanningConfiguration={"scanOnPush": False}
    )
    ecr.put_image_tag_mutability(repositoryName="frontend-repo", imageTagMutability="IMMUTABLE")

    rds.modify_db_instance(DBInstanceIdentifier="ecs-postgres-db", BackupRetentionPeriod=1, ApplyImmediately=True)
    rds.modify_db_subnet_group(
        DBSubnetGroupName="ecs-db-subnet-group",
        DBSubnetGroupDescription="by hand",
        SubnetIds=subnet_ids("private") + subnet_ids("public"),
    )

    elb.modify_listener(ListenerArn=listener(), DefaultActions=forward("backend-tg"))
    elb.modify_rule(RuleArn=rule(), Conditions=path("/wrong/*"))
    if the_rule()["Priority"] != "7":
        elb.set_rule_priorities(RulePriorities=[{"RuleArn": rule(), "Priority": 7}])
    elb.set_subnets(LoadBalancerArn=load_balancer(), Subnets=subnet_ids("private"))
    elb.set_ip_address_type(LoadBalancerArn=load_balancer(), IpAddressType="dualstack")
    attribute = {"Key": "deregistration_delay.timeout_seconds", "Value": "5"}
    elb.modify_target_group_attributes(TargetGroupArn=target_group("backend-tg"), Attributes=[attribute])

    logs.put_retention_policy(logGroupName="/ecs/backend", retentionInDays=1)
    ecs.update_cluster_settings(cluster=CLUSTER, settings=[{"name": "containerInsights", "value": "enhanced"}])
    ecs.update_service(
        cluster=CLUSTER, service="frontend-service", desiredCount=1, healthCheckGracePeriodSeconds=5
    )
    ecs.update_service(
        cluster=CLUSTER,
        service="backend-service",
        deploymentConfiguration={
            "minimumHealthyPercent": 50,
            "maximumPercent": 150,
            "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        },
    )


def parameters() -> None:
    """Changes parameters, which counts their versions up."""
    for name in PARAMETERS:
        ssm.put_parameter(Name=name, Value="by hand", Overwrite=True)


def untag(kind: str) -> None:
    """Takes the stack's tag off one resource."""
    match kind:
        case "vpc":
            ids = [one["VpcId"] for one in ec2.describe_vpcs(Filters=named("ecs-production-vpc"))["Vpcs"]]
            ec2.delete_tags(Resources=ids, Tags=[{"Key": TAG}])
        case "subnet":
            ec2.delete_tags(Resources=subnet_ids("public")[:1], Tags=[{"Key": TAG}])
        case "security-group":
            ec2.delete_tags(Resources=[group_id("ECS-SG")], Tags=[{"Key": TAG}])
        case "role":
            iam.untag_role(RoleName="backendTaskRole", TagKeys=[TAG])
        case "repository":
            found = ecr.describe_repositories(repositoryNames=["backend-repo"])["repositories"][0]
            ecr.untag_resource(resourceArn=found["repositoryArn"], tagKeys=[TAG])
        case "db-subnet-group":
            found = rds.describe_db_subnet_groups(DBSubnetGroupName="ecs-db-subnet-group")["DBSubnetGroups"][0]
            rds.remove_tags_from_resource(ResourceName=found["DBSubnetGroupArn"], TagKeys=[TAG])
        case "db-instance":
            found = rds.describe_db_instances(DBInstanceIdentifier="ecs-postgres-db")["DBInstances"][0]
            rds.remove_tags_from_resource(ResourceName=found["DBInstanceArn"], TagKeys=[TAG])
        case "parameters":
            for name in (*PARAMETERS, "/ecs/backend/DB_PASSWORD"):
                ssm.remove_tags_from_resource(ResourceType="Parameter", ResourceId=name, TagKeys=[TAG])
        case "load-balancer":
            elb.remove_tags(ResourceArns=[load_balancer()], TagKeys=[TAG])
        case "target-group":
            elb.remove_tags(ResourceArns=[target_group("backend-tg")], TagKeys=[TAG])
        case "listener":
            elb.remove_tags(ResourceArns=[listener()], TagKeys=[TAG])
        case "rule":
            elb.remove_tags(ResourceArns=[rule()], TagKeys=[TAG])
        case "cluster":
            found = ecs.describe_clusters(clusters=[CLUSTER])["clusters"][0]
            ecs.untag_resource(resourceArn=found["clusterArn"], tagKeys=[TAG])
        case "service":
            found = ecs.describe_services(cluster=CLUSTER, services=["backend-service"])["services"][0]
            ecs.untag_resource(resourceArn=found["serviceArn"], tagKeys=[TAG])
        case "task-definition":
            found = ecs.describe_task_definition(taskDefinition="backend-task")["taskDefinition"]
            ecs.untag_resource(resourceArn=found["taskDefinitionArn"], tagKeys=[TAG])
        case "log-group":
            found = logs.describe_log_groups(logGroupNamePrefix="/ecs/backend")["logGroups"][0]
            logs.untag_resource(resourceArn=found["arn"].removesuffix(":*"), tagKeys=[TAG])
        case _:
            sys.exit(f"no such kind: {kind}")


def additions() -> None:
    """Adds things."""
    elb.create_rule(ListenerArn=listener(), Priority=3, Conditions=path("/mine/*"), Actions=forward("frontend-tg"))
    elb.create_listener(
        LoadBalancerArn=load_balancer(), Protocol="HTTP", Port=8080, DefaultActions=forward("frontend-tg")
    )
    elb.set_security_groups(LoadBalancerArn=load_balancer(), SecurityGroups=[group_id("ECS-SG")])
    mine = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.0/24"}]}
    ec2.authorize_security_group_ingress(GroupId=group_id("ALB-SG"), IpPermissions=[mine])


def certificate() -> None:
    """Imports a certificate."""
    # It comes with moto, and only this verb needs it.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.com")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=30))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    imported = acm.import_certificate(
        Certificate=made.sign(key, hashes.SHA256()).public_bytes(pem),
        PrivateKey=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain),
    )
    print(imported["CertificateArn"])


def interface() -> None:
    """Puts a network interface into a subnet."""
    made = ec2.create_network_interface(SubnetId=subnet_ids("private")[0], Description="somebody else's")
    print(made["NetworkInterface"]["NetworkInterfaceId"])


VERBS = {one.__name__: one for one in (values, parameters, additions, certificate, interface)}


def main() -> None:
    """Runs the verbs."""
    arguments = sys.argv[1:]
    while arguments:
        verb = arguments.pop(0)
        if verb == "tags":
            for kind in arguments:
                untag(kind)
            return
        VERBS[verb]()


if __name__ == "__main__":
    main()
