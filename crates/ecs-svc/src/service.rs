//! An ECS service: its tasks, its place behind the load balancer, and how it is deployed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ecs::types::{
    DeploymentController, DeploymentControllerType, LaunchType, PropagateTags, Service as Described,
    ServiceConnectConfiguration, TaskDefinition as Revision,
};
use ecs_aws::deployment::is_stalled;
use ecs_aws::{Answer as _, present};
use ecs_core::console::Console;
use ecs_core::id::ServiceArn;
use ecs_core::resource::Means;
use ecs_core::stack::{Service as Config, Shift};
use ecs_core::{Change, Error, Health, Identity, Kind, Owner, Resource, Result, Stack};

use crate::form::Form;
use crate::rollout::{Follower, Rollout, runs};
use crate::service_settings::{Settings, field};
use crate::task_definition::{Known, Live as TaskDefinition};
use crate::{Ecs, LAYER, Place, ecs};

/// Refusals of CreateService and UpdateService that pass with time: a listener, a service-linked role or a target group
/// that does not show yet, and a namesake that still drains. terraform-provider-aws tries again on the first three
/// (`retryServiceCreate` in
/// <https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ecs/service.go>).
const NOT_YET: [&str; 6] = [
    "does not have an associated load balancer",
    "verify that the ECS service role being passed has the proper permissions",
    "Unable to assume the service linked role",
    // Of a role that is new: <https://github.com/hashicorp/terraform-provider-aws/issues/38538>
    "unable to assume the configured ECS Infrastructure Role",
    "specified target group does not exist",
    "still Draining",
];

/// Refusals that hold EC2's codes for subnets and groups that do not show yet.
const NEW_NETWORK: [&str; 2] = ["InvalidSubnetID.NotFound", "InvalidGroup.NotFound"];

/// A service on Fargate.
#[derive(Debug)]
pub struct Service {
    identity: Identity,
    cluster: String,
    settings: Settings,
    /// Latest revision, and what it is to be
    latest: TaskDefinition,
    form: Rc<Form>,
    known: Known,
    follower: Follower,
    /// A destroy waits for a draining service; an apply makes another of that name.
    destroys: bool,
    /// When the last service of that name was made: another one needs another client token.
    before: RefCell<String>,
    /// The last service of that name still drains.
    draining: Cell<bool>,
    /// Subnets and groups are so new that ECS may not see them yet.
    new_network: bool,
    /// How long a deployment takes beside starting and stopping tasks
    shifts_for: Duration,
}

/// What a service stands on.
#[derive(Debug)]
pub struct Ground<'g> {
    /// Where its tasks run
    pub place: &'g Place,
    /// Latest revision of its task definition
    pub latest: TaskDefinition,
    /// What the task definition is to be
    pub form: Rc<Form>,
    /// What is known of AWS
    pub known: &'g Known,
    /// Names of the alarms that roll a deployment back; none: the file says nothing of them
    pub alarms: Option<BTreeSet<String>>,
}

/// What ECS says the service is.
#[derive(Debug, Clone)]
pub struct Live {
    /// The service itself
    pub service: Rc<Described>,
    /// The revision that it runs; none when that has been deleted
    running: Option<Rc<Revision>>,
    rollout: Rollout,
}

impl Live {
    /// Returns its ARN.
    pub fn arn(&self) -> ServiceArn {
        self.service.service_arn().unwrap_or_default().into()
    }
}

impl Service {
    /// Makes one of the stack's services.
    pub fn new(
        stack: &Stack,
        (key, service): (&str, &Config),
        ground: Ground<'_>,
        console: &Console,
        destroys: bool,
    ) -> Self {
        let (cluster, name) = (stack.cluster_name(), service.service_name(key));
        Self {
            follower: Follower::new(&cluster, &name, console),
            identity: Identity::new(&stack.name, LAYER, name),
            settings: Settings::new(service, &ground.form.container.name, ground.place, ground.alarms),
            cluster,
            latest: ground.latest,
            form: ground.form,
            known: ground.known.clone(),
            destroys,
            before: RefCell::default(),
            draining: Cell::new(false),
            new_network: ground.place.net.new || ground.place.sg.new,
            shifts_for: service.shift().map(Shift::lasts).unwrap_or_default(),
        }
    }

    /// Says whether the service runs another revision than it is to run.
    ///
    /// An older one that differs in nothing but the image is left alone: ecs-deploy, the circuit breaker or a person has
    /// gone back to it.
    fn is_behind(&self, live: &Live) -> bool {
        let Some(running) = &live.running else { return true };
        if running.family() != Some(self.family()) {
            return true;
        }
        let form = |revision: &Revision| Form::of(revision, &self.form);
        let running = form(running);
        // A sidecar or a volume that the latest revision lacks was removed with `--prune`.
        let latest = self.latest.definition.as_deref().map(form);
        let pruned = latest.is_some_and(|latest| {
            running.sidecars.keys().any(|other| !latest.sidecars.contains_key(other))
                || running.volumes.keys().any(|other| !latest.volumes.contains_key(other))
        });
        pruned || running.changes(&self.form).iter().any(|change| change.means == Means::Update)
    }

