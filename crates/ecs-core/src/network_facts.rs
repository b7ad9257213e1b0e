//! What must be true of a network that somebody else has made, before a stack is built on it.

use std::collections::BTreeSet;

use crate::member::Net;
use crate::stack::{GatewayService, Stack, Tier, endpoint_service};

/// What EC2 says of a network that somebody else has made.
#[derive(Debug, Clone, Default)]
pub struct NetworkFacts {
    /// State of the VPC, in EC2's word; none where there is no such VPC
    pub vpc_state: Option<String>,
    /// Whether the VPC's DNS support is on
    pub dns_support: bool,
    /// Those of the subnets that there are
    pub subnets: Vec<SubnetFacts>,
    /// The VPC's route tables
    pub tables: Vec<TableFacts>,
    /// The VPC's endpoints
    pub endpoints: Vec<EndpointFacts>,
}

/// A subnet.
#[derive(Debug, Clone, Default)]
pub struct SubnetFacts {
    /// Its id
    pub id: String,
    /// Id of its VPC
    pub vpc: String,
    /// Its zone
    pub zone: String,
    /// Its IPv4 range
    pub cidr: String,
}

/// A route table.
#[derive(Debug, Clone, Default)]
pub struct TableFacts {
    /// Its id
    pub id: String,
    /// Whether it is of the subnets that have no other
    pub main: bool,
    /// Ids of the subnets that have it
    pub subnets: Vec<String>,
    /// What its default route leads to
    pub default_route: Option<String>,
    /// Whether what that leads to is gone
    pub blackhole: bool,
}

/// A VPC endpoint.
#[derive(Debug, Clone, Default)]
pub struct EndpointFacts {
    /// Full name of its service
    pub service: String,
    /// Ids of the route tables that lead to it; none for an interface endpoint
    pub tables: Vec<String>,
    /// Whether its service is reached by its usual name
    pub private_dns: bool,
}

impl NetworkFacts {
    /// Returns the route table of a subnet: its own, or else the main one.
    ///
    /// <https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html>
    pub fn table_of(&self, subnet: &str) -> Option<&TableFacts> {
        let own = self.tables.iter().find(|table| table.subnets.iter().any(|id| id == subnet));
        own.or_else(|| self.tables.iter().find(|table| table.main))
    }

    /// Returns what the default routes of subnets lead to, each once.
    pub fn ways_out<'n>(&'n self, subnets: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
        let mut ways: Vec<&str> = Vec::new();
        for way in subnets.filter_map(|id| self.table_of(id)?.default_route.as_deref()) {
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        ways
    }

    /// Returns everything that is wrong with a network for a stack; nothing where it can be built upon.
    pub fn wrong(&self, net: &Net, stack: &Stack) -> Vec<String> {
        let mut wrong = Vec::new();
        match self.vpc_state.as_deref() {
            None => return vec![format!("{} does not exist", net.vpc_id)],
            Some("available") => {}
            Some(state) => wrong.push(format!("{} is {state}", net.vpc_id)),
        }
        if !self.dns_support {
            let why = "AWS's services, the database and the load balancer are reached by name";
            wrong.push(format!("{} has DNS support off: {why}", net.vpc_id));
        }
        for tier in Tier::ALL {
            let ids: Vec<&str> = ids_of(net, tier).collect();
            let before = wrong.len();
            wrong.extend(ids.iter().filter_map(|id| self.misplaced(net, tier, id)));
            let found = self.subnets.iter().filter(|subnet| ids.contains(&subnet.id.as_str()));
            let zones: BTreeSet<&str> = found.map(|subnet| subnet.zone.as_str()).collect();
            if zones.len() == 1 && wrong.len() == before {
                let zone = zones.first().copied().unwrap_or_default();
                wrong.push(format!("{}_subnet_ids: all in {zone}, but two zones are needed", tier.name()));
            }
            if wrong.len() == before {
                wrong.extend(ids.iter().filter_map(|id| self.lost(stack, tier, id)));
            }
        }
        wrong
    }

