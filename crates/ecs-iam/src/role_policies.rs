//! The policies that a role has: read, attached and taken away.

use ecs_aws::Answer as _;
use ecs_core::Result;

use crate::IamApi;
use crate::document::Grants;

/// Returns the ARNs of the managed policies that a role has.
///
/// # Errors
/// Any refusal by IAM.
pub async fn attached(iam: &IamApi, role: &str) -> Result<Vec<String>> {
    let pages = iam.read.list_attached_role_policies().role_name(role).into_paginator().items();
    let policies = pages.send().collect::<Result<Vec<_>, _>>().await.answer("iam:ListAttachedRolePolicies")?;
    Ok(policies.into_iter().filter_map(|policy| policy.policy_arn).collect())
}

/// Returns what an inline policy of a role says, if it has it.
///
/// # Errors
/// Any refusal by IAM.
pub async fn inline(iam: &IamApi, role: &str, policy: &str) -> Result<Option<Grants>> {
    let call = iam.read.get_role_policy().role_name(role).policy_name(policy);
    let reply = call.send().await.answer_if_found("iam:GetRolePolicy")?;
    Ok(reply.map(|reply| Grants::read(&reply.policy_document)))
}

/// Returns the names of all inline policies of a role.
///
/// # Errors
/// Any refusal by IAM.
pub async fn inline_names(iam: &IamApi, role: &str) -> Result<Vec<String>> {
    let pages = iam.read.list_role_policies().role_name(role).into_paginator().items();
    pages.send().collect::<Result<Vec<_>, _>>().await.answer("iam:ListRolePolicies")
}

/// Attaches a managed policy.
///
/// # Errors
/// Any refusal by IAM.
pub async fn attach(iam: &IamApi, role: &str, policy_arn: &str) -> Result<()> {
    let call = iam.write.attach_role_policy().role_name(role).policy_arn(policy_arn);
    call.send().await.answer("iam:AttachRolePolicy")?;
    Ok(())
}

/// Detaches a managed policy; one that is gone is done.
///
/// # Errors
/// Any refusal by IAM.
pub async fn detach(iam: &IamApi, role: &str, policy_arn: &str) -> Result<()> {
    let call = iam.write.detach_role_policy().role_name(role).policy_arn(policy_arn);
    call.send().await.answer_if_found("iam:DetachRolePolicy")?;
    Ok(())
}

/// Deletes an inline policy; one that is gone is done.
///
/// # Errors
/// Any refusal by IAM.
pub async fn delete_inline(iam: &IamApi, role: &str, policy: &str) -> Result<()> {
    let call = iam.write.delete_role_policy().role_name(role).policy_name(policy);
    call.send().await.answer_if_found("iam:DeleteRolePolicy")?;
    Ok(())
}
