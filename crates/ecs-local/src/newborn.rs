//! What was made or deleted a moment ago: AWS finds the one not yet, and still lists the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::weather::Sky;

/// What the services were told lately. How late it shows is the weather's `consistency.lag`, on the scaled clock.
#[derive(Debug)]
pub(crate) struct Newborn {
    clock: Clock,
    sky: Arc<Sky>,
    lately: Mutex<Lately>,
}

#[derive(Debug, Default)]
struct Lately {
    /// Until when each new thing is hidden.
    born: HashMap<String, f64>,
    buried: Vec<Buried>,
}

#[derive(Debug)]
struct Buried {
    list: String,
    id: String,
    answer: String,
    until: f64,
}

impl Newborn {
    /// A register with nothing in it.
    pub(crate) fn new(clock: Clock, sky: Arc<Sky>) -> Newborn {
        Newborn { clock, sky, lately: Mutex::default() }
    }

    /// Whether what is made or deleted now shows late.
    pub(crate) fn is_on(&self) -> bool {
        self.lag() > 0.0
    }

    /// Whether anything is hidden or still listed.
    pub(crate) fn is_empty(&self) -> bool {
        let lately = self.lately();
        lately.born.is_empty() && lately.buried.is_empty()
    }

    /// Something was made: it is not found for a while.
    pub(crate) fn born(&self, id: &str) {
        let (lag, now) = (self.lag(), self.clock.now());
        if lag > 0.0 {
            self.lately().born.insert(id.to_owned(), now + lag);
        }
    }

    /// Whether something is too new to be found.
    pub(crate) fn is_hidden(&self, id: &str) -> bool {
        self.lately().born.contains_key(id)
    }

    /// Something was deleted: a list still has it for a while, as `answer`.
    pub(crate) fn buried(&self, list: &str, id: &str, answer: String) {
        let (lag, now) = (self.lag(), self.clock.now());
        let mut lately = self.lately();
        // Found or not, it is not new any more.
        lately.born.remove(id);
        if lag > 0.0 {
            lately.buried.push(Buried { list: list.to_owned(), id: id.to_owned(), answer, until: now + lag });
        }
    }

    /// What a list still has: ids and answers.
    pub(crate) fn ghosts(&self, list: &str) -> Vec<(String, String)> {
        let lately = self.lately();
        let ghosts = lately.buried.iter().filter(|buried| buried.list == list);
        ghosts.map(|buried| (buried.id.clone(), buried.answer.clone())).collect()
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.lately() = Lately::default();
    }

    fn lag(&self) -> f64 {
        self.clock.scale.lasts(self.sky.weather().consistency.lag.as_secs_f64())
    }

    /// The register, without what has come to show.
    fn lately(&self) -> MutexGuard<'_, Lately> {
        let now = self.clock.now();
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.born.retain(|_, until| now < *until);
        lately.buried.retain(|buried| now < buried.until);
        lately
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::weather::{Consistency, Weather};

    fn newborn(speed: f64, lag: Duration) -> Newborn {
        let sky = Arc::new(Sky::default());
        sky.set(Weather { consistency: Consistency { lag, ..Consistency::default() }, ..Weather::default() });
        Newborn::new(Clock::start(speed), sky)
    }

    #[test]
    fn what_is_new_is_hidden_and_what_is_deleted_is_listed() {
        let newborn = newborn(1.0, Duration::from_secs(3600));
        newborn.born("vpc-1");
        assert!(newborn.is_hidden("vpc-1") && !newborn.is_hidden("vpc-2"));
        newborn.buried("vpcs", "vpc-1", "<item/>".to_owned());
        assert!(!newborn.is_hidden("vpc-1"));
        assert_eq!(newborn.ghosts("vpcs"), [("vpc-1".to_owned(), "<item/>".to_owned())]);
        assert_eq!(newborn.ghosts("subnets"), []);
        newborn.clear();
        assert!(newborn.is_empty());
    }

    #[test]
    fn it_shows_when_its_time_has_come() {
        // A lag of a nanosecond is over before anybody can look.
        let newborn = newborn(1e9, Duration::from_nanos(1));
        newborn.born("vpc-1");
        newborn.buried("vpcs", "vpc-2", String::new());
        assert!(!newborn.is_hidden("vpc-1"));
        assert!(newborn.is_empty());
    }

    #[test]
    fn where_nothing_takes_time_everything_shows_at_once() {
        let newborn = newborn(0.0, Duration::from_secs(3600));
        newborn.born("vpc-1");
        newborn.buried("vpcs", "vpc-2", String::new());
        assert!(newborn.is_empty() && !newborn.is_on());
    }
}
