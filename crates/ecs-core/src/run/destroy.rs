//! A destroy: walks the description, remembers what exists, and deletes it in the opposite order.

use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, join_all};
use tokio::sync::watch;
use tokio::time::Instant;

use super::wait::{Tries, Wait};
use super::{Held, Mode, Run, doing, label};
use crate::document::{Arrival, End};
use crate::error::{All as _, Error, Kind, Result};
use crate::resource::Resource;
use crate::tag::Owner;

/// How often a deletion that is refused asks again what stands in its way: more often than it says so.
const ASK_EVERY: Duration = Duration::from_secs(6);

/// Something that exists and is to be deleted.
pub(super) struct Found {
    label: String,
    /// Ticks at which looking for it began and ended.
    start: u64,
    end: u64,
    delete: Box<dyn Delete>,
}

/// A deletion whose resource type is forgotten, so that a layer's resources fit into one list.
trait Delete {
    fn delete<'r>(self: Box<Self>, run: &'r Run<'_>) -> LocalBoxFuture<'r, Result<()>>;
}

struct Deletion<R: Resource> {
    api: R::Api,
    resource: Rc<R>,
    live: R::Live,
}

impl<R: Resource> Delete for Deletion<R> {
    fn delete<'r>(self: Box<Self>, run: &'r Run<'_>) -> LocalBoxFuture<'r, Result<()>> {
        async move { run.delete(self.api, self.resource, self.live).await }.boxed_local()
    }
}

impl Found {
    pub(super) fn between(self, start: u64, end: u64) -> Self {
        Self { start, end, ..self }
    }
}

/// How far the deletion of one resource has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Waiting,
    Gone,
    Stays,
}

