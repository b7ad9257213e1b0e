#!/usr/bin/env bash
# The two services; done when both run all their tasks.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=config.sh
source "$(dirname "${BASH_SOURCE[0]}")/config.sh"
known VPC_ID find_vpc
known SUBNETS find_subnets
known SECURITY_GROUPS find_security_groups
known TARGET_GROUPS find_target_groups

# Prints "NAME STATUS TASK-DEFINITION STATE" of both services; STATE is "settled" or the state of the newest deployment.
find_services() {
  text ecs describe-services --cluster "$CLUSTER" --services frontend-service backend-service --query \
    "services[?status!='INACTIVE'].[serviceName, status, taskDefinition,
      (runningCount==desiredCount && !deployments[1] && deployments[0].rolloutState=='COMPLETED' && 'settled')
        || deployments[0].rolloutState || 'starting']"
}

services_not_draining() {
  SERVICES=$(find_services) || exit
  [[ $SERVICES != *DRAINING* ]]
}
# A name is free again only when the service that had it is INACTIVE.
wait_for "services that are being deleted" services_not_draining

private_subnets=$(for zone in "${ZONES[@]}"; do pick "$SUBNETS" "$STACK-private-$zone"; done | paste -sd,)

# Finds or makes the service $1 of task definition $2, behind target group $3, container $4, port $5.
service() {
  local name=$1 family=$2 target_group=$3 container=$4 port=$5 wanted
  wanted=$(pick "${TASK_DEFINITIONS:-}" "$family")
  if [[ -z $(pick "$SERVICES" "$name") ]]; then
    tag_as "$name" svc
    aws ecs create-service --cluster "$CLUSTER" --service-name "$name" --task-definition "${wanted:-$family}" \
      --desired-count 2 --launch-type FARGATE --health-check-grace-period-seconds 60 \
      --deployment-configuration \
      'minimumHealthyPercent=100,maximumPercent=200,deploymentCircuitBreaker={enable=true,rollback=true}' \
      --network-configuration "awsvpcConfiguration={subnets=[$private_subnets],securityGroups=[$(
        pick "$SECURITY_GROUPS" ECS-SG)],assignPublicIp=DISABLED}" \
      --load-balancers "targetGroupArn=$(
        pick "$TARGET_GROUPS" "$target_group"),containerName=$container,containerPort=$port" \
      --tags "${ECS_TAGS[@]}" >/dev/null
    SERVICES+=$'\n'$name$'\t'ACTIVE$'\t'$wanted$'\t'starting
    say "created service $name"
  elif [[ -n $wanted && $(pick "$SERVICES" "$name" 3) != "$wanted" ]]; then
    aws ecs update-service --cluster "$CLUSTER" --service "$name" --task-definition "$wanted" >/dev/null
    SERVICES=$(sed "/^$name\t/s/settled$/starting/" <<<"$SERVICES")
    say "updated service $name"
  fi
}

service frontend-service frontend-task frontend-tg frontend "$FRONTEND_PORT"
service backend-service backend-task backend-tg backend-app "$BACKEND_PORT"

both_settled() {
  [[ $(pick "$SERVICES" frontend-service 4)$(pick "$SERVICES" backend-service 4) == settledsettled ]]
}
services_settled() {
  ! both_settled || return 0
  SERVICES=$(find_services) || exit
  [[ $SERVICES != *FAILED* ]] || die "a deployment failed: $SERVICES"
  both_settled
}
wait_for "services" services_settled

# Settled is not deployed: the circuit breaker may have gone back to the revision before.
for family in frontend-task backend-task; do
  wanted=$(pick "${TASK_DEFINITIONS:-}" "$family")
  [[ -z $wanted || $SERVICES == *"$wanted"$'\t'* ]] || die "the deployment of $wanted was rolled back"
done
say "services are running"
