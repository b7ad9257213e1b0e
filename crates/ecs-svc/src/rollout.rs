//! Following a service's deployment to its end.
//!
//! The SDK's waiter `services-stable` calls a rollback a success and returns early after a forced deployment
//! (<https://github.com/aws/aws-cli/issues/9275>), and a deployment that was rolled back may have the same task
//! definition as one that was not. So it is the *service deployment* that is followed, by its ARN.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use aws_sdk_ecs::primitives::DateTime;
use aws_sdk_ecs::types::{
    Deployment, DeploymentRolloutState, Service, ServiceDeployment, ServiceDeploymentBrief,
    ServiceDeploymentStatus as Status,
};
use ecs_aws::deployment::{deployments, describe, is_stalled, primary, stopped_tasks};
use ecs_core::console::Console;
use ecs_core::{Health, Result};

use crate::evidence::Evidence;
use crate::{Ecs, ecs};

/// Seconds by which a service deployment may be older than the deployment that it is about.
const EARLIER: i64 = 10;

/// How far a service is on its way to a steady state.
#[derive(Debug, Clone)]
pub enum Rollout {
    /// Its deployment has succeeded and all its tasks run
    Steady,
    /// Still under way: how far
    Going(String),
    /// Its deployment has failed
    Failed(Evidence),
}

impl Rollout {
    /// Says whether the service can be used.
    pub fn health(&self) -> Health {
        match self {
            Rollout::Steady => Health::Ready,
            Rollout::Going(state) => Health::Pending(state.clone()),
            Rollout::Failed(evidence) => Health::Failed(evidence.reason.clone()),
        }
    }
}

/// Follows the deployments of one service.
#[derive(Debug)]
pub struct Follower {
    cluster: String,
    service: String,
    console: Console,
    /// Whether this run has asked for a deployment, and so only that one's success counts
    asked: Cell<bool>,
    /// Whether somebody waits; a first look at a service makes no call for its deployments
    waiting: Cell<bool>,
    /// Deployments from before this are not the one
    since: Cell<Option<DateTime>>,
    followed: RefCell<Option<String>>,
    /// Ids of the events that were there before, or were said
    seen: RefCell<Option<HashSet<String>>>,
}

/// What a service deployment has come to.
struct Course {
    arn: String,
    status: Status,
}

impl Follower {
    /// Follows nothing yet.
    pub fn new(cluster: &str, service: &str, console: &Console) -> Self {
        Self {
            cluster: cluster.to_owned(),
            service: service.to_owned(),
            console: console.clone(),
            asked: Cell::new(false),
            waiting: Cell::new(false),
            since: Cell::new(None),
            followed: RefCell::default(),
            seen: RefCell::default(),
        }
    }

    /// Says whether this run has asked for a deployment.
    pub fn asked(&self) -> bool {
        self.asked.get()
    }

    /// Tells that somebody waits from now on.
    pub fn wait(&self) {
        self.waiting.set(true);
    }

    /// Takes in ECS's answer to a call that may have started a deployment, with the service as it was before.
    pub fn answered(&self, before: Option<&Service>, after: &Service) {
        let id = |service: &Service| primary(service).and_then(Deployment::id).map(str::to_owned);
        if before.is_some_and(|before| id(before) == id(after)) {
            return;
        }
        self.asked.set(true);
        self.followed.replace(None);
        let created = primary(after).and_then(Deployment::created_at).or(after.created_at());
        let earlier = |at: &DateTime| DateTime::from_secs(at.secs() - EARLIER);
        self.since.set(created.map(earlier));
        self.tell(after);
    }

    /// Says how far the service is.
    pub async fn look(&self, ecs: &Ecs, service: &Service) -> Result<Rollout> {
        self.tell(service);
        let steady = is_steady(service);
        if steady && !self.asked.get() {
            return Ok(Rollout::Steady);
        }
        if !self.waiting.get() {
            return Ok(Rollout::Going(progress(service)));
        }
        let followed = self.followed.borrow().clone();
        let course = match followed {
            Some(arn) => describe(ecs, &arn).await?.map(|deployment| course(&deployment)),
            None => self.newest(ecs).await?.map(|deployment| brief_course(&deployment)),
        };
        let Some(Course { arn, status }) = course else {
            // Not listed yet, or too old to be listed.
            return if is_stalled(service) {
                self.failed(ecs, service, None).await
            } else {
                Ok(Rollout::Going(progress(service)))
            };
        };
        self.followed.replace(Some(arn.clone()));
        match status {
            Status::Successful if steady => {
                self.asked.set(false);
                Ok(Rollout::Steady)
            }
            Status::Successful => {
                // Tasks are being replaced or added, or a newer deployment is about to be listed.
                self.followed.replace(None);
                Ok(Rollout::Going(progress(service)))
            }
            Status::RollbackSuccessful | Status::RollbackFailed => self.failed(ecs, service, Some(&arn)).await,
            Status::Stopped => match self.newest(ecs).await? {
                Some(newer) if newer.service_deployment_arn() != Some(&arn) => {
                    self.followed.replace(newer.service_deployment_arn);
                    Ok(Rollout::Going("followed by a newer deployment".to_owned()))
                }
                _ => self.failed(ecs, service, Some(&arn)).await,
            },
            Status::RollbackRequested | Status::RollbackInProgress => Ok(Rollout::Going("rolling back".to_owned())),
            // With nothing to go back to, ECS starts no more tasks and ends nothing by itself.
            Status::Pending | Status::InProgress if is_stalled(service) => self.failed(ecs, service, Some(&arn)).await,
            Status::Pending | Status::InProgress => Ok(Rollout::Going(progress(service))),
            // And what ECS has since learnt.
            ref other @ (Status::StopRequested | _) => Ok(Rollout::Going(other.as_str().to_owned())),
        }
    }

