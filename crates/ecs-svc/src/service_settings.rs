//! What a service is to be, apart from its task definition, and how that differs from what it is.

mod capacity;
mod connected;
pub mod field;

use std::collections::BTreeSet;

use aws_sdk_ecs::types::{
    AdvancedConfiguration, AssignPublicIp, AvailabilityZoneRebalancing, AwsVpcConfiguration, CanaryConfiguration,
    CapacityProviderStrategyItem, Deployment, DeploymentAlarms, DeploymentCircuitBreaker, DeploymentConfiguration,
    DeploymentControllerType, DeploymentStrategy, LaunchType, LinearConfiguration, LoadBalancer, NetworkConfiguration,
    PropagateTags, Service as Described, ServiceConnectConfiguration,
};
use ecs_aws::deployment::foreign_controller;
use ecs_core::stack::{Service as Config, Shift};
use ecs_core::{Change, Result};

use self::capacity::Capacity;
use self::connected::Connected;
use crate::{Place, ecs};

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
mod tests;
