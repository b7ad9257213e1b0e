//! The network: the VPC's range, the zones, the subnets, the endpoints.

use std::collections::BTreeMap;

use ipnet::{IpNet, Ipv4Net};

use super::Mistake;
use super::list;
use super::names::is_region;
use crate::stack::pointer::pointer;
use crate::stack::{GatewayService, Nat, Stack, endpoint_service};

/// Longest and shortest range that EC2 takes for a VPC or a subnet. Source: `CreateVpc`, `CreateSubnet`, `CidrBlock`.
const EC2_RANGE: std::ops::RangeInclusive<u8> = 16..=28;

/// Shortest range of a VPC whose subnets are computed: below it they would not fit into four bits.
const COMPUTED_RANGE: u8 = 24;

/// Checks the network.
pub(super) fn check(stack: &Stack, region: Option<&str>, found: &mut Vec<Mistake>) {
    vpc(stack, found);
    zones(stack, region, found);
    subnets(stack, found);
    endpoints(stack, region, found);
    flow_logs(stack, found);
}

fn vpc(stack: &Stack, found: &mut Vec<Mistake>) {
    let net = &stack.net;
    let cidr = net.cidr;
    host_bits("/net/cidr", cidr, found);
    let (given, keys) = match (net.database_subnets, net.database_cidrs.is_some()) {
        (true, database) => (database, "`public_cidrs`, `private_cidrs` and `database_cidrs`"),
        (false, _) => (true, "both `public_cidrs` and `private_cidrs`"),
    };
    let given = given && net.public_cidrs.is_some() && net.private_cidrs.is_some();
    let shortest = if given { *EC2_RANGE.end() } else { COMPUTED_RANGE };
    if cidr.prefix_len() < *EC2_RANGE.start() || cidr.prefix_len() > shortest {
        let mistake = Mistake::value("/net/cidr", format!("a VPC has a range of /16 to /{shortest}, found {cidr}"));
        found.push(if EC2_RANGE.contains(&cidr.prefix_len()) {
            mistake.hint(format!("down to /28 with {keys} given"))
        } else {
            mistake
        });
    }
}

fn zones(stack: &Stack, region: Option<&str>, found: &mut Vec<Mistake>) {
    let zones = stack.net.zones.named();
    if stack.net.zones.len() < 2 {
        // Source: CreateLoadBalancer, Subnets: "You must specify subnets from at least two Availability Zones".
        let message = format!("a load balancer and a database need two zones or more, found {}", stack.net.zones.len());
        found.push(Mistake::value("/net/zones", message));
    }
    // Without a known region, the first full name tells which one the others must be in.
    let of_zone =
        |zone: &str| zone.strip_suffix(|c: char| c.is_ascii_lowercase()).filter(|r| is_region(r)).map(String::from);
    let region = region.filter(|region| is_region(region)).map(String::from);
    let expected = region.or_else(|| zones.iter().find_map(|zone| of_zone(zone)));
    let mut seen: BTreeMap<char, usize> = BTreeMap::new();
    for (index, zone) in zones.iter().enumerate() {
        let place = pointer(&["net", "zones", &index.to_string()]);
        let letter = zone.chars().last().unwrap_or(' ');
        let alone = zone.chars().count() == 1 && letter.is_ascii_lowercase();
        let its_region = of_zone(zone);
        if !alone && its_region.is_none() {
            let mistake = Mistake::value(place, format!("`{zone}` is not an availability zone"));
            found.push(mistake.hint("write a letter such as `a`, or a full name such as `us-east-1a`"));
            continue;
        }
        if let Some(expected) = expected.as_ref().filter(|_| its_region.is_some() && its_region != expected) {
            found.push(
                Mistake::value(place, format!("the zone `{zone}` is not in {expected}"))
                    .hint(format!("write its letter alone, or `{expected}{letter}`"))
                    .related(&["region"]),
            );
            continue;
        }
        if let Some(earlier) = seen.insert(letter, index) {
            let message = format!("the zone `{zone}` is the same as `{}`", zones[earlier]);
            found.push(Mistake::value(place, message));
        }
    }
}

