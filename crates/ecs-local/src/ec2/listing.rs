//! The lists in EC2's answers, item by item. EC2's XML has elements and text, and no attributes.

use xmltree::{Element, XMLNode};

use super::kind::Kind;
use crate::answer::{Answer, escape};
use crate::call::Request;
use crate::proxy::Proxy;

/// EC2's API version.
pub(super) const VERSION: &str = "2016-11-15";

/// Asks moto.
pub(super) async fn ask(proxy: &Proxy, region: &str, form: &[(&str, &str)]) -> String {
    proxy.upstream.query("ec2", region, VERSION, form).await.ok().unwrap_or_default()
}

/// What moto has of a kind, with a value for a filter each.
pub(super) async fn list(proxy: &Proxy, region: &str, kind: &Kind, filters: &[(&str, &str)]) -> Vec<Element> {
    let names: Vec<_> =
        (1..=filters.len()).map(|index| (format!("Filter.{index}.Name"), format!("Filter.{index}.Value.1"))).collect();
    let mut form = vec![("Action", kind.describe)];
    for ((name, value), (filter, wanted)) in names.iter().zip(filters) {
        form.extend([(name.as_str(), *filter), (value.as_str(), *wanted)]);
    }
    items(&ask(proxy, region, &form).await, kind.set)
}

/// The one with an id, if moto has it.
pub(super) async fn find(proxy: &Proxy, region: &str, id: &str) -> Option<Element> {
    let kind = Kind::of(id)?;
    let parameter = format!("{}.1", kind.parameter);
    let xml = ask(proxy, region, &[("Action", kind.describe), (&parameter, id)]).await;
    items(&xml, kind.set).into_iter().next()
}

/// The items of a list in an answer; none where it is no such answer.
pub(super) fn items(xml: &str, set: &str) -> Vec<Element> {
    let Ok(mut answer) = Element::parse(xml.as_bytes()) else { return Vec::new() };
    let Some(list) = answer.take_child(set) else { return Vec::new() };
    elements(list).filter(|item| item.name == "item").collect()
}

/// An item that was rendered.
pub(super) fn parse(xml: &str) -> Option<Element> {
    Element::parse(xml.as_bytes()).ok()
}

/// The texts at the end of a path of element names: "groupSet/item/groupId".
pub(super) fn values(element: &Element, path: &str) -> Vec<String> {
    let mut found = vec![element];
    for name in path.split('/') {
        found = found
            .into_iter()
            .flat_map(|element| element.children.iter().filter_map(XMLNode::as_element))
            .filter(|child| child.name == name)
            .collect();
    }
    found.into_iter().map(|element| element.get_text().unwrap_or_default().into_owned()).collect()
}

/// The first of the texts at the end of a path; empty where there is none.
pub(super) fn value(element: &Element, path: &str) -> String {
    values(element, path).into_iter().next().unwrap_or_default()
}

/// Gives a child a text; it is made where there is none.
pub(super) fn set(element: &mut Element, name: &str, text: &str) {
    let mut child = Element::new(name);
    child.children.push(XMLNode::Text(text.to_owned()));
    replace(element, child);
}

/// Puts a child in the place of the one with its name, or at the end.
pub(super) fn replace(element: &mut Element, child: Element) {
    let place = element.children.iter().position(|node| node.as_element().is_some_and(|old| old.name == child.name));
    match place {
        Some(place) => element.children[place] = XMLNode::Element(child),
        None => element.children.push(XMLNode::Element(child)),
    }
}

/// An element with text children.
pub(super) fn structure(name: &str, members: &[(&str, &str)]) -> Element {
    let mut made = Element::new(name);
    for (name, text) in members {
        set(&mut made, name, text);
    }
    made
}

/// A list of such elements.
pub(super) fn set_of(name: &str, items: impl IntoIterator<Item = Element>) -> Element {
    let mut made = Element::new(name);
    made.children = items.into_iter().map(XMLNode::Element).collect();
    made
}

/// An answer with a list in it.
pub(super) fn answer(request: &Request, set: &str, items: &[Element]) -> Answer {
    let inner: String = items.iter().map(render).collect();
    Answer::ec2(&request.operation, &format!("<{set}>{inner}</{set}>"))
}

/// An element as text.
pub(super) fn render(element: &Element) -> String {
    let mut inner = String::new();
    for node in &element.children {
        match node {
            XMLNode::Element(child) => inner.push_str(&render(child)),
            XMLNode::Text(text) | XMLNode::CData(text) => inner.push_str(&escape(text)),
            XMLNode::Comment(_) | XMLNode::ProcessingInstruction(..) => {}
        }
    }
    format!("<{0}>{inner}</{0}>", element.name)
}

fn elements(element: Element) -> impl Iterator<Item = Element> {
    element.children.into_iter().filter_map(|node| match node {
        XMLNode::Element(child) => Some(child),
        XMLNode::Comment(_) | XMLNode::CData(_) | XMLNode::Text(_) | XMLNode::ProcessingInstruction(..) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><R xmlns=\"http://ec2/\"><vpcSet><item><vpcId>vpc-1</vpcId>\
                          <tagSet><item><key>a&amp;b</key><value/></item></tagSet></item></vpcSet></R>";

    #[test]
    fn an_item_is_read_changed_and_written() {
        let mut items = items(ANSWER, "vpcSet");
        assert_eq!(items.len(), 1);
        assert_eq!(value(&items[0], "tagSet/item/key"), "a&b");
        assert_eq!(value(&items[0], "no/such/thing"), "");
        set(&mut items[0], "vpcId", "vpc-2");
        set(&mut items[0], "state", "pending");
        assert_eq!(
            render(&items[0]),
            "<item><vpcId>vpc-2</vpcId><tagSet><item><key>a&amp;b</key><value></value></item></tagSet>\
             <state>pending</state></item>"
        );
        assert_eq!(parse(&render(&items[0])).map(|item| value(&item, "state")).as_deref(), Some("pending"));
    }

    #[test]
    fn no_answer_has_no_items() {
        assert!(items("", "vpcSet").is_empty() && items(ANSWER, "subnetSet").is_empty());
    }
}
