//! The role with which the VPC's flow log writes into its log group.

use std::time::Duration;

use aws_sdk_iam::types::Tag;
use ecs_aws::{Answer as _, Api, present};
use ecs_core::id::RoleArn;
use ecs_core::{Change, Error, Identity, Owner, Resource, Result, Stack};
use serde_json::{Value, json};

use crate::LAYER;

/// The client of IAM.
pub type Iam = Api<aws_sdk_iam::Client>;

/// Name of the role's only policy.
const POLICY: &str = "WriteFlowLog";
/// What the role is for.
const DESCRIPTION: &str = "Role for VPC flow logs - allows writing to their log group";

/// A role that VPC flow logs, and nobody else, may use.
///
/// <https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html>
#[derive(Debug)]
pub struct FlowLogRole {
    identity: Identity,
    boundary: Option<String>,
    region: String,
    /// The account and the log group that it is for; none for one that is only looked for
    of: Option<(String, String)>,
}

/// What IAM says the role is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its ARN
    pub arn: RoleArn,
    trust: Value,
    policy: Value,
    tags: Vec<Tag>,
}

impl FlowLogRole {
    /// Makes the role, for an account and a log group.
    pub fn new(stack: &Stack, name: String, of: Option<(&str, &str)>) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, name),
            boundary: stack.iam.permissions_boundary.clone(),
            region: stack.region.clone().unwrap_or_default(),
            of: of.map(|(account, group)| (account.to_owned(), group.to_owned())),
        }
    }

    /// Deletes the role if it is the stack's.
    ///
    /// # Errors
    /// Any refusal by IAM.
    pub async fn remove_ours(&self, iam: &Iam) -> Result<()> {
        match self.find(iam).await? {
            Some(live) if self.owner(&live) == Owner::Ours => self.delete(iam, &live).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Returns who may use it: the service, for this account's flow logs only.
    fn trust(&self) -> Value {
        let (account, _) = self.of.clone().unwrap_or_default();
        json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "Service": "vpc-flow-logs.amazonaws.com" },
                "Action": "sts:AssumeRole",
                "Condition": { "StringEquals": { "aws:SourceAccount": account } }
            }]
        })
    }

    /// Returns what it may do: write into the log group, which is there already.
    fn policy(&self, arn: &RoleArn) -> Value {
        let (account, group) = self.of.clone().unwrap_or_default();
        // The role is in the partition of the log group.
        let partition = arn.as_str().split(':').nth(1).unwrap_or("aws");
        let group = format!("arn:{partition}:logs:{}:{account}:log-group:{group}", self.region);
        json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                    "Resource": [group, format!("{group}:*")]
                },
                { "Effect": "Allow", "Action": "logs:DescribeLogGroups", "Resource": "*" }
            ]
        })
    }

    fn tags(&self) -> Result<Vec<Tag>> {
        let tags = self.identity.tags(|key, value| Tag::builder().key(key).value(value).build());
        tags.into_iter().collect::<std::result::Result<_, _>>().map_err(|error| Error::other(error.to_string()))
    }
}

impl Resource for FlowLogRole {
    type Api = Iam;
    type Live = Live;
    const KIND: &'static str = "role";
    /// It exists at once and is deleted at once.
    const PATIENCE: Duration = Duration::from_secs(5 * 60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.to_string()
    }

    fn planned(&self) -> Live {
        let arn = RoleArn::planned(&self.identity.name);
        Live { policy: self.policy(&arn), arn, trust: self.trust(), tags: Vec::new() }
    }

    async fn find(&self, iam: &Iam) -> Result<Option<Live>> {
        let name = &self.identity.name;
        let role = iam.read.get_role().role_name(name).send().await.answer_if_found("iam:GetRole")?;
        let Some(role) = role.and_then(|reply| reply.role) else { return Ok(None) };
        let policy = iam.read.get_role_policy().role_name(name).policy_name(POLICY).send().await;
        let policy = policy.answer_if_found("iam:GetRolePolicy")?.map(|reply| read(&reply.policy_document));
        Ok(Some(Live {
            arn: role.arn.clone().into(),
            trust: role.assume_role_policy_document().map(read).unwrap_or_default(),
            policy: policy.unwrap_or_default(),
            tags: role.tags().to_vec(),
        }))
    }

