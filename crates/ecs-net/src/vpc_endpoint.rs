//! The VPC endpoints: by which AWS's services are reached without a way out.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ec2::operation::create_vpc_endpoint::builders::CreateVpcEndpointFluentBuilder as Create;
use aws_sdk_ec2::types::{ResourceType, Tag, VpcEndpoint as Described, VpcEndpointType};
use ecs_aws::{Answer as _, classify, present};
use ecs_core::id::{RouteTableId, SecurityGroupId, SubnetId, VpcEndpointId, VpcId};
use ecs_core::stack::endpoint_service;
use ecs_core::{Change, Error, Health, Held, Identity, Kind, Listing, Owner, Resource, Result, Stack, tag};

use crate::vpc::Vpc;
use crate::{Ec2, LAYER, ec2};

/// The VPC's endpoints, listed once for all of them.
pub type List = Rc<Listing<Vec<Described>>>;

/// Returns the endpoints of a VPC, those that are deleted and still listed among them.
///
/// # Errors
/// Any refusal by EC2.
pub async fn endpoints(ec2: &Ec2, vpc: &VpcId, list: &List) -> Result<Rc<Vec<Described>>> {
    list.get(async || {
        let all = ec2.read.describe_vpc_endpoints().filters(ec2::filter("vpc-id", vpc.as_str()));
        all.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.answer("ec2:DescribeVpcEndpoints")
    })
    .await
}

/// Returns the identity of the endpoint of a service.
pub fn identity(stack: &Stack, service: &str) -> Identity {
    Identity::new(&stack.name, LAYER, format!("{}-{service}", stack.name))
}

/// Returns the identities of those endpoints of a VPC that are the stack's.
pub fn ours(stack: &Stack, all: &[Described]) -> Vec<Identity> {
    let mut found = Vec::new();
    for endpoint in all {
        let name = endpoint.tags().iter().find(|tag| tag.key() == Some(tag::NAME)).and_then(|tag| tag.value());
        let identity = Identity::new(&stack.name, LAYER, name.unwrap_or_default());
        if ec2::is(&identity, endpoint.tags()) && !found.contains(&identity) {
            found.push(identity);
        }
    }
    found
}

/// Says in which state an endpoint is; EC2 writes the states in one case, and its documentation in another.
pub fn state(endpoint: &Described) -> String {
    endpoint.state().map(|state| state.as_str().to_ascii_lowercase()).unwrap_or_default()
}

/// Deletes an endpoint; one that is gone already is done.
///
/// # Errors
/// Any refusal by EC2, which it gives in a reply that is none.
pub async fn delete(ec2: &Ec2, id: &str) -> Result<()> {
    const CALL: &str = "ec2:DeleteVpcEndpoints";
    let reply = ec2.write.delete_vpc_endpoints().vpc_endpoint_ids(id).send().await.answer(CALL)?;
    let refused = reply.unsuccessful().first().and_then(|item| item.error());
    let Some(refused) = refused.filter(|error| !error.code().is_some_and(|code| code.ends_with(".NotFound"))) else {
        return Ok(());
    };
    let error = Error::new(classify(refused.code(), None), refused.message().unwrap_or("EC2 gives no reason"));
    Err(error.answered(refused.code().map(str::to_owned), CALL, None))
}

/// Where an endpoint is reached.
#[derive(Debug, Clone)]
pub enum Place {
    /// By a route in each of these tables
    Gateway(Vec<RouteTableId>),
    /// By a network interface in each of these subnets, behind a security group, at the service's usual DNS name
    Interface(Vec<SubnetId>, SecurityGroupId),
    /// Wherever it is: it is only looked for
    Anywhere,
}

/// An endpoint of one service.
#[derive(Debug)]
pub struct VpcEndpoint {
    identity: Identity,
    vpc: VpcId,
    service: String,
    place: Place,
    list: List,
    /// Ids of the stack's own route tables and subnets, wanted or not
    own: Rc<BTreeSet<String>>,
    /// Endpoints of that name that have failed, and are to go before another one comes
    failed: RefCell<Vec<String>>,
    /// Whether a failed one counts: one that this run made is an error, one that a destroy finds is to go
    failed_counts: Cell<bool>,
}

/// What EC2 says the endpoint is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its id
    pub id: VpcEndpointId,
    state: String,
    failure: String,
    tables: BTreeSet<String>,
    subnets: BTreeSet<String>,
    groups: BTreeSet<String>,
    private_dns: bool,
    tags: Vec<Tag>,
}

