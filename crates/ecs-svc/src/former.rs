//! What an earlier stack file has asked for and this one does not: services with all that is theirs, of the services that
//! stay alarms and autoscaling, schedules and namespaces. Reported, and removed only with `--prune`; a destroy takes the services along.
//!
//! What holds data stays even then: a service's log group and its images. A destroy of the whole stack deletes them.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_applicationautoscaling::types::{ScalableDimension, ServiceNamespace};
use aws_sdk_ecs::types::{Service, TaskDefinition};
use ecs_aws::Answer as _;
use ecs_core::{All as _, Change, Health, Identity, Kind, Owner, Resource, Result, Run, Stack};
use futures::future::join_all;
use futures::join;

use crate::alarm::{Alarm, Alarms, Watched};
use crate::scalable_target::{self, Scaled, resource};
use crate::schedule_group::ScheduleGroup;
use crate::task_definition::Known;
use crate::task_definition_family::TaskDefinitionFamily;
use crate::{Autoscaling, CloudMap, CloudWatch, Ecs, LAYER, Logs, Scheduler, ecs};
use crate::{namespace, schedule, services};

/// How many resource ids DescribeScalableTargets takes. Source: `DescribeScalableTargets`, `ResourceIds`.
const RESOURCES: usize = 50;

/// The clients that it takes.
#[derive(Debug, Clone)]
pub struct Clients {
    /// ECS
    pub ecs: Ecs,
    /// CloudWatch
    pub cloudwatch: CloudWatch,
    /// Application Auto Scaling
    pub autoscaling: Autoscaling,
    /// EventBridge Scheduler
    pub scheduler: Scheduler,
    /// Cloud Map
    pub cloud_map: CloudMap,
}

/// What of the stack it no longer needs.
#[derive(Debug)]
pub struct Former {
    stack: Stack,
    known: Known,
    alarms: Rc<Alarms>,
    destroys: bool,
    prunes: bool,
}

/// One thing that the stack no longer needs.
#[derive(Debug, Clone)]
pub enum One {
    /// A service, with its task definitions, alarms and autoscaling
    Service(Rc<Service>),
    /// An alarm of a service that stays
    Alarm(String),
    /// The autoscaling of a service that stays
    Autoscaling(Scaled),
    /// A schedule
    Schedule(String),
    /// A Cloud Map namespace
    Namespace(namespace::Found),
}

impl One {
    fn field(&self) -> &'static str {
        match self {
            One::Service(_) => "service",
            One::Alarm(_) => "alarm",
            One::Autoscaling(_) => "autoscaling of",
            One::Schedule(_) => "schedule",
            One::Namespace(_) => "namespace",
        }
    }

    fn text(&self) -> &str {
        match self {
            One::Service(service) => service.service_name().unwrap_or_default(),
            One::Alarm(name) | One::Schedule(name) => name,
            One::Autoscaling(scaled) => &scaled.service,
            One::Namespace(found) => &found.name,
        }
    }

    /// Says whether it is on its way already.
    fn is_leaving(&self) -> bool {
        match self {
            One::Service(service) => service.status() == Some("DRAINING"),
            One::Alarm(_) | One::Autoscaling(_) | One::Schedule(_) | One::Namespace(_) => false,
        }
    }
}

impl Former {
    /// Makes the search.
    pub fn new(stack: &Stack, known: &Known, alarms: &Rc<Alarms>, run: &Run<'_>) -> Self {
        let (destroys, prunes) = (run.destroys(), run.prunes());
        Self { stack: stack.clone(), known: known.clone(), alarms: Rc::clone(alarms), destroys, prunes }
    }

