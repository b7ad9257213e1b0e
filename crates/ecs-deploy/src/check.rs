//! What is looked at before anything is changed: everything that is wrong is said at once.
//!
//! Where the caller may not look, that is no problem of the deployment's: it is said with `-v`, and nothing else.

use std::collections::BTreeSet;

use aws_sdk_cloudwatch::types::StateValue;
use aws_sdk_ecs::types::{DeploymentConfiguration, Service};
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};
use aws_sdk_ssm::types::ParameterStringFilter;
use ecs_aws::deployment::short;
use ecs_aws::{Answer as _, Caller};
use ecs_core::stack::fargate;
use ecs_core::{Error, Kind, Result};
use futures::future::join_all;
use futures::join;

use crate::aws::Aws;
use crate::command::Change;
use crate::definition::Definition;
use crate::strategy;
use crate::voice::Voice;

/// How many names a filter of DescribeParameters takes
/// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html>).
const NAMES: usize = 50;
/// Who runs tasks: the principal in the trust policy of their roles.
const TASKS: &str = "ecs-tasks.amazonaws.com";

/// What a deployment would be.
pub struct Plan<'p> {
    /// The service
    pub service: &'p Service,
    /// What its tasks are to be
    pub definition: &'p Definition,
    /// How they are to be deployed
    pub configuration: &'p DeploymentConfiguration,
    /// Whose the credentials are
    pub caller: &'p Caller,
}

/// Looks at everything that a deployment needs; returns what is wrong, one entry each.
///
/// # Errors
/// Credentials that are refused; a call that does not get through.
pub async fn all(aws: &Aws, voice: &Voice, plan: &Plan<'_>, change: &Change) -> Result<Vec<String>> {
    let (parameters, secrets, roles, passes, alarms) = join!(
        parameters(aws, plan.definition),
        secrets(aws, plan.definition),
        roles(aws, plan.definition),
        passes(aws, plan.definition, plan.caller),
        alarms(aws, plan.configuration, change.ignore_alarms),
    );
    let mut problems = size(plan.definition);
    problems.extend(strategy::problems(plan.service, plan.configuration));
    for found in [parameters, secrets, roles, passes, alarms] {
        match found {
            Ok(found) => problems.extend(found),
            Err(error) if may_not_look(&error) => {
                voice.detail("skipped", &format!("not checked, for the caller may not look: {}", error.render()));
            }
            Err(error) => return Err(error.doing("checking what the deployment needs")),
        }
    }
    Ok(problems)
}

/// Says whether a check failed only for want of permission.
pub fn may_not_look(error: &Error) -> bool {
    error.kind() == Kind::Other
        && error.code().is_some_and(|code| code.contains("AccessDenied") || code == "InvalidInput")
}

/// Checks that Fargate has the size.
fn size(definition: &Definition) -> Vec<String> {
    match definition.size().filter(|_| definition.is_fargate()) {
        Some((cpu, memory)) if !fargate::is_offered(cpu, memory) => {
            let (near_cpu, near_memory) = fargate::nearest(cpu, memory);
            vec![format!(
                "Fargate has no size of {cpu} CPU units with {memory} MiB; the nearest is {near_cpu} with {near_memory} MiB"
            )]
        }
        Some(_) | None => Vec::new(),
    }
}

/// Checks that the parameters exist, without reading any value.
async fn parameters(aws: &Aws, definition: &Definition) -> Result<Vec<String>> {
    let wanted: Vec<(String, &str)> = definition
        .secrets()
        .into_iter()
        .filter_map(|(source, variable)| Some((parameter_name(source, &aws.region)?, variable)))
        .collect();
    let names: BTreeSet<&String> = wanted.iter().map(|(name, _)| name).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let mut found = BTreeSet::new();
    for names in names.chunks(NAMES) {
        let filter = ParameterStringFilter::builder().key("Name").option("Equals").set_values(Some(names.to_vec()));
        let filter = filter.build().map_err(|error| Error::other(format!("a request cannot be built: {error}")))?;
        let pages = aws.ssm.read.describe_parameters().parameter_filters(filter).into_paginator().send();
        let pages = pages.collect::<Result<Vec<_>, _>>().await.answer("ssm:DescribeParameters")?;
        let all = pages.into_iter().flat_map(|page| page.parameters.unwrap_or_default());
        found.extend(all.filter_map(|parameter| parameter.name));
    }
    let missing = wanted.iter().filter(|(name, _)| !found.contains(name));
    Ok(missing.map(|(name, variable)| format!("the parameter {name}, for {variable}, does not exist")).collect())
}

