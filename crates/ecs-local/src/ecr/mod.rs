//! ECR, where moto is wrong: layers can be fetched again, a digest is that of its manifest, an image without tags stays.

mod download;
mod image;
mod layer;
mod repository;

use serde_json::{Value, json};

use self::layer::Layers;
use self::repository::Repository;
use crate::answer::Answer;
use crate::call::Request;
use crate::proxy::Proxy;
use crate::refusal::Refusal;
use crate::turn::Turn;

pub(crate) use download::{download, is_download};

/// What we keep of ECR ourselves.
#[derive(Debug, Default)]
pub(crate) struct State {
    turn: Turn,
    layers: Layers,
}

impl State {
    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.layers.clear();
    }
}

/// Answers a call to ECR.
pub(crate) async fn answer(proxy: &Proxy, request: &Request) -> Answer {
    // These two only read, whatever their names begin with.
    let reads = matches!(request.operation.as_str(), "BatchGetImage" | "BatchCheckLayerAvailability");
    let _turn = if reads { None } else { proxy.ecr.turn.take(request).await };
    let answered = match request.operation.as_str() {
        "BatchGetImage" => image::batch_get_image(proxy, request).await,
        "PutImage" => return image::put_image(proxy, request).await,
        "BatchCheckLayerAvailability" => layer::batch_check_layer_availability(proxy, request).await,
        "InitiateLayerUpload" => layer::initiate_layer_upload(proxy, request).await,
        "UploadLayerPart" => return layer::upload_layer_part(proxy, request).await,
        "CompleteLayerUpload" => layer::complete_layer_upload(proxy, request).await,
        "GetDownloadUrlForLayer" => download::get_download_url_for_layer(proxy, request).await,
        "DeleteRepository" => {
            let answer = proxy.upstream.forward(request).await;
            if answer.status.is_success() {
                proxy.ecr.layers.forget(&Repository::of(request));
            }
            return answer;
        }
        _ => return proxy.upstream.forward(request).await,
    };
    said(request, answered)
}

/// The answer of an operation, or its refusal.
fn said(request: &Request, answered: Result<Value, Refusal>) -> Answer {
    match answered {
        Ok(answer) => Answer::json(hyper::StatusCode::OK, &answer),
        Err(refusal) => refusal.answer(request),
    }
}

/// The SHA-256 digest of some bytes, as registries write it: "sha256:…".
pub(crate) fn digest(content: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    let hex: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The texts of a list of the request.
fn texts<'a>(request: &'a Value, member: &str) -> Vec<&'a str> {
    request[member].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The members with which most answers begin.
fn about(repository: &Repository) -> Value {
    json!({"registryId": crate::environment::ACCOUNT, "repositoryName": repository.name})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_the_content() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(b""), empty);
    }
}
