//! A rule of a security group: which traffic it lets in or out.

use std::fmt;

use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, PrefixListId, SecurityGroup as Described, UserIdGroupPair};
use ecs_core::id::SecurityGroupId;
use ecs_core::stack::{Direction, Protocol};
use ipnet::IpNet;

/// Every IPv4 address.
pub const ANYWHERE: &str = "0.0.0.0/0";
/// Every IPv6 address.
const ANYWHERE_IPV6: &str = "::/0";

/// Who is at the other end of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A range of IPv4 or IPv6 addresses
    Range(String),
    /// Another security group
    Group(SecurityGroupId),
    /// A prefix list
    PrefixList(String),
}

/// One rule, with one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which way its traffic goes
    pub direction: Direction,
    protocol: String,
    /// First and last port; AWS gives none for "all traffic"
    ports: Option<(i32, i32)>,
    /// Who is at the other end
    pub peer: Peer,
    /// What it is for
    pub description: String,
}

impl Rule {
    /// Makes a rule for one TCP port.
    pub fn new(direction: Direction, port: u16, peer: Peer, description: impl Into<String>) -> Self {
        Self::of(direction, Protocol::Tcp, Some((port, port)), peer, description)
    }

    /// Makes a rule for ports of a protocol; for all of them where none are given.
    pub fn of(
        direction: Direction,
        protocol: Protocol,
        ports: Option<(u16, u16)>,
        peer: Peer,
        description: impl Into<String>,
    ) -> Self {
        // Source: `IpPermission`, `FromPort`, `ToPort`: -1 is every type of ICMP, which is how EC2 reads it back.
        let (protocol, ports) = match protocol {
            Protocol::Tcp | Protocol::Udp => {
                let (first, last) = ports.unwrap_or((0, u16::MAX));
                (if protocol == Protocol::Tcp { "tcp" } else { "udp" }, Some((first.into(), last.into())))
            }
            Protocol::Icmp => ("icmp", Some((-1, -1))),
            Protocol::Icmpv6 => ("icmpv6", Some((-1, -1))),
            Protocol::All => ("-1", None),
        };
        Self { direction, protocol: protocol.to_owned(), ports, peer, description: description.into() }
    }

    /// Makes the rule that lets the load balancer reach a service.
    pub fn from_alb(port: u16, alb: &SecurityGroupId) -> Self {
        let text = format!("Allow port {port} from ALB");
        Self::new(Direction::Ingress, port, Peer::Group(alb.clone()), text)
    }

    /// Makes the rule that lets tasks reach a service by Service Connect: its proxy listens on the container's own port.
    pub fn from_tasks(port: u16, tasks: &SecurityGroupId) -> Self {
        let text = format!("Allow port {port} from ECS tasks");
        Self::new(Direction::Ingress, port, Peer::Group(tasks.clone()), text)
    }

    /// Makes the rule that lets the load balancer out to a service.
    pub fn to_targets(port: u16, range: &str) -> Self {
        let text = format!("Allow port {port} to private subnets");
        Self::new(Direction::Egress, port, Peer::Range(range.to_owned()), text)
    }

    /// Says whether it was made for a service: as [`Rule::from_alb`], [`Rule::from_tasks`] and [`Rule::to_targets`]
    /// describe it.
    pub fn is_a_services(&self) -> bool {
        let port = self.ports.and_then(|(from, to)| (from == to).then_some(from));
        let Some(port) = port.and_then(|port| u16::try_from(port).ok()) else { return false };
        let made = match &self.peer {
            Peer::Group(group) => vec![Self::from_alb(port, group), Self::from_tasks(port, group)],
            Peer::Range(range) => vec![Self::to_targets(port, range)],
            Peer::PrefixList(_) => return false,
        };
        made.contains(self)
    }

    /// Makes the rule that AWS gives every new group: everything may go out.
    pub fn anything() -> Self {
        Self::of(Direction::Egress, Protocol::All, None, Peer::Range(ANYWHERE.to_owned()), "")
    }

    /// Says whether it lets everything out, as the rule does that AWS gives a new group; in a VPC with IPv6 there are two.
    pub fn is_anything(&self) -> bool {
        let Peer::Range(range) = &self.peer else { return false };
        self.direction == Direction::Egress
            && self.protocol == "-1"
            && [ANYWHERE, ANYWHERE_IPV6].contains(&range.as_str())
    }

    /// Says whether two rules are about the same traffic, whatever they are described as.
    pub fn same_traffic(&self, other: &Self) -> bool {
        (self.direction, &self.protocol, self.ports, &self.peer)
            == (other.direction, &other.protocol, other.ports, &other.peer)
    }

