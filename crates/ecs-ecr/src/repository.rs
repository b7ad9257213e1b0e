//! One private image repository, with its scanning, tag mutability and lifecycle policy.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use aws_sdk_ecr::types::{
    EncryptionConfiguration, EncryptionType, ImageScanningConfiguration, ImageTagMutability, Repository as Described,
    Tag,
};
use ecs_aws::{Answer as _, present};
use ecs_core::stack::TagMutability;
use ecs_core::{All as _, Change, Error, Identity, Listing, Owner, Resource, Result, Stack};
use futures::future::join_all;
use futures::join;

use crate::lifecycle::{self, Lifecycle};
use crate::{EcrApi, LAYER};

/// Most repositories that one DescribeRepositories call returns:
/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeRepositories.html>
const PAGE: i32 = 1000;

const SCAN_ON_PUSH: &str = "scan on push";
const MUTABILITY: &str = "image tag mutability";
const LIFECYCLE: &str = "lifecycle policy";

/// The repositories of the account and region, listed once for all of ours.
pub type List = Rc<Listing<Vec<Described>>>;

/// A private repository for the images of one or more services.
#[derive(Debug)]
pub struct Repository {
    identity: Identity,
    scan_on_push: bool,
    mutability: ImageTagMutability,
    keep_images: u32,
    list: List,
    destroy: Option<Destroy>,
}

/// How a destroy deletes it.
#[derive(Debug)]
struct Destroy {
    images_too: bool,
}

/// What ECR says the repository is.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its URI, without a tag
    pub uri: String,
    arn: String,
    scan_on_push: bool,
    mutability: ImageTagMutability,
    lifecycle: Option<Lifecycle>,
}

impl Repository {
    /// Makes one of the stack's repositories.
    pub fn new(stack: &Stack, name: &str, list: &List) -> Self {
        let mutability = match stack.ecr.mutability {
            TagMutability::Mutable => ImageTagMutability::Mutable,
            TagMutability::Immutable => ImageTagMutability::Immutable,
        };
        Self {
            identity: Identity::new(&stack.name, LAYER, name),
            scan_on_push: stack.ecr.scan_on_push,
            mutability,
            keep_images: stack.ecr.keep_images,
            list: Rc::clone(list),
            destroy: None,
        }
    }

    /// Makes it one that is only looked for to be deleted, with the images in it or only when it is empty.
    #[must_use]
    pub fn for_destroy(self, images_too: bool) -> Self {
        Self { destroy: Some(Destroy { images_too }), ..self }
    }

    /// Returns what ECR describes, with its lifecycle policy still unread.
    fn live(described: &Described) -> Live {
        Live {
            uri: described.repository_uri().unwrap_or_default().to_owned(),
            arn: described.repository_arn().unwrap_or_default().to_owned(),
            scan_on_push: described.image_scanning_configuration().is_some_and(|scanning| scanning.scan_on_push()),
            // Mutable is ECR's own default.
            mutability: described.image_tag_mutability().cloned().unwrap_or(ImageTagMutability::Mutable),
            lifecycle: None,
        }
    }

    fn scanning(&self) -> ImageScanningConfiguration {
        ImageScanningConfiguration::builder().scan_on_push(self.scan_on_push).build()
    }

    fn tags(&self) -> Result<Vec<Tag>> {
        let tags = self.identity.tags(|key, value| Tag::builder().key(key).value(value).build());
        tags.into_iter().collect::<Result<_, _>>().map_err(|error| Error::other(error.to_string()))
    }
}

