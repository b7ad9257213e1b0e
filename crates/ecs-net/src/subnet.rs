//! One subnet in one zone.

use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ec2::types::{ResourceType, Subnet as Described, Tag};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{SubnetId, VpcId};
use ecs_core::stack::SubnetPlan;
use ecs_core::{Change, Held, Identity, Listing, Owner, Resource, Result, Stack};

use crate::vpc::Vpc;
use crate::{Ec2, LAYER, ec2};

/// The subnets of one VPC, listed once for all of them.
pub type List = Rc<Listing<Vec<Described>>>;

/// Makes the list of a VPC's subnets: known to be empty when the VPC is new.
pub fn listing(vpc: &Held<Vpc>) -> List {
    Rc::new(if vpc.is_new() || vpc.id.is_planned() { Listing::known(Vec::new()) } else { Listing::default() })
}

/// Returns the subnets of a VPC.
///
/// # Errors
/// Any refusal by EC2.
pub async fn subnets(ec2: &Ec2, vpc: &VpcId, list: &List) -> Result<Rc<Vec<Described>>> {
    list.get(async || {
        let all = ec2.read.describe_subnets().filters(ec2::filter("vpc-id", vpc.as_str()));
        all.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.answer("ec2:DescribeSubnets")
    })
    .await
}

/// A subnet with one IPv4 range in one zone.
#[derive(Debug)]
pub struct Subnet {
    identity: Identity,
    vpc: VpcId,
    zone: String,
    cidr: String,
    list: List,
}

/// What EC2 says the subnet is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its id
    pub id: SubnetId,
    zone: String,
    cidr: String,
    tags: Vec<Tag>,
}

impl Subnet {
    /// Makes one of the stack's subnets.
    pub fn new(stack: &Stack, vpc: &Held<Vpc>, plan: &SubnetPlan, list: &List) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, &plan.name),
            vpc: vpc.id.clone(),
            zone: plan.zone.clone(),
            // No subnet has an empty range: one that is only looked for is found by its name alone.
            cidr: plan.cidr.map(|cidr| cidr.to_string()).unwrap_or_default(),
            list: Rc::clone(list),
        }
    }
}

impl Resource for Subnet {
    type Api = Ec2;
    type Live = Live;
    const KIND: &'static str = "subnet";
    /// It exists at once; its deletion waits for the network interfaces in it: usually 2 to 5 min, seen up to 15.
    const PATIENCE: Duration = Duration::from_secs(20 * 60);
    const USUAL: &'static str = "2 to 5 min, while network interfaces go";

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.id.to_string()
    }

    fn planned(&self) -> Live {
        Live {
            id: SubnetId::planned(&self.identity.name),
            zone: self.zone.clone(),
            cidr: self.cidr.clone(),
            tags: Vec::new(),
        }
    }

    /// Returns the subnet of that name, or else the one that has the range: another with it could not be made.
    async fn find(&self, ec2: &Ec2) -> Result<Option<Live>> {
        let list = subnets(ec2, &self.vpc, &self.list).await?;
        let named = list.iter().find(|subnet| ec2::is(&self.identity, subnet.tags()));
        let subnet = named.or_else(|| list.iter().find(|subnet| subnet.cidr_block() == Some(&self.cidr)));
        Ok(subnet.map(|subnet| Live {
            id: subnet.subnet_id().unwrap_or_default().into(),
            zone: subnet.availability_zone().unwrap_or_default().to_owned(),
            cidr: subnet.cidr_block().unwrap_or_default().to_owned(),
            tags: subnet.tags().to_vec(),
        }))
    }

    async fn create(&self, ec2: &Ec2) -> Result<Live> {
        let call = ec2.write.create_subnet().vpc_id(self.vpc.as_str());
        let call = call.availability_zone(&self.zone).cidr_block(&self.cidr);
        let call = call.tag_specifications(ec2::tags(&self.identity, ResourceType::Subnet));
        let reply = call.send().await.answer("ec2:CreateSubnet").map_err(|error| match error.code() {
            Some("InvalidParameterValue") => error.hint(
                "is the zone one of this account's? `aws ec2 describe-availability-zones` lists them; `net.zones` chooses",
            ),
            _ => error,
        })?;
        let id = reply.subnet.and_then(|subnet| subnet.subnet_id);
        Ok(Live { id: present(id, "ec2:CreateSubnet", "the subnet's id")?.into(), ..self.planned() })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let hint = "a subnet keeps its range and zone: give it its old ones back, or destroy the stack first";
        let changes = [Change::of("IPv4 range", &live.cidr, &self.cidr), Change::of("zone", &live.zone, &self.zone)];
        changes.into_iter().flatten().map(|change| change.refused(hint)).collect()
    }

    async fn delete(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        ec2.write.delete_subnet().subnet_id(live.id.as_str()).send().await.answer("ec2:DeleteSubnet")?;
        Ok(())
    }

    async fn users(&self, ec2: &Ec2, live: &Live) -> Result<Vec<String>> {
        ec2::interfaces(ec2, "subnet-id", live.id.as_str()).await
    }

    fn owner(&self, live: &Live) -> Owner {
        ec2::owner(&self.identity, &live.tags)
    }

    async fn adopt(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        ec2::adopt(ec2, live.id.as_str(), &self.identity).await
    }

    fn forget(&self) {
        self.list.forget();
    }
}