impl VpcEndpoint {
    /// Makes the endpoint of a service; `own` are the ids of the stack's route tables and subnets, wanted or not.
    pub fn new(
        stack: &Stack,
        vpc: &Held<Vpc>,
        service: &str,
        place: Place,
        (list, own): (&List, &Rc<BTreeSet<String>>),
    ) -> Self {
        let region = stack.region.as_deref().unwrap_or_default();
        let wanted = Self::named(identity(stack, service), vpc, list);
        Self {
            service: endpoint_service(service, region),
            place,
            own: Rc::clone(own),
            failed_counts: Cell::new(false),
            ..wanted
        }
    }

    /// Makes an endpoint that a destroy knows the name of.
    pub fn named(identity: Identity, vpc: &Held<Vpc>, list: &List) -> Self {
        Self {
            identity,
            vpc: vpc.id.clone(),
            service: String::new(),
            place: Place::Anywhere,
            list: Rc::clone(list),
            own: Rc::default(),
            failed: RefCell::default(),
            failed_counts: Cell::new(true),
        }
    }

    /// Says whether an endpoint is in the way of this one: EC2 gives a service's route or DNS name to one only.
    fn is_same(&self, other: &Described) -> bool {
        let gateway = other.vpc_endpoint_type() == Some(&VpcEndpointType::Gateway);
        let same_type = match self.place {
            Place::Gateway(_) => gateway,
            Place::Interface(..) => !gateway && other.private_dns_enabled() == Some(true),
            Place::Anywhere => false,
        };
        same_type && other.service_name() == Some(&self.service)
    }

    fn live(&self, endpoint: &Described) -> Live {
        let error = endpoint.last_error();
        let code = error.and_then(|error| error.code()).unwrap_or("no code");
        let reason = error.and_then(|error| error.message()).or(endpoint.failure_reason());
        Live {
            id: endpoint.vpc_endpoint_id().unwrap_or_default().into(),
            state: state(endpoint),
            failure: format!("{code}: {}", reason.unwrap_or("AWS gives no reason")),
            tables: endpoint.route_table_ids().iter().cloned().collect(),
            subnets: endpoint.subnet_ids().iter().cloned().collect(),
            groups: endpoint.groups().iter().filter_map(|group| group.group_id.clone()).collect(),
            private_dns: endpoint.private_dns_enabled().unwrap_or_default(),
            tags: endpoint.tags().to_vec(),
        }
    }

    /// Returns what it is to be in, by kind, beside what it is in.
    fn members<'l>(&self, live: &'l Live) -> Vec<(&'static str, BTreeSet<String>, &'l BTreeSet<String>)> {
        match &self.place {
            Place::Gateway(tables) => {
                vec![("route table", tables.iter().map(ToString::to_string).collect(), &live.tables)]
            }
            Place::Interface(subnets, group) => vec![
                ("subnet", subnets.iter().map(ToString::to_string).collect(), &live.subnets),
                ("security group", BTreeSet::from([group.to_string()]), &live.groups),
            ],
            Place::Anywhere => Vec::new(),
        }
    }

    fn place(&self, call: Create) -> Create {
        match &self.place {
            Place::Gateway(tables) => {
                let tables = tables.iter().map(ToString::to_string).collect();
                call.vpc_endpoint_type(VpcEndpointType::Gateway).set_route_table_ids(Some(tables))
            }
            Place::Interface(subnets, group) => {
                let subnets = subnets.iter().map(ToString::to_string).collect();
                let call = call.vpc_endpoint_type(VpcEndpointType::Interface).set_subnet_ids(Some(subnets));
                call.security_group_ids(group.as_str()).private_dns_enabled(true)
            }
            Place::Anywhere => call,
        }
    }
}

