//! The containers of the services: variables, sidecars, sizes, health checks, who waits for whom, and Fargate Spot.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{ECS, Rule};
use super::{Mistake, did_you_mean, list};
use crate::stack::pointer::pointer;
use crate::stack::{CheckCommand, Condition, HealthCheck, Service, Stack};

/// Greatest number of containers of a task definition. Source: ECS's service quotas.
const CONTAINERS: usize = 10;

/// A container as the stack file has it.
pub(super) struct Container<'s> {
    /// Keys that lead to it
    pub(super) path: Vec<&'s str>,
    pub(super) environment: &'s BTreeMap<String, String>,
    pub(super) secrets: &'s BTreeMap<String, String>,
}

impl Container<'_> {
    /// Returns the place of an entry of one of its tables.
    pub(super) fn place(&self, table: &str, entry: &str) -> String {
        pointer(&[self.path.as_slice(), &[table, entry]].concat())
    }
}

/// Returns the containers of all services.
pub(super) fn containers(stack: &Stack) -> impl Iterator<Item = Container<'_>> {
    stack.services.iter().flat_map(|(key, service)| {
        let serving =
            Container { path: vec!["services", key], environment: &service.environment, secrets: &service.secrets };
        let sidecars = service.sidecars.iter().map(move |(name, sidecar)| Container {
            path: vec!["services", key, "sidecars", name],
            environment: &sidecar.environment,
            secrets: &sidecar.secrets,
        });
        std::iter::once(serving).chain(sidecars)
    })
}

/// Checks the containers.
pub(super) fn check(stack: &Stack, found: &mut Vec<Mistake>) {
    containers(stack).for_each(|container| variables(&container, found));
    for (key, service) in &stack.services {
        sidecars(key, service, found);
        sizes(key, service, found);
        let checks = service.sidecars.iter().map(|(name, sidecar)| (vec!["sidecars", name], &sidecar.health_check));
        for (path, check) in std::iter::once((Vec::new(), &service.health_check)).chain(checks) {
            if let Some(check) = check {
                health_check(&[&["services", key.as_str()], path.as_slice()].concat(), check, found);
            }
        }
        dependencies(key, service, found);
        spot(key, service, found);
    }
}

/// Returns what is wrong with an image reference. Source: `ContainerDefinition`, `image`: at most 255 characters.
pub(super) fn image_problem(image: &str, place: String) -> Option<Mistake> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_:./#@".contains(c);
    let bad = image.is_empty() || image.len() > 255 || !image.chars().all(allowed);
    bad.then(|| {
        Mistake::value(place, format!("`{image}` is not an image reference"))
            .hint("write it like `public.ecr.aws/nginx/nginx:1.29`")
    })
}

fn variables(container: &Container<'_>, found: &mut Vec<Mistake>) {
    for (table, variables) in [("environment", container.environment), ("secrets", container.secrets)] {
        for variable in variables.keys() {
            let bad = |c: char| c == '=' || c.is_whitespace() || c.is_control();
            if variable.is_empty() || variable.contains(bad) {
                let message = format!("{variable:?} cannot be the name of an environment variable");
                found.push(Mistake::key(container.place(table, variable), message).hint("no space and no `=` in it"));
            }
        }
    }
    for variable in container.secrets.keys().filter(|variable| container.environment.contains_key(*variable)) {
        let plain = [container.path.as_slice(), &["environment", variable]].concat();
        found.push(
            Mistake::key(
                container.place("secrets", variable),
                format!("`{variable}` is in `environment` and in `secrets`"),
            )
            .hint("ECS takes each variable once")
            .related(&plain),
        );
    }
}

fn sidecars(key: &str, service: &Service, found: &mut Vec<Mistake>) {
    let at = |name: &str, member: &str| pointer(&["services", key, "sidecars", name, member]);
    let serving = service.container(key);
    let mut ports = BTreeMap::from([(service.port, serving.clone())]);
    for (name, sidecar) in &service.sidecars {
        let place = || pointer(&["services", key, "sidecars", name]);
        let rule = Rule { what: "container name", ..ECS };
        found.extend(rule.broken(name).map(|message| Mistake::key(place(), message)));
        if *name == serving {
            let message = format!("the sidecar `{name}` has the name of the container that serves");
            found.push(Mistake::key(place(), message).related(&["services", key, "container"]));
        }
        found.extend(image_problem(&sidecar.image, at(name, "image")));
        // A task has one network interface, which its containers share.
        if let Some(port) = sidecar.port
            && let Some(other) = ports.insert(port, name.clone())
        {
            let message = format!("the port {port} of `{name}` is also that of `{other}` in the same task");
            found.push(Mistake::value(at(name, "port"), message).related(&["services", key, "port"]));
        }
    }
    if service.sidecars.len() >= CONTAINERS {
        let message = format!("{} sidecars, a task has at most {CONTAINERS} containers", service.sidecars.len());
        found.push(Mistake::key(pointer(&["services", key, "sidecars"]), message));
    }
}

