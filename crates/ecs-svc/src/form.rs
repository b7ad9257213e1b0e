//! A task definition in canonical form: what we own of it, so that what ECS fills in and reorders makes no difference.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::types::{
    ApplicationProtocol, Compatibility, ContainerCondition, ContainerDefinition, ContainerDependency, CpuArchitecture,
    EfsAuthorizationConfig, EfsAuthorizationConfigIam, EfsTransitEncryption, EfsVolumeConfiguration, HealthCheck,
    KeyValuePair, LinuxParameters, LogConfiguration, LogDriver, MountPoint, NetworkMode, OsFamily, PortMapping,
    RuntimePlatform, Secret, TaskDefinition, TransportProtocol, Volume,
};
use ecs_core::{Change, Result};

use crate::ecs;

/// What a difference in a sidecar is called.
const SIDECAR: &str = "sidecar";
/// What a difference in a volume is called.
pub const VOLUME: &str = "volume";

/// What we own of a task definition; the image of the container that serves is not part of it (see
/// [`crate::task_definition`]).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Form {
    /// CPU units
    pub cpu: String,
    /// Memory in MiB
    pub memory: String,
    /// Execution role's ARN
    pub execution_role: String,
    /// Task role's ARN; empty for none
    pub task_role: String,
    /// Always `awsvpc`: Fargate has nothing else
    pub network_mode: String,
    /// Whether it may run on Fargate
    pub fargate: bool,
    /// Operating system and processor
    pub platform: (String, String),
    /// The container that serves
    pub container: Container,
    /// The other containers, by name: the stack file's, and of what is also those that somebody else has put in
    pub sidecars: BTreeMap<String, Container>,
    /// EFS file systems, by the volume's name: the stack file's, and of what is also those that somebody else has put in
    pub volumes: BTreeMap<String, FileSystem>,
}

/// An EFS file system as a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSystem {
    /// Its id
    pub id: String,
    /// Id of the access point; empty for none
    pub access_point: String,
    /// Directory of the file system
    pub root_directory: String,
    /// Whether it is encrypted on its way, and whether IAM decides who may use it
    pub guarded: (bool, bool),
    /// Where it is in the container that serves, and whether that may only read; none for nowhere
    pub mount: Option<(String, bool)>,
}

/// What we own of a container. What is none here of what is wanted is not ours: it stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Container {
    /// Its name
    pub name: String,
    /// Whether the task stops with it
    pub essential: bool,
    /// Ports with their protocol
    pub ports: BTreeSet<(i32, String)>,
    /// Name of the first port, and the protocol that Service Connect takes it for; empty for none
    pub port_name: Option<(String, String)>,
    /// Environment variables
    pub environment: BTreeMap<String, String>,
    /// Secret environment variables, with the ARN of the parameter or secret
    pub secrets: BTreeMap<String, String>,
    /// Log driver
    pub log_driver: String,
    /// Options of the log driver
    pub log_options: BTreeMap<String, String>,
    /// Image, of a sidecar
    pub image: Option<String>,
    /// CPU units kept for it; 0 for none
    pub cpu: Option<i32>,
    /// Hard limit in MiB; 0 for none
    pub memory: Option<i32>,
    /// Soft limit in MiB; 0 for none
    pub memory_reservation: Option<i32>,
    /// Entry point; empty for the image's
    pub entry_point: Option<Vec<String>>,
    /// Command; empty for the image's
    pub command: Option<Vec<String>>,
    /// Check that ECS runs inside it
    pub health_check: Option<Check>,
    /// Whether ECS puts an init process into it, as ECS Exec would have it
    pub init: Option<bool>,
    /// How far which other containers must have come before it starts
    pub depends_on: Option<BTreeMap<String, String>>,
}

/// A check that ECS runs inside a container; times are in seconds. One without a command is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Check {
    /// Its command
    pub command: Vec<String>,
    /// Time between two checks
    pub interval: i32,
    /// Time that a check may take
    pub timeout: i32,
    /// Number of checks in a row that must fail
    pub retries: i32,
    /// Time after the start in which failed checks do not count
    pub start_period: i32,
}

