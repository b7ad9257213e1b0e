//! The VPC, and its DNS hostnames.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ec2::types::{AttributeBooleanValue, ResourceType, RouteTable, Tag, Vpc as Described, VpcAttributeName};
use ecs_aws::{Answer as _, present};
use ecs_core::id::VpcId;
use ecs_core::{Change, Error, Held, Identity, Kind, Listing, Owner, Resource, Result, Run, Stack, tag};

use crate::claim::{Claim, claim};
use crate::{Ec2, LAYER, ec2, route_table};

/// A VPC with one IPv4 range.
#[derive(Debug)]
pub struct Vpc {
    identity: Identity,
    cidr: String,
    /// The route table that claims it
    public_table: Identity,
    /// VPCs of this stack that are not the stack's: a run lost its claim, and maybe was killed before it deleted them
    surplus: RefCell<Vec<VpcId>>,
    /// Those of them that this run has deleted; EC2 may still list them
    lost: RefCell<Vec<VpcId>>,
    /// The one that this run has made; EC2 may not show it yet
    made: RefCell<Option<VpcId>>,
}

/// What EC2 says the VPC is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its id
    pub id: VpcId,
    /// The public route table, where this run made it together with the VPC
    pub public_table: Option<RouteTable>,
    cidr: String,
    tags: Vec<Tag>,
}

impl Vpc {
    /// Makes the stack's VPC.
    pub fn new(stack: &Stack) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, stack.vpc_name()),
            cidr: stack.net.cidr.to_string(),
            public_table: route_table::public_identity(stack),
            surplus: RefCell::default(),
            lost: RefCell::default(),
            made: RefCell::default(),
        }
    }

    /// Returns the ids of all VPCs of this identity, and all others of this name.
    async fn namesakes(&self, ec2: &Ec2) -> Result<(Vec<Described>, Vec<Described>)> {
        let named = ec2.read.describe_vpcs().filters(ec2::filter("tag:Name", self.identity.tag_name()));
        let vpcs = named.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        let lost = self.lost.borrow();
        let alive = vpcs.answer("ec2:DescribeVpcs")?.into_iter().filter(|vpc| !lost.iter().any(|lost| is(vpc, lost)));
        Ok(alive.partition(|vpc| ec2::is(&self.identity, vpc.tags())))
    }

    /// Chooses the one that is claimed, by its public route table; without any, all runs choose the same one, but a run that has
    /// made one itself claims that first.
    async fn choose(&self, ec2: &Ec2, mut ours: Vec<Described>) -> Result<Option<Described>> {
        if ours.is_empty() {
            return Ok(None);
        }
        ours.sort_by(|one, other| one.vpc_id().cmp(&other.vpc_id()));
        let made = self.made.borrow().clone();
        let ids = ours.iter().filter_map(|vpc| vpc.vpc_id().map(str::to_owned)).collect();
        let within = aws_sdk_ec2::types::Filter::builder().name("vpc-id").set_values(Some(ids)).build();
        let named = ec2::filter("tag:Name", self.public_table.tag_name());
        let tables = ec2.read.describe_route_tables().filters(within).filters(named).send().await;
        let tables = tables.answer("ec2:DescribeRouteTables")?;
        let claimed = tables.route_tables().iter().find(|table| ec2::is(&self.public_table, table.tags()));
        let Some(claimed) = claimed.and_then(RouteTable::vpc_id) else {
            return Ok(ours.into_iter().next().filter(|_| made.is_none()));
        };
        // It may not be listed yet.
        let unlisted = made.filter(|made| !ours.iter().any(|vpc| is(vpc, made)));
        let (chosen, surplus): (Vec<_>, Vec<_>) = ours.into_iter().partition(|vpc| vpc.vpc_id() == Some(claimed));
        *self.surplus.borrow_mut() =
            surplus.iter().filter_map(|vpc| vpc.vpc_id().map(VpcId::from)).chain(unlisted).collect();
        Ok(chosen.into_iter().next())
    }

    async fn delete_surplus(&self, ec2: &Ec2) -> Result<()> {
        let surplus = self.surplus.borrow().clone();
        for id in surplus {
            match ec2.write.delete_vpc().vpc_id(id.as_str()).send().await.answer("ec2:DeleteVpc") {
                // It was made a moment ago, and is there although EC2 does not show it.
                Err(error) if error.kind() == Kind::NotFound && self.made.borrow().as_ref() == Some(&id) => {
                    return Err(error.with_kind(Kind::NotYet));
                }
                Err(error) if error.kind() != Kind::NotFound => {
                    let hint = format!("the stack has another VPC; delete {id} and what is in it, then run again");
                    return Err(error.hint(hint));
                }
                Ok(_) | Err(_) => {}
            }
            self.surplus.borrow_mut().retain(|other| *other != id);
            self.made.borrow_mut().take_if(|made| *made == id);
            self.lost.borrow_mut().push(id);
        }
        Ok(())
    }
}

