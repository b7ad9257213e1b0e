//! Container definitions: checked and completed as the server does it, each by itself and all together.
//!
//! Most of the words are those that people have shown: ports in aws-cli#7288 and amazon-ecs-agent#1220, sizes in
//! aws-cdk#24629 and pulumi-awsx#1220, dependencies in boto3#2436 and hako#99. Where nobody did, they say what is wrong.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::error::{Stop, client_exception};
use super::json::{list, number, text};

/// Log drivers of Fargate, and of all (botocore ecs model, LogConfiguration).
const FARGATE_DRIVERS: &[&str] = &["awslogs", "splunk", "awsfirelens"];
const DRIVERS: &[&str] = &["json-file", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "awsfirelens"];

/// A health check's members: least, most, and what the server puts in (botocore ecs model, HealthCheck).
///
/// That it does put them in: eagletmt/hako#56. A start period it leaves out.
const HEALTH_CHECK: &[(&str, i64, i64, Option<i64>)] = &[
    ("interval", 5, 300, Some(30)),
    ("timeout", 2, 60, Some(5)),
    ("retries", 1, 10, Some(3)),
    ("startPeriod", 0, 300, None),
];

/// What the server makes of one container.
pub(crate) fn complete_container(container: &Value, task: &Value, fargate: bool, awsvpc: bool) -> Result<Value, Stop> {
    let name = text(container, "name").unwrap_or_default();
    if name.is_empty() {
        return Err(client_exception("Container.name should not be null or empty."));
    }
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.len() > 255 || !name.chars().all(sound) {
        return Err(client_exception(format!(
            "Invalid container name '{name}'. Up to 255 letters, digits, hyphens and underscores are allowed."
        )));
    }
    if text(container, "image").unwrap_or_default().is_empty() {
        return Err(client_exception("Container.image should not be null or empty."));
    }
    check_memory(container, name, task, fargate)?;
    if number(container, "cpu").is_some_and(|cpu| cpu < 0) {
        return Err(client_exception(format!("Invalid 'cpu' setting for container '{name}'.")));
    }
    check_environment(container)?;
    check_log(container, fargate)?;
    let mut completed = container.clone();
    for list in ["portMappings", "environment", "mountPoints", "volumesFrom", "systemControls"] {
        if completed.get(list).is_none_or(Value::is_null) {
            completed[list] = json!([]);
        }
    }
    for (name, usual) in [("cpu", json!(0)), ("essential", json!(true))] {
        if completed.get(name).is_none_or(Value::is_null) {
            completed[name] = usual;
        }
    }
    if let Some(mappings) = completed["portMappings"].as_array_mut() {
        for mapping in mappings {
            complete_port(mapping, name, awsvpc)?;
        }
    }
    if let Some(environment) = completed["environment"].as_array_mut() {
        environment.sort_by(|a, b| text(a, "name").cmp(&text(b, "name")));
    }
    if !completed["healthCheck"].is_null() {
        complete_health_check(&mut completed["healthCheck"], name)?;
    }
    Ok(completed)
}

/// Checks what containers must agree on: names, ports, sizes and who waits for whom.
pub(crate) fn check_together(containers: &[Value], task: &Value) -> Result<(), Stop> {
    let mut names = BTreeSet::new();
    let mut ports = BTreeSet::new();
    let volumes: BTreeSet<_> = list(task, "volumes").iter().filter_map(|volume| text(volume, "name")).collect();
    for container in containers {
        let mounted = list(container, "mountPoints").iter().filter_map(|point| text(point, "sourceVolume"));
        if let Some(unknown) = mounted.into_iter().find(|name| !volumes.contains(name)) {
            return Err(client_exception(format!("Unknown volume '{unknown}'.")));
        }
        if !names.insert(text(container, "name")) {
            return Err(client_exception("Container names must be unique."));
        }
        for mapping in list(container, "portMappings") {
            let protocol = text(mapping, "protocol").unwrap_or("tcp");
            // No host port, or 0, is any port. The same number may be mapped for TCP and for UDP.
            let Some(port) = number(mapping, "hostPort").filter(|&port| port != 0) else { continue };
            if !ports.insert((protocol, port)) {
                let protocol = protocol.to_uppercase();
                return Err(client_exception(format!(
                    "{protocol} host port '{port}' is mapped multiple times in task."
                )));
            }
        }
    }
    let room = |name: &str| text(task, name).and_then(|text| text.parse::<i64>().ok());
    let sum = |size: fn(&Value) -> Option<i64>| containers.iter().filter_map(size).sum::<i64>();
    if room("cpu").is_some_and(|room| sum(|container| number(container, "cpu")) > room) {
        return Err(client_exception(
            "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.",
        ));
    }
    // What is reserved counts, and that is the limit where nothing is (API reference, ContainerDefinition, memory).
    let reserved = |container: &Value| number(container, "memoryReservation").or(number(container, "memory"));
    if room("memory").is_some_and(|room| sum(reserved) > room) {
        return Err(client_exception(
            "The sum of all container 'memory' values cannot be greater than the value of the task 'memory'.",
        ));
    }
    check_dependencies(containers)
}

