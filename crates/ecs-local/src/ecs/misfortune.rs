//! Which misfortune befalls which task.

use std::sync::Arc;

use serde_json::Value;

use super::Region;
use super::json::{list, text};
use super::launch::NO_CAPACITY;
use super::scheduler::FIRST_WAIT;
use super::task::Reason;
use crate::weather::{Happening, Misfortune, Weather, pattern};

/// How often each misfortune has struck, in the order of the weather. Another weather begins anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Struck {
    weather: Arc<Weather>,
    times: Vec<usize>,
}

impl Region {
    /// What befalls a new task of a service, or of a family, if anything does; it counts as struck then.
    ///
    /// `placed` tells tasks for which there is room from those that ask for it.
    pub(crate) fn strike(&mut self, name: &str, definition: &str, placed: bool) -> Option<Misfortune> {
        if !Arc::ptr_eq(&self.struck.weather, &self.weather) {
            self.struck = Struck { weather: Arc::clone(&self.weather), times: vec![0; self.weather.misfortunes.len()] };
        }
        let content = self.task_definition(definition).map_or(&Value::Null, |definition| &definition.content);
        let images: Vec<&str> = list(content, "containerDefinitions").iter().filter_map(|c| text(c, "image")).collect();
        let applies = |(index, misfortune): &(usize, &Misfortune)| {
            (misfortune.happens != Happening::NoCapacity) == placed
                && pattern::matches(&misfortune.service, name)
                && misfortune
                    .image
                    .as_ref()
                    .is_none_or(|wanted| images.iter().any(|image| pattern::matches(wanted, image)))
                && misfortune.times.is_none_or(|times| self.struck.times[*index] < times)
        };
        let (index, misfortune) = self.weather.misfortunes.iter().enumerate().find(applies)?;
        let misfortune = misfortune.clone();
        self.struck.times[index] += 1;
        Some(misfortune)
    }

    /// How many new tasks of a service's deployment Fargate has room for. Each of the others is a failure to start, and
    /// tried again.
    pub(crate) fn place(&mut self, index: usize, position: usize, starts: i64) -> i64 {
        let at = self.now;
        let service = &self.services[index];
        let (arn, name) = (service.arn.clone(), service.name.clone());
        let (id, definition) =
            (service.deployments[position].id.clone(), service.deployments[position].definition.clone());
        let refused = (0..starts).filter(|_| self.strike(&name, &definition, false).is_some()).count();
        if refused > 0 {
            let more = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.";
            self.say(&arn, &format!("was unable to place a task. Reason: {NO_CAPACITY}. {more}"));
            self.services[index].wake_at(at + self.scale.lasts(FIRST_WAIT));
        }
        for _ in 0..refused {
            self.task_failed(&arn, &id, &Reason { code: "TaskFailedToStart", text: NO_CAPACITY.to_owned() });
        }
        // The circuit breaker may have ended this deployment meanwhile.
        let given_up = self.services[index].deployments.get(position).is_none_or(|deployment| deployment.id != id);
        if given_up { 0 } else { starts - i64::try_from(refused).unwrap_or(starts) }
    }
}
