//! One run of a tool, from the opening brace to the closing one.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::{Cloud, Common, Tool};
use crate::console::{Console, human};
use crate::cost;
use crate::document::{self, Arrival, End, Event, Inputs, Output};
use crate::error::{Error, Kind, Result};
use crate::program::{report, stdin_is_pipe};
use crate::run::{Counts, Gate, Mode, Run, Wishes, gate};
use crate::stack::{Stack, check, load};
use crate::stop::Stop;

/// How long a tool that ends in an error waits for its output to be read.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a wait for the tools before this one stays silent, and how often it then says that it lives.
const UPSTREAM: Duration = Duration::from_secs(60);
/// Name of the document's member that describes the whole stack.
const STACK: &str = "stack";

/// One run of a tool from its first byte to its last.
pub(super) struct Course<'c, T: Tool> {
    pub(super) common: Common,
    pub(super) files: Vec<PathBuf>,
    pub(super) options: T::Options,
    pub(super) mode: Mode,
    pub(super) console: &'c Console,
    pub(super) stop: &'c Stop,
    /// Whether the error that the run ends with has been told already
    pub(super) reported: &'c Cell<bool>,
}

/// The stack, where it came from, and the cloud that it is in.
struct Ground<C> {
    stack: Stack,
    /// Whether the document still lacks its `stack` member
    ours: bool,
    cloud: Rc<C>,
}

