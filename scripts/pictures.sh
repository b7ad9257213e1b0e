#!/usr/bin/env bash
# Writes the pictures and costs in README.md anew, from plans of the stacks in tests/stacks on a local AWS.
#
#   scripts/pictures.sh
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
[[ $# -eq 0 ]] || { sed -n '2,4s/^# \{0,1\}//p' "$0" >&2; exit 2; }
make_venv
find_programs
export ECS_LOCAL_PYTHON=$root/.venv/bin/python3
ecs-local -- "$ECS_LOCAL_PYTHON" "$root/tests/pictures.py"
