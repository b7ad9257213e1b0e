//! The stack's name in DNS: an alias to the load balancer.
//!
//! Route 53's records have no tags, but the load balancer has one for each (see [`crate::alias_tag`]). An alias is the
//! stack's when it leads to a load balancer of the stack's name in the stack's region: such names are unique in an account
//! and region. So an alias is known again whose load balancer is gone, and made anew under another DNS name.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_route53::types::{AliasTarget, ChangeAction, ChangeStatus, ResourceRecordSet, RrType};
use ecs_aws::Answer as _;
use ecs_core::{Change, Error, Health, Kind, Owner, Resource, Result};

use crate::alias_tag::AliasTag;
use crate::dns::{self, Route53, Zone, Zones, canonical};

/// What a name that answers for IPv4 and IPv6 begins with, as the console writes it:
/// <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-values-alias.html>
const DUALSTACK: &str = "dualstack.";
/// What ELB's names end in.
const ELB: [&str; 2] = [".elb.amazonaws.com", ".elb.amazonaws.com.cn"];

/// Which load balancer an alias is to lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One that is known
    Known {
        /// Its DNS name
        dns_name: String,
        /// The hosted zone of ELB that holds the name
        zone: String,
    },
    /// One that is gone, or is going: only to be looked for
    Unknown,
}

/// How a load balancer is known by its DNS name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// By its name in a region
    Name {
        /// The load balancer's name
        name: String,
        /// The region
        region: String,
    },
    /// By the whole of it: somebody else has made it
    Exactly(String),
}

impl Known {
    /// Says whether a DNS name is the load balancer's, now or before: `NAME-NUMBER.REGION.elb.amazonaws.com`.
    fn fits(&self, dns_name: &str) -> bool {
        let dns_name = plain(dns_name);
        match self {
            Self::Name { name, region } => {
                let rest = dns_name.strip_prefix(&format!("{}-", name.to_lowercase()));
                let rest = rest.and_then(|rest| ELB.iter().find_map(|end| rest.strip_suffix(end)));
                rest.and_then(|rest| rest.split_once('.')).is_some_and(|(number, its_region)| {
                    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && its_region == region
                })
            }
            Self::Exactly(known) => dns_name == plain(known),
        }
    }
}

/// The alias records, for IPv4 and IPv6.
#[derive(Debug)]
pub struct Alias {
    domain: String,
    given: Option<String>,
    /// The zone, where it need not be looked for
    zone: Option<Zone>,
    target: Target,
    known: Known,
    zones: Rc<Zones>,
    change: RefCell<Option<String>>,
}

/// What is there under the name.
#[derive(Debug, Clone)]
pub struct Live {
    zone: Zone,
    sets: Vec<ResourceRecordSet>,
    /// Route 53 has the last change on all of its servers
    in_sync: bool,
}

impl Alias {
    /// Makes the alias of a domain name; `zone` is the one that the file names.
    pub fn new(domain: &str, zone: Option<String>, target: Target, known: Known, zones: &Rc<Zones>) -> Self {
        let zones = Rc::clone(zones);
        Self { domain: canonical(domain), given: zone, zone: None, target, known, zones, change: RefCell::default() }
    }

    /// Makes one of before, which a load balancer's tag tells of: only to be looked for, as long as it leads there.
    pub fn former(tag: &AliasTag, dns_name: &str) -> Self {
        let zone = Zone { id: tag.zone.clone(), name: String::new() };
        let known = Known::Exactly(dns_name.to_owned());
        Self { zone: Some(zone), ..Self::new(&tag.name, None, Target::Unknown, known, &Rc::default()) }
    }

    /// Returns the domain name.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Makes it known by a load balancer's whole DNS name.
    #[must_use]
    pub fn known_by(self, dns_name: &str) -> Self {
        Self { known: Known::Exactly(dns_name.to_owned()), ..self }
    }

    /// Returns the zone that holds the name.
    ///
    /// # Errors
    /// Any refusal by Route 53; no such zone.
    pub async fn zone(&self, route53: &Route53) -> Result<Zone> {
        let zone = self.zones.of(route53, &self.domain, self.given.as_deref()).await?;
        zone.ok_or_else(|| {
            Error::usage(format!("the account has no public hosted zone for `alb.domain`, {}", self.domain)).hint(
                "make the hosted zone, or leave out `alb.domain` and point the name to the load balancer by hand, where \
                 its DNS is: a CNAME for `alb.dns_name` in the document",
            )
        })
    }

    fn wanted(&self, kind: &RrType) -> Result<ResourceRecordSet> {
        let Target::Known { dns_name, zone } = &self.target else {
            return Err(Error::other("the load balancer is not known"));
        };
        let target = AliasTarget::builder().dns_name(format!("{DUALSTACK}{dns_name}")).hosted_zone_id(zone);
        let target = target.evaluate_target_health(true).build().map_err(|error| dns::incomplete(&error))?;
        let set = ResourceRecordSet::builder().name(&self.domain).r#type(kind.clone()).alias_target(target);
        set.build().map_err(|error| dns::incomplete(&error))
    }

