//! Changes of record sets: what Route 53 refuses, and how long a change is on its way.

use std::sync::PoisonError;

use hyper::StatusCode;
use xmltree::Element;

use super::{RecordSet, VERSION, after, canonical, record_sets, said};
use crate::answer::Answer;
use crate::call::Request;
use crate::proxy::Proxy;
use crate::refusal::Refusal;
use crate::xml;

const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

/// ChangeResourceRecordSets: all changes or none.
pub(super) async fn change(proxy: &Proxy, request: &Request) -> Answer {
    let zone = after(request.uri.path(), "hostedzone");
    let Ok(mut tree) = Element::parse(&request.body[..]) else {
        return Refusal::new("InvalidInput", "Invalid XML ; the request is not well-formed").answer(request);
    };
    let present = record_sets(proxy, &request.region, zone).await;
    if !present.is_empty()
        && let Err(refusal) = check(&changes(&tree), present)
    {
        return refusal.answer(request);
    }
    // moto takes the second creation of a record that was deleted meanwhile for one too many.
    each_change(&mut tree, |change| {
        if xml::text(change, "Action").as_deref() == Some("CREATE") {
            xml::set_text(change, "Action", "UPSERT");
        }
    });
    let mut body = Vec::new();
    if tree.write(&mut body).is_err() {
        return Refusal::new("InvalidInput", "Invalid XML").answer(request);
    }
    let answer = proxy.upstream.forward(&Request { body: body.into(), ..request.clone() }).await;
    if !answer.status.is_success() {
        return answer;
    }
    let mut changes = proxy.route53.changes.lock().unwrap_or_else(PoisonError::into_inner);
    let id = format!("C{:013}ECSLOCAL", changes.len() + 1);
    let lasts = proxy.clock.scale.lasts(proxy.sky.weather().provisioning.dns_change.as_secs_f64());
    let until = proxy.clock.now() + lasts;
    changes.insert(id.clone(), until);
    let status = if lasts > 0.0 { "PENDING" } else { "INSYNC" };
    xml::change_each(answer, "ChangeInfo", |info| {
        xml::set_text(info, "Id", &format!("/change/{id}"));
        xml::set_text(info, "Status", status);
    })
}

/// GetChange.
pub(super) fn get(proxy: &Proxy, request: &Request) -> Answer {
    let id = after(request.uri.path(), "change");
    let until = proxy.route53.changes.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied();
    let Some(until) = until else {
        let message = format!("Could not find resource with ID: {id}");
        return Refusal::new("NoSuchChange", message).with_status(StatusCode::NOT_FOUND).answer(request);
    };
    let status = if proxy.clock.now() < until { "PENDING" } else { "INSYNC" };
    let body = format!(
        "<?xml version=\"1.0\"?><GetChangeResponse xmlns=\"{NAMESPACE}\"><ChangeInfo><Id>/change/{id}</Id>\
         <Status>{status}</Status><SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo></GetChangeResponse>"
    );
    debug_assert!(said(&body, "Status") == status && request.uri.path().starts_with(VERSION));
    Answer::new(StatusCode::OK, "text/xml", body.into())
}

fn each_change(tree: &mut Element, mut change: impl FnMut(&mut Element)) {
    let changes = tree.get_mut_child("ChangeBatch").and_then(|batch| batch.get_mut_child("Changes"));
    let Some(changes) = changes else { return };
    changes.children.iter_mut().filter_map(|node| node.as_mut_element()).for_each(&mut change);
}

/// The changes of a batch: what is to be done, with which record set.
fn changes(tree: &Element) -> Vec<(String, RecordSet)> {
    let changes = tree.get_child("ChangeBatch").and_then(|batch| batch.get_child("Changes"));
    let changes = changes.into_iter().flat_map(|changes| changes.children.iter().filter_map(|node| node.as_element()));
    let change = |change: &Element| {
        Some((xml::text(change, "Action")?, RecordSet::read(change.get_child("ResourceRecordSet")?)))
    };
    changes.filter_map(change).collect()
}

