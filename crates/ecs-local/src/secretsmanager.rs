//! Secrets Manager, where moto is wrong: the rotation of the secrets that RDS manages, and that of others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Request;
use crate::proxy::Proxy;
use crate::refusal::Refusal;

/// What the name of a secret that RDS manages starts with.
const MANAGED: &str = "rds!";
/// Days after which RDS rotates such a secret by itself
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html>).
const DAYS: u32 = 7;

/// What we keep of Secrets Manager ourselves.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Rotation rules that were set, by the ARN of the secret
    rules: Mutex<HashMap<String, Value>>,
}

impl State {
    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn rules(&self, arn: &str) -> Value {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.get(arn).cloned().unwrap_or_else(|| json!({ "AutomaticallyAfterDays": DAYS }))
    }

    fn set(&self, arn: &str, rules: &Value) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).insert(arn.to_owned(), rules.clone());
    }
}

/// Answers a call to Secrets Manager.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    match request.operation.as_str() {
        "RotateSecret" => match rotate(proxy, request).await {
            Ok(answer) => answer,
            Err(refusal) => refusal.answer(request),
        },
        "DescribeSecret" | "ListSecrets" => show(proxy, proxy.upstream.forward(request).await),
        _ => proxy.upstream.forward(request).await,
    }
}

/// Sets the rotation of a secret. One that RDS manages needs no Lambda function; its value is RDS's to change.
async fn rotate(proxy: &Proxy, request: &Request) -> Result<Answer, Refusal> {
    let call = &request.json;
    let members = json!({ "SecretId": call["SecretId"] });
    let reply = proxy.upstream.json("secretsmanager", &request.region, "secretsmanager.DescribeSecret", &members).await;
    let secret: Option<Value> = reply.ok().and_then(|body| serde_json::from_str(&body).ok());
    // One that is not there, or no more: moto says so.
    let Some(secret) = secret.filter(|secret| secret["DeletedDate"].is_null()) else {
        return Ok(proxy.upstream.forward(request).await);
    };
    check(call, &secret)?;
    let (arn, rules) = (secret["ARN"].as_str().unwrap_or_default(), &call["RotationRules"]);
    if !is_managed(&secret) {
        return Ok(proxy.upstream.forward(request).await);
    }
    if !rules.is_null() {
        proxy.secretsmanager.set(arn, rules);
    }
    if call["RotateImmediately"] != false {
        return Ok(proxy.upstream.forward(request).await);
    }
    Ok(Answer::json(StatusCode::OK, &json!({ "ARN": arn, "Name": secret["Name"] })))
}

/// Refuses what cannot be: two schedules, or a rotation that nothing carries out.
fn check(call: &Value, secret: &Value) -> Result<(), Refusal> {
    let rules = &call["RotationRules"];
    if !rules["AutomaticallyAfterDays"].is_null() && !rules["ScheduleExpression"].is_null() {
        // "... but not both" (API reference, RotationRulesType).
        let message =
            "You can set the rotation schedule with AutomaticallyAfterDays or ScheduleExpression, but not both.";
        return Err(Refusal::new("InvalidParameterException", message));
    }
    let lambda = [&call["RotationLambdaARN"], &secret["RotationLambdaARN"]];
    if is_managed(secret) || lambda.iter().any(|arn| arn.as_str().is_some_and(|arn| !arn.is_empty())) {
        return Ok(());
    }
    let message = "You tried to enable rotation on a secret that doesn't already have a Lambda function ARN configured \
                   and you didn't include such an ARN as a parameter in this call.";
    Err(Refusal::new("InvalidRequestException", message))
}

fn is_managed(secret: &Value) -> bool {
    secret["Name"].as_str().is_some_and(|name| name.starts_with(MANAGED))
}

/// The answer with the rotation of each secret that RDS manages.
fn show(proxy: &Proxy, mut answer: Answer) -> Answer {
    let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
    let rules = |arn: &str| proxy.secretsmanager.rules(arn);
    if is_managed(&body) {
        rotated(&mut body, rules);
    }
    for secret in body["SecretList"].as_array_mut().into_iter().flatten().filter(|secret| is_managed(secret)) {
        rotated(secret, rules);
    }
    if let Some(members) = body.as_object_mut().filter(|members| members.get("SecretList") == Some(&Value::Null)) {
        members.remove("SecretList");
    }
    answer.body = Bytes::from(body.to_string());
    answer
}

fn rotated(secret: &mut Value, rules: impl Fn(&str) -> Value) {
    let rules = rules(secret["ARN"].as_str().unwrap_or_default());
    if let Some(members) = secret.as_object_mut() {
        members.remove("RotationLambdaARN");
    }
    secret["RotationEnabled"] = json!(true);
    secret["RotationRules"] = rules;
    secret["OwningService"] = json!("rds");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_needs_somebody_who_carries_it_out() {
        let rules = json!({"RotationRules": {"AutomaticallyAfterDays": 30}});
        let (managed, own) = (json!({"Name": "rds!db-1"}), json!({"Name": "own"}));
        assert!(check(&rules, &managed).is_ok() && check(&rules, &own).is_err());
        assert!(check(&rules, &json!({"Name": "own", "RotationLambdaARN": "arn:aws:lambda:x"})).is_ok());
        let both = json!({"RotationRules": {"AutomaticallyAfterDays": 30, "ScheduleExpression": "rate(30 days)"}});
        assert!(check(&both, &managed).is_err());
    }

    #[test]
    fn a_managed_secret_shows_its_rules_and_no_function() {
        let mut secret = json!({"Name": "rds!db-1", "ARN": "arn:x", "RotationLambdaARN": ""});
        rotated(&mut secret, |arn| State::default().rules(arn));
        assert_eq!(secret["RotationRules"], json!({"AutomaticallyAfterDays": 7}));
        assert_eq!(secret.get("RotationLambdaARN"), None);
    }
}
