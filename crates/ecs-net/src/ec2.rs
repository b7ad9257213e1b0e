//! What all EC2 resources share: tags in the create call, and filters.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use ecs_aws::Answer as _;
use ecs_core::{Error, Identity, Kind, Owner, Result};

use crate::Ec2;

/// Returns the identity tags for a create call.
pub fn tags(identity: &Identity, kind: ResourceType) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(identity_tags(identity))).build()
}

/// Says whose a resource with these tags is.
pub fn owner(identity: &Identity, tags: &[Tag]) -> Owner {
    identity.owner(tags.iter().filter_map(|tag| tag.key().zip(tag.value())))
}

/// Says whether these tags are exactly a resource's identity.
pub fn is(identity: &Identity, tags: &[Tag]) -> bool {
    let name = tags.iter().any(|tag| tag.key() == Some("Name") && tag.value() == Some(&identity.tag_name()));
    name && owner(identity, tags) == Owner::Ours
}

/// Makes a filter with one value.
pub fn filter(name: impl Into<String>, value: impl Into<String>) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// Seconds in which two minutes begin, see [`minutes`]: EC2 shows what it has made within a second or two.
const TURN: u64 = 5;

/// Returns the two minutes that it is, as a part of client tokens.
///
/// EC2 remembers a token after its resource has been deleted, and then answers with the dead one:
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>. Two people's runs of one stack at the same
/// moment still send the same token; later runs find the resource by its tags.
///
/// # Errors
/// [`Kind::NotYet`] in the first seconds: a run that has sent the token of the two minutes before may not be seen yet.
pub fn minutes() -> Result<String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if since % 120 < TURN {
        return Err(Error::new(Kind::NotYet, "client tokens change at this moment: another run could be missed"));
    }
    Ok((since / 120).to_string())
}

/// Names the network interfaces that a filter finds: what still stands in a subnet or a VPC.
pub async fn interfaces(ec2: &Ec2, name: &str, value: &str) -> Result<Vec<String>> {
    let call = ec2.read.describe_network_interfaces().filters(filter(name, value));
    let found = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    let found = found.answer("ec2:DescribeNetworkInterfaces")?;
    let name =
        |id: Option<&str>, what: Option<&str>| format!("{} ({})", id.unwrap_or_default(), what.unwrap_or_default());
    Ok(found.iter().map(|interface| name(interface.network_interface_id(), interface.description())).collect())
}

/// Puts the identity tags on something that exists.
pub async fn adopt(ec2: &Ec2, id: &str, identity: &Identity) -> Result<()> {
    let tags = identity_tags(identity);
    ec2.write.create_tags().resources(id).set_tags(Some(tags)).send().await.answer("ec2:CreateTags")?;
    Ok(())
}

fn identity_tags(identity: &Identity) -> Vec<Tag> {
    identity.tags(|key, value| Tag::builder().key(key).value(value).build())
}
