//! What else is on the load balancer: rules and listeners that the stack does not describe, and target groups of
//! services that it no longer has.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_elasticloadbalancingv2::types::{Listener as Listens, LoadBalancer, Rule as Routes, TargetGroup as Group};
use ecs_core::{All as _, Change, Identity, Owner, Resource, Result, Run, Stack};
use futures::future::join_all;
use futures::join;

use crate::elb::{self, Listings};
use crate::listener::{self, Listeners};
use crate::rule::{self, Rules};
use crate::{Elb, LAYER, association, load_balancer, target_group};

/// What else there is on the stack's load balancer.
///
/// It is reported, and deleted only with `--prune`. A destroy deletes the stack's own target groups among it, of which
/// nothing else would know any more.
#[derive(Debug)]
pub struct Others {
    identity: Identity,
    groups: BTreeSet<String>,
    ports: BTreeSet<i32>,
    listings: Rc<Listings>,
    /// ARN of the load balancer, where somebody else has made it
    given: Option<String>,
    scope: Scope,
}

/// Where to look.
#[derive(Debug)]
enum Scope {
    /// At the rules of the listener that serves the stack
    Rules(Rc<Rules>),
    /// At the stack's own rules on a load balancer that somebody else has made, but for those that it wants
    OurRules(Option<Rc<Rules>>),
    /// At the listeners, and at the target groups that nothing forwards to any more
    Rest(Rc<Listeners>),
    /// At those target groups alone, and at a load balancer of the stack's own, since the listeners are somebody else's
    Given,
    /// At the target groups alone: all else goes with the load balancer
    Destroy,
}

/// One thing that the stack does not describe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    kind: Kind,
    arn: String,
    text: String,
    /// It carries the stack's tag: a file of before has asked for it
    ours: bool,
}

/// What kind of thing it is, in the order of deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rule,
    Listener,
    LoadBalancer,
    TargetGroup,
}

impl Kind {
    fn field(self) -> &'static str {
        match self {
            Kind::Rule => "rule",
            Kind::Listener => "listener",
            Kind::LoadBalancer => "load balancer",
            Kind::TargetGroup => "target group",
        }
    }
}

impl Others {
    /// Makes the search for rules beside the stack's.
    pub fn among_rules(stack: &Stack, listings: &Rc<Listings>, rules: &Rc<Rules>) -> Self {
        Self::new(stack, listings, Scope::Rules(Rc::clone(rules)))
    }

    /// Makes the search for the stack's own rules on a load balancer that somebody else has made, but for those that it
    /// wants.
    pub fn our_rules(stack: &Stack, listings: &Rc<Listings>, balancer: &str, wanted: Option<&Rc<Rules>>) -> Self {
        let others = Self::new(stack, listings, Scope::OurRules(wanted.map(Rc::clone)));
        Self { given: Some(balancer.to_owned()), ..others }
    }

