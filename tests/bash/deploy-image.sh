#!/usr/bin/env bash
# Puts an image into a service and waits, as pipelines do it with the AWS CLI: the baseline of scripts/compare-deploy.sh.
#
#   deploy-image.sh CLUSTER SERVICE IMAGE SECONDS   new revision, new deployment, wait
#   deploy-image.sh CLUSTER SERVICE "" SECONDS      only wait
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=config.sh
source "$(dirname "${BASH_SOURCE[0]}")/config.sh"
cluster=$1 service=$2 image=$3 limit=$4

if [[ -n $image ]]; then
  running=$(aws ecs describe-services --cluster "$cluster" --services "$service" --query 'services[0].taskDefinition' --output text)
  # What only ECS writes is left out, or it refuses the rest.
  definition=$(aws ecs describe-task-definition --task-definition "$running" --query taskDefinition | jq --arg image "$image" '
    .containerDefinitions[0].image = $image
    | del(.taskDefinitionArn, .revision, .status, .requiresAttributes, .compatibilities, .registeredAt, .registeredBy)')
  revision=$(aws ecs register-task-definition --cli-input-json "$definition" --query taskDefinition.taskDefinitionArn --output text)
  say "deploying $revision"
  aws ecs update-service --cluster "$cluster" --service "$service" --task-definition "$revision" > /dev/null
fi
timeout "$limit" aws ecs wait services-stable --cluster "$cluster" --services "$service"
say "done"
