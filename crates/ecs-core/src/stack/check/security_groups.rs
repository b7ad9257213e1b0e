//! The security groups: their names, who may reach the load balancer, the rules of the file, and the groups of others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Mistake;
use super::names::{Rule, SECURITY_GROUP};
use super::network::host_bits;
use crate::stack::pointer::pointer;
use crate::stack::{AlbEgress, Direction, Peer, SgGroup, SgRule, Stack};

/// Inbound rules of a security group, by EC2's default quota; each source makes one for each port.
const INBOUND_RULES: usize = 60;

/// Source: `CreateSecurityGroup`, `Description`.
const DESCRIPTION: Rule = Rule { what: "security group description", ..SECURITY_GROUP };

/// Source: `IpRange`, `Description`.
const RULE_DESCRIPTION: Rule = Rule { what: "description", ..SECURITY_GROUP };

/// Checks the security groups.
pub(super) fn check(stack: &Stack, found: &mut Vec<Mistake>) {
    names(stack, found);
    sources(stack, found);
    ports(stack, found);
    given(stack, found);
    rules(stack, found);
}

/// Checks the names of the three groups, which EC2 compares without case (`CreateSecurityGroup`, `GroupName`).
fn names(stack: &Stack, found: &mut Vec<Mistake>) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (key, description_key, group) in [
        ("alb_name", "alb_description", SgGroup::Alb),
        ("tasks_name", "tasks_description", SgGroup::Tasks),
        ("db_name", "db_description", SgGroup::Db),
    ] {
        let name = stack.sg.name(group);
        if let Some(message) = DESCRIPTION.broken(stack.sg.description(group)) {
            found.push(Mistake::value(pointer(&["sg", description_key]), message));
        }
        let place = pointer(&["sg", key]);
        if let Some(message) = SECURITY_GROUP.broken(name) {
            found.push(Mistake::value(&place, message));
        } else if name.starts_with("sg-") {
            found.push(Mistake::value(&place, "a security group name must not start with `sg-`"));
        }
        if let Some(other) = seen.insert(name.to_lowercase(), key) {
            let message = format!("`sg.{other}` and `sg.{key}` are the same name `{name}`");
            found.push(Mistake::value(place, message).related(&["sg", other]));
        }
    }
}

fn sources(stack: &Stack, found: &mut Vec<Mistake>) {
    let sources = &stack.sg.alb_sources;
    let place = "/sg/alb_sources";
    if sources.is_empty() {
        let mistake = Mistake::value(place, "nobody may reach the load balancer");
        found.push(mistake.hint("`0.0.0.0/0` lets everybody in"));
    }
    let rules = sources.len() * stack.sg.alb_ports.len();
    if rules > INBOUND_RULES {
        let message =
            format!("{} sources make {rules} rules, a security group has at most {INBOUND_RULES}", sources.len());
        found.push(Mistake::value(place, message));
    }
    for (index, source) in sources.iter().enumerate() {
        let place = pointer(&["sg", "alb_sources", &index.to_string()]);
        host_bits(&place, *source, found);
        if sources[..index].contains(source) {
            found.push(Mistake::value(place, format!("{source} stands here twice")));
        }
    }
}

/// Checks the ports of the load balancer: the one that it serves on must be among them.
fn ports(stack: &Stack, found: &mut Vec<Mistake>) {
    let ports = &stack.sg.alb_ports;
    for (index, port) in ports.iter().enumerate().filter(|(index, port)| ports[..*index].contains(port)) {
        let place = pointer(&["sg", "alb_ports", &index.to_string()]);
        found.push(Mistake::value(place, format!("{port} stands here twice")));
    }
    let serving = stack.alb_port();
    let opened = |rule: &SgRule| {
        let fits = rule
            .ports
            .as_ref()
            .is_none_or(|ports| ports.ends().is_some_and(|(first, last)| (first..=last).contains(&serving)));
        rule.group == SgGroup::Alb && rule.direction == Direction::Ingress && fits
    };
    let open = ports.contains(&serving) || stack.sg.rules.iter().any(opened);
    if !open && stack.sg.alb_security_group_id.is_none() {
        let message = format!("the load balancer serves on {serving}, where nobody may reach it");
        let mistake = Mistake::value("/sg/alb_ports", message).hint(format!("add {serving}"));
        found.push(mistake.related(&["alb"]).related(&["sg", "rules"]));
    }
}