    /// Reports what there is, or as told removes it; says nothing where there is nothing.
    ///
    /// # Errors
    /// Any refusal by AWS.
    pub async fn ensure(self, run: &Run<'_>, clients: &Clients) -> Result<()> {
        if run.destroys() {
            return run.ensure(clients, self).await.map(drop);
        }
        let found =
            self.look(clients).await.map_err(|error| error.doing(format!("reading {} {}", Self::KIND, self.name())))?;
        // What is on its way is waited for only by who has sent it there.
        let waits = run.applies() && run.prunes();
        if !found.iter().any(|one| waits || !one.is_leaving()) {
            return Ok(());
        }
        let stays = if waits { self.stays(&clients.ecs, &found).await? } else { BTreeSet::new() };
        run.ensure(clients, self).await?;
        for what in stays {
            run.console().say("kept", &format!("{what}: it holds data, and stays until you delete it or the stack"));
        }
        let scaled = found.iter().filter_map(|one| match one {
            One::Autoscaling(scaled) => Some(scaled),
            One::Service(_) | One::Alarm(_) | One::Schedule(_) | One::Namespace(_) => None,
        });
        for scaled in scaled.filter(|scaled| run.prunes() && !scaled.theirs.is_empty()) {
            let theirs = scaled.theirs.join(", ");
            let line = format!("scalable target of service {}: somebody else has added {theirs}", scaled.service);
            run.console().say("kept", &line);
        }
        Ok(())
    }

    async fn look(&self, clients: &Clients) -> Result<Vec<One>> {
        let services = self.known.services.former(&clients.ecs);
        if self.destroys {
            return Ok(services.await?.into_iter().map(One::Service).collect());
        }
        let schedules = self.schedules(clients);
        let (services, alarms, scaled, schedules) =
            join!(services, self.alarms(clients), self.scaled(clients), schedules);
        let (services, alarms, scaled, schedules) = (services, alarms, scaled, schedules).all()?;
        let namespaces = self.namespaces(clients, &services).await?;
        // First of all, as they would start tasks again.
        let schedules = schedules.into_iter().map(One::Schedule);
        let alarms = alarms.into_iter().map(One::Alarm);
        let services = services.into_iter().map(One::Service);
        let scaled = scaled.into_iter().map(One::Autoscaling);
        let namespaces = namespaces.into_iter().map(One::Namespace);
        Ok(schedules.chain(services).chain(alarms).chain(scaled).chain(namespaces).collect())
    }

    /// Returns the namespaces that the file does not name.
    ///
    /// All that there are only where they are to go: otherwise those that a service is still in, which costs a stack that
    /// has never had one no call.
    async fn namespaces(&self, clients: &Clients, former: &[Rc<Service>]) -> Result<Vec<namespace::Found>> {
        let mut used = self.known.services.namespaces(&clients.ecs).await?;
        used.extend(services::namespaces(former));
        if used.is_empty() && !self.prunes {
            return Ok(Vec::new());
        }
        let wanted = self.stack.cluster.namespace.as_deref();
        let sought = |name: &str, arn: &str| {
            Some(name) != wanted && (self.prunes || [name, arn].iter().any(|one| used.contains(*one)))
        };
        namespace::ours(&clients.cloud_map, &self.stack, sought).await
    }

