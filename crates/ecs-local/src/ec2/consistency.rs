//! Eventual consistency: what is new is not found yet, and what is deleted is still listed.

use xmltree::Element;

use super::filter::Filters;
use super::kind::Kind;
use super::listing::{self, items, parse, render, value};
use super::refusal::Refusal;
use crate::answer::{Answer, text};
use crate::call::Request;
use crate::form::Form;
use crate::proxy::Proxy;

/// Lists of what belongs to something else: operation, list, and the member that says to what.
const OTHERS: &[(&str, &str, &str)] =
    &[("DescribeTags", "tagSet", "resourceId"), ("DescribeSecurityGroupRules", "securityGroupRuleSet", "groupId")];

/// Refuses a call that takes the id of something too new to be found.
///
/// # Errors
/// It does.
pub(super) fn visible(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    if proxy.newborn.is_empty() {
        return Ok(());
    }
    let named = request.form.iter().filter(|(key, _)| !key.starts_with("Filter.") && !key.starts_with("Tag"));
    let hidden = named.filter(|(_, id)| proxy.newborn.is_hidden(id));
    match hidden.filter_map(|(_, id)| Some((Kind::of(id)?, id))).next() {
        Some((kind, id)) => Err(kind.missing(&request.operation, id)),
        None => Ok(()),
    }
}

/// Remembers what a call has made.
pub(super) fn made(proxy: &Proxy, request: &Request, answer: &Answer) {
    let Some(kind) = Kind::made_by(&request.operation) else { return };
    if let Some(id) = text(&String::from_utf8_lossy(&answer.body), kind.id) {
        proxy.newborn.born(id);
    }
}

/// What a call is about to delete, as it is listed.
#[derive(Debug)]
pub(super) struct Dying {
    kind: &'static Kind,
    id: String,
    item: String,
}

/// Looks at what a call is about to delete, if it will still be listed.
///
/// NAT gateways and endpoints have states for that.
pub(super) async fn dying(proxy: &Proxy, request: &Request) -> Option<Dying> {
    if !proxy.newborn.is_on() {
        return None;
    }
    let kind = Kind::deleted_by(&request.operation)
        .filter(|kind| !["DescribeNatGateways", "DescribeVpcEndpoints"].contains(&kind.describe))?;
    let id = request.form_value(kind.parameter)?;
    let item = listing::find(proxy, &request.region, id).await?;
    Some(Dying { kind, id: id.to_owned(), item: render(&item) })
}

/// Remembers what a call has deleted.
pub(super) fn deleted(proxy: &Proxy, request: &Request, dying: Dying) {
    proxy.newborn.buried(&list(request, dying.kind), &dying.id, dying.item);
}

/// Answers a describe call that moto can answer, without what is new and with what is deleted.
pub(super) async fn describe(proxy: &Proxy, request: &Request) -> Answer {
    if proxy.newborn.is_empty() {
        return proxy.upstream.forward(request).await;
    }
    if let Some(&(_, set, member)) = OTHERS.iter().find(|(operation, ..)| *operation == request.operation) {
        let answer = proxy.upstream.forward(request).await;
        if !answer.status.is_success() {
            return answer;
        }
        let mut items = items(&String::from_utf8_lossy(&answer.body), set);
        items.retain(|item| !proxy.newborn.is_hidden(&value(item, member)));
        return listing::answer(request, set, &items);
    }
    let Some(kind) = Kind::listed_by(&request.operation) else { return proxy.upstream.forward(request).await };
    let ghosts = proxy.newborn.ghosts(&list(request, kind));
    let form = Form::of(request);
    let wanted = form.values(kind.parameter);
    let alive: Vec<&str> = wanted.iter().filter(|id| ghosts.iter().all(|(ghost, _)| ghost != *id)).copied().collect();
    let mut items = if wanted.is_empty() || !alive.is_empty() {
        let answer = proxy.upstream.forward(&asking_for(request, kind, &alive)).await;
        if !answer.status.is_success() {
            return answer;
        }
        listing::items(&String::from_utf8_lossy(&answer.body), kind.set)
    } else {
        Vec::new()
    };
    let filters = Filters::of(request);
    let ghosts = ghosts.iter().filter(|(id, _)| wanted.is_empty() || wanted.contains(&id.as_str()));
    items.extend(ghosts.filter_map(|(_, item)| parse(item)).filter(|item| filters.pass(kind, item)));
    items.retain(|item| !is_hidden(proxy, kind, item));
    listing::answer(request, kind.set, &items)
}

/// Answers a describe call from all items that there are, with filters of our own.
///
/// # Errors
/// An id is of none of them; a filter that the call does not have.
pub(super) fn select(proxy: &Proxy, request: &Request, mut items: Vec<Element>) -> Result<Answer, Refusal> {
    let Some(kind) = Kind::listed_by(&request.operation) else { return Ok(listing::answer(request, "item", &[])) };
    let filters = Filters::of(request);
    filters.check(request)?;
    items.extend(proxy.newborn.ghosts(&list(request, kind)).iter().filter_map(|(_, item)| parse(item)));
    items.retain(|item| !is_hidden(proxy, kind, item));
    let form = Form::of(request);
    let wanted = form.values(kind.parameter);
    if let Some(id) = wanted.iter().find(|id| items.iter().all(|item| value(item, kind.id) != **id)) {
        return Err(kind.missing(&request.operation, id));
    }
    items.retain(|item| wanted.is_empty() || wanted.contains(&value(item, kind.id).as_str()));
    items.retain(|item| filters.pass(kind, item));
    Ok(listing::answer(request, kind.set, &items))
}

/// Whether an item is too new, or came with a VPC that is: its main route table, its default group.
fn is_hidden(proxy: &Proxy, kind: &Kind, item: &Element) -> bool {
    [kind.id, "vpcId"].iter().any(|member| proxy.newborn.is_hidden(&value(item, member)))
}

/// The same describe call for fewer ids.
fn asking_for(request: &Request, kind: &Kind, ids: &[&str]) -> Request {
    let mut form: Vec<(String, String)> = request.form.clone();
    let list = format!("{}.", kind.parameter);
    form.retain(|(key, _)| !key.starts_with(&list));
    form.extend(ids.iter().enumerate().map(|(at, id)| (format!("{list}{}", at + 1), (*id).to_owned())));
    request.with_form(form)
}

/// What a list is called in the register of what is deleted.
fn list(request: &Request, kind: &Kind) -> String {
    format!("{} ec2 {}", request.region, kind.describe)
}
