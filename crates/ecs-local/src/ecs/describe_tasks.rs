//! Listing, describing and stopping tasks.

use serde_json::{Value, json};

use super::course::Health;
use super::error::{Stop, invalid_parameter, service_not_found};
use super::json::{includes, last_part, list, page, text, texts};
use super::task::{Reason, Stage, Task};
use super::{HOUR, Region};

/// Members of a container override that a task is shown with.
const SIZES: &[&str] = &["memory", "memoryReservation"];

impl Region {
    pub(crate) fn list_tasks(&self, request: &Value) -> Result<Value, Stop> {
        let cluster = &self.cluster(request)?.name;
        if let Some(name) = text(request, "serviceName").map(last_part)
            && !self.services.iter().any(|service| service.cluster == *cluster && service.name == name)
        {
            return Err(service_not_found());
        }
        // "It must be the only filter that you use" (API reference, ListTasks), which desiredStatus always is besides.
        let others = ["serviceName", "family", "containerInstance", "launchType", "daemonName"];
        if text(request, "startedBy").is_some() && others.iter().any(|name| text(request, name).is_some()) {
            return Err(invalid_parameter("When startedBy is specified, it must be the only filter."));
        }
        let desired = text(request, "desiredStatus").unwrap_or("RUNNING");
        let wanted = |task: &&Task| {
            task.cluster == *cluster
                // ECS never wants a task to be PENDING: that filter finds nothing (API reference, ListTasks).
                && desired == if task.ending { "STOPPED" } else { "RUNNING" }
                && text(request, "serviceName").is_none_or(|name| task.group == format!("service:{}", last_part(name)))
                && text(request, "family")
                    .is_none_or(|family| last_part(&task.definition).rsplit_once(':').is_some_and(|(f, _)| f == family))
                && text(request, "startedBy").is_none_or(|by| task.deployment == by)
                && text(request, "launchType").is_none_or(|kind| kind == "FARGATE")
        };
        let arns = self.tasks.iter().filter(wanted).map(|task| json!(task.arn)).collect();
        page(request, "taskArns", arns, 100)
    }

    pub(crate) fn describe_tasks(&self, request: &Value) -> Result<Value, Stop> {
        let cluster = &self.cluster(request)?.name;
        let names = texts(request, "tasks");
        if names.is_empty() || names.len() > 100 {
            return Err(invalid_parameter("Tasks cannot be empty, and at most 100."));
        }
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for name in names {
            let found =
                self.tasks.iter().find(|task| task.cluster == *cluster && last_part(&task.arn) == last_part(name));
            match found {
                Some(task) => tasks.push(self.show_task(task, includes(request, "TAGS"))),
                None => {
                    let arn = self.arn(&format!("task/{cluster}/{}", last_part(name)));
                    failures.push(json!({"arn": arn, "reason": "MISSING"}));
                }
            }
        }
        Ok(json!({"tasks": tasks, "failures": failures}))
    }

    pub(crate) fn stop_task(&mut self, request: &Value) -> Result<Value, Stop> {
        let cluster = self.cluster(request)?.name.clone();
        let name = last_part(text(request, "task").unwrap_or_default()).to_owned();
        let text = text(request, "reason").unwrap_or("Task stopped by user").to_owned();
        let (now, scale) = (self.now, self.scale);
        let Some(index) = self.tasks.iter().position(|task| task.cluster == cluster && last_part(&task.arn) == name)
        else {
            return Err(invalid_parameter("The referenced task was not found."));
        };
        // "Any tags associated with the task will be deleted" (API reference, StopTask).
        self.tags.forget(&self.tasks[index].arn);
        self.tasks[index].stop(now, Reason { code: "UserInitiated", text }, &scale, &mut self.effects);
        let service = self.tasks[index].service.clone();
        for service in self.services.iter_mut().filter(|candidate| candidate.arn == service) {
            service.wake_at(now);
        }
        Ok(json!({"task": self.show_task(&self.tasks[index], false)}))
    }

    /// Forgets tasks that stopped an hour ago.
    pub(crate) fn forget_tasks(&mut self) {
        let now = self.now;
        for task in self.tasks.iter().filter(|task| task.times.stopped.is_some_and(|at| at + HOUR <= now)) {
            self.tags.forget(&task.arn);
        }
        self.tasks.retain(|task| task.times.stopped.is_none_or(|at| at + HOUR > now));
    }