impl Vpc {
    fn live(&self, vpc: Described) -> Live {
        Live {
            id: vpc.vpc_id.unwrap_or_default().into(),
            cidr: vpc.cidr_block.unwrap_or_default(),
            tags: vpc.tags.unwrap_or_default(),
            ..self.planned()
        }
    }
}

/// Makes a list of things in a VPC, or of the stack's: known to be empty when the VPC is new, as none comes with it.
pub fn listing<T>(vpc: &Held<Vpc>) -> Rc<Listing<Vec<T>>> {
    listing_of(vpc, Vec::new())
}

/// Makes a list of things in a VPC: known to be these when the VPC is new.
pub fn listing_of<T>(vpc: &Held<Vpc>, with_new: Vec<T>) -> Rc<Listing<Vec<T>>> {
    Rc::new(if vpc.is_new() || vpc.id.is_planned() { Listing::known(with_new) } else { Listing::default() })
}

/// Returns the VPCs that a stack has made, whatever their names are.
///
/// # Errors
/// Any refusal by EC2.
pub async fn own(ec2: &Ec2, stack: &Stack) -> Result<Vec<VpcId>> {
    let tagged = ec2.read.describe_vpcs().filters(ec2::filter(format!("tag:{}", tag::STACK), &stack.name));
    let vpcs = tagged.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    let identity = Identity::new(&stack.name, LAYER, "");
    let ours =
        vpcs.answer("ec2:DescribeVpcs")?.into_iter().filter(|vpc| ec2::owner(&identity, vpc.tags()) == Owner::Ours);
    Ok(ours.filter_map(|vpc| vpc.vpc_id.map(Into::into)).collect())
}

fn is(vpc: &Described, id: &VpcId) -> bool {
    vpc.vpc_id() == Some(id.as_str())
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
        Live { id: VpcId::planned(&self.identity.name), cidr: self.cidr.clone(), public_table: None, tags: Vec::new() }
    }

    /// Returns the VPC of that name: the stack's own, or else the only other one.
    async fn find(&self, ec2: &Ec2) -> Result<Option<Live>> {
        let (mut ours, mut others) = self.namesakes(ec2).await?;
        if self.made.borrow().is_some() {
            // This run's own has to be claimed first, unless another one has been.
            let chosen = self.choose(ec2, ours).await?;
            return Ok(chosen.map(|vpc| self.live(vpc)));
        }
        let vpc = match (ours.len(), others.len()) {
            (0, 0 | 1) => others.pop(),
            (0, many) => {
                return Err(Error::other(format!("{many} VPCs have the name {}", self.identity.name))
                    .hint("delete or rename all but one"));
            }
            (1, _) => ours.pop(),
            _ => self.choose(ec2, ours).await?,
        };
        Ok(vpc.map(|vpc| self.live(vpc)))
    }

    /// Creates the VPC and claims it. When the claim is lost the VPC goes again, and the engine looks for the other one.
    async fn create(&self, ec2: &Ec2) -> Result<Live> {
        let minutes = ec2::minutes()?;
        let made = self.made.borrow().clone();
        let id = match made {
            Some(made) => made,
            None => {
                let tags = ec2::tags(&self.identity, ResourceType::Vpc);
                let reply = ec2.write.create_vpc().cidr_block(&self.cidr).tag_specifications(tags).send().await;
                let id = reply.answer("ec2:CreateVpc")?.vpc.and_then(|vpc| vpc.vpc_id);
                present(id, "ec2:CreateVpc", "the VPC's id")?.into()
            }
        };
        self.made.replace(Some(id.clone()));
        let live = Live { id, ..self.planned() };
        let round = self.lost.borrow().len().try_into().unwrap_or(u32::MAX);
        match claim(ec2, &self.public_table, &live.id, (&minutes, round)).await {
            Ok(Claim::Won(table)) => Ok(Live { public_table: Some(*table), ..live }),
            Ok(Claim::Lost) => {
                self.surplus.borrow_mut().push(live.id);
                self.delete_surplus(ec2).await?;
                Err(Error::new(Kind::Transient, "another run has made a VPC for this stack in the last minutes"))
            }
            Err(error) => {
                let error = error.left_behind(format!("VPC {} ({})", self.identity.name, live.id));
                Err(if error.kind() == Kind::NotFound { error.with_kind(Kind::NotYet) } else { error })
            }
        }
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let change = Change::of("IPv4 range", &live.cidr, &self.cidr);
        let change = change
            .map(|change| change.refused("a VPC keeps its range: give the VPC another name, or its old range back"));
        let surplus = self.surplus.borrow();
        change.into_iter().chain(surplus.iter().map(|id| Change::update("surplus VPC", id.as_str(), ""))).collect()
    }

    /// Deletes what a run that lost its claim has left.
    async fn update(&self, ec2: &Ec2, _live: &Live, _changes: &[Change]) -> Result<()> {
        self.delete_surplus(ec2).await
    }

    async fn delete(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        self.delete_surplus(ec2).await?;
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
