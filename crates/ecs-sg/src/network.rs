//! A look at the network that somebody else gives us, before anything is built on it.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::Filter;
use ecs_aws::Answer as _;
use ecs_core::member::Net;
use ecs_core::{Error, Result};

use crate::Ec2;

/// Checks that the subnets exist, are in the VPC, and that each tier spans two zones.
///
/// Returns the ranges of the private subnets. One call answers it all; a load balancer and a DB subnet group are refused by AWS in fewer than two zones.
///
/// # Errors
/// What is wrong with the member `net`, all of it at once.
pub async fn check(ec2: &Ec2, net: &Net) -> Result<Vec<String>> {
    let tiers = [("public_subnet_ids", &net.public_subnet_ids), ("private_subnet_ids", &net.private_subnet_ids)];
    let ids: Vec<String> =
        tiers.iter().flat_map(|(_, ids)| ids.iter()).filter(|id| !id.is_planned()).map(ToString::to_string).collect();
    if net.vpc_id.is_planned() || ids.is_empty() {
        return Ok(Vec::new());
    }
    // A filter leaves out what does not exist, where a list of ids is refused at the first such one.
    let filter = Filter::builder().name("subnet-id").set_values(Some(ids)).build();
    let subnets = ec2.read.describe_subnets().filters(filter).into_paginator().items().send();
    let subnets = subnets.collect::<Result<Vec<_>, _>>().await.answer("ec2:DescribeSubnets");
    let subnets = subnets.map_err(|error| error.doing("checking the document's member `net`"))?;
    let mut wrong = Vec::new();
    for (tier, ids) in tiers {
        let mut zones = BTreeSet::new();
        for id in ids {
            let subnet = subnets.iter().find(|subnet| subnet.subnet_id() == Some(id.as_str()));
            match subnet {
                Some(subnet) if subnet.vpc_id() == Some(net.vpc_id.as_str()) => {
                    zones.extend(subnet.availability_zone());
                }
                Some(subnet) => wrong.push(format!(
                    "{tier}: {id} is in {}, not in {}",
                    subnet.vpc_id().unwrap_or("another VPC"),
                    net.vpc_id
                )),
                None => wrong.push(format!("{tier}: {id} does not exist")),
            }
        }
        if zones.len() == 1 && wrong.is_empty() {
            let zone = zones.first().copied().unwrap_or_default();
            wrong.push(format!("{tier}: all in {zone}, but two zones are needed"));
        }
    }
    if wrong.is_empty() {
        let private = net.private_subnet_ids.iter().filter_map(|id| {
            let subnet = subnets.iter().find(|subnet| subnet.subnet_id() == Some(id.as_str()))?;
            subnet.cidr_block().map(str::to_owned)
        });
        Ok(private.collect())
    } else {
        Err(Error::usage(format!("the document's member `net` does not fit: {}", wrong.join("; ")))
            .hint("correct its ids, or let ecs-net make a network"))
    }
}