    fn is_ours(&self, set: &ResourceRecordSet) -> bool {
        let leads = set.alias_target().is_some_and(|target| self.known.fits(target.dns_name()));
        leads && set.set_identifier().is_none()
    }

    fn is_right(&self, set: &ResourceRecordSet) -> bool {
        let Target::Known { dns_name, zone } = &self.target else { return self.is_ours(set) };
        set.alias_target()
            .is_some_and(|target| plain(target.dns_name()) == plain(dns_name) && target.hosted_zone_id() == zone)
            && set.set_identifier().is_none()
    }

    async fn send(
        &self,
        route53: &Route53,
        zone: &Zone,
        changes: Vec<(ChangeAction, ResourceRecordSet)>,
    ) -> Result<()> {
        let id = dns::change(route53, zone, changes).await?;
        self.change.replace(Some(id));
        Ok(())
    }
}

impl Resource for Alias {
    type Api = Route53;
    type Live = Live;
    const KIND: &'static str = "alias record";
    /// Route 53 has a change on all its servers "within 60 seconds under normal conditions":
    /// <https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html>
    const PATIENCE: Duration = Duration::from_secs(10 * 60);
    const USUAL: &'static str = "up to 60 s";

    fn name(&self) -> String {
        self.domain.clone()
    }

    fn id(&self, live: &Live) -> String {
        format!("in {}", live.zone.id)
    }

    fn planned(&self) -> Live {
        let sets = [RrType::A, RrType::Aaaa].iter().filter_map(|kind| self.wanted(kind).ok()).collect();
        Live { zone: Zone { id: "planned".to_owned(), name: String::new() }, sets, in_sync: false }
    }

