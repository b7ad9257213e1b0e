//! The engine: it alone decides which of a resource's functions are called, and it alone waits.

mod destroy;
mod plan;
mod wait;

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, Shared};
use serde_json::Value;
use tokio::sync::watch;

use crate::console::Console;
use crate::document::{Arrival, Inputs, Output};
use crate::error::{Error, Kind, Result};
use crate::id::PLANNED;
use crate::member::Member;
use crate::resource::{Change, Health, Means, Resource};
use crate::stop::Stop;
use crate::tag::Owner;
use destroy::Found;
use wait::{Backoff, LOST, Tries};

/// How often one resource is changed before it is said to refuse the change.
const MAX_UPDATES: u32 = 3;

/// What a walk over a layer's description is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Create and change.
    Apply,
    /// Read and compare only.
    Plan,
    /// Read, then delete what was found; or, for a plan of it, only say so.
    Destroy {
        /// Only say what would be deleted
        plan: bool,
    },
}

/// The person's wishes that the engine heeds.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Take over what carries our name but nobody's tags
    pub adopt: bool,
    /// Remove what others have added to our resources
    pub prune: bool,
}

/// Resolves once it is certain that the credentials belong to the right account: to that account's number.
pub type Gate = Shared<LocalBoxFuture<'static, Result<String>>>;

/// Makes a gate of an identity check.
pub fn gate(check: impl Future<Output = Result<String>> + 'static) -> Gate {
    check.boxed_local().shared()
}

/// One walk over one layer's description.
pub struct Run<'a> {
    mode: Mode,
    wishes: Wishes,
    console: &'a Console,
    inputs: &'a Inputs,
    output: &'a Output,
    stop: &'a Stop,
    gate: Gate,
    /// Counts the starts and ends of resources: what started after another's end may stand on it.
    ticks: Cell<u64>,
    lag: Cell<bool>,
    /// Whether the layer has begun to look at AWS; none as long as it may still turn out that it will not.
    begun: watch::Sender<Option<bool>>,
    found: RefCell<Vec<Found>>,
    created: RefCell<Vec<String>>,
    counts: RefCell<Counts>,
}

/// What a run has done, or a plan would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Resources created
    pub create: usize,
    /// Resources changed
    pub change: usize,
    /// Resources deleted
    pub delete: usize,
    /// Resources as they should be
    pub keep: usize,
}

impl Counts {
    /// Says whether there is, or was, anything to do.
    pub fn any(&self) -> bool {
        self.create + self.change + self.delete > 0
    }
}

/// A resource that exists, or in a plan would: its ids can be used, but it may not be ready yet.
#[derive(Debug)]
pub struct Held<R: Resource> {
    live: R::Live,
    resource: Rc<R>,
    new: bool,
}

impl<R: Resource> Held<R> {
    /// Says whether this very run made it.
    pub fn is_new(&self) -> bool {
        self.new
    }

    /// Returns what AWS says it is.
    pub fn into_live(self) -> R::Live {
        self.live
    }
}

impl<R: Resource> Deref for Held<R> {
    type Target = R::Live;

    fn deref(&self) -> &R::Live {
        &self.live
    }
}

impl<'a> Run<'a> {
    /// Starts a walk.
    pub fn new(
        mode: Mode,
        wishes: Wishes,
        console: &'a Console,
        (inputs, output): (&'a Inputs, &'a Output),
        stop: &'a Stop,
        gate: Gate,
    ) -> Self {
        Self {
            mode,
            wishes,
            console,
            inputs,
            output,
            stop,
            gate,
            ticks: Cell::new(0),
            lag: Cell::new(false),
            begun: watch::Sender::new(None),
            found: RefCell::default(),
            created: RefCell::default(),
            counts: RefCell::default(),
        }
    }

    /// Returns what the walk is for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Says whether this walk creates and changes things.
    pub fn applies(&self) -> bool {
        self.mode == Mode::Apply
    }

    /// Says whether this walk is for a destroy.
    pub fn destroys(&self) -> bool {
        matches!(self.mode, Mode::Destroy { .. })
    }

