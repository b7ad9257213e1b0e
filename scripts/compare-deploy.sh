#!/usr/bin/env bash
# Who tells the truth? Deploys a new image through the same misfortunes with the AWS CLI and its waiter, with the
# ecs-deploy that PyPI has, and with ours, side by side on one local AWS; compares what each says with what ECS did.
#
#   scripts/compare-deploy.sh [-l LOGS] [CASE...]   default: all cases; -l keeps what the tools said in the directory LOGS
#
# Uses the programs that were built last (release if it is newer than debug), or those in $ECS_PIPE_BIN.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != -h && ${1:-} != --help ]] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0; }

# Seconds of AWS's clock in one on the wall: a deployment takes about 5 s. The tools' own pauses stay what they are.
speed=20
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
logs=$work
if [[ ${1:-} == -l ]]; then
    [[ -n ${2:-} ]] || { say "${0##*/}: error: -l needs a directory"; exit 2; }
    mkdir -p "$2"
    logs=$(cd "$2" && pwd)
    shift 2
fi
find_programs
make_venv
add_tool bench-venv awscli==1.45.11
add_tool compare-venv ecs-deploy==1.17.0
python=$root/.venv/bin/python3
compare=$root/tests/compare_deploy.py

say "programs: $(dirname "$(command -v ecs-svc)"), $(aws --version 2>&1 | cut -d ' ' -f 1), PyPI's ecs-deploy 1.17.0," \
    "$(nproc) processors, speed $speed"
# shellcheck disable=SC2016 # the inner shell expands these
ecs-local -q --python "$python" --speed "$speed" -- bash -c '
    set -euo pipefail
    python=$0 compare=$1 work=$2 logs=$3
    shift 3
    "$python" "$compare" stack > "$work/stack.toml"
    export ECS_STACK=$work/stack.toml
    ecs-ecr --no-input > /dev/null 2> "$work/log" || { cat "$work/log" >&2; exit 1; }
    "$python" "$compare" before
    { ecs-net --no-input | ecs-sg | ecs-iam | ecs-ecr | ecs-alb | ecs-svc; } > /dev/null 2> "$work/log" || { tail -n 40 "$work/log" >&2; exit 1; }
    unset ECS_STACK
    exec "$python" "$compare" run "$logs" "$@"
' "$python" "$compare" "$work" "$logs" "$@" || fail "a case could not be played"
