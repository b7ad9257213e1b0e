//! The NAT gateways: one in each zone that has one, or one for all zones.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ec2::types::{AvailabilityMode, NatGateway as Described, NatGatewayState, ResourceType, Tag};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{AllocationId, NatGatewayId, SubnetId, VpcId};
use ecs_core::{Change, Error, Health, Identity, Kind, Listing, Owner, Resource, Result, Stack, tag};

use crate::{Ec2, LAYER, ec2, elastic_ip};

/// The stack's NAT gateways, listed once for all of them.
pub type List = Rc<Listing<Vec<Described>>>;

/// Returns the NAT gateways of a stack, those that are deleted and still listed among them.
///
/// # Errors
/// Any refusal by EC2.
pub async fn gateways(ec2: &Ec2, stack: &str, list: &List) -> Result<Rc<Vec<Described>>> {
    list.get(async || {
        let ours = ec2::filter(format!("tag:{}", tag::STACK), stack);
        let all = ec2.read.describe_nat_gateways().filter(ours).into_paginator().items().send();
        all.collect::<Result<Vec<_>, _>>().await.answer("ec2:DescribeNatGateways")
    })
    .await
}

/// Returns the identity of a zone's NAT gateway, and of its elastic IP.
pub fn identity(stack: &Stack, zone: &str) -> Identity {
    Identity::new(&stack.name, LAYER, format!("{}-nat-{zone}", stack.name))
}

/// Returns the identity of the NAT gateway that is for all zones.
pub fn regional_identity(stack: &Stack) -> Identity {
    identity(stack, "regional")
}

/// Where a NAT gateway is.
#[derive(Debug)]
enum Place {
    /// In a subnet of one zone
    Subnet(SubnetId),
    /// In a VPC. AWS extends it to each zone in which the VPC has subnets, gives it the addresses that it needs, and takes it
    /// back from zones that have none: <https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateways-regional.html>
    Vpc(VpcId),
}

/// A public NAT gateway: one with an elastic IP, or a regional one.
#[derive(Debug)]
pub struct NatGateway {
    identity: Identity,
    place: Place,
    /// Addresses of its name: the first one is for it
    addresses: Vec<AllocationId>,
    /// Those of them that were released
    released: RefCell<Vec<AllocationId>>,
    list: List,
    /// Gateways of that name that have failed or are being deleted, and still hold the address
    dying: RefCell<Vec<Described>>,
    /// How many of that name are deleted and still listed
    dead: Cell<usize>,
    /// Whether such a gateway counts: one that this run made is an error, one that a destroy finds is to go
    dying_counts: Cell<bool>,
}

/// What EC2 says the NAT gateway is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its id
    pub id: NatGatewayId,
    /// Its subnet, or for a regional one its VPC
    place: String,
    address: Option<AllocationId>,
    state: NatGatewayState,
    failure: String,
    tags: Vec<Tag>,
}

impl NatGateway {
    /// Makes the NAT gateway of a zone, in that zone's public subnet.
    pub fn zonal(
        stack: &Stack,
        zone: &str,
        subnet: &SubnetId,
        address: &elastic_ip::Live,
        listed: (&List, bool),
    ) -> Self {
        let addresses = [&address.id].into_iter().chain(&address.namesakes).cloned().collect();
        Self { addresses, ..Self::new(identity(stack, zone), Place::Subnet(subnet.clone()), listed) }
    }

    /// Makes the NAT gateway for all zones of a VPC.
    pub fn regional(stack: &Stack, vpc: &VpcId, listed: (&List, bool)) -> Self {
        Self::new(regional_identity(stack), Place::Vpc(vpc.clone()), listed)
    }

    fn new(identity: Identity, place: Place, (list, destroys): (&List, bool)) -> Self {
        Self {
            identity,
            place,
            addresses: Vec::new(),
            released: RefCell::default(),
            list: Rc::clone(list),
            dying: RefCell::default(),
            dead: Cell::new(0),
            dying_counts: Cell::new(destroys),
        }
    }

    fn live(&self, gateway: &Described) -> Live {
        let code = gateway.failure_code().unwrap_or("no FailureCode");
        Live {
            id: gateway.nat_gateway_id().unwrap_or_default().into(),
            place: gateway.subnet_id().or(gateway.vpc_id()).unwrap_or_default().to_owned(),
            address: gateway.nat_gateway_addresses().iter().find_map(|address| address.allocation_id()).map(Into::into),
            state: gateway.state().cloned().unwrap_or(NatGatewayState::Pending),
            failure: format!("{code}: {}", gateway.failure_message().unwrap_or("AWS gives no reason")),
            tags: gateway.tags().to_vec(),
        }
    }
}

impl NatGateway {
    fn place(&self) -> String {
        match &self.place {
            Place::Subnet(id) => id.to_string(),
            Place::Vpc(id) => id.to_string(),
        }
    }

    fn surplus(&self, live: &Live) -> Vec<AllocationId> {
        let (Some(used), released) = (&live.address, self.released.borrow()) else { return Vec::new() };
        let unused = self.addresses.iter().filter(|id| *id != used && !released.contains(id));
        unused.cloned().collect()
    }
}

