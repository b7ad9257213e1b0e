//! A network that somebody else has made: looked at, and nothing more.
//!
//! ecs-sg looks at the one that a person writes into the document, in the same way.

use aws_sdk_ec2::types::{Filter, RouteState, RouteTable, VpcAttributeName, VpcEndpoint, VpcEndpointType};
use ecs_aws::Answer as _;
use ecs_core::id::VpcId;
use ecs_core::member::{Egress, Net};
use ecs_core::network_facts::{EndpointFacts, NetworkFacts, SubnetFacts, TableFacts};
use ecs_core::stack::Tier;
use ecs_core::{All as _, Error, Result, Run, Stack};
use futures::join;

use crate::{Ec2, ec2, vpc};

/// Where a default route goes from.
const EVERYWHERE: &str = "0.0.0.0/0";

/// Checks the VPC and the subnets that the stack file names, and tells the other tools of them.
///
/// # Errors
/// Any refusal by EC2; what is wrong with the network, all of it at once.
pub async fn layer(run: &Run<'_>, ec2: &Ec2, stack: &Stack, given: &str) -> Result<()> {
    let ids = |tier: Tier| stack.net.given_ids(tier).iter().map(|id| id.as_str().into()).collect();
    let mut net = Net {
        vpc_id: given.into(),
        public_subnet_ids: ids(Tier::Public),
        private_subnet_ids: ids(Tier::Private),
        private_cidrs: Vec::new(),
        database_subnet_ids: ids(Tier::Database),
        internet_gateway_id: None,
        public_route_table_id: None,
        private_route_table_ids: Vec::new(),
        database_route_table_ids: Vec::new(),
        stack: None,
        new: false,
    };
    let facts = async {
        look(ec2, &net).await.map_err(|error| error.doing(format!("looking at {given}, which the file names")))
    };
    let (facts, own) = join!(facts, vpc::own(ec2, stack));
    let (facts, own) = (facts, own).all()?;
    check_own(stack, given, &own)?;
    let wrong = facts.wrong(&net, stack);
    if !wrong.is_empty() {
        return Err(Error::usage(format!("the network that the file names does not fit: {}", wrong.join("; ")))
            .hint("correct `net`, or leave `net.vpc_id` and the subnets out: ecs-net then makes a network"));
    }
    let of = |tier: Tier| stack.net.given_ids(tier).iter().map(String::as_str);
    let table = |id: &str| facts.table_of(id).map(|table| table.id.as_str().into());
    net.internet_gateway_id = facts.ways_out(of(Tier::Public)).first().map(|id| (*id).into());
    let cidr = |id: &str| facts.subnets.iter().find(|subnet| subnet.id == id).map(|subnet| subnet.cidr.clone());
    net.private_cidrs = of(Tier::Private).filter_map(cidr).collect();
    net.public_route_table_id = of(Tier::Public).find_map(table);
    net.private_route_table_ids = of(Tier::Private).filter_map(table).collect();
    net.database_route_table_ids = of(Tier::Database).filter_map(table).collect();
    run.console().say("given", &format!("the network {given} is somebody else's: checked, and left as it is"));
    run.publish(&net)?;
    let gateways = facts.ways_out(of(Tier::Private)).into_iter().filter(|id| id.starts_with("nat-"));
    run.publish(&Egress { nat_gateway_ids: gateways.map(Into::into).collect(), vpc_endpoint_ids: Default::default() })
}

/// Refuses to leave the network that the stack has made: no load balancer, database or security group moves to another VPC.
fn check_own(stack: &Stack, given: &str, own: &[VpcId]) -> Result<()> {
    let Some(own) = own.first() else { return Ok(()) };
    let message =
        format!("the stack {} has made a network, {own}, and the file now names another, {given}", stack.name);
    Err(Error::usage(message).hint(
        "nothing in a VPC moves to another: take `net.vpc_id` and the subnets out again, or destroy the stack first, \
         or give the one in the other network another `name`",
    ))
}

