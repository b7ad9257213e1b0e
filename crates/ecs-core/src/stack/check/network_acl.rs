//! The network ACL: what EC2 would refuse of it, and what it would stop.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;

use super::Mistake;
use super::network::host_bits;
use crate::stack::network_acl::{ALL_PROTOCOLS, AclEntry, NetworkAclConfig, TCP, UDP};
use crate::stack::pointer::pointer;
use crate::stack::{Nat, Stack, SubnetPlan, Tier};

/// Rules that an ACL has in each direction, at most: 20 by EC2's default quota, which can be raised to this.
///
/// <https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html#vpc-limits-nacls>
const MOST: usize = 40;
/// Numbers that rules may have. Source: `CreateNetworkAclEntry`, `RuleNumber`.
const NUMBERS: std::ops::RangeInclusive<i32> = 1..=32_766;
/// Ports that answers come back to, of load balancers, NAT gateways and clients of any kind:
/// <https://docs.aws.amazon.com/vpc/latest/userguide/custom-network-acl.html#nacl-ephemeral-ports>
const EPHEMERAL: (u16, u16) = (1024, 65_535);

/// Checks the network ACL.
pub(super) fn check(stack: &Stack, found: &mut Vec<Mistake>) {
    let Some(acl) = &stack.net.network_acl else { return };
    for (index, tier) in acl.tiers.iter().flatten().enumerate() {
        let place = pointer(&["net", "network_acl", "tiers", &index.to_string()]);
        if *tier == Tier::Database && !stack.net.database_subnets {
            let mistake = Mistake::value(place, "a network ACL for database subnets, and no database subnets");
            found.push(mistake.hint("`database_subnets = true` makes them").related(&["net", "database_subnets"]));
        }
    }
    let entries = acl.entries();
    for (key, egress, rules) in acl.lists() {
        if rules.len() > MOST {
            let message = format!("{} rules, a network ACL has at most {MOST} in each direction", rules.len());
            found.push(Mistake::value(pointer(&["net", "network_acl", key]), message));
        }
        let mut well_formed = true;
        for (index, rule) in rules.iter().enumerate() {
            let rule = rule.whole();
            let place = pointer(&["net", "network_acl", key, &index.to_string()]);
            host_bits(&place, rule.cidr, found);
            if rule.ports.as_ref().is_some_and(|ports| ports.range().is_none()) {
                let mistake = Mistake::value(&place, "not a range of ports");
                found.push(mistake.hint("write a port such as `443`, or a range such as `\"1024-65535\"`"));
                well_formed = false;
            }
            if rule.ports.is_some() && ![TCP, UDP].contains(&rule.protocol.number()) {
                // Source: CreateNetworkAclEntry, Protocol: "traffic on all ports is allowed, regardless of any ports".
                found.push(Mistake::value(&place, "only `tcp` and `udp` have ports"));
            }
        }
        let numbers: Vec<i32> =
            entries.iter().filter(|entry| entry.egress == egress).map(|entry| entry.number).collect();
        for (index, number) in numbers.iter().enumerate().filter(|_| well_formed) {
            let place = pointer(&["net", "network_acl", key, &index.to_string()]);
            if !NUMBERS.contains(number) {
                let message = format!("the number of a rule is from {} to {}", NUMBERS.start(), NUMBERS.end());
                found.push(Mistake::value(&place, message));
            }
            if numbers[..index].contains(number) {
                found.push(Mistake::value(&place, format!("another rule has the number {number} already")));
            }
        }
    }
}

/// Traffic of the stack's own that crosses the border of subnets with the ACL.
struct Crossing {
    tier: Tier,
    egress: bool,
    ports: (u16, u16),
    peers: Vec<Ipv4Net>,
    what: String,
}

