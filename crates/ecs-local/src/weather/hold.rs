//! Holding a call: a test stops the world before or after one call, does its worst, and lets it go on.

use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use super::pattern;
use crate::call::Request;
use crate::recorder::Call;

/// When a call is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before it takes effect.
    Before,
    /// When it has taken effect, and before it is answered.
    After,
}

/// One call that is to be held. Dropping it lets the call go on.
#[derive(Debug)]
pub struct Hold {
    reached: oneshot::Receiver<Call>,
    go: oneshot::Sender<Go>,
}

/// What becomes of a call that was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    /// It goes on.
    On,
    /// It is forgotten: neither effect (where it was held before that) nor answer.
    Nowhere,
}

impl Hold {
    /// Waits until the call is there. Its status is 0 where it has had no effect yet.
    ///
    /// `None`: the local AWS has ended, or holds were cleared.
    pub async fn reached(&mut self) -> Option<Call> {
        (&mut self.reached).await.ok()
    }

    /// Lets the call go on.
    pub fn release(self) {
        // The caller may have gone meanwhile.
        let _ = self.go.send(Go::On);
    }

    /// Forgets the call: neither effect (where it was held before that) nor answer.
    pub fn discard(self) {
        let _ = self.go.send(Go::Nowhere);
    }
}

/// The holds that wait for their call.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    waiting: Mutex<Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    call: String,
    /// How many such calls pass first.
    after: usize,
    when: When,
    reached: oneshot::Sender<Call>,
    go: oneshot::Receiver<Go>,
}

impl Holds {
    /// Holds the call that comes after `after` calls of this name.
    pub(crate) fn hold(&self, call: &str, after: usize, when: When) -> Hold {
        let (reached, told) = oneshot::channel();
        let (go, waits) = oneshot::channel();
        let waiting = Waiting { call: call.to_owned(), after, when, reached, go: waits };
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(waiting);
        Hold { reached: told, go }
    }

    /// Holds a call that is to be held now, until its hold says how it goes on. `tell` describes the call.
    pub(crate) async fn pass(&self, request: &Request, when: When, tell: impl FnOnce() -> Call) -> Go {
        let Some(waiting) = self.take(&request.name(), when) else { return Go::On };
        // Without anybody who waits for it there is nothing to hold it for.
        if waiting.reached.send(tell()).is_err() {
            return Go::On;
        }
        waiting.go.await.unwrap_or(Go::On)
    }

    /// Forgets all holds.
    pub(crate) fn clear(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take(&self, name: &str, when: When) -> Option<Waiting> {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = None;
        for (index, waiting) in all.iter_mut().enumerate() {
            if waiting.when == when && pattern::matches(&waiting.call, name) {
                match waiting.after.checked_sub(1) {
                    Some(left) => waiting.after = left,
                    None => due = due.or(Some(index)),
                }
            }
        }
        due.map(|index| all.remove(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_takes_the_call_that_it_counts_to() {
        let holds = Holds::default();
        let _hold = holds.hold("ec2:Create*", 1, When::Before);
        assert!(holds.take("ec2:CreateVpc", When::After).is_none());
        assert!(holds.take("ec2:CreateVpc", When::Before).is_none());
        assert!(holds.take("ec2:DescribeVpcs", When::Before).is_none());
        assert!(holds.take("ec2:CreateSubnet", When::Before).is_some());
        assert!(holds.take("ec2:CreateSubnet", When::Before).is_none());
    }
}
