#!/usr/bin/env bash
# Shows a whole stack come up on this machine, without an AWS account.
#
#   scripts/try-local.sh [STACK.toml ...]   build, start a local AWS, deploy, plan again; the local AWS stays up
#   scripts/try-local.sh --stop             stop that local AWS
#
# Needs a Rust toolchain, a C compiler and Python 3.10 or newer. Nothing reaches AWS, whatever credentials you have.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
state=${CARGO_TARGET_DIR:-$root/target}/try-local

stop() {
    local pid
    pid=$(cat "$state/pid" 2> /dev/null || true)
    # The number may belong to another program by now.
    if [[ -n $pid && $(tr '\0' ' ' < "/proc/$pid/cmdline" 2> /dev/null) == *ecs-local* ]]; then
        kill "$pid"
        while kill -0 "$pid" 2> /dev/null; do read -r -t 0.05 < <(:) || true; done
        say "the local AWS is stopped"
    fi
    rm -rf "$state"
}

case ${1:-} in
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --stop) stop; exit 0 ;;
esac

check_compiler
make_venv
say "building (the first time takes about 5 minutes)"
cargo build --workspace --bins --locked --manifest-path "$root/Cargo.toml"
ECS_PIPE_BIN=${CARGO_TARGET_DIR:-$root/target}/debug
export ECS_PIPE_BIN

stop
mkdir -p "$state"
mkfifo "$state/ready"
# A session of its own, so that it outlives this script and its terminal's Ctrl-C.
setsid "$ECS_PIPE_BIN/ecs-local" --python "$root/.venv/bin/python3" > "$state/ready" 2> "$state/log" < /dev/null &
echo $! > "$state/pid"
# The pipe delivers the environment as soon as the local AWS answers, and an end of file if it does not come up.
exec 3< "$state/ready"
: > "$state/env"
while read -r line <&3; do
    printf '%s\n' "$line" >> "$state/env"
    [[ $line != *"ecs-local is ready"* ]] || break
done
grep -q AWS_ENDPOINT_URL "$state/env" || { cat "$state/log" >&2; fail "the local AWS did not start"; }
# shellcheck source=/dev/null
source "$state/env"

say ""
say "== deploying to $AWS_ENDPOINT_URL"
"$root/scripts/deploy-all.sh" "$@" > "$state/stack.json"

say ""
say "== planning again: nothing would change"
files=("${@:-$root/tests/stacks/tutorial.toml}")
stacks=()
for file in "${files[@]}"; do stacks+=(--stack "$file"); done
PATH=$ECS_PIPE_BIN:$PATH
ecs-net plan --exit-code "${stacks[@]}" --no-input | ecs-sg plan --exit-code | ecs-iam plan --exit-code \
    | ecs-ecr plan --exit-code | ecs-db plan --exit-code | ecs-alb plan --exit-code | ecs-svc plan --exit-code > /dev/null

cat >&2 <<MESSAGE

The document is in $state/stack.json. The local AWS stays up. Look around in a shell of its own, in which everything
that speaks to AWS speaks to the local one:

  bash --rcfile $state/env
  aws ecs list-tasks --cluster ecs-production-cluster
  $root/.venv/bin/python3 $root/tests/reader.py check
  scripts/destroy-all.sh

Stop the local AWS, and forget everything in it:

  scripts/try-local.sh --stop
MESSAGE
