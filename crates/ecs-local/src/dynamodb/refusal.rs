//! What DynamoDB refuses and moto takes.

use serde_json::{Value, json};

use super::lifecycle::Table;
use super::{Key, ask, describe};
use crate::call::Request;
use crate::proxy::Proxy;
use crate::refusal::Refusal;

/// Checks a call.
///
/// # Errors
/// What DynamoDB would refuse it with.
pub(super) async fn check(proxy: &Proxy, request: &Request, key: &Key) -> Result<(), Refusal> {
    let (table, now) = (proxy.dynamodb.tables.get(key), proxy.clock.now());
    let status = table.status(now);
    match (request.operation.as_str(), status) {
        ("UpdateTable" | "UpdateTimeToLive", Some(status @ ("CREATING" | "DELETING"))) => Err(in_use(key, status)),
        ("UpdateTable" | "DeleteTable", Some("UPDATING")) => Err(in_use(key, "UPDATING")),
        ("DeleteTable", Some("CREATING")) => Err(in_use(key, "CREATING")),
        ("DeleteTable", None) if table.is_being_encrypted(now) => Err(in_use(key, "UPDATING")),
        // "While a backup is in progress, you can't delete the source table" (developer guide, on-demand backups).
        ("DeleteTable", None) if table.is_being_backed_up(now) => Err(in_use(key, "backed up")),
        ("DeleteTable", None) => check_unprotected(proxy, key).await,
        ("UpdateTable", None) => check_update(proxy, request, key, &table).await,
        ("UpdateTimeToLive", _) => check_time_to_live(proxy, request, key, &table).await,
        ("UpdateContinuousBackups", Some("CREATING")) => {
            let message = format!("Backups are being enabled for the table: {}. Please retry later", key.1);
            Err(Refusal::new("ContinuousBackupsUnavailableException", message))
        }
        ("CreateBackup", Some("CREATING" | "DELETING")) => {
            let message = format!("Table is being created or deleted: {}", key.1);
            Err(Refusal::new("TableInUseException", message))
        }
        _ => Ok(()),
    }
}

fn in_use(key: &Key, status: &str) -> Refusal {
    let doing = match status {
        "CREATING" => "created",
        "UPDATING" => "updated",
        "DELETING" => "deleted",
        other => other,
    };
    let message = format!("Attempt to change a resource which is still in use: Table is being {doing}: {}", key.1);
    Refusal::new("ResourceInUseException", message)
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new("ValidationException", message)
}

async fn check_unprotected(proxy: &Proxy, key: &Key) -> Result<(), Refusal> {
    if describe(proxy, key).await["DeletionProtectionEnabled"] == true {
        return Err(invalid(
            "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection \
             first.",
        ));
    }
    Ok(())
}

