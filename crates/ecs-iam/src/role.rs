//! A role, with who may take it on and what it may do.

use std::time::Duration;

use aws_sdk_iam::types::Tag;
use ecs_aws::{Answer as _, present};
use ecs_core::id::RoleArn;
use ecs_core::stack::{Service, partition};
use ecs_core::{All as _, Change, Error, Identity, Kind, Owner, Resource, Result, Stack};
use futures::future::join_all;
use futures::join;
use serde_json::Value;

use crate::deploy_access::DeployAccess;
use crate::document::{self, Grants};
use crate::inline_policy::{self, Access, Inline, POLICY_TAG, Step, remembered};
use crate::role_policies::{attach, attached, delete_inline, detach, inline, inline_names};
use crate::scheduler_access::SchedulerAccess;
use crate::secret_access::SecretAccess;
use crate::task_access::TaskAccess;
use crate::trust::{self, Deployers};
use crate::{IamApi, LAYER, boundary, tags};

/// AWS's managed policy for execution roles: pull images, write logs.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html>
pub const EXECUTION_POLICY: &str = "service-role/AmazonECSTaskExecutionRolePolicy";
/// AWS's managed policy for the role with which ECS shifts traffic: change listeners and rules, register targets.
///
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AmazonECSInfrastructureRolePolicyForLoadBalancers.html>
pub const INFRASTRUCTURE_POLICY: &str = "AmazonECSInfrastructureRolePolicyForLoadBalancers";
/// Description of the role with which ECS shifts traffic.
const INFRASTRUCTURE_DESCRIPTION: &str = "Role for ECS itself - allows shifting traffic between target groups";
/// Description of the role with which EventBridge Scheduler runs tasks.
const SCHEDULER_DESCRIPTION: &str = "Role for EventBridge Scheduler - allows running scheduled tasks";
/// Name of that role's inline policy.
const SCHEDULER_POLICY: &str = "RunScheduledTasks";
/// Name of the deploy role's inline policy.
const DEPLOY_POLICY: &str = "Deploy";

/// Greatest length of a role's inline policies in all, and of its trust policy, in characters that are no white space:
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html#reference_iam-quotas-entity-length>
const INLINE_LENGTH: usize = 10_240;
/// The same of a trust policy, without a raised quota.
const TRUST_LENGTH: usize = 2048;

const DESCRIPTION: &str = "description";
const TRUST: &str = "trust policy";
const MANAGED: &str = "managed policy";
const INLINE: &str = "inline policy";

/// A role, with its description, trust policy and policies.
#[derive(Debug)]
pub struct Role {
    identity: Identity,
    description: String,
    trust: Value,
    /// Name of AWS's managed policy that it has, with its path
    managed: Option<&'static str>,
    inline: Option<Inline>,
    /// ARN of the policy that limits what it may do
    boundary: Option<String>,
    /// The first one of an account is made after ECS's service-linked role
    executes: bool,
}

/// What IAM says the role is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its ARN
    pub arn: RoleArn,
    description: String,
    trust: Grants,
    /// Managed policies attached, read only of a role of which they are reported
    managed: Vec<String>,
    /// What our inline policy says, read only of a role that is to have one
    inline: Option<Grants>,
    boundary: Option<String>,
    tags: Vec<Tag>,
}

impl Role {
    /// Makes a role for ECS tasks that may do nothing yet.
    pub fn new(stack: &Stack, name: &str, description: &str) -> Self {
        Self {
            identity: Identity::new(&stack.name, LAYER, name),
            description: description.to_owned(),
            trust: trust::in_service("ecs-tasks.amazonaws.com"),
            managed: None,
            inline: None,
            boundary: stack.iam.permissions_boundary.clone(),
            executes: false,
        }
    }