impl Form {
    /// Returns what a task definition is, seen as what it is to be: that tells which container serves.
    ///
    /// ECS fills in `essential`, `hostPort` and `protocol`, sorts `environment`, turns "1 vCPU" and "2 GB" into numbers
    /// and shows lists that were not sent as empty ones.
    /// A missing `runtimePlatform` is Linux on X86_64
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RuntimePlatform.html>).
    pub fn of(definition: &TaskDefinition, wanted: &Self) -> Self {
        let serving = wanted.serving(definition.container_definitions());
        let others = definition.container_definitions().iter().enumerate();
        let others = others.filter(|(index, _)| Some(*index) != serving).map(|(_, other)| Container::of(other));
        let serving = serving.and_then(|index| definition.container_definitions().get(index));
        let platform = definition.runtime_platform();
        let system = platform.and_then(RuntimePlatform::operating_system_family).unwrap_or(&OsFamily::Linux);
        let processor = platform.and_then(RuntimePlatform::cpu_architecture).unwrap_or(&CpuArchitecture::X8664);
        Self {
            cpu: units(definition.cpu(), "vcpu"),
            memory: units(definition.memory(), "gb"),
            execution_role: text(definition.execution_role_arn()),
            task_role: text(definition.task_role_arn()),
            network_mode: definition.network_mode().map(NetworkMode::as_str).unwrap_or_default().to_owned(),
            fargate: definition.requires_compatibilities().contains(&Compatibility::Fargate),
            platform: (system.as_str().to_owned(), processor.as_str().to_owned()),
            container: serving.map(Container::of).unwrap_or_default(),
            sidecars: others.map(|other| (other.name.clone(), other)).collect(),
            volumes: volumes(definition.volumes(), serving.map(ContainerDefinition::mount_points).unwrap_or_default()),
        }
    }

    /// Compares what is with what is wanted. No value of an environment variable is shown, and no command that is not the
    /// file's: it may hold a secret that somebody has put there.
    pub fn changes(&self, wanted: &Self) -> Vec<Change> {
        let platform = |form: &Self| format!("{}/{}", form.platform.0, form.platform.1);
        let compatibility = |form: &Self| if form.fargate { "FARGATE" } else { "" }.to_owned();
        let task = [
            Change::of("cpu", &self.cpu, &wanted.cpu),
            Change::of("memory", &self.memory, &wanted.memory),
            Change::of("execution role", &self.execution_role, &wanted.execution_role),
            Change::of("task role", &self.task_role, &wanted.task_role),
            Change::of("network mode", &self.network_mode, &wanted.network_mode),
            Change::of("compatibility", &compatibility(self), &compatibility(wanted)),
            Change::of("runtime platform", &platform(self), &platform(wanted)),
            Change::of("container", &self.container.name, &wanted.container.name),
        ];
        let sidecars = wanted.sidecars.iter().flat_map(|(name, wanted)| {
            let Some(is) = self.sidecars.get(name) else { return vec![Change::update(SIDECAR, "", name)] };
            let of = |change: &Change, value: &str| match value {
                "" => String::new(),
                value => format!("{name} {} {value}", change.field),
            };
            let changes = is.changes(wanted);
            changes.iter().map(|one| Change::update(SIDECAR, of(one, &one.from), of(one, &one.to))).collect()
        });
        let others = self.sidecars.keys().filter(|other| !wanted.sidecars.contains_key(*other));
        let others = others.map(|other| Change::foreign("container", other));
        let serving = self.container.changes(&wanted.container);
        let volumes = wanted.volumes.iter().filter_map(|(name, wanted)| {
            let show = |volume: &FileSystem| format!("{name} {volume}");
            Change::of(VOLUME, &self.volumes.get(name).map(show).unwrap_or_default(), &show(wanted))
        });
        let foreign = self.volumes.keys().filter(|other| !wanted.volumes.contains_key(*other));
        let volumes = volumes.chain(foreign.map(|other| Change::foreign(VOLUME, other)));
        task.into_iter().flatten().chain(serving).chain(sidecars).chain(volumes).chain(others).collect()
    }

    /// Returns the volumes to register: those of `base` with ours changed to fit; without `others`.
    pub fn volumes(&self, base: &[Volume], others: &[&str]) -> Result<Vec<Volume>> {
        let name = |volume: &Volume| text(volume.name());
        let kept = base.iter().filter(|volume| !self.volumes.contains_key(&name(volume)));
        let kept = kept.filter(|volume| !others.contains(&name(volume).as_str())).cloned().map(Ok);
        kept.chain(self.volumes.iter().map(|(name, volume)| volume.build(name))).collect()
    }

    /// Returns the containers to register: those of `base` with ours changed to fit, or ours alone; `others` are the volumes
    /// that go.
    ///
    /// What we do not own of our container stays: mount points, limits, whatever the stack file says nothing of.
    pub fn containers(
        &self,
        base: &[ContainerDefinition],
        image: &str,
        (alone, others): (bool, &[&str]),
    ) -> Result<Vec<ContainerDefinition>> {
        let serving = self.serving(base);
        let mut containers = Vec::new();
        for (index, container) in base.iter().enumerate() {
            let sidecar = container.name().and_then(|name| self.sidecars.get(name));
            match sidecar {
                _ if Some(index) == serving => containers.push(self.container.over(container.clone(), image)?),
                Some(sidecar) => containers.push(sidecar.over(container.clone(), &text(sidecar.image.as_deref()))?),
                None if alone => {}
                None => containers.push(container.clone()),
            }
        }
        let new = || ContainerDefinition::builder().build();
        if serving.is_none() {
            containers.insert(0, self.container.over(new(), image)?);
        }
        for (name, sidecar) in &self.sidecars {
            if !base.iter().any(|container| container.name() == Some(name)) {
                containers.push(sidecar.over(new(), &text(sidecar.image.as_deref()))?);
            }
        }
        let serving = self.serving(&containers);
        for (index, container) in containers.iter_mut().enumerate() {
            let mut points = container.mount_points.take().unwrap_or_default();
            points.retain(|point| !others.contains(&point.source_volume().unwrap_or_default()));
            if Some(index) == serving {
                points.retain(|point| !self.volumes.contains_key(&text(point.source_volume())));
                points.extend(self.volumes.iter().filter_map(|(name, volume)| {
                    let (path, read_only) = volume.mount.as_ref()?;
                    let point = MountPoint::builder().source_volume(name).container_path(path);
                    Some(point.read_only(*read_only).build())
                }));
            }
            container.mount_points = Some(points).filter(|points| !points.is_empty());
        }
        if alone {
            // Nobody can wait for a container that is not there any more.
            let names: BTreeSet<String> = containers.iter().map(|container| text(container.name())).collect();
            for depends_on in containers.iter_mut().filter_map(|container| container.depends_on.as_mut()) {
                depends_on.retain(|dependency| names.contains(dependency.container_name()));
            }
        }
        Ok(containers)
    }

    /// Returns the place of the container that serves: the one of its name, else the one that had another name before,
    /// which is the first with a port. A sidecar of the stack file is neither.
    fn serving(&self, containers: &[ContainerDefinition]) -> Option<usize> {
        let named = containers.iter().position(|container| container.name() == Some(&self.container.name));
        let sidecar =
            |container: &ContainerDefinition| container.name().is_some_and(|name| self.sidecars.contains_key(name));
        let open = || containers.iter().position(|one| !one.port_mappings().is_empty() && !sidecar(one));
        named.or_else(open).or_else(|| containers.iter().position(|container| !sidecar(container)))
    }
}

