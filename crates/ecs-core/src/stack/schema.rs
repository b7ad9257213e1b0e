//! The stack file's JSON Schema, and what of a value does not fit it, in plain words.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use ipnet::Ipv4Net;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::Stack;
use super::check::{Mistake, did_you_mean, list, one_of};
use super::pointer::{child, is_within, parent, segments};
use super::source::describe;

/// The format of [`Range`] in the schema.
const IPV4_RANGE: &str = "ipv4-range";

/// Stands for an `Ipv4Net` in the schema: `10.0.0.0/16`.
pub(super) struct Range;

impl JsonSchema for Range {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Range".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": IPV4_RANGE,
            "examples": ["10.0.0.0/16"],
        })
    }
}

/// Draft 7: editors know it best, and building its validator takes 2 ms less than that of 2020-12.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let settings = SchemaSettings::draft07().with_transform(RecursiveTransform(limits));
    let mut schema = settings.into_generator().into_root_schema_for::<Stack>();
    schema.insert("title".to_owned(), "ecs-pipe stack file".into());
    schema.to_value()
});

static VALIDATOR: LazyLock<Option<Validator>> = LazyLock::new(|| {
    jsonschema::draft7::options()
        .should_validate_formats(true)
        .with_format(IPV4_RANGE, |text: &str| text.parse::<Ipv4Net>().is_ok())
        .build(&SCHEMA)
        .ok()
});

/// Returns the JSON Schema of a stack file.
///
/// Editors do not know our format, so they get a pattern; here it would cost a regular expression at every start.
pub fn schema() -> Value {
    let mut schema = SCHEMA.clone();
    add_patterns(&mut schema);
    schema
}

/// Returns what of a value does not fit the schema.
pub(super) fn violations(value: &Value) -> Vec<Mistake> {
    let Some(validator) = VALIDATOR.as_ref() else {
        return vec![Mistake::value("", "the stack file's own schema is broken, which is a bug of this program")];
    };
    let mut found = Violations { root: value, mistakes: Vec::new(), missing: Vec::new(), meant: Vec::new() };
    for error in validator.iter_errors(value) {
        found.translate(&error);
    }
    found.finish()
}

/// Says whether the schema knows an entry of this name; names that a person chooses are not among them.
pub(super) fn is_known(place: &str) -> bool {
    let (Some(parent), Some(name)) = (parent(place), segments(place).last()) else { return true };
    known_keys(parent).contains(&name)
}

/// Returns the keys that a table can have; none where a person chooses them.
pub(super) fn known_keys(pointer: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for node in nodes(pointer) {
        if let Some(properties) = node.get("properties").and_then(Value::as_object) {
            keys.extend(properties.keys().cloned());
        }
    }
    keys
}

/// Adds the limits that a format stands for: schemars gives those of 8 and 16 bits only.
fn limits(schema: &mut Schema) {
    let (least, greatest) = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
        Some("uint32") => (0, i64::from(u32::MAX)),
        _ => return,
    };
    for (key, limit) in [("minimum", least), ("maximum", greatest)] {
        if schema.get(key).is_none() {
            schema.insert(key.to_owned(), limit.into());
        }
    }
}

