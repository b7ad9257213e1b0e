//! Task definitions: checked and completed as the server does it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Region;
use super::error::{Stop, client_exception, invalid_parameter};
use super::json::{includes, list, number, page, pick, text, texts};
use crate::environment::ACCOUNT;

/// Members of the request that the server keeps.
const KEPT: &[&str] = &[
    "family",
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "volumes",
    "placementConstraints",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "inferenceAccelerators",
    "ephemeralStorage",
    "runtimePlatform",
    "enableFaultInjection",
];

/// Fargate's sizes: CPU units, then least memory, most memory and step in MiB (developer guide, "Task size").
const FARGATE_SIZES: &[(i64, i64, i64, i64)] = &[
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];

/// A revision of a task definition.
#[derive(Clone, Debug)]
pub(crate) struct TaskDefinition {
    pub(crate) arn: String,
    pub(crate) family: String,
    pub(crate) revision: i64,
    pub(crate) status: DefinitionStatus,
    /// What was registered, completed by the server.
    pub(crate) content: Value,
    registered: f64,
    deregistered: Option<f64>,
}

/// The life of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefinitionStatus {
    Active,
    Inactive,
    DeleteInProgress,
}

impl DefinitionStatus {
    fn name(self) -> &'static str {
        match self {
            DefinitionStatus::Active => "ACTIVE",
            DefinitionStatus::Inactive => "INACTIVE",
            DefinitionStatus::DeleteInProgress => "DELETE_IN_PROGRESS",
        }
    }
}

impl Region {
    /// The revision that a family, `family:revision` or ARN names: for a family the latest active one.
    pub(crate) fn task_definition(&self, name: &str) -> Option<&TaskDefinition> {
        let name = match name.split_once(":task-definition/") {
            Some((_, name)) => name,
            None => name,
        };
        match name.rsplit_once(':') {
            Some((family, revision)) => {
                let revision: i64 = revision.parse().ok()?;
                self.task_definitions
                    .iter()
                    .find(|definition| definition.family == family && definition.revision == revision)
            }
            None => {
                let active = |definition: &&TaskDefinition| {
                    definition.family == name && definition.status == DefinitionStatus::Active
                };
                self.task_definitions.iter().filter(active).max_by_key(|definition| definition.revision)
            }
        }
    }

    pub(crate) fn register_task_definition(&mut self, request: &Value) -> Result<Value, Stop> {
        let family = text(request, "family").unwrap_or_default().to_owned();
        let content = complete(request)?;
        // Numbers are never used twice, deregistered or deleted.
        let revision = self.revisions_made.entry(family.clone()).or_default();
        *revision += 1;
        let revision = *revision;
        let arn = self.arn(&format!("task-definition/{family}:{revision}"));
        let definition = TaskDefinition {
            arn: arn.clone(),
            family,
            revision,
            status: DefinitionStatus::Active,
            content,
            registered: self.now,
            deregistered: None,
        };
        self.tags.put(&arn, request);
        let shown = self.show_definition(&definition);
        self.task_definitions.push(definition);
        Ok(json!({"taskDefinition": shown, "tags": self.tags.of(&arn)}))
    }

    pub(crate) fn describe_task_definition(&self, request: &Value) -> Result<Value, Stop> {
        let name = text(request, "taskDefinition").unwrap_or_default();
        let found =
            self.task_definition(name).ok_or_else(|| client_exception("Unable to describe task definition."))?;
        let tags = if includes(request, "TAGS") { self.tags.of(&found.arn) } else { json!([]) };
        Ok(json!({"taskDefinition": self.show_definition(found), "tags": tags}))
    }

    pub(crate) fn list_task_definitions(&self, request: &Value) -> Result<Value, Stop> {
        let status = text(request, "status").unwrap_or("ACTIVE");
        // For this operation the "prefix" is the whole family.
        let family = text(request, "familyPrefix");
        let wanted = |definition: &&TaskDefinition| {
            definition.status.name() == status && family.is_none_or(|family| definition.family == family)
        };
        let mut found: Vec<&TaskDefinition> = self.task_definitions.iter().filter(wanted).collect();
        found.sort_by(|a, b| (&a.family, a.revision).cmp(&(&b.family, b.revision)));
        if text(request, "sort") == Some("DESC") {
            found.reverse();
        }
        page(request, "taskDefinitionArns", found.iter().map(|definition| json!(definition.arn)).collect(), 100)
    }

