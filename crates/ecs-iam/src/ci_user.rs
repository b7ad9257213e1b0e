//! The user with whose access key CI takes the deploy role on, where it has no identity provider of its own.
//!
//! No tool makes an access key, or ever sees one: a person does, with `aws iam create-access-key`.

use std::time::Duration;

use aws_sdk_iam::types::Tag;
use ecs_aws::{Answer as _, present};
use ecs_core::id::UserArn;
use ecs_core::{All as _, Change, Error, Identity, Kind, Owner, Resource, Result, Stack};
use futures::future::join_all;
use futures::join;
use serde_json::{Value, json};

use crate::document::Grants;
use crate::{IamApi, LAYER, boundary, tags};

/// Name of the user's inline policy.
const POLICY: &str = "AssumeDeployRole";

const MANAGED: &str = "managed policy";
const INLINE: &str = "inline policy";

/// A user that may do nothing but take one role on.
#[derive(Debug)]
pub struct CiUser {
    identity: Identity,
    path: String,
    /// ARN of the policy that limits what it may do
    boundary: Option<String>,
    /// Name of the role; none of a user that is only to go
    role: Option<String>,
}

/// What IAM says the user is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its ARN
    pub arn: UserArn,
    inline: Option<Grants>,
    /// Managed policies attached, by others
    managed: Vec<String>,
    boundary: Option<String>,
    /// Access keys that people have made, read only of a user that is to go
    keys: Vec<String>,
    tags: Vec<Tag>,
}

impl CiUser {
    /// Makes the user that may take the deploy role on.
    pub fn new(stack: &Stack, name: &str, role: &str) -> Self {
        Self { role: Some(role.to_owned()), ..Self::sought(stack, name) }
    }