impl Run<'_> {
    /// Looks for a resource and remembers how to delete it.
    pub(super) async fn remember<R: Resource>(
        &self,
        api: &R::Api,
        resource: &Rc<R>,
    ) -> Result<(Held<R>, Option<Found>)> {
        self.stop.check()?;
        let Some(live) = self.find(api, resource).await? else {
            return Ok((Held { live: resource.planned(), resource: Rc::clone(resource), new: false }, None));
        };
        let held = Held { live: live.clone(), resource: Rc::clone(resource), new: false };
        let mut owner = resource.owner(&live);
        if owner == Owner::Unread {
            owner = match self.read_owner(api, resource, &live).await {
                Ok(owner) => owner,
                // Another destroy of this stack was faster.
                Err(error) if error.kind() == Kind::NotFound => return Ok((held, None)),
                Err(error) => return Err(error),
            };
        }
        let label = format!("{} ({})", label(&**resource), resource.id(&live));
        if owner != Owner::Ours {
            self.console.warn(&format!("{label} does not belong to this stack: left alone"));
            return Ok((held, None));
        }
        let delete = Box::new(Deletion { api: api.clone(), resource: Rc::clone(resource), live });
        let found = Found { label, start: 0, end: 0, delete };
        Ok((held, Some(found)))
    }

    /// Waits until the layers that stand on this one are gone: until their members are `null`, or the input was closed.
    ///
    /// # Errors
    /// When the input ends too early: then something still stands on this layer.
    pub async fn wait_until_gone(&self, members: &[&str]) -> Result<()> {
        for member in members {
            match self.stop.or(self.inputs.member(member)).await?? {
                Arrival::Here(value) if value.get() == "null" => {}
                Arrival::Here(_) | Arrival::Absent => {
                    if let End::Failed(error) = self.stop.or(self.inputs.ended()).await?? {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Deletes everything that the walk has found: what was found later first, siblings together.
    ///
    /// A resource is deleted after all those whose search began when its own had ended: only those can stand on it.
    ///
    /// # Errors
    /// Every failure; what others still stand on is then left, and named.
    pub async fn delete_found(&self) -> Result<()> {
        let found = std::mem::take(&mut *self.found.borrow_mut());
        if self.mode == (Mode::Destroy { plan: true }) {
            for item in found.iter().rev() {
                self.console.say("plan", &format!("- delete {}", item.label));
            }
            self.counts.borrow_mut().delete = found.len();
            return Ok(());
        }
        if !found.is_empty() {
            self.account().await?;
        }
        let progress: Vec<watch::Sender<Progress>> =
            found.iter().map(|_| watch::Sender::new(Progress::Waiting)).collect();
        let spans: Vec<(u64, u64)> = found.iter().map(|item| (item.start, item.end)).collect();
        let deletions = found.into_iter().enumerate().map(|(index, item)| {
            let after: Vec<_> = (spans.iter().zip(&progress))
                .filter(|((start, _), _)| *start > spans[index].1)
                .map(|(_, progress)| progress.subscribe())
                .collect();
            let done = &progress[index];
            async move {
                let mut blocked = false;
                for mut other in after {
                    let state = other.wait_for(|state| *state != Progress::Waiting).await.map(|state| *state);
                    blocked |= !matches!(state, Ok(Progress::Gone));
                }
                let result = if blocked {
                    // What failed before says why; this one only stays because of it.
                    Ok(false)
                } else {
                    item.delete.delete(self).await.map(|()| true)
                };
                done.send_replace(if matches!(result, Ok(true)) { Progress::Gone } else { Progress::Stays });
                match result {
                    Ok(true) => Ok(None),
                    Ok(false) => Ok(Some(item.label)),
                    Err(error) => Err(error.left_behind(item.label)),
                }
            }
        });
        let results = join_all(deletions).await;
        let stays: Vec<String> = results.iter().filter_map(|result| result.as_ref().ok().cloned().flatten()).collect();
        match results.all() {
            Ok(_) => Ok(()),
            Err(error) => Err(stays.into_iter().fold(error, Error::left_behind)),
        }
    }

    async fn delete<R: Resource>(&self, api: R::Api, resource: Rc<R>, live: R::Live) -> Result<()> {
        let what = format!("{} to be gone", label(&*resource));
        let mut wait = Wait::new(self, what, R::USUAL, R::PATIENCE);
        let mut tries = Tries::new(self);
        let (mut users, mut asked) = (Vec::new(), None::<Instant>);
        let deleting = |error: Error| error.doing(doing("deleting", &*resource));
        loop {
            self.stop.check()?;
            match resource.delete(&api, &live).await {
                Ok(()) => break,
                Err(error) if error.kind() == Kind::NotFound => break,
                Err(error) if error.kind() == Kind::InUse => {
                    if asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY) {
                        match resource.users(&api, &live).await {
                            Ok(found) => users = found,
                            // The next look may tell.
                            Err(error) if self.may_pass(&error) => {}
                            Err(error) => return Err(deleting(error)),
                        }
                        asked = Some(Instant::now());
                    }
                    let state = match users.as_slice() {
                        [] => format!("still in use ({})", error.message()),
                        users => format!("still in use by {}", users.join(", ")),
                    };
                    match wait.pause(&state).await {
                        // Nothing goes on by itself here: somebody else's thing stands on it.
                        Err(over) if over.kind() == Kind::TimedOut && self.stop.check().is_ok() => {
                            let hint = "find what uses it (in a VPC: `aws ec2 describe-network-interfaces`; GuardDuty leaves endpoints), \
                                        delete that, and run the destroy again";
                            let error = users.iter().fold(deleting(error.with_kind(Kind::Other)), |error, user| {
                                error.left_behind(format!("{user} uses it"))
                            });
                            return Err(error.hint(hint));
                        }
                        // The overall time limit: what stood in the way is worth knowing all the same.
                        Err(over) if over.kind() == Kind::TimedOut => {
                            let over =
                                users.iter().fold(over, |over, user| over.left_behind(format!("{user} uses it")));
                            return Err(deleting(over));
                        }
                        paused => paused.map_err(deleting)?,
                    }
                }
                Err(error) if self.may_pass(&error) => {
                    tries.again(error, &*resource, "deleting").await?;
                }
                Err(error) => return Err(deleting(error)),
            }
        }
        if R::LINGERS {
            loop {
                resource.forget();
                if self.find(&api, &resource).await?.is_none() {
                    break;
                }
                wait.pause("being deleted").await.map_err(deleting)?;
            }
        }
        self.counts.borrow_mut().delete += 1;
        self.console.say("deleted", &format!("deleted {} ({})", label(&*resource), resource.id(&live)));
        Ok(())
    }
}