    /// Says whether what others have added to the stack's resources is to go.
    pub fn prunes(&self) -> bool {
        self.wishes.prune
    }

    /// Says whether this walk looks for what earlier stack files have asked for and this one does not: a plan shows it, and
    /// an apply need not know of it unless it is to go.
    pub fn seeks_former(&self) -> bool {
        match self.mode {
            Mode::Plan => true,
            Mode::Apply => self.wishes.prune,
            Mode::Destroy { .. } => false,
        }
    }

    /// Returns the console.
    pub fn console(&self) -> &Console {
        self.console
    }

    /// Returns the number of the account, once the identity check has passed.
    ///
    /// # Errors
    /// When the credentials are missing, refused, or for another account.
    pub async fn account(&self) -> Result<String> {
        self.stop.or(self.gate.clone()).await?
    }

    /// Says whether the layer looks at AWS at all, as soon as that is certain: bad input is refused without any call.
    pub async fn begins(&self) -> bool {
        let mut begun = self.begun.subscribe();
        let begun = begun.wait_for(Option::is_some).await;
        begun.is_ok_and(|begun| *begun == Some(true))
    }

    /// Settles whether the layer looks at AWS; the first word counts.
    pub(crate) fn begin(&self, does: bool) {
        self.begun.send_if_modified(|begun| {
            let first = begun.is_none();
            begun.get_or_insert(does);
            first
        });
    }

    /// Returns what has been done so far.
    pub fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Returns what this run has created so far, as a person would look it up.
    pub fn created(&self) -> Vec<String> {
        self.created.borrow().clone()
    }

    /// Returns a member that another layer wrote, as soon as it is there.
    ///
    /// A destroy looks for things by name and gets the member's stand-in at once.
    ///
    /// # Errors
    /// When the document ends without it, when it has the wrong shape, and when an apply meets a `planned:` id.
    pub async fn input<M: Member>(&self) -> Result<M> {
        match self.optional_input().await? {
            Some(member) => Ok(member),
            None => Err(Error::usage(format!("the document has no member `{}`", M::NAME)).hint(format!(
                "pipe from {}, or write it by hand: {}",
                M::TOOL,
                M::BY_HAND
            ))),
        }
    }

    /// Like [`Run::input`], but a document that is complete without the member, or has it as `null`, is no error.
    ///
    /// # Errors
    /// Like [`Run::input`], except for the member's absence.
    pub async fn optional_input<M: Member>(&self) -> Result<Option<M>> {
        if self.destroys() {
            return Ok(Some(M::unknown()));
        }
        let raw = match self.stop.or(self.inputs.member(M::NAME)).await?? {
            Arrival::Here(raw) => raw,
            Arrival::Absent => return Ok(None),
        };
        let wrong = |error: serde_json::Error| {
            Error::usage(format!("the document's member `{}` has the wrong shape: {error}", M::NAME))
                .hint(format!("`{} schema` prints its JSON Schema", M::TOOL))
        };
        let value: Value = serde_json::from_str(raw.get()).map_err(wrong)?;
        if self.applies() && holds_planned(&value) {
            return Err(Error::usage(format!(
                "the document's member `{}` comes from a plan: its ids do not exist",
                M::NAME
            ))
            .hint(format!("run {} without `plan` first", M::TOOL)));
        }
        serde_json::from_value::<Option<M>>(value).map_err(wrong)
    }

