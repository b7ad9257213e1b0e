#!/usr/bin/env python3
"""Puts a new image into ECS services in three ways, through the same misfortunes: who tells the truth?

    compare_deploy.py stack            print the stack file: a service for every case and tool
    compare_deploy.py before           push the images, and make the alarms, that the stack needs
    compare_deploy.py run LOGS [CASE…] play the cases, print the tables; what the tools say goes to the directory LOGS

The tools: `bash`, tests/bash/deploy-image.sh with the AWS CLI and its waiter; `PyPI`, the ecs-deploy that PyPI has;
`ours`. All three play a case at the same time, each with a service of its own. What happened is read from ECS
afterwards, by the ARN of the deployment that the tool began. Part of scripts/compare-deploy.sh, for ecs-local only.

An exit code tells the truth when it is 0 if, and only if, the service runs the tool's image and ECS calls its
deployment a success. Where a tool is cut off before that can be known (time limit, pause, service gone, expired
credentials), 0 is never true.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import boto3
import push

Json = dict[str, Any]
T = TypeVar("T")

STACK = "compare"
CLUSTER = f"{STACK}-cluster"
REPOSITORY = STACK
# Image tags: what runs at first, what the tools deploy, what another person deploys; a fourth is never pushed.
BASE, NEXT, OTHER, MISSING = "base", "next", "other", "missing"

# Seconds of real time that each tool may wait: for all cases, and for those that never end.
LIMIT = 60
SHORT = 30
# Less than any deployment takes here.
TOO_SHORT = 2
# How long this program waits for what must come.
PATIENCE = 120.0
# Between two looks of this program, in seconds.
POLL = 0.1
# How many looks in a row are throttled.
THROTTLED = 12

PAUSE = {"targetType": "PAUSE", "lifecycleStages": ["PRE_PRODUCTION_TRAFFIC_SHIFT"]}
ENDED = {"SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"}

ecs, ecr, cloudwatch = (boto3.client(name) for name in ("ecs", "ecr", "cloudwatch"))


# --- the tools ------------------------------------------------------------------------------------------------------


class Tool(NamedTuple):
    """One way to deploy."""

    name: str
    # How it names itself in its calls: the first two are told to, ours does by itself.
    app: str
    # The command line for a service, an image and a time limit.
    deploy: Callable[[str, str, int], list[str]]
    # The same, to go on waiting; where there is no such thing, the closest to it.
    resume: Callable[[str, str, int], list[str]]


def bash_deploy(service: str, image: str, limit: int) -> list[str]:
    """Returns the command line of the script around the AWS CLI."""
    script = Path(__file__).parent / "bash" / "deploy-image.sh"
    return [str(script), CLUSTER, service, image, str(limit)]


def bash_resume(service: str, _image: str, limit: int) -> list[str]:
    """Returns the command line that only waits."""
    return bash_deploy(service, "", limit)


def pypi_deploy(service: str, image: str, limit: int) -> list[str]:
    """Returns the command line of PyPI's ecs-deploy; the container is called as the service's key in the stack file."""
    container = service.removesuffix("-service")
    return ["ecs", "deploy", CLUSTER, service, "--image", container, image, "--timeout", str(limit)]


def our_deploy(service: str, image: str, limit: int) -> list[str]:
    """Returns the command line of our ecs-deploy."""
    place = ["--no-input", "--cluster", CLUSTER, "--service", service]
    return ["ecs-deploy", *place, "--image", image, "--timeout", f"{limit}s"]


def our_resume(service: str, _image: str, limit: int) -> list[str]:
    """Returns the command line that only waits."""
    return ["ecs-deploy", "wait", "--no-input", "--cluster", CLUSTER, "--service", service, "--timeout", f"{limit}s"]


TOOLS = (
    Tool("bash", "compare-bash", bash_deploy, bash_resume),
    # It can only begin anew.
    Tool("PyPI", "compare-pypi", pypi_deploy, pypi_deploy),
    Tool("ours", "ecs-deploy", our_deploy, our_resume),
)


# --- the weather ----------------------------------------------------------------------------------------------------


def control(method: str, path: str, body: str = "") -> str:
    """Calls a control path of ecs-local."""
    url = f"{os.environ['AWS_ENDPOINT_URL']}/_ecs-local/{path}"
    with urllib.request.urlopen(urllib.request.Request(url, body.encode(), method=method)) as answer:
        return str(answer.read().decode())


class Sky:
    """The weather of a case, to which tools' own bad luck is added while it goes on."""

    def __init__(self) -> None:
        """Begins with a fine day."""
        self.text = ""
        self.lock = threading.Lock()

    def set(self, text: str) -> None:
        """Changes the weather."""
        with self.lock:
            self.text = text
            control("PUT", "weather", text)

    def add(self, text: str) -> None:
        """Adds to it."""
        with self.lock:
            self.text += text
            control("PUT", "weather", self.text)


