//! What an earlier stack file has asked for and this one does not: reported, and removed only with `--prune`.

use std::time::Duration;

use aws_sdk_ec2::types::{NatGatewayState, Tag};
use ecs_aws::Answer as _;
use ecs_core::id::VpcId;
use ecs_core::{All as _, Change, Error, Health, Identity, Owner, Resource, Result, Run, tag};
use futures::future::join_all;

use crate::{Ec2, LAYER, ec2, elastic_ip, nat_gateway, network_acl, route_table, security_group, subnet, vpc_endpoint};

/// The listings that tell what is there.
#[derive(Debug, Clone)]
pub struct Lists {
    /// The VPC's network ACLs
    pub acls: network_acl::List,
    /// The stack's elastic IPs
    pub addresses: elastic_ip::List,
    /// The VPC's endpoints
    pub endpoints: vpc_endpoint::List,
    /// The endpoints' security group
    pub groups: security_group::List,
    /// The stack's NAT gateways
    pub nat_gateways: nat_gateway::List,
    /// The VPC's route tables
    pub tables: route_table::List,
    /// The VPC's subnets
    pub subnets: subnet::List,
}

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Network ACLs, when the subnets have the VPC's own back
    NetworkAcl,
    /// NAT gateways, which take a minute to go
    NatGateway,
    /// Elastic IPs, free when their NAT gateway is gone
    ElasticIp,
    /// VPC endpoints, whose network interfaces take a minute to go
    VpcEndpoint,
    /// Security groups, when no network interface uses them any more
    SecurityGroup,
    /// Route tables, with their associations
    RouteTable,
    /// Subnets, when nothing is in them any more
    Subnet,
}

impl Kind {
    fn field(self) -> &'static str {
        match self {
            Kind::NetworkAcl => "network ACL",
            Kind::NatGateway => "NAT gateway",
            Kind::ElasticIp => "elastic IP",
            Kind::VpcEndpoint => "VPC endpoint",
            Kind::SecurityGroup => "security group",
            Kind::RouteTable => "route table",
            Kind::Subnet => "subnet",
        }
    }
}

/// Which names are of before: the stack's own give them, and want them no more.
#[derive(Debug)]
pub struct Names {
    /// Name of the stack
    pub stack: String,
    /// What they start with
    pub starts: Vec<String>,
    /// Those that are wanted
    pub wanted: Vec<String>,
}

/// All of one kind that the stack no longer needs.
#[derive(Debug)]
pub struct Former {
    kind: Kind,
    vpc: VpcId,
    vpc_name: String,
    names: Names,
    lists: Lists,
}

/// One thing that the stack no longer needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct One {
    id: String,
    name: String,
    /// Associations of a route table or a network ACL, which go before it
    associations: Vec<String>,
    /// The network ACL that the subnets of one get in its place
    heir: Option<String>,
    /// Whether it is being deleted
    leaving: bool,
}

impl Former {
    /// Makes the search for what has such a name.
    pub fn new(kind: Kind, (vpc, vpc_name): (&VpcId, &str), names: Names, lists: &Lists) -> Self {
        Self { kind, vpc: vpc.clone(), vpc_name: vpc_name.to_owned(), names, lists: lists.clone() }
    }

    /// Reports what there is, or as told removes it; says nothing where there is nothing.
    ///
    /// # Errors
    /// Any refusal by EC2.
    pub async fn ensure(self, run: &Run<'_>, ec2: &Ec2) -> Result<()> {
        let found =
            self.look(ec2).await.map_err(|error| error.doing(format!("reading {} {}", Self::KIND, self.name())))?;
        // What is being deleted is waited for only by who is to delete it.
        let waits = run.applies() && run.prunes();
        if found.iter().any(|one| waits || !one.leaving) { run.ensure(ec2, self).await.map(drop) } else { Ok(()) }
    }

