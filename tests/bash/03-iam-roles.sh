#!/usr/bin/env bash
# The execution role and the two task roles.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=config.sh
source "$(dirname "${BASH_SOURCE[0]}")/config.sh"

TRUST_POLICY='{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
  ]
}'

ROLES=$(find_roles)

# Finds or makes the role $1 with description $2.
role() {
  local arn
  [[ -z $(pick "$ROLES" "$1") ]] || return 0
  tag_as "$1" iam
  arn=$(text iam create-role --role-name "$1" --description "$2" --assume-role-policy-document "$TRUST_POLICY" \
    --tags "${TAGS[@]}" --query Role.Arn)
  ROLES+=$'\n'$1$'\t'$arn
  say "created role $1"
}

role ecsTaskExecutionRole "Role for ECS task execution - allows pulling images, writing logs, reading parameters"
role frontendTaskRole "Task role for frontend application"
role backendTaskRole "Task role for backend application"

# Both calls say the same again when they are repeated.
aws iam attach-role-policy --role-name ecsTaskExecutionRole \
  --policy-arn arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy

account=$(pick "$ROLES" ecsTaskExecutionRole | cut -d: -f5)
aws iam put-role-policy --role-name ecsTaskExecutionRole --policy-name ParameterStoreAccess --policy-document '{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["ssm:GetParameters", "ssm:GetParameter"],
      "Resource": [
        "arn:aws:ssm:'"$REGION:$account"':parameter/ecs/frontend/*",
        "arn:aws:ssm:'"$REGION:$account"':parameter/ecs/backend/*"
      ]
    },
    {
      "Effect": "Allow",
      "Action": "kms:Decrypt",
      "Resource": "*",
      "Condition": {"StringEquals": {"kms:ViaService": "ssm.'"$REGION"'.amazonaws.com"}}
    }
  ]
}'
say "roles are ready"
