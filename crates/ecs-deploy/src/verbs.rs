//! What is done with a deployment that exists: wait for it, continue it, abort it, go back from it, say how it is.

use aws_sdk_ecs::types::{
    DeploymentLifecycleHookAction, DeploymentRolloutState, Service, ServiceDeploymentBrief,
    ServiceDeploymentStatus as Status,
};
use ecs_aws::deployment::{Cause, deployments, describe as describe_deployment, primary, short};
use ecs_aws::{Answer as _, present};
use ecs_core::{Error, Kind, Result};
use futures::future::join_all;

use crate::aws::insist;
use crate::command::Until;
use crate::context::Context;
use crate::definition::Definition;
use crate::deploy::{newest, redeploy};
use crate::diagnosis::{Evidence, target_groups};
use crate::follow::{Follow, paused, stop as stop_deployment, words};
use crate::image::{Reference, look_up};
use crate::report::{Revisions, ServiceReport};
use crate::services::find_one;
use crate::strategy;
use crate::target::Target;
use crate::verdict::Verdict;

/// How many ARNs DescribeServiceRevisions takes
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServiceRevisions.html>).
const REVISIONS: usize = 20;

/// One service, and what is to be done with its deployment.
pub struct Act<'a> {
    /// The service
    pub on: Context<'a>,
    /// ARN of the deployment; none: the newest of the service
    pub arn: Option<&'a str>,
}

