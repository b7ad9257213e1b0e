//! Route tables, their default routes, and their associations with subnets.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ec2::types::{ResourceType, Route as DescribedRoute, RouteTable as Described, Tag};
use ecs_aws::{Answer as _, present};
use ecs_core::id::{InternetGatewayId, NatGatewayId, RouteTableId, SubnetId, VpcId};
use ecs_core::stack::Tier;
use ecs_core::{Change, Error, Held, Identity, Kind, Listing, Owner, Resource, Result, Run, Stack};

use crate::claim::{Claim, claim};
use crate::vpc::{self, Vpc};
use crate::{Ec2, LAYER, ec2, subnet};

/// Where the default route goes from.
const EVERYWHERE: &str = "0.0.0.0/0";
/// Route tables, routes and associations exist at once and are deleted at once.
const AT_ONCE: Duration = Duration::from_secs(5 * 60);

/// The route tables of one VPC, listed once for all that reads them.
pub type List = Rc<Listing<Vec<Described>>>;

/// Makes the list of a VPC's route tables: a new VPC has the one that it was claimed with, and its main one.
pub fn listing(vpc: &Held<Vpc>) -> List {
    vpc::listing_of(vpc, vpc.public_table.iter().cloned().collect())
}

/// Returns the identity of the stack's public route table, which claims the stack's VPC.
pub fn public_identity(stack: &Stack) -> Identity {
    Identity::new(&stack.name, LAYER, format!("{}-public", stack.name))
}

/// Returns the identity of the route table of a zone's private or database subnet, which has the subnet's name.
pub fn zone_identity(stack: &Stack, tier: Tier, zone: &str) -> Identity {
    Identity::new(&stack.name, LAYER, stack.subnet_name(tier, zone))
}

/// Returns the route tables of a VPC.
///
/// # Errors
/// Any refusal by EC2.
pub async fn tables(ec2: &Ec2, vpc: &VpcId, list: &List) -> Result<Rc<Vec<Described>>> {
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

    /// Makes the route table of a zone's private or database subnet.
    pub fn of_zone(stack: &Stack, vpc: &Held<Vpc>, (tier, zone): (Tier, &str), list: &List) -> Self {
        let identity = zone_identity(stack, tier, zone);
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
                let all = ec2.read.describe_route_tables().filters(ec2::filter("tag:Name", self.identity.tag_name()));
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
        default_route(ec2, &self.table).await
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
        delete_default_route(ec2, &self.table).await
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

/// Returns what a table's default route leads to.
async fn default_route(ec2: &Ec2, table: &Live) -> Result<Option<String>> {
    let tables = tables(ec2, &table.vpc, &table.list).await?;
    let table = tables.iter().find(|other| other.route_table_id() == Some(table.id.as_str()));
    let route =
        table.and_then(|table| table.routes().iter().find(|to| to.destination_cidr_block() == Some(EVERYWHERE)));
    Ok(route.map(target))
}

/// Returns what a route leads to.
pub fn target(route: &DescribedRoute) -> String {
    let target = route.nat_gateway_id().or(route.gateway_id()).or(route.network_interface_id());
    let target = target.or(route.transit_gateway_id()).or(route.vpc_peering_connection_id());
    target.unwrap_or("something else").to_owned()
}

async fn delete_default_route(ec2: &Ec2, table: &Live) -> Result<()> {
    let call = ec2.write.delete_route().route_table_id(table.id.as_str()).destination_cidr_block(EVERYWHERE);
    call.send().await.answer("ec2:DeleteRoute")?;
    Ok(())
}

/// The absence of a default route, where the subnets are to have no way out.
///
/// A route to a NAT gateway is this tool's own from before, and goes. One that leads elsewhere, to a transit gateway say,
/// is somebody's way out of a network without gateways of its own.
#[derive(Debug)]
pub struct NoRoute {
    table: Live,
}

impl NoRoute {
    /// Takes the default route of a table away; says nothing where there is none.
    ///
    /// # Errors
    /// Any refusal by EC2.
    pub async fn ensure(run: &Run<'_>, ec2: &Ec2, table: &Held<RouteTable>) -> Result<()> {
        if default_route(ec2, table).await?.is_some() {
            run.ensure(ec2, Self { table: (**table).clone() }).await?;
        }
        Ok(())
    }
}

impl Resource for NoRoute {
    type Api = Ec2;
    /// The id of what a route leads to, if there is one.
    type Live = Option<String>;
    const KIND: &'static str = "default route of";
    const PATIENCE: Duration = AT_ONCE;

    fn name(&self) -> String {
        self.table.name.clone()
    }

    fn id(&self, live: &Option<String>) -> String {
        live.as_ref().map_or_else(|| "none".to_owned(), |target| format!("to {target}"))
    }

    fn planned(&self) -> Option<String> {
        None
    }

    async fn find(&self, ec2: &Ec2) -> Result<Option<Option<String>>> {
        default_route(ec2, &self.table).await.map(Some)
    }

    /// Makes nothing: none is wanted.
    async fn create(&self, _ec2: &Ec2) -> Result<Option<String>> {
        Ok(None)
    }

    fn diff(&self, live: &Option<String>) -> Vec<Change> {
        let change = live.as_ref().map(|target| match target {
            ours if ours.starts_with("nat-") => Change::update("target", ours, ""),
            other => Change::foreign("target", other),
        });
        change.into_iter().collect()
    }

    async fn update(&self, ec2: &Ec2, _live: &Option<String>, _changes: &[Change]) -> Result<()> {
        delete_default_route(ec2, &self.table).await
    }

    async fn delete(&self, _ec2: &Ec2, _live: &Option<String>) -> Result<()> {
        // It goes with its table.
        Ok(())
    }

    fn owner(&self, _live: &Option<String>) -> Owner {
        // The route table's owner was settled before.
        Owner::Ours
    }

    async fn adopt(&self, _ec2: &Ec2, _live: &Option<String>) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_without_a_way_out_loses_our_route_and_keeps_somebody_elses() {
        let table = Live {
            id: "rtb-1".into(),
            name: "prod-private-a".to_owned(),
            vpc: "vpc-1".into(),
            list: Rc::default(),
            tags: Vec::new(),
        };
        let none = NoRoute { table };
        assert_eq!(none.diff(&None), []);
        assert_eq!(none.diff(&Some("nat-1".to_owned())), [Change::update("target", "nat-1", "")]);
        for other in ["tgw-1", "eni-1", "pcx-1", "igw-1", "something else"] {
            assert_eq!(none.diff(&Some(other.to_owned())), [Change::foreign("target", other)]);
        }
    }
}