SKY = Sky()


def misfortune(case: str, happens: str) -> str:
    """Returns what befalls every task with the new image, whether it is deployed by tag or by digest."""
    return "".join(
        f'[[misfortune]]\nservice = "{case}-*"\nimage = "{image}"\n{happens}\n'
        for image in (f"*:{NEXT}", f"*@{digest(NEXT)}")
    )


def alarm_weather(case: str) -> str:
    """Returns an alarm for each tool's service that goes off in the middle of the canary's bake."""
    return "".join(
        f'[[alarm]]\nname = "{alarm(tool)}"\nservice = "{service_of(case, tool)}"\n'
        'stage = "PRODUCTION_TRAFFIC_SHIFT"\nafter = "60s"\n'
        for tool in TOOLS
    )


def throttling() -> str:
    """Returns the refusal of a tool's looks, for each tool: the first of them pass, so that it can begin."""
    return "".join(
        f'[[fault]]\ncall = "ecs:Describe*"\ntool = "{tool.app}"\nafter = 3\ntimes = {THROTTLED}\ndo = "throttle"\n'
        for tool in TOOLS
    )


# --- what ECS says --------------------------------------------------------------------------------------------------


def until(what: str, probe: Callable[[], T | None]) -> T:
    """Polls until there is something."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = probe()
        if found:
            return found
        time.sleep(POLL)
    message = f"not so after {PATIENCE:.0f} s: {what}"
    raise TimeoutError(message)


def digest(tag: str) -> str:
    """Returns the digest of a pushed image."""
    images = ecr.describe_images(repositoryName=REPOSITORY, imageIds=[{"imageTag": tag}])["imageDetails"]
    return str(images[0]["imageDigest"])


def uri(tag: str) -> str:
    """Returns what a tool is told to deploy."""
    repository = ecr.describe_repositories(repositoryNames=[REPOSITORY])["repositories"][0]
    return f"{repository['repositoryUri']}:{tag}"


def is_image(image: str, tag: str) -> bool:
    """Tells whether an image is the one with a tag, by tag or by digest."""
    return image.endswith(f":{tag}") or (tag != MISSING and image.endswith(f"@{digest(tag)}"))


def image_of(task_definition: str) -> str:
    """Returns the image of a revision."""
    described = ecs.describe_task_definition(taskDefinition=task_definition)["taskDefinition"]
    return str(described["containerDefinitions"][0]["image"])


def describe_service(service: str) -> Json:
    """Returns a service."""
    found: Json = ecs.describe_services(cluster=CLUSTER, services=[service])["services"][0]
    return found


def describe_deployment(arn: str) -> Json:
    """Returns a service deployment; an empty one where ECS has forgotten it."""
    found = ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    return found[0] if found else {}


def deployments_of(service: str, tag: str, since: float) -> list[Json]:
    """Returns the deployments of an image that began after a moment, oldest first."""
    listed = ecs.list_service_deployments(cluster=CLUSTER, service=service)["serviceDeployments"]
    found = []
    for one in sorted(listed, key=lambda one: one["createdAt"]):
        if one["createdAt"].timestamp() < since:
            continue
        revision = ecs.describe_service_revisions(serviceRevisionArns=[one["targetServiceRevisionArn"]])
        if is_image(image_of(revision["serviceRevisions"][0]["taskDefinition"]), tag):
            found.append(one)
    return found


# --- one tool in one case -------------------------------------------------------------------------------------------


@dataclass
class Run:
    """One run of a tool."""

    tag: str
    code: int
    returned: float
    output: str
    # It was cut off before anybody could know how the deployment ends: 0 is never the truth then.
    cut: bool


@dataclass
class Lane:
    """A tool in a case."""

    case: Case
    tool: Tool
    logs: Path
    begin: float = field(default_factory=time.time)
    # How many calls it had made before what is measured.
    before: int = 0
    # When what the case is about came to pass, where that is not the end of the deployment.
    moment: float | None = None
    # The deployment of the tool's image, once somebody has looked for it.
    arn: str | None = None

    @property
    def service(self) -> str:
        """The name of its service."""
        return service_of(self.case.name, self.tool)

    def calls(self) -> list[str]:
        """Returns the calls that the tool has made in this case."""
        calls = [json.loads(line) for line in control("GET", "calls").splitlines()]
        mine = [f"{call['service']}:{call['operation']}" for call in calls if call["tool"] == self.tool.app]
        return mine[self.before :]

    def start(self, command: list[str], name: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Starts the tool."""
        log = self.logs / f"{self.case.name}-{self.tool.name}{name}.log"
        with log.open("wb") as out:
            out.write(f"$ {' '.join(command)}\n".encode())
            out.flush()
            environment = os.environ | {"AWS_SDK_UA_APP_ID": self.tool.app}
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment
            )
        return process, log

    def run(self, command: list[str], tag: str, *, cut: bool = False, name: str = "") -> Run:
        """Runs the tool to its end."""
        process, log = self.start(command, name)
        code = process.wait()
        returned = time.time()
        output = log.read_text(encoding="utf-8", errors="replace").split("\n", maxsplit=1)[1]
        return Run(tag, code, returned, output, cut)

    def deploy(self, tag: str, limit: int, *, cut: bool = False, name: str = "") -> Run:
        """Has the tool deploy an image."""
        return self.run(self.tool.deploy(self.service, uri(tag), limit), tag, cut=cut, name=name)

    def resume(self, tag: str, limit: int) -> Run:
        """Has the tool go on with waiting."""
        return self.run(self.tool.resume(self.service, uri(tag), limit), tag, name="-resumed")

    def under_way(self) -> str:
        """Waits until the tool's deployment is under way, and returns its ARN."""

        def find() -> str | None:
            found = deployments_of(self.service, self.case.tag, self.begin)
            return str(found[0]["serviceDeploymentArn"]) if found and found[0]["status"] == "IN_PROGRESS" else None

        self.arn = until(f"a deployment of {self.service} is under way", find)
        return self.arn


