//! Layers: what is uploaded part by part, kept, and checked. A configuration is a layer like any other.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::body::Bytes;
use rand::RngExt as _;
use serde_json::{Value, json};

use super::repository::Repository;
use super::{about, digest, texts};
use crate::answer::Answer;
use crate::call::Request;
use crate::environment::ACCOUNT;
use crate::proxy::Proxy;
use crate::refusal::Refusal;

/// How many bytes a part should have (AWS CLI reference, the example of InitiateLayerUpload).
const PART: usize = 10_485_760;

/// How many bytes a part other than the last must have: 5 MiB (ECR API reference, LayerPartTooSmallException).
const LEAST: usize = 5 * 1024 * 1024;

const MEDIA_TYPE: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// What was uploaded, and what is being uploaded.
#[derive(Debug, Default)]
pub(super) struct Layers(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Content by digest.
    layers: HashMap<Repository, BTreeMap<String, Bytes>>,
    /// By upload id.
    uploads: HashMap<String, Upload>,
}

#[derive(Debug)]
struct Upload {
    repository: Repository,
    content: Vec<u8>,
    /// The sizes of its parts.
    parts: Vec<usize>,
}

impl Layers {
    /// Forgets everything.
    pub(super) fn clear(&self) {
        *self.kept() = Kept::default();
    }

    /// Forgets what belongs to a repository.
    pub(super) fn forget(&self, repository: &Repository) {
        let mut kept = self.kept();
        kept.layers.remove(repository);
        kept.uploads.retain(|_, upload| upload.repository != *repository);
    }

    /// A layer's content.
    pub(super) fn get(&self, repository: &Repository, digest: &str) -> Option<Bytes> {
        self.kept().layers.get(repository)?.get(digest).cloned()
    }

