//! What a service is to be, apart from its task definition, and how that differs from what it is.

use std::collections::BTreeSet;

use aws_sdk_ecs::types::{
    AssignPublicIp, AvailabilityZoneRebalancing, AwsVpcConfiguration, DeploymentCircuitBreaker,
    DeploymentConfiguration, DeploymentControllerType, LaunchType, LoadBalancer, NetworkConfiguration, PropagateTags,
    Service as Described,
};
use ecs_aws::deployment::foreign_controller;
use ecs_core::stack::Service as Config;
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
    pub const CONFIGURATION: &[&str] = &[MINIMUM, MAXIMUM, CIRCUIT_BREAKER];
    /// Part of the deployment configuration
    pub const MINIMUM: &str = "minimum healthy percent";
    /// Part of the deployment configuration
    pub const MAXIMUM: &str = "maximum percent";
    /// Part of the deployment configuration
    pub const CIRCUIT_BREAKER: &str = "deployment circuit breaker";
    /// Changes in place
    pub const REBALANCING: &str = "availability zone rebalancing";
    /// Changes in place
    pub const PROPAGATE_TAGS: &str = "propagation of tags";
    /// Changes in place
    pub const MANAGED_TAGS: &str = "ECS managed tags";
    /// Cannot be changed here
    pub const CONTROLLER: &str = "deployment controller";
    /// Cannot be changed here
    pub const LAUNCH_TYPE: &str = "launch type";
}

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
}

/// Where the load balancer's requests go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    group: String,
    container: String,
    port: i32,
}

impl Settings {
    /// Makes the settings of a service.
    pub fn new(service: &Config, container: &str, place: &Place) -> Self {
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
            },
            minimum: service.minimum_healthy_percent,
            maximum: service.maximum_percent,
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
            Change::of(field::CIRCUIT_BREAKER, &breaker, &"with rollback"),
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
            Change::of(field::LOAD_BALANCER, &targets(live), &self.target.to_string()),
        ];
        let by_deployment = by_deployment.into_iter().flatten().filter(|_| !deployed);
        refusals(live).into_iter().chain(in_place.into_iter().flatten()).chain(by_deployment).collect()
    }

    /// Returns the network configuration.
    pub fn network(&self) -> Result<NetworkConfiguration> {
        let network = AwsVpcConfiguration::builder()
            .set_subnets(Some(self.subnets.iter().cloned().collect()))
            .set_security_groups(Some(self.security_groups.iter().cloned().collect()))
            .assign_public_ip(AssignPublicIp::Disabled);
        Ok(NetworkConfiguration::builder().awsvpc_configuration(ecs::built(network.build())?).build())
    }

    /// Returns the load balancer.
    pub fn load_balancer(&self) -> LoadBalancer {
        let Target { group, container, port } = &self.target;
        LoadBalancer::builder().target_group_arn(group).container_name(container).container_port(*port).build()
    }

    /// Returns the deployment configuration, with what the live one holds beside ours: alarms, a strategy.
    pub fn deployment(&self, live: Option<&DeploymentConfiguration>) -> DeploymentConfiguration {
        let mut configuration = live.cloned().unwrap_or_else(|| DeploymentConfiguration::builder().build());
        configuration.minimum_healthy_percent = Some(self.minimum);
        configuration.maximum_percent = Some(self.maximum);
        configuration.deployment_circuit_breaker =
            Some(DeploymentCircuitBreaker::builder().enable(true).rollback(true).build());
        configuration
    }

    /// Returns whether ECS keeps the zones in balance: it starts a task before it stops one, so it refuses to where the
    /// maximum is 100 per cent
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html>).
    pub fn rebalancing(&self) -> AvailabilityZoneRebalancing {
        if self.maximum > 100 { AvailabilityZoneRebalancing::Enabled } else { AvailabilityZoneRebalancing::Disabled }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}:{}", self.group, self.container, self.port)
    }
}

/// Returns what cannot be changed here, with what a person can do.
fn refusals(live: &Described) -> Vec<Change> {
    let controller = foreign_controller(live).map(|(controller, hint)| {
        Change::update(field::CONTROLLER, controller, DeploymentControllerType::Ecs.as_str()).refused(hint)
    });
    // A capacity provider strategy, such as Fargate Spot, has no launch type.
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
            target: Target { group: "arn:tg".to_owned(), container: "app".to_owned(), port: 80 },
            minimum: 100,
            maximum,
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
            .load_balancers(settings.load_balancer())
            .health_check_grace_period_seconds(60)
            .deployment_configuration(settings.deployment(None))
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
        let wanted = settings(200, false).deployment(Some(&live));
        assert_eq!((wanted.bake_time_in_minutes(), wanted.maximum_percent()), (Some(5), Some(200)));
    }
}
