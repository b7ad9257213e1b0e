//! A task definition in canonical form: what we own of it, so that what ECS fills in and reorders makes no difference.

mod check;
mod file_system;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::types::{
    ApplicationProtocol, Compatibility, ContainerCondition, ContainerDefinition, ContainerDependency, CpuArchitecture,
    KeyValuePair, LinuxParameters, LogConfiguration, LogDriver, MountPoint, NetworkMode, OsFamily, PortMapping,
    RuntimePlatform, Secret, TaskDefinition, TransportProtocol, Volume,
};
use ecs_core::{Change, Result};

pub use self::check::Check;
pub use self::file_system::FileSystem;
use self::file_system::volumes;
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
mod tests;
