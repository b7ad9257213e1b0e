//! Images: putting them, and getting them by tag or by digest.

use hyper::body::Bytes;
use serde_json::{Value, json};

use super::layer::is_digest;
use super::repository::{Image, Repository, layers};
use super::{about, digest, texts};
use crate::answer::Answer;
use crate::call::Request;
use crate::environment::ACCOUNT;
use crate::proxy::Proxy;
use crate::refusal::Refusal;

/// Gets images. What is not there is a failure in a successful reply.
///
/// An image whose media type is not accepted counts as not there. Between a Docker manifest and an OCI manifest ECR
/// translates where the image is asked for by its tag (user guide, "Container image manifest format support in Amazon
/// ECR"); there is no translation of an index, nor of anything by its digest, and here there is none at all.
pub(super) async fn batch_get_image(proxy: &Proxy, request: &Request) -> Result<Value, Refusal> {
    let repository = Repository::find(proxy, request).await?;
    let accepted = texts(&request.json, "acceptedMediaTypes");
    let all = repository.images(&proxy.upstream).await;
    let (mut images, mut failures) = (Vec::new(), Vec::new());
    for id in request.json["imageIds"].as_array().into_iter().flatten() {
        match pick(&all, id, &accepted) {
            Ok(image) => {
                let mut shown = about(&repository);
                shown["imageId"] = json!({"imageDigest": image.digest});
                if let Some(tag) = id["imageTag"].as_str() {
                    shown["imageId"]["imageTag"] = json!(tag);
                }
                shown["imageManifest"] = json!(image.manifest);
                shown["imageManifestMediaType"] = json!(image.media_type);
                images.push(shown);
            }
            Err((code, reason)) => {
                failures.push(json!({"imageId": id, "failureCode": code, "failureReason": reason}));
            }
        }
    }
    Ok(json!({"images": images, "failures": failures}))
}

/// The image of an id; else code and reason of the failure.
fn pick<'a>(all: &'a [Image], id: &Value, accepted: &[&str]) -> Result<&'a Image, (&'static str, &'static str)> {
    let (tag, digest) = (id["imageTag"].as_str(), id["imageDigest"].as_str());
    if digest.is_some_and(|digest| !is_digest(digest)) {
        let reason =
            "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'";
        return Err(("InvalidImageDigest", reason));
    }
    let tagged = |tag: &str| all.iter().find(|image| image.tags.iter().any(|known| known == tag));
    let found = match (tag, digest) {
        (None, None) => {
            let reason = "Invalid request parameters: both tag and digest cannot be null";
            return Err(("MissingDigestAndTag", reason));
        }
        (Some(tag), Some(digest)) => match tagged(tag) {
            Some(image) if image.digest != digest => {
                return Err(("ImageTagDoesNotMatchDigest", "Requested image tag does not match the image digest"));
            }
            found => found,
        },
        (Some(tag), None) => tagged(tag),
        (None, Some(digest)) => all.iter().find(|image| image.digest == digest),
    };
    let understood = |image: &&Image| accepted.is_empty() || accepted.contains(&image.media_type.as_str());
    found.filter(understood).ok_or(("ImageNotFound", "Requested image not found"))
}

/// Puts an image, with moto's help: it keeps the manifest under the digest that we work out.
pub(super) async fn put_image(proxy: &Proxy, request: &Request) -> Answer {
    let (checked, tagged) = match check(proxy, request).await {
        Ok(checked) => checked,
        Err(refusal) => return refusal.answer(request),
    };
    let answer = proxy.upstream.forward(&checked).await;
    let (name, tag) = (&request.json["repositoryName"], &request.json["imageTag"]);
    let refused = String::from_utf8_lossy(&answer.body).contains("ImageAlreadyExistsException");
    if !answer.status.is_success() && tagged && refused {
        // <https://github.com/aws/containers-roadmap/issues/862>
        let message = format!(
            "The image tag '{}' already exists in the '{}' repository and cannot be overwritten because the repository is immutable.",
            tag.as_str().unwrap_or_default(),
            name.as_str().unwrap_or_default()
        );
        return Refusal::new("ImageTagAlreadyExistsException", message).answer(request);
    }
    answer
}

