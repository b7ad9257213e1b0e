#!/usr/bin/env bash
# Times the tutorial stack: cold create, a second run with nothing to do, destroy; by the tools and by plain AWS CLI calls
# in bash (tests/bash/), in turn against one local AWS, without and with 50 ms for every call. Then a cold create with AWS's
# usual waiting times, against the longest chain of dependent waits; and each program's start and memory, with a new image
# on a healthy service for ecs-deploy.
#
#   scripts/bench.sh [ROUNDS]       default: 3; prints medians, ratios and numbers of API calls
#
# Uses the programs that were built last (release if it is newer than debug), or those in $ECS_PIPE_BIN.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
[[ ${1:-} != -h && ${1:-} != --help ]] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0; }
rounds=${1:-3}
[[ $rounds =~ ^[1-9][0-9]*$ ]] || { say "${0##*/}: error: ROUNDS must be a whole number, not '$rounds'"; exit 2; }
find_programs
make_venv

add_tool bench-venv awscli==1.45.11
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python=$root/.venv/bin/python3

say "programs: $(dirname "$(command -v ecs-svc)"), $(aws --version 2>&1 | cut -d ' ' -f 1), $(nproc) processors, $rounds rounds"

for latency in 0ms 50ms; do
    : > "$work/record" > "$work/log"
    ecs-local -q --python "$python" --speed 0 --latency "$latency" --record "$work/record" -- \
        bash "$root/tests/bench_session.sh" "$rounds" "$work/record" "$work/log" > "$work/$latency" \
        || { tail -n 40 "$work/log" >&2; fail "a run failed"; }
    printf '\n%s a call\n%-10s %12s %12s %8s %12s %12s\n' "$latency" "" tools bash ratio "tools calls" "bash calls"
    for phase in create again destroy; do
        for who in tools scripts; do
            # The median round, with its calls.
            awk -v phase="$phase" -v who="$who" '$2 == phase && $3 == who { print $4, $5 }' "$work/$latency" \
                | sort -n | sed -n "$(((rounds + 1) / 2))p"
        done | tr '\n' ' ' | awk -v phase="$phase" \
            '{ printf "%-10s %10.2f s %10.2f s %7.1fx %12d %12d\n", phase, $1, $3, $3 / $1, $2, $4 }'
    done
done

# A cold create with AWS's usual waiting times, one second for ten: against the longest chain of dependent waits.
speed=10
printf '[provisioning]\nnat-gateway = "90s"\nload-balancer = "150s"\ndatabase = "420s"\n' > "$work/weather.toml"
printf '\ncold create with usual waiting times\n'
# shellcheck disable=SC2016 # the inner shell expands these
ecs-local -q --python "$python" --speed "$speed" --weather "$work/weather.toml" --record "$work/record" -- bash -c '
    set -o pipefail
    begin=$(date +%s.%N)
    { ecs-net | ecs-sg | ecs-iam | ecs-ecr | ecs-db | ecs-alb | ecs-svc; } < /dev/null > /dev/null 2> "$4" || exit
    seconds=$(awk -v begin="$begin" -v end="$(date +%s.%N)" "BEGIN { print end - begin }")
    "$0" "$1/tests/critical_path.py" "$2" "$3" "$seconds" "$5"
' "$python" "$root" "$work/weather.toml" "$work/record" "$work/log" "$speed" || { tail -n 40 "$work/log" >&2; fail "a run failed"; }

# Start-up and memory, each program by itself: --version, then its part of a cold create, and a deployment.
printf '\n%-10s %14s %14s\n' program "start (ms)" "peak (MB)"
export PEAK=$work/start
tools=(ecs-net ecs-sg ecs-iam ecs-ecr ecs-db ecs-alb ecs-svc)
for tool in "${tools[@]}" ecs-deploy; do
    for _ in {1..21}; do "$python" "$root/tests/peak.py" "$tool" --version > /dev/null; done
done
line=$(printf " | $python $root/tests/peak.py %s" "${tools[@]}")
# shellcheck disable=SC2016 # the inner shell expands these
PEAK=$work/peak ecs-local -q --python "$python" --speed 0 --record "$work/record" -- bash -c "set -o pipefail
    { ${line# | }; } < /dev/null > '$work/stack' 2> '$work/log' || exit"'
    for round in {1..7}; do
        "$0" "$1/tests/push.py" backend-repo "$round" > /dev/null || exit
        before=$(wc -l < "$2/record")
        begin=$(date +%s.%N)
        "$0" "$1/tests/peak.py" ecs-deploy --image "backend=:$round" < "$2/stack" > /dev/null 2>> "$2/log" || exit
        printf "%s %s\n" "$(awk -v begin="$begin" -v end="$(date +%s.%N)" "BEGIN { print end - begin }")" \
            "$(($(wc -l < "$2/record") - before))" >> "$2/deploy"
    done' "$python" "$root" "$work" \
    || { tail -n 40 "$work/log" >&2; fail "a run failed"; }
for tool in "${tools[@]}" ecs-deploy; do
    start=$(awk -v tool="$tool" '$1 == tool { print $2 }' "$work/start" | sort -n | sed -n 11p)
    peak=$(awk -v tool="$tool" '$1 == tool { print $3 }' "$work/peak" | sort -n | tail -n 1)
    printf '%-10s %14s %14s\n' "$tool" "$start" "$peak"
done
sort -n "$work/deploy" | sed -n 4p | awk '{ printf "\na new image on a healthy service: %.2f s, %d calls\n", $1, $2 }'
