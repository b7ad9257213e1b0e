//! Certificates that the stack once asked for and no longer needs.

use std::rc::Rc;
use std::time::Duration;

use ecs_core::{All as _, Change, Kind, Owner, Resource, Result, Run, Stack};
use futures::future::join_all;

use crate::certificate::{self, Certificates, Live};
use crate::dns::Zones;
use crate::validation::{Dns, Validation};

/// The stack's certificates beside the one that it uses.
#[derive(Debug)]
pub struct Former {
    stack: String,
    used: String,
    zones: Rc<Zones>,
    certificates: Rc<Certificates>,
}

impl Former {
    /// Makes the search for them; `used` is the ARN of the one that is not.
    pub fn new(stack: &Stack, used: &str, zones: &Rc<Zones>, certificates: &Rc<Certificates>) -> Self {
        let (zones, certificates) = (Rc::clone(zones), Rc::clone(certificates));
        Self { stack: stack.name.clone(), used: used.to_owned(), zones, certificates }
    }

    /// Reports those that there are, or as told deletes them; says nothing where there are none.
    ///
    /// # Errors
    /// Any refusal by ACM.
    pub async fn ensure(self, run: &Run<'_>, dns: &Dns) -> Result<()> {
        let doing = || format!("reading the certificates of the stack {}", self.stack);
        match self.find(dns).await.map_err(|error| error.doing(doing()))? {
            Some(former) if !former.is_empty() => run.ensure(dns, self).await.map(drop),
            Some(_) | None => Ok(()),
        }
    }
}

impl Resource for Former {
    type Api = Dns;
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

    async fn find(&self, dns: &Dns) -> Result<Option<Vec<Live>>> {
        let ours = self.certificates.ours(&dns.acm).await?;
        Ok(Some(ours.iter().filter(|one| one.arn != self.used).cloned().collect()))
    }

    /// Makes nothing: it looks for what is left.
    async fn create(&self, _dns: &Dns) -> Result<Vec<Live>> {
        Ok(Vec::new())
    }

    fn diff(&self, live: &Vec<Live>) -> Vec<Change> {
        let change = |one: &Live| Change::former("certificate", format!("for {} ({})", one.names.join(", "), one.arn));
        live.iter().map(change).collect()
    }

    async fn update(&self, dns: &Dns, live: &Vec<Live>, _changes: &[Change]) -> Result<()> {
        let doomed: Vec<String> = live.iter().map(|one| one.arn.clone()).collect();
        let deletions = live.iter().map(async |one| {
            // Its records, as long as it tells them.
            let domain = one.names.first().map(String::as_str).unwrap_or_default();
            let records = Validation::new(domain, &one.arn, None, &self.zones).for_destroy(doomed.clone());
            let places = records.find(dns).await?;
            match certificate::delete(&dns.acm, &one.arn).await {
                Err(error) if error.kind() == Kind::NotFound => {}
                // The load balancer has let go of it a moment ago.
                Err(error) if error.kind() == Kind::InUse => return Err(error.with_kind(Kind::Busy)),
                other => other?,
            }
            match places {
                Some(places) => records.delete(dns, &places).await,
                None => Ok(()),
            }
        });
        join_all(deletions).await.all().map(drop)
    }

    async fn delete(&self, _dns: &Dns, _live: &Vec<Live>) -> Result<()> {
        // A destroy deletes each by itself.
        Ok(())
    }

    fn owner(&self, _live: &Vec<Live>) -> Owner {
        // They were found by their tags.
        Owner::Ours
    }

    async fn adopt(&self, _dns: &Dns, _live: &Vec<Live>) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.certificates.forget();
    }
}
