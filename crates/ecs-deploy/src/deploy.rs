//! Deploying to one service: what is to change, whether it can, and then that deployment to its end.

use std::time::Duration;

use aws_sdk_ecs::primitives::DateTime;
use aws_sdk_ecs::types::{
    Deployment, DeploymentConfiguration, DeploymentRolloutState, Service, Tag, TaskDefinitionField,
};
use ecs_aws::deployment::{deployments, is_stalled, primary, short};
use ecs_aws::{Answer as _, Caller, present};
use ecs_core::{Error, Kind, Result};
use futures::future::join_all;

use crate::aws::{Aws, insist};
use crate::check::{self, Plan, may_not_look};
use crate::command::Change;
use crate::context::Context;
use crate::definition::Definition;
use crate::follow::Follow;
use crate::image::{Asked, Home, Reference, look_up};
use crate::one_off::{OneOff, Tasks};
use crate::report::{ImageReport, Revisions, ServiceReport};
use crate::services::find_one;
use crate::strategy;
use crate::target::Target;
use crate::verdict::Verdict;

/// Seconds by which a service deployment may be older than the deployment that it is about.
const EARLIER: i64 = 10;
/// How long ECS may take to list a deployment that it has begun.
const LISTED: Duration = Duration::from_secs(30);

/// One service to deploy to.
pub struct Deploy<'d> {
    /// The service
    pub on: Context<'d>,
    /// What is to change
    pub change: &'d Change,
    /// The images for this service
    pub images: Vec<Asked>,
}

/// What runs now.
#[derive(Debug)]
pub struct Running {
    service: Service,
    /// ARN of the revision
    revision: String,
    definition: Definition,
    tags: Vec<Tag>,
}

/// What is to be done, once everything has been looked at.
#[derive(Debug)]
pub struct Prepared {
    service: Service,
    /// ARN of the revision that runs
    before: String,
    definition: Definition,
    /// A revision is to be registered
    differs: bool,
    /// A deployment is to be begun although the revision stays
    again: bool,
    changes: Vec<String>,
    configuration: Option<DeploymentConfiguration>,
    images: Vec<ImageReport>,
    /// What is wrong
    pub problems: Vec<String>,
}

impl Prepared {
    /// Says whether anything is to be deployed.
    pub fn any(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Writes what is known into the report.
    pub fn fill(&self, report: &mut ServiceReport) {
        report.strategy = Some(self.strategy().to_owned());
        report.images.clone_from(&self.images);
        report.changes.clone_from(&self.changes);
        report.problems.clone_from(&self.problems);
        report.task_definition = Some(Revisions { before: self.before.clone(), after: self.before.clone() });
    }

    fn strategy(&self) -> &str {
        strategy::name(self.configuration.as_ref().or(self.service.deployment_configuration()))
    }
}

impl Deploy<'_> {
    /// Reads what runs now.
    ///
    /// # Errors
    /// A service or task definition that does not exist.
    pub async fn find(&self) -> Result<Running> {
        let Target { cluster, service, .. } = self.on.target;
        let service = self.on.stop.or(find_one(&self.on.aws.ecs, cluster, service)).await??;
        let revision = service.task_definition().unwrap_or_default().to_owned();
        let (definition, tags) = self.on.stop.or(describe(self.on.aws, &revision)).await??;
        Ok(Running { service, revision, definition, tags })
    }