    /// Makes the search for listeners beside the stack's, and for its target groups that it no longer has; `second` are
    /// the keys of the services that have a second one.
    pub fn beside<'k>(
        stack: &Stack,
        listings: &Rc<Listings>,
        listeners: Option<&Rc<Listeners>>,
        second: impl IntoIterator<Item = &'k String>,
    ) -> Self {
        let mut others =
            Self::new(stack, listings, listeners.map_or(Scope::Given, |list| Scope::Rest(Rc::clone(list))));
        let named = |key: &String| Some(stack.services.get(key)?.alternate_target_group(key));
        others.groups.extend(second.into_iter().filter_map(named));
        others
    }

    /// Makes the search for the stack's target groups that it no longer has.
    pub fn for_destroy(stack: &Stack, listings: &Rc<Listings>) -> Self {
        Self { groups: association::names(stack), ..Self::new(stack, listings, Scope::Destroy) }
    }

    fn new(stack: &Stack, listings: &Rc<Listings>, scope: Scope) -> Self {
        let mut ports = BTreeSet::from([i32::from(stack.alb_port())]);
        if stack.alb.redirect {
            ports.insert(80);
        }
        Self {
            identity: Identity::new(&stack.name, LAYER, &stack.alb.name),
            groups: stack.services.iter().map(|(key, service)| service.target_group(key)).collect(),
            ports,
            listings: Rc::clone(listings),
            given: stack.alb.load_balancer_arn.clone(),
            scope,
        }
    }

    /// Reports what there is, or as told deletes it; says nothing where there is nothing.
    ///
    /// # Errors
    /// Any refusal by ELB.
    pub async fn ensure(self, run: &Run<'_>, elb: &Elb) -> Result<()> {
        match self.find(elb).await.map_err(|error| error.doing(format!("reading {} {}", Self::KIND, self.name())))? {
            Some(others) if !others.is_empty() => run.ensure(elb, self).await.map(drop),
            Some(_) | None => Ok(()),
        }
    }

    fn balancer<'l>(&self, balancers: &'l [LoadBalancer]) -> Option<&'l LoadBalancer> {
        match &self.given {
            Some(arn) => balancers.iter().find(|balancer| balancer.load_balancer_arn() == Some(arn)),
            None => load_balancer::named(balancers, &self.identity.name),
        }
    }

    /// Returns the stack's own rules on the load balancer, but for those that it wants.
    async fn own_rules(&self, elb: &Elb, wanted: Option<&Rc<Rules>>) -> Result<Vec<Other>> {
        let balancers = self.listings.load_balancers(elb).await?;
        let Some(balancer) = self.balancer(&balancers) else { return Ok(Vec::new()) };
        let listeners = Listeners::given(&load_balancer::live(balancer));
        let listeners = listeners.get(elb).await?;
        let rules = listeners.iter().filter_map(|listener| listener.listener_arn()).map(async |arn| {
            let rules = Rules::read(elb, &arn.into()).await?;
            let theirs = match wanted.filter(|wanted| wanted.listener().as_str() == arn) {
                Some(wanted) => wanted.others(&rules).into_iter().cloned().collect(),
                None => rules.into_iter().filter(|rule| !rule::is_default(rule)).collect::<Vec<_>>(),
            };
            Ok(theirs)
        });
        let rules = join_all(rules).await.all()?.concat();
        let arns: Vec<String> = rules.iter().filter_map(|rule| rule.rule_arn.clone()).collect();
        let owners = elb::read_owners(elb, &arns, &self.identity).await?;
        let ours = rules.iter().zip(owners).filter(|(_, owner)| *owner == Owner::Ours);
        Ok(ours.map(|(rule, _)| Other { ours: true, ..other_rule(rule) }).collect())
    }

    /// Returns the stack's target groups that it does not describe, and its own load balancer where the file names another.
    async fn former(&self, elb: &Elb) -> Result<Vec<Other>> {
        let (balancers, groups) = join!(self.listings.load_balancers(elb), self.listings.target_groups(elb));
        let (balancers, groups) = (balancers, groups).all()?;
        let balancer = self.balancer(&balancers);
        let mut places: Vec<&LoadBalancer> = balancer.into_iter().collect();
        if matches!(self.scope, Scope::Destroy) {
            // The file may name another one than before: what it describes tells where the rest may be.
            let wanted = balancer.and_then(LoadBalancer::load_balancer_arn);
            let strays = association::elsewhere(&balancers, &groups, &self.groups, wanted);
            places.extend(strays.into_iter().map(|(_, balancer)| balancer));
        }
        let former = groups.iter().filter(|group| self.may_be_ours(group, &places));
        let former = former.filter_map(|group| group.target_group_arn.clone());
        let mut former: Vec<Other> = former.map(|arn| former_one(Kind::TargetGroup, arn)).collect();
        if matches!(self.scope, Scope::Given) {
            let own = load_balancer::named(&balancers, &self.identity.name);
            let own = own.and_then(|own| own.load_balancer_arn.clone()).filter(|arn| Some(arn) != self.given.as_ref());
            former.extend(own.map(|arn| former_one(Kind::LoadBalancer, arn)));
        }
        // Without a candidate there is nothing to ask.
        let mut former = self.owned(elb, former).await?;
        former.retain(|one| one.ours);
        Ok(former)
    }

    /// Reads which of them a file of before has asked for; without any there is nothing to ask.
    async fn owned(&self, elb: &Elb, others: Vec<Other>) -> Result<Vec<Other>> {
        let arns: Vec<String> = others.iter().map(|other| other.arn.clone()).collect();
        let owners = elb::read_owners(elb, &arns, &self.identity).await?;
        Ok(others.into_iter().zip(owners).map(|(other, owner)| Other { ours: owner == Owner::Ours, ..other }).collect())
    }

    /// Says whether a target group can be one of a service that the stack no longer has: what another load balancer uses
    /// cannot, nor what is in another network.
    fn may_be_ours(&self, group: &Group, places: &[&LoadBalancer]) -> bool {
        let described = group.target_group_name().is_some_and(|name| self.groups.contains(name));
        let here = places.iter().any(|place| place.vpc_id() == group.vpc_id());
        let known = |user: &String| places.iter().any(|place| place.load_balancer_arn() == Some(user));
        !described && here && group.load_balancer_arns().iter().all(known)
    }

    fn other_listeners(&self, listeners: &[Listens]) -> Vec<Other> {
        let other = listeners.iter().filter(|listener| !listener.port().is_some_and(|port| self.ports.contains(&port)));
        let describe = |listener: &Listens| {
            let port = listener.port().unwrap_or_default();
            let arn = listener.listener_arn().unwrap_or_default().to_owned();
            Other { kind: Kind::Listener, text: format!("on port {port} ({arn})"), arn, ours: false }
        };
        other.map(describe).collect()
    }
}

