//! A service's task definition: the latest revision of its family.
//!
//! Two owners of one task definition fight over the image
//! (<https://github.com/hashicorp/terraform-provider-aws/issues/632>). Here the image of a family that exists belongs
//! to ecs-deploy: it is no part of the comparison, and a new revision takes over the one that runs. The stack file's
//! image or tag is that of the first revision only.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ecs::types::{
    Compatibility, ContainerCondition, CpuArchitecture, NetworkMode, OsFamily, RuntimePlatform, Tag,
    TaskDefinition as Described, TaskDefinitionField, TaskDefinitionStatus,
};
use ecs_aws::{Answer as _, present};
use ecs_core::id::TaskDefinitionArn;
use ecs_core::member::{Db, Ecr, Iam};
use ecs_core::resource::Means;
use ecs_core::stack::{Architecture, Condition, HealthCheck, Service as Config, Sidecar, partition};
use ecs_core::{Change, Error, Identity, Kind, Owner, Resource, Result, Stack};

use crate::form::{Check, Container, Form, image};
use crate::revisions::{Revisions, is_absent};
use crate::services::Services;
use crate::task_definition_family as family;
use crate::{Ecs, LAYER, ecs};

/// What stands in a secret's source for the secret that RDS keeps the master password in.
const DB_SECRET: &str = "${db.secret_arn}";

/// A task definition for one service.
#[derive(Debug)]
pub struct TaskDefinition {
    identity: Identity,
    form: Rc<Form>,
    /// Image of the first revision
    image: String,
    service: String,
    /// The roles are so new that ECS may not see them yet.
    new_roles: bool,
    known: Known,
}

/// What is known of AWS and shared by all that need it.
#[derive(Debug, Clone)]
pub struct Known {
    /// The stack's services
    pub services: Rc<Services>,
    /// Revisions that were read
    pub revisions: Rc<Revisions>,
}

/// What other layers have made, as far as the task definition needs it.
#[derive(Debug, Clone, Copy)]
pub struct Upstream<'m> {
    /// The roles
    pub iam: &'m Iam,
    /// The repositories; none for an image of the stack file
    pub ecr: Option<&'m Ecr>,
    /// The database; only where a secret refers to it
    pub db: Option<&'m Db>,
    /// Account, for the ARNs of parameters
    pub account: &'m str,
}

/// What ECS says the task definition is.
#[derive(Debug, Clone)]
pub struct Live {
    /// ARN of the latest active revision
    pub arn: TaskDefinitionArn,
    /// The revision itself; none as long as there is none
    pub definition: Option<Rc<Described>>,
    tags: Vec<Tag>,
}

impl Live {
    /// Returns one of which no more than the ARN is known.
    pub fn unknown(arn: TaskDefinitionArn) -> Self {
        Self { arn, definition: None, tags: Vec::new() }
    }
}

impl TaskDefinition {
    /// Makes the task definition of a service.
    ///
    /// # Errors
    /// When a member lacks what the service needs.
    pub fn new(stack: &Stack, (key, service): (&str, &Config), upstream: Upstream<'_>, known: &Known) -> Result<Self> {
        Ok(Self {
            identity: Identity::new(&stack.name, LAYER, service.family(key)),
            form: Rc::new(form(stack, (key, service), upstream)?),
            image: match (&service.image, upstream.ecr) {
                (Some(image), _) => image.clone(),
                (None, ecr) => {
                    let uri = ecr
                        .and_then(|ecr| ecr.repository_uris.get(key))
                        .ok_or_else(|| lacks("ecr", "repository_uris", key))?;
                    format!("{uri}:{}", service.tag)
                }
            },
            service: service.service_name(key),
            new_roles: upstream.iam.new,
            known: known.clone(),
        })
    }

    /// Returns what it is to be.
    pub fn form(&self) -> Rc<Form> {
        Rc::clone(&self.form)
    }

