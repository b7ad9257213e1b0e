//! What all DynamoDB calls share: tags in the create call, whose a table is, and reading one.

use aws_sdk_dynamodb::types::{PointInTimeRecoveryStatus, SseStatus, TableDescription, Tag, TimeToLiveStatus};
use ecs_aws::{Answer as _, present};
use ecs_core::{All as _, Error, Identity, Owner, Result};
use futures::join;

use crate::DynamoDb;

/// Tag that holds the ARN of the account's own key `aws/dynamodb`, once DynamoDB has shown it for the table.
///
/// DynamoDB shows that key by its ARN like any other, and only KMS tells which it is. So a run that has had a table use it
/// notes the ARN that is then shown.
pub const MANAGED_KEY: &str = "ecs-pipe:aws-managed-key";

/// What DynamoDB says a table is.
#[derive(Debug, Clone)]
pub struct Live {
    /// What DescribeTable shows
    pub described: TableDescription,
    /// Whether it has continuous backups
    pub recovery: bool,
    /// Attribute that says when an item expires, being switched on or on
    pub ttl: Option<String>,
    /// Its tags
    pub tags: Vec<Tag>,
    /// Whether this run made it a moment ago: what CreateTable cannot set is to follow when it is active
    pub made: bool,
}

impl Live {
    /// Returns the table's ARN.
    pub fn arn(&self) -> &str {
        self.described.table_arn().unwrap_or_default()
    }

    /// Returns the table's status, in DynamoDB's word.
    pub fn status(&self) -> &str {
        self.described.table_status().map_or("without a status", |status| status.as_str())
    }

    /// Returns the ARN of the KMS key that encrypts it; none where DynamoDB's own does.
    pub fn kms_key(&self) -> Option<&str> {
        self.described.sse_description().and_then(|sse| sse.kms_master_key_arn())
    }

    /// Returns the ARN of the account's own key, where it has been noted.
    pub fn managed_key(&self) -> Option<&str> {
        self.tags.iter().find(|tag| tag.key() == MANAGED_KEY).map(Tag::value)
    }

    /// Says whether DynamoDB is changing the key that encrypts it: its status is `ACTIVE` meanwhile.
    pub fn is_being_encrypted(&self) -> bool {
        is_being_encrypted(Some(&self.described))
    }

    /// Says whether DynamoDB refuses to delete it.
    pub fn is_protected(&self) -> bool {
        self.described.deletion_protection_enabled() == Some(true)
    }

    /// Says whose it is.
    pub fn owner(&self, identity: &Identity) -> Owner {
        identity.owner(self.tags.iter().map(|tag| (tag.key(), tag.value())))
    }
}

/// Says whether a table is being encrypted with another key, as DynamoDB describes it.
pub fn is_being_encrypted(described: Option<&TableDescription>) -> bool {
    let sse = described.and_then(|described| described.sse_description());
    sse.and_then(|sse| sse.status()) == Some(&SseStatus::Updating)
}

/// Returns the identity tags for a create call.
///
/// # Errors
/// Never: each has a key and a value.
pub fn tags(identity: &Identity) -> Result<Vec<Tag>> {
    let tags = identity.tags(|key, value| Tag::builder().key(key).value(value).build());
    tags.into_iter().collect::<Result<_, _>>().map_err(|error| Error::other(error.to_string()))
}

/// Reads a table, its continuous backups, its time to live and its tags.
///
/// # Errors
/// Any refusal by DynamoDB.
pub async fn read(dynamodb: &DynamoDb, name: &str) -> Result<Option<Live>> {
    let reply = dynamodb.read.describe_table().table_name(name).send().await;
    let Some(reply) = reply.answer_if_found("dynamodb:DescribeTable")? else { return Ok(None) };
    let described = present(reply.table, "dynamodb:DescribeTable", "the table")?;
    let (recovery, ttl, tags) = join!(
        recovery(dynamodb, name),
        time_to_live(dynamodb, name),
        read_tags(dynamodb, described.table_arn().unwrap_or_default())
    );
    let (recovery, ttl, tags) = (recovery, ttl, tags).all()?;
    Ok(Some(Live { described, recovery, ttl, tags: tags.unwrap_or_default(), made: false }))
}

/// Reads the tags of a table, none where there is no such table.
///
/// # Errors
/// Any refusal by DynamoDB.
pub async fn read_tags(dynamodb: &DynamoDb, arn: &str) -> Result<Option<Vec<Tag>>> {
    let mut tags = Vec::new();
    let mut next = None;
    loop {
        let call = dynamodb.read.list_tags_of_resource().resource_arn(arn).set_next_token(next);
        let Some(reply) = call.send().await.answer_if_found("dynamodb:ListTagsOfResource")? else { return Ok(None) };
        tags.extend(reply.tags.unwrap_or_default());
        next = reply.next_token;
        if next.is_none() {
            return Ok(Some(tags));
        }
    }
}

/// Says whether a table has continuous backups; one that is going has none to speak of.
async fn recovery(dynamodb: &DynamoDb, name: &str) -> Result<bool> {
    let reply = dynamodb.read.describe_continuous_backups().table_name(name).send().await;
    let reply = reply.answer_if_found("dynamodb:DescribeContinuousBackups")?;
    let described = reply.and_then(|reply| reply.continuous_backups_description);
    let recovery = described.and_then(|described| described.point_in_time_recovery_description);
    let status = recovery.and_then(|recovery| recovery.point_in_time_recovery_status);
    Ok(status == Some(PointInTimeRecoveryStatus::Enabled))
}

async fn time_to_live(dynamodb: &DynamoDb, name: &str) -> Result<Option<String>> {
    let reply = dynamodb.read.describe_time_to_live().table_name(name).send().await;
    let described =
        reply.answer_if_found("dynamodb:DescribeTimeToLive")?.and_then(|reply| reply.time_to_live_description);
    let on = [TimeToLiveStatus::Enabled, TimeToLiveStatus::Enabling];
    let described = described.filter(|ttl| ttl.time_to_live_status().is_some_and(|status| on.contains(status)));
    Ok(described.and_then(|ttl| ttl.attribute_name))
}
