//! Deployments of ECS services: what ECS says of them, and why their tasks stop.
//!
//! Taken when it happens: stopped tasks vanish after about an hour.

mod cause;
mod registrable;

use std::fmt::Write as _;

use aws_sdk_ecs::Client;
use aws_sdk_ecs::primitives::DateTime;
use aws_sdk_ecs::types::{
    CreatedAt, Deployment, DeploymentController, DeploymentControllerType, DeploymentRolloutState, DesiredStatus,
    Service, ServiceDeployment, ServiceDeploymentBrief, Task,
};
use ecs_core::Result;

use crate::Api;
use crate::error::Answer as _;
pub use cause::Cause;
pub use registrable::{json_of, registrable, without_server_only};

/// How many tasks DescribeTasks takes.
const TASKS: i32 = 100;
/// How many service deployments ListServiceDeployments shows at once.
const DEPLOYMENTS: i32 = 100;

/// The clients of ECS.
pub type Ecs = Api<Client>;

/// Returns the deployment that the service is to have.
pub fn primary(service: &Service) -> Option<&Deployment> {
    service.deployments().iter().find(|deployment| deployment.status() == Some("PRIMARY"))
}

/// Says whether the circuit breaker has given up without anything to go back to: ECS then starts no more tasks.
pub fn is_stalled(service: &Service) -> bool {
    primary(service).is_some_and(|primary| primary.rollout_state() == Some(&DeploymentRolloutState::Failed))
}

