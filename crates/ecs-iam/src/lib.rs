//! The role layer: the task execution role, one task role per service, and where the stack file asks for them the role
//! with which ECS shifts traffic, the one with which CI deploys, and a user that may take that one on.

mod boundary;
mod ci_user;
mod deploy_access;
mod document;
mod former;
mod given_role;
mod inline_policy;
mod oidc_provider;
mod role;
mod role_policies;
mod scheduler_access;
mod secret_access;
mod task_access;
mod trust;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::Client;
use aws_sdk_iam::types::Tag;
use ecs_aws::{Api, Session};
use ecs_core::id::{RoleArn, UserArn};
use ecs_core::member;
use ecs_core::stack::{Service, partition};
use ecs_core::tool::Tool;
use ecs_core::{All as _, Held, Identity, Result, Run, Stack};
use futures::future::join_all;
use futures::join;
use serde_json::{Value, json};

use crate::ci_user::CiUser;
use crate::former::{Former, task_role_description};
use crate::given_role::GivenRole;
use crate::oidc_provider::OidcProvider;
use crate::role::Role;
use crate::trust::Deployers;

/// Name of the layer in the identity tags.
const LAYER: &str = "iam";

/// The tool `ecs-iam`.
#[derive(Debug)]
pub struct Iam;

/// Flags that only ecs-iam has: none.
#[derive(Debug, clap::Args)]
pub struct Options {}

