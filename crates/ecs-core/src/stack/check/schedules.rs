//! Tasks that run at certain times.

use super::names::Rule;
use super::{Mistake, did_you_mean, times};
use crate::stack::Stack;
use crate::stack::pointer::pointer;

/// Names of schedules and of their groups. Source: `CreateSchedule`, `Name` and `GroupName`.
const NAME: Rule = Rule {
    what: "schedule name",
    longest: 64,
    allowed: |c| c.is_ascii_alphanumeric() || "_.-".contains(c),
    allowed_words: "letters, digits and _.-",
    no_outer_hyphen: false,
};

/// Checks the schedules.
pub(super) fn check(stack: &Stack, found: &mut Vec<Mistake>) {
    if !stack.schedules.is_empty()
        && let Some(message) = (Rule { what: "schedule group", ..NAME }).broken(stack.schedule_group())
    {
        found.push(Mistake::value("/name", message).hint("the stack's schedules are in a group of its name"));
    }
    for (key, schedule) in &stack.schedules {
        let at = |member: &str| pointer(&["schedules", key, member]);
        if let Some(message) = NAME.broken(key) {
            found.push(Mistake::key(pointer(&["schedules", key]), message));
        }
        if !stack.services.contains_key(&schedule.service) {
            let mistake = Mistake::value(at("service"), format!("there is no service `{}`", schedule.service));
            let meant = did_you_mean(&schedule.service, stack.services.keys().map(String::as_str));
            found.push(match meant {
                Some(meant) => mistake.hint(format!("did you mean `{meant}`?")),
                None => mistake,
            });
        }
        let zone = schedule.timezone.as_deref().map(|zone| (zone, at("timezone")));
        times::check((&schedule.expression, at("expression")), zone, found);
        if let Some(queue) = &schedule.dead_letter_queue {
            let parts: Vec<&str> = queue.split(':').collect();
            if !matches!(parts[..], ["arn", _, "sqs", _, _, name] if !name.is_empty()) {
                let message = format!("`{queue}` is not the ARN of an SQS queue");
                found.push(Mistake::value(at("dead_letter_queue"), message));
            }
        }
    }
}