    fn family(&self) -> &str {
        ecs::short(self.latest.arn.as_str()).split(':').next().unwrap_or_default()
    }

    async fn live(&self, ecs: &Ecs, service: Rc<Described>) -> Result<Live> {
        let arn = service.task_definition().unwrap_or_default();
        let running = match &self.latest.definition {
            Some(latest) if self.latest.arn.as_str() == arn => Some(Rc::clone(latest)),
            _ => self.known.revisions.get(ecs, arn).await?,
        };
        let rollout = self.follower.look(ecs, &service).await?;
        Ok(Live { service, running, rollout })
    }

    /// Says of a refusal whether the same call may pass later.
    fn refused(&self, error: Error) -> Error {
        let says = |fragment: &str| error.message().contains(fragment);
        match error.code() {
            Some("InvalidParameterException") if NOT_YET.iter().any(|fragment| says(fragment)) => {
                error.with_kind(Kind::NotYet)
            }
            Some("InvalidParameterException")
                if self.new_network && NEW_NETWORK.iter().any(|fragment| says(fragment)) =>
            {
                error.with_kind(Kind::NotYet)
            }
            // The engine looks again: somebody else has made it in the meantime.
            Some("InvalidParameterException") if says("was not idempotent") => error.with_kind(Kind::AlreadyExists),
            // The revision was registered a moment ago.
            Some("ClientException") if says("TaskDefinition not found") => error.with_kind(Kind::NotYet),
            _ => error,
        }
    }
}

impl Resource for Service {
    type Api = Ecs;
    type Live = Live;
    const KIND: &'static str = "service";
    /// terraform-provider-aws gives it 20 min, to become steady and to be gone.
    const PATIENCE: Duration = Duration::from_secs(20 * 60);
    const USUAL: &'static str = "1 to 5 min";
    const LINGERS: bool = true;

