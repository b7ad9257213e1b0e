#!/usr/bin/env bash
# VPC, internet gateway, subnets, NAT gateways and route tables.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=config.sh
source "$(dirname "${BASH_SOURCE[0]}")/config.sh"

# --- VPC ------------------------------------------------------------------------------------------------------------

VPC_ID=$(find_vpc)
if [[ -z $VPC_ID ]]; then
  tag_as "$VPC_NAME" net
  VPC_ID=$(text ec2 create-vpc --cidr-block "$VPC_CIDR" --tag-specifications "ResourceType=vpc,$EC2_TAGS" \
    --query Vpc.VpcId)
  say "created VPC $VPC_ID"
fi
# Off by default, and not part of create-vpc. DNS support is on by default.
aws ec2 modify-vpc-attribute --vpc-id "$VPC_ID" --enable-dns-hostnames Value=true

# --- internet gateway -----------------------------------------------------------------------------------------------

igw_name=$STACK-igw
table=$(text ec2 describe-internet-gateways \
  --filters "Name=tag:Name,Values=$igw_name" "Name=tag:ecs-pipe:stack,Values=$STACK" \
  --query "InternetGateways[].['$igw_name', InternetGatewayId, Attachments[0].VpcId]")
igw_id=$(pick "$table" "$igw_name")
if [[ -z $igw_id ]]; then
  tag_as "$igw_name" net
  igw_id=$(text ec2 create-internet-gateway --tag-specifications "ResourceType=internet-gateway,$EC2_TAGS" \
    --query InternetGateway.InternetGatewayId)
  say "created internet gateway $igw_id"
fi
if [[ -z $(pick "$table" "$igw_name" 3) ]]; then
  aws ec2 attach-internet-gateway --internet-gateway-id "$igw_id" --vpc-id "$VPC_ID"
fi

# --- subnets --------------------------------------------------------------------------------------------------------

SUBNETS=$(find_subnets)
for tier in public private; do
  for zone in "${ZONES[@]}"; do
    name=$STACK-$tier-$zone
    [[ -z $(pick "$SUBNETS" "$name") ]] || continue
    tag_as "$name" net
    subnet_id=$(text ec2 create-subnet --vpc-id "$VPC_ID" --cidr-block "${SUBNET_CIDR[$name]}" \
      --availability-zone "$zone" --tag-specifications "ResourceType=subnet,$EC2_TAGS" --query Subnet.SubnetId)
    SUBNETS+=$'\n'$name$'\t'$subnet_id
    say "created subnet $name $subnet_id"
  done
done

# --- NAT gateways, each with its own elastic IP ---------------------------------------------------------------------

addresses=$(text ec2 describe-addresses --filters "Name=tag:ecs-pipe:stack,Values=$STACK" \
  --query "Addresses[].[Tags[?Key=='Name']|[0].Value, AllocationId]")

find_nat_gateways() {
  text ec2 describe-nat-gateways --filter "Name=vpc-id,Values=$VPC_ID" Name=state,Values=pending,available \
    --query "NatGateways[].[Tags[?Key=='Name']|[0].Value, NatGatewayId, State]"
}
nat_gateways=$(find_nat_gateways)

for zone in "${ZONES[@]}"; do
  name=$STACK-nat-$zone
  [[ -z $(pick "$nat_gateways" "$name") ]] || continue
  tag_as "$name" net
  allocation_id=$(pick "$addresses" "$name")
  if [[ -z $allocation_id ]]; then
    allocation_id=$(text ec2 allocate-address --domain vpc --tag-specifications "ResourceType=elastic-ip,$EC2_TAGS" \
      --query AllocationId)
    say "allocated elastic IP $name $allocation_id"
  fi
  nat_gateway_id=$(text ec2 create-nat-gateway --subnet-id "$(pick "$SUBNETS" "$STACK-public-$zone")" \
    --allocation-id "$allocation_id" --tag-specifications "ResourceType=natgateway,$EC2_TAGS" \
    --query NatGateway.NatGatewayId)
  nat_gateways+=$'\n'$name$'\t'$nat_gateway_id$'\t'pending
  say "created NAT gateway $name $nat_gateway_id"
done

# Looks at EC2 again only while one of those known is still pending.
nat_gateways_available() {
  [[ $nat_gateways == *pending* ]] || return 0
  nat_gateways=$(find_nat_gateways) || exit
  for zone in "${ZONES[@]}"; do
    # A failed one is no longer listed.
    [[ -n $(pick "$nat_gateways" "$STACK-nat-$zone") ]] || die "NAT gateway $STACK-nat-$zone failed"
  done
  [[ $nat_gateways != *pending* ]]
}
wait_for "NAT gateways" nat_gateways_available

# --- route tables ---------------------------------------------------------------------------------------------------

route_tables=$(text ec2 describe-route-tables --filters "Name=vpc-id,Values=$VPC_ID" --query \
  "RouteTables[].[Tags[?Key=='Name']|[0].Value, RouteTableId,
    join('', Routes[?DestinationCidrBlock=='0.0.0.0/0'].not_null(NatGatewayId, GatewayId)),
    join(',', Associations[?SubnetId].SubnetId)]")

# Finds or makes the route table $1 whose default route is the option $2 with value $3, for the subnets $4...
route_table() {
  local name=$1 option=$2 target=$3 id verb=create-route subnet
  shift 3
  id=$(pick "$route_tables" "$name")
  if [[ -z $id ]]; then
    tag_as "$name" net
    id=$(text ec2 create-route-table --vpc-id "$VPC_ID" --tag-specifications "ResourceType=route-table,$EC2_TAGS" \
      --query RouteTable.RouteTableId)
    say "created route table $name $id"
  fi
  if [[ $(pick "$route_tables" "$name" 3) != "$target" ]]; then
    [[ -z $(pick "$route_tables" "$name" 3) ]] || verb=replace-route
    aws ec2 "$verb" --route-table-id "$id" --destination-cidr-block 0.0.0.0/0 "$option" "$target" >/dev/null
  fi
  for subnet; do
    [[ ,$(pick "$route_tables" "$name" 4), != *,$subnet,* ]] || continue
    aws ec2 associate-route-table --route-table-id "$id" --subnet-id "$subnet" >/dev/null
  done
}

public_subnets=()
for zone in "${ZONES[@]}"; do
  public_subnets+=("$(pick "$SUBNETS" "$STACK-public-$zone")")
done
route_table "$STACK-public" --gateway-id "$igw_id" "${public_subnets[@]}"
for zone in "${ZONES[@]}"; do
  route_table "$STACK-private-$zone" --nat-gateway-id "$(pick "$nat_gateways" "$STACK-nat-$zone")" \
    "$(pick "$SUBNETS" "$STACK-private-$zone")"
done
say "VPC $VPC_ID is ready"
