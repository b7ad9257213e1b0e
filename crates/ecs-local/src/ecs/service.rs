//! Services: creating, updating, deleting and describing them.

use serde_json::{Map, Value, json};

use super::alarm::Watch;
use super::deployment::{Deployment, DeploymentStatus, ServiceDeployment, ServiceRevision, threshold};
use super::error::{Stop, client_exception, invalid_parameter, service_not_active, service_not_found};
use super::event::Events;
use super::facts::{Facts, Question};
use super::json::{includes, last_part, list, number, page, pick, text, texts};
use super::lifecycle::Lifecycle;
use super::placement::{Placement, check_percents, complete_configuration};
use super::strategy::{check_balancers, is_staged};
use super::task::Stage;
use super::task_definition::DefinitionStatus;
use super::{HOUR, Region};
use crate::environment::ACCOUNT;

/// Seconds after which a deleted service without tasks is INACTIVE.
const DRAINING: f64 = 5.0;

/// Members of a request that a service revision keeps: a change of one is a new deployment.
const REVISED: &[&str] = &[
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "networkConfiguration",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "enableECSManagedTags",
    "propagateTags",
    "enableExecuteCommand",
    "vpcLatticeConfigurations",
];

/// Members of a request that change in place.
const IN_PLACE: &[&str] = &[
    "placementConstraints",
    "placementStrategy",
    "healthCheckGracePeriodSeconds",
    "schedulingStrategy",
    "deploymentController",
    "availabilityZoneRebalancing",
];

/// `status` of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Active,
    Draining,
    Inactive,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Active => "ACTIVE",
            Status::Draining => "DRAINING",
            Status::Inactive => "INACTIVE",
        }
    }
}

/// A service.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) status: Status,
    pub(crate) desired: i64,
    /// The task definition's ARN.
    pub(crate) definition: String,
    /// [`REVISED`] and [`IN_PLACE`].
    pub(crate) settings: Value,
    pub(crate) configuration: Value,
    pub(crate) placement: Placement,
    /// The primary is the first.
    pub(crate) deployments: Vec<Deployment>,
    /// The newest is the last.
    pub(crate) service_deployments: Vec<ServiceDeployment>,
    pub(crate) revisions: Vec<ServiceRevision>,
    pub(crate) events: Events,
    /// The last completed deployment's id and revision: what a rollback goes back to.
    pub(crate) completed: Option<(String, String)>,
    /// "has reached a steady state" was said of the present state.
    pub(crate) steady: bool,
    /// When the scheduler is to look again.
    pub(crate) wake: Option<f64>,
    token: Option<(String, Value)>,
    created: f64,
    pub(crate) deleted: Option<f64>,
}

impl Service {
    /// How many tasks there should be.
    pub(crate) fn wanted(&self) -> i64 {
        match self.status {
            Status::Active => self.desired,
            Status::Draining | Status::Inactive => 0,
        }
    }

    /// Has the scheduler look at this service at a time, if it does not do so earlier.
    pub(crate) fn wake_at(&mut self, at: f64) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Least and most percent of the desired count during a deployment.
    pub(crate) fn percents(&self) -> (i64, i64) {
        let percent = |name, usual| number(&self.configuration, name).unwrap_or(usual);
        (percent("minimumHealthyPercent", 100), percent("maximumPercent", 200))
    }

    /// Whether the circuit breaker is on. It is for rolling deployments only (API reference, DeploymentCircuitBreaker);
    /// the developer guide's page on failure detection names blue/green as well, so here is the stricter of the two.
    pub(crate) fn breaker(&self) -> bool {
        self.configuration["deploymentCircuitBreaker"]["enable"] == json!(true) && !is_staged(&self.configuration)
    }

    /// Whether there is anything to run tasks on: there are no EC2 instances here.
    pub(crate) fn on_fargate(&self) -> bool {
        text(&self.settings, "launchType") == Some("FARGATE") || self.capacity_provider().is_some()
    }

    /// The first capacity provider of the strategy.
    pub(crate) fn capacity_provider(&self) -> Option<&str> {
        let first = list(&self.settings, "capacityProviderStrategy").first()?;
        text(first, "capacityProvider").filter(|provider| provider.starts_with("FARGATE"))
    }