impl FileSystem {
    fn build(&self, name: &str) -> Result<Volume> {
        let authorization = EfsAuthorizationConfig::builder()
            .set_access_point_id((!self.access_point.is_empty()).then(|| self.access_point.clone()))
            .iam(EfsAuthorizationConfigIam::Enabled);
        let efs = EfsVolumeConfiguration::builder().file_system_id(&self.id).root_directory(&self.root_directory);
        let efs = efs.transit_encryption(EfsTransitEncryption::Enabled).authorization_config(authorization.build());
        Ok(Volume::builder().name(name).efs_volume_configuration(ecs::built(efs.build())?).build())
    }
}

impl std::fmt::Display for FileSystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, access_point, root_directory, guarded, mount } = self;
        write!(f, "{id}{root_directory}")?;
        if !access_point.is_empty() {
            write!(f, " through {access_point}")?;
        }
        match mount {
            Some((path, true)) => write!(f, " at {path}, read only")?,
            Some((path, false)) => write!(f, " at {path}")?,
            None => f.write_str(" nowhere")?,
        }
        if *guarded == (true, true) { Ok(()) } else { f.write_str(", not encrypted on its way or open to all") }
    }
}

/// Reads the EFS file systems among the volumes, with where the container has them.
fn volumes(volumes: &[Volume], points: &[MountPoint]) -> BTreeMap<String, FileSystem> {
    let read = |volume: &Volume| {
        let efs = volume.efs_volume_configuration()?;
        let authorization = efs.authorization_config();
        let point = points.iter().find(|point| point.source_volume() == volume.name());
        let found = FileSystem {
            id: efs.file_system_id().to_owned(),
            access_point: text(authorization.and_then(EfsAuthorizationConfig::access_point_id)),
            root_directory: efs.root_directory().filter(|root| !root.is_empty()).unwrap_or("/").to_owned(),
            guarded: (
                efs.transit_encryption() == Some(&EfsTransitEncryption::Enabled),
                authorization.and_then(EfsAuthorizationConfig::iam) == Some(&EfsAuthorizationConfigIam::Enabled),
            ),
            mount: point.map(|point| (text(point.container_path()), point.read_only().unwrap_or_default())),
        };
        Some((text(volume.name()), found))
    };
    volumes.iter().filter_map(read).collect()
}