fn subnets(stack: &Stack, found: &mut Vec<Mistake>) {
    let net = &stack.net;
    let count = net.zones.len();
    let given = [
        ("public_cidrs", net.public_cidrs.is_some()),
        ("private_cidrs", net.private_cidrs.is_some()),
        ("database_cidrs", net.database_cidrs.is_some()),
    ];
    if net.database_cidrs.is_some() && !net.database_subnets {
        let mistake = Mistake::value("/net/database_cidrs", "ranges for database subnets, and no database subnets");
        found.push(mistake.hint("`database_subnets = true` makes them").related(&["net", "database_subnets"]));
    }
    let tiers = if net.database_subnets { 3 } else { 2 };
    let mut subnets: Vec<(&str, bool, usize, Ipv4Net)> = Vec::new();
    for ((key, given), cidrs) in given.into_iter().zip(net.cidrs()).take(tiers) {
        if given && cidrs.len() != count {
            let ranges = if cidrs.len() == 1 { "1 range".to_owned() } else { format!("{} ranges", cidrs.len()) };
            let message = format!("{ranges} for {count} zones: one for each is needed");
            found.push(Mistake::value(pointer(&["net", key]), message).related(&["net", "zones"]));
        }
        let computable = net.cidr.prefix_len() <= COMPUTED_RANGE && net.cidr.prefix_len() >= *EC2_RANGE.start();
        if !given && cidrs.len() < count && computable {
            let tier = key.trim_end_matches("_cidrs");
            found.push(
                Mistake::value(
                    "/net/cidr",
                    format!("{} has no room for the {tier} subnets of {count} zones", net.cidr),
                )
                .hint(if net.database_subnets {
                    "give a larger range, or `public_cidrs`, `private_cidrs` and `database_cidrs`"
                } else {
                    "give a larger range, or `public_cidrs` and `private_cidrs`"
                })
                .related(&["net", "zones"]),
            );
        }
        subnets.extend(cidrs.into_iter().enumerate().map(|(index, cidr)| (key, given, index, cidr)));
    }
    let vpc = net.cidr.trunc();
    for (position, &(key, given, index, cidr)) in subnets.iter().enumerate() {
        let place = pointer(&["net", key, &index.to_string()]);
        if given {
            host_bits(&place, cidr, found);
            if !EC2_RANGE.contains(&cidr.prefix_len()) {
                found.push(Mistake::value(&place, format!("a subnet has a range of /16 to /28, found {cidr}")));
            }
            if !vpc.contains(&cidr.trunc()) {
                let message = format!("{cidr} is not inside the VPC's range {vpc}");
                found.push(Mistake::value(&place, message).related(&["net", "cidr"]));
                continue;
            }
        }
        for &(other_key, other_given, other_index, other) in &subnets[..position] {
            let overlap = cidr.trunc().contains(&other.trunc()) || other.trunc().contains(&cidr.trunc());
            if !overlap || !(given || other_given) {
                continue;
            }
            // One of a given and a computed range is a mistake of the given one.
            let (place, mine, theirs, computed, computed_key) = if given {
                (place.clone(), cidr, other, !other_given, other_key)
            } else {
                (pointer(&["net", other_key, &other_index.to_string()]), other, cidr, true, key)
            };
            let mistake = if computed {
                Mistake::value(place, format!("{mine} overlaps the subnet {theirs}, which is computed"))
                    .hint(format!("give `{computed_key}` too"))
                    .related(&["net", "cidr"])
            } else {
                Mistake::value(place, format!("{mine} overlaps {theirs} (`{other_key}`)")).related(&[
                    "net",
                    other_key,
                    &other_index.to_string(),
                ])
            };
            found.push(mistake.related(&["net", "zones"]));
        }
    }
}

