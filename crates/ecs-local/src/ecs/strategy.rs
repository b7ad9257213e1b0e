//! Deployment strategies: what a service may ask for, and the steps in which traffic then moves.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::error::{Stop, invalid_parameter};
use super::hook::check_hooks;
use super::json::{list, number, text, texts};

/// Seconds in a minute: AWS counts bake times in minutes.
const MINUTE: f64 = 60.0;

/// The longest bake time, in minutes: 24 hours (botocore ecs model, LinearConfiguration).
const LONGEST_BAKE: i64 = 1440;

/// A move of production traffic to the new revision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    /// The new revision's share from here on.
    pub(crate) percent: f64,
    /// Seconds until the next step; the last has none.
    pub(crate) bake: f64,
}

/// Whether a deployment of this configuration shifts traffic between revisions, and so passes through every stage.
pub(crate) fn is_staged(configuration: &Value) -> bool {
    text(configuration, "strategy").is_some_and(|strategy| strategy != "ROLLING")
}

/// The steps of a strategy, the last of which is always 100 percent.
pub(crate) fn steps(configuration: &Value) -> Vec<Step> {
    let whole = Step { percent: 100.0, bake: 0.0 };
    let minutes = |of: &Value, name| number(of, name).unwrap_or_default() as f64 * MINUTE;
    match text(configuration, "strategy") {
        Some("CANARY") => {
            let canary = &configuration["canaryConfiguration"];
            let percent = canary["canaryPercent"].as_f64().unwrap_or(100.0);
            let first = Step { percent, bake: minutes(canary, "canaryBakeTimeInMinutes") };
            if percent < 100.0 { vec![first, whole] } else { vec![whole] }
        }
        Some("LINEAR") => {
            let linear = &configuration["linearConfiguration"];
            let (percent, bake) =
                (linear["stepPercent"].as_f64().unwrap_or(100.0), minutes(linear, "stepBakeTimeInMinutes"));
            let mut steps = Vec::new();
            // Tenths, so that three times 33.3 is 99.9, and not a little more or less.
            let tenths = (percent * 10.0).round().max(1.0);
            let mut reached = tenths;
            while reached < 1000.0 {
                steps.push(Step { percent: reached / 10.0, bake });
                reached += tenths;
            }
            steps.push(whole);
            steps
        }
        Some(_) | None => vec![whole],
    }
}

/// Seconds for which both revisions stay after the last step.
pub(crate) fn bake_time(configuration: &Value) -> f64 {
    number(configuration, "bakeTimeInMinutes").unwrap_or_default() as f64 * MINUTE
}

/// Puts in the defaults of a strategy, and refuses what does not go with it.
pub(crate) fn complete(mut configuration: Value, request: &Value) -> Result<Value, Stop> {
    let asked = &request["deploymentConfiguration"];
    let strategy = text(&configuration, "strategy").unwrap_or("ROLLING").to_owned();
    if !matches!(strategy.as_str(), "ROLLING" | "BLUE_GREEN" | "LINEAR" | "CANARY") {
        return Err(invalid_parameter(
            "Invalid deployment strategy. Valid values are: ROLLING, BLUE_GREEN, LINEAR, CANARY",
        ));
    }
    for (member, of) in [("canaryConfiguration", "CANARY"), ("linearConfiguration", "LINEAR")] {
        if strategy == of {
            continue;
        }
        if asked.get(member).is_some_and(|given| !given.is_null()) {
            return Err(invalid_parameter(format!("{member} is only valid when the deployment strategy is {of}.")));
        }
        // What another strategy left behind.
        if let Some(members) = configuration.as_object_mut() {
            members.remove(member);
        }
    }
    match strategy.as_str() {
        "CANARY" => {
            let canary = &mut configuration["canaryConfiguration"];
            fill(canary, &[("canaryPercent", json!(5.0)), ("canaryBakeTimeInMinutes", json!(10))]);
            check_percent(canary, "canaryPercent", 0.1)?;
            check_minutes(canary, "canaryBakeTimeInMinutes")?;
        }
        "LINEAR" => {
            let linear = &mut configuration["linearConfiguration"];
            fill(linear, &[("stepPercent", json!(10.0)), ("stepBakeTimeInMinutes", json!(6))]);
            check_percent(linear, "stepPercent", 3.0)?;
            check_minutes(linear, "stepBakeTimeInMinutes")?;
        }
        "BLUE_GREEN" if asked["strategy"] == "BLUE_GREEN" && number(asked, "bakeTimeInMinutes").is_none() => {
            return Err(invalid_parameter(
                "bakeTimeInMinutes must be specified when using the BLUE_GREEN deployment strategy.",
            ));
        }
        _ => {}
    }
    check_minutes(&configuration, "bakeTimeInMinutes")?;
    check_hooks(&configuration)?;
    check_alarms(&configuration)?;
    check_early_success(&configuration, strategy == "ROLLING")?;
    Ok(configuration)
}

