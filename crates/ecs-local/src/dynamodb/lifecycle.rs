//! Tables that come up, change and go; moto does all of it at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Key, OWN_KEY, ask};
use crate::call::Request;
use crate::environment::ACCOUNT;
use crate::proxy::Proxy;

/// How long a change of the time to live may take, in which DynamoDB takes no other (API reference, UpdateTimeToLive).
const TIME_TO_LIVE: Duration = Duration::from_secs(60 * 60);

/// Tables of which we know more than moto.
#[derive(Debug, Default)]
pub(super) struct Tables {
    tables: Mutex<HashMap<Key, Table>>,
}

/// What moto does not know of a table; times are simulated.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    /// When it stops being `CREATING`
    created: f64,
    /// When it stops being `UPDATING`
    updated: f64,
    /// When it is gone, if it is being deleted
    gone: Option<f64>,
    /// When its last backup is there
    backed_up: f64,
    /// When another change of the time to live is taken
    time_to_live: f64,
    /// When each index that was added is there
    filling: HashMap<String, f64>,
    /// When each index that was deleted is gone, and how it was described
    going: HashMap<String, (f64, Value)>,
    /// Its class, if it was given one
    pub(super) class: Option<String>,
    /// Its encryption, if it was given or changed: the ARN of the key, or none
    pub(super) encryption: Option<Option<String>>,
    /// When its encryption stops being `UPDATING`: the table is `ACTIVE` meanwhile, and shows the key of before
    encrypted: f64,
    /// That key
    pub(super) key_before: Option<String>,
}

impl Table {
    /// Its status; none: what moto says.
    pub(super) fn status(&self, now: f64) -> Option<&'static str> {
        if self.gone.is_some() {
            Some("DELETING")
        } else if now < self.created {
            Some("CREATING")
        } else {
            (now < self.updated).then_some("UPDATING")
        }
    }

    /// Whether the key that encrypts it is being changed.
    pub(super) fn is_being_encrypted(&self, now: f64) -> bool {
        now < self.encrypted
    }

    /// The ARN of the key that it has or is being given, if any; `described` is what moto says.
    pub(super) fn key(&self, described: &Value) -> Option<String> {
        let moto = || described["SSEDescription"]["KMSMasterKeyArn"].as_str().map(str::to_owned);
        self.encryption.clone().unwrap_or_else(moto)
    }

    /// Whether an index is being filled.
    pub(super) fn is_filling(&self, index: &str, now: f64) -> bool {
        now < self.created || self.filling.get(index).is_some_and(|until| now < *until)
    }

    /// Whether any index is being added or deleted.
    pub(super) fn changes_indexes(&self, now: f64) -> bool {
        let adding = self.filling.values().any(|until| now < *until);
        adding || self.going.values().any(|(until, _)| now < *until)
    }

    /// The indexes that are being deleted, as they were described.
    pub(super) fn going(&self, now: f64) -> impl Iterator<Item = &Value> {
        self.going.values().filter(move |(until, _)| now < *until).map(|(_, index)| index)
    }

    /// Whether a backup of it is being made.
    pub(super) fn is_being_backed_up(&self, now: f64) -> bool {
        now < self.backed_up
    }

    /// Whether a change of its time to live is not over.
    pub(super) fn changes_time_to_live(&self, now: f64) -> bool {
        now < self.time_to_live
    }
}

impl Tables {
    /// Forgets all tables.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// What is known of a table.
    pub(super) fn get(&self, key: &Key) -> Table {
        self.lock().get(key).cloned().unwrap_or_default()
    }

    /// Whether a table is being deleted.
    pub(super) fn is_leaving(&self, key: &Key) -> bool {
        self.get(key).gone.is_some()
    }

