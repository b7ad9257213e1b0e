//! How a DynamoDB table differs from the stack file.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{
    BillingMode, IndexStatus, KeySchemaElement, KeyType, Projection, ProjectionType, ProvisionedThroughputDescription,
    TableClass, TableDescription, TableStatus,
};
use ecs_core::Change;
use ecs_core::stack::{self, KeyAttribute, ProjectionKind, TableConfig, Throughput};

use crate::dynamodb::Live;
use crate::table_shape::{self as shape, AWS_MANAGED, AWS_OWNED};

/// Field of a [`Change`]: continuous backups.
pub const RECOVERY: &str = "point-in-time recovery";
/// Field of a [`Change`]: the attribute that says when an item expires.
pub const TIME_TO_LIVE: &str = "time to live";
/// Field of a [`Change`]: deletion protection.
pub const PROTECTION: &str = "deletion protection";
/// Field of a [`Change`]: the table class.
pub const CLASS: &str = "table class";
/// Field of a [`Change`]: billing mode and capacity.
pub const BILLING: &str = "billing";
/// Field of a [`Change`]: the key that encrypts the table.
pub const ENCRYPTION: &str = "encryption";
/// Field of a [`Change`]: the tag that tells which key is the account's own.
pub const MANAGED_KEY_TAG: &str = "tag of the AWS managed key";
/// Field of a [`Change`]: one global secondary index.
pub const INDEX: &str = "global secondary index";
/// Field of a [`Change`]: the capacity of one global secondary index.
pub const INDEX_THROUGHPUT: &str = "capacity of a global secondary index";

/// What a table keeps for life.
const FOR_LIFE: &str = "DynamoDB cannot change it: set it in the stack file to what it is, or give the table another \
                        `name` for a new, empty table, and copy the items over";
/// What to do about an index that would have to be another one.
const OTHER_INDEX: &str = "DynamoDB cannot change an index: give it another name in the stack file, which makes it beside \
                           the one there is; --prune then removes that one";

/// Returns the change that adds an index.
pub fn add_index(name: &str) -> Change {
    Change::update(INDEX, "", name)
}

/// Returns the index that a change of its capacity is about.
pub fn index_of(change: &Change) -> &str {
    change.to.split(' ').next().unwrap_or_default()
}

/// Compares a table with what is wanted.
pub fn changes(config: &TableConfig, live: &Live) -> Vec<Change> {
    let described = &live.described;
    if described.table_status() == Some(&TableStatus::Deleting) {
        return Vec::new();
    }
    let protection = described.deletion_protection_enabled().unwrap_or_default();
    let class = described.table_class_summary().and_then(|summary| summary.table_class());
    let class = class.unwrap_or(&TableClass::Standard);
    let mut changes: Vec<Change> = [
        key(described, config),
        Change::of(PROTECTION, &protection, &config.deletion_protection),
        Change::of(RECOVERY, &live.recovery, &config.point_in_time_recovery),
        time_to_live(live.ttl.as_deref(), config.ttl.as_deref()),
        Change::of(CLASS, &class.as_str(), &shape::class(config.table_class).as_str()),
        Change::of(BILLING, &billing(described), &words(config.throughput())),
        encryption(live, &config.encryption),
    ]
    .into_iter()
    .flatten()
    .collect();
    changes.extend(local_indexes(described, config));
    changes.extend(indexes(described, config));
    changes
}

/// Compares the key, and the types of its attributes.
fn key(live: &TableDescription, config: &TableConfig) -> Option<Change> {
    let is = written(live.key_schema(), live);
    Change::of("key", &is, &wanted(config.key())).map(|change| change.refused(FOR_LIFE))
}

/// Writes a key as DynamoDB has it: `customer (S), placed (N)`; what has no type here is nothing to compare.
fn written(schema: &[KeySchemaElement], live: &TableDescription) -> String {
    let mut keys: Vec<_> = schema.iter().collect();
    keys.sort_by_key(|element| element.key_type != KeyType::Hash);
    let kind = |name: &str| {
        let definition = live.attribute_definitions().iter().find(|one| one.attribute_name() == name);
        definition.map(|one| format!(" ({})", one.attribute_type().as_str())).unwrap_or_default()
    };
    let key = |element: &&KeySchemaElement| format!("{}{}", element.attribute_name(), kind(element.attribute_name()));
    keys.iter().map(key).collect::<Vec<_>>().join(", ")
}