impl Resource for Repository {
    type Api = EcrApi;
    type Live = Live;
    const KIND: &'static str = "ECR repository";
    /// It exists at once and is deleted at once.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn name(&self) -> String {
        self.identity.name.clone()
    }

    fn id(&self, live: &Live) -> String {
        live.uri.clone()
    }

    fn planned(&self) -> Live {
        let id = ecs_core::id::planned("repository", &self.identity.name);
        Live {
            uri: id.clone(),
            arn: id,
            scan_on_push: self.scan_on_push,
            mutability: self.mutability.clone(),
            lifecycle: None,
        }
    }

    /// Returns the repository of that name, with its lifecycle policy unless it is to be deleted.
    ///
    /// All are listed: asked for by name, one that does not exist fails the call for the others, too.
    async fn find(&self, ecr: &EcrApi) -> Result<Option<Live>> {
        let list = listed(ecr, &self.list).await?;
        let name = Some(self.identity.name.as_str());
        let Some(described) = list.iter().find(|described| described.repository_name() == name) else {
            return Ok(None);
        };
        let mut live = Self::live(described);
        if self.destroy.is_none() {
            let call = ecr.read.get_lifecycle_policy().repository_name(&self.identity.name);
            // "LifecyclePolicyNotFoundException": it has none.
            let reply = call.send().await.answer_if_found("ecr:GetLifecyclePolicy")?;
            live.lifecycle = reply.and_then(|reply| reply.lifecycle_policy_text).as_deref().map(Lifecycle::read);
        }
        Ok(Some(live))
    }

    /// Creates the repository; its lifecycle policy follows as a change.
    async fn create(&self, ecr: &EcrApi) -> Result<Live> {
        let encryption = EncryptionConfiguration::builder().encryption_type(EncryptionType::Aes256).build();
        let encryption = encryption.map_err(|error| Error::other(error.to_string()))?;
        let call = ecr.write.create_repository().repository_name(&self.identity.name).set_tags(Some(self.tags()?));
        let call = call.image_scanning_configuration(self.scanning()).image_tag_mutability(self.mutability.clone());
        let reply = call.encryption_configuration(encryption).send().await.answer("ecr:CreateRepository")?;
        Ok(Self::live(&present(reply.repository, "ecr:CreateRepository", "the repository")?))
    }

    fn diff(&self, live: &Live) -> Vec<Change> {
        let wanted = Lifecycle::keep(self.keep_images);
        let lifecycle = (live.lifecycle.as_ref() != Some(&wanted)).then(|| {
            let from = live.lifecycle.as_ref().map(ToString::to_string);
            Change::update(LIFECYCLE, from.unwrap_or_default(), wanted.to_string())
        });
        let changes = [
            Change::of(SCAN_ON_PUSH, &live.scan_on_push, &self.scan_on_push),
            Change::of(MUTABILITY, &live.mutability, &self.mutability),
            lifecycle,
        ];
        changes.into_iter().flatten().collect()
    }

    async fn update(&self, ecr: &EcrApi, _live: &Live, changes: &[Change]) -> Result<()> {
        let name = &self.identity.name;
        let changed = |field: &str| changes.iter().any(|change| change.field == field);
        let scanning = async {
            if changed(SCAN_ON_PUSH) {
                let call = ecr.write.put_image_scanning_configuration().repository_name(name);
                let call = call.image_scanning_configuration(self.scanning());
                call.send().await.answer("ecr:PutImageScanningConfiguration")?;
            }
            Ok(())
        };
        let mutability = async {
            if changed(MUTABILITY) {
                let call = ecr.write.put_image_tag_mutability().repository_name(name);
                let call = call.image_tag_mutability(self.mutability.clone());
                call.send().await.answer("ecr:PutImageTagMutability")?;
            }
            Ok(())
        };
        let lifecycle = async {
            if changed(LIFECYCLE) {
                let call = ecr.write.put_lifecycle_policy().repository_name(name);
                let call = call.lifecycle_policy_text(lifecycle::text(self.keep_images));
                call.send().await.answer("ecr:PutLifecyclePolicy")?;
            }
            Ok(())
        };
        join!(scanning, mutability, lifecycle).all()?;
        Ok(())
    }

    async fn delete(&self, ecr: &EcrApi, _live: &Live) -> Result<()> {
        let images_too = self.destroy.as_ref().is_some_and(|destroy| destroy.images_too);
        let call = ecr.write.delete_repository().repository_name(&self.identity.name).force(images_too);
        call.send().await.answer("ecr:DeleteRepository").map_err(|error| match error.code() {
            Some("RepositoryNotEmptyException") => {
                error.hint("`ecs-ecr destroy --force` deletes the images too: they cannot be brought back")
            }
            _ => error,
        })?;
        Ok(())
    }

    fn owner(&self, _live: &Live) -> Owner {
        // The listing does not hold tags.
        Owner::Unread
    }

    async fn read_owner(&self, ecr: &EcrApi, live: &Live) -> Result<Owner> {
        let reply = ecr.read.list_tags_for_resource().resource_arn(&live.arn).send().await;
        let tags = reply.answer("ecr:ListTagsForResource")?.tags.unwrap_or_default();
        Ok(self.identity.owner(tags.iter().map(|tag| (tag.key(), tag.value()))))
    }

    async fn adopt(&self, ecr: &EcrApi, live: &Live) -> Result<()> {
        let call = ecr.write.tag_resource().resource_arn(&live.arn).set_tags(Some(self.tags()?));
        call.send().await.answer("ecr:TagResource")?;
        Ok(())
    }

    fn forget(&self) {
        self.list.forget();
    }
}

