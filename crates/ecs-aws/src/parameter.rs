//! A parameter of the SSM Parameter Store, and the batch in which a layer reads its parameters.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{ParameterStringFilter, ParameterTier, ParameterType, ResourceTypeForTagging, Tag};
use ecs_core::id::PLANNED;
use ecs_core::{All as _, Change, Error, Identity, Listing, Owner, Resource, Result, Run, Stack, tag};
use futures::future::join_all;
use zeroize::Zeroizing;

use crate::error::Answer as _;
use crate::{Api, InUse, Session};

/// Longest value of a standard parameter, in bytes; a larger one makes it an advanced parameter, which is paid for and
/// one-way: <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html>
const MAX_BYTES: usize = 4096;
/// Names that one GetParameters call takes:
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html>
const NAMES_A_CALL: usize = 10;
/// How many parameters DescribeParameters returns in one reply.
/// Source: `DescribeParameters`, `MaxResults`.
const PAGE: i32 = 50;

/// The clients of the Parameter Store.
pub type Ssm = Api<Client>;

/// One parameter as it is to be.
#[derive(Clone)]
pub struct Wanted {
    /// Its full name
    pub name: String,
    /// Its value, references resolved
    pub value: Zeroizing<String>,
    /// Whether it is a SecureString
    pub secure: bool,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.secure { "(secret)" } else { self.value.as_str() };
        f.debug_struct("Wanted").field("name", &self.name).field("value", &value).finish()
    }
}

/// The parameters that one layer writes: read together, even where some values are known only later.
#[derive(Debug)]
pub struct Parameters {
    ssm: Ssm,
    stack: String,
    layer: &'static str,
    batches: Vec<Rc<Batch>>,
}

/// The names that one call reads.
#[derive(Debug)]
struct Batch {
    names: Vec<String>,
    decrypt: bool,
    list: Listing<Vec<(String, Live)>>,
}

impl Batch {
    /// Returns those that exist; GetParameters lists the others as invalid, which is no error.
    async fn get(&self, ssm: &Ssm) -> Result<Rc<Vec<(String, Live)>>> {
        let load = async || {
            let call = ssm.read.get_parameters().set_names(Some(self.names.clone())).with_decryption(self.decrypt);
            let reply = call.send().await.answer("ssm:GetParameters")?;
            let live = reply.parameters.unwrap_or_default().into_iter().map(|parameter| {
                let kind = parameter.r#type.unwrap_or(ParameterType::String);
                let value = parameter.value.map(Zeroizing::new);
                let readable = self.decrypt || kind != ParameterType::SecureString;
                let live = Live { kind, value: value.filter(|_| readable), version: parameter.version };
                (parameter.name.unwrap_or_default(), live)
            });
            Ok(live.collect())
        };
        self.list.get(load).await
    }
}

impl Parameters {
    /// Makes the batch of a layer's parameters: their names, and whether they are SecureStrings.
    pub fn new(
        run: &Run<'_>,
        ssm: &Ssm,
        stack: &Stack,
        layer: &'static str,
        names: impl IntoIterator<Item = (String, bool)>,
    ) -> Self {
        let names: Vec<_> = names.into_iter().collect();
        let batches = names.chunks(NAMES_A_CALL).map(|chunk| {
            // A destroy compares no values.
            let decrypt = !run.destroys() && chunk.iter().any(|(_, secure)| *secure);
            let names = chunk.iter().map(|(name, _)| name.clone()).collect();
            Rc::new(Batch { names, decrypt, list: Listing::default() })
        });
        Self { ssm: ssm.clone(), stack: stack.name.clone(), layer, batches: batches.collect() }
    }

    /// Reads them all, so that [`Parameters::ensure`] need not wait for that later.
    ///
    /// # Errors
    /// Any refusal by SSM.
    pub async fn read(&self) -> Result<()> {
        join_all(self.batches.iter().map(|batch| batch.get(&self.ssm))).await.all()?;
        Ok(())
    }

    /// Creates or updates some of them, side by side.
    ///
    /// # Errors
    /// A name that is not in the batch; any refusal by SSM.
    pub async fn ensure(&self, run: &Run<'_>, wanted: Vec<Wanted>) -> Result<()> {
        let parameters: Vec<_> = wanted.into_iter().map(|wanted| self.parameter(wanted)).collect::<Result<_>>()?;
        join_all(parameters.into_iter().map(|parameter| run.ensure(&self.ssm, parameter))).await.all()?;
        Ok(())
    }