    /// Finds out what is to change, and looks at everything that it needs. Changes nothing.
    ///
    /// # Errors
    /// A container that does not exist; flags that do not go together; a call that does not get through.
    pub async fn prepare(&self, running: Running, caller: &Caller) -> Result<Prepared> {
        let Running { service, revision: before, definition: running, tags } = running;
        let base = match &self.change.task_definition {
            Some(file) => Definition::read(file)?,
            None => running.clone(),
        };
        let mut definition = base;
        let (images, mut problems) = self.put_images(&mut definition, &running, caller).await?;
        self.put_settings(&mut definition)?;
        definition.set_tags(&tags);
        let mut changes = running.differences(&definition);
        let differs = !changes.is_empty();
        let live = service.deployment_configuration();
        let configuration = strategy::wanted(self.change, live)?;
        if configuration.is_some() {
            changes.push(format!("deployment configuration: {}", strategy::name(configuration.as_ref())));
        }
        let again = !differs && (self.change.force || is_stalled(&service));
        if again {
            let why = if self.change.force { "forced" } else { "the last one failed" };
            changes.push(format!("deployment: another one of the same revision, {why}"));
        }
        if !changes.is_empty() {
            let empty = DeploymentConfiguration::builder().build();
            let effective = configuration.as_ref().or(live).unwrap_or(&empty);
            let plan = Plan { service: &service, definition: &definition, configuration: effective, caller };
            for warning in strategy::warnings(&service, effective) {
                self.on.voice.warn(&warning);
            }
            problems.extend(self.on.stop.or(check::all(self.on.aws, self.on.voice, &plan, self.change)).await??);
        }
        Ok(Prepared { service, before, definition, differs, again, changes, configuration, images, problems })
    }

    /// Puts the images in, pinned to their digests; returns them, and what is wrong with them.
    async fn put_images(
        &self,
        definition: &mut Definition,
        running: &Definition,
        caller: &Caller,
    ) -> Result<(Vec<ImageReport>, Vec<String>)> {
        let home = Home { account: &caller.account, region: &self.on.aws.region };
        let mut wanted = Vec::new();
        for asked in &self.images {
            let named = asked.container.as_deref().or(self.on.target.container.as_deref());
            let container = definition.serving(named)?;
            let current = running.image(&container).or(definition.image(&container));
            let reference = Reference::resolve(&asked.reference, current, home)?;
            wanted.push((container, asked.reference.clone(), reference));
        }
        let looks = wanted.iter().map(async |(_, _, reference)| match reference.ecr() {
            Some(repository) => {
                look_up(&self.on.aws.session, &self.on.aws.region, &repository, reference).await.map(Some)
            }
            None => Ok(None),
        });
        let looks = self.on.stop.or(join_all(looks)).await?;
        let (mut images, mut problems) = (Vec::new(), Vec::new());
        for ((container, asked, reference), found) in wanted.into_iter().zip(looks) {
            let mut image = reference.to_string();
            let mut digest = None;
            match found {
                Ok(Some(found)) => {
                    if let Some(why) = &found.unread {
                        self.on.voice.warn(&format!("the processor of {reference} is not checked: {why}"));
                    }
                    let needs = definition.architecture();
                    if !found.architectures.is_empty() && !found.architectures.iter().any(|one| one == needs) {
                        problems.push(format!(
                            "the image {reference} was built for {}, and the task runs on {needs}: build it with --platform linux/{needs}, \
                             or give the task that processor",
                            found.architectures.join(", ")
                        ));
                    }
                    if !self.change.no_pin && !found.digest.is_empty() {
                        image = reference.pinned(&found.digest);
                    }
                    digest = Some(found.digest).filter(|digest| !digest.is_empty());
                }
                Ok(None) => {
                    self.on.voice.detail("skipped", &format!("{reference} is not in ECR: not looked for, not pinned"))
                }
                Err(error) if error.kind() == Kind::NotFound => {
                    // `fluent/fluent-bit:4` may have been meant for Docker Hub.
                    let (whole, own) = (reference.to_string(), !asked.starts_with([':', '@']));
                    let hub = if own && whole != asked && whole.ends_with(&asked) {
                        format!("; one of Docker Hub is docker.io/{asked}")
                    } else {
                        String::new()
                    };
                    problems.push(format!("the image {reference} is not there: {}{hub}", error.message()));
                }
                Err(error) if may_not_look(&error) => {
                    self.on.voice.detail("skipped", &format!("{reference} is not looked for: {}", error.render()));
                }
                Err(error) => return Err(error.doing(format!("looking for the image {reference}"))),
            }
            definition.set_image(&container, &image);
            images.push(ImageReport { container, asked, image, digest });
        }
        Ok((images, problems))
    }

