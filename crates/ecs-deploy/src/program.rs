//! One run of the program, from the services that it is about to the report.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::SystemTime;

use ecs_aws::{Caller, Session};
use ecs_core::console::{Console, LogFormat};
use ecs_core::program::{CHANGES, report as report_error, signals};
use ecs_core::stop::Stop;
use ecs_core::tool::Cloud as _;
use ecs_core::{Error, Kind, Result};
use futures::future::join_all;
use futures::join;

use crate::NAME;
use crate::aws::Aws;
use crate::command::{Change, Line, Place, Run, Until, Verb, Which};
use crate::context::Context;
use crate::deploy::{Deploy, Prepared, describe};
use crate::image::Asked;
use crate::one_off::{OneOff, revision_of};
use crate::report::{Report, Revisions, ServiceReport};
use crate::services::find_one;
use crate::target::{Target, Targets};
use crate::verbs::Act;
use crate::verdict::{Verdict, worst};
use crate::voice::{Screen, Voice};

/// What is to be done.
enum Work {
    Deploy { change: Box<Change>, plan: bool, exit_code: bool },
    Run { count: i32, detach: bool, command: Vec<String> },
    Wait { until: Until },
    Continue,
    Abort,
    Rollback { to: Option<String> },
    Status,
}

/// A service with the images that go into it.
type Job = (Target, Vec<Asked>);

/// Does what the command line says, and returns the exit code.
pub async fn run(line: Line, console: &Console) -> ExitCode {
    let stop = Stop::default();
    let result = tokio::select! {
        result = work(line, console, &stop) => result,
        // Before this branch ends the program at the second signal, it gives the order to stop at the first.
        error = signals(&stop, console) => Err(error),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report_error(console, &error);
            ExitCode::from(error.exit_code())
        }
    }
}

async fn work(line: Line, console: &Console, stop: &Stop) -> Result<u8> {
    let started = SystemTime::now();
    let Line { files, place, change, flags, verb } = line;
    let (work, place, after, arn) = match verb {
        None => (Work::Deploy { change: Box::new(change), plan: false, exit_code: false }, place, None, None),
        Some(Verb::Plan { exit_code, files, place: more, change: after }) => {
            let change = Box::new(change.with(*after));
            (Work::Deploy { change, plan: true, exit_code }, place.with(more), Some(files), None)
        }
        Some(Verb::Run { count, detach, files, place: more, command }) => {
            (Work::Run { count, detach, command }, place.with(more), Some(files), None)
        }
        Some(Verb::Wait { until, which: Which { arn, files, place: more } }) => {
            (Work::Wait { until }, place.with(more), Some(files), arn)
        }
        Some(Verb::Continue { which: Which { arn, files, place: more } }) => {
            (Work::Continue, place.with(more), Some(files), arn)
        }
        Some(Verb::Abort { which: Which { arn, files, place: more } }) => {
            (Work::Abort, place.with(more), Some(files), arn)
        }
        Some(Verb::Rollback { to, files, place: more }) => (Work::Rollback { to }, place.with(more), Some(files), None),
        Some(Verb::Status { files, place: more }) => (Work::Status, place.with(more), Some(files), None),
        // These only print, and have done so.
        Some(Verb::Policy | Verb::Schema | Verb::Completions { .. } | Verb::Man) => return Ok(0),
    };
    let run = Run { flags, files: files.with(after.unwrap_or_default()) };
    let targets = match &arn {
        Some(arn) => of_arn(arn)?,
        None => stop.or(Targets::find(&run, &place)).await??,
    };
    let jobs = jobs(&targets, &place, &work)?;
    let access = run.flags.access(NAME, targets.region.as_deref())?;
    let session = Session::connect(&access).await?;
    let region = session.region().unwrap_or("us-east-1").to_owned();
    let aws = Aws::new(session, &region);
    let screen = Screen::new(console, !run.flags.quiet && run.flags.log_format == LogFormat::Text);
    let voices: Vec<Voice> = jobs.iter().map(|(target, _)| screen.voice(&target.key, jobs.len() == 1)).collect();
    let mut reports: Vec<ServiceReport> = jobs.iter().map(|(target, _)| ServiceReport::new(target, started)).collect();
    let program = Program { aws: &aws, stop, run: &run, account: targets.account.as_deref(), arn: arn.as_deref() };
    program.all(&work, &jobs, &voices, &mut reports).await;
    for report in &mut reports {
        report.end(started);
    }
    let code = match &work {
        Work::Deploy { plan: true, exit_code: true, .. } => {
            let planned = reports.iter().filter(|report| report.verdict == Verdict::Planned);
            let changes = planned.map(|_| CHANGES);
            worst(reports.iter().map(|report| report.exit_code).chain(changes))
        }
        Work::Run { .. } => reports.iter().map(|report| report.exit_code).find(|code| *code != 0).unwrap_or(0),
        Work::Deploy { .. }
        | Work::Wait { .. }
        | Work::Continue
        | Work::Abort
        | Work::Rollback { .. }
        | Work::Status => worst(reports.iter().map(|report| report.exit_code)),
    };
    for (voice, report) in voices.iter().zip(&reports) {
        conclude(voice, report);
    }
    let written = write(&jobs, reports, code)?;
    Ok(if written == 0 { code } else { written })
}