    pub(crate) fn list_task_definition_families(&self, request: &Value) -> Result<Value, Stop> {
        let prefix = text(request, "familyPrefix").unwrap_or_default();
        let active: BTreeSet<&str> = self
            .task_definitions
            .iter()
            .filter(|definition| definition.status == DefinitionStatus::Active)
            .map(|definition| definition.family.as_str())
            .collect();
        let all: BTreeSet<&str> = self.task_definitions.iter().map(|definition| definition.family.as_str()).collect();
        let families = all.into_iter().filter(|family| family.starts_with(prefix)).filter(|family| {
            match text(request, "status") {
                Some("INACTIVE") => !active.contains(family),
                Some("ALL") => true,
                _ => active.contains(family),
            }
        });
        page(request, "families", families.map(|family| json!(family)).collect(), 100)
    }

    pub(crate) fn deregister_task_definition(&mut self, request: &Value) -> Result<Value, Stop> {
        let name = text(request, "taskDefinition").unwrap_or_default();
        if !name.rsplit('/').next().unwrap_or_default().contains(':') {
            return Err(invalid_parameter("Task definition must have a revision."));
        }
        let not_found = || {
            client_exception(
                "The specified task definition does not exist. Specify a valid family, family:revision or ARN and try again.",
            )
        };
        let arn = self.task_definition(name).ok_or_else(not_found)?.arn.clone();
        let now = self.now;
        for definition in self.task_definitions.iter_mut().filter(|definition| definition.arn == arn) {
            definition.status = DefinitionStatus::Inactive;
            definition.deregistered.get_or_insert(now);
        }
        let shown = self.task_definition(&arn).map(|definition| self.show_definition(definition));
        Ok(json!({"taskDefinition": shown}))
    }

    pub(crate) fn delete_task_definitions(&mut self, request: &Value) -> Result<Value, Stop> {
        let names = texts(request, "taskDefinitions");
        if names.is_empty() || names.len() > 10 {
            return Err(invalid_parameter("taskDefinitions must be 1 to 10 in number."));
        }
        let (mut deleted, mut failures) = (Vec::new(), Vec::new());
        for name in names {
            let found = self.task_definition(name).map(|definition| (definition.arn.clone(), definition.status));
            match found {
                None => failures.push(json!({"arn": name, "reason": "MISSING", "detail": "The specified task definition does not exist."})),
                Some((arn, DefinitionStatus::Active)) => failures.push(
                    json!({"arn": arn, "reason": "The specified task definition is still in ACTIVE status. Please deregister the target and try again."}),
                ),
                Some((arn, DefinitionStatus::Inactive | DefinitionStatus::DeleteInProgress)) => {
                    for definition in self.task_definitions.iter_mut().filter(|definition| definition.arn == arn) {
                        definition.status = DefinitionStatus::DeleteInProgress;
                        deleted.push(arn.clone());
                    }
                }
            }
        }
        let shown: Vec<Value> = deleted
            .iter()
            .filter_map(|arn| self.task_definition(arn))
            .map(|found| self.show_definition(found))
            .collect();
        // Gone once nothing refers to it.
        let used: BTreeSet<String> = self
            .tasks
            .iter()
            .map(|task| task.definition.clone())
            .chain(self.services.iter().flat_map(|service| service.definitions()))
            .collect();
        self.task_definitions.retain(|definition| !deleted.contains(&definition.arn) || used.contains(&definition.arn));
        Ok(json!({"taskDefinitions": shown, "failures": failures}))
    }

    fn show_definition(&self, definition: &TaskDefinition) -> Value {
        let mut shown = definition.content.clone();
        shown["taskDefinitionArn"] = json!(definition.arn);
        shown["revision"] = json!(definition.revision);
        shown["status"] = json!(definition.status.name());
        shown["registeredAt"] = json!(self.scale.wall(definition.registered));
        shown["registeredBy"] = json!(format!("arn:aws:iam::{ACCOUNT}:root"));
        if let Some(at) = definition.deregistered {
            shown["deregisteredAt"] = json!(self.scale.wall(at));
        }
        shown
    }
}