    pub(crate) fn platform_version(&self) -> &str {
        match text(&self.settings, "platformVersion") {
            None | Some("LATEST") => "1.4.0",
            Some(version) => version,
        }
    }

    /// ARNs of the task definitions in use.
    pub(crate) fn definitions(&self) -> Vec<String> {
        if self.status == Status::Inactive {
            return Vec::new();
        }
        self.deployments
            .iter()
            .map(|deployment| deployment.definition.clone())
            .chain([self.definition.clone()])
            .collect()
    }

    /// The service deployment under way.
    pub(crate) fn under_way(&mut self) -> Option<&mut ServiceDeployment> {
        self.service_deployments.last_mut().filter(|deployment| !deployment.status.ended())
    }

    /// The service deployment under way.
    pub(crate) fn in_flight(&self) -> Option<&ServiceDeployment> {
        self.service_deployments.last().filter(|deployment| !deployment.status.ended())
    }

    /// Whether so many healthy tasks are success already (botocore ecs model, DeploymentEarlySuccessCriteria).
    pub(crate) fn succeeds_early(&self, healthy: i64) -> bool {
        let criteria = &self.configuration["earlySuccessCriteria"];
        let percent = number(criteria, "healthyPercent").unwrap_or(100);
        let cleaned = text(criteria, "sourceServiceRevisionCleanup") == Some("DEFERRED") || self.deployments.len() == 1;
        criteria["enable"] == json!(true) && cleaned && healthy * 100 >= self.desired * percent
    }
}

impl Region {
    pub(crate) fn create_service(&mut self, request: &Value, facts: &Facts) -> Result<Value, Stop> {
        let cluster = self.cluster(request)?.clone();
        let name = text(request, "serviceName").unwrap_or_default().to_owned();
        let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 255 || !name.chars().all(sound) {
            return Err(invalid_parameter("Invalid service name."));
        }
        let token = text(request, "clientToken").map(|token| (token.to_owned(), request.clone()));
        let taken = self.services.iter().find(|service| {
            service.cluster == cluster.name && service.name == name && service.status != Status::Inactive
        });
        match taken {
            Some(service) if service.status == Status::Active && token.is_some() && service.token == token => {
                return Ok(json!({"service": self.show_service(service, true)}));
            }
            Some(service) if service.status == Status::Active => {
                return Err(invalid_parameter("Creation of service was not idempotent."));
            }
            Some(_) => return Err(invalid_parameter("Unable to Start a service that is still Draining.")),
            None => {}
        }
        let definition = self.usable_definition(text(request, "taskDefinition").unwrap_or_default())?;
        let mut settings = pick(request, REVISED);
        settings.extend(pick(request, IN_PLACE));
        self.complete_settings(&mut settings, &cluster.name);
        let settings = Value::Object(settings);
        let configuration = complete_configuration(&json!({}), request)?;
        check_percents(&configuration)?;
        check_balancers(&configuration, &settings)?;
        self.check_connect(&settings, &definition)?;
        let desired = number(request, "desiredCount").unwrap_or(0);
        if desired < 0 {
            return Err(invalid_parameter("desiredCount must not be negative."));
        }
        if let Some(role) = text(request, "role") {
            let question = Question::Role(last_part(role).to_owned());
            facts.require([question.clone()])?;
            if !facts.has(&question) {
                return Err(invalid_parameter(
                    "Unable to assume role and validate the listeners configured on your load balancer. Please verify that the ECS service role being passed has the proper permissions.",
                ));
            }
        }
        let placement = self.placement(&settings, &definition, facts)?;
        let arn = self.arn(&format!("service/{}/{name}", cluster.name));
        // An inactive namesake is no longer listed once its name is taken again.
        self.services.retain(|service| service.arn != arn);
        let service = Service {
            arn: arn.clone(),
            name,
            cluster: cluster.name,
            status: Status::Active,
            desired,
            definition,
            settings,
            configuration,
            placement,
            deployments: Vec::new(),
            service_deployments: Vec::new(),
            revisions: Vec::new(),
            events: Events::default(),
            completed: None,
            steady: false,
            wake: None,
            token,
            created: self.now,
            deleted: None,
        };
        self.tags.put(&arn, request);
        self.services.push(service);
        let index = self.services.len() - 1;
        self.deploy(index);
        Ok(json!({"service": self.show_service(&self.services[index], true)}))
    }