    /// Makes it the execution role: it may pull images, write logs, and read the services' secrets.
    #[must_use]
    pub fn for_execution(self, stack: &Stack) -> Self {
        let name = stack.iam.parameter_policy.clone();
        let inline = Some(Inline { name, access: Access::Secrets(SecretAccess::new(stack)) });
        Self { managed: Some(EXECUTION_POLICY), inline, executes: true, ..self }
    }

    /// Makes it the task role of a service: it may do what the stack file says.
    #[must_use]
    pub fn for_tasks(self, stack: &Stack, (key, service): (&str, &Service)) -> Self {
        let access = Access::Task(Box::new(TaskAccess::new(stack, service)));
        let inline = Inline { name: service.service_name(key), access };
        Self { inline: Some(inline), ..self }
    }

    /// Makes the role with which ECS shifts traffic: ECS itself takes it on, not its tasks.
    pub fn infrastructure(stack: &Stack) -> Self {
        let role = Self::new(stack, &stack.iam.infrastructure_role, INFRASTRUCTURE_DESCRIPTION);
        Self { trust: trust::in_service("ecs.amazonaws.com"), managed: Some(INFRASTRUCTURE_POLICY), ..role }
    }

    /// Makes the role with which EventBridge Scheduler runs the stack's scheduled tasks.
    pub fn scheduler(stack: &Stack) -> Self {
        let role = Self::new(stack, &stack.iam.scheduler_role, SCHEDULER_DESCRIPTION);
        let access = Access::Schedules(Box::new(SchedulerAccess::new(stack)));
        let inline = Inline { name: SCHEDULER_POLICY.to_owned(), access };
        Self { trust: trust::in_service("scheduler.amazonaws.com"), inline: Some(inline), ..role }
    }

    /// Makes the role with which CI deploys the stack.
    pub fn deploy(stack: &Stack, name: &str, deployers: &Deployers) -> Self {
        let who = if deployers.github.is_some() { "GitHub Actions" } else { "CI" };
        let role = Self::new(stack, name, &format!("Role for {who} - allows deploying {}", stack.name));
        let inline =
            Inline { name: DEPLOY_POLICY.to_owned(), access: Access::Deployments(Box::new(DeployAccess::new(stack))) };
        Self { trust: deployers.trust(), inline: Some(inline), ..role }
    }

    /// Checks that IAM would take its policies, as far as their length goes.
    ///
    /// # Errors
    /// When one is too long: said before anything is made.
    pub fn check_length(&self, region: &str) -> Result<()> {
        let name = &self.identity.name;
        let arn = RoleArn::from(format!("arn:{}:iam::123456789012:role/{name}", partition(region)));
        let inline = self.inline.as_ref().and_then(|inline| Some((inline, inline.access.document(&arn)?)));
        let length = inline.as_ref().map_or(0, |(_, document)| document::length(document));
        let (what, length, most, hint) = if length > INLINE_LENGTH {
            let hint = match inline.map(|(inline, _)| &inline.access) {
                Some(Access::Deployments(_) | Access::Schedules(_)) => {
                    "shorter names make it shorter; or divide the services among two stacks, each with roles of its own"
                }
                Some(Access::Secrets(_)) => {
                    "put what the services share into one parameter or secret, or leave `execution_statements` out"
                }
                Some(Access::Task(_)) | None => {
                    "join statements, or end resources with `*`; what does not fit can be a managed policy that you attach"
                }
            };
            ("inline policies", length, INLINE_LENGTH, hint)
        } else {
            let length = document::length(&self.trust);
            ("a trust policy", length, TRUST_LENGTH, "name a shorter repository, branch or environment")
        };
        if length <= most {
            return Ok(());
        }
        let error = Error::usage(format!("it would have {length} characters of {what}, IAM takes {most}"));
        Err(error.doing(format!("checking {} {name}", Self::KIND)).hint(hint))
    }

