//! The DNS records by which ACM is convinced that a certificate's names are ours.
//!
//! They are made where they are missing, and never deleted: ACM names the same one for every certificate of a name in an
//! account, in every region, and renews none of them without it:
//! <https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html>

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_route53::types::{ChangeAction, ResourceRecordSet, RrType};
use ecs_core::console::Console;
use ecs_core::{All as _, Change, Error, Kind, Owner, Resource, Result};
use futures::future::join_all;

use crate::certificate::{self, Acm, Record};
use crate::dns::{self, Route53, Zone, Zones, canonical};

/// What differs, as [`Change::field`].
const RECORD: &str = "record";

/// The clients of the two services.
#[derive(Debug, Clone)]
pub struct Dns {
    /// Of ACM
    pub acm: Acm,
    /// Of Route 53
    pub route53: Route53,
}

/// The records that one certificate needs, in the zones that the account has.
#[derive(Debug)]
pub struct Validation {
    domain: String,
    arn: String,
    zone: Option<String>,
    zones: Rc<Zones>,
}

/// Where a record is to be, and what is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The name that it is for
    pub domain: String,
    /// The record
    pub record: Record,
    /// The zone that holds it; none where the account has none
    pub zone: Option<Zone>,
    found: Vec<ResourceRecordSet>,
}

impl Place {
    /// Returns the record as it is, if it is.
    fn right(&self) -> Option<&ResourceRecordSet> {
        let right = |set: &&ResourceRecordSet| {
            let values = set.resource_records();
            *set.r#type() == RrType::Cname && values.len() == 1 && canonical(values[0].value()) == self.record.value
        };
        self.found.iter().find(right)
    }

    /// Returns it as people write it.
    pub fn text(&self) -> String {
        format!("{} CNAME {}", self.record.name, self.record.value)
    }
}

impl Validation {
    /// Makes the records of a certificate; `zone` is the one that the file names.
    pub fn new(domain: &str, arn: &str, zone: Option<String>, zones: &Rc<Zones>) -> Self {
        let zones = Rc::clone(zones);
        Self { domain: domain.to_owned(), arn: arn.to_owned(), zone, zones }
    }

    /// Reads which records there are to be, and what is there; none as long as ACM has not told.
    async fn read(&self, dns: &Dns) -> Result<Option<Vec<Place>>> {
        if self.arn.starts_with(ecs_core::id::PLANNED) {
            return Ok(None);
        }
        let Some(certificate) = certificate::describe(&dns.acm, &self.arn).await? else { return Ok(None) };
        let Some(records) = certificate.all_records() else { return Ok(None) };
        let places = records.into_iter().map(async |(domain, record)| {
            let zone = self.zones.of(&dns.route53, domain, self.zone.as_deref()).await?;
            let found = match &zone {
                Some(zone) => dns::records(&dns.route53, zone, &record.name).await?,
                None => Vec::new(),
            };
            Ok(Place { domain: domain.clone(), record: record.clone(), zone, found })
        });
        join_all(places).await.all().map(Some)
    }

    /// Makes those that are missing, those of one zone together.
    async fn make(&self, dns: &Dns, places: &[Place]) -> Result<()> {
        let mut zones: BTreeMap<&str, (&Zone, Vec<_>)> = BTreeMap::new();
        for place in places.iter().filter(|place| place.found.is_empty()) {
            let Some(zone) = &place.zone else { continue };
            let record = dns::cname(&place.record.name, &place.record.value)?;
            zones.entry(&zone.id).or_insert((zone, Vec::new())).1.push((ChangeAction::Create, record));
        }
        let changes = zones.into_values().map(|(zone, changes)| dns::change(&dns.route53, zone, changes));
        join_all(changes).await.all().map(drop)
    }
}

impl Resource for Validation {
    type Api = Dns;
    type Live = Vec<Place>;
    const KIND: &'static str = "validation records of certificate";
    /// Route 53 takes them at once; that ACM finds them is waited for elsewhere.
    const PATIENCE: Duration = Duration::from_secs(5 * 60);

