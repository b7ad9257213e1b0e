//! Deployment strategies: what the flags make of a service's deployment configuration, and what it has to have for that.

use aws_sdk_ecs::types::{
    CanaryConfiguration, DeploymentAlarms, DeploymentCircuitBreaker, DeploymentConfiguration, DeploymentLifecycleHook,
    DeploymentLifecycleHookStage, DeploymentLifecycleHookTargetType, DeploymentStrategy, LinearConfiguration, Service,
};
use ecs_core::{Error, Result};

use crate::command::{Change, Pause, StrategyName};

/// Minutes that both versions stay beside each other where nobody says how long: ECS has no default for blue/green.
const BAKE: i32 = 10;

/// Returns the configuration that the flags ask for; none when they leave it as it is.
///
/// Everything else in it stays: ECS keeps what one deployment was asked for with the service.
///
/// # Errors
/// Flags that do not go together.
pub fn wanted(change: &Change, live: Option<&DeploymentConfiguration>) -> Result<Option<DeploymentConfiguration>> {
    let before = live.cloned().unwrap_or_else(|| DeploymentConfiguration::builder().build());
    let mut wanted = before.clone();
    if let Some(strategy) = change.strategy {
        check_flags(change, strategy)?;
        set_strategy(&mut wanted, change, strategy);
    }
    if !change.alarms.is_empty() {
        wanted.alarms = Some(built(
            DeploymentAlarms::builder()
                .set_alarm_names(Some(change.alarms.clone()))
                .enable(true)
                .rollback(true)
                .build(),
        )?);
    }
    if let Some(pause) = change.pause_before {
        wanted.lifecycle_hooks = Some(hooks(&wanted, pause));
        if pause != Pause::Nothing && !shifts_traffic(&wanted) {
            return Err(Error::usage("a rolling deployment cannot pause: its traffic does not move in steps")
                .hint("use --strategy blue-green, canary or linear"));
        }
    }
    Ok((wanted != before).then_some(wanted))
}

/// Says whether ECS shifts traffic between two target groups.
pub fn shifts_traffic(configuration: &DeploymentConfiguration) -> bool {
    !matches!(configuration.strategy(), None | Some(DeploymentStrategy::Rolling))
}

/// Returns the strategy's name in ECS's words.
pub fn name(configuration: Option<&DeploymentConfiguration>) -> &str {
    configuration.and_then(DeploymentConfiguration::strategy).map_or("ROLLING", DeploymentStrategy::as_str)
}

/// Says what keeps a service from being deployed like this: numbers that allow neither a stop nor a start, and what
/// the layers have not prepared.
pub fn problems(service: &Service, configuration: &DeploymentConfiguration) -> Vec<String> {
    let mut problems = Vec::new();
    if shifts_traffic(configuration) {
        let strategy = name(Some(configuration));
        let unprepared = service.load_balancers().iter().any(|balancer| balancer.advanced_configuration().is_none());
        let alone = service.load_balancers().is_empty()
            && service.deployments().iter().all(|deployment| deployment.service_connect_configuration().is_none());
        if unprepared || alone {
            problems.push(format!(
                "{strategy} needs two target groups and a listener rule to move the traffic between, and the service has not: \
                 set `deployment.strategy` in the stack file and run ecs-iam, ecs-alb and ecs-svc"
            ));
        }
        return problems;
    }
    let desired = service.desired_count();
    let percent = |value: Option<i32>, usual: i32| i64::from(value.unwrap_or(usual));
    let (least, most) =
        (percent(configuration.minimum_healthy_percent(), 100), percent(configuration.maximum_percent(), 200));
    // Rounded as the API reference says: the minimum up, the maximum down.
    let lower = (i64::from(desired) * least + 99) / 100;
    let upper = i64::from(desired) * most / 100;
    if desired > 0 && lower >= i64::from(desired) && upper <= i64::from(desired) {
        problems.push(format!(
            "minimum healthy {least} % and maximum {most} % of {desired} tasks allow neither to stop nor to start one: the deployment would \
             stand still for ever; lower the minimum or raise the maximum"
        ));
    }
    problems
}

/// Says what makes the verdict of a deployment worth less than it looks.
pub fn warnings(service: &Service, configuration: &DeploymentConfiguration) -> Vec<String> {
    let mut warnings = Vec::new();
    if service.desired_count() == 0 {
        warnings.push(
            "the service wants no tasks (desired count 0): the deployment succeeds without starting any".to_owned(),
        );
    }
    let breaker = configuration.deployment_circuit_breaker().is_some_and(DeploymentCircuitBreaker::enable);
    if !breaker && !shifts_traffic(configuration) {
        warnings.push(
            "the service has no deployment circuit breaker: a version that does not start is tried for ever; --fail-fast goes back"
                .to_owned(),
        );
    }
    warnings
}