/// What the server makes of a request: checked, completed and in its own order.
fn complete(request: &Value) -> Result<Value, Stop> {
    let family = text(request, "family").unwrap_or_default();
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if family.is_empty() || family.len() > 255 || !family.chars().all(sound) {
        return Err(client_exception("Family contains invalid characters or is empty."));
    }
    let containers = list(request, "containerDefinitions");
    if containers.is_empty() {
        return Err(client_exception("Container definitions list is empty."));
    }
    let mut content = Value::Object(pick(request, KEPT));
    for name in ["volumes", "placementConstraints"] {
        if content.get(name).is_none() {
            content[name] = json!([]);
        }
    }
    let fargate = texts(request, "requiresCompatibilities").contains(&"FARGATE");
    let awsvpc = text(request, "networkMode") == Some("awsvpc");
    if let Some(cpu) = text(request, "cpu") {
        content["cpu"] =
            json!(units(cpu, "vcpu").ok_or_else(|| client_exception("Invalid 'cpu' setting for task."))?.to_string());
    }
    if let Some(memory) = text(request, "memory") {
        content["memory"] = json!(
            units(memory, "gb").ok_or_else(|| client_exception("Invalid 'memory' setting for task."))?.to_string()
        );
    }
    if fargate {
        check_fargate(&content, awsvpc)?;
    }
    let completed = containers
        .iter()
        .map(|container| complete_container(container, &content, fargate, awsvpc))
        .collect::<Result<Vec<_>, _>>()?;
    if !completed.iter().any(|container| container["essential"] == json!(true)) {
        return Err(client_exception(
            "Invalid setting for container definitions. At least one container must be essential.",
        ));
    }
    let mut names: Vec<&str> = completed.iter().filter_map(|container| text(container, "name")).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(client_exception("Container names must be unique."));
    }
    check_execution_role(&content, &completed, fargate)?;
    content["compatibilities"] = if awsvpc { json!(["EC2", "FARGATE"]) } else { json!(["EXTERNAL", "EC2"]) };
    content["requiresAttributes"] = attributes(&content, &completed, awsvpc);
    content["containerDefinitions"] = json!(completed);
    Ok(content)
}

/// A size in units or MiB: "512", or "1 vCPU" and "2GB", whatever their case and spaces.
fn units(text: &str, unit: &str) -> Option<i64> {
    let text = text.to_ascii_lowercase().replace(' ', "");
    match text.strip_suffix(unit) {
        Some(number) => {
            let number: f64 = number.parse().ok()?;
            Some((number * 1024.0).round() as i64)
        }
        None => text.parse().ok(),
    }
}

fn check_fargate(content: &Value, awsvpc: bool) -> Result<(), Stop> {
    if !awsvpc {
        return Err(client_exception("Fargate only supports network mode ‘awsvpc’."));
    }
    let size = |name| text(content, name).and_then(|text| text.parse::<i64>().ok());
    let Some(cpu) = size("cpu") else {
        return Err(client_exception("Fargate requires that 'cpu' be defined at the task level."));
    };
    let Some(memory) = size("memory") else {
        return Err(client_exception("Fargate requires that 'memory' be defined at the task level."));
    };
    check_size(cpu, memory)
}

/// Checks that Fargate has such a size.
pub(crate) fn check_size(cpu: i64, memory: i64) -> Result<(), Stop> {
    let fits = match cpu {
        256 => [512, 1024, 2048].contains(&memory),
        _ => FARGATE_SIZES.iter().any(|&(units, least, most, step)| {
            units == cpu && (least..=most).contains(&memory) && (memory - least) % step == 0
        }),
    };
    if !fits {
        return Err(client_exception(format!(
            "No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. See the Amazon ECS documentation for the valid \
             values."
        )));
    }
    Ok(())
}

