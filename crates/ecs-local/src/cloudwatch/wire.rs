//! CloudWatch's three protocols: CBOR, JSON and query, answered in the one that was asked in.

use std::time::{Duration, UNIX_EPOCH};

use hyper::StatusCode;
use hyper::header::HeaderValue;
use serde_json::{Map, Value, json};

use super::Refusal;
use crate::answer::{Answer, escape};
use crate::call::{Protocol, Request};
use crate::cbor;

/// The namespace of XML answers.
const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";

/// Members of alarm calls that are numbers, and such that are true or false: a form has only texts.
const NUMBERS: &[&str] = &["DatapointsToAlarm", "EvaluationPeriods", "MaxRecords", "Period"];
const BOOLS: &[&str] = &["ActionsEnabled", "ReturnData"];

/// A call's members.
pub(super) fn input(request: &Request) -> Value {
    match request.protocol {
        Protocol::Json | Protocol::Cbor if request.json.is_object() => request.json.clone(),
        Protocol::Query | Protocol::Ec2Query => {
            let mut members = Value::Object(Map::new());
            for (key, value) in &request.form {
                if !matches!(key.as_str(), "Action" | "Version") {
                    put(&mut members, &key.split('.').collect::<Vec<_>>(), value);
                }
            }
            members
        }
        Protocol::Json | Protocol::Cbor | Protocol::RestXml | Protocol::Rest => json!({}),
    }
}

/// An answer with these members.
pub(super) fn output(request: &Request, members: &Value) -> Answer {
    match request.protocol {
        Protocol::Query | Protocol::Ec2Query => Answer::query(&request.operation, NAMESPACE, &xml(members)),
        Protocol::Json | Protocol::RestXml | Protocol::Rest => Answer::json(StatusCode::OK, members),
        Protocol::Cbor => Answer::cbor(StatusCode::OK, cbor::from_json(members)),
    }
}

/// A refusal. Outside of the query protocol a header says what the code was in it (`awsQueryCompatible`).
pub(super) fn refuse(request: &Request, refusal: &Refusal) -> Answer {
    let mut answer = Answer::refuse(request, refusal.status, refusal.code, &refusal.message);
    if let Ok(value) = HeaderValue::from_str(&format!("{};Sender", refusal.code)) {
        answer.headers.insert("x-amzn-query-error", value);
    }
    answer
}

/// Puts a form's member where its key says: `Dimensions.member.1.Name`.
fn put(into: &mut Value, path: &[&str], value: &str) {
    match path {
        [] => {}
        [name] => into[*name] = scalar(name, value),
        [name, "member", index, rest @ ..] => {
            let Some(position) = index.parse::<usize>().ok().and_then(|index| index.checked_sub(1)) else { return };
            if !into[*name].is_array() {
                into[*name] = json!([]);
            }
            let Some(items) = into[*name].as_array_mut() else { return };
            // AWS counts from one, without gaps; what comes out of turn is not worth a list of nothings.
            if position > items.len() {
                return;
            }
            if position == items.len() {
                items.push(if rest.is_empty() { Value::Null } else { json!({}) });
            }
            match rest {
                [] => items[position] = json!(value),
                _ => put(&mut items[position], rest, value),
            }
        }
        [name, rest @ ..] => {
            if !into[*name].is_object() {
                into[*name] = json!({});
            }
            put(&mut into[*name], rest, value);
        }
    }
}

fn scalar(name: &str, value: &str) -> Value {
    let number = || NUMBERS.contains(&name).then(|| value.parse::<i64>().ok()).flatten().map(|number| json!(number));
    let double = || (name == "Threshold").then(|| value.parse::<f64>().ok()).flatten().map(|number| json!(number));
    let bool = || BOOLS.contains(&name).then(|| json!(value.eq_ignore_ascii_case("true")));
    number().or_else(double).or_else(bool).unwrap_or_else(|| json!(value))
}

/// Members as XML: lists hold `<member>`s, and timestamps are dates.
fn xml(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => escape(text),
        Value::Array(items) => items.iter().map(|item| format!("<member>{}</member>", xml(item))).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match value.as_f64().filter(|_| name.ends_with("Timestamp")) {
                Some(seconds) => format!("<{name}>{}</{name}>", date(seconds)),
                None => format!("<{name}>{}</{name}>", xml(value)),
            })
            .collect(),
    }
}

fn date(seconds: f64) -> String {
    let since = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_members() {
        let mut members = json!({});
        for (key, value) in [
            ("AlarmName", "a"),
            ("Period", "60"),
            ("Threshold", "5"),
            ("Dimensions.member.1.Name", "LoadBalancer"),
            ("Dimensions.member.1.Value", "60"),
            ("AlarmActions.member.1", "arn:x"),
            ("AlarmActions.member.3", "arn:y"),
        ] {
            put(&mut members, &key.split('.').collect::<Vec<_>>(), value);
        }
        assert_eq!(
            members,
            json!({
                "AlarmName": "a", "Period": 60, "Threshold": 5.0,
                "Dimensions": [{"Name": "LoadBalancer", "Value": "60"}], "AlarmActions": ["arn:x"],
            })
        );
    }

    #[test]
    fn members_become_xml() {
        let members = json!({"MetricAlarms": [{"AlarmName": "<a>", "StateUpdatedTimestamp": 1.5}], "NextToken": null});
        assert_eq!(
            xml(&members),
            "<MetricAlarms><member><AlarmName>&lt;a&gt;</AlarmName>\
             <StateUpdatedTimestamp>1970-01-01T00:00:01.500Z</StateUpdatedTimestamp></member></MetricAlarms><NextToken></NextToken>"
        );
    }
}
