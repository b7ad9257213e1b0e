//! The cluster's services, described together.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use aws_sdk_ecs::types::{Service, ServiceField};
use ecs_aws::Answer as _;
use ecs_core::{All as _, Error, Identity, Kind, Listing, Owner, Result, Stack};
use futures::future::join_all;

use crate::{Ecs, LAYER, ecs};

/// How many names DescribeServices takes.
const NAMES: usize = 10;
/// How many ARNs ListServices returns in one reply.
const PAGE: i32 = 100;

/// The stack's services, listed once for all of them.
#[derive(Debug)]
pub struct Services {
    cluster: String,
    names: Vec<String>,
    /// Whose services the stack's are
    identity: Identity,
    list: Listing<Vec<Rc<Service>>>,
    /// The cluster is new, or only planned: nothing can be in it.
    nothing: Cell<bool>,
}

impl Services {
    /// Makes the list of the stack's services.
    pub fn new(stack: &Stack) -> Rc<Self> {
        Self::with(stack, stack.services.iter().map(|(key, service)| service.service_name(key)).collect())
    }

    /// Makes the list of a cluster in which none of the stack's services is to stay.
    pub fn none_stay(stack: &Stack) -> Rc<Self> {
        Self::with(stack, Vec::new())
    }

    fn with(stack: &Stack, names: Vec<String>) -> Rc<Self> {
        let cluster = stack.cluster_name();
        let identity = Identity::new(&stack.name, LAYER, &cluster);
        Rc::new(Self { cluster, names, identity, list: Listing::default(), nothing: Cell::new(false) })
    }

    /// Tells that the cluster is new: until somebody needs to look again, there are no services.
    pub fn are_none(&self) {
        self.nothing.set(true);
    }

    /// Returns the service of that name, `DRAINING` and `INACTIVE` ones included.
    pub async fn find(&self, ecs: &Ecs, name: &str) -> Result<Option<Rc<Service>>> {
        if self.nothing.get() {
            return Ok(None);
        }
        let list = self.list.get(async || self.describe(ecs, &self.names).await).await?;
        Ok(list.iter().find(|service| service.service_name() == Some(name)).cloned())
    }

    /// Returns the names or ARNs of the namespaces that the stack's services are in, in the deployments that are going on.
    ///
    /// # Errors
    /// Any refusal by ECS.
    pub async fn namespaces(&self, ecs: &Ecs) -> Result<BTreeSet<String>> {
        if self.nothing.get() {
            return Ok(BTreeSet::new());
        }
        let list = self.list.get(async || self.describe(ecs, &self.names).await).await?;
        Ok(namespaces(&list))
    }

    /// Returns the services that carry the stack's tag and that it does not describe; `INACTIVE` ones are gone.
    ///
    /// # Errors
    /// Any refusal by ECS.
    pub async fn former(&self, ecs: &Ecs) -> Result<Vec<Rc<Service>>> {
        let call = ecs.read.list_services().cluster(&self.cluster).into_paginator().page_size(PAGE).items().send();
        let arns = call.collect::<std::result::Result<Vec<_>, _>>().await.answer("ecs:ListServices");
        let arns = match arns {
            // A plan of a cluster that does not exist.
            Err(error) if error.kind() == Kind::NotFound => return Ok(Vec::new()),
            arns => arns?,
        };
        let name = |arn: &String| arn.rsplit('/').next().unwrap_or_default().to_owned();
        let others: Vec<String> = arns.iter().map(name).filter(|name| !self.names.contains(name)).collect();
        let mut found = self.describe(ecs, &others).await?;
        found.retain(|service| {
            service.status() != Some("INACTIVE") && ecs::owner(&self.identity, service.tags()) == Owner::Ours
        });
        Ok(found)
    }

    /// Makes the next caller look again.
    pub fn forget(&self) {
        self.nothing.set(false);
        self.list.forget();
    }

    /// Describes services of the cluster.
    ///
    /// A missing service is a `MISSING` failure in a successful reply, not an error; a missing cluster has none.
    async fn describe(&self, ecs: &Ecs, names: &[String]) -> Result<Vec<Rc<Service>>> {
        let some = names.chunks(NAMES).map(async |names| {
            let call = ecs.read.describe_services().cluster(&self.cluster).include(ServiceField::Tags);
            let reply = call.set_services(Some(names.to_vec())).send().await.answer("ecs:DescribeServices");
            let reply = match reply {
                Err(error) if error.kind() == Kind::NotFound => return Ok(Vec::new()),
                reply => reply?,
            };
            if let Some(failure) = reply.failures().iter().find(|failure| failure.reason() != Some("MISSING")) {
                let (arn, reason) = (failure.arn().unwrap_or_default(), failure.reason().unwrap_or_default());
                return Err(Error::other(format!("ECS cannot describe {arn}: {reason}")));
            }
            Ok(reply.services.unwrap_or_default())
        });
        Ok(join_all(some).await.all()?.into_iter().flatten().map(Rc::new).collect())
    }
}

/// Returns the names or ARNs of the namespaces that services are in, in the deployments that are going on.
pub fn namespaces(services: &[Rc<Service>]) -> BTreeSet<String> {
    let deployments = services.iter().flat_map(|service| service.deployments());
    let connects = deployments.filter_map(|deployment| deployment.service_connect_configuration());
    connects.filter_map(|connect| connect.namespace()).map(str::to_owned).collect()
}
