//! Images: what was asked for, what stands in ECR under that name, and for which processors it was built.

use aws_sdk_ecr::Client;
use aws_sdk_ecr::types::{ImageFailureCode, ImageIdentifier};
use ecs_aws::{Answer as _, Api, Session, download};
use ecs_core::{Error, Kind, Result};
use serde_json::Value;

/// Media types of manifests for one processor and of lists of them, Docker's and OCI's
/// (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-manifest-formats.html>).
const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
];

/// An image as it was asked for: `[NAME[/CONTAINER]=]REFERENCE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What stands before the `=`: a service, or with `--cluster` a container
    pub name: Option<String>,
    /// Container, where it was named after the service
    pub container: Option<String>,
    /// The image
    pub reference: String,
}

impl Asked {
    /// Reads one.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, reference) = match text.split_once('=') {
            // A `=` behind a registry or a tag belongs to no name.
            Some((name, reference)) if !name.contains([':', '@', '.']) => (Some(name), reference),
            Some(_) | None => (None, text),
        };
        if reference.trim().is_empty() || reference == ":" || reference.contains(char::is_whitespace) {
            return Err("it must be [NAME=]REPOSITORY:TAG".to_owned());
        }
        let (name, container) = match name.map(|name| name.split_once('/').ok_or(name)) {
            None => (None, None),
            Some(Ok((name, container))) => (Some(name), Some(container)),
            Some(Err(name)) => (Some(name), None),
        };
        if name == Some("") || container == Some("") {
            return Err("there is no name before the `=`".to_owned());
        }
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Ok(Self { name: owned(name), container: owned(container), reference: reference.to_owned() })
    }
}

/// A full image reference, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Registry and repository, as it stands in a task definition
    pub repository: String,
    /// Tag; none beside a digest: `latest`
    pub tag: Option<String>,
    /// Digest
    pub digest: Option<String>,
}

/// A repository of ECR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcrRepository {
    /// Account that the registry belongs to
    pub account: String,
    /// Region of the registry
    pub region: String,
    /// Name of the repository
    pub name: String,
}

/// Where a name without a registry is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Home<'h> {
    /// Account
    pub account: &'h str,
    /// Region
    pub region: &'h str,
}

impl Reference {
    /// Reads a reference: a name without a registry is a repository of the account's own ECR, and a tag alone (`:TAG`)
    /// one of the repository that runs now.
    ///
    /// # Errors
    /// A tag alone where nothing runs.
    pub fn resolve(text: &str, running: Option<&str>, home: Home<'_>) -> Result<Self> {
        if text.starts_with([':', '@']) {
            let running = running.map(Self::parse).ok_or_else(|| {
                Error::usage(format!("`{text}` names no repository, and no image runs there"))
                    .hint("name the repository: REPOSITORY:TAG")
            })?;
            return Ok(Self::parse(&format!("{}{text}", running.repository)));
        }
        let reference = Self::parse(text);
        if has_registry(&reference.repository) {
            return Ok(reference);
        }
        let suffix = if home.region.starts_with("cn-") { ".cn" } else { "" };
        let Home { account, region } = home;
        let repository = format!("{account}.dkr.ecr.{region}.amazonaws.com{suffix}/{}", reference.repository);
        Ok(Self { repository, ..reference })
    }

    /// Splits a reference into its parts.
    pub fn parse(text: &str) -> Self {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        // A `:` before the last `/` belongs to the registry's port.
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag.to_owned())),
            Some(_) | None => (rest, None),
        };
        Self { repository: repository.to_owned(), tag, digest }
    }

    /// Returns the repository, if it is one of ECR
    /// (`ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME`, <https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html>).
    pub fn ecr(&self) -> Option<EcrRepository> {
        let (host, name) = self.repository.split_once('/')?;
        let parts: Vec<&str> = host.split('.').collect();
        match parts[..] {
            [account, "dkr", "ecr" | "ecr-fips", region, "amazonaws", "com", ..] => {
                let [account, region, name] = [account, region, name].map(str::to_owned);
                Some(EcrRepository { account, region, name })
            }
            _ => None,
        }
    }

    /// Returns it with another digest instead of its tag.
    pub fn pinned(&self, digest: &str) -> String {
        format!("{}@{digest}", self.repository)
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "@{digest}"),
            (None, None) => f.write_str(":latest"),
            (None, Some(_)) => Ok(()),
        }
    }
}