fn check_memory(container: &Value, name: &str, task: &Value, fargate: bool) -> Result<(), Stop> {
    let memory = [number(container, "memory"), number(container, "memoryReservation")];
    if !fargate && memory == [None, None] && task.get("memory").is_none() {
        return Err(client_exception(format!(
            "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
        )));
    }
    // Docker takes no less than 6 MiB (API reference, ContainerDefinition, memory).
    if memory.iter().flatten().any(|&size| size < 6) {
        return Err(client_exception(format!("Invalid 'memory' setting for container '{name}'.")));
    }
    if let [Some(hard), Some(soft)] = memory
        && soft > hard
    {
        return Err(client_exception(format!(
            "Invalid setting for container '{name}'. 'memory' must be greater than 'memoryReservation'."
        )));
    }
    let room = text(task, "memory").and_then(|text| text.parse::<i64>().ok());
    if let (Some(room), Some(wanted)) = (room, memory[0].or(memory[1]))
        && wanted > room
    {
        return Err(client_exception(format!(
            "The 'memory' setting for container '{name}' is greater than for the task."
        )));
    }
    Ok(())
}

/// Two variables of one name are taken, and a secret of a variable's name is not.
fn check_environment(container: &Value) -> Result<(), Stop> {
    let variables = list(container, "environment");
    if variables.iter().any(|pair| text(pair, "name").unwrap_or_default().trim().is_empty()) {
        return Err(client_exception("Environment variable name cannot be null or blank."));
    }
    let mut taken: BTreeSet<&str> = variables.iter().filter_map(|pair| text(pair, "name")).collect();
    for secret in list(container, "secrets") {
        let name = text(secret, "name").unwrap_or_default();
        if name.is_empty() || text(secret, "valueFrom").unwrap_or_default().is_empty() {
            return Err(client_exception("Secret name and valueFrom should not be null or empty."));
        }
        if !taken.insert(name) {
            return Err(client_exception(format!(
                "The secret name must be unique and not shared with any new or existing environment variables set on the container, such as '{name}'."
            )));
        }
    }
    Ok(())
}

fn check_log(container: &Value, fargate: bool) -> Result<(), Stop> {
    let log = &container["logConfiguration"];
    let Some(driver) = text(log, "logDriver") else { return Ok(()) };
    let drivers = if fargate { FARGATE_DRIVERS } else { DRIVERS };
    if !drivers.contains(&driver) {
        let drivers = drivers.join(",");
        return Err(client_exception(format!("{driver} is not a valid log driver. Must be one of [{drivers}]")));
    }
    if driver != "awslogs" {
        return Ok(());
    }
    // The prefix is required on Fargate (botocore ecs model, LogConfiguration, awslogs-stream-prefix).
    let wanted = ["awslogs-group", "awslogs-region", "awslogs-stream-prefix"];
    let wanted = wanted.iter().take(if fargate { 3 } else { 2 });
    let lacking: Vec<&str> = wanted.filter(|option| text(&log["options"], option).is_none()).copied().collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(client_exception(format!("Log driver awslogs requires options: {}", lacking.join(", "))))
}

