//! Misfortunes: what happens to the tasks of an ECS service, and to one-off tasks.

use std::time::Duration;

use serde::Deserialize;

/// Something that happens to the tasks of an ECS service, or to one-off tasks.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Misfortune {
    /// The service's name, or the family of a one-off task; with `*` for anything.
    pub service: String,
    /// Only tasks whose revision has this image, with `*` for anything: "*/web:2".
    #[serde(default)]
    pub image: Option<String>,
    /// How many tasks it befalls; none: all.
    #[serde(default)]
    pub times: Option<usize>,
    /// What happens.
    pub happens: Happening,
    /// The exit code of the first essential container, where it exits: 1 for `exits`, 0 for `finishes`, if not said.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// For how long the containers run before they exit, on the scaled clock.
    #[serde(default, with = "humantime_serde")]
    pub after: Option<Duration>,
    /// What an unhealthy target answers its health checks with; none: nothing, until they time out.
    #[serde(default)]
    pub status_code: Option<u16>,
    /// What the first essential container writes to its log, where it runs.
    #[serde(default)]
    pub log: Vec<String>,
}

/// What can happen to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Happening {
    /// It runs until it is stopped, a one-off task as well.
    Runs,
    /// It runs for a while, and then it is done.
    Finishes,
    /// It runs for a while, and then it fails.
    Exits,
    /// It uses more memory than it has, and is killed.
    OutOfMemory,
    /// Its image cannot be pulled.
    CannotPull,
    /// Its execution role may not read its secrets.
    SecretUnreadable,
    /// It reaches neither ECR nor Secrets Manager: there is no route to them.
    NoRoute,
    /// The health check of its container never passes; of no effect where the task definition has none.
    UnhealthyContainer,
    /// Its load balancer never finds it healthy; of no effect without a load balancer.
    UnhealthyTarget,
    /// Fargate has no room for it: it never comes to be.
    NoCapacity,
}

impl Misfortune {
    /// One of which no more is said than what happens, and to whom.
    #[must_use]
    pub fn new(service: &str, happens: Happening) -> Misfortune {
        Misfortune {
            service: service.to_owned(),
            image: None,
            times: None,
            happens,
            exit_code: None,
            after: None,
            status_code: None,
            log: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::Weather;

    #[test]
    fn a_scenario_says_what_happens_to_whom() {
        let text = r#"
            [[misfortune]]
            service = "migrate"
            happens = "finishes"
            exit-code = 3
            log = ["no such column"]

            [[misfortune]]
            service = "web*"
            image = "*:2"
            times = 2
            happens = "unhealthy-target"
            status-code = 503
        "#;
        let weather = Weather::parse(text).expect("a scenario");
        let mut migrate = Misfortune::new("migrate", Happening::Finishes);
        migrate.exit_code = Some(3);
        migrate.log = vec!["no such column".to_owned()];
        let mut web = Misfortune::new("web*", Happening::UnhealthyTarget);
        (web.image, web.times, web.status_code) = (Some("*:2".to_owned()), Some(2), Some(503));
        assert_eq!(weather.misfortunes, [migrate, web]);
        let why =
            Weather::parse("[[misfortune]]\nservice = \"web\"\nhappens = \"explodes\"").expect_err("no such thing");
        assert!(why.contains("explodes") && why.contains("cannot-pull"), "{why}");
    }
}
