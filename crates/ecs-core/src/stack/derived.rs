//! What follows from a stack's values: names that the file leaves out, subnets, ports.

use std::collections::BTreeSet;

use super::{NetConfig, Parameter, ParameterLayer, Service, Stack};
use ipnet::Ipv4Net;

/// One subnet as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetPlan {
    /// Name tag, `STACK-public-ZONE` or `STACK-private-ZONE`
    pub name: String,
    /// Full name of the availability zone
    pub zone: String,
    /// IPv4 range
    pub cidr: Ipv4Net,
    /// Whether it routes to the internet gateway
    pub public: bool,
}

impl Stack {
    /// Returns the VPC's name.
    pub fn vpc_name(&self) -> String {
        self.net.vpc_name.clone().unwrap_or_else(|| format!("{}-vpc", self.name))
    }

    /// Returns the cluster's name.
    pub fn cluster_name(&self) -> String {
        self.cluster.name.clone().unwrap_or_else(|| format!("{}-cluster", self.name))
    }

    /// Returns the full names of the zones: a letter is a zone of the stack's region.
    pub fn zones(&self, region: &str) -> Vec<String> {
        self.net
            .zones
            .iter()
            .map(|zone| if zone.len() == 1 { format!("{region}{zone}") } else { zone.clone() })
            .collect()
    }

    /// Returns the subnets: all public ones in the order of the zones, then all private ones.
    pub fn subnets(&self, region: &str) -> Vec<SubnetPlan> {
        let zones = self.zones(region);
        let [public, private] = self.net.cidrs();
        [(true, "public", public), (false, "private", private)]
            .into_iter()
            .flat_map(|(public, tier, cidrs)| {
                zones.iter().zip(cidrs).map(move |(zone, cidr)| SubnetPlan {
                    name: format!("{}-{tier}-{zone}", self.name),
                    zone: zone.clone(),
                    cidr,
                    public,
                })
            })
            .collect()
    }

    /// Returns the distinct container ports, in ascending order.
    pub fn service_ports(&self) -> Vec<u16> {
        let ports: BTreeSet<u16> = self.services.values().map(|service| service.port).collect();
        ports.into_iter().collect()
    }

    /// Returns the ports that the load balancer is open on.
    pub fn alb_ports(&self) -> [u16; 2] {
        [80, 443]
    }

    /// Returns the parameters that one layer writes, by name.
    pub fn parameters_of(&self, layer: ParameterLayer) -> impl Iterator<Item = (&str, &Parameter)> {
        self.parameters.iter().filter(move |(_, p)| p.layer() == layer).map(|(name, p)| (name.as_str(), p))
    }

    /// Returns the service that takes what no path matches.
    pub fn default_service(&self) -> Option<(&str, &Service)> {
        self.services.iter().find(|(_, service)| service.path.is_none()).map(|(key, service)| (key.as_str(), service))
    }

    /// Says whether a service reads something that only exists once the database does.
    pub fn needs_database(&self, service: &Service) -> bool {
        service.secrets.values().any(|source| {
            source.contains("${db.") || self.parameters.get(source).is_some_and(|p| p.layer() == ParameterLayer::Db)
        })
    }
}

impl NetConfig {
    /// Returns the public and the private ranges, given or computed.
    ///
    /// Computed ones are the blocks after the first of the VPC's range, /24 where it is large enough, the public ones
    /// first: 10.0.0.0/16 with two zones gives 10.0.1.0/24 and 10.0.2.0/24, then 10.0.3.0/24 and 10.0.4.0/24.
    pub fn cidrs(&self) -> [Vec<Ipv4Net>; 2] {
        let count = self.zones.len();
        // EC2 takes subnets from /16 to /28; four bits more than the VPC leave room for six zones.
        let length = (self.cidr.prefix_len() + 4).clamp(24, 28);
        let blocks: Vec<Ipv4Net> =
            self.cidr.subnets(length).map(|blocks| blocks.skip(1).take(2 * count).collect()).unwrap_or_default();
        let (public, private) = blocks.split_at(count.min(blocks.len()));
        [
            self.public_cidrs.clone().unwrap_or_else(|| public.to_vec()),
            self.private_cidrs.clone().unwrap_or_else(|| private.to_vec()),
        ]
    }
}

impl Service {
    /// Returns the ECS service's name.
    pub fn service_name(&self, key: &str) -> String {
        self.name.clone().unwrap_or_else(|| format!("{key}-service"))
    }

    /// Returns the task definition family.
    pub fn family(&self, key: &str) -> String {
        self.family.clone().unwrap_or_else(|| format!("{key}-task"))
    }

    /// Returns the container's name.
    pub fn container(&self, key: &str) -> String {
        self.container.clone().unwrap_or_else(|| key.to_owned())
    }

    /// Returns the ECR repository's name, none where the image is given in full.
    pub fn repository(&self, key: &str) -> Option<String> {
        if self.image.is_some() {
            return None;
        }
        Some(self.repository.clone().unwrap_or_else(|| format!("{key}-repo")))
    }

    /// Returns the target group's name.
    pub fn target_group(&self, key: &str) -> String {
        self.target_group.clone().unwrap_or_else(|| format!("{key}-tg"))
    }

    /// Returns the task role's name.
    pub fn task_role(&self, key: &str) -> String {
        self.task_role.clone().unwrap_or_else(|| format!("{key}TaskRole"))
    }

    /// Returns the log group's name.
    pub fn log_group(&self, key: &str) -> String {
        self.log_group.clone().unwrap_or_else(|| format!("/ecs/{key}"))
    }
}
