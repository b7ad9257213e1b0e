//! Instances that come up, change and go; moto does all of it at once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hyper::StatusCode;
use xmltree::Element;

use super::{State, VERSION};
use crate::answer::{Answer, texts};
use crate::call::Request;
use crate::failures::Failures;
use crate::proxy::Proxy;
use crate::weather::{Failure, Kind};
use crate::xml;

/// The part of an instance's creation that is over when its first backup begins.
const CREATING: f64 = 0.9;

/// Statuses in which an instance that did not come up takes connections all the same, and so has an endpoint.
const REACHABLE: &[&str] = &["storage-full", "incompatible-parameters", "incompatible-option-group"];

/// An instance by its region and identifier.
type Key = (String, String);

/// Instances on their way up, in a change, or on their way out.
#[derive(Debug, Default)]
pub(super) struct Lifecycle {
    instances: Mutex<HashMap<Key, Instance>>,
    failures: Failures,
    /// Held while moto deletes what is due.
    settling: tokio::sync::Mutex<()>,
}

/// An instance whose status is not what moto says.
#[derive(Clone, Debug, Default, PartialEq)]
struct Instance {
    /// What it goes through, each until a simulated time.
    stages: Vec<(&'static str, f64)>,
    /// What it ends in, if not in moto's status.
    failure: Option<Failure>,
    deletion: Option<Deletion>,
}

/// A deletion that is not over.
#[derive(Clone, Debug, PartialEq)]
struct Deletion {
    /// The simulated time at which it is over.
    until: f64,
    delete_automated_backups: bool,
}

impl Instance {
    /// Its status; none: what moto says.
    fn status(&self, now: f64) -> Option<&str> {
        if self.deletion.is_some() {
            return Some("deleting");
        }
        let stage = self.stages.iter().find(|(_, until)| now < *until).map(|(status, _)| *status);
        stage.or(self.failure.as_ref().map(|failure| failure.code.as_str()))
    }
}

impl Lifecycle {
    /// Forgets all instances.
    pub(super) fn clear(&self) {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.failures.clear();
    }

    fn insert(&self, key: Key, instance: Instance) {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner).insert(key, instance);
    }

    fn status(&self, key: &Key, now: f64) -> Option<String> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner).get(key)?.status(now).map(str::to_owned)
    }

    fn due(&self, now: f64) -> Vec<(Key, bool)> {
        let instances = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        let due = |(key, instance): (&Key, &Instance)| {
            let deletion = instance.deletion.as_ref().filter(|deletion| deletion.until <= now)?;
            Some((key.clone(), deletion.delete_automated_backups))
        };
        instances.iter().filter_map(due).collect()
    }
}

/// The status of an instance; none: what moto says.
pub(super) fn status(proxy: &Proxy, region: &str, identifier: &str) -> Option<String> {
    proxy.rds.lifecycle.status(&(region.to_owned(), identifier.to_owned()), proxy.clock.now())
}

