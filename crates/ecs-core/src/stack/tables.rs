//! The `[tables.NAME]` tables: DynamoDB tables, and what refers to them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::template::{Part, TableField, parts, table_reference};
use super::{Service, Stack, defaults, partition};

/// Describes one DynamoDB table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableConfig {
    /// Name of the table (default: the stack's name, a hyphen and the key)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Attribute by which items are spread over partitions
    pub partition_key: KeyAttribute,
    /// Attribute by which items of one partition key are sorted
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_key: Option<KeyAttribute>,
    /// Global secondary indexes, by name
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub indexes: BTreeMap<String, GlobalIndex>,
    /// Local secondary indexes, by name: made with the table, and never changed
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub local_indexes: BTreeMap<String, LocalIndex>,
    /// `on_demand`: by request; or capacity units a second, `{ read = 5, write = 5 }`, for the table and for each of its
    /// global secondary indexes
    #[serde(default)]
    pub billing: Billing,
    /// Key that encrypts the table: `aws_owned` costs nothing, `aws_managed` is the account's own `aws/dynamodb`; or the
    /// ARN of a KMS key
    #[serde(default = "defaults::encryption")]
    pub encryption: String,
    /// Keep continuous backups of the last 35 days, which cost by the size of the table
    #[serde(default = "defaults::point_in_time_recovery")]
    pub point_in_time_recovery: bool,
    /// Attribute that says when an item expires, in seconds since 1970
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// Refuse to delete the table
    #[serde(default)]
    pub deletion_protection: bool,
    /// Table class
    #[serde(default)]
    pub table_class: TableClass,
}

/// Describes an attribute that is part of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyAttribute {
    /// Name of the attribute
    pub name: String,
    /// `S`: a string, `N`: a number, `B`: bytes
    #[serde(rename = "type")]
    pub kind: AttributeType,
}

/// Names the types that an attribute of a key can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AttributeType {
    /// String
    S,
    /// Number
    N,
    /// Bytes
    B,
}

/// Describes a global secondary index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalIndex {
    /// Attribute by which the index's items are spread over partitions
    pub partition_key: KeyAttribute,
    /// Attribute by which they are sorted
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_key: Option<KeyAttribute>,
    /// Attributes that the index holds beside the keys: `all`, `keys_only`, or a list
    #[serde(default)]
    pub projection: Projection,
}

/// Describes a local secondary index, whose partition key is the table's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalIndex {
    /// Attribute by which the index's items are sorted
    pub sort_key: KeyAttribute,
    /// Attributes that the index holds beside the keys: `all`, `keys_only`, or a list
    #[serde(default)]
    pub projection: Projection,
}

/// Says which attributes an index holds beside the keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Projection {
    /// All of them, or none
    Kind(ProjectionKind),
    /// These
    Attributes(Vec<String>),
}

/// Names the projections that list no attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProjectionKind {
    /// All attributes
    All,
    /// No attributes but the keys
    KeysOnly,
}

/// Says how reads and writes are paid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Billing {
    /// By request
    Mode(BillingMode),
    /// By the capacity that is kept
    Provisioned(Throughput),
}

/// Names the billing mode that needs no numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BillingMode {
    /// By request
    OnDemand,
}

/// Describes provisioned capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Throughput {
    /// Read capacity units
    #[schemars(range(min = 1, max = 2147483647))]
    pub read: i32,
    /// Write capacity units
    #[schemars(range(min = 1, max = 2147483647))]
    pub write: i32,
}

/// Names the table classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TableClass {
    /// For tables that are read and written
    #[default]
    Standard,
    /// For tables whose storage costs more than their requests
    StandardInfrequentAccess,
}

/// The names and the place of a stack's tables, which tell what a reference to one stands for: nobody has to wait for the
/// table to know its ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableNames {
    region: String,
    names: BTreeMap<String, String>,
}

impl Default for Projection {
    fn default() -> Self {
        Self::Kind(ProjectionKind::All)
    }
}

impl Default for Billing {
    fn default() -> Self {
        Self::Mode(BillingMode::OnDemand)
    }
}

impl TableConfig {
    /// Returns the attributes of the key: the partition key, then the sort key if there is one.
    pub fn key(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.partition_key).chain(&self.sort_key)
    }

    /// Returns the capacity units, none where it is paid by request.
    pub fn throughput(&self) -> Option<Throughput> {
        match self.billing {
            Billing::Mode(BillingMode::OnDemand) => None,
            Billing::Provisioned(throughput) => Some(throughput),
        }
    }
}