fn wanted<'k>(key: impl Iterator<Item = &'k KeyAttribute>) -> String {
    key.map(|attribute| format!("{} ({})", attribute.name, attribute.kind.name())).collect::<Vec<_>>().join(", ")
}

fn time_to_live(is: Option<&str>, wanted: Option<&str>) -> Option<Change> {
    let text = |attribute: Option<&str>| attribute.unwrap_or("off").to_owned();
    let change = Change::of(TIME_TO_LIVE, &text(is), &text(wanted))?;
    // DynamoDB takes no second attribute while there is one, and up to an hour to give that up.
    let other = is.is_some() && wanted.is_some();
    Some(if other {
        change.refused("DynamoDB takes another attribute an hour after it was switched off: leave `ttl` out, run ecs-db, and set it then")
    } else {
        change
    })
}

fn billing(live: &TableDescription) -> String {
    let mode = live.billing_mode_summary().and_then(|summary| summary.billing_mode());
    if mode == Some(&BillingMode::PayPerRequest) { words(None) } else { capacity(live.provisioned_throughput()) }
}

fn capacity(live: Option<&ProvisionedThroughputDescription>) -> String {
    let units = |units: Option<i64>| units.unwrap_or_default();
    let (read, write) =
        live.map_or((0, 0), |live| (units(live.read_capacity_units()), units(live.write_capacity_units())));
    format!("{read} read, {write} write")
}

fn words(throughput: Option<Throughput>) -> String {
    throughput.map_or("on demand".to_owned(), |Throughput { read, write }| format!("{read} read, {write} write"))
}

/// Compares the key that encrypts the table: the account's own is the one that has been noted as such.
///
/// Told again to use it, a table is encrypted anew, and nothing else comes of it.
fn encryption(live: &Live, wanted: &str) -> Option<Change> {
    let key = live.kms_key().unwrap_or(AWS_OWNED);
    let is = if live.managed_key() == Some(key) { AWS_MANAGED } else { key };
    (is != wanted && key != wanted).then(|| Change::update(ENCRYPTION, is, wanted))
}

/// Returns the ARN of the account's own key, where a table that this run has had use it does not carry it as a tag.
pub fn unnoted_key<'l>(config: &TableConfig, live: &'l Live) -> Option<&'l str> {
    let key = live.kms_key().filter(|_| config.encryption == AWS_MANAGED && !live.is_being_encrypted())?;
    (live.managed_key() != Some(key)).then_some(key)
}

/// Says whether a table has capacity that is set.
pub fn is_provisioned(live: &TableDescription) -> bool {
    billing(live) != words(None)
}

/// Returns the global secondary indexes whose capacity is to be set together with the table's.
///
/// A table that gets such capacity needs it for all of them. Later DynamoDB refuses what is as it is: "The requested value
/// equals the current value".
pub fn indexes_to_scale<'l>(config: &TableConfig, live: &'l TableDescription) -> Vec<&'l str> {
    let (provisioned, wanted) = (is_provisioned(live), words(config.throughput()));
    let indexes = live.global_secondary_indexes().iter().filter(|index| {
        let ours = index.index_name().is_some_and(|name| config.indexes.contains_key(name));
        !provisioned || (ours && capacity(index.provisioned_throughput()) != wanted)
    });
    indexes.filter_map(|index| index.index_name()).collect()
}

/// Compares the local secondary indexes, which a table has for life.
fn local_indexes(live: &TableDescription, config: &TableConfig) -> Option<Change> {
    let is = live.local_secondary_indexes().iter().map(|index| {
        let key = written(index.key_schema(), live);
        format!("{} by {key} with {}", index.index_name().unwrap_or_default(), projected(index.projection()))
    });
    let to = config.local_indexes.iter().map(|(name, index)| {
        let key = wanted([&config.partition_key, &index.sort_key].into_iter());
        format!("{name} by {key} with {}", projection(&index.projection))
    });
    let list = |indexes: BTreeSet<String>| {
        if indexes.is_empty() { "none".to_owned() } else { indexes.into_iter().collect::<Vec<_>>().join("; ") }
    };
    let change = Change::of("local secondary indexes", &list(is.collect()), &list(to.collect()))?;
    Some(change.refused(FOR_LIFE))
}

