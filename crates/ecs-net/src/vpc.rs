//! The VPC, and its DNS hostnames.

use std::cell::Cell;
use std::time::Duration;

use aws_sdk_ec2::types::{AttributeBooleanValue, ResourceType, Tag, VpcAttributeName};
use ecs_aws::{Answer as _, present};
use ecs_core::id::VpcId;
use ecs_core::{Change, Error, Held, Identity, Owner, Resource, Result, Run, Stack};

use crate::{Ec2, LAYER, ec2};

/// A VPC with one IPv4 range.
#[derive(Debug)]
pub struct Vpc {
    identity: Identity,
    cidr: String,
}

/// What EC2 says the VPC is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its id
    pub id: VpcId,
    cidr: String,
    tags: Vec<Tag>,
}

impl Vpc {
    /// Makes the stack's VPC.
    pub fn new(stack: &Stack) -> Self {
        Self { identity: Identity::new(&stack.name, LAYER, stack.vpc_name()), cidr: stack.net.cidr.to_string() }
    }
}

impl Resource for Vpc {
    type Api = Ec2;
    type Live = Live;
    const KIND: &'static str = "VPC";
    /// It exists at once; its deletion waits for network interfaces of what was in it: seen up to 15 min.
    const PATIENCE: Duration = Duration::from_secs(20 * 60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.id.to_string()
    }

    fn planned(&self) -> Live {
        Live { id: VpcId::planned(&self.identity.name), cidr: self.cidr.clone(), tags: Vec::new() }
    }

    /// Returns the VPC of that name: the stack's own, or else the only other one.
    async fn find(&self, ec2: &Ec2) -> Result<Option<Live>> {
        let named = ec2.read.describe_vpcs().filters(ec2::filter("tag:Name", &self.identity.name));
        let vpcs = named.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let (ours, others): (Vec<_>, Vec<_>) =
            vpcs.answer("ec2:DescribeVpcs")?.into_iter().partition(|vpc| ec2::is(&self.identity, vpc.tags()));
        let mut candidates = if ours.is_empty() { others } else { ours };
        let vpc = candidates.pop();
        if !candidates.is_empty() {
            return Err(Error::other(format!("{} VPCs have the name {}", candidates.len() + 1, self.identity.name))
                .hint("delete or rename all but one"));
        }
        Ok(vpc.map(|vpc| Live {
            id: vpc.vpc_id.unwrap_or_default().into(),
            cidr: vpc.cidr_block.unwrap_or_default(),
            tags: vpc.tags.unwrap_or_default(),
        }))
    }

    async fn create(&self, ec2: &Ec2) -> Result<Live> {
        let tags = ec2::tags(&self.identity, ResourceType::Vpc);
        let reply = ec2.write.create_vpc().cidr_block(&self.cidr).tag_specifications(tags).send().await;
        let id = reply.answer("ec2:CreateVpc")?.vpc.and_then(|vpc| vpc.vpc_id);
        Ok(Live { id: present(id, "ec2:CreateVpc", "the VPC's id")?.into(), ..self.planned() })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let change = Change::of("IPv4 range", &live.cidr, &self.cidr);
        change
            .map(|change| change.refused("a VPC keeps its range: give the VPC another name, or its old range back"))
            .into_iter()
            .collect()
    }

    async fn delete(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        ec2.write.delete_vpc().vpc_id(live.id.as_str()).send().await.answer("ec2:DeleteVpc")?;
        Ok(())
    }

    fn owner(&self, live: &Live) -> Owner {
        ec2::owner(&self.identity, &live.tags)
    }

    async fn adopt(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        ec2::adopt(ec2, live.id.as_str(), &self.identity).await
    }
}

/// The VPC's DNS hostnames, which private endpoints and the database's name need.
///
/// DNS support is on in every new VPC, and hostnames cannot be on without it, so this one attribute tells both:
/// <https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html>
#[derive(Debug)]
pub struct DnsHostnames {
    vpc: VpcId,
    name: String,
    known_off: Cell<bool>,
}

impl DnsHostnames {
    /// Switches DNS hostnames on; a destroy has nothing to do here.
    pub async fn ensure(run: &Run<'_>, ec2: &Ec2, vpc: &Held<Vpc>, stack: &Stack) -> Result<()> {
        if !run.destroys() {
            // A new VPC has none: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpc.html>
            let known_off = Cell::new(vpc.is_new());
            run.ensure(ec2, Self { vpc: vpc.id.clone(), name: stack.vpc_name(), known_off }).await?;
        }
        Ok(())
    }
}

impl Resource for DnsHostnames {
    type Api = Ec2;
    type Live = ();
    const KIND: &'static str = "DNS hostnames of VPC";
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        self.name.clone()
    }

    fn id(&self, _live: &()) -> String {
        self.vpc.to_string()
    }

    fn planned(&self) {}

    async fn find(&self, ec2: &Ec2) -> Result<Option<()>> {
        if self.known_off.get() {
            return Ok(None);
        }
        let attribute = VpcAttributeName::EnableDnsHostnames;
        let reply = ec2.read.describe_vpc_attribute().vpc_id(self.vpc.as_str()).attribute(attribute).send().await;
        let reply = reply.answer("ec2:DescribeVpcAttribute")?;
        Ok(reply.enable_dns_hostnames.and_then(|on| on.value).unwrap_or_default().then_some(()))
    }

    async fn create(&self, ec2: &Ec2) -> Result<()> {
        let on = AttributeBooleanValue::builder().value(true).build();
        let call = ec2.write.modify_vpc_attribute().vpc_id(self.vpc.as_str()).enable_dns_hostnames(on);
        call.send().await.answer("ec2:ModifyVpcAttribute")?;
        Ok(())
    }

    async fn delete(&self, _ec2: &Ec2, _live: &()) -> Result<()> {
        Ok(())
    }

    fn owner(&self, _live: &()) -> Owner {
        // The VPC's owner was settled before.
        Owner::Ours
    }

    async fn adopt(&self, _ec2: &Ec2, _live: &()) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.known_off.set(false);
    }
}