/// Checks a batch against what is there, in the words that AWS uses.
fn check(changes: &[(String, RecordSet)], mut present: Vec<RecordSet>) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new("InvalidChangeBatch", format!("[{message}]")));
    for (action, set) in changes {
        let RecordSet { name, kind, .. } = set;
        let at = present.iter().position(|one| one.is(set));
        match (action.as_str(), at) {
            ("CREATE", Some(_)) => {
                return refuse(format!(
                    "Tried to create resource record set [name='{name}.', type='{kind}'] but it already exists"
                ));
            }
            ("DELETE", None) => {
                return refuse(format!(
                    "Tried to delete resource record set [name='{name}.', type='{kind}'] but it was not found"
                ));
            }
            ("DELETE", Some(at)) if present[at] != *set => {
                return refuse(format!(
                    "Tried to delete resource record set [name='{name}.', type='{kind}'] but the values provided do not \
                     match the current values"
                ));
            }
            ("DELETE", Some(at)) => drop(present.remove(at)),
            (_, at) => {
                let conflict = |one: &RecordSet| {
                    one.name == *name && (one.kind == "CNAME") != (kind == "CNAME") && canonical(&one.name) == *name
                };
                if present.iter().any(conflict) {
                    return refuse(format!(
                        "RRSet of type {kind} with DNS name {name}. is not permitted as it conflicts with other records \
                         with the same DNS name in zone"
                    ));
                }
                match at {
                    Some(at) => present[at] = set.clone(),
                    None => present.push(set.clone()),
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, kind: &str, value: &str) -> RecordSet {
        RecordSet {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ttl: "300".to_owned(),
            values: vec![value.to_owned()],
            set: String::new(),
        }
    }

    #[test]
    fn a_batch_is_refused_as_route_53_does() {
        let present = vec![set("a.example.com", "CNAME", "x"), set("b.example.com", "A", "192.0.2.1")];
        for (action, set, expected) in [
            ("CREATE", set("c.example.com", "A", "192.0.2.1"), None),
            ("CREATE", set("a.example.com", "CNAME", "x"), Some("but it already exists")),
            ("UPSERT", set("a.example.com", "CNAME", "y"), None),
            ("DELETE", set("c.example.com", "A", "192.0.2.1"), Some("but it was not found")),
            ("DELETE", set("b.example.com", "A", "192.0.2.2"), Some("do not match the current values")),
            ("DELETE", set("b.example.com", "A", "192.0.2.1"), None),
            ("CREATE", set("a.example.com", "A", "192.0.2.1"), Some("it conflicts with other records")),
        ] {
            let refused = check(&[(action.to_owned(), set.clone())], present.clone()).err();
            let message = refused.map(|refusal| refusal.message).unwrap_or_default();
            assert!(
                message.contains(expected.unwrap_or_default()) == message.is_empty().eq(&expected.is_none()),
                "{action} {set:?}: {message}"
            );
        }
    }

    #[test]
    fn a_batch_is_read_with_its_aliases() {
        let body = "<ChangeResourceRecordSetsRequest><ChangeBatch><Changes><Change><Action>CREATE</Action>\
            <ResourceRecordSet><Name>App.example.com.</Name><Type>A</Type><AliasTarget><HostedZoneId>Z2</HostedZoneId>\
            <DNSName>x.elb.amazonaws.com.</DNSName><EvaluateTargetHealth>true</EvaluateTargetHealth></AliasTarget>\
            </ResourceRecordSet></Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>";
        let tree = Element::parse(body.as_bytes()).expect("a tree");
        let alias =
            RecordSet { ttl: String::new(), ..set("app.example.com", "A", "alias z2 x.elb.amazonaws.com true") };
        assert_eq!(changes(&tree), [("CREATE".to_owned(), alias)]);
    }
}
