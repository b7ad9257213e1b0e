//! XML answers of moto, read and changed as trees.

use xmltree::{Element, XMLNode};

use crate::answer::Answer;

/// An answer as a tree, unless it is a refusal.
pub(crate) fn read(answer: &Answer) -> Option<Element> {
    if answer.status.is_success() { Element::parse(&answer.body[..]).ok() } else { None }
}

/// The answer with another body.
pub(crate) fn with_body(mut answer: Answer, tree: &Element) -> Answer {
    let mut body = Vec::new();
    // Writing to a Vec cannot fail, and what was read can be written.
    if tree.write(&mut body).is_ok() {
        answer.body = body.into();
    }
    answer
}

/// The answer with every element of this name changed, wherever it stands.
pub(crate) fn change_each(answer: Answer, name: &str, mut change: impl FnMut(&mut Element)) -> Answer {
    let Some(mut tree) = read(&answer) else { return answer };
    each(&mut tree, name, &mut change);
    with_body(answer, &tree)
}

/// The text of an element's child.
pub(crate) fn text(element: &Element, name: &str) -> Option<String> {
    element.get_child(name)?.get_text().map(std::borrow::Cow::into_owned)
}

/// Gives an element's child another text; it is made where there is none.
pub(crate) fn set_text(element: &mut Element, name: &str, text: &str) {
    let text = vec![XMLNode::Text(text.to_owned())];
    if let Some(child) = element.get_mut_child(name) {
        child.children = text;
        return;
    }
    let mut child = Element::new(name);
    child.namespace.clone_from(&element.namespace);
    child.children = text;
    element.children.push(XMLNode::Element(child));
}

fn each(element: &mut Element, name: &str, change: &mut impl FnMut(&mut Element)) {
    for node in &mut element.children {
        let Some(child) = node.as_mut_element() else { continue };
        if child.name == name {
            change(child);
        } else {
            each(child, name, change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_changed_or_made() {
        let answer = Answer::query("DescribeThings", "urn:x", "<Thing><Id>1</Id><State>old</State></Thing>");
        let answer = change_each(answer, "Thing", |thing| {
            set_text(thing, "State", "<new>");
            set_text(thing, "Reason", "why");
        });
        let body = String::from_utf8_lossy(&answer.body);
        assert!(body.contains("<Thing><Id>1</Id><State>&lt;new&gt;</State><Reason>why</Reason></Thing>"), "{body}");
    }
}