/// Checks that the containers fit into their task. Source: `ContainerDefinition`, `memory`, `memoryReservation`, `cpu`.
fn sizes(key: &str, service: &Service, found: &mut Vec<Mistake>) {
    let place = |path: &[&str]| pointer(&[&["services", key], path].concat());
    let memory: &[&str] = &["services", key, "memory"];
    if let Some(reserved) = service.memory_reservation.filter(|reserved| *reserved >= service.memory) {
        let message =
            format!("{reserved} MiB kept for the container are not less than the {} MiB there are", service.memory);
        found.push(Mistake::value(place(&["memory_reservation"]), message).related(memory));
    }
    for (name, sidecar) in &service.sidecars {
        if let (Some(reserved), Some(limit)) = (sidecar.memory_reservation, sidecar.memory)
            && reserved >= limit
        {
            let message = format!("{reserved} MiB kept for `{name}` are not less than the {limit} MiB that it may use");
            let related = ["services", key, "sidecars", name, "memory"];
            found.push(Mistake::value(place(&["sidecars", name, "memory_reservation"]), message).related(&related));
        }
    }
    let sidecars = || service.sidecars.values();
    let kept = sidecars().filter_map(|sidecar| sidecar.memory_reservation.or(sidecar.memory)).map(u64::from);
    let kept = kept.sum::<u64>();
    let all = kept + u64::from(service.memory_reservation.unwrap_or(0));
    let units: u64 = sidecars().filter_map(|sidecar| sidecar.cpu).map(u64::from).sum();
    for (what, all, kept, whole, member) in
        [("MiB", all, kept, service.memory, "memory"), ("CPU units", units, units, service.cpu, "cpu")]
    {
        if all > u64::from(whole) && kept > 0 {
            let message = format!("the containers are kept {all} {what}, the task has {whole}");
            found.push(Mistake::key(place(&["sidecars"]), message).related(&["services", key, member]));
        }
    }
}

/// Source: `HealthCheck`, `command`.
fn health_check(path: &[&str], check: &HealthCheck, found: &mut Vec<Mistake>) {
    let place = pointer(&[path, &["health_check", "command"]].concat());
    let problem = match &check.command {
        CheckCommand::Shell(line) => line.trim().is_empty().then(|| "a health check needs a command".to_owned()),
        CheckCommand::Words(words) => match words.as_slice() {
            [first, _, ..] if first == "CMD" || first == "CMD-SHELL" => None,
            [] => Some("a health check needs a command".to_owned()),
            [first, ..] if first == "CMD" || first == "CMD-SHELL" => Some(format!("nothing follows `{first}`")),
            [first, ..] => Some(format!("a health check's command starts with `CMD` or `CMD-SHELL`, found `{first}`")),
        },
    };
    let hint = "write a line for the shell, or `[\"CMD\", \"/bin/check\"]`";
    found.extend(problem.map(|problem| Mistake::value(place, problem).hint(hint)));
}

/// Checks who waits for whom. Source: `ContainerDependency`, `condition`.
fn dependencies(key: &str, service: &Service, found: &mut Vec<Mistake>) {
    let serving = service.container(key);
    // Each container with those it waits for; the one that serves is essential.
    let mut waits: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let sidecars = service.sidecars.iter().map(|(name, one)| (name.as_str(), vec!["sidecars", name], &one.depends_on));
    let all = std::iter::once((serving.as_str(), Vec::new(), &service.depends_on)).chain(sidecars);
    for (name, path, depends_on) in all {
        let at = |other: &str| pointer(&[&["services", key], path.as_slice(), &["depends_on", other]].concat());
        for (other, condition) in depends_on {
            let (essential, checked) = match service.sidecars.get(other) {
                Some(sidecar) => (sidecar.essential, sidecar.health_check.is_some()),
                None if *other == serving => (true, service.health_check.is_some()),
                None => {
                    let names = || service.sidecars.keys().chain([&serving]).map(String::as_str);
                    let mistake = Mistake::key(at(other), format!("the service `{key}` has no container `{other}`"));
                    found.push(match did_you_mean(other, names()) {
                        Some(meant) => mistake.hint(format!("did you mean `{meant}`?")),
                        None => mistake.hint(format!("it has {}", list(names(), "and"))),
                    });
                    continue;
                }
            };
            waits.entry(name).or_default().insert(other);
            let problem = match condition {
                Condition::Healthy if !checked => Some(format!("`{other}` has no `health_check` that could pass")),
                Condition::Complete | Condition::Success if essential => {
                    Some(format!("`{other}` is essential: the task ends with it"))
                }
                Condition::Start | Condition::Complete | Condition::Success | Condition::Healthy => None,
            };
            found.extend(problem.map(|problem| Mistake::value(at(other), problem)));
        }
    }
    // Whoever waits only for those who are up comes up; whoever is left then waits in a circle.
    while let Some(up) = waits.iter().find(|(_, others)| others.iter().all(|other| !waits.contains_key(other))) {
        let up = *up.0;
        waits.remove(up);
    }
    if !waits.is_empty() {
        let message = format!("{} wait for each other", list(waits.keys(), "and"));
        found.push(Mistake::key(pointer(&["services", key]), message).hint("one of them has to start first"));
    }
}

/// Source: `CapacityProviderStrategyItem`: one of the weights is not 0, and a provider without weight gets no tasks.
fn spot(key: &str, service: &Service, found: &mut Vec<Mistake>) {
    let Some(spot) = service.spot else { return };
    let place = |member: &str| pointer(&["services", key, "spot", member]);
    if spot.on_demand == 0 && spot.weight == 0 {
        let mistake = Mistake::value(place("weight"), "no task could run: both shares are 0");
        found.push(mistake.related(&["services", key, "spot", "on_demand"]));
    } else if spot.on_demand == 0 && spot.base > 0 {
        found.push(
            Mistake::value(place("base"), "no task runs on demand with `on_demand = 0`")
                .hint("`on_demand = 1` or more, or no `base`")
                .related(&["services", key, "spot", "on_demand"]),
        );
    }
}
