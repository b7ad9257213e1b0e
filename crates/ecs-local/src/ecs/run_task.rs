//! RunTask: tasks that no service keeps.

use serde_json::{Value, json};

use super::Region;
use super::course::Course;
use super::error::{Stop, client_exception, conflict, invalid_parameter, platform_unknown};
use super::facts::Facts;
use super::json::{list, number, pick, text};
use super::launch::{NO_CAPACITY, require_roles};
use super::placement::Placement;
use super::task::{Effect, PROVISIONING, Stage, Task, TaskIds, Times};
use super::task_definition::check_size;

/// Seconds for which a client token is remembered (API reference, "Ensuring idempotency": 24 hours).
const REMEMBERED: f64 = 86_400.0;
/// How long overrides may be as JSON (API reference, RunTask).
const OVERRIDES: usize = 8192;
/// Members of the request that say where and how the task runs.
const SETTINGS: &[&str] = &["launchType", "capacityProviderStrategy", "platformVersion", "networkConfiguration"];
/// Platform versions of Fargate on Linux (developer guide, "Fargate platform versions").
const PLATFORMS: &[&str] = &["LATEST", "1.4.0", "1.3.0"];

/// A request that came with a client token, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    token: String,
    request: Value,
    /// ARNs.
    tasks: Vec<String>,
    at: f64,
}

impl Region {
    pub(crate) fn run_task(&mut self, request: &Value, facts: &Facts) -> Result<Value, Stop> {
        let cluster = self.cluster(request)?.name.clone();
        check(request)?;
        let now = self.now;
        self.runs.retain(|run| run.at + REMEMBERED > now);
        let token = text(request, "clientToken");
        if let Some(run) = self.runs.iter().find(|run| Some(run.token.as_str()) == token) {
            return self.run_again(run, request);
        }
        let definition = self.usable_definition(text(request, "taskDefinition").unwrap_or_default())?;
        let content = self.task_definition(&definition).map_or(Value::Null, |definition| definition.content.clone());
        let overrides = request.get("overrides").cloned().unwrap_or(json!({}));
        check_overrides(&overrides, &content)?;
        let mut settings = pick(request, SETTINGS);
        self.complete_settings(&mut settings, &cluster);
        let settings = Value::Object(settings);
        check_launch(&settings, &content)?;
        let mut roles = content.clone();
        for (name, value) in pick(&overrides, &["taskRoleArn", "executionRoleArn"]) {
            roles[name] = value;
        }
        if request["enableExecuteCommand"] == json!(true) && text(&roles, "taskRoleArn").is_none() {
            return Err(invalid_parameter(
                "The task couldn't be run because a valid taskRoleArn is not being used. Specify a valid task role in your task definition \
                 and try again.",
            ));
        }
        require_roles(&roles, facts)?;
        let placement = self.placement(&settings, &definition, facts)?;
        let family = text(&content, "family").unwrap_or_default().to_owned();
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for _ in 0..number(request, "count").unwrap_or(1) {
            // The failure has no ARN: there is no task, and no instance either.
            match self.strike(&family, &definition, false) {
                Some(_) => failures.push(json!({"reason": NO_CAPACITY})),
                None => tasks.push(self.run(request, &settings, &placement, (&cluster, &family, &definition))),
            }
        }
        if let Some(token) = token {
            self.runs.push(Run { token: token.to_owned(), request: request.clone(), tasks: tasks.clone(), at: now });
        }
        Ok(json!({"tasks": self.shown(&tasks), "failures": failures}))
    }

    /// The answer to a request with a token that was used before.
    fn run_again(&self, run: &Run, request: &Value) -> Result<Value, Stop> {
        if run.request != *request {
            return Err(conflict(format!(
                "The provided clientToken is already in use with a different RunTask request. Existing tasks: {}",
                run.tasks.join(", ")
            )));
        }
        Ok(json!({"tasks": self.shown(&run.tasks), "failures": []}))
    }

    fn shown(&self, arns: &[String]) -> Vec<Value> {
        let tasks = arns.iter().filter_map(|arn| self.tasks.iter().find(|task| task.arn == *arn));
        tasks.map(|task| self.show_task(task, true)).collect()
    }