/// Compares the global secondary indexes: each is added or removed by itself, one after the other.
fn indexes(live: &TableDescription, config: &TableConfig) -> Vec<Change> {
    let mut changes = Vec::new();
    let present = || {
        let there = live.global_secondary_indexes().iter();
        there.filter(|index| index.index_status() != Some(&IndexStatus::Deleting))
    };
    for (name, index) in &config.indexes {
        let Some(is) = present().find(|one| one.index_name() == Some(name)) else {
            changes.push(add_index(name));
            continue;
        };
        let shape = format!("{name} by {} with {}", written(is.key_schema(), live), projected(is.projection()));
        let to = format!("{name} by {} with {}", wanted(index.key()), projection(&index.projection));
        changes.extend(Change::of(INDEX, &shape, &to).map(|change| change.refused(OTHER_INDEX)));
        // Where the table's own differs too, its indexes change with it.
        if let Some(throughput) = config.throughput().filter(|_| is_provisioned(live)) {
            let (is, to) = (capacity(is.provisioned_throughput()), words(Some(throughput)));
            let named = |words: &str| format!("{name} {words}");
            let same_as_table = billing(live) == to;
            changes.extend(Change::of(INDEX_THROUGHPUT, &named(&is), &named(&to)).filter(|_| same_as_table));
        }
    }
    let names = present().filter_map(|index| index.index_name());
    changes.extend(names.filter(|name| !config.indexes.contains_key(*name)).map(|name| Change::former(INDEX, name)));
    changes
}

/// Writes the projection that DynamoDB shows.
fn projected(projection: Option<&Projection>) -> String {
    let mut attributes: Vec<&str> =
        projection.map(Projection::non_key_attributes).unwrap_or_default().iter().map(String::as_str).collect();
    attributes.sort_unstable();
    match projection.and_then(|projection| projection.projection_type()) {
        Some(ProjectionType::KeysOnly) => "no attributes".to_owned(),
        Some(ProjectionType::Include) => attributes.join(", "),
        Some(ProjectionType::All | _) | None => "all attributes".to_owned(),
    }
}

