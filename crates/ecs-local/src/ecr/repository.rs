//! Repositories and their images, as moto keeps them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::call::Request;
use crate::environment::ACCOUNT;
use crate::proxy::Proxy;
use crate::refusal::Refusal;
use crate::upstream::Upstream;

const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921";

/// The repository that a call is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Repository {
    pub(super) region: String,
    pub(super) name: String,
}

/// An image in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) digest: String,
    pub(super) tags: Vec<String>,
    pub(super) manifest: String,
    pub(super) media_type: String,
}

impl Repository {
    /// That of a request.
    pub(super) fn of(request: &Request) -> Repository {
        let name = request.json["repositoryName"].as_str().unwrap_or_default().to_owned();
        Repository { region: request.region.clone(), name }
    }

    /// That of a request, if it is there.
    ///
    /// # Errors
    /// It is not, or it is another account's: nobody is let into that.
    pub(super) async fn find(proxy: &Proxy, request: &Request) -> Result<Repository, Refusal> {
        let repository = Repository::of(request);
        let registry = request.json["registryId"].as_str().unwrap_or(ACCOUNT);
        let names = json!({"repositoryNames": [repository.name]});
        let found =
            registry == ACCOUNT && repository.ask(&proxy.upstream, "DescribeRepositories", &names).await.is_some();
        if found {
            return Ok(repository);
        }
        let name = &repository.name;
        let message = format!("The repository with name '{name}' does not exist in the registry with id '{registry}'");
        Err(Refusal::new("RepositoryNotFoundException", message))
    }

    /// Every image in it.
    pub(super) async fn images(&self, upstream: &Upstream) -> Vec<Image> {
        let name = json!({"repositoryName": self.name});
        let listed = self.ask(upstream, "ListImages", &name).await.unwrap_or_default();
        let mut tags: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for id in listed["imageIds"].as_array().into_iter().flatten() {
            let Some(digest) = id["imageDigest"].as_str() else { continue };
            let tags = tags.entry(digest).or_default();
            tags.extend(id["imageTag"].as_str().map(str::to_owned));
        }
        if tags.is_empty() {
            return Vec::new();
        }
        let ids: Value = tags.keys().map(|digest| json!({"imageDigest": digest})).collect();
        let request = json!({"repositoryName": self.name, "imageIds": ids});
        let answer = self.ask(upstream, "BatchGetImage", &request).await.unwrap_or_default();
        let image = |image: &Value| {
            let digest = image["imageId"]["imageDigest"].as_str()?.to_owned();
            let text = |member: &str| image[member].as_str().unwrap_or_default().to_owned();
            let tags = tags.get(digest.as_str()).cloned().unwrap_or_default();
            Some(Image { digest, tags, manifest: text("imageManifest"), media_type: text("imageManifestMediaType") })
        };
        answer["images"].as_array().into_iter().flatten().filter_map(image).collect()
    }

    async fn ask(&self, upstream: &Upstream, operation: &str, request: &Value) -> Option<Value> {
        let reply = upstream.json("ecr", &self.region, &format!("{TARGET}.{operation}"), request).await.ok()?;
        serde_json::from_str(&reply).ok()
    }
}

impl Image {
    /// The digests of its configuration and its layers.
    pub(super) fn layers(&self) -> Vec<String> {
        serde_json::from_str(&self.manifest).map(|manifest| layers(&manifest)).unwrap_or_default()
    }
}

/// The digests of the configuration and the layers that a manifest names.
pub(super) fn layers(manifest: &Value) -> Vec<String> {
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let named = std::iter::once(&manifest["config"]).chain(layers);
    named.filter_map(|blob| blob["digest"].as_str()).map(str::to_owned).collect()
}