fn check_flags(change: &Change, strategy: StrategyName) -> Result<()> {
    let refuse = |flag: &str, of: &str| Err(Error::usage(format!("{flag} goes with {of} only")));
    match strategy {
        StrategyName::Rolling if change.percent.is_some() || change.bake.is_some() || change.every.is_some() => {
            refuse("--percent, --bake or --every", "--strategy blue-green, canary or linear")
        }
        StrategyName::BlueGreen if change.percent.is_some() || change.every.is_some() => {
            refuse("--percent or --every", "--strategy canary or linear")
        }
        StrategyName::Canary if change.every.is_some() => refuse("--every", "--strategy linear"),
        StrategyName::Rolling | StrategyName::BlueGreen => Ok(()),
        StrategyName::Canary => check_percent(change.percent, 0.1),
        StrategyName::Linear => check_percent(change.percent, 3.0),
    }
}

/// Checks a share of traffic: a multiple of 0.1
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_LinearConfiguration.html>).
fn check_percent(percent: Option<f64>, least: f64) -> Result<()> {
    let Some(percent) = percent else { return Ok(()) };
    let tenths = percent * 10.0;
    if (least..=100.0).contains(&percent) && (tenths - tenths.round()).abs() < 1e-6 {
        return Ok(());
    }
    Err(Error::usage(format!("--percent {percent} must be {least} to 100, in steps of 0.1")))
}

fn set_strategy(wanted: &mut DeploymentConfiguration, change: &Change, strategy: StrategyName) {
    wanted.canary_configuration = None;
    wanted.linear_configuration = None;
    // ECS has a circuit breaker for rolling deployments only.
    let breaker = |enable| DeploymentCircuitBreaker::builder().enable(enable).rollback(enable).build();
    let was_rolling = !shifts_traffic(wanted);
    match strategy {
        StrategyName::Rolling => {
            wanted.strategy = Some(DeploymentStrategy::Rolling);
            if !was_rolling {
                wanted.deployment_circuit_breaker = Some(breaker(true));
            }
            wanted.bake_time_in_minutes = None;
            wanted.lifecycle_hooks = Some(hooks(wanted, Pause::Nothing));
        }
        StrategyName::BlueGreen => {
            wanted.strategy = Some(DeploymentStrategy::BlueGreen);
            wanted.bake_time_in_minutes = Some(change.bake.unwrap_or(BAKE));
        }
        StrategyName::Canary => {
            wanted.strategy = Some(DeploymentStrategy::Canary);
            let canary = CanaryConfiguration::builder().set_canary_percent(change.percent);
            wanted.canary_configuration = Some(canary.set_canary_bake_time_in_minutes(change.bake).build());
        }
        StrategyName::Linear => {
            wanted.strategy = Some(DeploymentStrategy::Linear);
            let linear = LinearConfiguration::builder().set_step_percent(change.percent);
            wanted.linear_configuration = Some(linear.set_step_bake_time_in_minutes(change.every).build());
            wanted.bake_time_in_minutes = change.bake.or(wanted.bake_time_in_minutes);
        }
    }
    if strategy != StrategyName::Rolling {
        wanted.deployment_circuit_breaker = Some(breaker(false));
    }
}

/// Returns the hooks with one pause, or without any; those that call functions stay.
fn hooks(configuration: &DeploymentConfiguration, pause: Pause) -> Vec<DeploymentLifecycleHook> {
    let others = configuration.lifecycle_hooks().iter();
    let mut hooks: Vec<_> =
        others.filter(|hook| hook.target_type() != Some(&DeploymentLifecycleHookTargetType::Pause)).cloned().collect();
    let stage = match pause {
        Pause::Traffic => DeploymentLifecycleHookStage::PreProductionTrafficShift,
        Pause::Bake => DeploymentLifecycleHookStage::PostProductionTrafficShift,
        Pause::Nothing => return hooks,
    };
    let hook = DeploymentLifecycleHook::builder().target_type(DeploymentLifecycleHookTargetType::Pause);
    hooks.push(hook.lifecycle_stages(stage).build());
    hooks
}

