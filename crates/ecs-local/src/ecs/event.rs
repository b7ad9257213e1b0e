//! Service events, in ECS's own words.

use serde_json::{Value, json};

use crate::clock::Scale;

/// How many events ECS shows.
const SHOWN: usize = 100;

/// The events of a service, newest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events(Vec<Event>);

#[derive(Clone, Debug)]
struct Event {
    id: String,
    at: f64,
    message: String,
}

impl Events {
    pub(crate) fn add(&mut self, id: String, at: f64, message: String) {
        self.0.insert(0, Event { id, at, message });
        self.0.truncate(SHOWN);
    }

    pub(crate) fn show(&self, scale: &Scale) -> Value {
        let show = |event: &Event| json!({"id": event.id, "createdAt": scale.wall(event.at), "message": event.message});
        self.0.iter().map(show).collect()
    }

    /// The messages, newest first.
    #[cfg(test)]
    pub(crate) fn messages(&self) -> Vec<&str> {
        self.0.iter().map(|event| event.message.as_str()).collect()
    }
}
