//! What a service is to be, apart from its task definition, and how that differs from what it is.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::types::{
    AdvancedConfiguration, AssignPublicIp, AvailabilityZoneRebalancing, AwsVpcConfiguration, CanaryConfiguration,
    CapacityProviderStrategyItem, Deployment, DeploymentAlarms, DeploymentCircuitBreaker, DeploymentConfiguration,
    DeploymentControllerType, DeploymentStrategy, LaunchType, LinearConfiguration, LoadBalancer, NetworkConfiguration,
    PropagateTags, Service as Described, ServiceConnectClientAlias, ServiceConnectConfiguration, ServiceConnectService,
};
use ecs_aws::deployment::foreign_controller;
use ecs_core::stack::{Service as Config, Shift, Spot};
use ecs_core::{Change, Result};

use crate::{Place, ecs};

/// What can differ, in AWS's words.
pub mod field {
    /// Starts a deployment
    pub const TASK_DEFINITION: &str = "task definition";
    /// A deployment that has to be started again
    pub const DEPLOYMENT: &str = "deployment";
    /// Changes in place
    pub const DESIRED_COUNT: &str = "desired count";
    /// What the network configuration holds; starts a deployment
    pub const NETWORK: &[&str] = &[SUBNETS, SECURITY_GROUPS, PUBLIC_IP];
    /// Part of the network configuration
    pub const SUBNETS: &str = "subnets";
    /// Part of the network configuration
    pub const SECURITY_GROUPS: &str = "security groups";
    /// Part of the network configuration
    pub const PUBLIC_IP: &str = "public IP";
    /// Starts a deployment
    pub const LOAD_BALANCER: &str = "load balancer";
    /// Changes in place
    pub const GRACE_PERIOD: &str = "health check grace period";
    /// What the deployment configuration holds; changes in place
    pub const CONFIGURATION: &[&str] = &[MINIMUM, MAXIMUM, CIRCUIT_BREAKER, STRATEGY, ALARMS];
    /// Part of the deployment configuration
    pub const MINIMUM: &str = "minimum healthy percent";
    /// Part of the deployment configuration
    pub const MAXIMUM: &str = "maximum percent";
    /// Part of the deployment configuration
    pub const CIRCUIT_BREAKER: &str = "deployment circuit breaker";
    /// Part of the deployment configuration
    pub const STRATEGY: &str = "deployment strategy";
    /// Part of the deployment configuration
    pub const ALARMS: &str = "deployment alarms";
    /// Changes in place
    pub const REBALANCING: &str = "availability zone rebalancing";
    /// Changes in place
    pub const PROPAGATE_TAGS: &str = "propagation of tags";
    /// Changes in place
    pub const MANAGED_TAGS: &str = "ECS managed tags";
    /// Starts a deployment, when it is asked for with the change
    pub const CAPACITY: &str = "capacity provider strategy";
    /// Concerns tasks that start from then on: a deployment is asked for with the change
    pub const EXEC: &str = "ECS Exec";
    /// Starts a deployment
    pub const CONNECT: &str = "Service Connect";
    /// Cannot be changed here
    pub const CONTROLLER: &str = "deployment controller";
    /// Cannot be changed here
    pub const LAUNCH_TYPE: &str = "launch type";
}

/// The capacity provider of tasks on demand; alone it is what the launch type FARGATE is.
const ON_DEMAND: &str = "FARGATE";
/// The capacity provider of tasks that AWS may take back.
const SPOT: &str = "FARGATE_SPOT";

/// What a service is to be.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Number of tasks: of a service that scales by itself, the number to begin with
    pub desired: i32,
    /// Seconds
    pub grace_period: i32,
    scales: bool,
    subnets: BTreeSet<String>,
    security_groups: BTreeSet<String>,
    target: Target,
    minimum: i32,
    maximum: i32,
    strategy: Strategy,
    /// Names of the alarms that roll a deployment back; none: the file says nothing of them
    alarms: Option<BTreeSet<String>>,
    /// On what the tasks run; none: the file says nothing of it
    capacity: Option<Capacity>,
    /// Whether people may run commands in the tasks; none: the file says nothing of it
    pub exec: Option<bool>,
    /// The place in Service Connect; none: the file says nothing of it
    connect: Option<Connected>,
}

/// A place in Service Connect.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Connected {
    /// ARN of the namespace
    namespace: String,
    /// The name under which it is reached, which its port has too, and the port under which
    served: Option<(String, i32)>,
}

/// Capacity providers, each with its base and its weight; those that get no tasks are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Capacity(BTreeMap<String, (i32, i32)>);

/// What the stack file says of how a new version takes over.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Strategy {
    /// Nothing: what somebody has set up stays
    Any,
    Rolling,
    Shift(Shift),
}

/// What ECS needs to shift a service's traffic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Advanced {
    /// The second target group
    pub alternate: String,
    /// The listener rule that forwards to both
    pub rule: String,
    /// The role with which ECS changes the rule
    pub role: String,
}

/// Where the load balancer's requests go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    group: String,
    container: String,
    port: i32,
    advanced: Option<Advanced>,
}

