//! The services: names, sizes, images, routing and how they are deployed.

use std::collections::BTreeMap;

use super::containers::image_problem;
use super::names::{ECS, ROLE, Rule, TARGET_GROUP, deploy_place};
use super::{Mistake, list, routing, times};
use crate::stack::derived::minutes;
use crate::stack::pointer::pointer;
use crate::stack::{Deployment, ScheduledLimits, Service, Stack, Strategy, fargate};

/// Longest bake time and longest time between two steps, in minutes: a day. Source: `CanaryConfiguration`,
/// `LinearConfiguration`.
const LONGEST_BAKE: i32 = 1440;

/// Longest name of an alarm. Source: `PutMetricAlarm`, `AlarmName`.
const ALARM_NAME: usize = 255;

/// Checks the services.
pub(super) fn check(stack: &Stack, found: &mut Vec<Mistake>) {
    for (key, service) in &stack.services {
        if self::key(key, found) {
            names(key, service, found);
            repository(key, service, found);
        }
        image(key, service, found);
        size(key, service, found);
        if let Some(deployment) = &service.deployment {
            strategy(key, deployment, found);
        }
        if service.shift().is_none() {
            percents(key, service, found);
        }
        autoscaling(key, service, found);
    }
    routing::check(stack, found);
    unique(stack, found);
    second_target_groups(stack, found);
}

/// Checks the short name that names are made from.
fn key(key: &str, found: &mut Vec<Mistake>) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fine = key.starts_with(|c: char| c.is_ascii_lowercase()) && key.chars().all(allowed) && !key.ends_with('-');
    if !fine {
        found.push(
            Mistake::key(pointer(&["services", key]), format!("`{key}` cannot be the short name of a service"))
                .hint("lower-case letters, digits and hyphens, a letter first: names are made from it"),
        );
    }
    fine
}

/// Checks the names that are given and those that are made from the key.
fn names(key: &str, service: &Service, found: &mut Vec<Mistake>) {
    let rule = |what: &'static str| Rule { what, ..ECS };
    for (rule, member, name, given) in [
        (rule("service name"), "name", service.service_name(key), service.name.is_some()),
        (rule("task definition family"), "family", service.family(key), service.family.is_some()),
        (rule("container name"), "container", service.container(key), service.container.is_some()),
        (TARGET_GROUP, "target_group", service.target_group(key), service.target_group.is_some()),
        (ROLE, "task_role", service.task_role(key), service.task_role.is_some()),
    ] {
        let Some(message) = rule.broken(&name) else { continue };
        let place = pointer(&["services", key, member]);
        let mistake = Mistake::value(place, message);
        found.push(if given {
            mistake
        } else {
            mistake.hint(format!("it is made from the short name; give `{member}`"))
        });
    }
    let group = service.log_group(key);
    // Source: CreateLogGroup.
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-/.#".contains(c);
    let problem = if group.is_empty() {
        Some("is empty".to_owned())
    } else if group.len() > 512 {
        Some(format!("has {} characters, at most 512 are allowed", group.len()))
    } else if group.starts_with("aws/") {
        Some("starts with `aws/`, which AWS keeps for itself".to_owned())
    } else {
        let bad = group.chars().find(|&c| !allowed(c));
        bad.map(|bad| format!("holds {bad:?}, only letters, digits and _-/.# are allowed"))
    };
    let place = pointer(&["services", key, "log_group"]);
    found.extend(problem.map(|problem| Mistake::value(place, format!("the log group `{group}` {problem}"))));
}

fn image(key: &str, service: &Service, found: &mut Vec<Mistake>) {
    let at = |member: &str| pointer(&["services", key, member]);
    if let Some(image) = &service.image {
        found.extend(image_problem(image, at("image")));
    }
    // Source: the OCI distribution specification, "Pulling manifests": a tag's pattern.
    let tag = &service.tag;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if tag.is_empty() || tag.len() > 128 || !tag.chars().all(allowed) || tag.starts_with(['.', '-']) {
        let mistake = Mistake::value(at("tag"), format!("`{tag}` is not an image tag"));
        found.push(mistake.hint("letters, digits and _.- , at most 128, not starting with a period or hyphen"));
    }
}

fn repository(key: &str, service: &Service, found: &mut Vec<Mistake>) {
    let Some(name) = service.repository(key) else { return };
    let Some(problem) = repository_problem(&name) else { return };
    let place = pointer(&["services", key, "repository"]);
    let mistake = Mistake::value(place, format!("the repository name `{name}` {problem}"));
    found.push(mistake.related(&["services", key, "image"]));
}

