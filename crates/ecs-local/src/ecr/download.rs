//! GetDownloadUrlForLayer, and what its URLs lead to: in AWS a bucket of S3, here ourselves.

use hyper::header::AUTHORIZATION;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::digest;
use super::repository::Repository;
use crate::answer::{Answer, escape};
use crate::call::Request;
use crate::environment::ACCOUNT;
use crate::proxy::Proxy;
use crate::refusal::Refusal;

/// The bucket's name (ECR user guide, "Amazon ECR interface VPC endpoints": `prod-REGION-starport-layer-bucket`).
const BUCKET: [&str; 2] = ["/prod-", "-starport-layer-bucket/"];

/// Gives out the URL of a layer that an image refers to.
pub(super) async fn get_download_url_for_layer(proxy: &Proxy, request: &Request) -> Result<Value, Refusal> {
    let repository = Repository::find(proxy, request).await?;
    let wanted = request.json["layerDigest"].as_str().unwrap_or_default();
    if proxy.ecr.layers.get(&repository, wanted).is_none() {
        // <https://github.com/monken/aws-ecr-public/issues/11>
        let message = format!(
            "The layer with digest '{wanted}' does not exist within the repository with name '{}' in the registry with id '{ACCOUNT}'",
            repository.name
        );
        return Err(Refusal::new("LayersNotFoundException", message));
    }
    let images = repository.images(&proxy.upstream).await;
    if !images.iter().any(|image| image.layers().iter().any(|layer| layer == wanted)) {
        let message = "The specified layer is not available because it is not associated with an image. Unassociated \
                       image layers may be cleaned up at any time.";
        return Err(Refusal::new("LayerInaccessibleException", message));
    }
    let host = request.header("host").unwrap_or("127.0.0.1");
    let [prefix, suffix] = BUCKET;
    let (region, name) = (&repository.region, &repository.name);
    let path = format!("{prefix}{region}{suffix}{name}/{}", wanted.replace(':', "/"));
    let signature = signature(&path);
    let url = format!(
        "http://{host}{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=testing%2F20260101%2F{region}%2Fs3%2Faws4_request\
         &X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
    );
    Ok(json!({"downloadUrl": url, "layerDigest": wanted}))
}

/// Whether a call is for such a URL.
pub(crate) fn is_download(request: &Request) -> bool {
    place(request.uri.path()).is_some()
}

/// Answers a GET of such a URL.
pub(crate) fn download(proxy: &Proxy, request: &Request) -> Answer {
    let path = request.uri.path();
    let query = request.uri.query().unwrap_or_default();
    let signed = form_urlencoded::parse(query.as_bytes())
        .any(|(key, value)| key == "X-Amz-Signature" && value == signature(path));
    if request.headers.contains_key(AUTHORIZATION) {
        // A URL that is signed already takes no second signature.
        let message = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
                       parameter or the Authorization header should be specified";
        return refuse(StatusCode::BAD_REQUEST, "InvalidArgument", message);
    }
    if !signed || request.method != Method::GET {
        let message = "The request signature we calculated does not match the signature you provided. Check your key and \
                       signing method.";
        return refuse(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message);
    }
    let content = place(path).and_then(|(repository, digest)| proxy.ecr.layers.get(&repository, &digest));
    match content {
        Some(content) => Answer::new(StatusCode::OK, "application/octet-stream", content),
        None => refuse(StatusCode::NOT_FOUND, "NoSuchKey", "The specified key does not exist."),
    }
}

/// The repository and the digest that a path stands for.
fn place(path: &str) -> Option<(Repository, String)> {
    let [prefix, suffix] = BUCKET;
    let (region, rest) = path.strip_prefix(prefix)?.split_once(suffix)?;
    let mut parts = rest.rsplitn(3, '/');
    let (hex, algorithm, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some((Repository { region: region.to_owned(), name: name.to_owned() }, format!("{algorithm}:{hex}")))
}

/// No secret: it only tells our own URLs from made-up ones.
fn signature(path: &str) -> String {
    digest(format!("ecs-local{path}").as_bytes()).split_off("sha256:".len())
}

/// A refusal as S3 puts it.
fn refuse(status: StatusCode, code: &str, message: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{}</Message></Error>",
        escape(message)
    );
    Answer::new(status, "application/xml", body.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_layer() {
        let place = place("/prod-us-east-1-starport-layer-bucket/team/app/sha256/0f").expect("a place");
        let repository = Repository { region: "us-east-1".to_owned(), name: "team/app".to_owned() };
        assert_eq!(place, (repository, "sha256:0f".to_owned()));
        assert_eq!(super::place("/prod-x/y"), None);
    }
}