    /// Puts the inline policy, or deletes it when there is nothing to allow any more, or another one by its name.
    async fn update_inline(&self, iam: &IamApi, live: &Live) -> Result<()> {
        let Some(Inline { name: policy, access }) = &self.inline else { return Ok(()) };
        let name = &self.identity.name;
        let document = access.document(&live.arn);
        let tag = self.policy_tag()?;
        for step in inline_policy::steps(remembered(&live.tags), policy, document.is_some(), tag.is_some()) {
            match step {
                Step::Tag => {
                    let call = iam.write.tag_role().role_name(name).set_tags(tag.clone().map(|tag| vec![tag]));
                    call.send().await.answer("iam:TagRole")?;
                }
                Step::Put => {
                    let call = iam.write.put_role_policy().role_name(name).policy_name(policy);
                    let call = call.policy_document(document.iter().map(ToString::to_string).collect::<String>());
                    call.send().await.answer("iam:PutRolePolicy")?;
                }
                Step::Delete(policy) => delete_inline(iam, name, policy).await?,
                Step::Untag => {
                    let call = iam.write.untag_role().role_name(name).tag_keys(POLICY_TAG);
                    call.send().await.answer("iam:UntagRole")?;
                }
            }
        }
        Ok(())
    }

    /// Returns the tag of a task role that is to have an inline policy.
    fn policy_tag(&self) -> Result<Option<Tag>> {
        let name = self.inline.as_ref().and_then(|inline| match &inline.access {
            Access::Task(access) => access.is_any().then_some(&inline.name),
            Access::Secrets(_) | Access::Deployments(_) | Access::Schedules(_) => None,
        });
        let tag = name.map(|name| Tag::builder().key(POLICY_TAG).value(name).build());
        tag.transpose().map_err(|error| Error::other(error.to_string()))
    }

    /// Returns the name of the inline policy to read; none where there is none to be expected.
    fn expected<'r>(&'r self, tags: &'r [Tag]) -> Option<&'r str> {
        let Inline { name, access } = self.inline.as_ref()?;
        match access {
            Access::Secrets(_) | Access::Deployments(_) | Access::Schedules(_) => Some(name),
            Access::Task(access) => remembered(tags).or(access.is_any().then_some(name.as_str())),
        }
    }

    /// Says whether managed policies that others attach are reported: what tasks may do is for others to add to.
    fn reports_managed(&self) -> bool {
        let inline = self.inline.as_ref().is_some_and(|inline| match inline.access {
            Access::Secrets(_) | Access::Deployments(_) | Access::Schedules(_) => true,
            Access::Task(_) => false,
        });
        self.managed.is_some() || inline
    }
}

impl Resource for Role {
    type Api = IamApi;
    type Live = Live;
    const KIND: &'static str = "IAM role";
    /// It exists at once; its deletion waits until IAM has noticed everywhere that its policies are gone.
    const PATIENCE: Duration = Duration::from_secs(2 * 60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.arn.to_string()
    }

    fn planned(&self) -> Live {
        Live {
            arn: RoleArn::planned(&self.identity.name),
            description: self.description.clone(),
            trust: Grants::of(&self.trust),
            managed: Vec::new(),
            inline: None,
            boundary: self.boundary.clone(),
            tags: Vec::new(),
        }
    }

