#!/usr/bin/env bash
# Runs every check of the project: format, lints, scripts, tests against the local AWS, documentation, licences.
# Installs what it needs into the project; on Debian and Ubuntu it says which package is missing.
#
#   scripts/test.sh [--all]         --all: every fault on every call, not a sample; takes an hour or more
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"
[[ $# -eq 0 || $* == --all ]] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
cd "$root"
check_compiler
make_venv
export ECS_LOCAL_PYTHON=$root/.venv/bin/python3

step() {
    say ""
    say "== $* ($SECONDS s)"
}

step format
cargo fmt --all --check

step scripts
for script in scripts/*.sh tests/bash/*.sh .ci/run; do bash -n "$script"; done
if command -v shellcheck > /dev/null; then shellcheck -x scripts/*.sh tests/bash/*.sh .ci/run; fi

step lints
cargo clippy --workspace --all-targets --locked -- -D warnings

step build
# The tests of whole pipes run these programs.
cargo build --workspace --all-targets --locked

step tests
rm -rf "${CARGO_TARGET_DIR:-target}/used-actions"
if cargo nextest --version > /dev/null 2>&1; then
    cargo nextest run --workspace --locked --no-fail-fast
else
    cargo test --workspace --locked --no-fail-fast
fi

step policies
"${CARGO_TARGET_DIR:-target}/debug/unused-actions"

step faults
"${CARGO_TARGET_DIR:-target}/debug/faults" "$@"

step documentation
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

if command -v cargo-deny > /dev/null; then
    step licences
    cargo deny check bans licenses sources
fi

say ""
say "all checks passed in $SECONDS s"
