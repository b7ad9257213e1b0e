//! Roles and users that an earlier stack file has asked for and this one does not: reported, and removed only with `--prune`.

use std::collections::BTreeSet;
use std::time::Duration;

use ecs_aws::{Answer as _, InUse, Session};
use ecs_core::{All as _, Change, Owner, Resource, Result, Run, Stack};
use futures::future::join_all;
use futures::join;

use crate::IamApi;
use crate::ci_user::{self, CiUser};
use crate::role::Role;

/// How many roles ListRoles returns in one reply. Source: `ListRoles`, `MaxItems`.
const PAGE: i32 = 1000;

/// The stack's roles and users that it no longer needs.
#[derive(Debug)]
pub struct Former {
    stack: Stack,
    /// Names of the roles that stay
    kept: BTreeSet<String>,
}

/// What one of them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A role
    Role,
    /// A user of CI
    User,
}

impl Kind {
    fn noun(self) -> &'static str {
        match self {
            Kind::Role => Role::KIND,
            Kind::User => CiUser::KIND,
        }
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct One {
    /// What it is
    pub kind: Kind,
    /// Its name
    pub name: String,
    arn: String,
}

impl Former {
    /// Makes the search for what has none of these names.
    pub fn new(stack: &Stack, kept: BTreeSet<String>) -> Self {
        Self { stack: stack.clone(), kept }
    }

    /// Reports what there is, or as told removes it; says nothing where there is nothing.
    ///
    /// A role that something still runs with stays even then: its tasks could do nothing any more.
    ///
    /// # Errors
    /// Any refusal by IAM, ECS or EventBridge Scheduler.
    pub async fn ensure(mut self, run: &Run<'_>, session: &Session, iam: &IamApi) -> Result<()> {
        let found = self.look(iam).await.map_err(|error| error.doing(format!("reading {}", Self::KIND)))?;
        if found.is_empty() {
            return Ok(());
        }
        if run.prunes() {
            let used = InUse::read(session, &self.stack).await?;
            for (one, user) in found.iter().filter_map(|one| Some((one, used.of_arn(&one.arn)?))) {
                run.console().warn(&InUse::stays(&format!("IAM role {}", one.name), user));
                self.kept.insert(one.name.clone());
            }
        }
        run.ensure(iam, self).await.map(drop)
    }

    /// Returns what there is.
    ///
    /// # Errors
    /// Any refusal by IAM.
    pub async fn look(&self, iam: &IamApi) -> Result<Vec<One>> {
        let (roles, users) = join!(self.roles(iam), self.users(iam));
        let (roles, users) = (roles, users).all()?;
        Ok(roles.into_iter().chain(users).collect())
    }

    /// Returns the roles.
    ///
    /// ListRoles has no tags, but descriptions: only a role that is described, or named, as one of ours is asked for its
    /// tags.
    async fn roles(&self, iam: &IamApi) -> Result<Vec<One>> {
        let pages = iam.read.list_roles().into_paginator().page_size(PAGE).items();
        let roles = pages.send().collect::<Result<Vec<_>, _>>().await.answer("iam:ListRoles")?;
        let mut candidates = Vec::new();
        for role in roles {
            if self.may_be_ours(role.role_name(), role.description().unwrap_or_default()) {
                candidates.push(One { kind: Kind::Role, name: role.role_name, arn: role.arn });
            }
        }
        let owners = candidates.iter().map(async |one| {
            let role = Role::new(&self.stack, &one.name, "");
            let live = role.find(iam).await?;
            Ok(live.is_some_and(|live| role.owner(&live) == Owner::Ours))
        });
        let ours = join_all(owners).await.all()?;
        Ok(candidates.into_iter().zip(ours).filter_map(|(one, ours)| ours.then_some(one)).collect())
    }

