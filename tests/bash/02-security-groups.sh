#!/usr/bin/env bash
# Security groups of the load balancer, the tasks and the database. Egress stays as AWS makes it: everything.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=config.sh
source "$(dirname "${BASH_SOURCE[0]}")/config.sh"
known VPC_ID find_vpc

SECURITY_GROUPS=$(find_security_groups)

# Finds or makes the group $1 with description $2. The rules follow, as pairs of a port and an --ip-permissions value.
security_group() {
  local name=$1 description=$2 id permissions=()
  shift 2
  tag_as "$name" sg
  id=$(pick "$SECURITY_GROUPS" "$name")
  if [[ -z $id ]]; then
    id=$(text ec2 create-security-group --vpc-id "$VPC_ID" --group-name "$name" --description "$description" \
      --tag-specifications "ResourceType=security-group,$EC2_TAGS" --query GroupId)
    SECURITY_GROUPS+=$'\n'$name$'\t'$id$'\t'
    say "created security group $name $id"
  fi
  while (($#)); do
    [[ ,$(pick "$SECURITY_GROUPS" "$name" 3), == *,$1,* ]] || permissions+=("$2")
    shift 2
  done
  if ((${#permissions[@]})); then
    aws ec2 authorize-security-group-ingress --group-id "$id" --ip-permissions "${permissions[@]}" \
      --tag-specifications "ResourceType=security-group-rule,$EC2_TAGS" >/dev/null
  fi
}

# Prints an --ip-permissions value for TCP port $1, from a CIDR or a security group $2, with description $3.
tcp() {
  local source="UserIdGroupPairs=[{GroupId=$2"
  [[ $2 == sg-* ]] || source="IpRanges=[{CidrIp=$2"
  printf 'IpProtocol=tcp,FromPort=%s,ToPort=%s,%s,Description=%s}]' "$1" "$1" "$source" "$3"
}

security_group ALB-SG "Security group for Application Load Balancer" \
  80 "$(tcp 80 0.0.0.0/0 "Allow HTTP from internet")" \
  443 "$(tcp 443 0.0.0.0/0 "Allow HTTPS from internet")"

alb_sg=$(pick "$SECURITY_GROUPS" ALB-SG)
security_group ECS-SG "Security group for ECS tasks" \
  "$FRONTEND_PORT" "$(tcp "$FRONTEND_PORT" "$alb_sg" "Allow port $FRONTEND_PORT from ALB")" \
  "$BACKEND_PORT" "$(tcp "$BACKEND_PORT" "$alb_sg" "Allow port $BACKEND_PORT from ALB")"

ecs_sg=$(pick "$SECURITY_GROUPS" ECS-SG)
security_group RDS-SG "Security group for RDS database" \
  "$DB_PORT" "$(tcp "$DB_PORT" "$ecs_sg" "Allow PostgreSQL from ECS tasks")"
say "security groups are ready"
