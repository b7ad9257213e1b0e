//! What ELBv2 refuses about the conditions of rules, beyond what moto does.

use super::invalid;
use crate::form::Form;
use crate::refusal::Refusal;

/// The most values in the conditions of a rule, and the most wildcards (ELBv2 quotas).
const VALUES: usize = 5;
const WILDCARDS: usize = 6;

/// Conditions of which a rule has one at most (ELBv2 user guide, condition types).
const SINGLE: &[&str] = &["host-header", "http-request-method", "path-pattern", "source-ip"];

/// The member that holds the values of a condition, by its field.
const CONFIGS: &[(&str, &str)] = &[
    ("host-header", "HostHeaderConfig"),
    ("path-pattern", "PathPatternConfig"),
    ("http-header", "HttpHeaderConfig"),
    ("http-request-method", "HttpRequestMethodConfig"),
    ("source-ip", "SourceIpConfig"),
];

/// Checks the conditions of a rule.
pub(super) fn check(conditions: &[Form<'_>]) -> Result<(), Refusal> {
    let (mut count, mut wildcards) = (0, 0);
    let mut fields: Vec<&str> = Vec::new();
    for condition in conditions {
        // moto refuses what is no field.
        let Some(field) = condition.value("Field") else { return Err(invalid("A condition field must be specified")) };
        if SINGLE.contains(&field) && fields.contains(&field) {
            return Err(invalid(format!("A rule can only have one '{field}' condition")));
        }
        fields.push(field);
        let values = values(condition, field);
        count += values.len() + condition.within("QueryStringConfig").list("Values").len();
        for value in values {
            wildcards += value.matches(['*', '?']).count();
            let valid = match field {
                "host-header" => is_host(value),
                "path-pattern" => !value.is_empty() && value.chars().all(is_path_character),
                _ => true,
            };
            if !valid {
                return Err(invalid(format!("Condition value '{value}' contains a character that is not valid")));
            }
        }
    }
    if count > VALUES {
        return Err(invalid(format!("A rule can only have '{VALUES}' condition values")));
    }
    if wildcards > WILDCARDS {
        return Err(invalid(format!("A rule can only have '{WILDCARDS}' condition wildcards")));
    }
    Ok(())
}

fn values<'a>(condition: &Form<'a>, field: &str) -> Vec<&'a str> {
    let mut values = condition.values("Values");
    if let Some((_, config)) = CONFIGS.iter().find(|(known, _)| *known == field) {
        values.extend(condition.within(config).values("Values"));
    }
    values
}

/// Whether it is a pattern for a host: with a dot at least, and only letters after the last (ELBv2 user guide, host
/// conditions).
fn is_host(value: &str) -> bool {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-.*?".contains(character);
    let last = value.rsplit_once('.').map(|(_, last)| last);
    value.chars().all(plain)
        && last.is_some_and(|last| !last.is_empty() && last.chars().all(|character| character.is_ascii_alphabetic()))
}

/// Whether a path pattern may hold it (ELBv2 user guide, path conditions).
fn is_path_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_-.$/~\"'@:+&*?".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::request;

    fn message(conditions: &[(&str, &[&str])]) -> Option<String> {
        let mut body = "Action=CreateRule".to_owned();
        for (index, (field, values)) in conditions.iter().enumerate() {
            body.push_str(&format!("&Conditions.member.{index}.Field={field}"));
            for (number, value) in values.iter().enumerate() {
                body.push_str(&format!("&Conditions.member.{index}.Values.member.{number}={value}"));
            }
        }
        let request = request("elasticloadbalancing", &body);
        check(&Form::of(&request).list("Conditions")).err().map(|refusal| refusal.message)
    }

    #[test]
    fn conditions_are_as_elbv2_takes_them() {
        for (conditions, refused) in [
            (&[("path-pattern", &["/api/*"][..])][..], None),
            (&[("host-header", &["*.example.com"])], None),
            (&[("host-header", &["example"])], Some("contains a character that is not valid")),
            (&[("host-header", &["a.1"])], Some("contains a character that is not valid")),
            (&[("host-header", &["a_b.com"])], Some("contains a character that is not valid")),
            (&[("path-pattern", &["/a%20b"])], Some("contains a character that is not valid")),
            (
                &[("path-pattern", &["/a"]), ("path-pattern", &["/b"])],
                Some("A rule can only have one 'path-pattern' condition"),
            ),
            (
                &[("path-pattern", &["/a", "/b", "/c"]), ("host-header", &["a.b", "c.d", "e.f"])],
                Some("A rule can only have '5' condition values"),
            ),
            (&[("path-pattern", &["/*/*/*/*/*/*/*"])], Some("A rule can only have '6' condition wildcards")),
        ] {
            let message = message(conditions);
            let expected = match (&message, refused) {
                (Some(message), Some(part)) => message.contains(part),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            assert!(expected, "{conditions:?}: {message:?}");
        }
    }
}
