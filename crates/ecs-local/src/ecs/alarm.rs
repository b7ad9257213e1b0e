//! The CloudWatch alarms that a deployment watches, and those that the weather sets off.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Region;
use super::deployment::{DeploymentStatus, ServiceDeployment};
use super::facts::{Fact, Facts, Question};
use super::json::texts;
use super::rollback::Cause;
use super::task::Effect;

/// Seconds until ECS sees that an alarm went off: it asks for them in turns.
const POLL: f64 = 20.0;

/// The longest bake time that ECS works out for a rolling deployment: "less than 5 minutes" (developer guide, "How
/// CloudWatch alarms detect Amazon ECS deployment failures").
const LONGEST_BAKE: f64 = 300.0;

/// What a deployment does with its alarms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    /// One was in ALARM at the deployment's start: ECS then ignores them all for its duration (developer guide).
    ignored: bool,
    triggered: Vec<String>,
    /// When ECS will have seen the first that is in ALARM.
    sees: Option<f64>,
    /// Seconds that the slowest of them looks back.
    window: f64,
    /// Alarms that go off by script: when, and which.
    scripted: Vec<(f64, String)>,
    /// Stages whose scripts were read.
    read: Vec<&'static str>,
    /// Alarms that have gone off by script.
    fired: Vec<String>,
    /// When a rolling deployment that is otherwise done has been watched for long enough.
    pub(crate) bakes_until: Option<f64>,
}

impl ServiceDeployment {
    /// The names of the alarms that it is to watch.
    pub(crate) fn alarm_names(&self) -> Vec<&str> {
        let alarms = &self.configuration["alarms"];
        if alarms["enable"] == json!(true) { texts(alarms, "alarmNames") } else { Vec::new() }
    }

    /// Whether it watches alarms.
    pub(crate) fn watches(&self) -> bool {
        !self.alarm_names().is_empty() && !self.watch.ignored && self.watch.triggered.is_empty()
    }

    /// Seconds for which a rolling deployment is watched once its tasks are up and the old ones gone.
    pub(crate) fn bake_after_rolling(&self) -> f64 {
        self.watch.window.min(LONGEST_BAKE)
    }

    /// Notes that alarms have failed it.
    pub(crate) fn trigger(&mut self, names: &[String]) {
        self.watch.triggered = names.to_vec();
    }

    pub(crate) fn show_alarms(&self) -> Value {
        let names = self.alarm_names();
        let status = match (names.is_empty() || self.watch.ignored, self.watch.triggered.is_empty()) {
            (true, _) => "DISABLED",
            (false, false) => "TRIGGERED",
            (false, true) if self.status.ended() => "MONITORING_COMPLETE",
            (false, true) => "MONITORING",
        };
        json!({"status": status, "alarmNames": names, "triggeredAlarmNames": self.watch.triggered})
    }
}

impl Region {
    /// What must be known of alarms while deployments watch them.
    pub(crate) fn alarm_questions(&self) -> Vec<Question> {
        let watched = self.services.iter().filter_map(|service| service.in_flight());
        watched.flat_map(|deployment| deployment.alarm_names()).map(|name| Question::Alarm(name.to_owned())).collect()
    }

    /// Looks at a deployment's alarms at its start.
    pub(crate) fn begin_watch(&mut self, index: usize, facts: &Facts) {
        let Some(deployment) = self.services[index].under_way() else { return };
        let found: Vec<(bool, f64)> = deployment
            .alarm_names()
            .into_iter()
            .filter_map(|name| match facts.get(&Question::Alarm(name.to_owned())) {
                Some(Fact::Alarm { alarming, window }) => Some((alarming, window)),
                Some(_) | None => None,
            })
            .collect();
        deployment.watch.ignored = found.iter().any(|(alarming, _)| *alarming);
        deployment.watch.window = found.iter().map(|(_, window)| *window).fold(0.0, f64::max);
    }

    /// Sets the scripts of a stage going, once in a deployment.
    pub(crate) fn read_scripts(&mut self, index: usize, stage: &'static str) {
        let (at, scale, weather) = (self.now, self.scale, Arc::clone(&self.weather));
        let service = &mut self.services[index];
        let name = service.name.clone();
        let Some(deployment) = service.under_way().filter(|deployment| !deployment.watch.read.contains(&stage)) else {
            return;
        };
        deployment.watch.read.push(stage);
        let mut wakes = Vec::new();
        for alarm in weather.alarms.iter().filter(|alarm| alarm.service == name && alarm.stage == stage) {
            let due = at + scale.lasts(alarm.after.as_secs_f64());
            deployment.watch.scripted.push((due, alarm.name.clone()));
            wakes.push(due);
        }
        for wake in wakes {
            service.wake_at(wake);
        }
    }

    /// Sets off what is due by script, looks at the alarms, and fails the deployment if ECS has seen one in ALARM.
    ///
    /// Returns whether it has failed.
    pub(crate) fn watch_alarms(&mut self, index: usize, facts: &Facts) -> bool {
        let (at, scale) = (self.now, self.scale);
        let service = &mut self.services[index];
        let Some(deployment) =
            service.under_way().filter(|deployment| deployment.status == DeploymentStatus::InProgress)
        else {
            return false;
        };
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut deployment.watch.scripted).into_iter().partition(|(due, _)| *due <= at);
        deployment.watch.scripted = later;
        let fired: Vec<String> = due.into_iter().map(|(_, name)| name).collect();
        deployment.watch.fired.extend(fired.iter().cloned());
        let next = deployment.watch.scripted.iter().map(|(due, _)| *due).reduce(f64::min);
        let alarming = |name: &&str| match facts.get(&Question::Alarm((*name).to_owned())) {
            Some(Fact::Alarm { alarming, .. }) => alarming || deployment.watch.fired.iter().any(|fired| fired == name),
            Some(_) | None => false,
        };
        let triggered: Vec<String> = if deployment.watches() {
            deployment.alarm_names().iter().filter(|name| alarming(name)).map(|name| (*name).to_owned()).collect()
        } else {
            Vec::new()
        };
        let sees = (!triggered.is_empty()).then(|| deployment.watch.sees.unwrap_or(at + scale.lasts(POLL)));
        deployment.watch.sees = sees;
        self.effects.extend(fired.into_iter().map(|name| Effect::Alarm { name, alarming: true }));
        for wake in next.into_iter().chain(sees.filter(|sees| *sees > at)) {
            service.wake_at(wake);
        }
        let failed = sees.is_some_and(|sees| sees <= at);
        if failed {
            self.fail_deployment(index, &Cause::Alarm(triggered));
        }
        failed
    }

    /// Ends what was scripted: an alarm that the weather set off is over with the deployment.
    pub(crate) fn end_scripts(&mut self, index: usize) {
        let Some(deployment) = self.services[index].service_deployments.last_mut() else { return };
        let fired = std::mem::take(&mut deployment.watch.fired);
        self.effects.extend(fired.into_iter().map(|name| Effect::Alarm { name, alarming: false }));
    }
}
