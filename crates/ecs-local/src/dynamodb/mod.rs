//! DynamoDB, where moto is wrong: tables that come up, change and go, what is refused meanwhile, and what moto forgets.

mod lifecycle;
mod refusal;
mod show;

use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::{Value, json};

use self::lifecycle::Tables;
use crate::answer::Answer;
use crate::call::Request;
use crate::proxy::Proxy;
use crate::turn::Turn;

/// What the target of DynamoDB's calls starts with.
const TARGET: &str = "DynamoDB_20120810";

/// The account's own key for DynamoDB, `aws/dynamodb`.
const OWN_KEY: &str = "00000000-0000-4000-8000-00000000dddb";

/// What ends the name of the backup that DynamoDB itself makes of a table with point-in-time recovery.
const SYSTEM_BACKUP: &str = "$DeletedTableBackup";

/// What we keep of DynamoDB ourselves.
#[derive(Debug, Default)]
pub(crate) struct State {
    turn: Turn,
    tables: Tables,
}

impl State {
    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.tables.clear();
    }
}

/// A table by its region and name.
type Key = (String, String);

/// Answers a call to DynamoDB.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    let _turn = proxy.dynamodb.turn.take(request).await;
    lifecycle::settle(proxy).await;
    let key = key(request);
    if let Err(refusal) = refusal::check(proxy, request, &key).await {
        return refusal.answer(request);
    }
    if request.operation == "DeleteTable" {
        return delete(proxy, request, &key).await;
    }
    let before = if request.operation == "UpdateTable" { describe(proxy, &key).await } else { Value::Null };
    let answer = proxy.upstream.forward(request).await;
    if !answer.status.is_success() {
        return answer;
    }
    lifecycle::took_effect(proxy, request, &key, &before);
    show::answer(proxy, request, &key, answer)
}

/// The table that a call is about, by its name or ARN.
fn key(request: &Request) -> Key {
    let given = request.json["TableName"].as_str().unwrap_or_default();
    let name = given.split_once(":table/").map_or(given, |(_, name)| name);
    (request.region.clone(), name.to_owned())
}

/// A table as moto describes it; null if there is none.
async fn describe(proxy: &Proxy, key: &Key) -> Value {
    ask(proxy, key, "DescribeTable", json!({})).await["Table"].take()
}

/// Asks moto about a table.
async fn ask(proxy: &Proxy, (region, name): &Key, operation: &str, mut members: Value) -> Value {
    members["TableName"] = json!(name);
    let reply = proxy.upstream.json("dynamodb", region, &format!("{TARGET}.{operation}"), &members).await;
    reply.ok().and_then(|body| serde_json::from_str(&body).ok()).unwrap_or(Value::Null)
}

/// Deletes a table: it is `DELETING` for a while. One with point-in-time recovery leaves a system backup behind
/// (developer guide, "Delete a table with PITR enabled"); one that is being deleted is no error (API reference).
async fn delete(proxy: &Proxy, request: &Request, key: &Key) -> Answer {
    let mut table = describe(proxy, key).await;
    if table.is_null() {
        // moto refuses in DynamoDB's own words.
        return proxy.upstream.forward(request).await;
    }
    if !proxy.dynamodb.tables.is_leaving(key) {
        let backups = ask(proxy, key, "DescribeContinuousBackups", json!({})).await;
        let recovery = &backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"];
        if recovery["PointInTimeRecoveryStatus"] == "ENABLED" {
            ask(proxy, key, "CreateBackup", json!({ "BackupName": format!("{}{SYSTEM_BACKUP}", key.1) })).await;
        }
        proxy.dynamodb.tables.leave(key, lifecycle::later(proxy, proxy.sky.weather().provisioning.table_deletion));
        lifecycle::settle(proxy).await;
    }
    table["TableStatus"] = json!("DELETING");
    show::without_indexes(&mut table);
    let mut answer = Answer::json(StatusCode::OK, &Value::Null);
    answer.body = Bytes::from(json!({ "TableDescription": table }).to_string());
    answer
}
