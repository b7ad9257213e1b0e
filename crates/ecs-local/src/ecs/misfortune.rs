//! Which misfortune befalls which task.

use std::sync::Arc;

use serde_json::Value;

use super::Region;
use super::json::{list, text};
use crate::weather::{Happening, Misfortune, Weather};

/// How often each misfortune has struck, in the order of the weather.
#[derive(Clone, Debug, Default)]
pub(crate) struct Struck(Vec<usize>);

impl Region {
    /// Changes the weather. Misfortunes are counted anew when it is another.
    pub(crate) fn set_weather(&mut self, weather: &Arc<Weather>) {
        if !Arc::ptr_eq(&self.weather, weather) {
            self.weather = Arc::clone(weather);
            self.struck = Struck::default();
        }
    }

    /// What befalls a new task of a service, or of a family, if anything does; it counts as struck then.
    ///
    /// `placed` tells tasks for which there is room from those that ask for it.
    pub(crate) fn strike(&mut self, name: &str, definition: &str, placed: bool) -> Option<Misfortune> {
        let content = self.task_definition(definition).map_or(&Value::Null, |definition| &definition.content);
        let images: Vec<&str> = list(content, "containerDefinitions").iter().filter_map(|c| text(c, "image")).collect();
        let struck = |index: usize| self.struck.0.get(index).copied().unwrap_or(0);
        let applies = |(index, misfortune): &(usize, &Misfortune)| {
            (misfortune.happens != Happening::NoCapacity) == placed
                && matches(&misfortune.service, name)
                && misfortune.image.as_ref().is_none_or(|pattern| images.iter().any(|image| matches(pattern, image)))
                && misfortune.times.is_none_or(|times| struck(*index) < times)
        };
        let (index, misfortune) = self.weather.misfortunes.iter().enumerate().find(applies)?;
        let misfortune = misfortune.clone();
        if self.struck.0.len() <= index {
            self.struck.0.resize(index + 1, 0);
        }
        self.struck.0[index] += 1;
        Some(misfortune)
    }
}

/// Whether a text is what a pattern says; `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    // The rest of the pattern may begin anywhere in what is left.
    text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches(rest, &text[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_anything() {
        for (pattern, text) in [("web", "web"), ("*", ""), ("*", "web"), ("w*b", "wb"), ("*/web:*", "a/b/web:2")] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("web", "web2"), ("w*b", "w"), ("*/web:2", "a/web:3"), ("", "web")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