    /// Makes one that is only looked for, to be deleted.
    pub fn sought(stack: &Stack, name: &str) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, name),
            path: path(stack),
            boundary: stack.iam.permissions_boundary.clone(),
            role: None,
        }
    }

    /// Returns the policy for a user, whose own ARN tells the account and the partition that the role is in.
    ///
    /// It is far shorter than the 2,048 characters that a user's inline policies may have.
    fn document(user: &UserArn, role: &str) -> Value {
        let mut parts = user.as_str().split(':');
        let (partition, account) = (parts.nth(1).unwrap_or_default(), parts.nth(2).unwrap_or_default());
        let role = format!("arn:{partition}:iam::{account}:role/{role}");
        let statement = json!({ "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role });
        json!({ "Version": "2012-10-17", "Statement": [statement] })
    }
}

impl Resource for CiUser {
    type Api = IamApi;
    type Live = Live;
    const KIND: &'static str = "IAM user";
    /// It exists at once; its deletion waits until IAM has noticed everywhere that its policies are gone.
    const PATIENCE: Duration = Duration::from_secs(2 * 60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        match live.keys.len() {
            0 => live.arn.to_string(),
            1 => format!("{}, with 1 access key", live.arn),
            count => format!("{}, with {count} access keys", live.arn),
        }
    }

    fn planned(&self) -> Live {
        Live {
            arn: UserArn::planned(&self.identity.name),
            inline: None,
            managed: Vec::new(),
            boundary: self.boundary.clone(),
            keys: Vec::new(),
            tags: Vec::new(),
        }
    }

    /// Returns the user of that name, at whatever path: names are unique in an account.
    async fn find(&self, iam: &IamApi) -> Result<Option<Live>> {
        let name = &self.identity.name;
        let reply = iam.read.get_user().user_name(name).send().await.answer_if_found("iam:GetUser")?;
        let Some(user) = reply.and_then(|reply| reply.user) else { return Ok(None) };
        let stays = self.role.is_some();
        let inline = async { if stays { inline(iam, name).await } else { Ok(None) } };
        let managed = async { if stays { attached(iam, name).await } else { Ok(Vec::new()) } };
        let keys = async { if stays { Ok(Vec::new()) } else { keys(iam, name).await } };
        let (inline, managed, keys) = join!(inline, managed, keys);
        // The user is there: it was made a moment ago, or is just being deleted.
        let (inline, managed, keys) = (inline, managed, keys)
            .all()
            .map_err(|error| if error.kind() == Kind::NotFound { error.with_kind(Kind::NotYet) } else { error })?;
        let boundary = user.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn);
        let tags = user.tags.unwrap_or_default();
        Ok(Some(Live { arn: user.arn.into(), inline, managed, boundary, keys, tags }))
    }

    /// Creates the user; its policy follows as a change.
    async fn create(&self, iam: &IamApi) -> Result<Live> {
        let call = iam.write.create_user().user_name(&self.identity.name).path(&self.path);
        let call = call.set_permissions_boundary(self.boundary.clone()).set_tags(Some(tags(&self.identity)?));
        let arn = call.send().await.answer("iam:CreateUser")?.user.map(|user| user.arn);
        Ok(Live { arn: present(arn, "iam:CreateUser", "the user's ARN")?.into(), ..self.planned() })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let Some(role) = &self.role else { return Vec::new() };
        let mut changes: Vec<Change> = boundary::change(&live.boundary, &self.boundary).into_iter().collect();
        let wanted = Grants::of(&Self::document(&live.arn, role));
        match &live.inline {
            Some(inline) => changes.extend(inline.changes(INLINE, &wanted)),
            None => changes.push(Change::update(INLINE, "", POLICY)),
        }
        changes.extend(live.managed.iter().map(|arn| Change::foreign(MANAGED, arn)));
        changes
    }

    async fn update(&self, iam: &IamApi, live: &Live, changes: &[Change]) -> Result<()> {
        let name = &self.identity.name;
        let changed = |field: &str| changes.iter().any(|change| change.field == field);
        if changed(boundary::FIELD) {
            match &self.boundary {
                Some(arn) => {
                    let call = iam.write.put_user_permissions_boundary().user_name(name).permissions_boundary(arn);
                    call.send().await.answer("iam:PutUserPermissionsBoundary")?;
                }
                None => {
                    let call = iam.write.delete_user_permissions_boundary().user_name(name);
                    call.send().await.answer_if_found("iam:DeleteUserPermissionsBoundary")?;
                }
            }
        }
        if let Some(role) = self.role.as_ref().filter(|_| changed(INLINE)) {
            let call = iam.write.put_user_policy().user_name(name).policy_name(POLICY);
            let call = call.policy_document(Self::document(&live.arn, role).to_string());
            call.send().await.answer("iam:PutUserPolicy")?;
        }
        for change in changes.iter().filter(|change| change.field == MANAGED) {
            detach(iam, name, &change.from).await?;
        }
        Ok(())
    }

    /// Deletes the user with its policies and its access keys, which stand on it alone; what else people have given it,
    /// such as a password, shows that somebody uses it: it is refused before anything is touched.
    async fn delete(&self, iam: &IamApi, _live: &Live) -> Result<()> {
        let name = &self.identity.name;
        let others = others(iam, name).await?;
        if !others.is_empty() {
            let error = Error::other(format!("people have given it {}", others.join(", ")));
            return Err(error.hint(
                "take that away and run again (`aws iam delete-login-profile`, `aws iam deactivate-mfa-device`, \
                 `aws iam remove-user-from-group`); its access keys go with it",
            ));
        }
        let policies = iam.read.list_user_policies().user_name(name).into_paginator().items().send();
        let (policies, managed, keys) =
            join!(policies.collect::<std::result::Result<Vec<_>, _>>(), attached(iam, name), keys(iam, name));
        let (policies, managed, keys) = (policies.answer("iam:ListUserPolicies"), managed, keys).all()?;
        let deletions = policies.iter().map(async |policy| {
            let call = iam.write.delete_user_policy().user_name(name).policy_name(policy);
            call.send().await.answer_if_found("iam:DeleteUserPolicy").map(drop)
        });
        let detached = managed.iter().map(|arn| detach(iam, name, arn));
        let disused = keys.iter().map(async |key| {
            let call = iam.write.delete_access_key().user_name(name).access_key_id(key);
            call.send().await.answer_if_found("iam:DeleteAccessKey").map(drop)
        });
        let (deletions, detached, disused) = join!(join_all(deletions), join_all(detached), join_all(disused));
        (deletions.all(), detached.all(), disused.all()).all()?;
        iam.write.delete_user().user_name(name).send().await.answer("iam:DeleteUser")?;
        Ok(())
    }

    fn owner(&self, live: &Live) -> Owner {
        self.identity.owner(live.tags.iter().map(|tag| (tag.key(), tag.value())))
    }

    async fn adopt(&self, iam: &IamApi, _live: &Live) -> Result<()> {
        let call = iam.write.tag_user().user_name(&self.identity.name).set_tags(Some(tags(&self.identity)?));
        call.send().await.answer("iam:TagUser")?;
        Ok(())
    }
}

/// Returns the path of the stack's users: IAM lists those at a path, and tells no tags of those that it lists.
pub fn path(stack: &Stack) -> String {
    format!("/ecs-pipe/{}/", stack.name)
}

