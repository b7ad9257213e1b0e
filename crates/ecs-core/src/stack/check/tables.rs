//! The DynamoDB tables: names, keys, indexes and encryption.

use std::collections::BTreeMap;

use super::Mistake;
use super::names::Rule;
use crate::stack::pointer::pointer;
use crate::stack::{AttributeType, KeyAttribute, Projection, Stack, TableConfig};

/// Source: `CreateTable`, `TableName` and `IndexName`: at least 3 characters, too.
const NAME: Rule = Rule {
    what: "table name",
    longest: 255,
    allowed: |c| c.is_ascii_alphanumeric() || "_-.".contains(c),
    allowed_words: "letters, digits and _-.",
    no_outer_hyphen: false,
};

/// Shortest name of a table or an index. Source: `CreateTable`, `TableName`.
const SHORTEST: usize = 3;
/// Global secondary indexes of a table, by DynamoDB's default quota. Source: `CreateTable`, `GlobalSecondaryIndexes`.
const GLOBAL_INDEXES: usize = 20;
/// Local secondary indexes of a table. Source: DynamoDB's guide, "Quotas".
const LOCAL_INDEXES: usize = 5;
/// Attributes that all indexes of a table together project by name. Source: `Projection`, `NonKeyAttributes`.
const PROJECTED: usize = 100;
/// Longest name of an attribute of a key. Source: `KeySchemaElement`, `AttributeName`.
const ATTRIBUTE: usize = 255;

/// Checks the tables.
pub(super) fn check(stack: &Stack, region: Option<&str>, found: &mut Vec<Mistake>) {
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for (key, table) in &stack.tables {
        let place = |path: &[&str]| pointer(&[&["tables", key.as_str()], path].concat());
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !key.starts_with(|c: char| c.is_ascii_lowercase()) || !key.chars().all(allowed) || key.ends_with('-') {
            found.push(
                Mistake::key(place(&[]), format!("`{key}` cannot be the short name of a table"))
                    .hint("lower-case letters, digits and hyphens, a letter first: references are made with it"),
            );
        }
        let name = stack.table_name(key, table);
        found.extend(name_problem(&NAME, &name).map(|problem| Mistake::value(place(&["name"]), problem)));
        if let Some(other) = names.insert(name.clone(), key) {
            let message = format!("the table `{name}` of `{key}` is also that of `{other}`");
            found.push(Mistake::value(place(&["name"]), message).related(&["tables", other, "name"]));
        }
        attributes(key, table, found);
        indexes(key, table, found);
        if let Some(ttl) = &table.ttl {
            let is_key = table.key().any(|attribute| attribute.name == *ttl && attribute.kind != AttributeType::N);
            if ttl.is_empty() || ttl.len() > ATTRIBUTE {
                let message = format!("an attribute's name has 1 to {ATTRIBUTE} characters, found `{ttl}`");
                found.push(Mistake::value(place(&["ttl"]), message));
            } else if is_key {
                let message = format!("`{ttl}` must be a number to say when an item expires");
                found.push(Mistake::value(place(&["ttl"]), message).related(&["tables", key, "partition_key"]));
            }
        }
        encryption(key, table, region, found);
    }
}

fn name_problem(rule: &Rule, name: &str) -> Option<String> {
    rule.broken(name).or_else(|| {
        let what = rule.what;
        (name.len() < SHORTEST).then(|| format!("the {what} `{name}` has fewer than {SHORTEST} characters"))
    })
}

/// Returns all attributes of keys, each with the path to it.
fn key_attributes<'t>(table: &'t TableConfig) -> Vec<(Vec<&'t str>, &'t KeyAttribute)> {
    let key = |path: &[&'t str], partition: Option<&'t KeyAttribute>, sort: Option<&'t KeyAttribute>| {
        let partition = partition.map(|attribute| ([path, &["partition_key"]].concat(), attribute));
        let sort = sort.map(|attribute| ([path, &["sort_key"]].concat(), attribute));
        partition.into_iter().chain(sort).collect::<Vec<_>>()
    };
    let mut all = key(&[], Some(&table.partition_key), table.sort_key.as_ref());
    for (name, index) in &table.indexes {
        all.extend(key(&["indexes", name], Some(&index.partition_key), index.sort_key.as_ref()));
    }
    for (name, index) in &table.local_indexes {
        all.extend(key(&["local_indexes", name], None, Some(&index.sort_key)));
    }
    all
}