impl Resource for NatGateway {
    type Api = Ec2;
    type Live = Live;
    const KIND: &'static str = "NAT gateway";
    /// The SDK's waiter gives it 40 × 15 s.
    const PATIENCE: Duration = Duration::from_secs(10 * 60);
    const USUAL: &'static str = "1 to 2 min";
    const LINGERS: bool = true;

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.id.to_string()
    }

    fn planned(&self) -> Live {
        Live {
            id: NatGatewayId::planned(&self.identity.name),
            place: self.place(),
            address: self.addresses.first().cloned(),
            state: NatGatewayState::Available,
            failure: String::new(),
            tags: Vec::new(),
        }
    }

    /// Returns the NAT gateway if it exists.
    ///
    /// A `deleted` one is absent: EC2 lists it for about an hour. One that is `failed` or `deleting` is too, unless this
    /// run made it or is to delete it: it can never work, and EC2 takes an hour to delete a failed one by itself.
    async fn find(&self, ec2: &Ec2) -> Result<Option<Live>> {
        let list = gateways(ec2, &self.identity.stack, &self.list).await?;
        let ours = list.iter().filter(|gateway| ec2::is(&self.identity, gateway.tags()));
        let (dead, ours): (Vec<_>, Vec<_>) =
            ours.partition(|gateway| gateway.state() == Some(&NatGatewayState::Deleted));
        self.dead.set(dead.len());
        let (dying, alive): (Vec<_>, Vec<_>) =
            ours.into_iter().partition(|gateway| is_dying(gateway) && !self.dying_counts.get());
        self.dying.replace(dying.into_iter().cloned().collect());
        Ok(alive.first().map(|gateway| self.live(gateway)))
    }

    async fn create(&self, ec2: &Ec2) -> Result<Live> {
        // The address is free only when whatever held it is gone.
        let dying = self.dying.take();
        for gateway in dying.iter().filter(|gateway| gateway.state() == Some(&NatGatewayState::Failed)) {
            let deleted = ec2.write.delete_nat_gateway().nat_gateway_id(gateway.nat_gateway_id().unwrap_or_default());
            deleted.send().await.answer("ec2:DeleteNatGateway")?;
        }
        if let Some(gateway) = dying.first() {
            let id = gateway.nat_gateway_id().unwrap_or_default();
            return Err(Error::new(Kind::Busy, format!("{id} still holds the address and is being deleted")));
        }
        // The token does not say which address: of two runs with an address each, the second is refused.
        let before = self.dead.get().to_string();
        let (place, minutes) = (self.place(), ec2::minutes()?);
        let parts = [place.as_str(), &before, &minutes];
        let call = ec2.write.create_nat_gateway().client_token(self.identity.token(&parts));
        let call = match &self.place {
            Place::Subnet(id) => call.subnet_id(id.as_str()),
            Place::Vpc(id) => call.vpc_id(id.as_str()).availability_mode(AvailabilityMode::Regional),
        };
        let call = call.set_allocation_id(self.addresses.first().map(ToString::to_string));
        let call = call.tag_specifications(ec2::tags(&self.identity, ResourceType::Natgateway));
        let reply = call.send().await.answer("ec2:CreateNatGateway").map_err(|error| match error.code() {
            Some("IdempotentParameterMismatch") => error.with_kind(Kind::AlreadyExists),
            _ => error,
        })?;
        self.dying_counts.set(true);
        Ok(self.live(&present(reply.nat_gateway, "ec2:CreateNatGateway", "the NAT gateway")?))
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let field = match &self.place {
            Place::Subnet(_) => "subnet",
            Place::Vpc(_) => "VPC",
        };
        let change = Change::of(field, &live.place, &self.place());
        let hint = "a NAT gateway stays in its subnet: run `ecs-net destroy` first";
        let surplus = self.surplus(live).into_iter().map(|id| Change::update("surplus elastic IP", id.as_str(), ""));
        change.map(|change| change.refused(hint)).into_iter().chain(surplus).collect()
    }

    /// Releases the addresses of its name that it does not use: another run was first with its own.
    async fn update(&self, ec2: &Ec2, live: &Live, _changes: &[Change]) -> Result<()> {
        for id in self.surplus(live) {
            elastic_ip::release(ec2, &id).await?;
            self.released.borrow_mut().push(id);
        }
        Ok(())
    }

    async fn delete(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        if live.state == NatGatewayState::Deleting {
            return Ok(());
        }
        let call = ec2.write.delete_nat_gateway().nat_gateway_id(live.id.as_str());
        call.send().await.answer("ec2:DeleteNatGateway")?;
        Ok(())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "a state that EC2 has since learnt is a pending one")]
    fn health(&self, live: &Live) -> Health {
        match live.state {
            NatGatewayState::Available => Health::Ready,
            NatGatewayState::Failed => Health::Failed(live.failure.clone()),
            NatGatewayState::Deleting | NatGatewayState::Deleted => {
                Health::Failed("somebody is deleting it: run again when it is gone".to_owned())
            }
            ref other => Health::Pending(other.as_str().to_owned()),
        }
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

fn is_dying(gateway: &Described) -> bool {
    matches!(gateway.state(), Some(NatGatewayState::Failed | NatGatewayState::Deleting))
}
