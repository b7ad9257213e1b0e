//! Task definitions: checked and completed as the server does it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Region;
use super::container_definition::{check_together, complete_container};
use super::error::{Stop, client_exception, invalid_parameter};
use super::json::{includes, list, page, pick, text, texts};
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

/// How many containers a task definition may have.
const CONTAINERS: usize = 10;

/// Members of the request with the values that they can have (botocore ecs model: NetworkMode, PidMode, IpcMode).
const VALUES: &[(&str, &[&str])] = &[
    ("/networkMode", &["bridge", "host", "awsvpc", "none"]),
    ("/pidMode", &["host", "task"]),
    ("/ipcMode", &["host", "task", "none"]),
    ("/runtimePlatform/cpuArchitecture", &["X86_64", "ARM64"]),
    (
        "/runtimePlatform/operatingSystemFamily",
        &[
            "LINUX",
            "WINDOWS_SERVER_2016_FULL",
            "WINDOWS_SERVER_2019_CORE",
            "WINDOWS_SERVER_2019_FULL",
            "WINDOWS_SERVER_2004_CORE",
            "WINDOWS_SERVER_20H2_CORE",
            "WINDOWS_SERVER_2022_CORE",
            "WINDOWS_SERVER_2022_FULL",
            "WINDOWS_SERVER_2025_CORE",
            "WINDOWS_SERVER_2025_FULL",
        ],
    ),
];

/// What a task definition can be for (botocore ecs model, Compatibility).
const COMPATIBILITIES: &[&str] = &["EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"];

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
pub(super) fn complete(request: &Value) -> Result<Value, Stop> {
    let family = text(request, "family").unwrap_or_default();
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if family.is_empty() || family.len() > 255 || !family.chars().all(sound) {
        return Err(client_exception("Family contains invalid characters or is empty."));
    }
    let containers = list(request, "containerDefinitions");
    if containers.is_empty() {
        return Err(client_exception("Container definitions list is empty."));
    }
    // The quota is fixed (developer guide, "Service quotas"); the words are those of amazon-ecs-cli#184.
    if containers.len() > CONTAINERS {
        return Err(client_exception("Too many containers."));
    }
    let mut content = Value::Object(pick(request, KEPT));
    for name in ["volumes", "placementConstraints"] {
        if content.get(name).is_none() {
            content[name] = json!([]);
        }
    }
    check_values(request)?;
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
    check_together(&completed, &content)?;
    if !completed.iter().any(|container| container["essential"] == json!(true)) {
        return Err(client_exception(
            "Invalid setting for container definitions. At least one container must be essential.",
        ));
    }
    check_execution_role(&content, &completed, fargate)?;
    let on_fargate =
        check_fargate(&content, awsvpc).is_ok() && check_execution_role(&content, &completed, true).is_ok();
    content["compatibilities"] = match (awsvpc, on_fargate) {
        (true, true) => json!(["EC2", "FARGATE"]),
        (true, false) => json!(["EC2"]),
        (false, _) => json!(["EXTERNAL", "EC2"]),
    };
    content["requiresAttributes"] = attributes(&content, &completed, awsvpc);
    content["containerDefinitions"] = json!(completed);
    Ok(content)
}

/// Checks members that have a few values only, storage and roles.
fn check_values(request: &Value) -> Result<(), Stop> {
    for (path, values) in VALUES {
        if let Some(value) = request.pointer(path).and_then(Value::as_str)
            && !values.contains(&value)
        {
            let name = path.rsplit('/').next().unwrap_or(path);
            return Err(client_exception(format!("Invalid '{name}' setting for task: {value} is none of {values:?}.")));
        }
    }
    if let Some(other) = texts(request, "requiresCompatibilities").iter().find(|it| !COMPATIBILITIES.contains(it)) {
        return Err(client_exception(format!("Invalid compatibility: {other}. Must be one of {COMPATIBILITIES:?}.")));
    }
    // Fargate's own 20 GiB cannot be asked for (botocore ecs model, EphemeralStorage).
    if let Some(size) = request.pointer("/ephemeralStorage/sizeInGiB").and_then(Value::as_i64)
        && !(21..=200).contains(&size)
    {
        return Err(client_exception("Invalid 'ephemeralStorage' setting for task: sizeInGiB must be 21 to 200."));
    }
    for name in ["executionRoleArn", "taskRoleArn"] {
        let Some(role) = text(request, name) else { continue };
        // A task role may be a short name (botocore ecs model, RegisterTaskDefinitionRequest).
        let short = name == "taskRoleArn" && !role.starts_with("arn:") && is_role_path(role) && !role.contains('/');
        if !short && !is_role_arn(role) {
            return Err(client_exception("Role is not valid"));
        }
    }
    Ok(())
}

