#!/usr/bin/env bash
# Deletes the whole stack, last made first. Waits only right before something that needs the wait.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=config.sh
source "$(dirname "${BASH_SOURCE[0]}")/config.sh"

# Prints the words of a table's column $2 (default 1), one a line.
column() { awk -F '\t' -v column="${2:-1}" 'NF && $column != "None" { print $column }' <<<"$1"; }

# --- services and task definitions ----------------------------------------------------------------------------------

find_services() {
  text ecs describe-services --cluster "$CLUSTER" --services frontend-service backend-service \
    --query "services[?status!='INACTIVE'].[serviceName, status]"
}
active_cluster=$(text ecs describe-clusters --clusters "$CLUSTER" --query "clusters[?status=='ACTIVE'].clusterName")
if [[ -n $active_cluster ]]; then
  services=$(find_services)
  for name in $(column "$services"); do
    [[ $(pick "$services" "$name") != ACTIVE ]] || \
      aws ecs delete-service --cluster "$CLUSTER" --service "$name" --force >/dev/null
    say "deleting service $name"
  done
fi
for family in frontend-task backend-task; do
  # Words, one for each revision: text output puts them on one line.
  for arn in $(text ecs list-task-definitions --family-prefix "$family" --query 'taskDefinitionArns[]'); do
    aws ecs deregister-task-definition --task-definition "$arn" >/dev/null
    say "deregistered ${arn##*/}"
  done
done

# --- database: the slowest, so it is started first ------------------------------------------------------------------

if [[ -n $(find_database) ]]; then
  aws rds delete-db-instance --db-instance-identifier "$DB_INSTANCE" --skip-final-snapshot \
    --delete-automated-backups >/dev/null
  say "deleting database $DB_INSTANCE"
fi

# --- cluster, load balancer, target groups --------------------------------------------------------------------------

services_gone() { local left; left=$(find_services) || exit; [[ -z $left ]]; }
if [[ -n $active_cluster ]]; then
  wait_for "services to drain" services_gone
  aws ecs delete-cluster --cluster "$CLUSTER" >/dev/null
  say "deleted cluster $CLUSTER"
fi

load_balancer=$(find_load_balancer)
if [[ -n $load_balancer ]]; then
  # Its listener and rule go with it.
  aws elbv2 delete-load-balancer --load-balancer-arn "$(pick "$load_balancer" ecs-alb)"
  say "deleted load balancer ecs-alb"
fi
target_groups=$(find_target_groups)
for arn in $(column "$target_groups" 2); do
  # In use until the load balancer's listener has gone.
  wait_for "target group to be free" aws elbv2 delete-target-group --target-group-arn "$arn" >/dev/null
done

# --- log groups, parameters, repositories, roles --------------------------------------------------------------------

for name in $(text logs describe-log-groups --log-group-name-prefix /ecs/ \
  --query "logGroups[?logGroupName=='/ecs/frontend' || logGroupName=='/ecs/backend'].logGroupName"); do
  aws logs delete-log-group --log-group-name "$name"
  say "deleted log group $name"
done

# Names that do not exist come back as invalid: no need to look first.
aws ssm delete-parameters --names /ecs/backend/DB_HOST /ecs/backend/DB_PORT /ecs/backend/DB_NAME \
  /ecs/backend/DB_USER /ecs/backend/DB_PASSWORD /ecs/backend/FRONTEND_URL /ecs/frontend/API_URL >/dev/null

repositories=$(find_repositories)
for name in $(column "$repositories"); do
  aws ecr delete-repository --repository-name "$name" --force >/dev/null
  say "deleted repository $name"
done

roles=$(find_roles)
for name in $(column "$roles"); do
  if [[ $name == ecsTaskExecutionRole ]]; then
    for policy in $(text iam list-role-policies --role-name "$name" --query 'PolicyNames[]'); do
      aws iam delete-role-policy --role-name "$name" --policy-name "$policy"
    done
    for policy in $(text iam list-attached-role-policies --role-name "$name" --query 'AttachedPolicies[].PolicyArn'); do
      aws iam detach-role-policy --role-name "$name" --policy-arn "$policy"
    done
  fi
  aws iam delete-role --role-name "$name"
  say "deleted role $name"