/// Says whether the first part of a repository is a registry's host: it has a dot or a port, or is `localhost`, as
/// Docker tells them apart (<https://docs.docker.com/reference/cli/docker/image/tag/>).
fn has_registry(repository: &str) -> bool {
    repository.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost")
}

/// An image that is in ECR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Digest of its manifest, or of the list of its manifests
    pub digest: String,
    /// Processors that it was built for, in Docker's words; empty where that cannot be told
    pub architectures: Vec<String>,
    /// Why that could not be read
    pub unread: Option<String>,
}

/// Looks an image up in ECR.
///
/// # Errors
/// [`Kind::NotFound`] when the repository or the image does not exist; any other refusal by ECR.
pub async fn look_up(
    session: &Session,
    home: &str,
    repository: &EcrRepository,
    reference: &Reference,
) -> Result<Found> {
    let session = if home == repository.region { session.clone() } else { session.in_region(&repository.region) };
    let ecr: Api<Client> = session.api(Client::new);
    let id = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => ImageIdentifier::builder().image_digest(digest),
        (None, tag) => ImageIdentifier::builder().image_tag(tag.as_deref().unwrap_or("latest")),
    };
    let call = ecr.read.batch_get_image().registry_id(&repository.account).repository_name(&repository.name);
    let call = call.image_ids(id.build()).set_accepted_media_types(Some(MEDIA_TYPES.map(str::to_owned).to_vec()));
    let reply = call.send().await.answer("ecr:BatchGetImage")?;
    let Some(image) = reply.images.unwrap_or_default().into_iter().next() else {
        let failure = reply.failures.unwrap_or_default().into_iter().next();
        let gone = failure.as_ref().is_some_and(|failure| {
            matches!(
                failure.failure_code(),
                Some(ImageFailureCode::ImageNotFound | ImageFailureCode::ImageTagDoesNotMatchDigest)
            )
        });
        let reason = failure.and_then(|failure| failure.failure_reason).unwrap_or_else(|| "no image".to_owned());
        let error = Error::new(if gone { Kind::NotFound } else { Kind::Other }, reason);
        return Err(error.answered(None, "ecr:BatchGetImage", None));
    };
    let digest = image.image_id().and_then(ImageIdentifier::image_digest).unwrap_or_default().to_owned();
    let manifest: Value = serde_json::from_str(image.image_manifest().unwrap_or_default()).unwrap_or_default();
    let architectures = match architectures_in(&manifest) {
        Some(architectures) => Ok(architectures),
        None => config_architecture(&ecr, repository, &manifest).await,
    };
    match architectures {
        Ok(architectures) => Ok(Found { digest, architectures, unread: None }),
        Err(error) if error.kind() == Kind::Credentials => Err(error),
        // The image is there. Its configuration is behind S3, which not every network lets through.
        Err(error) => Ok(Found { digest, architectures: Vec::new(), unread: Some(error.message().to_owned()) }),
    }
}

/// Returns the processors that a list of manifests names; none where it is a manifest for one processor.
fn architectures_in(manifest: &Value) -> Option<Vec<String>> {
    let manifests = manifest.get("manifests")?.as_array()?;
    let named = manifests.iter().filter_map(|manifest| manifest["platform"]["architecture"].as_str());
    // Attestations, which buildx puts beside the images, are for no processor.
    let mut all: Vec<String> = named.filter(|name| *name != "unknown").map(str::to_owned).collect();
    all.sort_unstable();
    all.dedup();
    Some(all)
}