/// Says which services are meant, with the images that go into each.
fn jobs(targets: &Targets, place: &Place, work: &Work) -> Result<Vec<Job>> {
    let named = place.service.iter().map(|name| ecs_aws::deployment::short(name));
    match work {
        Work::Deploy { change, .. } if !targets.named => {
            let mut wanted: Vec<&str> = named.collect();
            wanted.extend(change.images.iter().filter_map(|asked| asked.name.as_deref()));
            let services = targets.select_one_at_least(wanted)?;
            let mut jobs: Vec<Job> = services.into_iter().map(|target| (target, Vec::new())).collect();
            for asked in &change.images {
                let job = match asked.name.as_deref() {
                    Some(name) => jobs.iter_mut().find(|(target, _)| target.key == name || target.service == name),
                    None if jobs.len() == 1 => jobs.first_mut(),
                    None => None,
                };
                let (_, images) = job.ok_or_else(|| {
                    Error::usage(format!("--image {} does not say for which service", asked.reference))
                        .hint("write SERVICE=IMAGE")
                })?;
                images.push(asked.clone());
            }
            Ok(jobs)
        }
        Work::Deploy { change, .. } => {
            // The services are named already: what stands before the `=` is a container.
            let images: Vec<Asked> = change
                .images
                .iter()
                .map(|asked| Asked { container: asked.container.clone().or(asked.name.clone()), ..asked.clone() })
                .collect();
            Ok(targets.all.iter().map(|target| (target.clone(), images.clone())).collect())
        }
        Work::Status if place.service.is_empty() => {
            Ok(targets.all.iter().map(|target| (target.clone(), Vec::new())).collect())
        }
        Work::Run { .. } | Work::Wait { .. } | Work::Continue | Work::Abort | Work::Rollback { .. } | Work::Status => {
            let services = targets.select_one_at_least(named)?;
            Ok(services.into_iter().map(|target| (target, Vec::new())).collect())
        }
    }
}

/// Takes cluster and service out of the ARN of a service deployment:
/// `arn:aws:ecs:REGION:ACCOUNT:service-deployment/CLUSTER/SERVICE/ID`.
fn of_arn(arn: &str) -> Result<Targets> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    if let [_, _, "ecs", region, account, resource] = parts[..] {
        let names: Vec<&str> = resource.split('/').collect();
        if let ["service-deployment", cluster, service, _] = names[..] {
            let target = Target {
                key: service.to_owned(),
                cluster: cluster.to_owned(),
                service: service.to_owned(),
                container: None,
            };
            let (region, account) = (Some(region.to_owned()), Some(account.to_owned()));
            return Ok(Targets { region, account, all: vec![target], named: true });
        }
    }
    Err(Error::usage(format!("`{arn}` is not the ARN of a service deployment"))
        .hint("it looks like arn:aws:ecs:REGION:ACCOUNT:service-deployment/CLUSTER/SERVICE/ID; ecs-deploy writes it as `deployment_arn`"))
}

/// What all services' work needs.
struct Program<'p> {
    aws: &'p Aws,
    stop: &'p Stop,
    run: &'p Run,
    /// Account that the credentials must be for
    account: Option<&'p str>,
    /// ARN of the deployment that was named
    arn: Option<&'p str>,
}