# --- how a case is played -------------------------------------------------------------------------------------------


def once(lane: Lane) -> list[Run]:
    """Deploys, and disturbs it meanwhile."""
    case = lane.case
    with ThreadPoolExecutor(1) as other:
        disturbed = other.submit(case.disturb, lane) if case.disturb else None
        run = lane.deploy(case.tag, case.limit, cut=case.cut)
        if disturbed:
            disturbed.result()
    return [run]


def again(lane: Lane) -> list[Run]:
    """Deploys what runs already; only the second run is measured."""
    first = lane.deploy(NEXT, LIMIT, name="-first")
    if first.code != 0:
        message = f"{lane.tool.name} did not deploy on a fine day: {first.output}"
        raise RuntimeError(message)
    settle(lane.service)
    lane.before, lane.begin = len(lane.calls()), time.time()
    return [lane.deploy(NEXT, LIMIT)]


def resumed(lane: Lane) -> list[Run]:
    """Does not wait long enough, and then waits on."""
    return [lane.deploy(NEXT, TOO_SHORT, cut=True), lane.resume(NEXT, LIMIT)]


def both(lane: Lane) -> list[Run]:
    """Deploys two images at the same time."""
    with ThreadPoolExecutor(2) as two:
        runs = [two.submit(lane.deploy, tag, LIMIT, name=f"-{tag}") for tag in (NEXT, OTHER)]
        return [run.result() for run in runs]


def replace(lane: Lane) -> None:
    """Deploys something else while the tool's deployment is under way."""
    lane.under_way()
    ecs.update_service(cluster=CLUSTER, service=lane.service, taskDefinition=register(lane.service, OTHER))


def delete(lane: Lane) -> None:
    """Deletes the service while the tool waits."""
    lane.under_way()
    lane.moment = time.time()
    ecs.delete_service(cluster=CLUSTER, service=lane.service, force=True)


def expire(lane: Lane) -> None:
    """Lets the tool's credentials expire while it waits."""
    lane.under_way()
    lane.moment = time.time()
    SKY.add(f'[[fault]]\ncall = "*"\ntool = "{lane.tool.app}"\ndo = "expire"\n')


def see_pause(lane: Lane) -> None:
    """Notes when the deployment pauses."""
    arn = lane.under_way()

    def paused() -> bool:
        hooks = describe_deployment(arn).get("lifecycleHookDetails", [])
        return any(hook["status"] == "AWAITING_ACTION" for hook in hooks)

    until(f"{lane.service} pauses", paused)
    lane.moment = time.time()


