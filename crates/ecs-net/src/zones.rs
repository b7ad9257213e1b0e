//! The availability zones of a stack, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::rc::Rc;

use aws_sdk_ec2::types::{AvailabilityZone, AvailabilityZoneState, Subnet as Described, Tag};
use ecs_aws::Answer as _;
use ecs_core::stack::{NetConfig, Tier, Zones};
use ecs_core::{Error, Identity, Result, Run, Stack, tag};
use ipnet::Ipv4Net;

use crate::{Ec2, LAYER, ec2, elastic_ip};

/// The type of zone that a subnet of a load balancer and of tasks can be in: not a local or a Wavelength zone.
const ORDINARY: &str = "availability-zone";

/// Returns the stack with its zones by name.
///
/// Of a number of zones, those come first in which the stack has subnets already: a later run keeps them, whatever zones the
/// region has got since. A destroy gets all zones that the stack may have something in, whatever the file has become.
///
/// # Errors
/// Any refusal by EC2; fewer zones than are asked for.
pub async fn resolve(run: &Run<'_>, ec2: &Ec2, stack: &Stack, addresses: &elastic_ip::List) -> Result<Stack> {
    let region = stack.region.as_deref().unwrap_or_default();
    let zones = if run.destroys() {
        let mut zones = stack.zones(region);
        zones.extend(
            left_over(ec2, stack, addresses).await?.into_iter().filter(|zone| !stack.zones(region).contains(zone)),
        );
        zones
    } else {
        match stack.net.zones {
            Zones::Named(_) => stack.zones(region),
            Zones::Count(count) => {
                let doing = |error: Error| error.doing("choosing the availability zones");
                let subnets = subnets(ec2, stack).await.map_err(doing)?;
                let reply = ec2.read.describe_availability_zones().send().await;
                let reply = reply.answer("ec2:DescribeAvailabilityZones").map_err(doing)?;
                choose(count.into(), in_use(stack, &subnets), reply.availability_zones()).map_err(doing)?
            }
        }
    };
    Ok(Stack { net: NetConfig { zones: Zones::Named(zones), ..stack.net.clone() }, ..stack.clone() })
}

/// Returns the zones in which the stack has subnets, in the order of their ranges: that is the order they were made in.
fn in_use(stack: &Stack, subnets: &[Described]) -> Vec<String> {
    let mut first: BTreeMap<&str, Ipv4Addr> = BTreeMap::new();
    for subnet in subnets {
        let (Some(zone), Some(range)) = (subnet.availability_zone(), subnet.cidr_block()) else { continue };
        let tier = Tier::ALL.iter().any(|tier| is_named(stack, subnet.tags(), &stack.subnet_name(*tier, zone)));
        if let Some(range) = range.parse::<Ipv4Net>().ok().filter(|_| tier) {
            let least = first.entry(zone).or_insert(range.addr());
            *least = range.addr().min(*least);
        }
    }
    let mut zones: Vec<_> = first.into_iter().collect();
    zones.sort_by_key(|(_, least)| *least);
    zones.into_iter().map(|(zone, _)| zone.to_owned()).collect()
}

/// Chooses zones: those in use, then the others by name.
fn choose(count: usize, in_use: Vec<String>, all: &[AvailabilityZone]) -> Result<Vec<String>> {
    let open = all
        .iter()
        .filter(|zone| zone.zone_type() == Some(ORDINARY) && zone.state() == Some(&AvailabilityZoneState::Available));
    let open: BTreeSet<&str> = open.filter_map(|zone| zone.zone_name()).collect();
    let others = open.iter().filter(|zone| !in_use.iter().any(|used| used == *zone)).map(|zone| (*zone).to_owned());
    let mut chosen = in_use.clone();
    chosen.extend(others);
    chosen.truncate(count);
    if chosen.len() == count {
        return Ok(chosen);
    }
    let list = chosen.join(", ");
    Err(Error::usage(format!(
        "{count} availability zones are asked for, and this account has {}: {list}",
        chosen.len()
    ))
    .hint("lower `net.zones`"))
}

/// Returns the zones of whatever the stack still has in a zone.
async fn left_over(ec2: &Ec2, stack: &Stack, list: &elastic_ip::List) -> Result<BTreeSet<String>> {
    let ours = || ec2::filter(format!("tag:{}", tag::STACK), &stack.name);
    let subnets = subnets(ec2, stack).await?;
    let tables = ec2.read.describe_route_tables().filters(ours()).into_paginator().items().send();
    let tables = tables.collect::<std::result::Result<Vec<_>, _>>().await.answer("ec2:DescribeRouteTables")?;
    let addresses = elastic_ip::addresses(ec2, &stack.name, list).await?;
    let tags = subnets.iter().map(|subnet| subnet.tags()).chain(tables.iter().map(|table| table.tags()));
    let tags = tags.chain(addresses.iter().map(|address| address.tags()));
    Ok(tags.filter_map(|tags| zone_of(stack, tags)).collect())
}