/// Checks that the secrets exist, without reading any value.
async fn secrets(aws: &Aws, definition: &Definition) -> Result<Vec<String>> {
    let sources = definition.secrets();
    let wanted: BTreeSet<(String, &str)> =
        sources.iter().filter_map(|(source, variable)| Some((secret_arn(source, &aws.region)?, *variable))).collect();
    let looks = wanted.into_iter().map(async |(arn, variable)| {
        let reply = aws.secrets.read.describe_secret().secret_id(&arn).send().await;
        let found = reply.answer_if_found("secretsmanager:DescribeSecret")?;
        let name = arn.rsplit(':').next().unwrap_or(&arn).to_owned();
        Ok(match found {
            Some(secret) if secret.deleted_date().is_some() => {
                Some(format!("the secret {name}, for {variable}, is being deleted"))
            }
            Some(_) => None,
            None => Some(format!("the secret {name}, for {variable}, does not exist")),
        })
    });
    let found: Result<Vec<Option<String>>> = join_all(looks).await.into_iter().collect();
    Ok(found?.into_iter().flatten().collect())
}

/// Checks that the roles exist and that ECS may take them on.
async fn roles(aws: &Aws, definition: &Definition) -> Result<Vec<String>> {
    let looks = role_arns(definition).into_iter().map(async |arn| {
        let name = short(&arn);
        let reply = aws.iam.read.get_role().role_name(name).send().await.answer_if_found("iam:GetRole")?;
        Ok(match reply.and_then(|reply| reply.role) {
            // Percent-encoding leaves the principal's name as it is.
            Some(role) if role.assume_role_policy_document().is_some_and(|trust| !trust.contains(TASKS)) => {
                Some(format!("the role {name} does not trust {TASKS}: ECS cannot take it on"))
            }
            Some(_) => None,
            None => Some(format!("the role {name} does not exist")),
        })
    });
    let found: Result<Vec<Option<String>>> = join_all(looks).await.into_iter().collect();
    Ok(found?.into_iter().flatten().collect())
}

/// Checks that the caller may hand the roles on to ECS, by IAM's own simulation.
async fn passes(aws: &Aws, definition: &Definition, caller: &Caller) -> Result<Vec<String>> {
    let arns = role_arns(definition);
    let Some(source) = principal(&caller.arn).filter(|_| !arns.is_empty()) else { return Ok(Vec::new()) };
    let service = ContextEntry::builder().context_key_name("iam:PassedToService").context_key_values(TASKS);
    let service = service.context_key_type(ContextKeyTypeEnum::String).build();
    let call = aws.iam.read.simulate_principal_policy().policy_source_arn(source).action_names("iam:PassRole");
    let call = call.set_resource_arns(Some(arns.into_iter().collect())).context_entries(service);
    // A role with a path is not found under the name that its session shows.
    let Some(reply) = call.send().await.answer_if_found("iam:SimulatePrincipalPolicy")? else { return Ok(Vec::new()) };
    let mut denied = BTreeSet::new();
    for result in reply.evaluation_results() {
        let each = result.resource_specific_results();
        let refused = each.iter().filter(|one| one.eval_resource_decision() != &PolicyEvaluationDecisionType::Allowed);
        denied.extend(refused.map(|one| one.eval_resource_name().to_owned()));
        if each.is_empty() && result.eval_decision() != &PolicyEvaluationDecisionType::Allowed {
            denied.extend(result.eval_resource_name().map(str::to_owned));
        }
    }
    Ok(denied.iter().map(|arn| format!("you may not pass the role {} to ECS (iam:PassRole)", short(arn))).collect())
}