    /// Returns the alarms of the services that stay which the file does not ask for; those that ECS still watches during a
    /// service's deployments stay.
    async fn alarms(&self, clients: &Clients) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for (key, service) in &self.stack.services {
            let name = service.service_name(key);
            let mut surplus = self.alarms.surplus(&clients.cloudwatch, service, &name).await?;
            if surplus.is_empty() {
                continue;
            }
            let live = self.known.services.find(&clients.ecs, &name).await?;
            let watched = live.as_deref().and_then(Service::deployment_configuration).and_then(|is| is.alarms());
            surplus.retain(|watch| {
                watched.is_none_or(|is| !is.enable() || !is.alarm_names().contains(&watch.alarm(&name)))
            });
            for watch in surplus {
                if self.owns(clients, &name, watch).await? {
                    found.push(watch.alarm(&name));
                }
            }
        }
        Ok(found)
    }

    /// Returns the schedules in the stack's group that the file does not have.
    async fn schedules(&self, clients: &Clients) -> Result<Vec<String>> {
        let mut names = schedule::names(&clients.scheduler, &self.stack).await?;
        names.retain(|name| !self.stack.schedules.contains_key(name));
        if names.is_empty() {
            return Ok(names);
        }
        // A schedule has no tags of its own.
        let group = ScheduleGroup::new(&self.stack);
        let Some(live) = group.find(&clients.scheduler).await? else { return Ok(Vec::new()) };
        let ours = group.read_owner(&clients.scheduler, &live).await? == Owner::Ours;
        Ok(if ours { names } else { Vec::new() })
    }

    async fn owns(&self, clients: &Clients, service: &str, watched: Watched) -> Result<bool> {
        let alarm = Alarm::sought(&self.stack, service, watched, &self.alarms);
        match alarm.find(&clients.cloudwatch).await? {
            Some(live) => Ok(alarm.read_owner(&clients.cloudwatch, &live).await? == Owner::Ours),
            None => Ok(false),
        }
    }

    /// Returns the services that stay, without autoscaling in the file, and that still have ours.
    async fn scaled(&self, clients: &Clients) -> Result<Vec<Scaled>> {
        let without = self.stack.services.iter().filter(|(_, service)| service.autoscaling.is_none());
        let names: Vec<String> = without.map(|(key, service)| service.service_name(key)).collect();
        let mut found = Vec::new();
        for some in names.chunks(RESOURCES) {
            let ids = some.iter().map(|name| resource(&self.stack, name)).collect();
            let call = clients.autoscaling.read.describe_scalable_targets().service_namespace(ServiceNamespace::Ecs);
            let call = call.scalable_dimension(ScalableDimension::EcsServiceDesiredCount).set_resource_ids(Some(ids));
            let reply = call.send().await.answer("application-autoscaling:DescribeScalableTargets")?;
            let has = |name: &String| {
                reply.scalable_targets().iter().any(|target| target.resource_id() == resource(&self.stack, name))
            };
            for name in some.iter().filter(|name| has(name)) {
                // Somebody else's scaling has other policies.
                let scaled = Scaled::read(&clients.autoscaling, &self.stack, name).await?;
                found.extend(Some(scaled).filter(Scaled::is_ours));
            }
        }
        Ok(found)
    }

    /// Returns what a former service leaves behind: its log groups, and the repository of its images.
    async fn stays(&self, ecs: &Ecs, found: &[One]) -> Result<BTreeSet<String>> {
        let mut stays = BTreeSet::new();
        for one in found {
            let One::Service(service) = one else { continue };
            let arn = service.task_definition().unwrap_or_default();
            if let Some(definition) = self.known.revisions.get(ecs, arn).await? {
                stays.extend(data(&self.stack, &definition));
            }
        }
        Ok(stays)
    }

    /// Removes a service with all that is its own, itself last: as long as it is there, a run that was killed is continued.
    ///
    /// ECS lets a service run on whose task definition is deregistered, or is being deleted
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/delete-task-definition-v2.html>).
    async fn remove(&self, clients: &Clients, service: &Service) -> Result<()> {
        let name = service.service_name().unwrap_or_default();
        scalable_target::deregister(&clients.autoscaling, &resource(&self.stack, name)).await?;
        let own = Alarms::of(name);
        for watched in Watched::ALL {
            let alarm = Alarm::sought(&self.stack, name, watched, &own);
            if let Some(live) = alarm.find(&clients.cloudwatch).await?
                && alarm.read_owner(&clients.cloudwatch, &live).await? == Owner::Ours
            {
                gone(alarm.delete(&clients.cloudwatch, &live).await)?;
            }
        }
        let family = ecs::short(service.task_definition().unwrap_or_default()).split(':').next().unwrap_or_default();
        let stays = self.stack.services.iter().any(|(key, service)| service.family(key) == family);
        if !family.is_empty() && !stays {
            let family = TaskDefinitionFamily::named(&self.stack, family);
            if let Some(live) = family.find(&clients.ecs).await?
                && family.read_owner(&clients.ecs, &live).await? == Owner::Ours
            {
                gone(family.delete(&clients.ecs, &live).await)?;
            }
        }
        if service.status() == Some("ACTIVE") {
            let cluster = service.cluster_arn().unwrap_or_default();
            let call = clients.ecs.write.delete_service().cluster(cluster).service(name).force(true);
            call.send().await.answer_if_found("ecs:DeleteService")?;
        }
        Ok(())
    }

    async fn remove_one(&self, clients: &Clients, one: &One) -> Result<()> {
        match one {
            One::Service(service) => self.remove(clients, service).await,
            One::Alarm(name) => {
                let deleted = clients.cloudwatch.write.delete_alarms().alarm_names(name).send().await;
                deleted.answer_if_found("cloudwatch:DeleteAlarms").map(drop)
            }
            One::Autoscaling(scaled) => scaled.remove(&clients.autoscaling, &self.stack).await,
            One::Namespace(found) => match namespace::delete(&clients.cloud_map, &found.id).await {
                // ECS takes services out of it after their last task.
                Err(error) if error.kind() == Kind::InUse => Err(error.with_kind(Kind::Busy)),
                other => other,
            },
            One::Schedule(name) => schedule::delete(&clients.scheduler, &self.stack, name).await,
        }
    }
}