impl Container {
    fn of(container: &ContainerDefinition) -> Self {
        let protocol =
            |mapping: &PortMapping| mapping.protocol().unwrap_or(&TransportProtocol::Tcp).as_str().to_owned();
        let ports = container.port_mappings().iter();
        let environment = container.environment().iter();
        let secrets = container.secrets().iter();
        let log = container.log_configuration();
        let options = log.and_then(LogConfiguration::options).into_iter().flatten();
        let depends_on = container.depends_on().iter();
        let dependency =
            |one: &ContainerDependency| (one.container_name().to_owned(), one.condition().as_str().to_owned());
        Self {
            name: text(container.name()),
            essential: container.essential().unwrap_or(true),
            ports: ports.filter_map(|mapping| Some((mapping.container_port()?, protocol(mapping)))).collect(),
            port_name: container
                .port_mappings()
                .first()
                .map(|mapping| (text(mapping.name()), text(mapping.app_protocol().map(ApplicationProtocol::as_str)))),
            environment: environment.map(|pair| (text(pair.name()), text(pair.value()))).collect(),
            secrets: secrets.map(|secret| (secret.name().to_owned(), secret.value_from().to_owned())).collect(),
            log_driver: log.map(|log| log.log_driver().as_str().to_owned()).unwrap_or_default(),
            log_options: options.map(|(name, value)| (name.clone(), value.clone())).collect(),
            image: Some(text(container.image())),
            cpu: Some(container.cpu()),
            memory: Some(container.memory().unwrap_or_default()),
            memory_reservation: Some(container.memory_reservation().unwrap_or_default()),
            entry_point: Some(container.entry_point().to_vec()),
            command: Some(container.command().to_vec()),
            health_check: Some(container.health_check().map(Check::of).unwrap_or_default()),
            init: Some(
                container.linux_parameters().and_then(LinuxParameters::init_process_enabled).unwrap_or_default(),
            ),
            depends_on: Some(depends_on.map(dependency).collect()),
        }
    }

    /// Compares all but the name.
    fn changes(&self, wanted: &Self) -> Vec<Change> {
        let ports = |container: &Self| {
            let ports: Vec<_> = container.ports.iter().map(|(port, protocol)| format!("{port}/{protocol}")).collect();
            ports.join(" ")
        };
        let number = |field, is: Option<i32>, wanted: Option<i32>| {
            owned(field, is, wanted, |number| match number {
                0 => String::new(),
                number => number.to_string(),
            })
        };
        // What is there may be anybody's, and hold what nobody should read.
        let words = |field, is: &Option<Vec<String>>, wanted: &Option<Vec<String>>| {
            let change = owned(field, is.clone(), wanted.clone(), |words| line(words))?;
            Some(Change { from: hidden(&change.from), ..change })
        };
        let check = owned("health check", self.health_check.clone(), wanted.health_check.clone(), ToString::to_string);
        let depends_on = |of: &BTreeMap<String, String>| {
            of.iter().map(|(name, condition)| format!("{name} {condition}")).collect::<Vec<_>>().join(", ")
        };
        let single = [
            Change::of("essential", &self.essential, &wanted.essential),
            Change::of("ports", &ports(self), &ports(wanted)),
            owned("port name", self.port_name.clone(), wanted.port_name.clone(), |(name, protocol)| {
                format!("{name} {protocol}").trim().to_owned()
            }),
            Change::of("log driver", &self.log_driver, &wanted.log_driver),
            owned("image", self.image.clone(), wanted.image.clone(), Clone::clone),
            number("container cpu", self.cpu, wanted.cpu),
            number("container memory", self.memory, wanted.memory),
            number("memory reservation", self.memory_reservation, wanted.memory_reservation),
            words("entry point", &self.entry_point, &wanted.entry_point),
            words("command", &self.command, &wanted.command),
            check.map(|change| Change { from: hidden(&change.from), ..change }),
            owned("init process", self.init, wanted.init, ToString::to_string),
            owned("dependencies", self.depends_on.clone(), wanted.depends_on.clone(), depends_on),
        ];
        let maps = [
            pairs("environment variable", &self.environment, &wanted.environment, |name, _| name.to_owned()),
            pairs("secret", &self.secrets, &wanted.secrets, |name, from| format!("{name} from {from}")),
            pairs("log option", &self.log_options, &wanted.log_options, |name, value| format!("{name}={value}")),
        ];
        single.into_iter().flatten().chain(maps.into_iter().flatten()).collect()
    }