fn add_patterns(node: &mut Value) {
    match node {
        Value::Object(map) => {
            if map.get("format").and_then(Value::as_str) == Some(IPV4_RANGE) {
                map.insert("pattern".to_owned(), r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$".into());
            }
            map.values_mut().for_each(add_patterns);
        }
        Value::Array(list) => list.iter_mut().for_each(add_patterns),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Turns the validator's errors into mistakes.
struct Violations<'a> {
    root: &'a Value,
    mistakes: Vec<Mistake>,
    /// Tables, and the keys that they need and have not
    missing: Vec<(String, String)>,
    /// Pointers to the keys that misspelt ones were meant to be
    meant: Vec<String>,
}

impl Violations<'_> {
    fn translate(&mut self, error: &ValidationError<'_>) {
        let place = error.instance_path().as_str().to_owned();
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "all other kinds say that the value is not what is expected"
        )]
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                unexpected.iter().for_each(|key| self.unknown_key(&place, key));
            }
            ValidationErrorKind::Required { property } => {
                self.missing.push((place, property.as_str().unwrap_or_default().to_owned()));
            }
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                // The branch that is meant is the one whose type fits: it is wrong further inside.
                let meant = |errors: &&Vec<ValidationError<'static>>| {
                    !errors.iter().any(|error| {
                        let wrong_kind = matches!(
                            error.kind(),
                            ValidationErrorKind::Type { .. } | ValidationErrorKind::Constant { .. }
                        );
                        wrong_kind && error.instance_path().as_str() == place
                    })
                };
                match context.iter().find(meant) {
                    Some(errors) => errors.iter().for_each(|error| self.translate(error)),
                    None => self.mistakes.push(unfit(self.root, place)),
                }
            }
            _ => self.mistakes.push(unfit(self.root, place)),
        }
    }

    fn unknown_key(&mut self, table: &str, key: &str) {
        let mut known = known_keys(table);
        known.sort_unstable();
        let mistake = Mistake::key(child(table, key), format!("unknown key `{key}`"));
        let Some(meant) = did_you_mean(key, known.iter().map(String::as_str)) else {
            self.mistakes.push(mistake.hint(format!("the keys here are {}", list(known, "and"))));
            return;
        };
        let mut mistake = mistake.hint(format!("did you mean `{meant}`?"));
        let meant = child(table, meant);
        // What was meant has only its default then: what would be wrong with that is not said.
        if self.root.pointer(&meant).is_none() {
            mistake.related.push(meant.clone());
            self.meant.push(meant);
        }
        self.mistakes.push(mistake);
    }

    fn finish(self) -> Vec<Mistake> {
        let Self { mut mistakes, missing, meant, .. } = self;
        for (table, key) in missing {
            // A key that is missing because it is misspelt is said once.
            if !meant.contains(&child(&table, &key)) {
                let name = segments(&table).last().unwrap_or_default();
                mistakes.push(Mistake::key(table, format!("`{name}` has no `{key}`, which it needs")));
            }
        }
        // A wrong value breaks several rules of its schema at once; one is enough.
        let mut seen = BTreeSet::new();
        mistakes.retain(|mistake| seen.insert((mistake.pointer.clone(), mistake.message.clone())));
        mistakes
    }
}

