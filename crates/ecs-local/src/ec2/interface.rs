//! Network interfaces: those that moto has, as AWS shows them, and those of load balancers and databases, which moto lacks.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, Uri};
use url::form_urlencoded;
use xmltree::{Element, XMLNode};

use super::kind::Kind;
use super::listing::{list, replace, set, set_of, structure, value, values};
use super::nat_gateway::later;
use crate::call::{Protocol, Request};
use crate::proxy::Proxy;
use crate::{elasticloadbalancing, rds};

/// Addresses that AWS keeps at the start of each subnet (VPC user guide, subnet sizing).
const RESERVED: u32 = 4;

/// The network interfaces of load balancers and databases.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    /// By region, owner and subnet.
    known: Mutex<BTreeMap<(String, String, String), Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    id: String,
    /// What the private address, the MAC address and the attachment's id are made from.
    number: u32,
    wanted: Wanted,
    /// When it goes, once its owner is gone.
    gone: Option<f64>,
}

/// A network interface that a load balancer or a database has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    owner: String,
    subnet: String,
    vpc: String,
    groups: Vec<String>,
    description: String,
    requester: &'static str,
    public: bool,
}

impl Interfaces {
    /// Forgets all.
    pub(super) fn clear(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<(String, String, String), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All network interfaces of a region.
pub(super) async fn all(proxy: &Proxy, region: &str) -> Vec<Element> {
    // Those of tasks that started or stopped since the last call to ECS count as well.
    proxy.ecs.settle(&proxy.upstream).await;
    survey(proxy, region).await;
    let around = Around::of(proxy, region).await;
    let mut interfaces = everything(proxy, region, "DescribeNetworkInterfaces").await;
    for interface in &mut interfaces {
        as_it_is(proxy, &around, interface);
    }
    let known = proxy.ec2.interfaces.known();
    let ours = known.iter().filter(|((of, ..), _)| of == region);
    interfaces.extend(ours.map(|(_, known)| shown(&around, known)));
    interfaces
}

/// What network interfaces refer to.
struct Around {
    subnets: Vec<Element>,
    groups: Vec<Element>,
    endpoints: Vec<Element>,
}

impl Around {
    async fn of(proxy: &Proxy, region: &str) -> Around {
        Around {
            subnets: everything(proxy, region, "DescribeSubnets").await,
            groups: everything(proxy, region, "DescribeSecurityGroups").await,
            endpoints: everything(proxy, region, "DescribeVpcEndpoints").await,
        }
    }
}

async fn everything(proxy: &Proxy, region: &str, describe: &str) -> Vec<Element> {
    match Kind::listed_by(describe) {
        Some(kind) => list(proxy, region, kind, &[]).await,
        None => Vec::new(),
    }
}

/// Notices load balancers and databases that have come or gone, after a call to their services: a network interface lingers
/// from when its owner is gone, not from when somebody looks.
pub(crate) async fn owners_changed(proxy: &Proxy, request: &Request) {
    let verbs = ["Create", "Delete", "Modify", "Set"];
    let writes = verbs.iter().any(|verb| request.operation.starts_with(verb));
    let watched = ["DescribeLoadBalancers", "DescribeDBInstances"].contains(&request.operation.as_str());
    // Where nothing takes time nothing lingers.
    if proxy.clock.scale.speed > 0.0 && (writes || watched && !proxy.ec2.interfaces.known().is_empty()) {
        survey(proxy, &request.region).await;
    }
}

/// Looks which load balancers and databases there are.
async fn survey(proxy: &Proxy, region: &str) {
    let mut wanted = load_balancers(proxy, region).await;
    wanted.extend(databases(proxy, region).await);
    let now = proxy.clock.now();
    let until = later(proxy, proxy.sky.weather().provisioning.interfaces);
    let mut known = proxy.ec2.interfaces.known();
    let keys: BTreeSet<_> =
        wanted.iter().map(|one| (region.to_owned(), one.owner.clone(), one.subnet.clone())).collect();
    for (key, known) in known.iter_mut().filter(|(key, _)| key.0 == region) {
        known.gone = if keys.contains(key) { None } else { known.gone.or(Some(until)) };
    }
    known.retain(|_, known| known.gone.is_none_or(|gone| now < gone));
    for one in wanted {
        let key = (region.to_owned(), one.owner.clone(), one.subnet.clone());
        match known.entry(key) {
            Entry::Occupied(mut known) => known.get_mut().wanted = one,
            Entry::Vacant(place) => {
                let id = format!("eni-{:017x}", rand::random::<u64>());
                place.insert(Known { id, number: rand::random(), wanted: one, gone: None });
            }
        }
    }
}

/// A load balancer has one in each of its subnets, described as "ELB app/NAME/ID".
async fn load_balancers(proxy: &Proxy, region: &str) -> Vec<Wanted> {
    let request = question("elasticloadbalancing", region, "DescribeLoadBalancers", "2015-12-01");
    let answer = elasticloadbalancing::answer(proxy, &request).await;
    let balancers = members(&answer.body, &["DescribeLoadBalancersResult", "LoadBalancers", "member"]);
    let mut wanted = Vec::new();
    for balancer in balancers {
        let arn = value(&balancer, "LoadBalancerArn");
        let name = arn.split_once("loadbalancer/").map_or("", |(_, name)| name);
        for subnet in values(&balancer, "AvailabilityZones/member/SubnetId") {
            wanted.push(Wanted {
                owner: arn.clone(),
                subnet,
                vpc: value(&balancer, "VpcId"),
                groups: values(&balancer, "SecurityGroups/member"),
                description: format!("ELB {name}"),
                requester: "amazon-elb",
                public: value(&balancer, "Scheme") != "internal",
            });
        }
    }
    wanted
}

/// A database has one in a subnet of its zone, and one more in another zone for its standby.
async fn databases(proxy: &Proxy, region: &str) -> Vec<Wanted> {
    let request = question("rds", region, "DescribeDBInstances", "2014-10-31");
    let answer = rds::answer(proxy, &request).await;
    let instances = members(&answer.body, &["DescribeDBInstancesResult", "DBInstances", "DBInstance"]);
    let mut wanted = Vec::new();
    for instance in instances {
        let zone = value(&instance, "AvailabilityZone");
        let zones = values(&instance, "DBSubnetGroup/Subnets/Subnet/SubnetAvailabilityZone/Name");
        let subnets = values(&instance, "DBSubnetGroup/Subnets/Subnet/SubnetIdentifier");
        let mut subnets: Vec<(String, String)> = zones.into_iter().zip(subnets).collect();
        subnets.sort_by_key(|(of, _)| *of != zone);
        subnets.dedup_by(|one, other| one.0 == other.0);
        let count = if value(&instance, "MultiAZ") == "true" { 2 } else { 1 };
        for (_, subnet) in subnets.into_iter().take(count) {
            wanted.push(Wanted {
                owner: value(&instance, "DBInstanceIdentifier"),
                subnet,
                vpc: value(&instance, "DBSubnetGroup/VpcId"),
                groups: values(&instance, "VpcSecurityGroups/VpcSecurityGroupMembership/VpcSecurityGroupId"),
                description: "RDSNetworkInterface".to_owned(),
                requester: "amazon-rds",
                public: value(&instance, "PubliclyAccessible") == "true",
            });
        }
    }
    wanted
}

/// A question to another service, as a client would ask it.
fn question(service: &str, region: &str, operation: &str, version: &str) -> Request {
    let form = vec![("Action".to_owned(), operation.to_owned()), ("Version".to_owned(), version.to_owned())];
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential=testing/20200101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    if let Ok(scope) = scope.parse() {
        headers.insert(AUTHORIZATION, scope);
    }
    Request {
        method: Method::POST,
        uri: Uri::from_static("/"),
        headers,
        body: form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish().into(),
        service: service.to_owned(),
        region: region.to_owned(),
        operation: operation.to_owned(),
        protocol: Protocol::Query,
        form,
        json: serde_json::Value::Null,
    }
}

/// The elements at the end of a path in an answer.
fn members(body: &[u8], path: &[&str]) -> Vec<Element> {
    let Ok(answer) = Element::parse(body) else { return Vec::new() };
    let mut found = vec![answer];
    for name in path {
        let children = found.into_iter().flat_map(|element| element.children).filter_map(|node| match node {
            XMLNode::Element(child) => Some(child),
            XMLNode::Comment(_) | XMLNode::CData(_) | XMLNode::Text(_) | XMLNode::ProcessingInstruction(..) => None,
        });
        found = children.filter(|child| child.name == *name).collect();
    }
    found
}

/// Shows one of moto's as AWS does: in use, and by whom.
fn as_it_is(proxy: &Proxy, around: &Around, interface: &mut Element) {
    let id = value(interface, "networkInterfaceId");
    let number = u32::from_str_radix(id.get(id.len().saturating_sub(7)..).unwrap_or_default(), 16).unwrap_or_default();
    if let Some(gateway) = proxy.ec2.nat_gateways.holder(&id) {
        set(interface, "description", &format!("Interface for NAT Gateway {gateway}"));
        set(interface, "interfaceType", "nat_gateway");
        // A NAT gateway has no security groups (VPC user guide, "NAT gateway basics"); moto gives it the default one.
        replace(interface, Element::new("groupSet"));
        attach(interface, number, "amazon-aws");
    } else if let Some(endpoint) = proxy.ec2.endpoints.holder(&id) {
        set(interface, "description", &format!("VPC Endpoint Interface {endpoint}"));
        set(interface, "interfaceType", "vpc_endpoint");
        let endpoint = around.endpoints.iter().find(|one| value(one, "vpcEndpointId") == endpoint);
        if let Some(groups) = endpoint.and_then(|endpoint| endpoint.get_child("groupSet")) {
            replace(interface, groups.clone());
        }
        attach(interface, number, "amazon-aws");
    } else if value(interface, "description").starts_with("arn:aws:ecs:") {
        // A task's: the description is its attachment's ARN.
        attach(interface, number, "amazon-aws");
    }
}

/// Says that a network interface is in use, by a service.
fn attach(interface: &mut Element, number: u32, owner: &str) {
    set(interface, "status", "in-use");
    set(interface, "requesterManaged", "true");
    let attachment = structure(
        "attachment",
        &[
            ("attachmentId", &format!("ela-attach-{number:017x}")),
            ("deleteOnTermination", "false"),
            ("deviceIndex", "1"),
            ("instanceOwnerId", owner),
            ("status", "attached"),
        ],
    );
    replace(interface, attachment);
}

/// One that moto lacks.
fn shown(around: &Around, known: &Known) -> Element {
    let Known { id, number, wanted, .. } = known;
    let subnet = around.subnets.iter().find(|subnet| value(subnet, "subnetId") == wanted.subnet);
    let of_subnet = |name: &str| subnet.map(|subnet| value(subnet, name)).unwrap_or_default();
    let address = address(&of_subnet("cidrBlock"), *number);
    let [_, a, b, c] = number.to_be_bytes();
    let mac = format!("02:00:00:{a:02x}:{b:02x}:{c:02x}");
    let mut shown = structure(
        "item",
        &[
            ("networkInterfaceId", id),
            ("subnetId", &wanted.subnet),
            ("vpcId", &wanted.vpc),
            ("availabilityZone", &of_subnet("availabilityZone")),
            ("description", &wanted.description),
            ("ownerId", &of_subnet("ownerId")),
            ("requesterId", wanted.requester),
            ("macAddress", &mac),
            ("privateIpAddress", &address),
            ("sourceDestCheck", "true"),
            ("interfaceType", "interface"),
        ],
    );
    let mut groups = Vec::new();
    for group in &wanted.groups {
        let listed = around.groups.iter().find(|one| value(one, "groupId") == *group);
        let name = listed.map(|group| value(group, "groupName")).unwrap_or_default();
        groups.push(structure("item", &[("groupId", group), ("groupName", &name)]));
    }
    replace(&mut shown, set_of("groupSet", groups));
    let private = structure("item", &[("privateIpAddress", &address), ("primary", "true")]);
    replace(&mut shown, set_of("privateIpAddressesSet", [private]));
    replace(&mut shown, Element::new("tagSet"));
    if wanted.public {
        let public = format!("203.0.113.{c}");
        let association = [("publicIp", public.as_str()), ("ipOwnerId", wanted.requester)];
        replace(&mut shown, structure("association", &association));
    }
    attach(&mut shown, *number, wanted.requester);
    shown
}

/// An address in a range: any but the first and the last ones, which AWS keeps.
fn address(range: &str, number: u32) -> String {
    let Ok(range) = range.parse::<ipnet::Ipv4Net>() else { return String::new() };
    let size = u32::MAX.checked_shr(u32::from(range.prefix_len())).unwrap_or_default();
    let free = size.saturating_sub(RESERVED).max(1);
    std::net::Ipv4Addr::from(u32::from(range.network()).saturating_add(RESERVED + number % free)).to_string()
}

/// The network interfaces that a filter finds.
pub(super) async fn with(proxy: &Proxy, request: &Request, path: &str, wanted: &str) -> Vec<Element> {
    let mut interfaces = all(proxy, &request.region).await;
    interfaces.retain(|interface| values(interface, path).iter().any(|value| value == wanted));
    interfaces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_within_its_range() {
        assert_eq!(address("10.0.1.0/24", 0), "10.0.1.4");
        assert_eq!(address("10.0.1.0/24", 250), "10.0.1.254");
        assert_eq!(address("10.0.1.0/24", 251), "10.0.1.4");
        assert_eq!(address("10.0.1.16/28", 3), "10.0.1.23");
        assert_eq!(address("", 3), "");
    }
}