/// Returns what is wrong with a repository's name.
///
/// Source: `CreateRepository`, `repositoryName`: it starts with a letter, and matches
/// `(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*`, 2 to 256 characters.
fn repository_problem(name: &str) -> Option<String> {
    if !(2..=256).contains(&name.len()) {
        return Some(format!("has {} characters, 2 to 256 are allowed", name.len()));
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Some("does not start with a lower-case letter".to_owned());
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
    if let Some(bad) = name.chars().find(|&c| !allowed(c)) {
        let hint = if bad == ':' { " (a tag goes into `tag`)" } else { "" };
        return Some(format!("holds {bad:?}, only lower-case letters, digits and ._-/ are allowed{hint}"));
    }
    let words = name.split(['.', '_', '-', '/']);
    words.into_iter().any(str::is_empty).then(|| "has two of ._-/ in a row, or one at its end".to_owned())
}

fn size(key: &str, service: &Service, found: &mut Vec<Mistake>) {
    let (cpu, memory) = (service.cpu, service.memory);
    if fargate::is_offered(cpu, memory) {
        return;
    }
    let (near_cpu, near_memory) = fargate::nearest(cpu, memory);
    let nearest = format!("the nearest that it has is `cpu = {near_cpu}` with `memory = {near_memory}`");
    let options = fargate::memory_options(cpu);
    let (member, other, message, range) = match (options.as_slice(), options.last()) {
        ([least, second, ..], Some(greatest)) => {
            let step = options.get(2).map_or(second - least, |third| third - second);
            let range = if options.len() <= 4 {
                format!("; {cpu} CPU units go with {} MiB", list(&options, "or").replace('`', ""))
            } else {
                format!("; {cpu} CPU units go with {least} to {greatest} MiB by {step}")
            };
            ("memory", "cpu", format!("Fargate has no {cpu} CPU units with {memory} MiB"), range)
        }
        _ => ("cpu", "memory", format!("Fargate has no {cpu} CPU units"), String::new()),
    };
    found.push(
        Mistake::value(pointer(&["services", key, member]), message)
            .hint(format!("{nearest}{range}"))
            .related(&["services", key, other]),
    );
}

/// Checks a strategy and what goes with it.
fn strategy(key: &str, deployment: &Deployment, found: &mut Vec<Mistake>) {
    let Deployment { strategy, percent, bake, every, alarms } = deployment;
    let place = |member: &str| pointer(&["services", key, "deployment", member]);
    let (name, fitting): (&str, &[&str]) = match strategy {
        Strategy::Rolling => ("rolling", &[]),
        Strategy::BlueGreen => ("blue_green", &["bake"]),
        Strategy::Canary => ("canary", &["percent", "bake"]),
        Strategy::Linear => ("linear", &["percent", "every", "bake"]),
    };
    let given = [("percent", percent.is_some()), ("every", every.is_some()), ("bake", bake.is_some())];
    for (member, _) in given.into_iter().filter(|(member, given)| *given && !fitting.contains(member)) {
        let keys = match fitting {
            [] => "it takes `alarms` alone".to_owned(),
            fitting => format!("it takes {} and `alarms`", list(fitting, "and").replace(" and ", ", ")),
        };
        let other = if member == "every" { "linear" } else { "canary" };
        found.push(
            Mistake::key(place(member), format!("`{member}` does not go with the strategy `{name}`"))
                .hint(format!("{keys}; leave `{member}` out, or write `strategy = \"{other}\"`"))
                .related(&["services", key, "deployment", "strategy"]),
        );
    }
    if let Some(percent) = percent.filter(|_| fitting.contains(&"percent")) {
        let tenths = percent * 10.0;
        let least = if *strategy == Strategy::Linear { 3.0 } else { 0.1 };
        let problem = if !(least..=100.0).contains(&percent) {
            Some(format!("the strategy `{name}` takes {least} to 100 per cent, found {percent}"))
        } else if (tenths - tenths.round()).abs() > 1e-6 {
            Some(format!("ECS counts in tenths of a per cent, found {percent}"))
        } else {
            None
        };
        found.extend(problem.map(|problem| {
            Mistake::value(place("percent"), problem).related(&["services", key, "deployment", "strategy"])
        }));
    }
    for (member, given) in [("bake", bake), ("every", every)] {
        let Some(text) = given.as_deref().filter(|_| fitting.contains(&member)) else { continue };
        let problem = match minutes(text) {
            None => Some(format!("`{text}` is not a whole number of minutes")),
            Some(minutes) if minutes > LONGEST_BAKE => Some(format!("`{text}` is more than a day")),
            Some(_) => None,
        };
        let hint = "write it like `10m` or `1h 30m`, up to `24h`";
        found.extend(problem.map(|problem| Mistake::value(place(member), problem).hint(hint)));
    }
    let names = alarms.iter().flat_map(|alarms| &alarms.names).enumerate();
    for (index, name) in names.filter(|(_, name)| name.is_empty() || name.chars().count() > ALARM_NAME) {
        let place = pointer(&["services", key, "deployment", "alarms", "names", &index.to_string()]);
        found.push(Mistake::value(place, format!("an alarm's name has 1 to {ALARM_NAME} characters, found `{name}`")));
    }
}

/// Checks that a rolling deployment can move at all.
///
/// Source: `DeploymentConfiguration`: the least number of tasks is rounded up, the greatest down.
fn percents(key: &str, service: &Service, found: &mut Vec<Mistake>) {
    let (minimum, maximum) = (service.minimum_healthy_percent, service.maximum_percent);
    let at = |member: &str| pointer(&["services", key, member]);
    let (least, most) = (["services", key, "minimum_healthy_percent"], ["services", key, "maximum_percent"]);
    if !(0..=100).contains(&minimum) {
        found.push(Mistake::value(at(least[2]), format!("expected 0 to 100 per cent, found {minimum}")));
        return;
    }
    if maximum < 100 {
        found.push(Mistake::value(at(most[2]), format!("expected 100 per cent or more, found {maximum}")));
        return;
    }
    let (minimum, maximum) = (u64::from(minimum.unsigned_abs()), u64::from(maximum.unsigned_abs()));
    let scaled = service.autoscaling.as_ref().map(|autoscaling| autoscaling.min);
    let counts = [Some(service.desired), scaled].into_iter().flatten().map(u64::from).filter(|&tasks| tasks > 0);
    let stuck = |tasks: &u64| (tasks * minimum).div_ceil(100) >= *tasks && tasks * maximum / 100 <= *tasks;
    let Some(tasks) = counts.min().filter(stuck) else { return };
    // The least percentage that lets one more task start.
    let enough = (100 * (tasks + 1)).div_ceil(tasks);
    let words = if tasks == 1 { "1 task".to_owned() } else { format!("{tasks} tasks") };
    found.push(
        Mistake::value(
            at(most[2]),
            format!(
                "no deployment could ever move: with {words}, {minimum} to {maximum} % lets none stop and none start"
            ),
        )
        .hint(format!("at least `maximum_percent = {enough}`, or a lower `minimum_healthy_percent`"))
        .related(&least)
        .related(&["services", key, "desired"])
        .related(&["services", key, "autoscaling"]),
    );
}

fn autoscaling(key: &str, service: &Service, found: &mut Vec<Mistake>) {
    let Some(autoscaling) = &service.autoscaling else { return };
    let place = |member: &str| pointer(&["services", key, "autoscaling", member]);
    let targets = [autoscaling.cpu, autoscaling.memory, autoscaling.requests_per_target];
    let tracks = targets.iter().any(Option::is_some);
    if autoscaling.requests_per_target.is_some() && service.shift().is_some() {
        // Source: ECS's guide, "Use a target metric to scale": no ALBRequestCountPerTarget with blue/green.
        let message = "requests are counted at one target group, and a deployment that shifts traffic has two in turn";
        let mistake = Mistake::value(place("requests_per_target"), message);
        found.push(mistake.hint("track `cpu` or `memory`").related(&["services", key, "deployment"]));
    }
    // A schedule can.
    if autoscaling.min == 0 && (tracks || autoscaling.schedules.is_empty()) {
        // Source: Application Auto Scaling's guide, "Target tracking": no metric data at zero tasks, so no way back.
        found.push(Mistake::value(place("min"), "autoscaling cannot start a service that has no task"));
    }
    if autoscaling.max < autoscaling.min {
        let message =
            format!("the greatest number of tasks, {}, is below the least, {}", autoscaling.max, autoscaling.min);
        found.push(Mistake::value(place("max"), message).related(&["services", key, "autoscaling", "min"]));
    }
    if !tracks && autoscaling.schedules.is_empty() {
        let mut mistake = Mistake::key(
            pointer(&["services", key, "autoscaling"]),
            format!("the autoscaling of `{key}` has no target"),
        )
        .hint("give one or more of `cpu`, `memory`, `requests_per_target` and `schedules`");
        for member in ["cpu", "memory", "requests_per_target", "schedules"] {
            mistake = mistake.related(&["services", key, "autoscaling", member]);
        }
        found.push(mistake);
    }
    for (index, schedule) in autoscaling.schedules.iter().enumerate() {
        let at = |member: &str| pointer(&["services", key, "autoscaling", "schedules", &index.to_string(), member]);
        let zone = schedule.timezone.as_deref().map(|zone| (zone, at("timezone")));
        times::check((&schedule.expression, at("expression")), zone, found);
        scheduled_limits(schedule, &at, found);
        if autoscaling.schedules[..index].iter().any(|other| other.name == schedule.name) {
            found
                .push(Mistake::value(at("name"), format!("another schedule of `{key}` is called `{}`", schedule.name)));
        }
    }
}

fn scheduled_limits(schedule: &ScheduledLimits, at: &dyn Fn(&str) -> String, found: &mut Vec<Mistake>) {
    let ScheduledLimits { name, min, max, .. } = schedule;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
        let mistake = Mistake::value(at("name"), format!("`{name}` cannot be the name of a schedule"));
        found.push(mistake.hint("letters, digits, _ and -, at most 64"));
    }
    match (min, max) {
        (None, None) => {
            found.push(Mistake::value(at("name"), format!("the schedule `{name}` has neither `min` nor `max`")))
        }
        (Some(min), Some(max)) if max < min => {
            let message = format!("the greatest number of tasks, {max}, is below the least, {min}");
            found.push(Mistake::value(at("max"), message));
        }
        (Some(_), Some(_)) | (Some(_), None) | (None, Some(_)) => {}
    }
}

