//! The image repository layer: one ECR repository per service.

mod lifecycle;
mod repository;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use aws_sdk_ecr::Client;
use ecs_aws::{Answer as _, Api, Session};
use ecs_core::member;
use ecs_core::stack::ecr_repository;
use ecs_core::tool::Tool;
use ecs_core::{All as _, Error, Listing, Result, Run, Stack};
use futures::future::join_all;
use futures::join;
use serde_json::{Value, json};

use crate::repository::Repository;

/// Name of the layer in the identity tags.
const LAYER: &str = "ecr";

/// The tool `ecs-ecr`.
#[derive(Debug)]
pub struct Ecr;

/// Flags that only ecs-ecr has.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// With destroy: delete images too
    #[arg(long, global = true)]
    pub force: bool,
}

impl Tool for Ecr {
    const NAME: &'static str = "ecs-ecr";
    const ABOUT: &'static str = "Create or update the image repositories of an ECS stack";
    const EXAMPLES: &'static str = "  ecs-ecr --stack prod.toml > ecr.json
  ecs-ecr plan --stack prod.toml
  ecs-net --stack prod.toml | ecs-sg | ecs-iam | ecs-ecr | ecs-db | ecs-alb | ecs-svc > prod.json
  ecs-ecr destroy --force < prod.json";
    const MEMBERS: &'static [&'static str] = &["ecr"];
    const STOOD_ON_BY: &'static [&'static str] = &["svc"];
    type Options = Options;
    type Cloud = Session;

    fn policy() -> Value {
        json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Identity",
                    "Effect": "Allow",
                    "Action": "sts:GetCallerIdentity",
                    "Resource": "*"
                },
                {
                    "Sid": "Repositories",
                    "Effect": "Allow",
                    "Action": [
                        "ecr:CreateRepository",
                        "ecr:DeleteRepository",
                        "ecr:DescribeRepositories",
                        "ecr:GetLifecyclePolicy",
                        "ecr:ListTagsForResource",
                        "ecr:PutImageScanningConfiguration",
                        "ecr:PutImageTagMutability",
                        "ecr:PutLifecyclePolicy",
                        "ecr:TagResource"
                    ],
                    "Resource": "arn:aws:ecr:*:*:repository/*"
                }
            ]
        })
    }

    fn schema() -> Value {
        json!({ "ecr": member::schema::<member::Ecr>() })
    }

    async fn layer(run: &Run<'_>, session: &Session, stack: &Stack, options: &Options) -> Result<()> {
        let ecr = session.api(Client::new);
        let mut names = repositories(stack);
        let list = Rc::new(Listing::default());
        if run.destroys() {
            let former = repository::former(&ecr, stack, &names, &list).await;
            names.extend(former.map_err(|error| error.doing("looking for ECR repositories of services of before"))?);
        }
        let made = join_all(names.iter().map(|name| {
            let repository = Repository::new(stack, name, &list);
            let repository = if run.destroys() { repository.for_destroy(options.force) } else { repository };
            run.ensure(&ecr, repository)
        }));
        let (made, checked) = join!(made, check_given(run, &ecr, stack));
        let (made, ()) = (made.all(), checked).all()?;

        let by_name: BTreeMap<_, _> = names.iter().zip(&made).map(|(name, made)| (name, &made.uri)).collect();
        let uris = stack.services.iter().filter_map(|(key, service)| {
            let uri = by_name.get(&service.repository(key)?)?;
            Some((key.clone(), (*uri).clone()))
        });
        run.publish(&member::Ecr { repository_uris: uris.collect() })
    }
}

/// Checks that the repositories of images that the file gives in full exist, those of the account and its region: who
/// made them keeps them, and nothing of them is changed.
async fn check_given(run: &Run<'_>, ecr: &EcrApi, stack: &Stack) -> Result<()> {
    let region = stack.region.as_deref().unwrap_or_default();
    let images = stack.services.iter().filter_map(|(key, service)| Some((key, service.image.as_deref()?)));
    let given: BTreeMap<String, (&String, String)> = images
        .filter_map(|(key, image)| Some((key, ecr_repository(image)?)))
        .filter(|(_, repository)| repository.region == region)
        .map(|(key, repository)| (repository.name, (key, repository.account)))
        .collect();
    if given.is_empty() || run.destroys() {
        return Ok(());
    }
    let account = run.account().await?;
    let own = given.iter().filter(|(_, (_, owner))| *owner == account);
    let checked = own.map(async |(name, (key, _))| {
        let doing = || format!("checking the image of the service {key}");
        let reply = ecr.read.describe_repositories().repository_names(name).send().await;
        let reply = reply.answer_if_found("ecr:DescribeRepositories").map_err(|error| error.doing(doing()))?;
        if reply.is_none() {
            let error = Error::usage(format!("there is no repository {name} in the account")).doing(doing());
            return Err(error.hint(format!("correct `services.{key}.image`, or leave it out: ecs-ecr then makes one")));
        }
        Ok(())
    });
    join_all(checked).await.all().map(drop)
}

/// Returns the repositories' names: services may share one, and those with an image of their own have none.
fn repositories(stack: &Stack) -> BTreeSet<String> {
    stack.services.iter().filter_map(|(key, service)| service.repository(key)).collect()
}

/// The client of ECR.
type EcrApi = Api<Client>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_that_share_a_repository_get_one_and_those_with_nothing_but_an_image_none() {
        let mut stack = Stack::default();
        let of = |stack: &Stack| repositories(stack).into_iter().collect::<Vec<_>>();
        assert_eq!(of(&stack), ["backend-repo", "frontend-repo"]);
        for service in stack.services.values_mut() {
            service.repository = Some("shared".to_owned());
        }
        assert_eq!(of(&stack), ["shared"]);
        for service in stack.services.values_mut() {
            service.image = Some("nginx:1".to_owned());
        }
        assert_eq!(of(&stack), ["shared"], "for the images that come after the first one");
        for service in stack.services.values_mut() {
            service.repository = None;
        }
        assert!(of(&stack).is_empty());
    }
}