impl Resource for Former {
    type Api = Clients;
    type Live = Vec<One>;
    const KIND: &'static str = "what else is in cluster";
    /// As long as a service may take to be gone.
    const PATIENCE: Duration = Duration::from_secs(20 * 60);
    const USUAL: &'static str = "1 to 5 min";
    const LINGERS: bool = true;

    fn name(&self) -> String {
        self.stack.cluster_name()
    }

    fn id(&self, live: &Vec<One>) -> String {
        if live.is_empty() {
            return "nothing".to_owned();
        }
        live.iter().map(|one| format!("{} {}", one.field(), one.text())).collect::<Vec<_>>().join(", ")
    }

    fn planned(&self) -> Vec<One> {
        Vec::new()
    }

    /// Returns what there is; a destroy finds nothing where there is nothing to delete.
    async fn find(&self, clients: &Clients) -> Result<Option<Vec<One>>> {
        let found = self.look(clients).await?;
        Ok(Some(found).filter(|found| !self.destroys || !found.is_empty()))
    }

    /// Makes nothing: what is sought is too much.
    async fn create(&self, _clients: &Clients) -> Result<Vec<One>> {
        Ok(Vec::new())
    }

    fn diff(&self, live: &Vec<One>) -> Vec<Change> {
        live.iter().filter(|one| !one.is_leaving()).map(|one| Change::former(one.field(), one.text())).collect()
    }

    async fn update(&self, clients: &Clients, live: &Vec<One>, _changes: &[Change]) -> Result<()> {
        let alive = live.iter().filter(|one| !one.is_leaving());
        join_all(alive.map(|one| self.remove_one(clients, one))).await.all().map(drop)
    }

    async fn delete(&self, clients: &Clients, live: &Vec<One>) -> Result<()> {
        join_all(live.iter().map(|one| self.remove_one(clients, one))).await.all().map(drop)
    }

    fn health(&self, live: &Vec<One>) -> Health {
        if !live.is_empty() && live.iter().all(One::is_leaving) {
            return Health::Leaving("draining".to_owned());
        }
        Health::Ready
    }

    fn owner(&self, _live: &Vec<One>) -> Owner {
        // Nothing is found but what is the stack's.
        Owner::Ours
    }

    async fn adopt(&self, _clients: &Clients, _live: &Vec<One>) -> Result<()> {
        Ok(())
    }

    fn forget(&self) {
        self.known.services.forget();
        self.alarms.forget();
    }
}

/// Takes what is gone already for deleted: something else deletes it side by side.
fn gone(deleted: Result<()>) -> Result<()> {
    match deleted {
        Err(error) if error.kind() == Kind::NotFound => Ok(()),
        other => other,
    }
}

/// Returns the stack's log groups under ECS's usual prefix that no service of the file has: services of before have left
/// them, and a destroy takes them along.
///
/// # Errors
/// Any refusal by CloudWatch Logs.
pub async fn log_groups(logs: &Logs, stack: &Stack) -> Result<Vec<String>> {
    let call = logs.read.describe_log_groups().log_group_name_prefix("/ecs/").into_paginator().items().send();
    let groups = call.collect::<std::result::Result<Vec<_>, _>>().await.answer("logs:DescribeLogGroups")?;
    let known: BTreeSet<String> = stack.services.iter().map(|(key, service)| service.log_group(key)).collect();
    let mut found = Vec::new();
    for group in groups {
        let name = group.log_group_name.unwrap_or_default();
        if known.contains(&name) {
            continue;
        }
        let arn = group.log_group_arn.or(group.arn).unwrap_or_default();
        let reply = logs.read.list_tags_for_resource().resource_arn(arn.trim_end_matches(":*")).send().await;
        let Some(reply) = reply.answer_if_found("logs:ListTagsForResource")? else { continue };
        let tags = reply.tags.unwrap_or_default();
        let identity = Identity::new(&stack.name, LAYER, &name);
        if identity.owner(tags.iter().map(|(key, value)| (key.as_str(), value.as_str()))) == Owner::Ours {
            found.push(name);
        }
    }
    Ok(found)
}