    /// Starts one task; returns its ARN.
    fn run(
        &mut self,
        request: &Value,
        settings: &Value,
        placement: &Placement,
        (cluster, family, definition): (&str, &str, &str),
    ) -> String {
        let id = self.ids.hex();
        let ids = TaskIds { attachment: self.ids.uuid(), eni: self.ids.eni(), container: self.ids.uuid() };
        let group = text(request, "group").map_or_else(|| format!("family:{family}"), str::to_owned);
        let used = |subnet: &str| self.tasks.iter().filter(|task| task.counts() && task.subnet.id == subnet).count();
        let Some(subnet) = placement.subnets.iter().min_by_key(|subnet| used(&subnet.id)).cloned() else {
            return id;
        };
        let provider = list(settings, "capacityProviderStrategy").first();
        let task = Task {
            arn: self.arn(&format!("task/{cluster}/{id}")),
            cluster: cluster.to_owned(),
            service: String::new(),
            deployment: text(request, "startedBy").unwrap_or_default().to_owned(),
            definition: definition.to_owned(),
            group,
            stage: Stage::Provisioning,
            due: Some(self.now + self.scale.lasts(PROVISIONING)),
            healthy: false,
            ending: false,
            reason: None,
            targets: Vec::new(),
            address: String::new(),
            platform_version: match text(settings, "platformVersion") {
                None | Some("LATEST") => "1.4.0".to_owned(),
                Some(version) => version.to_owned(),
            },
            execute_command: request["enableExecuteCommand"] == json!(true),
            capacity_provider: provider.and_then(|provider| text(provider, "capacityProvider")).map(str::to_owned),
            subnet,
            groups: placement.groups.clone(),
            course: Course::with(request["overrides"].clone()),
            ids,
            times: Times { created: self.now, ..Times::default() },
            version: 1,
        };
        let task = Task { address: self.address(&task), ..task };
        let arn = task.arn.clone();
        if text(request, "propagateTags") == Some("TASK_DEFINITION") {
            self.tags.copy(definition, &arn);
        }
        self.tags.put(&arn, request);
        if request["enableECSManagedTags"] == json!(true) {
            self.tags.put(&arn, &json!({"tags": [{"key": "aws:ecs:clusterName", "value": cluster}]}));
        }
        self.effects.push(Effect::Attach { task: arn.clone() });
        self.tasks.push(task);
        self.set_course(family);
        arn
    }
}

/// Checks what can be checked without knowing anything (API reference, RunTask: count, clientToken, startedBy, propagateTags).
fn check(request: &Value) -> Result<(), Stop> {
    if !(1..=10).contains(&number(request, "count").unwrap_or(1)) {
        return Err(invalid_parameter("count must be 1 to 10."));
    }
    let token = text(request, "clientToken").unwrap_or_default();
    if token.len() > 64 || !token.bytes().all(|byte| (33..=126).contains(&byte)) {
        return Err(invalid_parameter("Invalid client token: at most 64 ASCII characters from 33 to 126."));
    }
    let started_by = text(request, "startedBy").unwrap_or_default();
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | '_');
    if started_by.len() > 128 || !started_by.chars().all(sound) {
        return Err(invalid_parameter(
            "Invalid startedBy: at most 128 letters, digits, hyphens, slashes and underscores.",
        ));
    }
    if request.get("launchType").is_some() && !list(request, "capacityProviderStrategy").is_empty() {
        return Err(invalid_parameter(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        ));
    }
    match text(request, "propagateTags") {
        None | Some("TASK_DEFINITION" | "NONE") => {}
        Some(other) => {
            return Err(invalid_parameter(format!("propagateTags cannot be {other} when running a task.")));
        }
    }
    match text(request, "platformVersion") {
        Some(version) if !PLATFORMS.contains(&version) => Err(platform_unknown()),
        Some(_) | None => Ok(()),
    }
}

/// Checks what is to be otherwise than in the task definition.
fn check_overrides(overrides: &Value, content: &Value) -> Result<(), Stop> {
    if overrides.to_string().len() > OVERRIDES {
        return Err(invalid_parameter(format!("Container Overrides length must be at most {OVERRIDES}")));
    }
    let containers = list(content, "containerDefinitions");
    for given in list(overrides, "containerOverrides") {
        let Some(name) = text(given, "name").filter(|name| !name.is_empty()) else {
            return Err(invalid_parameter("Container.name should not be null or empty."));
        };
        if !containers.iter().any(|container| text(container, "name") == Some(name)) {
            return Err(invalid_parameter(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
    }
    let size = |name: &str| text(overrides, name).or(text(content, name)).and_then(|text| text.parse::<i64>().ok());
    if overrides.get("cpu").or(overrides.get("memory")).is_some() {
        match (size("cpu"), size("memory")) {
            (Some(cpu), Some(memory)) => check_size(cpu, memory)?,
            (Some(_) | None, _) => return Err(invalid_parameter("Invalid 'cpu' or 'memory' setting for task.")),
        }
    }
    Ok(())
}

/// Checks that there is something to run the task on: Fargate, and no instances of EC2.
fn check_launch(settings: &Value, content: &Value) -> Result<(), Stop> {
    let fargate = |name: &str| name.starts_with("FARGATE");
    let providers = list(settings, "capacityProviderStrategy");
    let named = providers.iter().filter_map(|provider| text(provider, "capacityProvider"));
    let on_fargate = match text(settings, "launchType") {
        Some(launch_type) => launch_type == "FARGATE",
        None => !providers.is_empty() && named.clone().all(fargate),
    };
    if let Some(unknown) = named.clone().find(|name| !fargate(name)) {
        return Err(invalid_parameter(format!("The specified capacity provider '{unknown}' was not found.")));
    }
    if !on_fargate {
        return Err(invalid_parameter("No Container Instances were found in your cluster."));
    }
    if !list(content, "compatibilities").contains(&json!("FARGATE")) {
        return Err(invalid_parameter("Task definition does not support launch_type FARGATE."));
    }
    match text(content, "networkMode") {
        Some("awsvpc") => Ok(()),
        Some(_) | None => Err(client_exception("Fargate only supports network mode ‘awsvpc’.")),
    }
}
