//! The VPC endpoints of a stack, all together.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ecs_core::id::{RouteTableId, SubnetId, VpcEndpointId, VpcId};
use ecs_core::{All as _, Held, Result, Run, Stack};
use futures::future::join_all;
use futures::join;

use crate::security_group::SecurityGroup;
use crate::vpc::Vpc;
use crate::vpc_endpoint::{Place, VpcEndpoint};
use crate::{Ec2, route_table, security_group, vpc_endpoint};

/// The VPC endpoints of a stack, and what they hang on.
pub struct Endpoints<'l> {
    /// The walk
    pub run: &'l Run<'l>,
    /// The client
    pub ec2: &'l Ec2,
    /// The stack
    pub stack: &'l Stack,
    /// The VPC
    pub vpc: &'l Held<Vpc>,
    /// Its endpoints
    pub list: &'l vpc_endpoint::List,
    /// Ids of the stack's own route tables and subnets, wanted or not
    pub own: Rc<BTreeSet<String>>,
}

/// The ids of endpoints, by service.
pub type EndpointIds = BTreeMap<String, VpcEndpointId>;

impl Endpoints<'_> {
    /// Makes the endpoints that the stack file has, and waits until they are available.
    ///
    /// # Errors
    /// Any refusal by EC2.
    pub async fn ensure(
        &self,
        tables: Vec<RouteTableId>,
        subnets: Vec<SubnetId>,
        groups: &security_group::List,
    ) -> Result<EndpointIds> {
        let (gateways, interfaces) = (self.stack.gateway_endpoints(), self.stack.interface_endpoints());
        let gateways = gateways.iter();
        let gateways = gateways.map(|service| self.one(service.name(), Place::Gateway(tables.clone())));
        let interfaces = async {
            if interfaces.is_empty() {
                return Ok(Vec::new());
            }
            let group = self.run.ensure(self.ec2, SecurityGroup::new(self.stack, self.vpc, groups)).await?;
            let place = || Place::Interface(subnets.clone(), group.id.clone());
            join_all(interfaces.iter().map(|service| self.one(service, place()))).await.all()
        };
        let (gateways, interfaces) = join!(join_all(gateways), interfaces);
        let (gateways, interfaces) = (gateways.all(), interfaces).all()?;
        Ok(gateways.into_iter().chain(interfaces).collect())
    }

    async fn one(&self, service: &str, place: Place) -> Result<(String, VpcEndpointId)> {
        let endpoint = VpcEndpoint::new(self.stack, self.vpc, service, place, (self.list, &self.own));
        let endpoint = self.run.ensure(self.ec2, endpoint).await?;
        Ok((service.to_owned(), self.run.ready(self.ec2, &endpoint).await?.id))
    }

    /// Lets a destroy find all of the stack's endpoints, whatever the file has become, and after them their security group.
    ///
    /// # Errors
    /// Any refusal by EC2.
    pub async fn look(&self, groups: &security_group::List) -> Result<EndpointIds> {
        self.run.ensure(self.ec2, SecurityGroup::new(self.stack, self.vpc, groups)).await?;
        let all = vpc_endpoint::endpoints(self.ec2, &self.vpc.id, self.list).await?;
        let ours = vpc_endpoint::ours(self.stack, &all).into_iter();
        let endpoints = ours.map(|identity| VpcEndpoint::named(identity, self.vpc, self.list));
        let found: Vec<_> = endpoints.map(|endpoint| self.run.ensure(self.ec2, endpoint)).collect();
        join_all(found).await.all()?;
        Ok(EndpointIds::new())
    }
}

/// Returns the services that the stack has endpoints of.
pub fn services(stack: &Stack) -> Vec<String> {
    let gateways = stack.gateway_endpoints().into_iter().map(|service| service.name().to_owned());
    gateways.chain(stack.interface_endpoints()).collect()
}

/// Says whether it is worth a call to look for endpoints that are no longer needed.
///
/// A plain apply of a stack that has none makes no call for them: only a route to one tells there. A plan looks, and so
/// does who would remove them.
pub async fn may_have_endpoints(
    run: &Run<'_>,
    ec2: &Ec2,
    stack: &Stack,
    (vpc, tables): (&VpcId, &route_table::List),
) -> Result<bool> {
    if !run.applies() || run.prunes() || !services(stack).is_empty() {
        return Ok(true);
    }
    let tables = route_table::tables(ec2, vpc, tables).await?;
    let mut routes = tables.iter().flat_map(|table| table.routes());
    Ok(routes.any(|route| route.gateway_id().is_some_and(|id| id.starts_with("vpce-"))))
}
