//! Names in DNS that once led to the stack's load balancer by its file, and that the file no longer has.

use std::time::Duration;

use ecs_core::id::LoadBalancerArn;
use ecs_core::{All as _, Change, Owner, Resource, Result, Run};
use futures::future::join_all;

use crate::alias::{self, Alias};
use crate::alias_tag::AliasTag;
use crate::dns::Route53;
use crate::{Elb, elb, load_balancer};

/// The aliases that the load balancer's tags tell of, beside the one that the file asks for.
#[derive(Debug)]
pub struct FormerAliases {
    elb: Elb,
    balancer: LoadBalancerArn,
    dns_name: String,
    tags: Vec<AliasTag>,
}

impl FormerAliases {
    /// Makes the search for them; `wanted` is the one that is not.
    pub fn new(elb: &Elb, balancer: &load_balancer::Live, wanted: Option<&AliasTag>) -> Self {
        let tags = balancer.aliases().iter().filter(|tag| Some(*tag) != wanted).cloned().collect();
        Self { elb: elb.clone(), balancer: balancer.arn.clone(), dns_name: balancer.dns_name.clone(), tags }
    }

    /// Reports those that there are, or as told deletes them; says nothing where there are none.
    ///
    /// # Errors
    /// Any refusal by Route 53 or ELB.
    pub async fn ensure(self, run: &Run<'_>, route53: &Route53) -> Result<()> {
        if self.tags.is_empty() {
            return Ok(());
        }
        let doing = || format!("reading {} {}", Self::KIND, self.name());
        match self.find(route53).await.map_err(|error| error.doing(doing()))? {
            Some(former) if !former.is_empty() => run.ensure(route53, self).await.map(drop),
            Some(_) | None => Ok(()),
        }
    }
}

impl Resource for FormerAliases {
    type Api = Route53;
    type Live = Vec<(AliasTag, alias::Live)>;
    const KIND: &'static str = "alias records to load balancer";
    /// Route 53 takes them away at once.
    const PATIENCE: Duration = Duration::from_secs(5 * 60);

    fn name(&self) -> String {
        elb::balancer_in(self.balancer.as_str()).to_owned()
    }

    fn id(&self, live: &Self::Live) -> String {
        live.iter().map(|(tag, _)| tag.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn planned(&self) -> Self::Live {
        Vec::new()
    }

    /// Returns those that still lead to the load balancer: what somebody has pointed elsewhere is theirs.
    async fn find(&self, route53: &Route53) -> Result<Option<Self::Live>> {
        let found = self.tags.iter().map(async |tag| {
            let live = Alias::former(tag, &self.dns_name).find(route53).await?;
            Ok(live.map(|live| (tag.clone(), live)))
        });
        Ok(Some(join_all(found).await.all()?.into_iter().flatten().collect()))
    }

    /// Makes nothing: it looks for what is left.
    async fn create(&self, _route53: &Route53) -> Result<Self::Live> {
        Ok(Vec::new())
    }

    fn diff(&self, live: &Self::Live) -> Vec<Change> {
        live.iter().map(|(tag, _)| Change::former("alias", tag.to_string())).collect()
    }

    async fn update(&self, route53: &Route53, live: &Self::Live, _changes: &[Change]) -> Result<()> {
        let deletions =
            live.iter().map(async |(tag, live)| Alias::former(tag, &self.dns_name).delete(route53, live).await);
        join_all(deletions).await.all()?;
        // Only now: killed before, the next run still knows of them.
        elb::remove_tags(&self.elb, self.balancer.as_str(), self.tags.iter().map(|tag| tag.key.clone())).await
    }

    async fn delete(&self, _route53: &Route53, _live: &Self::Live) -> Result<()> {
        // A destroy deletes each by itself.
        Ok(())
    }

    fn owner(&self, _live: &Self::Live) -> Owner {
        // They lead to the stack's load balancer, and its tags tell of them.
        Owner::Ours
    }

    async fn adopt(&self, _route53: &Route53, _live: &Self::Live) -> Result<()> {
        Ok(())
    }
}