/// Returns what a builder has made: it refuses only when a required field is not set.
fn built<T>(value: std::result::Result<T, aws_sdk_ecs::error::BuildError>) -> Result<T> {
    value.map_err(|error| Error::other(format!("a request cannot be built: {error}")))
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{AdvancedConfiguration, LoadBalancer};

    use super::*;

    fn rolling() -> DeploymentConfiguration {
        DeploymentConfiguration::builder()
            .minimum_healthy_percent(100)
            .maximum_percent(200)
            .strategy(DeploymentStrategy::Rolling)
            .deployment_circuit_breaker(DeploymentCircuitBreaker::builder().enable(true).rollback(true).build())
            .build()
    }

    fn canary(percent: f64) -> Change {
        Change { strategy: Some(StrategyName::Canary), percent: Some(percent), bake: Some(10), ..Change::default() }
    }

    #[test]
    fn without_flags_the_configuration_stays() {
        assert_eq!(wanted(&Change::default(), Some(&rolling())).expect("fine"), None);
    }

    #[test]
    fn a_canary_has_its_share_and_no_circuit_breaker_and_what_else_there_is_stays() {
        let wanted = wanted(&canary(25.0), Some(&rolling())).expect("fine").expect("a change");
        assert_eq!(name(Some(&wanted)), "CANARY");
        let share = wanted.canary_configuration().expect("a canary");
        assert_eq!((share.canary_percent(), share.canary_bake_time_in_minutes()), (Some(25.0), Some(10)));
        assert_eq!(wanted.deployment_circuit_breaker().map(|breaker| breaker.enable()), Some(false));
        assert_eq!(wanted.maximum_percent(), Some(200));
        // The same again is no change.
        assert_eq!(super::wanted(&canary(25.0), Some(&wanted)).expect("fine"), None);
        let back = Change { strategy: Some(StrategyName::Rolling), ..Change::default() };
        let back = super::wanted(&back, Some(&wanted)).expect("fine").expect("a change");
        assert_eq!((name(Some(&back)), back.canary_configuration()), ("ROLLING", None));
        assert_eq!(back.deployment_circuit_breaker().map(|breaker| breaker.rollback()), Some(true));
    }

    #[test]
    fn flags_that_do_not_go_together_are_refused() {
        let with = |strategy, change: Change| Change { strategy: Some(strategy), ..change };
        let cases = [
            with(StrategyName::Rolling, Change { bake: Some(1), ..Change::default() }),
            with(StrategyName::BlueGreen, Change { percent: Some(5.0), ..Change::default() }),
            with(StrategyName::Canary, Change { every: Some(5), ..Change::default() }),
            with(StrategyName::Linear, Change { percent: Some(2.9), ..Change::default() }),
            canary(0.05),
            canary(101.0),
            Change { pause_before: Some(Pause::Traffic), ..Change::default() },
        ];
        for change in cases {
            assert!(wanted(&change, Some(&rolling())).is_err(), "{change:?}");
        }
    }

    #[test]
    fn a_pause_is_put_in_once_and_taken_away_again() {
        let paused = Change { pause_before: Some(Pause::Traffic), ..canary(25.0) };
        let live = wanted(&paused, Some(&rolling())).expect("fine").expect("a change");
        assert_eq!(live.lifecycle_hooks().len(), 1);
        assert_eq!(wanted(&paused, Some(&live)).expect("fine"), None);
        let nothing = Change { pause_before: Some(Pause::Nothing), ..Change::default() };
        let free = wanted(&nothing, Some(&live)).expect("fine").expect("a change");
        assert_eq!(free.lifecycle_hooks(), []);
    }

    #[test]
    fn numbers_that_let_nothing_move_are_a_problem() {
        let service = |desired| Service::builder().desired_count(desired).build();
        let percents = |least, most| {
            DeploymentConfiguration::builder().minimum_healthy_percent(least).maximum_percent(most).build()
        };
        let cases =
            [(2, 100, 200, 0), (2, 100, 100, 1), (2, 50, 100, 0), (1, 100, 150, 1), (1, 50, 100, 1), (0, 100, 100, 0)];
        for (desired, least, most, count) in cases {
            let found = problems(&service(desired), &percents(least, most));
            assert_eq!(found.len(), count, "{desired} {least} {most}: {found:?}");
        }
    }

    #[test]
    fn a_verdict_that_is_worth_less_is_warned_of() {
        let service = |desired| Service::builder().desired_count(desired).build();
        let bare = DeploymentConfiguration::builder().build();
        let canary = DeploymentConfiguration::builder().strategy(DeploymentStrategy::Canary).build();
        let cases = [(2, rolling(), 0), (0, rolling(), 1), (2, bare, 1), (2, canary, 0)];
        for (desired, configuration, count) in cases {
            assert_eq!(warnings(&service(desired), &configuration).len(), count, "{desired} {configuration:?}");
        }
    }

    #[test]
    fn traffic_is_shifted_only_where_it_was_prepared() {
        let canary = DeploymentConfiguration::builder().strategy(DeploymentStrategy::Canary).build();
        let advanced = AdvancedConfiguration::builder().alternate_target_group_arn("b").build();
        let prepared = LoadBalancer::builder().target_group_arn("a").advanced_configuration(advanced).build();
        let plain = LoadBalancer::builder().target_group_arn("a").build();
        for (balancer, count) in [(Some(prepared), 0), (Some(plain), 1), (None, 1)] {
            let service = Service::builder().set_load_balancers(Some(balancer.into_iter().collect())).build();
            assert_eq!(problems(&service, &canary).len(), count);
        }
    }
}