/// Refuses load balancers that a strategy cannot shift between (developer guide, "Troubleshooting blue/green deployments").
pub(crate) fn check_balancers(configuration: &Value, settings: &Value) -> Result<(), Stop> {
    let staged = is_staged(configuration);
    let strategy = text(configuration, "strategy").unwrap_or("ROLLING");
    if staged && text(&settings["deploymentController"], "type").is_some_and(|kind| kind != "ECS") {
        return Err(invalid_parameter(format!(
            "The {strategy} deployment strategy is only supported with the ECS deployment controller."
        )));
    }
    let balancers = list(settings, "loadBalancers");
    let advanced = balancers.iter().filter(|balancer| balancer["advancedConfiguration"].is_object()).count();
    for balancer in balancers {
        if text(balancer, "loadBalancerName").is_some() {
            return Err(invalid_parameter(if balancer["advancedConfiguration"].is_object() {
                "advancedConfiguration field is not allowed with ELBv1 loadBalancers"
            } else {
                "All loadBalancers must be strictly either ELBv1 (defining loadBalancerName) or ELBv2 (defining targetGroupArn)"
            }));
        }
    }
    if staged && advanced < balancers.len() {
        return Err(invalid_parameter(
            "advancedConfiguration field is required for all loadBalancers when using a non-ROLLING deployment strategy",
        ));
    }
    if advanced > 0 && advanced < balancers.len() {
        return Err(invalid_parameter(
            "Either all or none of the provided loadBalancers must have advancedConfiguration defined",
        ));
    }
    let connected = settings["serviceConnectConfiguration"]["enabled"] == json!(true)
        || !list(settings, "vpcLatticeConfigurations").is_empty();
    if matches!(strategy, "LINEAR" | "CANARY") && balancers.is_empty() && !connected {
        return Err(invalid_parameter(format!(
            "The {strategy} deployment strategy requires a load balancer or Service Connect."
        )));
    }
    let mut target_groups = BTreeSet::new();
    for balancer in balancers.iter().filter(|balancer| balancer["advancedConfiguration"].is_object()) {
        check_advanced(balancer, &mut target_groups)?;
    }
    Ok(())
}

fn check_advanced<'a>(balancer: &'a Value, target_groups: &mut BTreeSet<&'a str>) -> Result<(), Stop> {
    let advanced = &balancer["advancedConfiguration"];
    for member in ["alternateTargetGroupArn", "productionListenerRule", "roleArn"] {
        if text(advanced, member).is_none_or(str::is_empty) {
            return Err(invalid_parameter(format!("{member} must be specified in advancedConfiguration.")));
        }
    }
    for target_group in [text(balancer, "targetGroupArn"), text(advanced, "alternateTargetGroupArn")] {
        let Some(target_group) = target_group else { continue };
        if !target_groups.insert(target_group) {
            return Err(invalid_parameter(format!("Duplicate targetGroupArn found: {target_group}")));
        }
    }
    for member in ["productionListenerRule", "testListenerRule"] {
        let Some(arn) = text(advanced, member) else { continue };
        if !arn.contains(":listener-rule/app/") && !arn.contains(":listener/net/") {
            return Err(invalid_parameter(format!(
                "{member} has an invalid ARN format. Must be RuleArn for ALB or ListenerArn for NLB. Got: {arn}"
            )));
        }
    }
    let (production, test) = (text(advanced, "productionListenerRule"), text(advanced, "testListenerRule"));
    if let Some(rule) = production.filter(|_| production == test) {
        return Err(invalid_parameter(format!(
            "The following rules cannot be used as both production and test listener rules: {rule}"
        )));
    }
    Ok(())
}

fn fill(configuration: &mut Value, usual: &[(&str, Value)]) {
    for (name, value) in usual {
        if configuration[*name].is_null() {
            configuration[*name] = value.clone();
        }
    }
}

fn check_percent(configuration: &Value, member: &str, least: f64) -> Result<(), Stop> {
    let percent = configuration[member].as_f64().unwrap_or(-1.0);
    let tenths = percent * 10.0;
    if !(least..=100.0).contains(&percent) || (tenths - tenths.round()).abs() > 1e-6 {
        return Err(invalid_parameter(format!("{member} must be a multiple of 0.1 between {least:.1} and 100.0.")));
    }
    Ok(())
}

