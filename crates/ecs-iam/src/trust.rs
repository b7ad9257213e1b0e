//! Trust policies: who may take a role on.

use ecs_core::id::UserArn;
use serde_json::{Value, json};

use crate::oidc_provider;

/// Who may deploy.
#[derive(Debug, Clone, Default)]
pub struct Deployers {
    /// GitHub's workflows: the identity provider's ARN, and the subject of their tokens
    pub github: Option<(String, String)>,
    /// The user of CI
    pub user: Option<UserArn>,
}

impl Deployers {
    /// Returns the trust policy by which they, and nobody else, may take a role on.
    pub fn trust(&self) -> Value {
        let github = self.github.as_ref().map(|(provider, subject)| oidc_provider::statement(provider, subject));
        let user = self.user.as_ref().map(|user| allow(json!({ "AWS": user.as_str() })));
        document(github.into_iter().chain(user).collect())
    }
}

/// Returns the trust policy by which a service of AWS's may take a role on.
pub fn in_service(service: &str) -> Value {
    document(vec![allow(json!({ "Service": service }))])
}

fn allow(principal: Value) -> Value {
    json!({ "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole" })
}

fn document(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_those_who_deploy_are_trusted() {
        let user = UserArn::from("arn:aws:iam::123456789012:user/ci");
        let trust = Deployers { user: Some(user.clone()), github: None }.trust();
        let allowed = json!({ "Effect": "Allow", "Principal": { "AWS": user.as_str() }, "Action": "sts:AssumeRole" });
        assert_eq!(trust["Statement"], json!([allowed]));
        let github = Some(("arn:provider".to_owned(), "repo:org/repo:ref:refs/heads/main".to_owned()));
        let both = Deployers { user: Some(user), github }.trust();
        assert_eq!(both["Statement"].as_array().map(Vec::len), Some(2));
        assert_eq!(both["Statement"][0]["Principal"], json!({ "Federated": "arn:provider" }));
    }
}
