#!/usr/bin/env bash
# One session of scripts/bench.sh, inside `ecs-local --record FILE --`: create, second run and destroy, by the tools
# and by the AWS CLI in turn. Writes lines `ROUND PHASE WHO SECONDS CALLS` to stdout; what the programs say goes to LOG.
#
#   bench_session.sh ROUNDS RECORD LOG
set -euo pipefail
rounds=$1 record=$2 log=$3
tests=$(cd "$(dirname "$0")" && pwd)
stack=$tests/stacks/tutorial.toml

tools() {
    case $1 in
        destroy)
            ecs-svc destroy --stack "$stack" --no-input | ecs-alb destroy | ecs-db destroy | ecs-ecr destroy \
                | ecs-iam destroy | ecs-sg destroy | ecs-net destroy > /dev/null ;;
        *) ecs-net --stack "$stack" --no-input | ecs-sg | ecs-iam | ecs-ecr | ecs-db | ecs-alb | ecs-svc > /dev/null ;;
    esac
}

scripts() {
    case $1 in
        destroy) "$tests/bash/destroy-all.sh" ;;
        *) "$tests/bash/deploy-all.sh" ;;
    esac
}

# Uncounted: the emulator loads its services at their first call.
tools create >> "$log" 2>&1 < /dev/null
tools destroy >> "$log" 2>&1 < /dev/null

for ((round = 1; round <= rounds; round++)); do
    for who in tools scripts; do
        for phase in create again destroy; do
            before=$(wc -l < "$record") start=$EPOCHREALTIME
            "$who" "$phase" >> "$log" 2>&1 < /dev/null
            end=$EPOCHREALTIME
            awk -v start="$start" -v end="$end" -v calls="$(($(wc -l < "$record") - before))" \
                -v what="$round $phase $who" 'BEGIN { printf "%s %.3f %d\n", what, end - start, calls }'
        done
    done
done
