//! IAM, where moto is wrong: service-linked roles.

use hyper::StatusCode;
use hyper::body::Bytes;

use crate::answer::Answer;
use crate::call::Request;
use crate::proxy::Proxy;
use crate::turn::Turn;
use crate::upstream::{Reply, Upstream};

/// IAM's API version.
const VERSION: &str = "2010-05-08";

/// Services with service-linked roles: the service, the role's name, and its policy.
const ROLES: &[(&str, &str, &str)] = &[
    ("ecs.amazonaws.com", "AWSServiceRoleForECS", "AmazonECSServiceRolePolicy"),
    (
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
        "AWSElasticLoadBalancingServiceRolePolicy",
    ),
    ("rds.amazonaws.com", "AWSServiceRoleForRDS", "AmazonRDSServiceRolePolicy"),
    (
        "ecs.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
        "AWSApplicationAutoscalingECSServicePolicy",
    ),
];

/// What we keep of IAM ourselves.
#[derive(Debug, Default)]
pub(crate) struct State {
    turn: Turn,
}

impl State {
    /// Forgets everything.
    pub(crate) fn clear(&self) {}
}

/// Answers a call to IAM.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    let _turn = proxy.iam.turn.take(request).await;
    if request.operation != "CreateServiceLinkedRole" {
        return proxy.upstream.forward(request).await;
    }
    let service = request.form_value("AWSServiceName").unwrap_or_default();
    let Some(&(_, name, _)) = ROLES.iter().find(|(known, _, _)| *known == service) else {
        return proxy.upstream.forward(request).await;
    };
    let reply = create(&proxy.upstream, service, request.form_value("Description")).await;
    match reply {
        Some(reply) if reply.status.is_success() => {
            let mut answer = Answer::query("CreateRole", "https://iam.amazonaws.com/doc/2010-05-08/", "");
            answer.body = Bytes::from(reply.body.replace("CreateRole", "CreateServiceLinkedRole"));
            answer
        }
        Some(_) | None => {
            let message =
                format!("Service role name {name} has been taken in this account, please try a different suffix.");
            Answer::refuse(request, StatusCode::BAD_REQUEST, "InvalidInput", &message)
        }
    }
}

/// Makes a service-linked role, as AWS does when a service is first used, unless it is there.
pub(crate) async fn ensure_service_linked_role(upstream: &Upstream, service: &str) {
    create(upstream, service, None).await;
}

/// Makes a service's role under AWS's name; moto refuses when it is there.
async fn create(upstream: &Upstream, service: &str, description: Option<&str>) -> Option<Reply> {
    let (_, name, policy) = ROLES.iter().find(|(known, _, _)| *known == service)?;
    let trust = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    });
    let (path, trust) = (format!("/aws-service-role/{service}/"), trust.to_string());
    let mut form =
        vec![("Action", "CreateRole"), ("RoleName", name), ("Path", &path), ("AssumeRolePolicyDocument", &trust)];
    form.extend(description.map(|text| ("Description", text)));
    let reply = upstream.query("iam", "us-east-1", VERSION, &form).await;
    if reply.status.is_success() {
        let arn = format!("arn:aws:iam::aws:policy/aws-service-role/{policy}");
        let form = [("Action", "AttachRolePolicy"), ("RoleName", *name), ("PolicyArn", &arn)];
        upstream.query("iam", "us-east-1", VERSION, &form).await;
    }
    Some(reply)
}