    /// Says whether it lets through what another one is for, as far as one can tell: a range may well hold a group's
    /// members.
    pub fn covers(&self, other: &Self) -> bool {
        let protocol = self.protocol == "-1" || self.protocol == other.protocol;
        let ports = match (self.ports, other.ports) {
            (None, _) => true,
            (Some((first, last)), Some((from, to))) => first <= from && to <= last,
            (Some(_), None) => false,
        };
        let peer = match (&self.peer, &other.peer) {
            (Peer::Range(wide), Peer::Range(narrow)) => {
                let (wide, narrow) = (wide.parse::<IpNet>(), narrow.parse::<IpNet>());
                wide.is_ok_and(|wide| narrow.is_ok_and(|narrow| wide.contains(&narrow)))
            }
            (Peer::Range(_) | Peer::PrefixList(_), _) => true,
            (Peer::Group(one), Peer::Group(other)) => one == other,
            (Peer::Group(_), Peer::Range(_) | Peer::PrefixList(_)) => false,
        };
        self.direction == other.direction && protocol && ports && peer
    }

    /// Names its direction, as a [`ecs_core::Change::field`].
    pub fn field(&self) -> &'static str {
        match self.direction {
            Direction::Ingress => "ingress rule",
            Direction::Egress => "egress rule",
        }
    }

    /// Makes what EC2 is told of it.
    pub fn permission(&self) -> IpPermission {
        let builder = IpPermission::builder().ip_protocol(&self.protocol);
        let builder =
            builder.set_from_port(self.ports.map(|ports| ports.0)).set_to_port(self.ports.map(|ports| ports.1));
        let description = Some(self.description.clone()).filter(|text| !text.is_empty());
        match &self.peer {
            Peer::Range(range) if range.contains(':') => {
                let range = Ipv6Range::builder().cidr_ipv6(range).set_description(description);
                builder.ipv6_ranges(range.build()).build()
            }
            Peer::Range(range) => {
                builder.ip_ranges(IpRange::builder().cidr_ip(range).set_description(description).build()).build()
            }
            Peer::Group(id) => {
                let pair = UserIdGroupPair::builder().group_id(id.as_str()).set_description(description);
                builder.user_id_group_pairs(pair.build()).build()
            }
            Peer::PrefixList(list) => {
                let list = PrefixListId::builder().prefix_list_id(list).set_description(description);
                builder.prefix_list_ids(list.build()).build()
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.protocol == "-1" { "all traffic" } else { &self.protocol };
        match self.ports {
            None | Some((-1, -1)) => f.write_str(protocol)?,
            Some((from, to)) if from == to => write!(f, "{protocol} {from}")?,
            Some((from, to)) => write!(f, "{protocol} {from}-{to}")?,
        }
        f.write_str(match self.direction {
            Direction::Ingress => " from ",
            Direction::Egress => " to ",
        })?;
        match &self.peer {
            Peer::Range(peer) | Peer::PrefixList(peer) => f.write_str(peer),
            Peer::Group(id) => write!(f, "{id}"),
        }
    }
}

/// Returns a group's rules, in and out.
pub fn all(group: &Described) -> Vec<Rule> {
    let mut rules = apart(Direction::Ingress, group.ip_permissions());
    rules.extend(apart(Direction::Egress, group.ip_permissions_egress()));
    rules
}

/// Takes EC2's permissions, which hold many peers each, apart into rules with one peer each.
fn apart(direction: Direction, permissions: &[IpPermission]) -> Vec<Rule> {
    let mut rules = Vec::new();
    for permission in permissions {
        let protocol = permission.ip_protocol().unwrap_or("-1").to_owned();
        let ports = permission.from_port().zip(permission.to_port()).filter(|_| protocol != "-1");
        let mut push = |peer: Peer, description: Option<&str>| {
            let description = description.unwrap_or_default().to_owned();
            rules.push(Rule { direction, protocol: protocol.clone(), ports, peer, description });
        };
        for range in permission.ip_ranges() {
            push(Peer::Range(range.cidr_ip().unwrap_or_default().to_owned()), range.description());
        }
        for pair in permission.user_id_group_pairs() {
            push(Peer::Group(pair.group_id().unwrap_or_default().into()), pair.description());
        }
        for range in permission.ipv6_ranges() {
            push(Peer::Range(range.cidr_ipv6().unwrap_or_default().to_owned()), range.description());
        }
        for list in permission.prefix_list_ids() {
            push(Peer::PrefixList(list.prefix_list_id().unwrap_or_default().to_owned()), list.description());
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN: Direction = Direction::Ingress;
    const OUT: Direction = Direction::Egress;

    fn range(range: &str) -> Peer {
        Peer::Range(range.to_owned())
    }

    #[test]
    fn permissions_come_apart_into_rules_with_one_peer_each() {
        let permission = IpPermission::builder()
            .ip_protocol("tcp")
            .from_port(80)
            .to_port(80)
            .ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").description("Allow HTTP from internet").build())
            .ipv6_ranges(Ipv6Range::builder().cidr_ipv6("::/0").build())
            .user_id_group_pairs(UserIdGroupPair::builder().group_id("sg-1").build())
            .prefix_list_ids(PrefixListId::builder().prefix_list_id("pl-1").description("offices").build())
            .build();
        assert_eq!(
            apart(IN, &[permission]),
            [
                Rule::new(IN, 80, range("0.0.0.0/0"), "Allow HTTP from internet"),
                Rule::new(IN, 80, Peer::Group("sg-1".into()), ""),
                Rule::new(IN, 80, range("::/0"), ""),
                Rule::new(IN, 80, Peer::PrefixList("pl-1".to_owned()), "offices"),
            ]
        );
    }

    #[test]
    fn what_is_asked_for_reads_back_the_same() {
        for direction in [IN, OUT] {
            for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Icmp, Protocol::Icmpv6, Protocol::All] {
                for peer in [
                    range("10.0.0.0/8"),
                    range("fd00::/8"),
                    Peer::Group("sg-1".into()),
                    Peer::PrefixList("pl-1".into()),
                ] {
                    let rule = Rule::of(direction, protocol, None, peer, "why");
                    assert_eq!(apart(direction, &[rule.permission()]), [rule]);
                }
            }
        }
    }

    #[test]
    fn a_rule_for_a_service_tells_itself_from_somebody_elses() {
        let (rule, out) = (Rule::from_alb(8080, &"sg-1".into()), Rule::to_targets(8080, "10.0.3.0/24"));
        assert!(rule.is_a_services() && out.is_a_services());
        for other in [
            Rule { description: "debugging".into(), ..rule.clone() },
            Rule { ports: Some((8080, 8090)), ..rule.clone() },
            Rule { peer: range("10.0.0.0/8"), ..rule },
            Rule { peer: Peer::Group("sg-1".into()), ..out },
        ] {
            assert!(!other.is_a_services(), "{other:?}");
        }
    }

    #[test]
    fn a_rule_reads_like_what_it_lets_through() {
        let cases = [
            (Rule::of(IN, Protocol::All, None, Peer::Group("sg-1".into()), ""), "all traffic from sg-1"),
            (Rule::new(IN, 443, range("10.0.0.0/8"), ""), "tcp 443 from 10.0.0.0/8"),
            (Rule::of(OUT, Protocol::Udp, Some((5000, 5010)), range("fd00::/8"), ""), "udp 5000-5010 to fd00::/8"),
            (Rule::of(IN, Protocol::Icmp, None, range("10.0.0.0/8"), ""), "icmp from 10.0.0.0/8"),
        ];
        for (rule, text) in cases {
            assert_eq!(rule.to_string(), text);
        }
        assert!(Rule::anything().is_anything());
        assert!(!Rule::of(IN, Protocol::All, None, range(ANYWHERE), "").is_anything());
    }

    #[test]
    fn a_wider_rule_covers_a_narrower_one() {
        let wanted = Rule::new(IN, 3000, range("10.0.3.0/24"), "");
        let from_group = Rule::new(IN, 3000, Peer::Group("sg-1".into()), "");
        let cases = [
            (Rule::new(IN, 3000, range("10.0.0.0/16"), ""), &wanted, true),
            (Rule::of(IN, Protocol::All, None, range(ANYWHERE), ""), &wanted, true),
            (Rule::of(IN, Protocol::Tcp, Some((1, 4000)), range(ANYWHERE), ""), &wanted, true),
            (Rule::new(IN, 3000, range("10.0.4.0/24"), ""), &wanted, false),
            (Rule::new(IN, 3001, range(ANYWHERE), ""), &wanted, false),
            (Rule::new(OUT, 3000, range(ANYWHERE), ""), &wanted, false),
            (Rule::of(IN, Protocol::Udp, None, range(ANYWHERE), ""), &wanted, false),
            (Rule::new(IN, 3000, range("10.0.0.0/16"), ""), &from_group, true),
            (Rule::new(IN, 3000, Peer::Group("sg-1".into()), ""), &from_group, true),
            (Rule::new(IN, 3000, Peer::Group("sg-2".into()), ""), &from_group, false),
        ];
        for (rule, wanted, covers) in cases {
            assert_eq!(rule.covers(wanted), covers, "{rule} {wanted}");
        }
    }
}
