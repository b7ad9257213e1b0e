//! Application Auto Scaling, which must look for ECS services in our model, not in moto's.

use hyper::StatusCode;

use crate::answer::Answer;
use crate::call::Request;
use crate::ecs::Ecs;
use crate::iam;
use crate::proxy::Proxy;

/// Answers a call to Application Auto Scaling.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    let registers = request.operation == "RegisterScalableTarget" && request.json["ServiceNamespace"] == "ecs";
    if registers {
        let id = request.json["ResourceId"].as_str().unwrap_or_default();
        if !has_service(&proxy.ecs, &request.region, id).await {
            let message = format!("ECS service doesn't exist: {id}");
            return Answer::refuse(request, StatusCode::BAD_REQUEST, "ValidationException", &message);
        }
        // AWS makes the role at the first target.
        iam::ensure_service_linked_role(&proxy.upstream, "ecs.application-autoscaling.amazonaws.com").await;
    }
    proxy.upstream.forward(request).await
}

/// Whether there is a service for a resource id: "service/CLUSTER/SERVICE".
async fn has_service(ecs: &Ecs, region: &str, id: &str) -> bool {
    match id.split('/').collect::<Vec<_>>()[..] {
        ["service", cluster, service] => ecs.has_service(region, cluster, service).await,
        _ => false,
    }
}