/// Checks that each attribute has one type, and no key the same attribute twice.
fn attributes(key: &str, table: &TableConfig, found: &mut Vec<Mistake>) {
    let place = |path: &[&str], member: &str| pointer(&[&["tables", key], path, &[member]].concat());
    let mut kinds: BTreeMap<&str, (AttributeType, Vec<&str>)> = BTreeMap::new();
    for (path, attribute) in key_attributes(table) {
        let name = attribute.name.as_str();
        if name.is_empty() || name.len() > ATTRIBUTE {
            let message = format!("an attribute's name has 1 to {ATTRIBUTE} characters, found `{name}`");
            found.push(Mistake::value(place(&path, "name"), message));
        }
        let (kind, first) = kinds.entry(name).or_insert((attribute.kind, path.clone()));
        if *kind != attribute.kind {
            let message = format!("`{name}` is `{}` here and `{}` before", attribute.kind.name(), kind.name());
            let related = [&["tables", key], first.as_slice()].concat();
            found.push(Mistake::value(place(&path, "type"), message).related(&related));
        }
    }
    let indexes = table.indexes.iter().map(|(name, one)| (vec!["indexes", name], &one.partition_key, &one.sort_key));
    for (path, partition, sort) in std::iter::once((vec![], &table.partition_key, &table.sort_key)).chain(indexes) {
        if let Some(sort) = sort.as_ref().filter(|sort| sort.name == partition.name) {
            let message = format!("`{}` is the partition key already", sort.name);
            found.push(Mistake::value(place(&[path.as_slice(), &["sort_key"]].concat(), "name"), message));
        }
    }
}

fn indexes(key: &str, table: &TableConfig, found: &mut Vec<Mistake>) {
    let place = |path: &[&str]| pointer(&[&["tables", key], path].concat());
    let rule = Rule { what: "index name", ..NAME };
    let global = table.indexes.iter().map(|(name, index)| ("indexes", name, &index.projection));
    let local = table.local_indexes.iter().map(|(name, index)| ("local_indexes", name, &index.projection));
    let mut projected = 0;
    for (kind, name, projection) in global.chain(local) {
        found.extend(name_problem(&rule, name).map(|problem| Mistake::key(place(&[kind, name]), problem)));
        if kind == "local_indexes" && table.indexes.contains_key(name) {
            let message = format!("`{name}` is also a global secondary index of the table");
            found.push(Mistake::key(place(&[kind, name]), message).related(&["tables", key, "indexes", name]));
        }
        let Projection::Attributes(attributes) = projection else { continue };
        projected += attributes.len();
        if attributes.is_empty() {
            found.push(
                Mistake::value(place(&[kind, name, "projection"]), "a projection lists attributes")
                    .hint("`\"keys_only\"` holds none but the keys, `\"all\"` all of them"),
            );
        }
    }
    if projected > PROJECTED {
        let message = format!("the indexes project {projected} attributes by name, at most {PROJECTED} are allowed");
        found.push(Mistake::key(place(&[]), message).hint("`projection = \"all\"` has no such limit"));
    }
    for (kind, count, most) in
        [("indexes", table.indexes.len(), GLOBAL_INDEXES), ("local_indexes", table.local_indexes.len(), LOCAL_INDEXES)]
    {
        if count > most {
            found.push(Mistake::key(place(&[kind]), format!("{count} indexes, a table has at most {most} of these")));
        }
    }
    if !table.local_indexes.is_empty() && table.sort_key.is_none() {
        let message = "a local secondary index sorts in another way, and the table has no `sort_key`";
        found.push(Mistake::key(place(&["local_indexes"]), message).related(&["tables", key, "sort_key"]));
    }
}

/// Checks the key that encrypts a table: it must be in the table's region.
fn encryption(key: &str, table: &TableConfig, region: Option<&str>, found: &mut Vec<Mistake>) {
    let encryption = table.encryption.as_str();
    if encryption == "aws_owned" || encryption == "aws_managed" {
        return;
    }
    let place = pointer(&["tables", key, "encryption"]);
    let parts: Vec<&str> = encryption.splitn(6, ':').collect();
    let ["arn", _, "kms", its_region, _, resource] = parts.as_slice() else {
        let message = format!("expected `aws_owned`, `aws_managed` or the ARN of a KMS key, found `{encryption}`");
        found.push(Mistake::value(place, message).hint("a KMS key is `arn:aws:kms:REGION:ACCOUNT:key/ID`"));
        return;
    };
    if !resource.starts_with("key/") {
        // DynamoDB reads back the key, whatever name it was given.
        let mistake = Mistake::value(place, format!("`{encryption}` is not the ARN of a KMS key"));
        found.push(mistake.hint("a KMS key is `arn:aws:kms:REGION:ACCOUNT:key/ID`; an alias is none"));
    } else if let Some(region) = region.filter(|region| region != its_region) {
        let message = format!("the key is in {its_region}, the table in {region}");
        found.push(Mistake::value(place, message).related(&["region"]));
    }
}