impl<T: Tool> Course<'_, T> {
    pub(super) async fn run(&self) -> Result<Counts> {
        let begin = Instant::now();
        let output = Output::open(std::io::stdout())?;
        let stack = self.stack_from_files()?;
        let inputs = Inputs::default();
        let events = self.start_input(&inputs)?;
        let limit = async {
            match self.common.flags.timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        let layer = async {
            let result = self.work(stack.clone(), &inputs, &output, begin).await;
            // Told at once; but the other layers' work goes on, and their members through, until the input ends.
            if let Err(error) = &result {
                report(self.console, error);
                self.reported.set(true);
            }
            result
        };
        let work = async { tokio::join!(self.forward(events, stack.as_ref(), &inputs, &output), layer) };
        tokio::pin!(work);
        tokio::pin!(limit);
        let ((), result) = loop {
            tokio::select! {
                done = &mut work => break done,
                error = output.broken(), if self.stop.check().is_ok() => self.stop.order(error),
                () = &mut limit, if self.stop.check().is_ok() => {
                    let waited = self.common.flags.timeout.map(human).unwrap_or_default();
                    self.stop.order(
                        Error::new(Kind::TimedOut, format!("not done after {waited}"))
                            .hint("what AWS was asked for goes on; run the same line again to continue"),
                    );
                }
            }
        };
        // Whatever came first, stdout has everything that was written before the tool ends.
        let counts = match result {
            Ok(counts) => counts,
            Err(error) => {
                // The reader of an unfinished document hears of it by its end alone; one that does not read at all must
                // not keep the tool from ending.
                let _ = tokio::time::timeout(LAST_WORDS, output.flushed()).await;
                return Err(error);
            }
        };
        output.close().await?;
        Ok(counts)
    }

    fn stack_from_files(&self) -> Result<Option<Stack>> {
        if self.files.is_empty() { Ok(None) } else { load::load(&self.files).map(Some) }
    }

    /// Starts reading stdin, unless there is nothing upstream.
    fn start_input(&self, inputs: &Inputs) -> Result<Option<mpsc::UnboundedReceiver<Event>>> {
        let stdin = std::io::stdin();
        if self.common.flags.no_input || stdin.is_terminal() {
            inputs.end(End::Nothing);
            return Ok(None);
        }
        document::read(stdin).map(Some)
    }

    /// Forwards what arrives, and hands it to whoever waits for it.
    async fn forward(
        &self,
        events: Option<mpsc::UnboundedReceiver<Event>>,
        stack: Option<&Stack>,
        inputs: &Inputs,
        output: &Output,
    ) {
        let Some(mut events) = events else { return };
        // An order to stop ends the wait for the tools before us, which hear the same signal.
        while let Ok(Some(event)) = self.stop.or(events.recv()).await {
            match event {
                Event::Member(name, value) => {
                    let replaced = T::MEMBERS.contains(&name.as_str()) || (name == STACK && stack.is_some());
                    if !replaced {
                        output.forward(&name, &value);
                    }
                    inputs.arrive(&name, value);
                }
                Event::End(End::Nothing) if self.needs_a_word(stack) && stdin_is_pipe() => inputs.end(End::Failed(
                    Error::new(Kind::Truncated, "stdin is an empty pipe: the program before this one never ran")
                        .hint("give --no-input if there is nothing before it"),
                )),
                Event::End(end) => inputs.end(end),
            }
        }
    }

    /// Says whether an empty pipe is too little to act upon: without a stack it would be the default one, and a destroy
    /// must not begin while what stands on the layer may be there.
    fn needs_a_word(&self, stack: Option<&Stack>) -> bool {
        stack.is_none() || matches!(self.mode, Mode::Destroy { .. })
    }

    async fn work(&self, stack: Option<Stack>, inputs: &Inputs, output: &Output, begin: Instant) -> Result<Counts> {
        let ground = self.ground(stack, inputs).await?;
        if ground.ours {
            output.hold();
        }
        let gate = self.gate(&ground);
        let wishes = Wishes { adopt: self.common.adopt, prune: self.common.prune };
        let run = Run::new(self.mode, wishes, self.console, (inputs, output), self.stop, gate.clone());
        let announce = async {
            if !run.begins().await {
                return Ok(());
            }
            let account = gate.clone().await;
            if let Err(error) = &account {
                // Nothing that the layer still waits for can make this right.
                self.stop.order(error.clone());
            }
            let account = account?;
            if ground.ours {
                output.release(STACK, &Stack { account: Some(account), ..ground.stack.clone() })?;
            }
            Ok(())
        };
        let layer = async {
            let result = self.layer(&run, &ground, output).await;
            // A layer with nothing to make, such as no database, is about an account all the same.
            run.begin(result.is_ok());
            (result, begin.elapsed())
        };
        let (announced, (layer, took)) = tokio::join!(announce, layer);
        // Without the right account everything else that failed is a consequence.
        announced?;
        if let Err(error) = layer {
            return Err(self.explain(&run, error));
        }
        let waiting = self.while_waiting("the end of the input", inputs.ended());
        match self.stop.or(waiting).await.and_then(|end| end) {
            Ok(End::Failed(error)) | Err(error) => return Err(self.explain(&run, error)),
            Ok(End::Closed | End::Nothing) => {}
        }
        self.summary(run.counts(), took);
        if self.mode == Mode::Plan {
            self.cost(&ground.stack);
        }
        Ok(run.counts())
    }

    async fn layer(&self, run: &Run<'_>, ground: &Ground<T::Cloud>, output: &Output) -> Result<()> {
        Box::pin(T::layer(run, &ground.cloud, &ground.stack, &self.options)).await?;
        if let Mode::Destroy { plan } = self.mode {
            if !plan {
                run.wait_until_gone(T::STOOD_ON_BY).await?;
            }
            run.delete_found().await?;
            for name in T::MEMBERS {
                output.member(name, &())?;
            }
        }
        Ok(())
    }

    /// Finds out which stack it is about, and where.
    async fn ground(&self, given: Option<Stack>, inputs: &Inputs) -> Result<Ground<T::Cloud>> {
        let arrived = match &given {
            // The tools write it first; a document made by hand may do without.
            Some(_) => {
                self.stop.or(self.while_waiting("the input", inputs.anything())).await??;
                inputs.arrived(STACK)
            }
            None => match self.stop.or(self.while_waiting("the stack", inputs.member(STACK))).await?? {
                Arrival::Here(raw) => Some(raw),
                Arrival::Absent => None,
            },
        };
        let ours = given.is_some() || arrived.is_none();
        let mut stack = match (given, arrived) {
            (Some(stack), None) => stack,
            (Some(stack), Some(raw)) => same_stack(stack, &raw)?,
            (None, Some(raw)) => {
                let stack: Stack = serde_json::from_str(raw.get()).map_err(|error| {
                    Error::usage(format!("the document's member `stack` has the wrong shape: {error}"))
                })?;
                check::check_all(&stack)?;
                stack
            }
            (None, None) => Stack::default(),
        };
        let access = self.common.flags.access(T::NAME, stack.region.as_deref())?;
        let cloud = T::Cloud::connect(&access).await?;
        // The tutorial stack, which is the default, lives in us-east-1.
        let region = cloud.region().unwrap_or("us-east-1").to_owned();
        stack.region = Some(region);
        check::check_all(&stack)?;
        Ok(Ground { stack, ours, cloud: Rc::new(cloud) })
    }

    /// Awaits something that the tools before this one bring, and says now and then that it is waited for.
    async fn while_waiting<O>(&self, what: &str, work: impl Future<Output = O>) -> O {
        let begin = Instant::now();
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(UPSTREAM) => {
                    let waited = human(begin.elapsed());
                    self.console.say("waiting", &format!("waiting for {what} on stdin for {waited}; --no-input if nothing comes"));
                }
            }
        }
    }

    /// Starts the identity check, which everything that changes something waits for.
    fn gate(&self, ground: &Ground<T::Cloud>) -> Gate {
        let cloud = Rc::clone(&ground.cloud);
        let expected = ground.stack.account.clone();
        gate(async move {
            let account = cloud.account().await?;
            match expected {
                Some(expected) if expected != account => Err(Error::new(
                    Kind::Credentials,
                    format!("the stack belongs to account {expected}, but the credentials are for account {account}"),
                )
                .hint("choose the right profile with --profile; nothing has been changed")),
                _ => Ok(account),
            }
        })
    }

    /// Adds what a run that failed has made, and that running again continues.
    fn explain(&self, run: &Run<'_>, error: Error) -> Error {
        let created = run.created();
        if created.is_empty() {
            return error;
        }
        let error = created.into_iter().fold(error, Error::left_behind);
        error.hint(format!(
            "running {} again continues from here; `{} destroy` removes what is there",
            T::NAME,
            T::NAME
        ))
    }

    /// Says what was done, and how long after the start the layer was ready; the input may have taken longer.
    fn summary(&self, counts: Counts, took: Duration) {
        let Counts { create, change, delete, keep } = counts;
        let took = human(took);
        match self.mode {
            Mode::Apply if !counts.any() => {
                self.console.say("done", &format!("nothing to change: {}, {took}", kept(keep)))
            }
            Mode::Apply => {
                self.console.say("done", &format!("done: {create} created, {change} changed, {keep} kept, {took}"))
            }
            Mode::Plan if !counts.any() => {
                self.console.say("done", &format!("plan: nothing to change, {}", kept(keep)))
            }
            Mode::Plan => {
                self.console.say("done", &format!("plan: {create} to create, {change} to change, {keep} to keep"))
            }
            Mode::Destroy { plan: true } => self.console.say("done", &format!("plan: {delete} to delete")),
            Mode::Destroy { plan: false } => self.console.say("done", &format!("done: {delete} deleted, {took}")),
        }
    }

    /// Says what the layer costs a month as the stack file has it; the last layer's tool says what all of them do.
    fn cost(&self, stack: &Stack) {
        let estimate = cost::estimate(stack, stack.region.as_deref().unwrap_or_default());
        let say = |text: &str| self.console.say("cost", &format!("cost: {text}"));
        for item in estimate.items.iter().filter(|item| item.tool == T::NAME) {
            match item.monthly {
                Some(monthly) => say(&format!("{monthly:>8.2} USD a month: {}", item.what)),
                None => say(&format!("no price known in {}: {}", estimate.region, item.what)),
            }
        }
        if T::STOOD_ON_BY.is_empty() {
            let (total, date) = (estimate.total(), estimate.date);
            let but = if estimate.incomplete() { ", without what has no price" } else { "" };
            say(&format!(
                "{total:>8.2} USD a month: all layers in {}, at AWS's list prices as known on {date}{but}",
                estimate.region
            ));
            say(&format!("not counted: {}", cost::NOT_COUNTED));
        }
    }
}