/// The request with the digest and the media type, and whether another image has the tag now.
async fn check(proxy: &Proxy, request: &Request) -> Result<(Request, bool), Refusal> {
    let repository = Repository::find(proxy, request).await?;
    let text = request.json["imageManifest"].as_str().unwrap_or_default();
    let Ok(manifest @ Value::Object(_)) = serde_json::from_str(text) else {
        return Err(invalid("'Invalid JSON syntax'"));
    };
    let given = request.json["imageManifestMediaType"].as_str();
    let Some(media_type) = given.or(manifest["mediaType"].as_str()).map(str::to_owned) else {
        return Err(invalid("'Manifest media type must be specified in the manifest or in the request'"));
    };
    let digest = digest(text.as_bytes());
    if request.json["imageDigest"].as_str().is_some_and(|given| given != digest) {
        let message = "The specified image digest does not match the digest that Amazon ECR calculated for the image.";
        return Err(Refusal::new("ImageDigestDoesNotMatchException", message));
    }
    let images = repository.images(&proxy.upstream).await;
    check_references(proxy, &repository, &manifest, &images)?;
    let tag = request.json["imageTag"].as_str();
    let holder = images.iter().find(|image| image.tags.iter().any(|known| Some(known.as_str()) == tag));
    let present = images.iter().find(|image| image.digest == digest);
    if present.is_some_and(|present| tag.is_none() || holder == Some(present)) {
        let message = format!(
            "Image with digest '{digest}' and tag '{}' already exists in the repository with name '{}' in registry with id '{ACCOUNT}'",
            tag.unwrap_or("null"),
            repository.name
        );
        return Err(Refusal::new("ImageAlreadyExistsException", message));
    }
    let mut checked = request.clone();
    checked.json["imageDigest"] = json!(digest);
    checked.json["imageManifestMediaType"] = json!(media_type);
    checked.body = Bytes::from(checked.json.to_string());
    Ok((checked, holder.is_some()))
}

/// Refuses a manifest of which something is not there.
///
/// Layers are asked for only once any was uploaded to the repository: without `strict-images` an emulator whose images
/// are manifests alone is good enough.
fn check_references(proxy: &Proxy, repository: &Repository, manifest: &Value, images: &[Image]) -> Result<(), Refusal> {
    let (kept, strict) = (&proxy.ecr.layers, proxy.sky.weather().strict_images);
    let absent: Vec<String> = if strict || kept.any(repository) {
        layers(manifest).into_iter().filter(|layer| kept.get(repository, layer).is_none()).collect()
    } else {
        Vec::new()
    };
    if !absent.is_empty() {
        return Err(Refusal::new("LayersNotFoundException", required("Layers", &absent, repository)));
    }
    let named = manifest["manifests"].as_array().into_iter().flatten().filter_map(|image| image["digest"].as_str());
    let absent: Vec<String> =
        named.filter(|digest| !images.iter().any(|image| image.digest == *digest)).map(str::to_owned).collect();
    if !absent.is_empty() {
        return Err(Refusal::new("ReferencedImagesNotFoundException", required("Images", &absent, repository)));
    }
    Ok(())
}

/// ECR's words for what a manifest needs (int128/docker-manifest-create-action#63, for images).
fn required(what: &str, absent: &[String], repository: &Repository) -> String {
    format!(
        "{what} with digests '[{}]' required for pushing image into repository with name '{}' in the registry with id '{ACCOUNT}' do not exist",
        absent.join(", "),
        repository.name
    )
}

fn invalid(what: &str) -> Refusal {
    let message = format!("Invalid parameter at 'ImageManifest' failed to satisfy constraint: {what}");
    Refusal::new("InvalidParameterException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    #[test]
    fn an_image_is_found_by_tag_or_digest_if_its_type_is_accepted() {
        let image = |digest: &str, tag: &str| Image {
            digest: digest.to_owned(),
            tags: vec![tag.to_owned()],
            manifest: String::new(),
            media_type: INDEX.to_owned(),
        };
        let all = [image("sha256:0a", "1"), image("sha256:0b", "2")];
        let code = |id: Value, accepted: &[&str]| {
            pick(&all, &id, accepted).map_or_else(|(code, _)| code, |found| &found.digest)
        };
        assert_eq!(code(json!({"imageTag": "2"}), &[]), "sha256:0b");
        assert_eq!(code(json!({"imageDigest": "sha256:0a"}), &["x", INDEX]), "sha256:0a");
        assert_eq!(code(json!({"imageTag": "2"}), &["x"]), "ImageNotFound");
        assert_eq!(code(json!({"imageTag": "3"}), &[]), "ImageNotFound");
        assert_eq!(code(json!({"imageTag": "2", "imageDigest": "sha256:0a"}), &[]), "ImageTagDoesNotMatchDigest");
        assert_eq!(code(json!({"imageDigest": "0a"}), &[]), "InvalidImageDigest");
        assert_eq!(code(json!({}), &[]), "MissingDigestAndTag");
    }
}
