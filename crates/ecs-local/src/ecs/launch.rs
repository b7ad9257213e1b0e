//! What a task needs at its start, and why it does not start without.
//!
//! The texts are those of the developer guide, "Stopped tasks error messages", and of tasks that people have shown in
//! issues: aws/containers-roadmap#2687 (an image that is not there), sleeper#904 (no capacity).

use serde_json::Value;

use super::Region;
use super::error::Stop;
use super::facts::{Fact, Facts, Question};
use super::json::{last_part, list, text};
use super::task::{Reason, Stage, Task};
use super::task_definition::TaskDefinition;
use crate::environment::ACCOUNT;
use crate::weather::Happening;

/// What ECS says where Fargate has no room for a task.
pub(crate) const NO_CAPACITY: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone";

/// What comes before every trouble with secrets and the registry's password.
const PULLING: &str =
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed:";

/// What a task of this definition needs at its start, in the order in which the agent looks for it.
pub(crate) fn needs(definition: &TaskDefinition, region: &str) -> Vec<Question> {
    let mut needs = roles(&definition.content);
    let containers = list(&definition.content, "containerDefinitions");
    for container in containers {
        needs
            .extend(list(container, "secrets").iter().filter_map(|secret| secret_question(text(secret, "valueFrom")?)));
    }
    needs.extend(containers.iter().filter_map(|container| log_question(container, region)));
    for image in containers.iter().filter_map(|container| text(container, "image")) {
        if let Some((repository, reference)) = repository(image, region) {
            needs.push(Question::Repository(repository.to_owned()));
            needs.push(Question::Image(reference));
        }
    }
    needs
}

/// The roles of a task definition or of overrides of it.
pub(crate) fn roles(content: &Value) -> Vec<Question> {
    let roles = ["executionRoleArn", "taskRoleArn"].into_iter().filter_map(|name| text(content, name));
    roles.map(|arn| Question::Role(last_part(arn).to_owned())).collect()
}

/// What ECS says of a role that it cannot assume.
pub(crate) fn cannot_assume(role: &str) -> String {
    format!(
        "ECS was unable to assume the role 'arn:aws:iam::{ACCOUNT}:role/{role}' that was provided for this task. Please verify that \
         the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role."
    )
}

impl Region {
    /// Why a task that is about to start cannot, if so: by script, or because something is not there.
    pub(crate) fn trouble(&self, task: &Task, facts: &Facts) -> Option<Reason> {
        if task.stage != Stage::Pending {
            return None;
        }
        let definition = self.task_definition(&task.definition)?;
        let text = self
            .scripted(task, &definition.content)
            .or_else(|| missing(definition, &self.name, facts, self.weather.strict_images))?;
        Some(Reason { code: "TaskFailedToStart", text })
    }

    /// What a misfortune says of a task's start.
    fn scripted(&self, task: &Task, content: &Value) -> Option<String> {
        let containers = list(content, "containerDefinitions");
        let image = containers.first().and_then(|container| text(container, "image")).unwrap_or_default();
        let role = text(content, "executionRoleArn").map_or("ecsTaskExecutionRole", last_part);
        match task.course.misfortune.as_ref()?.happens {
            Happening::CannotPull => Some(not_found(image)),
            // The words of the agent since it uses version 2 of AWS's SDK for Go.
            Happening::SecretUnreadable => {
                let arn = |name: &str| {
                    format!("arn:aws:ssm:{}:{ACCOUNT}:parameter/{}", self.name, name.trim_start_matches('/'))
                };
                let mut secrets = containers.iter().flat_map(|container| list(container, "secrets"));
                let secret = secrets.find_map(|secret| secret_question(text(secret, "valueFrom")?));
                let (retrieving, service, operation, resource) = match secret {
                    Some(Question::Secret(arn)) => (
                        format!(
                            "unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret {arn} from secrets manager:"
                        ),
                        "Secrets Manager",
                        "secretsmanager:GetSecretValue",
                        arn,
                    ),
                    Some(Question::Parameter(name)) => (SSM.to_owned(), "SSM", "ssm:GetParameters", arn(&name)),
                    Some(_) | None => (SSM.to_owned(), "SSM", "ssm:GetParameters", arn("*")),
                };
                let call = operation.split_once(':').map_or(operation, |(_, call)| call);
                Some(format!(
                    "{PULLING} {retrieving} operation error {service}: {call}, https response error StatusCode: 400, RequestID: {}, api \
                     error AccessDeniedException: User: arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{} is not authorized to perform: \
                     {operation} on resource: {resource} because no identity-based policy allows the {operation} action",
                    task.ids.attachment,
                    last_part(&task.arn),
                ))
            }
            Happening::NoRoute => Some(format!(
                "{PULLING} unable to retrieve ecr registry auth: service call has been retried 3 time(s): RequestError: send request \
                 failed caused by: Post \"https://api.ecr.{}.amazonaws.com/\": dial tcp 10.0.0.2:443: i/o timeout. Please check your task \
                 network configuration.",
                self.name
            )),
            Happening::Runs
            | Happening::Finishes
            | Happening::Exits
            | Happening::OutOfMemory
            | Happening::UnhealthyContainer
            | Happening::UnhealthyTarget
            | Happening::NoCapacity => None,
        }
    }
}

