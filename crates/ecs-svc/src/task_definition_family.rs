//! All revisions of one task definition family: what a destroy deletes.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use aws_sdk_ecs::types::{SortOrder, TaskDefinitionField, TaskDefinitionStatus};
use ecs_aws::Answer as _;
use ecs_core::stack::Service as Config;
use ecs_core::{All as _, Error, Identity, Kind, Owner, Resource, Result, Stack};
use futures::future::join_all;
use futures::join;

use crate::{Ecs, LAYER, ecs};

/// How many revisions DeleteTaskDefinitions takes, and how many calls go side by side.
const BATCH: usize = 10;

/// A task definition family.
#[derive(Debug)]
pub struct TaskDefinitionFamily {
    identity: Identity,
    owners: RefCell<HashMap<String, Owner>>,
    deregistered: RefCell<HashSet<String>>,
}

/// What ECS says the family has: ARNs, newest first.
#[derive(Debug, Clone)]
pub struct Live {
    active: Vec<String>,
    inactive: Vec<String>,
}

impl TaskDefinitionFamily {
    /// Makes the family of a service.
    pub fn new(stack: &Stack, (key, service): (&str, &Config)) -> Self {
        Self::named(stack, &service.family(key))
    }

    /// Makes the family of that name.
    pub fn named(stack: &Stack, name: &str) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, name),
            owners: RefCell::default(),
            deregistered: RefCell::default(),
        }
    }

    /// Reads the tags of revisions that were not read yet.
    async fn read_owners(&self, ecs: &Ecs, arns: &[String]) -> Result<()> {
        let unread: Vec<&String> = arns.iter().filter(|arn| !self.owners.borrow().contains_key(*arn)).collect();
        for some in unread.chunks(BATCH) {
            let owners = join_all(some.iter().map(|arn| revision_owner(ecs, &self.identity, arn))).await.all()?;
            self.owners.borrow_mut().extend(some.iter().map(|arn| (*arn).clone()).zip(owners));
        }
        Ok(())
    }
}

impl Resource for TaskDefinitionFamily {
    type Api = Ecs;
    type Live = Live;
    const KIND: &'static str = "task definition family";
    /// Its revisions are gone as soon as nothing runs them, and the services are gone before.
    const PATIENCE: Duration = Duration::from_secs(5 * 60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        match live.active.len() + live.inactive.len() {
            1 => "1 revision".to_owned(),
            count => format!("{count} revisions"),
        }
    }

    fn planned(&self) -> Live {
        Live { active: Vec::new(), inactive: Vec::new() }
    }

    /// Returns the family if it has revisions, deregistered ones included: a run that was killed leaves such.
    async fn find(&self, ecs: &Ecs) -> Result<Option<Live>> {
        let (active, inactive) = join!(
            revisions(ecs, &self.identity.name, TaskDefinitionStatus::Active),
            revisions(ecs, &self.identity.name, TaskDefinitionStatus::Inactive),
        );
        let (active, inactive) = (active, inactive).all()?;
        let any = !active.is_empty() || !inactive.is_empty();
        Ok(any.then_some(Live { active, inactive }))
    }

    /// Never called: a family comes with its first revision.
    async fn create(&self, _ecs: &Ecs) -> Result<Live> {
        Ok(self.planned())
    }

