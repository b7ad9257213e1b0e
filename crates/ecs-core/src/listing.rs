//! One listing call shared by all the resources that it lists.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::Result;

/// How long before the request a listing may have been started and still answer it: resources that poll at the same tick
/// of the clock share one call. Shorter than any call that could have changed something in between.
const FRESH: Duration = Duration::from_millis(2);

/// Holds what one listing call returned, until somebody needs to look again.
#[derive(Debug)]
pub struct Listing<T> {
    loaded: Mutex<Option<(Instant, Rc<T>)>>,
    forgotten: Cell<Option<Instant>>,
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { loaded: Mutex::new(None), forgotten: Cell::new(None) }
    }
}

impl<T> Listing<T> {
    /// Makes a listing whose content is known without a call: nothing can hang on what was made a moment ago.
    pub fn known(content: T) -> Self {
        Self { loaded: Mutex::new(Some((Instant::now(), Rc::new(content)))), forgotten: Cell::new(None) }
    }

    /// Returns the listing, by one call however many ask at the same time.
    ///
    /// # Errors
    /// What `load` fails with; the next caller then tries again.
    pub async fn get(&self, load: impl AsyncFnOnce() -> Result<T>) -> Result<Rc<T>> {
        let mut loaded = self.loaded.lock().await;
        if let Some((at, listing)) = &*loaded
            && self.forgotten.get().is_none_or(|forgotten| *at + FRESH >= forgotten)
        {
            return Ok(Rc::clone(listing));
        }
        let at = Instant::now();
        let listing = Rc::new(load().await?);
        *loaded = Some((at, Rc::clone(&listing)));
        Ok(listing)
    }

    /// Makes the next caller look again, unless another one has begun to a moment ago.
    pub fn forget(&self) {
        self.forgotten.set(Some(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_call_serves_all_until_it_is_forgotten() {
        let calls = Cell::new(0);
        let listing = Listing::default();
        let load = async || {
            calls.set(calls.get() + 1);
            Ok(calls.get())
        };
        let (a, b) = tokio::join!(listing.get(load), listing.get(load));
        assert_eq!((*a.expect("a"), *b.expect("b")), (1, 1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(*listing.get(load).await.expect("kept"), 1);
        listing.forget();
        assert_eq!(*listing.get(load).await.expect("again"), 2);
    }
}
