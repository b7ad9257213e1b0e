#!/usr/bin/env bash
# What the backend is told about the database. The addresses of the load balancer follow in 08-alb.sh.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=config.sh
source "$(dirname "${BASH_SOURCE[0]}")/config.sh"
known DATABASE find_database

parameters=$(text ssm get-parameters --with-decryption --query 'Parameters[].[Name, Value]' \
  --names /ecs/backend/DB_HOST /ecs/backend/DB_PORT /ecs/backend/DB_NAME /ecs/backend/DB_USER)

# Makes the parameter /ecs/backend/$1 hold $3 as type $2.
parameter() { put_parameter "/ecs/backend/$1" db "$2" "$3" "$(pick "$parameters" "/ecs/backend/$1")"; }

parameter DB_HOST String "$(pick "$DATABASE" "$DB_INSTANCE" 3)"
parameter DB_PORT String "$DB_PORT"
parameter DB_NAME String "$DB_NAME"
parameter DB_USER SecureString "$DB_USER"
say "parameters are ready"
