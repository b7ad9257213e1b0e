//! The members of a request, whatever its protocol, as one JSON value.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::shapes::{Kind, Model, Shape};
use crate::call::{Protocol, Request};

/// A request's members, and how their scalars are written.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) value: Value,
    /// Every scalar is text, as a form has it.
    pub(super) text: bool,
}

/// Reads a call's members; `None`: the body is not in the protocol's format.
pub(super) fn read(request: &Request, model: &Model, input: &Shape) -> Option<Members> {
    let empty = || Value::Object(Map::new());
    match request.protocol {
        Protocol::Json if request.body.trim_ascii().is_empty() => Some(Members { value: empty(), text: false }),
        Protocol::Json => serde_json::from_slice(&request.body).ok().map(|value: Value| Members { value, text: false }),
        Protocol::Cbor if request.body.is_empty() => Some(Members { value: empty(), text: false }),
        Protocol::Cbor => {
            let value: ciborium::Value = ciborium::from_reader(&request.body[..]).ok()?;
            Some(Members { value: from_cbor(value), text: false })
        }
        Protocol::Ec2Query | Protocol::Query => {
            let value = Node::of(&request.form).structure(model, input);
            Some(Members { value, text: true })
        }
        Protocol::RestXml | Protocol::Rest => Some(Members { value: empty(), text: false }),
    }
}

/// CBOR as JSON: a tagged time is its number, bytes are a text of their length.
fn from_cbor(value: ciborium::Value) -> Value {
    match value {
        ciborium::Value::Integer(number) => i64::try_from(number).map_or(Value::Null, Value::from),
        ciborium::Value::Float(number) => Value::from(number),
        ciborium::Value::Bool(value) => Value::Bool(value),
        ciborium::Value::Text(text) => Value::String(text),
        ciborium::Value::Bytes(bytes) => Value::String("?".repeat(bytes.len())),
        ciborium::Value::Tag(_, value) => from_cbor(*value),
        ciborium::Value::Array(values) => Value::Array(values.into_iter().map(from_cbor).collect()),
        ciborium::Value::Map(entries) => {
            let named = entries.into_iter().filter_map(|(key, value)| Some((key.into_text().ok()?, from_cbor(value))));
            Value::Object(named.collect())
        }
        ciborium::Value::Null => Value::Null,
        // What the format may bring later.
        _ => Value::Null,
    }
}

/// A form as a tree: "Filter.1.Name" is "Name" in "1" in "Filter".
#[derive(Debug, Default)]
struct Node<'a> {
    value: Option<&'a str>,
    children: BTreeMap<&'a str, Node<'a>>,
}

impl<'a> Node<'a> {
    fn of(form: &'a [(String, String)]) -> Node<'a> {
        let mut root = Node::default();
        for (key, value) in form {
            let leaf = key.split('.').fold(&mut root, |node, part| node.children.entry(part).or_default());
            leaf.value = Some(value);
        }
        root
    }

    fn read(&self, model: &Model, name: &str) -> Value {
        let Some(shape) = model.shape(name) else { return Value::Null };
        match shape.kind {
            Kind::Structure => self.structure(model, shape),
            Kind::List => self.list(model, shape),
            Kind::Map => self.map(model, shape),
            Kind::String
            | Kind::Blob
            | Kind::Timestamp
            | Kind::Boolean
            | Kind::Integer
            | Kind::Long
            | Kind::Float
            | Kind::Double => self.value.map_or(Value::Null, Value::from),
        }
    }

    fn structure(&self, model: &Model, shape: &Shape) -> Value {
        let given = shape.members.iter().filter_map(|member| {
            let value = self.children.get(member.wire())?.read(model, &member.shape);
            Some((member.name.clone(), value))
        });
        Value::Object(given.collect())
    }

    fn list(&self, model: &Model, shape: &Shape) -> Value {
        let Some(element) = &shape.element else { return Value::Null };
        if self.children.is_empty() {
            // `Names=` is how a form says that a list is there and empty; any other value is not read.
            return if self.value == Some("") { Value::Array(Vec::new()) } else { Value::Null };
        }
        Value::Array(self.numbered().into_iter().map(|node| node.read(model, element)).collect())
    }

    fn map(&self, model: &Model, shape: &Shape) -> Value {
        let Some(value) = &shape.value else { return Value::Null };
        let named = self.numbered().into_iter().filter_map(|entry| {
            let key = entry.children.get("key")?.value?;
            Some((key.to_owned(), entry.children.get("value").map_or(Value::Null, |node| node.read(model, value))))
        });
        Value::Object(named.collect())
    }

    /// The members of a list in order, whether they are called `.N`, `.member.N`, `.entry.N`, or `.Thing.N` as in RDS.
    fn numbered(&self) -> Vec<&Node<'a>> {
        let inner = self.children.values().filter(|node| node.value.is_none()).flat_map(|node| node.children.iter());
        let own = || self.children.iter().filter_map(|(index, node)| Some((index.parse::<u32>().ok()?, node)));
        let mut numbered: Vec<(u32, &Node<'a>)> = own().collect();
        if numbered.is_empty() {
            numbered = inner.filter_map(|(index, node)| Some((index.parse().ok()?, node))).collect();
        }
        numbered.sort_by_key(|(index, _)| *index);
        numbered.into_iter().map(|(_, node)| node).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn form(service: &str, operation: &str, form: &[(&str, &str)]) -> Value {
        let form: Vec<_> = form.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let model = Model::of(service).expect("a model");
        Node::of(&form).structure(model, model.input(operation).expect("an operation"))
    }

    #[test]
    fn form_of_ec2_has_names_of_its_own() {
        let given = [
            ("VpcId", "vpc-1"),
            ("TagSpecification.1.ResourceType", "subnet"),
            ("TagSpecification.1.Tag.1.Key", "Name"),
            ("TagSpecification.1.Tag.1.Value", "a"),
        ];
        let tag = json!({"ResourceType": "subnet", "Tags": [{"Key": "Name", "Value": "a"}]});
        assert_eq!(form("ec2", "CreateSubnet", &given), json!({"TagSpecifications": [tag], "VpcId": "vpc-1"}));
    }

    #[test]
    fn lists_of_a_form_are_in_the_order_of_their_numbers() {
        let given = [("Names.member.10", "c"), ("Names.member.2", "b"), ("Names.member.1", "a"), ("PageSize", "5")];
        let read = form("elasticloadbalancing", "DescribeLoadBalancers", &given);
        assert_eq!(read, json!({"Names": ["a", "b", "c"], "PageSize": "5"}));
        let given = [("DBSubnetGroupName", "g"), ("SubnetIds.SubnetIdentifier.1", "subnet-1")];
        let read = form("rds", "CreateDBSubnetGroup", &given);
        assert_eq!(read, json!({"DBSubnetGroupName": "g", "SubnetIds": ["subnet-1"]}));
        let read = form("rds", "CreateDBSubnetGroup", &[("SubnetIds", "")]);
        assert_eq!(read, json!({"SubnetIds": []}));
    }

    #[test]
    fn cbor_is_read_with_its_times() {
        let mut body = Vec::new();
        let time = ciborium::Value::Tag(1, Box::new(ciborium::Value::Float(1.5)));
        let map = ciborium::Value::Map(vec![("StartTime".into(), time), ("Period".into(), 60.into())]);
        ciborium::into_writer(&map, &mut body).expect("CBOR");
        let value: ciborium::Value = ciborium::from_reader(&body[..]).expect("CBOR");
        assert_eq!(from_cbor(value), json!({"StartTime": 1.5, "Period": 60}));
    }
}
