//! Waiting: until a resource is ready, until it is gone, and between two tries.

use std::time::Duration;

use tokio::time::Instant;

use super::{Held, Run, doing, label};
use crate::console::human;
use crate::error::{Error, Kind, Result};
use crate::resource::{Health, Resource};

/// How often a long wait says that it lives.
const SAY_EVERY: Duration = Duration::from_secs(15);
/// Bounds of the pause between two looks at something that takes its time.
const POLL: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// The first look comes sooner: what was asked for is often there by then.
const FIRST_LOOK: Duration = Duration::from_millis(50);
/// First and longest pause between two tries of one call.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long a new role, group or subnet may take to show everywhere. IAM says "seconds"; providers allow two minutes.
const LAG: Duration = Duration::from_secs(120);
/// Longest pause between two looks for a create whose answer was lost; three seconds of looking in all. EC2 lists what it
/// has made within a second or two, tags included.
pub(super) const LOST: Duration = Duration::from_millis(1600);
/// How long an id that this run made may be "not found": EC2 asks for exponential backoff and shows it within seconds.
const NOT_FOUND: Duration = Duration::from_secs(20);

/// How long a call may be throttled: ECS registers one task definition a second, so the last of many waits for minutes.
const THROTTLED: Duration = Duration::from_secs(600);

/// Pauses between the tries of one call: longer each time, and not for ever.
#[derive(Debug)]
pub(super) struct Backoff {
    start: Instant,
    delay: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), delay: RETRY.0 }
    }

    /// Returns the next pause, none when it is time to give up.
    pub(super) fn next(&mut self, kind: Kind) -> Option<Duration> {
        let limit = if matches!(kind, Kind::NotFound | Kind::AlreadyExists) {
            NOT_FOUND
        } else if kind == Kind::Throttled {
            THROTTLED
        } else {
            LAG
        };
        if self.start.elapsed() >= limit {
            return None;
        }
        let delay = self.delay;
        self.delay = (delay * 2).min(RETRY.1);
        Some(delay)
    }
}

/// The tries of one call.
pub(super) struct Tries<'r> {
    run: &'r Run<'r>,
    backoff: Backoff,
    /// Since AWS has said that it must end something first: that takes its time, and shows that it lives.
    busy: Option<Wait<'r>>,
}

impl<'r> Tries<'r> {
    pub(super) fn new(run: &'r Run<'_>) -> Self {
        Self { run, backoff: Backoff::new(), busy: None }
    }

    /// Waits before another try.
    ///
    /// # Errors
    /// The error itself when it is time to give up; the reason of an order to stop.
    pub(super) async fn again<R: Resource>(&mut self, error: Error, resource: &R, verb: &str) -> Result<()> {
        if error.kind() == Kind::Busy {
            let wait = self.busy.get_or_insert_with(|| Wait::new(self.run, label(resource), R::USUAL, R::PATIENCE));
            wait.pause(error.message()).await.map_err(|over| over.doing(doing(verb, resource)))?;
        } else {
            let Some(delay) = self.backoff.next(error.kind()) else { return Err(error.doing(doing(verb, resource))) };
            let line = format!("{} again in {} ms: {}", doing(verb, resource), delay.as_millis(), error.message());
            self.run.console.detail("retry", &line);
            self.run.pause(delay).await?;
        }
        resource.forget();
        Ok(())
    }
}

/// One wait: its progress lines, its polls and its end.
pub(super) struct Wait<'r> {
    run: &'r Run<'r>,
    what: String,
    usual: &'static str,
    patience: Duration,
    start: Instant,
    said: Instant,
    looks: u32,
}

impl<'r> Wait<'r> {
    /// Starts a wait for `what`: `NAT gateway prod-nat-us-east-1a to be available`.
    pub(super) fn new(run: &'r Run<'_>, what: String, usual: &'static str, patience: Duration) -> Self {
        let now = Instant::now();
        Self { run, what, usual, patience, start: now, said: now, looks: 0 }
    }

    /// Sleeps until the next look: a twentieth of the time waited so far, so that the end is noticed within 5 per cent.
    ///
    /// # Errors
    /// [`Kind::TimedOut`] when patience is at its end; the reason of an order to stop.
    pub(super) async fn pause(&mut self, state: &str) -> Result<()> {
        let waited = self.start.elapsed();
        if waited >= self.patience {
            return Err(Error::new(
                Kind::TimedOut,
                format!("still {state} after {}, usual is {}", human(waited), self.usual),
            )
            .hint("it goes on without us; run the same line again to go on waiting"));
        }
        let mut left = if self.looks == 0 { FIRST_LOOK } else { (waited / 20).clamp(POLL.0, POLL.1) };
        self.looks += 1;
        while left > Duration::ZERO {
            let quiet = SAY_EVERY.saturating_sub(self.said.elapsed());
            if quiet.is_zero() {
                self.said = Instant::now();
                let waited = human(self.start.elapsed());
                let line = format!("waiting for {}: {state} for {waited}, usual is {}", self.what, self.usual);
                self.run.console.say("waiting", &line);
                continue;
            }
            let nap = left.min(quiet);
            self.run.pause(nap).await?;
            left -= nap;
        }
        Ok(())
    }
}

impl Run<'_> {
    pub(super) async fn wait_until_ready<R: Resource>(&self, api: &R::Api, held: &Held<R>) -> Result<R::Live> {
        let resource = &held.resource;
        let mut wait = Wait::new(self, label(&**resource), R::USUAL, resource.patience());
        let mut live = held.live.clone();
        let mut waited = false;
        loop {
            match resource.health(&live) {
                Health::Ready => {
                    if waited {
                        let line = format!("{} is ready after {}", label(&**resource), human(wait.start.elapsed()));
                        self.console.say("ready", &line);
                    }
                    return Ok(live);
                }
                Health::Failed(reason) => return Err(resource.failure(&live, reason)),
                Health::Leaving(state) => {
                    let gone = Error::other(format!("it is {state}: somebody else deletes it"));
                    return Err(gone.hint("run the same line again: it waits until it is gone, and makes another"));
                }
                Health::Pending(state) => wait.pause(&state).await?,
            }
            waited = true;
            resource.forget();
            live = match self.find(api, resource).await {
                Ok(Some(live)) => live,
                // Made by this run and not listed yet, or deleted by somebody else: the patience decides.
                Ok(None) => live,
                // A look that failed does not end the wait, but nobody is to believe that AWS still answers.
                Err(error) if self.may_pass(&error) => {
                    self.console.warn(&format!("{}: {}", label(&**resource), error.message()));
                    live
                }
                Err(error) => return Err(error),
            };
        }
    }
}
