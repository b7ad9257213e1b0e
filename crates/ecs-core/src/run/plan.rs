//! A plan: finds and compares, and changes nothing.

use std::rc::Rc;

use super::{Held, Run, label};
use crate::error::Result;
use crate::resource::{Health, Resource};

impl Run<'_> {
    /// Says what an apply would do to a resource.
    pub(super) async fn compare<R: Resource>(&self, api: &R::Api, resource: &Rc<R>) -> Result<Held<R>> {
        self.stop.check()?;
        let found = self.find(api, resource).await?;
        // What is on its way out will have to be made again.
        let Some(live) = found.filter(|live| !matches!(resource.health(live), Health::Leaving(_))) else {
            self.console.say("plan", &format!("+ create {}", label(&**resource)));
            self.counts.borrow_mut().create += 1;
            return Ok(Held { live: resource.planned(), resource: Rc::clone(resource), new: true });
        };
        let changes = self.wanted_changes(&**resource, &live)?;
        self.settle_owner(api, resource, &live, !changes.is_empty()).await?;
        for change in &changes {
            self.console.say("plan", &format!("~ change {}: {change}", label(&**resource)));
        }
        if changes.is_empty() {
            self.kept(&**resource, &live, false);
        } else {
            self.counts.borrow_mut().change += 1;
        }
        Ok(Held { live, resource: Rc::clone(resource), new: false })
    }
}
