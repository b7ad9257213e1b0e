//! The `[net.network_acl]` table: what may enter and leave the subnets, whatever the security groups say.

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Tier, schema};

/// Number of the first rule that has none of its own, and the distance to the next: what EC2 recommends.
///
/// Source: `CreateNetworkAclEntry`.
const NUMBERS: (i32, i32) = (100, 10);
/// All protocols, as EC2 numbers them. Source: `CreateNetworkAclEntry`, `Protocol`.
pub const ALL_PROTOCOLS: i16 = -1;
/// TCP's number.
pub const TCP: i16 = 6;
/// UDP's number.
pub const UDP: i16 = 17;
/// ICMP's number.
pub const ICMP: i16 = 1;

/// Describes the network ACL of the subnets: what no rule allows is denied, in both directions, answers as well.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkAclConfig {
    /// Tiers whose subnets have it (default: all that there are)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Vec<Tier>>,
    /// Rules for what enters the subnets
    pub ingress: Vec<AclRule>,
    /// Rules for what leaves the subnets
    pub egress: Vec<AclRule>,
}

/// Describes a rule: a TCP port, a range of TCP ports, or a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AclRule {
    /// A port, from and to everywhere
    Port(u16),
    /// A range of ports, from and to everywhere: `1024-65535`
    Range(String),
    /// All of a rule
    Whole(WholeAclRule),
}

/// Describes all of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WholeAclRule {
    /// A port, or a range such as `1024-65535`, of TCP and UDP (default: all)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<AclPorts>,
    /// Protocol: `tcp`, `udp`, `icmp`, `all`, or a number
    #[serde(default)]
    pub protocol: AclProtocol,
    /// Addresses at the other end
    #[serde(default)]
    #[schemars(with = "schema::Range")]
    pub cidr: Ipv4Net,
    /// What becomes of it
    #[serde(default)]
    pub action: AclAction,
    /// Place among the rules, of which the first that fits counts (default: 100 for the first of the list, 110 for the
    /// second, and so on)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u16>,
}

/// Names one port or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AclPorts {
    /// One
    Port(u16),
    /// A range: `1024-65535`
    Range(String),
}

/// Names a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AclProtocol {
    /// By name
    Name(AclProtocolName),
    /// By its number, <https://www.iana.org/assignments/protocol-numbers>
    Number(u8),
}

impl Default for AclProtocol {
    fn default() -> Self {
        Self::Name(AclProtocolName::Tcp)
    }
}

/// Names a protocol that has a name here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AclProtocolName {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// ICMP, of every type
    Icmp,
    /// Every protocol
    All,
}

/// Says what becomes of traffic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AclAction {
    /// It passes
    #[default]
    Allow,
    /// It does not
    Deny,
}

/// One rule as EC2 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclEntry {
    /// Whether it is for what leaves the subnets
    pub egress: bool,
    /// Its place: the first that fits counts
    pub number: i32,
    /// Number of the protocol, or [`ALL_PROTOCOLS`]
    pub protocol: i16,
    /// Ports, of TCP and UDP
    pub ports: Option<(u16, u16)>,
    /// Addresses at the other end
    pub cidr: Ipv4Net,
    /// Whether the traffic passes
    pub allow: bool,
}

impl AclProtocol {
    /// Returns its number.
    pub fn number(self) -> i16 {
        match self {
            Self::Name(AclProtocolName::Tcp) => TCP,
            Self::Name(AclProtocolName::Udp) => UDP,
            Self::Name(AclProtocolName::Icmp) => ICMP,
            Self::Name(AclProtocolName::All) => ALL_PROTOCOLS,
            Self::Number(number) => number.into(),
        }
    }
}

impl AclPorts {
    /// Returns the first and the last port; none where it is no range.
    pub fn range(&self) -> Option<(u16, u16)> {
        match self {
            Self::Port(port) => Some((*port, *port)),
            Self::Range(text) => range(text),
        }
    }
}

