//! Calls that the weather allows nobody.

use hyper::StatusCode;

use super::CALLER;
use crate::answer::Answer;
use crate::call::{Protocol, Request};
use crate::proxy::Proxy;

/// The refusal of a call, if nobody is allowed it.
pub(crate) fn refusal(proxy: &Proxy, request: &Request) -> Option<Answer> {
    let weather = proxy.sky.weather();
    if weather.denies.is_empty() {
        return None;
    }
    // Policies name services otherwise than signatures do in one case.
    let service = if request.service == "monitoring" { "cloudwatch" } else { request.service.as_str() };
    let action = format!("{service}:{}", request.operation);
    let resource = request.resource();
    // Nobody can be denied this one (STS API reference, GetCallerIdentity).
    if action == "sts:GetCallerIdentity" || !weather.denies(&action, &resource) {
        return None;
    }
    Some(refuse(request, &action, if resource.is_empty() { "*" } else { &resource }))
}

/// The refusal of a call for want of a permission, in its service's words.
pub(super) fn refuse(request: &Request, action: &str, resource: &str) -> Answer {
    let message = format!(
        "User: {CALLER} is not authorized to perform: {action} on resource: {resource} because no identity-based policy \
         allows the {action} action"
    );
    let (status, code) = match request.protocol {
        Protocol::Ec2Query => (StatusCode::FORBIDDEN, "UnauthorizedOperation"),
        Protocol::Query | Protocol::RestXml => (StatusCode::FORBIDDEN, "AccessDenied"),
        Protocol::Json | Protocol::Cbor | Protocol::Rest => (StatusCode::BAD_REQUEST, "AccessDeniedException"),
    };
    Answer::refuse(request, status, code, &message)
}
