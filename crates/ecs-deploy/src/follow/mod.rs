//! Follows one service deployment, by its ARN, to its end.
//!
//! Never by its task definition: a deployment that was rolled back may have the same one as another that was not
//! (<https://github.com/aws-actions/amazon-ecs-deploy-task-definition/issues/191>).

mod view;

use std::time::Duration;

use aws_sdk_ecs::types::{DeploymentConfiguration, Service, ServiceDeployment, StopServiceDeploymentStopType};
use ecs_aws::Answer as _;
use ecs_aws::deployment::{deployments, describe, headline, is_stalled};
use ecs_core::console::human;
use ecs_core::{Error, Kind, Result};
use tokio::time::Instant;

use crate::aws::{Aws, insist};
use crate::command::Until;
use crate::context::Context;
use crate::diagnosis::{Diagnosis, Evidence, target_groups};
use crate::report::{ServiceReport, time};
use crate::services::{find, find_one};
use crate::target::Target;
use crate::verdict::Verdict;
use view::{Point, View, bake_of, bakes};

pub use view::{paused, words};

/// Longest wait where nobody says one, beside the time for which the deployment bakes. Half of that is the longest that
/// terraform-provider-aws waits for a service (20 min), with room for slow health checks.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// How often a silent wait says that it lives.
const SAY_EVERY: Duration = Duration::from_secs(15);
/// Shortest time between two looks at the targets' health.
const TARGETS_EVERY: Duration = Duration::from_secs(3);
/// How long ECS may not know a deployment that it has just begun, and the pause between two looks meanwhile.
const UNKNOWN: Duration = Duration::from_secs(30);
const UNLISTED: Duration = Duration::from_millis(200);
/// Pause before the next look where one failed: the loop itself is the retry.
const TROUBLED: Duration = Duration::from_secs(2);
/// Failed tasks from which on a deployment without a circuit breaker is given up with `--fail-fast`: the least that ECS's
/// own takes, which it has for rolling deployments only
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html>).
const BREAKER: i32 = 3;
/// What is usual for a deployment without baking.
const USUAL: &str = "1 to 5 min";

/// One deployment to follow.
pub struct Follow<'f> {
    /// Its service
    pub on: Context<'f>,
    /// ARN of the service deployment
    pub arn: &'f str,
    /// How far to wait
    pub until: Until,
    /// Stop it at the first failure that trying again cannot mend
    pub fail_fast: bool,
}

/// How a wait ended.
#[derive(Debug)]
struct End {
    verdict: Verdict,
    /// Why, where there is something to say
    reason: Option<String>,
    /// The deployment, as it was at last
    deployment: Option<ServiceDeployment>,
    /// Why it is not well
    diagnosis: Option<Diagnosis>,
}

/// What is known while one waits.
struct Watch {
    begin: Instant,
    said: Instant,
    looked_at_targets: Option<Instant>,
    before: Option<View>,
    last: Option<Look>,
    looks: u32,
    stage_since: Instant,
    evidence: Option<Evidence>,
    trouble: Option<String>,
    /// How long it bakes, as far as is known
    bakes: Duration,
    stopping: bool,
}

/// One look.
#[derive(Clone)]
struct Look {
    deployment: ServiceDeployment,
    service: Service,
}

