//! The DB parameter group: the server's settings that the stack file gives, and those of RDS for all others.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_rds::types::{ApplyMethod, DbParameterGroup, Parameter};
use ecs_aws::{Answer as _, present};
use ecs_core::console::Console;
use ecs_core::id::planned;
use ecs_core::stack::DbConfig;
use ecs_core::{Change, Error, Identity, Kind, Owner, Resource, Result, Stack};

use crate::engine_version::numbers;
use crate::{LAYER, Rds, rds};

/// What differs, as [`Change::field`].
const PARAMETER: &str = "parameter";
/// The setting that refuses connections without TLS:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html>
const FORCE_TLS: &str = "rds.force_ssl";
/// Parameters that one call changes:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBParameterGroup.html>
const AT_A_TIME: usize = 20;

/// A DB parameter group.
#[derive(Debug)]
pub struct ParameterGroup {
    identity: Identity,
    family: String,
    parameters: BTreeMap<String, String>,
    instance: String,
    console: Console,
}

/// What RDS says the DB parameter group is.
#[derive(Debug, Clone)]
pub struct Live {
    arn: String,
    family: String,
    parameters: Vec<Parameter>,
}

/// Returns the settings that the stack file gives; none of them, no group.
pub fn wanted(config: &DbConfig) -> BTreeMap<String, String> {
    let tls = config.force_tls.then(|| (FORCE_TLS.to_owned(), "1".to_owned()));
    config.parameters.clone().into_iter().chain(tls).collect()
}

/// Returns the name of an instance's group: a group is of one major version for life, and so is its name.
pub fn name(config: &DbConfig, version: &str) -> String {
    format!("{}-{}", config.identifier, family(version))
}

/// Returns the family that a PostgreSQL version belongs to: `postgres17`.
fn family(version: &str) -> String {
    let major = numbers(version).and_then(|numbers| numbers.first().copied()).unwrap_or_default();
    format!("postgres{major}")
}

/// Returns the names of the groups that the stack's instance has, or had.
///
/// # Errors
/// Any refusal by RDS.
pub async fn names(rds: &Rds, stack: &Stack) -> Result<Vec<String>> {
    let pages = rds.read.describe_db_parameter_groups().into_paginator().items().send();
    let groups = pages.collect::<Result<Vec<_>, _>>().await.answer("rds:DescribeDBParameterGroups")?;
    let start = format!("{}-postgres", stack.db.identifier);
    let ours = |name: &String| name.strip_prefix(&start).is_some_and(|major| major.parse::<u32>().is_ok());
    Ok(groups.into_iter().filter_map(|group| group.db_parameter_group_name).filter(ours).collect())
}

impl ParameterGroup {
    /// Makes the group of the stack's instance, which runs or is to run a version.
    pub fn new(stack: &Stack, version: &str, console: &Console) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, name(&stack.db, version)),
            family: family(version),
            parameters: wanted(&stack.db),
            instance: stack.db.identifier.clone(),
            console: console.clone(),
        }
    }

    /// Makes one of this name, to be deleted.
    pub fn sought(stack: &Stack, name: &str, console: &Console) -> Self {
        Self { identity: Identity::new(&stack.name, LAYER, name), ..Self::new(stack, "", console) }
    }

    async fn read(&self, rds: &Rds, group: DbParameterGroup) -> Result<Live> {
        let pages = rds.read.describe_db_parameters().db_parameter_group_name(&self.identity.name);
        let pages = pages.into_paginator().items().send();
        let parameters = pages.collect::<Result<Vec<_>, _>>().await.answer("rds:DescribeDBParameters")?;
        Ok(Live {
            arn: group.db_parameter_group_arn.unwrap_or_default(),
            family: group.db_parameter_group_family.unwrap_or_default(),
            parameters,
        })
    }

    /// Makes a parameter for a call: what the server takes while it runs at once, the rest at its next start.
    fn parameter(&self, live: &Live, name: &str, value: Option<&str>) -> Parameter {
        let is_static = live.of(name).and_then(Parameter::apply_type) == Some("static");
        let method = if is_static { ApplyMethod::PendingReboot } else { ApplyMethod::Immediate };
        let builder = Parameter::builder().parameter_name(name).apply_method(method);
        builder.set_parameter_value(value.map(str::to_owned)).build()
    }

    fn tell_of_reboot(&self, parameters: &[Parameter]) {
        let pending = parameters.iter().filter(|one| one.apply_method() == Some(&ApplyMethod::PendingReboot));
        let names: Vec<&str> = pending.filter_map(Parameter::parameter_name).collect();
        if !names.is_empty() {
            self.console.warn(&format!(
                "DB instance {}: {} takes effect when it is rebooted, which ecs-db never does: `aws rds \
                 reboot-db-instance --db-instance-identifier {}`",
                self.instance,
                names.join(", "),
                self.instance
            ));
        }
    }
}

