//! Which of the things that are made never come up.

use std::sync::{Mutex, PoisonError};

use crate::weather::{Failure, Kind, Provisioning};

/// Counts the failures that have struck: one with `times` strikes so often and no more.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    struck: Mutex<Vec<(Failure, usize)>>,
}

impl Failures {
    /// The failure that strikes a new thing of this name, if one does; it counts.
    pub(crate) fn strike(&self, weather: &Provisioning, kind: Kind, name: &str) -> Option<Failure> {
        let mut struck = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = weather.failures.iter().filter(|failure| failure.kind == kind && matches(&failure.name, name));
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

/// Whether a name fits a pattern, in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(position) = left.find(part) else { return false };
        left = &left[position + part.len()..];
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, fits) in [
            ("*", "web", true),
            ("web", "web", true),
            ("web", "web2", false),
            ("we*", "web", true),
            ("*-alb", "ecs-alb", true),
            ("e*-*b", "ecs-alb", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

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