impl Act<'_> {
    /// Follows the deployment.
    ///
    /// # Errors
    /// There is none; any refusal by ECS.
    pub async fn wait(&self, until: Until, report: &mut ServiceReport) -> Result<()> {
        let arn = self.arn().await?;
        report.deployment_arn = Some(arn.clone());
        self.on.voice.say("following", &format!("following {arn}"));
        self.follow(&arn, until, report).await
    }

    /// Lets a paused deployment go on, and follows it: to the next pause, or to its end.
    ///
    /// # Errors
    /// When it is not paused; any refusal by ECS.
    pub async fn go_on(&self, report: &mut ServiceReport) -> Result<()> {
        let arn = self.arn().await?;
        report.deployment_arn = Some(arn.clone());
        let deployment = describe_deployment(&self.on.aws.ecs, &arn).await?;
        let deployment = deployment.ok_or_else(|| unknown(&arn))?;
        let view = paused(&deployment);
        if view.is_empty() {
            let status = words(deployment.status().map_or("unknown", Status::as_str));
            return Err(Error::other(format!("the deployment waits for nobody: it is {status}"))
                .hint(format!("`ecs-deploy wait {arn}` follows it")));
        }
        self.on.stop.check()?;
        for hook in view {
            let send = async || {
                let call = self.on.aws.ecs.write.continue_service_deployment().service_deployment_arn(&arn);
                let call = call.hook_id(&hook).action(DeploymentLifecycleHookAction::Continue);
                call.send().await.answer("ecs:ContinueServiceDeployment").map(drop)
            };
            match insist(send).await {
                // The answer was lost, or somebody else was faster: the hook says whether it still waits.
                Err(error) if error.kind() == Kind::Transient || error.code() == Some("InvalidParameterException") => {
                    let now = describe_deployment(&self.on.aws.ecs, &arn).await?.ok_or_else(|| unknown(&arn))?;
                    if paused(&now).contains(&hook) {
                        return Err(error.doing("continuing the deployment"));
                    }
                }
                sent => sent.map_err(|error| error.doing("continuing the deployment"))?,
            }
        }
        self.on.voice.say("continued", &format!("continued {arn}"));
        self.follow(&arn, Until::Done, report).await
    }

    /// Stops the deployment, and waits until ECS has gone back: that is a success then.
    ///
    /// # Errors
    /// When nothing is under way; any refusal by ECS.
    pub async fn abort(&self, report: &mut ServiceReport) -> Result<()> {
        let arn = self.arn().await?;
        report.deployment_arn = Some(arn.clone());
        self.stop_and_go_back(&arn, report).await
    }

    /// Goes back: stops what is under way, or deploys what was successful before.
    ///
    /// # Errors
    /// When there is nothing to go back to; any refusal by ECS.
    pub async fn roll_back(&self, to: Option<&str>, report: &mut ServiceReport) -> Result<()> {
        let Target { cluster, service: name, .. } = self.on.target;
        let service = find_one(&self.on.aws.ecs, cluster, name).await?;
        let before = service.task_definition().unwrap_or_default().to_owned();
        report.strategy = Some(strategy::name(service.deployment_configuration()).to_owned());
        report.task_definition = Some(Revisions { before: before.clone(), after: before.clone() });
        let revision = match to {
            Some(to) => self.revision(to, &before),
            None => {
                let mut all = deployments(&self.on.aws.ecs, cluster, name, None).await?;
                all.sort_by_key(|one| std::cmp::Reverse(one.created_at().map(|at| at.as_nanos())));
                match all.first() {
                    Some(last) if is_under_way(last) => {
                        let arn = last.service_deployment_arn().unwrap_or_default().to_owned();
                        report.deployment_arn = Some(arn.clone());
                        return self.stop_and_go_back(&arn, report).await;
                    }
                    Some(last) if went_back(last) => {
                        self.on.voice.say("done", &format!(
                            "nothing to do: ECS has rolled the last deployment back already, and runs {} (--to goes further back)",
                            short(&before)
                        ));
                        report.verdict = Verdict::Unchanged;
                        report.reason = Some("the last deployment was rolled back already".to_owned());
                        return Ok(());
                    }
                    Some(_) | None => self.last_successful(&all, &before).await?,
                }
            }
        };
        let status = self.on.aws.ecs.read.describe_task_definition().task_definition(&revision).send().await;
        let found = status
            .answer("ecs:DescribeTaskDefinition")
            .map_err(|error| error.doing(format!("looking for the revision {}", short(&revision))))?;
        let found = present(found.task_definition, "ecs:DescribeTaskDefinition", "the task definition")?;
        if found.status() != Some(&aws_sdk_ecs::types::TaskDefinitionStatus::Active) {
            return Err(Error::other(format!(
                "the revision {} has been deregistered: ECS does not run it any more",
                short(&revision)
            ))
            .hint("name another one with --to, or deploy its image again with --image"));
        }
        let revision = found.task_definition_arn().unwrap_or(&revision).to_owned();
        if revision == before {
            self.on.voice.say("done", &format!("nothing to do: the service runs {} already", short(&before)));
            report.verdict = Verdict::Unchanged;
            return Ok(());
        }
        let problems = self.missing_images(&Definition::of(&found)?).await;
        if !problems.is_empty() {
            report.problems.clone_from(&problems);
            let all = problems.into_iter().map(Error::other);
            let error = Error::join(all).unwrap_or_else(|| Error::other("the revision cannot run"));
            return Err(error.hint("name another revision with --to, or push that image again"));
        }
        self.deploy(&service, &revision, report).await
    }

    /// Looks whether the images of a revision are still there: registries clean up behind us.
    async fn missing_images(&self, definition: &Definition) -> Vec<String> {
        let images = definition.containers().filter_map(|container| container["image"].as_str());
        let looks = images.map(async |image| {
            let reference = Reference::parse(image);
            let repository = reference.ecr()?;
            match look_up(&self.on.aws.session, &self.on.aws.region, &repository, &reference).await {
                Err(error) if error.kind() == Kind::NotFound => {
                    Some(format!("the image {image} of {} is not there any more", definition.family()))
                }
                // What may not be looked at may be there.
                Ok(_) | Err(_) => None,
            }
        });
        join_all(looks).await.into_iter().flatten().collect()
    }

    /// Says how the service is, and if it is not well, why.
    ///
    /// # Errors
    /// Any refusal by ECS.
    pub async fn status(&self, report: &mut ServiceReport) -> Result<()> {
        let Target { cluster, service: name, .. } = self.on.target;
        let service = find_one(&self.on.aws.ecs, cluster, name).await?;
        let running = service.task_definition().unwrap_or_default().to_owned();
        report.strategy = Some(strategy::name(service.deployment_configuration()).to_owned());
        report.task_definition = Some(Revisions { before: running.clone(), after: running.clone() });
        report.deployment_arn = newest(self.on, &service).await?;
        let deployment = match &report.deployment_arn {
            Some(arn) => describe_deployment(&self.on.aws.ecs, arn).await?,
            None => None,
        };
        // What an earlier deployment suffered from says nothing of how the service is now.
        let since = deployment.as_ref().and_then(|deployment| deployment.created_at()).copied();
        let mut evidence = Evidence::since(since);
        evidence.take_events(&service);
        let tasks = evidence.take_tasks(self.on.aws, cluster, name).await;
        evidence.keep_tasks_of(&running);
        let targets = evidence.take_targets(self.on.aws, &target_groups(&service)).await;
        for (what, failed) in [("stopped tasks", tasks.err()), ("targets", targets.err())] {
            if let Some(error) = failed {
                self.on.voice.warn(&format!("{what} cannot be read: {}", error.message()));
            }
        }
        let (running_count, desired) = (service.running_count(), service.desired_count());
        let rollout = primary(&service).and_then(|primary| primary.rollout_state()).cloned();
        let short_of = running_count < desired;
        let ill = evidence.is_ill(&running);
        let failed = rollout == Some(DeploymentRolloutState::Failed);
        let state = match &deployment {
            Some(deployment) => words(deployment.status().map_or("unknown", Status::as_str)),
            None => "none".to_owned(),
        };
        self.on.voice.say(
            "status",
            &format!("{}: {running_count} of {desired} tasks running, last deployment {state}", short(&running)),
        );
        if !short_of && !ill && !failed {
            report.verdict = Verdict::Healthy;
            return Ok(());
        }
        let warn = |line: String| self.on.voice.warn(&line);
        let diagnosis = evidence.conclude(self.on.aws, &service, deployment.as_ref(), warn).await;
        report.verdict = Verdict::Unhealthy;
        report.reason = Some(if short_of {
            format!("{running_count} of {desired} tasks are running")
        } else if failed {
            "the last deployment has failed".to_owned()
        } else {
            "not all targets are healthy: the load balancer answers with 502, 503 or 504 for them".to_owned()
        });
        if diagnosis.cause == Cause::Unknown && rollout == Some(DeploymentRolloutState::InProgress) {
            // Nothing has gone wrong: it is simply not there yet.
            report.reason = Some("a deployment is under way".to_owned());
        }
        report.diagnosis = Some(diagnosis);
        Ok(())
    }

    async fn arn(&self) -> Result<String> {
        if let Some(arn) = self.arn {
            return Ok(arn.to_owned());
        }
        let Target { cluster, service: name, .. } = self.on.target;
        let service = find_one(&self.on.aws.ecs, cluster, name).await?;
        newest(self.on, &service).await?.ok_or_else(|| {
            Error::new(Kind::NotFound, format!("ECS knows no deployment of the service {name}"))
                .hint("it keeps them for 90 days")
        })
    }

    async fn follow(&self, arn: &str, until: Until, report: &mut ServiceReport) -> Result<()> {
        Follow { on: self.on, arn, until, fail_fast: false }.to_its_end(report).await
    }

    async fn stop_and_go_back(&self, arn: &str, report: &mut ServiceReport) -> Result<()> {
        self.on.stop.check()?;
        match stop_deployment(self.on.aws, arn).await {
            Ok(()) => self.on.voice.say("stopping", &format!("stopping {arn}, going back")),
            // At its end, or being stopped already: what it comes to is the answer.
            Err(error) if error.code() == Some("ConflictException") || error.kind() == Kind::Transient => {
                let now = describe_deployment(&self.on.aws.ecs, arn).await?.ok_or_else(|| unknown(arn))?;
                if now.status() == Some(&Status::Successful) {
                    return Err(Error::other("the deployment has succeeded already: there is nothing to stop")
                        .hint("`ecs-deploy rollback` goes back to the version before"));
                }
                if error.kind() == Kind::Transient {
                    stop_deployment(self.on.aws, arn).await.map_err(|error| error.doing("stopping the deployment"))?;
                }
            }
            Err(error) => return Err(error.doing("stopping the deployment")),
        }
        self.follow(arn, Until::Done, report).await?;
        if report.verdict == Verdict::RolledBack {
            // That is what was asked for.
            report.own_exit_code = Some(0);
            report.diagnosis = None;
        }
        Ok(())
    }

    /// Deploys an older revision.
    async fn deploy(&self, service: &Service, revision: &str, report: &mut ServiceReport) -> Result<()> {
        self.on.stop.check()?;
        self.on.voice.say("deploying", &format!("going back to {}", short(revision)));
        let arn = redeploy(self.on, service, revision).await?;
        if let Some(revisions) = &mut report.task_definition {
            revision.clone_into(&mut revisions.after);
        }
        report.deployment_arn = Some(arn.clone());
        self.follow(&arn, Until::Done, report).await
    }

    /// Makes the name of a revision: a number alone is one of the family that runs.
    fn revision(&self, to: &str, running: &str) -> String {
        if to.chars().all(|c| c.is_ascii_digit()) {
            let family = short(running).split(':').next().unwrap_or_default();
            return format!("{family}:{to}");
        }
        to.to_owned()
    }

    /// Returns the task definition of the last successful deployment before the first one of what runs now.
    ///
    /// Never "the number before": that one may be the very one that failed. And never a later one: after a rollback,
    /// another one goes further back, not forward again to what was left.
    async fn last_successful(&self, newest_first: &[ServiceDeploymentBrief], running: &str) -> Result<String> {
        let successful = newest_first.iter().filter(|one| one.status() == Some(&Status::Successful));
        let revisions: Vec<String> =
            successful.filter_map(|one| one.target_service_revision_arn().map(str::to_owned)).collect();
        let mut definitions = Vec::new();
        for revisions in revisions.chunks(REVISIONS) {
            let call = self.on.aws.ecs.read.describe_service_revisions();
            let reply = call.set_service_revision_arns(Some(revisions.to_vec())).send().await;
            let reply = reply.answer("ecs:DescribeServiceRevisions")?;
            let of = |arn: &String| {
                let mut all = reply.service_revisions().iter();
                all.find(|one| one.service_revision_arn() == Some(arn))?.task_definition().map(str::to_owned)
            };
            definitions.extend(revisions.iter().filter_map(of));
        }
        if let Some(found) = before(&definitions, running) {
            return Ok(found.to_owned());
        }
        Err(Error::other(format!(
            "no successful deployment before {} is known: there is nothing to go back to",
            short(running)
        ))
        .hint("ECS keeps deployments for 90 days; name a revision with --to"))
    }
}