    /// Returns the newest service deployment that can be the one; ECS promises no order.
    async fn newest(&self, ecs: &Ecs) -> Result<Option<ServiceDeploymentBrief>> {
        let all = deployments(ecs, &self.cluster, &self.service, self.since.get()).await?;
        Ok(all.into_iter().max_by_key(|deployment| deployment.created_at().map(|at| at.as_nanos())))
    }

    async fn failed(&self, ecs: &Ecs, service: &Service, arn: Option<&str>) -> Result<Rollout> {
        let deployment = match arn {
            Some(arn) => describe(ecs, arn).await?,
            None => None,
        };
        // The deployment's failure matters more than that of finding out why.
        let tasks = stopped_tasks(ecs, &self.cluster, &self.service).await.unwrap_or_default();
        Ok(Rollout::Failed(Evidence::of(service, deployment.as_ref(), &tasks)))
    }

    /// Says each event that is new since somebody began to wait, oldest first.
    fn tell(&self, service: &Service) {
        let mut seen = self.seen.borrow_mut();
        let first = seen.is_none();
        let seen = seen.get_or_insert_default();
        for event in service.events().iter().rev() {
            let new = event.id().is_some_and(|id| seen.insert(id.to_owned()));
            if let (true, false, Some(message)) = (new, first, event.message()) {
                self.console.say("event", message);
            }
        }
    }
}

/// Says whether only one deployment is left, is complete, and has all its tasks.
///
/// Services whose last deployment is older than `rolloutState` (2020) have none.
fn is_steady(service: &Service) -> bool {
    match service.deployments() {
        [only] => {
            let complete = matches!(only.rollout_state(), None | Some(DeploymentRolloutState::Completed));
            complete && service.running_count() >= service.desired_count()
        }
        _ => false,
    }
}

fn progress(service: &Service) -> String {
    let primary = primary(service);
    let running = primary.map_or(service.running_count(), Deployment::running_count);
    let failed = primary.map_or(0, Deployment::failed_tasks);
    let line = format!("deploying, {running} of {} tasks running", service.desired_count());
    if failed > 0 { format!("{line}, {failed} failed") } else { line }
}

fn course(deployment: &ServiceDeployment) -> Course {
    let arn = deployment.service_deployment_arn().unwrap_or_default().to_owned();
    Course { arn, status: deployment.status().cloned().unwrap_or(Status::Pending) }
}

fn brief_course(deployment: &ServiceDeploymentBrief) -> Course {
    let arn = deployment.service_deployment_arn().unwrap_or_default().to_owned();
    Course { arn, status: deployment.status().cloned().unwrap_or(Status::Pending) }
}

/// Returns the name of the revision that a service runs, as people say it: `frontend-task:3`.
pub fn runs(service: &Service) -> &str {
    ecs::short(service.task_definition().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(status: &str, rollout: Option<DeploymentRolloutState>) -> Deployment {
        Deployment::builder().id(format!("ecs-svc/{status}")).status(status).set_rollout_state(rollout).build()
    }

    fn service(running: i32, deployments: Vec<Deployment>) -> Service {
        Service::builder().desired_count(2).running_count(running).set_deployments(Some(deployments)).build()
    }

    #[test]
    fn steady_is_one_complete_deployment_with_all_its_tasks() {
        use DeploymentRolloutState::{Completed, Failed, InProgress};
        let cases = [
            (2, vec![deployment("PRIMARY", Some(Completed))], true),
            // Rebalancing between the zones starts before it stops.
            (3, vec![deployment("PRIMARY", Some(Completed))], true),
            (2, vec![deployment("PRIMARY", None)], true),
            (1, vec![deployment("PRIMARY", Some(Completed))], false),
            (2, vec![deployment("PRIMARY", Some(InProgress))], false),
            (2, vec![deployment("PRIMARY", Some(Failed))], false),
            (2, vec![deployment("PRIMARY", Some(Completed)), deployment("ACTIVE", Some(Completed))], false),
            (2, vec![], false),
        ];
        for (index, (running, deployments, steady)) in cases.into_iter().enumerate() {
            assert_eq!(is_steady(&service(running, deployments)), steady, "case {index}");
        }
    }
}