/// Returns the names and ARNs of all users at the stack's path.
///
/// # Errors
/// Any refusal by IAM.
pub async fn listed(iam: &IamApi, stack: &Stack) -> Result<Vec<(String, UserArn)>> {
    let users = iam.read.list_users().path_prefix(path(stack)).into_paginator().items().send();
    let users = users.collect::<std::result::Result<Vec<_>, _>>().await.answer("iam:ListUsers")?;
    Ok(users.into_iter().map(|user| (user.user_name, user.arn.into())).collect())
}

/// Names what people have given a user that keeps IAM from deleting it, and that no tool takes away.
async fn others(iam: &IamApi, name: &str) -> Result<Vec<String>> {
    let devices = iam.read.list_mfa_devices().user_name(name).into_paginator().items().send();
    let groups = iam.read.list_groups_for_user().user_name(name).into_paginator().items().send();
    let (profile, devices, groups) = join!(
        iam.read.get_login_profile().user_name(name).send(),
        devices.collect::<std::result::Result<Vec<_>, _>>(),
        groups.collect::<std::result::Result<Vec<_>, _>>(),
    );
    let profile = profile.answer_if_found("iam:GetLoginProfile");
    let (devices, groups) = (devices.answer("iam:ListMFADevices"), groups.answer("iam:ListGroupsForUser"));
    let (profile, devices, groups) = (profile, devices, groups).all()?;
    let password = profile.map(|_| "a password".to_owned());
    let devices = devices.iter().map(|device| format!("MFA device {}", device.serial_number()));
    let groups = groups.iter().map(|group| format!("group {}", group.group_name()));
    Ok(password.into_iter().chain(devices).chain(groups).collect())
}

async fn inline(iam: &IamApi, name: &str) -> Result<Option<Grants>> {
    let call = iam.read.get_user_policy().user_name(name).policy_name(POLICY);
    let reply = call.send().await.answer_if_found("iam:GetUserPolicy")?;
    Ok(reply.map(|reply| Grants::read(&reply.policy_document)))
}

async fn attached(iam: &IamApi, name: &str) -> Result<Vec<String>> {
    let pages = iam.read.list_attached_user_policies().user_name(name).into_paginator().items();
    let policies = pages.send().collect::<std::result::Result<Vec<_>, _>>().await;
    let policies = policies.answer("iam:ListAttachedUserPolicies")?;
    Ok(policies.into_iter().filter_map(|policy| policy.policy_arn).collect())
}

async fn detach(iam: &IamApi, name: &str, arn: &str) -> Result<()> {
    let call = iam.write.detach_user_policy().user_name(name).policy_arn(arn);
    call.send().await.answer_if_found("iam:DetachUserPolicy").map(drop)
}

async fn keys(iam: &IamApi, name: &str) -> Result<Vec<String>> {
    let pages = iam.read.list_access_keys().user_name(name).into_paginator().items();
    let keys = pages.send().collect::<std::result::Result<Vec<_>, _>>().await.answer("iam:ListAccessKeys")?;
    Ok(keys.into_iter().filter_map(|key| key.access_key_id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws-cn:iam::123456789012:user/ecs-pipe/ecs-production/ecs-production-ci";

    #[test]
    fn a_user_may_take_on_exactly_the_deploy_role() {
        let user = CiUser::new(&Stack::default(), "ecs-production-ci", "ecs-production-deploy");
        let document = CiUser::document(&ARN.into(), "ecs-production-deploy");
        let role = "arn:aws-cn:iam::123456789012:role/ecs-production-deploy";
        assert_eq!(document["Statement"], json!([{ "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role }]));
        let live = |inline: Option<Grants>| Live { arn: ARN.into(), inline, ..user.planned() };
        assert_eq!(user.diff(&live(Some(Grants::of(&document)))), []);
        assert_eq!(user.diff(&live(None)), [Change::update(INLINE, "", POLICY)]);
        let other = Grants::of(&CiUser::document(&ARN.into(), "other"));
        assert_eq!(user.diff(&live(Some(other))).len(), 2);
        let theirs = Live { managed: vec!["arn:other".to_owned()], ..live(Some(Grants::of(&document))) };
        assert_eq!(user.diff(&theirs), [Change::foreign(MANAGED, "arn:other")]);
    }

    #[test]
    fn a_user_that_goes_says_what_goes_with_it() {
        let user = CiUser::sought(&Stack::default(), "ecs-production-ci");
        let live = |keys: &[&str]| Live {
            arn: ARN.into(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            ..user.planned()
        };
        assert_eq!(user.id(&live(&[])), ARN);
        assert_eq!(user.id(&live(&["a"])), format!("{ARN}, with 1 access key"));
        assert_eq!(user.id(&live(&["a", "b"])), format!("{ARN}, with 2 access keys"));
    }
}
