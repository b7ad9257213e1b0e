//! A locked-down container and a DynamoDB table: made, protected, changed on a living stack, and taken away again.

use ecs_pipe_tests::{BACKWARDS, Cloud, TOOLS, item, overlay, python};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

/// The ARN of the account's own key for DynamoDB, which ecs-local has.
const OWN_KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-4000-8000-00000000dddb";
const FLASK: &str = "--stack tests/stacks/flask-dynamodb.toml";
const ARN: &str = "arn:aws:dynamodb:eu-west-1:123456789012:table/flask-orders";

/// Returns the arguments for the stack with an overlay.
fn with(overlay: &NamedTempFile) -> String {
    format!("{FLASK} --stack {}", overlay.path().display())
}

/// Returns everything that exists in the stack's region.
async fn inventory(cloud: &Cloud) -> Value {
    cloud.reader("inventory --region eu-west-1").await.ok().json()
}

/// Destroys the whole stack, and checks that nothing of it is left.
async fn assert_gone(cloud: &Cloud, arguments: &str) {
    cloud.pipe(&BACKWARDS, "destroy", arguments).await.ok();
    cloud.assert_nothing_left("--stack flask --region eu-west-1").await;
}

fn names(list: &Value) -> Vec<&str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| item["tags"]["Name"].as_str()).collect()
}

fn backups(inventory: &Value) -> Vec<String> {
    let all = inventory["table_backups"].as_array().into_iter().flatten();
    all.map(|backup| format!("{} {}", backup["BackupName"].as_str().unwrap_or_default(), backup["BackupType"]))
        .collect()
}

