//! Roles that ECS cannot be given: those that nobody may pass, and those so new that they do not show yet.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{denial, role};
use crate::answer::Answer;
use crate::call::Request;
use crate::environment::ACCOUNT;
use crate::proxy::Proxy;

/// ECS's own role.
const SERVICE_LINKED: &str = "AWSServiceRoleForECS";

/// How ECS refuses a role that it cannot assume when a service is made.
const PROPER: &str = "Unable to assume role and validate the listeners configured on your load balancer. Please verify \
                      that the ECS service role being passed has the proper permissions.";

/// The refusal of a call to ECS that passes a role which must not be passed, or one made a moment ago.
pub(crate) async fn refusal(proxy: &Proxy, request: &Request) -> Option<Answer> {
    if let Some(role) = denied(proxy, request).await {
        return Some(denial::refuse(request, "iam:PassRole", &role));
    }
    if !role::may_be_unsettled(proxy) {
        return None;
    }
    let call = &request.json;
    let refuse = |code: &str, message: &str| Some(Answer::refuse(request, StatusCode::BAD_REQUEST, code, message));
    match request.operation.as_str() {
        "RegisterTaskDefinition" => {
            // <https://github.com/terraform-aws-modules/terraform-aws-ecs/issues/414>
            let new = unsettled(proxy, task_roles(call))?;
            Some(denial::refuse(request, "iam:PassRole", new))
        }
        "CreateService" | "UpdateService" if unsettled(proxy, service_roles(call)).is_some() => {
            refuse("InvalidParameterException", PROPER)
        }
        "CreateService" | "CreateCluster" if role::is_unsettled(proxy, SERVICE_LINKED) => {
            let message = "Unable to assume the service linked role. Please verify that the ECS service linked role \
                           exists.";
            refuse("InvalidParameterException", message)
        }
        "RunTask" => {
            // <https://github.com/pulumi/pulumi-awsx/issues/927>
            let mut roles = task_roles(&call["overrides"]);
            let definition = described(proxy, request).await;
            roles.extend(task_roles(&definition));
            let new = unsettled(proxy, roles)?;
            let message = format!(
                "ECS was unable to assume the role '{new}' that was provided for this task. Please verify that the \
                 role being passed has the proper trust relationship and permissions and that your IAM user has \
                 permissions to pass this role."
            );
            refuse("ClientException", &message)
        }
        _ => None,
    }
}

/// The refusal of a call to EventBridge Scheduler whose role must not be passed, does not trust it, or was made a moment ago.
///
/// <https://github.com/hashicorp/terraform-provider-aws/issues/29027>
pub(crate) async fn scheduler_refusal(proxy: &Proxy, request: &Request) -> Option<Answer> {
    let arn = request.json["Target"]["RoleArn"].as_str().unwrap_or_default();
    if proxy.sky.weather().denies("iam:PassRole", arn) {
        return Some(denial::refuse(request, "iam:PassRole", arn));
    }
    let unsettled = role::may_be_unsettled(proxy) && role::is_unsettled(proxy, name(arn));
    if !unsettled && role::trusts(proxy, name(arn), "scheduler.amazonaws.com").await {
        return None;
    }
    let message = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role.";
    Some(Answer::refuse(request, StatusCode::BAD_REQUEST, "ValidationException", message))
}

/// Whether a service can assume a role: it is there, and not too new.
pub(crate) async fn can_be_assumed(proxy: &Proxy, arn: &str) -> bool {
    let form = [("Action", "GetRole"), ("RoleName", name(arn))];
    let found = proxy.upstream.query("iam", "us-east-1", super::VERSION, &form).await;
    found.status.is_success() && !role::is_unsettled(proxy, name(arn))
}

/// The ARN of a role that a call passes, and that nobody is allowed to pass.
///
/// A task definition passes its roles, and so does a task that is run, with those of its overrides in their place; a
/// service passes only those that it is given itself (IAM user guide, "Grant a user permissions to pass a role to an AWS
/// service").
async fn denied(proxy: &Proxy, request: &Request) -> Option<String> {
    let weather = proxy.sky.weather();
    if weather.denies.is_empty() {
        return None;
    }
    let call = &request.json;
    let passed: Vec<String> = match request.operation.as_str() {
        "RegisterTaskDefinition" => arns(task_roles(call)),
        "CreateService" | "UpdateService" => arns(service_roles(call)),
        "RunTask" => {
            let mut definition = described(proxy, request).await;
            for member in ["taskRoleArn", "executionRoleArn"] {
                if call["overrides"][member].is_string() {
                    definition[member] = call["overrides"][member].clone();
                }
            }
            arns(task_roles(&definition))
        }
        _ => Vec::new(),
    };
    passed.into_iter().find(|role| weather.denies("iam:PassRole", role))
}

/// The ARNs of roles that may be named without.
fn arns(roles: Vec<&str>) -> Vec<String> {
    let arn = |role: &str| {
        if role.starts_with("arn:") { role.to_owned() } else { format!("arn:aws:iam::{ACCOUNT}:role/{role}") }
    };
    roles.into_iter().map(arn).collect()
}

/// Whether a role, by its name or ARN, can be neither passed nor assumed yet.
fn unsettled<'a>(proxy: &Proxy, roles: Vec<&'a str>) -> Option<&'a str> {
    roles.into_iter().find(|role| role::is_unsettled(proxy, name(role)))
}

/// The roles of a task definition, or of a task's overrides.
fn task_roles(definition: &Value) -> Vec<&str> {
    ["taskRoleArn", "executionRoleArn"].into_iter().filter_map(|member| definition[member].as_str()).collect()
}

/// The roles that a service is given: one for its load balancer, and one for each that shifts traffic.
fn service_roles(service: &Value) -> Vec<&str> {
    let balancers = service["loadBalancers"].as_array().into_iter().flatten();
    let shifting = balancers.filter_map(|balancer| balancer["advancedConfiguration"]["roleArn"].as_str());
    service["role"].as_str().into_iter().chain(shifting).collect()
}

/// The task definition of a call, as ECS describes it.
async fn described(proxy: &Proxy, request: &Request) -> Value {
    let mut question = request.clone();
    "DescribeTaskDefinition".clone_into(&mut question.operation);
    question.json = json!({"taskDefinition": request.json["taskDefinition"]});
    let answer = proxy.ecs.call(&question, &proxy.upstream).await;
    // A task definition that is not there has no roles: ECS refuses it afterwards.
    let mut answer: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    answer["taskDefinition"].take()
}

/// The name of a role: "arn:aws:iam::123456789012:role/path/NAME".
fn name(role: &str) -> &str {
    role.rsplit_once('/').map_or(role, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roles_of_a_call_are_found() {
        let task = json!({"taskRoleArn": "arn:aws:iam::1:role/task", "executionRoleArn": "execution"});
        assert_eq!(task_roles(&task), ["arn:aws:iam::1:role/task", "execution"]);
        assert_eq!(task_roles(&Value::Null), [""; 0]);
        let shifting = json!({"advancedConfiguration": {"roleArn": "shift"}});
        let service = json!({"role": "listen", "loadBalancers": [{"targetGroupArn": "t"}, shifting]});
        assert_eq!(service_roles(&service), ["listen", "shift"]);
        assert_eq!(arns(vec!["b", "arn:x"]), ["arn:aws:iam::123456789012:role/b", "arn:x"]);
        assert_eq!((name("arn:aws:iam::1:role/a/b"), name("b")), ("b", "b"));
    }
}