fn complete_container(container: &Value, task: &Value, fargate: bool, awsvpc: bool) -> Result<Value, Stop> {
    let name = text(container, "name").unwrap_or_default();
    if name.is_empty() {
        return Err(client_exception("Container.name should not be null or empty."));
    }
    if text(container, "image").unwrap_or_default().is_empty() {
        return Err(client_exception("Container.image should not be null or empty."));
    }
    let memory = [number(container, "memory"), number(container, "memoryReservation")];
    if !fargate && memory == [None, None] && task.get("memory").is_none() {
        return Err(client_exception(format!(
            "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
        )));
    }
    if let (Some(hard), Some(soft)) = (memory[0], memory[1])
        && soft > hard
    {
        return Err(client_exception(format!(
            "Invalid setting for container '{name}'. 'memory' must be greater than 'memoryReservation'."
        )));
    }
    let room = text(task, "memory").and_then(|text| text.parse::<i64>().ok());
    if let (Some(room), Some(wanted)) = (room, memory[0].or(memory[1]))
        && wanted > room
    {
        return Err(client_exception(format!(
            "Invalid 'memory' setting for container '{name}': {wanted} MiB is more than the task's {room} MiB."
        )));
    }
    check_secrets(container)?;
    let mut completed = container.clone();
    for list in ["portMappings", "environment", "mountPoints", "volumesFrom", "systemControls"] {
        if completed.get(list).is_none_or(Value::is_null) {
            completed[list] = json!([]);
        }
    }
    for (name, usual) in [("cpu", json!(0)), ("essential", json!(true))] {
        if completed.get(name).is_none_or(Value::is_null) {
            completed[name] = usual;
        }
    }
    if let Some(mappings) = completed["portMappings"].as_array_mut() {
        for mapping in mappings {
            let port = number(mapping, "containerPort");
            if awsvpc {
                match (port, number(mapping, "hostPort")) {
                    (Some(port), None) => mapping["hostPort"] = json!(port),
                    (Some(port), Some(host)) if port != host => {
                        return Err(client_exception(
                            "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
                        ));
                    }
                    (Some(_) | None, Some(_)) | (None, None) => {}
                }
            }
            if mapping.get("protocol").is_none() {
                mapping["protocol"] = json!("tcp");
            }
        }
    }
    if let Some(environment) = completed["environment"].as_array_mut() {
        environment.sort_by(|a, b| text(a, "name").cmp(&text(b, "name")));
    }
    Ok(completed)
}

fn check_secrets(container: &Value) -> Result<(), Stop> {
    let mut taken: BTreeSet<&str> =
        list(container, "environment").iter().filter_map(|pair| text(pair, "name")).collect();
    for secret in list(container, "secrets") {
        let name = text(secret, "name").unwrap_or_default();
        if name.is_empty() || text(secret, "valueFrom").unwrap_or_default().is_empty() {
            return Err(client_exception("Secret name and valueFrom should not be null or empty."));
        }
        if !taken.insert(name) {
            return Err(client_exception(format!(
                "The secret name must be unique and not shared with any new or existing environment variables set on the container, such as '{name}'."
            )));
        }
    }
    Ok(())
}

/// Fargate itself needs a role to write logs, read secrets and pull from ECR.
fn check_execution_role(content: &Value, containers: &[Value], fargate: bool) -> Result<(), Stop> {
    if content.get("executionRoleArn").is_some() {
        let sound =
            text(content, "executionRoleArn").is_some_and(|arn| arn.starts_with("arn:aws") && arn.contains(":role/"));
        return if sound { Ok(()) } else { Err(client_exception("Role is not valid")) };
    }
    let uses = |wanted: fn(&Value) -> bool| containers.iter().any(wanted);
    if uses(|container| !list(container, "secrets").is_empty()) {
        return Err(client_exception(
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
        ));
    }
    if fargate && uses(|container| container["logConfiguration"]["logDriver"] == json!("awslogs")) {
        return Err(client_exception(
            "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
        ));
    }
    if fargate && uses(|container| text(container, "image").is_some_and(is_ecr)) {
        return Err(client_exception(
            "Fargate requires task definition to have execution role ARN to support ECR images.",
        ));
    }
    Ok(())
}

fn is_ecr(image: &str) -> bool {
    image.split_once('/').is_some_and(|(registry, _)| registry.contains(".dkr.ecr."))
}

