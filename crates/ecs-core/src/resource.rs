//! The trait that every resource implements: how to find, create, compare, change and delete one thing.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::tag::Owner;

/// One resource of a layer. The engine decides which of its functions are called, and only the engine waits.
#[expect(async_fn_in_trait, reason = "the engine runs on one thread and needs no Send futures")]
pub trait Resource: 'static {
    /// The client, such as `ecs_aws::Api<aws_sdk_ec2::Client>`.
    type Api: Clone + 'static;
    /// What AWS says it is now.
    type Live: Clone + 'static;
    /// AWS's noun for it: `NAT gateway`.
    const KIND: &'static str;
    /// The longest wait for it, to be ready or to be gone.
    const PATIENCE: Duration;
    /// What is usual for that wait, as people say it: `1 to 2 min`.
    const USUAL: &'static str = "a few seconds";
    /// Whether AWS goes on with a deletion after it has accepted it: destroy then waits until it is not found.
    const LINGERS: bool = false;

    /// Returns its deterministic name: this is its identity.
    fn name(&self) -> String;

    /// Returns the longest wait for this one to be ready, where some take longer than [`Resource::PATIENCE`] on purpose.
    fn patience(&self) -> Duration {
        Self::PATIENCE
    }

    /// Returns its id, as a person would look it up.
    fn id(&self, live: &Self::Live) -> String;

    /// Returns it as it would be; ids that nobody knows yet are `planned:…`.
    fn planned(&self) -> Self::Live;

    /// Returns it if it exists. The only reader; what is deleted but still listed is absent.
    ///
    /// # Errors
    /// Any refusal by AWS; more than one match.
    async fn find(&self, api: &Self::Api) -> Result<Option<Self::Live>>;

    /// Creates it, tagged in the same call; never waits.
    ///
    /// # Errors
    /// Any refusal by AWS.
    async fn create(&self, api: &Self::Api) -> Result<Self::Live>;

    /// Compares it with what is wanted; pure.
    fn diff(&self, live: &Self::Live) -> Vec<Change> {
        let _ = live;
        Vec::new()
    }

    /// Applies changes that [`Resource::diff`] found.
    ///
    /// # Errors
    /// Any refusal by AWS.
    async fn update(&self, api: &Self::Api, live: &Self::Live, changes: &[Change]) -> Result<()> {
        let _ = (api, live);
        let fields: Vec<_> = changes.iter().map(|change| change.field).collect();
        Err(Error::other(format!("{} cannot be changed: {}", Self::KIND, fields.join(", "))))
    }

    /// Deletes it; what is gone already is done.
    ///
    /// # Errors
    /// [`crate::Kind::InUse`] when something still uses it: the engine then tries again.
    async fn delete(&self, api: &Self::Api, live: &Self::Live) -> Result<()>;

    /// Names what still uses it, when AWS refuses to delete it: `eni-0a1b (ELB app/prod-alb/50dc6c49)`. Empty: AWS does not tell.
    ///
    /// # Errors
    /// Any refusal by AWS; something that never goes by itself: the engine then waits no longer.
    async fn users(&self, api: &Self::Api, live: &Self::Live) -> Result<Vec<String>> {
        let _ = (api, live);
        Ok(Vec::new())
    }

    /// Says whether it can be used.
    fn health(&self, live: &Self::Live) -> Health {
        let _ = live;
        Health::Ready
    }

    /// Makes the error of one that never will be usable, for [`Health::Failed`]'s reason: its kind decides the exit code.
    fn failure(&self, live: &Self::Live, reason: String) -> Error {
        let _ = live;
        Error::other(reason)
    }

    /// Says whose it is, as far as `live` tells.
    fn owner(&self, live: &Self::Live) -> Owner;

    /// Reads whose it is: called only for [`Owner::Unread`], and only before it is touched.
    ///
    /// # Errors
    /// Any refusal by AWS.
    async fn read_owner(&self, api: &Self::Api, live: &Self::Live) -> Result<Owner> {
        let _ = api;
        Ok(self.owner(live))
    }

    /// Takes it over: tags it as ours. Called only with `--adopt`.
    ///
    /// # Errors
    /// Any refusal by AWS.
    async fn adopt(&self, api: &Self::Api, live: &Self::Live) -> Result<()>;

    /// Drops what is remembered of AWS's state, so that the next [`Resource::find`] looks again.
    fn forget(&self) {}
}

/// Says whether a resource can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Ready,
    /// Not yet: AWS's word for its state.
    Pending(String),
    /// Not any more, it is on its way out: AWS's word for its state. Another one can be made when it is gone.
    Leaving(String),
    /// It never will: AWS's reason.
    Failed(String),
}

/// One difference between what is and what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What differs, in AWS's words: `health check path`.
    pub field: &'static str,
    /// What it is now; empty for what is missing.
    pub from: String,
    /// What is wanted; empty for what is too much.
    pub to: String,
    /// What can be done about it.
    pub means: Means,
}

/// Says what can be done about a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// It can be changed in place.
    Update,
    /// It cannot be changed: what a person can do.
    Refuse(String),
    /// Somebody else put it there: reported, and removed only with `--prune`.
    Foreign,
    /// The stack once needed it: reported, and removed only with `--prune`.
    Former,
}

impl Change {
    /// Compares one value; none when they are equal.
    pub fn of<T: PartialEq + ToString>(field: &'static str, from: &T, to: &T) -> Option<Self> {
        (from != to).then(|| Self::update(field, from.to_string(), to.to_string()))
    }

    /// Makes a difference that can be changed in place.
    pub fn update(field: &'static str, from: impl Into<String>, to: impl Into<String>) -> Self {
        Self { field, from: from.into(), to: to.into(), means: Means::Update }
    }

    /// Makes it one that cannot be changed in place, with what a person can do.
    #[must_use]
    pub fn refused(self, hint: impl Into<String>) -> Self {
        Self { means: Means::Refuse(hint.into()), ..self }
    }

    /// Makes a difference that somebody else has brought in.
    pub fn foreign(field: &'static str, what: impl Into<String>) -> Self {
        Self { field, from: what.into(), to: String::new(), means: Means::Foreign }
    }

    /// Makes a difference that an earlier run of this stack has left: the stack no longer needs it.
    pub fn former(field: &'static str, what: impl Into<String>) -> Self {
        Self { means: Means::Former, ..Self::foreign(field, what) }
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.from.as_str(), self.to.as_str()) {
            ("", to) => write!(f, "{}: add {to}", self.field),
            (from, "") => write!(f, "{}: remove {from}", self.field),
            (from, to) => write!(f, "{}: {from} -> {to}", self.field),
        }
    }
}