    fn parameter(&self, wanted: Wanted) -> Result<Parameter> {
        let identity = Identity::new(&self.stack, self.layer, &wanted.name);
        match self.batches.iter().find(|batch| batch.names.contains(&wanted.name)) {
            Some(batch) => Ok(Parameter { identity, wanted, batch: Rc::clone(batch), written: Cell::new(None) }),
            None => Err(Error::other(format!("the parameter {} is not among the layer's own", wanted.name))),
        }
    }
}

/// Creates or updates the parameters of one layer, all side by side.
///
/// # Errors
/// Any refusal by SSM; a value that is too long for a standard parameter.
pub async fn ensure_all(
    run: &Run<'_>,
    ssm: &Ssm,
    stack: &Stack,
    layer: &'static str,
    wanted: Vec<Wanted>,
) -> Result<()> {
    let names: Vec<_> = wanted.iter().map(|wanted| (wanted.name.clone(), wanted.secure)).collect();
    Parameters::new(run, ssm, stack, layer, names).ensure(run, wanted).await
}

/// Reports the parameters of one layer that the stack file no longer has, or as told removes them; a destroy deletes them.
///
/// One that something still runs with stays even then: its tasks could not start again.
///
/// # Errors
/// Any refusal by SSM, ECS or EventBridge Scheduler.
pub async fn ensure_former(
    run: &Run<'_>,
    session: &Session,
    ssm: &Ssm,
    stack: &Stack,
    layer: &'static str,
) -> Result<()> {
    if !run.destroys() && !run.seeks_former() {
        return Ok(());
    }
    let mut former = Former { stack: stack.clone(), layer, kept: BTreeSet::new() };
    let found = former.look(ssm).await.map_err(|error| error.doing(format!("reading {}", Former::KIND)))?;
    if found.is_empty() {
        return Ok(());
    }
    if run.destroys() {
        let wanted = found.into_iter().map(|name| Wanted { name, value: Zeroizing::default(), secure: false });
        return ensure_all(run, ssm, stack, layer, wanted.collect()).await;
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

/// Resolves the `${…}` references in a template with pairs such as `("alb.url", "http://…")`.
///
/// # Errors
/// A reference to something that the pairs do not hold, or one that does not end.
pub fn resolve(template: &str, values: &[(&str, &str)]) -> Result<String> {
    let mut resolved = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, reference)) = rest.split_once("${") {
        let Some((key, after)) = reference.split_once('}') else {
            return Err(Error::usage("a parameter's value has a `${` without its `}`"));
        };
        let Some((_, value)) = values.iter().find(|(known, _)| *known == key) else {
            let known: Vec<_> = values.iter().map(|(known, _)| format!("${{{known}}}")).collect();
            return Err(Error::usage(format!("a parameter's value refers to the unknown `${{{key}}}`"))
                .hint(format!("known here: {}", known.join(", "))));
        };
        resolved.push_str(before);
        resolved.push_str(value);
        rest = after;
    }
    resolved.push_str(rest);
    Ok(resolved)
}

/// Writes one parameter: a new one with its tags, or a new version of one that exists.
///
/// PutParameter refuses tags together with `Overwrite`; returns the version.
///
/// # Errors
/// Any refusal by SSM; a value that is too long for a standard parameter.
pub async fn put(ssm: &Ssm, wanted: &Wanted, new: Option<&Identity>) -> Result<i64> {
    let bytes = wanted.value.len();
    if bytes > MAX_BYTES {
        return Err(Error::usage(format!("the value is {bytes} bytes long, a standard parameter holds {MAX_BYTES}"))
            .hint("split it into several parameters"));
    }
    let call = ssm.write.put_parameter().name(&wanted.name).value(wanted.value.as_str()).r#type(kind(wanted.secure));
    // Without a tier, the account's default would apply, which may be the paid one.
    let call = call.tier(ParameterTier::Standard).overwrite(new.is_none()).set_tags(new.map(tags));
    let reply = call.send().await.answer("ssm:PutParameter").map_err(|error| match error.code() {
        Some("HierarchyTypeMismatchException") => {
            error.hint(format!("delete the parameter {}, then run again", wanted.name))
        }
        _ => error,
    })?;
    Ok(reply.version)
}

