//! Clusters.

use serde_json::{Value, json};

use super::error::{Stop, cluster_contains_services, cluster_contains_tasks, cluster_not_found, invalid_parameter};
use super::json::{includes, last_part, list, page, pick, text, texts};
use super::service::Status;
use super::task::Stage;
use super::{HOUR, Region};

/// A cluster. A deleted one stays for a while, inactive.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) active: bool,
    deleted: f64,
    settings: Vec<Value>,
    configuration: Value,
    capacity_providers: Vec<Value>,
    strategy: Vec<Value>,
    service_connect: Value,
}

impl Region {
    /// The active cluster of a request: its name or ARN, or "default".
    pub(crate) fn cluster(&self, request: &Value) -> Result<&Cluster, Stop> {
        let name = last_part(text(request, "cluster").unwrap_or("default"));
        let cluster = self.clusters.iter().find(|cluster| cluster.name == name && cluster.active);
        cluster.ok_or_else(cluster_not_found)
    }

    /// Forgets clusters that were deleted an hour ago.
    pub(crate) fn forget_clusters(&mut self) {
        let now = self.now;
        self.clusters.retain(|cluster| cluster.active || cluster.deleted + HOUR > now);
    }

    pub(crate) fn create_cluster(&mut self, request: &Value) -> Result<Value, Stop> {
        let name = text(request, "clusterName").unwrap_or("default").to_owned();
        let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 255 || !name.chars().all(sound) {
            return Err(invalid_parameter("Invalid cluster name."));
        }
        check_settings(request)?;
        self.service_linked_role_wanted = true;
        // A second create of an active cluster answers with it as it is.
        if !self.clusters.iter().any(|cluster| cluster.name == name && cluster.active) {
            self.clusters.retain(|cluster| cluster.name != name);
            let mut cluster = Cluster {
                arn: self.arn(&format!("cluster/{name}")),
                name: name.clone(),
                active: true,
                deleted: 0.0,
                settings: vec![json!({"name": "containerInsights", "value": "disabled"})],
                configuration: request.get("configuration").cloned().unwrap_or(Value::Null),
                capacity_providers: list(request, "capacityProviders").to_vec(),
                strategy: list(request, "defaultCapacityProviderStrategy").to_vec(),
                service_connect: request.get("serviceConnectDefaults").cloned().unwrap_or(Value::Null),
            };
            cluster.put_settings(request);
            self.tags.forget(&cluster.arn);
            self.tags.put(&cluster.arn, request);
            self.clusters.push(cluster);
        }
        let shown = json!({"include": ["TAGS", "SETTINGS", "CONFIGURATIONS"]});
        Ok(json!({"cluster": self.show_named(&name, &shown)}))
    }

    pub(crate) fn describe_clusters(&self, request: &Value) -> Result<Value, Stop> {
        let mut names = texts(request, "clusters");
        if names.is_empty() {
            names.push("default");
        }
        let (mut clusters, mut failures) = (Vec::new(), Vec::new());
        for name in names {
            match self.clusters.iter().find(|cluster| cluster.name == last_part(name)) {
                Some(cluster) => clusters.push(self.show_cluster(cluster, request)),
                None => failures
                    .push(json!({"arn": self.arn(&format!("cluster/{}", last_part(name))), "reason": "MISSING"})),
            }
        }
        Ok(json!({"clusters": clusters, "failures": failures}))
    }

    pub(crate) fn list_clusters(&self, request: &Value) -> Result<Value, Stop> {
        let arns = self.clusters.iter().filter(|cluster| cluster.active).map(|cluster| json!(cluster.arn)).collect();
        page(request, "clusterArns", arns, 100)
    }

    /// UpdateCluster and UpdateClusterSettings.
    pub(crate) fn update_cluster(&mut self, request: &Value) -> Result<Value, Stop> {
        check_settings(request)?;
        let name = self.cluster(request)?.name.clone();
        for cluster in self.clusters.iter_mut().filter(|cluster| cluster.name == name) {
            cluster.put_settings(request);
            if let Some(configuration) = request.get("configuration") {
                cluster.configuration = configuration.clone();
            }
            if let Some(service_connect) = request.get("serviceConnectDefaults") {
                cluster.service_connect = service_connect.clone();
            }
        }
        Ok(json!({"cluster": self.show_named(&name, &json!({"include": ["SETTINGS", "TAGS", "CONFIGURATIONS"]}))}))
    }