done

# --- NAT gateways: they can go while the database does --------------------------------------------------------------

VPC_ID=$(find_vpc)
find_nat_gateways() {
  text ec2 describe-nat-gateways --query 'NatGateways[].[NatGatewayId, State]' \
    --filter "Name=vpc-id,Values=$VPC_ID" Name=state,Values=pending,available,deleting
}
if [[ -n $VPC_ID ]]; then
  nat_gateways=$(find_nat_gateways)
  for id in $(column "$nat_gateways"); do
    [[ $(pick "$nat_gateways" "$id") == deleting ]] || aws ec2 delete-nat-gateway --nat-gateway-id "$id" >/dev/null
    say "deleting NAT gateway $id"
  done
fi

# --- the database has gone: its subnet group ------------------------------------------------------------------------

database_gone() { local left; left=$(find_database) || exit; [[ -z $left ]]; }
wait_for "database to go" database_gone
subnet_group=$(text rds describe-db-subnet-groups \
  --query "DBSubnetGroups[?DBSubnetGroupName=='$DB_SUBNET_GROUP'].DBSubnetGroupName")
if [[ -n $subnet_group ]]; then
  aws rds delete-db-subnet-group --db-subnet-group-name "$DB_SUBNET_GROUP"
  say "deleted subnet group $DB_SUBNET_GROUP"
fi

# --- network --------------------------------------------------------------------------------------------------------

nat_gateways_gone() { local left; left=$(find_nat_gateways) || exit; [[ -z $left ]]; }
[[ -z $VPC_ID ]] || wait_for "NAT gateways to go" nat_gateways_gone
for id in $(text ec2 describe-addresses --filters "Name=tag:ecs-pipe:stack,Values=$STACK" \
  --query 'Addresses[].AllocationId'); do
  aws ec2 release-address --allocation-id "$id"
  say "released elastic IP $id"
done

if [[ -n $VPC_ID ]]; then
  # The group that is referred to goes last. The network interfaces of the load balancer linger for some minutes.
  security_groups=$(find_security_groups)
  for name in RDS-SG ECS-SG ALB-SG; do
    id=$(pick "$security_groups" "$name")
    [[ -n $id ]] || continue
    wait_for "security group $name to be free" aws ec2 delete-security-group --group-id "$id" >/dev/null
    say "deleted security group $name"
  done

  # Every route table but the main one, which goes with the VPC.
  table=$(text ec2 describe-route-tables --filters "Name=vpc-id,Values=$VPC_ID" --query \
    "RouteTables[?!(Associations[?Main])].[RouteTableId, join(' ', Associations[].RouteTableAssociationId)]")
  for id in $(column "$table"); do
    for association in $(pick "$table" "$id"); do
      aws ec2 disassociate-route-table --association-id "$association" >/dev/null
    done
    aws ec2 delete-route-table --route-table-id "$id" >/dev/null
    say "deleted route table $id"
  done
  for id in $(text ec2 describe-subnets --filters "Name=vpc-id,Values=$VPC_ID" --query 'Subnets[].SubnetId'); do
    wait_for "subnet $id to be free" aws ec2 delete-subnet --subnet-id "$id" >/dev/null
    say "deleted subnet $id"
  done
fi

table=$(text ec2 describe-internet-gateways \
  --filters "Name=tag:Name,Values=$STACK-igw" "Name=tag:ecs-pipe:stack,Values=$STACK" \
  --query "InternetGateways[].[InternetGatewayId, Attachments[0].VpcId]")
for id in $(column "$table"); do
  [[ -z $(pick "$table" "$id") ]] || \
    aws ec2 detach-internet-gateway --internet-gateway-id "$id" --vpc-id "$(pick "$table" "$id")"
  aws ec2 delete-internet-gateway --internet-gateway-id "$id"
  say "deleted internet gateway $id"
done
if [[ -n $VPC_ID ]]; then
  aws ec2 delete-vpc --vpc-id "$VPC_ID"
  say "deleted VPC $VPC_ID"
fi
say "destroyed $STACK in $SECONDS s"