/// Reads whose a parameter is.
///
/// # Errors
/// Any refusal by SSM.
pub async fn read_owner(ssm: &Ssm, identity: &Identity) -> Result<Owner> {
    let call = ssm.read.list_tags_for_resource().resource_type(ResourceTypeForTagging::Parameter);
    let reply = call.resource_id(&identity.name).send().await.answer("ssm:ListTagsForResource")?;
    Ok(identity.owner(reply.tag_list().iter().map(|tag| (tag.key(), tag.value()))))
}

/// Puts the identity tags on a parameter that exists.
///
/// # Errors
/// Any refusal by SSM.
pub async fn adopt(ssm: &Ssm, identity: &Identity) -> Result<()> {
    let call = ssm.write.add_tags_to_resource().resource_type(ResourceTypeForTagging::Parameter);
    let call = call.resource_id(&identity.name).set_tags(Some(tags(identity)));
    call.send().await.answer("ssm:AddTagsToResource")?;
    Ok(())
}

/// Deletes a parameter.
///
/// # Errors
/// Any refusal by SSM.
pub async fn delete(ssm: &Ssm, name: &str) -> Result<()> {
    ssm.write.delete_parameter().name(name).send().await.answer("ssm:DeleteParameter")?;
    Ok(())
}

/// A parameter of the Parameter Store.
#[derive(Debug)]
struct Parameter {
    identity: Identity,
    wanted: Wanted,
    batch: Rc<Batch>,
    /// Version that this run wrote: GetParameters may show the one before for a moment.
    written: Cell<Option<i64>>,
}

/// What SSM says the parameter is.
#[derive(Clone)]
struct Live {
    kind: ParameterType,
    /// None where it is encrypted
    value: Option<Zeroizing<String>>,
    version: i64,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("kind", &self.kind).field("version", &self.version).finish_non_exhaustive()
    }
}

impl Parameter {
    fn as_written(&self, version: i64) -> Live {
        Live { kind: kind(self.wanted.secure), value: Some(self.wanted.value.clone()), version }
    }
}

impl Resource for Parameter {
    type Api = Ssm;
    type Live = Live;
    const KIND: &'static str = "parameter";
    /// It exists at once, and is gone at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        self.wanted.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        format!("version {}", live.version)
    }

    fn planned(&self) -> Live {
        self.as_written(0)
    }

    async fn find(&self, ssm: &Ssm) -> Result<Option<Live>> {
        let list = self.batch.get(ssm).await?;
        let found = list.iter().find(|(name, _)| *name == self.wanted.name).map(|(_, live)| live.clone());
        Ok(match (found, self.written.get()) {
            (Some(live), Some(written)) if live.version < written => Some(self.as_written(written)),
            (found, _) => found,
        })
    }

    async fn create(&self, ssm: &Ssm) -> Result<Live> {
        Ok(self.as_written(put(ssm, &self.wanted, Some(&self.identity)).await?))
    }

    /// Compares type and value; of a value that only an apply will know, nothing is said.
    fn diff(&self, live: &Live) -> Vec<Change> {
        let wanted = &self.wanted;
        let kind = Change::of("type", &live.kind, &kind(wanted.secure));
        let value = match &live.value {
            Some(value) if *value != wanted.value && !wanted.value.contains(PLANNED) => {
                let secret = wanted.secure || live.kind == ParameterType::SecureString;
                let (from, to) =
                    if secret { ("(secret)", "(another secret)") } else { (value.as_str(), wanted.value.as_str()) };
                Some(Change::update("value", from, to))
            }
            Some(_) | None => None,
        };
        kind.into_iter().chain(value).collect()
    }

    /// Writes a new version, of another type too: the documentation of HierarchyTypeMismatchException speaks against it,
    /// but SSM accepts it: <https://github.com/hashicorp/terraform-provider-aws/pull/10819>
    async fn update(&self, ssm: &Ssm, _live: &Live, _changes: &[Change]) -> Result<()> {
        self.written.set(Some(put(ssm, &self.wanted, None).await?));
        Ok(())
    }

    async fn delete(&self, ssm: &Ssm, _live: &Live) -> Result<()> {
        delete(ssm, &self.wanted.name).await
    }

    fn owner(&self, _live: &Live) -> Owner {
        Owner::Unread
    }

    async fn read_owner(&self, ssm: &Ssm, _live: &Live) -> Result<Owner> {
        read_owner(ssm, &self.identity).await
    }

    async fn adopt(&self, ssm: &Ssm, _live: &Live) -> Result<()> {
        adopt(ssm, &self.identity).await
    }

    fn forget(&self) {
        self.batch.list.forget();
    }
}