    /// Returns the users: all that are ours at the stack's path.
    async fn users(&self, iam: &IamApi) -> Result<Vec<One>> {
        let kept = self.stack.ci_user();
        let listed = ci_user::listed(iam, &self.stack).await?;
        let mut found = Vec::new();
        for (name, arn) in listed.into_iter().filter(|(name, _)| Some(name) != kept.as_ref()) {
            let user = CiUser::sought(&self.stack, &name);
            if user.find(iam).await?.is_some_and(|live| user.owner(&live) == Owner::Ours) {
                found.push(One { kind: Kind::User, name, arn: arn.into() });
            }
        }
        Ok(found)
    }

    fn may_be_ours(&self, name: &str, description: &str) -> bool {
        let stack = &self.stack;
        let described = is_task_role(description)
            || description == stack.iam.execution_role_description
            || name == stack.iam.infrastructure_role
            || name == stack.iam.scheduler_role
            || name == stack.usual_deploy_role();
        described && !self.kept.contains(name)
    }
}

impl Resource for Former {
    type Api = IamApi;
    type Live = Vec<One>;
    const KIND: &'static str = "what else is in IAM";
    /// A deletion waits until IAM has noticed everywhere that a role's policies are gone.
    const PATIENCE: Duration = Duration::from_secs(2 * 60);

    fn name(&self) -> String {
        format!("for {}", self.stack.name)
    }

    fn id(&self, live: &Vec<One>) -> String {
        live.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn planned(&self) -> Vec<One> {
        Vec::new()
    }

    async fn find(&self, iam: &IamApi) -> Result<Option<Vec<One>>> {
        self.look(iam).await.map(Some)
    }

    /// Makes nothing: what is sought is too much.
    async fn create(&self, _iam: &IamApi) -> Result<Vec<One>> {
        Ok(Vec::new())
    }

    fn diff(&self, live: &Vec<One>) -> Vec<Change> {
        live.iter().map(|one| Change::former(one.kind.noun(), &one.name)).collect()
    }

    async fn update(&self, iam: &IamApi, live: &Vec<One>, _changes: &[Change]) -> Result<()> {
        let deletions = live.iter().map(async |one| {
            let deleted = match one.kind {
                Kind::Role => delete(Role::new(&self.stack, &one.name, ""), iam).await,
                Kind::User => delete(CiUser::sought(&self.stack, &one.name), iam).await,
            };
            deleted.map_err(|error| error.doing(format!("deleting {} {}", one.kind.noun(), one.name)))
        });
        join_all(deletions).await.all().map(drop)
    }

    /// Never called: a destroy deletes each by itself.
    async fn delete(&self, _iam: &IamApi, _live: &Vec<One>) -> Result<()> {
        Ok(())
    }

    fn owner(&self, _live: &Vec<One>) -> Owner {
        // Nothing is found but what is tagged as the stack's.
        Owner::Ours
    }

    async fn adopt(&self, _iam: &IamApi, _live: &Vec<One>) -> Result<()> {
        Ok(())
    }
}

/// Deletes one by its name; one that is gone is done.
async fn delete<R: Resource<Api = IamApi>>(resource: R, iam: &IamApi) -> Result<()> {
    match resource.delete(iam, &resource.planned()).await {
        Err(error) if error.kind() == ecs_core::Kind::NotFound => Ok(()),
        other => other,
    }
}

/// Returns the description of the task role of a service.
pub fn task_role_description(key: &str) -> String {
    format!("Task role for {key} application")
}

fn is_task_role(description: &str) -> bool {
    description.strip_prefix("Task role for ").is_some_and(|rest| rest.ends_with(" application"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_described_or_named_as_ours_and_is_not_wanted_is_looked_at() {
        let former = Former::new(&Stack::default(), BTreeSet::from(["backendTaskRole".to_owned()]));
        let cases = [
            ("reportingTaskRole", task_role_description("reporting"), true),
            ("backendTaskRole", task_role_description("backend"), false),
            ("ecsInfrastructureRole", String::new(), true),
            ("ecs-production-deploy", String::new(), true),
            ("somebodys", "Role of somebody else's".to_owned(), false),
        ];
        for (name, description, looked_at) in cases {
            assert_eq!(former.may_be_ours(name, &description), looked_at, "{name}");
        }
    }
}