fn projection(wanted: &stack::Projection) -> String {
    match wanted {
        stack::Projection::Kind(ProjectionKind::All) => "all attributes".to_owned(),
        stack::Projection::Kind(ProjectionKind::KeysOnly) => "no attributes".to_owned(),
        stack::Projection::Attributes(attributes) => {
            let mut attributes = attributes.clone();
            attributes.sort_unstable();
            attributes.join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::{
        BillingModeSummary, GlobalSecondaryIndexDescription, LocalSecondaryIndexDescription, SseDescription, SseStatus,
        TableClassSummary, Tag,
    };
    use ecs_core::resource::Means;
    use serde_json::{Value, json};

    use super::*;
    use crate::dynamodb::MANAGED_KEY;

    fn config(more: &Value) -> TableConfig {
        let mut all = json!({
            "partition_key": {"name": "customer", "type": "S"}, "sort_key": {"name": "placed", "type": "N"},
            "indexes": {"by-day": {"partition_key": {"name": "day", "type": "S"}, "projection": ["b", "a"]}},
            "local_indexes": {"by-total": {"sort_key": {"name": "total", "type": "N"}, "projection": "keys_only"}},
        });
        let members = all.as_object_mut().expect("a table");
        members.extend(more.as_object().cloned().unwrap_or_default());
        members.retain(|_, value| !value.is_null());
        serde_json::from_value(all).expect("a table")
    }

    /// What DynamoDB reads back of that table.
    fn live() -> Live {
        let config = config(&json!({}));
        let index = config.indexes.get("by-day").expect("an index");
        let local = [&config.partition_key, &config.local_indexes["by-total"].sort_key];
        let global = GlobalSecondaryIndexDescription::builder()
            .index_name("by-day")
            .set_key_schema(Some(shape::key_schema(index.key()).expect("a key")))
            .projection(shape::projection(&stack::Projection::Attributes(vec!["a".to_owned(), "b".to_owned()])))
            .index_status(IndexStatus::Active);
        let local = LocalSecondaryIndexDescription::builder()
            .index_name("by-total")
            .set_key_schema(Some(shape::key_schema(local.into_iter()).expect("a key")))
            .projection(shape::projection(&config.local_indexes["by-total"].projection));
        let described = TableDescription::builder()
            .table_status(TableStatus::Active)
            .set_key_schema(Some(shape::key_schema(config.key()).expect("a key")))
            .set_attribute_definitions(Some(shape::definitions(&config).expect("definitions")))
            .global_secondary_indexes(global.build())
            .local_secondary_indexes(local.build())
            .billing_mode_summary(BillingModeSummary::builder().billing_mode(BillingMode::PayPerRequest).build());
        Live { described: described.build(), recovery: true, ttl: None, tags: Vec::new(), made: false }
    }

    fn texts(changes: &[Change]) -> Vec<String> {
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_was_made_as_wanted_has_no_changes() {
        assert_eq!(changes(&config(&json!({})), &live()), []);
    }

    #[test]
    fn what_can_be_changed_is() {
        let cases: [(Value, &[&str]); 8] = [
            (json!({"deletion_protection": true}), &["deletion protection: false -> true"]),
            (json!({"point_in_time_recovery": false}), &["point-in-time recovery: true -> false"]),
            (json!({"ttl": "expires"}), &["time to live: off -> expires"]),
            (
                json!({"table_class": "standard_infrequent_access"}),
                &["table class: STANDARD -> STANDARD_INFREQUENT_ACCESS"],
            ),
            (json!({"billing": {"read": 5, "write": 2}}), &["billing: on demand -> 5 read, 2 write"]),
            (json!({"encryption": "aws_managed"}), &["encryption: aws_owned -> aws_managed"]),
            (
                json!({"indexes": {
                    "by-day": {"partition_key": {"name": "day", "type": "S"}, "projection": ["a", "b"]},
                    "by-total": {"partition_key": {"name": "total", "type": "N"}},
                }}),
                &["global secondary index: add by-total"],
            ),
            (json!({"indexes": null}), &["global secondary index: remove by-day"]),
        ];
        for (more, expected) in cases {
            let found = changes(&config(&more), &live());
            assert_eq!(texts(&found), expected, "{more}");
            let means =
                if more["indexes"].is_null() && more.get("indexes").is_some() { Means::Former } else { Means::Update };
            assert!(found.iter().all(|change| change.means == means), "{found:?}");
        }
    }

    #[test]
    fn capacity_is_the_tables_and_its_indexes() {
        let five = json!({"billing": {"read": 5, "write": 5}});
        let units = |read| {
            ProvisionedThroughputDescription::builder().read_capacity_units(read).write_capacity_units(5).build()
        };
        let provisioned = |table, index| {
            let mut live = live();
            live.described.billing_mode_summary = None;
            live.described.provisioned_throughput = Some(units(table));
            for one in live.described.global_secondary_indexes.iter_mut().flatten() {
                one.provisioned_throughput = Some(units(index));
            }
            live
        };
        assert_eq!(changes(&config(&five), &provisioned(5, 5)), []);
        assert_eq!(
            texts(&changes(&config(&five), &provisioned(1, 1))),
            ["billing: 1 read, 5 write -> 5 read, 5 write"]
        );
        let index = changes(&config(&five), &provisioned(5, 1));
        assert_eq!(
            texts(&index),
            ["capacity of a global secondary index: by-day 1 read, 5 write -> by-day 5 read, 5 write"]
        );
        assert_eq!(index_of(&index[0]), "by-day");
        let scaled = |config: &Value, live: &Live| {
            let names = indexes_to_scale(&self::config(config), &live.described);
            names.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(scaled(&five, &provisioned(1, 1)), ["by-day"]);
        assert_eq!(scaled(&five, &provisioned(1, 5)), [""; 0], "DynamoDB refuses what is as it is");
        assert_eq!(scaled(&five, &live()), ["by-day"], "all of them, when it was on demand");
        let none = json!({"billing": {"read": 5, "write": 5}, "indexes": null});
        assert_eq!(scaled(&none, &provisioned(1, 1)), [""; 0], "one of before is left as it is");
        assert_eq!(texts(&changes(&config(&json!({})), &provisioned(5, 5))), ["billing: 5 read, 5 write -> on demand"]);
    }

    #[test]
    fn what_would_replace_a_table_or_an_index_is_refused() {
        let cases = [
            (json!({"partition_key": {"name": "id", "type": "S"}, "local_indexes": null}), "key"),
            (json!({"sort_key": {"name": "placed", "type": "S"}}), "key"),
            (json!({"sort_key": null, "local_indexes": null}), "key"),
            (json!({"local_indexes": null}), "local secondary indexes"),
            (json!({"indexes": {"by-day": {"partition_key": {"name": "day", "type": "S"}}}}), INDEX),
            (
                json!({"indexes": {"by-day": {"partition_key": {"name": "total", "type": "N"}, "projection": ["a", "b"]}}}),
                INDEX,
            ),
        ];
        for (more, field) in cases {
            let found = changes(&config(&more), &live());
            let refused = found.iter().find(|change| matches!(change.means, Means::Refuse(_)));
            assert_eq!(refused.map(|change| change.field), Some(field), "{more}: {found:?}");
        }
        let ttl = Live { ttl: Some("expires".to_owned()), ..live() };
        let found = changes(&config(&json!({"ttl": "gone"})), &ttl);
        assert!(matches!(found.as_slice(), [Change { means: Means::Refuse(_), .. }]), "{found:?}");
        assert_eq!(texts(&changes(&config(&json!({})), &ttl)), ["time to live: expires -> off"]);
    }

    #[test]
    fn keys_are_told_apart_by_what_was_noted() {
        let encrypted = |key: &str, noted: Option<&str>| {
            let mut live = live();
            live.described.sse_description = Some(SseDescription::builder().kms_master_key_arn(key).build());
            let tag = |arn: &str| Tag::builder().key(MANAGED_KEY).value(arn).build().expect("a tag");
            live.tags = noted.map(tag).into_iter().collect();
            live
        };
        let (key, own) = ("arn:aws:kms:eu-west-1:123456789012:key/k", "arn:aws:kms:eu-west-1:123456789012:key/aws");
        let with = |encryption: &str| config(&json!({ "encryption": encryption }));
        assert_eq!(changes(&with(key), &encrypted(key, None)), []);
        assert_eq!(changes(&with(AWS_MANAGED), &encrypted(own, Some(own))), []);
        assert_eq!(changes(&with(own), &encrypted(own, Some(own))), [], "named by its ARN it is the same");
        let cases = [
            (with(key), encrypted("other", None), format!("encryption: other -> {key}")),
            (with(key), encrypted(own, Some(own)), format!("encryption: aws_managed -> {key}")),
            (with(AWS_OWNED), encrypted(key, None), format!("encryption: {key} -> aws_owned")),
            (with(AWS_MANAGED), encrypted(key, Some(own)), format!("encryption: {key} -> aws_managed")),
            (with(AWS_MANAGED), encrypted(own, None), format!("encryption: {own} -> aws_managed")),
        ];
        for (config, live, change) in cases {
            assert_eq!(texts(&changes(&config, &live)), [change]);
        }
        assert_eq!(unnoted_key(&with(AWS_MANAGED), &encrypted(own, None)), Some(own));
        assert_eq!(unnoted_key(&with(AWS_MANAGED), &encrypted(own, Some(own))), None);
        assert_eq!(unnoted_key(&with(key), &encrypted(key, None)), None);
        let mut changing = encrypted(key, None);
        let sse = SseDescription::builder().kms_master_key_arn(key).status(SseStatus::Updating);
        changing.described.sse_description = Some(sse.build());
        assert_eq!(unnoted_key(&with(AWS_MANAGED), &changing), None, "it may still be the one before");
    }

    #[test]
    fn a_class_of_its_own_and_an_index_on_its_way_out_are_read() {
        let mut live = live();
        live.described.table_class_summary =
            Some(TableClassSummary::builder().table_class(TableClass::StandardInfrequentAccess).build());
        for index in live.described.global_secondary_indexes.iter_mut().flatten() {
            index.index_status = Some(IndexStatus::Deleting);
        }
        let wanted = config(&json!({"table_class": "standard_infrequent_access"}));
        assert_eq!(texts(&changes(&wanted, &live)), ["global secondary index: add by-day"]);
        live.described.table_status = Some(TableStatus::Deleting);
        assert_eq!(changes(&config(&json!({})), &live), []);
    }
}
