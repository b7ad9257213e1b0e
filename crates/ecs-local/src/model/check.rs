//! Holds a request's members against the shape of its operation's input.

use serde_json::{Number, Value};

use super::shapes::{Kind, Model, Shape};

/// What stands instead of a value that must not be shown.
const HIDDEN: &str = "***";

/// Everything that is wrong with a request.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) mistyped: Vec<Mistyped>,
    pub(super) violations: Vec<Violation>,
}

/// A value that is not of its type.
#[derive(Debug)]
pub(super) struct Mistyped {
    pub(super) place: Place,
    pub(super) kind: Kind,
    pub(super) value: Value,
    /// The value as it may be shown.
    pub(super) shown: String,
}

/// A value that is of its type, but not allowed.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) place: Place,
    /// The value as it may be shown; `None`: there is none.
    pub(super) shown: Option<String>,
    pub(super) constraint: Constraint,
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Constraint {
    NotNull,
    LongerThan(Number),
    ShorterThan(Number),
    MoreThan(Number),
    LessThan(Number),
    Pattern(String),
    OneOf(Vec<String>),
    /// Of a list of scalars: what each element must be.
    Elements(Vec<Constraint>),
    /// Of a map: what each key must be.
    Keys(Vec<Constraint>),
    /// Of a map of scalars: what each value must be.
    Values(Vec<Constraint>),
}

/// Where a value stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// As most services write it: "tags.1.member.key".
    pub(super) path: String,
    /// As a form has it: "Filter.1.Name".
    pub(super) wire: String,
    /// The last member's name in the model.
    pub(super) member: String,
}

impl Place {
    fn member(&self, name: &str, wire: &str) -> Place {
        // IAM says 'roleName' of RoleName, RDS 'dBInstanceIdentifier' of DBInstanceIdentifier.
        let mut letters = name.chars();
        let lower: String = letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect();
        Place { path: join(&self.path, &lower), wire: join(&self.wire, wire), member: name.to_owned() }
    }

    fn element(&self, index: usize) -> Place {
        let path = join(&self.path, &format!("{index}.member"));
        Place { path, wire: join(&self.wire, &index.to_string()), member: self.member.clone() }
    }

    fn value(&self, key: &str) -> Place {
        let path = join(&self.path, &format!("{key}.member"));
        Place { path, wire: join(&self.wire, key), member: self.member.clone() }
    }
}

fn join(path: &str, part: &str) -> String {
    if path.is_empty() { part.to_owned() } else { format!("{path}.{part}") }
}

/// Checks a request's members. Members that the shape does not know are passed over, as the services do.
pub(super) fn check(model: &Model, input: &Shape, members: &Value, text: bool) -> Findings {
    let mut checker = Checker { model, text, findings: Findings::default() };
    checker.value(input, members, &Place::default());
    checker.findings
}

#[derive(Debug)]
struct Checker<'a> {
    model: &'a Model,
    /// Scalars are written as text.
    text: bool,
    findings: Findings,
}