/// Makes moto delete the instances whose deletion is over.
pub(super) async fn settle(proxy: &Proxy) {
    let State { lifecycle, .. } = &proxy.rds;
    if lifecycle.due(proxy.clock.now()).is_empty() {
        return;
    }
    let _settling = lifecycle.settling.lock().await;
    for (key, delete_automated_backups) in lifecycle.due(proxy.clock.now()) {
        let form = [
            ("Action", "DeleteDBInstance"),
            ("DBInstanceIdentifier", key.1.as_str()),
            ("SkipFinalSnapshot", "true"),
            ("DeleteAutomatedBackups", if delete_automated_backups { "true" } else { "false" }),
        ];
        let reply = proxy.upstream.query("rds", &key.0, VERSION, &form).await;
        // What moto refuses to delete stays in `deleting`, where it can be seen.
        if reply.status.is_success() || reply.status == StatusCode::NOT_FOUND {
            lifecycle.instances.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
    }
}

/// Notes an instance that was just made.
pub(super) fn created(proxy: &Proxy, request: &Request) {
    let Some(identifier) = request.form_value("DBInstanceIdentifier") else { return };
    let weather = proxy.sky.weather();
    let lifecycle = &proxy.rds.lifecycle;
    let failure = lifecycle.failures.strike(&weather.provisioning, Kind::Database, identifier);
    let lasts = proxy.clock.scale.lasts(weather.provisioning.database.as_secs_f64());
    let backed_up = failure.is_none() && request.form_value("BackupRetentionPeriod") != Some("0");
    let now = proxy.clock.now();
    let stages = if backed_up {
        vec![("creating", now + lasts * CREATING), ("backing-up", now + lasts)]
    } else {
        vec![("creating", now + lasts)]
    };
    lifecycle.insert(key(request, identifier), Instance { stages, failure, deletion: None });
}

/// Notes an instance that was just changed.
pub(super) fn modified(proxy: &Proxy, request: &Request) {
    let Some(identifier) = request.form_value("DBInstanceIdentifier") else { return };
    let lasts = proxy.clock.scale.lasts(proxy.sky.weather().provisioning.database_change.as_secs_f64());
    let stages = vec![("modifying", proxy.clock.now() + lasts)];
    let lifecycle = &proxy.rds.lifecycle;
    let mut instances = lifecycle.instances.lock().unwrap_or_else(PoisonError::into_inner);
    instances.remove(&key(request, identifier));
    let identifier = request.form_value("NewDBInstanceIdentifier").unwrap_or(identifier);
    instances.insert(key(request, identifier), Instance { stages, ..Instance::default() });
}

/// Whether a deletion is over at once.
pub(super) fn deletion_takes_time(proxy: &Proxy) -> bool {
    deletion_lasts(proxy) > 0.0
}

/// Notes an instance that is being deleted.
pub(super) fn deleting(proxy: &Proxy, request: &Request, identifier: &str) {
    let deletion = Deletion {
        until: proxy.clock.now() + deletion_lasts(proxy),
        delete_automated_backups: request.form_value("DeleteAutomatedBackups") != Some("false"),
    };
    let instance = Instance { deletion: Some(deletion), ..Instance::default() };
    proxy.rds.lifecycle.insert(key(request, identifier), instance);
}

fn deletion_lasts(proxy: &Proxy) -> f64 {
    proxy.clock.scale.lasts(proxy.sky.weather().provisioning.database_deletion.as_secs_f64())
}

/// The answer with each instance as it is now.
pub(super) fn show(proxy: &Proxy, request: &Request, answer: Answer) -> Answer {
    let body = String::from_utf8_lossy(&answer.body);
    let moved = |identifier: &str| status(proxy, &request.region, identifier);
    if texts(&body, "DBInstanceIdentifier").into_iter().all(|identifier| moved(identifier).is_none()) {
        return answer;
    }
    xml::change_each(answer, "DBInstance", |instance| {
        let Some(status) = xml::text(instance, "DBInstanceIdentifier").and_then(|identifier| moved(&identifier)) else {
            return;
        };
        show_status(instance, &status);
    })
}

fn show_status(instance: &mut Element, status: &str) {
    xml::set_text(instance, "DBInstanceStatus", status);
    let failed = !["creating", "backing-up", "modifying", "deleting"].contains(&status) && !REACHABLE.contains(&status);
    if status == "creating" || failed {
        // "The endpoint might not be shown for instances with the status of creating" (botocore rds model, DBInstance).
        instance.take_child("Endpoint");
    }
    if status == "creating"
        && let Some(secret) = instance.get_mut_child("MasterUserSecret")
    {
        xml::set_text(secret, "SecretStatus", "creating");
    }
}

fn key(request: &Request, identifier: &str) -> Key {
    (request.region.clone(), identifier.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: &str) -> Failure {
        Failure {
            kind: Kind::Database,
            name: "*".to_owned(),
            times: None,
            code: code.to_owned(),
            message: String::new(),
        }
    }

    #[test]
    fn an_instance_is_creating_then_backing_up_then_available() {
        let stages = vec![("creating", 90.0), ("backing-up", 100.0)];
        let mut instance = Instance { stages, ..Instance::default() };
        let seen = [0.0, 90.0, 100.0].map(|now| instance.status(now).map(str::to_owned));
        assert_eq!(seen, [Some("creating".to_owned()), Some("backing-up".to_owned()), None]);
        instance.failure = Some(failure("incompatible-network"));
        assert_eq!(instance.status(100.0), Some("incompatible-network"));
        instance.deletion = Some(Deletion { until: 200.0, delete_automated_backups: true });
        assert_eq!(instance.status(300.0), Some("deleting"));
    }

    #[test]
    fn an_endpoint_is_shown_where_connections_are_taken() {
        for (status, shown) in [
            ("creating", false),
            ("backing-up", true),
            ("modifying", true),
            ("deleting", true),
            ("incompatible-network", false),
            ("failed", false),
            ("storage-full", true),
        ] {
            let body = "<DBInstance><Endpoint><Address>db</Address></Endpoint></DBInstance>";
            let mut instance = Element::parse(body.as_bytes()).expect("XML");
            show_status(&mut instance, status);
            assert_eq!(instance.get_child("Endpoint").is_some(), shown, "{status}");
        }
    }
}
