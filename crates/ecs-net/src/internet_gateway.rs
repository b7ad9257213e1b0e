//! The internet gateway, and its attachment to the VPC.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use aws_sdk_ec2::types::{ResourceType, Tag};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{InternetGatewayId, VpcId};
use ecs_core::{Change, Error, Held, Identity, Kind, Owner, Resource, Result, Stack};

use crate::vpc::Vpc;
use crate::{Ec2, LAYER, ec2};

/// An internet gateway, attached or not.
#[derive(Debug)]
pub struct InternetGateway {
    identity: Identity,
    /// Gateways of that name that hang on nothing while another one is attached: a run that came second left them
    surplus: RefCell<Vec<InternetGatewayId>>,
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
        Self { identity: Identity::new(&stack.name, LAYER, format!("{}-igw", stack.name)), surplus: RefCell::default() }
    }

    async fn delete_surplus(&self, ec2: &Ec2) -> Result<()> {
        for id in self.surplus.take() {
            delete(ec2, &id).await?;
        }
        Ok(())
    }
}

async fn delete(ec2: &Ec2, id: &InternetGatewayId) -> Result<()> {
    let call = ec2.write.delete_internet_gateway().internet_gateway_id(id.as_str());
    call.send().await.answer_if_found("ec2:DeleteInternetGateway").map(drop)
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
        let named = ec2.read.describe_internet_gateways().filters(ec2::filter("tag:Name", self.identity.tag_name()));
        let gateways = named.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let gateways = gateways.answer("ec2:DescribeInternetGateways")?;
        let ours = gateways.into_iter().filter(|gateway| ec2::is(&self.identity, gateway.tags()));
        let mut ours: Vec<_> = ours
            .map(|gateway| Live {
                attached_to: gateway.attachments().iter().find_map(|attachment| attachment.vpc_id()).map(VpcId::from),
                id: gateway.internet_gateway_id.unwrap_or_default().into(),
                tags: gateway.tags.unwrap_or_default(),
            })
            .collect();
        ours.sort_by_key(|gateway| (gateway.attached_to.is_none(), gateway.id.to_string()));
        let mut ours = ours.into_iter();
        let chosen = ours.next();
        let attached = chosen.as_ref().is_some_and(|chosen| chosen.attached_to.is_some());
        let surplus = ours.filter(|gateway| attached && gateway.attached_to.is_none()).map(|gateway| gateway.id);
        self.surplus.replace(surplus.collect());
        Ok(chosen)
    }

    async fn create(&self, ec2: &Ec2) -> Result<Live> {
        let tags = ec2::tags(&self.identity, ResourceType::InternetGateway);
        let reply = ec2.write.create_internet_gateway().tag_specifications(tags).send().await;
        let gateway = reply.answer("ec2:CreateInternetGateway")?.internet_gateway;
        let id = gateway.and_then(|gateway| gateway.internet_gateway_id);
        Ok(Live { id: present(id, "ec2:CreateInternetGateway", "the gateway's id")?.into(), ..self.planned() })
    }

    fn diff(&self, _live: &Live) -> Vec<Change> {
        self.surplus.borrow().iter().map(|id| Change::update("surplus gateway", id.as_str(), "")).collect()
    }

    async fn update(&self, ec2: &Ec2, _live: &Live, _changes: &[Change]) -> Result<()> {
        self.delete_surplus(ec2).await
    }

    async fn delete(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        self.delete_surplus(ec2).await?;
        delete(ec2, &live.id).await
    }

    fn owner(&self, live: &Live) -> Owner {
        ec2::owner(&self.identity, &live.tags)
    }

    async fn adopt(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        ec2::adopt(ec2, live.id.as_str(), &self.identity).await
    }
}

/// The attachment of an internet gateway to the VPC, which can have one only.
#[derive(Debug)]
pub struct Attachment {
    name: String,
    gateway: InternetGatewayId,
    vpc: VpcId,
    /// What the gateway's own listing said, until somebody needs to look again
    known: RefCell<Option<Option<InternetGatewayId>>>,
    /// Whether the gateway was deleted, as the VPC has another one
    given_up: Cell<bool>,
}