fn complete_port(mapping: &mut Value, container: &str, awsvpc: bool) -> Result<(), Stop> {
    let (port, host) = (number(mapping, "containerPort"), number(mapping, "hostPort"));
    let ranged = text(mapping, "containerPortRange").is_some();
    if !ranged && !port.is_some_and(|port| (1..=65535).contains(&port)) {
        return Err(client_exception(format!("Invalid 'containerPort' setting for container '{container}'.")));
    }
    if host.is_some_and(|host| !(0..=65535).contains(&host)) {
        return Err(client_exception(format!("Invalid 'hostPort' setting for container '{container}'.")));
    }
    if awsvpc && !ranged {
        match (port, host) {
            (Some(port), None) => mapping["hostPort"] = json!(port),
            (Some(port), Some(host)) if port != host => {
                return Err(client_exception(
                    "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
                ));
            }
            (Some(_) | None, Some(_)) | (None, None) => {}
        }
    }
    // Anything but udp is tcp (botocore ecs model, PortMapping, protocol).
    if text(mapping, "protocol") != Some("udp") {
        mapping["protocol"] = json!("tcp");
    }
    Ok(())
}

fn complete_health_check(check: &mut Value, container: &str) -> Result<(), Stop> {
    let command = list(check, "command");
    let known =
        command.first().and_then(Value::as_str).is_some_and(|first| matches!(first, "CMD" | "CMD-SHELL" | "NONE"));
    if !known {
        return Err(client_exception(format!(
            "Invalid health check of container '{container}': its command must start with CMD or CMD-SHELL."
        )));
    }
    for &(name, least, most, usual) in HEALTH_CHECK {
        match (number(check, name), usual) {
            (Some(given), _) if !(least..=most).contains(&given) => {
                return Err(client_exception(format!(
                    "Invalid health check of container '{container}': {name} must be {least} to {most}."
                )));
            }
            (None, Some(usual)) => check[name] = json!(usual),
            (Some(_), _) | (None, None) => {}
        }
    }
    Ok(())
}

