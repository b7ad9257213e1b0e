//! Security groups that a file of before has asked for: under another name, or before it named somebody else's.

use std::rc::Rc;
use std::time::Duration;

use ecs_core::id::{SecurityGroupId, VpcId};
use ecs_core::{All as _, Change, Kind, Owner, Resource, Result, Run, Stack};
use futures::future::join_all;

use crate::rule::{self, Peer, Rule};
use crate::security_group::{self, List};
use crate::{Ec2, rules};

/// The stack's groups that it no longer needs.
#[derive(Debug)]
pub struct Former {
    stack: String,
    vpc: VpcId,
    needed: Vec<String>,
    list: List,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Unneeded {
    id: SecurityGroupId,
    name: String,
    /// Network interfaces that still have it
    users: Vec<String>,
    /// Rules of somebody else's groups that refer to it
    references: Vec<String>,
    /// Its own rules that refer to groups
    rules: Vec<Rule>,
}

impl Unneeded {
    /// Says whether nothing is in the way of its deletion.
    fn is_free(&self) -> bool {
        self.users.is_empty() && self.references.is_empty()
    }
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
        for group in found.iter().filter(|group| !group.is_free()) {
            let left = |why: &str| {
                let (name, id) = (&group.name, &group.id);
                run.console().warn(&format!("security group {name} ({id}) is no longer needed, and {why}"));
            };
            if group.references.is_empty() {
                // It is on its way: a load balancer or a service lets go of it later.
                left(&format!("still used by {}: left alone", group.users.join(", ")));
            } else {
                let references = group.references.join(", ");
                left(&format!("rules of others refer to it: {references}: left alone ({})", security_group::FREE));
            }
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
        let ours = security_group::ours(ec2, &self.vpc, &self.stack, &self.list).await?;
        let all = security_group::groups(ec2, &self.vpc, Some(&self.stack), &self.list).await?;
        let unneeded = ours.into_iter().filter(|(name, _)| !self.needed.contains(name)).map(async |(name, id)| {
            let users = security_group::users(ec2, &id).await?;
            let references = security_group::foreign_references(&all, self.vpc.as_str(), &id, &self.stack);
            let own = all.iter().find(|group| group.group_id() == Some(id.as_str())).map(rule::all);
            let rules = own.into_iter().flatten().filter(|rule| matches!(rule.peer, Peer::Group(_))).collect();
            Ok(Unneeded { id, name, users, references, rules })
        });
        join_all(unneeded).await.all().map(Some)
    }

    /// Makes nothing: it looks for what is left.
    async fn create(&self, _ec2: &Ec2) -> Result<Vec<Unneeded>> {
        Ok(Vec::new())
    }

    fn diff(&self, live: &Vec<Unneeded>) -> Vec<Change> {
        let free = live.iter().filter(|group| group.is_free());
        free.map(|group| Change::former("security group", format!("{} ({})", group.name, group.id))).collect()
    }

    async fn update(&self, ec2: &Ec2, live: &Vec<Unneeded>, _changes: &[Change]) -> Result<()> {
        let free = || live.iter().filter(|group| group.is_free());
        // They may refer to one another.
        let revoked = free().map(async |group| {
            match rules::revoke(ec2, &group.id, &group.rules.iter().collect::<Vec<_>>()).await {
                // Another run of this stack was faster, or the last look is too old.
                Err(error) if error.kind() == Kind::NotFound => Err(error.with_kind(Kind::NotYet)),
                other => other,
            }
        });
        join_all(revoked).await.all()?;
        let deletions = free().map(async |group| match security_group::delete(ec2, &group.id).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            Err(error) if error.kind() == Kind::InUse => Err(error.with_kind(Kind::Busy)),
            other => other,
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