    /// Registers a revision: from scratch, or with what is in `base` and is not ours.
    async fn register(&self, ecs: &Ecs, base: Option<&Described>, image: &str, alone: bool) -> Result<Live> {
        let form = &self.form;
        let platform = RuntimePlatform::builder().operating_system_family(OsFamily::from(form.platform.0.as_str()));
        let platform = platform.cpu_architecture(CpuArchitecture::from(form.platform.1.as_str())).build();
        let containers = base.map(Described::container_definitions).unwrap_or_default();
        let call = ecs.write.register_task_definition().family(&self.identity.name);
        let call = call.requires_compatibilities(Compatibility::Fargate).network_mode(NetworkMode::Awsvpc);
        let call = call.runtime_platform(platform).cpu(&form.cpu).memory(&form.memory);
        let call = call.execution_role_arn(&form.execution_role);
        let call = call.set_task_role_arn((!form.task_role.is_empty()).then(|| form.task_role.clone()));
        let call = call.set_container_definitions(Some(form.containers(containers, image, alone)?));
        let call = match base {
            Some(base) => call
                .set_volumes(base.volumes.clone())
                .set_ephemeral_storage(base.ephemeral_storage.clone())
                .set_proxy_configuration(base.proxy_configuration.clone())
                .set_pid_mode(base.pid_mode.clone())
                .set_enable_fault_injection(base.enable_fault_injection),
            None => call,
        };
        let reply = call.set_tags(Some(ecs::tags(&self.identity))).send().await.answer("ecs:RegisterTaskDefinition");
        let reply = reply.map_err(|error| refused(error, self.new_roles))?;
        let definition = present(reply.task_definition, "ecs:RegisterTaskDefinition", "the task definition")?;
        let live = self.live(definition, reply.tags.unwrap_or_default());
        let expected = base.map_or(1, |base| base.revision() + 1);
        self.give_way(ecs, live, expected, image).await
    }

    /// Gives up a revision that another run registered at the same moment: ECS has no way to register it only once.
    ///
    /// The one with the lower number stays. Numbers go on after a family was deleted, so a high one alone means nothing.
    async fn give_way(&self, ecs: &Ecs, ours: Live, expected: i32, image: &str) -> Result<Live> {
        let Some(number) = ours.definition.as_ref().map(|ours| ours.revision()).filter(|number| *number > expected)
        else {
            return Ok(ours);
        };
        let before = format!("{}:{}", self.identity.name, number - 1);
        let Some(theirs) = self.known.revisions.get(ecs, &before).await? else { return Ok(ours) };
        let same = theirs.status() == Some(&TaskDefinitionStatus::Active)
            && Form::of(&theirs, &self.form).changes(&self.form).is_empty()
            && self::image(&theirs, &self.form) == Some(image);
        if !same {
            return Ok(ours);
        }
        let call = ecs.write.deregister_task_definition().task_definition(ours.arn.as_str());
        call.send().await.answer("ecs:DeregisterTaskDefinition")?;
        let arn = theirs.task_definition_arn().unwrap_or_default().into();
        Ok(Live { arn, definition: Some(theirs), tags: ours.tags })
    }

    fn live(&self, definition: Described, tags: Vec<Tag>) -> Live {
        let definition = self.known.revisions.keep(definition);
        Live { arn: definition.task_definition_arn().unwrap_or_default().into(), definition: Some(definition), tags }
    }

    /// Returns the image that the service runs: after a rollback it is not the latest revision's.
    async fn running_image(&self, ecs: &Ecs) -> Result<Option<String>> {
        let service = self.known.services.find(ecs, &self.service).await?;
        let service = service.filter(|service| service.status() == Some("ACTIVE"));
        let Some(arn) = service.as_ref().and_then(|service| service.task_definition()) else { return Ok(None) };
        let running = self.known.revisions.get(ecs, arn).await?;
        Ok(running.and_then(|running| image(&running, &self.form).map(str::to_owned)))
    }
}

