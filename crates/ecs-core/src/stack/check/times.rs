//! Schedules: expressions and time zones as AWS writes them.

use super::Mistake;

/// Units of a rate. Source: EventBridge Scheduler's guide, "Schedule types", and `PutScheduledAction`, `Schedule`.
const UNITS: [&str; 6] = ["minute", "minutes", "hour", "hours", "day", "days"];

/// Longest name of a time zone. Source: `CreateSchedule`, `ScheduleExpressionTimezone`.
const ZONE: usize = 50;

/// Checks an expression and its time zone, at their places.
pub(super) fn check((expression, at): (&str, String), zone: Option<(&str, String)>, found: &mut Vec<Mistake>) {
    if let Some(problem) = problem(expression) {
        found.push(
            Mistake::value(at, format!("`{expression}` is no schedule: {problem}"))
                .hint("as AWS writes it: `cron(0 3 * * ? *)`, `rate(1 hour)` or `at(2027-01-01T00:00:00)`"),
        );
    }
    let Some((zone, at)) = zone else { return };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+-/".contains(c);
    if zone.is_empty() || zone.len() > ZONE || !zone.chars().all(allowed) {
        found.push(
            Mistake::value(at, format!("`{zone}` is not a time zone"))
                .hint("a name of the IANA database: `Europe/Berlin`, `America/New_York`, `UTC`"),
        );
    }
}

/// Returns what is wrong with an expression.
fn problem(expression: &str) -> Option<String> {
    let (kind, rest) = expression.split_once('(').unwrap_or((expression, ""));
    let Some(inner) = rest.strip_suffix(')') else { return Some("it has no parentheses".to_owned()) };
    match kind {
        "cron" => cron(inner),
        "rate" => rate(inner),
        "at" => at(inner),
        other => Some(format!("`{other}` is none of `cron`, `rate` and `at`")),
    }
}

/// Source: EventBridge Scheduler's guide, "Cron-based schedules": six fields, and one of the two days is `?`.
fn cron(inner: &str) -> Option<String> {
    let fields: Vec<&str> = inner.split_whitespace().collect();
    let [_, _, day, _, weekday, _] = fields[..] else {
        return Some(format!("cron has six fields, found {}", fields.len()));
    };
    (day != "?" && weekday != "?").then(|| "one of its two days, of the month or of the week, is `?`".to_owned())
}

fn rate(inner: &str) -> Option<String> {
    let Some((value, unit)) = inner.split_once(' ') else { return Some("a rate has a number and a unit".to_owned()) };
    if !value.parse::<u32>().is_ok_and(|value| value > 0) {
        return Some(format!("`{value}` is not a positive number"));
    }
    (!UNITS.contains(&unit)).then(|| format!("`{unit}` is none of minutes, hours and days"))
}

fn at(inner: &str) -> Option<String> {
    let shape: String = inner.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    (shape != "0000-00-00T00:00:00").then(|| "a time is written `2027-01-01T00:00:00`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_what_aws_writes() {
        for fine in ["cron(0 3 * * ? *)", "cron(0/15 8-18 ? * MON-FRI *)", "rate(1 hour)", "at(2027-01-01T00:00:00)"] {
            assert_eq!(problem(fine), None, "{fine}");
        }
        let cases = [
            ("0 3 * * *", "it has no parentheses"),
            ("cron(0 3 * * *)", "cron has six fields, found 5"),
            ("cron(0 3 * * * *)", "one of its two days, of the month or of the week, is `?`"),
            ("rate(0 hours)", "`0` is not a positive number"),
            ("rate(5 weeks)", "`weeks` is none of minutes, hours and days"),
            ("at(2027-01-01)", "a time is written `2027-01-01T00:00:00`"),
            ("every(1 day)", "`every` is none of `cron`, `rate` and `at`"),
        ];
        for (wrong, why) in cases {
            assert_eq!(problem(wrong).as_deref(), Some(why), "{wrong}");
        }
    }
}
