//! Which of the things that are made never come up.

use std::sync::{Mutex, PoisonError};

use crate::weather::{Failure, Kind, Provisioning, pattern};

/// Counts the failures that have struck: one with `times` strikes so often and no more.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    struck: Mutex<Vec<(Failure, usize)>>,
}

impl Failures {
    /// The failure that strikes a new thing of this name, if one does; it counts.
    pub(crate) fn strike(&self, weather: &Provisioning, kind: Kind, name: &str) -> Option<Failure> {
        let mut struck = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
        let fits =
            weather.failures.iter().filter(|failure| failure.kind == kind && pattern::matches(&failure.name, name));
        for failure in fits {
            let position = struck.iter().position(|(known, _)| known == failure).unwrap_or_else(|| {
                struck.push((failure.clone(), 0));
                struck.len() - 1
            });
            if failure.times.is_none_or(|times| struck[position].1 < times) {
                struck[position].1 += 1;
                return Some(failure.clone());
            }
        }
        None
    }

    /// Forgets what has struck.
    pub(crate) fn clear(&self) {
        self.struck.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_strikes_as_often_as_it_says() {
        let failure = |name: &str, times| Failure {
            kind: Kind::Database,
            name: name.to_owned(),
            times,
            code: "failed".to_owned(),
            message: String::new(),
        };
        let weather = Provisioning { failures: vec![failure("db*", Some(1))], ..Provisioning::default() };
        let failures = Failures::default();
        assert_eq!(failures.strike(&weather, Kind::LoadBalancer, "db1"), None);
        assert_eq!(failures.strike(&weather, Kind::Database, "db1"), Some(failure("db*", Some(1))));
        assert_eq!(failures.strike(&weather, Kind::Database, "db1"), None);
        failures.clear();
        assert!(failures.strike(&weather, Kind::Database, "db2").is_some());
    }
}
