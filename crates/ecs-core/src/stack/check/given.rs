//! A network that the file names and somebody else has made: which keys then mean something.

use std::collections::BTreeMap;

use super::Mistake;
use crate::stack::pointer::pointer;
use crate::stack::{NetConfig, Stack, Tier};

/// Keys that choose the network by its ids.
const IDS: [&str; 4] = ["vpc_id", "public_subnet_ids", "private_subnet_ids", "database_subnet_ids"];

/// Checks the ids of a network that somebody else has made.
pub(super) fn check(stack: &Stack, found: &mut Vec<Mistake>) {
    let net = &stack.net;
    let Some(vpc) = &net.vpc_id else {
        for tier in Tier::ALL.iter().filter(|tier| !net.given_ids(**tier).is_empty()) {
            let place = pointer(&["net", &format!("{}_subnet_ids", tier.name())]);
            let mistake = Mistake::value(place, "subnets of a VPC that is not named");
            found.push(mistake.hint("`vpc_id` names it").related(&["net", "vpc_id"]));
        }
        return;
    };
    if !is_id(vpc, "vpc-") {
        found.push(Mistake::value("/net/vpc_id", format!("`{vpc}` is not the id of a VPC")));
    }
    let mut seen: BTreeMap<&str, Tier> = BTreeMap::new();
    for tier in Tier::ALL {
        let (ids, key) = (net.given_ids(tier), format!("{}_subnet_ids", tier.name()));
        let place = pointer(&["net", &key]);
        let needed = tier != Tier::Database;
        if ids.len() < 2 && (needed || !ids.is_empty()) {
            // Source: CreateLoadBalancer, Subnets; a DB subnet group covers two zones as well.
            let message = format!("two {} subnets or more are needed, in two zones, found {}", tier.name(), ids.len());
            found.push(Mistake::value(&place, message).related(&["net", "vpc_id"]));
        }
        for (index, id) in ids.iter().enumerate() {
            let place = pointer(&["net", &key, &index.to_string()]);
            if !is_id(id, "subnet-") {
                found.push(Mistake::value(&place, format!("`{id}` is not the id of a subnet")));
            } else if let Some(earlier) = seen.insert(id, tier) {
                found.push(Mistake::value(&place, format!("`{id}` is one of the {} subnets already", earlier.name())));
            }
        }
    }
    for key in changed(net) {
        let message = format!("`{key}` is for a VPC that ecs-net makes, and `vpc_id` names one that there is");
        let mistake = Mistake::key(pointer(&["net", &key]), message);
        found.push(
            mistake.hint(format!("leave out `{key}`, or `vpc_id` and the subnets' ids")).related(&["net", "vpc_id"]),
        );
    }
}

/// Returns the other keys that have another value than by default.
fn changed(net: &NetConfig) -> Vec<String> {
    let table = |net: &NetConfig| serde_json::to_value(net).ok().and_then(|value| value.as_object().cloned());
    let (Some(given), Some(default)) = (table(net), table(&NetConfig::default())) else { return Vec::new() };
    let others = given.iter().filter(|(key, value)| !IDS.contains(&key.as_str()) && default.get(*key) != Some(value));
    others.map(|(key, _)| key.clone()).collect()
}

/// Says whether a text is an id with this start: 8 hexadecimal digits, or 17.
///
/// <https://docs.aws.amazon.com/ec2/latest/userguide/resource-ids.html>
fn is_id(text: &str, start: &str) -> bool {
    text.strip_prefix(start).is_some_and(|rest| {
        [8, 17].contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}