impl Tool for Iam {
    const NAME: &'static str = "ecs-iam";
    const ABOUT: &'static str = "Create or update the roles of an ECS stack: execution role, task roles, deploy role";
    const EXAMPLES: &'static str = "  ecs-iam --stack prod.toml > iam.json
  ecs-iam plan --stack prod.toml
  ecs-net --stack prod.toml | ecs-sg | ecs-iam | ecs-ecr | ecs-db | ecs-alb | ecs-svc > prod.json
  ecs-iam destroy < prod.json";
    const MEMBERS: &'static [&'static str] = &["iam"];
    const STOOD_ON_BY: &'static [&'static str] = &["svc"];
    type Options = Options;
    type Cloud = Session;

    fn policy() -> Value {
        let policies = [role::EXECUTION_POLICY, role::INFRASTRUCTURE_POLICY];
        let policies = policies.map(|name| role::managed_policy("aws", name));
        json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Look",
                    "Effect": "Allow",
                    "Action": [
                        "ecs:DescribeServices",
                        "ecs:DescribeTaskDefinition",
                        "ecs:DescribeTasks",
                        "ecs:ListServices",
                        "ecs:ListTasks",
                        "iam:ListOpenIDConnectProviders",
                        "iam:ListRoles",
                        "iam:ListUsers",
                        "scheduler:GetSchedule",
                        "scheduler:ListSchedules",
                        "sts:GetCallerIdentity"
                    ],
                    "Resource": "*"
                },
                {
                    "Sid": "Roles",
                    "Effect": "Allow",
                    "Action": [
                        "iam:CreateRole",
                        "iam:DeleteRole",
                        "iam:DeleteRolePermissionsBoundary",
                        "iam:DeleteRolePolicy",
                        "iam:DetachRolePolicy",
                        "iam:GetRole",
                        "iam:GetRolePolicy",
                        "iam:ListAttachedRolePolicies",
                        "iam:ListRolePolicies",
                        "iam:PutRolePermissionsBoundary",
                        "iam:PutRolePolicy",
                        "iam:TagRole",
                        "iam:UntagRole",
                        "iam:UpdateAssumeRolePolicy",
                        "iam:UpdateRoleDescription"
                    ],
                    "Resource": "arn:aws:iam::*:role/*"
                },
                {
                    "Sid": "ManagedPolicies",
                    "Effect": "Allow",
                    "Action": "iam:AttachRolePolicy",
                    "Resource": "arn:aws:iam::*:role/*",
                    "Condition": {
                        "ArnEquals": {
                            "iam:PolicyARN": policies
                        }
                    }
                },
                {
                    "Sid": "ReadUsers",
                    "Effect": "Allow",
                    "Action": [
                        "iam:GetLoginProfile",
                        "iam:GetUser",
                        "iam:GetUserPolicy",
                        "iam:ListAccessKeys",
                        "iam:ListAttachedUserPolicies",
                        "iam:ListGroupsForUser",
                        "iam:ListMFADevices",
                        "iam:ListUserPolicies"
                    ],
                    "Resource": "arn:aws:iam::*:user/*"
                },
                {
                    "Sid": "Users",
                    "Effect": "Allow",
                    "Action": [
                        "iam:CreateUser",
                        "iam:DeleteAccessKey",
                        "iam:DeleteUser",
                        "iam:DeleteUserPermissionsBoundary",
                        "iam:DeleteUserPolicy",
                        "iam:DetachUserPolicy",
                        "iam:PutUserPermissionsBoundary",
                        "iam:PutUserPolicy",
                        "iam:TagUser"
                    ],
                    "Resource": "arn:aws:iam::*:user/ecs-pipe/*"
                },
                {
                    "Sid": "IdentityProvider",
                    "Effect": "Allow",
                    "Action": [
                        "iam:AddClientIDToOpenIDConnectProvider",
                        "iam:CreateOpenIDConnectProvider",
                        "iam:GetOpenIDConnectProvider"
                    ],
                    "Resource": "arn:aws:iam::*:oidc-provider/token.actions.githubusercontent.com"
                },
                {
                    "Sid": "ServiceLinkedRole",
                    "Effect": "Allow",
                    "Action": "iam:CreateServiceLinkedRole",
                    "Resource": "arn:aws:iam::*:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS",
                    "Condition": {
                        "StringEquals": { "iam:AWSServiceName": "ecs.amazonaws.com" }
                    }
                }
            ]
        })
    }

    fn schema() -> Value {
        json!({ "iam": member::schema::<member::Iam>() })
    }

    async fn layer(run: &Run<'_>, session: &Session, stack: &Stack, _options: &Options) -> Result<()> {
        let iam = session.api(Client::new);
        if run.destroys() {
            return destroy(run, &iam, stack).await;
        }
        let execution = Role::new(stack, &stack.iam.execution_role, &stack.iam.execution_role_description);
        let execution = execution.for_execution(stack);
        let task_roles = task_roles(stack);
        let tasks: Vec<Role> = task_roles
            .iter()
            .map(|(name, (key, service))| {
                Role::new(stack, name, &task_role_description(key)).for_tasks(stack, (key, service))
            })
            .collect();
        let region = stack.region.as_deref().unwrap_or_default();
        let own = Some(&execution).filter(|_| stack.iam.execution_role_arn.is_none());
        let scheduler = (!stack.schedules.is_empty()).then(|| Role::scheduler(stack));
        own.into_iter().chain(&tasks).chain(&scheduler).try_for_each(|role| role.check_length(region))?;
        check_deploy_length(stack, region)?;

        let given = GivenRole::of(stack);
        let infrastructure = stack.shifts().then(|| Role::infrastructure(stack));
        let scheduler = async {
            match scheduler {
                Some(role) => run.ensure(&iam, role).await.map(Some),
                None => Ok(None),
            }
        };
        let (execution, made, infrastructure, scheduler, deploy, given) = join!(
            own_or_given(run, &iam, Some(execution), stack.iam.execution_role_arn.as_deref()),
            join_all(tasks.into_iter().map(|role| run.ensure(&iam, role))),
            own_or_given(run, &iam, infrastructure, stack.iam.infrastructure_role_arn.as_deref()),
            scheduler,
            deploy(run, &iam, stack),
            join_all(given.iter().map(|role| role.check(run, &iam))),
        );
        let (execution, made, infrastructure, scheduler, deploy, _) =
            (execution, made.all(), infrastructure, scheduler, deploy, given.all()).all()?;

        let by_name: BTreeMap<_, _> =
            task_roles.keys().zip(&made).map(|(name, role)| (name.as_str(), &role.arn)).collect();
        let execution_role_arn = execution.as_ref().map(|(arn, _)| arn.clone()).unwrap_or_default();
        let arn = |key: &str, service: &Service| match &service.task_role_arn {
            Some(given) => given.as_str().into(),
            None => by_name.get(service.task_role(key).as_str()).copied().unwrap_or(&execution_role_arn).clone(),
        };
        let services = stack.services.iter();
        let new = [&execution, &infrastructure].into_iter().flatten().any(|(_, new)| *new);
        run.publish(&member::Iam {
            task_role_arns: services.map(|(key, service)| (key.clone(), arn(key, service))).collect(),
            infrastructure_role_arn: infrastructure.map(|(arn, _)| arn),
            scheduler_role_arn: scheduler.as_ref().map(|role| role.arn.clone()),
            deploy_role_arn: deploy.as_ref().map(|role| role.arn.clone()),
            new: new || made.iter().chain(&scheduler).chain(&deploy).any(Held::is_new),
            execution_role_arn,
        })?;
        if !run.seeks_former() {
            return Ok(());
        }
        Former::new(stack, wanted(stack)).ensure(run, session, &iam).await
    }
}