/// Checks that the alarms that are to roll the deployment back exist, and that none is ringing already: ECS then ignores
/// all of them for this deployment
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html>).
async fn alarms(aws: &Aws, configuration: &DeploymentConfiguration, ignored: bool) -> Result<Vec<String>> {
    let Some(alarms) = configuration.alarms().filter(|alarms| alarms.enable() && !alarms.alarm_names().is_empty())
    else {
        return Ok(Vec::new());
    };
    let names = alarms.alarm_names().to_vec();
    let kinds =
        [aws_sdk_cloudwatch::types::AlarmType::MetricAlarm, aws_sdk_cloudwatch::types::AlarmType::CompositeAlarm];
    let call = aws.cloudwatch.read.describe_alarms().set_alarm_names(Some(names.clone()));
    let reply = call.set_alarm_types(Some(kinds.to_vec())).send().await.answer("cloudwatch:DescribeAlarms")?;
    let metric = reply.metric_alarms().iter().map(|alarm| (alarm.alarm_name(), alarm.state_value()));
    let composite = reply.composite_alarms().iter().map(|alarm| (alarm.alarm_name(), alarm.state_value()));
    let found: Vec<(&str, Option<&StateValue>)> =
        metric.chain(composite).filter_map(|(name, state)| Some((name?, state))).collect();
    let problem = |name: &String| match found.iter().find(|(known, _)| known == name) {
        None => Some(format!("the alarm {name} does not exist")),
        Some((_, Some(StateValue::Alarm))) if !ignored => Some(format!(
            "the alarm {name} is ringing already, and ECS would ignore all alarms of this deployment: wait until it is over, or deploy \
             without their protection with --ignore-alarms"
        )),
        Some(_) => None,
    };
    Ok(names.iter().filter_map(problem).collect())
}

fn role_arns(definition: &Definition) -> BTreeSet<String> {
    [definition.execution_role(), definition.task_role()].into_iter().flatten().map(str::to_owned).collect()
}

/// Returns the name of a parameter of this region, if a secret's source is one: a name, or an ARN
/// (`arn:aws:ssm:REGION:ACCOUNT:parameter/a/b` is `/a/b`, `…:parameter/c` is `c`).
fn parameter_name(source: &str, region: &str) -> Option<String> {
    if !source.starts_with("arn:") {
        return Some(source.to_owned());
    }
    let parts: Vec<&str> = source.splitn(6, ':').collect();
    match parts[..] {
        [_, _, "ssm", here, _, resource] if here == region => {
            let name = resource.strip_prefix("parameter/")?;
            Some(if name.contains('/') { format!("/{name}") } else { name.to_owned() })
        }
        _ => None,
    }
}

/// Returns the ARN of a secret of this region, if a secret's source is one, without key, stage and version
/// (`ARN:key:stage:version`, <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html>).
fn secret_arn(source: &str, region: &str) -> Option<String> {
    let parts: Vec<&str> = source.split(':').collect();
    match parts[..] {
        [_, _, "secretsmanager", here, _, "secret", _, ..] if here == region => Some(parts[..7].join(":")),
        _ => None,
    }
}

/// Returns whom IAM can simulate: a user, or the role behind a session; not the account's root.
fn principal(arn: &str) -> Option<String> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    match parts[..] {
        [prefix, partition, "sts", _, account, resource] => {
            let role = resource.strip_prefix("assumed-role/")?.split('/').next()?;
            Some(format!("{prefix}:{partition}:iam::{account}:role/{role}"))
        }
        [_, _, "iam", _, _, resource] if resource != "root" => Some(arn.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_parameters_or_secrets_of_this_region() {
        let here = "us-east-1";
        let parameter = |source| parameter_name(source, here);
        assert_eq!(parameter("/ecs/a").as_deref(), Some("/ecs/a"));
        assert_eq!(parameter("arn:aws:ssm:us-east-1:1:parameter/ecs/a").as_deref(), Some("/ecs/a"));
        assert_eq!(parameter("arn:aws:ssm:us-east-1:1:parameter/plain").as_deref(), Some("plain"));
        assert_eq!(parameter("arn:aws:ssm:eu-west-1:1:parameter/ecs/a"), None);
        let secret = "arn:aws:secretsmanager:us-east-1:1:secret:db-AbCdEf";
        assert_eq!(parameter(secret), None);
        assert_eq!(secret_arn(&format!("{secret}:password::"), here).as_deref(), Some(secret));
        assert_eq!(secret_arn(secret, "eu-west-1"), None);
    }

    #[test]
    fn a_session_is_simulated_as_its_role() {
        let cases = [
            ("arn:aws:sts::1:assumed-role/deploy/ci", Some("arn:aws:iam::1:role/deploy")),
            ("arn:aws:iam::1:user/ci", Some("arn:aws:iam::1:user/ci")),
            ("arn:aws:iam::1:root", None),
            ("", None),
        ];
        for (arn, wanted) in cases {
            assert_eq!(principal(arn).as_deref(), wanted, "{arn}");
        }
    }
}