/// Returns the names of the stack's repositories that no service of the file has: services of before have left them, and a
/// destroy takes them along.
///
/// # Errors
/// Any refusal by ECR.
pub async fn former(ecr: &EcrApi, stack: &Stack, known: &BTreeSet<String>, list: &List) -> Result<Vec<String>> {
    let all = listed(ecr, list).await?;
    let others = all.iter().filter(|one| !one.repository_name().is_some_and(|name| known.contains(name)));
    let found = others.map(async |described| {
        let name = described.repository_name().unwrap_or_default();
        let owner = Repository::new(stack, name, list).read_owner(ecr, &Repository::live(described)).await;
        match owner {
            // Another destroy was faster.
            Err(error) if error.kind() == ecs_core::Kind::NotFound => Ok(None),
            owner => Ok((owner? == Owner::Ours).then(|| name.to_owned())),
        }
    });
    Ok(join_all(found).await.all()?.into_iter().flatten().collect())
}

async fn listed(ecr: &EcrApi, list: &List) -> Result<Rc<Vec<Described>>> {
    let load = async || {
        let pages = ecr.read.describe_repositories().into_paginator().page_size(PAGE).items();
        pages.send().collect::<Result<Vec<_>, _>>().await.answer("ecr:DescribeRepositories")
    };
    list.get(load).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_drift_is_one_change() {
        let repository = Repository::new(&Stack::default(), "frontend-repo", &List::default());
        let good = || Live { lifecycle: Some(Lifecycle::keep(10)), ..repository.planned() };
        let cases = [
            (good(), vec![]),
            (Live { lifecycle: None, ..good() }, vec!["lifecycle policy: add keep the last 10 images"]),
            (
                Live { lifecycle: Some(Lifecycle::keep(3)), ..good() },
                vec!["lifecycle policy: keep the last 3 images -> keep the last 10 images"],
            ),
            (Live { scan_on_push: false, ..good() }, vec!["scan on push: false -> true"]),
            (
                Live { mutability: ImageTagMutability::ImmutableWithExclusion, ..good() },
                vec!["image tag mutability: IMMUTABLE_WITH_EXCLUSION -> MUTABLE"],
            ),
        ];
        for (live, wanted) in cases {
            let changes: Vec<_> = repository.diff(&live).iter().map(ToString::to_string).collect();
            assert_eq!(changes, wanted);
        }
    }

    #[test]
    fn what_ecr_leaves_out_is_its_default() {
        let live = Repository::live(&Described::builder().repository_name("frontend-repo").build());
        assert_eq!((live.scan_on_push, live.mutability), (false, ImageTagMutability::Mutable));
    }
}