    pub(crate) fn update_service(&mut self, request: &Value, facts: &Facts) -> Result<Value, Stop> {
        let index = self.service_index(request, "service")?;
        let service = &self.services[index];
        if service.status != Status::Active {
            return Err(service_not_active());
        }
        let definition = match text(request, "taskDefinition") {
            Some(name) => self.usable_definition(name)?,
            None => service.definition.clone(),
        };
        let mut settings = service.settings.clone();
        let mut revised = definition != service.definition || request["forceNewDeployment"] == json!(true);
        for (name, value) in pick(request, REVISED).into_iter().chain(pick(request, IN_PLACE)) {
            revised |= REVISED.contains(&name.as_str()) && settings.get(&name) != Some(&value);
            settings[name] = value;
        }
        let configuration = complete_configuration(&service.configuration, request)?;
        check_percents(&configuration)?;
        check_balancers(&configuration, &settings)?;
        self.check_connect(&settings, &definition)?;
        let placement = if revised { Some(self.placement(&settings, &definition, facts)?) } else { None };
        let now = self.now;
        let service = &mut self.services[index];
        service.settings = settings;
        service.configuration = configuration;
        service.definition = definition;
        if let Some(desired) = number(request, "desiredCount").filter(|&desired| desired != service.desired) {
            service.desired = desired.max(0);
            service.steady = false;
        }
        service.wake_at(now);
        if let Some(placement) = placement {
            service.placement = placement;
            self.deploy(index);
        }
        Ok(json!({"service": self.show_service(&self.services[index], true)}))
    }

