//! Follows one service deployment, by its ARN, to its end.
//!
//! Never by its task definition: a deployment that was rolled back may have the same one as another that was not
//! (<https://github.com/aws-actions/amazon-ecs-deploy-task-definition/issues/191>).

mod view;

use std::time::Duration;

use aws_sdk_ecs::types::{DeploymentConfiguration, Service, ServiceDeployment, StopServiceDeploymentStopType};
use ecs_aws::Answer as _;
use ecs_aws::deployment::{deployments, describe, headline};
use ecs_core::console::human;
use ecs_core::stop::Stop;
use ecs_core::{Error, Kind, Result};
use tokio::time::Instant;

use crate::aws::{Aws, insist};
use crate::command::Until;
use crate::diagnosis::{Diagnosis, Evidence, target_groups};
use crate::services::find;
use crate::verdict::Verdict;
use crate::voice::Voice;
use view::{Point, View, bake_of, bakes};

pub use view::{paused, words};

/// Longest wait where nobody says one, beside the time for which the deployment bakes. Half of that is the longest that
/// terraform-provider-aws waits for a service (20 min), with room for slow health checks.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
/// How often a silent wait says that it lives.
const SAY_EVERY: Duration = Duration::from_secs(15);
/// Shortest time between two looks at the targets' health.
const TARGETS_EVERY: Duration = Duration::from_secs(3);
/// How long ECS may not know a deployment that it has just begun.
const UNKNOWN: Duration = Duration::from_secs(30);
/// Failed tasks from which on a deployment that shifts traffic is given up with `--fail-fast`: the least that ECS's circuit
/// breaker takes, which it has for rolling deployments only
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html>).
const BREAKER: i32 = 3;
/// What is usual for a deployment without baking.
const USUAL: &str = "1 to 5 min";

/// One deployment to follow.
pub struct Follow<'f> {
    /// The clients
    pub aws: &'f Aws,
    /// Speaks for the service
    pub voice: &'f Voice,
    /// The order to stop
    pub stop: &'f Stop,
    /// Name or ARN of the cluster
    pub cluster: &'f str,
    /// Name of the service
    pub service: &'f str,
    /// ARN of the service deployment
    pub arn: &'f str,
    /// How far to wait
    pub until: Until,
    /// Longest wait
    pub timeout: Option<Duration>,
    /// Stop it at the first failure that trying again cannot mend
    pub fail_fast: bool,
}

/// How a wait ended.
#[derive(Debug)]
pub struct End {
    /// What became of it
    pub verdict: Verdict,
    /// Why, where there is something to say
    pub reason: Option<String>,
    /// The deployment, as it was at last
    pub deployment: Option<ServiceDeployment>,
    /// Why it is not well
    pub diagnosis: Option<Diagnosis>,
}

/// What is known while one waits.
struct Watch {
    begin: Instant,
    said: Instant,
    looked_at_targets: Option<Instant>,
    before: Option<View>,
    stage_since: Instant,
    evidence: Option<Evidence>,
    trouble: Option<String>,
    /// How long it bakes, as far as is known
    bakes: Duration,
    stopping: bool,
}

/// One look.
struct Look {
    deployment: ServiceDeployment,
    service: Service,
}

