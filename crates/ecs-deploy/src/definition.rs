//! A task definition as JSON, in the form in which it is registered: taken over whole, changed where it was asked for.

use std::collections::BTreeMap;
use std::path::Path;

use aws_sdk_ecs::operation::register_task_definition::RegisterTaskDefinitionInput;
use aws_sdk_ecs::types::{Tag, TaskDefinition};
use aws_smithy_json::codec::JsonCodec;
use aws_smithy_schema::codec::Codec as _;
use ecs_aws::deployment::{json_of, registrable, without_server_only};
use ecs_core::{Error, Result};
use serde_json::{Map, Value, json};

/// A task definition to register.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition(Map<String, Value>);

impl Definition {
    /// Takes over one that ECS describes, without what only ECS writes into it.
    ///
    /// # Errors
    /// When the SDK cannot write it as JSON.
    pub fn of(described: &TaskDefinition) -> Result<Self> {
        registrable(described).map(Self)
    }

    /// Reads one from a file: what `aws ecs describe-task-definition` or `register-task-definition --generate-cli-skeleton` prints.
    ///
    /// # Errors
    /// When the file cannot be read, is no JSON, or holds a key that ECS does not know.
    pub fn read(path: &Path) -> Result<Self> {
        let bad = |why: String| Error::usage(format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
        let value: Value = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        let value = match value.get("taskDefinition") {
            Some(inner) if inner.is_object() => inner.clone(),
            Some(_) | None => value,
        };
        if value["containerDefinitions"].as_array().is_none_or(Vec::is_empty) {
            return Err(bad("it is no task definition: there are no `containerDefinitions`".to_owned())
                .hint("write one with: aws ecs describe-task-definition --task-definition FAMILY"));
        }
        let definition = Self(without_server_only(value));
        // What the codec does not know it leaves out: a slip of the pen would be lost in silence.
        let known = json_of(RegisterTaskDefinitionInput::SCHEMA, &definition.input()?)?;
        if let Some(unknown) = missing_in(&known, &Value::Object(definition.0.clone()), "") {
            return Err(bad(format!("ECS knows no key `{unknown}` in a task definition")));
        }
        Ok(definition)
    }

    /// Returns it as the SDK takes it.
    ///
    /// # Errors
    /// When it has the wrong shape.
    pub fn input(&self) -> Result<RegisterTaskDefinitionInput> {
        let wrong = |error: String| Error::usage(format!("the task definition has the wrong shape: {error}"));
        let bytes = serde_json::to_vec(&self.0).map_err(|error| wrong(error.to_string()))?;
        let mut deserializer = JsonCodec::default().create_deserializer(&bytes);
        RegisterTaskDefinitionInput::deserialize(&mut deserializer).map_err(|error| wrong(error.to_string()))
    }

    /// Returns the family.
    pub fn family(&self) -> &str {
        self.text("family")
    }

    /// Returns the execution role's ARN.
    pub fn execution_role(&self) -> Option<&str> {
        self.0.get("executionRoleArn").and_then(Value::as_str)
    }

    /// Returns the task role's ARN.
    pub fn task_role(&self) -> Option<&str> {
        self.0.get("taskRoleArn").and_then(Value::as_str)
    }

    /// Returns the processor that its tasks run on, in Docker's words: `amd64`, `arm64`.
    ///
    /// Without a runtime platform it is X86_64
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RuntimePlatform.html>).
    pub fn architecture(&self) -> &'static str {
        match self.0.get("runtimePlatform").and_then(|platform| platform["cpuArchitecture"].as_str()) {
            Some("ARM64") => "arm64",
            Some(_) | None => "amd64",
        }
    }

    /// Returns CPU units and memory in MiB of the task, where both are numbers.
    pub fn size(&self) -> Option<(u32, u32)> {
        let number = |name: &str, unit: &str| units(self.text(name), unit).parse().ok();
        Some((number("cpu", "vcpu")?, number("memory", "gb")?))
    }

    /// Says whether it is for Fargate.
    pub fn is_fargate(&self) -> bool {
        let needs = self.0.get("requiresCompatibilities").and_then(Value::as_array);
        needs.is_some_and(|needs| needs.contains(&json!("FARGATE")))
    }

    /// Returns the containers.
    pub fn containers(&self) -> impl Iterator<Item = &Value> {
        self.0.get("containerDefinitions").and_then(Value::as_array).into_iter().flatten()
    }

    /// Returns the name of the container that a new image goes into, if nobody names one: the only one, else the first
    /// essential one with a port.
    ///
    /// # Errors
    /// When a named one does not exist.
    pub fn serving(&self, wanted: Option<&str>) -> Result<String> {
        let name = |container: &Value| container["name"].as_str().unwrap_or_default().to_owned();
        let all: Vec<String> = self.containers().map(name).collect();
        if let Some(wanted) = wanted {
            if all.iter().any(|name| name == wanted) {
                return Ok(wanted.to_owned());
            }
            return Err(Error::usage(format!("the task definition {} has no container `{wanted}`", self.family()))
                .hint(format!("there are: {}", all.join(", "))));
        }
        let open = |container: &&Value| {
            container["essential"] != json!(false)
                && container["portMappings"].as_array().is_some_and(|ports| !ports.is_empty())
        };
        let serving = self.containers().find(open).or(self.containers().next()).map(name);
        serving.ok_or_else(|| Error::other(format!("the task definition {} has no containers", self.family())))
    }

    /// Returns the image of a container.
    pub fn image(&self, container: &str) -> Option<&str> {
        self.container(container)?["image"].as_str()
    }

    /// Returns a container by its name.
    pub fn container(&self, name: &str) -> Option<&Value> {
        self.containers().find(|container| container["name"] == json!(name))
    }

    /// Returns the sources of all secrets, with the variables that they are for.
    pub fn secrets(&self) -> BTreeMap<&str, &str> {
        let lists = self.containers().filter_map(|container| container["secrets"].as_array()).flatten();
        lists.filter_map(|secret| Some((secret["valueFrom"].as_str()?, secret["name"].as_str()?))).collect()
    }

    /// Puts an image into a container.
    pub fn set_image(&mut self, container: &str, image: &str) {
        self.change(container, |container| container["image"] = json!(image));
    }

    /// Sets a variable of a container, whatever it was before.
    pub fn set_variable(&mut self, container: &str, name: &str, value: &str) {
        self.change(container, |container| {
            put(container, "environment", name, Some(json!({"name": name, "value": value})));
            put(container, "secrets", name, None);
        });
    }

    /// Takes a variable of a container from a secret, whatever it was before.
    pub fn set_secret(&mut self, container: &str, name: &str, source: &str) {
        self.change(container, |container| {
            put(container, "secrets", name, Some(json!({"name": name, "valueFrom": source})));
            put(container, "environment", name, None);
        });
    }

    /// Sets the size of the task.
    pub fn set_size(&mut self, cpu: Option<u32>, memory: Option<u32>) {
        for (name, size) in [("cpu", cpu), ("memory", memory)] {
            if let Some(size) = size {
                self.0.insert(name.to_owned(), json!(size.to_string()));
            }
        }
    }

    /// Puts tags beside it: DescribeTaskDefinition shows them beside the definition, and a new revision has none by itself.
    pub fn set_tags(&mut self, tags: &[Tag]) {
        // AWS keeps names that begin with `aws:` to itself.
        let own = tags.iter().filter(|tag| !tag.key().unwrap_or_default().starts_with("aws:"));
        let tags: Vec<Value> = own.map(|tag| json!({"key": tag.key(), "value": tag.value()})).collect();
        if !tags.is_empty() {
            self.0.insert("tags".to_owned(), Value::Array(tags));
        }
    }

    /// Says what differs, one line each; tags do not count.
    ///
    /// Of variables and secrets, the name alone: a value may be a secret that somebody has put there.
    pub fn differences(&self, to: &Self) -> Vec<String> {
        let (from, to) = (self.flat(), to.flat());
        let names: std::collections::BTreeSet<&String> = from.keys().chain(to.keys()).collect();
        let line = |name: &String| match (from.get(name), to.get(name)) {
            (Some(is), Some(to_be)) if is == to_be => None,
            (Some(_), Some(_)) if hidden(name) => Some(format!("{name}: changed")),
            (Some(is), Some(to_be)) => Some(format!("{name}: {is} -> {to_be}")),
            (Some(_), None) => Some(format!("{name}: removed")),
            (None, Some(_)) if hidden(name) => Some(format!("{name}: added")),
            (None, Some(to_be)) => Some(format!("{name}: {to_be} added")),
            (None, None) => None,
        };
        names.into_iter().filter_map(line).collect()
    }

    /// Returns every value by its place, both in canonical form: what ECS fills in and reorders makes no difference.
    fn flat(&self) -> BTreeMap<String, String> {
        let mut flat = BTreeMap::new();
        for (name, value) in &self.0 {
            let value = match name.as_str() {
                "tags" => continue,
                "cpu" => json!(units(value.as_str().unwrap_or_default(), "vcpu")),
                "memory" => json!(units(value.as_str().unwrap_or_default(), "gb")),
                _ => value.clone(),
            };
            flatten(name, &value, &mut flat);
        }
        flat
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        let containers = self.0.get_mut("containerDefinitions").and_then(Value::as_array_mut).into_iter().flatten();
        if let Some(container) = containers.into_iter().find(|container| container["name"] == json!(name)) {
            change(container);
        }
    }
}