    fn put_settings(&self, definition: &mut Definition) -> Result<()> {
        let change = self.change;
        if !change.environment.is_empty() || !change.secrets.is_empty() {
            let container = definition.serving(self.on.target.container.as_deref())?;
            for (name, value) in &change.environment {
                definition.set_variable(&container, name, value);
            }
            for (name, source) in &change.secrets {
                definition.set_secret(&container, name, source);
            }
        }
        definition.set_size(change.cpu, change.memory);
        Ok(())
    }

    /// Deploys what was prepared, and follows it to its end.
    ///
    /// # Errors
    /// Any refusal by ECS. The report holds what was done until then.
    pub async fn run(&self, prepared: Prepared, report: &mut ServiceReport) -> Result<()> {
        prepared.fill(report);
        if !prepared.any() {
            return self.nothing_to_do(&prepared, report).await;
        }
        for change in &prepared.changes {
            self.on.voice.say("change", change);
        }
        self.on.stop.check()?;
        if !prepared.differs && !prepared.again {
            let wanted = Wanted { configuration: prepared.configuration.clone(), ..Wanted::default() };
            update(self.on, &prepared.service, &wanted).await?;
            self.on.voice.say("done", "changed the deployment configuration in place; nothing to deploy");
            report.verdict = Verdict::Unchanged;
            report.reason = Some("only the deployment configuration was changed".to_owned());
            return Ok(());
        }
        let after = if prepared.differs { self.register(&prepared).await? } else { prepared.before.clone() };
        report.task_definition = Some(Revisions { before: prepared.before.clone(), after: after.clone() });
        if let Some(command) = &self.change.run {
            let ended = self.run_first(&prepared, &after, &command.0).await?;
            report.tasks = ended.reports();
            if let Some(reason) = ended.failure() {
                report.verdict = Verdict::RunFailed;
                report.reason = Some(format!("{reason}; the service was left as it was"));
                report.diagnosis = ended.into_diagnosis();
                self.on.voice.say("left", &format!("left behind: revision {}, which nothing uses", short(&after)));
                return Ok(());
            }
        }
        self.on.stop.check()?;
        let wanted = Wanted {
            revision: Some(&after),
            configuration: prepared.configuration.clone(),
            force: self.change.force || prepared.again,
        };
        let updated = update(self.on, &prepared.service, &wanted).await?;
        let arn = deployment_of(self.on, &prepared.service, &updated).await.map_err(|error| {
            error.hint(
                "ECS has accepted the deployment, and it goes on: `ecs-deploy wait` with the same service follows it",
            )
        })?;
        self.on.voice.say("deploying", &format!("deploying {} ({}): {arn}", short(&after), prepared.strategy()));
        report.deployment_arn = Some(arn.clone());
        if self.change.detach {
            report.verdict = Verdict::Begun;
            report.reason = Some(format!("not waited for: `ecs-deploy wait {arn}`"));
            return Ok(());
        }
        self.follow(&arn, report).await
    }

    /// Nothing differs: but what was asked for may be under way, by another run of this very line.
    async fn nothing_to_do(&self, prepared: &Prepared, report: &mut ServiceReport) -> Result<()> {
        let under_way = primary(&prepared.service)
            .is_some_and(|primary| primary.rollout_state() == Some(&DeploymentRolloutState::InProgress));
        if under_way && let Some(arn) = newest(self.on, &prepared.service).await? {
            self.on.voice.say("following", &format!("nothing differs, and its deployment is under way: {arn}"));
            report.deployment_arn = Some(arn.clone());
            return self.follow(&arn, report).await;
        }
        self.on.voice.say("done", "nothing to do: the service runs this already (--force deploys it again)");
        report.verdict = Verdict::Unchanged;
        Ok(())
    }

    async fn follow(&self, arn: &str, report: &mut ServiceReport) -> Result<()> {
        let Change { until, fail_fast, .. } = *self.change;
        Follow { on: self.on, arn, until, fail_fast }.to_its_end(report).await
    }

