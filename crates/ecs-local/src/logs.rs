//! CloudWatch Logs, where moto is wrong: what it says of a stream that is not there.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Request;
use crate::proxy::Proxy;

/// Answers a call to CloudWatch Logs.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    let answer = proxy.upstream.forward(request).await;
    let missing = String::from_utf8_lossy(&answer.body).contains("ResourceNotFoundException");
    if request.operation == "GetLogEvents" && !answer.status.is_success() && missing && has_group(proxy, request).await
    {
        // moto blames the group.
        let message = "The specified log stream does not exist.";
        return Answer::refuse(request, StatusCode::BAD_REQUEST, "ResourceNotFoundException", message);
    }
    answer
}

/// Whether the log group of a request is there. An identifier is a name or an ARN.
async fn has_group(proxy: &Proxy, request: &Request) -> bool {
    let call = &request.json;
    let identifier = call["logGroupName"].as_str().or(call["logGroupIdentifier"].as_str()).unwrap_or_default();
    let name = identifier.split_once(":log-group:").map_or(identifier, |(_, name)| name);
    let question = json!({"logGroupNamePrefix": name});
    let target = "Logs_20140328.DescribeLogGroups";
    let reply = proxy.upstream.json("logs", &request.region, target, &question).await.ok().unwrap_or_default();
    let found: Value = serde_json::from_str(&reply).unwrap_or(Value::Null);
    found["logGroups"].as_array().is_some_and(|groups| groups.iter().any(|group| group["logGroupName"] == name))
}