    fn name(&self) -> String {
        self.domain.clone()
    }

    fn id(&self, live: &Vec<Place>) -> String {
        let names: Vec<&str> = live.iter().map(|place| place.record.name.as_str()).collect();
        names.join(", ")
    }

    fn planned(&self) -> Vec<Place> {
        Vec::new()
    }

    /// Returns them if any is there, or none can be.
    async fn find(&self, dns: &Dns) -> Result<Option<Vec<Place>>> {
        let Some(places) = self.read(dns).await? else { return Ok(None) };
        let any = places.iter().any(|place| !place.found.is_empty()) || places.iter().all(|place| place.zone.is_none());
        Ok(Some(places).filter(|_| any))
    }

    async fn create(&self, dns: &Dns) -> Result<Vec<Place>> {
        let Some(places) = self.read(dns).await? else {
            return Err(Error::new(Kind::NotYet, "ACM has not told yet which records it wants"));
        };
        self.make(dns, &places).await?;
        Ok(self.read(dns).await?.unwrap_or(places))
    }

    fn diff(&self, live: &Vec<Place>) -> Vec<Change> {
        let wrong = live.iter().filter(|place| place.zone.is_some() && place.right().is_none());
        let change = |place: &Place| {
            if place.found.is_empty() {
                return Change::update(RECORD, "", place.text());
            }
            let text = format!("another record of the name {}", place.record.name);
            Change::update(RECORD, text, place.text()).refused("somebody else has made that one: delete it by hand")
        };
        wrong.map(change).collect()
    }

    async fn update(&self, dns: &Dns, live: &Vec<Place>, _changes: &[Change]) -> Result<()> {
        self.make(dns, live).await
    }

    /// Never called: they stay.
    async fn delete(&self, _dns: &Dns, _live: &Vec<Place>) -> Result<()> {
        Ok(())
    }

    fn owner(&self, _live: &Vec<Place>) -> Owner {
        // ACM has named them for the stack's certificate; another one of the name is refused.
        Owner::Ours
    }

    async fn adopt(&self, _dns: &Dns, _live: &Vec<Place>) -> Result<()> {
        Ok(())
    }
}

/// Says which records stay when a certificate goes.
pub fn say_kept(console: &Console, certificate: &certificate::Live) {
    for (name, record) in certificate.all_records().unwrap_or_default() {
        let text = format!(
            "DNS record {} CNAME {}: certificates for {name} in other regions need the same one; delete it when there are \
             none",
            record.name, record.value
        );
        console.say("kept", &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(zone: bool, found: Vec<ResourceRecordSet>) -> Place {
        Place {
            domain: "example.com".to_owned(),
            record: Record { name: "_x.example.com".to_owned(), value: "_v.acm-validations.aws".to_owned() },
            zone: zone.then(|| Zone { id: "Z1".to_owned(), name: "example.com".to_owned() }),
            found,
        }
    }

    #[test]
    fn a_record_is_ours_when_it_is_the_one_that_acm_has_named() {
        let validation = Validation::new("example.com", "arn", None, &Rc::default());
        let ours = dns::cname("_x.example.com.", "_v.acm-validations.aws.").expect("a record");
        let theirs = dns::cname("_x.example.com.", "elsewhere.").expect("a record");
        let changes = |place: Place| validation.diff(&vec![place]).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(changes(place(true, vec![ours])), [""; 0]);
        assert_eq!(changes(place(true, Vec::new())), ["record: add _x.example.com CNAME _v.acm-validations.aws"]);
        assert_eq!(changes(place(false, Vec::new())), [""; 0], "that one a person has to make");
        let refused =
            "record: another record of the name _x.example.com -> _x.example.com CNAME _v.acm-validations.aws";
        assert_eq!(changes(place(true, vec![theirs])), [refused]);
    }
}
