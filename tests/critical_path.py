#!/usr/bin/env python3
"""Compares the time of a cold create with the longest chain of things that have to wait for one another.

    critical_path.py WEATHER RECORD SECONDS SPEED

Reads how long things take to come up from the scenario WEATHER, when they were asked for from the calls in RECORD, and how
long the services' deployments took from ECS itself; SECONDS is what the create took. Prints, in seconds of the scaled
clock (SPEED of them are one on the wall), the chain, the sum of all waits, what was measured, and the difference.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from pathlib import Path

import boto3

SECONDS = {"s": 1, "m": 60}

# A new database takes connections while RDS makes its first backup: the last tenth of its time in ecs-local.
USABLE = 0.9


def duration(text: str) -> float:
    """Returns the seconds of a duration such as `90s` or `7m`."""
    return float(text[:-1]) * SECONDS[text[-1]]


def main() -> int:
    """Prints the comparison; returns the exit code."""
    weather_file, record, measured, speed = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    provisioning = tomllib.loads(Path(weather_file).read_text(encoding="utf-8"))["provisioning"]
    takes = {name: duration(text) / speed for name, text in provisioning.items()}

    calls = [json.loads(line) for line in Path(record).read_text(encoding="utf-8").splitlines()]
    calls = [call for call in calls if call["tool"]]
    start = min(call["started_ms"] for call in calls) / 1000
    asked: dict[str, float] = {}
    for call in calls:
        if call["status"] == 200:
            asked.setdefault(call["operation"], call["started_ms"] / 1000 - start)

    ecs = boto3.client("ecs", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    cluster = ecs.list_clusters()["clusterArns"][0]
    rollouts = []
    for service in ecs.list_services(cluster=cluster)["serviceArns"]:
        for deployment in ecs.list_service_deployments(cluster=cluster, service=service)["serviceDeployments"]:
            rollouts.append((deployment["finishedAt"] - deployment["createdAt"]).total_seconds())

    # Every way from the first call to the end: what has to be asked for, what that takes, and what only then can begin.
    chains = {
        "database, then a service that reads its address": asked["CreateDBInstance"] + takes["database"] * USABLE + max(rollouts),
        "load balancer, then a service behind it": asked["CreateLoadBalancer"] + takes["load-balancer"] + max(rollouts),
        "NAT gateway": asked["CreateNatGateway"] + takes["nat-gateway"],
    }
    name, chain = max(chains.items(), key=lambda item: item[1])
    total = takes["database"] + takes["load-balancer"] + 2 * takes["nat-gateway"] + sum(rollouts)
    over = (measured / chain - 1) * 100
    print(f"longest chain  {chain * speed:7.0f} s   {name}")
    print(f"sum of waits   {total * speed:7.0f} s   one after the other, as a script waits")
    print(f"measured       {measured * speed:7.0f} s   {over:+.1f} % of the longest chain")
    return 0


if __name__ == "__main__":
    sys.exit(main())