impl Settings {
    /// Makes the settings of a service.
    pub fn new(service: &Config, container: &str, place: &Place, alarms: Option<BTreeSet<String>>) -> Self {
        let count = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        let (desired, limits) =
            (service.desired, service.autoscaling.as_ref().map(|scaling| (scaling.min, scaling.max)));
        Self {
            desired: count(limits.map_or(desired, |(min, max)| desired.min(max).max(min))),
            grace_period: service.health_check_grace_period,
            scales: limits.is_some(),
            subnets: place.net.private_subnet_ids.iter().map(ToString::to_string).collect(),
            security_groups: BTreeSet::from([place.sg.tasks_security_group_id.to_string()]),
            target: Target {
                group: place.target_group.to_string(),
                container: container.to_owned(),
                port: i32::from(service.port),
                advanced: place.advanced.clone(),
            },
            minimum: service.minimum_healthy_percent,
            maximum: service.maximum_percent,
            strategy: match (&service.deployment, service.shift()) {
                (None, _) => Strategy::Any,
                (Some(_), None) => Strategy::Rolling,
                (Some(_), Some(shift)) => Strategy::Shift(shift),
            },
            alarms,
            capacity: service.spot.map(Capacity::new),
            exec: service.exec,
            connect: service.connect.as_ref().zip(place.namespace.as_ref()).map(|(connect, namespace)| Connected {
                namespace: namespace.clone(),
                served: connect.name.clone().map(|name| (name, i32::from(connect.port.unwrap_or(service.port)))),
            }),
        }
    }

    /// Returns the configuration of Service Connect, for a new service or a change; none where the file says nothing of it.
    pub fn service_connect(&self) -> Result<Option<ServiceConnectConfiguration>> {
        self.connect.as_ref().map(Connected::build).transpose()
    }

    /// Compares the place in Service Connect; where the file says nothing of it, what somebody has set up is theirs.
    fn connect_change(&self, live: &Described) -> Option<Change> {
        // The service itself does not show it.
        let primary = live.deployments().iter().find(|deployment| deployment.status() == Some("PRIMARY"));
        let is = primary.and_then(Deployment::service_connect_configuration).filter(|is| is.enabled());
        let is = is.map(Connected::of).unwrap_or_default();
        match &self.connect {
            Some(wanted) => Change::of(field::CONNECT, &is, &wanted.to_string()),
            None => (!is.is_empty()).then(|| Change::foreign(field::CONNECT, is)),
        }
    }

    /// Compares; with `deployed`, only what changes in place: the rest is up to the deployment that was asked for.
    pub fn changes(&self, live: &Described, deployed: bool) -> Vec<Change> {
        let network = live.network_configuration().and_then(NetworkConfiguration::awsvpc_configuration);
        let subnets = network.map(|network| network.subnets().iter().cloned().collect());
        let groups = network.map(|network| network.security_groups().iter().cloned().collect());
        let public = network.and_then(AwsVpcConfiguration::assign_public_ip);
        let configuration = live.deployment_configuration();
        let percent = |of: fn(&DeploymentConfiguration) -> Option<i32>| configuration.and_then(of).unwrap_or_default();
        let breaker = configuration.and_then(DeploymentConfiguration::deployment_circuit_breaker);
        let breaker = match breaker.map(|breaker| (breaker.enable(), breaker.rollback())) {
            Some((true, true)) => "with rollback",
            Some((true, false)) => "without rollback",
            Some((false, _)) | None => "off",
        };
        let rebalancing = live.availability_zone_rebalancing().unwrap_or(&AvailabilityZoneRebalancing::Disabled);
        let propagates = live.propagate_tags().unwrap_or(&PropagateTags::None);
        let in_place = [
            Change::of(
                field::GRACE_PERIOD,
                &live.health_check_grace_period_seconds().unwrap_or_default(),
                &self.grace_period,
            ),
            Change::of(field::MINIMUM, &percent(DeploymentConfiguration::minimum_healthy_percent), &self.minimum),
            Change::of(field::MAXIMUM, &percent(DeploymentConfiguration::maximum_percent), &self.maximum),
            Change::of(field::STRATEGY, &self.strategy.of(configuration), &self.strategy.to_string())
                .filter(|_| self.strategy != Strategy::Any),
            Change::of(
                field::CIRCUIT_BREAKER,
                &breaker,
                &if self.breaks(configuration) { "with rollback" } else { "off" },
            ),
            self.alarms.as_ref().and_then(|wanted| {
                Change::of(
                    field::ALARMS,
                    &alarms(configuration),
                    &wanted.iter().cloned().collect::<Vec<_>>().join(", "),
                )
            }),
            Change::of(field::REBALANCING, &rebalancing.as_str(), &self.rebalancing().as_str()),
            Change::of(field::PROPAGATE_TAGS, &propagates.as_str(), &PropagateTags::Service.as_str()),
            Change::of(field::MANAGED_TAGS, &live.enable_ecs_managed_tags(), &true),
            // Application Auto Scaling owns the number once it is on.
            Change::of(field::DESIRED_COUNT, &live.desired_count(), &self.desired).filter(|_| !self.scales),
        ];
        let by_deployment = [
            Change::of(field::SUBNETS, &joined(&subnets.unwrap_or_default()), &joined(&self.subnets)),
            Change::of(field::SECURITY_GROUPS, &joined(&groups.unwrap_or_default()), &joined(&self.security_groups)),
            Change::of(
                field::PUBLIC_IP,
                &public.unwrap_or(&AssignPublicIp::Disabled).as_str(),
                &AssignPublicIp::Disabled.as_str(),
            ),
            Change::of(field::LOAD_BALANCER, &targets(live), &self.target.to_string())
                .filter(|_| !self.is_reached(live)),
            self.capacity_change(live),
            self.connect_change(live),
            match self.exec {
                None => live.enable_execute_command().then(|| Change::foreign(field::EXEC, "enabled")),
                Some(wanted) => Change::of(field::EXEC, &live.enable_execute_command(), &wanted),
            },
        ];
        let by_deployment = by_deployment.into_iter().flatten().filter(|_| !deployed);
        refusals(live).into_iter().chain(in_place.into_iter().flatten()).chain(by_deployment).collect()
    }

