//! Route tables, their default routes, and their associations with subnets.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ec2::types::{ResourceType, RouteTable as Described, Tag};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{InternetGatewayId, NatGatewayId, RouteTableId, SubnetId, VpcId};
use ecs_core::{Change, Error, Held, Identity, Kind, Listing, Owner, Resource, Result, Stack};

use crate::claim::{Claim, claim};
use crate::vpc::Vpc;
use crate::{Ec2, LAYER, ec2, subnet};

/// Where the default route goes from.
const EVERYWHERE: &str = "0.0.0.0/0";
/// Route tables, routes and associations exist at once and are deleted at once.
const AT_ONCE: Duration = Duration::from_secs(5 * 60);

/// The route tables of one VPC, listed once for all that reads them.
pub type List = Rc<Listing<Vec<Described>>>;

/// Makes the list of a VPC's route tables: a new VPC has the one that it was claimed with, and its main one.
pub fn listing(vpc: &Held<Vpc>) -> List {
    let known = vpc.is_new() || vpc.id.is_planned();
    Rc::new(if known { Listing::known(vpc.public_table.iter().cloned().collect()) } else { Listing::default() })
}

/// Returns the identity of the stack's public route table, which claims the stack's VPC.
pub fn public_identity(stack: &Stack) -> Identity {
    Identity::new(&stack.name, LAYER, format!("{}-public", stack.name))
}

async fn tables(ec2: &Ec2, vpc: &VpcId, list: &List) -> Result<Rc<Vec<Described>>> {
    list.get(async || {
        let all = ec2.read.describe_route_tables().filters(ec2::filter("vpc-id", vpc.as_str()));
        all.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.answer("ec2:DescribeRouteTables")
    })
    .await
}

/// A route table.
#[derive(Debug)]
pub struct RouteTable {
    identity: Identity,
    vpc: VpcId,
    /// Whether it claims the VPC, and how often the claim was lost
    claims: Option<Cell<u32>>,
    list: List,
}

/// What EC2 says the route table is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its id
    pub id: RouteTableId,
    name: String,
    vpc: VpcId,
    list: List,
    tags: Vec<Tag>,
}

impl RouteTable {
    /// Makes the route table of the public subnets.
    pub fn public(stack: &Stack, vpc: &Held<Vpc>, list: &List) -> Self {
        let (identity, claims) = (public_identity(stack), Some(Cell::new(0)));
        Self { identity, vpc: vpc.id.clone(), claims, list: Rc::clone(list) }
    }

    /// Makes the route table of a zone's private subnets.
    pub fn private(stack: &Stack, vpc: &Held<Vpc>, zone: &str, list: &List) -> Self {
        let identity = Identity::new(&stack.name, LAYER, format!("{}-private-{zone}", stack.name));
        Self { identity, vpc: vpc.id.clone(), claims: None, list: Rc::clone(list) }
    }

    async fn create_in(&self, ec2: &Ec2) -> Result<Option<Described>> {
        let Some(round) = &self.claims else {
            let call = ec2.write.create_route_table().vpc_id(self.vpc.as_str());
            let call = call.client_token(self.identity.token(&[self.vpc.as_str(), &ec2::minutes()?]));
            let call = call.tag_specifications(ec2::tags(&self.identity, ResourceType::RouteTable));
            return Ok(call.send().await.answer("ec2:CreateRouteTable")?.route_table);
        };
        match claim(ec2, &self.identity, &self.vpc, (&ec2::minutes()?, round.get())).await? {
            Claim::Won(table) => Ok(Some(*table)),
            Claim::Lost => {
                round.set(round.get() + 1);
                let all = ec2.read.describe_route_tables().filters(ec2::filter("tag:Name", &self.identity.name));
                let all = all.send().await.answer("ec2:DescribeRouteTables")?;
                let claimed = all.route_tables().iter().find(|table| ec2::is(&self.identity, table.tags()));
                Err(match claimed.and_then(Described::vpc_id) {
                    Some(other) => Error::other(format!("another run makes this stack in {other} at the same moment"))
                        .hint("run again when it is done"),
                    None => Error::new(Kind::Transient, "a VPC of this stack was deleted in the last minutes"),
                })
            }
        }
    }
}