/// Finds what only one service may have.
fn unique(stack: &Stack, found: &mut Vec<Mistake>) {
    type Of = fn(&str, &Service) -> Option<String>;
    let members: [(&str, &str, Of); 5] = [
        ("name", "service name", |key, service| Some(service.service_name(key))),
        ("family", "task definition family", |key, service| Some(service.family(key))),
        ("target_group", "target group", |key, service| Some(service.target_group(key))),
        // Two services with one role would each want it described as its own, and be able to do what the other may.
        ("task_role", "task role", |key, service| service.task_role_arn.is_none().then(|| service.task_role(key))),
        ("priority", "priority", |_, service| service.priority.map(|priority| priority.to_string())),
    ];
    for (member, what, of) in members {
        let mut having: BTreeMap<String, Vec<(&str, String)>> = BTreeMap::new();
        for (key, service) in &stack.services {
            if let Some(value) = of(key, service) {
                // IAM compares names without case (`CreateRole`, `RoleName`).
                let same = if member == "task_role" { value.to_lowercase() } else { value.clone() };
                having.entry(same).or_default().push((key, value));
            }
        }
        for services in having.values().filter(|services| services.len() > 1) {
            for (key, value) in services {
                let others: Vec<&str> = services.iter().map(|(other, _)| *other).filter(|other| other != key).collect();
                let message = format!("the {what} `{value}` of `{key}` is also that of {}", list(&others, "and"));
                let mut mistake = Mistake::value(pointer(&["services", key, member]), message);
                for other in others {
                    mistake = mistake.related(&["services", other, member]);
                }
                if member == "priority" {
                    mistake = mistake.hint(format!("`priority = {}` is free", routing::free_priority(stack)));
                }
                found.push(mistake);
            }
        }
    }
    let execution = &stack.iam.execution_role;
    let infrastructure = Some(stack.iam.infrastructure_role.clone()).filter(|_| stack.shifts());
    let others: [(&str, Option<String>, &[&str], &str); 3] = [
        (
            "execution",
            Some(execution.clone()).filter(|_| stack.iam.execution_role_arn.is_none()),
            &["iam", "execution_role"],
            "the containers could then read every parameter of the stack",
        ),
        (
            "infrastructure",
            infrastructure,
            &["iam", "infrastructure_role"],
            "the containers could then change the load balancer",
        ),
        ("deploy", stack.deploy_role(), deploy_place(stack), "the containers could then deploy"),
    ];
    for (key, service) in &stack.services {
        for (what, name, place, danger) in &others {
            let own = service.task_role_arn.is_none();
            let same = |name: &&String| own && service.task_role(key).eq_ignore_ascii_case(name);
            let Some(name) = name.as_ref().filter(same) else {
                continue;
            };
            found.push(
                Mistake::value(
                    pointer(&["services", key, "task_role"]),
                    format!("the task role of `{key}` is the {what} role `{name}`"),
                )
                .hint(*danger)
                .related(place),
            );
        }
    }
}

/// Checks that no other service has the name of a second target group.
fn second_target_groups(stack: &Stack, found: &mut Vec<Mistake>) {
    for (key, service) in stack.services.iter().filter(|(_, service)| service.shift().is_some()) {
        let second = service.alternate_target_group(key);
        for (other, _) in stack.services.iter().filter(|(other, service)| service.target_group(other) == second) {
            let message = format!("the target group `{second}` of `{other}` is also the second one of `{key}`");
            found.push(
                Mistake::value(pointer(&["services", other, "target_group"]), message)
                    .related(&["services", key, "deployment"])
                    .related(&["services", key, "target_group"]),
            );
        }
    }
}