    /// Whether anything was ever uploaded to a repository.
    pub(super) fn any(&self, repository: &Repository) -> bool {
        self.kept().layers.contains_key(repository)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn initiate_layer_upload(proxy: &Proxy, request: &Request) -> Result<Value, Refusal> {
    let repository = Repository::find(proxy, request).await?;
    let hex = format!("{:032x}", rand::rng().random::<u128>());
    let id = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    let upload = Upload { repository, content: Vec::new(), parts: Vec::new() };
    proxy.ecr.layers.kept().uploads.insert(id.clone(), upload);
    Ok(json!({"uploadId": id, "partSize": PART}))
}

/// Takes a part. A refused one says which byte was the last that came well.
pub(super) async fn upload_layer_part(proxy: &Proxy, request: &Request) -> Answer {
    let repository = match Repository::find(proxy, request).await {
        Ok(repository) => repository,
        Err(refusal) => return refusal.answer(request),
    };
    let id = request.json["uploadId"].as_str().unwrap_or_default();
    let mut kept = proxy.ecr.layers.kept();
    let Some(upload) = kept.uploads.get_mut(id).filter(|upload| upload.repository == repository) else {
        return no_upload(&repository, id).answer(request);
    };
    let part = STANDARD.decode(request.json["layerPartBlob"].as_str().unwrap_or_default()).unwrap_or_default();
    let byte = |member: &str| request.json[member].as_u64().and_then(|at| usize::try_from(at).ok());
    let (first, last) = (byte("partFirstByte"), byte("partLastByte"));
    let received = upload.content.len();
    if part.is_empty() || first != Some(received) || last != Some(received + part.len() - 1) {
        let mut answer = about(&repository);
        answer["__type"] = json!("InvalidLayerPartException");
        answer["message"] = json!(format!(
            "Invalid layer part upload for upload with id '{id}' in the repository with name '{}' in the registry with id '{ACCOUNT}'",
            repository.name
        ));
        answer["uploadId"] = json!(id);
        if received > 0 {
            answer["lastValidByteReceived"] = json!(received - 1);
        }
        return Answer::json(StatusCode::BAD_REQUEST, &answer);
    }
    upload.parts.push(part.len());
    upload.content.extend(part);
    let mut answer = about(&repository);
    answer["uploadId"] = json!(id);
    answer["lastByteReceived"] = json!(upload.content.len() - 1);
    Answer::json(StatusCode::OK, &answer)
}

pub(super) async fn complete_layer_upload(proxy: &Proxy, request: &Request) -> Result<Value, Refusal> {
    let repository = Repository::find(proxy, request).await?;
    let id = request.json["uploadId"].as_str().unwrap_or_default();
    let mut kept = proxy.ecr.layers.kept();
    let Some(upload) = kept.uploads.get(id).filter(|upload| upload.repository == repository) else {
        return Err(no_upload(&repository, id));
    };
    let Some((_, earlier)) = upload.parts.split_last() else {
        let message = "The specified layer upload does not contain any layer parts.";
        return Err(Refusal::new("EmptyUploadException", message));
    };
    if earlier.iter().any(|size| *size < LEAST) {
        let message = "Layer parts must be at least 5 MiB in size.";
        return Err(Refusal::new("LayerPartTooSmallException", message));
    }
    let digest = digest(&upload.content);
    if !texts(&request.json, "layerDigests").contains(&digest.as_str()) {
        let message = "The layer digest calculation performed by Amazon ECR upon receipt of the image layer does not \
                       match the digest specified.";
        return Err(Refusal::new("InvalidLayerException", message));
    }
    let content = kept.uploads.remove(id).map(|upload| upload.content).unwrap_or_default();
    let layers = kept.layers.entry(repository.clone()).or_default();
    if layers.insert(digest.clone(), content.into()).is_some() {
        let message = format!(
            "Layer with digest '{digest}' already exists in the repository with name '{}' in the registry with id '{ACCOUNT}'",
            repository.name
        );
        return Err(Refusal::new("LayerAlreadyExistsException", message));
    }
    let mut answer = about(&repository);
    answer["uploadId"] = json!(id);
    answer["layerDigest"] = json!(digest);
    Ok(answer)
}

pub(super) async fn batch_check_layer_availability(proxy: &Proxy, request: &Request) -> Result<Value, Refusal> {
    let repository = Repository::find(proxy, request).await?;
    let (mut layers, mut failures) = (Vec::new(), Vec::new());
    for wanted in texts(&request.json, "layerDigests") {
        if !is_digest(wanted) {
            failures.push(json!({
                "layerDigest": wanted,
                "failureCode": "InvalidLayerDigest",
                "failureReason": "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
            }));
            continue;
        }
        layers.push(match proxy.ecr.layers.get(&repository, wanted) {
            Some(content) => json!({
                "layerDigest": wanted, "layerAvailability": "AVAILABLE", "layerSize": content.len(), "mediaType": MEDIA_TYPE,
            }),
            None => json!({"layerDigest": wanted, "layerAvailability": "UNAVAILABLE"}),
        });
    }
    Ok(json!({"layers": layers, "failures": failures}))
}

/// Whether a text has the shape of a digest (botocore ecr model, LayerDigest).
pub(super) fn is_digest(text: &str) -> bool {
    let algorithm = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '.');
    text.split_once(':').is_some_and(|(name, hex)| {
        !name.is_empty() && name.chars().all(algorithm) && !hex.is_empty() && hex.chars().all(|c| c.is_ascii_hexdigit())
    })
}

fn no_upload(repository: &Repository, id: &str) -> Refusal {
    let message = format!(
        "Upload with id '{id}' could not be found for the repository with name '{}' in the registry with id '{ACCOUNT}'",
        repository.name
    );
    Refusal::new("UploadNotFoundException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_names_its_algorithm() {
        assert!(is_digest("sha256:0f") && is_digest("sha512+b64:AB"));
        assert!(!is_digest("0f") && !is_digest("sha256:xyz") && !is_digest("sha256:") && !is_digest(":0f"));
    }
}