    /// Writes a member to the document, so that the next tools can start. A destroy writes none here.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn publish<M: Member>(&self, member: &M) -> Result<()> {
        if self.destroys() { Ok(()) } else { self.output.member(M::NAME, member) }
    }

    /// Writes a member as `null`: the stack has none. A destroy writes none here.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn publish_none<M: Member>(&self) -> Result<()> {
        if self.destroys() { Ok(()) } else { self.output.member(M::NAME, &()) }
    }

    /// Says that something has changed, or in a plan would, that is no resource of its own, and counts it.
    pub fn say_changed(&self, what: &str) {
        match self.mode {
            Mode::Plan => self.console.say("plan", &format!("~ change {what}")),
            Mode::Apply | Mode::Destroy { .. } => self.console.say("changed", &format!("changed {what}")),
        }
        self.counts.borrow_mut().change += 1;
    }

    /// Tells that ids from another tool may be so new that AWS does not show them everywhere yet.
    pub fn expect_lag(&self, lag: bool) {
        self.lag.set(self.lag.get() || lag);
    }

    /// Makes a resource be as it is wanted, or in a plan says what that would take; returns as soon as its ids exist.
    ///
    /// The search for it counts as begun when this is called, not when the future is first polled: what is called side
    /// by side cannot stand on one another, and a destroy deletes it side by side.
    ///
    /// # Errors
    /// Any refusal by AWS that trying again does not mend; somebody else's resource of that name.
    pub fn ensure<'f, R: Resource>(&'f self, api: &'f R::Api, resource: R) -> LocalBoxFuture<'f, Result<Held<R>>> {
        let resource = Rc::new(resource);
        self.begin(true);
        let start = self.tick();
        // On the heap, or the layers' nested futures overflow the compiler.
        Box::pin(async move {
            match self.mode {
                Mode::Apply => self.converge(api, &resource).await,
                Mode::Plan => self.compare(api, &resource).await,
                Mode::Destroy { .. } => {
                    let (held, found) = self.remember(api, &resource).await?;
                    let end = self.tick();
                    self.found.borrow_mut().extend(found.map(|found| found.between(start, end)));
                    Ok(held)
                }
            }
        })
    }

    /// Waits until a resource can be used. A plan does not wait.
    ///
    /// # Errors
    /// AWS's reason when it never will be; [`Kind::TimedOut`] after [`Resource::patience`].
    pub async fn ready<R: Resource>(&self, api: &R::Api, held: &Held<R>) -> Result<R::Live> {
        if !self.applies() {
            return Ok(held.live.clone());
        }
        self.wait_until_ready(api, held)
            .await
            .map_err(|error| error.doing(format!("waiting for {}", label(&*held.resource))))
    }

    async fn converge<R: Resource>(&self, api: &R::Api, resource: &Rc<R>) -> Result<Held<R>> {
        let mut tries = Tries::new(self);
        let mut updates = 0;
        let mut showing = None;
        let mut accepted = Vec::new();
        loop {
            self.stop.check()?;
            let found = self.find(api, resource).await?;
            if let Some(Health::Leaving(state)) = found.as_ref().map(|live| resource.health(live)) {
                let error = Error::new(Kind::Busy, format!("the one before is still {state}"));
                tries.again(error, &**resource, "creating").await?;
                continue;
            }
            let Some(live) = found else {
                match self.create(api, resource).await {
                    Ok(held) => return Ok(held),
                    Err(error) if self.may_pass(&error) || error.kind() == Kind::AlreadyExists => {
                        let lost = error.kind() == Kind::Transient;
                        tries.again(error, &**resource, "creating").await?;
                        if lost {
                            self.look_for_lost(api, resource).await?;
                        }
                        continue;
                    }
                    Err(error) => return Err(error.doing(doing("creating", &**resource))),
                }
            };
            let changes = self.wanted_changes(&**resource, &live)?;
            // What AWS has accepted may show a little later, as IAM says of all that it holds:
            // <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency>
            if !changes.is_empty()
                && changes == accepted
                && let Some(delay) = showing.get_or_insert_with(Backoff::new).next(Kind::NotFound)
            {
                self.pause(delay).await?;
                resource.forget();
                continue;
            }
            self.settle_owner(api, resource, &live, !changes.is_empty()).await?;
            if changes.is_empty() {
                self.kept(&**resource, &live, updates > 0);
                return Ok(Held { live, resource: Rc::clone(resource), new: false });
            }
            if updates == MAX_UPDATES {
                let left: Vec<_> = changes.iter().map(ToString::to_string).collect();
                return Err(Error::other(format!("AWS accepts the change, but it does not show: {}", left.join("; ")))
                    .doing(doing("changing", &**resource)));
            }
            self.account().await?;
            self.stop.check()?;
            match resource.update(api, &live, &changes).await {
                Ok(()) => {
                    for change in &changes {
                        self.console.say("changed", &format!("changed {}: {change}", label(&**resource)));
                    }
                    updates += 1;
                    accepted = changes;
                    resource.forget();
                }
                // "Already exists": another run of this stack is at the same work.
                Err(error) if self.may_pass(&error) || error.kind() == Kind::AlreadyExists => {
                    tries.again(error, &**resource, "changing").await?;
                }
                Err(error) => return Err(error.doing(doing("changing", &**resource))),
            }
        }
    }

    /// Looks whether a create whose answer was lost took effect, for as long as AWS may take to list it: sent again too
    /// soon, it would make a second one.
    async fn look_for_lost<R: Resource>(&self, api: &R::Api, resource: &Rc<R>) -> Result<()> {
        let mut looks = Backoff::new();
        while let Some(delay) = looks.next(Kind::Transient).filter(|delay| *delay <= LOST) {
            if self.find(api, resource).await?.is_some() {
                break;
            }
            self.pause(delay).await?;
            resource.forget();
        }
        Ok(())
    }

    async fn create<R: Resource>(&self, api: &R::Api, resource: &Rc<R>) -> Result<Held<R>> {
        self.account().await?;
        self.stop.check()?;
        let live = resource.create(api).await?;
        let label = format!("{} ({})", label(&**resource), resource.id(&live));
        self.console.say("created", &format!("created {label}"));
        self.created.borrow_mut().push(label);
        self.counts.borrow_mut().create += 1;
        self.lag.set(true);
        // What the create call cannot set follows here. Interrupted in between, the next run finds the difference.
        let changes = self.wanted_changes(&**resource, &live)?;
        let mut tries = Tries::new(self);
        while !changes.is_empty() {
            match resource.update(api, &live, &changes).await {
                Ok(()) => break,
                Err(error) if self.may_pass(&error) => {
                    tries.again(error, &**resource, "setting up").await?;
                }
                Err(error) => return Err(error.doing(doing("setting up", &**resource))),
            }
        }
        Ok(Held { live, resource: Rc::clone(resource), new: true })
    }

    /// Looks for a resource, again where only the moment is bad: what this run has just made may be "not found" in a read as well.
    ///
    /// A lost connection is the SDK's to mend: it sends reads again by itself, and gives up when AWS cannot be reached.
    async fn find<R: Resource>(&self, api: &R::Api, resource: &Rc<R>) -> Result<Option<R::Live>> {
        let mut tries = Tries::new(self);
        loop {
            // A read that is dropped leaves nothing behind, so an order to stop need not wait for its retries.
            match self.stop.or(resource.find(api)).await? {
                Ok(found) => return Ok(found),
                Err(error) if self.may_pass(&error) && error.kind() != Kind::Transient => {
                    tries.again(error, &**resource, "reading").await?;
                }
                Err(error) => return Err(error.doing(doing("reading", &**resource))),
            }
        }
    }

    /// Reads whose a resource is, again where only the moment is bad.
    async fn read_owner<R: Resource>(&self, api: &R::Api, resource: &Rc<R>, live: &R::Live) -> Result<Owner> {
        let mut tries = Tries::new(self);
        loop {
            match self.stop.or(resource.read_owner(api, live)).await? {
                Ok(owner) => return Ok(owner),
                Err(error) if self.may_pass(&error) && error.kind() != Kind::Transient => {
                    tries.again(error, &**resource, "reading").await?;
                }
                Err(error) => return Err(error.doing(doing("reading", &**resource))),
            }
        }
    }

    /// Sorts the differences: refuses what cannot be done, reports what is somebody else's, returns the rest.
    fn wanted_changes<R: Resource>(&self, resource: &R, live: &R::Live) -> Result<Vec<Change>> {
        let mut wanted = Vec::new();
        for change in resource.diff(live) {
            match &change.means {
                Means::Update => wanted.push(change),
                Means::Foreign | Means::Former if self.wishes.prune => wanted.push(change),
                Means::Former => self.console.warn(&format!(
                    "{}: {} {} is no longer needed: left alone (--prune removes it)",
                    label(resource),
                    change.field,
                    change.from
                )),
                Means::Foreign => self.console.warn(&format!(
                    "{}: somebody else has added {} {}: left alone (--prune removes it)",
                    label(resource),
                    change.field,
                    change.from
                )),
                Means::Refuse(hint) => {
                    return Err(Error::other(format!("it cannot be changed in place: {change}"))
                        .doing(doing("changing", resource))
                        .hint(hint.clone()));
                }
            }
        }
        Ok(wanted)
    }

    /// Refuses to touch what belongs to somebody else, unless it is to be taken over.
    async fn settle_owner<R: Resource>(
        &self,
        api: &R::Api,
        resource: &Rc<R>,
        live: &R::Live,
        touch: bool,
    ) -> Result<()> {
        let mut owner = resource.owner(live);
        if owner == Owner::Unread {
            // `--adopt` asks for a look even where nothing else is to be changed.
            if !touch && !self.wishes.adopt {
                return Ok(());
            }
            owner = self.read_owner(api, resource, live).await?;
        }
        let label = format!("{} ({})", label(&**resource), resource.id(live));
        match owner {
            Owner::Ours | Owner::Unread => Ok(()),
            Owner::Nobody if self.wishes.adopt && self.applies() => {
                self.account().await?;
                self.stop.check()?;
                resource.adopt(api, live).await.map_err(|error| error.doing(doing("adopting", &**resource)))?;
                resource.forget();
                self.console.say("adopted", &format!("adopted {label}"));
                self.counts.borrow_mut().change += 1;
                Ok(())
            }
            Owner::Nobody if self.wishes.adopt => {
                self.console.say("plan", &format!("~ adopt {label}"));
                self.counts.borrow_mut().change += 1;
                Ok(())
            }
            Owner::Nobody => Err(Error::other(format!("{label} exists already and does not belong to this stack"))
                .hint("give another name in the stack file, or run with --adopt to take it over: it is then tagged and changed to fit")),
            Owner::Stack(other) => Err(Error::other(format!("{label} belongs to the stack `{other}`"))
                .hint("give another name in the stack file")),
        }
    }

    fn kept<R: Resource>(&self, resource: &R, live: &R::Live, changed: bool) {
        let mut counts = self.counts.borrow_mut();
        if changed {
            counts.change += 1;
        } else {
            counts.keep += 1;
            self.console.detail("kept", &format!("{} ({}) is as it should be", label(resource), resource.id(live)));
        }
    }

    /// Says whether trying the same again may work: for every part of what went wrong side by side.
    fn may_pass(&self, error: &Error) -> bool {
        error.parts().all(|part| self.part_may_pass(part))
    }

    fn part_may_pass(&self, error: &Error) -> bool {
        match error.kind() {
            Kind::NotYet | Kind::Busy | Kind::Throttled | Kind::Transient => true,
            // A thing that another call has just made: see `expect_lag`.
            Kind::NotFound => self.lag.get(),
            Kind::Other
            | Kind::AlreadyExists
            | Kind::InUse
            | Kind::Usage
            | Kind::Truncated
            | Kind::Credentials
            | Kind::RolledBack
            | Kind::TimedOut
            | Kind::Interrupted
            | Kind::BrokenPipe => false,
        }
    }

    /// Sleeps, unless the order to stop comes first.
    async fn pause(&self, delay: Duration) -> Result<()> {
        self.stop.or(tokio::time::sleep(delay)).await
    }

    fn tick(&self) -> u64 {
        self.ticks.set(self.ticks.get() + 1);
        self.ticks.get()
    }
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("mode", &self.mode).field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// Names a resource in a message: `NAT gateway prod-nat-us-east-1a`.
fn label<R: Resource>(resource: &R) -> String {
    format!("{} {}", R::KIND, resource.name())
}

fn doing<R: Resource>(verb: &str, resource: &R) -> String {
    format!("{verb} {}", label(resource))
}

fn holds_planned(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with(PLANNED),
        Value::Array(values) => values.iter().any(holds_planned),
        Value::Object(members) => members.values().any(holds_planned),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests;
