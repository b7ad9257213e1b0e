//! Route 53, where moto takes what AWS refuses, and is done before it has begun.

mod change;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use xmltree::Element;

use crate::answer::{Answer, text};
use crate::call::Request;
use crate::proxy::Proxy;
use crate::turn::Turn;
use crate::xml;

/// Where the paths of all operations begin.
const VERSION: &str = "/2013-04-01";

/// What we keep of Route 53 ourselves.
#[derive(Debug, Default)]
pub(crate) struct State {
    turn: Turn,
    /// Until when each change is on its way, by its id.
    changes: Mutex<HashMap<String, f64>>,
}

impl State {
    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The operation of a call, by its method and path; none where it is no known one.
pub(crate) fn operation(method: &str, path: &str) -> Option<&'static str> {
    let rest = path.strip_prefix(VERSION)?.trim_matches('/');
    let parts: Vec<&str> = rest.split('/').collect();
    Some(match (method, parts.as_slice()) {
        ("GET", ["hostedzone"]) => "ListHostedZones",
        ("POST", ["hostedzone"]) => "CreateHostedZone",
        ("GET", ["hostedzonesbyname"]) => "ListHostedZonesByName",
        ("GET", ["hostedzone", _]) => "GetHostedZone",
        ("DELETE", ["hostedzone", _]) => "DeleteHostedZone",
        ("GET", ["hostedzone", _, "rrset"]) => "ListResourceRecordSets",
        ("POST", ["hostedzone", _, "rrset"]) => "ChangeResourceRecordSets",
        ("GET", ["change", _]) => "GetChange",
        ("GET", ["tags", _, _]) => "ListTagsForResource",
        _ => return None,
    })
}

/// Answers a call to Route 53.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    let _turn = proxy.route53.turn.take(request).await;
    match request.operation.as_str() {
        "ChangeResourceRecordSets" => change::change(proxy, request).await,
        "GetChange" => change::get(proxy, request),
        _ => proxy.upstream.forward(request).await,
    }
}

/// A record set, as Route 53 lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordSet {
    name: String,
    kind: String,
    ttl: String,
    /// Values in order, or what it is an alias of
    values: Vec<String>,
    set: String,
}

impl RecordSet {
    fn read(set: &Element) -> RecordSet {
        let text = |name: &str| xml::text(set, name).unwrap_or_default();
        let mut values: Vec<String> = Vec::new();
        if let Some(records) = set.get_child("ResourceRecords") {
            let records = records.children.iter().filter_map(|node| node.as_element());
            values.extend(records.filter_map(|record| xml::text(record, "Value")));
        }
        if let Some(target) = set.get_child("AliasTarget") {
            let part = |name: &str| canonical(&xml::text(target, name).unwrap_or_default());
            values.push(format!("alias {} {} {}", part("HostedZoneId"), part("DNSName"), part("EvaluateTargetHealth")));
        }
        values.sort();
        RecordSet {
            name: canonical(&text("Name")),
            kind: text("Type"),
            ttl: text("TTL"),
            values,
            set: text("SetIdentifier"),
        }
    }

    fn is(&self, other: &RecordSet) -> bool {
        (&self.name, &self.kind, &self.set) == (&other.name, &other.kind, &other.set)
    }
}

/// A name in one form.
pub(crate) fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase().replace("\\052", "*")
}

/// The record sets of a zone.
async fn record_sets(proxy: &Proxy, region: &str, zone: &str) -> Vec<RecordSet> {
    let path = format!("{VERSION}/hostedzone/{zone}/rrset?maxitems=1000");
    let body = proxy.upstream.get("route53", region, &path).await.ok().unwrap_or_default();
    let tree = Element::parse(body.as_bytes()).ok();
    let sets = tree.as_ref().and_then(|tree| tree.get_child("ResourceRecordSets"));
    let sets = sets.into_iter().flat_map(|sets| sets.children.iter().filter_map(|node| node.as_element()));
    sets.map(RecordSet::read).collect()
}

/// Whether the public zones say that a name is a CNAME of another one.
pub(crate) async fn resolves(proxy: &Proxy, region: &str, name: &str, value: &str) -> bool {
    let (name, value) = (canonical(name), canonical(value));
    let body = proxy.upstream.get("route53", region, &format!("{VERSION}/hostedzone")).await.ok().unwrap_or_default();
    for (id, _) in public_zones(&body).into_iter().filter(|(_, zone)| name.ends_with(zone.as_str())) {
        let right = |set: &RecordSet| {
            set.name == name && set.kind == "CNAME" && set.values.iter().any(|one| canonical(one) == value)
        };
        if record_sets(proxy, region, &id).await.iter().any(right) {
            return true;
        }
    }
    false
}

/// The ids and names of the public zones in a list.
fn public_zones(body: &str) -> Vec<(String, String)> {
    let Ok(tree) = Element::parse(body.as_bytes()) else { return Vec::new() };
    let zones = tree.get_child("HostedZones");
    let zones = zones.into_iter().flat_map(|zones| zones.children.iter().filter_map(|node| node.as_element()));
    let zone = |zone: &Element| {
        let private = zone.get_child("Config").and_then(|config| xml::text(config, "PrivateZone"));
        let id = xml::text(zone, "Id")?.trim_start_matches("/hostedzone/").to_owned();
        (private.as_deref() != Some("true")).then_some((id, canonical(&xml::text(zone, "Name")?)))
    };
    zones.filter_map(zone).collect()
}

/// The part of a path after a word.
fn after<'p>(path: &'p str, word: &str) -> &'p str {
    let mut parts = path.trim_matches('/').split('/').skip_while(|part| *part != word);
    parts.nth(1).unwrap_or_default()
}

/// The text of a tag in moto's answer.
fn said<'a>(body: &'a str, tag: &str) -> &'a str {
    text(body, tag).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_its_method_and_path() {
        for (method, path, expected) in [
            ("GET", "/2013-04-01/hostedzone", Some("ListHostedZones")),
            ("POST", "/2013-04-01/hostedzone/Z1/rrset/", Some("ChangeResourceRecordSets")),
            ("GET", "/2013-04-01/hostedzone/Z1/rrset", Some("ListResourceRecordSets")),
            ("GET", "/2013-04-01/change/C1", Some("GetChange")),
            ("GET", "/", None),
        ] {
            assert_eq!(operation(method, path), expected, "{path}");
        }
        assert_eq!(after("/2013-04-01/hostedzone/Z1/rrset", "hostedzone"), "Z1");
    }
}