/// The parameters of one layer that the stack file no longer has.
#[derive(Debug)]
struct Former {
    stack: Stack,
    layer: &'static str,
    /// Names of those that are still in use
    kept: BTreeSet<String>,
}

impl Former {
    /// Returns the names of those that there are.
    async fn look(&self, ssm: &Ssm) -> Result<Vec<String>> {
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
        let names = found.filter_map(|parameter| parameter.name);
        Ok(names.filter(|name| !self.stack.parameters.contains_key(name) && !self.kept.contains(name)).collect())
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
        self.look(ssm).await.map(Some)
    }

    /// Makes nothing: what is sought is too much.
    async fn create(&self, _ssm: &Ssm) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn diff(&self, live: &Vec<String>) -> Vec<Change> {
        live.iter().map(|name| Change::former("parameter", name)).collect()
    }

    async fn update(&self, ssm: &Ssm, live: &Vec<String>, _changes: &[Change]) -> Result<()> {
        let deletions = live.iter().map(async |name| match delete(ssm, name).await {
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

fn kind(secure: bool) -> ParameterType {
    if secure { ParameterType::SecureString } else { ParameterType::String }
}

fn tags(identity: &Identity) -> Vec<Tag> {
    // The builder fails only without a key or a value, and these have both.
    identity
        .tags(|key, value| Tag::builder().key(key).value(value).build())
        .into_iter()
        .filter_map(Result::ok)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(value: &str, secure: bool) -> Parameter {
        let name = "/ecs/backend/X".to_owned();
        Parameter {
            identity: Identity::new("prod", "db", &name),
            batch: Rc::new(Batch { names: vec![name.clone()], decrypt: true, list: Listing::default() }),
            wanted: Wanted { name, value: Zeroizing::new(value.to_owned()), secure },
            written: Cell::new(None),
        }
    }

    #[test]
    fn diff_compares_type_and_value_and_tells_no_secret() {
        let (plain, secure) = (ParameterType::String, ParameterType::SecureString);
        let cases: [(&Parameter, &ParameterType, Option<&str>, &[&str]); 7] = [
            (&parameter("5432", false), &plain, Some("5432"), &[]),
            (&parameter("5433", false), &plain, Some("5432"), &["value: 5432 -> 5433"]),
            (&parameter("root", true), &secure, Some("root"), &[]),
            (&parameter("root", true), &secure, Some("hidden"), &["value: (secret) -> (another secret)"]),
            (&parameter("root", true), &plain, Some("root"), &["type: String -> SecureString"]),
            // Still encrypted: the type differs, and of the value nothing is known.
            (&parameter("root", false), &secure, None, &["type: SecureString -> String"]),
            // A plan does not know the value yet.
            (&parameter("http://planned:load-balancer/x", false), &plain, Some("http://x"), &[]),
        ];
        for (parameter, kind, value, changes) in cases {
            let value = value.map(|value| Zeroizing::new(value.to_owned()));
            let live = Live { kind: kind.clone(), value, version: 1 };
            let found: Vec<_> = parameter.diff(&live).iter().map(ToString::to_string).collect();
            assert_eq!(found, changes, "{parameter:?} {live:?}");
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let text = format!("{:?} {:?}", parameter("hunter2", true), parameter("hunter2", true).planned());
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn references_are_resolved_or_refused() {
        let values = [("alb.url", "http://x"), ("db.port", "5432")];
        let cases = [
            ("${alb.url}/api", Some("http://x/api")),
            ("plain", Some("plain")),
            ("${db.port}:${db.port}", Some("5432:5432")),
        ];
        for (template, resolved) in cases {
            assert_eq!(resolve(template, &values).ok().as_deref(), resolved, "{template}");
        }
        for template in ["${alb.nothing}", "${alb.url"] {
            assert_eq!(resolve(template, &values).expect_err(template).kind(), ecs_core::Kind::Usage);
        }
    }

    #[test]
    fn what_a_value_holds_is_not_resolved_again() {
        assert_eq!(resolve("${a}", &[("a", "${b}"), ("b", "x")]).expect("known"), "${b}");
    }
}