    /// Registers the new revision.
    ///
    /// Where the answer is lost, it looks whether ECS has made it: sent again, it would only make one more.
    async fn register(&self, prepared: &Prepared) -> Result<String> {
        let registered = insist(async || self.send_register(&prepared.definition).await).await;
        match registered {
            Err(error) if error.kind() == Kind::Transient => {
                let (latest, _) = describe(self.on.aws, prepared.definition.family()).await?;
                if latest.differences(&prepared.definition).is_empty() {
                    let call =
                        self.on.aws.ecs.read.describe_task_definition().task_definition(prepared.definition.family());
                    let reply = call.send().await.answer("ecs:DescribeTaskDefinition")?;
                    let made = reply.task_definition.and_then(|made| made.task_definition_arn);
                    return present(made, "ecs:DescribeTaskDefinition", "the task definition's ARN");
                }
                insist(async || self.send_register(&prepared.definition).await).await
            }
            registered => registered,
        }
        .map_err(|error| error.doing(format!("registering a revision of {}", prepared.definition.family())))
    }

    async fn send_register(&self, definition: &Definition) -> Result<String> {
        let input = definition.input()?;
        let call = self.on.aws.ecs.write.register_task_definition();
        let call = call.set_family(input.family).set_container_definitions(input.container_definitions);
        let call = call.set_task_role_arn(input.task_role_arn).set_execution_role_arn(input.execution_role_arn);
        let call = call.set_network_mode(input.network_mode).set_volumes(input.volumes);
        let call = call.set_placement_constraints(input.placement_constraints);
        let call = call.set_requires_compatibilities(input.requires_compatibilities);
        let call = call.set_cpu(input.cpu).set_memory(input.memory).set_tags(input.tags);
        let call = call.set_pid_mode(input.pid_mode).set_ipc_mode(input.ipc_mode);
        let call = call.set_proxy_configuration(input.proxy_configuration);
        let call = call.set_ephemeral_storage(input.ephemeral_storage).set_runtime_platform(input.runtime_platform);
        let call = call.set_enable_fault_injection(input.enable_fault_injection);
        let reply = call.send().await.answer("ecs:RegisterTaskDefinition").map_err(|error| match error.code() {
            // Two revisions of one family cannot be registered at the same time
            // (<https://github.com/cloudposse/terraform-aws-ecs-alb-service-task/issues/258>).
            Some("ClientException") if error.message().contains("Too many concurrent attempts") => {
                error.with_kind(Kind::Throttled)
            }
            _ => error,
        })?;
        let arn = reply.task_definition.and_then(|made| made.task_definition_arn);
        let arn = present(arn, "ecs:RegisterTaskDefinition", "the task definition's ARN")?;
        self.on.voice.say("registered", &format!("registered {}", short(&arn)));
        Ok(arn)
    }

    /// Runs the one-off task that must succeed first.
    async fn run_first(&self, prepared: &Prepared, revision: &str, command: &[String]) -> Result<Tasks> {
        let one_off = OneOff {
            on: self.on,
            service: &prepared.service,
            revision,
            definition: &prepared.definition,
            container: prepared.definition.serving(self.on.target.container.as_deref())?,
            command,
        };
        let begun = one_off.start(1).await?;
        one_off.to_its_end(begun).await
    }
}

/// What an update of a service asks for.
#[derive(Debug, Clone, Default)]
struct Wanted<'w> {
    revision: Option<&'w str>,
    configuration: Option<DeploymentConfiguration>,
    force: bool,
}

