#!/usr/bin/env bash
# The two task definitions. A new revision is registered only where the one that is there differs.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=config.sh
source "$(dirname "${BASH_SOURCE[0]}")/config.sh"
known ROLES find_roles
known REPOSITORIES find_repositories

execution_role=$(pick "$ROLES" ecsTaskExecutionRole)
parameter_arn=arn:aws:ssm:$REGION:$(cut -d: -f5 <<<"$execution_role"):parameter
TASK_DEFINITIONS=''

# What of a task definition is compared, in no particular order.
COMPARED='taskDefinition.[status, cpu, memory, networkMode, executionRoleArn, taskRoleArn, containerDefinitions[].[
  name, image, portMappings[].containerPort, environment[].[name, value], secrets[].[name, valueFrom],
  logConfiguration.options.*]]'

# Finds or registers the task definition $1: cpu $2, memory $3, task role $4, container $5, image $6, port $7,
# log group $8, environment as NAME=VALUE or empty $9; the secrets follow as NAME=PARAMETER.
task_definition() {
  local family=$1 cpu=$2 memory=$3 role=$4 container=$5 image=$6 port=$7 log_group=$8 environment=$9
  local have want arn secret words secrets='' variables=''
  shift 9
  words=(ACTIVE "$cpu" "$memory" awsvpc "$execution_role" "$role" "$container" "$image" "$port" "$log_group" "$REGION" ecs)
  if [[ -n $environment ]]; then
    words+=("${environment%%=*}" "${environment#*=}")
    variables='{"name":"'${environment%%=*}'","value":"'${environment#*=}'"}'
  fi
  for secret; do
    words+=("${secret%%=*}" "$parameter_arn${secret#*=}")
    secrets+=${secrets:+,}'{"name":"'${secret%%=*}'","valueFrom":"'$parameter_arn${secret#*=}'"}'
  done
  # A family that does not exist is an error; at worst, another error costs one more revision.
  have=$(aws ecs describe-task-definition --task-definition "$family" --output text \
    --query "[taskDefinition.taskDefinitionArn, $COMPARED]" 2>/dev/null) || have=''
  arn=${have%%$'\n'*}
  have=$(tail -n +2 <<<"$have" | tr -s '[:space:]' '\n' | sort)
  want=$(printf '%s\n' "${words[@]}" | sort)
  if [[ $have != "$want" ]]; then
    tag_as "$family" svc
    arn=$(text ecs register-task-definition --family "$family" --requires-compatibilities FARGATE \
      --network-mode awsvpc --runtime-platform operatingSystemFamily=LINUX,cpuArchitecture=X86_64 \
      --cpu "$cpu" --memory "$memory" --execution-role-arn "$execution_role" --task-role-arn "$role" \
      --tags "${ECS_TAGS[@]}" --query taskDefinition.taskDefinitionArn --container-definitions '[{
        "name": "'"$container"'",
        "image": "'"$image"'",
        "essential": true,
        "portMappings": [{"containerPort": '"$port"', "protocol": "tcp"}],
        "environment": ['"$variables"'],
        "secrets": ['"$secrets"'],
        "logConfiguration": {
          "logDriver": "awslogs",
          "options": {
            "awslogs-group": "'"$log_group"'",
            "awslogs-region": "'"$REGION"'",
            "awslogs-stream-prefix": "ecs"
          }
        }
      }]')
    say "registered $arn"
  fi
  TASK_DEFINITIONS+=$family$'\t'$arn$'\n'
}

task_definition frontend-task 512 1024 "$(pick "$ROLES" frontendTaskRole)" \
  frontend "$(pick "$REPOSITORIES" frontend-repo):latest" "$FRONTEND_PORT" /ecs/frontend "" \
  NEXT_PUBLIC_API_URL=/ecs/frontend/API_URL
task_definition backend-task 1024 2048 "$(pick "$ROLES" backendTaskRole)" \
  backend-app "$(pick "$REPOSITORIES" backend-repo):latest" "$BACKEND_PORT" /ecs/backend "PORT=$BACKEND_PORT" \
  DB_HOST=/ecs/backend/DB_HOST DB_PORT=/ecs/backend/DB_PORT DB_NAME=/ecs/backend/DB_NAME \
  DB_USER=/ecs/backend/DB_USER DB_PASSWORD=/ecs/backend/DB_PASSWORD FRONTEND_URL=/ecs/backend/FRONTEND_URL
say "task definitions are ready"
