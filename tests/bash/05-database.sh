#!/usr/bin/env bash
# The database, its subnet group and its password.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=config.sh
source "$(dirname "${BASH_SOURCE[0]}")/config.sh"
known VPC_ID find_vpc
known SUBNETS find_subnets
known SECURITY_GROUPS find_security_groups

# --- subnet group ---------------------------------------------------------------------------------------------------

subnet_group=$(text rds describe-db-subnet-groups \
  --query "DBSubnetGroups[?DBSubnetGroupName=='$DB_SUBNET_GROUP'].DBSubnetGroupName")
if [[ -z $subnet_group ]]; then
  tag_as "$DB_SUBNET_GROUP" db
  private_subnets=()
  for zone in "${ZONES[@]}"; do
    private_subnets+=("$(pick "$SUBNETS" "$STACK-private-$zone")")
  done
  aws rds create-db-subnet-group --db-subnet-group-name "$DB_SUBNET_GROUP" \
    --db-subnet-group-description "Subnet group for ECS RDS database" --subnet-ids "${private_subnets[@]}" \
    --tags "${TAGS[@]}" >/dev/null
  say "created subnet group $DB_SUBNET_GROUP"
fi

# --- instance -------------------------------------------------------------------------------------------------------

DATABASE=$(find_database)
if [[ -z $DATABASE ]]; then
  # The password is stored first: a database whose password nobody kept would be lost. It is never an argument.
  password=$(text ssm get-parameters --names /ecs/backend/DB_PASSWORD --with-decryption --query 'Parameters[0].Value')
  if [[ -z $password ]]; then
    password=$(openssl rand -hex 16)
    put_parameter /ecs/backend/DB_PASSWORD db SecureString "$password" ""
  fi
  tag_as "$DB_INSTANCE" db
  printf '%s' "$password" | aws rds create-db-instance --master-user-password file:///dev/stdin \
    --db-instance-identifier "$DB_INSTANCE" --db-instance-class "$DB_CLASS" \
    --engine postgres --engine-version "$DB_ENGINE_VERSION" --auto-minor-version-upgrade \
    --allocated-storage 20 --storage-type gp3 --storage-encrypted \
    --db-name "$DB_NAME" --master-username "$DB_USER" --port "$DB_PORT" --backup-retention-period 7 \
    --db-subnet-group-name "$DB_SUBNET_GROUP" --vpc-security-group-ids "$(pick "$SECURITY_GROUPS" RDS-SG)" \
    --no-publicly-accessible --tags "${TAGS[@]}" >/dev/null
  unset password
  say "created database $DB_INSTANCE"
fi

database_available() {
  [[ $(pick "$DATABASE" "$DB_INSTANCE") != available ]] || return 0
  DATABASE=$(find_database) || exit
  [[ $(pick "$DATABASE" "$DB_INSTANCE") == available ]]
}
wait_for "database $DB_INSTANCE" database_available
say "database $DB_INSTANCE is ready"