impl Live {
    fn of(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|one| one.parameter_name() == Some(name))
    }
}

impl Resource for ParameterGroup {
    type Api = Rds;
    type Live = Live;
    const KIND: &'static str = "DB parameter group";
    /// It exists at once; it is deleted when its instance is gone.
    const PATIENCE: Duration = Duration::from_secs(10 * 60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.clone()
    }

    fn planned(&self) -> Live {
        let arn = planned(Self::KIND, &self.identity.name);
        Live { arn, family: self.family.clone(), parameters: Vec::new() }
    }

    async fn find(&self, rds: &Rds) -> Result<Option<Live>> {
        let call = rds.read.describe_db_parameter_groups().db_parameter_group_name(&self.identity.name);
        let reply = call.send().await.answer_if_found("rds:DescribeDBParameterGroups")?;
        match reply.and_then(|reply| reply.db_parameter_groups.unwrap_or_default().pop()) {
            Some(group) => self.read(rds, group).await.map(Some),
            None => Ok(None),
        }
    }

    /// Creates it; its parameters follow as changes.
    async fn create(&self, rds: &Rds) -> Result<Live> {
        let call = rds.write.create_db_parameter_group().db_parameter_group_name(&self.identity.name);
        let call = call.db_parameter_group_family(&self.family).set_tags(Some(rds::tags(&self.identity)));
        let call = call.description(format!("Parameters of DB instance {}", self.instance));
        let reply = call.send().await.answer("rds:CreateDBParameterGroup")?;
        let group = present(reply.db_parameter_group, "rds:CreateDBParameterGroup", "the DB parameter group")?;
        self.read(rds, group).await
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let mut changes: Vec<Change> = Change::of("family", &live.family, &self.family)
            .map(|change| change.refused("a DB parameter group is of one major version: delete it, if nothing uses it"))
            .into_iter()
            .collect();
        for (name, value) in &self.parameters {
            let to = format!("{name} = {value}");
            let Some(is) = live.of(name) else {
                let change = Change::update(PARAMETER, "", to);
                changes.push(change.refused(format!("PostgreSQL of the family {} has no such parameter", self.family)));
                continue;
            };
            if is.parameter_value() != Some(value) {
                let from = is.parameter_value().map(|value| format!("{name} = {value}")).unwrap_or_default();
                changes.push(Change::update(PARAMETER, from, to));
            }
        }
        let set = live.parameters.iter().filter(|one| one.source() == Some("user"));
        let others = set.filter_map(Parameter::parameter_name).filter(|name| !self.parameters.contains_key(*name));
        changes.extend(others.map(|name| Change::former(PARAMETER, name)));
        changes
    }

