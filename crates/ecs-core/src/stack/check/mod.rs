//! What is wrong with a stack that is well-formed: everything that AWS would refuse later, as far as the file tells.

mod alarms;
mod connect;
mod containers;
mod database;
mod given;
mod load_balancer;
mod names;
mod network;
mod network_acl;
mod parameters;
mod policies;
mod routing;
mod schedules;
mod security_groups;
mod services;
mod tables;
mod times;

use std::fmt::Write as _;

pub use network_acl::warnings;

use super::pointer::{dotted, pointer};
use super::{Stack, schema};
use crate::{Error, Result};

/// Says which part of an entry a mistake is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The key, or the name that the entry has in its table
    Key,
    /// The value
    Value,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// JSON pointer to the entry, which need not stand in a file: it may be a default
    pub pointer: String,
    /// The part of the entry that it is about
    pub part: Part,
    /// What is wrong, in one line, without a full stop
    pub message: String,
    /// What to do about it
    pub hint: Option<String>,
    /// JSON pointers to the other entries that it depends on: if one of them is malformed, this may be no mistake
    pub related: Vec<String>,
}

impl Mistake {
    /// Makes a mistake about the value of an entry.
    pub(super) fn value(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), part: Part::Value, message: message.into(), hint: None, related: Vec::new() }
    }

    /// Makes a mistake about the key of an entry.
    pub(super) fn key(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { part: Part::Key, ..Self::value(pointer, message) }
    }

    /// Adds what to do about it.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds an entry that it depends on.
    #[must_use]
    pub(super) fn related(mut self, segments: &[&str]) -> Self {
        self.related.push(pointer(segments));
        self
    }
}

/// Returns everything that is wrong with a stack in a region; what depends on the region is left out where it is none.
pub fn check(stack: &Stack, region: Option<&str>) -> Vec<Mistake> {
    let mut found = Vec::new();
    names::check(stack, &mut found);
    network::check(stack, region, &mut found);
    network_acl::check(stack, &mut found);
    given::check(stack, &mut found);
    security_groups::check(stack, &mut found);
    load_balancer::check(stack, region, &mut found);
    database::check(stack, &mut found);
    tables::check(stack, region, &mut found);
    parameters::check(stack, region, &mut found);
    services::check(stack, &mut found);
    policies::check(stack, &mut found);
    containers::check(stack, &mut found);
    alarms::check(stack, region, &mut found);
    schedules::check(stack, &mut found);
    connect::check(stack, region, &mut found);
    found
}

/// Checks a stack that came through the pipe, where there is no file to point at.
///
/// # Errors
/// When anything is wrong: one error that lists all of it.
pub fn check_all(stack: &Stack) -> Result<()> {
    let value = serde_json::to_value(stack)
        .map_err(|error| Error::usage(format!("the stack cannot be written as JSON: {error}")))?;
    let mut found = schema::violations(&value);
    found.extend(check(stack, stack.region.as_deref()));
    if found.is_empty() {
        return Ok(());
    }
    let mut report = format!("{} in the stack", count(found.len()));
    for mistake in &found {
        let _ = write!(report, "\n  {}: {}", dotted(&mistake.pointer), mistake.message);
        if let Some(hint) = &mistake.hint {
            let _ = write!(report, "\n    hint: {hint}");
        }
    }
    Err(Error::usage(report))
}

/// Returns a number of mistakes in words: `1 mistake`, `2 mistakes`.
pub(super) fn count(number: usize) -> String {
    format!("{number} mistake{}", if number == 1 { "" } else { "s" })
}

/// Returns the candidate that a word was probably meant to be.
///
/// A typing slip is at most one letter in three; a word that is part of a candidate, or holds it, also counts.
pub(super) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slips = word.chars().count().div_ceil(3);
    let word = word.to_lowercase();
    let part = |long: &str, short: &str| short.len() >= 3 && long.contains(short);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&word, &lower);
            let near = distance <= slips.min(lower.chars().count().div_ceil(3));
            let other_letter = lower.chars().next() != word.chars().next();
            (near || part(&lower, &word) || part(&word, &lower)).then_some((!near, distance, other_letter, candidate))
        })
        .min()
        .map(|(_, _, _, candidate)| candidate)
}

/// Returns words as a list: `` `a` ``, `` `a` or `b` ``, `` `a`, `b` or `c` ``.
pub(super) fn one_of<T: std::fmt::Display>(words: impl IntoIterator<Item = T>) -> String {
    list(words, "or")
}

/// Returns words as a list that ends in a conjunction.
pub(super) fn list<T: std::fmt::Display>(words: impl IntoIterator<Item = T>, conjunction: &str) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {conjunction} {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests;