    /// Compares on what the tasks run; where the file says nothing of it, what somebody has set up is theirs.
    fn capacity_change(&self, live: &Described) -> Option<Change> {
        let is = Capacity::of(live.capacity_provider_strategy());
        match &self.capacity {
            Some(wanted) => Change::of(field::CAPACITY, &is.to_string(), &wanted.to_string()),
            None => (is != Capacity::on_demand()).then(|| Change::foreign(field::CAPACITY, is.to_string())),
        }
    }

    /// Returns the capacity provider strategy for an existing service, on demand where the file says nothing of it.
    ///
    /// On demand is a strategy too: how UpdateService takes a service that was made with one back to a launch type, AWS
    /// does not say.
    pub fn strategy(&self) -> Result<Vec<CapacityProviderStrategyItem>> {
        self.capacity.clone().unwrap_or_else(Capacity::on_demand).build()
    }

    /// Returns the capacity provider strategy for a new service; none for the launch type.
    pub fn first_strategy(&self) -> Result<Option<Vec<CapacityProviderStrategyItem>>> {
        self.capacity.as_ref().map(Capacity::build).transpose()
    }

    /// Returns the network configuration.
    pub fn network(&self) -> Result<NetworkConfiguration> {
        let network = AwsVpcConfiguration::builder()
            .set_subnets(Some(self.subnets.iter().cloned().collect()))
            .set_security_groups(Some(self.security_groups.iter().cloned().collect()))
            .assign_public_ip(AssignPublicIp::Disabled);
        Ok(NetworkConfiguration::builder().awsvpc_configuration(ecs::built(network.build())?).build())
    }

    /// Says whether the service's tasks are where the requests go: in either of the two target groups between which ECS
    /// shifts the traffic, whichever serves now.
    ///
    /// A service that is deployed task by task again keeps what ECS needed to shift: it goes on in the target group that
    /// serves (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/update-bluegreen-to-rolling.html>), and without
    /// the rest its next tasks would go into the one that the load balancer sends nothing to.
    fn is_reached(&self, live: &Described) -> bool {
        let [balancer] = live.load_balancers() else { return false };
        let Target { group, container, port, advanced } = &self.target;
        let same = balancer.container_name() == Some(container) && balancer.container_port() == Some(*port);
        let groups = groups(balancer);
        let routed = match (advanced, balancer.advanced_configuration()) {
            (Some(wanted), Some(is)) => {
                groups == BTreeSet::from([group.as_str(), &wanted.alternate])
                    && is.production_listener_rule() == Some(&wanted.rule)
                    && is.role_arn() == Some(&wanted.role)
            }
            (Some(_), None) => false,
            (None, _) => groups.contains(group.as_str()),
        };
        same && routed
    }

    /// Returns the load balancer; of what the live one holds beside ours stays what belongs to the same target groups.
    pub fn load_balancer(&self, live: Option<&Described>) -> LoadBalancer {
        let Target { group, container, port, advanced } = &self.target;
        let live = live.and_then(|live| live.load_balancers().first());
        let mut balancer = LoadBalancer::builder().target_group_arn(group).build();
        if let Some(Advanced { alternate, rule, role }) = advanced {
            let wanted = AdvancedConfiguration::builder().alternate_target_group_arn(alternate);
            let wanted = wanted.production_listener_rule(rule).role_arn(role);
            let test = live.and_then(LoadBalancer::advanced_configuration).and_then(|is| is.test_listener_rule());
            balancer.advanced_configuration = Some(wanted.set_test_listener_rule(test.map(str::to_owned)).build());
        }
        // Which of the two is called the alternate one is not for us to turn round, nor is it ours what a service that no
        // longer shifts still holds.
        if let Some(live) =
            live.filter(|live| live.advanced_configuration().is_some() && groups(live).contains(group.as_str()))
            && (advanced.is_none() || groups(live) == groups(&balancer))
        {
            balancer.target_group_arn.clone_from(&live.target_group_arn);
            let alternate = live.advanced_configuration().and_then(|is| is.alternate_target_group_arn.clone());
            match &mut balancer.advanced_configuration {
                Some(wanted) => wanted.alternate_target_group_arn = alternate,
                none => none.clone_from(&live.advanced_configuration),
            }
        }
        balancer.container_name = Some(container.clone());
        balancer.container_port = Some(*port);
        balancer
    }

