//! Tags: reserved keys, how many and how long (EC2 user guide, "Tag restrictions").

use std::collections::BTreeSet;

use super::kind::Kind;
use super::refusal::Refusal;
use crate::call::Request;
use crate::form::Form;

/// Tags that a thing may have.
const MOST: usize = 50;

/// Characters of a key.
const KEY: usize = 128;

/// Characters of a value.
const VALUE: usize = 256;

/// Refuses tags that no thing may have.
///
/// # Errors
/// There are such tags in the call.
pub(super) fn check(request: &Request) -> Result<(), Refusal> {
    let form = Form::of(request);
    for specification in form.list("TagSpecification") {
        let given = specification.value("ResourceType").unwrap_or_default();
        if Kind::made_by(&request.operation).is_some_and(|kind| kind.taggable != given) {
            let message = format!("'{given}' is not a valid taggable resource type for this operation.");
            return Err(Refusal::new("InvalidParameterValue", message));
        }
        check_list(&specification.list("Tag"))?;
    }
    if ["CreateTags", "DeleteTags"].contains(&request.operation.as_str()) {
        check_list(&form.list("Tag"))?;
    }
    Ok(())
}

/// The `Name` tag that a call gives to what it makes; empty where it gives none.
pub(super) fn name(request: &Request) -> &str {
    let specifications = Form::of(request).list("TagSpecification");
    let mut tags = specifications.iter().flat_map(|specification| specification.list("Tag"));
    tags.find(|tag| tag.value("Key") == Some("Name")).and_then(|tag| tag.value("Value")).unwrap_or_default()
}

fn check_list(tags: &[Form<'_>]) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new("InvalidParameterValue", message));
    if tags.len() > MOST {
        return Err(Refusal::new("TagLimitExceeded", "The maximum number of Tags for a resource has been reached."));
    }
    let mut keys = BTreeSet::new();
    for tag in tags {
        let key = tag.value("Key").unwrap_or_default();
        if key.to_ascii_lowercase().starts_with("aws:") {
            return refuse(format!("Tag keys starting with 'aws:' are reserved for internal use. Invalid key: {key}"));
        }
        if key.is_empty() {
            return refuse("Tag key cannot be null or empty".to_owned());
        }
        if key.chars().count() > KEY {
            return refuse(format!("Tag key exceeds the maximum length of {KEY} characters"));
        }
        if tag.value("Value").is_some_and(|value| value.chars().count() > VALUE) {
            return refuse(format!("Tag value exceeds the maximum length of {VALUE} characters"));
        }
        if !keys.insert(key) {
            return refuse(format!("Duplicate tag key '{key}' specified."));
        }
    }
    Ok(())
}