impl Follow<'_> {
    /// Waits until the deployment has come to an end, or as far as was asked for.
    ///
    /// A lost connection or an overloaded API does not end the wait.
    ///
    /// # Errors
    /// [`Kind::Credentials`] when they expire; [`Kind::Interrupted`]; a deployment or service that does not exist. What
    /// ECS does goes on in all of these.
    pub async fn to_its_end(&self) -> Result<End> {
        let now = Instant::now();
        let mut watch = Watch {
            begin: now,
            said: now,
            looked_at_targets: None,
            before: None,
            stage_since: now,
            evidence: None,
            trouble: None,
            bakes: Duration::ZERO,
            stopping: false,
        };
        let end = self.wait(&mut watch).await;
        self.voice.end();
        end.map_err(|error| self.explain(error))
    }

    async fn wait(&self, watch: &mut Watch) -> Result<End> {
        loop {
            let mut pace = Duration::from_secs(1);
            match self.stop.or(self.look()).await? {
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
                }
                Ok(None) if watch.before.is_none() && watch.begin.elapsed() < UNKNOWN => {
                    pace = Duration::from_millis(200);
                }
                Ok(None) if watch.before.is_none() => {
                    return Err(Error::new(Kind::NotFound, format!("ECS knows no service deployment {}", self.arn)));
                }
                Ok(None) => {}
                Err(error) if matches!(error.kind(), Kind::Throttled | Kind::Transient) => {
                    let trouble = error.message().to_owned();
                    if watch.trouble.as_ref() != Some(&trouble) {
                        self.voice.warn(&format!("no look at the deployment for the moment, it goes on: {trouble}"));
                        watch.trouble = Some(trouble);
                    }
                }
                Err(error) => return Err(error),
            }
            let waited = watch.begin.elapsed();
            let patience = self.timeout.unwrap_or(PATIENCE + watch.bakes);
            if waited >= patience {
                return Ok(self.out_of_time(waited));
            }
            self.say_that_it_lives(watch);
            self.stop.or(tokio::time::sleep(pace.min(patience.saturating_sub(waited)))).await?;
        }
    }

    /// Looks at the deployment and its service, side by side.
    async fn look(&self) -> Result<Option<Look>> {
        let services = async { find(&self.aws.ecs, self.cluster, &[self.service.to_owned()]).await };
        let (deployment, services) = tokio::join!(describe(&self.aws.ecs, self.arn), services);
        let service = match services?.into_iter().next() {
            Some(service) if service.status() == Some("ACTIVE") => service,
            Some(_) | None => {
                let gone = format!("the service {} is gone: somebody has deleted it", self.service);
                return Err(Error::new(Kind::NotFound, gone));
            }
        };
        Ok(deployment?.map(|deployment| Look { deployment, service }))
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
            self.voice.say("event", event);
        }
        for line in &lines {
            self.voice.say("progress", line);
        }
        let failed = watch.before.as_ref().map_or(0, |before| before.failed) < view.failed
            || events.iter().any(|event| ["unhealthy", "failed", "unable"].iter().any(|word| event.contains(word)));
        if failed {
            match evidence.take_tasks(self.aws, self.cluster, self.service).await {
                Ok(causes) => {
                    for cause in causes {
                        self.voice.say("failed", &format!("{}; {}", cause.title(), cause.hint()));
                    }
                }
                Err(error) => self.voice.warn(&format!("stopped tasks cannot be read: {}", error.message())),
            }
        }
        let scales_up = view.stage.as_deref().is_none_or(|stage| stage == "SCALE_UP");
        let waits_for_health = view.new.running > 0 && scales_up && view.point(self.until) == Point::Going;
        let due = watch.looked_at_targets.is_none_or(|at| at.elapsed() >= TARGETS_EVERY);
        let mut spoke = first || !lines.is_empty() || !events.is_empty();
        if waits_for_health && due {
            watch.looked_at_targets = Some(Instant::now());
            match evidence.take_targets(self.aws, &target_groups(&look.service)).await {
                Ok(lines) => {
                    spoke |= !lines.is_empty();
                    lines.iter().for_each(|line| self.voice.say("target", line));
                }
                Err(error) => self.voice.detail("target", &format!("targets cannot be read: {}", error.message())),
            }
        }
        if spoke {
            watch.said = Instant::now();
        }
        let left = bake_left(look.deployment.deployment_configuration(), view, watch.stage_since.elapsed());
        self.voice.show(view.picture(left));
    }

    /// Asks ECS to go back as soon as something has failed that trying again cannot mend; and where ECS has no circuit
    /// breaker, as soon as it would have broken.
    async fn stop_at_once(&self, watch: &mut Watch, view: &View) -> Result<()> {
        let evidence = watch.evidence.as_ref();
        let cause = evidence.and_then(Evidence::final_cause);
        let broken = || evidence.and_then(Evidence::newest_cause).filter(|_| view.shifts && view.failed >= BREAKER);
        let Some(cause) = cause.or_else(broken).filter(|_| !watch.stopping) else { return Ok(()) };
        watch.stopping = true;
        self.voice.say("stopping", &format!("{}: rolling back (--fail-fast)", cause.title()));
        match stop(self.aws, self.arn).await {
            // ECS is at it already.
            Err(error) if error.code() == Some("ConflictException") => Ok(()),
            stopped => stopped,
        }
    }

    /// Makes the verdict, and with one that is no success the diagnosis.
    async fn end(&self, watch: &mut Watch, look: Look, point: Point) -> Result<End> {
        let Look { deployment, service } = look;
        let said = headline(&service, Some(&deployment));
        let (verdict, reason) = match point {
            Point::Going | Point::Successful => (Verdict::Deployed, None),
            Point::Reached => (Verdict::Reached, None),
            Point::Paused => {
                let go =
                    format!("it waits for a person: `ecs-deploy continue {0}` or `ecs-deploy abort {0}`", self.arn);
                (Verdict::Paused, Some(go))
            }
            Point::RolledBack => (Verdict::RolledBack, Some(said)),
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
            if let Err(error) = evidence.take_tasks(self.aws, self.cluster, self.service).await {
                self.voice.warn(&format!("stopped tasks cannot be read: {}", error.message()));
            }
            let warn = |line: String| self.voice.warn(&line);
            diagnosis = Some(evidence.conclude(self.aws, &service, Some(&deployment), warn).await);
        }
        Ok(End { verdict, reason, deployment: Some(deployment), diagnosis })
    }

    /// Returns the deployment that took the place of a stopped one.
    async fn successor(&self, deployment: &ServiceDeployment) -> Result<Option<String>> {
        let since = deployment.created_at().copied();
        let later = deployments(&self.aws.ecs, self.cluster, self.service, since).await?;
        let nanos = |at: Option<&aws_sdk_ecs::primitives::DateTime>| at.map(|at| at.as_nanos());
        let mut later: Vec<_> = later
            .into_iter()
            .filter(|other| other.service_deployment_arn() != Some(self.arn))
            .filter(|other| nanos(other.created_at()) >= nanos(deployment.created_at()))
            .collect();
        later.sort_by_key(|other| nanos(other.created_at()));
        Ok(later.into_iter().next().and_then(|other| other.service_deployment_arn))
    }

    fn out_of_time(&self, waited: Duration) -> End {
        let reason = format!(
            "not done after {}; ECS goes on: `ecs-deploy wait {}` follows it from here",
            human(waited),
            self.arn
        );
        End { verdict: Verdict::TimedOut, reason: Some(reason), deployment: None, diagnosis: None }
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
        self.voice.say(
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