/// Puts an entry into a list of a container by its name, or takes it out.
fn put(container: &mut Value, list: &str, name: &str, entry: Option<Value>) {
    let mut entries = container[list].as_array().cloned().unwrap_or_default();
    entries.retain(|one| one["name"] != json!(name));
    entries.extend(entry);
    container[list] = Value::Array(entries);
}

/// Says whether a value is not to be shown.
fn hidden(place: &str) -> bool {
    place.contains(" variable ") || place.contains(" secret ")
}

/// Writes every value below a place.
fn flatten(place: &str, value: &Value, flat: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (name, value) in members {
                if !is_default(place, name, value, members) {
                    flatten(&format!("{place} {name}"), value, flat);
                }
            }
        }
        Value::Array(values) if values.iter().all(|value| !value.is_object()) => {
            if !values.is_empty() {
                flat.insert(place.to_owned(), Value::Array(values.clone()).to_string());
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                let (place, value) = entry(place, index, value);
                flatten(&place, &value, flat);
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            flat.insert(place.to_owned(), text);
        }
    }
}

/// Returns the place and the rest of an entry of a list, by its name where it has one.
fn entry(list: &str, index: usize, value: &Value) -> (String, Value) {
    let (outer, list) = list.rsplit_once(' ').map_or(("", list), |(outer, list)| (outer, list));
    let mut value = value.clone();
    let mut named = |noun: &str, key: &str| {
        let name = value.get(key)?;
        let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
        let place = format!("{outer} {noun} {name}").trim_start().to_owned();
        value.as_object_mut()?.remove(key);
        Some(place)
    };
    let place = match list {
        "containerDefinitions" => named("container", "name"),
        "environment" => named("variable", "name"),
        "secrets" => named("secret", "name"),
        "portMappings" => named("port", "containerPort"),
        "mountPoints" => named("mount point", "containerPath"),
        "volumes" => named("volume", "name"),
        "dependsOn" => named("dependency", "containerName"),
        "ulimits" => named("ulimit", "name"),
        _ => None,
    };
    (place.unwrap_or_else(|| format!("{outer} {list} {}", index + 1).trim_start().to_owned()), value)
}

