//! A role that somebody else made and the stack file names: checked, and never modified or deleted.

use ecs_aws::Answer as _;
use ecs_core::id::RoleArn;
use ecs_core::{Error, Result, Run, Stack};
use serde_json::Value;

use crate::IamApi;
use crate::document;

/// The service that runs tasks.
const TASKS: &str = "ecs-tasks.amazonaws.com";

/// A role of the stack file, by its ARN.
#[derive(Debug, Clone)]
pub struct GivenRole {
    arn: RoleArn,
    /// The key that names it: `iam.execution_role_arn`
    key: String,
    /// The service that must be able to take it on
    service: &'static str,
}

impl GivenRole {
    /// Returns all those that a stack file names.
    pub fn of(stack: &Stack) -> Vec<Self> {
        let iam = &stack.iam;
        let mut all = Vec::new();
        if let Some(arn) = &iam.execution_role_arn {
            all.push(Self::new(arn, "iam.execution_role_arn", TASKS));
        }
        if let Some(arn) = iam.infrastructure_role_arn.as_ref().filter(|_| stack.shifts()) {
            all.push(Self::new(arn, "iam.infrastructure_role_arn", "ecs.amazonaws.com"));
        }
        for (key, service) in &stack.services {
            if let Some(arn) = &service.task_role_arn {
                all.push(Self::new(arn, format!("services.{key}.task_role_arn"), TASKS));
            }
        }
        all
    }

    /// Takes note of a role, and of the service that is to take it on.
    fn new(arn: &str, key: impl Into<String>, service: &'static str) -> Self {
        Self { arn: arn.into(), key: key.into(), service }
    }

    /// Says whether it has this name: IAM compares names without case.
    pub fn is_named(&self, name: &str) -> bool {
        self.name().eq_ignore_ascii_case(name)
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        self.arn.as_str().rsplit('/').next().unwrap_or_default()
    }

    /// Checks that the role exists and trusts the service, and returns its ARN.
    ///
    /// # Errors
    /// When it does not; any other refusal by IAM.
    pub async fn check(&self, run: &Run<'_>, iam: &IamApi) -> Result<RoleArn> {
        run.account().await?;
        let doing = || format!("checking IAM role {}", self.arn);
        let reply = iam.read.get_role().role_name(self.name()).send().await.answer_if_found("iam:GetRole");
        let role = reply.map_err(|error| error.doing(doing()))?.and_then(|reply| reply.role);
        let Some(role) = role.filter(|role| role.arn == self.arn.as_str()) else {
            let error = Error::usage(format!("there is no role {} in the account", self.arn)).doing(doing());
            return Err(error.hint(format!("correct `{}`, or leave it out: ecs-iam then makes a role", self.key)));
        };
        let trust = role.assume_role_policy_document.as_deref().map(document::read).unwrap_or_default();
        if !trusts(&trust, self.service) {
            let error = Error::usage(format!("it does not trust {}", self.service)).doing(doing());
            return Err(error.hint(format!(
                "let its owner allow `sts:AssumeRole` to the service {} in its trust policy",
                self.service
            )));
        }
        run.console().detail("kept", &format!("IAM role {} is used as it is", self.arn));
        Ok(self.arn.clone())
    }
}

/// Says whether a trust policy lets a service take the role on, whatever the conditions are.
fn trusts(document: &Value, service: &str) -> bool {
    let listed = |value: Option<&Value>| document::strings(value);
    let allows = |statement: &Value| {
        let actions = listed(statement.get("Action"));
        let assume = actions.iter().any(|action| {
            action.as_str().is_some_and(|action| ["sts:AssumeRole", "sts:Assume*", "sts:*", "*"].contains(&action))
        });
        let services = listed(statement.get("Principal").and_then(|principal| principal.get("Service")));
        statement.get("Effect").and_then(Value::as_str) == Some("Allow")
            && assume
            && services.iter().any(|one| one == service)
    };
    listed(document.get("Statement")).iter().any(allows)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_trust_policy_names_the_service_among_others() {
        let tasks = "ecs-tasks.amazonaws.com";
        let trust = |effect: &str, action: Value, services: Value| json!({"Statement": [{"Effect": effect, "Action": action, "Principal": {"Service": services}}]});
        let cases = [
            (trust("Allow", json!("sts:AssumeRole"), json!(tasks)), true),
            (trust("Allow", json!(["sts:TagSession", "sts:AssumeRole"]), json!(["ec2.amazonaws.com", tasks])), true),
            (trust("Allow", json!("sts:AssumeRole"), json!("ecs.amazonaws.com")), false),
            (trust("Deny", json!("sts:AssumeRole"), json!(tasks)), false),
            (trust("Allow", json!("sts:TagSession"), json!(tasks)), false),
            (json!({"Statement": {"Effect": "Allow", "Action": "sts:*", "Principal": {"Service": [tasks]}}}), true),
            (Value::Null, false),
        ];
        for (document, expected) in cases {
            assert_eq!(trusts(&document, tasks), expected, "{document}");
        }
    }
}