impl Program<'_> {
    /// Works on all services side by side, each with its own report.
    async fn all(&self, work: &Work, jobs: &[Job], voices: &[Voice], reports: &mut [ServiceReport]) {
        match work {
            Work::Deploy { change, plan, .. } => self.deploy(change, *plan, jobs, voices, reports).await,
            Work::Run { .. }
            | Work::Wait { .. }
            | Work::Continue
            | Work::Abort
            | Work::Rollback { .. }
            | Work::Status => {
                let each = jobs.iter().zip(voices).zip(reports).map(async |(((target, _), voice), report)| {
                    let done = self.one(work, target, voice, report).await;
                    self.take(voice, report, done);
                });
                join_all(each).await;
            }
        }
    }

    fn on<'o>(&'o self, target: &'o Target, voice: &'o Voice) -> Context<'o> {
        Context { aws: self.aws, voice, stop: self.stop, target, timeout: self.run.flags.timeout }
    }

    /// Looks at everything first, for all services; deploys only where nothing is wrong with any.
    async fn deploy(&self, change: &Change, plan: bool, jobs: &[Job], voices: &[Voice], reports: &mut [ServiceReport]) {
        let deploys: Vec<Deploy<'_>> = jobs
            .iter()
            .zip(voices)
            .map(|((target, images), voice)| Deploy { on: self.on(target, voice), change, images: images.clone() })
            .collect();
        let (caller, running) = join!(self.caller(), join_all(deploys.iter().map(Deploy::find)));
        let each = deploys.iter().zip(running).map(async |(deploy, running)| match (&caller, running) {
            // Without the right account everything else that failed is a consequence.
            (Err(error), _) => Err(error.clone()),
            (Ok(_), Err(error)) => Err(error),
            (Ok(caller), Ok(running)) => deploy.prepare(running, caller).await,
        });
        let prepared: Vec<Result<Prepared>> = join_all(each).await;
        let wrong = prepared.iter().any(|one| one.as_ref().map_or(true, |one| !one.problems.is_empty()));
        let each = prepared.into_iter().zip(&deploys).zip(reports).map(async |((prepared, deploy), report)| {
            let done = match prepared {
                Err(error) => Err(error),
                Ok(prepared) if plan || wrong => {
                    prepared.fill(report);
                    look(deploy.on.voice, &prepared, plan, report);
                    Ok(())
                }
                Ok(prepared) => deploy.run(prepared, report).await,
            };
            self.take(deploy.on.voice, report, done);
        });
        join_all(each).await;
    }

    /// Does one thing with one service.
    async fn one(&self, work: &Work, target: &Target, voice: &Voice, report: &mut ServiceReport) -> Result<()> {
        let act = Act { on: self.on(target, voice), arn: self.arn };
        match work {
            Work::Wait { until } => act.wait(*until, report).await,
            Work::Status => act.status(report).await,
            Work::Continue => {
                self.caller().await?;
                act.go_on(report).await
            }
            Work::Abort => {
                self.caller().await?;
                act.abort(report).await
            }
            Work::Rollback { to } => {
                self.caller().await?;
                act.roll_back(to.as_deref(), report).await
            }
            Work::Run { count, detach, command } => {
                self.caller().await?;
                self.run_task(target, voice, (*count, *detach, command), report).await
            }
            // It is not done service by service.
            Work::Deploy { .. } => Ok(()),
        }
    }

    async fn run_task(
        &self,
        target: &Target,
        voice: &Voice,
        (count, detach, command): (i32, bool, &[String]),
        report: &mut ServiceReport,
    ) -> Result<()> {
        let service = find_one(&self.aws.ecs, &target.cluster, &target.service).await?;
        let revision = revision_of(&service).to_owned();
        let (definition, _) = describe(self.aws, &revision).await?;
        report.task_definition = Some(Revisions { before: revision.clone(), after: revision.clone() });
        let one_off = OneOff {
            on: self.on(target, voice),
            service: &service,
            revision: &revision,
            container: definition.serving(target.container.as_deref())?,
            definition: &definition,
            command,
        };
        let begun = one_off.start(count).await?;
        report.tasks = begun.reports();
        if detach {
            report.verdict = Verdict::Begun;
            report.reason = Some("not waited for".to_owned());
            return Ok(());
        }
        let ended = one_off.to_its_end(begun).await?;
        report.tasks = ended.reports();
        match ended.failure() {
            None => report.verdict = Verdict::Finished,
            Some(reason) => {
                report.verdict = if ended.timed_out { Verdict::TimedOut } else { Verdict::RunFailed };
                // The container's own exit code is what a script asks for.
                let code = ended.exit_code().filter(|_| !ended.timed_out).and_then(|code| u8::try_from(code).ok());
                report.own_exit_code = code;
                report.reason = Some(reason);
                report.diagnosis = ended.into_diagnosis();
            }
        }
        Ok(())
    }

    /// Asks whose the credentials are, and refuses those of another account.
    async fn caller(&self) -> Result<Caller> {
        let caller = self.stop.or(self.aws.session.caller()).await??;
        match self.account {
            Some(wanted) if wanted != caller.account => {
                let message = format!(
                    "the service belongs to account {wanted}, but the credentials are for account {}",
                    caller.account
                );
                Err(Error::new(Kind::Credentials, message)
                    .hint("choose the right profile with --profile; nothing has been changed"))
            }
            Some(_) | None => Ok(caller),
        }
    }

    fn take(&self, voice: &Voice, report: &mut ServiceReport, done: Result<()>) {
        if let Err(error) = done {
            voice.end();
            voice.error(&error);
            report.fail(&error);
        }
        if self.stop.check().is_err() && report.verdict == Verdict::Failed {
            report.verdict = Verdict::Interrupted;
        }
    }
}

