//! Tags, of whatever has an ARN.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Region;
use super::error::{Stop, invalid_parameter};
use super::json::{list, text, texts};

/// The tags of every resource of a region, in the order in which they were put.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tags(HashMap<String, Vec<(String, String)>>);

impl Tags {
    /// Adds the tags of a request's `tags` member, over those of the same keys.
    pub(crate) fn put(&mut self, arn: &str, request: &Value) {
        for tag in list(request, "tags") {
            let Some(key) = text(tag, "key") else { continue };
            let value = text(tag, "value").unwrap_or_default().to_owned();
            let tags = self.0.entry(arn.to_owned()).or_default();
            match tags.iter_mut().find(|(taken, _)| taken == key) {
                Some(tag) => tag.1 = value,
                None => tags.push((key.to_owned(), value)),
            }
        }
    }

    /// The tags of a resource, as the API shows them.
    pub(crate) fn of(&self, arn: &str) -> Value {
        let tags = self.0.get(arn).map_or(&[][..], Vec::as_slice);
        tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
    }

    /// Gives a resource another's tags.
    pub(crate) fn copy(&mut self, from: &str, to: &str) {
        if let Some(tags) = self.0.get(from).cloned() {
            self.0.entry(to.to_owned()).or_default().extend(tags);
        }
    }

    /// Forgets the tags of a resource that is gone.
    pub(crate) fn forget(&mut self, arn: &str) {
        self.0.remove(arn);
    }

    fn remove(&mut self, arn: &str, keys: &[&str]) {
        if let Some(tags) = self.0.get_mut(arn) {
            tags.retain(|(key, _)| !keys.contains(&key.as_str()));
        }
    }
}

impl Region {
    pub(crate) fn tag_resource(&mut self, request: &Value) -> Result<Value, Stop> {
        let arn = self.taggable(request)?;
        self.tags.put(&arn, request);
        Ok(json!({}))
    }

    pub(crate) fn untag_resource(&mut self, request: &Value) -> Result<Value, Stop> {
        let arn = self.taggable(request)?;
        self.tags.remove(&arn, &texts(request, "tagKeys"));
        Ok(json!({}))
    }

    pub(crate) fn list_tags_for_resource(&self, request: &Value) -> Result<Value, Stop> {
        let arn = self.taggable(request)?;
        Ok(json!({"tags": self.tags.of(&arn)}))
    }

    /// The ARN of the request, if something has it.
    fn taggable(&self, request: &Value) -> Result<String, Stop> {
        let arn = text(request, "resourceArn").unwrap_or_default();
        let known = self.clusters.iter().any(|cluster| cluster.arn == arn && cluster.active)
            || self.services.iter().any(|service| service.arn == arn)
            || self.tasks.iter().any(|task| task.arn == arn)
            || self.task_definitions.iter().any(|definition| definition.arn == arn);
        if !known {
            return Err(invalid_parameter(
                "The specified resource is not found. Check the resource ARN and try again.",
            ));
        }
        Ok(arn.to_owned())
    }
}
