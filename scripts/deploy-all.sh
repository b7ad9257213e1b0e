#!/usr/bin/env bash
# Makes a whole stack be as its files say: the tutorial stack, or STACK.toml with later files merged over it.
#
#   scripts/deploy-all.sh [--plan] [--prune] [STACK.toml [OVERLAY.toml ...]] [> stack.json]
#
# --plan says what would change and what the stack costs a month, and changes nothing. --prune removes what the files
# no longer ask for, and what others have added to the stack's own resources; without it that is only named.
# Running it again continues, heals, or changes nothing. The document goes to stdout, or to ecs-stack.json when stdout
# is a terminal. Exit code: that of the first tool that failed.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
find_programs

verb=()
while [[ ${1:-} == -* ]]; do
    case $1 in
        --plan) verb=(plan) ;;
        --prune) export ECS_PRUNE=true ;;
        -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) say "${0##*/}: error: there is no option $1: --plan and --prune are those that there are"; exit 2 ;;
    esac
    shift
done
files=("${@:-$root/tests/stacks/tutorial.toml}")
arguments=()
for file in "${files[@]}"; do
    [[ -r $file ]] || { say "${0##*/}: error: $file cannot be read"; exit 2; }
    arguments+=(--stack "$file")
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
started=$SECONDS

set +e
{
    ecs-net "${verb[@]}" "${arguments[@]}" --no-input | ecs-sg "${verb[@]}" | ecs-iam "${verb[@]}" | ecs-ecr "${verb[@]}" \
        | ecs-db "${verb[@]}" | ecs-alb "${verb[@]}" | ecs-svc "${verb[@]}" > "$work/stack.json"
    cause_of "${PIPESTATUS[@]}"
} 2> >(trap '' INT TERM; tee "$work/log" >&2)
status=$?
# The lines that tee still holds come before the summary.
wait $!
set -e

if [[ $status -ne 0 ]]; then
    say ""
    say "not done (exit code $status) after $((SECONDS - started)) s; run the same line again to continue"
    exit "$status"
fi

if [[ ${verb[*]} == plan ]]; then
    [[ -t 1 ]] || cat "$work/stack.json"
    exit
fi

# Prints the first value of a key in the document: its own members are written compactly.
value() { grep -o "\"$1\":\"[^\"]*\"" "$work/stack.json" | head -n 1 | cut -d '"' -f 4 || true; }

{
    printf '\n%-8s %-58s %s\n' LAYER RESULT 'READY AFTER'
    sed -nE 's/^(ecs-[a-z]+): (done: |)(nothing to change: .*|[0-9]+ created.*), ([^,]+)$/\1|\3|\4/p' "$work/log" \
        | while IFS='|' read -r tool result time; do
            printf '%-8s %-58s %s\n' "$tool" "$result" "$time"
        done
    printf '\n'
    line() { if [[ -n $2 ]]; then printf '%-14s %s\n' "$1" "$2"; fi; }
    line VPC "$(value vpc_id)"
    line "load balancer" "$(value dns_name)"
    line database "$(value host)"
    line cluster "$(value cluster_arn)"
    grep -o '"service_arn":"[^"]*"' "$work/stack.json" | cut -d '"' -f 4 | while read -r arn; do
        line service "$arn"
    done
    printf '\nopen %s  (all in %d s)\n' "$(value url)" $((SECONDS - started))
} >&2

if [[ -t 1 ]]; then
    cp "$work/stack.json" ecs-stack.json
    say "the document is in ecs-stack.json"
else
    cat "$work/stack.json"
fi
