//! A registered task definition as a file, for CI to put an image in and register again.

use std::path::PathBuf;
use std::str::FromStr;

use aws_sdk_ecs::types::{Tag, TaskDefinition};
use ecs_aws::deployment::registrable;
use ecs_core::{Error, Result, Stack};
use serde_json::{Value, json};

/// Where a service's task definition is to be written: `FILE`, or `SERVICE=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Key of the service; none: the only one
    service: Option<String>,
    file: PathBuf,
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (service, file) = match text.split_once('=') {
            Some((service, file)) => (Some(service.to_owned()), file),
            None => (None, text),
        };
        if file.is_empty() {
            return Err("a file is missing: FILE, or SERVICE=FILE".to_owned());
        }
        Ok(Self { service, file: file.into() })
    }
}

impl Template {
    /// Checks that there is such a service, before anything is made.
    ///
    /// # Errors
    /// When there is none, or when there are several and none is named.
    pub fn check(&self, stack: &Stack) -> Result<()> {
        let keys = || stack.services.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let file = self.file.display();
        match &self.service {
            Some(service) if !stack.services.contains_key(service) => {
                Err(Error::usage(format!("{service}={file}: the stack has no service `{service}`"))
                    .hint(format!("there are: {}", keys())))
            }
            None if stack.services.len() != 1 => Err(Error::usage(format!("{file}: which service's task definition?"))
                .hint(format!("write SERVICE={file}; there are: {}", keys()))),
            Some(_) | None => Ok(()),
        }
    }

    /// Says whether it is for a service.
    pub fn is_for(&self, key: &str) -> bool {
        self.service.as_ref().is_none_or(|service| service == key)
    }

    /// Writes a task definition: secrets by what they come from, never by value.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, definition: &TaskDefinition, tags: &[Tag]) -> Result<()> {
        let text = format!("{:#}\n", content(definition, tags)?);
        std::fs::write(&self.file, text).map_err(|error| {
            Error::other(error.to_string()).doing(format!("writing the task definition to {}", self.file.display()))
        })
    }

    /// Returns the file's name, as it was given.
    pub fn name(&self) -> String {
        self.file.display().to_string()
    }
}

/// Returns a task definition as RegisterTaskDefinition takes it, tags included: what is registered from it is then ours.
fn content(definition: &TaskDefinition, tags: &[Tag]) -> Result<Value> {
    let mut members = registrable(definition)?;
    let tags: Vec<Value> = tags.iter().map(|tag| json!({ "key": tag.key(), "value": tag.value() })).collect();
    members.insert("tags".to_owned(), json!(tags));
    Ok(Value::Object(members))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use aws_sdk_ecs::types::{ContainerDefinition, Secret};
    use ecs_core::stack::Service;

    use super::*;

    #[test]
    fn a_file_is_for_one_service_that_there_is() {
        let template = |text: &str| Template::from_str(text).expect(text);
        let two = Stack::default();
        let only = BTreeMap::from([("web".to_owned(), Service::default())]);
        let one = Stack { services: only, ..Stack::default() };
        let cases = [
            ("service.latest.json", &one, None),
            ("web=a.json", &one, None),
            ("backend=a.json", &two, None),
            ("a.json", &two, Some("a.json: which service's task definition?")),
            ("web=a.json", &two, Some("web=a.json: the stack has no service `web`")),
        ];
        for (text, stack, refusal) in cases {
            let refused = template(text).check(stack).err().map(|error| error.message().to_owned());
            assert_eq!(refused.as_deref(), refusal, "{text}");
        }
        assert!(template("a.json").is_for("web") && template("web=a.json").is_for("web"));
        assert!(!template("web=a.json").is_for("backend"));
        assert!(Template::from_str("web=").is_err());
    }

    #[test]
    fn what_only_ecs_writes_is_left_out_and_secrets_are_references() {
        let secret = Secret::builder().name("S").value_from("arn:aws:ssm:r:1:parameter/s").build().expect("complete");
        let container = ContainerDefinition::builder().name("app").image("nginx:1").secrets(secret).build();
        let definition = TaskDefinition::builder().family("f").revision(3).task_definition_arn("arn:f:3");
        let definition = definition.container_definitions(container).build();
        let written = content(&definition, &[Tag::builder().key("k").value("v").build()]).expect("written");
        assert_eq!((&written["family"], &written["revision"]), (&json!("f"), &Value::Null));
        let secrets = &written["containerDefinitions"][0]["secrets"];
        assert_eq!(*secrets, json!([{ "name": "S", "valueFrom": "arn:aws:ssm:r:1:parameter/s" }]));
        assert_eq!(written["tags"], json!([{ "key": "k", "value": "v" }]));
    }
}
