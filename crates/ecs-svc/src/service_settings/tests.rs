use aws_sdk_ecs::types::DeploymentController;
use ecs_core::resource::Means;
use ecs_core::stack::Spot;

use super::capacity::{ON_DEMAND, SPOT};
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
        balancer.advanced_configuration.as_mut().expect("one").alternate_target_group_arn = Some("arn:tg".to_owned());
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
    assert_eq!(balancer.advanced_configuration().and_then(|advanced| advanced.test_listener_rule()), Some("arn:test"));
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
