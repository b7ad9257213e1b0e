//! The network layer: VPC, internet gateway, subnets, route tables, NAT gateways and VPC endpoints.

mod claim;
mod ec2;
mod elastic_ip;
mod endpoints;
mod flow_log;
mod flow_log_role;
mod former;
pub mod given;
mod internet_gateway;
mod leftovers;
mod nat_gateway;
mod network_acl;
mod policy;
mod route_table;
mod security_group;
mod subnet;
mod vpc;
mod vpc_endpoint;
mod ways_out;
mod zones;

use std::rc::Rc;

use aws_sdk_ec2::Client;
use ecs_aws::{Api, Session};
use ecs_core::member::{self, Egress};
use ecs_core::stack::{Nat, SubnetPlan, Tier, check};
use ecs_core::tool::Tool;
use ecs_core::{All as _, Held, Listing, Result, Run, Stack};
use futures::future::join_all;
use futures::join;
use serde_json::{Value, json};

use crate::elastic_ip::ElasticIp;
use crate::endpoints::{Endpoints, services};
use crate::former::Lists;
use crate::internet_gateway::{Attachment, InternetGateway};
use crate::route_table::{Association, NoRoute, Route, RouteTable, Target};
use crate::subnet::Subnet;
use crate::vpc::{DnsHostnames, Vpc};
use crate::ways_out::WaysOut;

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
        // A destroy looks for what the stack made before the file named another network, and finds nothing else.
        if let Some(vpc) = stack.net.vpc_id.as_deref().filter(|_| !run.destroys()) {
            return given::layer(run, &ec2, stack, vpc).await;
        }
        let address_list = Rc::new(Listing::default());
        let stack = &zones::resolve(run, &ec2, stack, &address_list).await?;
        let zones = stack.zones(stack.region.as_deref().unwrap_or_default());
        let nat_zones = if run.destroys() { 0..zones.len() } else { stack.net.nat_zones() };
        let database_zones = if run.destroys() || stack.net.database_subnets { zones.as_slice() } else { &[] };

        // None of these needs another: the first round of calls.
        let with_nat = zones[nat_zones.clone()].iter();
        let (vpc, gateway, addresses) = join!(
            run.ensure(&ec2, Vpc::new(stack)),
            run.ensure(&ec2, InternetGateway::new(stack)),
            join_all(with_nat.map(|zone| run.ensure(&ec2, ElasticIp::new(stack, zone, &address_list)))),
        );
        let (vpc, gateway, addresses) = (vpc, gateway, addresses.all()).all()?;

        let (subnet_list, table_list) = (vpc::listing(&vpc), route_table::listing(&vpc));
        let attachment = Attachment::new(&gateway, &vpc, stack)?;
        let subnets = &subnet_plans(run, stack, &zones);
        let made = async {
            let fitted = subnet::fitted(&ec2, stack, (&vpc, &subnet_list), subnets).await?;
            if !run.destroys() {
                check::warnings(stack, &fitted).iter().for_each(|warning| run.console().warn(warning));
            }
            let made = fitted.iter().map(|plan| run.ensure(&ec2, Subnet::new(stack, &vpc, plan, &subnet_list)));
            join_all(made.collect::<Vec<_>>()).await.all()
        };
        let tables_of = |tier: Tier, zones: &[String]| {
            let table = |zone: &String| RouteTable::of_zone(stack, &vpc, (tier, zone), &table_list);
            join_all(zones.iter().map(|zone| run.ensure(&ec2, table(zone))).collect::<Vec<_>>())
        };
        let (dns, attachment, made, public_table, private_tables, database_tables) = join!(
            DnsHostnames::ensure(run, &ec2, &vpc, stack),
            run.ensure(&ec2, attachment),
            made,
            run.ensure(&ec2, RouteTable::public(stack, &vpc, &table_list)),
            tables_of(Tier::Private, &zones),
            tables_of(Tier::Database, database_zones),
        );
        let (_, gateway, subnet_ids, public_table, private_tables, database_tables) =
            (dns, attachment, made, public_table, private_tables.all(), database_tables.all()).all()?;
        let ids_of = |tier: Tier| -> Vec<_> {
            let pairs = subnets.iter().zip(&subnet_ids);
            pairs.filter(|(plan, _)| plan.tier == tier).map(|(_, live)| live.id.clone()).collect()
        };
        let ids_of_tables = |tables: &[Held<RouteTable>]| tables.iter().map(|table| table.id.clone()).collect();
        let (public, private) = (ids_of(Tier::Public), ids_of(Tier::Private));
        let private_cidrs = subnets.iter().zip(&subnet_ids).filter(|(plan, _)| plan.tier == Tier::Private);
        let private_cidrs = private_cidrs.map(|(_, live)| live.cidr.clone());
        run.publish(&member::Net {
            vpc_id: vpc.id.clone(),
            public_subnet_ids: public.clone(),
            private_subnet_ids: private.clone(),
            private_cidrs: private_cidrs.collect(),
            database_subnet_ids: ids_of(Tier::Database),
            internet_gateway_id: Some((*gateway).clone()),
            public_route_table_id: Some(public_table.id.clone()),
            private_route_table_ids: ids_of_tables(&private_tables),
            database_route_table_ids: ids_of_tables(&database_tables),
            stack: Some(stack.name.clone()),
            new: vpc.is_new(),
        })?;

        // From here on it is about the ways out; the other tools are at work already.
        let nat_list = vpc::listing(&vpc);
        let ways_out =
            WaysOut { run, ec2: &ec2, stack, vpc: &vpc, list: &nat_list, zones: &zones, tables: &private_tables };
        let associations = subnets.iter().zip(&subnet_ids).map(|(plan, subnet)| {
            let place = zones.iter().position(|zone| *zone == plan.zone).unwrap_or_default();
            let table = match plan.tier {
                Tier::Public => &public_table,
                Tier::Private => &private_tables[place],
                Tier::Database => &database_tables[place],
            };
            run.ensure(&ec2, Association::new(table, subnet, &plan.name))
        });
        let (endpoint_list, group_list) = (vpc::listing(&vpc), vpc::listing(&vpc));
        let endpoints = async {
            let lists = (&table_list, &subnet_list);
            let own = if vpc.is_new() || vpc.id.is_planned() || services(stack).is_empty() {
                Rc::default()
            } else {
                Rc::new(leftovers::own(&ec2, stack, &vpc.id, lists).await?)
            };
            let endpoints = Endpoints { run, ec2: &ec2, stack, vpc: &vpc, list: &endpoint_list, own };
            if run.destroys() {
                return endpoints.look(&group_list).await;
            }
            let tables = private_tables.iter().chain(&database_tables).map(|table| table.id.clone()).collect();
            endpoints.ensure(tables, private, &group_list).await
        };
        let acl_list = vpc::listing(&vpc);
        let acl = async {
            if run.destroys() {
                return network_acl::look(run, &ec2, (stack, &vpc, &acl_list)).await;
            }
            let subnets = subnets.iter().zip(&subnet_ids).map(|(plan, live)| (&live.id, plan.name.as_str(), plan.tier));
            network_acl::ensure(run, &ec2, (stack, &vpc, &acl_list), subnets).await
        };
        let clients = flow_log::Clients::new(session, &ec2);
        let flow_log = async {
            if run.destroys() {
                return flow_log::look(run, &clients, (stack, &vpc)).await;
            }
            flow_log::ensure(run, &clients, (stack, &vpc)).await
        };
        let (internet, associations, flow_log, acl, nat_gateways, endpoints) = join!(
            run.ensure(&ec2, Route::new(&public_table, Target::InternetGateway((*gateway).clone()))),
            join_all(associations),
            flow_log,
            acl,
            ways_out.ensure(nat_zones, &public, &addresses),
            endpoints,
        );
        let (_, _, _, _, nat_gateway_ids, vpc_endpoint_ids) =
            (internet, associations.all(), flow_log, acl, nat_gateways, endpoints).all()?;
        if run.destroys() {
            return Ok(());
        }
        let closed = if stack.net.nat == Nat::None { private_tables.as_slice() } else { &[] };
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
        leftovers::ensure(run, &ec2, stack, (&vpc.id, &zones), &lists).await
    }
}

/// Returns the subnets; a destroy looks for those of all tiers, by their names.
fn subnet_plans(run: &Run<'_>, stack: &Stack, zones: &[String]) -> Vec<SubnetPlan> {
    if !run.destroys() {
        return stack.subnets(stack.region.as_deref().unwrap_or_default());
    }
    let plan = |(tier, zone): (Tier, &String)| SubnetPlan {
        name: stack.subnet_name(tier, zone),
        zone: zone.clone(),
        cidr: None,
        tier,
    };
    Tier::ALL.into_iter().flat_map(|tier| zones.iter().map(move |zone| (tier, zone))).map(plan).collect()
}

/// The client of EC2.
type Ec2 = Api<Client>;