/// Whether this is a role's ARN as IAM gives it: `arn:aws:iam::123456789012:role/path/name`.
fn is_role_arn(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts[..] else { return false };
    matches!(partition, "aws" | "aws-cn" | "aws-us-gov")
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && resource.strip_prefix("role/").is_some_and(is_role_path)
}

/// Path and name of a role: letters, digits and `+=,.@-_`, 64 for the name (IAM API reference, Role).
fn is_role_path(path: &str) -> bool {
    let sound = |c: char| c.is_ascii_alphanumeric() || "+=,.@-_".contains(c);
    let parts: Vec<&str> = path.split('/').collect();
    parts.last().is_some_and(|name| name.len() <= 64)
        && parts.iter().all(|part| !part.is_empty() && part.chars().all(sound))
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

/// Fargate itself needs a role to write logs, read secrets and pull from ECR.
fn check_execution_role(content: &Value, containers: &[Value], fargate: bool) -> Result<(), Stop> {
    if content.get("executionRoleArn").is_some() {
        return Ok(());
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
        let options = json!({"awslogs-group": "/g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "ecs"});
        with_logs["containerDefinitions"][0]["logConfiguration"] = json!({"logDriver": "awslogs", "options": options});
        assert!(refusal(&with_logs).contains("execution role ARN"));
        with_logs["executionRoleArn"] = json!("arn:aws:iam::123456789012:role/x");
        assert!(complete(&with_logs).is_ok());
    }

    #[test]
    fn settings_of_the_task_are_checked() {
        for (name, value, said) in [
            ("networkMode", json!("awesome"), "Invalid 'networkMode'"),
            ("runtimePlatform", json!({"cpuArchitecture": "arm64"}), "Invalid 'cpuArchitecture'"),
            ("runtimePlatform", json!({"operatingSystemFamily": "linux"}), "Invalid 'operatingSystemFamily'"),
            ("requiresCompatibilities", json!(["FARGATE_SPOT"]), "Invalid compatibility: FARGATE_SPOT"),
            ("ephemeralStorage", json!({"sizeInGiB": 20}), "sizeInGiB must be 21 to 200"),
            ("ephemeralStorage", json!({"sizeInGiB": 201}), "sizeInGiB must be 21 to 200"),
            ("executionRoleArn", json!("execution"), "Role is not valid"),
            ("executionRoleArn", json!("arn:aws:iam::1:role/x"), "Role is not valid"),
            ("executionRoleArn", json!("arn:aws:iam::123456789012:role/"), "Role is not valid"),
            ("taskRoleArn", json!("arn:aws:iam::123456789012:user/x"), "Role is not valid"),
            ("containerDefinitions", json!([]), "list is empty"),
            ("family", json!("a b"), "Family contains invalid characters"),
        ] {
            let mut request = request("256", "512");
            request[name] = value;
            assert!(refusal(&request).contains(said), "{name}: {}", refusal(&request));
        }
        for (name, value) in [
            ("taskRoleArn", json!("app")),
            ("taskRoleArn", json!("arn:aws:iam::123456789012:role/path/app")),
            ("ephemeralStorage", json!({"sizeInGiB": 21})),
            ("runtimePlatform", json!({"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"})),
        ] {
            let mut request = request("256", "512");
            request[name] = value;
            assert!(complete(&request).is_ok(), "{request}");
        }
    }

    #[test]
    fn without_a_size_it_is_not_for_fargate() {
        let mut request = request("256", "512");
        request["containerDefinitions"][0]["memory"] = json!(128);
        assert_eq!(complete(&request).expect("sound")["compatibilities"], json!(["EC2", "FARGATE"]));
        for name in ["cpu", "memory", "requiresCompatibilities"] {
            request.as_object_mut().expect("an object").remove(name);
        }
        assert_eq!(complete(&request).expect("sound")["compatibilities"], json!(["EC2"]));
    }
}
