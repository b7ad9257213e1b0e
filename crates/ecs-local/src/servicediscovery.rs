//! Cloud Map, where moto lists more than it is asked for, makes a namespace twice, and deletes one in use.

use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Request;
use crate::proxy::Proxy;

/// What moto calls the operations.
const TARGET: &str = "Route53AutoNaming_v20170314";

/// Answers a call to Cloud Map.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    let json = &request.json;
    match request.operation.as_str() {
        "ListNamespaces" => {
            let mut answer = proxy.upstream.forward(request).await;
            if let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body)
                && let Some(namespaces) = body["Namespaces"].as_array_mut()
            {
                namespaces.retain(|namespace| fits(namespace, &json["Filters"]));
                answer.body = Bytes::from(body.to_string());
            }
            answer
        }
        "CreateHttpNamespace" => {
            let name = json["Name"].as_str().unwrap_or_default();
            if list(proxy, request).await.iter().any(|namespace| namespace["Name"] == name) {
                let message = format!("Another namespace with the name {name} already exists.");
                return refuse(request, "NamespaceAlreadyExists", &message);
            }
            proxy.upstream.forward(request).await
        }
        "DeleteNamespace" => {
            let namespaces = list(proxy, request).await;
            let found = namespaces.iter().find(|namespace| namespace["Id"] == json["Id"]);
            let arn = found.and_then(|namespace| namespace["Arn"].as_str());
            if let Some(arn) = arn
                && proxy.ecs.uses_namespace(&request.region, arn).await
            {
                let message = "Namespace has associated services; please delete the services before the namespace.";
                return refuse(request, "ResourceInUse", message);
            }
            proxy.upstream.forward(request).await
        }
        _ => proxy.upstream.forward(request).await,
    }
}

/// Whether a namespace is what all filters ask for; only `EQ` is known here, which is the default.
fn fits(namespace: &Value, filters: &Value) -> bool {
    filters.as_array().into_iter().flatten().all(|filter| {
        let is = match filter["Name"].as_str() {
            Some("TYPE") => &namespace["Type"],
            Some("NAME") => &namespace["Name"],
            Some("HTTP_NAME") => &namespace["Properties"]["HttpProperties"]["HttpName"],
            Some(_) | None => return true,
        };
        filter["Values"].as_array().into_iter().flatten().any(|value| value == is)
    })
}

async fn list(proxy: &Proxy, request: &Request) -> Vec<Value> {
    let target = format!("{TARGET}.ListNamespaces");
    let reply = proxy.upstream.json("servicediscovery", &request.region, &target, &json!({})).await;
    let body: Value = reply.ok().and_then(|body| serde_json::from_str(&body).ok()).unwrap_or_default();
    body["Namespaces"].as_array().cloned().unwrap_or_default()
}

fn refuse(request: &Request, code: &str, message: &str) -> Answer {
    Answer::refuse(request, StatusCode::BAD_REQUEST, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_found_by_its_name_and_type() {
        let namespace = json!({"Type": "HTTP", "Name": "prod", "Properties": {"HttpProperties": {"HttpName": "prod"}}});
        let filter = |name: &str, value: &str| json!([{"Name": name, "Values": [value], "Condition": "EQ"}]);
        assert!(fits(&namespace, &filter("HTTP_NAME", "prod")) && fits(&namespace, &Value::Null));
        assert!(!fits(&namespace, &filter("NAME", "test")) && !fits(&namespace, &filter("TYPE", "DNS_PRIVATE")));
    }
}
