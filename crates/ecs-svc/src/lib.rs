//! The service layer: cluster, log groups, task definitions, services, their alarms and their autoscaling.

mod alarm;
mod cluster;
mod ecs;
mod evidence;
mod form;
mod former;
mod namespace;
mod policy;
mod revisions;
mod rollout;
mod scalable_target;
mod scaling_policy;
mod schedule;
mod schedule_group;
mod scheduled_action;
mod scheduled_tasks;
mod service;
mod service_settings;
mod services;
mod task_definition;
mod task_definition_family;
mod template;

use std::collections::BTreeSet;
use std::rc::Rc;

use aws_sdk_ecs::Client;
use ecs_aws::log_group::LogGroup;
use ecs_aws::{Api, Session};
use ecs_core::id::{ClusterArn, LoadBalancerArn, TargetGroupArn, TaskDefinitionArn};
use ecs_core::member::{self, Alb, Db, Ecr, Egress, Iam, Member as _, Net, Sg, SvcService, Tables};
use ecs_core::stack::{self, Service as Config};
use ecs_core::tool::Tool;
use ecs_core::{All as _, Error, Identity, Listing, Owner, Resource as _, Result, Run, Stack};
use futures::FutureExt as _;
use futures::future::join_all;
use futures::join;
use serde_json::{Value, json};

use crate::alarm::{Alarm, Alarms, Watched};
use crate::cluster::Cluster;
use crate::form::Form;
use crate::former::{Clients, Former};
use crate::namespace::Namespace;
use crate::scalable_target::ScalableTarget;
use crate::scaling_policy::{Metric, ScalingPolicy};
use crate::schedule::Schedule;
use crate::schedule_group::ScheduleGroup;
use crate::scheduled_action::ScheduledAction;
use crate::scheduled_tasks::ScheduledTasks;
use crate::service::{Ground, Service};
use crate::service_settings::Advanced;
use crate::services::Services;
use crate::task_definition::{Known, TaskDefinition, Upstream, lacks};
use crate::task_definition_family::TaskDefinitionFamily;
use crate::template::Template;

/// Name of the layer in the identity tags.
const LAYER: &str = "svc";

/// The tool `ecs-svc`.
#[derive(Debug)]
pub struct Svc;

/// Flags that only ecs-svc has.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Write the registered task definition of a service to a file, for CI to put an image in; repeatable
    #[arg(long, global = true, value_name = "[SERVICE=]FILE")]
    write_task_definition: Vec<Template>,
}

impl Tool for Svc {
    const NAME: &'static str = "ecs-svc";
    const ABOUT: &'static str = "Create or update the services of an ECS stack: cluster, task definitions, services";
    const EXAMPLES: &'static str = "  ecs-alb < layers.json | ecs-svc > prod.json
  ecs-net --stack prod.toml | ecs-sg | ecs-iam | ecs-ecr | ecs-db | ecs-alb | ecs-svc > prod.json
  ecs-svc --write-task-definition web=service.latest.json < layers.json > prod.json
  ecs-svc plan < prod.json
  ecs-svc destroy < prod.json";
    const MEMBERS: &'static [&'static str] = &["svc"];
    const STOOD_ON_BY: &'static [&'static str] = &[];
    type Options = Options;
    type Cloud = Session;

    fn policy() -> Value {
        policy::policy()
    }

    fn schema() -> Value {
        json!({ "svc": member::schema::<member::Svc>() })
    }

    async fn layer(run: &Run<'_>, session: &Session, stack: &Stack, options: &Options) -> Result<()> {
        options.write_task_definition.iter().try_for_each(|template| template.check(stack))?;
        let layer = Layer {
            run,
            stack,
            templates: &options.write_task_definition,
            ecs: session.api(Client::new),
            logs: session.api(aws_sdk_cloudwatchlogs::Client::new),
            autoscaling: session.api(aws_sdk_applicationautoscaling::Client::new),
            cloudwatch: session.api(aws_sdk_cloudwatch::Client::new),
            scheduler: session.api(aws_sdk_scheduler::Client::new),
            cloud_map: session.api(aws_sdk_servicediscovery::Client::new),
            alarms: Alarms::new(stack),
            known: Known { services: Services::new(stack), revisions: Rc::default() },
        };
        let floor = layer.floor().shared();
        let services = stack.services.iter().map(|(key, service)| layer.service(key, service, floor.clone()));
        let former = async {
            // Beside the others, which a destroy deletes too: all of them stand on the cluster.
            if !run.destroys() {
                return Ok(());
            }
            let floor = floor.clone().await.map(drop);
            let (former, tasks) =
                join!(layer.former(floor.clone()), layer.scheduled_tasks(floor, ScheduledTasks::new(stack)));
            (former, tasks).all().map(drop)
        };
        let (floor, services, former) = join!(floor.clone(), join_all(services), former);
        let (Floor { cluster: cluster_arn, .. }, services, ()) = (floor, services.all(), former).all()?;
        let keys = stack.services.keys().cloned();
        let services = keys.zip(services).collect();
        run.publish(&member::Svc { cluster_arn: cluster_arn.clone(), services })?;
        // They run what the services run.
        layer.schedules(&cluster_arn).await?;
        // Only now: what takes a former service's place answers already.
        if run.seeks_former() { layer.former(Ok(())).await } else { Ok(()) }
    }
}

