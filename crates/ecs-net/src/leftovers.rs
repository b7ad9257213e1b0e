//! What the stack no longer needs: it goes when nothing leads to it any more.

use std::collections::BTreeSet;

use ecs_core::id::VpcId;
use ecs_core::stack::{Nat, Tier};
use ecs_core::{All as _, Identity, Owner, Result, Run, Stack};
use futures::join;

use crate::endpoints::{may_have_endpoints, services};
use crate::former::{Former, Kind, Lists, Names};
use crate::{Ec2, LAYER, ec2, nat_gateway, network_acl, route_table, security_group, subnet, vpc_endpoint};

/// Reports what an earlier stack file has asked for and this one does not, or as told removes it.
///
/// # Errors
/// Any refusal by EC2.
pub async fn ensure(
    run: &Run<'_>,
    ec2: &Ec2,
    stack: &Stack,
    (vpc, zones): (&VpcId, &[String]),
    lists: &Lists,
) -> Result<()> {
    let former = |kind: Kind, starts: Vec<String>, wanted: Vec<String>| {
        let names = Names { stack: stack.name.clone(), starts, wanted };
        Former::new(kind, (vpc, &stack.vpc_name()), names, lists).ensure(run, ec2)
    };
    let alone = |identity: Identity, wanted: bool| {
        let wanted = if wanted { vec![identity.name.clone()] } else { Vec::new() };
        (vec![identity.name], wanted)
    };
    let ways_out = async {
        let starts = || vec![nat_gateway::identity(stack, "").name];
        let zonal = zones[stack.net.nat_zones()].iter().map(|zone| nat_gateway::identity(stack, zone).name);
        let zonal: Vec<String> = zonal.collect();
        let regional = (stack.net.nat == Nat::Regional).then(|| nat_gateway::regional_identity(stack).name);
        former(Kind::NatGateway, starts(), zonal.iter().cloned().chain(regional).collect()).await?;
        former(Kind::ElasticIp, starts(), zonal).await
    };
    let endpoints = async {
        if !may_have_endpoints(run, ec2, stack, (vpc, &lists.tables)).await? {
            return Ok(());
        }
        let wanted = services(stack).iter().map(|service| vpc_endpoint::identity(stack, service).name).collect();
        former(Kind::VpcEndpoint, vec![vpc_endpoint::identity(stack, "").name], wanted).await?;
        let (starts, wanted) = alone(security_group::identity(stack), !stack.interface_endpoints().is_empty());
        former(Kind::SecurityGroup, starts, wanted).await
    };
    let acl = async {
        // A plain apply makes no call for an ACL that it has no word of; a plan looks, and so does who would remove it.
        if stack.net.network_acl.is_some() || (run.applies() && !run.prunes()) {
            return Ok(());
        }
        let (starts, wanted) = alone(network_acl::identity(stack), false);
        former(Kind::NetworkAcl, starts, wanted).await
    };
    let all = join!(ways_out, endpoints, acl);
    all.all()?;
    // A route table goes when no endpoint has a route in it, a subnet when nothing is in it any more: the load balancer
    // and the tasks are moved by the tools that come next.
    let tiers = |all: &[Tier]| {
        let wanted = |tier: &Tier| *tier != Tier::Database || stack.net.database_subnets;
        let names = |tier: &Tier| zones.iter().map(|zone| stack.subnet_name(*tier, zone)).collect::<Vec<_>>();
        let starts: Vec<String> = all.iter().map(|tier| stack.subnet_name(*tier, "")).collect();
        (starts, all.iter().filter(|tier| wanted(tier)).flat_map(names).collect::<Vec<String>>())
    };
    let (starts, wanted) = tiers(&[Tier::Private, Tier::Database]);
    former(Kind::RouteTable, starts, wanted).await?;
    let (starts, wanted) = tiers(&Tier::ALL);
    former(Kind::Subnet, starts, wanted).await
}

/// Returns the ids of the stack's own route tables and subnets, wanted or not.
///
/// # Errors
/// Any refusal by EC2.
pub async fn own(
    ec2: &Ec2,
    stack: &Stack,
    vpc: &VpcId,
    (tables, subnets): (&route_table::List, &subnet::List),
) -> Result<BTreeSet<String>> {
    let identity = Identity::new(&stack.name, LAYER, "");
    let (tables, subnets) = join!(route_table::tables(ec2, vpc, tables), subnet::subnets(ec2, vpc, subnets));
    let (tables, subnets) = (tables, subnets).all()?;
    let tables = tables.iter().map(|table| (table.route_table_id.clone(), table.tags()));
    let subnets = subnets.iter().map(|subnet| (subnet.subnet_id.clone(), subnet.tags()));
    let ours = tables.chain(subnets).filter(|(_, tags)| ec2::owner(&identity, tags) == Owner::Ours);
    Ok(ours.filter_map(|(id, _)| id).collect())
}
