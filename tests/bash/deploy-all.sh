#!/usr/bin/env bash
# Runs the ten scripts in their order, in one shell: what one has found or made, the next need not look up.
set -euo pipefail
directory=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source-path=SCRIPTDIR source=config.sh
source "$directory/config.sh"

for script in "$directory"/[0-9][0-9]-*.sh; do
  # shellcheck source=/dev/null
  source "$script"
done
say "deployed $STACK in $SECONDS s"
