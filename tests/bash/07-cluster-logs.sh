#!/usr/bin/env bash
# The cluster and the log groups.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=config.sh
source "$(dirname "${BASH_SOURCE[0]}")/config.sh"

status=$(text ecs describe-clusters --clusters "$CLUSTER" --query 'clusters[0].status')
if [[ $status != ACTIVE ]]; then
  tag_as "$CLUSTER" svc
  aws ecs create-cluster --cluster-name "$CLUSTER" --tags "${ECS_TAGS[@]}" >/dev/null
  say "created cluster $CLUSTER"
fi

log_groups=$(text logs describe-log-groups --log-group-name-prefix /ecs/ \
  --query 'logGroups[].[logGroupName, logGroupName, retentionInDays]')
for name in /ecs/frontend /ecs/backend; do
  if [[ -z $(pick "$log_groups" "$name") ]]; then
    tag_as "$name" svc
    aws logs create-log-group --log-group-name "$name" --tags "$MAP_TAGS"
    say "created log group $name"
  fi
  if [[ $(pick "$log_groups" "$name" 3) != "$LOG_RETENTION_DAYS" ]]; then
    aws logs put-retention-policy --log-group-name "$name" --retention-in-days "$LOG_RETENTION_DAYS"
  fi
done
say "cluster and log groups are ready"
