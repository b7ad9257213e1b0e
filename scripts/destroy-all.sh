#!/usr/bin/env bash
# Deletes a whole stack: the tutorial stack, or the one of STACK.toml with later files merged over it.
#
#   scripts/destroy-all.sh [--skip-final-snapshot] [--delete-images] [STACK.toml [OVERLAY.toml ...]]
#
#   --skip-final-snapshot   delete the database without a last snapshot
#   --delete-images         delete repositories that still hold images
#
# Running it again continues. Exit code: that of the first tool that failed.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
find_programs

database=() images=() arguments=()
for argument in "$@"; do
    case $argument in
        -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
        --skip-final-snapshot) database=(--skip-final-snapshot) ;;
        --delete-images) images=(--force) ;;
        -*) say "${0##*/}: error: unknown option $argument"; exit 2 ;;
        *) [[ -r $argument ]] || { say "${0##*/}: error: $argument cannot be read"; exit 2; }
           arguments+=(--stack "$argument") ;;
    esac
done
[[ ${#arguments[@]} -gt 0 ]] || arguments=(--stack "$root/tests/stacks/tutorial.toml")

if [[ -t 0 && -t 2 ]]; then
    read -r -p "This deletes the whole stack, its data included. Type yes to go on: " answer
    [[ $answer == yes ]] || { say "nothing was deleted"; exit 130; }
fi

started=$SECONDS
set +e
ecs-svc destroy "${arguments[@]}" --no-input | ecs-alb destroy | ecs-db destroy ${database[@]+"${database[@]}"} \
    | ecs-ecr destroy ${images[@]+"${images[@]}"} | ecs-iam destroy | ecs-sg destroy | ecs-net destroy > /dev/null
cause_of "${PIPESTATUS[@]}"
status=$?
set -e
if [[ $status -ne 0 ]]; then
    say "not done (exit code $status) after $((SECONDS - started)) s; run the same line again to continue"
    exit "$status"
fi
say "the stack is gone, after $((SECONDS - started)) s"
