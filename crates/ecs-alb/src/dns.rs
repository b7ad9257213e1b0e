//! Route 53: the hosted zones of the account, and the records in them.
//!
//! Route 53 is a global service; the SDK sends its calls to the one endpoint that it has, and signs them for us-east-1.

use std::rc::Rc;

use aws_sdk_route53::Client;
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, HostedZone, ResourceRecord, ResourceRecordSet, RrType,
};
use ecs_aws::{Answer as _, Api, present};
use ecs_core::{Error, Kind, Listing, Result};

/// The clients of Route 53.
pub type Route53 = Api<Client>;

/// How long resolvers keep a record, in seconds: ACM's own "Create records in Route 53" gives its records as many.
const TTL: i64 = 300;

/// The public hosted zones of the account, listed once.
#[derive(Debug, Default)]
pub struct Zones {
    list: Listing<Vec<Zone>>,
}

/// A public hosted zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its id, without the `/hostedzone/` that Route 53 puts before it
    pub id: String,
    /// Its name, without the dot at its end
    pub name: String,
}

impl Zones {
    /// Returns the zone that holds a domain name: the one that the file names, else the one whose name is the longest
    /// end of the domain; none when the account has none for it.
    ///
    /// # Errors
    /// Any refusal by Route 53; a zone that the file names and the account does not have; two zones of one name.
    pub async fn of(&self, route53: &Route53, domain: &str, given: Option<&str>) -> Result<Option<Zone>> {
        let zones = self.list(route53).await.map_err(|error| error.doing("reading the hosted zones"))?;
        pick(&zones, domain, given)
    }

    async fn list(&self, route53: &Route53) -> Result<Rc<Vec<Zone>>> {
        let list = self.list.get(async || {
            let all = route53.read.list_hosted_zones().into_paginator().items().send();
            let all = all.collect::<Result<Vec<_>, _>>().await.answer("route53:ListHostedZones")?;
            let public = |zone: &&HostedZone| !zone.config().is_some_and(|config| config.private_zone());
            let zone = |zone: &HostedZone| Zone {
                id: zone.id().trim_start_matches("/hostedzone/").to_owned(),
                name: canonical(zone.name()),
            };
            Ok(all.iter().filter(public).map(zone).collect())
        });
        list.await
    }
}

fn pick(zones: &[Zone], domain: &str, given: Option<&str>) -> Result<Option<Zone>> {
    let domain = canonical(domain);
    let under = |name: &str| domain == name || domain.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    let found: Vec<&Zone> = match given {
        Some(given) => zones.iter().filter(|zone| zone.id == given || zone.name == canonical(given)).collect(),
        None => {
            let longest = zones.iter().filter(|zone| under(&zone.name)).map(|zone| zone.name.len()).max();
            zones.iter().filter(|zone| under(&zone.name) && Some(zone.name.len()) == longest).collect()
        }
    };
    match (found.as_slice(), given) {
        ([zone], _) if under(&zone.name) => Ok(Some((*zone).clone())),
        ([zone], _) => Err(Error::usage(format!("the hosted zone {} ({}) does not hold {domain}", zone.name, zone.id))
            .hint("name the zone whose name the domain ends in")),
        ([], None) => Ok(None),
        ([], Some(given)) => Err(Error::usage(format!("the account has no public hosted zone {given}"))
            .hint("`zone` is the name or the id of one; without it, it is found by the domain")),
        (several, _) => {
            let ids: Vec<&str> = several.iter().map(|zone| zone.id.as_str()).collect();
            Err(Error::usage(format!("the account has several public hosted zones {}", several[0].name))
                .hint(format!("say which one by its id as `zone`: {}", ids.join(", "))))
        }
    }
}

/// Returns the record sets of a name.
///
/// # Errors
/// Any refusal by Route 53.
pub async fn records(route53: &Route53, zone: &Zone, name: &str) -> Result<Vec<ResourceRecordSet>> {
    let name = canonical(name);
    let mut found = Vec::new();
    // Sorted by name and type, so those of one name follow one another.
    let (mut from, mut from_type, mut from_id) = (name.clone(), None, None);
    loop {
        let call = route53.read.list_resource_record_sets().hosted_zone_id(&zone.id).start_record_name(&from);
        let call = call.set_start_record_type(from_type).set_start_record_identifier(from_id);
        let page = call.send().await.answer("route53:ListResourceRecordSets")?;
        found.extend(page.resource_record_sets().iter().filter(|set| canonical(set.name()) == name).cloned());
        match page.next_record_name() {
            Some(next) if page.is_truncated() && canonical(next) == name => {
                (from, from_type, from_id) = (name.clone(), page.next_record_type, page.next_record_identifier);
            }
            Some(_) | None => return Ok(found),
        }
    }
}