    /// Returns what is there for addresses of the name, whosesoever it is; a name with a CNAME can have nothing else.
    async fn find(&self, route53: &Route53) -> Result<Option<Live>> {
        let zone = match (&self.zone, &self.target) {
            (Some(zone), _) => zone.clone(),
            (None, Target::Known { .. }) => self.zone(route53).await?,
            (None, Target::Unknown) => match self.zones.of(route53, &self.domain, self.given.as_deref()).await? {
                Some(zone) => zone,
                None => return Ok(None),
            },
        };
        let mut sets = match dns::records(route53, &zone, &self.domain).await {
            // The zone of before has gone, and its records with it.
            Err(error) if error.kind() == Kind::NotFound && self.zone.is_some() => return Ok(None),
            records => records?,
        };
        sets.retain(|set| [RrType::A, RrType::Aaaa, RrType::Cname].contains(set.r#type()));
        if self.target == Target::Unknown {
            sets.retain(|set| self.is_ours(set));
        }
        if sets.is_empty() {
            return Ok(None);
        }
        let change = self.change.borrow().clone();
        let in_sync = match change {
            Some(id) => {
                let reply = route53.read.get_change().id(id.trim_start_matches("/change/")).send().await;
                let reply = reply.answer("route53:GetChange")?;
                reply.change_info().is_none_or(|change| *change.status() == ChangeStatus::Insync)
            }
            // An earlier run has seen to it.
            None => true,
        };
        Ok(Some(Live { zone, sets, in_sync }))
    }

    async fn create(&self, route53: &Route53) -> Result<Live> {
        let zone = self.zone(route53).await?;
        let sets = [self.wanted(&RrType::A)?, self.wanted(&RrType::Aaaa)?];
        self.send(route53, &zone, sets.iter().map(|set| (ChangeAction::Create, set.clone())).collect()).await?;
        Ok(Live { zone, sets: sets.into(), in_sync: false })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let Target::Known { dns_name, .. } = &self.target else { return Vec::new() };
        let to = format!("alias to {}", plain(dns_name));
        let several = live.sets.iter().find(|set| set.set_identifier().is_some() || *set.r#type() == RrType::Cname);
        if let Some(set) = several {
            let hint = "somebody else has made that record: delete it by hand, give `alb.domain` another name, or leave it out";
            return vec![Change::update("record", describe(set), to).refused(hint)];
        }
        let change = |(kind, field): (RrType, &'static str)| {
            let set = live.sets.iter().find(|set| *set.r#type() == kind);
            let right = set.is_some_and(|set| self.is_right(set));
            (!right).then(|| Change::update(field, set.map(describe).unwrap_or_default(), &to))
        };
        [(RrType::A, "A record"), (RrType::Aaaa, "AAAA record")].into_iter().filter_map(change).collect()
    }

    async fn update(&self, route53: &Route53, live: &Live, _changes: &[Change]) -> Result<()> {
        let sets = [self.wanted(&RrType::A)?, self.wanted(&RrType::Aaaa)?];
        let wrong = sets
            .into_iter()
            .filter(|wanted| !live.sets.iter().any(|set| set.r#type() == wanted.r#type() && self.is_right(set)));
        self.send(route53, &live.zone, wrong.map(|set| (ChangeAction::Upsert, set)).collect()).await
    }

    async fn delete(&self, route53: &Route53, live: &Live) -> Result<()> {
        let ours = live.sets.iter().filter(|set| self.is_ours(set));
        dns::change(route53, &live.zone, ours.map(|set| (ChangeAction::Delete, set.clone())).collect()).await.map(drop)
    }

    fn health(&self, live: &Live) -> Health {
        if live.in_sync { Health::Ready } else { Health::Pending("PENDING".to_owned()) }
    }

    fn owner(&self, live: &Live) -> Owner {
        if live.sets.iter().all(|set| self.is_ours(set)) { Owner::Ours } else { Owner::Nobody }
    }

    async fn adopt(&self, _route53: &Route53, _live: &Live) -> Result<()> {
        // A record has no tags: where it leads to says whose it is, and that is changed next.
        Ok(())
    }
}

/// Writes a load balancer's DNS name in one form.
fn plain(dns_name: &str) -> String {
    let name = canonical(dns_name);
    name.strip_prefix(DUALSTACK).map(str::to_owned).unwrap_or(name)
}

/// Writes a record for people: `alias to x.elb.amazonaws.com`, `A 192.0.2.1`.
fn describe(set: &ResourceRecordSet) -> String {
    match set.alias_target() {
        Some(target) => format!("alias to {}", plain(target.dns_name())),
        None => {
            let values: Vec<&str> = set.resource_records().iter().map(|record| record.value()).collect();
            format!("{} {}", set.r#type().as_str(), values.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_route53::types::ResourceRecord;

    use super::*;

    const OURS: &str = "ecs-alb-425835106.us-east-1.elb.amazonaws.com";

    fn alias(target: Target) -> Alias {
        let known = Known::Name { name: "ecs-alb".to_owned(), region: "us-east-1".to_owned() };
        Alias::new("app.example.com", None, target, known, &Rc::default())
    }

    fn target(dns_name: &str) -> Target {
        Target::Known { dns_name: dns_name.to_owned(), zone: "Z35SXDOTRQ7X7K".to_owned() }
    }

    fn live(sets: Vec<ResourceRecordSet>) -> Live {
        Live { zone: Zone { id: "Z1".to_owned(), name: "example.com".to_owned() }, sets, in_sync: true }
    }

    fn pair(dns_name: &str) -> Vec<ResourceRecordSet> {
        alias(target(dns_name)).planned().sets
    }

    fn address() -> ResourceRecordSet {
        let record = ResourceRecord::builder().value("192.0.2.1").build().expect("a record");
        let set = ResourceRecordSet::builder().name("app.example.com").r#type(RrType::A).ttl(60);
        set.resource_records(record).build().expect("a set")
    }

    #[test]
    fn a_load_balancer_is_known_by_its_name_and_region() {
        let known = Known::Name { name: "ecs-alb".to_owned(), region: "us-east-1".to_owned() };
        let cases = [
            (OURS, true),
            ("dualstack.ecs-alb-1.us-east-1.elb.amazonaws.com.", true),
            ("ecs-alb-1.eu-west-1.elb.amazonaws.com", false),
            ("ecs-alb-two-1.us-east-1.elb.amazonaws.com", false),
            ("other-1.us-east-1.elb.amazonaws.com", false),
            ("ecs-alb-1.us-east-1.example.com", false),
        ];
        for (name, fits) in cases {
            assert_eq!(known.fits(name), fits, "{name}");
        }
        assert!(Known::Exactly(OURS.to_owned()).fits("dualstack.ECS-ALB-425835106.us-east-1.elb.amazonaws.com."));
    }

    #[test]
    fn only_an_alias_to_the_stacks_own_load_balancer_is_the_stacks() {
        let alias = alias(target(OURS));
        let texts = |sets: Vec<ResourceRecordSet>| {
            let live = live(sets);
            (alias.diff(&live).iter().map(ToString::to_string).collect::<Vec<_>>(), alias.owner(&live))
        };
        assert_eq!(texts(pair(OURS)), (vec![], Owner::Ours));
        let before = "ecs-alb-1.us-east-1.elb.amazonaws.com";
        let (changes, owner) = texts(pair(before));
        assert_eq!(changes[0], format!("A record: alias to {before} -> alias to {OURS}"));
        assert_eq!((changes.len(), owner), (2, Owner::Ours), "its load balancer is gone");
        let (changes, owner) = texts(vec![address()]);
        assert_eq!(changes[0], format!("A record: A 192.0.2.1 -> alias to {OURS}"));
        assert_eq!((changes[1].as_str(), owner), (format!("AAAA record: add alias to {OURS}").as_str(), Owner::Nobody));
    }

    #[test]
    fn a_cname_of_somebody_else_is_refused_whatever_the_flags() {
        let cname = dns::cname("app.example.com", "elsewhere.example.com").expect("a record");
        let changes = alias(target(OURS)).diff(&live(vec![cname]));
        assert!(
            matches!(changes.as_slice(), [Change { means: ecs_core::resource::Means::Refuse(_), .. }]),
            "{changes:?}"
        );
    }
}
