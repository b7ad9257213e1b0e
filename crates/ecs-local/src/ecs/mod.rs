//! A model of ECS: clusters, task definitions, services, deployments and tasks on Fargate.
//!
//! Each region is a state machine, advanced to the present at every call; nothing sleeps. What it must know of other
//! services it asks for ([`facts`]), and what it does to them (targets) is done before the answer goes out ([`world`]).

mod cluster;
mod container_definition;
mod course;
mod deployment;
mod describe_tasks;
mod error;
mod event;
mod facts;
mod ids;
mod json;
mod launch;
mod log;
mod misfortune;
mod placement;
mod run_task;
mod scheduler;
mod service;
mod tag;
mod task;
mod task_definition;
#[cfg(test)]
mod tests;
mod world;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Mutex;

use self::cluster::Cluster;
use self::error::{Stop, unknown_operation};
use self::facts::Facts;
use self::ids::Ids;
use self::misfortune::Struck;
use self::run_task::Run;
use self::service::Service;
use self::tag::Tags;
use self::task::{Effect, Task};
use self::task_definition::TaskDefinition;
use crate::clock::{Clock, Scale};
use crate::environment::ACCOUNT;
use crate::weather::{Sky, Weather};

/// Seconds for which what has ended stays visible: stopped tasks, inactive services and clusters.
const HOUR: f64 = 3600.0;

/// ECS in every region.
#[derive(Debug)]
pub(crate) struct Ecs {
    clock: Clock,
    sky: Arc<Sky>,
    /// Held for a whole call, with the questions to moto that it takes.
    regions: Mutex<HashMap<String, Region>>,
}

/// ECS in one region.
#[derive(Debug)]
pub(crate) struct Region {
    name: String,
    scale: Scale,
    /// The weather at this call.
    weather: Arc<Weather>,
    /// Simulated seconds; never goes back.
    now: f64,
    clusters: Vec<Cluster>,
    task_definitions: Vec<TaskDefinition>,
    /// The last revision's number, by family.
    revisions_made: HashMap<String, i64>,
    services: Vec<Service>,
    tasks: Vec<Task>,
    /// What RunTask did for which client token.
    runs: Vec<Run>,
    /// How often misfortunes have struck.
    struck: Struck,
    tags: Tags,
    ids: Ids,
    /// How many addresses were given out, by subnet.
    addresses: HashMap<String, u32>,
    /// The network interface that EC2 gave a task, by the task's ARN.
    interfaces: HashMap<String, String>,
    /// What moto must be told before the next answer.
    effects: Vec<Effect>,
    /// A cluster was made: AWS makes AWSServiceRoleForECS then.
    service_linked_role_wanted: bool,
}

impl Region {
    fn new(name: &str, scale: Scale, seed: u64) -> Region {
        Region {
            name: name.to_owned(),
            scale,
            weather: Arc::default(),
            now: 0.0,
            clusters: Vec::new(),
            task_definitions: Vec::new(),
            revisions_made: HashMap::new(),
            services: Vec::new(),
            tasks: Vec::new(),
            runs: Vec::new(),
            struck: Struck::default(),
            tags: Tags::default(),
            ids: Ids::new(seed),
            addresses: HashMap::new(),
            interfaces: HashMap::new(),
            effects: Vec::new(),
            service_linked_role_wanted: false,
        }
    }

    /// The ARN of a resource: "cluster/prod" makes `arn:aws:ecs:REGION:ACCOUNT:cluster/prod`.
    fn arn(&self, resource: &str) -> String {
        format!("arn:aws:ecs:{}:{ACCOUNT}:{resource}", self.name)
    }

    /// Performs an operation at the present time.
    ///
    /// # Errors
    /// A refusal, or what must be known first; nothing has changed then.
    fn perform(&mut self, operation: &str, request: &Value, facts: &Facts) -> Result<Value, Stop> {
        match operation {
            "CreateCluster" => self.create_cluster(request),
            "DescribeClusters" => self.describe_clusters(request),
            "ListClusters" => self.list_clusters(request),
            "UpdateCluster" | "UpdateClusterSettings" => self.update_cluster(request),
            "PutClusterCapacityProviders" => self.put_cluster_capacity_providers(request),
            "DeleteCluster" => self.delete_cluster(request),
            "RegisterTaskDefinition" => self.register_task_definition(request),
            "DescribeTaskDefinition" => self.describe_task_definition(request),
            "ListTaskDefinitions" => self.list_task_definitions(request),
            "ListTaskDefinitionFamilies" => self.list_task_definition_families(request),
            "DeregisterTaskDefinition" => self.deregister_task_definition(request),
            "DeleteTaskDefinitions" => self.delete_task_definitions(request),
            "CreateService" => self.create_service(request, facts),
            "UpdateService" => self.update_service(request, facts),
            "DeleteService" => self.delete_service(request),
            "DescribeServices" => self.describe_services(request),
            "ListServices" => self.list_services(request),
            "ListServiceDeployments" => self.list_service_deployments(request),
            "DescribeServiceDeployments" => self.describe_service_deployments(request),
            "DescribeServiceRevisions" => self.describe_service_revisions(request),
            "RunTask" => self.run_task(request, facts),
            "ListTasks" => self.list_tasks(request),
            "DescribeTasks" => self.describe_tasks(request),
            "StopTask" => self.stop_task(request),
            "TagResource" => self.tag_resource(request),
            "UntagResource" => self.untag_resource(request),
            "ListTagsForResource" => self.list_tags_for_resource(request),
            _ => Err(unknown_operation(operation)),
        }
    }
}