    async fn create(&self, iam: &Iam) -> Result<Live> {
        let call = iam.write.create_role().role_name(&self.identity.name).description(DESCRIPTION);
        let call = call.assume_role_policy_document(self.trust().to_string());
        let call = call.set_permissions_boundary(self.boundary.clone()).set_tags(Some(self.tags()?));
        let arn = call.send().await.answer("iam:CreateRole")?.role.map(|role| role.arn);
        let arn = present(arn, "iam:CreateRole", "the role's ARN")?.into();
        Ok(Live { arn, policy: Value::Null, ..self.planned() })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let of = |field, live: &Value, wanted: &Value| Change::of(field, live, wanted);
        let changes =
            [of("trust policy", &live.trust, &self.trust()), of(POLICY, &live.policy, &self.policy(&live.arn))];
        changes.into_iter().flatten().collect()
    }

    async fn update(&self, iam: &Iam, live: &Live, changes: &[Change]) -> Result<()> {
        let name = &self.identity.name;
        for change in changes {
            if change.field == POLICY {
                let call = iam.write.put_role_policy().role_name(name).policy_name(POLICY);
                let call = call.policy_document(self.policy(&live.arn).to_string());
                call.send().await.answer("iam:PutRolePolicy")?;
            } else {
                let call = iam.write.update_assume_role_policy().role_name(name);
                let call = call.policy_document(self.trust().to_string());
                call.send().await.answer("iam:UpdateAssumeRolePolicy")?;
            }
        }
        Ok(())
    }

    async fn delete(&self, iam: &Iam, _live: &Live) -> Result<()> {
        let name = &self.identity.name;
        let policy = iam.write.delete_role_policy().role_name(name).policy_name(POLICY).send().await;
        policy.answer_if_found("iam:DeleteRolePolicy")?;
        iam.write.delete_role().role_name(name).send().await.answer_if_found("iam:DeleteRole").map(drop)
    }

    fn owner(&self, live: &Live) -> Owner {
        self.identity.owner(live.tags.iter().map(|tag| (tag.key(), tag.value())))
    }

    async fn adopt(&self, iam: &Iam, _live: &Live) -> Result<()> {
        let call = iam.write.tag_role().role_name(&self.identity.name).set_tags(Some(self.tags()?));
        call.send().await.answer("iam:TagRole").map(drop)
    }
}

/// Reads a document as IAM returns it: JSON, percent-encoded. What is none is equal to nothing that is wanted.
fn read(text: &str) -> Value {
    serde_json::from_str(&ecs_core::percent::decode(text)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_for_one_log_group_and_is_healed() {
        let stack = Stack { region: Some("eu-west-1".to_owned()), ..Stack::default() };
        let role = FlowLogRole::new(&stack, "prod-flow-logs".to_owned(), Some(("123456789012", "/vpc/prod")));
        let arn: RoleArn = "arn:aws-cn:iam::123456789012:role/prod-flow-logs".into();
        let live = Live { policy: role.policy(&arn), arn, ..role.planned() };
        assert_eq!(role.diff(&live), []);
        let group = "arn:aws-cn:logs:eu-west-1:123456789012:log-group:/vpc/prod";
        assert_eq!(live.policy["Statement"][0]["Resource"], json!([group, format!("{group}:*")]));
        let changed = Live { policy: Value::Null, trust: json!({}), ..live };
        let fields: Vec<_> = role.diff(&changed).iter().map(|change| change.field).collect();
        assert_eq!(fields, ["trust policy", POLICY]);
        assert_eq!(read("%7B%22a%22%3A1%7D"), json!({"a": 1}));
    }
}
