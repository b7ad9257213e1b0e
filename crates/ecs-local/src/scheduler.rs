//! EventBridge Scheduler, where moto takes what AWS refuses: roles that it cannot take on, groups that are not there.

use hyper::{Method, StatusCode};
use serde_json::Value;
use url::form_urlencoded;

use crate::answer::Answer;
use crate::call::Request;
use crate::iam::pass_role;
use crate::proxy::Proxy;

/// The operation of a call, by its method and path
/// (<https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Operations.html>).
pub(crate) fn operation(method: &Method, path: &str) -> Option<&'static str> {
    let mut parts = path.trim_matches('/').splitn(2, '/');
    let (kind, named) = (parts.next()?, parts.next().is_some());
    Some(match (kind, named, method) {
        ("schedules", true, &Method::POST) => "CreateSchedule",
        ("schedules", true, &Method::GET) => "GetSchedule",
        ("schedules", true, &Method::PUT) => "UpdateSchedule",
        ("schedules", true, &Method::DELETE) => "DeleteSchedule",
        ("schedules", false, &Method::GET) => "ListSchedules",
        ("schedule-groups", true, &Method::POST) => "CreateScheduleGroup",
        ("schedule-groups", true, &Method::GET) => "GetScheduleGroup",
        ("schedule-groups", true, &Method::DELETE) => "DeleteScheduleGroup",
        ("schedule-groups", false, &Method::GET) => "ListScheduleGroups",
        ("tags", true, &Method::GET) => "ListTagsForResource",
        ("tags", true, &Method::POST) => "TagResource",
        ("tags", true, &Method::DELETE) => "UntagResource",
        _ => return None,
    })
}

/// Answers a call to EventBridge Scheduler.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    if let Some(refusal) = refusal(proxy, request).await {
        return refusal;
    }
    proxy.upstream.forward(request).await
}

async fn refusal(proxy: &Proxy, request: &Request) -> Option<Answer> {
    let json = &request.json;
    match request.operation.as_str() {
        "CreateSchedule" | "UpdateSchedule" => {
            let group = json["GroupName"].as_str().unwrap_or("default");
            if group != "default" && !has_group(proxy, request, group).await {
                return Some(no_group(request, group));
            }
            if let Some(refusal) = pass_role::scheduler_refusal(proxy, request).await {
                return Some(refusal);
            }
            check(&json["Target"]).err().map(|why| invalid(request, &why))
        }
        // moto knows no schedules of a group that is not there.
        "ListSchedules" | "GetSchedule" | "DeleteSchedule" => {
            let query = request.uri.query().unwrap_or_default();
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            let group = pairs.find(|(key, _)| key == "ScheduleGroup" || key == "groupName");
            let group = group.map(|(_, group)| group.into_owned())?;
            (!has_group(proxy, request, &group).await).then(|| no_group(request, &group))
        }
        // moto replaces the group that is there, and fails at one that is not.
        "CreateScheduleGroup" | "DeleteScheduleGroup" => {
            let name = request.uri.path().rsplit('/').next().unwrap_or_default();
            let there = has_group(proxy, request, name).await;
            match (request.operation.as_str(), there) {
                ("CreateScheduleGroup", true) => {
                    let message = format!("Schedule group {name} already exists.");
                    Some(Answer::refuse(request, StatusCode::CONFLICT, "ConflictException", &message))
                }
                ("DeleteScheduleGroup", false) => Some(no_group(request, name)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// What is wrong with a target of ECS's.
fn check(target: &Value) -> Result<(), String> {
    let arn = target["Arn"].as_str().unwrap_or_default();
    if !arn.contains(":ecs:") {
        return Ok(());
    }
    let parameters = &target["EcsParameters"];
    if !parameters["TaskDefinitionArn"].as_str().is_some_and(|arn| arn.contains(":task-definition/")) {
        return Err(format!("EcsParameters is required for the target {arn}."));
    }
    let network = &parameters["NetworkConfiguration"]["awsvpcConfiguration"]["Subnets"];
    if parameters["LaunchType"] == "FARGATE" && network.as_array().is_none_or(Vec::is_empty) {
        return Err("NetworkConfiguration is required for the launch type FARGATE.".to_owned());
    }
    let input = target["Input"].as_str();
    if input.is_some_and(|input| serde_json::from_str::<Value>(input).is_err()) {
        return Err("Input for the target is not valid JSON.".to_owned());
    }
    Ok(())
}

async fn has_group(proxy: &Proxy, request: &Request, name: &str) -> bool {
    let mut question = request.clone();
    question.method = Method::GET;
    question.body = Default::default();
    let Ok(uri) = format!("/schedule-groups/{name}").parse() else { return false };
    question.uri = uri;
    proxy.upstream.forward(&question).await.status.is_success()
}

fn no_group(request: &Request, name: &str) -> Answer {
    let message = format!("Schedule group {name} does not exist.");
    Answer::refuse(request, StatusCode::NOT_FOUND, "ResourceNotFoundException", &message)
}

fn invalid(request: &Request, message: &str) -> Answer {
    Answer::refuse(request, StatusCode::BAD_REQUEST, "ValidationException", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_known_by_its_method_and_path() {
        let cases = [
            (Method::POST, "/schedules/cleanup", Some("CreateSchedule")),
            (Method::GET, "/schedules", Some("ListSchedules")),
            (Method::DELETE, "/schedule-groups/prod", Some("DeleteScheduleGroup")),
            (Method::GET, "/tags/arn:aws:scheduler:r:1:schedule-group/prod", Some("ListTagsForResource")),
            (Method::PATCH, "/schedules/cleanup", None),
            (Method::GET, "/", None),
        ];
        for (method, path, wanted) in cases {
            assert_eq!(operation(&method, path), wanted, "{method} {path}");
        }
    }

    #[test]
    fn a_task_of_ecs_needs_a_definition_and_a_network() {
        let target =
            |parameters: Value| check(&json!({"Arn": "arn:aws:ecs:r:1:cluster/c", "EcsParameters": parameters}));
        let definition = "arn:aws:ecs:r:1:task-definition/web";
        assert!(target(Value::Null).is_err());
        assert!(target(json!({"TaskDefinitionArn": definition, "LaunchType": "FARGATE"})).is_err());
        let network = json!({"awsvpcConfiguration": {"Subnets": ["subnet-1"]}});
        let fine = json!({"TaskDefinitionArn": definition, "LaunchType": "FARGATE", "NetworkConfiguration": network});
        assert_eq!(target(fine), Ok(()));
        assert_eq!(check(&json!({"Arn": "arn:aws:sqs:r:1:queue"})), Ok(()));
    }
}
