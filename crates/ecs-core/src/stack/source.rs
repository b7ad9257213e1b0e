//! One stack file: its text, its value, and where in the text each part of the value stands.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use jsonc_parser::ast;
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions};
use serde_json::{Map, Number, Value};
use toml_edit::{Document, InlineTable, Item, TableLike};

use super::pointer::child;

/// Paths that mean stdin, which carries the document.
const STDIN: [&str; 4] = ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];

/// Greatest whole number that a float holds exactly: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A file that could be read.
#[derive(Debug)]
pub(super) struct Source {
    /// The path as it was given
    pub(super) name: String,
    /// The text, without a byte order mark
    pub(super) text: String,
    /// The path says that it is JSON
    json: bool,
}

/// Where an entry stands, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The key; none for an element of a list and for the root
    pub(super) key: Option<Range<usize>>,
    /// The value; none where a table has no text of its own
    pub(super) value: Option<Range<usize>>,
}

/// What a file says: its value, and the places of all entries by JSON pointer.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) value: Value,
    pub(super) places: BTreeMap<String, Place>,
}

/// Something that keeps a file from being understood.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) span: Option<Range<usize>>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Flaw {
    fn new(span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Source {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, Flaw> {
        let name = path.display().to_string();
        if STDIN.iter().any(|stdin| path == Path::new(stdin)) {
            return Err(Flaw::new(None, format!("a stack file cannot come from `{name}`: stdin is the document"))
                .hint("name a file, or write `--stack <(command)`"));
        }
        let bytes = std::fs::read(path).map_err(|error| {
            let flaw = Flaw::new(None, format!("cannot read {name}: {}", reason(&error)));
            if error.kind() == std::io::ErrorKind::NotFound {
                flaw.hint("check the path given by `--stack`")
            } else {
                flaw
            }
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Flaw::new(None, format!("{name} is not UTF-8 text: byte {} does not belong", at + 1))
        })?;
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        let json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
            || text.trim_start().starts_with('{');
        Ok(Self { name, text, json })
    }

    /// Parses the text.
    pub(super) fn parse(&self) -> Result<Parsed, Vec<Flaw>> {
        if self.json { self.parse_json() } else { self.parse_toml() }
    }

    fn parse_toml(&self) -> Result<Parsed, Vec<Flaw>> {
        let document = Document::parse(self.text.as_str()).map_err(|error| {
            let message = error.message().trim_end().replace('\n', ", ");
            vec![Flaw::new(error.span(), message)]
        })?;
        let mut reader = TomlReader { places: BTreeMap::new(), flaws: Vec::new() };
        let value = reader.table("", document.as_table());
        reader.places.insert(String::new(), Place { key: None, value: None });
        if reader.flaws.is_empty() { Ok(Parsed { value, places: reader.places }) } else { Err(reader.flaws) }
    }

    /// Parses JSON twice: serde_json judges, and the tree of jsonc-parser knows the places.
    fn parse_json(&self) -> Result<Parsed, Vec<Flaw>> {
        let value: Value = serde_json::from_str(&self.text).map_err(|error| vec![self.json_flaw(&error)])?;
        let strict = ParseOptions {
            allow_comments: false,
            allow_loose_object_property_names: false,
            allow_trailing_commas: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        let collect = CollectOptions { comments: CommentCollectionStrategy::Off, tokens: false };
        let parsed = jsonc_parser::parse_to_ast(&self.text, &collect, &strict).map_err(|error| {
            let range = error.range();
            vec![Flaw::new(Some(range.start..range.end), error.kind().to_string())]
        })?;
        let mut places = BTreeMap::new();
        let mut flaws = Vec::new();
        if let Some(tree) = &parsed.value {
            json_places("", None, tree, &mut places, &mut flaws);
        }
        if !flaws.is_empty() {
            return Err(flaws);
        }
        if !value.is_object() {
            let message = format!("expected an object, found {}", describe(&value));
            return Err(vec![Flaw::new(places.get("").and_then(|place: &Place| place.value.clone()), message)]);
        }
        Ok(Parsed { value: whole_numbers(value), places })
    }

    fn json_flaw(&self, error: &serde_json::Error) -> Flaw {
        let text = error.to_string();
        let text = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
        let message = match text.strip_prefix("EOF while parsing ") {
            Some(_) if self.text.trim().is_empty() => "the file is empty".to_owned(),
            Some(inside) => format!("the file ends too early, in {inside}"),
            None => text.to_owned(),
        };
        let line: usize = self.text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let mut at = (line + error.column().saturating_sub(1)).min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let end = self.text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
        Flaw::new(Some(at..end), message)
    }
}

/// Collects places and flaws while a TOML document becomes a JSON value.
struct TomlReader {
    places: BTreeMap<String, Place>,
    flaws: Vec<Flaw>,
}

impl TomlReader {
    fn table(&mut self, pointer: &str, table: &dyn TableLike) -> Value {
        let mut map = Map::new();
        for (name, item) in table.iter() {
            let place = child(pointer, name);
            let key = table.key(name).and_then(|key| key.span());
            // A table's own span is its header, or nothing where it is only the parent of another one.
            let value = if item.is_table() || item.is_array_of_tables() { None } else { item.span() };
            self.places.insert(place.clone(), Place { key, value });
            let value = self.item(&place, item);
            map.insert(name.to_owned(), value);
        }
        Value::Object(map)
    }

    fn item(&mut self, pointer: &str, item: &Item) -> Value {
        match item {
            Item::None => Value::Null,
            Item::Table(table) => self.table(pointer, table),
            Item::ArrayOfTables(tables) => {
                let mut list = Vec::new();
                for (index, table) in tables.iter().enumerate() {
                    let place = child(pointer, &index.to_string());
                    self.places.insert(place.clone(), Place { key: table.span(), value: table.span() });
                    list.push(self.table(&place, table));
                }
                Value::Array(list)
            }
            Item::Value(value) => self.value(pointer, value),
        }
    }

    fn value(&mut self, pointer: &str, value: &toml_edit::Value) -> Value {
        match value {
            toml_edit::Value::String(text) => Value::String(text.value().clone()),
            toml_edit::Value::Integer(number) => Value::Number((*number.value()).into()),
            toml_edit::Value::Float(number) => match Number::from_f64(*number.value()) {
                Some(number) => whole_numbers(Value::Number(number)),
                None => {
                    self.flaws.push(Flaw::new(number.span(), "infinity and NaN mean nothing in a stack file"));
                    Value::Null
                }
            },
            toml_edit::Value::Boolean(flag) => Value::Bool(*flag.value()),
            toml_edit::Value::Datetime(date) => {
                let flaw = Flaw::new(date.span(), "a date means nothing in a stack file");
                self.flaws.push(flaw.hint("a text that looks like a date goes in quotes"));
                Value::Null
            }
            toml_edit::Value::Array(array) => {
                let mut list = Vec::new();
                for (index, value) in array.iter().enumerate() {
                    let place = child(pointer, &index.to_string());
                    self.places.insert(place.clone(), Place { key: None, value: value.span() });
                    list.push(self.value(&place, value));
                }
                Value::Array(list)
            }
            toml_edit::Value::InlineTable(table) if is_removal(table) => Value::Null,
            toml_edit::Value::InlineTable(table) => self.table(pointer, table),
        }
    }
}

/// Says whether a table is `{ remove = true }`, which stands for the null that TOML has not.
fn is_removal(table: &InlineTable) -> bool {
    table.len() == 1 && table.get("remove").and_then(toml_edit::Value::as_bool) == Some(true)
}

/// Collects the places of a JSON tree; a key that stands twice is a flaw, because one of them would be ignored.
fn json_places(
    pointer: &str,
    key: Option<Range<usize>>,
    value: &ast::Value<'_>,
    places: &mut BTreeMap<String, Place>,
    flaws: &mut Vec<Flaw>,
) {
    let range = jsonc_parser::common::Ranged::range(value);
    let place = Place { key: key.clone(), value: Some(range.start..range.end) };
    if places.insert(pointer.to_owned(), place).is_some() {
        flaws.push(Flaw::new(key, "the key stands twice in one object"));
    }
    match value {
        ast::Value::Object(object) => {
            for property in &object.properties {
                let range = jsonc_parser::common::Ranged::range(&property.name);
                let place = child(pointer, property.name.as_str());
                json_places(&place, Some(range.start..range.end), &property.value, places, flaws);
            }
        }
        ast::Value::Array(array) => {
            for (index, value) in array.elements.iter().enumerate() {
                json_places(&child(pointer, &index.to_string()), None, value, places, flaws);
            }
        }
        ast::Value::StringLit(_)
        | ast::Value::NumberLit(_)
        | ast::Value::BooleanLit(_)
        | ast::Value::NullKeyword(_) => {}
    }
}

/// Turns 512.0 into 512: JSON Schema takes both for a whole number, serde only the second.
fn whole_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and within 2^53")]
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT => {
                Value::Number((float as i64).into())
            }
            _ => Value::Number(number),
        },
        Value::Array(list) => Value::Array(list.into_iter().map(whole_numbers).collect()),
        Value::Object(map) => Value::Object(map.into_iter().map(|(key, value)| (key, whole_numbers(value))).collect()),
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

/// Says what a value is, with the value itself where it is short: `the string "512"`.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() <= 60 => format!("the string {text:?}"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}

/// Returns why a file could not be read, without Rust's `(os error 2)`.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.rfind(" (os error").map_or(text.clone(), |end| text[..end].to_owned())
}
