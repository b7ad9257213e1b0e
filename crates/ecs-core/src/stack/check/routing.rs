//! Which requests go to which service: hosts, paths and priorities of the listener's rules.

use std::collections::BTreeMap;

use super::{Mistake, list};
use crate::stack::pointer::pointer;
use crate::stack::{DEFAULT_PATH, LAST_PRIORITY, OneOrMore, Service, Stack};

/// Rules of a load balancer, by ELB's default quota.
const RULES: usize = 100;

/// Values of a rule's conditions, by ELB's quota:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html>
const VALUES: usize = 5;

/// Wildcards of a rule's conditions, by ELB's quota.
const WILDCARDS: usize = 5;

/// Longest path pattern and host name. Source: `PathPatternConditionConfig` and `HostHeaderConditionConfig`, `Values`.
const PATTERN_LENGTH: usize = 128;

/// Checks the rules.
pub(super) fn check(stack: &Stack, found: &mut Vec<Mistake>) {
    for (key, service) in &stack.services {
        routing(stack, key, service, found);
    }
    default_service(stack, found);
    unique(stack, found);
    default_rule(stack, found);
    let rules = stack.services.values().filter(|service| service.is_routed() || service.shift().is_some()).count();
    if rules > RULES {
        let message = format!("{rules} services need a rule, a load balancer has at most {RULES}");
        found.push(Mistake::key("/services", message));
    }
}

fn routing(stack: &Stack, key: &str, service: &Service, found: &mut Vec<Mistake>) {
    let at = |member: &str| pointer(&["services", key, member]);
    if let Some(problem) = health_path_problem(&service.health_path) {
        found.push(Mistake::value(at("health_path"), format!("the health path `{}` {problem}", service.health_path)));
    }
    let member = if service.path.is_some() { "path" } else { "host" };
    match (service.is_routed(), service.priority) {
        (true, None) => found.push(
            Mistake::value(at(member), format!("the {member} of `{key}` has no `priority`"))
                .hint(format!("`priority = {}` is free", free_priority(stack)))
                .related(&["services", key, "priority"]),
        ),
        (false, Some(_)) => found.push(
            Mistake::key(at("priority"), "a priority without a `path` or a `host`")
                .hint("the service with neither takes what no rule matches, and has no priority")
                .related(&["services", key, "path"])
                .related(&["services", key, "host"]),
        ),
        (true, Some(_)) | (false, None) => {}
    }
    for (member, given, what) in [("host", &service.host, "host name"), ("path", &service.path, "path pattern")] {
        let Some(given) = given else { continue };
        let values = given.all();
        if values.is_empty() {
            found.push(Mistake::value(at(member), format!("an empty list matches nothing: leave `{member}` out")));
        }
        for (index, value) in values.iter().enumerate() {
            let place = match given {
                OneOrMore::One(_) => at(member),
                OneOrMore::More(_) => pointer(&["services", key, member, &index.to_string()]),
            };
            if values[..index].contains(value) {
                found.push(Mistake::value(&place, format!("`{value}` stands here twice")));
            }
            let problem = if member == "host" { host_problem(value) } else { path_problem(value) };
            found.extend(problem.map(|problem| Mistake::value(place, format!("the {what} `{value}` {problem}"))));
        }
    }
    let (hosts, paths) = (service.hosts(), service.paths());
    let count = hosts.len() + paths.len();
    if count > VALUES {
        let message = format!("`{key}` has {count} hosts and paths, a rule has at most {VALUES}");
        let mistake = Mistake::value(at(member), message).hint("a wildcard stands for many; or make it two services");
        found.push(mistake.related(&["services", key, "host"]).related(&["services", key, "path"]));
    }
    let wildcards: usize = hosts.iter().chain(paths).map(|value| value.matches(['*', '?']).count()).sum();
    if wildcards > WILDCARDS {
        let text = match (hosts.as_slice(), paths) {
            ([], [path]) => format!("the path pattern `{path}` has"),
            _ => format!("hosts and paths of `{key}` have"),
        };
        let message = format!("{text} {wildcards} wildcards, a rule has at most {WILDCARDS}");
        found.push(Mistake::value(at(member), message).related(&["services", key, "host"]));
    }
}

/// Source: `RuleCondition`, `Values`.
fn path_problem(path: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.$/~\"'@:+&*?".contains(c);
    if path.len() > PATTERN_LENGTH {
        Some(format!("has {} characters, at most {PATTERN_LENGTH} are allowed", path.len()))
    } else if let Some(bad) = path.chars().find(|&c| !allowed(c)) {
        Some(format!("holds {bad:?}, only letters, digits and _-.$/~\"'@:+&*? are allowed"))
    } else if !path.starts_with(['/', '*', '?']) {
        Some("does not start with a slash, so it matches nothing".to_owned())
    } else {
        None
    }
}

/// Source: <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html#host-conditions>
fn host_problem(host: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-.*?".contains(c);
    let last = host.rsplit_once('.').map(|(_, last)| last);
    if host.len() > PATTERN_LENGTH {
        Some(format!("has {} characters, at most {PATTERN_LENGTH} are allowed", host.len()))
    } else if let Some(bad) = host.chars().find(|&c| !allowed(c)) {
        Some(format!("holds {bad:?}, only letters, digits and -.*? are allowed"))
    } else if !last.is_some_and(|last| !last.is_empty() && last.chars().all(|c| c.is_ascii_alphabetic())) {
        Some("does not end in a dot and letters, such as `.com`".to_owned())
    } else {
        None
    }
}