fn endpoints(stack: &Stack, region: Option<&str>, found: &mut Vec<Mistake>) {
    let net = &stack.net;
    let gateways: Vec<&str> = net.gateway_endpoints.iter().map(|service| service.name()).collect();
    let full = |service: &str| endpoint_service(service, region.unwrap_or("REGION"));
    for (index, service) in gateways.iter().enumerate() {
        if gateways[..index].contains(service) {
            let place = pointer(&["net", "gateway_endpoints", &index.to_string()]);
            found.push(Mistake::value(place, format!("`{service}` stands here twice")));
        }
    }
    for (index, service) in net.interface_endpoints.iter().enumerate() {
        let place = pointer(&["net", "interface_endpoints", &index.to_string()]);
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
        if service.is_empty() || !service.chars().all(allowed) {
            let mistake = Mistake::value(place, format!("`{service}` is not the name of a service with endpoints"));
            found.push(mistake.hint("`aws ec2 describe-vpc-endpoint-services` lists them; `ecr.api`, say"));
        } else if [GatewayService::S3, GatewayService::DynamoDb].iter().any(|gateway| gateway.name() == service) {
            let mistake = Mistake::value(place, format!("`{service}` has a gateway endpoint, which costs nothing"));
            found.push(mistake.hint(format!("`gateway_endpoints = [{service:?}]`")));
        } else if net.interface_endpoints[..index].iter().any(|other| full(other) == full(service)) {
            found.push(Mistake::value(place, format!("`{service}` stands here twice")));
        }
    }
    if net.nat != Nat::None || net.derives_endpoints() {
        return;
    }
    let has = |wanted: &str| net.interface_endpoints.iter().any(|service| full(service) == full(wanted));
    let missing: Vec<_> = stack.needed_endpoints().into_iter().filter(|(service, _)| !has(service)).collect();
    let mut ways = Vec::new();
    if !missing.is_empty() {
        let services: Vec<&str> = missing.iter().map(|(service, _)| *service).collect();
        ways.push(format!("{} to `interface_endpoints`", list(services, "and")));
    }
    if !gateways.contains(&"s3") {
        ways.push("`s3` to `gateway_endpoints`".to_owned());
    }
    if !ways.is_empty() {
        let mut why: Vec<&str> = missing.iter().map(|(_, why)| *why).collect();
        why.dedup();
        let why = if why.is_empty() { "to pull images".to_owned() } else { why.join(", ") };
        let mistake = Mistake::value("/net/nat", format!("without a NAT gateway tasks have no way {why}"));
        let related = mistake.hint(format!("add {}", ways.join(" and ")));
        found.push(related.related(&["net", "interface_endpoints"]).related(&["net", "gateway_endpoints"]));
    }
}

fn flow_logs(stack: &Stack, found: &mut Vec<Mistake>) {
    let Some(config) = &stack.net.flow_logs else { return };
    let place = |key: &str| pointer(&["net", "flow_logs", key]);
    if let Some(arn) = &config.bucket_arn {
        // Source: CreateFlowLogs, LogDestination: "arn:aws:s3:::my_bucket/my_subfolder/", but not the folder `AWSLogs`.
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let bucket = match parts.as_slice() {
            ["arn", partition, "s3", "", "", path] if partition.starts_with("aws") => *path,
            _ => "",
        };
        let folder = bucket.split('/').nth(1).unwrap_or_default();
        if bucket.is_empty() || bucket.starts_with('/') || folder == "AWSLogs" {
            let mistake = Mistake::value(place("bucket_arn"), format!("`{arn}` is not the ARN of an S3 bucket"));
            found.push(mistake.hint("write `arn:aws:s3:::BUCKET` or `arn:aws:s3:::BUCKET/FOLDER/`"));
        }
        for (key, given) in [("log_group", config.log_group.is_some()), ("role", config.role.is_some())] {
            if given {
                let message = format!("a bucket takes the place of CloudWatch Logs, and needs no `{key}`");
                found.push(Mistake::key(place(key), message).related(&["net", "flow_logs", "bucket_arn"]));
            }
        }
    }
    let group = config.log_group(stack);
    // Source: CreateLogGroup, LogGroupName.
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-/.#".contains(c);
    if group.is_empty() || group.len() > 512 || !group.chars().all(allowed) {
        found.push(Mistake::value(place("log_group"), format!("`{group}` is not the name of a log group")));
    }
    if stack.services.iter().any(|(key, service)| service.log_group(key) == group) {
        found.push(Mistake::value(place("log_group"), format!("`{group}` is the log group of a service")));
    }
}

/// Finds a range that is not a network's address: EC2 changes it silently, or refuses it.
pub(super) fn host_bits(place: &str, cidr: impl Into<IpNet>, found: &mut Vec<Mistake>) {
    let cidr = cidr.into();
    if cidr.addr() != cidr.network() {
        let message = format!("{cidr} has bits set after its first {}", cidr.prefix_len());
        found.push(Mistake::value(place, message).hint(format!("did you mean `{}`?", cidr.trunc())));
    }
}