def without_breaker(case: Case, tool: Tool) -> None:
    """Switches a service's circuit breaker off."""
    name = service_of(case.name, tool)
    off = {"deploymentCircuitBreaker": {"enable": False, "rollback": False}}
    configuration = describe_service(name)["deploymentConfiguration"] | off
    ecs.update_service(cluster=CLUSTER, service=name, deploymentConfiguration=configuration)


def with_pause(case: Case, tool: Tool) -> None:
    """Adds a pause to a service that shifts its traffic."""
    name = service_of(case.name, tool)
    configuration = describe_service(name)["deploymentConfiguration"] | {"lifecycleHooks": [PAUSE]}
    ecs.update_service(cluster=CLUSTER, service=name, deploymentConfiguration=configuration)


def register(service: str, tag: str) -> str:
    """Registers the first revision of a service's family with another image."""
    family = service.removesuffix("-service") + "-task"
    described = ecs.describe_task_definition(taskDefinition=f"{family}:1")["taskDefinition"]
    wanted = "family taskRoleArn executionRoleArn networkMode containerDefinitions requiresCompatibilities cpu memory"
    request = {name: described[name] for name in wanted.split()}
    request["containerDefinitions"][0]["image"] = uri(tag)
    return str(ecs.register_task_definition(**request)["taskDefinition"]["taskDefinitionArn"])


# --- the cases ------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """What happens, and what a tool should make of it."""

    name: str
    # What the tools should name as the cause; none: there is nothing to name.
    cause: str | None = None
    # What happens to new tasks: lines of a misfortune.
    happens: str = ""
    # Other weather, made when the case begins.
    weather: Callable[[], str] | None = None
    play: Callable[[Lane], list[Run]] = once
    disturb: Callable[[Lane], None] | None = None
    # `deployment` of the service in the stack file.
    strategy: str = ""
    # What else each tool's service needs beforehand.
    prepare: Callable[[Case, Tool], None] | None = None
    # The deployment has no end.
    endless: bool = False
    cut: bool = False
    limit: int = LIMIT
    tag: str = NEXT


CRASH = 'happens = "exits"\nexit-code = 3\nlog = ["panicked: no database"]'
EXITED = r"container exits|exit code 3|panicked: no database|Essential container"
CANARY = 'strategy = "canary", percent = 25, bake = "2m"'
BLUE_GREEN = 'strategy = "blue_green", bake = "0s"'

CASES = (
    Case("success"),
    Case("nothing-to-do", play=again),
    Case("crash", EXITED, CRASH),
    Case("crash-no-breaker", EXITED, CRASH, prepare=without_breaker, endless=True, cut=True, limit=SHORT),
    Case("canary-alarm", r"too-many-5xx", weather=lambda: alarm_weather("canary-alarm"), strategy=CANARY),
    Case("health-check", r"(?i)health.?check", 'happens = "unhealthy-target"\nstatus-code = 503'),
    Case("image-missing", r"(?i)cannotpull|not found|is not there", tag=MISSING),
    Case("out-of-memory", r"(?i)out.?of.?memory", 'happens = "out-of-memory"'),
    Case("secret", r"(?i)secret.*(AccessDenied|not authorized|read|retrieve)|may not", 'happens = "secret-unreadable"'),
    Case(
        "pause",
        r"(?i)paus",
        strategy=BLUE_GREEN,
        prepare=with_pause,
        disturb=see_pause,
        endless=True,
        cut=True,
        limit=SHORT,
    ),
    Case("time-out", play=resumed),
    Case("replaced", r"(?i)another deployment|superseded|replaced", disturb=replace),
    Case("two-at-once", r"(?i)another deployment|superseded|replaced", play=both),
    Case("service-gone", r"(?i)gone|deleted|DRAINING|INACTIVE|not active", disturb=delete, cut=True),
    Case("throttled", weather=throttling),
    Case("expired", r"(?i)expired", disturb=expire, cut=True),
)


def service_of(case: str, tool: Tool) -> str:
    """Returns the name of a service."""
    return f"{case}-{tool.name.lower()}-service"


def alarm(tool: Tool) -> str:
    """Returns the name of an alarm."""
    return f"too-many-5xx-{tool.name.lower()}"


# --- the stack ------------------------------------------------------------------------------------------------------