async fn subnets(ec2: &Ec2, stack: &Stack) -> Result<Rc<Vec<Described>>> {
    let ours = ec2::filter(format!("tag:{}", tag::STACK), &stack.name);
    let all = ec2.read.describe_subnets().filters(ours).into_paginator().items().send();
    all.collect::<std::result::Result<Vec<_>, _>>().await.answer("ec2:DescribeSubnets").map(Rc::new)
}

/// Returns the zone that the name of a subnet, a route table, a NAT gateway or an address ends in.
fn zone_of(stack: &Stack, tags: &[Tag]) -> Option<String> {
    let name = tags.iter().find(|tag| tag.key() == Some(tag::NAME))?.value()?;
    let starts = Tier::ALL.iter().map(|tier| stack.subnet_name(*tier, "")).chain([format!("{}-nat-", stack.name)]);
    let zone = starts.into_iter().find_map(|start| name.strip_prefix(&start))?;
    // A zone ends in a letter that follows its region; the regional NAT gateway is in none.
    let is_zone = zone.ends_with(|last: char| last.is_ascii_lowercase()) && zone.contains(|c: char| c.is_ascii_digit());
    (is_zone && is_named(stack, tags, name)).then(|| zone.to_owned())
}

fn is_named(stack: &Stack, tags: &[Tag], name: &str) -> bool {
    ec2::is(&Identity::new(&stack.name, LAYER, name), tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str, kind: &str, state: AvailabilityZoneState) -> AvailabilityZone {
        AvailabilityZone::builder().zone_name(name).zone_type(kind).state(state).build()
    }

    fn tags(stack: &str, name: &str) -> Vec<Tag> {
        Identity::new(stack, LAYER, name).tags(|key, value| Tag::builder().key(key).value(value).build())
    }

    #[test]
    fn the_first_zones_by_name_are_chosen_after_those_in_use() {
        let available = || AvailabilityZoneState::Available;
        let all = [
            zone("us-east-1c", ORDINARY, available()),
            zone("us-east-1a", ORDINARY, available()),
            zone("us-east-1-bos-1a", "local-zone", available()),
            zone("us-east-1b", ORDINARY, AvailabilityZoneState::Impaired),
            zone("us-east-1d", ORDINARY, available()),
        ];
        let chosen =
            |count, in_use: &[&str]| choose(count, in_use.iter().map(|zone| (*zone).to_owned()).collect(), &all);
        assert_eq!(chosen(2, &[]).expect("two"), ["us-east-1a", "us-east-1c"]);
        assert_eq!(
            chosen(3, &["us-east-1d", "us-east-1b"]).expect("three"),
            ["us-east-1d", "us-east-1b", "us-east-1a"]
        );
        assert_eq!(chosen(2, &["us-east-1d", "us-east-1b", "us-east-1a"]).expect("two"), ["us-east-1d", "us-east-1b"]);
        let error = chosen(4, &[]).expect_err("three only");
        assert!(error.to_string().contains("has 3: us-east-1a, us-east-1c, us-east-1d"), "{error}");
    }

    #[test]
    fn zones_in_use_come_in_the_order_of_their_ranges() {
        let stack = Stack { name: "prod".to_owned(), ..Stack::default() };
        let subnet = |stack: &str, tier: &str, zone: &str, range: &str| {
            let builder = Described::builder().availability_zone(zone).cidr_block(range);
            builder.set_tags(Some(tags(stack, &format!("prod-{tier}-{zone}")))).build()
        };
        let subnets = [
            subnet("prod", "public", "eu-west-1c", "10.0.1.0/24"),
            subnet("prod", "public", "eu-west-1a", "10.0.2.0/24"),
            subnet("prod", "private", "eu-west-1c", "10.0.3.0/24"),
            subnet("other", "public", "eu-west-1b", "10.0.0.0/24"),
            subnet("prod", "spare", "eu-west-1b", "10.0.0.0/24"),
        ];
        assert_eq!(in_use(&stack, &subnets), ["eu-west-1c", "eu-west-1a"]);
    }

    #[test]
    fn a_name_tells_the_zone() {
        let stack = Stack { name: "prod".to_owned(), ..Stack::default() };
        let zone = |name: &str| zone_of(&stack, &tags("prod", name));
        assert_eq!(zone("prod-database-eu-west-1a").as_deref(), Some("eu-west-1a"));
        assert_eq!(zone("prod-nat-eu-west-1c").as_deref(), Some("eu-west-1c"));
        for name in ["prod-nat-regional", "prod-public", "prod-vpc", "prod-endpoints"] {
            assert_eq!(zone(name), None, "{name}");
        }
        assert_eq!(zone_of(&stack, &tags("other", "prod-nat-eu-west-1c")), None);
    }
}
