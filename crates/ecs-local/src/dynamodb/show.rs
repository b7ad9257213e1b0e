//! Tables as DynamoDB shows them.

use hyper::body::Bytes;
use serde_json::{Value, json};

use super::lifecycle::Table;
use super::{Key, SYSTEM_BACKUP};
use crate::answer::Answer;
use crate::call::Request;
use crate::proxy::Proxy;

/// moto's answer with what moto does not know.
pub(super) fn answer(proxy: &Proxy, request: &Request, key: &Key, mut answer: Answer) -> Answer {
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
    let (known, now) = (proxy.dynamodb.tables.get(key), proxy.clock.now());
    match request.operation.as_str() {
        "CreateTable" | "UpdateTable" => table(&mut body["TableDescription"], &known, now),
        "DescribeTable" => table(&mut body["Table"], &known, now),
        "DescribeTimeToLive" if known.changes_time_to_live(now) => {
            let status = &mut body["TimeToLiveDescription"]["TimeToLiveStatus"];
            *status = json!(if *status == "ENABLED" { "ENABLING" } else { "DISABLING" });
        }
        "ListBackups" => {
            for backup in body["BackupSummaries"].as_array_mut().into_iter().flatten() {
                if backup["BackupName"].as_str().is_some_and(|name| name.ends_with(SYSTEM_BACKUP)) {
                    backup["BackupType"] = json!("SYSTEM");
                }
            }
        }
        _ => return answer,
    }
    answer.body = Bytes::from(body.to_string());
    // moto's checksum is that of moto's body; botocore asks again where it is wrong.
    answer.headers.remove("x-amz-crc32");
    answer
}

/// Shows a table: its status and those of its indexes, its class and its key; what is empty or as usual is not shown.
fn table(table: &mut Value, known: &Table, now: f64) {
    if let Some(status) = known.status(now) {
        table["TableStatus"] = json!(status);
    }
    if let Some(class) = known.class.as_ref().filter(|class| *class != "STANDARD") {
        table["TableClassSummary"] = json!({ "TableClass": class });
    }
    match &known.encryption {
        Some(_) if known.is_being_encrypted(now) => {
            table["SSEDescription"] = json!({ "Status": "UPDATING" });
            if let Some(key) = &known.key_before {
                table["SSEDescription"] = json!({ "Status": "UPDATING", "SSEType": "KMS", "KMSMasterKeyArn": key });
            }
        }
        Some(Some(key)) => {
            table["SSEDescription"] = json!({ "Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key });
        }
        Some(None) => remove(table, "SSEDescription"),
        None => {}
    }
    let on_demand = table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST";
    for index in table["GlobalSecondaryIndexes"].as_array_mut().into_iter().flatten() {
        if known.is_filling(index["IndexName"].as_str().unwrap_or_default(), now) {
            index["IndexStatus"] = json!("CREATING");
        }
        if on_demand {
            index["ProvisionedThroughput"] = json!({ "ReadCapacityUnits": 0, "WriteCapacityUnits": 0 });
        }
    }
    if on_demand {
        table["ProvisionedThroughput"]["ReadCapacityUnits"] = json!(0);
        table["ProvisionedThroughput"]["WriteCapacityUnits"] = json!(0);
    } else {
        remove(table, "BillingModeSummary");
    }
    if let Some(indexes) = table["GlobalSecondaryIndexes"].as_array_mut() {
        indexes.extend(known.going(now).cloned());
    }
    for list in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
        if table[list].as_array().is_some_and(Vec::is_empty) {
            remove(table, list);
        }
    }
    if known.status(now) == Some("DELETING") {
        without_indexes(table);
    }
}

/// "If the table is in the DELETING state, no information about indexes will be returned" (API reference,
/// TableDescription).
pub(super) fn without_indexes(table: &mut Value) {
    remove(table, "GlobalSecondaryIndexes");
    remove(table, "LocalSecondaryIndexes");
}

fn remove(table: &mut Value, member: &str) {
    if let Some(members) = table.as_object_mut() {
        members.remove(member);
    }
}