    /// Adds the time for which ECS watches the new version on purpose.
    fn patience(&self) -> Duration {
        Self::PATIENCE + self.shifts_for
    }

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn().to_string()
    }

    fn planned(&self) -> Live {
        let service = Described::builder()
            .service_arn(ServiceArn::planned(&self.identity.name))
            .task_definition(self.latest.arn.as_str())
            .build();
        Live { service: Rc::new(service), running: self.latest.definition.clone(), rollout: Rollout::Steady }
    }

    /// Returns the service if it exists.
    ///
    /// `INACTIVE` counts as absent: ECS lists deleted services for a while. So does `DRAINING`, except for a destroy: it
    /// can only become inactive, and until then ECS refuses another service of that name.
    async fn find(&self, ecs: &Ecs) -> Result<Option<Live>> {
        self.draining.set(false);
        let Some(service) = self.known.services.find(ecs, &self.identity.name).await? else { return Ok(None) };
        let status = service.status().unwrap_or_default();
        if self.destroys && status != "INACTIVE" {
            return Ok(Some(Live { service, running: None, rollout: Rollout::Steady }));
        }
        if status != "ACTIVE" {
            self.draining.set(status == "DRAINING");
            self.before.replace(service.created_at().map(|at| at.as_nanos().to_string()).unwrap_or_default());
            return Ok(None);
        }
        self.live(ecs, service).await.map(Some)
    }

    async fn create(&self, ecs: &Ecs) -> Result<Live> {
        if self.draining.get() {
            return Err(Error::new(Kind::Busy, "the tasks of the deleted service of that name still drain"));
        }
        let settings = &self.settings;
        let definition = self.latest.arn.as_str();
        let token = self.identity.token(&[&self.cluster, definition, &format!("{settings:?}"), &self.before.borrow()]);
        let call = ecs.write.create_service().cluster(&self.cluster).service_name(&self.identity.name);
        let call = call.client_token(token).task_definition(definition);
        // One excludes the other.
        let strategy = settings.first_strategy()?;
        let call = call.set_launch_type(strategy.is_none().then_some(LaunchType::Fargate));
        let call = call.set_capacity_provider_strategy(strategy);
        let call = call.platform_version("LATEST").desired_count(settings.desired);
        let call = call.network_configuration(settings.network()?).load_balancers(settings.load_balancer(None));
        let call = call.health_check_grace_period_seconds(settings.grace_period);
        let controller = ecs::built(DeploymentController::builder().r#type(DeploymentControllerType::Ecs).build())?;
        let call = call.deployment_controller(controller);
        let call = call.deployment_configuration(settings.deployment(None)?);
        let call = call.availability_zone_rebalancing(settings.rebalancing());
        let call = call.propagate_tags(PropagateTags::Service).enable_ecs_managed_tags(true);
        let call = call.set_enable_execute_command(settings.exec);
        let call = call.set_service_connect_configuration(settings.service_connect()?);
        let reply = call.set_tags(Some(ecs::tags(&self.identity))).send().await.answer("ecs:CreateService");
        let service = present(reply.map_err(|error| self.refused(error))?.service, "ecs:CreateService", "the service")?;
        self.follower.answered(None, &service);
        let rollout = Rollout::Going("PENDING".to_owned());
        Ok(Live { service: Rc::new(service), running: self.latest.definition.clone(), rollout })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let mut changes = self.settings.changes(&live.service, self.follower.asked());
        // What this run has asked for is not asked for again: a deployment that was rolled back has brought the old
        // revision back, and its end is the verdict.
        if !self.follower.asked() {
            if self.is_behind(live) {
                let (is, latest) = (runs(&live.service), ecs::short(self.latest.arn.as_str()));
                let latest = if is == latest { "a new revision" } else { latest };
                changes.push(Change::update(field::TASK_DEFINITION, is, latest));
            } else if is_stalled(&live.service) {
                // Nothing but another deployment gets ECS to start tasks again.
                changes.push(Change::update(field::DEPLOYMENT, "FAILED", "another try"));
            }
        }
        changes
    }

    async fn update(&self, ecs: &Ecs, live: &Live, changes: &[Change]) -> Result<()> {
        let settings = &self.settings;
        let has = |fields: &[&str]| changes.iter().any(|change| fields.contains(&change.field));
        // Only what differs is sent: some members start a deployment even with the value that they have.
        let call = ecs.write.update_service().cluster(&self.cluster).service(&self.identity.name);
        let definition = has(&[field::TASK_DEFINITION]).then(|| self.latest.arn.to_string());
        let call = call.set_task_definition(definition);
        let call = call.set_desired_count(has(&[field::DESIRED_COUNT]).then_some(settings.desired));
        let network = has(field::NETWORK).then(|| settings.network()).transpose()?;
        let call = call.set_network_configuration(network);
        let balancers = has(&[field::LOAD_BALANCER]).then(|| vec![settings.load_balancer(Some(&live.service))]);
        let call = call.set_load_balancers(balancers);
        let grace_period = has(&[field::GRACE_PERIOD]).then_some(settings.grace_period);
        let call = call.set_health_check_grace_period_seconds(grace_period);
        let configuration =
            has(field::CONFIGURATION).then(|| settings.deployment(live.service.deployment_configuration()));
        let call = call.set_deployment_configuration(configuration.transpose()?);
        let rebalancing = has(&[field::REBALANCING]).then(|| settings.rebalancing());
        let call = call.set_availability_zone_rebalancing(rebalancing);
        let call = call.set_propagate_tags(has(&[field::PROPAGATE_TAGS]).then_some(PropagateTags::Service));
        let call = call.set_enable_ecs_managed_tags(has(&[field::MANAGED_TAGS]).then_some(true));
        let strategy = has(&[field::CAPACITY]).then(|| settings.strategy()).transpose()?;
        let call = call.set_capacity_provider_strategy(strategy);
        let call = call.set_enable_execute_command(has(&[field::EXEC]).then(|| settings.exec.unwrap_or_default()));
        // Without a word in the file, a change takes it away.
        let off = || ServiceConnectConfiguration::builder().enabled(false).build();
        let connect = has(&[field::CONNECT]).then(|| settings.service_connect()).transpose()?;
        let call = call.set_service_connect_configuration(connect.map(|connect| connect.unwrap_or_else(off)));
        // Neither starts a deployment by itself. ECS refuses another strategy without one ("you must force a new
        // deployment", <https://github.com/pipe-cd/pipecd/pull/6385>), and only new tasks have the agent of ECS Exec, or
        // have it no more.
        let forced = has(&[field::DEPLOYMENT, field::CAPACITY, field::EXEC]);
        let call = call.set_force_new_deployment(forced.then_some(true));
        let reply = call.send().await.answer("ecs:UpdateService").map_err(|error| self.refused(error))?;
        if let Some(service) = reply.service {
            self.follower.answered(Some(&live.service), &service);
        }
        Ok(())
    }

    /// Deletes the service with its tasks; one that drains already is on its way.
    async fn delete(&self, ecs: &Ecs, live: &Live) -> Result<()> {
        if live.service.status() == Some("ACTIVE") {
            let call = ecs.write.delete_service().cluster(&self.cluster).service(&self.identity.name).force(true);
            call.send().await.answer("ecs:DeleteService")?;
        }
        Ok(())
    }

    fn health(&self, live: &Live) -> Health {
        self.follower.wait();
        live.rollout.health()
    }

    fn failure(&self, live: &Live, reason: String) -> Error {
        let error = Error::new(Kind::RolledBack, reason);
        match &live.rollout {
            Rollout::Failed(evidence) => error.hint(&evidence.hint),
            Rollout::Steady | Rollout::Going(_) => error,
        }
    }

    fn owner(&self, live: &Live) -> Owner {
        ecs::owner(&self.identity, live.service.tags())
    }

    async fn adopt(&self, ecs: &Ecs, live: &Live) -> Result<()> {
        ecs::adopt(ecs, live.arn().as_str(), &self.identity).await
    }

    fn forget(&self) {
        self.known.services.forget();
    }
}
