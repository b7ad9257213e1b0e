//! Tasks: their life, stage by stage, and how they are shown.

use serde_json::{Value, json};

use super::error::{Stop, invalid_parameter};
use super::facts::{Facts, Question, Subnet};
use super::json::{includes, last_part, list, page, text, texts};
use super::task_definition::TaskDefinition;
use super::{HOUR, Region};
use crate::clock::Scale;
use crate::environment::ACCOUNT;

/// Seconds from a task's start until its network interface is attached and a host is found.
pub(crate) const PROVISIONING: f64 = 10.0;
/// Seconds to fetch secrets and pull an image of a few hundred megabytes.
pub(crate) const PENDING: f64 = 15.0;
/// Seconds to register with a target group once the containers run.
pub(crate) const ACTIVATING: f64 = 5.0;
/// Seconds until a new target passes its first health check: half of the usual interval of 30 s, on average.
pub(crate) const HEALTH_CHECK: f64 = 15.0;
/// Seconds for which a container that heeds SIGTERM takes to end.
pub(crate) const STOPPING: f64 = 5.0;
/// Seconds until the network interface is detached and gone.
pub(crate) const DEPROVISIONING: f64 = 10.0;

/// Where a task is in its life (developer guide, "Task lifecycle").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Provisioning,
    Pending,
    Activating,
    Running,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
}

impl Stage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stage::Provisioning => "PROVISIONING",
            Stage::Pending => "PENDING",
            Stage::Activating => "ACTIVATING",
            Stage::Running => "RUNNING",
            Stage::Deactivating => "DEACTIVATING",
            Stage::Stopping => "STOPPING",
            Stage::Deprovisioning => "DEPROVISIONING",
            Stage::Stopped => "STOPPED",
        }
    }
}

/// One target group that a task registers with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) target_group: String,
    pub(crate) port: i64,
    /// Seconds for which it drains.
    pub(crate) deregistration_delay: f64,
}

/// A change outside ECS, which moto must learn of before the next answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// A task's address joins a target group.
    Register { target_group: String, address: String, port: i64 },
    /// A task's address leaves a target group.
    Deregister { target_group: String, address: String, port: i64 },
    /// A task gets its network interface; EC2 chooses the id.
    Attach { task: String },
    /// A task's network interface goes.
    Detach { task: String },
    /// A listener rule gets other weights.
    Shift { rule: String, weights: Vec<(String, i64)> },
    /// An alarm goes off, or is over, by script.
    Alarm { name: String, alarming: bool },
}

/// Why a task stops.
#[derive(Clone, Debug)]
pub(crate) struct Reason {
    /// `TaskStopCode`: "ServiceSchedulerInitiated".
    pub(crate) code: &'static str,
    pub(crate) text: String,
}

/// A task.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) arn: String,
    pub(crate) cluster: String,
    /// The ARN of the service that it belongs to.
    pub(crate) service: String,
    /// The id of the deployment that it belongs to.
    pub(crate) deployment: String,
    pub(crate) definition: String,
    pub(crate) group: String,
    pub(crate) stage: Stage,
    /// When the stage ends, if it ends by itself.
    pub(crate) due: Option<f64>,
    /// Running, and its targets pass their health checks.
    pub(crate) healthy: bool,
    /// Asked to stop, or failed.
    pub(crate) ending: bool,
    pub(crate) reason: Option<Reason>,
    pub(crate) targets: Vec<Target>,
    pub(crate) subnet: Subnet,
    /// Ids of its security groups.
    pub(crate) groups: Vec<String>,
    pub(crate) address: String,
    pub(crate) platform_version: String,
    pub(crate) execute_command: bool,
    pub(crate) capacity_provider: Option<String>,
    pub(crate) ids: TaskIds,
    pub(crate) times: Times,
    /// Counts its changes.
    pub(crate) version: i64,
}

/// Ids that a task is shown with.
#[derive(Clone, Debug)]
pub(crate) struct TaskIds {
    pub(crate) attachment: String,
    pub(crate) eni: String,
    pub(crate) container: String,
}

/// When a task came to what, in simulated seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    pub(crate) created: f64,
    pub(crate) pull_started: Option<f64>,
    pub(crate) pull_stopped: Option<f64>,
    pub(crate) started: Option<f64>,
    pub(crate) stopping: Option<f64>,
    pub(crate) execution_stopped: Option<f64>,
    pub(crate) stopped: Option<f64>,
}

impl Task {
    /// Whether the task counts for its service: it is coming up or running, and was not asked to stop.
    pub(crate) fn counts(&self) -> bool {
        !self.ending
    }

    /// Whether its last status is one of those before RUNNING.
    pub(crate) fn is_pending(&self) -> bool {
        self.stage < Stage::Running && !self.ending
    }

