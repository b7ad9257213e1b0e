#!/usr/bin/env python3
"""Does to the services of a deployed stack what others do; independent of the tools, as reader.py is.

    shift.py deploy SERVICE...    register a revision with another image, update the service, and follow ECS to the end
    shift.py delete SERVICE...    delete the service
    shift.py unrule PRIORITY      delete the listener rule of that priority
    shift.py alarm NAME           change an alarm, and let it tell somebody
    shift.py untag NAME           take the stack's tag off an alarm
    shift.py borrow SERVICE...    run the service's tasks on Spot alone, and switch ECS Exec on
    shift.py strip                take the capacity providers off the cluster
    shift.py bind ROLE...         put a permissions boundary on the role
    shift.py cluster NAME         make a cluster
    shift.py provider             make GitHub's identity provider, for somebody else's audience

It acts on the one cluster and the one load balancer that there are.
"""

from __future__ import annotations

import sys

import boto3

TAG = "ecs-pipe:stack"
# ECS settles more at every look: a deployment that is not done by then is stuck.
LOOKS = 500

ecs, elb, cloudwatch, iam = (boto3.client(name) for name in ("ecs", "elbv2", "cloudwatch", "iam"))


def cluster() -> str:
    """Returns the cluster's ARN."""
    return str(ecs.list_clusters()["clusterArns"][0])


def deploy(service: str) -> None:
    """Deploys a new revision of a service."""
    found = ecs.describe_services(cluster=cluster(), services=[service])["services"][0]
    old = ecs.describe_task_definition(taskDefinition=found["taskDefinition"])["taskDefinition"]
    kept = (
        "family taskRoleArn executionRoleArn networkMode containerDefinitions requiresCompatibilities cpu memory "
        "runtimePlatform volumes"
    )
    new = {key: old[key] for key in kept.split() if key in old}
    for container in new["containerDefinitions"]:
        container["image"] = f"{container['image'].rpartition(':')[0]}:{old['revision'] + 1}"
    registered = ecs.register_task_definition(**new)["taskDefinition"]["taskDefinitionArn"]
    ecs.update_service(cluster=cluster(), service=service, taskDefinition=registered)
    for _ in range(LOOKS):
        listed = ecs.list_service_deployments(cluster=cluster(), service=service)["serviceDeployments"]
        newest = max(listed, key=lambda deployment: deployment["createdAt"])
        if newest["status"] == "SUCCESSFUL":
            return
        if newest["status"] not in ("PENDING", "IN_PROGRESS"):
            sys.exit(f"{service}: {newest}")
    sys.exit(f"{service}: still {newest}")


def delete(service: str) -> None:
    """Deletes a service."""
    ecs.delete_service(cluster=cluster(), service=service, force=True)


def unrule(priority: str) -> None:
    """Deletes a listener rule."""
    balancer = elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    listener = elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"][0]["ListenerArn"]
    for rule in elb.describe_rules(ListenerArn=listener)["Rules"]:
        if rule["Priority"] == priority:
            elb.delete_rule(RuleArn=rule["RuleArn"])


def alarm(name: str) -> None:
    """Changes an alarm."""
    found = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    kept = "AlarmName EvaluationPeriods ComparisonOperator Metrics"
    members = {key: found[key] for key in kept.split()}
    cloudwatch.put_metric_alarm(**members, Threshold=999, AlarmActions=["arn:aws:sns:us-east-1:123456789012:oncall"])


def untag(name: str) -> None:
    """Takes the stack's tag off an alarm."""
    found = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    cloudwatch.untag_resource(ResourceARN=found["AlarmArn"], TagKeys=[TAG])


def borrow(service: str) -> None:
    """Runs the tasks of a service on Spot, with ECS Exec."""
    ecs.update_service(
        cluster=cluster(),
        service=service,
        capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        enableExecuteCommand=True,
        forceNewDeployment=True,
    )


def strip(_: str) -> None:
    """Takes the capacity providers off the cluster."""
    ecs.put_cluster_capacity_providers(cluster=cluster(), capacityProviders=[], defaultCapacityProviderStrategy=[])


def bind(role: str) -> None:
    """Puts a permissions boundary on a role."""
    iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary="arn:aws:iam::123456789012:policy/theirs")


def own_cluster(name: str) -> None:
    """Makes a cluster."""
    ecs.create_cluster(clusterName=name)


def provider(_: str) -> None:
    """Makes GitHub's identity provider."""
    iam.create_open_id_connect_provider(
        Url="https://token.actions.githubusercontent.com", ClientIDList=["https://github.com/org"]
    )


VERBS = {one.__name__: one for one in (deploy, delete, unrule, alarm, untag, borrow, strip, bind, provider)} | {"cluster": own_cluster}


def main() -> None:
    """Runs one verb on each of the names."""
    verb, *names = sys.argv[1:]
    for name in names or [""]:
        VERBS[verb](name)


if __name__ == "__main__":
    main()