    /// Says that a subnet is not in the VPC.
    fn misplaced(&self, net: &Net, tier: Tier, id: &str) -> Option<String> {
        let key = format!("{}_subnet_ids", tier.name());
        match self.subnets.iter().find(|subnet| subnet.id == id) {
            Some(subnet) if subnet.vpc == net.vpc_id.as_str() => None,
            Some(subnet) => Some(format!("{key}: {id} is in {}, not in {}", subnet.vpc, net.vpc_id)),
            None => Some(format!("{key}: {id} does not exist")),
        }
    }

    /// Says that traffic of a subnet does not get where its tier has to get.
    fn lost(&self, stack: &Stack, tier: Tier, id: &str) -> Option<String> {
        let key = format!("{}_subnet_ids", tier.name());
        let table = self.table_of(id);
        let way = table.and_then(|table| table.default_route.as_deref());
        let blackhole = table.is_some_and(|table| table.blackhole);
        match (tier, way) {
            (Tier::Database, _) => None,
            (Tier::Public | Tier::Private, Some(way)) if blackhole => {
                Some(format!("{key}: the default route of {id} leads to {way}, which is gone"))
            }
            (Tier::Public, Some(way)) if way.starts_with("igw-") => None,
            (Tier::Public, way) => {
                let leads = way.map_or("has no default route".to_owned(), |way| format!("leads to {way}"));
                Some(format!("{key}: {id} {leads}, and a load balancer needs a route to an internet gateway"))
            }
            // Tasks there have no public addresses, without which an internet gateway takes nothing from them.
            (Tier::Private, Some(way)) if way.starts_with("igw-") => Some(format!(
                "{key}: {id} leads to the internet gateway {way}, which is no way out for tasks without public addresses"
            )),
            (Tier::Private, Some(_)) => None,
            (Tier::Private, None) => {
                let missing = self.missing_endpoints(stack, table?);
                let list = missing.join(", ");
                (!missing.is_empty())
                    .then(|| format!("{key}: {id} has neither a default route nor endpoints of {list}"))
            }
        }
    }

    /// Returns the services that tasks cannot start without, and that no endpoint serves.
    fn missing_endpoints(&self, stack: &Stack, table: &TableFacts) -> Vec<&'static str> {
        let region = stack.region.as_deref().unwrap_or_default();
        let is = |endpoint: &&EndpointFacts, service: &str| endpoint.service == endpoint_service(service, region);
        let s3 = GatewayService::S3.name();
        let needed = stack.needed_endpoints().into_iter().map(|(service, _)| service);
        let mut missing: Vec<&str> =
            needed.filter(|service| !self.endpoints.iter().any(|one| is(&one, service) && one.private_dns)).collect();
        if !self.endpoints.iter().any(|one| is(&one, s3) && one.tables.contains(&table.id)) {
            missing.push(s3);
        }
        missing
    }
}