    /// Starts the end of this task. `effects` gets the targets that it leaves.
    pub(crate) fn stop(&mut self, at: f64, reason: Reason, scale: &Scale, effects: &mut Vec<Effect>) {
        if self.ending {
            return;
        }
        self.ending = true;
        self.healthy = false;
        self.reason = Some(reason);
        self.times.stopping = Some(at);
        let registered = self.stage == Stage::Running && !self.targets.is_empty();
        if registered {
            let delay = self.targets.iter().map(|target| target.deregistration_delay).fold(0.0, f64::max);
            effects.extend(self.effects(false));
            self.enter(Stage::Deactivating, Some(at + scale.lasts(delay)));
        } else if self.stage == Stage::Running {
            self.enter(Stage::Stopping, Some(at + scale.lasts(STOPPING)));
        } else {
            self.enter(Stage::Deprovisioning, Some(at + scale.lasts(DEPROVISIONING)));
        }
    }

    /// Takes the task into the stage after the one that is due. A failure to start is returned.
    pub(crate) fn proceed(
        &mut self,
        at: f64,
        trouble: Option<Reason>,
        scale: &Scale,
        effects: &mut Vec<Effect>,
    ) -> Progress {
        let due = |seconds: f64| Some(at + scale.lasts(seconds));
        match self.stage {
            Stage::Provisioning => {
                self.times.pull_started = Some(at);
                self.enter(Stage::Pending, due(PENDING));
            }
            Stage::Pending => {
                if let Some(reason) = trouble {
                    self.times.execution_stopped = Some(at);
                    self.stop(at, reason, scale, effects);
                    return Progress::Failed;
                }
                self.times.pull_stopped = Some(at);
                let registers = !self.targets.is_empty();
                self.enter(Stage::Activating, due(if registers { ACTIVATING } else { 0.0 }));
            }
            Stage::Activating => {
                self.times.started = Some(at);
                effects.extend(self.effects(true));
                if self.targets.is_empty() {
                    self.healthy = true;
                    self.enter(Stage::Running, None);
                } else {
                    self.enter(Stage::Running, due(HEALTH_CHECK));
                    return Progress::Registered;
                }
            }
            Stage::Running => {
                self.healthy = true;
                self.due = None;
            }
            Stage::Deactivating => self.enter(Stage::Stopping, due(STOPPING)),
            Stage::Stopping => {
                self.times.execution_stopped = Some(at);
                self.enter(Stage::Deprovisioning, due(DEPROVISIONING));
            }
            Stage::Deprovisioning => {
                effects.push(Effect::Detach { task: self.arn.clone() });
                self.times.stopped = Some(at);
                self.enter(Stage::Stopped, None);
            }
            Stage::Stopped => self.due = None,
        }
        Progress::Going
    }

    fn enter(&mut self, stage: Stage, due: Option<f64>) {
        self.stage = stage;
        self.due = due;
        self.version += 1;
    }

    fn effects(&self, register: bool) -> Vec<Effect> {
        let effect = |target: &Target| {
            let (target_group, address, port) = (target.target_group.clone(), self.address.clone(), target.port);
            if register {
                Effect::Register { target_group, address, port }
            } else {
                Effect::Deregister { target_group, address, port }
            }
        };
        self.targets.iter().map(effect).collect()
    }
}

/// What came of a stage's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Going,
    Registered,
    Failed,
}

/// What a task of this definition needs at its start.
pub(crate) fn needs(definition: &TaskDefinition, region: &str) -> Vec<Question> {
    let roles = ["executionRoleArn", "taskRoleArn"].into_iter().filter_map(|name| text(&definition.content, name));
    let mut needs: Vec<Question> = roles.map(|arn| Question::Role(last_part(arn).to_owned())).collect();
    for container in list(&definition.content, "containerDefinitions") {
        needs
            .extend(list(container, "secrets").iter().filter_map(|secret| secret_question(text(secret, "valueFrom")?)));
        needs.extend(repository(text(container, "image").unwrap_or_default(), region).map(Question::Repository));
    }
    needs
}

/// Why a task of this definition cannot start, if so. Scripted misfortunes will come in here.
pub(crate) fn trouble(definition: &TaskDefinition, region: &str, facts: &Facts) -> Option<Reason> {
    let failed = |text: String| Some(Reason { code: "TaskFailedToStart", text });
    for question in needs(definition, region) {
        if facts.has(&question) {
            continue;
        }
        let secrets = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed:";
        return failed(match question {
            Question::Role(name) => format!(
                "ECS was unable to assume the role 'arn:aws:iam::{ACCOUNT}:role/{name}' that was provided for this task. Please verify that \
                 the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
            ),
            Question::Parameter(name) => {
                format!(
                    "{secrets} unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid ssm parameters: {name}"
                )
            }
            Question::Secret(name) => format!(
                "{secrets} unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret {name} from \
                 secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret."
            ),
            Question::Repository(name) => format!(
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {name}: the repository does \
                 not exist in the registry with id '{ACCOUNT}'"
            ),
            Question::Subnet(_)
            | Question::SecurityGroup(_)
            | Question::TargetGroup(_)
            | Question::Rule(_)
            | Question::Trust(_)
            | Question::Alarm(_) => continue,
        });
    }
    None
}

