//! DynamoDB: tables come up, change and go on the scaled clock, and what DynamoDB refuses meanwhile is refused.

mod support;

use ecs_local::{Options, Weather};
use serde_json::{Value, json};

use self::support::Aws;

fn call(aws: &Aws, operation: &str, body: Value) -> (u16, Value) {
    aws.json("dynamodb", &format!("DynamoDB_20120810.{operation}"), body)
}

fn ok(aws: &Aws, operation: &str, body: Value) -> Value {
    let (status, answer) = call(aws, operation, body);
    assert_eq!(status, 200, "{operation}: {answer}");
    answer
}

/// The code of a refusal.
fn refused(aws: &Aws, operation: &str, body: Value) -> String {
    let (status, answer) = call(aws, operation, body);
    assert_ne!(status, 200, "{operation}: {answer}");
    let code = answer["__type"].as_str().expect("a code");
    code.rsplit('#').next().unwrap_or_default().to_owned()
}

fn create(aws: &Aws, more: Value) -> Value {
    let mut request = json!({
        "TableName": "orders",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    });
    for (member, value) in more.as_object().into_iter().flatten() {
        request[member] = value.clone();
    }
    ok(aws, "CreateTable", request)["TableDescription"].clone()
}

fn add(index: &str) -> Value {
    json!({
        "TableName": "orders",
        "AttributeDefinitions": [
            {"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "day", "AttributeType": "S"},
        ],
        "GlobalSecondaryIndexUpdates": [{"Create": {
            "IndexName": index,
            "KeySchema": [{"AttributeName": "day", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }}],
    })
}

fn named() -> Value {
    json!({"TableName": "orders"})
}

fn with(member: &str, value: Value) -> Value {
    let mut request = named();
    request[member] = value;
    request
}

/// The statuses of the table that come until it has this one, or is gone.
fn statuses(aws: &Aws, last: &str) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    loop {
        let (status, answer) = call(aws, "DescribeTable", named());
        let now = if status == 200 { answer["Table"]["TableStatus"].as_str().unwrap_or_default() } else { "gone" };
        if seen.last().is_none_or(|seen| seen != now) {
            seen.push(now.to_owned());
        }
        if now == last {
            return seen;
        }
    }
}

async fn slow() -> Aws {
    // What takes a minute takes a second and a half: calls come in between on a busy machine, too.
    let scenario = "[provisioning]\ntable = '60s'\ntable-change = '60s'\ntable-index = '120s'\n\
                    table-deletion = '60s'\ntable-backup = '60s'";
    let weather = Weather::parse(scenario).expect("a scenario");
    Aws::start(Options { speed: 40.0, weather, ..Options::default() }).await
}

#[tokio::test]
async fn a_table_comes_up_changes_and_goes() {
    let aws = slow().await;
    assert_eq!(create(&aws, json!({}))["TableStatus"], "CREATING");
    let backups = with("PointInTimeRecoverySpecification", json!({"PointInTimeRecoveryEnabled": true}));
    let ttl = with("TimeToLiveSpecification", json!({"Enabled": true, "AttributeName": "expires"}));
    let protect = with("DeletionProtectionEnabled", json!(true));
    assert_eq!(refused(&aws, "UpdateContinuousBackups", backups.clone()), "ContinuousBackupsUnavailableException");
    assert_eq!(refused(&aws, "UpdateTimeToLive", ttl.clone()), "ResourceInUseException");
    assert_eq!(refused(&aws, "UpdateTable", protect), "ResourceInUseException");
    assert_eq!(refused(&aws, "DeleteTable", named()), "ResourceInUseException");
    assert_eq!(refused(&aws, "CreateBackup", with("BackupName", json!("first"))), "TableInUseException");
    assert_eq!(statuses(&aws, "ACTIVE"), ["CREATING", "ACTIVE"]);
    ok(&aws, "UpdateContinuousBackups", backups);
    ok(&aws, "UpdateTimeToLive", ttl.clone());
    let described = ok(&aws, "DescribeTimeToLive", named());
    assert_eq!(described["TimeToLiveDescription"]["TimeToLiveStatus"], "ENABLING");
    assert_eq!(refused(&aws, "UpdateTimeToLive", ttl), "ValidationException");

    assert_eq!(ok(&aws, "UpdateTable", add("by-day"))["TableDescription"]["TableStatus"], "UPDATING");
    assert_eq!(refused(&aws, "UpdateTable", add("again")), "ResourceInUseException");
    assert_eq!(statuses(&aws, "ACTIVE"), ["UPDATING", "ACTIVE"]);
    let index = |aws: &Aws| ok(aws, "DescribeTable", named())["Table"]["GlobalSecondaryIndexes"][0].clone();
    assert_eq!(index(&aws)["IndexStatus"], "CREATING");
    assert_eq!(refused(&aws, "UpdateTable", add("again")), "LimitExceededException");
    while index(&aws)["IndexStatus"] != "ACTIVE" {}
    let delete = with("GlobalSecondaryIndexUpdates", json!([{"Delete": {"IndexName": "by-day"}}]));
    ok(&aws, "UpdateTable", delete);
    assert_eq!(index(&aws)["IndexStatus"], "DELETING");
    assert_eq!(statuses(&aws, "ACTIVE"), ["UPDATING", "ACTIVE"]);
    assert_eq!(index(&aws), Value::Null);

    ok(&aws, "CreateBackup", with("BackupName", json!("last")));
    assert_eq!(refused(&aws, "DeleteTable", named()), "ResourceInUseException");
    loop {
        let (status, answer) = call(&aws, "DeleteTable", named());
        if status == 200 {
            assert_eq!(answer["TableDescription"]["TableStatus"], "DELETING");
            break;
        }
    }
    // Once more is no error, and leaves no second backup.
    ok(&aws, "DeleteTable", named());
    assert_eq!(statuses(&aws, "gone"), ["DELETING", "gone"]);
    let listed = ok(&aws, "ListBackups", json!({}));
    let mut backups: Vec<String> = listed["BackupSummaries"]
        .as_array()
        .expect("backups")
        .iter()
        .map(|backup| format!("{} {}", backup["BackupName"], backup["BackupType"]).replace('"', ""))
        .collect();
    backups.sort();
    assert_eq!(backups, ["last USER", "orders$DeletedTableBackup SYSTEM"]);
}

#[tokio::test]
async fn what_moto_forgets_of_a_table_is_shown_and_what_dynamodb_refuses_is_refused() {
    let aws = Aws::instant().await;
    let made = create(&aws, json!({"DeletionProtectionEnabled": true, "TableClass": "STANDARD_INFREQUENT_ACCESS"}));
    assert_eq!(made["TableStatus"], "ACTIVE");
    assert_eq!(made["TableClassSummary"]["TableClass"], "STANDARD_INFREQUENT_ACCESS");
    assert_eq!(made.get("GlobalSecondaryIndexes"), None);
    assert_eq!(refused(&aws, "DeleteTable", named()), "ValidationException");

    let key = "arn:aws:kms:us-east-1:123456789012:key/k";
    let encrypt = json!({"Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": key});
    let both = json!({"TableName": "orders", "SSESpecification": encrypt, "TableClass": "STANDARD"});
    assert_eq!(refused(&aws, "UpdateTable", both), "ValidationException");
    let shown = ok(&aws, "UpdateTable", with("SSESpecification", encrypt))["TableDescription"].clone();
    assert_eq!(shown["SSEDescription"]["KMSMasterKeyArn"], key);
    let shown = ok(&aws, "UpdateTable", with("SSESpecification", json!({"Enabled": false})));
    assert_eq!(shown["TableDescription"].get("SSEDescription"), None);

    ok(&aws, "UpdateTable", add("by-day"));
    assert_eq!(refused(&aws, "UpdateTable", add("by-day")), "ValidationException");
    let missing = with("GlobalSecondaryIndexUpdates", json!([{"Delete": {"IndexName": "other"}}]));
    assert_eq!(refused(&aws, "UpdateTable", missing), "ResourceNotFoundException");
    let capacity = json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": 5});
    let mut provisioned =
        json!({"TableName": "orders", "BillingMode": "PROVISIONED", "ProvisionedThroughput": capacity});
    assert_eq!(refused(&aws, "UpdateTable", provisioned.clone()), "ValidationException");
    provisioned["GlobalSecondaryIndexUpdates"] =
        json!([{"Update": {"IndexName": "by-day", "ProvisionedThroughput": capacity}}]);
    let shown = ok(&aws, "UpdateTable", provisioned)["TableDescription"].clone();
    assert_eq!(shown["ProvisionedThroughput"]["ReadCapacityUnits"], 5);
    assert_eq!(shown["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["ReadCapacityUnits"], 5);
    assert_eq!(shown.get("BillingModeSummary"), None);
    let shown = ok(&aws, "UpdateTable", with("BillingMode", json!("PAY_PER_REQUEST")))["TableDescription"].clone();
    assert_eq!(shown["ProvisionedThroughput"]["ReadCapacityUnits"], 0);

    let ttl =
        |on: bool, attribute: &str| with("TimeToLiveSpecification", json!({"Enabled": on, "AttributeName": attribute}));
    assert_eq!(refused(&aws, "UpdateTimeToLive", ttl(false, "a")), "ValidationException");
    ok(&aws, "UpdateTimeToLive", ttl(true, "a"));
    assert_eq!(refused(&aws, "UpdateTimeToLive", ttl(true, "b")), "ValidationException");
    ok(&aws, "UpdateTable", with("DeletionProtectionEnabled", json!(false)));
    ok(&aws, "DeleteTable", named());
    assert_eq!(refused(&aws, "DescribeTable", named()), "ResourceNotFoundException");
}