/// Names what holds data of a task definition, and is no other service's.
fn data(stack: &Stack, definition: &TaskDefinition) -> BTreeSet<String> {
    let groups: BTreeSet<String> = stack.services.iter().map(|(key, service)| service.log_group(key)).collect();
    let repositories: BTreeSet<String> =
        stack.services.iter().filter_map(|(key, service)| service.repository(key)).collect();
    let mut found = BTreeSet::new();
    for container in definition.container_definitions() {
        let options = container.log_configuration().and_then(|log| log.options());
        if let Some(group) =
            options.and_then(|options| options.get("awslogs-group")).filter(|name| !groups.contains(*name))
        {
            found.insert(format!("log group {group}"));
        }
        if let Some(repository) = container.image().and_then(repository).filter(|name| !repositories.contains(*name)) {
            found.insert(format!("ECR repository {repository}"));
        }
    }
    found
}

/// Returns the name of the private ECR repository of an image: `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG`.
fn repository(image: &str) -> Option<&str> {
    let (registry, rest) = image.split_once('/')?;
    let name = rest.split(['@', ':']).next()?;
    registry.contains(".dkr.ecr.").then_some(name)
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{ContainerDefinition, LogConfiguration, LogDriver};

    use super::*;
    use crate::services::Services;

    fn former() -> Former {
        let stack = Stack::default();
        let known = Known { services: Services::new(&stack), revisions: Rc::default() };
        Former { stack, known, alarms: Alarms::of("x"), destroys: false, prunes: false }
    }

    fn service(status: &str) -> One {
        One::Service(Rc::new(Service::builder().service_name("reporting-service").status(status).build()))
    }

    #[test]
    fn what_drains_is_waited_for_and_the_rest_removed() {
        let (former, alive, leaving) = (former(), service("ACTIVE"), service("DRAINING"));
        let text = |live: &Vec<One>| former.diff(live).iter().map(ToString::to_string).collect::<Vec<_>>();
        let alarm = One::Alarm("web-5xx".to_owned());
        assert_eq!(text(&vec![alive.clone(), alarm]), ["service: remove reporting-service", "alarm: remove web-5xx"]);
        assert_eq!(text(&vec![leaving.clone()]), [""; 0]);
        assert_eq!(former.health(&vec![alive, leaving.clone()]), Health::Ready);
        assert_eq!(former.health(&vec![leaving]), Health::Leaving("draining".to_owned()));
        assert_eq!(former.health(&Vec::new()), Health::Ready);
    }

    #[test]
    fn what_holds_data_and_is_nobody_elses_is_named() {
        let log = |group: &str| {
            let log = LogConfiguration::builder().log_driver(LogDriver::Awslogs).options("awslogs-group", group);
            log.build().expect("a driver")
        };
        let container = |image: &str, group: &str| {
            ContainerDefinition::builder().image(image).log_configuration(log(group)).build()
        };
        let ecr = "1.dkr.ecr.us-east-1.amazonaws.com";
        let definition = TaskDefinition::builder()
            .container_definitions(container(&format!("{ecr}/reporting-repo:latest"), "/ecs/reporting"))
            .container_definitions(container(&format!("{ecr}/backend-repo@sha256:0"), "/ecs/backend"))
            .container_definitions(container("public.ecr.aws/agent:1", "/ecs/reporting"))
            .build();
        let found: Vec<_> = data(&Stack::default(), &definition).into_iter().collect();
        assert_eq!(found, ["ECR repository reporting-repo", "log group /ecs/reporting"]);
    }
}