fn ids_of(net: &Net, tier: Tier) -> impl Iterator<Item = &str> {
    let ids = match tier {
        Tier::Public => &net.public_subnet_ids,
        Tier::Private => &net.private_subnet_ids,
        Tier::Database => &net.database_subnet_ids,
    };
    ids.iter().filter(|id| !id.is_planned()).map(|id| id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net() -> Net {
        let json = r#"{"vpc_id": "vpc-1", "public_subnet_ids": ["subnet-1", "subnet-2"], "private_subnet_ids": ["subnet-3", "subnet-4"]}"#;
        serde_json::from_str(json).unwrap()
    }

    fn table(id: &str, subnets: &[&str], way: Option<&str>) -> TableFacts {
        let (id, subnets) = (id.to_owned(), subnets.iter().map(|id| (*id).to_owned()).collect());
        TableFacts { id, subnets, default_route: way.map(str::to_owned), ..TableFacts::default() }
    }

    fn facts() -> NetworkFacts {
        let subnet = |(id, zone): (&str, &str)| SubnetFacts {
            id: id.to_owned(),
            vpc: "vpc-1".to_owned(),
            zone: zone.to_owned(),
            cidr: String::new(),
        };
        NetworkFacts {
            vpc_state: Some("available".to_owned()),
            dns_support: true,
            subnets: [("subnet-1", "a"), ("subnet-2", "b"), ("subnet-3", "a"), ("subnet-4", "b")].map(subnet).to_vec(),
            tables: vec![
                TableFacts { main: true, ..table("rtb-main", &[], Some("igw-1")) },
                table("rtb-private", &["subnet-3", "subnet-4"], Some("nat-1")),
            ],
            endpoints: Vec::new(),
        }
    }

    #[test]
    fn a_network_with_ways_in_and_out_is_right() {
        assert_eq!(facts().wrong(&net(), &Stack::default()), [""; 0]);
        let mut transit = facts();
        transit.tables[1].default_route = Some("tgw-1".to_owned());
        assert_eq!(transit.wrong(&net(), &Stack::default()), [""; 0]);
        assert_eq!(facts().ways_out(["subnet-3", "subnet-4"].into_iter()), ["nat-1"]);
    }

    #[test]
    fn everything_that_is_wrong_is_said() {
        let stack = Stack { region: Some("us-east-1".to_owned()), ..Stack::default() };
        let wrong = |change: &dyn Fn(&mut NetworkFacts)| {
            let mut facts = facts();
            change(&mut facts);
            facts.wrong(&net(), &stack)
        };
        assert_eq!(wrong(&|facts| facts.vpc_state = None), ["vpc-1 does not exist"]);
        assert_eq!(wrong(&|facts| facts.vpc_state = Some("pending".to_owned())), ["vpc-1 is pending"]);
        assert!(wrong(&|facts| facts.dns_support = false)[0].contains("vpc-1 has DNS support off"));
        assert_eq!(
            wrong(&|facts| facts.subnets[0].vpc = "vpc-2".to_owned()),
            ["public_subnet_ids: subnet-1 is in vpc-2, not in vpc-1"]
        );
        assert_eq!(wrong(&|facts| drop(facts.subnets.remove(3))), ["private_subnet_ids: subnet-4 does not exist"]);
        assert_eq!(
            wrong(&|facts| facts.subnets[1].zone = "a".to_owned()),
            ["public_subnet_ids: all in a, but two zones are needed"]
        );
        let private = wrong(&|facts| facts.tables[1].subnets.clear());
        assert!(private[0].contains("subnet-3 leads to the internet gateway igw-1"), "{private:?}");
        let gone = wrong(&|facts| facts.tables[1].blackhole = true);
        assert!(gone[0].contains("leads to nat-1, which is gone"), "{gone:?}");
        let public = wrong(&|facts| facts.tables[0].default_route = None);
        assert!(public[0].contains("public_subnet_ids: subnet-1 has no default route"), "{public:?}");
        let closed = wrong(&|facts| facts.tables[1].default_route = None);
        assert!(closed[0].ends_with("nor endpoints of ecr.api, ecr.dkr, logs, ssm, s3"), "{closed:?}");
    }

    #[test]
    fn endpoints_are_a_way_out() {
        let stack = Stack { region: Some("us-east-1".to_owned()), ..Stack::default() };
        let mut facts = facts();
        facts.tables[1].default_route = None;
        let endpoint = |service: &str, tables: &[&str]| EndpointFacts {
            service: format!("com.amazonaws.us-east-1.{service}"),
            tables: tables.iter().map(|id| (*id).to_owned()).collect(),
            private_dns: tables.is_empty(),
        };
        facts.endpoints = ["ecr.api", "ecr.dkr", "logs", "ssm"].map(|service| endpoint(service, &[])).to_vec();
        facts.endpoints.push(endpoint("s3", &["rtb-private"]));
        assert_eq!(facts.wrong(&net(), &stack), [""; 0]);
        facts.endpoints.pop();
        assert!(facts.wrong(&net(), &stack)[0].ends_with("endpoints of s3"));
    }
}
