//! Policy documents in a form that can be compared.

use std::collections::{BTreeMap, BTreeSet};

use ecs_core::{Change, percent};
use serde_json::{Map, Value};

/// What a policy document says, however it is spelt: a line for each action on each resource.
///
/// The order of statements, actions and resources, one string or an array of one, how statements are grouped, and their
/// `Sid`s make no difference. Nor does `Version`: it decides about policy variables, and we use none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants(BTreeSet<String>);

impl Grants {
    /// Reads a document.
    pub fn of(document: &Value) -> Self {
        Self(strings(document.get("Statement")).iter().flat_map(lines).collect())
    }

    /// Reads a document as IAM returns it: JSON, percent-encoded as RFC 3986 has it.
    ///
    /// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html>
    pub fn read(text: &str) -> Self {
        let document = read(text);
        // What is no document is equal to nothing that we write, so it is replaced.
        if document.is_null() { Self(BTreeSet::from([percent::decode(text)])) } else { Self::of(&document) }
    }

    /// Compares with what is wanted: a change for each line that is too much or missing.
    pub fn changes(&self, field: &'static str, wanted: &Self) -> Vec<Change> {
        let extra = self.0.difference(&wanted.0).map(|line| Change::update(field, line, ""));
        let missing = wanted.0.difference(&self.0).map(|line| Change::update(field, "", line));
        extra.chain(missing).collect()
    }
}

/// Reads a document as IAM returns it; null for what is none.
pub fn read(text: &str) -> Value {
    serde_json::from_str(&percent::decode(text)).unwrap_or_default()
}

/// Counts the characters of a document as IAM's quotas do: white space is none.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html#reference_iam-quotas-entity-length>
pub fn length(document: &Value) -> usize {
    document.to_string().chars().filter(|character| !character.is_whitespace()).count()
}

/// Splits a statement into lines.
///
/// `NotAction` and `NotResource` are left whole: their parts together mean something else than each alone.
fn lines(statement: &Value) -> Vec<String> {
    let text = |key: &str| statement.get(key).map(|value| text_of(&canonical(value)));
    let listed = |key: &str| strings(statement.get(key)).iter().map(text_of).collect::<Vec<_>>();
    let either = |listed: Vec<String>, not: Option<String>| match not {
        Some(not) => vec![format!("all but {not}")],
        None => listed,
    };
    let resources = either(listed("Resource"), text("NotResource"));
    let resources = if resources.is_empty() { vec![String::new()] } else { resources };
    let mut tail = String::new();
    for (word, key) in [("by", "Principal"), ("by all but", "NotPrincipal"), ("if", "Condition")] {
        if let Some(value) = text(key) {
            tail.push_str(&format!(" {word} {value}"));
        }
    }
    let effect = text("Effect").unwrap_or_default();
    let actions = either(listed("Action"), text("NotAction"));
    let line = |action: &String, resource: &String| match resource.as_str() {
        "" => format!("{effect} {action}{tail}"),
        resource => format!("{effect} {action} on {resource}{tail}"),
    };
    actions.iter().flat_map(|action| resources.iter().map(move |resource| line(action, resource))).collect()
}

/// Returns the parts of a value that may be one or an array.
pub fn strings(value: Option<&Value>) -> Vec<Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(values)) => values.clone(),
        Some(one) => vec![one.clone()],
    }
}

/// Sorts keys and arrays, unwraps arrays of one, and writes every scalar as a string, as IAM takes them.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().map(|(key, value)| (key.clone(), canonical(value))).collect();
            Value::Object(Map::from_iter(sorted))
        }
        Value::Array(values) => {
            let sorted: BTreeMap<_, _> = values.iter().map(canonical).map(|value| (value.to_string(), value)).collect();
            let mut values: Vec<Value> = sorted.into_values().collect();
            if values.len() == 1 { values.remove(0) } else { Value::Array(values) }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Value::String(text_of(value)),
    }
}