def stack() -> None:
    """Prints the stack file. No database: nothing here needs one."""
    print(
        f'name = "{STACK}"\nregion = "us-east-1"\n[db]\nenabled = false\n[parameters]\n"/{STACK}/URL" = "${{alb.url}}"'
    )
    for number, (case, tool) in enumerate((case, tool) for case in CASES for tool in TOOLS):
        key = service_of(case.name, tool).removesuffix("-service")
        print(f'[services.{key}]\nrepository = "{REPOSITORY}"\ntag = "{BASE}"\nlog_group = "/{STACK}"')
        print(f'cpu = 256\nmemory = 512\nport = 8080\ndesired = 2\nsecrets = {{ URL = "/{STACK}/URL" }}')
        if number > 0:
            print(f'path = "/{key}/*"\npriority = {number}')
        if case.strategy:
            alarms = f'"{alarm(tool)}"' if case.name == "canary-alarm" else ""
            alarms = f"{{ errors_5xx = 0, unhealthy_hosts = 0, names = [{alarms}] }}"
            print(f"deployment = {{ {case.strategy}, alarms = {alarms} }}")


def before() -> None:
    """Pushes the images, and makes the alarms."""
    for tag in (BASE, NEXT, OTHER):
        push.push(REPOSITORY, tag, "amd64")
    for tool in TOOLS:
        cloudwatch.put_metric_alarm(
            AlarmName=alarm(tool),
            Namespace="AWS/ApplicationELB",
            MetricName="HTTPCode_Target_5XX_Count",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=10,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
        )


def settle(service: str) -> None:
    """Waits until the newest deployment of a service has ended."""

    def ended() -> bool:
        listed = ecs.list_service_deployments(cluster=CLUSTER, service=service)["serviceDeployments"]
        return max(listed, key=lambda one: one["createdAt"])["status"] in ENDED

    until(f"{service} is steady", ended)


# --- the comparison -------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """What a tool made of a case."""

    case: str
    tool: str
    happened: str
    codes: str
    # How many of its runs ended with 0 though it was not done, and otherwise though it was.
    false_successes: int
    false_alarms: int
    # Seconds between the end and the tool's return; none: there was no end to be late after.
    late: float | None
    calls: int
    # Whether it named the cause; none: there was none to name.
    named: bool | None


def end_of(deployment: Json) -> float | None:
    """Returns when a deployment ended."""
    at = deployment.get("finishedAt") or deployment.get("stoppedAt")
    return at.timestamp() if at else None


class Fate(NamedTuple):
    """What became of what a run asked for."""

    status: str
    done: bool
    end: float | None


def fate(lane: Lane, tag: str) -> Fate:
    """Reads from ECS what became of an image that a tool was told to deploy."""
    arn = lane.arn
    if arn is None:
        found = deployments_of(lane.service, tag, lane.begin)
        arn = found[-1]["serviceDeploymentArn"] if found else None
    service = describe_service(lane.service)
    runs = service["status"] == "ACTIVE" and is_image(image_of(service["taskDefinition"]), tag)
    if arn is None:
        return Fate("nothing deployed", runs, None)
    if lane.case.disturb is delete:
        return Fate("service " + service["status"], False, None)
    if not lane.case.endless:
        until(f"{arn} has ended", lambda: describe_deployment(arn)["status"] in ENDED)
    deployment = describe_deployment(arn)
    status = str(deployment["status"])
    running = str(describe_service(lane.service)["taskDefinition"])
    runs = is_image(image_of(running), tag)
    if ecs.describe_task_definition(taskDefinition=running)["taskDefinition"]["status"] == "INACTIVE":
        status += "*"
    return Fate(status, runs and deployment["status"] == "SUCCESSFUL", end_of(deployment))


def judge(lane: Lane, runs: list[Run], calls: int) -> Row:
    """Compares what the tool said with what ECS says."""
    fates = [fate(lane, run.tag) for run in runs]
    pairs = list(zip(runs, fates, strict=True))
    right = [one.done and not run.cut for run, one in pairs]
    false_successes = sum(run.code == 0 and not done for run, done in zip(runs, right, strict=True))
    false_alarms = sum(run.code != 0 and done for run, done in zip(runs, right, strict=True))
    if lane.moment is not None:
        late: float | None = runs[-1].returned - lane.moment
    else:
        times = [run.returned - one.end for run, one in pairs if one.end and not run.cut]
        late = max(times, default=None)
    cause = lane.case.cause
    # The case's name stands in the service's and the container's, and is no cause.
    key = lane.service.removesuffix("-service")
    outputs = [run.output.replace(key, "") for run in runs]
    named = None if cause is None else any(re.search(cause, output) for output in outputs)
    happened = ", ".join(dict.fromkeys(one.status for one in fates))
    codes = ", ".join(str(run.code) for run in runs)
    return Row(lane.case.name, lane.tool.name, happened, codes, false_successes, false_alarms, late, calls, named)