    pub(crate) fn show_task(&self, task: &Task, tags: bool) -> Value {
        let definition = self.task_definitions.iter().find(|definition| definition.arn == task.definition);
        let content = definition.map_or(&Value::Null, |definition| &definition.content);
        let wall = |at: f64| self.scale.wall(at);
        let attached = task.stage > Stage::Provisioning && task.stage < Stage::Stopped;
        let storage = match task.course.overrides.pointer("/ephemeralStorage/sizeInGiB") {
            Some(size) => size,
            None => &content["ephemeralStorage"]["sizeInGiB"],
        };
        let arm = content.pointer("/runtimePlatform/cpuArchitecture").is_some_and(|kind| kind == "ARM64");
        let mut shown = json!({
            "taskArn": task.arn,
            "clusterArn": self.arn(&format!("cluster/{}", task.cluster)),
            "taskDefinitionArn": task.definition,
            "group": task.group,
            "lastStatus": task.stage.name(),
            "desiredStatus": if task.ending { "STOPPED" } else { "RUNNING" },
            "launchType": "FARGATE",
            "platformVersion": task.platform_version,
            "platformFamily": "Linux",
            "availabilityZone": task.subnet.zone,
            "connectivity": "CONNECTED",
            "cpu": text(&task.course.overrides, "cpu").or(text(content, "cpu")),
            "memory": text(&task.course.overrides, "memory").or(text(content, "memory")),
            "createdAt": wall(task.times.created),
            "enableExecuteCommand": task.execute_command,
            "ephemeralStorage": {"sizeInGiB": storage.as_i64().unwrap_or(20)},
            "healthStatus": task.course.health.name(),
            "overrides": overrides(&task.course.overrides, content),
            "attributes": [{"name": "ecs.cpu-architecture", "value": if arm { "arm64" } else { "x86_64" }}],
            "inferenceAccelerators": [],
            "tags": if tags { self.tags.of(&task.arn) } else { json!([]) },
            "version": task.version,
            "attachments": [{
                "id": task.ids.attachment,
                "type": "ElasticNetworkInterface",
                "status": if task.stage == Stage::Provisioning { "PRECREATED" } else if attached { "ATTACHED" } else { "DELETED" },
                "details": [
                    {"name": "subnetId", "value": task.subnet.id},
                    {"name": "networkInterfaceId", "value": task.ids.eni},
                    {"name": "privateIPv4Address", "value": task.address},
                ],
            }],
        });
        if !task.deployment.is_empty() {
            shown["startedBy"] = json!(task.deployment);
        }
        if let Some(provider) = &task.capacity_provider {
            shown["capacityProviderName"] = json!(provider);
        }
        for (name, time) in [
            ("connectivityAt", task.times.pull_started),
            ("pullStartedAt", task.times.pull_started),
            ("pullStoppedAt", task.times.pull_stopped),
            ("startedAt", task.times.started),
            ("stoppingAt", task.times.stopping),
            ("executionStoppedAt", task.times.execution_stopped),
            ("stoppedAt", task.times.stopped),
        ] {
            if let Some(time) = time {
                shown[name] = json!(wall(time));
            }
        }
        if let Some(reason) = &task.reason {
            shown["stopCode"] = json!(reason.code);
            shown["stoppedReason"] = json!(reason.text);
        }
        let containers = list(content, "containerDefinitions").iter().enumerate();
        shown["containers"] =
            containers.map(|(index, container)| self.show_container(task, container, index)).collect();
        shown
    }

    fn show_container(&self, task: &Task, container: &Value, index: usize) -> Value {
        let id = last_part(&task.arn);
        let name = text(container, "name").unwrap_or_default();
        let befallen = name == task.course.container;
        let exit = task.course.exit.as_ref().filter(|_| befallen);
        let status = match task.stage {
            Stage::Provisioning | Stage::Pending => "PENDING",
            Stage::Activating | Stage::Running | Stage::Deactivating | Stage::Stopping if exit.is_none() => "RUNNING",
            Stage::Activating
            | Stage::Running
            | Stage::Deactivating
            | Stage::Stopping
            | Stage::Deprovisioning
            | Stage::Stopped => "STOPPED",
        };
        let given = named(&task.course.overrides, name);
        let cpu = given["cpu"].as_i64().or(container["cpu"].as_i64()).unwrap_or(0);
        let health = if befallen { task.course.health } else { Health::Unknown };
        let mut shown = json!({
            "containerArn": self.arn(&format!("container/{}/{id}/{}{index:02}", task.cluster, task.ids.container)),
            "taskArn": task.arn,
            "name": container["name"],
            "image": container["image"],
            "lastStatus": status,
            "healthStatus": health.name(),
            "networkBindings": [],
            "networkInterfaces": [{"attachmentId": task.ids.attachment, "privateIpv4Address": task.address}],
            "cpu": cpu.to_string(),
        });
        for name in SIZES {
            if let Some(size) = given[*name].as_i64().or(container[*name].as_i64()) {
                shown[*name] = json!(size.to_string());
            }
        }
        if let Some((_, digest)) = task.course.digests.iter().find(|(container, _)| container == name) {
            shown["imageDigest"] = json!(digest);
        }
        if task.times.pull_stopped.is_some() {
            shown["runtimeId"] = json!(format!("{id}-{index:010}"));
        }
        // A container that ran and heeded SIGTERM exits with 0; one that never ran has no exit code.
        if status == "STOPPED" && task.times.started.is_some() {
            shown["exitCode"] = json!(exit.map_or(0, |exit| exit.code));
        }
        if let Some(reason) = exit.and_then(|exit| exit.reason) {
            shown["reason"] = json!(reason);
        }
        if let Some(reason) = task.reason.as_ref().filter(|reason| reason.text.starts_with("CannotPull")) {
            shown["reason"] = json!(reason.text);
        }
        shown
    }
}

/// The override of a container; null where there is none.
fn named<'a>(overrides: &'a Value, name: &str) -> &'a Value {
    let given = list(overrides, "containerOverrides").iter().find(|given| text(given, "name") == Some(name));
    given.unwrap_or(&Value::Null)
}

/// `overrides` of a task: ECS names every container in them, overridden or not.
fn overrides(given: &Value, content: &Value) -> Value {
    let mut shown = if given.is_null() { json!({}) } else { given.clone() };
    let containers = list(content, "containerDefinitions").iter().filter_map(|container| text(container, "name"));
    let named = |name: &str| Some(named(given, name)).filter(|given| given.is_object()).cloned();
    shown["containerOverrides"] = containers.map(|name| named(name).unwrap_or_else(|| json!({"name": name}))).collect();
    if shown.get("inferenceAcceleratorOverrides").is_none() {
        shown["inferenceAcceleratorOverrides"] = json!([]);
    }
    shown
}
