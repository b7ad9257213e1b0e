#!/usr/bin/env python3
"""Writes the pictures and the costs in README.md: what the programs say of the stacks in tests/stacks.

    pictures.py [--check]

A line `<!-- picture: FILE [FILE ...] -->` is followed by a block with the stack's diagram, a line
`<!-- cost: FILE [FILE ...] -->` by one with what a plan says that it costs. The stacks are only planned. With --check
nothing is written.

Exit codes: 0 they are as they should be, 1 with --check: they are not, 2 a plan failed.
"""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
TOOLS = ("ecs-net", "ecs-sg", "ecs-iam", "ecs-ecr", "ecs-db", "ecs-alb", "ecs-svc")
BLOCK = re.compile(r"(<!-- (picture|cost): ([^>]*?) -->\n\n?)```\w*\n.*?```\n", re.DOTALL)


def plan(files: list[str]) -> tuple[str, str]:
    """The planned document, and what the tools said."""
    planned = subprocess.run(
        ["scripts/deploy-all.sh", "--plan", *files], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if planned.returncode != 0:
        sys.stderr.write(planned.stderr)
        sys.exit(2)
    return planned.stdout, planned.stderr


def picture(files: list[str]) -> str:
    drawn = subprocess.run(
        ["ecs-svc", "diagram"], input=plan(files)[0], capture_output=True, text=True, check=True
    )
    return f"```mermaid\n{drawn.stdout}```\n"


def cost(files: list[str]) -> str:
    # The tools of a pipe speak when they are ready: here in the order of the layers.
    lines = [line for line in plan(files)[1].splitlines() if ": cost: " in line]
    lines.sort(key=lambda line: TOOLS.index(line.split(":")[0]))
    return "```text\n" + "\n".join(lines) + "\n```\n"


def block(found: re.Match[str]) -> str:
    files = found[3].split()
    return found[1] + (picture(files) if found[2] == "picture" else cost(files))


def main() -> int:
    if sys.argv[1:] not in ([], ["--check"]):
        sys.stderr.write(__doc__)
        return 2
    before = README.read_text(encoding="utf-8")
    after = BLOCK.sub(block, before)
    if "--check" in sys.argv:
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "README.md", "the programs", lineterm="")
        sys.stdout.writelines(f"{line}\n" for line in lines)
        return int(before != after)
    README.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
