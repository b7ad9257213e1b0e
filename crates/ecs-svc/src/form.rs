//! A task definition in canonical form: what we own of it, so that what ECS fills in and reorders makes no difference.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ecs::types::{
    Compatibility, ContainerDefinition, CpuArchitecture, KeyValuePair, LogConfiguration, LogDriver, NetworkMode,
    OsFamily, PortMapping, RuntimePlatform, Secret, TaskDefinition, TransportProtocol,
};
use ecs_core::{Change, Result};

use crate::ecs;

/// What we own of a task definition; the image is not part of it (see [`crate::task_definition`]).
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
    /// Names of the other containers, which somebody else has put in
    pub others: Vec<String>,
}

/// What we own of the container that serves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Container {
    /// Its name
    pub name: String,
    /// Whether the task stops with it
    pub essential: bool,
    /// Ports with their protocol
    pub ports: BTreeSet<(i32, String)>,
    /// Environment variables
    pub environment: BTreeMap<String, String>,
    /// Secret environment variables, with the ARN of the parameter or secret
    pub secrets: BTreeMap<String, String>,
    /// Log driver
    pub log_driver: String,
    /// Options of the log driver
    pub log_options: BTreeMap<String, String>,
}

impl Form {
    /// Returns what a task definition is, with the container of that name as the one that serves.
    ///
    /// ECS fills in `essential`, `hostPort` and `protocol`, sorts `environment`, turns "1 vCPU" and "2 GB" into numbers
    /// and shows lists that were not sent as empty ones.
    /// A missing `runtimePlatform` is Linux on X86_64
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RuntimePlatform.html>).
    pub fn of(definition: &TaskDefinition, container: &str) -> Self {
        let serving = serving(definition.container_definitions(), container);
        let others = definition.container_definitions().iter().enumerate();
        let others = others.filter(|(index, _)| Some(*index) != serving).map(|(_, other)| text(other.name()));
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
            others: others.collect(),
        }
    }

    /// Compares what is with what is wanted. No value of an environment variable is shown: it may be a secret that
    /// somebody has put there.
    pub fn changes(&self, wanted: &Self) -> Vec<Change> {
        let (is, to_be) = (&self.container, &wanted.container);
        let platform = |form: &Self| format!("{}/{}", form.platform.0, form.platform.1);
        let compatibility = |form: &Self| if form.fargate { "FARGATE" } else { "" }.to_owned();
        let ports = |container: &Container| {
            let ports: Vec<_> = container.ports.iter().map(|(port, protocol)| format!("{port}/{protocol}")).collect();
            ports.join(" ")
        };
        let single = [
            Change::of("cpu", &self.cpu, &wanted.cpu),
            Change::of("memory", &self.memory, &wanted.memory),
            Change::of("execution role", &self.execution_role, &wanted.execution_role),
            Change::of("task role", &self.task_role, &wanted.task_role),
            Change::of("network mode", &self.network_mode, &wanted.network_mode),
            Change::of("compatibility", &compatibility(self), &compatibility(wanted)),
            Change::of("runtime platform", &platform(self), &platform(wanted)),
            Change::of("container", &is.name, &to_be.name),
            Change::of("essential", &is.essential, &to_be.essential),
            Change::of("ports", &ports(is), &ports(to_be)),
            Change::of("log driver", &is.log_driver, &to_be.log_driver),
        ];
        let maps = [
            pairs("environment variable", &is.environment, &to_be.environment, |name, _| name.to_owned()),
            pairs("secret", &is.secrets, &to_be.secrets, |name, from| format!("{name} from {from}")),
            pairs("log option", &is.log_options, &to_be.log_options, |name, value| format!("{name}={value}")),
        ];
        let others = self.others.iter().filter(|other| !wanted.others.contains(other));
        let others = others.map(|other| Change::foreign("container", other));
        single.into_iter().flatten().chain(maps.into_iter().flatten()).chain(others).collect()
    }

    /// Returns the containers to register: those of `base` with ours changed to fit, or ours alone.
    ///
    /// What we do not own of our container stays: a health check, mount points, limits.
    pub fn containers(
        &self,
        base: &[ContainerDefinition],
        image: &str,
        alone: bool,
    ) -> Result<Vec<ContainerDefinition>> {
        let mut containers = base.to_vec();
        let index = serving(base, &self.container.name).unwrap_or_else(|| {
            containers.push(ContainerDefinition::builder().build());
            containers.len() - 1
        });
        if alone {
            let ours = containers.swap_remove(index);
            return Ok(vec![self.container.over(ours, image)?]);
        }
        let ours = containers.remove(index);
        containers.insert(index, self.container.over(ours, image)?);
        Ok(containers)
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
        Self {
            name: text(container.name()),
            essential: container.essential().unwrap_or(true),
            ports: ports.filter_map(|mapping| Some((mapping.container_port()?, protocol(mapping)))).collect(),
            environment: environment.map(|pair| (text(pair.name()), text(pair.value()))).collect(),
            secrets: secrets.map(|secret| (secret.name().to_owned(), secret.value_from().to_owned())).collect(),
            log_driver: log.map(|log| log.log_driver().as_str().to_owned()).unwrap_or_default(),
            log_options: options.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
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
        Ok(container)
    }
}

/// Returns the image of the container that serves.
pub fn image<'d>(definition: &'d TaskDefinition, container: &str) -> Option<&'d str> {
    let containers = definition.container_definitions();
    containers.get(serving(containers, container)?)?.image()
}

/// Returns the place of the container that serves: the one of that name, else the one that had another name before,
/// which is the first with a port.
fn serving(containers: &[ContainerDefinition], name: &str) -> Option<usize> {
    let named = containers.iter().position(|container| container.name() == Some(name));
    let open = || containers.iter().position(|container| !container.port_mappings().is_empty());
    named.or_else(open).or((!containers.is_empty()).then_some(0))
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
            },
            others: Vec::new(),
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
        assert_eq!(Form::of(&live(), "app").changes(&wanted()), []);
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
        let changes = Form::of(&live, "app").changes(&wanted());
        assert_eq!(changes, [Change::foreign("container", "datadog")]);
        assert_eq!(changes[0].means, Means::Foreign);
        let names = |alone| {
            let containers = wanted().containers(live.container_definitions(), "nginx:live", alone).expect("built");
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
        let containers = wanted().containers(live.container_definitions(), "nginx:live", false).expect("built");
        assert_eq!(containers[0].user(), Some("1000"));
        assert_eq!(containers[0].environment().len(), 2);
        assert_eq!(containers[0].image(), Some("nginx:live"));
    }

    #[test]
    fn a_container_with_another_name_is_renamed_and_keeps_its_image() {
        let live = live();
        let mut renamed = wanted();
        renamed.container.name = "web".to_owned();
        assert_eq!(Form::of(&live, "web").changes(&renamed), [Change::update("container", "app", "web")]);
        assert_eq!(image(&live, "web"), Some("nginx:live"));
    }
}