impl Resource for Others {
    type Api = Elb;
    type Live = Vec<Other>;
    const KIND: &'static str = "what else is on load balancer";
    /// A target group can be deleted as soon as no listener and no rule forwards to it.
    const PATIENCE: Duration = Duration::from_secs(10 * 60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Vec<Other>) -> String {
        if live.is_empty() {
            return "nothing".to_owned();
        }
        live.iter().map(|other| format!("{} {}", other.kind.field(), other.text)).collect::<Vec<_>>().join(", ")
    }

    fn planned(&self) -> Vec<Other> {
        Vec::new()
    }

    /// Returns what there is; a destroy finds nothing where there is nothing to delete.
    async fn find(&self, elb: &Elb) -> Result<Option<Vec<Other>>> {
        match &self.scope {
            Scope::Rules(rules) => {
                let present = rules.get(elb).await?;
                Ok(Some(self.owned(elb, rules.others(&present).into_iter().map(other_rule).collect()).await?))
            }
            Scope::OurRules(wanted) => {
                let rules = self.own_rules(elb, wanted.as_ref()).await?;
                // A destroy finds nothing where there is nothing.
                Ok(Some(rules).filter(|rules| !rules.is_empty()))
            }
            Scope::Given => Ok(Some(self.former(elb).await?)),
            Scope::Rest(listeners) => {
                let (listeners, groups) = join!(listeners.get(elb), self.former(elb));
                let (listeners, groups) = (listeners, groups).all()?;
                let listeners = self.owned(elb, self.other_listeners(&listeners)).await?;
                Ok(Some(listeners.into_iter().chain(groups).collect()))
            }
            Scope::Destroy => Ok(Some(self.former(elb).await?).filter(|groups| !groups.is_empty())),
        }
    }

    /// Makes nothing: what else there is, somebody else has made.
    async fn create(&self, _elb: &Elb) -> Result<Vec<Other>> {
        Ok(Vec::new())
    }

    fn diff(&self, live: &Vec<Other>) -> Vec<Change> {
        let change = |other: &Other| match other.ours {
            true => Change::former(other.kind.field(), &other.text),
            false => Change::foreign(other.kind.field(), &other.text),
        };
        live.iter().map(change).collect()
    }

    async fn update(&self, elb: &Elb, live: &Vec<Other>, _changes: &[Change]) -> Result<()> {
        // What forwards goes before what is forwarded to.
        for kind in [Kind::Rule, Kind::Listener, Kind::LoadBalancer, Kind::TargetGroup] {
            delete_all(elb, live, kind).await?;
        }
        Ok(())
    }

    async fn delete(&self, elb: &Elb, live: &Vec<Other>) -> Result<()> {
        delete_all(elb, live, Kind::Rule).await?;
        delete_all(elb, live, Kind::TargetGroup).await
    }

    fn owner(&self, _live: &Vec<Other>) -> Owner {
        match self.scope {
            // Nothing was found but what is tagged as the stack's.
            Scope::Destroy | Scope::OurRules(_) | Scope::Given => Owner::Ours,
            // Whose the load balancer is decides.
            Scope::Rules(_) | Scope::Rest(_) => Owner::Unread,
        }
    }

    async fn read_owner(&self, elb: &Elb, _live: &Vec<Other>) -> Result<Owner> {
        let balancers = self.listings.load_balancers(elb).await?;
        match load_balancer::named(&balancers, &self.identity.name).and_then(|balancer| balancer.load_balancer_arn()) {
            Some(arn) => elb::read_owner(elb, arn, &self.identity).await,
            // This run has made it.
            None => Ok(Owner::Ours),
        }
    }

    async fn adopt(&self, _elb: &Elb, _live: &Vec<Other>) -> Result<()> {
        // Whoever takes over the load balancer has said nothing of the rest.
        Ok(())
    }

    fn forget(&self) {
        match &self.scope {
            Scope::Rules(rules) => rules.forget(),
            Scope::Rest(listeners) => {
                listeners.forget();
                self.listings.forget_target_groups();
            }
            Scope::OurRules(wanted) => wanted.iter().for_each(|rules| rules.forget()),
            Scope::Given => {
                self.listings.forget_load_balancers();
                self.listings.forget_target_groups();
            }
            Scope::Destroy => self.listings.forget_target_groups(),
        }
    }
}