    async fn update(&self, rds: &Rds, live: &Live, changes: &[Change]) -> Result<()> {
        let (gone, set): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.to.is_empty());
        let set = set.iter().filter_map(|change| change.to.split_once(" = "));
        let set: Vec<Parameter> = set.map(|(name, value)| self.parameter(live, name, Some(value))).collect();
        let gone: Vec<Parameter> = gone.iter().map(|change| self.parameter(live, &change.from, None)).collect();
        for parameters in set.chunks(AT_A_TIME) {
            let call = rds.write.modify_db_parameter_group().db_parameter_group_name(&self.identity.name);
            let call = call.set_parameters(Some(parameters.to_vec()));
            call.send().await.answer("rds:ModifyDBParameterGroup").map_err(wait_for_state)?;
        }
        for parameters in gone.chunks(AT_A_TIME) {
            let call = rds.write.reset_db_parameter_group().db_parameter_group_name(&self.identity.name);
            let call = call.reset_all_parameters(false).set_parameters(Some(parameters.to_vec()));
            call.send().await.answer("rds:ResetDBParameterGroup").map_err(wait_for_state)?;
        }
        self.tell_of_reboot(&set);
        self.tell_of_reboot(&gone);
        Ok(())
    }

    async fn delete(&self, rds: &Rds, _live: &Live) -> Result<()> {
        let call = rds.write.delete_db_parameter_group().db_parameter_group_name(&self.identity.name);
        call.send().await.answer("rds:DeleteDBParameterGroup")?;
        Ok(())
    }

    fn owner(&self, _live: &Live) -> Owner {
        Owner::Unread
    }

    async fn read_owner(&self, rds: &Rds, live: &Live) -> Result<Owner> {
        rds::read_owner(rds, &self.identity, &live.arn).await
    }

    async fn adopt(&self, rds: &Rds, live: &Live) -> Result<()> {
        rds::adopt(rds, &self.identity, &live.arn).await
    }
}

/// A group that RDS is still busy with takes the change later; one that an instance uses cannot be deleted.
fn wait_for_state(error: Error) -> Error {
    if error.code() == Some("InvalidDBParameterGroupState") { error.with_kind(Kind::Busy) } else { error }
}

#[cfg(test)]
mod tests {
    use ecs_core::console::{LogFormat, Verbosity};
    use ecs_core::resource::Means;

    use super::*;

    fn group(parameters: &[(&str, &str)]) -> ParameterGroup {
        let mut stack = Stack::default();
        stack.db.force_tls = true;
        let pairs = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        stack.db.parameters = pairs.collect();
        ParameterGroup::new(&stack, "17.6", &Console::new("ecs-db", Verbosity::Quiet, LogFormat::Text))
    }

    fn live(parameters: &[(&str, Option<&str>, &str, &str)]) -> Live {
        let parameters = parameters.iter().map(|(name, value, source, kind)| {
            let one = Parameter::builder().parameter_name(*name).source(*source).apply_type(*kind);
            one.set_parameter_value(value.map(str::to_owned)).build()
        });
        Live { arn: "arn:pg".to_owned(), family: "postgres17".to_owned(), parameters: parameters.collect() }
    }

    #[test]
    fn a_group_is_named_after_the_instance_and_the_major_version() {
        let group = group(&[]);
        assert_eq!((group.name().as_str(), group.family.as_str()), ("ecs-postgres-db-postgres17", "postgres17"));
        assert_eq!(wanted(&Stack::default().db), BTreeMap::new());
    }

    #[test]
    fn parameters_of_the_file_are_set_and_others_are_of_before() {
        let group = group(&[("max_connections", "100"), ("nonsense", "1")]);
        let changes = group.diff(&live(&[
            ("rds.force_ssl", Some("0"), "system", "dynamic"),
            ("max_connections", None, "engine-default", "static"),
            ("work_mem", Some("64"), "user", "dynamic"),
        ]));
        let text: Vec<_> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "parameter: add max_connections = 100",
                "parameter: add nonsense = 1",
                "parameter: rds.force_ssl = 0 -> rds.force_ssl = 1",
                "parameter: remove work_mem",
            ]
        );
        assert!(matches!(changes[1].means, Means::Refuse(_)));
        assert_eq!(changes[3].means, Means::Former);
    }

    #[test]
    fn a_group_that_is_busy_is_waited_for() {
        let error =
            |code: &str| Error::other("busy").answered(Some(code.to_owned()), "rds:ModifyDBParameterGroup", None);
        assert_eq!(wait_for_state(error("InvalidDBParameterGroupState")).kind(), Kind::Busy);
        assert_eq!(wait_for_state(error("InvalidParameterValue")).kind(), Kind::Other);
    }

    #[test]
    fn what_the_server_takes_only_at_its_start_waits_for_a_reboot() {
        let group = group(&[]);
        let live = live(&[("a", None, "system", "static"), ("b", None, "system", "dynamic")]);
        let method = |name| group.parameter(&live, name, Some("1")).apply_method().cloned();
        assert_eq!((method("a"), method("b")), (Some(ApplyMethod::PendingReboot), Some(ApplyMethod::Immediate)));
    }
}