impl Resource for TaskDefinition {
    type Api = Ecs;
    type Live = Live;
    const KIND: &'static str = "task definition";
    /// It exists at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.to_string()
    }

    fn planned(&self) -> Live {
        Live::unknown(TaskDefinitionArn::planned(&self.identity.name))
    }

    async fn find(&self, ecs: &Ecs) -> Result<Option<Live>> {
        let call = ecs.read.describe_task_definition().task_definition(&self.identity.name);
        let reply = call.include(TaskDefinitionField::Tags).send().await.answer("ecs:DescribeTaskDefinition");
        match reply {
            Ok(reply) => {
                let definition = present(reply.task_definition, "ecs:DescribeTaskDefinition", "the task definition")?;
                Ok(Some(self.live(definition, reply.tags.unwrap_or_default())))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn create(&self, ecs: &Ecs) -> Result<Live> {
        self.register(ecs, None, &self.image, true).await
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        live.definition.iter().flat_map(|live| Form::of(live, &self.form).changes(&self.form)).collect()
    }

    /// Registers another revision: one that exists never changes.
    async fn update(&self, ecs: &Ecs, live: &Live, changes: &[Change]) -> Result<()> {
        let running = self.running_image(ecs).await?;
        let latest = live.definition.as_deref();
        let image = running.or_else(|| latest.and_then(|latest| image(latest, &self.form)).map(str::to_owned));
        let alone = changes.iter().any(|change| change.means == Means::Foreign);
        self.register(ecs, latest, &image.unwrap_or_else(|| self.image.clone()), alone).await?;
        Ok(())
    }

    /// Never called: a destroy deletes the whole family.
    async fn delete(&self, _ecs: &Ecs, _live: &Live) -> Result<()> {
        Ok(())
    }

    /// Says whose it is. A revision without tags may be ours all the same: others that deploy register it from what
    /// DescribeTaskDefinition shows, and that has the tags beside the definition, not in it.
    fn owner(&self, live: &Live) -> Owner {
        match ecs::owner(&self.identity, &live.tags) {
            Owner::Nobody => Owner::Unread,
            owner @ (Owner::Ours | Owner::Stack(_) | Owner::Unread) => owner,
        }
    }

    async fn read_owner(&self, ecs: &Ecs, _live: &Live) -> Result<Owner> {
        family::owner(ecs, &self.identity).await
    }

    async fn adopt(&self, ecs: &Ecs, live: &Live) -> Result<()> {
        ecs::adopt(ecs, live.arn.as_str(), &self.identity).await
    }
}

/// Returns what the task definition is to be.
fn form(stack: &Stack, (key, service): (&str, &Config), upstream: Upstream<'_>) -> Result<Form> {
    let region = stack.region.as_deref().unwrap_or_default();
    let secrets = |secrets: &BTreeMap<String, String>| {
        let secrets = secrets.iter().map(|(name, from)| Ok((name.clone(), secret_source(from, region, upstream)?)));
        secrets.collect::<Result<BTreeMap<_, _>>>()
    };
    let log = |prefix: &str| {
        let options = [
            ("awslogs-group", service.log_group(key)),
            ("awslogs-region", region.to_owned()),
            ("awslogs-stream-prefix", prefix.to_owned()),
        ];
        options.map(|(name, value)| (name.to_owned(), value)).into()
    };
    let tables = stack.table_names();
    let environment = |environment: &BTreeMap<String, String>| {
        let resolved = environment.iter().map(|(name, value)| (name.clone(), tables.resolve(value, upstream.account)));
        resolved.collect::<BTreeMap<_, _>>()
    };
    let task_role = upstream.iam.task_role_arns.get(key);
    let processor = match service.architecture {
        Architecture::X86_64 => CpuArchitecture::X8664,
        Architecture::Arm64 => CpuArchitecture::Arm64,
    };
    let sidecar = |(name, sidecar): (&String, &Sidecar)| {
        let container = Container {
            name: name.clone(),
            essential: sidecar.essential,
            ports: sidecar.port.map(port).into_iter().collect(),
            environment: environment(&sidecar.environment),
            secrets: secrets(&sidecar.secrets)?,
            log_driver: "awslogs".to_owned(),
            // The name of a stream is the prefix, the container and the task.
            log_options: log(name),
            image: Some(sidecar.image.clone()),
            cpu: Some(size(sidecar.cpu)),
            memory: Some(size(sidecar.memory)),
            memory_reservation: Some(size(sidecar.memory_reservation)),
            entry_point: Some(sidecar.entry_point.clone()),
            command: Some(sidecar.command.clone()),
            health_check: Some(sidecar.health_check.as_ref().map(check).unwrap_or_default()),
            init: None,
            depends_on: Some(depends_on(&sidecar.depends_on)),
        };
        Ok((name.clone(), container))
    };
    Ok(Form {
        cpu: service.cpu.to_string(),
        memory: service.memory.to_string(),
        execution_role: upstream.iam.execution_role_arn.to_string(),
        task_role: task_role.map(ToString::to_string).unwrap_or_default(),
        network_mode: NetworkMode::Awsvpc.as_str().to_owned(),
        fargate: true,
        platform: (OsFamily::Linux.as_str().to_owned(), processor.as_str().to_owned()),
        container: Container {
            name: service.container(key),
            essential: true,
            ports: BTreeSet::from([port(service.port)]),
            environment: environment(&service.environment),
            secrets: secrets(&service.secrets)?,
            log_driver: "awslogs".to_owned(),
            log_options: log("ecs"),
            memory_reservation: service.memory_reservation.map(|reserved| size(Some(reserved))),
            entry_point: service.entry_point.clone(),
            command: service.command.clone(),
            health_check: service.health_check.as_ref().map(check),
            // ECS Exec's agent leaves processes behind that nobody else would end:
            // <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html>
            init: service.exec.filter(|exec| *exec),
            depends_on: Some(depends_on(&service.depends_on)).filter(|depends_on| !depends_on.is_empty()),
            ..Container::default()
        },
        sidecars: service.sidecars.iter().map(sidecar).collect::<Result<_>>()?,
    })
}

fn port(port: u16) -> (i32, String) {
    (i32::from(port), "tcp".to_owned())
}

/// Returns a size as ECS takes it; 0 for none.
fn size(size: Option<u32>) -> i32 {
    size.map_or(0, |size| i32::try_from(size).unwrap_or(i32::MAX))
}

fn check(check: &HealthCheck) -> Check {
    Check {
        command: check.words(),
        interval: check.interval,
        timeout: check.timeout,
        retries: check.retries,
        start_period: check.start_period,
    }
}

fn depends_on(conditions: &BTreeMap<String, Condition>) -> BTreeMap<String, String> {
    let condition = |condition: &Condition| match condition {
        Condition::Start => ContainerCondition::Start,
        Condition::Complete => ContainerCondition::Complete,
        Condition::Success => ContainerCondition::Success,
        Condition::Healthy => ContainerCondition::Healthy,
    };
    conditions.iter().map(|(name, one)| (name.clone(), condition(one).as_str().to_owned())).collect()
}

/// Returns the ARN that a secret comes from.
///
/// ECS takes a parameter's bare name as well, but only an ARN says which region and account are meant.
fn secret_source(source: &str, region: &str, upstream: Upstream<'_>) -> Result<String> {
    if let Some(rest) = source.strip_prefix(DB_SECRET) {
        let secret = upstream.db.and_then(|db| db.secret_arn.as_ref()).ok_or_else(|| {
            Error::usage(format!("a secret refers to {DB_SECRET}, but the document's member `db` has no secret_arn"))
                .hint("set `password = \"secrets_manager\"` in [db], or refer to a parameter")
        })?;
        return Ok(format!("{secret}{rest}"));
    }
    if source.starts_with("arn:") {
        return Ok(source.to_owned());
    }
    let name = source.trim_start_matches('/');
    Ok(format!("arn:{}:ssm:{region}:{}:parameter/{name}", partition(region), upstream.account))
}

/// Says of a refusal whether the same call may pass later.
///
/// IAM shows a new role everywhere within seconds; until then PassRole is denied
/// (<https://github.com/terraform-aws-modules/terraform-aws-ecs/issues/414>) or the role "is not valid". Two revisions
/// of one family cannot be registered at the same time
/// (<https://github.com/cloudposse/terraform-aws-ecs-alb-service-task/issues/258>).
fn refused(error: Error, new_roles: bool) -> Error {
    let says = |fragment| error.message().contains(fragment);
    match error.code() {
        Some("AccessDeniedException") if new_roles && says("iam:PassRole") => error.with_kind(Kind::NotYet),
        Some("ClientException") if new_roles && says("Role is not valid") => error.with_kind(Kind::NotYet),
        Some("ClientException") if says("Too many concurrent attempts") => error.with_kind(Kind::Throttled),
        _ => error,
    }
}

/// Makes the error of a member that has nothing for a service.
pub fn lacks(member: &str, map: &str, key: &str) -> Error {
    Error::usage(format!("the document's member `{member}` has nothing for the service `{key}`"))
        .hint(format!("`{member}.{map}` needs an entry `{key}`"))
}

#[cfg(test)]
mod tests {
    use ecs_core::member::Member as _;

    use super::*;

    #[test]
    fn the_source_of_a_secret_is_an_arn() {
        let iam = Iam::unknown();
        let db = Db { secret_arn: Some("arn:aws:secretsmanager:r:1:secret:rds!db-1".into()), ..Db::unknown() };
        let upstream = Upstream { iam: &iam, ecr: None, db: Some(&db), account: "123456789012" };
        let cases = [
            ("/ecs/frontend/API_URL", "eu-west-1", "arn:aws:ssm:eu-west-1:123456789012:parameter/ecs/frontend/API_URL"),
            ("plain", "us-gov-west-1", "arn:aws-us-gov:ssm:us-gov-west-1:123456789012:parameter/plain"),
            ("arn:aws:ssm:x:2:parameter/there", "eu-west-1", "arn:aws:ssm:x:2:parameter/there"),
            ("${db.secret_arn}:password::", "eu-west-1", "arn:aws:secretsmanager:r:1:secret:rds!db-1:password::"),
        ];
        for (source, region, arn) in cases {
            assert_eq!(secret_source(source, region, upstream).expect(source), arn);
        }
        assert!(secret_source(DB_SECRET, "eu-west-1", Upstream { db: None, ..upstream }).is_err());
    }

    #[test]
    fn only_a_new_role_is_not_yet() {
        let denied = "User: arn:aws:iam::1:user/ci is not authorized to perform: iam:PassRole on resource: x";
        let other = "User: arn:aws:iam::1:user/ci is not authorized to perform: ecs:RegisterTaskDefinition";
        let busy = "Too many concurrent attempts to create a new revision of the specified family.";
        let cases = [
            ("AccessDeniedException", denied, true, Kind::NotYet),
            ("AccessDeniedException", denied, false, Kind::Other),
            ("AccessDeniedException", other, true, Kind::Other),
            ("ClientException", "Role is not valid", true, Kind::NotYet),
            ("ClientException", "Role is not valid", false, Kind::Other),
            ("ClientException", busy, false, Kind::Throttled),
            ("ClientException", "Invalid 'cpu' setting for task.", true, Kind::Other),
        ];
        for (code, message, new_roles, kind) in cases {
            let error = Error::other(message).answered(Some(code.to_owned()), "ecs:RegisterTaskDefinition", None);
            assert_eq!(refused(error, new_roles).kind(), kind, "{message}");
        }
    }
}
