//! The network layer: VPC, internet gateway, subnets, route tables, NAT gateways and VPC endpoints.

mod claim;
mod ec2;
mod elastic_ip;
mod endpoints;
mod former;
mod internet_gateway;
mod nat_gateway;
mod network_acl;
mod policy;
mod route_table;
mod security_group;
mod subnet;
mod vpc;
mod vpc_endpoint;

use std::rc::Rc;

use aws_sdk_ec2::Client;
use ecs_aws::{Api, Session};
use ecs_core::member::{self, Egress};
use ecs_core::stack::{SubnetPlan, Tier, check};
use ecs_core::tool::Tool;
use ecs_core::{All as _, Held, Identity, Listing, Result, Run, Stack};
use futures::future::join_all;
use futures::join;
use serde_json::{Value, json};

use crate::elastic_ip::ElasticIp;
use crate::endpoints::{Endpoints, may_have_endpoints, services};
use crate::former::{Former, Lists};
use crate::internet_gateway::{Attachment, InternetGateway};
use crate::nat_gateway::NatGateway;
use crate::route_table::{Association, NoRoute, Route, RouteTable, Target};
use crate::subnet::Subnet;
use crate::vpc::{DnsHostnames, Vpc};

/// Name of the layer in the identity tags.
const LAYER: &str = "net";

/// The tool `ecs-net`.
#[derive(Debug)]
pub struct Net;

/// Flags that only ecs-net has: none.
#[derive(Debug, clap::Args)]
pub struct Options {}