/// Writes a string bare, and anything else as JSON.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spelling_makes_no_difference() {
        let grants = Grants::of(&json!({
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": ["a:One", "a:Two"], "Resource": ["r1", "r2"]},
                {"Effect": "Allow", "Action": "k:Decrypt", "Resource": "*",
                 "Condition": {"StringEquals": {"kms:ViaService": ["x", "y"]}, "Bool": {"b": "true"}}}
            ]
        }));
        let same = [
            // Order, one string for an array of one, a statement without an array, a Sid, the older version.
            json!({
                "Version": "2008-10-17",
                "Statement": [
                    {"Effect": "Allow", "Action": ["k:Decrypt"], "Resource": ["*"],
                     "Condition": {"Bool": {"b": [true]}, "StringEquals": {"kms:ViaService": ["y", "x"]}}},
                    {"Sid": "S", "Resource": ["r2", "r1"], "Action": ["a:Two", "a:One"], "Effect": "Allow"}
                ]
            }),
            // Another grouping.
            json!({"Statement": [
                {"Effect": "Allow", "Action": "a:One", "Resource": ["r1", "r2"]},
                {"Effect": "Allow", "Action": "a:Two", "Resource": ["r1", "r2"]},
                {"Effect": "Allow", "Action": "k:Decrypt", "Resource": "*",
                 "Condition": {"StringEquals": {"kms:ViaService": ["x", "y"]}, "Bool": {"b": "true"}}}
            ]}),
        ];
        for document in same {
            assert_eq!(Grants::of(&document), grants, "{document}");
        }
    }

    #[test]
    fn meaning_makes_a_difference() {
        let one = |statement: Value| Grants::of(&json!({ "Statement": statement }));
        let base = json!({"Effect": "Allow", "Action": "a:One", "Resource": "r"});
        let others = [
            json!({"Effect": "Deny", "Action": "a:One", "Resource": "r"}),
            json!({"Effect": "Allow", "NotAction": "a:One", "Resource": "r"}),
            json!({"Effect": "Allow", "Action": "a:One", "NotResource": "r"}),
            json!({"Effect": "Allow", "Action": "a:One", "Resource": "r", "Condition": {"Bool": {"b": "true"}}}),
            json!({"Effect": "Allow", "Action": "a:One", "Resource": "r", "Principal": "*"}),
            json!([base, {"Effect": "Allow", "Action": "a:Two", "Resource": "r"}]),
        ];
        for other in others {
            assert_ne!(one(other.clone()), one(base.clone()), "{other}");
        }
        let whole = one(json!({"Effect": "Allow", "NotAction": ["a:One", "a:Two"], "Resource": "*"}));
        assert_eq!(whole.0.len(), 1, "parts of NotAction mean something else than the whole");
    }

    #[test]
    fn what_iam_returns_is_percent_encoded() {
        let plain = r#"{"Statement":[{"Effect":"Allow","Action":"a:One","Resource":"arn:x/é+%"}]}"#;
        let cases = [
            plain.to_owned(),
            plain
                .replace('%', "%25")
                .replace('{', "%7B")
                .replace('"', "%22")
                .replace('é', "%C3%A9")
                .replace('+', "%2B"),
        ];
        for text in cases {
            assert_eq!(Grants::read(&text), Grants(BTreeSet::from(["Allow a:One on arn:x/é+%".to_owned()])), "{text}");
        }
        assert_ne!(Grants::read("no document"), Grants::default());
    }

    #[test]
    fn changes_name_what_is_too_much_and_what_is_missing() {
        let document = |resources: &[&str]| {
            Grants::of(&json!({"Statement": {"Effect": "Allow", "Action": "a:One", "Resource": resources}}))
        };
        let changes = document(&["r1", "r2"]).changes("inline policy", &document(&["r2", "r3"]));
        let text: Vec<_> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["inline policy: remove Allow a:One on r1", "inline policy: add Allow a:One on r3"]);
    }
}
