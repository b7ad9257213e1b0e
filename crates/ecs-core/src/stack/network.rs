//! The `[net]` table: VPC, subnets, ways out.

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FlowLogsConfig, NetworkAclConfig, Tier, schema};

/// Zones whose computed ranges stand tier by tier.
const PAIR: usize = 2;

/// Describes the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NetConfig {
    /// VPC that somebody else has made, `vpc-…`; with the ids of its subnets, and no other keys of this table
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_id: Option<String>,
    /// Its public subnets, in two zones or more
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub public_subnet_ids: Vec<String>,
    /// Its private subnets, in two zones or more, with a way out
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub private_subnet_ids: Vec<String>,
    /// Its subnets for a database, in two zones or more (default: the private ones)
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub database_subnet_ids: Vec<String>,
    /// Name of the VPC (default: the stack's name and `-vpc`)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_name: Option<String>,
    /// IPv4 range of the VPC, /16 to /24
    #[schemars(with = "schema::Range")]
    pub cidr: Ipv4Net,
    /// Availability zones, two or more: by letter or by full name, or how many of those that the account has
    pub zones: Zones,
    /// One range a zone for the public subnets (default: computed from the VPC's range)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<schema::Range>>")]
    pub public_cidrs: Option<Vec<Ipv4Net>>,
    /// One range a zone for the private subnets (default: computed from the VPC's range)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<schema::Range>>")]
    pub private_cidrs: Option<Vec<Ipv4Net>>,
    /// Give each zone a third subnet, for a database: its route table has no way out
    pub database_subnets: bool,
    /// One range a zone for the database subnets (default: computed from the VPC's range)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<schema::Range>>")]
    pub database_cidrs: Option<Vec<Ipv4Net>>,
    /// NAT gateways, the way out of the private subnets
    pub nat: Nat,
    /// Services that the private and the database subnets reach by a route, which costs nothing (with `nat = "none"` and
    /// neither list: what the stack uses)
    pub gateway_endpoints: Vec<GatewayService>,
    /// Services that the private subnets reach by a network interface in each: `ecr.api`, or a full name such as
    /// `com.amazonaws.us-east-1.ecr.api`
    pub interface_endpoints: Vec<String>,
    /// Network ACL of the subnets (default: the VPC's own, which lets everything through)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_acl: Option<NetworkAclConfig>,
    /// Flow logs of the VPC (default: none)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_logs: Option<FlowLogsConfig>,
}

/// Chooses the availability zones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Zones {
    /// These, by letter or by full name
    Named(Vec<String>),
    /// So many: those that the stack is in already, then the first ones by name
    Count(u8),
}

impl Zones {
    /// Returns how many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Named(zones) => zones.len(),
            Self::Count(count) => (*count).into(),
        }
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns those that are named.
    pub fn named(&self) -> &[String] {
        match self {
            Self::Named(zones) => zones,
            Self::Count(_) => &[],
        }
    }
}

/// Names a service that has gateway endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GatewayService {
    /// S3, where ECR keeps the layers of images
    S3,
    /// DynamoDB
    DynamoDb,
}

impl GatewayService {
    /// Returns its name, as it stands in the stack file.
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::DynamoDb => "dynamodb",
        }
    }
}

/// Says how many NAT gateways there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nat {
    /// One in each zone: a zone that fails takes no other one's way out with it
    PerZone,
    /// One in the first zone, for all of them
    Single,
    /// One for all zones, in none of them, that AWS extends to each zone
    Regional,
    /// None: the private subnets have no way out
    None,
}

impl Nat {
    /// Says whether each NAT gateway is in one zone, in a public subnet.
    pub fn is_zonal(self) -> bool {
        match self {
            Self::PerZone | Self::Single => true,
            Self::Regional | Self::None => false,
        }
    }
}

impl NetConfig {
    /// Returns the tiers' ranges, given or computed; none for database subnets that are not wanted.
    ///
    /// Computed ones are the blocks after the first of the VPC's range, /24 where it is large enough: 10.0.0.0/16 gives
    /// 10.0.1.0/24 and 10.0.2.0/24 to the public subnets of the first two zones, the next two to their private and the next
    /// two to their database subnets. Each further zone has the next three, so that it changes nothing of the others.
    pub fn cidrs(&self) -> [Vec<Ipv4Net>; 3] {
        let (count, blocks) = (self.zones.len(), self.blocks());
        let by_zone = |tier: usize, zone: usize| {
            if zone < PAIR { PAIR * tier + zone } else { PAIR * 3 + (zone - PAIR) * 3 + tier }
        };
        // A small VPC has no room for database subnets that nobody wants.
        let place = |tier: usize, zone: usize| {
            if blocks.len() >= 3 * count { by_zone(tier, zone) } else { tier * count + zone }
        };
        let computed = |tier: usize| -> Vec<Ipv4Net> {
            (0..count).filter_map(|zone| blocks.get(place(tier, zone)).copied()).collect()
        };
        let of_tier = |tier: Tier, place: usize| match self.given_cidrs(tier) {
            Some(given) => given.clone(),
            None => computed(place),
        };
        let database = if self.database_subnets { of_tier(Tier::Database, 2) } else { Vec::new() };
        [of_tier(Tier::Public, 0), of_tier(Tier::Private, 1), database]
    }