/// What a secret's `valueFrom` refers to: a parameter's name or ARN, or a secret's ARN with JSON key and version behind it.
fn secret_question(from: &str) -> Option<Question> {
    if from.contains(":secretsmanager:") {
        let parts: Vec<&str> = from.splitn(8, ':').collect();
        return Some(Question::Secret(parts.get(..7)?.join(":")));
    }
    match from.split_once(":parameter/") {
        // The ARN of /a/b is …:parameter/a/b, and that of plain c is …:parameter/c.
        Some((_, name)) if name.contains('/') => Some(Question::Parameter(format!("/{name}"))),
        Some((_, name)) => Some(Question::Parameter(name.to_owned())),
        None => Some(Question::Parameter(from.to_owned())),
    }
}

/// The repository of an image in this account's registry of this region; any other image counts as there.
fn repository(image: &str, region: &str) -> Option<String> {
    let registry = format!("{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/");
    let rest = image.strip_prefix(&registry)?;
    Some(rest.split(['@', ':']).next().unwrap_or(rest).to_owned())
}

impl Region {
    pub(crate) fn list_tasks(&self, request: &Value) -> Result<Value, Stop> {
        let cluster = &self.cluster(request)?.name;
        let stopped = text(request, "desiredStatus") == Some("STOPPED");
        let wanted = |task: &&Task| {
            task.cluster == *cluster
                && task.ending == stopped
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

    fn show_task(&self, task: &Task, tags: bool) -> Value {
        let definition = self.task_definitions.iter().find(|definition| definition.arn == task.definition);
        let content = definition.map_or(&Value::Null, |definition| &definition.content);
        let wall = |at: f64| self.scale.wall(at);
        let attached = task.stage > Stage::Provisioning && task.stage < Stage::Stopped;
        let mut shown = json!({
            "taskArn": task.arn,
            "clusterArn": self.arn(&format!("cluster/{}", task.cluster)),
            "taskDefinitionArn": task.definition,
            "group": task.group,
            "startedBy": task.deployment,
            "lastStatus": task.stage.name(),
            "desiredStatus": if task.ending { "STOPPED" } else { "RUNNING" },
            "launchType": "FARGATE",
            "platformVersion": task.platform_version,
            "platformFamily": "Linux",
            "availabilityZone": task.subnet.zone,
            "connectivity": "CONNECTED",
            "cpu": content["cpu"],
            "memory": content["memory"],
            "createdAt": wall(task.times.created),
            "enableExecuteCommand": task.execute_command,
            "ephemeralStorage": {"sizeInGiB": content["ephemeralStorage"]["sizeInGiB"].as_i64().unwrap_or(20)},
            "healthStatus": "UNKNOWN",
            "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": []},
            "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
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
        let status = match task.stage {
            Stage::Provisioning | Stage::Pending => "PENDING",
            Stage::Activating | Stage::Running | Stage::Deactivating | Stage::Stopping => "RUNNING",
            Stage::Deprovisioning | Stage::Stopped => "STOPPED",
        };
        let mut shown = json!({
            "containerArn": self.arn(&format!("container/{}/{id}/{}{index:02}", task.cluster, task.ids.container)),
            "taskArn": task.arn,
            "name": container["name"],
            "image": container["image"],
            "lastStatus": status,
            "healthStatus": "UNKNOWN",
            "networkBindings": [],
            "networkInterfaces": [{"attachmentId": task.ids.attachment, "privateIpv4Address": task.address}],
            "cpu": container["cpu"].as_i64().unwrap_or(0).to_string(),
        });
        for name in ["memory", "memoryReservation"] {
            if let Some(size) = container[name].as_i64() {
                shown[name] = json!(size.to_string());
            }
        }
        if task.times.pull_stopped.is_some() {
            shown["runtimeId"] = json!(format!("{id}-{index:010}"));
        }
        // A container that ran and heeded SIGTERM exits with 0; one that never ran has no exit code.
        if status == "STOPPED" && task.times.started.is_some() {
            shown["exitCode"] = json!(0);
        }
        if let Some(reason) = task.reason.as_ref().filter(|reason| reason.text.starts_with("CannotPull")) {
            shown["reason"] = json!(reason.text);
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_name_and_arn() {
        let arn = "arn:aws:ssm:us-east-1:123456789012:parameter/ecs/backend/DB_HOST";
        assert_eq!(secret_question(arn), Some(Question::Parameter("/ecs/backend/DB_HOST".to_owned())));
        assert_eq!(secret_question("/ecs/x"), Some(Question::Parameter("/ecs/x".to_owned())));
        let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf:password::";
        let secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf";
        assert_eq!(secret_question(arn), Some(Question::Secret(secret.to_owned())));
    }

    #[test]
    fn only_this_registry_is_asked_for_its_repositories() {
        let image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:1";
        assert_eq!(repository(image, "us-east-1").as_deref(), Some("team/app"));
        assert_eq!(repository("nginx:latest", "us-east-1"), None);
    }
}