impl Resource for RouteTable {
    type Api = Ec2;
    type Live = Live;
    const KIND: &'static str = "route table";
    const PATIENCE: Duration = AT_ONCE;

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.id.to_string()
    }

    fn planned(&self) -> Live {
        Live {
            id: RouteTableId::planned(&self.identity.name),
            name: self.identity.name.clone(),
            vpc: self.vpc.clone(),
            list: Rc::clone(&self.list),
            tags: Vec::new(),
        }
    }

    async fn find(&self, ec2: &Ec2) -> Result<Option<Live>> {
        let tables = tables(ec2, &self.vpc, &self.list).await?;
        let table = tables.iter().find(|table| ec2::is(&self.identity, table.tags()));
        Ok(table.map(|table| Live {
            id: table.route_table_id().unwrap_or_default().into(),
            tags: table.tags().to_vec(),
            ..self.planned()
        }))
    }

    async fn create(&self, ec2: &Ec2) -> Result<Live> {
        let id = self.create_in(ec2).await?.and_then(|table| table.route_table_id);
        Ok(Live { id: present(id, "ec2:CreateRouteTable", "the route table's id")?.into(), ..self.planned() })
    }

    async fn delete(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        let call = ec2.write.delete_route_table().route_table_id(live.id.as_str());
        call.send().await.answer("ec2:DeleteRouteTable")?;
        Ok(())
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

/// Where a default route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To the internet
    InternetGateway(InternetGatewayId),
    /// To a NAT gateway
    NatGateway(NatGatewayId),
}

impl Target {
    fn id(&self) -> &str {
        match self {
            Target::InternetGateway(id) => id.as_str(),
            Target::NatGateway(id) => id.as_str(),
        }
    }
}

/// The default route of a route table.
#[derive(Debug)]
pub struct Route {
    table: Live,
    target: Target,
}

impl Route {
    /// Makes the default route of a table.
    pub fn new(table: &Held<RouteTable>, target: Target) -> Self {
        Self { table: (**table).clone(), target }
    }
}

impl Resource for Route {
    type Api = Ec2;
    /// The id of what the route leads to.
    type Live = String;
    const KIND: &'static str = "default route of";
    const PATIENCE: Duration = AT_ONCE;

    fn name(&self) -> String {
        self.table.name.clone()
    }

    fn id(&self, live: &String) -> String {
        format!("to {live}")
    }

    fn planned(&self) -> String {
        self.target.id().to_owned()
    }

    async fn find(&self, ec2: &Ec2) -> Result<Option<String>> {
        let tables = tables(ec2, &self.table.vpc, &self.table.list).await?;
        let table = tables.iter().find(|table| table.route_table_id() == Some(self.table.id.as_str()));
        let route = table
            .and_then(|table| table.routes().iter().find(|route| route.destination_cidr_block() == Some(EVERYWHERE)));
        Ok(route.map(|route| {
            let target = route.nat_gateway_id().or(route.gateway_id()).or(route.network_interface_id());
            target.unwrap_or("something else").to_owned()
        }))
    }

    async fn create(&self, ec2: &Ec2) -> Result<String> {
        let call = ec2.write.create_route().route_table_id(self.table.id.as_str()).destination_cidr_block(EVERYWHERE);
        let call = match &self.target {
            Target::InternetGateway(id) => call.gateway_id(id.as_str()),
            Target::NatGateway(id) => call.nat_gateway_id(id.as_str()),
        };
        call.send().await.answer("ec2:CreateRoute").map_err(not_yet)?;
        Ok(self.target.id().to_owned())
    }

    fn diff(&self, live: &String) -> Vec<Change> {
        Change::of("target", live, &self.target.id().to_owned()).into_iter().collect()
    }

