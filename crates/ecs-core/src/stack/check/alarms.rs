//! Alarms for people: whom they tell.

use super::Mistake;
use crate::stack::Stack;
use crate::stack::pointer::pointer;

/// Checks the topics.
pub(super) fn check(stack: &Stack, region: Option<&str>, found: &mut Vec<Mistake>) {
    let services = stack.services.iter().filter_map(|(key, service)| {
        Some((service.alarms.as_ref()?.topic.as_ref()?, pointer(&["services", key, "alarms", "topic"])))
    });
    let own = stack.alarms.topic.iter().map(|topic| (topic, pointer(&["alarms", "topic"])));
    for (topic, place) in own.chain(services) {
        let parts: Vec<&str> = topic.split(':').collect();
        let shape = matches!(parts[..], ["arn", partition, "sns", _, account, name]
            if partition.starts_with("aws") && account.len() == 12 && !name.is_empty());
        let elsewhere = region.filter(|region| parts.get(3).is_some_and(|other| other != region));
        if !shape {
            let mistake = Mistake::value(place, format!("`{topic}` is not the ARN of an SNS topic"));
            found.push(mistake.hint("`aws sns list-topics` prints them"));
        } else if let Some(region) = elsewhere {
            // Source: `PutMetricAlarm`: an alarm's actions are in its own region.
            found.push(Mistake::value(place, format!("the topic `{topic}` is not in {region}, where the alarms are")));
        }
    }
}