    /// Returns `container` changed to fit, with that image.
    fn over(&self, mut container: ContainerDefinition, image: &str) -> Result<ContainerDefinition> {
        let is = Self::of(&container);
        container.name = Some(self.name.clone());
        container.image = Some(image.to_owned());
        container.essential = Some(self.essential);
        // What fits already keeps what else it holds, such as a port's name.
        if is.ports != self.ports {
            let ports = self.ports.iter().map(|(port, protocol)| {
                PortMapping::builder().container_port(*port).protocol(protocol.as_str().into()).build()
            });
            container.port_mappings = Some(ports.collect());
        }
        if let Some((name, protocol)) = &self.port_name
            && let Some(mapping) = container.port_mappings.as_mut().and_then(|mappings| mappings.first_mut())
        {
            mapping.name = Some(name.clone());
            mapping.app_protocol = (!protocol.is_empty()).then(|| ApplicationProtocol::from(protocol.as_str()));
        }
        let environment = self.environment.iter();
        let environment = environment.map(|(name, value)| KeyValuePair::builder().name(name).value(value).build());
        container.environment = Some(environment.collect());
        let secrets = self.secrets.iter();
        let secrets = secrets.map(|(name, from)| ecs::built(Secret::builder().name(name).value_from(from).build()));
        container.secrets = Some(secrets.collect::<Result<_>>()?);
        if (&is.log_driver, &is.log_options) != (&self.log_driver, &self.log_options) {
            let log = LogConfiguration::builder().log_driver(LogDriver::from(self.log_driver.as_str()));
            let options = self.log_options.clone().into_iter().collect();
            container.log_configuration = Some(ecs::built(log.set_options(Some(options)).build())?);
        }
        if let Some(cpu) = self.cpu {
            container.cpu = cpu;
        }
        let size = |size: i32| Some(size).filter(|size| *size > 0);
        if let Some(memory) = self.memory {
            container.memory = size(memory);
        }
        if let Some(reserved) = self.memory_reservation {
            container.memory_reservation = size(reserved);
        }
        if let Some(words) = &self.entry_point {
            container.entry_point = Some(words.clone()).filter(|words| !words.is_empty());
        }
        if let Some(words) = &self.command {
            container.command = Some(words.clone()).filter(|words| !words.is_empty());
        }
        if let Some(check) = &self.health_check {
            container.health_check = check.build()?;
        }
        if let Some(init) = self.init {
            let mut parameters = container.linux_parameters.unwrap_or_else(|| LinuxParameters::builder().build());
            parameters.init_process_enabled = Some(init);
            container.linux_parameters = Some(parameters);
        }
        if let Some(depends_on) = &self.depends_on {
            let depends_on = depends_on.iter().map(|(name, condition)| {
                let condition = ContainerCondition::from(condition.as_str());
                ecs::built(ContainerDependency::builder().container_name(name).condition(condition).build())
            });
            container.depends_on = Some(depends_on.collect::<Result<_>>()?);
        }
        Ok(container)
    }
}

impl Check {
    /// ECS fills in what was not sent, but for the start period (`HealthCheck`).
    fn of(check: &HealthCheck) -> Self {
        Self {
            command: check.command().to_vec(),
            interval: check.interval().unwrap_or(30),
            timeout: check.timeout().unwrap_or(5),
            retries: check.retries().unwrap_or(3),
            start_period: check.start_period().unwrap_or_default(),
        }
    }

    fn build(&self) -> Result<Option<HealthCheck>> {
        let Self { command, interval, timeout, retries, start_period } = self;
        if command.is_empty() {
            return Ok(None);
        }
        let check = HealthCheck::builder().set_command(Some(command.clone())).interval(*interval).timeout(*timeout);
        ecs::built(check.retries(*retries).start_period(*start_period).build()).map(Some)
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, interval, timeout, retries, start_period } = self;
        if command.is_empty() {
            return Ok(());
        }
        let command = line(command);
        write!(f, "{command} every {interval} s for {timeout} s, {retries} times, after {start_period} s")
    }
}

/// Returns the image of the container that serves.
pub fn image<'d>(definition: &'d TaskDefinition, wanted: &Form) -> Option<&'d str> {
    let containers = definition.container_definitions();
    containers.get(wanted.serving(containers)?)?.image()
}

/// Compares what is ours only where the stack file says what it is to be.
fn owned<T: PartialEq + Default>(
    field: &'static str,
    is: Option<T>,
    wanted: Option<T>,
    show: impl Fn(&T) -> String,
) -> Option<Change> {
    let (is, wanted) = (is.unwrap_or_default(), wanted?);
    (is != wanted).then(|| Change::update(field, show(&is), show(&wanted)))
}

/// Stands for a value that is not shown.
fn hidden(value: &str) -> String {
    if value.is_empty() { String::new() } else { "another".to_owned() }
}

