//! A plain download from a URL that AWS hands out, such as a layer's of an image.

use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;
use ecs_core::{Error, Kind, Result};

/// Longest time for one download; what is downloaded here is a few kilobytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Downloads what a URL leads to.
///
/// The URL itself is not in any error: whoever has it can download as well.
///
/// # Errors
/// No answer, or another one than 200.
pub async fn download(url: &str) -> Result<Vec<u8>> {
    let builder = Connector::builder();
    let connector = if url.starts_with("http://") {
        builder.build_http()
    } else {
        builder.tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build()
    };
    let failed = |why: String| Error::new(Kind::Transient, format!("the download failed: {why}"));
    let request = HttpRequest::get(url).map_err(|error| Error::other(format!("a URL of AWS's is none: {error}")))?;
    let work = async {
        let response = connector.call(request).await.map_err(|_| failed("no answer".to_owned()))?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(failed(format!("HTTP status {status}")));
        }
        let body = ByteStream::new(response.into_body()).collect().await;
        Ok(body.map_err(|error| failed(error.to_string()))?.to_vec())
    };
    tokio::time::timeout(PATIENCE, work).await.map_err(|_| failed("no answer in time".to_owned()))?
}