const SSM: &str = "unable to retrieve secrets from ssm: service call has been retried 1 time(s):";

/// What the first thing that is not there makes the agent say.
fn missing(definition: &TaskDefinition, region: &str, facts: &Facts, strict_images: bool) -> Option<String> {
    let containers = list(&definition.content, "containerDefinitions");
    if containers.iter().any(|container| log_option(container, "awslogs-region") == Some("")) {
        return Some(
            "ResourceInitializationError: failed to validate logger args: unable to get awslogs driver arguments: awslogs-region is required"
                .to_owned(),
        );
    }
    for question in needs(definition, region) {
        let there = match facts.get(&question) {
            Some(Fact::Missing) | None => false,
            Some(Fact::Empty) => !strict_images,
            Some(
                Fact::Found
                | Fact::Image { .. }
                | Fact::Subnet(_)
                | Fact::TargetGroup { .. }
                | Fact::Rule { .. }
                | Fact::Alarm { .. },
            ) => true,
        };
        if there {
            continue;
        }
        return Some(match question {
            Question::Role(name) => cannot_assume(&name),
            Question::Parameter(name) => format!("{PULLING} {SSM} invalid ssm parameters: {name}"),
            Question::Secret(name) => format!(
                "{PULLING} unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret {name} from \
                 secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret."
            ),
            Question::Repository(name) => format!(
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {name}: the repository does \
                 not exist in the registry with id '{ACCOUNT}'"
            ),
            Question::Image(reference) => not_found(&format!("{}{reference}", registry(region))),
            Question::LogGroup { .. } => {
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create \
                 Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist. : exit status 1"
                    .to_owned()
            }
            Question::Subnet(_) | Question::SecurityGroup(_) | Question::TargetGroup(_) | Question::Rule(_) | Question::Trust(_) | Question::Alarm(_) => continue,
        });
    }
    None
}

fn not_found(image: &str) -> String {
    format!(
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: not found"
    )
}

/// What a secret's `valueFrom` refers to: a parameter's name or ARN, or a secret's ARN with JSON key and version behind it.
fn secret_question(from: &str) -> Option<Question> {
    if from.contains(":secretsmanager:") {
        let parts: Vec<&str> = from.splitn(8, ':').collect();
        return Some(Question::Secret(parts.get(..7)?.join(":")));
    }
    match from.split_once(":parameter/") {
        // The ARN of /a/b is …:parameter/a/b, and that of plain c is …:parameter/c.
        Some((_, name)) if name.contains('/') => Some(Question::Parameter(format!("/{name}"))),
        Some((_, name)) => Some(Question::Parameter(name.to_owned())),
        None => Some(Question::Parameter(from.to_owned())),
    }
}

/// The log group that must be there: with `awslogs-create-group` the driver makes it.
fn log_question(container: &Value, region: &str) -> Option<Question> {
    let name = log_option(container, "awslogs-group")?.to_owned();
    let made = log_option(container, "awslogs-create-group") == Some("true");
    let region = log_option(container, "awslogs-region").unwrap_or(region).to_owned();
    (!made && !region.is_empty()).then_some(Question::LogGroup { region, name })
}

/// An option of a container's log driver, if that is awslogs.
pub(crate) fn log_option<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let log = &container["logConfiguration"];
    if text(log, "logDriver") == Some("awslogs") { text(&log["options"], name) } else { None }
}

fn registry(region: &str) -> String {
    format!("{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/")
}