/// Shows the words of a command line as ECS has them; nothing for none.
fn line(words: &[String]) -> String {
    if words.is_empty() { String::new() } else { format!("{words:?}") }
}

/// Compares two maps entry by entry.
fn pairs(
    field: &'static str,
    is: &BTreeMap<String, String>,
    to_be: &BTreeMap<String, String>,
    show: impl Fn(&str, &str) -> String,
) -> Vec<Change> {
    let names: BTreeSet<&String> = is.keys().chain(to_be.keys()).collect();
    let change = |name: &String| match (is.get(name), to_be.get(name)) {
        (Some(from), Some(to)) if from == to => None,
        (Some(from), Some(to)) => {
            let (from, to) = (show(name, from), show(name, to));
            // A change whose values are not shown still has to read as one.
            let to = if from == to { format!("{to} with another value") } else { to };
            Some(Change::update(field, from, to))
        }
        (from, to) => {
            let shown = |value: Option<&String>| value.map(|value| show(name, value)).unwrap_or_default();
            Some(Change::update(field, shown(from), shown(to)))
        }
    };
    names.into_iter().filter_map(change).collect()
}

/// Returns a size in CPU units or MiB: "512", or "0.5 vCPU" and "1 GB", whatever their case and spaces.
fn units(size: Option<&str>, unit: &str) -> String {
    let size = size.unwrap_or_default().to_ascii_lowercase().replace(' ', "");
    let number = size.strip_suffix(unit).and_then(|number| number.parse::<f64>().ok());
    match number {
        Some(number) => format!("{:.0}", number * 1024.0),
        None => size,
    }
}