/// Changes records, all or none, and returns the id of the change.
///
/// # Errors
/// Any refusal by Route 53: [`Kind::AlreadyExists`] for a record that is there, [`Kind::NotFound`] for one that is not.
pub async fn change(route53: &Route53, zone: &Zone, changes: Vec<(ChangeAction, ResourceRecordSet)>) -> Result<String> {
    let changes = changes.into_iter().map(|(action, set)| {
        Change::builder().action(action).resource_record_set(set).build().map_err(|error| incomplete(&error))
    });
    let changes = changes.collect::<Result<Vec<_>>>()?;
    let batch = ChangeBatch::builder().set_changes(Some(changes)).build().map_err(|error| incomplete(&error))?;
    let call = route53.write.change_resource_record_sets().hosted_zone_id(&zone.id).change_batch(batch);
    let reply = call.send().await.answer("route53:ChangeResourceRecordSets").map_err(explain)?;
    Ok(present(reply.change_info, "route53:ChangeResourceRecordSets", "the change")?.id)
}

/// Says what a refused change means: the code is one for everything, and only the words tell.
/// <https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html>
fn explain(error: Error) -> Error {
    match error.code() {
        Some("InvalidChangeBatch") if error.message().contains("already exists") => {
            error.with_kind(Kind::AlreadyExists)
        }
        Some("InvalidChangeBatch") if error.message().contains("not found") => error.with_kind(Kind::NotFound),
        _ => error,
    }
}

/// Makes a CNAME record.
///
/// # Errors
/// Never: everything that the SDK wants is there.
pub fn cname(name: &str, value: &str) -> Result<ResourceRecordSet> {
    let record = ResourceRecord::builder().value(value).build().map_err(|error| incomplete(&error))?;
    let set = ResourceRecordSet::builder().name(name).r#type(RrType::Cname).ttl(TTL).resource_records(record);
    set.build().map_err(|error| incomplete(&error))
}

/// Turns the SDK's complaint about a request into ours.
pub fn incomplete(error: &dyn std::error::Error) -> Error {
    Error::other(format!("the call could not be built: {error}"))
}

/// Writes a domain name in one form: in lower case, without a dot at its end, with the wildcard as people write it.
///
/// Route 53 writes `*` as `\052`:
/// <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html>
pub fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase().replace("\\052", "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones() -> Vec<Zone> {
        let zone = |(id, name): (&str, &str)| Zone { id: id.to_owned(), name: name.to_owned() };
        [("Z1", "example.com"), ("Z2", "eu.example.com"), ("Z3", "twice.org"), ("Z4", "twice.org")].map(zone).into()
    }

    #[test]
    fn the_zone_of_a_name_is_the_one_with_the_longest_end_of_it() {
        let cases = [
            ("app.example.com", None, Ok(Some("Z1"))),
            ("example.com", None, Ok(Some("Z1"))),
            ("*.eu.example.com.", None, Ok(Some("Z2"))),
            ("a.EU.example.com", None, Ok(Some("Z2"))),
            // A parent zone on purpose.
            ("a.eu.example.com", Some("example.com"), Ok(Some("Z1"))),
            ("a.eu.example.com", Some("Z1"), Ok(Some("Z1"))),
            ("notexample.com", None, Ok(None)),
            ("a.twice.org", None, Err("several public hosted zones")),
            ("a.twice.org", Some("Z4"), Ok(Some("Z4"))),
            ("a.example.com", Some("Z9"), Err("no public hosted zone Z9")),
            ("a.example.com", Some("eu.example.com"), Err("does not hold a.example.com")),
        ];
        for (domain, given, expected) in cases {
            let found = pick(&zones(), domain, given).map(|zone| zone.map(|zone| zone.id));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), expected, "{domain}"),
                (Err(error), Err(part)) => assert!(error.message().contains(part), "{domain}: {}", error.message()),
                (found, _) => panic!("{domain}: {found:?}"),
            }
        }
    }

    #[test]
    fn names_have_one_form() {
        assert_eq!(canonical("\\052.Example.com."), "*.example.com");
    }
}
