//! Members of calls: their ranges and patterns, refused as ELBv2's front end does.

use std::ops::RangeInclusive;

use crate::form::Form;
use crate::refusal::Refusal;

/// A refusal as most are.
pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("ValidationError", message)
}

/// A value that breaks a constraint of the API's model.
pub(super) fn unfit(value: &str, member: &str, constraint: &str) -> Refusal {
    invalid(format!(
        "1 validation error detected: Value '{value}' at '{}' failed to satisfy constraint: Member must {constraint}",
        lower_camel(member)
    ))
}

/// A number within the model's range, if it is given.
pub(super) fn number(form: &Form<'_>, member: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, Refusal> {
    let Some(value) = form.value(member) else { return Ok(None) };
    let number: i64 = value.parse().map_err(|_| Refusal::new("MalformedInput", format!("{value} is no number")))?;
    if number < *range.start() {
        return Err(unfit(value, member, &format!("have value greater than or equal to {}", range.start())));
    }
    if number > *range.end() {
        return Err(unfit(value, member, &format!("have value less than or equal to {}", range.end())));
    }
    Ok(Some(number))
}

/// A value of an enumeration of the model, if it is given.
pub(super) fn one_of(form: &Form<'_>, member: &str, values: &[&str]) -> Result<(), Refusal> {
    match form.value(member) {
        Some(value) if !values.contains(&value) => {
            Err(unfit(value, member, &format!("satisfy enum value set: [{}]", values.join(", "))))
        }
        Some(_) | None => Ok(()),
    }
}

fn lower_camel(member: &str) -> String {
    let mut characters = member.chars();
    characters.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + characters.as_str())
}
