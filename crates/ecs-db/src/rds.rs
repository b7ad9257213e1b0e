//! What all RDS resources share: tags in the create call, and whose they are.

use aws_sdk_rds::types::Tag;
use ecs_aws::Answer as _;
use ecs_core::{Identity, Owner, Result};

use crate::Rds;

/// Returns the identity tags for a create call.
pub fn tags(identity: &Identity) -> Vec<Tag> {
    identity.tags(|key, value| Tag::builder().key(key).value(value).build())
}

/// Says whose a resource with these tags is.
pub fn owner(identity: &Identity, tags: &[Tag]) -> Owner {
    identity.owner(tags.iter().filter_map(|tag| tag.key().zip(tag.value())))
}

/// Reads whose a resource is.
pub async fn read_owner(rds: &Rds, identity: &Identity, arn: &str) -> Result<Owner> {
    let reply = rds.read.list_tags_for_resource().resource_name(arn).send().await;
    Ok(owner(identity, reply.answer("rds:ListTagsForResource")?.tag_list()))
}

/// Puts the identity tags on something that exists.
pub async fn adopt(rds: &Rds, identity: &Identity, arn: &str) -> Result<()> {
    let call = rds.write.add_tags_to_resource().resource_name(arn).set_tags(Some(tags(identity)));
    call.send().await.answer("rds:AddTagsToResource")?;
    Ok(())
}