def compare(case: Case, tool: Tool, logs: Path) -> Row:
    """Plays a case with a tool."""
    lane = Lane(case, tool, logs)
    runs = case.play(lane)
    calls = lane.calls()
    counts = "".join(f"{count:4} {name}\n" for name, count in Counter(calls).most_common())
    (logs / f"{case.name}-{tool.name}.calls").write_text(counts, encoding="utf-8")
    row = judge(lane, runs, len(calls))
    if case.endless:
        # It would go on trying for ever.
        ecs.delete_service(cluster=CLUSTER, service=lane.service, force=True)
    return row


def play(case: Case, logs: Path) -> list[Row]:
    """Plays a case with all tools at the same time."""
    for tool in TOOLS:
        settle(service_of(case.name, tool))
        if case.prepare:
            case.prepare(case, tool)
    misfortunes = misfortune(case.name, case.happens) if case.happens else ""
    SKY.set(misfortunes + (case.weather() if case.weather else ""))
    control("DELETE", "calls")
    with ThreadPoolExecutor(len(TOOLS)) as lanes:
        return list(lanes.map(lambda tool: compare(case, tool, logs), TOOLS))


def say(answer: bool | None) -> str:
    """Writes yes, NO or nothing."""
    return "-" if answer is None else "yes" if answer else "NO"


def seconds(number: float | None) -> str:
    """Writes seconds."""
    return "-" if number is None else f"{number:.1f} s"


LINE = "{:<17} {:<5} {:<22} {:>7} {:>6} {:>8} {:>6} {:>7}"
TOTAL = "{:<6} {:>10} {:>16} {:>13} {:>14} {:>12} {:>6} {:>13}"


def show(row: Row) -> str:
    """Returns a row as a line of the table."""
    true = row.false_successes + row.false_alarms == 0
    cells = (row.case, row.tool, row.happened, row.codes, say(true), seconds(row.late), row.calls, say(row.named))
    return LINE.format(*cells)


def total(tool: Tool, rows: list[Row]) -> str:
    """Returns a tool's line of the second table."""
    mine = [row for row in rows if row.tool == tool.name]
    late = [row.late for row in mine if row.late is not None]
    named = [row.named for row in mine if row.named is not None]
    lies = [row.false_successes > 0 for row in mine]
    alarms = [row.false_alarms > 0 for row in mine]
    true = sum(not (lie or alarm) for lie, alarm in zip(lies, alarms, strict=True))
    return TOTAL.format(
        tool.name,
        f"{true} of {len(mine)}",
        sum(lies),
        sum(alarms),
        seconds(statistics.median(late) if late else None),
        seconds(max(late, default=None)),
        sum(row.calls for row in mine),
        f"{sum(named)} of {len(named)}",
    )


def run(logs: Path, only: list[str]) -> None:
    """Plays the cases, and prints the tables."""
    cases = [case for case in CASES if not only or case.name in only]
    begin = time.monotonic()
    print(LINE.format("case", "tool", "what happened", "exit", "true", "late", "calls", "cause"))
    rows: list[Row] = []
    for case in cases:
        played = play(case, logs)
        rows += played
        print("\n".join(show(row) for row in played), flush=True)
    if any("*" in row.happened for row in rows):
        print("* and the service now runs a revision that the tool has deregistered")
    heads = ("tool", "true", "false successes", "false alarms", "late (median)", "late (most)", "calls", "causes named")
    print("\n" + TOTAL.format(*heads))
    print("\n".join(total(tool, rows) for tool in TOOLS))
    print(f"\n{len(cases)} cases, {time.monotonic() - begin:.0f} s")


def main() -> int:
    """Does what the command line says; returns the exit code."""
    if urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname not in ("127.0.0.1", "localhost", "::1"):
        print("compare_deploy.py: error: AWS_ENDPOINT_URL must be a loopback address", file=sys.stderr)
        return 2
    match sys.argv[1:]:
        case ["stack"]:
            stack()
        case ["before"]:
            before()
        case ["run", logs, *only]:
            run(Path(logs), only)
        case _:
            print((__doc__ or "").split("\n\n")[1], file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