    /// Returns the role of that name, at whatever path: names are unique in an account.
    ///
    /// Its tags come with it; its policies are two calls more, made only where some are wanted.
    async fn find(&self, iam: &IamApi) -> Result<Option<Live>> {
        let name = &self.identity.name;
        let reply = iam.read.get_role().role_name(name).send().await.answer_if_found("iam:GetRole")?;
        let Some(role) = reply.and_then(|reply| reply.role) else { return Ok(None) };
        let managed = async { if self.reports_managed() { attached(iam, name).await } else { Ok(Vec::new()) } };
        let inline = async {
            match self.expected(role.tags()) {
                Some(policy) => inline(iam, name, policy).await,
                None => Ok(None),
            }
        };
        let (managed, inline) = join!(managed, inline);
        // The role is there: it was made a moment ago, or is just being deleted.
        let (managed, inline) = (managed, inline)
            .all()
            .map_err(|error| if error.kind() == Kind::NotFound { error.with_kind(Kind::NotYet) } else { error })?;
        Ok(Some(Live {
            arn: role.arn.into(),
            description: role.description.unwrap_or_default(),
            trust: role.assume_role_policy_document.as_deref().map(Grants::read).unwrap_or_default(),
            managed,
            inline,
            boundary: role.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn),
            tags: role.tags.unwrap_or_default(),
        }))
    }

    /// Creates the role; its policies follow as changes.
    ///
    /// Before the first execution role, and so once in a fresh account, comes ECS's service-linked role. ECS would make
    /// it when it is first used, and then refuse the first calls with "Unable to assume the service linked role"
    /// (<https://github.com/aws-samples/run-selenium-tests-at-scale-using-ecs-fargate/issues/2>): made here, it has had
    /// time to settle. All clusters of the account share it, so a destroy leaves it.
    async fn create(&self, iam: &IamApi) -> Result<Live> {
        if self.executes {
            create_service_linked_role(iam).await?;
        }
        let call = iam.write.create_role().role_name(&self.identity.name).description(&self.description);
        let call = call.assume_role_policy_document(self.trust.to_string());
        // In the same call: whoever may only make roles with a boundary is refused without.
        let call = call.set_permissions_boundary(self.boundary.clone());
        let policy_tag = self.policy_tag()?;
        let call = call.set_tags(Some(tags(&self.identity)?.into_iter().chain(policy_tag.clone()).collect()));
        let reply = call.send().await.answer("iam:CreateRole").map_err(not_yet)?;
        let arn = reply.role.map(|role| role.arn);
        let arn = present(arn, "iam:CreateRole", "the role's ARN")?.into();
        Ok(Live { arn, tags: policy_tag.into_iter().collect(), ..self.planned() })
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let mut changes: Vec<Change> =
            Change::of(DESCRIPTION, &live.description, &self.description).into_iter().collect();
        changes.extend(live.trust.changes(TRUST, &Grants::of(&self.trust)));
        changes.extend(boundary::change(&live.boundary, &self.boundary));
        let partition = live.arn.as_str().split(':').nth(1).unwrap_or_default();
        let wanted = self.managed.map(|name| managed_policy(partition, name));
        let missing = wanted.iter().filter(|arn| !live.managed.contains(arn));
        changes.extend(missing.map(|arn| Change::update(MANAGED, "", arn)));
        let others = live.managed.iter().filter(|arn| Some(*arn) != wanted.as_ref());
        changes.extend(others.map(|arn| Change::foreign(MANAGED, arn)));
        let Some(Inline { name, access }) = &self.inline else { return changes };
        let before = self.expected(&live.tags).unwrap_or(name);
        match (&live.inline, access.document(&live.arn)) {
            (Some(_), Some(_)) if before != name => changes.push(Change::update(INLINE, before, name)),
            (Some(inline), Some(document)) => changes.extend(inline.changes(INLINE, &Grants::of(&document))),
            (None, Some(_)) => changes.push(Change::update(INLINE, "", name)),
            (Some(_), None) => changes.push(Change::update(INLINE, before, "")),
            (None, None) => {}
        }
        changes
    }

    async fn update(&self, iam: &IamApi, live: &Live, changes: &[Change]) -> Result<()> {
        let name = &self.identity.name;
        let changed = |field: &str| changes.iter().any(|change| change.field == field);
        let description = async {
            if changed(DESCRIPTION) {
                // Not UpdateRole: without a maximum session duration it resets that to an hour.
                let call = iam.write.update_role_description().role_name(name).description(&self.description);
                call.send().await.answer("iam:UpdateRoleDescription")?;
            }
            Ok(())
        };
        let trust = async {
            if changed(TRUST) {
                let call = iam.write.update_assume_role_policy().role_name(name);
                let call = call.policy_document(self.trust.to_string());
                call.send().await.answer("iam:UpdateAssumeRolePolicy").map_err(not_yet)?;
            }
            Ok(())
        };
        let boundary = async {
            match &self.boundary {
                _ if !changed(boundary::FIELD) => {}
                Some(arn) => {
                    let call = iam.write.put_role_permissions_boundary().role_name(name).permissions_boundary(arn);
                    call.send().await.answer("iam:PutRolePermissionsBoundary")?;
                }
                None => {
                    let call = iam.write.delete_role_permissions_boundary().role_name(name);
                    call.send().await.answer_if_found("iam:DeleteRolePermissionsBoundary")?;
                }
            }
            Ok(())
        };
        let managed = changes.iter().filter(|change| change.field == MANAGED).map(async |change| {
            if change.to.is_empty() {
                detach(iam, name, &change.from).await
            } else {
                attach(iam, name, &change.to).await
            }
        });
        let inline = async { if changed(INLINE) { self.update_inline(iam, live).await } else { Ok(()) } };
        let (description, trust, boundary, managed, inline) =
            join!(description, trust, boundary, join_all(managed), inline);
        (description, trust, boundary, managed.all(), inline).all()?;
        Ok(())
    }

    /// Deletes the role with all of its policies: IAM refuses to delete one that has any.
    async fn delete(&self, iam: &IamApi, _live: &Live) -> Result<()> {
        let name = &self.identity.name;
        let (managed, inline) = join!(attached(iam, name), inline_names(iam, name));
        let (managed, inline) = (managed, inline).all()?;
        let (detached, deleted) = join!(
            join_all(managed.iter().map(|arn| detach(iam, name, arn))),
            join_all(inline.iter().map(|policy| delete_inline(iam, name, policy))),
        );
        (detached.all(), deleted.all()).all()?;
        iam.write.delete_role().role_name(name).send().await.answer("iam:DeleteRole")?;
        Ok(())
    }

    fn owner(&self, live: &Live) -> Owner {
        self.identity.owner(live.tags.iter().map(|tag| (tag.key(), tag.value())))
    }

    async fn adopt(&self, iam: &IamApi, _live: &Live) -> Result<()> {
        let call = iam.write.tag_role().role_name(&self.identity.name).set_tags(Some(tags(&self.identity)?));
        call.send().await.answer("iam:TagRole")?;
        Ok(())
    }
}