/// Checks what is said of groups that somebody else has made.
fn given(stack: &Stack, found: &mut Vec<Mistake>) {
    for group in SgGroup::ALL {
        let (key, Some(id)) = stack.sg.given(group) else { continue };
        let place = pointer(&["sg", key]);
        if !is_id(id, "sg-") {
            found.push(
                Mistake::value(&place, format!("`{id}` is not the id of a security group"))
                    .hint("an id is written like `sg-0a1b2c3d4e5f67890`"),
            );
        }
        if group == SgGroup::Db && !stack.db.enabled {
            found.push(Mistake::value(&place, "there is no database that it would be for").related(&["db", "enabled"]));
        }
        if group == SgGroup::Alb && stack.sg.alb_egress == AlbEgress::Targets {
            let message = "the load balancer's group is somebody else's, which is never changed";
            found.push(
                Mistake::value("/sg/alb_egress", message)
                    .hint(format!("leave out `alb_egress` or `{key}`"))
                    .related(&["sg", key]),
            );
        }
    }
}

fn rules(stack: &Stack, found: &mut Vec<Mistake>) {
    let rules = &stack.sg.rules;
    for (index, rule) in rules.iter().enumerate() {
        let number = index.to_string();
        let place = |member: &str| pointer(&["sg", "rules", &number, member]);
        let (key, given) = stack.sg.given(rule.group);
        if given.is_some() {
            let mistake = Mistake::value(place("group"), "that group is somebody else's, which is never changed");
            found.push(mistake.hint(format!("leave out the rule or `{key}`")).related(&["sg", key]));
        }
        let of_database = [(rule.group == SgGroup::Db, "group"), (rule.peer() == Peer::Own(SgGroup::Db), "peer")];
        for (_, member) in of_database.into_iter().filter(|(is, _)| *is && !stack.db.enabled) {
            found.push(Mistake::value(place(member), "the stack has no database").related(&["db", "enabled"]));
        }
        match &rule.ports {
            Some(_) if !rule.protocol.has_ports() => {
                found.push(Mistake::value(place("ports"), "only `tcp` and `udp` have ports"));
            }
            Some(ports) if ports.ends().is_none() => {
                let mistake = Mistake::value(place("ports"), "that is neither a port nor a range of ports");
                found.push(mistake.hint("write 443, or \"8000-8080\""));
            }
            Some(_) | None => {}
        }
        peer(&place("peer"), rule, found);
        if let Some(message) = rule.description.as_deref().and_then(|text| RULE_DESCRIPTION.broken(text)) {
            found.push(Mistake::value(place("description"), message));
        }
        let same = |other: &SgRule| {
            (other.group, other.direction, other.protocol, &other.peer)
                == (rule.group, rule.direction, rule.protocol, &rule.peer)
                && other.ports.as_ref().map(|ports| ports.ends()) == rule.ports.as_ref().map(|ports| ports.ends())
        };
        if rules[..index].iter().any(same) {
            found.push(Mistake::key(pointer(&["sg", "rules", &number]), "this rule stands here twice"));
        }
    }
}

fn peer(place: &str, rule: &SgRule, found: &mut Vec<Mistake>) {
    let text = &rule.peer;
    let like = |what: &str, example: &str| {
        Mistake::value(place, format!("`{text}` is not {what}")).hint(format!("write it like `{example}`"))
    };
    match rule.peer() {
        Peer::Range(range) => host_bits(place, range, found),
        Peer::Own(_) => {}
        Peer::Group(id) if is_id(id, "sg-") => {}
        Peer::PrefixList(id) if is_id(id, "pl-") => {}
        Peer::Group(_) => found.push(like("the id of a security group", "sg-0a1b2c3d4e5f67890")),
        Peer::PrefixList(_) => found.push(like("the id of a prefix list", "pl-0a1b2c3d4e5f67890")),
        Peer::Named(name) => {
            let address = name.split('/').next().and_then(|start| start.parse::<IpAddr>().ok());
            if let Some(address) = address {
                let all = if address.is_ipv4() { 32 } else { 128 };
                found.push(like("a range", &format!("{address}/{all}")));
            } else if let Some(message) = SECURITY_GROUP.broken(name) {
                found.push(Mistake::value(place, message));
            }
        }
    }
}

/// Says whether a text is written like an id of EC2: 8 or 17 hexadecimal digits.
fn is_id(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix).unwrap_or_default();
    [8, 17].contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
