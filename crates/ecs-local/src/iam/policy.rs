//! Policy documents that IAM takes for none.
//!
//! moto checks the grammar of identity policies, but not who they name, and no trust policy of a new role.

use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// What a policy document is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It says who may assume a role.
    Trust,
    /// It says what its owner may do.
    Identity,
}

/// The members of a document and of a statement (IAM user guide, grammar of the policy language).
const DOCUMENT: &[&str] = &["Version", "Id", "Statement"];
const STATEMENT: &[&str] =
    &["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

const VERSIONS: &[&str] = &["2008-10-17", "2012-10-17"];

/// Checks a policy document.
pub(super) fn check(document: &str, purpose: Purpose) -> Result<(), Refusal> {
    let Ok(document) = serde_json::from_str::<Value>(document) else {
        return Err(malformed("This policy contains invalid Json"));
    };
    let Some(document) = document.as_object() else { return Err(syntax()) };
    let known = document.keys().all(|member| DOCUMENT.contains(&member.as_str()));
    // Without a version it is of the old one; moto refuses that for identity policies as AWS does.
    let version =
        document.get("Version").is_none_or(|version| version.as_str().is_some_and(|text| VERSIONS.contains(&text)));
    if !known || !version {
        return Err(syntax());
    }
    let statements = match document.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        Some(_) | None => return Err(syntax()),
    };
    for statement in statements {
        check_statement(statement.as_object().ok_or_else(syntax)?, purpose)?;
    }
    Ok(())
}

fn check_statement(statement: &Map<String, Value>, purpose: Purpose) -> Result<(), Refusal> {
    let known = statement.keys().all(|member| STATEMENT.contains(&member.as_str()));
    let effect = statement.get("Effect").and_then(Value::as_str);
    if !known || !matches!(effect, Some("Allow" | "Deny")) {
        return Err(syntax());
    }
    let named = statement.contains_key("Principal") || statement.contains_key("NotPrincipal");
    match purpose {
        Purpose::Identity if named => Err(malformed("Policy document should not specify a principal.")),
        Purpose::Identity => Ok(()),
        // <https://github.com/terraform-aws-modules/terraform-aws-iam/issues/47>
        Purpose::Trust if !named => Err(malformed(
            "Invalid principal in policy: com.amazon.balsa.error.InvalidPolicyException: The passed in policy has a \
             statement with no principals!",
        )),
        Purpose::Trust => check_trust(statement),
    }
}

fn check_trust(statement: &Map<String, Value>) -> Result<(), Refusal> {
    for member in ["Resource", "NotResource"] {
        if statement.contains_key(member) {
            return Err(malformed(format!("Has prohibited field {member}")));
        }
    }
    let actions = texts(statement.get("Action"));
    if actions.is_empty() || !actions.iter().all(|action| action.starts_with("sts:")) {
        return Err(malformed("AssumeRole policy may only specify STS AssumeRole actions."));
    }
    let services = texts(statement.get("Principal").and_then(|principal| principal.get("Service")));
    match services.into_iter().find(|service| !service.contains(".amazonaws.com")) {
        Some(unknown) => Err(malformed(format!("Invalid principal in policy: \"SERVICE\":\"{unknown}\""))),
        None => Ok(()),
    }
}

/// A text, or a list of them.
pub(super) fn texts(value: Option<&Value>) -> Vec<&str> {
    match value {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
    }
}

fn syntax() -> Refusal {
    malformed("Syntax errors in policy.")
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::new("MalformedPolicyDocument", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_policy_is_refused() {
        let trust = |statement: &str| format!(r#"{{"Version": "2012-10-17", "Statement": [{{{statement}}}]}}"#);
        let ecs = r#""Principal": {"Service": "ecs-tasks.amazonaws.com"}"#;
        let assume = r#""Action": "sts:AssumeRole""#;
        for (document, purpose, message) in [
            (trust(&format!(r#""Effect": "Allow", {ecs}, {assume}"#)), Purpose::Trust, None),
            ("{}".to_owned(), Purpose::Trust, Some("Syntax errors")),
            ("{}".to_owned(), Purpose::Identity, Some("Syntax errors")),
            ("policy".to_owned(), Purpose::Trust, Some("This policy contains invalid Json")),
            (r#"{"Version": "2012-10-17"}"#.to_owned(), Purpose::Trust, Some("Syntax errors")),
            (trust(r#""Effect": "Allow""#).replace("2012-10-17", "1999-01-01"), Purpose::Trust, Some("Syntax errors")),
            (trust(&format!(r#""Effect": "Perhaps", {ecs}, {assume}"#)), Purpose::Trust, Some("Syntax errors")),
            (trust(&format!(r#""Effect": "Allow", {assume}"#)), Purpose::Trust, Some("Invalid principal")),
            (
                trust(&format!(r#""Effect": "Allow", {ecs}, {assume}, "Resource": "*""#)),
                Purpose::Trust,
                Some("Has prohibited field Resource"),
            ),
            (
                trust(&format!(r#""Effect": "Allow", {ecs}, "Action": "s3:GetObject""#)),
                Purpose::Trust,
                Some("AssumeRole policy may only"),
            ),
            (
                trust(&format!(r#""Effect": "Allow", "Principal": {{"Service": "ecs"}}, {assume}"#)),
                Purpose::Trust,
                Some(r#"Invalid principal in policy: "SERVICE":"ecs""#),
            ),
            (trust(r#""Effect": "Allow", "Action": "s3:GetObject", "Resource": "*""#), Purpose::Identity, None),
            (
                trust(r#""Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Principal": "*""#),
                Purpose::Identity,
                Some("Policy document should not specify a principal."),
            ),
        ] {
            let refusal = check(&document, purpose).err().map(|refusal| refusal.message);
            let expected = match (&refusal, message) {
                (Some(refusal), Some(start)) => refusal.starts_with(start),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            assert!(expected, "{document}: {refusal:?}");
        }
    }
}