/// Returns what of the stack's own traffic the network ACL of its subnets stops.
///
/// A network ACL knows of no connections: the answers to what one direction lets through need a rule in the other, for the
/// ports that clients have chosen. It applies to all that crosses the border of a subnet, from one zone to the other too, but
/// not to DNS, metadata and time: <https://docs.aws.amazon.com/vpc/latest/userguide/vpc-network-acls.html>
pub fn warnings(stack: &Stack, subnets: &[SubnetPlan]) -> Vec<String> {
    let Some(acl) = &stack.net.network_acl else { return Vec::new() };
    let entries = acl.entries();
    let mut stopped: BTreeMap<(bool, u16, u16), BTreeSet<String>> = BTreeMap::new();
    for crossing in crossings(stack, acl, subnets) {
        let Crossing { tier, egress, ports, ref peers, ref what } = crossing;
        let lost = peers.iter().find(|peer| !passes(&entries, egress, ports, **peer));
        if let Some(peer) = lost {
            let way = if egress { "to" } else { "from" };
            let line = format!("{what} ({way} {peer}, {} subnets)", tier.name());
            stopped.entry((egress, ports.0, ports.1)).or_default().insert(line);
        }
    }
    let warning = |((egress, first, last), lines): ((bool, u16, u16), BTreeSet<String>)| {
        let key = if egress { "egress" } else { "ingress" };
        let lines: Vec<String> = lines.into_iter().collect();
        if (first, last) == EPHEMERAL {
            let why = "a network ACL is stateless, and answers go to ephemeral ports: \
                       https://docs.aws.amazon.com/vpc/latest/userguide/custom-network-acl.html#nacl-ephemeral-ports";
            return format!(
                "`net.network_acl.{key}` does not let TCP {first}-{last} through, and so stops {}; {why}",
                lines.join(", ")
            );
        }
        format!("`net.network_acl.{key}` does not let TCP {first} through, and so stops {}", lines.join(", "))
    };
    stopped.into_iter().map(warning).collect()
}

/// Returns all that crosses the border of a subnet with the ACL, requests and answers.
fn crossings(stack: &Stack, acl: &NetworkAclConfig, subnets: &[SubnetPlan]) -> Vec<Crossing> {
    let everywhere = || vec![Ipv4Net::default()];
    let of_tier = |tier: Tier| -> Vec<Ipv4Net> {
        subnets.iter().filter(|plan| plan.tier == tier).filter_map(|plan| plan.cidr).collect()
    };
    let mut all: Vec<Crossing> = Vec::new();
    let mut add = |tier: Tier, egress: bool, ports: (u16, u16), peers: Vec<Ipv4Net>, what: &str| {
        if acl.covers(tier) {
            all.push(Crossing { tier, egress, ports, peers, what: what.to_owned() });
        }
    };
    // What a client in one tier asks of a server in another, or in the other zones of its own.
    let mut between = |client: Tier, server: Tier, port: u16, asks: &str, answers: &str| {
        add(client, true, (port, port), of_tier(server), asks);
        add(server, false, (port, port), of_tier(client), asks);
        add(server, true, EPHEMERAL, of_tier(client), answers);
        add(client, false, EPHEMERAL, of_tier(server), answers);
    };
    for (name, service) in &stack.services {
        let (asks, answers) = (format!("the load balancer's requests to `{name}`"), format!("the answers of `{name}`"));
        between(Tier::Public, Tier::Private, service.port, &asks, &answers);
    }
    if stack.db.enabled {
        let server = if stack.net.database_subnets { Tier::Database } else { Tier::Private };
        between(Tier::Private, server, stack.db.port, "connections to the database", "the database's answers");
    }
    if !stack.interface_endpoints().is_empty() {
        between(Tier::Private, Tier::Private, 443, "requests to the endpoints", "the endpoints' answers");
    }
    let https = stack.alb.serves_https();
    let listens: &[u16] = match (https, stack.alb.redirect) {
        (false, _) => &[80],
        (true, true) => &[80, 443],
        (true, false) => &[443],
    };
    for port in listens {
        let sources = stack.sg.alb_sources.clone();
        add(Tier::Public, false, (*port, *port), sources.clone(), "requests to the load balancer");
        add(Tier::Public, true, EPHEMERAL, sources, "the load balancer's answers");
    }
    if stack.net.nat != Nat::None || !stack.gateway_endpoints().is_empty() {
        add(Tier::Private, true, (443, 443), everywhere(), "the tasks' requests to AWS");
        add(Tier::Private, false, EPHEMERAL, everywhere(), "the answers to the tasks' requests");
    }
    if stack.net.nat.is_zonal() {
        let tasks = || of_tier(Tier::Private);
        add(Tier::Public, false, (443, 443), tasks(), "the tasks' requests to the NAT gateway");
        add(Tier::Public, true, (443, 443), everywhere(), "the NAT gateway's requests");
        add(Tier::Public, false, EPHEMERAL, everywhere(), "the answers to the NAT gateway");
        add(Tier::Public, true, EPHEMERAL, tasks(), "the answers of the NAT gateway");
    }
    all
}

