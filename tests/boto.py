#!/usr/bin/env python3
"""Makes calls for a test, one after the other, as another person would; independent of the tools, as reader.py is.

Reads one request a line, {"service": "ecs", "call": "describe_services", "with": {…}}, and writes one answer a line: what
boto3 returns, or {"error": CODE, "message": …}. {"push": REPOSITORY, "tag": TAG, "arch": …} pushes an image as push.py does.
"""

from __future__ import annotations

import functools
import json
import sys
from typing import Any

import boto3
import botocore.exceptions

import push


@functools.cache
def client(service: str) -> Any:
    """Returns the client of a service: making one takes longer than most calls."""
    return boto3.client(service)


def answer(request: dict[str, Any]) -> Any:
    """Does what one request says."""
    if "push" in request:
        architecture = request["arch"]
        one = push.push_index if architecture == "multi" else functools.partial(push.push, architecture=architecture)
        return one(request["push"], request["tag"])
    try:
        found = getattr(client(request["service"]), request["call"])(**request["with"])
    except botocore.exceptions.ClientError as error:
        return {"error": error.response["Error"]["Code"], "message": error.response["Error"]["Message"]}
    found.pop("ResponseMetadata", None)
    return found


def main() -> None:
    """Answers until there are no more requests."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line)), default=str), flush=True)


if __name__ == "__main__":
    main()
