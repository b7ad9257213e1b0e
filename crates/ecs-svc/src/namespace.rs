//! The Cloud Map namespace of the stack's Service Connect.
//!
//! ECS would make one by itself when a cluster names it as its default, but without the stack's tags, and would leave it when
//! the cluster is deleted (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-connect-concepts-deploy.html>).

use std::cell::RefCell;
use std::time::Duration;

use aws_sdk_servicediscovery::types::{
    FilterCondition, NamespaceFilter, NamespaceFilterName, NamespaceSummary, OperationStatus, Tag,
};
use ecs_aws::{Answer as _, present};
use ecs_core::{Error, Health, Identity, Kind, Owner, Resource, Result, Stack};

use crate::{CloudMap, LAYER, ecs};

/// A namespace whose instances are found by calls alone, as Service Connect finds them.
#[derive(Debug)]
pub struct Namespace {
    identity: Identity,
    /// The operation that makes it
    operation: RefCell<Option<String>>,
}

/// What Cloud Map says the namespace is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its ARN; of one that is only planned or being made a stand-in
    pub arn: String,
    id: String,
}

impl Namespace {
    /// Makes the namespace of that name.
    pub fn new(stack: &Stack, name: &str) -> Self {
        Self { identity: Identity::new(&stack.name, LAYER, name), operation: RefCell::default() }
    }

    fn tags(&self) -> Result<Vec<Tag>> {
        self.identity.try_tags(|key, value| Tag::builder().key(key).value(value).build())
    }

    /// Fails when Cloud Map could not make it: it is not listed then, and never will be.
    async fn check_operation(&self, cloud_map: &CloudMap) -> Result<()> {
        let Some(operation) = self.operation.borrow().clone() else { return Ok(()) };
        let reply = cloud_map.read.get_operation().operation_id(operation).send().await;
        let operation = reply.answer("servicediscovery:GetOperation")?.operation;
        let failed = operation.filter(|operation| operation.status() == Some(&OperationStatus::Fail));
        match failed {
            Some(failed) => Err(Error::other(format!(
                "Cloud Map could not make it: {} {}",
                failed.error_code().unwrap_or_default(),
                failed.error_message().unwrap_or_default()
            ))),
            None => Ok(()),
        }
    }
}

impl Resource for Namespace {
    type Api = CloudMap;
    type Live = Live;
    const KIND: &'static str = "namespace";
    /// One of this type takes seconds; terraform-provider-aws gives it 5 min.
    const PATIENCE: Duration = Duration::from_secs(5 * 60);
    const LINGERS: bool = true;

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.clone()
    }

    fn planned(&self) -> Live {
        Live { arn: ecs_core::id::planned("namespace", &self.identity.name), id: String::new() }
    }

    /// Returns the namespace of that name.
    async fn find(&self, cloud_map: &CloudMap) -> Result<Option<Live>> {
        let found = list(cloud_map, NamespaceFilterName::HttpName, &self.identity.name).await?;
        let named = |one: &&NamespaceSummary| one.name() == Some(self.identity.name.as_str());
        let Some(found) = found.iter().find(named) else {
            self.check_operation(cloud_map).await?;
            return Ok(None);
        };
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Ok(Some(Live { arn: owned(found.arn()), id: owned(found.id()) }))
    }

    async fn create(&self, cloud_map: &CloudMap) -> Result<Live> {
        let call = cloud_map.write.create_http_namespace().name(&self.identity.name);
        let call = call.creator_request_id(self.identity.token(&[])).set_tags(Some(self.tags()?));
        let reply = call.send().await.answer("servicediscovery:CreateHttpNamespace")?;
        let operation = present(reply.operation_id, "servicediscovery:CreateHttpNamespace", "the operation")?;
        self.operation.replace(Some(operation));
        Ok(self.planned())
    }

    async fn delete(&self, cloud_map: &CloudMap, live: &Live) -> Result<()> {
        delete(cloud_map, &live.id).await
    }

    fn health(&self, live: &Live) -> Health {
        if live.id.is_empty() { Health::Pending("being created".to_owned()) } else { Health::Ready }
    }

    fn owner(&self, live: &Live) -> Owner {
        if live.id.is_empty() { Owner::Ours } else { Owner::Unread }
    }

    async fn read_owner(&self, cloud_map: &CloudMap, live: &Live) -> Result<Owner> {
        let reply = cloud_map.read.list_tags_for_resource().resource_arn(&live.arn).send().await;
        let tags = reply.answer("servicediscovery:ListTagsForResource")?.tags.unwrap_or_default();
        Ok(self.identity.owner(tags.iter().map(|tag| (tag.key(), tag.value()))))
    }

    async fn adopt(&self, cloud_map: &CloudMap, live: &Live) -> Result<()> {
        let call = cloud_map.write.tag_resource().resource_arn(&live.arn).set_tags(Some(self.tags()?));
        call.send().await.answer("servicediscovery:TagResource")?;
        Ok(())
    }
}

/// A namespace that the stack has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name
    pub name: String,
    /// Its id
    pub id: String,
}

/// Returns those of the stack's namespaces that are sought, by their names and ARNs.
///
/// # Errors
/// Any refusal by Cloud Map.
pub async fn ours(cloud_map: &CloudMap, stack: &Stack, sought: impl Fn(&str, &str) -> bool) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for namespace in list(cloud_map, NamespaceFilterName::Type, "HTTP").await? {
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let (name, arn) = (owned(namespace.name()), owned(namespace.arn()));
        if !sought(&name, &arn) {
            continue;
        }
        let live = Live { arn, id: owned(namespace.id()) };
        if Namespace::new(stack, &name).read_owner(cloud_map, &live).await? == Owner::Ours {
            found.push(Found { name, id: live.id });
        }
    }
    Ok(found)
}

/// Deletes a namespace; while ECS still takes its services out of it, it is in use.
///
/// # Errors
/// Any refusal by Cloud Map.
pub async fn delete(cloud_map: &CloudMap, id: &str) -> Result<()> {
    let deleted = cloud_map.write.delete_namespace().id(id).send().await;
    match deleted.answer("servicediscovery:DeleteNamespace") {
        Err(error) if error.code() == Some("ResourceInUse") => Err(error.with_kind(Kind::InUse)),
        // "The operation you are trying to perform is already in progress": it is on its way.
        Err(error) if error.code() == Some("DuplicateRequest") => Ok(()),
        Err(error) if error.code() == Some("NamespaceNotFound") => Ok(()),
        other => other.map(drop),
    }
}

/// Lists the namespaces that have one property.
async fn list(cloud_map: &CloudMap, name: NamespaceFilterName, value: &str) -> Result<Vec<NamespaceSummary>> {
    let filter = NamespaceFilter::builder().name(name).values(value).condition(FilterCondition::Eq);
    let pages = cloud_map.read.list_namespaces().filters(ecs::built(filter.build())?).into_paginator().send();
    let pages = pages.collect::<std::result::Result<Vec<_>, _>>().await.answer("servicediscovery:ListNamespaces")?;
    Ok(pages.into_iter().flat_map(|page| page.namespaces.unwrap_or_default()).collect())
}