/// Reads the processor out of the image's configuration, which is a blob of its own
/// (<https://github.com/opencontainers/image-spec/blob/main/config.md>).
async fn config_architecture(ecr: &Api<Client>, repository: &EcrRepository, manifest: &Value) -> Result<Vec<String>> {
    let Some(config) = manifest["config"]["digest"].as_str() else { return Ok(Vec::new()) };
    let call = ecr.read.get_download_url_for_layer().registry_id(&repository.account);
    let call = call.repository_name(&repository.name).layer_digest(config);
    let reply = call.send().await.answer("ecr:GetDownloadUrlForLayer")?;
    let blob = download(reply.download_url().unwrap_or_default()).await?;
    let config: Value = serde_json::from_slice(&blob).unwrap_or_default();
    Ok(config["architecture"].as_str().map(str::to_owned).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HOME: Home<'_> = Home { account: "123456789012", region: "us-east-1" };
    const REGISTRY: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";

    #[test]
    fn what_is_asked_for_has_a_name_or_none() {
        let asked = |name: Option<&str>, container: Option<&str>, reference: &str| Asked {
            name: name.map(str::to_owned),
            container: container.map(str::to_owned),
            reference: reference.to_owned(),
        };
        let cases = [
            ("backend=repo:1", asked(Some("backend"), None, "repo:1")),
            ("backend=:1", asked(Some("backend"), None, ":1")),
            ("backend/nginx=repo:1", asked(Some("backend"), Some("nginx"), "repo:1")),
            ("r.example.com/app:1", asked(None, None, "r.example.com/app:1")),
            ("repo:1", asked(None, None, "repo:1")),
        ];
        for (text, wanted) in cases {
            assert_eq!(Asked::parse(text), Ok(wanted), "{text}");
        }
        for text in ["", "backend=", "=repo:1", "backend/=repo:1", "a b"] {
            assert!(Asked::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_without_a_registry_is_the_accounts_own() {
        let running = format!("{REGISTRY}/backend-repo@sha256:aa");
        let cases = [
            ("backend-repo:4f2", format!("{REGISTRY}/backend-repo:4f2")),
            ("team/backend", format!("{REGISTRY}/team/backend:latest")),
            (":4f2", format!("{REGISTRY}/backend-repo:4f2")),
            ("@sha256:bb", format!("{REGISTRY}/backend-repo@sha256:bb")),
            ("docker.io/library/nginx:1", "docker.io/library/nginx:1".to_owned()),
            ("localhost:5000/app:1", "localhost:5000/app:1".to_owned()),
        ];
        for (text, whole) in cases {
            let reference = Reference::resolve(text, Some(&running), HOME).expect(text);
            assert_eq!(reference.to_string(), whole);
        }
        assert!(Reference::resolve(":1", None, HOME).is_err());
        let china = Home { region: "cn-north-1", ..HOME };
        let reference = Reference::resolve("a:1", None, china).expect("a reference");
        assert_eq!(reference.ecr().map(|ecr| ecr.region).as_deref(), Some("cn-north-1"));
    }

    #[test]
    fn a_digest_takes_the_place_of_the_tag() {
        let reference = Reference::parse("r.example.com:5000/a/b:1");
        assert_eq!(reference.pinned("sha256:aa"), "r.example.com:5000/a/b@sha256:aa");
        assert_eq!(reference.ecr(), None);
    }

    #[test]
    fn a_list_names_its_processors_and_attestations_are_none() {
        let list = json!({"manifests": [
            {"platform": {"architecture": "arm64", "os": "linux"}},
            {"platform": {"architecture": "amd64", "os": "linux"}},
            {"platform": {"architecture": "unknown", "os": "unknown"}},
        ]});
        assert_eq!(architectures_in(&list), Some(vec!["amd64".to_owned(), "arm64".to_owned()]));
        assert_eq!(architectures_in(&json!({"config": {"digest": "sha256:aa"}})), None);
    }
}
