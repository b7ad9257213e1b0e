//! IAM, where moto is wrong: service-linked roles, policies that are none, roles that show late, users, identity providers,
//! and simulations.

pub(crate) mod denial;
mod oidc_provider;
pub(crate) mod pass_role;
mod policy;
mod role;
mod simulation;
mod user;

use hyper::StatusCode;
use hyper::body::Bytes;

use self::policy::Purpose;
use self::role::Roles;
use self::user::Users;
use crate::answer::Answer;
use crate::call::Request;
use crate::proxy::Proxy;
use crate::refusal::Refusal;
use crate::turn::Turn;
use crate::upstream::{Reply, Upstream};

/// Who calls: the user to whom the dummy credentials belong.
pub(crate) const CALLER: &str = "arn:aws:iam::123456789012:user/testing";

/// IAM's API version.
const VERSION: &str = "2010-05-08";

const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

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
    roles: Roles,
    users: Users,
}

impl State {
    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.roles.clear();
        self.users.clear();
    }
}

/// Answers a call to IAM.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    let _turn = proxy.iam.turn.take(request).await;
    if let Err(refusal) = check(proxy, request) {
        return refusal.answer(request);
    }
    if let Err(refusal) = user::check_trust(proxy, request).await {
        return refusal.answer(request);
    }
    if let Some(answer) = user::answer(proxy, request).await {
        return answer;
    }
    let name = request.form_value("RoleName").unwrap_or_default();
    match request.operation.as_str() {
        "AddClientIDToOpenIDConnectProvider" => oidc_provider::add_client_id(proxy, request).await,
        "CreateServiceLinkedRole" => create_service_linked_role(proxy, request).await,
        "CreateRole" => {
            let answer = proxy.upstream.forward(request).await;
            if answer.status.is_success() {
                role::created(proxy, name);
            }
            answer
        }
        "DeleteRole" => {
            let shown = if role::lags(proxy) { role::describe(proxy, request, name).await } else { None };
            let answer = proxy.upstream.forward(request).await;
            if answer.status.is_success() {
                role::deleted(proxy, name, shown);
            }
            answer
        }
        "GetRole" => match role::afterglow(proxy, name) {
            Some(answer) => answer,
            None => {
                let answer = proxy.upstream.forward(request).await;
                if answer.status == StatusCode::NOT_FOUND {
                    // moto's words are others.
                    let message = format!("The role with name {name} cannot be found.");
                    return Refusal::new("NoSuchEntity", message).with_status(StatusCode::NOT_FOUND).answer(request);
                }
                answer
            }
        },
        "SimulatePrincipalPolicy" => simulation::simulate(proxy, request).await,
        "ListRoles" => role::show(proxy, proxy.upstream.forward(request).await),
        _ => proxy.upstream.forward(request).await,
    }
}

/// Refuses what IAM refuses and moto takes.
fn check(proxy: &Proxy, request: &Request) -> Result<(), Refusal> {
    match (request.operation.as_str(), request.form_value("PolicyDocument")) {
        ("CreatePolicy" | "CreatePolicyVersion", Some(document)) => policy::check(document, Purpose::Identity),
        _ => role::check(proxy, request),
    }
}

async fn create_service_linked_role(proxy: &Proxy, request: &Request) -> Answer {
    let service = request.form_value("AWSServiceName").unwrap_or_default();
    let Some(&(_, name, _)) = ROLES.iter().find(|(known, _, _)| *known == service) else {
        return proxy.upstream.forward(request).await;
    };
    let reply = create(&proxy.upstream, service, request.form_value("Description")).await;
    match reply {
        Some(reply) if reply.status.is_success() => {
            role::created(proxy, name);
            let mut answer = Answer::query("CreateRole", NAMESPACE, "");
            answer.body = Bytes::from(reply.body.replace("CreateRole", "CreateServiceLinkedRole"));
            answer
        }
        Some(_) | None => {
            let message =
                format!("Service role name {name} has been taken in this account, please try a different suffix.");
            Refusal::new("InvalidInput", message).answer(request)
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