impl AclRule {
    /// Returns the same rule with all that it leaves out.
    pub fn whole(&self) -> WholeAclRule {
        let of_ports = |ports| WholeAclRule {
            ports: Some(ports),
            protocol: AclProtocol::default(),
            cidr: Ipv4Net::default(),
            action: AclAction::Allow,
            number: None,
        };
        match self {
            Self::Port(port) => of_ports(AclPorts::Port(*port)),
            Self::Range(text) => of_ports(AclPorts::Range(text.clone())),
            Self::Whole(rule) => rule.clone(),
        }
    }
}

impl NetworkAclConfig {
    /// Returns both lists of rules, each with its key and whether it is for what leaves the subnets.
    pub fn lists(&self) -> [(&'static str, bool, &[AclRule]); 2] {
        [("ingress", false, &self.ingress), ("egress", true, &self.egress)]
    }

    /// Returns all rules as EC2 has them; what is no range of ports is left out.
    pub fn entries(&self) -> Vec<AclEntry> {
        let of_list = |(_, egress, rules): (&str, bool, &[AclRule])| {
            let numbered = rules.iter().zip((0..).map(|place| NUMBERS.0 + NUMBERS.1 * place));
            numbered.filter_map(|(rule, number)| entry(&rule.whole(), egress, number)).collect::<Vec<_>>()
        };
        self.lists().into_iter().flat_map(of_list).collect()
    }

    /// Says whether the subnets of a tier have it.
    pub fn covers(&self, tier: Tier) -> bool {
        self.tiers.as_ref().is_none_or(|tiers| tiers.contains(&tier))
    }
}

fn entry(rule: &WholeAclRule, egress: bool, number: i32) -> Option<AclEntry> {
    let protocol = rule.protocol.number();
    let ports = match &rule.ports {
        // EC2 wants ports of these two: `CreateNetworkAclEntry`, `PortRange`.
        None if [TCP, UDP].contains(&protocol) => Some((0, u16::MAX)),
        None => None,
        Some(ports) => Some(ports.range()?),
    };
    let number = rule.number.map_or(number, i32::from);
    Some(AclEntry { egress, number, protocol, ports, cidr: rule.cidr, allow: rule.action == AclAction::Allow })
}

/// Returns the first and the last port of `1024-65535`; none where it is no such range.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_numbered_by_their_place_and_are_for_tcp_and_everywhere() {
        let text = r#"{"ingress": [22, "1024-65535", {"cidr": "10.0.0.0/8", "protocol": "all", "action": "deny"}],
                       "egress": [{"ports": 53, "protocol": "udp", "number": 50}, {"protocol": 50}, {"protocol": "tcp"}]}"#;
        let acl: NetworkAclConfig = serde_json::from_str(text).unwrap();
        let everywhere = Ipv4Net::default();
        let entry =
            |egress, number, protocol, ports, cidr, allow| AclEntry { egress, number, protocol, ports, cidr, allow };
        assert_eq!(
            acl.entries(),
            [
                entry(false, 100, TCP, Some((22, 22)), everywhere, true),
                entry(false, 110, TCP, Some((1024, 65535)), everywhere, true),
                entry(false, 120, ALL_PROTOCOLS, None, "10.0.0.0/8".parse().unwrap(), false),
                entry(true, 50, UDP, Some((53, 53)), everywhere, true),
                entry(true, 110, 50, None, everywhere, true),
                entry(true, 120, TCP, Some((0, 65535)), everywhere, true),
            ]
        );
        let back: NetworkAclConfig = serde_json::from_value(serde_json::to_value(&acl).unwrap()).unwrap();
        assert_eq!(back, acl);
    }

    #[test]
    fn a_range_goes_from_a_port_to_a_later_one() {
        assert_eq!(range("1024-65535"), Some((1024, 65535)));
        assert_eq!(range("443"), Some((443, 443)));
        for text in ["", "-", "80-", "443-80", "80-65536", "http"] {
            assert_eq!(range(text), None, "{text}");
        }
    }
}
