//! Application Auto Scaling, which must look for ECS services in our model, not in moto's, and whose targets take their
//! policies and scheduled actions along.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Request;
use crate::ecs::Ecs;
use crate::iam;
use crate::proxy::Proxy;

/// The code of what is not there.
const NOT_FOUND: &str = "ObjectNotFoundException";

/// Answers a call to Application Auto Scaling.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    let json = &request.json;
    let id = json["ResourceId"].as_str().unwrap_or_default();
    match request.operation.as_str() {
        "RegisterScalableTarget" if json["ServiceNamespace"] == "ecs" => {
            if !has_service(&proxy.ecs, &request.region, id).await {
                let message = format!("ECS service doesn't exist: {id}");
                return Answer::refuse(request, StatusCode::BAD_REQUEST, "ValidationException", &message);
            }
            // AWS makes the role at the first target.
            iam::ensure_service_linked_role(&proxy.upstream, "ecs.application-autoscaling.amazonaws.com").await;
        }
        // moto takes them without a target, and has another code where there is none.
        "PutScheduledAction" | "PutScalingPolicy" | "DeregisterScalableTarget" => {
            let targets = list(proxy, request, "DescribeScalableTargets", "ScalableTargets").await;
            if targets.is_empty() {
                return missing(request, "scalable target", "");
            }
        }
        "DeleteScheduledAction" => {
            let name = &json["ScheduledActionName"];
            let actions = list(proxy, request, "DescribeScheduledActions", "ScheduledActions").await;
            if !actions.iter().any(|action| action["ScheduledActionName"] == *name) {
                let named = format!(", scheduled action name: {}", name.as_str().unwrap_or_default());
                return missing(request, "scheduled action", &named);
            }
        }
        _ => {}
    }
    let answer = proxy.upstream.forward(request).await;
    if request.operation == "DeregisterScalableTarget" && answer.status.is_success() {
        take_along(proxy, request).await;
    }
    answer
}

/// Deletes what stood on a target: "Deregistering a scalable target deletes the scaling policies and the scheduled actions
/// that are associated with it" (API reference, DeregisterScalableTarget).
async fn take_along(proxy: &Proxy, request: &Request) {
    for (describe, member, delete, name) in [
        ("DescribeScalingPolicies", "ScalingPolicies", "DeleteScalingPolicy", "PolicyName"),
        ("DescribeScheduledActions", "ScheduledActions", "DeleteScheduledAction", "ScheduledActionName"),
    ] {
        for item in list(proxy, request, describe, member).await {
            let mut body = about(request);
            body[name] = item[name].clone();
            call(proxy, request, delete, &body).await;
        }
    }
}

/// What moto lists about the resource of a call.
async fn list(proxy: &Proxy, request: &Request, operation: &str, member: &str) -> Vec<Value> {
    let mut body = about(request);
    if operation == "DescribeScalableTargets" {
        body["ResourceIds"] = json!([body["ResourceId"].take()]);
        if let Some(body) = body.as_object_mut() {
            body.remove("ResourceId");
        }
    }
    let reply = call(proxy, request, operation, &body).await;
    reply[member].as_array().cloned().unwrap_or_default()
}

/// Names the resource of a call.
fn about(request: &Request) -> Value {
    let members = ["ServiceNamespace", "ResourceId", "ScalableDimension"];
    members.into_iter().map(|member| (member.to_owned(), request.json[member].clone())).collect()
}

async fn call(proxy: &Proxy, request: &Request, operation: &str, body: &Value) -> Value {
    let target = format!("AnyScaleFrontendService.{operation}");
    let reply = proxy.upstream.json("application-autoscaling", &request.region, &target, body).await;
    reply.ok().and_then(|body| serde_json::from_str(&body).ok()).unwrap_or_default()
}

fn missing(request: &Request, what: &str, named: &str) -> Answer {
    let text = |member: &str| request.json[member].as_str().unwrap_or_default();
    let message = format!(
        "No {what} found for service namespace: {}, resource ID: {}, scalable dimension: {}{named}",
        text("ServiceNamespace"),
        text("ResourceId"),
        text("ScalableDimension"),
    );
    Answer::refuse(request, StatusCode::BAD_REQUEST, NOT_FOUND, &message)
}

/// Whether there is a service for a resource id: "service/CLUSTER/SERVICE".
async fn has_service(ecs: &Ecs, region: &str, id: &str) -> bool {
    match id.split('/').collect::<Vec<_>>()[..] {
        ["service", cluster, service] => ecs.has_service(region, cluster, service).await,
        _ => false,
    }
}
