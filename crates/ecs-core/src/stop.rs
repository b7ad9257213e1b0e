//! The order to start nothing new: Ctrl-C, SIGTERM, a reader that went away, or the overall time limit.

use tokio::sync::watch;

use crate::error::{Error, Result};

/// Carries the first reason to stop to everybody who might start something.
#[derive(Debug, Clone)]
pub struct Stop {
    reason: watch::Sender<Option<Error>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { reason: watch::Sender::new(None) }
    }
}

impl Stop {
    /// Gives the order; the first reason stays.
    pub fn order(&self, reason: Error) {
        self.reason.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(reason);
            first
        });
    }

    /// Fails with the reason once the order was given.
    ///
    /// # Errors
    /// The reason.
    pub fn check(&self) -> Result<()> {
        self.reason.borrow().clone().map_or(Ok(()), Err)
    }

    /// Returns the reason as soon as the order is given.
    pub async fn ordered(&self) -> Error {
        let mut reason = self.reason.subscribe();
        let reason = reason.wait_for(Option::is_some).await;
        // The sender lives in `self`, so the wait can only end with a reason.
        reason.ok().and_then(|reason| reason.clone()).unwrap_or_else(|| Error::other("stopped"))
    }

    /// Awaits something, unless the order comes first.
    ///
    /// # Errors
    /// The reason.
    pub async fn or<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            reason = self.ordered() => Err(reason),
            value = work => Ok(value),
        }
    }
}