#[tokio::test]
async fn a_service_reaches_exactly_its_table_and_nothing_deletes_that_unasked() {
    let cloud = Cloud::start().await;
    let made = cloud.pipe(&TOOLS, "", FLASK).await.ok().json();
    assert_eq!(made["tables"], json!({"orders": {"name": "flask-orders", "arn": ARN}}));
    assert!(made["db"].is_null());
    cloud.assert_settled(&TOOLS, FLASK, "made").await;

    let is = inventory(&cloud).await;
    let table = item(&is["tables"], "TableName", "flask-orders");
    assert_eq!(table["TableStatus"], "ACTIVE");
    assert_eq!(
        table["KeySchema"],
        json!([
            {"AttributeName": "customer", "KeyType": "HASH"},
            {"AttributeName": "placed", "KeyType": "RANGE"},
        ])
    );
    assert_eq!(
        table["AttributeDefinitions"],
        json!([
            {"AttributeName": "customer", "AttributeType": "S"},
            {"AttributeName": "placed", "AttributeType": "N"},
        ])
    );
    assert_eq!(table["BillingModeSummary.BillingMode"], "PAY_PER_REQUEST");
    assert_eq!((&table["SSEDescription.SSEType"], &table["SSEDescription.Status"]), (&json!("KMS"), &json!("ENABLED")));
    assert_eq!(table["DeletionProtectionEnabled"], true);
    assert_eq!((&table["recovery"], &table["ttl"]), (&json!("ENABLED"), &json!("DISABLED")));
    assert_eq!(
        table["tags"],
        json!({
            "Name": "flask-orders", "ecs-pipe:layer": "db", "ecs-pipe:stack": "flask", "ecs-pipe:aws-managed-key": OWN_KEY
        })
    );

    // The way to the table: a route of the private subnets' tables, and never the internet.
    let endpoint = item(&is["vpc_endpoints"], "ServiceName", "com.amazonaws.eu-west-1.dynamodb");
    assert_eq!(endpoint["VpcEndpointType"], "Gateway");
    let private = ["flask-private-eu-west-1a", "flask-private-eu-west-1b"];
    assert_eq!(endpoint["route_tables"], json!(private));
    assert_eq!(names(&is["nat_gateways"]), ["flask-nat-eu-west-1a"]);

    let service = item(&is["services"], "serviceName", "flask-service");
    assert_eq!((&service["subnets"], &service["public_ip"]), (&json!(private), &json!("DISABLED")));
    assert_eq!(service["load_balancers"], json!(["flask-tg → flask:5000"]));
    let balancer = item(&is["load_balancers"], "LoadBalancerName", "flask");
    assert_eq!(balancer["Scheme"], "internet-facing");
    assert_eq!(balancer["subnets"], json!(["flask-public-eu-west-1a", "flask-public-eu-west-1b"]));
    assert_ne!(item(&is["repositories"], "repositoryName", "flask-repo"), &Value::Null);
    let definition = item(&is["task_definitions"], "family", "flask-task");
    let container = item(&definition["containers"], "name", "flask");
    assert_eq!(container["environment"], json!({"TABLE_NAME": "flask-orders"}));
    let role = item(&is["roles"], "RoleName", "flaskTaskRole");
    assert_eq!(definition["task_role"], "flaskTaskRole");
    let actions = ["DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"].map(|name| format!("dynamodb:{name}"));
    let allowed = json!({"flask-service": [{"Effect": "Allow", "Action": actions, "Resource": [ARN]}]});
    assert_eq!((&role["inline"], &role["managed"]), (&allowed, &json!([])));

    // A protected table is not deleted, and one that a file takes the protection from is, but not its data.
    cloud.take_calls();
    let refused = cloud.shell(&format!("ecs-db destroy --no-input {FLASK}")).await;
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    for part in ["it is protected from deletion", "flask-orders", "deletion_protection = false"] {
        assert!(refused.stderr.contains(part), "{part} is not in:\n{}", refused.stderr);
    }
    assert_eq!(cloud.take_writes(), [""; 0]);
    let unprotected = overlay("[tables.orders]\ndeletion_protection = false\n");
    let said = cloud.shell(&format!("ecs-db --no-input {}", with(&unprotected))).await.ok().stderr;
    assert!(said.contains("deletion protection: true -> false"), "{said}");
    assert_gone(&cloud, &with(&unprotected)).await;
    let left = inventory(&cloud).await;
    assert_eq!(
        (&left["tables"], backups(&left)),
        (&json!([]), vec![r#"flask-orders$DeletedTableBackup "SYSTEM""#.to_owned()])
    );
}

/// No way out of the private subnets, and a parameter that tells of the table.
const CLOSED: &str = r#"
[net]
nat = "none"
gateway_endpoints = ["s3", "dynamodb"]
interface_endpoints = ["ecr.api", "ecr.dkr", "logs", "ssm"]

[tables.orders]
point_in_time_recovery = false
deletion_protection = false

[parameters]
"/flask/TABLE_ARN" = "${table.orders.arn}"
"/flask/TABLE_NAME" = "${table.orders.name}"

[services.flask.secrets]
TABLE_ARN = "/flask/TABLE_ARN"
"#;

#[tokio::test]
async fn a_service_without_a_way_out_has_endpoints_and_its_tables_change_in_place() {
    let cloud = Cloud::start().await;
    let closed = overlay(CLOSED);
    let refused = overlay("[services.flask.environment]\nTABLE_NAME = \"${table.order.name}\"\n");
    let refused = cloud.shell(&format!("ecs-net plan --no-input {}", with(&refused))).await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("did you mean `${table.orders.name}`?"), "{}", refused.stderr);
    assert!(refused.stderr.contains(".toml:2:"), "{}", refused.stderr);

    let made = cloud.pipe(&TOOLS, "", &with(&closed)).await.ok().json();
    assert_eq!(made["egress"]["nat_gateway_ids"], json!([]));
    cloud.assert_settled(&TOOLS, &with(&closed), "without a way out").await;
    let is = inventory(&cloud).await;
    let mut services: Vec<String> = Vec::new();
    for endpoint in is["vpc_endpoints"].as_array().expect("endpoints") {
        let service = endpoint["ServiceName"].as_str().unwrap_or_default();
        services.push(format!(
            "{} {}",
            service.trim_start_matches("com.amazonaws.eu-west-1."),
            endpoint["VpcEndpointType"]
        ));
    }
    services.sort();
    assert_eq!(
        services,
        [
            r#"dynamodb "Gateway""#,
            r#"ecr.api "Interface""#,
            r#"ecr.dkr "Interface""#,
            r#"logs "Interface""#,
            r#"s3 "Gateway""#,
            r#"ssm "Interface""#,
        ]
    );
    assert_eq!((&is["nat_gateways"], &is["elastic_ips"]), (&json!([]), &json!([])));
    let parameter = item(&is["parameters"], "Name", "/flask/TABLE_ARN");
    assert_eq!((&parameter["value"], &parameter["tags"]["ecs-pipe:layer"]), (&json!(ARN), &json!("db")));

    // Another key is seen, although DynamoDB shows the account's own like any other.
    let db = ["ecs-db"];
    let boto = async |lines: &str| {
        cloud
            .by_hand(&format!(
                "dynamodb, ssm = [boto3.client(one, region_name='eu-west-1') for one in ('dynamodb', 'ssm')]\n{lines}"
            ))
            .await
    };
    let theirs = "arn:aws:kms:eu-west-1:123456789012:key/theirs";
    boto(&format!(
        "dynamodb.update_table(TableName='flask-orders', \
         SSESpecification={{'Enabled': True, 'SSEType': 'KMS', 'KMSMasterKeyId': '{theirs}'}})"
    ))
    .await;
    let said = cloud.shell(&format!("ecs-db --no-input {}", with(&closed))).await.ok().stderr;
    assert!(said.contains(&format!("encryption: {theirs} -> aws_managed")), "{said}");
    cloud.assert_settled(&db, &with(&closed), "encrypted with its own key again").await;

    // What DynamoDB changes one after the other comes in one run, and a second table beside it.
    let grown = overlay(&format!(
        "{CLOSED}\n[tables.orders.indexes]\n\
         by-day = {{ partition_key = {{ name = \"day\", type = \"S\" }}, projection = [\"total\"] }}\n\
         by-state = {{ partition_key = {{ name = \"state\", type = \"S\" }}, sort_key = {{ name = \"placed\", type = \"N\" }} }}\n\
         [tables.sessions]\npartition_key = {{ name = \"id\", type = \"S\" }}\npoint_in_time_recovery = false\n"
    ));
    let grown_text = std::fs::read_to_string(grown.path()).expect("text");
    let grown = overlay(&grown_text.replace(
        "deletion_protection = false",
        "deletion_protection = false\nbilling = { read = 5, write = 4 }\nencryption = \"aws_owned\"\nttl = \"expires\"\n\
         table_class = \"standard_infrequent_access\"",
    ));
    cloud.pipe(&db, "", &with(&grown)).await.ok();
    cloud.assert_settled(&db, &with(&grown), "grown").await;
    let is = inventory(&cloud).await;
    let table = item(&is["tables"], "TableName", "flask-orders");
    assert_eq!(table["ProvisionedThroughput.ReadCapacityUnits"], 5);
    assert_eq!((&table["ttl"], &table["ttl_attribute"]), (&json!("ENABLED"), &json!("expires")));
    assert_eq!(table["TableClassSummary.TableClass"], "STANDARD_INFREQUENT_ACCESS");
    assert_eq!(table.get("SSEDescription.SSEType"), None);
    let index = |name: &str| item(&table["GlobalSecondaryIndexes"], "IndexName", name);
    assert_eq!(index("by-day")["Projection"], json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": ["total"]}));
    assert_eq!(index("by-state")["ProvisionedThroughput.WriteCapacityUnits"], 4);
    assert_ne!(item(&is["tables"], "TableName", "flask-sessions"), &Value::Null);
    // DynamoDB refuses capacity that is as it is: the indexes' is left out where the table's alone differs.
    boto(
        "dynamodb.update_table(TableName='flask-orders', \
          ProvisionedThroughput={'ReadCapacityUnits': 1, 'WriteCapacityUnits': 4})",
    )
    .await;
    let said = cloud.shell(&format!("ecs-db --no-input {}", with(&grown))).await.ok().stderr;
    assert!(said.contains("billing: 1 read, 4 write -> 5 read, 4 write"), "{said}");

    // What cannot change is refused; what the file no longer has is shown, and gone only with --prune, with a backup.
    let other = overlay(&grown_text.replace("name = \"id\"", "name = \"token\""));
    let refused = cloud.shell(&format!("ecs-db --no-input {}", with(&other))).await;
    assert!(refused.code == 1 && refused.stderr.contains("key: id (S) -> token (S)"), "{}", refused.stderr);
    // So does a parameter; but what may be the password of a database stays, and is named.
    boto(
        "ssm.put_parameter(Name='/flask/DB_PASSWORD', Value='hunter2', Type='SecureString', Tags=[\
         {'Key': 'ecs-pipe:stack', 'Value': 'flask'}, {'Key': 'ecs-pipe:layer', 'Value': 'db'}])",
    )
    .await;
    let closed = overlay(&CLOSED.replace("\"/flask/TABLE_NAME\" = \"${table.orders.name}\"\n", ""));
    let said = cloud.shell(&format!("ecs-db --no-input {}", with(&closed))).await.ok().stderr;
    for former in ["global secondary index by-day", "global secondary index by-state", "table flask-sessions"] {
        assert!(said.contains(&format!("{former} is no longer needed: left alone")), "{former}: {said}");
    }
    let said = cloud.shell(&format!("ecs-db --no-input --prune {}", with(&closed))).await.ok().stderr;
    assert!(said.contains("parameter /flask/DB_PASSWORD is not in the stack file: it may hold the password"), "{said}");
    cloud.assert_settled(&db, &with(&closed), "pruned").await;
    let is = inventory(&cloud).await;
    let parameter = |name: &str| item(&is["parameters"], "Name", name) != &Value::Null;
    assert_eq!(
        ["TABLE_ARN", "TABLE_NAME", "DB_PASSWORD"].map(|name| parameter(&format!("/flask/{name}"))),
        [true, false, true]
    );
    boto("ssm.delete_parameter(Name='/flask/DB_PASSWORD')").await;
    let table = item(&is["tables"], "TableName", "flask-orders");
    assert_eq!((&table["GlobalSecondaryIndexes"], &table["ttl"]), (&json!([]), &json!("DISABLED")));
    assert_eq!(item(&is["tables"], "TableName", "flask-sessions"), &Value::Null);
    let kept = backups(&is);
    assert!(matches!(kept.as_slice(), [one] if one.starts_with("flask-sessions-final-20")), "{kept:?}");

    assert_gone(&cloud, &with(&closed)).await;
    assert_eq!(backups(&inventory(&cloud).await).len(), 2, "the other table's data is kept too");
}

#[tokio::test]
async fn a_table_that_takes_its_time_is_waited_for() {
    let scenario = "[provisioning]\ntable = '60s'\ntable-change = '30s'\ntable-index = '60s'\n\
                    table-deletion = '60s'\ntable-backup = '60s'";
    let weather = ecs_local::Weather::parse(scenario).expect("a scenario");
    let options = ecs_local::Options { speed: 100.0, weather, ..ecs_local::Options::default() };
    let cloud = Cloud::start_with(options).await;
    let index = "indexes.by-day = { partition_key = { name = \"day\", type = \"S\" } }\n";
    let text = format!("[tables.orders]\ndeletion_protection = false\nttl = \"expires\"\n{index}");
    let first = overlay(&text);
    let made = cloud.shell(&format!("ecs-db --no-input {}", with(&first))).await.ok();
    assert_eq!(made.json()["tables"]["orders"]["arn"], ARN);
    let second =
        overlay(&format!("{text}indexes.by-state = {{ partition_key = {{ name = \"state\", type = \"S\" }} }}\n"));
    cloud.shell(&format!("ecs-db --no-input {}", with(&second))).await.ok();
    cloud.take_calls();
    cloud.shell(&format!("ecs-db --no-input {}", with(&second))).await.ok();
    assert_eq!(cloud.take_writes(), [""; 0]);
    let none = overlay(&format!("{text}point_in_time_recovery = false\nencryption = \"aws_owned\"\n"));
    cloud.shell(&format!("ecs-db --no-input --prune {}", with(&none))).await.ok();
    cloud.shell(&format!("ecs-db destroy --no-input {}", with(&none))).await.ok();
    let left = inventory(&cloud).await;
    assert_eq!((&left["tables"], backups(&left).len()), (&json!([]), 1));
}

#[tokio::test]
async fn a_table_of_somebody_elses_is_left_alone_until_it_is_taken_over() {
    let cloud = Cloud::start().await;
    let theirs = "import boto3; boto3.client('dynamodb', region_name='eu-west-1').create_table(TableName='flask-orders', \
                  BillingMode='PAY_PER_REQUEST', KeySchema=[{'AttributeName': 'customer', 'KeyType': 'HASH'}, \
                  {'AttributeName': 'placed', 'KeyType': 'RANGE'}], AttributeDefinitions=[\
                  {'AttributeName': 'customer', 'AttributeType': 'S'}, {'AttributeName': 'placed', 'AttributeType': 'N'}])";
    cloud.run(&python().display().to_string(), &["-c", theirs], "").await.ok();
    cloud.take_calls();
    let refused = cloud.shell(&format!("ecs-db --no-input {FLASK}")).await;
    assert!(refused.code == 1 && refused.stderr.contains("does not belong to this stack"), "{}", refused.stderr);
    assert_eq!(cloud.take_writes(), [""; 0]);
    cloud.shell(&format!("ecs-db --no-input --adopt {FLASK}")).await.ok();
    cloud.assert_settled(&["ecs-db"], FLASK, "adopted").await;
    let is = inventory(&cloud).await;
    assert_eq!(item(&is["tables"], "TableName", "flask-orders")["tags"]["ecs-pipe:stack"], "flask");
}