/// Says what a plan would change, or what is wrong.
fn look(voice: &Voice, prepared: &Prepared, plan: bool, report: &mut ServiceReport) {
    voice.end();
    for problem in &prepared.problems {
        voice.error(&Error::other(problem.clone()));
    }
    report.verdict = if !prepared.problems.is_empty() {
        Verdict::Refused
    } else if !plan {
        report.reason = Some("not begun: something is wrong with another service".to_owned());
        Verdict::Refused
    } else if prepared.any() {
        Verdict::Planned
    } else {
        Verdict::Unchanged
    };
    if plan {
        for change in &report.changes {
            voice.say("plan", &format!("~ {change}"));
        }
        if report.changes.is_empty() {
            voice.say("plan", "plan: nothing to change");
        }
    }
    if report.verdict == Verdict::Planned
        && let Some(revisions) = &mut report.task_definition
    {
        "planned:task-definition".clone_into(&mut revisions.after);
    }
}

/// Says how it ended.
fn conclude(voice: &Voice, report: &ServiceReport) {
    voice.end();
    let seconds = ecs_core::console::human(std::time::Duration::from_secs_f64(report.times.seconds));
    if let Some(diagnosis) = &report.diagnosis {
        diagnosis.lines().iter().for_each(|line| voice.say("diagnosis", line));
    }
    let verdict = match report.verdict {
        // Said already, with all that belongs to it.
        Verdict::Unchanged | Verdict::Planned | Verdict::Credentials | Verdict::Interrupted => return,
        Verdict::Failed if report.own_exit_code.is_some() => return,
        Verdict::Deployed => "done: deployed",
        Verdict::Finished => "done: the task has ended with exit code 0",
        Verdict::Healthy => "healthy",
        Verdict::Begun => "begun",
        Verdict::Reached => "as far as asked",
        Verdict::Paused => "paused",
        Verdict::TimedOut => "timed out",
        Verdict::RolledBack if report.exit_code == 0 => "done: rolled back, as asked",
        Verdict::RolledBack => "rolled back",
        Verdict::Refused => "refused: nothing was changed",
        Verdict::RunFailed => "the one-off task failed",
        Verdict::Unhealthy => "not well",
        Verdict::Superseded => "superseded",
        Verdict::Stopped => "stopped",
        Verdict::Failed => "failed",
    };
    let reason = report.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    voice.say("verdict", &format!("{verdict}{reason}, {seconds}"));
}

/// Writes the report; returns the exit code of that.
fn write(jobs: &[Job], reports: Vec<ServiceReport>, code: u8) -> Result<u8> {
    let verdict = reports
        .iter()
        .find(|report| report.exit_code == code)
        .or(reports.first())
        .map_or(Verdict::Unchanged, |report| report.verdict);
    let services: BTreeMap<String, ServiceReport> =
        jobs.iter().map(|(target, _)| target.key.clone()).zip(reports).collect();
    let report = Report { verdict, exit_code: code, services };
    let text = serde_json::to_string_pretty(&report)
        .map_err(|error| Error::other(format!("the report cannot be written as JSON: {error}")))?;
    let written = ecs_core::program::print(format!("{text}\n").as_bytes());
    Ok(if written == ExitCode::SUCCESS { 0 } else { Kind::BrokenPipe.exit_code() })
}
