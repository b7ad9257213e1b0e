//! Stack files: read, merged one over the other, and checked as a whole before anything else happens.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::check::{Mistake, Part, check, did_you_mean};
use super::pointer::{child, dotted, is_within, parent, segments};
use super::report::{Located, Shown, error};
use super::source::{Parsed, Place, Source};
use super::{Stack, schema as shape};
use crate::Result;

pub use super::schema::schema;

/// Times that what does not fit is left out; twice is enough for the schema that there is.
const ROUNDS: usize = 4;

/// Reads stack files, merges later ones over earlier ones (RFC 7396) and checks the result.
///
/// # Errors
/// One error that says everything that is wrong, each mistake with its file, line and column.
pub fn load(files: &[PathBuf]) -> Result<Stack> {
    load_colored(files, false)
}

/// Does the same; `color` says whether the error may be coloured.
///
/// # Errors
/// As [`load`].
pub fn load_colored(files: &[PathBuf], color: bool) -> Result<Stack> {
    let (mut shown, parsed) = read(files, color)?;
    let merged = Merged::new(&parsed);
    let mut mistakes = merged.nothing_to_remove.clone();
    let (stack, found) = understand(&merged.value);
    mistakes.extend(found);
    match stack {
        Some(stack) if mistakes.is_empty() => Ok(stack),
        _ => {
            for (file, parsed) in shown.iter_mut().zip(&parsed) {
                hide_values(&mut file.text, parsed);
            }
            let located = mistakes.into_iter().map(|mistake| merged.locate(mistake)).collect();
            Err(error(&shown, join_alike(located), color))
        }
    }
}

/// Reads and parses all files, or says what is wrong with each that cannot be.
fn read(files: &[PathBuf], color: bool) -> Result<(Vec<Shown>, Vec<Parsed>)> {
    let mut shown = Vec::new();
    let mut parsed = Vec::new();
    let mut flaws = Vec::new();
    for (index, path) in files.iter().enumerate() {
        let (file, result) = match Source::read(path) {
            Ok(source) => {
                let result = source.parse();
                (Shown { name: source.name, text: source.text }, result)
            }
            Err(flaw) => (Shown { name: path.display().to_string(), text: String::new() }, Err(vec![flaw])),
        };
        shown.push(file);
        match result {
            Ok(file) => parsed.push(file),
            Err(found) => flaws.extend(found.into_iter().map(|flaw| Located {
                at: flaw.span.map(|span| (index, span)),
                message: flaw.message,
                label: None,
                hint: flaw.hint,
            })),
        }
    }
    if flaws.is_empty() { Ok((shown, parsed)) } else { Err(error(&shown, flaws, color)) }
}

/// Turns a merged value into a stack as far as it is well-formed, and says everything that is wrong with it.
///
/// What does not fit the schema is left out, the rest is checked, and what depends on something left out is not said.
fn understand(value: &Value) -> (Option<Stack>, Vec<Mistake>) {
    let mut mistakes = shape::violations(value);
    let mut rest = value.clone();
    let mut left_out: Vec<String> = Vec::new();
    // What is left of a table may lack a key that it needs, which is seen in the second round.
    let mut unfit = mistakes.clone();
    for _ in 0..ROUNDS {
        for mistake in &unfit {
            remove(&mut rest, &mistake.pointer, &mut left_out);
            left_out.extend(mistake.related.iter().cloned());
        }
        unfit = if unfit.is_empty() { break } else { shape::violations(&rest) };
    }
    match serde_json::from_value::<Stack>(rest) {
        Ok(stack) => {
            let depends = |place: &String| left_out.iter().any(|out| is_within(place, out) || is_within(out, place));
            let found = check(&stack, stack.region.as_deref());
            mistakes.extend(
                found.into_iter().filter(|found| !depends(&found.pointer) && !found.related.iter().any(depends)),
            );
            (Some(stack), mistakes)
        }
        Err(error) => {
            // The schema says whatever serde would; should they ever differ, this still names the mistake.
            if mistakes.is_empty() {
                mistakes.push(Mistake::value("", error.to_string()));
            }
            (None, mistakes)
        }
    }
}

/// Leaves out an entry: a list goes as a whole, for its other elements would get other positions.
fn remove(value: &mut Value, place: &str, left_out: &mut Vec<String>) {
    left_out.push(place.to_owned());
    let (Some(holder), Some(name)) = (parent(place), segments(place).last()) else {
        *value = Value::Object(Map::new());
        return;
    };
    match value.pointer_mut(holder) {
        Some(Value::Object(map)) => {
            map.remove(&name);
        }
        Some(Value::Array(_)) => remove(value, holder, left_out),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => {}
    }
}

/// All files as one value, with the place of each entry in the file that it comes from.
struct Merged {
    value: Value,
    places: BTreeMap<String, (usize, Place)>,
    /// What a file takes away although no earlier one gave it, and although it is no key of ours
    nothing_to_remove: Vec<Mistake>,
}

impl Merged {
    fn new(files: &[Parsed]) -> Self {
        let mut merged =
            Self { value: Value::Object(Map::new()), places: BTreeMap::new(), nothing_to_remove: Vec::new() };
        for (index, file) in files.iter().enumerate() {
            merged.follow(index, file, "", &file.value);
            json_patch::merge(&mut merged.value, &file.value);
        }
        merged
    }