    /// Notes that a table is being deleted until a simulated time.
    pub(super) fn leave(&self, key: &Key, until: f64) {
        self.lock().entry(key.clone()).or_default().gone = Some(until);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The simulated time at which something that takes so long is over.
pub(super) fn later(proxy: &Proxy, lasts: Duration) -> f64 {
    proxy.clock.now() + proxy.clock.scale.lasts(lasts.as_secs_f64())
}

/// Makes moto delete the tables whose deletion is over.
pub(super) async fn settle(proxy: &Proxy) {
    let now = proxy.clock.now();
    let due: Vec<Key> = {
        let tables = proxy.dynamodb.tables.lock();
        let due = tables.iter().filter(|(_, table)| table.gone.is_some_and(|gone| gone <= now));
        due.map(|(key, _)| key.clone()).collect()
    };
    for key in due {
        // Before the call: who comes at the same time must not see it deleted twice.
        if proxy.dynamodb.tables.lock().remove(&key).is_some() {
            ask(proxy, &key, "DeleteTable", json!({})).await;
        }
    }
}

/// Notes what a call that moto has carried out began; `before` is the table before an update.
pub(super) fn took_effect(proxy: &Proxy, request: &Request, key: &Key, before: &Value) {
    let call = &request.json;
    let provisioning = &proxy.sky.weather().provisioning;
    let mut tables = proxy.dynamodb.tables.lock();
    match request.operation.as_str() {
        "CreateTable" => {
            let class = call["TableClass"].as_str().map(str::to_owned);
            let created = later(proxy, provisioning.table);
            tables.insert(key.clone(), Table { created, class, encryption: encryption(request), ..Table::default() });
        }
        "UpdateTable" => {
            let table = tables.entry(key.clone()).or_default();
            let change = later(proxy, provisioning.table_change);
            if let Some(class) = call["TableClass"].as_str() {
                table.class = Some(class.to_owned());
            }
            if let Some(encryption) = encryption(request) {
                table.key_before = table.key(before);
                (table.encryption, table.encrypted) = (Some(encryption), change);
            } else {
                table.updated = change;
            }
            let lasts = later(proxy, provisioning.table_index);
            for update in call["GlobalSecondaryIndexUpdates"].as_array().into_iter().flatten() {
                let name = |action: &str| update[action]["IndexName"].as_str().map(str::to_owned);
                if let Some(name) = name("Create") {
                    table.filling.insert(name, lasts);
                } else if let Some(name) = name("Delete") {
                    let described = before["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
                    let mut index = described.clone().find(|index| index["IndexName"] == name.as_str()).cloned();
                    if let Some(index) = &mut index {
                        index["IndexStatus"] = json!("DELETING");
                    }
                    table.going.extend(index.map(|index| (name, (later(proxy, provisioning.table_change), index))));
                }
            }
        }
        "CreateBackup" => {
            tables.entry(key.clone()).or_default().backed_up = later(proxy, provisioning.table_backup);
        }
        "UpdateTimeToLive" => tables.entry(key.clone()).or_default().time_to_live = later(proxy, TIME_TO_LIVE),
        _ => {}
    }
}

/// The encryption that a call asks for, if it does: the ARN of the key, or none.
fn encryption(request: &Request) -> Option<Option<String>> {
    let asked = &request.json["SSESpecification"];
    let own = || format!("arn:aws:kms:{}:{ACCOUNT}:key/{OWN_KEY}", request.region);
    let key = || asked["KMSMasterKeyId"].as_str().map_or_else(own, str::to_owned);
    asked["Enabled"].as_bool().map(|on| on.then(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_creating_then_active_then_updating_then_deleting() {
        let mut table = Table { created: 10.0, ..Table::default() };
        assert_eq!((table.status(9.0), table.status(10.0)), (Some("CREATING"), None));
        assert!(table.is_filling("any", 9.0) && !table.is_filling("any", 10.0));
        table.updated = 20.0;
        table.filling.insert("new".to_owned(), 30.0);
        assert_eq!((table.status(19.0), table.status(20.0)), (Some("UPDATING"), None));
        assert!(table.changes_indexes(29.0) && table.is_filling("new", 29.0) && !table.changes_indexes(30.0));
        table.gone = Some(40.0);
        assert_eq!(table.status(50.0), Some("DELETING"));
    }
}