impl Tool for Net {
    const NAME: &'static str = "ecs-net";
    const ABOUT: &'static str = "Create or update the network of an ECS stack: VPC, subnets, NAT gateways, routes";
    const EXAMPLES: &'static str = "  ecs-net --stack prod.toml > net.json
  ecs-net plan --stack prod.toml
  ecs-net --stack prod.toml | ecs-sg | ecs-iam | ecs-ecr | ecs-db | ecs-alb | ecs-svc > prod.json
  ecs-net destroy < prod.json";
    const MEMBERS: &'static [&'static str] = &["net", "egress"];
    const STOOD_ON_BY: &'static [&'static str] = &["svc", "alb", "db", "sg"];
    type Options = Options;
    type Cloud = Session;

    fn policy() -> Value {
        policy::policy()
    }

    fn schema() -> Value {
        json!({ "net": member::schema::<member::Net>(), "egress": member::schema::<Egress>() })
    }

    async fn layer(run: &Run<'_>, session: &Session, stack: &Stack, _options: &Options) -> Result<()> {
        let ec2 = session.api(Client::new);
        if !run.destroys() {
            check::warnings(stack).iter().for_each(|warning| run.console().warn(warning));
        }
        let region = stack.region.as_deref().unwrap_or_default();
        let zones = stack.zones(region);
        let subnets = subnet_plans(run, stack, region);
        let nat_zones = if run.destroys() { 0..zones.len() } else { stack.net.nat_zones() };
        let database_zones = if run.destroys() || stack.net.database_subnets { zones.as_slice() } else { &[] };

        // None of these needs another: the first round of calls.
        let address_list = Rc::new(Listing::default());
        let with_nat = zones[nat_zones.clone()].iter();
        let (vpc, gateway, addresses) = join!(
            run.ensure(&ec2, Vpc::new(stack)),
            run.ensure(&ec2, InternetGateway::new(stack)),
            join_all(with_nat.map(|zone| run.ensure(&ec2, ElasticIp::new(stack, zone, &address_list)))),
        );
        let (vpc, gateway, addresses) = (vpc, gateway, addresses.all()).all()?;

        let (subnet_list, table_list) = (subnet::listing(&vpc), route_table::listing(&vpc));
        let attachment = Attachment::new(&gateway, &vpc, stack)?;
        let tables_of = |tier: Tier, zones: &[String]| {
            let table = |zone: &String| RouteTable::of_zone(stack, &vpc, (tier, zone), &table_list);
            join_all(zones.iter().map(|zone| run.ensure(&ec2, table(zone))).collect::<Vec<_>>())
        };
        let (dns, attachment, made, public_table, private_tables, database_tables) = join!(
            DnsHostnames::ensure(run, &ec2, &vpc, stack),
            run.ensure(&ec2, attachment),
            join_all(subnets.iter().map(|plan| run.ensure(&ec2, Subnet::new(stack, &vpc, plan, &subnet_list)))),
            run.ensure(&ec2, RouteTable::public(stack, &vpc, &table_list)),
            tables_of(Tier::Private, &zones),
            tables_of(Tier::Database, database_zones),
        );
        let (_, gateway, subnet_ids, public_table, private_tables, database_tables) =
            (dns, attachment, made.all(), public_table, private_tables.all(), database_tables.all()).all()?;
        let ids_of = |tier: Tier| -> Vec<_> {
            let pairs = subnets.iter().zip(&subnet_ids);
            pairs.filter(|(plan, _)| plan.tier == tier).map(|(_, live)| live.id.clone()).collect()
        };
        let ids_of_tables = |tables: &[Held<RouteTable>]| tables.iter().map(|table| table.id.clone()).collect();
        let (public, private) = (ids_of(Tier::Public), ids_of(Tier::Private));
        run.publish(&member::Net {
            vpc_id: vpc.id.clone(),
            public_subnet_ids: public.clone(),
            private_subnet_ids: private.clone(),
            database_subnet_ids: ids_of(Tier::Database),
            internet_gateway_id: Some((*gateway).clone()),
            public_route_table_id: Some(public_table.id.clone()),
            private_route_table_ids: ids_of_tables(&private_tables),
            database_route_table_ids: ids_of_tables(&database_tables),
            stack: Some(stack.name.clone()),
            new: vpc.is_new(),
        })?;

        // From here on it is about the ways out; the other tools are at work already.
        let nat_list = nat_gateway::listing(&vpc);
        let one_gateway = async |place: usize| {
            let (zone, subnet, address) = (&zones[place], &public[place], &addresses[place]);
            let nat = NatGateway::new(stack, zone, subnet, address, (&nat_list, run.destroys()));
            let nat = run.ensure(&ec2, nat).await?;
            let routes = |new: bool| {
                let served =
                    private_tables.iter().enumerate().filter(|(index, _)| nat_zones.len() == 1 || *index == place);
                let tables = served.map(|(_, table)| table).filter(|table| table.is_new() == new);
                let routes = tables.map(|table| Route::new(table, Target::NatGateway(nat.id.clone())));
                join_all(routes.map(|route| run.ensure(&ec2, route)).collect::<Vec<_>>())
            };
            // Where traffic may flow already, its route leads to another gateway until this one takes it.
            let (made, ready) = join!(routes(true), run.ready(&ec2, &nat));
            let (_, nat) = (made.all(), ready).all()?;
            routes(false).await.all()?;
            Ok(nat.id)
        };
        let associations = subnets.iter().zip(&subnet_ids).map(|(plan, subnet)| {
            let place = zones.iter().position(|zone| *zone == plan.zone).unwrap_or_default();
            let table = match plan.tier {
                Tier::Public => &public_table,
                Tier::Private => &private_tables[place],
                Tier::Database => &database_tables[place],
            };
            run.ensure(&ec2, Association::new(table, subnet, &plan.name))
        });
        let (endpoint_list, group_list) = (vpc_endpoint::listing(&vpc), security_group::listing(&vpc));
        let endpoints = async {
            let endpoints = Endpoints { run, ec2: &ec2, stack, vpc: &vpc, list: &endpoint_list };
            if run.destroys() {
                return endpoints.look(&group_list).await;
            }
            let tables = private_tables.iter().chain(&database_tables).map(|table| table.id.clone()).collect();
            endpoints.ensure(tables, private, &group_list).await
        };
        let acl_list = network_acl::listing(&vpc);
        let acl = async {
            if run.destroys() {
                return network_acl::look(run, &ec2, (stack, &vpc, &acl_list)).await;
            }
            let subnets = subnets.iter().zip(&subnet_ids).map(|(plan, live)| (&live.id, plan.name.as_str(), plan.tier));
            network_acl::ensure(run, &ec2, (stack, &vpc, &acl_list), subnets).await
        };
        let (internet, associations, acl, nat_gateways, endpoints) = join!(
            run.ensure(&ec2, Route::new(&public_table, Target::InternetGateway((*gateway).clone()))),
            join_all(associations),
            acl,
            join_all(nat_zones.clone().map(one_gateway)),
            endpoints,
        );
        let (_, _, _, nat_gateway_ids, vpc_endpoint_ids) =
            (internet, associations.all(), acl, nat_gateways.all(), endpoints).all()?;
        if run.destroys() {
            return Ok(());
        }
        let closed = if nat_zones.is_empty() { private_tables.as_slice() } else { &[] };
        let closed = closed.iter().chain(&database_tables).map(|table| NoRoute::ensure(run, &ec2, table));
        join_all(closed).await.all()?;
        run.publish(&Egress { nat_gateway_ids, vpc_endpoint_ids })?;

        // What is no longer needed goes when nothing leads to it any more. Nothing can be left in a new VPC.
        if vpc.is_new() || vpc.id.is_planned() {
            return Ok(());
        }
        let lists = Lists {
            acls: acl_list,
            addresses: address_list,
            endpoints: endpoint_list,
            groups: group_list,
            nat_gateways: nat_list,
            tables: table_list,
            subnets: subnet_list,
        };
        let former = |kind: former::Kind, names: Vec<Identity>| {
            Former::new(kind, (&vpc.id, &stack.vpc_name()), names, &lists).ensure(run, &ec2)
        };
        let without_nat = || zones[nat_zones.end..].iter().map(|zone| nat_gateway::identity(stack, zone)).collect();
        let without_database = || {
            let zones = if stack.net.database_subnets { &[] } else { zones.as_slice() };
            zones.iter().map(|zone| route_table::zone_identity(stack, Tier::Database, zone)).collect()
        };
        let ways_out = async {
            former(former::Kind::NatGateway, without_nat()).await?;
            former(former::Kind::ElasticIp, without_nat()).await
        };
        let tier = async {
            former(former::Kind::RouteTable, without_database()).await?;
            former(former::Kind::Subnet, without_database()).await
        };
        let endpoints = async {
            if !may_have_endpoints(run, &ec2, stack, (&vpc.id, &lists.tables)).await? {
                return Ok(());
            }
            let all = vpc_endpoint::endpoints(&ec2, &vpc.id, &lists.endpoints).await?;
            let wanted: Vec<Identity> = services(stack).map(|service| vpc_endpoint::identity(stack, service)).collect();
            let ours = vpc_endpoint::ours(stack, &all);
            let unwanted = ours.into_iter().filter(|identity| !wanted.contains(identity)).collect();
            former(former::Kind::VpcEndpoint, unwanted).await?;
            let group = stack.net.interface_endpoints.is_empty().then(|| security_group::identity(stack));
            former(former::Kind::SecurityGroup, group.into_iter().collect()).await
        };
        let acl = async {
            // A plain apply makes no call for an ACL that it has no word of; a plan looks, and so does who would remove it.
            let asks = !run.applies() || run.prunes();
            let former_acl = stack.net.network_acl.is_none() && asks;
            former(former::Kind::NetworkAcl, former_acl.then(|| network_acl::identity(stack)).into_iter().collect())
                .await
        };
        let all = join!(ways_out, endpoints, acl);
        all.all()?;
        // A route table goes when no endpoint has a route in it.
        tier.await
    }
}

/// Returns the subnets; a destroy looks for those as well that an earlier stack file may have asked for.
fn subnet_plans(run: &Run<'_>, stack: &Stack, region: &str) -> Vec<SubnetPlan> {
    let mut plans = stack.subnets(region);
    if run.destroys() && !stack.net.database_subnets {
        plans.extend(stack.zones(region).into_iter().map(|zone| SubnetPlan {
            name: stack.subnet_name(Tier::Database, &zone),
            zone,
            cidr: None,
            tier: Tier::Database,
        }));
    }
    plans
}

/// The client of EC2.
type Ec2 = Api<Client>;