fn other_rule(rule: &Routes) -> Other {
    let arn = rule.rule_arn().unwrap_or_default().to_owned();
    Other { kind: Kind::Rule, text: format!("{} ({arn})", rule::describe(rule)), arn, ours: false }
}

/// Makes one that may be the stack's: its tags tell.
fn former_one(kind: Kind, arn: String) -> Other {
    let name = match kind {
        Kind::TargetGroup => elb::name_in(&arn).to_owned(),
        Kind::LoadBalancer | Kind::Listener | Kind::Rule => elb::balancer_in(&arn).to_owned(),
    };
    Other { kind, text: name, arn, ours: false }
}

/// Returns the keys of the services whose second target group is still in use on the stack's load balancer.
///
/// ECS goes on in it when the service is deployed task by task again: see [`crate::rule`].
///
/// # Errors
/// Any refusal by ELB.
pub async fn second_in_use<'s>(elb: &Elb, stack: &'s Stack, listings: &Listings) -> Result<BTreeSet<&'s str>> {
    let (balancers, groups) = join!(listings.load_balancers(elb), listings.target_groups(elb));
    let (balancers, groups) = (balancers, groups).all()?;
    let balancer = load_balancer::of(&balancers, stack).and_then(|balancer| balancer.load_balancer_arn());
    let Some(balancer) = balancer else { return Ok(BTreeSet::new()) };
    let used = |name: &str| {
        let group = groups.iter().find(|group| group.target_group_name() == Some(name));
        group.is_some_and(|group| group.load_balancer_arns().iter().any(|user| user == balancer))
    };
    let keys = stack.services.iter().filter(|(key, service)| used(&service.alternate_target_group(key)));
    Ok(keys.map(|(key, _)| key.as_str()).collect())
}

/// Deletes all of one kind; what is gone already is done.
async fn delete_all(elb: &Elb, others: &[Other], kind: Kind) -> Result<()> {
    let deletions = others.iter().filter(|other| other.kind == kind).map(async |other| {
        let deleted = match kind {
            Kind::Rule => rule::delete(elb, &other.arn).await,
            Kind::Listener => listener::delete(elb, &other.arn).await,
            Kind::LoadBalancer => load_balancer::delete(elb, &other.arn).await,
            Kind::TargetGroup => target_group::delete(elb, &other.arn).await,
        };
        match deleted {
            Err(error) if error.kind() == ecs_core::Kind::NotFound => Ok(()),
            other => other,
        }
    });
    join_all(deletions).await.all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others() -> Others {
        Others::for_destroy(&Stack::default(), &Rc::default())
    }

    #[test]
    fn only_what_no_other_load_balancer_uses_can_be_ours() {
        let cases: [(&str, &[&str], bool); 5] = [
            ("reporting-tg", &["arn:ours"], true),
            ("reporting-tg", &[], true),
            ("reporting-tg", &["arn:another"], false),
            // In the stack: not another one.
            ("frontend-tg", &["arn:ours"], false),
            ("backend-tg", &[], false),
        ];
        for (name, users, ours) in cases {
            let users = users.iter().map(|user| (*user).to_owned()).collect();
            let group = Group::builder().target_group_name(name).vpc_id("vpc-1").set_load_balancer_arns(Some(users));
            let group = group.build();
            let place = |vpc: &str| LoadBalancer::builder().load_balancer_arn("arn:ours").vpc_id(vpc).build();
            assert_eq!(others().may_be_ours(&group, &[&place("vpc-1")]), ours, "{group:?}");
            assert!(!others().may_be_ours(&group, &[&place("vpc-2")]), "{group:?}");
        }
    }

    #[test]
    fn everything_else_is_reported_as_somebody_elses_or_as_no_longer_needed() {
        let listener = Listens::builder().listener_arn("arn:l").port(8080).build();
        let ours = Listens::builder().listener_arn("arn:80").port(80).build();
        let mut live = others().other_listeners(&[ours, listener]);
        let former = |kind, id: &str| {
            let one = former_one(kind, format!("arn:aws:elasticloadbalancing:us-east-1:123456789012:{id}"));
            Other { ours: true, ..one }
        };
        live.push(former(Kind::LoadBalancer, "loadbalancer/app/ecs-alb/1"));
        live.push(former(Kind::TargetGroup, "targetgroup/reporting-tg/1"));
        let changes = [
            Change::foreign("listener", "on port 8080 (arn:l)"),
            Change::former("load balancer", "ecs-alb"),
            Change::former("target group", "reporting-tg"),
        ];
        assert_eq!(others().diff(&live), changes);
    }
}