impl Attachment {
    /// Makes the attachment of a gateway to a VPC.
    ///
    /// # Errors
    /// When the gateway is attached elsewhere.
    pub fn new(gateway: &Held<InternetGateway>, vpc: &Held<Vpc>, stack: &Stack) -> Result<Self> {
        let id = &gateway.id;
        let known = match &gateway.attached_to {
            Some(other) if *other != vpc.id => {
                return Err(Error::other(format!("{id} is attached to {other}, and the stack's VPC is {}", vpc.id))
                    .hint("detach it there, or delete it: another one is then made"));
            }
            Some(_) => Some(Some(id.clone())),
            // A new VPC has no other gateway either.
            None if vpc.is_new() || vpc.id.is_planned() => Some(None),
            None => None,
        };
        Ok(Self {
            name: format!("{}-igw to {}", stack.name, stack.vpc_name()),
            gateway: id.clone(),
            vpc: vpc.id.clone(),
            known: RefCell::new(known),
            given_up: Cell::new(false),
        })
    }
}

impl Resource for Attachment {
    type Api = Ec2;
    /// The gateway that is attached.
    type Live = InternetGatewayId;
    const KIND: &'static str = "attachment of internet gateway";
    /// Detaching waits for public addresses in the VPC to go: those of a deleted load balancer take minutes.
    const PATIENCE: Duration = Duration::from_secs(20 * 60);
    const USUAL: &'static str = "2 to 5 min, while public addresses go";

    fn name(&self) -> String {
        self.name.clone()
    }

    fn id(&self, live: &InternetGatewayId) -> String {
        format!("{live} to {}", self.vpc)
    }

    fn planned(&self) -> InternetGatewayId {
        self.gateway.clone()
    }

    async fn find(&self, ec2: &Ec2) -> Result<Option<InternetGatewayId>> {
        let known = self.known.borrow().clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let call = ec2.read.describe_internet_gateways().filters(ec2::filter("attachment.vpc-id", self.vpc.as_str()));
        let reply = call.send().await.answer("ec2:DescribeInternetGateways")?;
        Ok(reply.internet_gateways().first().and_then(|gateway| gateway.internet_gateway_id()).map(Into::into))
    }

    async fn create(&self, ec2: &Ec2) -> Result<InternetGatewayId> {
        let call = ec2.write.attach_internet_gateway().internet_gateway_id(self.gateway.as_str());
        let attached = call.vpc_id(self.vpc.as_str()).send().await.answer("ec2:AttachInternetGateway");
        // "Resource.AlreadyAssociated" is an attempt whose answer was lost; another run's gateway has no code of its own.
        attached.map_err(|error| match error.code() {
            Some("InvalidParameterValue") if error.message().contains("already has an internet gateway") => {
                error.with_kind(Kind::AlreadyExists)
            }
            _ => error,
        })?;
        Ok(self.gateway.clone())
    }

    fn diff(&self, live: &InternetGatewayId) -> Vec<Change> {
        let surplus = (*live != self.gateway).then(|| Change::update("surplus gateway", self.gateway.as_str(), ""));
        // Nothing hangs on it any more once it is deleted.
        surplus.filter(|_| !self.given_up.get()).into_iter().collect()
    }

    /// Deletes this run's own gateway: another one was attached first.
    async fn update(&self, ec2: &Ec2, _live: &InternetGatewayId, _changes: &[Change]) -> Result<()> {
        delete(ec2, &self.gateway).await?;
        self.given_up.set(true);
        Ok(())
    }

    async fn delete(&self, ec2: &Ec2, live: &InternetGatewayId) -> Result<()> {
        if *live != self.gateway {
            // Somebody else's, in a VPC that the stack only uses.
            return Ok(());
        }
        let call = ec2.write.detach_internet_gateway().internet_gateway_id(live.as_str());
        let detached = call.vpc_id(self.vpc.as_str()).send().await.answer("ec2:DetachInternetGateway");
        match detached {
            Err(error) if error.code() == Some("Gateway.NotAttached") => Ok(()),
            other => other.map(drop),
        }
    }

    async fn users(&self, ec2: &Ec2, _live: &InternetGatewayId) -> Result<Vec<String>> {
        ec2::interfaces(ec2, "vpc-id", self.vpc.as_str()).await
    }

    fn owner(&self, _live: &InternetGatewayId) -> Owner {
        // The gateway's owner was settled before.
        Owner::Ours
    }

    async fn adopt(&self, _ec2: &Ec2, _live: &InternetGatewayId) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.known.replace(None);
    }
}