/// Reads what there is to know of a network.
///
/// # Errors
/// Any refusal by EC2, but that something does not exist.
pub async fn look(ec2: &Ec2, net: &Net) -> Result<NetworkFacts> {
    let vpc = &net.vpc_id;
    let ids = net.public_subnet_ids.iter().chain(&net.private_subnet_ids).chain(&net.database_subnet_ids);
    let ids: Vec<String> = ids.map(ToString::to_string).collect();
    // A filter leaves out what does not exist, where a list of ids is refused at the first such one.
    let named = Filter::builder().name("subnet-id").set_values(Some(ids)).build();
    let in_vpc = || ec2::filter("vpc-id", vpc.as_str());
    let state = async {
        let reply = ec2.read.describe_vpcs().filters(in_vpc()).send().await.answer("ec2:DescribeVpcs")?;
        Ok(reply.vpcs().first().map(|vpc| vpc.state().map(|state| state.as_str().to_owned()).unwrap_or_default()))
    };
    let subnets = async {
        let all = ec2.read.describe_subnets().filters(named).into_paginator().items().send();
        all.collect::<std::result::Result<Vec<_>, _>>().await.answer("ec2:DescribeSubnets")
    };
    let tables = async {
        let all = ec2.read.describe_route_tables().filters(in_vpc()).into_paginator().items().send();
        all.collect::<std::result::Result<Vec<_>, _>>().await.answer("ec2:DescribeRouteTables")
    };
    let endpoints = async {
        let all = ec2.read.describe_vpc_endpoints().filters(in_vpc()).into_paginator().items().send();
        all.collect::<std::result::Result<Vec<_>, _>>().await.answer("ec2:DescribeVpcEndpoints")
    };
    let (state, subnets, tables, endpoints, dns) = join!(state, subnets, tables, endpoints, dns_support(ec2, vpc));
    let (vpc_state, subnets, tables, endpoints, dns_support) = (state, subnets, tables, endpoints, dns).all()?;
    let subnets = subnets.into_iter().map(|subnet| SubnetFacts {
        id: subnet.subnet_id.unwrap_or_default(),
        vpc: subnet.vpc_id.unwrap_or_default(),
        zone: subnet.availability_zone.unwrap_or_default(),
        cidr: subnet.cidr_block.unwrap_or_default(),
    });
    Ok(NetworkFacts {
        vpc_state,
        dns_support,
        subnets: subnets.collect(),
        tables: tables.iter().map(table).collect(),
        endpoints: endpoints.iter().filter_map(endpoint).collect(),
    })
}

async fn dns_support(ec2: &Ec2, vpc: &VpcId) -> Result<bool> {
    let attribute = VpcAttributeName::EnableDnsSupport;
    let reply = ec2.read.describe_vpc_attribute().vpc_id(vpc.as_str()).attribute(attribute).send().await;
    // Without a VPC that is what is wrong.
    let reply = reply.answer_if_found("ec2:DescribeVpcAttribute")?;
    Ok(reply.and_then(|reply| reply.enable_dns_support).and_then(|on| on.value).unwrap_or_default())
}

fn table(table: &RouteTable) -> TableFacts {
    let associations = table.associations();
    let route = table.routes().iter().find(|route| route.destination_cidr_block() == Some(EVERYWHERE));
    TableFacts {
        id: table.route_table_id().unwrap_or_default().to_owned(),
        main: associations.iter().any(|one| one.main() == Some(true)),
        subnets: associations.iter().filter_map(|one| one.subnet_id.clone()).collect(),
        default_route: route.map(crate::route_table::target),
        blackhole: route.is_some_and(|route| route.state() == Some(&RouteState::Blackhole)),
    }
}

fn endpoint(endpoint: &VpcEndpoint) -> Option<EndpointFacts> {
    let gateway = endpoint.vpc_endpoint_type() == Some(&VpcEndpointType::Gateway);
    (crate::vpc_endpoint::state(endpoint) == "available").then(|| EndpointFacts {
        service: endpoint.service_name().unwrap_or_default().to_owned(),
        tables: endpoint.route_table_ids().to_vec(),
        private_dns: !gateway && endpoint.private_dns_enabled() == Some(true),
    })
}
