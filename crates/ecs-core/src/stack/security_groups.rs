//! The `[sg]` table: security groups.

use ipnet::{IpNet, Ipv4Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Describes the three security groups; their rules follow from the services' and the database's ports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SgConfig {
    /// Name of the load balancer's group
    pub alb_name: String,
    /// Description of the load balancer's group
    pub alb_description: String,
    /// Name of the tasks' group
    pub tasks_name: String,
    /// Description of the tasks' group
    pub tasks_description: String,
    /// Name of the database's group
    pub db_name: String,
    /// Description of the database's group
    pub db_description: String,
    /// Ranges that may reach the load balancer
    #[schemars(with = "Vec<schema::Range>")]
    pub alb_sources: Vec<Ipv4Net>,
    /// TCP ports on which they may
    #[schemars(inner(range(min = 1, max = 65535)))]
    pub alb_ports: Vec<u16>,
    /// Where the load balancer may connect to
    pub alb_egress: AlbEgress,
    /// Group that somebody else has made, for the load balancer: used as it is, and never changed
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alb_security_group_id: Option<String>,
    /// Group that somebody else has made, for the tasks: used as it is, and never changed
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_security_group_id: Option<String>,
    /// Group that somebody else has made, for the database: used as it is, and never changed
    #[serde(skip_serializing_if = "Option::is_none")]
    pub db_security_group_id: Option<String>,
    /// Rules beside those that follow from the ports
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<SgRule>,
}

impl SgConfig {
    /// Returns the id of the group that somebody else has made for a role, and the key that it stands under.
    pub fn given(&self, group: SgGroup) -> (&'static str, Option<&str>) {
        let (key, id) = match group {
            SgGroup::Alb => ("alb_security_group_id", &self.alb_security_group_id),
            SgGroup::Tasks => ("tasks_security_group_id", &self.tasks_security_group_id),
            SgGroup::Db => ("db_security_group_id", &self.db_security_group_id),
        };
        (key, id.as_deref())
    }

    /// Returns a group's name.
    pub fn name(&self, group: SgGroup) -> &str {
        match group {
            SgGroup::Alb => &self.alb_name,
            SgGroup::Tasks => &self.tasks_name,
            SgGroup::Db => &self.db_name,
        }
    }

    /// Returns a group's description.
    pub fn description(&self, group: SgGroup) -> &str {
        match group {
            SgGroup::Alb => &self.alb_description,
            SgGroup::Tasks => &self.tasks_description,
            SgGroup::Db => &self.db_description,
        }
    }
}

/// Says where the load balancer may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlbEgress {
    /// Anywhere, which is AWS's default
    Anywhere,
    /// Only to the services' ports in the private subnets
    Targets,
}

/// Tells the stack's groups apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SgGroup {
    /// The load balancer's
    Alb,
    /// The tasks'
    Tasks,
    /// The database's
    Db,
}

impl SgGroup {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Alb, Self::Tasks, Self::Db];

    /// Returns its name, as it stands in the stack file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Alb => "alb",
            Self::Tasks => "tasks",
            Self::Db => "db",
        }
    }

    /// Returns the group that a word of the stack file stands for.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.word() == word)
    }
}

/// Describes a rule of a security group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SgRule {
    /// The group that it is a rule of
    pub group: SgGroup,
    /// Whether it lets traffic in or out; a group with a rule for traffic out has no other way out than such rules
    #[serde(default)]
    pub direction: Direction,
    /// Protocol
    #[serde(default)]
    pub protocol: Protocol,
    /// A port, or a range such as `8000-8080` (default: all)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Ports>,
    /// Who is at the other end: a range, `alb`, `tasks` or `db`, the name of a group in the VPC, or the id of a group
    /// or of a prefix list
    pub peer: String,
    /// What it is for
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl SgRule {
    /// Returns who is at the other end.
    pub fn peer(&self) -> Peer<'_> {
        let peer = self.peer.as_str();
        if let Some(group) = SgGroup::of(peer) {
            Peer::Own(group)
        } else if peer.starts_with("sg-") {
            Peer::Group(peer)
        } else if peer.starts_with("pl-") {
            Peer::PrefixList(peer)
        } else if let Ok(range) = peer.parse() {
            Peer::Range(range)
        } else {
            Peer::Named(peer)
        }
    }
}

/// Who is at the other end of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer<'r> {
    /// A range of addresses
    Range(IpNet),
    /// A group of the stack
    Own(SgGroup),
    /// A group, by its id
    Group(&'r str),
    /// A prefix list, by its id
    PrefixList(&'r str),
    /// A group of the VPC, by its name
    Named(&'r str),
}

/// Says which way traffic goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the group's members
    #[default]
    Ingress,
    /// From the group's members
    Egress,
}

impl Direction {
    /// Returns its name, as it stands in the stack file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// Names the protocols that a rule can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP
    #[default]
    Tcp,
    /// UDP
    Udp,
    /// ICMP, all types
    Icmp,
    /// ICMP for IPv6, all types
    Icmpv6,
    /// All protocols and ports
    All,
}

impl Protocol {
    /// Says whether it has ports.
    pub fn has_ports(self) -> bool {
        match self {
            Self::Tcp | Self::Udp => true,
            Self::Icmp | Self::Icmpv6 | Self::All => false,
        }
    }
}

/// A port, or a range of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Ports {
    /// One port
    One(#[schemars(range(min = 0, max = 65535))] u16),
    /// Its first and its last: `8000-8080`
    Range(String),
}

impl Ports {
    /// Returns the first and the last port; none when they are not written like that.
    pub fn ends(&self) -> Option<(u16, u16)> {
        match self {
            Self::One(port) => Some((*port, *port)),
            Self::Range(text) => {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                let ends = (first.trim().parse().ok()?, last.trim().parse().ok()?);
                (ends.0 <= ends.1).then_some(ends)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_one_or_a_range() {
        let cases = [("80", Some((80, 80))), ("8000-8080", Some((8000, 8080))), ("9-8", None), ("x", None), ("", None)];
        for (text, ends) in cases {
            assert_eq!(Ports::Range(text.to_owned()).ends(), ends, "{text}");
        }
        assert_eq!(Ports::One(443).ends(), Some((443, 443)));
    }
}