/// Source: `CreateTargetGroup`, `HealthCheckPath`: 1 to 1024 characters.
fn health_path_problem(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        Some("does not start with a slash")
    } else if path.len() > 1024 {
        Some("has more than 1024 characters")
    } else if path.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Some("holds a space")
    } else {
        None
    }
}

/// Returns a priority that no service has: the next hundred, or else the first that is free.
pub(super) fn free_priority(stack: &Stack) -> i32 {
    let last = stack.default_service().and_then(|(_, service)| service.shift()).map(|_| LAST_PRIORITY);
    let taken = || stack.services.values().filter_map(|service| service.priority);
    let next = taken().max().map_or(100, |last| last.saturating_div(100).saturating_add(1).saturating_mul(100));
    if (1..=LAST_PRIORITY).contains(&next) {
        return next;
    }
    (1..=LAST_PRIORITY).find(|free| taken().chain(last).all(|priority| priority != *free)).unwrap_or(1)
}

fn default_service(stack: &Stack, found: &mut Vec<Mistake>) {
    // What no rule matches is somebody else's there, which is said elsewhere.
    if stack.alb.load_balancer_arn.is_some() && !stack.services.is_empty() {
        return;
    }
    let keys: Vec<&str> =
        stack.services.iter().filter(|(_, service)| !service.is_routed()).map(|(key, _)| key.as_str()).collect();
    if keys.is_empty() {
        let message = if stack.services.is_empty() {
            "a stack needs a service"
        } else {
            "every service has a path: one without must take everything else"
        };
        let mut mistake = Mistake::key("/services", message);
        for key in stack.services.keys() {
            mistake = mistake.related(&["services", key, "path"]);
        }
        found.push(mistake);
    }
    if keys.len() < 2 {
        return;
    }
    for key in &keys {
        let others = list(keys.iter().filter(|other| *other != key), "and");
        let verb = if keys.len() == 2 { "has" } else { "have" };
        let mut mistake = Mistake::key(
            pointer(&["services", key]),
            format!("`{key}` has no path, and {others} {verb} none either"),
        )
        .hint(format!(
            "only one service takes what no path matches; give the others a `path` and a `priority` ({} is free)",
            free_priority(stack)
        ));
        for key in &keys {
            mistake = mistake.related(&["services", key, "path"]);
        }
        found.push(mistake);
    }
}

/// Finds what two services claim: the same path at the same host, any host being none.
fn unique(stack: &Stack, found: &mut Vec<Mistake>) {
    let claims = |service: &Service| -> Vec<(Option<String>, Option<String>)> {
        let or_any = |values: Vec<String>| -> Vec<Option<String>> {
            if values.is_empty() { vec![None] } else { values.into_iter().map(Some).collect() }
        };
        let paths = or_any(service.paths().to_vec());
        let hosts = or_any(service.hosts()).into_iter();
        hosts.flat_map(|host| paths.iter().map(move |path| (host.clone(), path.clone())).collect::<Vec<_>>()).collect()
    };
    let mut having: BTreeMap<(Option<String>, Option<String>), Vec<&str>> = BTreeMap::new();
    for (key, service) in stack.services.iter().filter(|(_, service)| service.is_routed()) {
        for claim in claims(service) {
            let keys = having.entry(claim).or_default();
            if !keys.contains(&key.as_str()) {
                keys.push(key);
            }
        }
    }
    for ((host, path), keys) in having.iter().filter(|(_, keys)| keys.len() > 1) {
        let member = if path.is_some() { "path" } else { "host" };
        let what = match (host, path) {
            (Some(host), Some(path)) => format!("the path `{path}` at the host `{host}`"),
            (None, Some(path)) => format!("the path `{path}`"),
            (Some(host), None) => format!("the host `{host}`"),
            (None, None) => continue,
        };
        for key in keys {
            let others: Vec<&str> = keys.iter().copied().filter(|other| other != key).collect();
            let message = format!("{what} of `{key}` is also that of {}", list(&others, "and"));
            let mut mistake = Mistake::value(pointer(&["services", key, member]), message);
            for other in others {
                mistake = mistake.related(&["services", other, member]);
            }
            found.push(mistake);
        }
    }
}

/// Checks that there is room for the rule that the service without a path needs once ECS shifts its traffic.
fn default_rule(stack: &Stack, found: &mut Vec<Mistake>) {
    let Some((default, _)) = stack.default_service().filter(|(_, service)| service.shift().is_some()) else { return };
    let mut refuse = |key: &str, member: &str, message: String| {
        let place = pointer(&["services", key, member]);
        found.push(Mistake::value(place, message).related(&["services", default, "deployment"]));
    };
    for (key, service) in &stack.services {
        if service.priority == Some(LAST_PRIORITY) {
            let message = format!("the priority {LAST_PRIORITY} is that of the rule in which ECS shifts `{default}`");
            refuse(key, "priority", message);
        }
        if service.host.is_none() && service.paths().iter().any(|path| path == DEFAULT_PATH) {
            let message = format!("the path `{DEFAULT_PATH}` is that of the rule in which ECS shifts `{default}`");
            refuse(key, "path", message);
        }
    }
}