impl GlobalIndex {
    /// Returns the attributes of the key: the partition key, then the sort key if there is one.
    pub fn key(&self) -> impl Iterator<Item = &KeyAttribute> {
        std::iter::once(&self.partition_key).chain(&self.sort_key)
    }
}

impl AttributeType {
    /// Returns its name, as DynamoDB and the stack file write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::S => "S",
            Self::N => "N",
            Self::B => "B",
        }
    }
}

impl TableNames {
    /// Returns a table's name.
    pub fn name(&self, key: &str) -> Option<&str> {
        self.names.get(key).map(String::as_str)
    }

    /// Returns the ARN of a table by its name.
    pub fn arn(&self, name: &str, account: &str) -> String {
        format!("arn:{}:dynamodb:{}:{account}:table/{name}", partition(&self.region), self.region)
    }

    /// Puts names and ARNs in the place of the references to tables; all other references stay as they are.
    pub fn resolve(&self, text: &str, account: &str) -> String {
        let mut resolved = String::with_capacity(text.len());
        for part in parts(text) {
            match part {
                Part::Text(text) => resolved.push_str(text),
                Part::Unclosed(rest) => {
                    resolved.push_str("${");
                    resolved.push_str(rest);
                }
                Part::Reference(reference) => {
                    let known = table_reference(reference).and_then(|(key, field)| Some((self.name(key)?, field)));
                    match known {
                        Some((name, TableField::Name)) => resolved.push_str(name),
                        Some((name, TableField::Arn)) => resolved.push_str(&self.arn(name, account)),
                        None => {
                            resolved.push_str("${");
                            resolved.push_str(reference);
                            resolved.push('}');
                        }
                    }
                }
            }
        }
        resolved
    }
}

impl Stack {
    /// Returns a table's name.
    pub fn table_name(&self, key: &str, table: &TableConfig) -> String {
        table.name.clone().unwrap_or_else(|| format!("{}-{key}", self.name))
    }

    /// Returns the names of all tables, and where they are.
    pub fn table_names(&self) -> TableNames {
        let names = self.tables.iter().map(|(key, table)| (key.clone(), self.table_name(key, table)));
        TableNames { region: self.region.clone().unwrap_or_default(), names: names.collect() }
    }

    /// Says whether a service refers to a table, so that it may start only when the tables can be used.
    pub fn needs_tables(&self, service: &Service) -> bool {
        let environments = service.sidecars.values().map(|sidecar| &sidecar.environment).chain([&service.environment]);
        let values = environments.flat_map(BTreeMap::values);
        let resources = service.policy.iter().flat_map(|statement| &statement.resources);
        let parameters = service.secret_sources().filter_map(|source| self.parameters.get(source));
        let mut texts = values.chain(resources).map(String::as_str).chain(parameters.map(|one| one.template()));
        texts.any(refers_to_table)
    }
}

/// Says whether a text holds a reference to a table.
pub fn refers_to_table(text: &str) -> bool {
    text.contains("${table.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_tables_are_resolved_and_others_are_left() {
        let names = TableNames {
            region: "eu-west-1".to_owned(),
            names: BTreeMap::from([("orders".to_owned(), "shop-orders".to_owned())]),
        };
        let arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/shop-orders";
        let cases = [
            ("${table.orders.name}", "shop-orders"),
            ("x-${table.orders.name}-${HOME}", "x-shop-orders-${HOME}"),
            ("${table.orders.arn}", arn),
            ("${table.orders.arn}/index/*", &format!("{arn}/index/*")),
            ("arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::b/${aws:username}"),
            ("${table.other.name}", "${table.other.name}"),
            ("${unclosed", "${unclosed"),
        ];
        for (text, wanted) in cases {
            assert_eq!(names.resolve(text, "123456789012"), wanted);
        }
        let china = TableNames { region: "cn-north-1".to_owned(), ..names };
        assert_eq!(china.arn("t", "1"), "arn:aws-cn:dynamodb:cn-north-1:1:table/t");
    }

    #[test]
    fn a_service_waits_for_tables_only_where_it_refers_to_one() {
        let mut stack = Stack::default();
        let needs = |stack: &Stack| stack.needs_tables(&stack.services["backend"]);
        assert!(!needs(&stack));
        let reference = "${table.orders.name}".to_owned();
        let mut other = stack.clone();
        let backend = other.services.get_mut("backend").expect("a backend");
        backend.environment.insert("TABLE".to_owned(), reference.clone());
        assert!(needs(&other));
        stack.parameters.insert("/ecs/backend/DB_HOST".to_owned(), super::super::Parameter::Plain(reference));
        assert!(needs(&stack));
        assert!(stack.needs_database(&stack.services["backend"]), "by its other parameters");
    }
}