fn kept(count: usize) -> String {
    if count == 1 { "1 resource as it should be".to_owned() } else { format!("{count} resources as they should be") }
}

/// Checks that a document is about the same stack, account and region as a stack file; takes over what the file leaves
/// open.
fn same_stack(mut stack: Stack, raw: &RawValue) -> Result<Stack> {
    #[derive(serde::Deserialize)]
    struct Place {
        name: Option<String>,
        account: Option<String>,
        region: Option<String>,
    }
    let place: Place = serde_json::from_str(raw.get())
        .map_err(|error| Error::usage(format!("the document's member `stack` has the wrong shape: {error}")))?;
    if let Some(name) = place.name.filter(|name| *name != stack.name) {
        return Err(Error::usage(format!(
            "the document is about the stack `{name}`, the stack file about `{}`",
            stack.name
        ))
        .hint("take the document that belongs to the file, or leave out --stack"));
    }
    let both = [("account", &mut stack.account, place.account), ("region", &mut stack.region, place.region)];
    for (what, own, theirs) in both {
        match (own.as_deref(), theirs) {
            (Some(own), Some(theirs)) if own != theirs => {
                let message = format!("the document is about {what} {theirs}, the stack file about {what} {own}");
                return Err(Error::new(Kind::Credentials, message).hint("take the document that belongs to the file"));
            }
            (None, theirs @ Some(_)) => *own = theirs,
            (_, _) => {}
        }
    }
    Ok(stack)
}
