# Names and numbers of the stack, and the few functions that the numbered scripts share.
#
# Sourced, never run. These scripts are the baseline of the benchmark: the stack of tests/stacks/tutorial.toml made by
# one AWS CLI call after the other. They run against a local emulator only, and refuse anything else.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2153  # Variables are set here for the scripts that source this file, and by them.

[[ -z ${ECS_BASH_CONFIG:-} ]] || return 0
ECS_BASH_CONFIG=loaded

set -euo pipefail
shopt -s inherit_errexit

say() { printf '%s: %s\n' "$(basename "${BASH_SOURCE[-1]}")" "$*" >&2; }
die() { say "error: $*"; exit 1; }

# --- only a local emulator ------------------------------------------------------------------------------------------

LOOPBACK='^https?://(127(\.[0-9]{1,3}){3}|localhost|\[::1\])(:[0-9]+)?/?$'
[[ ${AWS_ENDPOINT_URL:-} =~ $LOOPBACK ]] \
  || die "AWS_ENDPOINT_URL must be a loopback address (it is '${AWS_ENDPOINT_URL:-}'): these scripts are a benchmark, not a tool"
for variable in "${!AWS_ENDPOINT_URL_@}"; do
  # An endpoint for one service wins over AWS_ENDPOINT_URL.
  [[ ${!variable} =~ $LOOPBACK ]] || die "$variable is not a loopback address"
done
# A profile can tell the CLI to ignore AWS_ENDPOINT_URL; this variable wins over the profile.
export AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=false
# CLI v1 ignores AWS_ENDPOINT_URL for RDS in us-east-1 (awscli/customizations/overridesslcommonname.py), but not this.
aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
export NO_PROXY=127.0.0.1,localhost,::1 no_proxy=127.0.0.1,localhost,::1

# --- the stack ------------------------------------------------------------------------------------------------------

STACK=ecs-production
REGION=us-east-1
ZONES=(us-east-1a us-east-1b)
export AWS_REGION=$REGION AWS_DEFAULT_REGION=$REGION AWS_PAGER=''

VPC_NAME=ecs-production-vpc
VPC_CIDR=10.0.0.0/16
declare -A SUBNET_CIDR=(
  [ecs-production-public-us-east-1a]=10.0.1.0/24
  [ecs-production-public-us-east-1b]=10.0.2.0/24
  [ecs-production-private-us-east-1a]=10.0.3.0/24
  [ecs-production-private-us-east-1b]=10.0.4.0/24
)

CLUSTER=ecs-production-cluster
LOG_RETENTION_DAYS=30
FRONTEND_PORT=80
BACKEND_PORT=3001

DB_SUBNET_GROUP=ecs-db-subnet-group
DB_INSTANCE=ecs-postgres-db
DB_CLASS=db.t3.medium
# A bare major: RDS takes its latest minor.
DB_ENGINE_VERSION=${DB_ENGINE_VERSION:-18}
DB_NAME=fileanalyzer
DB_USER=postgres
DB_PORT=5432

# Seconds between two looks at something that is not ready yet, and until a wait is given up.
POLL_SECONDS=${POLL_SECONDS:-5}
WAIT_TIMEOUT=${WAIT_TIMEOUT:-1800}

# --- shared functions -----------------------------------------------------------------------------------------------

# Prints what `aws ARGUMENTS --output text` says, and nothing where the CLI would say "None".
text() {
  local value
  value=$(aws "$@" --output text) || return
  [[ $value == None ]] || printf '%s\n' "$value"
}

# Prints column $3 (default 2) of the line of the tab-separated table $1 whose first column is $2; nothing for "None".
pick() { awk -F '\t' -v name="$2" -v column="${3:-2}" '$1 == name && $column != "None" { print $column; exit }' <<<"$1"; }

# Sets the tags of the resource $1 of layer $2 in the four spellings that AWS has for them.
tag_as() {
  TAGS=("Key=Name,Value=$1" "Key=ecs-pipe:stack,Value=$STACK" "Key=ecs-pipe:layer,Value=$2")
  ECS_TAGS=("key=Name,value=$1" "key=ecs-pipe:stack,value=$STACK" "key=ecs-pipe:layer,value=$2")
  MAP_TAGS="Name=$1,ecs-pipe:stack=$STACK,ecs-pipe:layer=$2"
  EC2_TAGS="Tags=[{Key=Name,Value=$1},{Key=ecs-pipe:stack,Value=$STACK},{Key=ecs-pipe:layer,Value=$2}]"
}