/// Returns the controller of a service that ECS does not deploy itself, with what a person can do about it.
pub fn foreign_controller(service: &Service) -> Option<(&str, String)> {
    let controller = service.deployment_controller().map(DeploymentController::r#type)?;
    if *controller == DeploymentControllerType::Ecs {
        return None;
    }
    let (cluster, name) =
        (short(service.cluster_arn().unwrap_or_default()), service.service_name().unwrap_or_default());
    let hint = format!(
        "let ECS deploy it: aws ecs update-service --cluster {cluster} --service {name} --deployment-controller type=ECS"
    );
    Some((controller.as_str(), hint))
}

/// Returns the last part of an ARN, as people say it: `frontend-task:3`.
pub fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Returns the service deployments of a service, in whatever order; with `since`, only those from after that.
///
/// A service that was made a moment ago may be unknown to this call: it has none.
///
/// # Errors
/// Any refusal by ECS.
pub async fn deployments(
    ecs: &Ecs,
    cluster: &str,
    service: &str,
    since: Option<DateTime>,
) -> Result<Vec<ServiceDeploymentBrief>> {
    let since = since.map(|since| CreatedAt::builder().after(since).build());
    let (mut all, mut token) = (Vec::new(), None);
    loop {
        let call = ecs.read.list_service_deployments().cluster(cluster).service(service);
        let call = call.set_created_at(since.clone()).max_results(DEPLOYMENTS).set_next_token(token);
        let Some(reply) = call.send().await.answer_if_found("ecs:ListServiceDeployments")? else { return Ok(all) };
        all.extend(reply.service_deployments.unwrap_or_default());
        token = reply.next_token;
        if token.is_none() {
            return Ok(all);
        }
    }
}

/// Returns a service deployment; none when ECS does not know it, or not yet.
///
/// # Errors
/// Any refusal by ECS.
pub async fn describe(ecs: &Ecs, arn: &str) -> Result<Option<ServiceDeployment>> {
    let reply = ecs.read.describe_service_deployments().service_deployment_arns(arn).send().await;
    let reply = reply.answer_if_found("ecs:DescribeServiceDeployments")?;
    Ok(reply.and_then(|reply| reply.service_deployments).unwrap_or_default().into_iter().next())
}

/// Returns the service's stopped tasks, newest first.
///
/// # Errors
/// Any refusal by ECS.
pub async fn stopped_tasks(ecs: &Ecs, cluster: &str, service: &str) -> Result<Vec<Task>> {
    let call = ecs.read.list_tasks().cluster(cluster).service_name(service);
    let listed = call.desired_status(DesiredStatus::Stopped).max_results(TASKS).send().await;
    let arns = listed.answer_if_found("ecs:ListTasks")?.and_then(|listed| listed.task_arns).unwrap_or_default();
    if arns.is_empty() {
        return Ok(Vec::new());
    }
    let reply = ecs.read.describe_tasks().cluster(cluster).set_tasks(Some(arns)).send().await;
    let mut tasks = reply.answer("ecs:DescribeTasks")?.tasks.unwrap_or_default();
    tasks.sort_by_key(|task| std::cmp::Reverse(task.stopped_at().map(|at| at.as_nanos())));
    Ok(tasks)
}

/// Says what ECS says of a deployment that failed, in one line.
pub fn headline(service: &Service, deployment: Option<&ServiceDeployment>) -> String {
    let rollback = deployment.and_then(|deployment| deployment.rollback()?.reason());
    let status = deployment.and_then(ServiceDeployment::status_reason);
    let rollout = primary(service).and_then(Deployment::rollout_state_reason);
    let reason = rollback.or(status).or(rollout).unwrap_or("ECS gives no reason");
    let reason = reason.trim_end_matches('.');
    let status = deployment.and_then(ServiceDeployment::status).map_or("FAILED", |status| status.as_str());
    let breaker = deployment.and_then(ServiceDeployment::deployment_circuit_breaker);
    match breaker.filter(|breaker| breaker.failure_count() > 0) {
        Some(breaker) => {
            let (failed, threshold) = (breaker.failure_count(), breaker.threshold());
            format!("{status}: {reason} ({failed} tasks failed, the threshold is {threshold})")
        }
        None => format!("{status}: {reason}"),
    }
}

/// Says why a task stopped: the task's reason and those of its containers; empty for one that was replaced in order.
pub fn stopped_because(task: &Task) -> String {
    let reason = task.stopped_reason().unwrap_or_default();
    if reason.is_empty() || reason.starts_with("Scaling activity initiated by") {
        return String::new();
    }
    let mut line = reason.to_owned();
    for container in task.containers() {
        let name = container.name().unwrap_or_default();
        match (container.reason(), container.exit_code()) {
            // Often the task's reason says the same.
            (Some(why), _) if reason.contains(why) => {}
            (Some(why), _) => {
                let _ = write!(line, "; {name}: {why}");
            }
            (None, Some(code)) if code != 0 => {
                let _ = write!(line, "; {name}: exit code {code}");
            }
            (None, _) => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::Container;

    use super::*;

    #[test]
    fn an_exit_code_is_named_and_a_clean_exit_is_not() {
        let task = |code: i32| {
            let container = Container::builder().name("app").exit_code(code).build();
            Task::builder().stopped_reason("Essential container in task exited").containers(container).build()
        };
        assert_eq!(stopped_because(&task(1)), "Essential container in task exited; app: exit code 1");
        assert_eq!(stopped_because(&task(0)), "Essential container in task exited");
    }

    #[test]
    fn a_task_that_was_replaced_in_order_has_no_reason_to_be_told() {
        let task = Task::builder().stopped_reason("Scaling activity initiated by (deployment ecs-svc/1)").build();
        assert_eq!(stopped_because(&task), "");
    }

    #[test]
    fn only_a_failed_primary_is_stalled() {
        use DeploymentRolloutState::{Failed, InProgress};
        let deployment = |status: &str, rollout| Deployment::builder().status(status).rollout_state(rollout).build();
        let service = |all: Vec<Deployment>| Service::builder().set_deployments(Some(all)).build();
        assert!(is_stalled(&service(vec![deployment("PRIMARY", Failed)])));
        // While it rolls back, the failed one is no longer primary.
        assert!(!is_stalled(&service(vec![deployment("PRIMARY", InProgress), deployment("ACTIVE", Failed)])));
    }
}