/// Says what was expected and what is there.
fn unfit(root: &Value, place: String) -> Mistake {
    let nodes = nodes(&place);
    let Some(value) = root.pointer(&place) else { return Mistake::value(place, "the value is missing") };
    let expected = nodes.iter().find_map(|node| limits_of(node, value)).unwrap_or_else(|| expectation(&nodes));
    // A parameter's value may be a secret, even where it is malformed.
    let private = is_within(&place, "/parameters") && value.is_string();
    let is = if private { "a string".to_owned() } else { describe(value) };
    let mistake = Mistake::value(&place, format!("expected {expected}, found {is}"));
    let types: Vec<&str> = nodes.iter().flat_map(|node| types(node)).collect();
    match value {
        // A word of a list is no number.
        Value::Number(_) | Value::Bool(_) if nodes.iter().any(|node| !constants(node).is_empty()) => mistake,
        Value::Number(number) if types.contains(&"string") => mistake.hint(format!("write \"{number}\"")),
        Value::Bool(flag) if types.contains(&"string") => mistake.hint(format!("write \"{flag}\"")),
        Value::String(text) if types.contains(&"integer") && text.trim().parse::<i64>().is_ok() => {
            mistake.hint(format!("write {} without the quotes", text.trim()))
        }
        Value::String(text) if types.contains(&"boolean") && (text == "true" || text == "false") => {
            mistake.hint(format!("write {text} without the quotes"))
        }
        Value::String(text) if types.contains(&"array") && !private => mistake.hint(format!("write [{text:?}]")),
        Value::String(text) => {
            let words: Vec<String> = nodes.iter().flat_map(|node| constants(node)).collect();
            match did_you_mean(text, words.iter().map(String::as_str)) {
                Some(meant) => mistake.hint(format!("did you mean `{meant}`?")),
                None if nodes.iter().any(|node| is_range(node)) && !text.contains('/') => {
                    mistake.hint("the length is missing: `/16`, say")
                }
                None => mistake,
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => mistake,
    }
}

/// Returns the limits that a number broke, in words; none if it is not of the right kind.
fn limits_of(node: &Value, value: &Value) -> Option<String> {
    if types(node).contains(&"number") {
        let limit = |key: &str| node.get(key).and_then(Value::as_f64);
        let (number, least, greatest) = (value.as_f64()?, limit("minimum")?, limit("maximum")?);
        return (!(least..=greatest).contains(&number)).then(|| format!("a number from {least} to {greatest}"));
    }
    let number = value.as_i64()?;
    let limit = |key: &str| node.get(key).and_then(Value::as_i64);
    let (least, greatest) = (limit("minimum")?, limit("maximum")?);
    // Nobody wants to read 2147483647, unless it is what was exceeded.
    let natural = greatest >= i64::from(i32::MAX);
    if natural && number < least {
        return Some(format!("a whole number of {least} or more"));
    }
    if natural && least <= i64::from(i32::MIN) {
        return Some(format!("a whole number up to {greatest}"));
    }
    (!(least..=greatest).contains(&number)).then(|| format!("a whole number from {least} to {greatest}"))
}

/// Says in words what is expected by any of several nodes of the schema.
fn expectation(nodes: &[&Value]) -> String {
    let words: Vec<String> = nodes.iter().flat_map(|node| constants(node)).collect();
    if !words.is_empty() {
        return one_of(words);
    }
    let mut kinds: Vec<&str> = Vec::new();
    for node in nodes {
        for kind in types(node) {
            let kind = match kind {
                "string" if is_range(node) => "an IPv4 range such as 10.0.0.0/16",
                "string" => "a string",
                "integer" => "a whole number",
                "number" => "a number",
                "boolean" => "true or false",
                "array" => "a list",
                "object" => "a table",
                _ => continue,
            };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    if kinds.is_empty() { "something else".to_owned() } else { kinds.join(" or ") }
}

/// Returns the types that a node of the schema takes; null is none of them, since a merge leaves none.
fn types(node: &Value) -> Vec<&str> {
    match node.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
        kind => kind.and_then(Value::as_str).into_iter().filter(|kind| *kind != "null").collect(),
    }
}

fn is_range(node: &Value) -> bool {
    node.get("format").and_then(Value::as_str) == Some(IPV4_RANGE)
}

/// Returns the texts that a node of the schema takes, if it lists them.
fn constants(node: &Value) -> Vec<String> {
    let one = node.get("const").into_iter();
    let several = node.get("enum").and_then(Value::as_array).into_iter().flatten();
    one.chain(several).filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Returns the nodes of the schema that a place in a stack file must fit, without references and alternatives.
fn nodes(place: &str) -> Vec<&'static Value> {
    let mut nodes = alternatives(&SCHEMA);
    for segment in segments(place) {
        nodes = nodes
            .into_iter()
            .filter_map(|node| {
                let property = node.get("properties").and_then(|properties| properties.get(&segment));
                property.or_else(|| node.get("additionalProperties")).or_else(|| node.get("items"))
            })
            .flat_map(alternatives)
            .collect();
    }
    nodes
}

/// Follows a node's reference, and takes apart what it leaves the choice of; a type that may be null is itself.
fn alternatives(node: &'static Value) -> Vec<&'static Value> {
    if let Some(target) =
        node.get("$ref").and_then(Value::as_str).and_then(|name| SCHEMA.pointer(name.trim_start_matches('#')))
    {
        return alternatives(target);
    }
    // schemars wraps a reference that has a description in an `allOf` of one.
    match ["anyOf", "oneOf", "allOf"].iter().find_map(|key| node.get(key)).and_then(Value::as_array) {
        Some(branches) => branches.iter().flat_map(alternatives).collect(),
        None => vec![node],
    }
}

#[cfg(test)]
mod tests {
    use super::super::pointer::pointer;
    use super::*;

    #[test]
    fn the_schema_is_a_schema_and_takes_the_defaults() {
        let schema = schema();
        assert!(jsonschema::draft7::meta::is_valid(&schema));
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        assert_eq!(schema["title"], "ecs-pipe stack file");
        let value = serde_json::to_value(Stack::default()).unwrap();
        assert_eq!(violations(&value), []);
    }

    #[test]
    fn names_that_a_person_chooses_are_not_known() {
        assert!(is_known(&pointer(&["db", "port"])));
        assert!(is_known(&pointer(&["services", "x", "autoscaling", "min"])));
        assert!(!is_known(&pointer(&["services", "x"])));
        assert!(!is_known(&pointer(&["db", "prot"])));
    }
}