    async fn look(&self, ec2: &Ec2) -> Result<Vec<One>> {
        let stack = &self.names.stack;
        let found: Vec<Option<One>> = match self.kind {
            Kind::NetworkAcl => {
                let all = network_acl::acls(ec2, &self.vpc, &self.lists.acls).await?;
                let one = all.iter().map(|acl| {
                    let associations = acl.associations().iter();
                    let associations = associations.filter_map(|one| one.network_acl_association_id.clone()).collect();
                    let heir = network_acl::default_acl(&all);
                    self.one(acl.network_acl_id(), acl.tags()).map(|one| One { associations, heir, ..one })
                });
                one.collect()
            }
            Kind::NatGateway => {
                let all = nat_gateway::gateways(ec2, stack, &self.lists.nat_gateways).await?;
                let alive = all.iter().filter(|gateway| gateway.state() != Some(&NatGatewayState::Deleted));
                let one = alive.map(|gateway| {
                    let leaving = gateway.state() == Some(&NatGatewayState::Deleting);
                    self.one(gateway.nat_gateway_id(), gateway.tags()).map(|one| One { leaving, ..one })
                });
                one.collect()
            }
            Kind::ElasticIp => {
                let all = elastic_ip::addresses(ec2, stack, &self.lists.addresses).await?;
                all.iter().map(|address| self.one(address.allocation_id(), address.tags())).collect()
            }
            Kind::VpcEndpoint => {
                let all = vpc_endpoint::endpoints(ec2, &self.vpc, &self.lists.endpoints).await?;
                let there = all.iter().filter(|endpoint| vpc_endpoint::state(endpoint) != "deleted");
                let one = there.map(|endpoint| {
                    let leaving = vpc_endpoint::state(endpoint) == "deleting";
                    self.one(endpoint.vpc_endpoint_id(), endpoint.tags()).map(|one| One { leaving, ..one })
                });
                one.collect()
            }
            Kind::SecurityGroup => {
                let identity = Identity::new(stack, LAYER, self.names.starts.concat());
                let all = security_group::groups(ec2, &self.vpc, &identity, &self.lists.groups).await?;
                all.iter().map(|group| self.one(group.group_id(), group.tags())).collect()
            }
            Kind::RouteTable => {
                let all = route_table::tables(ec2, &self.vpc, &self.lists.tables).await?;
                let one = all.iter().map(|table| {
                    let associations = table.associations().iter();
                    let associations = associations.filter_map(|one| one.route_table_association_id.clone()).collect();
                    self.one(table.route_table_id(), table.tags()).map(|one| One { associations, ..one })
                });
                one.collect()
            }
            Kind::Subnet => {
                let all = subnet::subnets(ec2, &self.vpc, &self.lists.subnets).await?;
                all.iter().map(|subnet| self.one(subnet.subnet_id(), subnet.tags())).collect()
            }
        };
        Ok(found.into_iter().flatten().collect())
    }

    fn one(&self, id: Option<&str>, tags: &[Tag]) -> Option<One> {
        let names = &self.names;
        let name = tags.iter().find(|tag| tag.key() == Some(tag::NAME))?.value()?.to_owned();
        let former = names.starts.iter().any(|start| name.starts_with(start)) && !names.wanted.contains(&name);
        let ours = former && ec2::is(&Identity::new(&names.stack, LAYER, &name), tags);
        let id = id.filter(|_| ours)?.to_owned();
        Some(One { id, name, associations: Vec::new(), heir: None, leaving: false })
    }

    async fn remove(&self, ec2: &Ec2, one: &One) -> Result<()> {
        match self.kind {
            Kind::NetworkAcl => {
                let heir = one.heir.as_deref().unwrap_or_default();
                let back = one.associations.iter().map(|id| network_acl::replace_association(ec2, id, heir));
                join_all(back).await.all()?;
                let deleted = ec2.write.delete_network_acl().network_acl_id(&one.id).send().await;
                deleted.answer_if_found("ec2:DeleteNetworkAcl").map(drop)
            }
            Kind::NatGateway => {
                let deleted = ec2.write.delete_nat_gateway().nat_gateway_id(&one.id).send().await;
                deleted.answer_if_found("ec2:DeleteNatGateway").map(drop)
            }
            // EC2 may still show an address as the gateway's when it shows the gateway as gone.
            Kind::ElasticIp => {
                let released = elastic_ip::release(ec2, &one.id.as_str().into()).await;
                released.map_err(|error| {
                    let held = error.kind() == ecs_core::Kind::InUse;
                    if held { error.with_kind(ecs_core::Kind::NotYet) } else { error }
                })
            }
            Kind::VpcEndpoint => vpc_endpoint::delete(ec2, &one.id).await,
            Kind::SecurityGroup => {
                let deleted = ec2.write.delete_security_group().group_id(&one.id).send().await;
                deleted.answer_if_found("ec2:DeleteSecurityGroup").map(drop).map_err(|error| {
                    // The network interfaces of an endpoint may be there for minutes after it.
                    let held = error.kind() == ecs_core::Kind::InUse;
                    if held { error.with_kind(ecs_core::Kind::Busy) } else { error }
                })
            }
            Kind::RouteTable => {
                for association in &one.associations {
                    let call = ec2.write.disassociate_route_table().association_id(association);
                    call.send().await.answer_if_found("ec2:DisassociateRouteTable")?;
                }
                let deleted = ec2.write.delete_route_table().route_table_id(&one.id).send().await;
                deleted.answer_if_found("ec2:DeleteRouteTable").map(drop)
            }
            Kind::Subnet => {
                let deleted = ec2.write.delete_subnet().subnet_id(&one.id).send().await;
                match deleted.answer_if_found("ec2:DeleteSubnet") {
                    Err(error) if error.kind() == ecs_core::Kind::InUse => {
                        let users = ec2::interfaces(ec2, "subnet-id", &one.id).await?.join(", ");
                        Err(Error::new(ecs_core::Kind::Busy, format!("{} in use by {users}", one.name)))
                    }
                    deleted => deleted.map(drop),
                }
            }
        }
    }
}