/// What a host must be able to do: shown by the server, never sent.
fn attributes(content: &Value, containers: &[Value], awsvpc: bool) -> Value {
    let uses = |wanted: fn(&Value) -> bool| containers.iter().any(wanted);
    let logs = uses(|container| container["logConfiguration"]["logDriver"] == json!("awslogs"));
    let execution = content.get("executionRoleArn").is_some();
    let ecr = uses(|container| text(container, "image").is_some_and(is_ecr));
    let secrets = uses(|container| !list(container, "secrets").is_empty());
    [
        ("com.amazonaws.ecs.capability.logging-driver.awslogs", logs),
        ("ecs.capability.execution-role-awslogs", logs && execution),
        ("com.amazonaws.ecs.capability.ecr-auth", ecr),
        ("ecs.capability.execution-role-ecr-pull", ecr && execution),
        ("com.amazonaws.ecs.capability.docker-remote-api.1.18", true),
        ("com.amazonaws.ecs.capability.docker-remote-api.1.19", logs),
        ("ecs.capability.secrets.ssm.environment-variables", secrets),
        ("com.amazonaws.ecs.capability.task-iam-role", content.get("taskRoleArn").is_some()),
        ("ecs.capability.task-eni", awsvpc),
    ]
    .into_iter()
    .filter(|&(_, wanted)| wanted)
    .map(|(name, _)| json!({"name": name}))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(cpu: &str, memory: &str) -> Value {
        json!({
            "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": cpu, "memory": memory,
            "containerDefinitions": [{
                "name": "web", "image": "nginx", "portMappings": [{"containerPort": 80}],
                "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
            }],
        })
    }

    fn refusal(request: &Value) -> String {
        match complete(request) {
            Err(Stop::Refused(refusal)) => refusal.message,
            Err(Stop::Ask(_)) | Ok(_) => panic!("not refused: {request}"),
        }
    }

    #[test]
    fn fargate_takes_its_own_sizes_only() {
        for (cpu, memory) in [
            ("256", "512"),
            ("512", "1024"),
            ("1024", "2048"),
            ("4096", "30720"),
            ("1 vCPU", "2GB"),
            (".25 vcpu", "0.5 GB"),
        ] {
            assert!(complete(&request(cpu, memory)).is_ok(), "{cpu} {memory}");
        }
        for (cpu, memory) in [("256", "1536"), ("512", "512"), ("1024", "9216"), ("8192", "17408"), ("300", "1024")] {
            assert!(refusal(&request(cpu, memory)).starts_with("No Fargate configuration"), "{cpu} {memory}");
        }
    }

    #[test]
    fn the_server_completes_and_reorders() {
        let content = complete(&request("1 vCPU", "2GB")).expect("it is sound");
        assert_eq!((&content["cpu"], &content["memory"]), (&json!("1024"), &json!("2048")));
        let container = &content["containerDefinitions"][0];
        assert_eq!(container["portMappings"], json!([{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}]));
        assert_eq!(container["environment"][0]["name"], json!("A"));
        assert_eq!(container["essential"], json!(true));
    }

    #[test]
    fn logs_secrets_and_ecr_need_an_execution_role() {
        let mut with_secret = request("256", "512");
        with_secret["containerDefinitions"][0]["secrets"] = json!([{"name": "P", "valueFrom": "/p"}]);
        assert!(refusal(&with_secret).contains("executionRoleArn"));
        let mut with_logs = request("256", "512");
        with_logs["containerDefinitions"][0]["logConfiguration"] = json!({"logDriver": "awslogs"});
        assert!(refusal(&with_logs).contains("execution role ARN"));
        with_logs["executionRoleArn"] = json!("arn:aws:iam::123456789012:role/x");
        assert!(complete(&with_logs).is_ok());
    }

    #[test]
    fn a_secret_may_not_share_its_name_with_a_variable() {
        let mut shared = request("256", "512");
        shared["executionRoleArn"] = json!("arn:aws:iam::123456789012:role/x");
        shared["containerDefinitions"][0]["secrets"] = json!([{"name": "A", "valueFrom": "/p"}]);
        assert!(refusal(&shared).contains("unique"));
    }
}
