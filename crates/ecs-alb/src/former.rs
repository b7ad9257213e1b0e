//! Certificates that the stack once asked for and no longer needs.

use std::rc::Rc;
use std::time::Duration;

use ecs_core::{All as _, Change, Kind, Owner, Resource, Result, Run, Stack};
use futures::future::join_all;

use crate::certificate::{self, Acm, Certificates, Live};
use crate::validation;

/// The stack's certificates beside those that it uses, or is to use.
#[derive(Debug)]
pub struct Former {
    stack: String,
    used: Vec<String>,
    certificates: Rc<Certificates>,
}

impl Former {
    /// Makes the search for them; `used` are the ARNs of those that are not.
    pub fn new<'u>(stack: &Stack, used: impl Iterator<Item = &'u str>, certificates: &Rc<Certificates>) -> Self {
        let used = used.map(str::to_owned).collect();
        Self { stack: stack.name.clone(), used, certificates: Rc::clone(certificates) }
    }

    /// Reports those that there are, or as told deletes them; says nothing where there are none.
    ///
    /// # Errors
    /// Any refusal by ACM.
    pub async fn ensure(self, run: &Run<'_>, acm: &Acm) -> Result<()> {
        let doing = || format!("reading the certificates of the stack {}", self.stack);
        let former = self.find(acm).await.map_err(|error| error.doing(doing()))?.unwrap_or_default();
        if former.is_empty() {
            return Ok(());
        }
        run.ensure(acm, self).await?;
        if run.applies() && run.prunes() {
            former.iter().for_each(|one| validation::say_kept(run.console(), one));
        }
        Ok(())
    }
}

impl Resource for Former {
    type Api = Acm;
    type Live = Vec<Live>;
    const KIND: &'static str = "certificates of stack";
    /// ACM learns only by and by that a load balancer no longer uses one.
    const PATIENCE: Duration = Duration::from_secs(10 * 60);

    fn name(&self) -> String {
        self.stack.clone()
    }

    fn id(&self, live: &Vec<Live>) -> String {
        live.iter().map(|one| one.arn.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn planned(&self) -> Vec<Live> {
        Vec::new()
    }

    async fn find(&self, acm: &Acm) -> Result<Option<Vec<Live>>> {
        let ours = self.certificates.ours(acm).await?;
        Ok(Some(ours.iter().filter(|one| !self.used.contains(&one.arn)).cloned().collect()))
    }

    /// Makes nothing: it looks for what is left.
    async fn create(&self, _acm: &Acm) -> Result<Vec<Live>> {
        Ok(Vec::new())
    }

    fn diff(&self, live: &Vec<Live>) -> Vec<Change> {
        let change = |one: &Live| Change::former("certificate", format!("for {} ({})", one.names.join(", "), one.arn));
        live.iter().map(change).collect()
    }

    async fn update(&self, acm: &Acm, live: &Vec<Live>, _changes: &[Change]) -> Result<()> {
        let deletions = live.iter().map(async |one| match certificate::delete(acm, &one.arn).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            // The load balancer has let go of it a moment ago.
            Err(error) if error.kind() == Kind::InUse => Err(error.with_kind(Kind::Busy)),
            other => other,
        });
        join_all(deletions).await.all().map(drop)
    }

    async fn delete(&self, _acm: &Acm, _live: &Vec<Live>) -> Result<()> {
        // A destroy deletes each by itself.
        Ok(())
    }

    fn owner(&self, _live: &Vec<Live>) -> Owner {
        // They were found by their tags.
        Owner::Ours
    }

    async fn adopt(&self, _acm: &Acm, _live: &Vec<Live>) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.certificates.forget();
    }
}