/// Checks who waits for whom: for containers that are there, and never in a circle.
fn check_dependencies(containers: &[Value]) -> Result<(), Stop> {
    let find = |name: &str| containers.iter().position(|container| text(container, "name") == Some(name));
    let mut waits: Vec<Vec<usize>> = Vec::new();
    for container in containers {
        let mut targets = Vec::new();
        for dependency in list(container, "dependsOn") {
            let name = text(dependency, "containerName").unwrap_or_default();
            let Some(target) = find(name) else {
                return Err(client_exception(format!(
                    "Cannot depend on container + '{name}' because it does not exist"
                )));
            };
            match text(dependency, "condition") {
                Some("START") => {}
                Some("HEALTHY") if !containers[target]["healthCheck"].is_null() => {}
                Some("HEALTHY") => {
                    return Err(client_exception(format!(
                        "Container '{name}' has no health check configured, and a HEALTHY condition depends on it."
                    )));
                }
                Some("SUCCESS" | "COMPLETE") if containers[target]["essential"] == json!(true) => {
                    return Err(client_exception(
                        "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
                    ));
                }
                Some("SUCCESS" | "COMPLETE") => {}
                Some(_) | None => {
                    return Err(client_exception(format!(
                        "Invalid condition of the dependency on container '{name}': must be START, COMPLETE, SUCCESS or HEALTHY."
                    )));
                }
            }
            targets.push(target);
        }
        waits.push(targets);
    }
    // Whoever waits only for those who are up comes up; whoever is left then waits in a circle, or for one.
    let mut up = vec![false; containers.len()];
    for _ in containers {
        for (container, targets) in waits.iter().enumerate() {
            up[container] |= targets.iter().all(|&target| up[target]);
        }
    }
    if up.contains(&false) {
        return Err(client_exception("Container dependencies must not be a cycle."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::task_definition::complete;
    use super::*;

    fn request() -> Value {
        json!({
            "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "executionRoleArn": "arn:aws:iam::123456789012:role/x",
            "containerDefinitions": [
                {"name": "web", "image": "nginx", "portMappings": [{"containerPort": 80}], "environment": [{"name": "A", "value": "1"}]},
                {"name": "side", "image": "envoy", "essential": false},
            ],
        })
    }

    /// What is said of a task definition whose container has another member.
    fn said(container: usize, name: &str, value: Value) -> String {
        let mut request = request();
        request["containerDefinitions"][container][name] = value;
        match complete(&request) {
            Err(Stop::Refused(refusal)) => refusal.message,
            Err(Stop::Ask(_)) => panic!("it asks"),
            Ok(_) => String::new(),
        }
    }

    #[test]
    fn a_container_is_checked() {
        for (name, value, wanted) in [
            ("name", json!("a.b"), "Invalid container name 'a.b'"),
            ("name", json!("side"), "Container names must be unique."),
            ("memory", json!(513), "The 'memory' setting for container 'web' is greater than for the task."),
            ("memory", json!(5), "Invalid 'memory' setting"),
            ("cpu", json!(257), "The sum of all container 'cpu' values"),
            ("portMappings", json!([{"containerPort": 0}]), "Invalid 'containerPort' setting for container 'web'."),
            ("portMappings", json!([{"hostPort": 80}]), "Invalid 'containerPort' setting for container 'web'."),
            ("portMappings", json!([{"containerPort": 80, "hostPort": 81}]), "host ports and container ports"),
            (
                "portMappings",
                json!([{"containerPort": 80}, {"containerPort": 80}]),
                "TCP host port '80' is mapped multiple",
            ),
            ("environment", json!([{"name": "", "value": ""}]), "Environment variable name cannot be null or blank."),
            ("secrets", json!([{"name": "A", "valueFrom": "/p"}]), "The secret name must be unique"),
            ("secrets", json!([{"name": "P", "valueFrom": "/p"}, {"name": "P", "valueFrom": "/q"}]), "such as 'P'"),
            ("logConfiguration", json!({"logDriver": "json-file"}), "json-file is not a valid log driver"),
            ("logConfiguration", json!({"logDriver": "awslogs"}), "requires options: awslogs-group, awslogs-region"),
            ("healthCheck", json!({"command": ["curl"]}), "must start with CMD"),
            ("healthCheck", json!({"command": ["CMD", "x"], "interval": 4}), "interval must be 5 to 300"),
            ("healthCheck", json!({"command": ["CMD", "x"], "timeout": 61}), "timeout must be 2 to 60"),
            ("healthCheck", json!({"command": ["CMD", "x"], "retries": 0}), "retries must be 1 to 10"),
            ("healthCheck", json!({"command": ["CMD", "x"], "startPeriod": 301}), "startPeriod must be 0 to 300"),
        ] {
            let said = said(0, name, value.clone());
            assert!(said.contains(wanted), "{name} {value}: {said}");
        }
        assert_eq!(
            said(0, "portMappings", json!([{"containerPort": 53}, {"containerPort": 53, "protocol": "udp"}])),
            ""
        );
        assert!(said(1, "portMappings", json!([{"containerPort": 80}])).contains("mapped multiple times in task"));
        assert!(said(1, "memoryReservation", json!(512)).is_empty());
    }

    #[test]
    fn what_containers_reserve_fits_the_task() {
        let mut request = request();
        request["containerDefinitions"][0]["memoryReservation"] = json!(300);
        request["containerDefinitions"][1]["memory"] = json!(300);
        assert!(complete(&request).is_err());
        request["containerDefinitions"][1]["memoryReservation"] = json!(200);
        assert!(complete(&request).is_ok());
    }

    #[test]
    fn dependencies_are_there_and_no_circle() {
        let on = |name: &str, condition: &str| json!([{"containerName": name, "condition": condition}]);
        assert!(said(0, "dependsOn", on("db", "START")).starts_with("Cannot depend on container + 'db' because"));
        assert!(said(0, "dependsOn", on("web", "START")).contains("cycle"));
        assert!(said(0, "dependsOn", on("side", "HEALTHY")).contains("no health check"));
        assert!(said(0, "dependsOn", on("side", "UP")).contains("must be START"));
        assert!(said(1, "dependsOn", on("web", "SUCCESS")).contains("cannot be an essential container"));
        assert_eq!(said(0, "dependsOn", on("side", "SUCCESS")), "");
        let mut circle = request();
        circle["containerDefinitions"][0]["dependsOn"] = on("side", "START");
        circle["containerDefinitions"][1]["dependsOn"] = on("web", "START");
        assert!(complete(&circle).is_err());
    }

    #[test]
    fn a_health_check_is_completed() {
        let mut request = request();
        request["containerDefinitions"][0]["healthCheck"] = json!({"command": ["CMD-SHELL", "true"]});
        let check = complete(&request).expect("it is sound")["containerDefinitions"][0]["healthCheck"].clone();
        assert_eq!(check, json!({"command": ["CMD-SHELL", "true"], "interval": 30, "timeout": 5, "retries": 3}));
    }
}