impl Follow<'_> {
    /// Waits until the deployment has come to an end, or as far as was asked for, and reports what became of it.
    ///
    /// A lost connection or an overloaded API does not end the wait.
    ///
    /// # Errors
    /// [`Kind::Credentials`] when they expire; [`Kind::Interrupted`]; a deployment or service that does not exist. What
    /// ECS does goes on in all of these.
    pub async fn to_its_end(&self, report: &mut ServiceReport) -> Result<()> {
        let now = Instant::now();
        let mut watch = Watch {
            begin: now,
            said: now,
            looked_at_targets: None,
            before: None,
            last: None,
            looks: 0,
            stage_since: now,
            evidence: None,
            trouble: None,
            bakes: Duration::ZERO,
            stopping: false,
        };
        let end = self.wait(&mut watch).await;
        self.on.voice.end();
        let End { verdict, reason, deployment, diagnosis } = end.map_err(|error| self.explain(error))?;
        report.verdict = verdict;
        report.reason = reason;
        report.diagnosis = diagnosis;
        if let Some(deployment) = deployment {
            report.times.deployment_created_at = deployment.created_at().map(time);
            report.times.deployment_finished_at = deployment.finished_at().map(time);
        }
        Ok(())
    }

    async fn wait(&self, watch: &mut Watch) -> Result<End> {
        loop {
            let left = self.patience(watch).saturating_sub(watch.begin.elapsed());
            // A look that hangs must not outlast the time limit.
            let Ok(look) = self.on.stop.or(tokio::time::timeout(left, self.look(watch))).await? else {
                return Ok(self.out_of_time(watch).await);
            };
            let mut pace = TROUBLED;
            match look {
                Ok(Some(look)) => {
                    watch.trouble = None;
                    let view = View::of(&look.deployment, Some(&look.service));
                    self.tell(watch, &look, &view).await;
                    let point = view.point(self.until);
                    if point != Point::Going {
                        return self.end(watch, look, point).await;
                    }
                    if self.fail_fast {
                        self.stop_at_once(watch, &view).await?;
                    }
                    pace = view.pace(watch.begin.elapsed());
                    watch.bakes = bakes(look.deployment.deployment_configuration());
                    watch.before = Some(view);
                    watch.last = Some(look);
                }
                Ok(None) if watch.before.is_some() => {}
                Ok(None) if watch.begin.elapsed() < UNKNOWN => pace = UNLISTED,
                Ok(None) => {
                    return Err(Error::new(Kind::NotFound, format!("ECS knows no service deployment {}", self.arn)));
                }
                Err(error) if matches!(error.kind(), Kind::Throttled | Kind::Transient) => {
                    let trouble = error.message().to_owned();
                    if watch.trouble.as_ref() != Some(&trouble) {
                        self.on.voice.warn(&format!("no look at the deployment for the moment, it goes on: {trouble}"));
                        watch.trouble = Some(trouble);
                    }
                }
                Err(error) => return Err(error),
            }
            self.say_that_it_lives(watch);
            let left = self.patience(watch).saturating_sub(watch.begin.elapsed());
            self.on.stop.or(tokio::time::sleep(pace.min(left))).await?;
            if left <= pace {
                return Ok(self.out_of_time(watch).await);
            }
        }
    }

    /// Returns how long to wait in all.
    fn patience(&self, watch: &Watch) -> Duration {
        self.on.timeout.unwrap_or(PATIENCE + watch.bakes)
    }

    /// Looks at the deployment, and every other time at its service, which only adds events and failures.
    async fn look(&self, watch: &mut Watch) -> Result<Option<Look>> {
        let Target { cluster, service, .. } = self.on.target;
        watch.looks += 1;
        let known = watch.last.as_ref().map(|look| look.service.clone()).filter(|_| watch.looks.is_multiple_of(2));
        let services = async {
            match known {
                Some(service) => Ok(Some(service)),
                None => Ok(find(&self.on.aws.looks, cluster, std::slice::from_ref(service)).await?.into_iter().next()),
            }
        };
        let (deployment, found) = tokio::join!(describe(&self.on.aws.looks, self.arn), services);
        match found? {
            Some(service) if service.status() == Some("ACTIVE") => {
                Ok(deployment?.map(|deployment| Look { deployment, service }))
            }
            Some(_) | None => {
                let gone = format!("the service {service} is gone: somebody has deleted it");
                Err(Error::new(Kind::NotFound, gone))
            }
        }
    }

    /// Says what has changed, and takes evidence where something went wrong.
    async fn tell(&self, watch: &mut Watch, look: &Look, view: &View) {
        let first = watch.before.is_none();
        let lines = view.lines(watch.before.as_ref());
        if watch.before.as_ref().is_none_or(|before| before.stage != view.stage || before.traffic != view.traffic) {
            watch.stage_since = Instant::now();
        }
        let since = look.deployment.created_at().copied();
        let evidence = watch.evidence.get_or_insert_with(|| Evidence::since(since));
        let events = evidence.take_events(&look.service);
        for event in &events {
            self.on.voice.say("event", event);
        }
        for line in &lines {
            self.on.voice.say("progress", line);
        }
        let failed = watch.before.as_ref().map_or(0, |before| before.failed) < view.failed
            || events.iter().any(|event| ["unhealthy", "failed", "unable"].iter().any(|word| event.contains(word)));
        if failed {
            match evidence.take_tasks(self.on.aws, &self.on.target.cluster, &self.on.target.service).await {
                Ok(causes) => {
                    for cause in causes {
                        self.on.voice.say("failed", &format!("{}; {}", cause.title(), cause.hint()));
                    }
                }
                Err(error) => self.on.voice.warn(&format!("stopped tasks cannot be read: {}", error.message())),
            }
        }
        let scales_up = view.stage.as_deref().is_none_or(|stage| stage == "SCALE_UP");
        let waits_for_health = view.new.running > 0 && scales_up && view.point(self.until) == Point::Going;
        let due = watch.looked_at_targets.is_none_or(|at| at.elapsed() >= TARGETS_EVERY);
        let mut spoke = first || !lines.is_empty() || !events.is_empty();
        if waits_for_health && due {
            watch.looked_at_targets = Some(Instant::now());
            match evidence.take_targets(self.on.aws, &target_groups(&look.service)).await {
                Ok(lines) => {
                    spoke |= !lines.is_empty();
                    lines.iter().for_each(|line| self.on.voice.say("target", line));
                }
                Err(error) => self.on.voice.detail("target", &format!("targets cannot be read: {}", error.message())),
            }
        }
        if spoke {
            watch.said = Instant::now();
        }
        let left = bake_left(look.deployment.deployment_configuration(), view, watch.stage_since.elapsed());
        self.on.voice.show(view.picture(left));
    }

    /// Asks ECS to go back as soon as something has failed that trying again cannot mend; and where ECS has no circuit
    /// breaker, as soon as it would have broken.
    async fn stop_at_once(&self, watch: &mut Watch, view: &View) -> Result<()> {
        let evidence = watch.evidence.as_ref();
        let cause = evidence.and_then(Evidence::final_cause);
        let broken = || evidence.and_then(Evidence::newest_cause).filter(|_| !view.breaker && view.failed >= BREAKER);
        let Some(cause) = cause.or_else(broken).filter(|_| !watch.stopping) else { return Ok(()) };
        watch.stopping = true;
        self.on.voice.say("stopping", &format!("{}: rolling back (--fail-fast)", cause.title()));
        match stop(self.on.aws, self.arn).await {
            // ECS is at it already.
            Err(error) if error.code() == Some("ConflictException") => Ok(()),
            stopped => stopped,
        }
    }

    /// Makes the verdict, and with one that is no success the diagnosis.
    async fn end(&self, watch: &mut Watch, look: Look, point: Point) -> Result<End> {
        let Look { deployment, service } = look;
        // The last look may have been at the deployment alone.
        let service =
            find_one(&self.on.aws.looks, &self.on.target.cluster, &self.on.target.service).await.unwrap_or(service);
        if let Some(evidence) = &mut watch.evidence {
            for event in evidence.take_events(&service) {
                self.on.voice.say("event", &event);
            }
        }
        let said = headline(&service, Some(&deployment));
        let (verdict, reason) = match point {
            Point::Going | Point::Successful => (Verdict::Deployed, None),
            Point::Reached => {
                (Verdict::Reached, Some(format!("the deployment goes on: `ecs-deploy wait {}`", self.arn)))
            }
            Point::Paused => {
                let go =
                    format!("it waits for a person: `ecs-deploy continue {0}` or `ecs-deploy abort {0}`", self.arn);
                (Verdict::Paused, Some(go))
            }
            Point::RolledBack => (Verdict::RolledBack, Some(said)),
            Point::Failed if is_stalled(&service) => {
                let reason = format!("{said}; no deployment before it was a success, so ECS has nothing to go back to");
                (Verdict::Failed, Some(reason))
            }
            Point::Failed => (Verdict::Failed, Some(said)),
            Point::Stopped => match self.successor(&deployment).await? {
                Some(other) => (Verdict::Superseded, Some(format!("another deployment took its place: {other}"))),
                None => (Verdict::Stopped, Some(said)),
            },
        };
        let explains =
            matches!(point, Point::RolledBack | Point::Failed | Point::Stopped) && verdict != Verdict::Superseded;
        let mut diagnosis = None;
        if let (true, Some(evidence)) = (explains, watch.evidence.as_mut()) {
            if let Err(error) = evidence.take_tasks(self.on.aws, &self.on.target.cluster, &self.on.target.service).await
            {
                self.on.voice.warn(&format!("stopped tasks cannot be read: {}", error.message()));
            }
            let warn = |line: String| self.on.voice.warn(&line);
            diagnosis = Some(evidence.conclude(self.on.aws, &service, Some(&deployment), warn).await);
        }
        Ok(End { verdict, reason, deployment: Some(deployment), diagnosis })
    }

    /// Returns the deployment that took the place of a stopped one.
    async fn successor(&self, deployment: &ServiceDeployment) -> Result<Option<String>> {
        let since = deployment.created_at().copied();
        let later = deployments(&self.on.aws.ecs, &self.on.target.cluster, &self.on.target.service, since).await?;
        let nanos = |at: Option<&aws_sdk_ecs::primitives::DateTime>| at.map(|at| at.as_nanos());
        let mut later: Vec<_> = later
            .into_iter()
            .filter(|other| other.service_deployment_arn() != Some(self.arn))
            .filter(|other| nanos(other.created_at()) >= nanos(deployment.created_at()))
            .collect();
        later.sort_by_key(|other| nanos(other.created_at()));
        Ok(later.into_iter().next().and_then(|other| other.service_deployment_arn))
    }

    /// Makes the verdict of a wait that was not long enough; with a diagnosis, where tasks have failed by then.
    async fn out_of_time(&self, watch: &mut Watch) -> End {
        let reason = format!(
            "not done after {}; ECS goes on: `ecs-deploy wait {}` follows it from here",
            human(watch.begin.elapsed()),
            self.arn
        );
        let Some(Look { deployment, service }) = watch.last.take() else {
            return End { verdict: Verdict::TimedOut, reason: Some(reason), deployment: None, diagnosis: None };
        };
        let mut diagnosis = None;
        if let Some(evidence) = watch.evidence.as_mut().filter(|evidence| evidence.newest_cause().is_some()) {
            let warn = |line: String| self.on.voice.warn(&line);
            diagnosis = Some(evidence.conclude(self.on.aws, &service, Some(&deployment), warn).await);
        }
        End { verdict: Verdict::TimedOut, reason: Some(reason), deployment: Some(deployment), diagnosis }
    }

    fn say_that_it_lives(&self, watch: &mut Watch) {
        if watch.said.elapsed() < SAY_EVERY {
            return;
        }
        watch.said = Instant::now();
        let state = watch.before.as_ref().map_or_else(
            || "not seen yet".to_owned(),
            |view| format!("{}, {}", words(view.status.as_str()), view.tasks()),
        );
        let waited = human(watch.begin.elapsed());
        self.on.voice.say(
            "waiting",
            &format!("waiting for the deployment: {state}, for {waited}, usual is {USUAL} and the time it bakes"),
        );
    }

    /// Adds to a failure that ECS goes on, and how to go on with it.
    fn explain(&self, error: Error) -> Error {
        let kind = error.kind();
        if kind == Kind::NotFound {
            return error;
        }
        let fresh = if kind == Kind::Credentials { "with fresh credentials, " } else { "" };
        error.hint(format!(
            "the deployment goes on without us: {fresh}`ecs-deploy wait {0}` follows it from here, `ecs-deploy abort {0}` goes back",
            self.arn
        ))
    }
}

/// Asks ECS to stop a deployment and go back.
///
/// # Errors
/// Any refusal by ECS: `ConflictException` when it is at its end, or being stopped already.
pub async fn stop(aws: &Aws, arn: &str) -> Result<()> {
    insist(async || {
        let call = aws.ecs.write.stop_service_deployment().service_deployment_arn(arn);
        let call = call.stop_type(StopServiceDeploymentStopType::Rollback);
        call.send().await.answer("ecs:StopServiceDeployment").map(drop)
    })
    .await
}

/// Returns how long a deployment still bakes where it is now.
fn bake_left(configuration: Option<&DeploymentConfiguration>, view: &View, waited: Duration) -> Option<Duration> {
    let whole = bake_of(configuration?, view.stage.as_deref())?;
    Some(whole.saturating_sub(waited)).filter(|left| !left.is_zero())
}