impl Resource for Former {
    type Api = Ec2;
    type Live = Vec<One>;
    const KIND: &'static str = "what else is in VPC";
    /// As long as the network interfaces of what was in a subnet may take to go: seen up to 15 min.
    const PATIENCE: Duration = Duration::from_secs(20 * 60);
    const USUAL: &'static str = "1 to 5 min";

    fn name(&self) -> String {
        self.vpc_name.clone()
    }

    fn id(&self, live: &Vec<One>) -> String {
        if live.is_empty() {
            return "nothing".to_owned();
        }
        live.iter().map(|one| format!("{} {}", self.kind.field(), one.id)).collect::<Vec<_>>().join(", ")
    }

    fn planned(&self) -> Vec<One> {
        Vec::new()
    }

    async fn find(&self, ec2: &Ec2) -> Result<Option<Vec<One>>> {
        self.look(ec2).await.map(Some)
    }

    /// Makes nothing: what is sought is too much.
    async fn create(&self, _ec2: &Ec2) -> Result<Vec<One>> {
        Ok(Vec::new())
    }

    fn diff(&self, live: &Vec<One>) -> Vec<Change> {
        let alive = live.iter().filter(|one| !one.leaving);
        alive.map(|one| Change::former(self.kind.field(), format!("{} ({})", one.name, one.id))).collect()
    }

    async fn update(&self, ec2: &Ec2, live: &Vec<One>, _changes: &[Change]) -> Result<()> {
        let alive = live.iter().filter(|one| !one.leaving);
        join_all(alive.map(|one| self.remove(ec2, one))).await.all().map(drop)
    }

    async fn delete(&self, _ec2: &Ec2, _live: &Vec<One>) -> Result<()> {
        // A destroy looks for each thing by itself.
        Ok(())
    }

    fn health(&self, live: &Vec<One>) -> Health {
        if !live.is_empty() && live.iter().all(|one| one.leaving) {
            return Health::Leaving("being deleted".to_owned());
        }
        Health::Ready
    }

    fn owner(&self, _live: &Vec<One>) -> Owner {
        // Nothing is found but what is tagged as the stack's.
        Owner::Ours
    }

    async fn adopt(&self, _ec2: &Ec2, _live: &Vec<One>) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        match self.kind {
            Kind::NetworkAcl => self.lists.acls.forget(),
            Kind::NatGateway => self.lists.nat_gateways.forget(),
            Kind::ElasticIp => self.lists.addresses.forget(),
            Kind::VpcEndpoint => self.lists.endpoints.forget(),
            Kind::SecurityGroup => self.lists.groups.forget(),
            Kind::RouteTable => self.lists.tables.forget(),
            Kind::Subnet => self.lists.subnets.forget(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    fn former() -> Former {
        let lists = Lists {
            acls: Rc::default(),
            addresses: Rc::default(),
            endpoints: Rc::default(),
            groups: Rc::default(),
            nat_gateways: Rc::default(),
            tables: Rc::default(),
            subnets: Rc::default(),
        };
        let names = Names {
            stack: "prod".to_owned(),
            starts: vec!["prod-nat-".to_owned()],
            wanted: vec!["prod-nat-a".to_owned()],
        };
        Former::new(Kind::NatGateway, (&"vpc-1".into(), "prod-vpc"), names, &lists)
    }

    #[test]
    fn only_what_has_the_stacks_tags_and_a_name_of_before_is_former() {
        let tags = |stack: &str, name: &str| {
            let identity = Identity::new(stack, "net", name);
            identity.tags(|key, value| Tag::builder().key(key).value(value).build())
        };
        let found = |tags: &[Tag]| former().one(Some("nat-1"), tags).map(|one| one.name);
        assert_eq!(found(&tags("prod", "prod-nat-b")).as_deref(), Some("prod-nat-b"));
        assert_eq!(found(&tags("prod", "prod-nat-a")), None, "one that is wanted");
        assert_eq!(found(&tags("prod", "prod-spare")), None, "no name that the stack gives");
        assert_eq!(found(&tags("staging", "prod-nat-b")), None, "another stack's");
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn what_is_being_deleted_is_waited_for_and_the_rest_removed() {
        let one = |leaving| One {
            id: "nat-1".into(),
            name: "prod-nat-b".into(),
            associations: Vec::new(),
            heir: None,
            leaving,
        };
        let (former, alive, leaving) = (former(), one(false), one(true));
        assert_eq!(former.diff(&vec![alive.clone()]), [Change::former("NAT gateway", "prod-nat-b (nat-1)")]);
        assert_eq!(former.diff(&vec![leaving.clone()]), []);
        assert_eq!(former.health(&vec![alive, leaving.clone()]), Health::Ready);
        assert_eq!(former.health(&vec![leaving]), Health::Leaving("being deleted".to_owned()));
        assert_eq!(former.health(&Vec::new()), Health::Ready);
    }
}