fn check_minutes(configuration: &Value, member: &str) -> Result<(), Stop> {
    match number(configuration, member) {
        Some(minutes) if (0..=LONGEST_BAKE).contains(&minutes) => Ok(()),
        Some(_) | None => Err(invalid_parameter(format!("{member} must be between 0 and {LONGEST_BAKE}."))),
    }
}

fn check_alarms(configuration: &Value) -> Result<(), Stop> {
    let alarms = &configuration["alarms"];
    if alarms.is_null() {
        return Ok(());
    }
    // All three are required (botocore ecs model, DeploymentAlarms).
    if !alarms["enable"].is_boolean() || !alarms["rollback"].is_boolean() || !alarms["alarmNames"].is_array() {
        return Err(invalid_parameter("alarms must have alarmNames, enable and rollback."));
    }
    if alarms["enable"] == json!(true) && texts(alarms, "alarmNames").is_empty() {
        return Err(invalid_parameter("alarmNames must not be empty when alarms are enabled."));
    }
    Ok(())
}

/// Refuses success criteria as the botocore ecs model (DeploymentEarlySuccessCriteria) documents them.
fn check_early_success(configuration: &Value, rolling: bool) -> Result<(), Stop> {
    let criteria = &configuration["earlySuccessCriteria"];
    if criteria.is_null() || criteria["enable"] == json!(false) {
        return Ok(());
    }
    if !rolling {
        return Err(invalid_parameter("earlySuccessCriteria is only valid with the ROLLING deployment strategy."));
    }
    let least = number(configuration, "minimumHealthyPercent").unwrap_or(100);
    let percent = number(criteria, "healthyPercent");
    if percent.is_none_or(|percent| !(0..=100).contains(&percent) || percent < least) {
        return Err(invalid_parameter(
            "healthyPercent must be between 0 and 100, and not less than minimumHealthyPercent.",
        ));
    }
    if !matches!(text(criteria, "sourceServiceRevisionCleanup"), Some("BLOCKING" | "DEFERRED")) {
        return Err(invalid_parameter("sourceServiceRevisionCleanup must be BLOCKING or DEFERRED."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percents(configuration: &Value) -> Vec<f64> {
        steps(configuration).iter().map(|step| step.percent).collect()
    }

    fn completed(configuration: Value) -> Result<Value, String> {
        let mut whole = json!({"bakeTimeInMinutes": 0, "minimumHealthyPercent": 100});
        for (name, value) in configuration.as_object().into_iter().flatten() {
            whole[name] = value.clone();
        }
        complete(whole, &json!({"deploymentConfiguration": configuration})).map_err(|stop| format!("{stop:?}"))
    }

    #[test]
    fn a_strategy_has_its_defaults() {
        let canary = completed(json!({"strategy": "CANARY"})).expect("a canary");
        assert_eq!(steps(&canary), [Step { percent: 5.0, bake: 600.0 }, Step { percent: 100.0, bake: 0.0 }]);
        let linear = completed(json!({"strategy": "LINEAR"})).expect("a line");
        assert_eq!(percents(&linear).len(), 10);
        assert_eq!(steps(&linear)[0], Step { percent: 10.0, bake: 360.0 });
        let linear =
            completed(json!({"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 33.3}})).expect("ok");
        assert_eq!(percents(&linear), [33.3, 66.6, 99.9, 100.0]);
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for (configuration, why) in [
            (json!({"strategy": "RED_BLACK"}), "Valid values"),
            (json!({"strategy": "BLUE_GREEN"}), "bakeTimeInMinutes must be specified"),
            (json!({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1441}), "between 0 and 1440"),
            (json!({"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 0.05}}), "multiple of 0.1"),
            (json!({"strategy": "CANARY", "linearConfiguration": {}}), "only valid when"),
            (json!({"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 2.9}}), "between 3.0 and 100.0"),
            (json!({"alarms": {"alarmNames": ["a"], "enable": true}}), "rollback"),
            (
                json!({"strategy": "CANARY", "earlySuccessCriteria": {"enable": true, "healthyPercent": 100}}),
                "only valid with the ROLLING",
            ),
        ] {
            let refusal = completed(configuration.clone()).expect_err("a refusal");
            assert!(refusal.contains(why), "{configuration}: {refusal}");
        }
    }
}