    /// Deregisters and deletes every revision, except another stack's.
    ///
    /// A revision that carries nobody's tag was registered by a deployment of our service: it goes with the family.
    async fn delete(&self, ecs: &Ecs, live: &Live) -> Result<()> {
        let all: Vec<String> = live.active.iter().chain(&live.inactive).cloned().collect();
        self.read_owners(ecs, &all).await?;
        let ours: Vec<&String> = {
            let owners = self.owners.borrow();
            all.iter().filter(|arn| !matches!(owners.get(*arn), Some(Owner::Stack(_)))).collect()
        };
        let active: HashSet<&String> = live.active.iter().collect();
        for some in ours.chunks(BATCH) {
            let deregister = some.iter().filter(|arn| active.contains(*arn)).map(async |arn| {
                if !self.deregistered.borrow().contains(*arn) {
                    let call = ecs.write.deregister_task_definition().task_definition(*arn);
                    call.send().await.answer("ecs:DeregisterTaskDefinition")?;
                    self.deregistered.borrow_mut().insert((*arn).clone());
                }
                Ok(())
            });
            join_all(deregister).await.all()?;
            let arns = some.iter().map(|arn| (*arn).clone()).collect();
            let reply = ecs.write.delete_task_definitions().set_task_definitions(Some(arns)).send().await;
            let reply = reply.answer("ecs:DeleteTaskDefinitions")?;
            // One that another try has deleted is missing now.
            if let Some(failure) = reply.failures().iter().find(|failure| failure.reason() != Some("MISSING")) {
                let (arn, reason) = (failure.arn().unwrap_or_default(), failure.reason().unwrap_or_default());
                return Err(Error::new(Kind::Busy, format!("{}: {reason}", ecs::short(arn))));
            }
        }
        Ok(())
    }

    fn owner(&self, _live: &Live) -> Owner {
        Owner::Unread
    }

    async fn read_owner(&self, ecs: &Ecs, live: &Live) -> Result<Owner> {
        let newest: Vec<String> = live.active.iter().chain(&live.inactive).take(BATCH).cloned().collect();
        self.read_owners(ecs, &newest).await?;
        let owners = self.owners.borrow();
        Ok(family_owner(newest.iter().filter_map(|arn| owners.get(arn).cloned())))
    }

    /// Never called: a destroy adopts nothing.
    async fn adopt(&self, _ecs: &Ecs, _live: &Live) -> Result<()> {
        Ok(())
    }
}

/// Reads whose a family is: that of the newest revisions that carry a tag.
pub async fn owner(ecs: &Ecs, identity: &Identity) -> Result<Owner> {
    let mut newest = revisions(ecs, &identity.name, TaskDefinitionStatus::Active).await?;
    newest.truncate(BATCH);
    let owners = join_all(newest.iter().map(|arn| revision_owner(ecs, identity, arn))).await.all()?;
    Ok(family_owner(owners))
}

/// Says whose a family is: ours as soon as one revision is.
fn family_owner(owners: impl IntoIterator<Item = Owner>) -> Owner {
    owners.into_iter().fold(Owner::Nobody, |family, revision| match (family, revision) {
        (Owner::Ours, _) | (_, Owner::Ours) => Owner::Ours,
        (Owner::Nobody, revision) => revision,
        (family, _) => family,
    })
}

async fn revision_owner(ecs: &Ecs, identity: &Identity, arn: &str) -> Result<Owner> {
    let call = ecs.read.describe_task_definition().task_definition(arn).include(TaskDefinitionField::Tags);
    let reply = call.send().await.answer("ecs:DescribeTaskDefinition")?;
    Ok(ecs::owner(identity, reply.tags()))
}

/// Lists the revisions of exactly that family, newest first.
async fn revisions(ecs: &Ecs, family: &str, status: TaskDefinitionStatus) -> Result<Vec<String>> {
    let call = ecs.read.list_task_definitions().family_prefix(family).status(status).sort(SortOrder::Desc);
    let arns = call.into_paginator().items().send().collect::<std::result::Result<Vec<_>, _>>().await;
    let mut arns = arns.answer("ecs:ListTaskDefinitions")?;
    arns.retain(|arn| ecs::short(arn).rsplit_once(':').is_some_and(|(name, _)| name == family));
    Ok(arns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_ours_as_soon_as_one_revision_is() {
        let other = || Owner::Stack("staging".to_owned());
        let cases = [
            (vec![], Owner::Nobody),
            (vec![Owner::Nobody, Owner::Nobody], Owner::Nobody),
            (vec![Owner::Nobody, Owner::Ours], Owner::Ours),
            (vec![other(), Owner::Nobody], other()),
            (vec![other(), Owner::Ours], Owner::Ours),
        ];
        for (revisions, family) in cases {
            assert_eq!(family_owner(revisions.clone()), family, "{revisions:?}");
        }
    }
}