/// Returns the ARN of one of AWS's managed policies.
pub fn managed_policy(partition: &str, name: &str) -> String {
    format!("arn:{partition}:iam::aws:policy/{name}")
}

/// Takes "no such principal" for "not yet": the user that a trust policy names was found or made a moment ago.
/// terraform-provider-aws tries again on the same message
/// (<https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/iam/role.go>).
fn not_yet(error: Error) -> Error {
    let unknown = error.code() == Some("MalformedPolicyDocument") && error.message().contains("Invalid principal");
    if unknown { error.with_kind(Kind::NotYet) } else { error }
}

/// Creates ECS's service-linked role, unless the account has it.
async fn create_service_linked_role(iam: &IamApi) -> Result<()> {
    let call = iam.write.create_service_linked_role().aws_service_name("ecs.amazonaws.com");
    match call.send().await.answer("iam:CreateServiceLinkedRole") {
        Ok(_) => Ok(()),
        // "Service role name AWSServiceRoleForECS has been taken in this account, please try a different suffix."
        // <https://github.com/bcgov/startup-sample-project-aws-containers/issues/13>
        Err(error) if error.code() == Some("InvalidInput") && error.message().contains("has been taken") => Ok(()),
        Err(error) => Err(error.doing("creating service-linked role AWSServiceRoleForECS")),
    }
}

#[cfg(test)]
mod tests;
