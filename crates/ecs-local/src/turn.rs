//! Taking turns: what a writing call checks must still be so when moto carries the call out.

use tokio::sync::{Mutex, MutexGuard};

use crate::call::Request;

/// How the names of operations begin that only read.
const READING: &[&str] = &["Describe", "List", "Get", "Simulate"];

/// The turn of one service: its writing calls go one at a time, its reading ones are not held up.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    held: Mutex<()>,
}

impl Turn {
    /// Waits for the turn, which lasts until the guard is dropped; a call that only reads needs none.
    pub(crate) async fn take(&self, request: &Request) -> Option<MutexGuard<'_, ()>> {
        if READING.iter().any(|verb| request.operation.starts_with(verb)) {
            return None;
        }
        Some(self.held.lock().await)
    }
}
