//! GitHub as an identity provider: whose tokens IAM believes.

use std::time::Duration;

use ecs_aws::{Answer as _, present};
use ecs_core::{Change, Owner, Resource, Result};
use serde_json::{Value, json};

use crate::IamApi;

/// The host that issues the tokens of GitHub's workflows:
/// <https://docs.github.com/en/actions/how-tos/secure-your-work/security-harden-deployments/oidc-in-aws>
pub const HOST: &str = "token.actions.githubusercontent.com";
/// For whom the tokens are that `aws-actions/configure-aws-credentials` asks for.
const AUDIENCE: &str = "sts.amazonaws.com";
/// What differs, as [`Change::field`].
const CLIENT_ID: &str = "client id";

/// GitHub's identity provider, of which an account has one.
///
/// Everybody in the account shares it. So it is made where it is missing, gets the audience where it lacks that, and is
/// otherwise left alone: it carries no stack's tags, and no destroy deletes it.
#[derive(Debug)]
pub struct OidcProvider;

/// What IAM says the provider is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its ARN
    pub arn: String,
    client_ids: Vec<String>,
}

impl Resource for OidcProvider {
    type Api = IamApi;
    type Live = Live;
    const KIND: &'static str = "identity provider";
    /// It exists at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        HOST.to_owned()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.clone()
    }

    fn planned(&self) -> Live {
        Live { arn: ecs_core::id::planned(Self::KIND, HOST), client_ids: vec![AUDIENCE.to_owned()] }
    }

    /// Returns the provider if the account has it: its ARN ends in its host.
    async fn find(&self, iam: &IamApi) -> Result<Option<Live>> {
        let reply = iam.read.list_open_id_connect_providers().send().await.answer("iam:ListOpenIDConnectProviders")?;
        let end = format!(":oidc-provider/{HOST}");
        let arns = reply.open_id_connect_provider_list.unwrap_or_default().into_iter().filter_map(|one| one.arn);
        let Some(arn) = arns.into_iter().find(|arn| arn.ends_with(&end)) else { return Ok(None) };
        let reply = iam.read.get_open_id_connect_provider().open_id_connect_provider_arn(&arn).send().await;
        let reply = reply.answer_if_found("iam:GetOpenIDConnectProvider")?;
        Ok(reply.map(|reply| Live { arn, client_ids: reply.client_id_list.unwrap_or_default() }))
    }

    /// Creates it without a thumbprint: IAM looks up what it needs.
    async fn create(&self, iam: &IamApi) -> Result<Live> {
        let call = iam.write.create_open_id_connect_provider().url(format!("https://{HOST}")).client_id_list(AUDIENCE);
        let reply = call.send().await.answer("iam:CreateOpenIDConnectProvider")?;
        let arn = reply.open_id_connect_provider_arn;
        Ok(Live { arn: present(arn, "iam:CreateOpenIDConnectProvider", "the provider's ARN")?, ..self.planned() })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let known = live.client_ids.iter().any(|id| id == AUDIENCE);
        (!known).then(|| Change::update(CLIENT_ID, "", AUDIENCE)).into_iter().collect()
    }

    async fn update(&self, iam: &IamApi, live: &Live, _changes: &[Change]) -> Result<()> {
        let call = iam.write.add_client_id_to_open_id_connect_provider().open_id_connect_provider_arn(&live.arn);
        call.client_id(AUDIENCE).send().await.answer("iam:AddClientIDToOpenIDConnectProvider")?;
        Ok(())
    }

    /// Never called: a destroy does not look for it.
    async fn delete(&self, _iam: &IamApi, _live: &Live) -> Result<()> {
        Ok(())
    }

    fn owner(&self, _live: &Live) -> Owner {
        // The account's, and so nobody's else.
        Owner::Ours
    }

    async fn adopt(&self, _iam: &IamApi, _live: &Live) -> Result<()> {
        Ok(())
    }
}

/// Returns the statement of a trust policy by which GitHub's workflows of one subject may take a role on.
pub fn statement(provider: &str, subject: &str) -> Value {
    json!({
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {
                format!("{HOST}:aud"): AUDIENCE,
                format!("{HOST}:sub"): subject
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_audiences_are_left_alone() {
        let live = |ids: &[&str]| Live {
            arn: "arn:provider".to_owned(),
            client_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        };
        let missing = vec![Change::update("client id", "", "sts.amazonaws.com")];
        assert_eq!(OidcProvider.diff(&live(&["https://github.com/org"])), missing);
        assert_eq!(OidcProvider.diff(&live(&["https://github.com/org", "sts.amazonaws.com"])), []);
        assert_eq!(OidcProvider.diff(&OidcProvider.planned()), []);
    }

    #[test]
    fn one_subject_of_one_provider_is_trusted() {
        let statement = statement("arn:provider", "repo:org/repo:ref:refs/heads/main");
        assert_eq!(statement["Principal"], json!({"Federated": "arn:provider"}));
        assert_eq!(
            statement["Condition"],
            json!({"StringEquals": {
                "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
                "token.actions.githubusercontent.com:sub": "repo:org/repo:ref:refs/heads/main"
            }})
        );
    }
}