/// "You can only perform one of the following operations at once" (API reference, UpdateTable); and what does not change
/// is refused.
async fn check_update(proxy: &Proxy, request: &Request, key: &Key, known: &Table) -> Result<(), Refusal> {
    let table = describe(proxy, key).await;
    if table.is_null() {
        // moto says so.
        return Ok(());
    }
    let call = &request.json;
    let empty = Vec::new();
    let updates = call["GlobalSecondaryIndexUpdates"].as_array().unwrap_or(&empty);
    let indexes = || table["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
    let has = |name: &Value| indexes().any(|index| index["IndexName"] == *name);
    let changed = updates.iter().filter(|update| !update["Create"].is_null() || !update["Delete"].is_null()).count();
    let capacity = !call["ProvisionedThroughput"].is_null() || !call["BillingMode"].is_null();
    if changed > 1 || (changed == 1 && known.changes_indexes(proxy.clock.now())) {
        let message =
            "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table";
        return Err(Refusal::new("LimitExceededException", message));
    }
    let kinds = [changed > 0, capacity, !call["TableClass"].is_null(), !call["SSESpecification"].is_null()];
    if kinds.iter().filter(|kind| **kind).count() > 1 {
        return Err(invalid(
            "One or more parameter values were invalid: Only one kind of change can be made at a time",
        ));
    }
    check_encryption(call, &table, known, proxy.clock.now())?;
    check_capacity(call, &table, updates)?;
    for update in updates {
        if has(&update["Create"]["IndexName"]) && !update["Create"].is_null() {
            return Err(invalid("Attempting to create an index which already exists"));
        }
        if !update["Delete"].is_null() && !has(&update["Delete"]["IndexName"]) {
            return Err(Refusal::new("ResourceNotFoundException", "Requested resource not found"));
        }
    }
    let provisioned = call["BillingMode"] == "PROVISIONED";
    let names = updates.iter().map(|update| &update["Update"]["IndexName"]);
    let left = indexes().find(|index| !names.clone().any(|name| *name == index["IndexName"]));
    if let Some(left) = left.filter(|_| provisioned) {
        let message = "One or more parameter values were invalid: ProvisionedThroughput must be specified for index:";
        return Err(invalid(format!("{message} {}", left["IndexName"].as_str().unwrap_or_default())));
    }
    if call["BillingMode"] == "PAY_PER_REQUEST" && !call["ProvisionedThroughput"].is_null() {
        return Err(invalid("ProvisionedThroughput cannot be specified when BillingMode is PAY_PER_REQUEST"));
    }
    Ok(())
}

/// Refuses a key that the table has, by its ARN, and any other while one is being changed. The account's own key is no
/// refusal when it is asked for again: the table is encrypted anew.
fn check_encryption(call: &Value, table: &Value, known: &Table, now: f64) -> Result<(), Refusal> {
    let asked = &call["SSESpecification"];
    let Some(on) = asked["Enabled"].as_bool() else { return Ok(()) };
    if known.is_being_encrypted(now) {
        let message =
            "Attempt to change a resource which is still in use: Server-Side Encryption is still being updated";
        return Err(Refusal::new("ResourceInUseException", message));
    }
    match (on, known.key(table), asked["KMSMasterKeyId"].as_str()) {
        (false, None, _) => {
            Err(invalid("One or more parameter values were invalid: Table is already encrypted by default"))
        }
        (true, Some(is), Some(asked)) if is == asked => Err(invalid(
            "One or more parameter values were invalid: Table is already encrypted with given KMSMasterKeyId. Use \
             KMSMasterKeyId parameter if you want to change Master Key",
        )),
        _ => Ok(()),
    }
}

/// Refuses capacity of a table or an index that is as it is.
fn check_capacity(call: &Value, table: &Value, updates: &[Value]) -> Result<(), Refusal> {
    if table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST" {
        return Ok(());
    }
    let check = |what: &str, asked: &Value, is: &Value| {
        let (read, write) = ("ReadCapacityUnits", "WriteCapacityUnits");
        if asked.is_null() || asked[read] != is[read] || asked[write] != is[write] {
            return Ok(());
        }
        let units = |name: &str| {
            let noun = what.split(' ').next().unwrap_or_default();
            format!("Current {name} provisioned for the {noun}: {}. Requested {name}: {}.", is[name], asked[name])
        };
        Err(invalid(format!(
            "The provisioned throughput for the {what} will not change. The requested value equals the current value. \
             {} {} Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.",
            units(read),
            units(write)
        )))
    };
    check("table", &call["ProvisionedThroughput"], &table["ProvisionedThroughput"])?;
    let indexes = || table["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
    for update in updates.iter().map(|update| &update["Update"]).filter(|update| !update.is_null()) {
        if let Some(index) = indexes().find(|index| index["IndexName"] == update["IndexName"]) {
            let what = format!("index {}", update["IndexName"].as_str().unwrap_or_default());
            check(&what, &update["ProvisionedThroughput"], &index["ProvisionedThroughput"])?;
        }
    }
    Ok(())
}

async fn check_time_to_live(proxy: &Proxy, request: &Request, key: &Key, known: &Table) -> Result<(), Refusal> {
    let described = ask(proxy, key, "DescribeTimeToLive", json!({})).await;
    let is = &described["TimeToLiveDescription"];
    let wanted = &request.json["TimeToLiveSpecification"];
    if known.changes_time_to_live(proxy.clock.now()) {
        return Err(invalid("Time to live has been modified multiple times within a fixed interval"));
    }
    match (is["TimeToLiveStatus"].as_str(), wanted["Enabled"].as_bool()) {
        (Some("ENABLED"), Some(true)) if is["AttributeName"] == wanted["AttributeName"] => {
            Err(invalid("TimeToLive is already enabled"))
        }
        (Some("ENABLED"), Some(true)) => Err(invalid(format!(
            "TimeToLive is active on a different AttributeName: current AttributeName is {}",
            is["AttributeName"].as_str().unwrap_or_default()
        ))),
        (Some("DISABLED"), Some(false)) => Err(invalid("TimeToLive is already disabled")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_that_is_as_it_is_is_refused() {
        let units = |read: u32| json!({"ReadCapacityUnits": read, "WriteCapacityUnits": 5});
        let table = json!({
            "ProvisionedThroughput": units(5),
            "GlobalSecondaryIndexes": [{"IndexName": "by-day", "ProvisionedThroughput": units(5)}]
        });
        let index = |read: u32| json!({"Update": {"IndexName": "by-day", "ProvisionedThroughput": units(read)}});
        let refused = |read: u32, indexes: &[Value]| {
            check_capacity(&json!({"ProvisionedThroughput": units(read)}), &table, indexes).is_err()
        };
        assert!(!refused(6, &[]) && !refused(6, &[index(6)]));
        assert!(refused(5, &[]) && refused(6, &[index(5)]));
    }

    #[test]
    fn a_key_that_the_table_has_is_refused_by_its_arn_alone() {
        let (known, table) = (Table::default(), json!({"SSEDescription": {"KMSMasterKeyArn": "arn:k"}}));
        let refused = |specification: Value, table: &Value| {
            check_encryption(&json!({"SSESpecification": specification}), table, &known, 0.0).is_err()
        };
        assert!(refused(json!({"Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": "arn:k"}), &table));
        assert!(!refused(json!({"Enabled": true, "SSEType": "KMS"}), &table));
        assert!(!refused(json!({"Enabled": false}), &table) && refused(json!({"Enabled": false}), &json!({})));
    }
}