/// Says whether rules let TCP to or from all ports of a range and all addresses of a range through.
fn passes(entries: &[AclEntry], egress: bool, ports: (u16, u16), peer: Ipv4Net) -> bool {
    let mut rules: Vec<&AclEntry> = entries
        .iter()
        .filter(|entry| entry.egress == egress && [TCP, ALL_PROTOCOLS].contains(&entry.protocol))
        .collect();
    rules.sort_by_key(|entry| entry.number);
    let bounds = |cidr: Ipv4Net| (u32::from(cidr.network()), u32::from(cidr.broadcast()));
    let ports_of = |rule: &AclEntry| rule.ports.unwrap_or((0, u16::MAX));
    // Between two neighbouring borders of rules all ports, and all addresses, have the same rules.
    let (first, last) = ports;
    let mut some_ports = BTreeSet::from([first]);
    let (lowest, highest) = bounds(peer);
    let mut some_addresses = BTreeSet::from([lowest]);
    for rule in &rules {
        let (from, to) = ports_of(rule);
        some_ports.extend([Some(from), to.checked_add(1)].into_iter().flatten().filter(|p| (first..=last).contains(p)));
        let (from, to) = bounds(rule.cidr);
        let borders = [Some(from), to.checked_add(1)].into_iter().flatten();
        some_addresses.extend(borders.filter(|address| (lowest..=highest).contains(address)));
    }
    some_ports.iter().all(|port| {
        some_addresses.iter().all(|address| {
            let fits = |rule: &&&AclEntry| {
                let ((from, to), (low, high)) = (ports_of(rule), bounds(rule.cidr));
                (from..=to).contains(port) && (low..=high).contains(address)
            };
            rules.iter().find(fits).is_some_and(|rule| rule.allow)
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn warned(net: Value) -> Vec<String> {
        let mut value = serde_json::to_value(Stack::default()).unwrap();
        json_patch::merge(&mut value, &json!({ "net": net }));
        let stack: Stack = serde_json::from_value(value).unwrap();
        warnings(&stack, &stack.subnets("us-east-1"))
    }

    #[test]
    fn the_usual_ports_and_the_ephemeral_ones_are_enough() {
        let rules = json!([22, 80, 443, "1024-65535"]);
        assert_eq!(warned(json!({})), [""; 0]);
        assert_eq!(warned(json!({"network_acl": {"ingress": rules, "egress": rules}})), [""; 0]);
        let all = json!([{"protocol": "all"}]);
        assert_eq!(warned(json!({"network_acl": {"ingress": all, "egress": all}, "database_subnets": true})), [""; 0]);
    }

    #[test]
    fn answers_that_have_no_way_back_are_named() {
        let acl = json!({"tiers": ["public"], "ingress": [80, "1024-65535", 443], "egress": [80, 443, 3001]});
        let found = warned(json!({"network_acl": acl}));
        assert_eq!(found.len(), 1, "{found:?}");
        for part in [
            "`net.network_acl.egress` does not let TCP 1024-65535 through",
            "the load balancer's answers (to 0.0.0.0/0, public subnets)",
            "the answers of the NAT gateway (to 10.0.3.0/24, public subnets)",
            "nacl-ephemeral-ports",
        ] {
            assert!(found[0].contains(part), "{part}: {found:?}");
        }
    }

    #[test]
    fn ports_between_the_tiers_are_named() {
        let open = json!([{"protocol": "all"}]);
        let acl = json!({"tiers": ["private"], "ingress": [80, "5000-65535"], "egress": open});
        let found = warned(json!({"network_acl": acl}));
        assert!(found.iter().any(|one| one.contains("TCP 3001") && one.contains("requests to `backend`")), "{found:?}");
        assert!(found.iter().any(|one| one.contains("TCP 1024-65535")), "{found:?}");
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rule = |number, allow, ports, cidr: &str| AclEntry {
            egress: false,
            number,
            protocol: TCP,
            ports: Some(ports),
            cidr: cidr.parse().unwrap(),
            allow,
        };
        let cidr = |text: &str| text.parse::<Ipv4Net>().unwrap();
        let rules = [rule(200, true, (0, 65535), "0.0.0.0/0"), rule(100, false, (8080, 8090), "10.0.1.0/24")];
        assert!(passes(&rules, false, (443, 443), cidr("0.0.0.0/0")));
        assert!(!passes(&rules, true, (443, 443), cidr("0.0.0.0/0")), "the other direction");
        assert!(!passes(&rules, false, EPHEMERAL, cidr("10.0.0.0/16")), "some of it is denied");
        assert!(passes(&rules, false, EPHEMERAL, cidr("10.0.2.0/24")));
        let halves = [rule(100, true, (80, 80), "0.0.0.0/1"), rule(110, true, (80, 80), "128.0.0.0/1")];
        assert!(passes(&halves, false, (80, 80), cidr("0.0.0.0/0")));
        assert!(!passes(&halves[..1], false, (80, 80), cidr("0.0.0.0/0")));
    }
}