/// Makes a role of the stack, unless the file names somebody else's; returns its ARN, and whether it is new.
async fn own_or_given(
    run: &Run<'_>,
    iam: &IamApi,
    own: Option<Role>,
    given: Option<&str>,
) -> Result<Option<(RoleArn, bool)>> {
    match (own, given) {
        (None, _) => Ok(None),
        (Some(_), Some(given)) => Ok(Some((given.into(), false))),
        (Some(own), None) => {
            let held = run.ensure(iam, own).await?;
            Ok(Some((held.arn.clone(), held.is_new())))
        }
    }
}

/// Checks that the deploy role's policies are not too long, before anything is made.
fn check_deploy_length(stack: &Stack, region: &str) -> Result<()> {
    let Some(name) = stack.deploy_role() else { return Ok(()) };
    let arn = |what: &str| format!("arn:{}:iam::123456789012:{what}", partition(region));
    let provider = arn(&format!("oidc-provider/{}", oidc_provider::HOST));
    let deployers = Deployers {
        github: stack.iam.github.as_ref().map(|github| (provider, github.subject())),
        user: stack.ci_user().map(|user| UserArn(arn(&format!("user{}{user}", ci_user::path(stack))))),
    };
    Role::deploy(stack, &name, &deployers).check_length(region)
}

/// Makes the role with which CI deploys, when the stack file names who that is, and the user of CI, if there is to be one.
///
/// The role trusts both by their ARNs, so they come first; IAM refuses a trust policy that names a user that does not exist.
async fn deploy(run: &Run<'_>, iam: &IamApi, stack: &Stack) -> Result<Option<Held<Role>>> {
    let Some(name) = stack.deploy_role() else { return Ok(None) };
    let github = async {
        let Some(github) = &stack.iam.github else { return Ok(None) };
        let provider = run.ensure(iam, OidcProvider).await?;
        Ok(Some((provider.arn.clone(), github.subject())))
    };
    let user = async {
        let Some(user) = stack.ci_user() else { return Ok(None) };
        let user = run.ensure(iam, CiUser::new(stack, &user, &name)).await?;
        Ok(Some(user.arn.clone()))
    };
    let (github, user) = join!(github, user);
    let (github, user) = (github, user).all()?;
    run.ensure(iam, Role::deploy(stack, &name, &Deployers { github, user })).await.map(Some)
}

/// Looks for what is to be deleted: all roles, by their names, with whatever policies they have, and all users at the
/// stack's path.
///
/// A file of before may have had a strategy that shifts traffic, a deploy role of the usual name, or other services. GitHub's
/// identity provider stays: the whole account shares it.
async fn destroy(run: &Run<'_>, iam: &IamApi, stack: &Stack) -> Result<()> {
    if stack.iam.github.is_some() {
        run.console().say("kept", "GitHub's identity provider stays: the whole account shares it");
    }
    let former = Former::new(stack, wanted(stack)).look(iam).await?;
    let (mut names, mut users) = (wanted(stack), BTreeSet::from_iter(stack.ci_user()));
    for one in former {
        match one.kind {
            former::Kind::Role => names.insert(one.name),
            former::Kind::User => users.insert(one.name),
        };
    }
    let usual = [&stack.iam.infrastructure_role, &stack.iam.scheduler_role, &stack.usual_deploy_role()];
    names.extend(usual.map(String::clone));
    // One that the file gives is never touched, whatever its tags say.
    let given = GivenRole::of(stack);
    names.retain(|name| !given.iter().any(|role| role.is_named(name)));
    let roles = names.iter().map(|name| run.ensure(iam, Role::new(stack, name, "")));
    let users = users.iter().map(|name| run.ensure(iam, CiUser::sought(stack, name)));
    let (roles, users) = join!(join_all(roles), join_all(users));
    (roles.all(), users.all()).all().map(drop)
}

