//! From pending to deleted: the lives of NAT gateways and interface endpoints.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// For how long something deleted or failed stays listed, in simulated seconds: "about an hour" (VPC user guide, NAT gateways).
pub(super) const LISTED: f64 = 3600.0;

/// When something comes up and goes, in simulated seconds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Life {
    pub(super) region: String,
    /// Its network interfaces in moto.
    pub(super) interfaces: Vec<String>,
    /// When it is up, or has failed.
    pub(super) ready: f64,
    /// Why it never comes up: code and message.
    pub(super) failure: Option<(String, String)>,
    /// When it will be gone, once it is deleted.
    pub(super) gone: Option<f64>,
    /// Whether it has let go of what it held.
    pub(super) released: bool,
    /// Whether it is a NAT gateway of all zones, in no subnet.
    pub(super) regional: bool,
}

/// Where something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// On its way up.
    Pending,
    /// It never came up.
    Failed,
    /// Up.
    Available,
    /// On its way out.
    Deleting,
    /// Gone.
    Deleted,
}

impl State {
    /// As EC2 says it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Failed => "failed",
            State::Available => "available",
            State::Deleting => "deleting",
            State::Deleted => "deleted",
        }
    }
}

impl Life {
    /// Where it stands at a time.
    pub(super) fn state(&self, now: f64) -> State {
        match (self.gone, &self.failure) {
            (Some(gone), _) if now >= gone => State::Deleted,
            (Some(_), _) => State::Deleting,
            (None, _) if now < self.ready => State::Pending,
            (None, Some(_)) => State::Failed,
            (None, None) => State::Available,
        }
    }
}

/// The lives of one kind of thing, by id.
#[derive(Debug, Default)]
pub(super) struct Lives {
    lives: Mutex<HashMap<String, Life>>,
    /// Held while things are let go: nobody may look before that is done.
    releasing: tokio::sync::Mutex<()>,
}

impl Lives {
    /// A life begins.
    pub(super) fn begin(&self, id: &str, life: Life) {
        self.lives().insert(id.to_owned(), life);
    }

    /// The life of something.
    pub(super) fn get(&self, id: &str) -> Option<Life> {
        self.lives().get(id).cloned()
    }

    /// Whether something holds a network interface, as far as it is known: which.
    pub(super) fn holder(&self, interface: &str) -> Option<String> {
        let lives = self.lives();
        let mut held = lives.iter().filter(|(_, life)| life.interfaces.iter().any(|held| held == interface));
        held.next().map(|(id, _)| id.clone())
    }

    /// Something is deleted, and gone at a time.
    pub(super) fn end(&self, id: &str, gone: f64) {
        if let Some(life) = self.lives().get_mut(id) {
            life.gone = Some(gone);
        }
    }

    /// What failed so long ago that EC2 deletes it by itself is gone.
    pub(super) fn end_failed(&self, now: f64) {
        for life in self.lives().values_mut() {
            if life.state(now) == State::Failed && now >= life.ready + LISTED {
                life.gone = Some(life.ready + LISTED);
            }
        }
    }

    /// What is gone and has not let go yet. Whoever asks meanwhile waits until the guard is dropped.
    pub(super) async fn due(&self, now: f64) -> (tokio::sync::MutexGuard<'_, ()>, Vec<(String, Life)>) {
        let releasing = self.releasing.lock().await;
        let lives = self.lives();
        let due = lives.iter().filter(|(_, life)| !life.released && life.state(now) == State::Deleted);
        let due = due.map(|(id, life)| (id.clone(), life.clone())).collect();
        (releasing, due)
    }

    /// Something has let go of what it held.
    pub(super) fn released(&self, id: &str) {
        if let Some(life) = self.lives().get_mut(id) {
            life.released = true;
        }
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.lives().clear();
    }

    fn lives(&self) -> MutexGuard<'_, HashMap<String, Life>> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(failure: Option<(String, String)>) -> Life {
        Life {
            region: String::new(),
            interfaces: Vec::new(),
            ready: 90.0,
            failure,
            gone: None,
            released: false,
            regional: false,
        }
    }

    #[test]
    fn a_life_goes_from_pending_to_deleted() {
        let mut life = life(None);
        assert_eq!((life.state(89.0), life.state(90.0)), (State::Pending, State::Available));
        life.gone = Some(200.0);
        assert_eq!((life.state(199.0), life.state(200.0)), (State::Deleting, State::Deleted));
    }

    #[test]
    fn what_has_failed_is_deleted_in_an_hour() {
        let lives = Lives::default();
        lives.begin("nat-1", life(Some(("InternalError".to_owned(), String::new()))));
        let state = |now| {
            lives.end_failed(now);
            lives.get("nat-1").expect("a life").state(now)
        };
        assert_eq!(state(0.0), State::Pending);
        assert_eq!(state(90.0), State::Failed);
        assert_eq!(state(90.0 + LISTED), State::Deleted);
    }
}