impl Resource for VpcEndpoint {
    type Api = Ec2;
    type Live = Live;
    const KIND: &'static str = "VPC endpoint";
    /// Terraform's provider gives it as long: <https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/vpc_endpoint#timeouts>
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
        let mut live = Live {
            id: VpcEndpointId::planned(&self.identity.name),
            state: "available".to_owned(),
            failure: String::new(),
            tables: BTreeSet::new(),
            subnets: BTreeSet::new(),
            groups: BTreeSet::new(),
            private_dns: true,
            tags: Vec::new(),
        };
        match &self.place {
            Place::Gateway(tables) => live.tables = tables.iter().map(ToString::to_string).collect(),
            Place::Interface(subnets, group) => {
                live.subnets = subnets.iter().map(ToString::to_string).collect();
                live.groups = BTreeSet::from([group.to_string()]);
            }
            Place::Anywhere => {}
        }
        live
    }

    /// Returns the endpoint of that name, or else the one that is in its way.
    ///
    /// A `deleted` one is absent. One that has failed is too, unless this run made it or is to delete it: it can never work.
    async fn find(&self, ec2: &Ec2) -> Result<Option<Live>> {
        let list = endpoints(ec2, &self.vpc, &self.list).await?;
        let there: Vec<_> = list.iter().filter(|endpoint| state(endpoint) != "deleted").collect();
        let (failed, alive): (Vec<_>, Vec<_>) = there.into_iter().partition(|endpoint| {
            is_failed(&state(endpoint)) && !self.failed_counts.get() && ec2::is(&self.identity, endpoint.tags())
        });
        self.failed.replace(failed.iter().filter_map(|endpoint| endpoint.vpc_endpoint_id.clone()).collect());
        let named = alive.iter().find(|endpoint| ec2::is(&self.identity, endpoint.tags()));
        let endpoint = named.or_else(|| alive.iter().find(|endpoint| self.is_same(endpoint)));
        Ok(endpoint.map(|endpoint| self.live(endpoint)))
    }

    async fn create(&self, ec2: &Ec2) -> Result<Live> {
        let failed = self.failed.take();
        for id in &failed {
            delete(ec2, id).await?;
        }
        if let Some(id) = failed.first() {
            return Err(Error::new(Kind::Busy, format!("{id} has failed and is being deleted")));
        }
        let call = ec2.write.create_vpc_endpoint().vpc_id(self.vpc.as_str()).service_name(&self.service);
        let call = call.client_token(self.identity.token(&[self.vpc.as_str(), &ec2::minutes()?]));
        let call = self.place(call).tag_specifications(ec2::tags(&self.identity, ResourceType::VpcEndpoint));
        let reply = call.send().await.answer("ec2:CreateVpcEndpoint").map_err(|error| match error.code() {
            // Another run of this stack was first.
            Some("IdempotentParameterMismatch" | "RouteAlreadyExists") => error.with_kind(Kind::AlreadyExists),
            Some("InvalidServiceName") => {
                error.hint("is it one of this region's? `aws ec2 describe-vpc-endpoint-services` lists them")
            }
            _ => error,
        })?;
        self.failed_counts.set(true);
        let made = present(reply.vpc_endpoint, "ec2:CreateVpcEndpoint", "the endpoint")?;
        let id = present(made.vpc_endpoint_id.clone(), "ec2:CreateVpcEndpoint", "the endpoint's id")?;
        // What it was asked for, it is.
        Ok(Live { id: id.into(), state: state(&made), failure: self.live(&made).failure, ..self.planned() })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let mut changes = Vec::new();
        for (field, wanted, present) in self.members(live) {
            changes.extend(wanted.difference(present).map(|id| Change::update(field, "", id)));
            changes.extend(present.difference(&wanted).map(|id| {
                // Of a zone or a tier that the stack no longer has.
                if self.own.contains(id) { Change::former(field, id) } else { Change::foreign(field, id) }
            }));
        }
        if matches!(self.place, Place::Interface(..)) {
            let word = |on: bool| if on { "on" } else { "off" };
            changes.extend(Change::of("private DNS", &word(live.private_dns), &word(true)));
        }
        changes
    }

    async fn update(&self, ec2: &Ec2, live: &Live, changes: &[Change]) -> Result<()> {
        let added = |field: &str| -> Option<Vec<String>> {
            let ids = changes.iter().filter(|change| change.field == field && change.from.is_empty());
            Some(ids.map(|change| change.to.clone()).collect::<Vec<_>>()).filter(|ids| !ids.is_empty())
        };
        let removed = |field: &str| -> Option<Vec<String>> {
            let ids = changes.iter().filter(|change| change.field == field && change.to.is_empty());
            Some(ids.map(|change| change.from.clone()).collect::<Vec<_>>()).filter(|ids| !ids.is_empty())
        };
        let dns = changes.iter().any(|change| change.field == "private DNS");
        let call = ec2.write.modify_vpc_endpoint().vpc_endpoint_id(live.id.as_str());
        let call =
            call.set_add_route_table_ids(added("route table")).set_remove_route_table_ids(removed("route table"));
        let call = call.set_add_subnet_ids(added("subnet")).set_remove_subnet_ids(removed("subnet"));
        let call = call.set_add_security_group_ids(added("security group"));
        let call = call.set_remove_security_group_ids(removed("security group"));
        let call = call.set_private_dns_enabled(dns.then_some(true));
        call.send().await.answer("ec2:ModifyVpcEndpoint")?;
        Ok(())
    }

    async fn delete(&self, ec2: &Ec2, live: &Live) -> Result<()> {
        if live.state == "deleting" { Ok(()) } else { delete(ec2, live.id.as_str()).await }
    }

    fn health(&self, live: &Live) -> Health {
        match live.state.as_str() {
            "available" => Health::Ready,
            state @ ("deleting" | "deleted") => Health::Leaving(state.to_owned()),
            state if is_failed(state) => Health::Failed(format!("{state}: {}", live.failure)),
            state => Health::Pending(state.to_owned()),
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

/// Says whether an endpoint in a state can never be used.
fn is_failed(state: &str) -> bool {
    ["failed", "rejected", "expired"].contains(&state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(place: Place) -> VpcEndpoint {
        VpcEndpoint {
            identity: Identity::new("prod", LAYER, "prod-s3"),
            vpc: "vpc-1".into(),
            service: "com.amazonaws.us-east-1.s3".to_owned(),
            place,
            list: Rc::default(),
            own: Rc::new(BTreeSet::from(["rtb-old".to_owned()])),
            failed: RefCell::default(),
            failed_counts: Cell::new(false),
        }
    }

    fn set(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn a_gateway_endpoint_joins_our_tables_and_leaves_somebody_elses() {
        let gateway = endpoint(Place::Gateway(vec!["rtb-1".into(), "rtb-2".into()]));
        assert_eq!(gateway.diff(&gateway.planned()), []);
        let live = Live { tables: set(&["rtb-1", "rtb-3"]), private_dns: false, ..gateway.planned() };
        assert_eq!(
            gateway.diff(&live),
            [Change::update("route table", "", "rtb-2"), Change::foreign("route table", "rtb-3")]
        );
    }

    #[test]
    fn an_interface_endpoint_is_in_every_subnet_behind_its_group_at_the_usual_name() {
        let interface = endpoint(Place::Interface(vec!["subnet-1".into(), "subnet-2".into()], "sg-1".into()));
        assert_eq!(interface.diff(&interface.planned()), []);
        let live =
            Live { subnets: set(&["subnet-1"]), groups: set(&["sg-2"]), private_dns: false, ..interface.planned() };
        assert_eq!(
            interface.diff(&live),
            [
                Change::update("subnet", "", "subnet-2"),
                Change::update("security group", "", "sg-1"),
                Change::foreign("security group", "sg-2"),
                Change::update("private DNS", "off", "on"),
            ]
        );
    }

    #[test]
    fn a_state_tells_the_health_in_either_case() {
        let gateway = endpoint(Place::Gateway(Vec::new()));
        let health = |word: &str| {
            let described = Described::builder().state(word.into()).build();
            gateway.health(&gateway.live(&described))
        };
        assert_eq!([health("available"), health("Available")], [Health::Ready, Health::Ready]);
        assert_eq!(health("pending"), Health::Pending("pending".to_owned()));
        assert_eq!(health("PendingAcceptance"), Health::Pending("pendingacceptance".to_owned()));
        assert_eq!(health("Deleting"), Health::Leaving("deleting".to_owned()));
        assert_eq!(health("failed"), Health::Failed("failed: no code: AWS gives no reason".to_owned()));
    }

    #[test]
    fn what_serves_the_same_route_or_name_is_in_the_way() {
        let described = |kind, service: &str, dns| {
            let builder = Described::builder().vpc_endpoint_type(kind).service_name(service);
            builder.private_dns_enabled(dns).build()
        };
        let s3 = "com.amazonaws.us-east-1.s3";
        let (gateway, interface) =
            (endpoint(Place::Gateway(Vec::new())), endpoint(Place::Interface(Vec::new(), "sg-1".into())));
        assert!(gateway.is_same(&described(VpcEndpointType::Gateway, s3, false)));
        assert!(!gateway.is_same(&described(VpcEndpointType::Interface, s3, true)));
        assert!(!gateway.is_same(&described(VpcEndpointType::Gateway, "com.amazonaws.us-east-1.dynamodb", false)));
        assert!(interface.is_same(&described(VpcEndpointType::Interface, s3, true)));
        assert!(!interface.is_same(&described(VpcEndpointType::Interface, s3, false)), "it has no usual name");
    }
}