impl Checker<'_> {
    fn value(&mut self, shape: &Shape, value: &Value, place: &Place) {
        if shape.document {
            return;
        }
        if !self.is_of(shape.kind, value) {
            let shown = self.show(shape, value);
            let (place, value) = (place.clone(), value.clone());
            self.findings.mistyped.push(Mistyped { place, kind: shape.kind, value, shown });
            return;
        }
        for constraint in broken(shape, value) {
            self.violation(place, Some(self.show(shape, value)), constraint);
        }
        match value {
            Value::Object(members) if shape.kind == Kind::Map => self.entries(shape, value, members, place),
            Value::Object(members) => self.members(shape, members, place),
            Value::Array(elements) => self.elements(shape, value, elements, place),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn members(&mut self, shape: &Shape, members: &serde_json::Map<String, Value>, place: &Place) {
        for member in &shape.members {
            let Some(of) = self.model.shape(&member.shape) else { continue };
            let place = place.member(&member.name, member.wire());
            match members.get(&member.name) {
                None | Some(Value::Null) => {
                    if shape.required.contains(&member.name) {
                        self.violation(&place, None, Constraint::NotNull);
                    }
                }
                Some(value) => self.value(of, value, &place),
            }
        }
    }

    fn elements(&mut self, shape: &Shape, list: &Value, elements: &[Value], place: &Place) {
        let Some(of) = shape.element.as_ref().and_then(|name| self.model.shape(name)) else { return };
        let sound = elements.iter().all(|element| self.is_of(of.kind, element));
        if of.kind.is_scalar() && sound {
            if elements.iter().any(|element| !broken(of, element).is_empty()) {
                self.violation(place, Some(self.show(shape, list)), Constraint::Elements(constraints(of)));
            }
            return;
        }
        for (index, element) in (1..).zip(elements) {
            self.value(of, element, &place.element(index));
        }
    }

    fn entries(&mut self, shape: &Shape, map: &Value, entries: &serde_json::Map<String, Value>, place: &Place) {
        let part = |name: &Option<String>| name.as_ref().and_then(|name| self.model.shape(name));
        let (Some(key), Some(of)) = (part(&shape.key), part(&shape.value)) else { return };
        if entries.keys().any(|name| !broken(key, &Value::from(name.as_str())).is_empty()) {
            self.violation(place, Some(self.show(shape, map)), Constraint::Keys(constraints(key)));
        }
        let sound = entries.values().all(|value| self.is_of(of.kind, value));
        if of.kind.is_scalar() && sound {
            if entries.values().any(|value| !broken(of, value).is_empty()) {
                self.violation(place, Some(self.show(shape, map)), Constraint::Values(constraints(of)));
            }
            return;
        }
        for (name, value) in entries {
            self.value(of, value, &place.value(name));
        }
    }

    fn violation(&mut self, place: &Place, shown: Option<String>, constraint: Constraint) {
        self.findings.violations.push(Violation { place: place.clone(), shown, constraint });
    }

    /// Whether a value is of a type. A number may have a fraction where the model has none: it is cut off.
    fn is_of(&self, kind: Kind, value: &Value) -> bool {
        match (kind, value) {
            (Kind::String | Kind::Blob, Value::String(_))
            | (Kind::List, Value::Array(_))
            | (Kind::Map | Kind::Structure, Value::Object(_)) => true,
            (Kind::Integer | Kind::Long, Value::String(text)) if self.text => text.parse::<i64>().is_ok(),
            (Kind::Float | Kind::Double, Value::String(text)) if self.text => text.parse::<f64>().is_ok(),
            (Kind::Boolean, Value::String(text)) if self.text => {
                text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
            }
            // A form has ISO 8601, and only that; JSON and CBOR have seconds since the epoch, and ISO 8601 is let pass.
            (Kind::Timestamp, Value::String(text)) => is_time(text),
            (Kind::Integer | Kind::Long | Kind::Float | Kind::Double | Kind::Timestamp, Value::Number(_))
            | (Kind::Boolean, Value::Bool(_)) => true,
            _ => false,
        }
    }

    /// A value as a service's message shows it: lists in brackets, maps and structures in braces.
    fn show(&self, shape: &Shape, value: &Value) -> String {
        if shape.sensitive {
            return HIDDEN.to_owned();
        }
        let part = |name: &Option<String>, value: &Value| match name.as_ref().and_then(|name| self.model.shape(name)) {
            Some(of) => self.show(of, value),
            None => HIDDEN.to_owned(),
        };
        match value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            Value::Array(elements) => {
                let shown: Vec<_> = elements.iter().map(|element| part(&shape.element, element)).collect();
                format!("[{}]", shown.join(", "))
            }
            Value::Object(members) => {
                let of = |name: &str| shape.members.iter().find(|member| member.name == name);
                let shown: Vec<_> = members
                    .iter()
                    .map(|(name, value)| match of(name) {
                        Some(member) => format!("{name}={}", part(&Some(member.shape.clone()), value)),
                        None => format!("{name}={}", part(&shape.value, value)),
                    })
                    .collect();
                format!("{{{}}}", shown.join(", "))
            }
        }
    }
}

/// Whether a text starts as a time of ISO 8601 does.
fn is_time(text: &str) -> bool {
    let date = text.get(..10).unwrap_or_default();
    let dashed = date.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    date.len() == 10 && dashed
}

/// The constraints of a shape's own that a value of its type breaks.
fn broken(shape: &Shape, value: &Value) -> Vec<Constraint> {
    constraints(shape).into_iter().filter(|constraint| !keeps(shape, value, constraint)).collect()
}

/// The constraints of a shape's own, in the order in which the services name them.
fn constraints(shape: &Shape) -> Vec<Constraint> {
    let numeric = matches!(shape.kind, Kind::Integer | Kind::Long | Kind::Float | Kind::Double);
    let mut all = Vec::new();
    if shape.kind == Kind::Blob {
        // Its length counts before it is encoded; nothing that a stack tool sends comes near.
        return all;
    }
    if let Some(max) = shape.max.clone() {
        all.push(if numeric { Constraint::LessThan(max) } else { Constraint::ShorterThan(max) });
    }
    if let Some(min) = shape.min.clone() {
        all.push(if numeric { Constraint::MoreThan(min) } else { Constraint::LongerThan(min) });
    }
    all.extend(shape.pattern.clone().map(Constraint::Pattern));
    if !shape.values.is_empty() {
        all.push(Constraint::OneOf(shape.values.clone()));
    }
    all
}

fn keeps(shape: &Shape, value: &Value, constraint: &Constraint) -> bool {
    let bound = |number: &Number| number.as_f64().unwrap_or_default();
    match constraint {
        Constraint::ShorterThan(max) => length(value).is_none_or(|length| length <= bound(max)),
        Constraint::LongerThan(min) => length(value).is_none_or(|length| length >= bound(min)),
        Constraint::LessThan(max) => number(value).is_none_or(|number| number <= bound(max)),
        Constraint::MoreThan(min) => number(value).is_none_or(|number| number >= bound(min)),
        Constraint::Pattern(_) => value.as_str().is_none_or(|text| shape.matches(text)),
        Constraint::OneOf(values) => value.as_str().is_none_or(|text| values.iter().any(|allowed| allowed == text)),
        Constraint::NotNull | Constraint::Elements(_) | Constraint::Keys(_) | Constraint::Values(_) => true,
    }
}

/// Characters of a text, elements of a list, entries of a map.
#[expect(clippy::cast_precision_loss, reason = "no request is 2^52 long")]
fn length(value: &Value) -> Option<f64> {
    let length = match value {
        Value::String(text) => text.chars().count(),
        Value::Array(elements) => elements.len(),
        Value::Object(entries) => entries.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => return None,
    };
    Some(length as f64)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