    pub(crate) fn put_cluster_capacity_providers(&mut self, request: &Value) -> Result<Value, Stop> {
        let name = self.cluster(request)?.name.clone();
        for provider in texts(request, "capacityProviders") {
            if !matches!(provider, "FARGATE" | "FARGATE_SPOT") {
                return Err(invalid_parameter(
                    "The specified capacity provider does not exist. Specify a valid name or ARN and try again.",
                ));
            }
        }
        for cluster in self.clusters.iter_mut().filter(|cluster| cluster.name == name) {
            cluster.capacity_providers = list(request, "capacityProviders").to_vec();
            cluster.strategy = list(request, "defaultCapacityProviderStrategy").to_vec();
        }
        Ok(json!({"cluster": self.show_named(&name, &json!({"include": ["SETTINGS", "TAGS"]}))}))
    }

    pub(crate) fn delete_cluster(&mut self, request: &Value) -> Result<Value, Stop> {
        let (name, arn) = {
            let cluster = self.cluster(request)?;
            (cluster.name.clone(), cluster.arn.clone())
        };
        if self.services.iter().any(|service| service.cluster == name && service.status != Status::Inactive) {
            return Err(cluster_contains_services());
        }
        if self.tasks.iter().any(|task| task.cluster == name && task.stage != Stage::Stopped) {
            return Err(cluster_contains_tasks());
        }
        let now = self.now;
        for cluster in self.clusters.iter_mut().filter(|cluster| cluster.name == name) {
            cluster.active = false;
            cluster.deleted = now;
        }
        let answer = json!({"cluster": self.show_named(&name, &json!({"include": ["SETTINGS", "TAGS"]}))});
        self.tags.forget(&arn);
        Ok(answer)
    }

    fn show_named(&self, name: &str, request: &Value) -> Value {
        self.clusters
            .iter()
            .find(|cluster| cluster.name == name)
            .map_or(Value::Null, |cluster| self.show_cluster(cluster, request))
    }

    fn show_cluster(&self, cluster: &Cluster, request: &Value) -> Value {
        let tasks = |stages: &[Stage]| {
            self.tasks.iter().filter(|task| task.cluster == cluster.name && stages.contains(&task.stage)).count()
        };
        let services = |status: Status| {
            self.services.iter().filter(|service| service.cluster == cluster.name && service.status == status).count()
        };
        let running = tasks(&[Stage::Running]);
        let pending = tasks(&[Stage::Provisioning, Stage::Pending, Stage::Activating]);
        let mut shown = json!({
            "clusterArn": cluster.arn,
            "clusterName": cluster.name,
            "status": if cluster.active { "ACTIVE" } else { "INACTIVE" },
            "registeredContainerInstancesCount": 0,
            "runningTasksCount": running,
            "pendingTasksCount": pending,
            "activeServicesCount": services(Status::Active),
            "statistics": [],
            "tags": [],
            "settings": [],
            "capacityProviders": cluster.capacity_providers,
            "defaultCapacityProviderStrategy": cluster.strategy,
        });
        if includes(request, "SETTINGS") {
            shown["settings"] = json!(cluster.settings);
        }
        if includes(request, "TAGS") {
            shown["tags"] = self.tags.of(&cluster.arn);
        }
        if includes(request, "CONFIGURATIONS") && !cluster.configuration.is_null() {
            shown["configuration"] = cluster.configuration.clone();
        }
        if includes(request, "STATISTICS") {
            let counts = [
                ("runningEC2TasksCount", 0),
                ("runningFargateTasksCount", running),
                ("pendingEC2TasksCount", 0),
                ("pendingFargateTasksCount", pending),
                ("activeEC2ServiceCount", 0),
                ("activeFargateServiceCount", services(Status::Active)),
                ("drainingEC2ServiceCount", 0),
                ("drainingFargateServiceCount", services(Status::Draining)),
            ];
            shown["statistics"] =
                counts.iter().map(|(name, count)| json!({"name": name, "value": count.to_string()})).collect();
        }
        if !cluster.service_connect.is_null() {
            let defaults = pick(&cluster.service_connect, &["namespace"]);
            shown["serviceConnectDefaults"] = Value::Object(defaults);
        }
        shown
    }
}

impl Cluster {
    /// What runs tasks of a service that says nothing about it.
    pub(crate) fn strategy(&self) -> &[Value] {
        &self.strategy
    }

    fn put_settings(&mut self, request: &Value) {
        for setting in list(request, "settings") {
            self.settings.retain(|taken| taken["name"] != setting["name"]);
            self.settings.push(setting.clone());
        }
    }
}

fn check_settings(request: &Value) -> Result<(), Stop> {
    for setting in list(request, "settings") {
        let sound = text(setting, "name") == Some("containerInsights")
            && matches!(text(setting, "value"), Some("enabled" | "disabled" | "enhanced"));
        if !sound {
            return Err(invalid_parameter("Invalid cluster setting."));
        }
    }
    Ok(())
}
