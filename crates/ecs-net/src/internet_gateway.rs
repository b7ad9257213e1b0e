//! The internet gateway, and its attachment to the VPC.

use std::cell::RefCell;
use std::time::Duration;

use aws_sdk_ec2::types::{ResourceType, Tag};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{InternetGatewayId, VpcId};
use ecs_core::{Error, Held, Identity, Kind, Owner, Resource, Result, Stack};

use crate::vpc::Vpc;
use crate::{Ec2, LAYER, ec2};

/// An internet gateway, attached or not.
#[derive(Debug)]
pub struct InternetGateway {
    identity: Identity,
}

/// What EC2 says the internet gateway is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its id
    pub id: InternetGatewayId,
    attached_to: Option<VpcId>,
    tags: Vec<Tag>,
}

impl InternetGateway {
    /// Makes the stack's internet gateway.
    pub fn new(stack: &Stack) -> Self {
        Self { identity: Identity::new(&stack.name, LAYER, format!("{}-igw", stack.name)) }
    }
}

impl Resource for InternetGateway {
    type Api = Ec2;
    type Live = Live;
    const KIND: &'static str = "internet gateway";
    /// It exists at once and is deleted at once.
    const PATIENCE: Duration = Duration::from_secs(5 * 60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.id.to_string()
    }

    fn planned(&self) -> Live {
        Live { id: InternetGatewayId::planned(&self.identity.name), attached_to: None, tags: Vec::new() }
    }

    async fn find(&self, ec2: &Ec2) -> Result<Option<Live>> {
        let named = ec2.read.describe_internet_gateways().filters(ec2::filter("tag:Name", &self.identity.name));
        let gateways = named.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let gateways = gateways.answer("ec2:DescribeInternetGateways")?;
        let ours: Vec<_> = gateways.into_iter().filter(|gateway| ec2::is(&self.identity, gateway.tags())).collect();
        if ours.len() > 1 {
            return Err(Error::other(format!("{} internet gateways of this stack have this name", ours.len()))
                .hint("delete all but the one that is attached to the stack's VPC"));
        }
        Ok(ours.into_iter().next().map(|gateway| Live {
            attached_to: gateway.attachments().iter().find_map(|attachment| attachment.vpc_id()).map(VpcId::from),
            id: gateway.internet_gateway_id.unwrap_or_default().into(),
            tags: gateway.tags.unwrap_or_default(),
        }))
    }

    async fn create(&self, ec2: &Ec2) -> Result<Live> {
        let tags = ec2::tags(&self.identity, ResourceType::InternetGateway);
        let reply = ec2.write.create_internet_gateway().tag_specifications(tags).send().await;
        let gateway = reply.answer("ec2:CreateInternetGateway")?.internet_gateway;
        let id = gateway.and_then(|gateway| gateway.internet_gateway_id);
        Ok(Live { id: present(id, "ec2:CreateInternetGateway", "the gateway's id")?.into(), ..self.planned() })
    }

    async fn delete(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        let call = ec2.write.delete_internet_gateway().internet_gateway_id(live.id.as_str());
        call.send().await.answer("ec2:DeleteInternetGateway")?;
        Ok(())
    }

    fn owner(&self, live: &Live) -> Owner {
        ec2::owner(&self.identity, &live.tags)
    }

    async fn adopt(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        ec2::adopt(ec2, live.id.as_str(), &self.identity).await
    }
}

/// The attachment of the internet gateway to the VPC.
#[derive(Debug)]
pub struct Attachment {
    name: String,
    gateway: InternetGatewayId,
    vpc: VpcId,
    /// What the gateway's own listing said, until somebody needs to look again.
    known: RefCell<Option<Option<VpcId>>>,
}

impl Attachment {
    /// Makes the attachment of a gateway to a VPC.
    pub fn new(gateway: &Held<InternetGateway>, vpc: &Held<Vpc>, stack: &Stack) -> Self {
        Self {
            name: format!("{}-igw to {}", stack.name, stack.vpc_name()),
            gateway: gateway.id.clone(),
            vpc: vpc.id.clone(),
            known: RefCell::new(Some(gateway.attached_to.clone())),
        }
    }
}

impl Resource for Attachment {
    type Api = Ec2;
    type Live = VpcId;
    const KIND: &'static str = "attachment of internet gateway";
    /// Detaching waits for public addresses in the VPC to go: those of a deleted load balancer take minutes.
    const PATIENCE: Duration = Duration::from_secs(20 * 60);
    const USUAL: &'static str = "2 to 5 min, while public addresses go";

    fn name(&self) -> String {
        self.name.clone()
    }

    fn id(&self, live: &VpcId) -> String {
        format!("{} to {live}", self.gateway)
    }

    fn planned(&self) -> VpcId {
        self.vpc.clone()
    }

    async fn find(&self, ec2: &Ec2) -> Result<Option<VpcId>> {
        let known = self.known.borrow().clone();
        let attached_to = match known {
            Some(known) => known,
            None => {
                let call = ec2.read.describe_internet_gateways().internet_gateway_ids(self.gateway.as_str());
                let reply = call.send().await.answer("ec2:DescribeInternetGateways")?;
                let gateway = reply.internet_gateways().first();
                gateway.and_then(|gateway| gateway.attachments().first()?.vpc_id().map(VpcId::from))
            }
        };
        match attached_to {
            Some(vpc) if vpc != self.vpc => Err(Error::other(format!("{} is attached to {vpc}", self.gateway))
                .hint("detach it there, or delete it: another one is then made")),
            attached_to => Ok(attached_to),
        }
    }

    async fn create(&self, ec2: &Ec2) -> Result<VpcId> {
        let call = ec2.write.attach_internet_gateway().internet_gateway_id(self.gateway.as_str());
        let attached = call.vpc_id(self.vpc.as_str()).send().await.answer("ec2:AttachInternetGateway");
        // "Resource.AlreadyAssociated": an attempt whose answer was lost, or somebody else's of the same stack.
        attached.map_err(|error| match error.code() {
            Some("Resource.AlreadyAssociated") => error.with_kind(Kind::AlreadyExists),
            _ => error,
        })?;
        Ok(self.vpc.clone())
    }

    async fn delete(&self, ec2: &Ec2, live: &VpcId) -> Result<()> {
        let call = ec2.write.detach_internet_gateway().internet_gateway_id(self.gateway.as_str());
        let detached = call.vpc_id(live.as_str()).send().await.answer("ec2:DetachInternetGateway");
        match detached {
            Err(error) if error.code() == Some("Gateway.NotAttached") => Ok(()),
            other => other.map(drop),
        }
    }

    fn owner(&self, _live: &VpcId) -> Owner {
        // The gateway's owner was settled before.
        Owner::Ours
    }

    async fn adopt(&self, _ec2: &Ec2, _live: &VpcId) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.known.replace(None);
    }
}
