//! What all ECS resources share: tags in the create call, and values whose builder can refuse.

use aws_sdk_ecs::error::BuildError;
use aws_sdk_ecs::types::Tag;
use ecs_aws::Answer as _;
pub use ecs_aws::deployment::short;
use ecs_core::{Error, Identity, Owner, Result};

use crate::Ecs;

/// Returns the identity tags for a create call.
pub fn tags(identity: &Identity) -> Vec<Tag> {
    identity.tags(|key, value| Tag::builder().key(key).value(value).build())
}

/// Says whose a resource with these tags is.
pub fn owner(identity: &Identity, tags: &[Tag]) -> Owner {
    identity.owner(tags.iter().filter_map(|tag| tag.key().zip(tag.value())))
}

/// Puts the identity tags on something that exists.
pub async fn adopt(ecs: &Ecs, arn: &str, identity: &Identity) -> Result<()> {
    ecs.write.tag_resource().resource_arn(arn).set_tags(Some(tags(identity))).send().await.answer("ecs:TagResource")?;
    Ok(())
}

/// Returns what a builder has made: it refuses only when a required field is not set.
pub fn built<T>(value: std::result::Result<T, BuildError>) -> Result<T> {
    value.map_err(|error| Error::other(format!("a request cannot be built: {error}")))
}