    /// Says whether the circuit breaker is to be on: it watches over deployments task by task only
    /// (`DeploymentConfiguration`, `deploymentCircuitBreaker`).
    fn breaks(&self, live: Option<&DeploymentConfiguration>) -> bool {
        match self.strategy {
            Strategy::Any => matches!(strategy(live), DeploymentStrategy::Rolling),
            Strategy::Rolling => true,
            Strategy::Shift(_) => false,
        }
    }

    /// Returns the deployment configuration, with what the live one holds beside ours: lifecycle hooks, and all that the
    /// file says nothing of.
    pub fn deployment(&self, live: Option<&DeploymentConfiguration>) -> Result<DeploymentConfiguration> {
        let mut configuration = live.cloned().unwrap_or_else(|| DeploymentConfiguration::builder().build());
        configuration.minimum_healthy_percent = Some(self.minimum);
        configuration.maximum_percent = Some(self.maximum);
        let breaks = self.breaks(live);
        configuration.deployment_circuit_breaker =
            Some(DeploymentCircuitBreaker::builder().enable(breaks).rollback(breaks).build());
        if self.strategy != Strategy::Any {
            // What belongs to another strategy is refused with this one.
            configuration.canary_configuration = None;
            configuration.linear_configuration = None;
        }
        let bakes = configuration.bake_time_in_minutes;
        match self.strategy {
            Strategy::Any => {}
            Strategy::Rolling => {
                configuration.strategy = Some(DeploymentStrategy::Rolling);
                configuration.bake_time_in_minutes = None;
            }
            Strategy::Shift(Shift::BlueGreen { bake }) => {
                configuration.strategy = Some(DeploymentStrategy::BlueGreen);
                configuration.bake_time_in_minutes = Some(bake);
            }
            Strategy::Shift(Shift::Canary { percent, bake }) => {
                let canary = CanaryConfiguration::builder().canary_percent(percent).canary_bake_time_in_minutes(bake);
                configuration.strategy = Some(DeploymentStrategy::Canary);
                configuration.canary_configuration = Some(canary.build());
                // How long both versions stay after the rest has moved is nobody's, but it is not what another strategy
                // has left behind.
                let stays = bakes.filter(|_| *strategy(live) == DeploymentStrategy::Canary);
                configuration.bake_time_in_minutes = Some(stays.unwrap_or_default());
            }
            Strategy::Shift(Shift::Linear { percent, every, bake }) => {
                let linear = LinearConfiguration::builder().step_percent(percent).step_bake_time_in_minutes(every);
                configuration.strategy = Some(DeploymentStrategy::Linear);
                configuration.linear_configuration = Some(linear.build());
                configuration.bake_time_in_minutes = Some(bake);
            }
        }
        if matches!(self.strategy, Strategy::Shift(_)) {
            // Task by task only: `DeploymentEarlySuccessCriteria`.
            configuration.early_success_criteria = None;
        }
        if let Some(wanted) = &self.alarms {
            let present = configuration.alarms.as_ref().map(|alarms| alarms.alarm_names.clone());
            let names = if wanted.is_empty() { present } else { Some(wanted.iter().cloned().collect()) };
            let on = !wanted.is_empty();
            let alarms = DeploymentAlarms::builder().set_alarm_names(names.clone()).enable(on).rollback(on);
            configuration.alarms = names.map(|_| ecs::built(alarms.build())).transpose()?;
        }
        Ok(configuration)
    }

    /// Returns whether ECS keeps the zones in balance: it starts a task before it stops one, so it refuses to where the
    /// maximum is 100 per cent
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html>).
    pub fn rebalancing(&self) -> AvailabilityZoneRebalancing {
        if self.maximum > 100 { AvailabilityZoneRebalancing::Enabled } else { AvailabilityZoneRebalancing::Disabled }
    }
}

impl Connected {
    fn build(&self) -> Result<ServiceConnectConfiguration> {
        let services = self.served.iter().map(|(name, port)| {
            let alias = ecs::built(ServiceConnectClientAlias::builder().port(*port).dns_name(name).build())?;
            let service = ServiceConnectService::builder().port_name(name).discovery_name(name).client_aliases(alias);
            ecs::built(service.build())
        });
        let configuration = ServiceConnectConfiguration::builder().enabled(true).namespace(&self.namespace);
        Ok(configuration.set_services(Some(services.collect::<Result<_>>()?)).build())
    }

    /// Describes what ECS has in the same words as the one that is wanted.
    fn of(live: &ServiceConnectConfiguration) -> String {
        let served = live.services().iter().map(|service| {
            let alias = service.client_aliases().first();
            let name = alias.and_then(ServiceConnectClientAlias::dns_name).unwrap_or(service.port_name());
            format!("{name}:{}", alias.map(ServiceConnectClientAlias::port).unwrap_or_default())
        });
        let served: Vec<_> = served.collect();
        Self::words(&served.join(" "), live.namespace().unwrap_or_default())
    }

    fn words(served: &str, namespace: &str) -> String {
        if served.is_empty() { format!("client in {namespace}") } else { format!("{served} in {namespace}") }
    }
}