/// Returns the names of all roles that the stack file asks for.
fn wanted(stack: &Stack) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = task_roles(stack).into_keys().collect();
    let own = |given: &Option<String>, name: &String| given.is_none().then(|| name.clone());
    names.extend(own(&stack.iam.execution_role_arn, &stack.iam.execution_role));
    names.extend(own(&stack.iam.infrastructure_role_arn, &stack.iam.infrastructure_role).filter(|_| stack.shifts()));
    names.extend((!stack.schedules.is_empty()).then(|| stack.iam.scheduler_role.clone()));
    names.extend(stack.deploy_role());
    // One that the file gives stays, whatever its tags say.
    names.extend(GivenRole::of(stack).iter().map(|role| role.name().to_owned()));
    names
}

/// Returns the task roles' names, each with the first service that has it.
///
/// A service may name the execution role as its task role: it is not made twice.
fn task_roles(stack: &Stack) -> BTreeMap<String, (&str, &Service)> {
    let mut roles = BTreeMap::new();
    for (key, service) in stack.services.iter().filter(|(_, service)| service.task_role_arn.is_none()) {
        roles.entry(service.task_role(key)).or_insert((key.as_str(), service));
    }
    if stack.iam.execution_role_arn.is_none() {
        roles.remove(&stack.iam.execution_role);
    }
    roles
}

fn tags(identity: &Identity) -> Result<Vec<Tag>> {
    identity.try_tags(|key, value| Tag::builder().key(key).value(value).build())
}

/// The client of IAM.
type IamApi = Api<Client>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_allows_the_calls_that_are_made_and_no_others() {
        let policy = Iam::policy();
        let statements = policy["Statement"].as_array().expect("statements").iter();
        let actions = statements.flat_map(|statement| match statement["Action"].as_array() {
            Some(actions) => actions.iter().collect(),
            None => vec![&statement["Action"]],
        });
        let allowed: BTreeSet<&str> = actions.filter_map(Value::as_str).collect();
        let sources = [
            include_str!("../../ecs-aws/src/in_use.rs"),
            include_str!("ci_user.rs"),
            include_str!("former.rs"),
            include_str!("given_role.rs"),
            include_str!("oidc_provider.rs"),
            include_str!("role.rs"),
            include_str!("role_policies.rs"),
        ];
        let calls = sources.iter().flat_map(|source| source.split("answer").skip(1));
        let calls = calls.filter_map(|rest| rest.trim_start_matches("_if_found").strip_prefix("(\""));
        let made = calls.filter_map(|rest| rest.split('"').next()).chain(["sts:GetCallerIdentity"]);
        assert_eq!(allowed, made.collect());
    }

    #[test]
    fn services_that_share_a_task_role_get_one() {
        let mut stack = Stack::default();
        let of = |stack: &Stack| -> Vec<(String, String)> {
            task_roles(stack).into_iter().map(|(name, (key, _))| (name, key.to_owned())).collect()
        };
        let pair = |name: &str, key: &str| (name.to_owned(), key.to_owned());
        assert_eq!(of(&stack), [pair("backendTaskRole", "backend"), pair("frontendTaskRole", "frontend")]);
        for service in stack.services.values_mut() {
            service.task_role = Some("tasks".to_owned());
        }
        assert_eq!(of(&stack), [pair("tasks", "backend")]);
        stack.iam.execution_role = "tasks".to_owned();
        assert_eq!(of(&stack), []);
    }
}
