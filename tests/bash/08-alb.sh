#!/usr/bin/env bash
# The load balancer with its target groups, listener and rule, and the parameters that hold its address.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=config.sh
source "$(dirname "${BASH_SOURCE[0]}")/config.sh"
known VPC_ID find_vpc
known SUBNETS find_subnets
known SECURITY_GROUPS find_security_groups

# --- load balancer --------------------------------------------------------------------------------------------------

LOAD_BALANCER=$(find_load_balancer)
if [[ -z $LOAD_BALANCER ]]; then
  tag_as ecs-alb alb
  public_subnets=()
  for zone in "${ZONES[@]}"; do
    public_subnets+=("$(pick "$SUBNETS" "$STACK-public-$zone")")
  done
  LOAD_BALANCER=$(text elbv2 create-load-balancer --name ecs-alb --type application --scheme internet-facing \
    --ip-address-type ipv4 --subnets "${public_subnets[@]}" \
    --security-groups "$(pick "$SECURITY_GROUPS" ALB-SG)" --tags "${TAGS[@]}" \
    --query 'LoadBalancers[].[LoadBalancerName, LoadBalancerArn, DNSName, State.Code]')
  say "created load balancer ecs-alb"
fi
alb_arn=$(pick "$LOAD_BALANCER" ecs-alb)
alb_url=http://$(pick "$LOAD_BALANCER" ecs-alb 3)

# --- target groups --------------------------------------------------------------------------------------------------

TARGET_GROUPS=$(find_target_groups)

# Finds or makes the target group $1 for port $2 with the health check path $3.
target_group() {
  local arn
  [[ -z $(pick "$TARGET_GROUPS" "$1") ]] || return 0
  tag_as "$1" alb
  arn=$(text elbv2 create-target-group --name "$1" --protocol HTTP --port "$2" --vpc-id "$VPC_ID" --target-type ip \
    --health-check-protocol HTTP --health-check-path "$3" --matcher HttpCode=200 \
    --health-check-interval-seconds 30 --health-check-timeout-seconds 5 \
    --healthy-threshold-count 2 --unhealthy-threshold-count 2 --tags "${TAGS[@]}" \
    --query 'TargetGroups[0].TargetGroupArn')
  TARGET_GROUPS+=$'\n'$1$'\t'$arn
  say "created target group $1"
}

target_group frontend-tg "$FRONTEND_PORT" /
target_group backend-tg "$BACKEND_PORT" /api/health

# --- listener and rule ----------------------------------------------------------------------------------------------

listeners=$(text elbv2 describe-listeners --load-balancer-arn "$alb_arn" --query 'Listeners[].[Port, ListenerArn]')
listener_arn=$(pick "$listeners" 80)
if [[ -z $listener_arn ]]; then
  tag_as ecs-alb-http-80 alb
  listener_arn=$(text elbv2 create-listener --load-balancer-arn "$alb_arn" --protocol HTTP --port 80 \
    --default-actions "Type=forward,TargetGroupArn=$(pick "$TARGET_GROUPS" frontend-tg)" \
    --tags "${TAGS[@]}" --query 'Listeners[0].ListenerArn')
  say "created listener 80"
fi

rules=$(text elbv2 describe-rules --listener-arn "$listener_arn" --query 'Rules[].[Priority, RuleArn]')
if [[ -z $(pick "$rules" 100) ]]; then
  tag_as ecs-alb-http-80-backend alb
  aws elbv2 create-rule --listener-arn "$listener_arn" --priority 100 \
    --conditions 'Field=path-pattern,Values=/api/*' \
    --actions "Type=forward,TargetGroupArn=$(pick "$TARGET_GROUPS" backend-tg)" --tags "${TAGS[@]}" >/dev/null
  say "created rule 100"
fi

# --- wait, and tell the applications --------------------------------------------------------------------------------

load_balancer_active() {
  [[ $(pick "$LOAD_BALANCER" ecs-alb 4) != active ]] || return 0
  LOAD_BALANCER=$(find_load_balancer) || exit
  [[ $(pick "$LOAD_BALANCER" ecs-alb 4) == active ]]
}
wait_for "load balancer ecs-alb" load_balancer_active

parameters=$(text ssm get-parameters --query 'Parameters[].[Name, Value]' \
  --names /ecs/backend/FRONTEND_URL /ecs/frontend/API_URL)
put_parameter /ecs/backend/FRONTEND_URL alb String "$alb_url" "$(pick "$parameters" /ecs/backend/FRONTEND_URL)"
put_parameter /ecs/frontend/API_URL alb String "$alb_url/api" "$(pick "$parameters" /ecs/frontend/API_URL)"
say "load balancer is ready: $alb_url"
