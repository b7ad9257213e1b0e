//! Why a deployment failed: ECS's reason, the last events, and what the stopped tasks say. Taken when it happens, for
//! stopped tasks vanish after about an hour.

use std::fmt::Write as _;

use aws_sdk_ecs::types::{Container, DesiredStatus, Service, ServiceDeployment, Task};
use ecs_aws::Answer as _;

use crate::Ecs;
use crate::rollout::primary;

/// How many events are shown.
const EVENTS: usize = 5;
/// How many different reasons of stopped tasks are shown.
const REASONS: usize = 3;
/// How many tasks DescribeTasks takes.
const TASKS: i32 = 100;

/// Why a deployment failed, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// ECS's reason, and a line for each event and each reason of a stopped task
    pub reason: String,
    /// What a person can do
    pub hint: String,
}

impl Evidence {
    /// Puts together what is known.
    pub fn of(service: &Service, deployment: Option<&ServiceDeployment>, tasks: &[Task]) -> Self {
        let mut reason = headline(service, deployment);
        let newest = service.events().iter().take(EVENTS).filter_map(|event| event.message());
        for message in newest.collect::<Vec<_>>().into_iter().rev() {
            let _ = write!(reason, "\n  event: {message}");
        }
        let mut stopped: Vec<(String, Option<&str>)> = Vec::new();
        for task in tasks {
            let line = stopped_because(task);
            if !line.is_empty() && stopped.len() < REASONS && !stopped.iter().any(|(known, _)| *known == line) {
                stopped.push((line, task.containers().iter().find_map(Container::image)));
            }
        }
        for (line, _) in &stopped {
            let _ = write!(reason, "\n  stopped task: {line}");
        }
        Self { reason, hint: hint(&stopped) }
    }
}

/// Returns the service's stopped tasks, newest first; none when they cannot be read: the deployment's failure matters
/// more than that of finding out why.
pub async fn stopped_tasks(ecs: &Ecs, cluster: &str, service: &str) -> Vec<Task> {
    let call = ecs.read.list_tasks().cluster(cluster).service_name(service);
    let listed = call.desired_status(DesiredStatus::Stopped).max_results(TASKS).send().await;
    let arns = listed.answer("ecs:ListTasks").ok().and_then(|listed| listed.task_arns).unwrap_or_default();
    if arns.is_empty() {
        return Vec::new();
    }
    let reply = ecs.read.describe_tasks().cluster(cluster).set_tasks(Some(arns)).send().await;
    let mut tasks = reply.answer("ecs:DescribeTasks").ok().and_then(|reply| reply.tasks).unwrap_or_default();
    tasks.sort_by_key(|task| std::cmp::Reverse(task.stopped_at().map(|at| at.as_nanos())));
    tasks
}

/// Says what ECS says of the deployment, in one line.
fn headline(service: &Service, deployment: Option<&ServiceDeployment>) -> String {
    let rollback = deployment.and_then(|deployment| deployment.rollback()?.reason());
    let status = deployment.and_then(ServiceDeployment::status_reason);
    let rollout = primary(service).and_then(|primary| primary.rollout_state_reason());
    let reason = rollback.or(status).or(rollout).unwrap_or("ECS gives no reason");
    let reason = reason.trim_end_matches('.');
    let status = deployment.and_then(|deployment| deployment.status()).map_or("FAILED", |status| status.as_str());
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
fn stopped_because(task: &Task) -> String {
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

/// Says what a person can do about it. The names are those of
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>.
fn hint(stopped: &[(String, Option<&str>)]) -> String {
    let that_says = |fragment: &str| stopped.iter().find(|(line, _)| line.contains(fragment));
    if let Some((_, image)) = that_says("CannotPullContainer") {
        let image = image.unwrap_or("the image");
        return format!("push {image}, if it is not there yet, and run ecs-svc again");
    }
    if that_says("ResourceInitializationError").is_some() {
        return "the tasks cannot read their secrets or reach AWS: see that the parameters exist, that the execution role may \
                read them, and that the private subnets have a way out; then run ecs-svc again"
            .to_owned();
    }
    if that_says("health checks").is_some() {
        return "the container does not answer its health check: see its log, port, health_path and \
                health_check_grace_period; then run ecs-svc again"
            .to_owned();
    }
    "see the container's log; when it is mended, run ecs-svc again".to_owned()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::{Rollback, ServiceDeploymentCircuitBreaker, ServiceDeploymentStatus, ServiceEvent};

    use super::*;

    fn task(reason: &str, container: Container) -> Task {
        Task::builder().stopped_reason(reason).containers(container).build()
    }

    #[test]
    fn a_rollback_says_why_and_what_to_do() {
        let event = |message: &str| ServiceEvent::builder().message(message).build();
        let service = Service::builder().events(event("new")).events(event("old")).build();
        let breaker = ServiceDeploymentCircuitBreaker::builder().failure_count(3).threshold(3).build();
        let deployment = ServiceDeployment::builder()
            .status(ServiceDeploymentStatus::RollbackSuccessful)
            .status_reason("Service deployment rolled back.")
            .rollback(Rollback::builder().reason("The circuit breaker threshold was exceeded.").build())
            .deployment_circuit_breaker(breaker)
            .build();
        let missing = "CannotPullContainerError: pull image manifest has been retried 1 time(s): not found";
        let container = Container::builder().name("app").image("1.dkr.ecr/app:latest").reason(missing).build();
        let tasks = [
            task("Scaling activity initiated by (deployment ecs-svc/1)", container.clone()),
            task(missing, container.clone()),
            task(missing, container),
        ];
        let evidence = Evidence::of(&service, Some(&deployment), &tasks);
        assert_eq!(
            evidence.reason,
            format!(
                "ROLLBACK_SUCCESSFUL: The circuit breaker threshold was exceeded (3 tasks failed, the threshold is 3)\n  \
                 event: old\n  event: new\n  stopped task: {missing}"
            )
        );
        assert_eq!(evidence.hint, "push 1.dkr.ecr/app:latest, if it is not there yet, and run ecs-svc again");
    }

    #[test]
    fn an_exit_code_is_named_and_a_clean_exit_is_not() {
        let exited = |code: i32| Container::builder().name("app").exit_code(code).build();
        let reason = "Essential container in task exited";
        assert_eq!(stopped_because(&task(reason, exited(1))), "Essential container in task exited; app: exit code 1");
        assert_eq!(stopped_because(&task(reason, exited(0))), reason);
    }

    #[test]
    fn a_deployment_that_is_gone_still_has_a_reason() {
        let evidence = Evidence::of(&Service::builder().build(), None, &[]);
        assert_eq!(evidence.reason, "FAILED: ECS gives no reason");
    }
}