    /// Returns the ids of a tier's subnets that somebody else has made.
    pub fn given_ids(&self, tier: Tier) -> &[String] {
        match tier {
            Tier::Public => &self.public_subnet_ids,
            Tier::Private => &self.private_subnet_ids,
            Tier::Database => &self.database_subnet_ids,
        }
    }

    /// Says whether the endpoints follow from what the stack uses: there is no NAT gateway, and the file lists none.
    pub fn derives_endpoints(&self) -> bool {
        let listed = !self.gateway_endpoints.is_empty() || !self.interface_endpoints.is_empty();
        self.nat == Nat::None && !listed
    }

    /// Returns the ranges of a tier's subnets that the file gives.
    pub fn given_cidrs(&self, tier: Tier) -> Option<&Vec<Ipv4Net>> {
        match tier {
            Tier::Public => self.public_cidrs.as_ref(),
            Tier::Private => self.private_cidrs.as_ref(),
            Tier::Database => self.database_cidrs.as_ref(),
        }
    }

    /// Returns the blocks of the VPC's range that computed subnets are taken from.
    pub fn blocks(&self) -> Vec<Ipv4Net> {
        // EC2 takes subnets from /16 to /28; four bits more than the VPC leave room for two tiers in six zones.
        let length = (self.cidr.prefix_len() + 4).clamp(24, 28);
        self.cidr.subnets(length).map(|blocks| blocks.skip(1).collect()).unwrap_or_default()
    }

    /// Returns the places, among the zones, of those that have a NAT gateway of their own.
    pub fn nat_zones(&self) -> std::ops::Range<usize> {
        match self.nat {
            Nat::PerZone => 0..self.zones.len(),
            Nat::Single => 0..self.zones.len().min(1),
            Nat::Regional | Nat::None => 0..0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ranges: &[Ipv4Net]) -> Vec<String> {
        ranges.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn another_zone_moves_no_range_of_the_others() {
        for database_subnets in [false, true] {
            let net = |count| NetConfig { zones: Zones::Count(count), database_subnets, ..NetConfig::default() };
            for count in 2..6 {
                let (fewer, more) = (net(count).cidrs(), net(count + 1).cidrs());
                for (fewer, more) in fewer.iter().zip(&more) {
                    assert_eq!(fewer[..], more[..fewer.len()], "{count}");
                }
            }
        }
        let [public, private, _] = NetConfig { zones: Zones::Count(3), ..NetConfig::default() }.cidrs();
        assert_eq!(texts(&public), ["10.0.1.0/24", "10.0.2.0/24", "10.0.7.0/24"]);
        assert_eq!(texts(&private), ["10.0.3.0/24", "10.0.4.0/24", "10.0.8.0/24"]);
        // Where that would not fit, the two tiers stand one after the other.
        let small = NetConfig { zones: Zones::Count(6), cidr: "10.0.0.0/20".parse().unwrap(), ..NetConfig::default() };
        assert_eq!(small.cidrs().map(|ranges| ranges.len()), [6, 6, 0]);
    }

    #[test]
    fn the_ranges_of_the_third_tier_follow_the_others() {
        let mut net = NetConfig::default();
        let [public, private, database] = net.cidrs();
        assert_eq!(database, []);
        net.database_subnets = true;
        let [same_public, same_private, database] = net.cidrs();
        assert_eq!([same_public, same_private], [public, private], "a third tier moves neither of the others");
        assert_eq!(texts(&database), ["10.0.5.0/24", "10.0.6.0/24"]);
        net.private_cidrs = Some(vec!["10.0.128.0/20".parse().unwrap(), "10.0.144.0/20".parse().unwrap()]);
        assert_eq!(texts(&net.cidrs()[2]), ["10.0.5.0/24", "10.0.6.0/24"]);
    }

    #[test]
    fn the_mode_says_which_zones_have_a_nat_gateway() {
        for (nat, zones) in [(Nat::PerZone, 0..2), (Nat::Single, 0..1), (Nat::Regional, 0..0), (Nat::None, 0..0)] {
            assert_eq!(NetConfig { nat, ..NetConfig::default() }.nat_zones(), zones);
        }
    }
}
