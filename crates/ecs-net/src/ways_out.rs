//! The NAT gateways, and the routes to them.

use std::ops::Range;

use ecs_core::id::{NatGatewayId, SubnetId};
use ecs_core::stack::Nat;
use ecs_core::{All as _, Held, Result, Run, Stack};
use futures::future::join_all;
use futures::join;

use crate::Ec2;
use crate::elastic_ip::ElasticIp;
use crate::nat_gateway::{self, NatGateway};
use crate::route_table::{Route, RouteTable, Target};
use crate::vpc::Vpc;

/// The ways out of a stack's private subnets, and what they hang on.
pub struct WaysOut<'l> {
    /// The walk
    pub run: &'l Run<'l>,
    /// The client
    pub ec2: &'l Ec2,
    /// The stack
    pub stack: &'l Stack,
    /// The VPC
    pub vpc: &'l Held<Vpc>,
    /// Its NAT gateways
    pub list: &'l nat_gateway::List,
    /// The zones
    pub zones: &'l [String],
    /// The route tables of the private subnets, one a zone
    pub tables: &'l [Held<RouteTable>],
}

impl WaysOut<'_> {
    /// Makes the NAT gateways, waits until they are available, and leads the private subnets' traffic there.
    ///
    /// `places` are those, among the zones, of the gateways that are in one. A destroy finds them all.
    ///
    /// # Errors
    /// Any refusal by EC2; a gateway that fails.
    pub async fn ensure(
        &self,
        places: Range<usize>,
        public: &[SubnetId],
        addresses: &[Held<ElasticIp>],
    ) -> Result<Vec<NatGatewayId>> {
        let destroys = self.run.destroys();
        let one_for_all = places.len() == 1 && !destroys;
        let zonal = places.map(|place| {
            let (zone, subnet, address) = (&self.zones[place], &public[place], &addresses[place]);
            let nat = NatGateway::zonal(self.stack, zone, subnet, address, (self.list, destroys));
            let served = self.tables.iter().enumerate().filter(move |(index, _)| one_for_all || *index == place);
            self.one(nat, served.map(|(_, table)| table).collect())
        });
        let regional = async {
            if self.stack.net.nat != Nat::Regional && !destroys {
                return Ok(None);
            }
            let nat = NatGateway::regional(self.stack, &self.vpc.id, (self.list, destroys));
            // A destroy has found the routes with the zonal gateways.
            let served = if destroys { Vec::new() } else { self.tables.iter().collect() };
            self.one(nat, served).await.map(Some)
        };
        let (zonal, regional) = join!(join_all(zonal.collect::<Vec<_>>()), regional);
        let (zonal, regional) = (zonal.all(), regional).all()?;
        Ok(zonal.into_iter().chain(regional).collect())
    }

    async fn one(&self, nat: NatGateway, served: Vec<&Held<RouteTable>>) -> Result<NatGatewayId> {
        let nat = self.run.ensure(self.ec2, nat).await?;
        let routes = |new: bool| {
            let tables = served.iter().filter(|table| table.is_new() == new);
            let routes = tables.map(|table| Route::new(table, Target::NatGateway(nat.id.clone())));
            join_all(routes.map(|route| self.run.ensure(self.ec2, route)).collect::<Vec<_>>())
        };
        // Where traffic may flow already, its route leads to another gateway until this one takes it.
        let (made, ready) = join!(routes(true), self.run.ready(self.ec2, &nat));
        let (_, nat) = (made.all(), ready).all()?;
        routes(false).await.all()?;
        Ok(nat.id)
    }
}
