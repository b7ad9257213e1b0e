//! Security groups that a file of before has asked for: under another name, or before it named somebody else's.

use std::rc::Rc;
use std::time::Duration;

use ecs_core::id::{SecurityGroupId, VpcId};
use ecs_core::{All as _, Change, Kind, Owner, Resource, Result, Run, Stack};
use futures::future::join_all;

use crate::Ec2;
use crate::security_group::{self, List};

/// The stack's groups that it no longer needs.
#[derive(Debug)]
pub struct Former {
    stack: String,
    vpc: VpcId,
    needed: Vec<String>,
    list: List,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unneeded {
    id: SecurityGroupId,
    name: String,
    /// Network interfaces that still have it
    users: Vec<String>,
}

impl Former {
    /// Makes the search for them; `needed` are the names of those that the stack needs.
    pub fn new(stack: &Stack, vpc: &VpcId, needed: Vec<String>, list: &List) -> Self {
        Self { stack: stack.name.clone(), vpc: vpc.clone(), needed, list: Rc::clone(list) }
    }

    /// Reports those that there are, or as told deletes them; says nothing where there are none.
    ///
    /// # Errors
    /// Any refusal by EC2.
    pub async fn ensure(self, run: &Run<'_>, ec2: &Ec2) -> Result<()> {
        let doing = || format!("reading the security groups of the stack {}", self.stack);
        let Some(found) = self.find(ec2).await.map_err(|error| error.doing(doing()))? else { return Ok(()) };
        for group in found.iter().filter(|group| !group.users.is_empty()) {
            // It is on its way: a load balancer or a service lets go of it later.
            run.console().warn(&format!(
                "security group {} ({}) is no longer needed, and still used by {}: left alone",
                group.name,
                group.id,
                group.users.join(", ")
            ));
        }
        if found.is_empty() { Ok(()) } else { run.ensure(ec2, self).await.map(drop) }
    }
}

impl Resource for Former {
    type Api = Ec2;
    type Live = Vec<Unneeded>;
    const KIND: &'static str = "security groups of stack";
    /// A rule of another group that refers to one may go a moment later.
    const PATIENCE: Duration = Duration::from_secs(2 * 60);

    fn name(&self) -> String {
        self.stack.clone()
    }

    fn id(&self, live: &Vec<Unneeded>) -> String {
        live.iter().map(|group| group.id.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn planned(&self) -> Vec<Unneeded> {
        Vec::new()
    }

    async fn find(&self, ec2: &Ec2) -> Result<Option<Vec<Unneeded>>> {
        let groups = security_group::ours(ec2, &self.vpc, &self.stack, &self.list).await?;
        let unneeded = groups.into_iter().filter(|(name, _)| !self.needed.contains(name)).map(async |(name, id)| {
            let users = security_group::users(ec2, &id).await?;
            Ok(Unneeded { id, name, users })
        });
        join_all(unneeded).await.all().map(Some)
    }

    /// Makes nothing: it looks for what is left.
    async fn create(&self, _ec2: &Ec2) -> Result<Vec<Unneeded>> {
        Ok(Vec::new())
    }

    fn diff(&self, live: &Vec<Unneeded>) -> Vec<Change> {
        let free = live.iter().filter(|group| group.users.is_empty());
        free.map(|group| Change::former("security group", format!("{} ({})", group.name, group.id))).collect()
    }

    async fn update(&self, ec2: &Ec2, live: &Vec<Unneeded>, _changes: &[Change]) -> Result<()> {
        let deletions = live.iter().filter(|group| group.users.is_empty()).map(async |group| {
            match security_group::delete(ec2, &group.id).await {
                Err(error) if error.kind() == Kind::NotFound => Ok(()),
                Err(error) if error.kind() == Kind::InUse => Err(error.with_kind(Kind::Busy)),
                other => other,
            }
        });
        join_all(deletions).await.all().map(drop)
    }

    async fn delete(&self, _ec2: &Ec2, _live: &Vec<Unneeded>) -> Result<()> {
        // A destroy deletes each by itself.
        Ok(())
    }

    fn owner(&self, _live: &Vec<Unneeded>) -> Owner {
        // They were found by their tags.
        Owner::Ours
    }

    async fn adopt(&self, _ec2: &Ec2, _live: &Vec<Unneeded>) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.list.forget();
    }
}