/// What all parts of the description need.
struct Layer<'l> {
    run: &'l Run<'l>,
    stack: &'l Stack,
    /// Files that task definitions are to be written to
    templates: &'l [Template],
    ecs: Ecs,
    logs: Logs,
    autoscaling: Autoscaling,
    cloudwatch: CloudWatch,
    scheduler: Scheduler,
    cloud_map: CloudMap,
    alarms: Rc<Alarms>,
    known: Known,
}

impl Layer<'_> {
    /// Makes what all services stand on, and nothing else is needed for: the cluster, its namespace and the log groups.
    async fn floor(&self) -> Result<Floor> {
        let Self { run, stack, .. } = *self;
        let names: BTreeSet<String> = stack.services.iter().map(|(key, service)| service.log_group(key)).collect();
        let namespace = async {
            if run.destroys() {
                return self.namespaces().await.map(|()| None);
            }
            let Some(name) = &stack.cluster.namespace else { return Ok(None) };
            let namespace = run.ensure(&self.cloud_map, Namespace::new(stack, name)).await?;
            let namespace = run.ready(&self.cloud_map, &namespace).await?;
            Ok(Some(namespace.arn))
        };
        let cluster = async {
            if let Some(arn) = &stack.cluster.arn {
                if run.destroys() {
                    self.cluster_before().await?;
                } else {
                    cluster::check_given(&self.ecs, arn, stack).await?;
                }
                return Ok(arn.as_str().into());
            }
            let cluster = run.ensure(&self.ecs, Cluster::new(stack)).await?;
            if cluster.is_new() {
                self.known.services.are_none();
            }
            run.ready(&self.ecs, &cluster).await.map(|cluster| cluster.arn)
        };
        let days = stack.cluster.log_retention_days;
        let group = |name: &String| LogGroup::new(Identity::new(&stack.name, LAYER, name), days);
        let groups = names.iter().map(|name| run.ensure(&self.logs, group(name)));
        let (cluster, namespace, groups) = join!(cluster, namespace, join_all(groups));
        let (cluster, namespace, _) = (cluster, namespace, groups.all()).all()?;
        Ok(Floor { cluster, namespace })
    }

    /// Looks for the namespaces that a destroy deletes: the file's, and those of files of before.
    async fn namespaces(&self) -> Result<()> {
        let Self { run, stack, .. } = *self;
        let ours = namespace::ours(&self.cloud_map, stack, |_, _| true).await?;
        let names = ours.into_iter().map(|found| found.name).chain(stack.cluster.namespace.clone());
        let names: BTreeSet<String> = names.collect();
        let found = names.iter().map(|name| run.ensure(&self.cloud_map, Namespace::new(stack, name)));
        join_all(found).await.all().map(drop)
    }

    /// Looks for the cluster that the stack has made before its file gave another, with what is in it.
    async fn cluster_before(&self) -> Result<()> {
        let (run, mut before) = (self.run, self.stack.clone());
        before.cluster.arn = None;
        let cluster = Cluster::new(&before);
        let live = cluster.find(&self.ecs).await?;
        if !live.is_some_and(|live| cluster.owner(&live) == Owner::Ours) {
            return Ok(());
        }
        run.ensure(&self.ecs, cluster).await?;
        // Otherwise the given one is the stack's own, and what is in it is looked for as ever.
        if before.cluster_name() == self.stack.cluster_name() {
            return Ok(());
        }
        let known = Known { services: Services::none_stay(&before), revisions: Rc::default() };
        let clients = self.clients();
        let (former, tasks) = join!(
            Former::new(&before, &known, &self.alarms, run).ensure(run, &clients),
            self.scheduled_tasks(Ok(()), ScheduledTasks::new(&before)),
        );
        (former, tasks).all().map(drop)
    }

    /// Looks for tasks that keep a cluster from being deleted.
    async fn scheduled_tasks(&self, floor: Result<()>, tasks: ScheduledTasks) -> Result<()> {
        floor?;
        self.run.ensure(&self.ecs, tasks).await.map(drop)
    }

    fn clients(&self) -> Clients {
        Clients {
            ecs: self.ecs.clone(),
            cloudwatch: self.cloudwatch.clone(),
            autoscaling: self.autoscaling.clone(),
            scheduler: self.scheduler.clone(),
            cloud_map: self.cloud_map.clone(),
        }
    }

    /// Reports what earlier stack files have asked for, or as told removes it; a destroy deletes it.
    async fn former(&self, floor: Result<()>) -> Result<()> {
        floor?;
        let Self { run, stack, .. } = *self;
        let clients = self.clients();
        let former = Former::new(stack, &self.known, &self.alarms, run).ensure(run, &clients);
        let groups = async {
            if !run.destroys() {
                return Ok(());
            }
            let groups = former::log_groups(&self.logs, stack).await?;
            let group = |name: &String| LogGroup::new(Identity::new(&stack.name, LAYER, name), 0);
            let found = groups.iter().map(|name| run.ensure(&self.logs, group(name)));
            join_all(found).await.all().map(drop)
        };
        let (former, groups) = join!(former, groups);
        (former, groups).all().map(drop)
    }

    /// Makes the schedules, in their group; a destroy deletes the group, which takes all of them along.
    async fn schedules(&self, cluster: &ClusterArn) -> Result<()> {
        let Self { run, stack, .. } = *self;
        if stack.schedules.is_empty() && !run.destroys() {
            return Ok(());
        }
        let group = run.ensure(&self.scheduler, ScheduleGroup::new(stack)).await?;
        if run.destroys() {
            return Ok(());
        }
        run.ready(&self.scheduler, &group).await?;
        let iam = run.input::<Iam>().await?;
        let role = iam.scheduler_role_arn.as_ref().ok_or_else(|| {
            Error::usage("the document's member `iam` has no `scheduler_role_arn`")
                .hint("EventBridge Scheduler runs tasks with that role; ecs-iam makes it when the file has schedules")
        })?;
        let made = stack.schedules.iter().map(async |(key, config)| {
            let found = stack.services.get_key_value(&config.service);
            let (service_key, service) =
                found.ok_or_else(|| Error::usage(format!("there is no service `{}`", config.service)))?;
            let place = self.place(service_key, service).await?;
            let ground = schedule::Ground { cluster, place: &place, role, new_role: iam.new };
            run.ensure(&self.scheduler, Schedule::new(stack, (key, config), (service_key, service), ground)).await
        });
        join_all(made).await.all().map(drop)
    }

    /// Makes one service, as soon as what it needs is there.
    async fn service(
        &self,
        key: &str,
        service: &Config,
        floor: impl Future<Output = Result<Floor>>,
    ) -> Result<SvcService> {
        let run = self.run;
        let (latest, place, floor) = join!(self.task_definition(key, service), self.place(key, service), floor);
        let ((latest, form), place, floor) = (latest, place, floor).all()?;
        let place = Place { namespace: floor.namespace, ..place };
        let name = service.service_name(key);
        // ECS refuses alarms that do not exist.
        let alarms = self.alarms(service, &name, &place).await?;
        let ground = Ground { place: &place, latest: latest.clone(), form, known: &self.known, alarms };
        let made = Service::new(self.stack, (key, service), ground, run.console(), run.destroys());
        let held = run.ensure(&self.ecs, made).await?;
        let (live, scaling, alarms) = join!(
            run.ready(&self.ecs, &held),
            self.scaling(service, &name, &place),
            self.alarms_for_people(service, &name, &place),
        );
        let (live, (), ()) = (live, scaling, alarms).all()?;
        let runs = TaskDefinitionArn::from(live.service.task_definition().unwrap_or_default());
        if run.applies() && runs != latest.arn {
            let (runs, latest) = (ecs::short(runs.as_str()), ecs::short(latest.arn.as_str()));
            let line = format!(
                "service {name} runs {runs}, which differs from {latest} in no more than the image: left alone"
            );
            run.console().detail("kept", &line);
        }
        Ok(SvcService { name, service_arn: live.arn(), task_definition_arn: runs, container: service.container(key) })
    }

    /// Makes the task definition of a service; a destroy looks for all its revisions.
    async fn task_definition(&self, key: &str, service: &Config) -> Result<(task_definition::Live, Rc<Form>)> {
        let Self { run, stack, .. } = *self;
        if run.destroys() {
            run.ensure(&self.ecs, TaskDefinitionFamily::new(stack, (key, service))).await?;
            let arn = TaskDefinitionArn::planned(&service.family(key));
            return Ok((task_definition::Live::unknown(arn), Rc::default()));
        }
        let from_db = service.secret_sources().any(|source| source.contains("${db."));
        let (iam, ecr, db) = join!(
            run.input::<Iam>(),
            when(service.image.is_none(), run.input::<Ecr>()),
            when(from_db, run.input::<Db>()),
        );
        let (iam, ecr, db) = (iam, ecr, db).all()?;
        run.expect_lag(iam.new);
        // The role's ARN tells the account; a planned one does not.
        let account = match iam.execution_role_arn.as_str().split(':').nth(4) {
            Some(account) if !account.is_empty() => account.to_owned(),
            Some(_) | None => run.account().await?,
        };
        let upstream = Upstream { iam: &iam, ecr: ecr.as_ref(), db: db.as_ref(), account: &account };
        let definition = TaskDefinition::new(stack, (key, service), upstream, &self.known)?;
        let form = definition.form();
        let identity = Identity::new(&stack.name, LAYER, service.family(key));
        let live = run.ensure(&self.ecs, definition).await?.into_live();
        if let Some(registered) = live.definition.as_deref().filter(|_| run.applies()) {
            for template in self.templates.iter().filter(|template| template.is_for(key)) {
                template.write(registered, &ecs::tags(&identity))?;
                run.console()
                    .say("wrote", &format!("task definition {} to {}", ecs::short(live.arn.as_str()), template.name()));
            }
        }
        Ok((live, form))
    }

    /// Waits until there is a place for a service's tasks: a network with a way out, a target group behind a listener, and
    /// a database and tables where they are needed.
    async fn place(&self, key: &str, service: &Config) -> Result<Place> {
        let Self { run, stack, .. } = *self;
        let (net, sg, alb, egress, db, tables, iam) = join!(
            run.input::<Net>(),
            run.input::<Sg>(),
            run.input::<Alb>(),
            run.optional_input::<Egress>(),
            when(stack.needs_database(service), run.input::<Db>()),
            when(stack.needs_tables(service), run.input::<Tables>()),
            when(service.shift().is_some(), run.input::<Iam>()),
        );
        let (net, sg, alb, _, _, _, iam) = (net, sg, alb, egress, db, tables, iam).all()?;
        run.expect_lag(net.new || sg.new);
        let target_group = match alb.target_group_arns.get(key) {
            Some(target_group) => target_group.clone(),
            None if run.destroys() => TargetGroupArn::planned(key),
            None => return Err(lacks("alb", "target_group_arns", key)),
        };
        if net.private_subnet_ids.is_empty() && !run.destroys() {
            return Err(Error::usage("the document's member `net` has no private subnets").hint(Net::BY_HAND));
        }
        let alternate = alb.alternate_target_group_arns.get(key).cloned();
        let advanced = match iam.filter(|_| !run.destroys()) {
            Some(iam) => Some(advanced(key, &iam, &alb)?),
            None => None,
        };
        Ok(Place { net, sg, load_balancer: alb.load_balancer_arn, target_group, alternate, advanced, namespace: None })
    }

    /// Makes the alarms that roll a service's deployment back, and returns the names of all that do.
    ///
    /// A table `deployment` in the stack file says all of them, none too; without it they are nobody's here.
    async fn alarms(&self, service: &Config, name: &str, place: &Place) -> Result<Option<BTreeSet<String>>> {
        let Self { run, stack, .. } = *self;
        if run.destroys() {
            let sought = Watched::ALL.map(|watched| Alarm::sought(stack, name, watched, &self.alarms));
            join_all(sought.map(|alarm| run.ensure(&self.cloudwatch, alarm))).await.all()?;
            return Ok(None);
        }
        let Some(config) = service.rollback_alarms() else {
            return Ok(service.deployment.as_ref().map(|_| BTreeSet::new()));
        };
        let made = Watched::wanted(&config).map(async |(watched, limit)| {
            let groups = [&place.target_group].into_iter().chain(&place.alternate).collect();
            let balancer = (place.load_balancer.as_ref(), groups);
            let alarm = Alarm::new(stack, name, (watched, limit, config.periods), balancer, &self.alarms)?;
            run.ensure(&self.cloudwatch, alarm).await?;
            Ok(watched.alarm(name))
        });
        let made = join_all(made).await.all()?;
        Ok(Some(made.into_iter().chain(config.names).collect()))
    }

    /// Makes the alarms that tell people; a destroy has looked for them already.
    async fn alarms_for_people(&self, service: &Config, name: &str, place: &Place) -> Result<()> {
        let Self { run, stack, .. } = *self;
        let Some(config) = service.alarms.as_ref().filter(|_| !run.destroys()) else { return Ok(()) };
        let topic = config.topic.as_ref().or(stack.alarms.topic.as_ref());
        let made = Watched::for_people(config).map(async |(watched, limit)| {
            let groups = [&place.target_group].into_iter().chain(&place.alternate).collect();
            let balancer = (place.load_balancer.as_ref(), groups);
            let alarm = Alarm::new(stack, name, (watched, limit, config.periods), balancer, &self.alarms)?;
            run.ensure(&self.cloudwatch, alarm.telling(topic)).await
        });
        join_all(made).await.all().map(drop)
    }

    /// Lets the number of tasks scale, where the stack file asks for it.
    async fn scaling(&self, service: &Config, name: &str, place: &Place) -> Result<()> {
        let Self { run, stack, .. } = *self;
        // A file of before may have had autoscaling: a destroy looks for it.
        let before = stack::Autoscaling {
            min: 0,
            max: 0,
            cpu: None,
            memory: None,
            requests_per_target: None,
            schedules: Vec::new(),
        };
        let config = match &service.autoscaling {
            Some(config) => config,
            None if run.destroys() => &before,
            None => return Ok(()),
        };
        let (list, actions) = (Rc::new(Listing::default()), Rc::new(Listing::default()));
        run.ensure(&self.autoscaling, ScalableTarget::new(stack, name, config, (&list, &actions))).await?;
        // A destroy deletes the policies with their target.
        let wanted = Metric::wanted(config).filter(|_| !run.destroys());
        let policies = wanted.map(async |metric| {
            let balancer = (place.load_balancer.as_ref(), &place.target_group);
            run.ensure(&self.autoscaling, ScalingPolicy::new(stack, name, metric, balancer, &list)?).await
        });
        let schedules = config.schedules.iter().filter(|_| !run.destroys());
        let schedules =
            schedules.map(|limits| run.ensure(&self.autoscaling, ScheduledAction::new(stack, name, limits, &actions)));
        let (policies, schedules) = join!(join_all(policies), join_all(schedules));
        (policies.all(), schedules.all()).all().map(drop)
    }
}

