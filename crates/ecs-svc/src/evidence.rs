//! Why a deployment failed, as ecs-svc says it: ECS's reason, the last events, and what the stopped tasks say.

use std::fmt::Write as _;

use aws_sdk_ecs::types::{Container, Service, ServiceDeployment, Task};
use ecs_aws::deployment::{Cause, headline, stopped_because};

/// How many events are shown.
const EVENTS: usize = 5;
/// How many different reasons of stopped tasks are shown.
const REASONS: usize = 3;

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

/// Says what a person can do about it.
fn hint(stopped: &[(String, Option<&str>)]) -> String {
    let causes = stopped.iter().map(|(line, image)| (Cause::of_text(line), image));
    match causes.into_iter().find(|(cause, _)| *cause != Cause::Unknown) {
        Some((Cause::ImageNotFound, image)) => {
            let image = image.unwrap_or("the image");
            format!("push {image}, if it is not there yet, and run ecs-svc again")
        }
        Some((cause, _)) => format!("{}; then run ecs-svc again", cause.hint()),
        None => "see the container's log; when it is mended, run ecs-svc again".to_owned(),
    }
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
    fn a_deployment_that_is_gone_still_has_a_reason() {
        let evidence = Evidence::of(&Service::builder().build(), None, &[]);
        assert_eq!(evidence.reason, "FAILED: ECS gives no reason");
    }
}