    /// Refuses Service Connect for a port that the task definition does not name
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceConnectService.html>, `portName`).
    fn check_connect(&self, settings: &Value, definition: &str) -> Result<(), Stop> {
        let connect = &settings["serviceConnectConfiguration"];
        if connect["enabled"] != json!(true) {
            return Ok(());
        }
        let content = self.task_definition(definition).map(|definition| &definition.content);
        let containers = content.map(|content| list(content, "containerDefinitions")).unwrap_or_default();
        let named = |name: &str| {
            let mut mappings = containers.iter().flat_map(|container| list(container, "portMappings"));
            mappings.any(|mapping| text(mapping, "name") == Some(name))
        };
        for service in list(connect, "services") {
            let name = text(service, "portName").unwrap_or_default();
            if !named(name) {
                return Err(invalid_parameter(format!(
                    "The portName '{name}' does not exist in the port mappings of the task definition."
                )));
            }
        }
        Ok(())
    }

    pub(crate) fn delete_service(&mut self, request: &Value) -> Result<Value, Stop> {
        let index = self.service_index(request, "service")?;
        let now = self.now;
        let drained = now + self.scale.lasts(DRAINING);
        let service = &mut self.services[index];
        if service.status == Status::Active {
            if service.desired > 0 && request["force"] != json!(true) {
                return Err(invalid_parameter("The service cannot be stopped while it is scaled above 0."));
            }
            service.status = Status::Draining;
            service.deleted = Some(drained);
            if let Some(deployment) = service.under_way() {
                deployment.end(now, DeploymentStatus::Stopped, Some("The service was deleted."));
            }
            service.wake_at(now);
        }
        Ok(json!({"service": self.show_service(&self.services[index], true)}))
    }

    pub(crate) fn describe_services(&self, request: &Value) -> Result<Value, Stop> {
        let cluster = self.cluster(request)?.name.clone();
        let names = texts(request, "services");
        if names.is_empty() || names.len() > 10 {
            return Err(invalid_parameter("Services must be 1 to 10 in number."));
        }
        let (mut services, mut failures) = (Vec::new(), Vec::new());
        for name in names {
            let found =
                self.services.iter().find(|service| service.cluster == cluster && service.name == last_part(name));
            match found {
                Some(service) => services.push(self.show_service(service, includes(request, "TAGS"))),
                None => {
                    let arn = self.arn(&format!("service/{cluster}/{}", last_part(name)));
                    failures.push(json!({"arn": arn, "reason": "MISSING"}));
                }
            }
        }
        Ok(json!({"services": services, "failures": failures}))
    }

    pub(crate) fn list_services(&self, request: &Value) -> Result<Value, Stop> {
        let cluster = &self.cluster(request)?.name;
        let wanted = |service: &&Service| {
            service.cluster == *cluster
                && service.status != Status::Inactive
                && text(request, "launchType").is_none_or(|kind| text(&service.settings, "launchType") == Some(kind))
        };
        let arns = self.services.iter().filter(wanted).map(|service| json!(service.arn)).collect();
        page(request, "serviceArns", arns, 10)
    }

    /// Forgets services that became inactive an hour ago.
    pub(crate) fn forget_services(&mut self) {
        let now = self.now;
        self.services.retain(|service| {
            service.status != Status::Inactive || service.deleted.is_none_or(|deleted| deleted + HOUR > now)
        });
    }

    /// Where the service of a request is, inactive ones excluded.
    pub(crate) fn service_index(&self, request: &Value, member: &str) -> Result<usize, Stop> {
        let name = text(request, member).unwrap_or_default();
        // With a service's ARN the cluster may be left out where the ARN holds it.
        let cluster = match (name.split_once(":service/"), text(request, "cluster")) {
            (Some((_, path)), None) if path.contains('/') => path.split('/').next().unwrap_or_default().to_owned(),
            (Some(_) | None, _) => self.cluster(request)?.name.clone(),
        };
        let found = self.services.iter().position(|service| {
            service.cluster == cluster && service.name == last_part(name) && service.status != Status::Inactive
        });
        found.ok_or_else(|| {
            match self.services.iter().any(|service| service.cluster == cluster && service.name == last_part(name)) {
                true => service_not_active(),
                false => service_not_found(),
            }
        })
    }

    /// Starts a deployment of a service as it is now: a revision, a primary deployment and a service deployment.
    fn deploy(&mut self, index: usize) {
        let now = self.now;
        let (deployment_id, revision_id, service_deployment_id) =
            (self.ids.digits(), self.ids.digits(), self.ids.letters());
        let (cluster, name) = (self.services[index].cluster.clone(), self.services[index].name.clone());
        let revision_arn = self.arn(&format!("service-revision/{cluster}/{name}/{revision_id}"));
        let arn = self.arn(&format!("service-deployment/{cluster}/{name}/{service_deployment_id}"));
        let service = &mut self.services[index];
        service.revisions.push(ServiceRevision {
            arn: revision_arn.clone(),
            definition: service.definition.clone(),
            settings: Value::Object(pick(&service.settings, REVISED)),
            placement: service.placement.clone(),
            // A deployment that shifts traffic chooses when it begins.
            alternate: service.completed.as_ref().is_some_and(|(_, revision)| service.is_alternate(revision)),
            digests: Vec::new(),
            created: now,
        });
        let sources = service.deployments.iter().map(|deployment| deployment.revision.clone()).collect();
        if let Some(deployment) = service.under_way() {
            deployment.end(now, DeploymentStatus::Stopped, Some("The service deployment was replaced by a newer one."));
        }
        self.end_scripts(index);
        let service = &mut self.services[index];
        let threshold = threshold(service.desired, &service.configuration);
        let lifecycle = is_staged(&service.configuration).then(|| Lifecycle::new(&service.configuration, now));
        service.service_deployments.push(ServiceDeployment {
            arn,
            status: DeploymentStatus::Pending,
            status_reason: None,
            target: revision_arn.clone(),
            sources,
            configuration: service.configuration.clone(),
            created: now,
            started: None,
            finished: None,
            stopped: None,
            updated: now,
            rollback: None,
            failures: 0,
            threshold,
            triggered: false,
            requested: None,
            watch: Watch::default(),
            lifecycle,
        });
        let id = format!("ecs-svc/{deployment_id}");
        service.deployments.insert(0, Deployment::new(id, revision_arn, service.definition.clone(), now));
        service.steady = false;
        service.wake_at(now);
    }

    /// The ARN of an active task definition.
    pub(crate) fn usable_definition(&self, name: &str) -> Result<String, Stop> {
        match self.task_definition(name) {
            Some(definition) if definition.status == DefinitionStatus::Active => Ok(definition.arn.clone()),
            Some(_) => Err(client_exception("TaskDefinition is inactive")),
            None => Err(client_exception("TaskDefinition not found.")),
        }
    }

    /// Puts in what ECS puts in.
    pub(crate) fn complete_settings(&self, settings: &mut Map<String, Value>, cluster: &str) {
        if !settings.contains_key("launchType") && !settings.contains_key("capacityProviderStrategy") {
            match self
                .clusters
                .iter()
                .find(|candidate| candidate.name == cluster && candidate.active)
                .map(|cluster| cluster.strategy())
            {
                Some(strategy) if !strategy.is_empty() => {
                    settings.insert("capacityProviderStrategy".to_owned(), json!(strategy))
                }
                Some(_) | None => settings.insert("launchType".to_owned(), json!("EC2")),
            };
        }
        for (name, usual) in [
            ("platformVersion", json!("LATEST")),
            ("schedulingStrategy", json!("REPLICA")),
            ("deploymentController", json!({"type": "ECS"})),
            ("availabilityZoneRebalancing", json!("ENABLED")),
            ("enableECSManagedTags", json!(false)),
            ("propagateTags", json!("NONE")),
            ("enableExecuteCommand", json!(false)),
        ] {
            settings.entry(name).or_insert(usual);
        }
    }

    fn show_service(&self, service: &Service, tags: bool) -> Value {
        let mine = |stage: fn(&super::task::Task) -> bool| {
            self.tasks.iter().filter(|task| task.service == service.arn && stage(task)).count()
        };
        let mut shown = json!({
            "serviceArn": service.arn,
            "serviceName": service.name,
            "clusterArn": self.arn(&format!("cluster/{}", service.cluster)),
            "status": service.status.name(),
            "desiredCount": service.wanted(),
            "runningCount": mine(|task| task.stage == Stage::Running),
            "pendingCount": mine(super::task::Task::is_pending),
            "taskDefinition": service.definition,
            "deploymentConfiguration": service.configuration,
            "loadBalancers": [],
            "serviceRegistries": [],
            "placementConstraints": [],
            "placementStrategy": [],
            "platformFamily": "Linux",
            "createdAt": self.scale.wall(service.created),
            "createdBy": format!("arn:aws:iam::{ACCOUNT}:root"),
            "events": service.events.show(&self.scale),
        });
        if let (Some(shown), Some(settings)) = (shown.as_object_mut(), service.settings.as_object()) {
            // A service's own answer shows these inside its deployments only.
            let inner = ["serviceConnectConfiguration", "volumeConfigurations", "vpcLatticeConfigurations"];
            shown.extend(
                settings
                    .iter()
                    .filter(|(name, _)| !inner.contains(&name.as_str()))
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        if !service.placement.targets.is_empty() {
            shown["roleArn"] =
                json!(format!("arn:aws:iam::{ACCOUNT}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"));
        }
        let deployments = service.deployments.iter().enumerate();
        shown["deployments"] = match service.status {
            Status::Inactive => json!([]),
            Status::Active | Status::Draining => deployments
                .map(|(position, deployment)| deployment.show(position, service, &self.tasks, &self.scale))
                .collect(),
        };
        if let Some(deployment) = service.service_deployments.last() {
            shown["currentServiceDeployment"] = json!(deployment.arn);
        }
        shown["currentServiceRevisions"] = service
            .deployments
            .iter()
            .enumerate()
            .map(|(position, deployment)| {
                let counts = deployment.show(position, service, &self.tasks, &self.scale);
                json!({
                    "arn": deployment.revision,
                    "requestedTaskCount": counts["desiredCount"],
                    "runningTaskCount": counts["runningCount"],
                    "pendingTaskCount": counts["pendingCount"],
                })
            })
            .collect();
        if tags {
            shown["tags"] = self.tags.of(&service.arn);
        }
        shown
    }
}
