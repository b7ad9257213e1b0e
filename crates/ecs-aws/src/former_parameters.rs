//! The parameters of one layer that the stack file no longer has: reported, and removed only with `--prune`.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_ssm::types::{ParameterStringFilter, ParameterType};
use ecs_core::{All as _, Change, Error, Owner, Resource, Result, Run, Stack, tag};
use futures::future::join_all;
use zeroize::Zeroizing;

use crate::error::Answer as _;
use crate::parameter::{self, Ssm, Wanted};
use crate::{InUse, Session};

/// How many parameters DescribeParameters returns in one reply.
/// Source: `DescribeParameters`, `MaxResults`.
const PAGE: i32 = 50;

/// What stays although the stack file does not have it.
#[derive(Debug, Default)]
pub struct Spared {
    /// Names of parameters that the layer itself still needs
    pub needed: Vec<String>,
    /// Why SecureStrings stay, where they do: what may be nowhere else is for a person to delete
    pub secure: Option<&'static str>,
}

/// Reports the parameters of one layer that the stack file no longer has, or as told removes them; a destroy deletes them.
///
/// One that something still runs with stays even then: its tasks could not start again.
///
/// # Errors
/// Any refusal by SSM, ECS or EventBridge Scheduler.
pub async fn ensure(
    run: &Run<'_>,
    session: &Session,
    ssm: &Ssm,
    stack: &Stack,
    layer: &'static str,
    spared: Spared,
) -> Result<()> {
    if !run.destroys() && !run.seeks_former() {
        return Ok(());
    }
    let kept = spared.needed.into_iter().collect();
    let mut former = Former { stack: stack.clone(), layer, kept };
    let found = former.look(ssm).await.map_err(|error| error.doing(format!("reading {}", Former::KIND)))?;
    if let Some(why) = spared.secure {
        for (name, _) in found.iter().filter(|(_, secure)| *secure) {
            let delete = format!("`aws ssm delete-parameter --name {name}` deletes it");
            run.console().warn(&format!("parameter {name} is not in the stack file: {why}: left alone ({delete})"));
            former.kept.insert(name.clone());
        }
    }
    let found: Vec<String> =
        found.into_iter().map(|(name, _)| name).filter(|name| !former.kept.contains(name)).collect();
    if found.is_empty() {
        return Ok(());
    }
    if run.destroys() {
        let wanted = found.into_iter().map(|name| Wanted { name, value: Zeroizing::default(), secure: false });
        return parameter::ensure_all(run, ssm, stack, layer, wanted.collect()).await;
    }
    if run.prunes() {
        let used = InUse::read(session, stack).await?;
        for (name, user) in found.iter().filter_map(|name| Some((name, used.of_parameter(name)?))) {
            run.console().warn(&InUse::stays(&format!("parameter {name}"), user));
            former.kept.insert(name.clone());
        }
    }
    run.ensure(ssm, former).await.map(drop)
}

/// The parameters of one layer that the stack file no longer has.
#[derive(Debug)]
struct Former {
    stack: Stack,
    layer: &'static str,
    /// Names of those that stay
    kept: BTreeSet<String>,
}

impl Former {
    /// Returns the names of those that there are, and whether each is a SecureString.
    async fn look(&self, ssm: &Ssm) -> Result<Vec<(String, bool)>> {
        let filter = |key: &str, value: &str| {
            ParameterStringFilter::builder().key(format!("tag:{key}")).option("Equals").values(value).build()
        };
        let mut call = ssm.read.describe_parameters().max_results(PAGE);
        for (key, value) in [(tag::STACK, self.stack.name.as_str()), (tag::LAYER, self.layer)] {
            let filter =
                filter(key, value).map_err(|error| Error::other(format!("a request cannot be built: {error}")))?;
            call = call.parameter_filters(filter);
        }
        // A page may be empty with another behind it.
        let pages = call.into_paginator().send().collect::<std::result::Result<Vec<_>, _>>().await;
        let found =
            pages.answer("ssm:DescribeParameters")?.into_iter().flat_map(|page| page.parameters.unwrap_or_default());
        let found = found.filter_map(|parameter| {
            let secure = parameter.r#type == Some(ParameterType::SecureString);
            parameter.name.map(|name| (name, secure))
        });
        Ok(found.filter(|(name, _)| !self.stack.parameters.contains_key(name) && !self.kept.contains(name)).collect())
    }
}

impl Resource for Former {
    type Api = Ssm;
    type Live = Vec<String>;
    const KIND: &'static str = "what else is in Parameter Store";
    /// A parameter is gone at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        format!("for {}", self.stack.name)
    }

    fn id(&self, live: &Vec<String>) -> String {
        live.join(", ")
    }

    fn planned(&self) -> Vec<String> {
        Vec::new()
    }

    async fn find(&self, ssm: &Ssm) -> Result<Option<Vec<String>>> {
        let found = self.look(ssm).await?;
        Ok(Some(found.into_iter().map(|(name, _)| name).collect()))
    }

    /// Makes nothing: what is sought is too much.
    async fn create(&self, _ssm: &Ssm) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn diff(&self, live: &Vec<String>) -> Vec<Change> {
        live.iter().map(|name| Change::former("parameter", name)).collect()
    }

    async fn update(&self, ssm: &Ssm, live: &Vec<String>, _changes: &[Change]) -> Result<()> {
        let deletions = live.iter().map(async |name| match parameter::delete(ssm, name).await {
            Err(error) if error.kind() == ecs_core::Kind::NotFound => Ok(()),
            other => other,
        });
        join_all(deletions).await.all().map(drop)
    }

    /// Never called: a destroy deletes each by itself.
    async fn delete(&self, _ssm: &Ssm, _live: &Vec<String>) -> Result<()> {
        Ok(())
    }

    fn owner(&self, _live: &Vec<String>) -> Owner {
        // Nothing is found but what is tagged as the stack's.
        Owner::Ours
    }

    async fn adopt(&self, _ssm: &Ssm, _live: &Vec<String>) -> Result<()> {
        Ok(())
    }
}