impl std::fmt::Display for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let served = self.served.as_ref().map(|(name, port)| format!("{name}:{port}")).unwrap_or_default();
        f.write_str(&Self::words(&served, &self.namespace))
    }
}

impl Capacity {
    fn new(spot: Spot) -> Self {
        let shares = [(ON_DEMAND, (spot.base, spot.on_demand)), (SPOT, (0, spot.weight))];
        Self::shared(shares.map(|(name, share)| (name.to_owned(), share)))
    }

    fn on_demand() -> Self {
        Self::shared([(ON_DEMAND.to_owned(), (0, 1))])
    }

    /// Reads a strategy: without one a service has a launch type.
    fn of(strategy: &[CapacityProviderStrategyItem]) -> Self {
        if strategy.is_empty() {
            return Self::on_demand();
        }
        Self::shared(strategy.iter().map(|item| (item.capacity_provider().to_owned(), (item.base(), item.weight()))))
    }

    /// Leaves out those without tasks. Of one alone, base and weight make no difference.
    fn shared(shares: impl IntoIterator<Item = (String, (i32, i32))>) -> Self {
        let mut shares: BTreeMap<_, _> = shares.into_iter().filter(|(_, share)| *share != (0, 0)).collect();
        if shares.len() == 1 {
            shares.values_mut().for_each(|share| *share = (0, 1));
        }
        Self(shares)
    }

    fn build(&self) -> Result<Vec<CapacityProviderStrategyItem>> {
        let items = self.0.iter().map(|(name, (base, weight))| {
            let item = CapacityProviderStrategyItem::builder().capacity_provider(name);
            ecs::built(item.base(*base).weight(*weight).build())
        });
        items.collect()
    }
}

impl std::fmt::Display for Capacity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = |(name, (base, weight)): (&String, &(i32, i32))| match base {
            0 => format!("{name} {weight}"),
            base => format!("{name} {base} and {weight}"),
        };
        if *self == Self::on_demand() {
            return write!(f, "{ON_DEMAND}");
        }
        write!(f, "{}", self.0.iter().map(share).collect::<Vec<_>>().join(", "))
    }
}

impl Strategy {
    /// Describes what ECS has in the same words as the one that is wanted.
    fn of(self, live: Option<&DeploymentConfiguration>) -> String {
        let bake = live.and_then(DeploymentConfiguration::bake_time_in_minutes).unwrap_or_default();
        #[expect(clippy::wildcard_enum_match_arm, reason = "ECS may learn further strategies")]
        match strategy(live) {
            DeploymentStrategy::Rolling => Strategy::Rolling.to_string(),
            DeploymentStrategy::BlueGreen => Strategy::Shift(Shift::BlueGreen { bake }).to_string(),
            DeploymentStrategy::Canary => {
                let canary = live.and_then(DeploymentConfiguration::canary_configuration);
                let percent = canary.and_then(CanaryConfiguration::canary_percent).unwrap_or_default();
                let bake = canary.and_then(CanaryConfiguration::canary_bake_time_in_minutes).unwrap_or_default();
                Strategy::Shift(Shift::Canary { percent, bake }).to_string()
            }
            DeploymentStrategy::Linear => {
                let linear = live.and_then(DeploymentConfiguration::linear_configuration);
                let percent = linear.and_then(LinearConfiguration::step_percent).unwrap_or_default();
                let every = linear.and_then(LinearConfiguration::step_bake_time_in_minutes).unwrap_or_default();
                Strategy::Shift(Shift::Linear { percent, every, bake }).to_string()
            }
            other => other.as_str().to_owned(),
        }
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Strategy::Any => write!(f, "any"),
            Strategy::Rolling => write!(f, "rolling"),
            Strategy::Shift(Shift::BlueGreen { bake }) => write!(f, "blue/green, both for {bake} min"),
            Strategy::Shift(Shift::Canary { percent, bake }) => write!(f, "canary, {percent} % for {bake} min"),
            Strategy::Shift(Shift::Linear { percent, every, bake }) => {
                write!(f, "linear, {percent} % every {every} min, both for {bake} min")
            }
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Target { group, container, port, advanced } = self;
        match advanced {
            Some(Advanced { alternate, rule, role }) => {
                write!(f, "{group} and {alternate} by {rule} as {role} to {container}:{port}")
            }
            None => write!(f, "{group} to {container}:{port}"),
        }
    }
}

/// Returns the strategy of a configuration: without one it is ECS's default.
fn strategy(live: Option<&DeploymentConfiguration>) -> &DeploymentStrategy {
    live.and_then(DeploymentConfiguration::strategy).unwrap_or(&DeploymentStrategy::Rolling)
}

/// Returns the alarms that roll a deployment back, as text.
fn alarms(live: Option<&DeploymentConfiguration>) -> String {
    let Some(alarms) = live.and_then(DeploymentConfiguration::alarms).filter(|alarms| alarms.enable()) else {
        return String::new();
    };
    let names: BTreeSet<&str> = alarms.alarm_names().iter().map(String::as_str).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    if alarms.rollback() { names } else { format!("{names} without rollback") }
}

