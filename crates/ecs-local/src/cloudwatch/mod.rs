//! CloudWatch's alarms: moto does not speak the protocol in which SDKs call, and ECS must see them.
//!
//! Alarms never look at metrics here: they change state by SetAlarmState, or by the script of the weather.

mod alarm;
mod wire;

use hyper::StatusCode;
use serde_json::{Value, json};

pub(crate) use self::alarm::Alarms;
use crate::answer::Answer;
use crate::call::{Protocol, Request};
use crate::proxy::Proxy;

/// A refusal: status, code, message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into() }
    }

    /// What the service's own checks of a request's form refuse.
    fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "ValidationError", message)
    }
}

/// Answers a call to CloudWatch.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    // Deployments come first: what they did until now may have set an alarm off, and this call comes after it.
    proxy.ecs.settle(&proxy.upstream).await;
    let (alarms, now) = (&proxy.ecs.alarms, proxy.clock.scale.wall(proxy.clock.now()));
    let (region, input) = (request.region.as_str(), wire::input(request));
    let result = match request.operation.as_str() {
        "PutMetricAlarm" => alarms.put(region, &input, now),
        "DescribeAlarms" => alarms.describe(region, &input),
        "DescribeAlarmsForMetric" => Ok(alarms.describe_for_metric(region, &input)),
        "SetAlarmState" => alarms.set_state(region, &input, now),
        "DeleteAlarms" => alarms.delete(region, &input),
        "EnableAlarmActions" => Ok(alarms.enable_actions(region, &input, true)),
        "DisableAlarmActions" => Ok(alarms.enable_actions(region, &input, false)),
        "TagResource" => alarms.tag(region, &input),
        "UntagResource" => alarms.untag(region, &input),
        "ListTagsForResource" => alarms.list_tags(region, &input),
        _ => return pass(proxy, request, &input).await,
    };
    proxy.ecs.alarms_changed(&proxy.upstream).await;
    match result {
        Ok(output) => wire::output(request, &output),
        Err(refusal) => wire::refuse(request, &refusal),
    }
}

/// Has moto answer: metrics, dashboards. It knows no CBOR, but JSON.
async fn pass(proxy: &Proxy, request: &Request, input: &Value) -> Answer {
    if request.protocol != Protocol::Cbor {
        return proxy.upstream.forward(request).await;
    }
    let target = format!("GraniteServiceVersion20100801.{}", request.operation);
    let reply = proxy.upstream.json(&request.service, &request.region, &target, input).await;
    let body: Value = serde_json::from_str(&reply.body).unwrap_or(Value::Null);
    match reply.status {
        status if status.is_success() && body.is_null() => wire::output(request, &json!({})),
        status if status.is_success() => wire::output(request, &body),
        status if body.is_null() => {
            let message = format!("ecs-local has no monitoring:{} (moto: {status})", request.operation);
            Answer::refuse(request, StatusCode::BAD_REQUEST, "UnknownOperationException", &message)
        }
        status => {
            let code = body["__type"].as_str().unwrap_or("InternalServiceError").to_owned();
            let message = body["message"].as_str().or(body["Message"].as_str()).unwrap_or_default().to_owned();
            Answer::refuse(request, status, &code, &message)
        }
    }
}
