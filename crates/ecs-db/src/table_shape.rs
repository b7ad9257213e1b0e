//! A DynamoDB table of the stack file in the SDK's own types.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, GlobalSecondaryIndex, GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType,
    LocalSecondaryIndex, Projection, ProjectionType, ProvisionedThroughput, ScalarAttributeType, SseSpecification,
    SseType, TableClass, TableDescription, UpdateGlobalSecondaryIndexAction,
};
use ecs_core::stack::{self, AttributeType, GlobalIndex, KeyAttribute, ProjectionKind, TableConfig, Throughput};
use ecs_core::{Error, Result};

/// Value of `encryption` for the key that DynamoDB owns.
pub const AWS_OWNED: &str = "aws_owned";
/// Value of `encryption` for the account's own key `aws/dynamodb`.
pub const AWS_MANAGED: &str = "aws_managed";

/// Turns the SDK's complaint of a missing member into an error.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn unbuilt(error: BuildError) -> Error {
    Error::other(error.to_string())
}

/// Returns the key schema of a table or an index: the partition key, then the sort key if there is one.
pub fn key_schema<'k>(key: impl Iterator<Item = &'k KeyAttribute>) -> Result<Vec<KeySchemaElement>> {
    let kinds = [KeyType::Hash, KeyType::Range];
    key.zip(kinds)
        .map(|(attribute, kind)| {
            KeySchemaElement::builder().attribute_name(&attribute.name).key_type(kind).build().map_err(unbuilt)
        })
        .collect()
}

/// Returns the definitions of all attributes that are in a key, and of no others: DynamoDB refuses those.
pub fn definitions(config: &TableConfig) -> Result<Vec<AttributeDefinition>> {
    let indexes = config.indexes.values().flat_map(GlobalIndex::key);
    let local = config.local_indexes.values().map(|index| &index.sort_key);
    defined(
        config.key().chain(indexes).chain(local).map(|attribute| (attribute.name.clone(), kind(attribute))).collect(),
    )
}

/// Returns the definitions that a table has, with those of a new index.
pub fn definitions_with(live: &TableDescription, index: &GlobalIndex) -> Result<Vec<AttributeDefinition>> {
    let present =
        live.attribute_definitions().iter().map(|one| (one.attribute_name.clone(), one.attribute_type.clone()));
    defined(present.chain(index.key().map(|attribute| (attribute.name.clone(), kind(attribute)))).collect())
}

fn defined(kinds: BTreeMap<String, ScalarAttributeType>) -> Result<Vec<AttributeDefinition>> {
    let define = |(name, kind)| AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build();
    kinds.into_iter().map(define).collect::<Result<_, _>>().map_err(unbuilt)
}

fn kind(attribute: &KeyAttribute) -> ScalarAttributeType {
    match attribute.kind {
        AttributeType::S => ScalarAttributeType::S,
        AttributeType::N => ScalarAttributeType::N,
        AttributeType::B => ScalarAttributeType::B,
    }
}

/// Returns which attributes an index holds.
pub fn projection(projection: &stack::Projection) -> Projection {
    let builder = Projection::builder();
    match projection {
        stack::Projection::Kind(ProjectionKind::All) => builder.projection_type(ProjectionType::All),
        stack::Projection::Kind(ProjectionKind::KeysOnly) => builder.projection_type(ProjectionType::KeysOnly),
        stack::Projection::Attributes(attributes) => {
            builder.projection_type(ProjectionType::Include).set_non_key_attributes(Some(attributes.clone()))
        }
    }
    .build()
}

/// Returns the global secondary indexes, none where there are none: DynamoDB refuses an empty list.
pub fn global_indexes(config: &TableConfig) -> Result<Option<Vec<GlobalSecondaryIndex>>> {
    let throughput = config.throughput().map(throughput).transpose()?;
    let indexes = config.indexes.iter().map(|(name, index)| {
        let built = GlobalSecondaryIndex::builder().index_name(name).projection(projection(&index.projection));
        let built = built.set_key_schema(Some(key_schema(index.key())?));
        built.set_provisioned_throughput(throughput.clone()).build().map_err(unbuilt)
    });
    let indexes: Vec<_> = indexes.collect::<Result<_>>()?;
    Ok((!indexes.is_empty()).then_some(indexes))
}

/// Returns the local secondary indexes, none where there are none.
pub fn local_indexes(config: &TableConfig) -> Result<Option<Vec<LocalSecondaryIndex>>> {
    let indexes = config.local_indexes.iter().map(|(name, index)| {
        let key = [&config.partition_key, &index.sort_key];
        let built = LocalSecondaryIndex::builder().index_name(name).projection(projection(&index.projection));
        built.set_key_schema(Some(key_schema(key.into_iter())?)).build().map_err(unbuilt)
    });
    let indexes: Vec<_> = indexes.collect::<Result<_>>()?;
    Ok((!indexes.is_empty()).then_some(indexes))
}

/// Returns capacity units.
pub fn throughput(throughput: Throughput) -> Result<ProvisionedThroughput> {
    let built = ProvisionedThroughput::builder().read_capacity_units(throughput.read.into());
    built.write_capacity_units(throughput.write.into()).build().map_err(unbuilt)
}

/// Returns the same capacity units for each of these indexes.
pub fn throughputs(names: &[&str], throughput: &ProvisionedThroughput) -> Result<Vec<GlobalSecondaryIndexUpdate>> {
    let update = |name: &&str| {
        let update = UpdateGlobalSecondaryIndexAction::builder().index_name(*name);
        let update = update.provisioned_throughput(throughput.clone()).build().map_err(unbuilt)?;
        Ok(GlobalSecondaryIndexUpdate::builder().update(update).build())
    };
    names.iter().map(update).collect()
}

/// Returns how a table is encrypted.
pub fn encryption(encryption: &str) -> SseSpecification {
    let builder = SseSpecification::builder();
    match encryption {
        AWS_OWNED => builder.enabled(false),
        AWS_MANAGED => builder.enabled(true).sse_type(SseType::Kms),
        key => builder.enabled(true).sse_type(SseType::Kms).kms_master_key_id(key),
    }
    .build()
}

/// Returns the class of a table.
pub fn class(class: stack::TableClass) -> TableClass {
    match class {
        stack::TableClass::Standard => TableClass::Standard,
        stack::TableClass::StandardInfrequentAccess => TableClass::StandardInfrequentAccess,
    }
}