/// What all services stand on.
#[derive(Debug, Clone)]
struct Floor {
    cluster: ClusterArn,
    /// ARN of the Cloud Map namespace
    namespace: Option<String>,
}

/// Where a service's tasks run, and what sends them requests.
#[derive(Debug)]
struct Place {
    net: Net,
    sg: Sg,
    load_balancer: Option<LoadBalancerArn>,
    target_group: TargetGroupArn,
    /// The second target group, of a service whose traffic is shifted, or was
    alternate: Option<TargetGroupArn>,
    /// What ECS needs to shift its traffic
    advanced: Option<Advanced>,
    /// ARN of the namespace of its Service Connect
    namespace: Option<String>,
}

/// Collects what ECS needs to shift a service's traffic.
fn advanced(key: &str, iam: &Iam, alb: &Alb) -> Result<Advanced> {
    let role = iam.infrastructure_role_arn.as_ref().ok_or_else(|| {
        Error::usage("the document's member `iam` has no `infrastructure_role_arn`")
            .hint("ECS shifts traffic with that role; ecs-iam makes it when a service's strategy does")
    })?;
    let alternate = alb.alternate_target_group_arns.get(key);
    let alternate = alternate.ok_or_else(|| lacks("alb", "alternate_target_group_arns", key))?;
    let rule = alb.production_rule_arns.get(key).ok_or_else(|| lacks("alb", "production_rule_arns", key))?;
    Ok(Advanced { alternate: alternate.to_string(), rule: rule.to_string(), role: role.to_string() })
}

/// Waits for what is needed, and for nothing else.
async fn when<T>(needed: bool, input: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    if needed { input.await.map(Some) } else { Ok(None) }
}

/// The client of ECS.
type Ecs = Api<Client>;
/// The client of CloudWatch Logs.
type Logs = Api<aws_sdk_cloudwatchlogs::Client>;
/// The client of EventBridge Scheduler.
type Scheduler = Api<aws_sdk_scheduler::Client>;
/// The client of Cloud Map.
type CloudMap = Api<aws_sdk_servicediscovery::Client>;
/// The client of CloudWatch.
type CloudWatch = Api<aws_sdk_cloudwatch::Client>;
/// The client of Application Auto Scaling.
type Autoscaling = Api<aws_sdk_applicationautoscaling::Client>;