    /// Updates the places for one part of a file that is about to be merged.
    fn follow(&mut self, index: usize, file: &Parsed, place: &str, patch: &Value) {
        let both_tables = patch.is_object() && self.value.pointer(place).is_some_and(Value::is_object);
        if !both_tables {
            let inside: Vec<String> = self
                .places
                .range(place.to_owned()..)
                .take_while(|(other, _)| other.starts_with(place))
                .map(|(p, _)| p.clone())
                .collect();
            for other in inside.iter().filter(|other| is_within(other, place)) {
                self.places.remove(other);
            }
        }
        if patch.is_null() {
            self.follow_removal(index, file, place);
            return;
        }
        if let Some(at) = file.places.get(place) {
            self.places.insert(place.to_owned(), (index, at.clone()));
        }
        match patch {
            Value::Object(map) => {
                map.iter().for_each(|(key, value)| self.follow(index, file, &child(place, key), value))
            }
            Value::Array(list) => {
                for (position, value) in list.iter().enumerate() {
                    self.follow(index, file, &child(place, &position.to_string()), value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn follow_removal(&mut self, index: usize, file: &Parsed, place: &str) {
        if self.value.pointer(place).is_some() || shape::is_known(place) {
            return;
        }
        let (Some(table), Some(name)) = (parent(place), segments(place).last()) else { return };
        let mut others = shape::known_keys(table);
        if let Some(Value::Object(map)) = self.value.pointer(table) {
            others.extend(map.keys().cloned());
        }
        let mistake = Mistake::key(place, format!("null removes `{name}`, which no earlier file has"));
        self.nothing_to_remove.push(match did_you_mean(&name, others.iter().map(String::as_str)) {
            Some(meant) => mistake.hint(format!("did you mean `{meant}`?")),
            None => mistake,
        });
        if let Some(at) = file.places.get(place) {
            self.places.insert(place.to_owned(), (index, at.clone()));
        }
    }

    /// Finds the position of a mistake: its own, or that of what it depends on, or of the table that it is in.
    fn locate(&self, mistake: Mistake) -> Located {
        let span = |place: &Place, part: Part| -> Option<Range<usize>> {
            match part {
                Part::Key => place.key.clone().or_else(|| place.value.clone()),
                Part::Value => place.value.clone().or_else(|| place.key.clone()),
            }
        };
        let find = |place: &str, part| self.places.get(place).and_then(|(file, at)| Some((*file, span(at, part)?)));
        let Mistake { pointer, part, message, hint, related } = mistake;
        if let Some(at) = find(&pointer, part) {
            return Located { at: Some(at), message, label: None, hint };
        }
        let holder = |place: &str| -> Option<String> {
            let mut holders =
                std::iter::successors(parent(place), |place| parent(place)).filter(|place| !place.is_empty());
            holders.find(|place| find(place, Part::Key).is_some()).map(str::to_owned)
        };
        // The entry is a default, and what it clashes with is not.
        let key = dotted(&pointer);
        let default = format!("{message} (`{key}` is a default)");
        if let Some(at) = related.iter().find_map(|place| find(place, Part::Value)) {
            return Located { at: Some(at), message: default, label: None, hint };
        }
        if let Some(table) = holder(&pointer) {
            let label = format!("`{}` is a default here", dotted(&pointer[table.len()..]));
            return Located { at: find(&table, Part::Key), message, label: Some(label), hint };
        }
        if let Some(table) = related.iter().find_map(|place| holder(place)) {
            let only = format!("a file that has `{}` has only those", dotted(&table));
            let hint = Some(hint.map_or(only.clone(), |hint| format!("{hint}; {only}")));
            return Located { at: find(&table, Part::Key), message: default, label: None, hint };
        }
        Located { at: None, message: if key.is_empty() { message } else { default }, label: None, hint }
    }
}

/// Joins the mistakes of defaults that have one cause: the same position, and the same thing to do.
fn join_alike(mistakes: Vec<Located>) -> Vec<Located> {
    let mut joined: Vec<(Located, usize)> = Vec::new();
    for mistake in mistakes {
        let alike = |(other, _): &&mut (Located, usize)| {
            let defaults = [&mistake, other].iter().all(|m| m.message.ends_with("is a default)"));
            defaults && mistake.at.is_some() && (&other.at, &other.hint) == (&mistake.at, &mistake.hint)
        };
        match joined.iter_mut().find(alike) {
            Some((_, more)) => *more += 1,
            None => joined.push((mistake, 0)),
        }
    }
    let said = |(mut mistake, more): (Located, usize)| {
        if more > 0 {
            mistake.message = format!("{}, and {more} more like it", mistake.message);
        }
        mistake
    };
    joined.into_iter().map(said).collect()
}

/// Blanks the text of the parameters' values, which may be secrets: a report shows whole lines.
fn hide_values(text: &mut String, parsed: &Parsed) {
    for (place, at) in &parsed.places {
        let Some(span) = at.value.clone().filter(|_| is_within(place, "/parameters")) else { continue };
        let literal = parsed.value.pointer(place).and_then(Value::as_str).is_some_and(|value| !value.contains("${"));
        if literal && span.len() > 2 {
            let hidden: String = text[span.clone()]
                .char_indices()
                .map(|(index, c)| {
                    if c == '\n' || index == 0 || index + c.len_utf8() == span.len() {
                        c.to_string()
                    } else {
                        "*".repeat(c.len_utf8())
                    }
                })
                .collect();
            text.replace_range(span, &hidden);
        }
    }
}

#[cfg(test)]
mod tests;