/// Asks ECS for a deployment; where the answer is lost, looks whether it has begun before it asks again.
async fn update(on: Context<'_>, before: &Service, wanted: &Wanted<'_>) -> Result<Service> {
    let Context { aws, target: Target { cluster, service, .. }, .. } = on;
    let send = async || {
        let call = aws.ecs.write.update_service().cluster(cluster).service(service);
        let call = call.set_task_definition(wanted.revision.map(str::to_owned));
        let call = call.set_force_new_deployment(wanted.force.then_some(true));
        let call = call.set_deployment_configuration(wanted.configuration.clone());
        let reply = call.send().await.answer("ecs:UpdateService").map_err(|error| match error.code() {
            // The revision was registered a moment ago.
            Some("ClientException") if error.message().contains("TaskDefinition not found") => {
                error.with_kind(Kind::NotYet)
            }
            _ => error,
        })?;
        present(reply.service, "ecs:UpdateService", "the service")
    };
    let sent = match insist(send).await {
        Err(error) if error.kind() == Kind::Transient => {
            let now = find_one(&aws.ecs, cluster, service).await?;
            if deployment_id(&now) == deployment_id(before) { insist(send).await } else { Ok(now) }
        }
        sent => sent,
    };
    sent.map_err(|error| error.doing(format!("updating the service {service}")))
}

/// Returns the ARN of the service deployment that an update has begun.
///
/// ECS names it in its answer, or lists it a moment later: then it is the oldest that came after the update, for the
/// next may be somebody else's.
async fn deployment_of(on: Context<'_>, before: &Service, updated: &Service) -> Result<String> {
    let Target { cluster, service, .. } = on.target;
    let known = before.current_service_deployment();
    if let Some(arn) = updated.current_service_deployment()
        && Some(arn) != known
    {
        return Ok(arn.to_owned());
    }
    let since = primary(updated).and_then(Deployment::created_at).map(|at| DateTime::from_secs(at.secs() - EARLIER));
    let begin = tokio::time::Instant::now();
    let mut pause = Duration::from_millis(50);
    loop {
        let listed = on.stop.or(deployments(&on.aws.ecs, cluster, service, since)).await??;
        let new = listed.into_iter().filter(|one| one.service_deployment_arn() != known);
        let oldest = new.min_by_key(|one| one.created_at().map(|at| at.as_nanos()));
        if let Some(arn) = oldest.and_then(|one| one.service_deployment_arn) {
            return Ok(arn);
        }
        if begin.elapsed() >= LISTED {
            return Err(Error::other("ECS has accepted the update, but lists no deployment of it")
                .hint("`ecs-deploy status` says how the service is"));
        }
        on.stop.or(tokio::time::sleep(pause)).await?;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// Deploys a revision that exists, and returns the ARN of the service deployment.
///
/// # Errors
/// Any refusal by ECS.
pub async fn redeploy(on: Context<'_>, service: &Service, revision: &str) -> Result<String> {
    let updated = update(on, service, &Wanted { revision: Some(revision), ..Wanted::default() }).await?;
    deployment_of(on, service, &updated).await
}

/// Returns the newest service deployment of a service.
///
/// # Errors
/// Any refusal by ECS.
pub async fn newest(on: Context<'_>, service: &Service) -> Result<Option<String>> {
    if let Some(arn) = service.current_service_deployment() {
        return Ok(Some(arn.to_owned()));
    }
    let all = deployments(&on.aws.ecs, &on.target.cluster, &on.target.service, None).await?;
    let newest = all.into_iter().max_by_key(|one| one.created_at().map(|at| at.as_nanos()));
    Ok(newest.and_then(|one| one.service_deployment_arn))
}

/// Reads a revision, or the latest one of a family.
///
/// # Errors
/// Any refusal by ECS; there is none.
pub async fn describe(aws: &Aws, name: &str) -> Result<(Definition, Vec<Tag>)> {
    let call = aws.ecs.read.describe_task_definition().task_definition(name).include(TaskDefinitionField::Tags);
    let reply = call.send().await.answer("ecs:DescribeTaskDefinition")?;
    let described = present(reply.task_definition, "ecs:DescribeTaskDefinition", "the task definition")?;
    Ok((Definition::of(&described)?, reply.tags.unwrap_or_default()))
}

fn deployment_id(service: &Service) -> Option<&str> {
    primary(service).and_then(Deployment::id)
}