/// Says whether a value is what ECS fills in where none is given: `essential`, `hostPort` and `protocol`, and no CPU units
/// of a container of its own (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>).
fn is_default(place: &str, name: &str, value: &Value, beside: &Map<String, Value>) -> bool {
    let empty = match value {
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    empty
        || match name {
            "essential" => *value == json!(true),
            "cpu" => place.starts_with("container ") && *value == json!(0),
            "protocol" => place.contains(" port ") && *value == json!("tcp"),
            // The container's port has become the place by now.
            "hostPort" => {
                place.contains(" port ")
                    && beside.get("hostPort").is_some_and(|port| place.ends_with(&format!(" {port}")))
            }
            _ => false,
        }
}

/// Returns the first key of `wanted` that `known` lacks.
fn missing_in(known: &Value, wanted: &Value, place: &str) -> Option<String> {
    match (known, wanted) {
        (Value::Object(known), Value::Object(wanted)) => wanted.iter().find_map(|(name, value)| {
            let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            match known.get(name) {
                Some(known) => missing_in(known, value, &place),
                None if value.is_null() => None,
                None => Some(place),
            }
        }),
        (Value::Array(known), Value::Array(wanted)) => {
            known.iter().zip(wanted).find_map(|(known, wanted)| missing_in(known, wanted, place))
        }
        (_, _) => None,
    }
}

/// Returns a size in CPU units or MiB: "512", or "0.5 vCPU" and "1 GB", whatever their case and spaces.
fn units(size: &str, unit: &str) -> String {
    let size = size.to_ascii_lowercase().replace(' ', "");
    let number = size.strip_suffix(unit).and_then(|number| number.parse::<f64>().ok());
    number.map_or(size, |number| format!("{:.0}", number * 1024.0))
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{ContainerDefinition, KeyValuePair, NetworkMode, PortMapping, Secret, TransportProtocol};

    use super::*;

    /// What ECS reads back: it fills in ports, protocol, `essential` and revision.
    fn described() -> TaskDefinition {
        let secret = Secret::builder().name("S").value_from("arn:aws:ssm:r:1:parameter/s").build().expect("complete");
        let port = PortMapping::builder().container_port(80).host_port(80).protocol(TransportProtocol::Tcp).build();
        let container = ContainerDefinition::builder()
            .name("app")
            .image("r/app:1")
            .essential(true)
            .cpu(0)
            .port_mappings(port)
            .environment(KeyValuePair::builder().name("B").value("2").build())
            .environment(KeyValuePair::builder().name("A").value("1").build())
            .secrets(secret)
            .set_mount_points(Some(Vec::new()))
            .build();
        TaskDefinition::builder()
            .task_definition_arn("arn:aws:ecs:r:1:task-definition/app:7")
            .family("app")
            .revision(7)
            .network_mode(NetworkMode::Awsvpc)
            .cpu("512")
            .memory("1024")
            .container_definitions(container)
            .build()
    }

    fn definition() -> Definition {
        Definition::of(&described()).expect("a definition")
    }

    #[test]
    fn what_only_ecs_writes_is_left_out_and_the_rest_is_registered_whole() {
        let input = definition().input().expect("an input");
        assert_eq!((input.family(), input.network_mode()), (Some("app"), Some(&NetworkMode::Awsvpc)));
        let container = &input.container_definitions()[0];
        assert_eq!((container.image(), container.environment().len()), (Some("r/app:1"), 2));
        assert!(!definition().0.contains_key("revision"));
    }

    #[test]
    fn what_ecs_fills_in_and_reorders_is_no_difference() {
        let file = Definition(without_server_only(json!({
            "family": "app", "networkMode": "awsvpc", "cpu": "0.5 vCPU", "memory": "1 GB",
            "containerDefinitions": [{
                "name": "app", "image": "r/app:1", "portMappings": [{"containerPort": 80}],
                "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                "secrets": [{"name": "S", "valueFrom": "arn:aws:ssm:r:1:parameter/s"}],
            }],
        })));
        assert_eq!(definition().differences(&file), [""; 0]);
    }

    #[test]
    fn differences_are_named_and_no_value_of_a_variable_or_secret_is() {
        let mut changed = definition();
        changed.set_image("app", "r/app:2");
        changed.set_variable("app", "A", "hunter2");
        changed.set_variable("app", "C", "hunter2");
        changed.set_secret("app", "B", "/hunter2");
        changed.set_size(Some(1024), None);
        let lines = definition().differences(&changed);
        let expected = [
            "container app image: r/app:1 -> r/app:2",
            "container app secret B valueFrom: added",
            "container app variable A value: changed",
            "container app variable B value: removed",
            "container app variable C value: added",
            "cpu: 512 -> 1024",
        ];
        assert_eq!(lines, expected);
        assert!(!lines.concat().contains("hunter2"));
    }

    #[test]
    fn a_variable_is_either_plain_or_secret() {
        let mut changed = definition();
        changed.set_variable("app", "S", "plain");
        assert_eq!(changed.secrets().len(), 0);
    }

    #[test]
    fn the_container_that_serves_has_a_port() {
        let mut both = definition();
        both.0["containerDefinitions"].as_array_mut().expect("a list").insert(0, json!({"name": "agent"}));
        assert_eq!(both.serving(None).expect("one"), "app");
        assert_eq!(both.serving(Some("agent")).expect("named"), "agent");
        assert!(both.serving(Some("nothing")).is_err());
    }

    #[test]
    fn a_slip_of_the_pen_in_a_file_is_named() {
        let known = json!({"a": {"b": 1}, "list": [{"name": "x"}]});
        let wanted = json!({"a": {"b": 1, "c": 2}, "list": [{"name": "x"}]});
        assert_eq!(missing_in(&known, &wanted, ""), Some("a.c".to_owned()));
        let wanted = json!({"list": [{"name": "x", "imag": "y"}], "gone": null});
        assert_eq!(missing_in(&known, &wanted, ""), Some("list.imag".to_owned()));
        assert_eq!(missing_in(&known, &json!({"a": {"b": 1}}), ""), None);
    }
}