/// The repository of an image in this account's registry of this region, and the image in it; any other counts as there.
fn repository<'a>(image: &'a str, region: &str) -> Option<(&'a str, String)> {
    let rest = image.strip_prefix(&registry(region))?;
    let repository = rest.split(['@', ':']).next().unwrap_or(rest);
    let reference = if repository == rest { format!("{rest}:latest") } else { rest.to_owned() };
    Some((repository, reference))
}

/// The digests of a task definition's images, by container, as far as they are known.
///
/// Of an image that is no one's here nothing is known; it has a digest all the same, which stays.
pub(crate) fn digests(content: &Value, region: &str, facts: &Facts) -> Vec<(String, String)> {
    let digest = |image: &str| match (image.split_once('@'), repository(image, region)) {
        (Some((_, digest)), _) => Some(digest.to_owned()),
        (None, Some((_, reference))) => match facts.get(&Question::Image(reference)) {
            Some(Fact::Image { digest }) => Some(digest),
            Some(
                Fact::Missing
                | Fact::Found
                | Fact::Empty
                | Fact::Subnet(_)
                | Fact::TargetGroup { .. }
                | Fact::Rule { .. }
                | Fact::Alarm { .. },
            )
            | None => None,
        },
        (None, None) => Some(crate::ecr::digest(image.as_bytes())),
    };
    let containers = list(content, "containerDefinitions").iter();
    containers
        .filter_map(|container| Some((text(container, "name")?.to_owned(), digest(text(container, "image")?)?)))
        .collect()
}

/// Makes sure that roles can be assumed.
///
/// # Errors
/// One is not there: RunTask refuses where a service's tasks only fail.
pub(crate) fn require_roles(content: &Value, facts: &Facts) -> Result<(), Stop> {
    let roles = roles(content);
    facts.require(roles.iter().cloned())?;
    for role in roles {
        if let Question::Role(name) = &role
            && !facts.has(&role)
        {
            return Err(super::error::client_exception(cannot_assume(name)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_found_by_name_and_arn() {
        let arn = "arn:aws:ssm:us-east-1:123456789012:parameter/ecs/backend/DB_HOST";
        assert_eq!(secret_question(arn), Some(Question::Parameter("/ecs/backend/DB_HOST".to_owned())));
        assert_eq!(secret_question("/ecs/x"), Some(Question::Parameter("/ecs/x".to_owned())));
        let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf:password::";
        let secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf";
        assert_eq!(secret_question(arn), Some(Question::Secret(secret.to_owned())));
    }

    #[test]
    fn only_this_registry_is_asked_for_its_images() {
        let image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app";
        assert_eq!(repository(image, "us-east-1"), Some(("team/app", "team/app:latest".to_owned())));
        let digest = format!("{image}@sha256:ab");
        assert_eq!(repository(&digest, "us-east-1"), Some(("team/app", "team/app@sha256:ab".to_owned())));
        assert_eq!(repository("nginx:latest", "us-east-1"), None);
    }

    #[test]
    fn an_image_is_known_by_its_digest() {
        let registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
        let container = |name: &str, image: String| json!({"name": name, "image": image});
        let content = json!({"containerDefinitions": [
            container("tagged", format!("{registry}/web:1")),
            container("pinned", format!("{registry}/web:1@sha256:0b")),
            container("unknown", format!("{registry}/api:1")),
            container("foreign", "nginx:latest".to_owned()),
        ]});
        let mut facts = Facts::default();
        facts.insert(Question::Image("web:1".to_owned()), Fact::Image { digest: "sha256:0a".to_owned() });
        let found = digests(&content, "us-east-1", &facts);
        let of = |name: &str| found.iter().find(|(container, _)| container == name).map(|(_, digest)| digest.as_str());
        assert_eq!((of("tagged"), of("pinned"), of("unknown")), (Some("sha256:0a"), Some("sha256:0b"), None));
        assert!(of("foreign").is_some_and(|digest| digest.starts_with("sha256:")));
    }

    #[test]
    fn a_log_group_must_be_there_unless_the_driver_makes_it() {
        let mut container = json!({"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/g"}}});
        let question = Question::LogGroup { region: "us-east-1".to_owned(), name: "/g".to_owned() };
        assert_eq!(log_question(&container, "us-east-1"), Some(question));
        container["logConfiguration"]["options"]["awslogs-create-group"] = json!("true");
        assert_eq!(log_question(&container, "us-east-1"), None);
        container["logConfiguration"]["logDriver"] = json!("splunk");
        assert_eq!(log_question(&container, "us-east-1"), None);
    }
}