/// Returns the target groups of a load balancer.
fn groups(balancer: &LoadBalancer) -> BTreeSet<&str> {
    let alternate = balancer.advanced_configuration().and_then(AdvancedConfiguration::alternate_target_group_arn);
    balancer.target_group_arn().into_iter().chain(alternate).collect()
}

/// Returns what cannot be changed here, with what a person can do.
fn refusals(live: &Described) -> Vec<Change> {
    let controller = foreign_controller(live).map(|(controller, hint)| {
        Change::update(field::CONTROLLER, controller, DeploymentControllerType::Ecs.as_str()).refused(hint)
    });
    // A service with a capacity provider strategy, such as Fargate Spot, has no launch type.
    let launch = live.launch_type().filter(|launch| **launch != LaunchType::Fargate).map(|launch| {
        Change::update(field::LAUNCH_TYPE, launch.as_str(), LaunchType::Fargate.as_str())
            .refused("give the service another name in the stack file, or delete it: it is then made anew")
    });
    controller.into_iter().chain(launch).collect()
}

/// Returns where the load balancer's requests go, as text.
fn targets(live: &Described) -> String {
    let targets = live.load_balancers().iter().map(|balancer| Target {
        group: balancer.target_group_arn().unwrap_or_default().to_owned(),
        container: balancer.container_name().unwrap_or_default().to_owned(),
        port: balancer.container_port().unwrap_or_default(),
        advanced: balancer.advanced_configuration().map(|advanced| Advanced {
            alternate: advanced.alternate_target_group_arn().unwrap_or_default().to_owned(),
            rule: advanced.production_listener_rule().unwrap_or_default().to_owned(),
            role: advanced.role_arn().unwrap_or_default().to_owned(),
        }),
    });
    let targets: BTreeSet<Target> = targets.collect();
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn joined(ids: &BTreeSet<String>) -> String {
    ids.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::DeploymentController;
    use ecs_core::resource::Means;

    use super::*;

    fn settings(maximum: i32, scales: bool) -> Settings {
        let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        Settings {
            desired: 2,
            grace_period: 60,
            scales,
            subnets: set(&["subnet-1", "subnet-2"]),
            security_groups: set(&["sg-1"]),
            target: Target { group: "arn:tg".to_owned(), container: "app".to_owned(), port: 80, advanced: None },
            minimum: 100,
            maximum,
            strategy: Strategy::Any,
            alarms: None,
            capacity: None,
            exec: None,
            connect: None,
        }
    }

    const CANARY: Shift = Shift::Canary { percent: 25.0, bake: 10 };

    /// Returns the settings of a service whose traffic ECS shifts.
    fn shifting(shift: Shift) -> Settings {
        let settings = settings(200, false);
        let advanced = Advanced { alternate: "arn:alt".into(), rule: "arn:rule".into(), role: "arn:role".into() };
        Settings {
            target: Target { advanced: Some(advanced), ..settings.target },
            strategy: Strategy::Shift(shift),
            alarms: Some(BTreeSet::from(["s-5xx".to_owned(), "mine".to_owned()])),
            ..settings
        }
    }

    /// What ECS reads back of the settings: subnets in another order, and what it fills in.
    fn live(settings: &Settings) -> Described {
        let network = AwsVpcConfiguration::builder().subnets("subnet-2").subnets("subnet-1").security_groups("sg-1");
        let network = network.assign_public_ip(AssignPublicIp::Disabled).build().expect("complete");
        let controller = DeploymentController::builder().r#type(DeploymentControllerType::Ecs).build();
        Described::builder()
            .cluster_arn("arn:aws:ecs:r:1:cluster/c")
            .service_name("s")
            .launch_type(LaunchType::Fargate)
            .deployment_controller(controller.expect("complete"))
            .desired_count(2)
            .network_configuration(NetworkConfiguration::builder().awsvpc_configuration(network).build())
            .load_balancers(settings.load_balancer(None))
            .health_check_grace_period_seconds(60)
            .deployment_configuration(settings.deployment(None).expect("complete"))
            .availability_zone_rebalancing(AvailabilityZoneRebalancing::Enabled)
            .propagate_tags(PropagateTags::Service)
            .enable_ecs_managed_tags(true)
            .build()
    }

    fn fields(changes: &[Change]) -> Vec<&str> {
        changes.iter().map(|change| change.field).collect()
    }

    #[test]
    fn what_ecs_reads_back_is_no_difference() {
        let settings = settings(200, false);
        assert_eq!(settings.changes(&live(&settings), false), []);
    }

    #[test]
    fn every_difference_is_named() {
        let settings = settings(200, false);
        type Case = (&'static str, fn(&mut Described));
        let cases: [Case; 8] = [
            (field::DESIRED_COUNT, |live| live.desired_count = 3),
            (field::GRACE_PERIOD, |live| live.health_check_grace_period_seconds = None),
            (field::SUBNETS, |live| live.network_configuration = None),
            (field::LOAD_BALANCER, |live| live.load_balancers = None),
            (field::REBALANCING, |live| live.availability_zone_rebalancing = None),
            (field::MANAGED_TAGS, |live| live.enable_ecs_managed_tags = false),
            (field::PROPAGATE_TAGS, |live| live.propagate_tags = None),
            (field::MINIMUM, |live| live.deployment_configuration = None),
        ];
        for (field, change) in cases {
            let mut live = live(&settings);
            change(&mut live);
            assert!(fields(&settings.changes(&live, false)).contains(&field), "{field}");
        }
    }

    #[test]
    fn the_number_of_tasks_belongs_to_autoscaling_once_it_is_on() {
        let mut live = live(&settings(200, false));
        live.desired_count = 7;
        assert_eq!(fields(&settings(200, false).changes(&live, false)), [field::DESIRED_COUNT]);
        assert_eq!(settings(200, true).changes(&live, false), []);
    }

    #[test]
    fn what_a_deployment_brings_is_not_asked_for_twice() {
        let settings = settings(200, false);
        let mut live = live(&settings);
        live.network_configuration = None;
        live.load_balancers = None;
        assert_eq!(settings.changes(&live, true), []);
    }

    #[test]
    fn zones_are_rebalanced_only_where_a_task_may_be_started_first() {
        assert_eq!(settings(200, false).rebalancing(), AvailabilityZoneRebalancing::Enabled);
        assert_eq!(settings(100, false).rebalancing(), AvailabilityZoneRebalancing::Disabled);
    }

    #[test]
    fn a_service_that_codedeploy_deploys_is_refused() {
        let settings = settings(200, false);
        let mut live = live(&settings);
        let controller = DeploymentController::builder().r#type(DeploymentControllerType::CodeDeploy).build();
        live.deployment_controller = Some(controller.expect("complete"));
        let changes = settings.changes(&live, false);
        assert_eq!(fields(&changes), [field::CONTROLLER]);
        let hint = "let ECS deploy it: aws ecs update-service --cluster c --service s --deployment-controller type=ECS";
        assert_eq!(changes[0].means, Means::Refuse(hint.to_owned()));
    }

    #[test]
    fn what_others_have_put_into_the_deployment_configuration_stays() {
        let live = DeploymentConfiguration::builder().bake_time_in_minutes(5).maximum_percent(150).build();
        let wanted = settings(200, false).deployment(Some(&live)).expect("complete");
        assert_eq!((wanted.bake_time_in_minutes(), wanted.maximum_percent()), (Some(5), Some(200)));
    }

    #[test]
    fn what_ecs_reads_back_of_a_strategy_is_no_difference() {
        let shifts = [CANARY, Shift::BlueGreen { bake: 5 }, Shift::Linear { percent: 33.3, every: 1, bake: 2 }];
        for settings in shifts.map(shifting) {
            let mut live = live(&settings);
            assert_eq!(settings.changes(&live, false), []);
            // After a deployment the other target group serves, whichever ECS then calls the alternate one.
            let balancer = &mut live.load_balancers.as_mut().expect("one")[0];
            balancer.target_group_arn = Some("arn:alt".to_owned());
            balancer.advanced_configuration.as_mut().expect("one").alternate_target_group_arn =
                Some("arn:tg".to_owned());
            assert_eq!(settings.changes(&live, false), []);
            assert_eq!(settings.load_balancer(Some(&live)).target_group_arn(), Some("arn:alt"), "it is left that way");
        }
    }

    #[test]
    fn a_service_that_rolled_gets_all_that_a_canary_needs() {
        let live = live(&settings(200, false));
        let canary = shifting(CANARY);
        let text: Vec<_> = canary.changes(&live, false).iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "deployment strategy: rolling -> canary, 25 % for 10 min",
                "deployment circuit breaker: with rollback -> off",
                "deployment alarms: add mine, s-5xx",
                "load balancer: arn:tg to app:80 -> arn:tg and arn:alt by arn:rule as arn:role to app:80",
            ]
        );
        let configuration = canary.deployment(live.deployment_configuration()).expect("complete");
        assert_eq!(configuration.strategy(), Some(&DeploymentStrategy::Canary));
        assert_eq!(configuration.bake_time_in_minutes(), Some(0));
        let alarms = configuration.alarms().expect("alarms");
        assert!(alarms.enable() && alarms.rollback() && alarms.alarm_names() == ["mine", "s-5xx"], "{alarms:?}");
    }

    #[test]
    fn another_strategy_leaves_nothing_of_the_one_before() {
        let live = shifting(Shift::BlueGreen { bake: 7 }).deployment(None).expect("complete");
        let canary = shifting(CANARY).deployment(Some(&live)).expect("complete");
        assert_eq!(canary.bake_time_in_minutes(), Some(0));
        let linear =
            shifting(Shift::Linear { percent: 10.0, every: 6, bake: 1 }).deployment(Some(&canary)).expect("complete");
        assert_eq!((linear.canary_configuration(), linear.bake_time_in_minutes()), (None, Some(1)));
        let rolling = Settings { strategy: Strategy::Rolling, alarms: Some(BTreeSet::new()), ..settings(200, false) };
        let rolling = rolling.deployment(Some(&linear)).expect("complete");
        assert_eq!((rolling.linear_configuration(), rolling.bake_time_in_minutes()), (None, None));
        assert!(rolling.deployment_circuit_breaker().is_some_and(|breaker| breaker.enable() && breaker.rollback()));
        assert!(rolling.alarms().is_some_and(|alarms| !alarms.enable()), "{:?}", rolling.alarms());
    }

    #[test]
    fn deployed_task_by_task_again_a_service_stays_where_it_is_reached() {
        let mut live = live(&shifting(CANARY));
        let rolling = Settings { strategy: Strategy::Rolling, alarms: Some(BTreeSet::new()), ..settings(200, false) };
        let expected = [field::STRATEGY, field::CIRCUIT_BREAKER, field::ALARMS];
        assert_eq!(fields(&rolling.changes(&live, false)), expected);
        // The load balancer now sends everything to the second target group.
        let serving = Target { group: "arn:alt".to_owned(), ..rolling.target.clone() };
        let rolling = Settings { target: serving, ..rolling };
        assert_eq!(fields(&rolling.changes(&live, false)), expected);
        // Even what does change there leaves the target groups and the rule alone.
        let before = live.load_balancers()[0].clone();
        live.load_balancers.as_mut().expect("one")[0].container_port = Some(8080);
        assert_eq!(rolling.load_balancer(Some(&live)), before);
    }

    #[test]
    fn without_a_word_in_the_file_a_strategy_stays_with_all_that_belongs_to_it() {
        let canary = shifting(CANARY);
        let live = live(&canary);
        assert_eq!(settings(200, false).changes(&live, false), []);
        let configuration = settings(150, false).deployment(live.deployment_configuration()).expect("complete");
        assert_eq!(configuration.strategy(), Some(&DeploymentStrategy::Canary));
        assert!(configuration.canary_configuration().is_some() && configuration.alarms().is_some());
        assert!(configuration.deployment_circuit_breaker().is_some_and(|breaker| !breaker.enable()));
    }

    #[test]
    fn what_hangs_on_a_deployment_and_where_tests_go_stays() {
        use aws_sdk_ecs::types::DeploymentLifecycleHook;
        let canary = shifting(CANARY);
        let mut live = live(&canary);
        let hook = DeploymentLifecycleHook::builder().hook_target_arn("arn:hook").build();
        live.deployment_configuration.as_mut().expect("one").lifecycle_hooks = Some(vec![hook.clone()]);
        let advanced = live.load_balancers.as_mut().expect("one")[0].advanced_configuration.as_mut().expect("one");
        advanced.test_listener_rule = Some("arn:test".to_owned());
        assert_eq!(canary.changes(&live, false), []);
        let configuration = canary.deployment(live.deployment_configuration()).expect("complete");
        assert_eq!(configuration.lifecycle_hooks(), [hook]);
        let balancer = canary.load_balancer(Some(&live));
        assert_eq!(
            balancer.advanced_configuration().and_then(|advanced| advanced.test_listener_rule()),
            Some("arn:test")
        );
    }

    #[test]
    fn tasks_run_on_what_the_file_says_or_on_what_somebody_has_set_up() {
        let spot = |base, on_demand, weight| Spot { base, on_demand, weight };
        let item = |name: &str, base, weight| {
            let item = CapacityProviderStrategyItem::builder().capacity_provider(name).base(base).weight(weight);
            item.build().expect("complete")
        };
        let half = vec![item(SPOT, 0, 1), item(ON_DEMAND, 1, 1)];
        let on_demand = vec![item(ON_DEMAND, 5, 7), item(SPOT, 0, 0)];
        type Case<'c> = (Option<Spot>, &'c [CapacityProviderStrategyItem], &'c [&'c str]);
        let cases: [Case<'_>; 7] = [
            (None, &[], &[]),
            (None, &on_demand, &[]),
            (None, &half, &["capacity provider strategy: remove FARGATE 1 and 1, FARGATE_SPOT 1"]),
            (Some(spot(1, 1, 1)), &half, &[]),
            (Some(spot(0, 1, 0)), &[], &[]),
            (Some(spot(0, 0, 1)), &[], &["capacity provider strategy: FARGATE -> FARGATE_SPOT 1"]),
            (Some(spot(0, 1, 0)), &half, &["capacity provider strategy: FARGATE 1 and 1, FARGATE_SPOT 1 -> FARGATE"]),
        ];
        for (spot, is, lines) in cases {
            let settings = Settings { capacity: spot.map(Capacity::new), ..settings(200, false) };
            let mut live = live(&settings);
            live.capacity_provider_strategy = Some(is.to_vec());
            let found: Vec<_> = settings.changes(&live, false).iter().map(ToString::to_string).collect();
            assert_eq!(found, lines, "{spot:?}");
            live.capacity_provider_strategy = Some(settings.strategy().expect("built"));
            assert_eq!(settings.changes(&live, false), [], "{spot:?} converges");
        }
    }

    #[test]
    fn exec_that_somebody_has_switched_on_is_theirs_unless_the_file_speaks_of_it() {
        let mut live = live(&settings(200, false));
        live.enable_execute_command = true;
        let changes = |exec| Settings { exec, ..settings(200, false) }.changes(&live, false);
        assert_eq!(changes(None), [Change::foreign(field::EXEC, "enabled")]);
        assert_eq!(changes(Some(true)), []);
        assert_eq!(changes(Some(false)), [Change::update(field::EXEC, "true", "false")]);
    }
}
