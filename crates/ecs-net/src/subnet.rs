//! One subnet in one zone.

use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ec2::types::{ResourceType, Subnet as Described, Tag};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{SubnetId, VpcId};
use ecs_core::stack::SubnetPlan;
use ecs_core::{Change, Held, Identity, Listing, Owner, Resource, Result, Stack, tag};
use ipnet::Ipv4Net;

use crate::vpc::Vpc;
use crate::{Ec2, LAYER, ec2};

/// The subnets of one VPC, listed once for all of them.
pub type List = Rc<Listing<Vec<Described>>>;

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

/// Fits computed ranges to the subnets that there are.
///
/// A subnet keeps the range that it has, in whatever order the zones now stand; a new one whose range another subnet of
/// the stack has gets the next block that is free.
///
/// # Errors
/// Any refusal by EC2.
pub async fn fitted(
    ec2: &Ec2,
    stack: &Stack,
    (vpc, list): (&Held<Vpc>, &List),
    plans: &[SubnetPlan],
) -> Result<Vec<SubnetPlan>> {
    if vpc.is_new() || vpc.id.is_planned() {
        return Ok(plans.to_vec());
    }
    let subnets = subnets(ec2, &vpc.id, list).await?;
    Ok(fit(stack, plans, &subnets))
}

fn fit(stack: &Stack, plans: &[SubnetPlan], subnets: &[Described]) -> Vec<SubnetPlan> {
    let ours: Vec<(String, Ipv4Net)> = subnets
        .iter()
        .filter(|subnet| ec2::owner(&Identity::new(&stack.name, LAYER, ""), subnet.tags()) == Owner::Ours)
        .filter_map(|subnet| {
            let name = subnet.tags().iter().find(|tag| tag.key() == Some(tag::NAME))?.value()?;
            Some((name.to_owned(), subnet.cidr_block()?.parse().ok()?))
        })
        .collect();
    let computed = |plan: &SubnetPlan| plan.cidr.is_some() && stack.net.given_cidrs(plan.tier).is_none();
    let live = |plan: &SubnetPlan| ours.iter().find(|(name, _)| *name == plan.name).map(|(_, range)| *range);
    let overlaps =
        |one: Ipv4Net, others: &[Ipv4Net]| others.iter().any(|other| other.contains(&one) || one.contains(other));
    let mut taken: Vec<Ipv4Net> = ours.iter().map(|(_, range)| *range).collect();
    taken.extend(plans.iter().filter(|plan| !computed(plan)).filter_map(|plan| plan.cidr));
    let mut wanted: Vec<Ipv4Net> = plans.iter().filter_map(|plan| plan.cidr).collect();
    let mut fitted = plans.to_vec();
    for plan in fitted.iter_mut().filter(|plan| computed(plan)) {
        if let Some(range) = live(plan) {
            plan.cidr = Some(range);
            continue;
        }
        if plan.cidr.is_some_and(|range| overlaps(range, &taken)) {
            let free = |block: &Ipv4Net| !overlaps(*block, &taken) && !overlaps(*block, &wanted);
            // Without a free block EC2 says what is in the way.
            plan.cidr = stack.net.blocks().into_iter().find(free).or(plan.cidr);
        }
        taken.extend(plan.cidr);
        wanted.extend(plan.cidr);
    }
    fitted
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
    /// Its IPv4 range
    pub cidr: String,
    zone: String,
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

#[cfg(test)]
mod tests {
    use ecs_core::stack::Zones;

    use super::*;

    fn plans(stack: &Stack, subnets: &[Described]) -> Vec<String> {
        let line =
            |plan: &SubnetPlan| format!("{} {}", plan.name, plan.cidr.map(|c| c.to_string()).unwrap_or_default());
        fit(stack, &stack.subnets("us-east-1"), subnets).iter().map(line).collect()
    }

    fn subnet(stack: &str, name: &str, range: &str) -> Described {
        let tags = Identity::new(stack, LAYER, name).tags(|key, value| Tag::builder().key(key).value(value).build());
        Described::builder().cidr_block(range).set_tags(Some(tags)).build()
    }

    #[test]
    fn a_subnet_keeps_its_range_and_a_new_one_takes_a_free_one() {
        let mut stack = Stack { name: "prod".to_owned(), ..Stack::default() };
        stack.net.zones = Zones::Named(vec!["b".to_owned(), "c".to_owned()]);
        let live = [
            subnet("prod", "prod-public-us-east-1a", "10.0.1.0/24"),
            subnet("prod", "prod-public-us-east-1b", "10.0.2.0/24"),
            subnet("prod", "prod-private-us-east-1a", "10.0.3.0/24"),
            subnet("prod", "prod-private-us-east-1b", "10.0.4.0/24"),
        ];
        assert_eq!(
            plans(&stack, &live),
            [
                "prod-public-us-east-1b 10.0.2.0/24",
                "prod-public-us-east-1c 10.0.5.0/24",
                "prod-private-us-east-1b 10.0.4.0/24",
                "prod-private-us-east-1c 10.0.6.0/24",
            ]
        );
        // What is not the stack's is in the way, and said so.
        assert_eq!(plans(&stack, &[subnet("other", "x", "10.0.2.0/24")])[1], "prod-public-us-east-1c 10.0.2.0/24");
        // Ranges that the file gives are what it says.
        stack.net.public_cidrs = Some(vec!["10.0.64.0/20".parse().expect("a"), "10.0.80.0/20".parse().expect("b")]);
        assert_eq!(plans(&stack, &live)[0], "prod-public-us-east-1b 10.0.64.0/20");
    }
}
