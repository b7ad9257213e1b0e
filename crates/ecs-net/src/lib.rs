//! The network layer: VPC, internet gateway, subnets, route tables, and a NAT gateway per zone.

mod claim;
mod ec2;
mod elastic_ip;
mod internet_gateway;
mod nat_gateway;
mod route_table;
mod subnet;
mod vpc;

use std::rc::Rc;

use aws_sdk_ec2::Client;
use ecs_aws::{Api, Session};
use ecs_core::member::{self, Egress};
use ecs_core::stack::SubnetPlan;
use ecs_core::tool::Tool;
use ecs_core::{All as _, Listing, Result, Run, Stack};
use futures::future::join_all;
use futures::join;
use serde_json::{Value, json};

use crate::elastic_ip::ElasticIp;
use crate::internet_gateway::{Attachment, InternetGateway};
use crate::nat_gateway::NatGateway;
use crate::route_table::{Association, Route, RouteTable, Target};
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
        json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Identity",
                    "Effect": "Allow",
                    "Action": "sts:GetCallerIdentity",
                    "Resource": "*"
                },
                {
                    "Sid": "Read",
                    "Effect": "Allow",
                    "Action": [
                        "ec2:DescribeAddresses",
                        "ec2:DescribeInternetGateways",
                        "ec2:DescribeNetworkInterfaces",
                        "ec2:DescribeNatGateways",
                        "ec2:DescribeRouteTables",
                        "ec2:DescribeSubnets",
                        "ec2:DescribeVpcAttribute",
                        "ec2:DescribeVpcs"
                    ],
                    "Resource": "*"
                },
                {
                    "Sid": "Write",
                    "Effect": "Allow",
                    "Action": [
                        "ec2:AllocateAddress",
                        "ec2:AssociateRouteTable",
                        "ec2:AttachInternetGateway",
                        "ec2:CreateInternetGateway",
                        "ec2:CreateNatGateway",
                        "ec2:CreateRoute",
                        "ec2:CreateRouteTable",
                        "ec2:CreateSubnet",
                        "ec2:CreateTags",
                        "ec2:CreateVpc",
                        "ec2:DeleteInternetGateway",
                        "ec2:DeleteNatGateway",
                        "ec2:DeleteRoute",
                        "ec2:DeleteRouteTable",
                        "ec2:DeleteSubnet",
                        "ec2:DeleteVpc",
                        "ec2:DetachInternetGateway",
                        "ec2:DisassociateRouteTable",
                        "ec2:ModifyVpcAttribute",
                        "ec2:ReleaseAddress",
                        "ec2:ReplaceRoute",
                        "ec2:ReplaceRouteTableAssociation"
                    ],
                    "Resource": "*"
                }
            ]
        })
    }

    fn schema() -> Value {
        json!({ "net": member::schema::<member::Net>(), "egress": member::schema::<Egress>() })
    }

    async fn layer(run: &Run<'_>, session: &Session, stack: &Stack, _options: &Options) -> Result<()> {
        let ec2 = session.api(Client::new);
        let region = stack.region.as_deref().unwrap_or_default();
        let zones = stack.zones(region);
        let subnets = stack.subnets(region);

        // None of these needs another: the first round of calls.
        let addresses = Rc::new(Listing::default());
        let (vpc, gateway, addresses) = join!(
            run.ensure(&ec2, Vpc::new(stack)),
            run.ensure(&ec2, InternetGateway::new(stack)),
            join_all(zones.iter().map(|zone| run.ensure(&ec2, ElasticIp::new(stack, zone, &addresses)))),
        );
        let (vpc, gateway, addresses) = (vpc, gateway, addresses.all()).all()?;

        let (subnet_list, table_list) = (subnet::listing(&vpc), route_table::listing(&vpc));
        let attachment = Attachment::new(&gateway, &vpc, stack)?;
        let (dns, attachment, made, public_table, private_tables) = join!(
            DnsHostnames::ensure(run, &ec2, &vpc, stack),
            run.ensure(&ec2, attachment),
            join_all(subnets.iter().map(|plan| run.ensure(&ec2, Subnet::new(stack, &vpc, plan, &subnet_list)))),
            run.ensure(&ec2, RouteTable::public(stack, &vpc, &table_list)),
            join_all(zones.iter().map(|zone| run.ensure(&ec2, RouteTable::private(stack, &vpc, zone, &table_list)))),
        );
        let (_, gateway, subnet_ids, public_table, private_tables) =
            (dns, attachment, made.all(), public_table, private_tables.all()).all()?;
        let ids_of = |public: bool| -> Vec<_> {
            let pairs = subnets.iter().zip(&subnet_ids);
            pairs.filter(|(plan, _)| plan.public == public).map(|(_, live)| live.id.clone()).collect()
        };
        let (public, private) = (ids_of(true), ids_of(false));
        run.publish(&member::Net {
            vpc_id: vpc.id.clone(),
            public_subnet_ids: public.clone(),
            private_subnet_ids: private.clone(),
            internet_gateway_id: Some((*gateway).clone()),
            public_route_table_id: Some(public_table.id.clone()),
            private_route_table_ids: private_tables.iter().map(|table| table.id.clone()).collect(),
            stack: Some(stack.name.clone()),
            new: vpc.is_new(),
        })?;

        // From here on it is about the ways out; the other tools are at work already.
        let nat_list = nat_gateway::listing(&vpc);
        let one_zone = async |index: usize| {
            let (zone, table) = (&zones[index], &private_tables[index]);
            let nat = NatGateway::new(stack, zone, &public[index], &addresses[index], (&nat_list, run.destroys()));
            let nat = run.ensure(&ec2, nat).await?;
            let route = Route::new(table, Target::NatGateway(nat.id.clone()));
            let (route, ready) = join!(run.ensure(&ec2, route), run.ready(&ec2, &nat));
            let (_, nat) = (route, ready).all()?;
            Ok(nat.id)
        };
        let associations = subnets.iter().zip(&subnet_ids).map(|(plan, subnet)| {
            let table = if plan.public { &public_table } else { &private_tables[zone_index(&zones, plan)] };
            run.ensure(&ec2, Association::new(table, subnet, &plan.name))
        });
        let (internet, associations, nat_gateways) = join!(
            run.ensure(&ec2, Route::new(&public_table, Target::InternetGateway((*gateway).clone()))),
            join_all(associations),
            join_all((0..zones.len()).map(one_zone)),
        );
        let (_, _, nat_gateway_ids) = (internet, associations.all(), nat_gateways.all()).all()?;
        run.publish(&Egress { nat_gateway_ids })
    }
}

/// Returns the place of a subnet's zone among the zones.
fn zone_index(zones: &[String], plan: &SubnetPlan) -> usize {
    zones.iter().position(|zone| *zone == plan.zone).unwrap_or_default()
}

/// The client of EC2.
type Ec2 = Api<Client>;