    async fn update(&self, ec2: &Ec2, _live: &String, _changes: &[Change]) -> Result<()> {
        let call = ec2.write.replace_route().route_table_id(self.table.id.as_str()).destination_cidr_block(EVERYWHERE);
        let call = match &self.target {
            Target::InternetGateway(id) => call.gateway_id(id.as_str()),
            Target::NatGateway(id) => call.nat_gateway_id(id.as_str()),
        };
        call.send().await.answer("ec2:ReplaceRoute").map_err(not_yet)?;
        Ok(())
    }

    async fn delete(&self, ec2: &Ec2, _live: &String) -> Result<()> {
        let call = ec2.write.delete_route().route_table_id(self.table.id.as_str()).destination_cidr_block(EVERYWHERE);
        call.send().await.answer("ec2:DeleteRoute")?;
        Ok(())
    }

    fn owner(&self, _live: &String) -> Owner {
        // The route table's owner was settled before.
        Owner::Ours
    }

    async fn adopt(&self, _ec2: &Ec2, _live: &String) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.table.list.forget();
    }
}

/// A NAT gateway that is still pending may be unknown to the route table:
/// <https://github.com/kubernetes/kops/issues/944>
fn not_yet(error: Error) -> Error {
    if error.code() == Some("InvalidNatGatewayID.NotFound") { error.with_kind(Kind::NotYet) } else { error }
}

/// The association of a subnet with its route table.
#[derive(Debug)]
pub struct Association {
    table: Live,
    subnet: SubnetId,
    name: String,
}

/// What EC2 says the association is.
#[derive(Debug, Clone)]
pub struct Associated {
    id: String,
    table: RouteTableId,
}

impl Association {
    /// Makes the association of a subnet with a table.
    pub fn new(table: &Held<RouteTable>, subnet: &subnet::Live, subnet_name: &str) -> Self {
        Self { table: (**table).clone(), subnet: subnet.id.clone(), name: subnet_name.to_owned() }
    }
}

impl Resource for Association {
    type Api = Ec2;
    type Live = Associated;
    const KIND: &'static str = "route table association of";
    const PATIENCE: Duration = AT_ONCE;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn id(&self, live: &Associated) -> String {
        live.id.clone()
    }

    fn planned(&self) -> Associated {
        Associated { id: ecs_core::id::planned(Self::KIND, &self.name), table: self.table.id.clone() }
    }

    async fn find(&self, ec2: &Ec2) -> Result<Option<Associated>> {
        let tables = tables(ec2, &self.table.vpc, &self.table.list).await?;
        let mut all = tables.iter().flat_map(|table| table.associations());
        let association = all.find(|association| association.subnet_id() == Some(self.subnet.as_str()));
        Ok(association.map(|association| Associated {
            id: association.route_table_association_id().unwrap_or_default().to_owned(),
            table: association.route_table_id().unwrap_or_default().into(),
        }))
    }

    async fn create(&self, ec2: &Ec2) -> Result<Associated> {
        let call = ec2.write.associate_route_table().route_table_id(self.table.id.as_str());
        let reply = call.subnet_id(self.subnet.as_str()).send().await.answer("ec2:AssociateRouteTable")?;
        let id = present(reply.association_id, "ec2:AssociateRouteTable", "the association's id")?;
        Ok(Associated { id, table: self.table.id.clone() })
    }

    fn diff(&self, live: &Associated) -> Vec<Change> {
        Change::of("route table", &live.table, &self.table.id).into_iter().collect()
    }

    async fn update(&self, ec2: &Ec2, live: &Associated, _changes: &[Change]) -> Result<()> {
        let call = ec2.write.replace_route_table_association().association_id(&live.id);
        let call = call.route_table_id(self.table.id.as_str());
        call.send().await.answer("ec2:ReplaceRouteTableAssociation")?;
        Ok(())
    }

    async fn delete(&self, ec2: &Ec2, live: &Associated) -> Result<()> {
        let call = ec2.write.disassociate_route_table().association_id(&live.id);
        call.send().await.answer("ec2:DisassociateRouteTable")?;
        Ok(())
    }

    fn owner(&self, _live: &Associated) -> Owner {
        // The subnet's and the table's owners were settled before.
        Owner::Ours
    }

    async fn adopt(&self, _ec2: &Ec2, _live: &Associated) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.table.list.forget();
    }
}