fn text(value: Option<&str>) -> String {
    value.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use ecs_core::resource::Means;

    use super::*;

    fn wanted() -> Form {
        let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Form {
            cpu: "1024".to_owned(),
            memory: "2048".to_owned(),
            execution_role: "arn:aws:iam::1:role/e".to_owned(),
            task_role: String::new(),
            network_mode: "awsvpc".to_owned(),
            fargate: true,
            platform: ("LINUX".to_owned(), "X86_64".to_owned()),
            container: Container {
                name: "app".to_owned(),
                essential: true,
                ports: BTreeSet::from([(3001, "tcp".to_owned())]),
                environment: map(&[("A", "1"), ("B", "2")]),
                secrets: map(&[("S", "arn:aws:ssm:r:1:parameter/s")]),
                log_driver: "awslogs".to_owned(),
                log_options: map(&[("awslogs-group", "/g")]),
                ..Container::default()
            },
            sidecars: BTreeMap::new(),
            volumes: BTreeMap::new(),
        }
    }

    /// What ECS reads back of the wanted form: sizes in words, a `hostPort`, sorted otherwise, `essential` left out.
    fn live() -> TaskDefinition {
        let pair = |name: &str, value: &str| KeyValuePair::builder().name(name).value(value).build();
        let log = LogConfiguration::builder().log_driver(LogDriver::Awslogs).options("awslogs-group", "/g").build();
        let container = ContainerDefinition::builder()
            .name("app")
            .image("nginx:live")
            .port_mappings(PortMapping::builder().container_port(3001).host_port(3001).build())
            .environment(pair("B", "2"))
            .environment(pair("A", "1"))
            .secrets(Secret::builder().name("S").value_from("arn:aws:ssm:r:1:parameter/s").build().expect("complete"))
            .set_mount_points(Some(Vec::new()))
            .log_configuration(log.expect("complete"));
        TaskDefinition::builder()
            .cpu("1 vCPU")
            .memory("2GB")
            .execution_role_arn("arn:aws:iam::1:role/e")
            .network_mode(NetworkMode::Awsvpc)
            .requires_compatibilities(Compatibility::Fargate)
            .container_definitions(container.build())
            .build()
    }

    #[test]
    fn what_ecs_fills_in_and_reorders_is_no_difference() {
        assert_eq!(Form::of(&live(), &wanted()).changes(&wanted()), []);
    }

    #[test]
    fn sizes_are_numbers_whatever_they_were_written_as() {
        for (size, unit, number) in
            [("512", "vcpu", "512"), (".5 vcpu", "vcpu", "512"), ("1 vCPU", "vcpu", "1024"), ("2GB", "gb", "2048")]
        {
            assert_eq!(units(Some(size), unit), number, "{size}");
        }
    }

    #[test]
    fn every_difference_is_named_and_no_value_of_a_variable_is() {
        type Case = (&'static str, fn(&mut Form));
        let cases: [Case; 6] = [
            ("cpu: 256 -> 1024", |form| form.cpu = "256".to_owned()),
            ("ports: 80/tcp -> 3001/tcp", |form| form.container.ports = BTreeSet::from([(80, "tcp".to_owned())])),
            ("environment variable: A -> A with another value", |form| {
                form.container.environment.insert("A".to_owned(), "hunter2".to_owned());
            }),
            ("environment variable: remove C", |form| {
                form.container.environment.insert("C".to_owned(), "hunter2".to_owned());
            }),
            ("environment variable: add B", |form| drop(form.container.environment.remove("B"))),
            ("secret: S from arn:old -> S from arn:aws:ssm:r:1:parameter/s", |form| {
                form.container.secrets.insert("S".to_owned(), "arn:old".to_owned());
            }),
        ];
        for (line, change) in cases {
            let mut is = wanted();
            change(&mut is);
            let changes: Vec<_> = is.changes(&wanted()).iter().map(ToString::to_string).collect();
            assert_eq!(changes, [line]);
        }
    }

    #[test]
    fn a_sidecar_is_somebody_elses_and_stays() {
        let mut live = live();
        let sidecar = ContainerDefinition::builder().name("datadog").image("agent").build();
        live.container_definitions.get_or_insert_default().insert(0, sidecar);
        let changes = Form::of(&live, &wanted()).changes(&wanted());
        assert_eq!(changes, [Change::foreign("container", "datadog")]);
        assert_eq!(changes[0].means, Means::Foreign);
        let names = |alone| {
            let containers =
                wanted().containers(live.container_definitions(), "nginx:live", (alone, &[])).expect("built");
            containers.iter().map(|container| text(container.name())).collect::<Vec<_>>()
        };
        assert_eq!(names(false), ["datadog", "app"]);
        assert_eq!(names(true), ["app"]);
    }

    #[test]
    fn what_we_do_not_own_of_our_container_stays() {
        let mut live = live();
        let ours = &mut live.container_definitions.get_or_insert_default()[0];
        ours.user = Some("1000".to_owned());
        ours.environment = None;
        let containers = wanted().containers(live.container_definitions(), "nginx:live", (false, &[])).expect("built");
        assert_eq!(containers[0].user(), Some("1000"));
        assert_eq!(containers[0].environment().len(), 2);
        assert_eq!(containers[0].image(), Some("nginx:live"));
    }

    #[test]
    fn a_container_with_another_name_is_renamed_and_keeps_its_image() {
        let live = live();
        let mut renamed = wanted();
        renamed.container.name = "web".to_owned();
        assert_eq!(Form::of(&live, &renamed).changes(&renamed), [Change::update("container", "app", "web")]);
        assert_eq!(image(&live, &renamed), Some("nginx:live"));
    }

    /// The wanted form with all that a stack file can say of a container, and a sidecar.
    fn everything() -> Form {
        let mut form = wanted();
        let check = Check {
            command: vec!["CMD-SHELL".to_owned(), "true".to_owned()],
            interval: 30,
            timeout: 5,
            retries: 3,
            start_period: 0,
        };
        let own = &mut form.container;
        own.memory_reservation = Some(512);
        own.entry_point = Some(vec!["/bin/start".to_owned()]);
        own.command = Some(Vec::new());
        own.health_check = Some(check);
        own.init = Some(true);
        own.depends_on = Some(BTreeMap::from([("agent".to_owned(), "START".to_owned())]));
        let agent = Container {
            name: "agent".to_owned(),
            ports: BTreeSet::from([(4317, "tcp".to_owned())]),
            image: Some("agent:1".to_owned()),
            cpu: Some(128),
            memory: Some(256),
            memory_reservation: Some(0),
            entry_point: Some(Vec::new()),
            command: Some(vec!["serve".to_owned()]),
            health_check: Some(Check::default()),
            depends_on: Some(BTreeMap::new()),
            log_driver: "awslogs".to_owned(),
            ..Container::default()
        };
        form.sidecars.insert("agent".to_owned(), agent);
        form
    }

    #[test]
    fn all_that_a_file_says_is_registered_and_then_is_no_difference() {
        let everything = everything();
        let mut live = live();
        let lines: Vec<_> = Form::of(&live, &everything).changes(&everything).iter().map(ToString::to_string).collect();
        let expected = [
            "memory reservation: add 512",
            "entry point: add [\"/bin/start\"]",
            "health check: add [\"CMD-SHELL\", \"true\"] every 30 s for 5 s, 3 times, after 0 s",
            "init process: false -> true",
            "dependencies: add agent START",
            "sidecar: add agent",
        ];
        assert_eq!(lines, expected);
        let containers =
            everything.containers(live.container_definitions(), "nginx:live", (false, &[])).expect("built");
        assert_eq!(containers[1].image(), Some("agent:1"));
        live.container_definitions = Some(containers);
        // What ECS leaves out of what was sent.
        live.container_definitions.as_mut().expect("some")[0].health_check.as_mut().expect("one").start_period = None;
        assert_eq!(Form::of(&live, &everything).changes(&everything), []);
        // Without a word in the file all of it stays, and the sidecar is somebody else's.
        assert_eq!(Form::of(&live, &wanted()).changes(&wanted()), [Change::foreign("container", "agent")]);
        let kept = wanted().containers(live.container_definitions(), "nginx:next", (false, &[])).expect("built");
        assert_eq!(kept[0].health_check(), live.container_definitions()[0].health_check());
        assert_eq!(kept[1], live.container_definitions()[1]);
        let pruned = wanted().containers(live.container_definitions(), "nginx:next", (true, &[])).expect("built");
        assert_eq!((pruned.len(), pruned[0].depends_on()), (1, [].as_slice()));
    }

    #[test]
    fn a_sidecar_of_the_file_is_owned_with_its_image_and_no_command_of_others_is_shown() {
        let everything = everything();
        let mut live = live();
        let containers =
            everything.containers(live.container_definitions(), "nginx:live", (false, &[])).expect("built");
        live.container_definitions = Some(containers);
        let agent = &mut live.container_definitions.as_mut().expect("some")[1];
        agent.image = Some("agent:0".to_owned());
        agent.command = Some(vec!["--password=hunter2".to_owned()]);
        agent.cpu = 0;
        let lines: Vec<_> = Form::of(&live, &everything).changes(&everything).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "sidecar: agent image agent:0 -> agent image agent:1",
                "sidecar: add agent container cpu 128",
                "sidecar: agent command another -> agent command [\"serve\"]",
            ]
        );
    }

    #[test]
    fn a_sidecar_with_a_port_is_not_taken_for_the_container_that_serves() {
        let everything = everything();
        let mut live = live();
        let mut containers =
            everything.containers(live.container_definitions(), "nginx:live", (false, &[])).expect("built");
        containers.reverse();
        containers[1].name = Some("before".to_owned());
        live.container_definitions = Some(containers);
        assert_eq!(image(&live, &everything), Some("nginx:live"));
        assert_eq!(Form::of(&live, &everything).changes(&everything), [Change::update("container", "before", "app")]);
    }

    #[test]
    fn a_file_system_comes_goes_and_leaves_the_others_alone() {
        let data = FileSystem {
            id: "fs-1".to_owned(),
            access_point: "fsap-1".to_owned(),
            root_directory: "/".to_owned(),
            guarded: (true, true),
            mount: Some(("/data".to_owned(), true)),
        };
        let with = Form { volumes: BTreeMap::from([("data".to_owned(), data)]), ..wanted() };
        let containers = with.containers(&[], "nginx:1", (true, &[])).expect("built");
        let definition = |containers: Vec<ContainerDefinition>, volumes: Vec<Volume>| {
            let definition = TaskDefinition::builder().set_container_definitions(Some(containers));
            definition.set_volumes(Some(volumes)).build()
        };
        let live = definition(containers, with.volumes(&[], &[]).expect("built"));
        assert_eq!(Form::of(&live, &with).volumes, with.volumes);
        let text = |wanted: &Form| -> Vec<String> {
            let changes = Form::of(&live, wanted).changes(wanted);
            changes.iter().filter(|change| change.field == VOLUME).map(ToString::to_string).collect()
        };
        assert_eq!(text(&with), [""; 0]);
        // Without a word in the file it is somebody else's, and goes with --prune, from the containers too.
        assert_eq!(text(&wanted()), ["volume: remove data"]);
        let kept = wanted().containers(live.container_definitions(), "nginx:1", (false, &[])).expect("built");
        assert_eq!(kept[0].mount_points().len(), 1);
        let pruned = wanted().containers(live.container_definitions(), "nginx:1", (false, &["data"])).expect("built");
        assert_eq!(pruned[0].mount_points(), []);
        assert_eq!(wanted().volumes(live.volumes(), &["data"]).expect("built"), []);
        let mut open = with.clone();
        for volume in open.volumes.values_mut() {
            (volume.guarded, volume.mount) = ((false, true), Some(("/data".to_owned(), false)));
        }
        let change = open.changes(&with);
        let line = "volume: data fs-1/ through fsap-1 at /data, not encrypted on its way or open to all -> data fs-1/ through fsap-1 at /data, read only";
        assert_eq!(change.last().map(ToString::to_string).as_deref(), Some(line));
    }
}