# Runs a command until it succeeds: wait_for WHAT COMMAND [ARGUMENT...]. Looks first, sleeps after.
wait_for() {
  local what=$1 deadline=$((SECONDS + WAIT_TIMEOUT))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || die "$what: still not there after $WAIT_TIMEOUT s"
    say "waiting for $what"
    sleep "$POLL_SECONDS"
  done
}

# Makes the parameter $1 of layer $2 hold the value $4 as type $3, where $5 is the value it holds now (empty: none yet).
# The value comes from stdin: so it is on no command line, and CLI v1 would fetch a --value that starts with http://.
put_parameter() {
  local name=$1 more=(--overwrite)
  [[ $5 != "$4" ]] || return 0
  if [[ -z $5 ]]; then
    tag_as "$name" "$2"
    more=(--tags "${TAGS[@]}")
  fi
  printf '%s' "$4" | aws ssm put-parameter --name "$name" --type "$3" --value file:///dev/stdin "${more[@]}" >/dev/null
  say "wrote parameter $name"
}

# --- what an earlier script made; looked up only when a script is run alone -----------------------------------------

# Sets the variable $1 to the output of the command that follows, unless it is set; an empty answer is an error.
known() {
  local variable=$1 value
  shift
  [[ -z ${!variable:-} ]] || return 0
  value=$("$@") || exit
  [[ -n $value ]] || die "$variable not found: run the scripts before this one first"
  printf -v "$variable" '%s' "$value"
}

find_vpc() {
  text ec2 describe-vpcs --filters "Name=tag:Name,Values=$VPC_NAME" "Name=tag:ecs-pipe:stack,Values=$STACK" \
    --query 'Vpcs[0].VpcId'
}

# Prints "NAME ID" of every subnet of the VPC.
find_subnets() {
  text ec2 describe-subnets --filters "Name=vpc-id,Values=$VPC_ID" \
    --query "Subnets[].[Tags[?Key=='Name']|[0].Value, SubnetId]"
}

# Prints "NAME ID PORTS" of the stack's three security groups; PORTS are those of the rules, joined by commas.
find_security_groups() {
  text ec2 describe-security-groups \
    --filters "Name=vpc-id,Values=$VPC_ID" Name=group-name,Values=ALB-SG,ECS-SG,RDS-SG \
    --query "SecurityGroups[].[GroupName, GroupId, join(',', IpPermissions[].to_string(FromPort))]"
}

# Prints "NAME ARN" of the stack's three roles.
find_roles() {
  text iam list-roles --query \
    "Roles[?RoleName=='ecsTaskExecutionRole' || RoleName=='frontendTaskRole' || RoleName=='backendTaskRole'].[RoleName, Arn]"
}

# Prints "NAME URI" of the stack's two repositories.
find_repositories() {
  text ecr describe-repositories --query \
    "repositories[?repositoryName=='frontend-repo' || repositoryName=='backend-repo'].[repositoryName, repositoryUri]"
}

# Prints "NAME ARN" of the stack's two target groups.
find_target_groups() {
  text elbv2 describe-target-groups --query \
    "TargetGroups[?TargetGroupName=='frontend-tg' || TargetGroupName=='backend-tg'].[TargetGroupName, TargetGroupArn]"
}

# Prints "NAME ARN DNS-NAME STATE" of the load balancer.
find_load_balancer() {
  text elbv2 describe-load-balancers --query \
    "LoadBalancers[?LoadBalancerName=='ecs-alb'].[LoadBalancerName, LoadBalancerArn, DNSName, State.Code]"
}

# Prints "ecs-postgres-db STATUS ENDPOINT" of the database.
find_database() {
  text rds describe-db-instances --query \
    "DBInstances[?DBInstanceIdentifier=='$DB_INSTANCE'].[DBInstanceIdentifier, DBInstanceStatus, Endpoint.Address]"
}