/// Returns what ran before the first time of what runs now; of task definitions, newest first.
fn before<'d>(newest_first: &'d [String], running: &str) -> Option<&'d str> {
    let first = newest_first.iter().rposition(|definition| definition == running).map_or(0, |first| first + 1);
    newest_first.get(first..)?.iter().map(String::as_str).find(|definition| *definition != running)
}

fn unknown(arn: &str) -> Error {
    Error::new(Kind::NotFound, format!("ECS knows no service deployment {arn}"))
}

fn is_under_way(deployment: &ServiceDeploymentBrief) -> bool {
    matches!(
        deployment.status(),
        Some(
            Status::Pending
                | Status::InProgress
                | Status::StopRequested
                | Status::RollbackRequested
                | Status::RollbackInProgress
        )
    )
}

fn went_back(deployment: &ServiceDeploymentBrief) -> bool {
    deployment.status() == Some(&Status::RollbackSuccessful)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_rollback_goes_further_back() {
        let of = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let cases: [(&[&str], &str, Option<&str>); 6] = [
            (&["3", "2", "1"], "3", Some("2")),
            // Gone back to 2 by a rollback: 3 is what was left.
            (&["2", "3", "2", "1"], "2", Some("1")),
            (&["1", "2", "1"], "1", None),
            // Deployed again with --force.
            (&["2", "2", "1"], "2", Some("1")),
            // Not known any more, or put there by another way.
            (&["2", "1"], "9", Some("2")),
            (&[], "1", None),
        ];
        for (newest_first, running, wanted) in cases {
            assert_eq!(before(&of(newest_first), running), wanted, "{newest_first:?} {running}");
        }
    }

    #[test]
    fn only_what_has_not_ended_is_under_way() {
        let brief = |status: Status| ServiceDeploymentBrief::builder().status(status).build();
        for status in [Status::Pending, Status::InProgress, Status::RollbackInProgress] {
            assert!(is_under_way(&brief(status.clone())), "{status}");
        }
        for status in [Status::Successful, Status::Stopped, Status::RollbackSuccessful, Status::RollbackFailed] {
            assert!(!is_under_way(&brief(status.clone())), "{status}");
        }
    }
}
