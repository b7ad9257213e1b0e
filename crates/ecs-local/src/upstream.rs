//! The connection to moto: passing calls on, and asking it about the things that it keeps.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderName, TRANSFER_ENCODING};
use hyper::{HeaderMap, Method, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use url::form_urlencoded;

use crate::answer::Answer;
use crate::call::{Protocol, Request};

/// Headers that belong to one connection, not to the call.
const HOP_BY_HOP: &[HeaderName] = &[CONNECTION, TRANSFER_ENCODING, EXPECT, CONTENT_LENGTH];

/// How long an idle connection to moto is kept. moto itself never closes one.
const IDLE: Duration = Duration::from_secs(60);

/// A pool of connections to moto.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
}

/// What moto said to a question of ours.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
}

impl Reply {
    /// The body, unless moto refused.
    pub(crate) fn ok(self) -> Option<String> {
        self.status.is_success().then_some(self.body)
    }
}

impl Upstream {
    /// A pool of connections to moto on a loopback port.
    pub(crate) fn new(port: u16) -> Upstream {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
        Upstream { client, base: format!("http://127.0.0.1:{port}") }
    }

    /// Passes a call on, and moto's answer back. A call that moto does not know becomes a refusal.
    pub(crate) async fn forward(&self, request: &Request) -> Answer {
        let mut headers = request.headers.clone();
        for name in HOP_BY_HOP {
            headers.remove(name);
        }
        let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
        match self.send(request.method.clone(), path, headers, request.body.clone()).await {
            Ok(answer) if is_html(&answer) => unknown(request),
            Ok(answer) => answer,
            Err(why) => Answer::refuse(
                request,
                StatusCode::BAD_GATEWAY,
                "ServiceUnavailable",
                &format!("ecs-local: moto: {why}"),
            ),
        }
    }

    /// Calls an operation of a query service: IAM, EC2, ELBv2, RDS.
    pub(crate) async fn query(&self, service: &str, region: &str, version: &str, form: &[(&str, &str)]) -> Reply {
        let body =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(form).append_pair("Version", version).finish();
        let kind = "application/x-www-form-urlencoded";
        self.call(service, region, &[(CONTENT_TYPE, kind)], body).await
    }

    /// Calls an operation of a JSON service; `target` is "AmazonSSM.GetParameters".
    pub(crate) async fn json(&self, service: &str, region: &str, target: &str, body: &Value) -> Reply {
        let headers = [(CONTENT_TYPE, "application/x-amz-json-1.1"), (HeaderName::from_static("x-amz-target"), target)];
        self.call(service, region, &headers, body.to_string()).await
    }

    /// Reads something of a REST service: Route 53.
    pub(crate) async fn get(&self, service: &str, region: &str, path: &str) -> Reply {
        self.ask(Method::GET, path, service, region, &[], String::new()).await
    }

    /// Forgets everything that moto holds.
    pub(crate) async fn reset(&self) -> Result<(), String> {
        let answer = self.send(Method::POST, "/moto-api/reset", HeaderMap::new(), Bytes::new()).await?;
        if answer.status.is_success() { Ok(()) } else { Err(format!("reset: {}", answer.status)) }
    }

    async fn call(&self, service: &str, region: &str, extra: &[(HeaderName, &str)], body: String) -> Reply {
        self.ask(Method::POST, "/", service, region, extra, body).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        service: &str,
        region: &str,
        extra: &[(HeaderName, &str)],
        body: String,
    ) -> Reply {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=testing/20200101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let mut headers = HeaderMap::new();
        for (name, value) in extra.iter().chain([&(AUTHORIZATION, scope.as_str())]) {
            if let Ok(value) = value.parse() {
                headers.insert(name.clone(), value);
            }
        }
        match self.send(method, path, headers, body.into()).await {
            Ok(answer) => Reply { status: answer.status, body: String::from_utf8_lossy(&answer.body).into_owned() },
            Err(why) => Reply { status: StatusCode::BAD_GATEWAY, body: why },
        }
    }

    async fn send(&self, method: Method, path: &str, headers: HeaderMap, body: Bytes) -> Result<Answer, String> {
        let uri: Uri = format!("{}{path}", self.base).parse().map_err(|error| format!("{path}: {error}"))?;
        let mut request = hyper::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let response = self.client.request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let mut headers = parts.headers;
        for name in HOP_BY_HOP {
            headers.remove(name);
        }
        Ok(Answer { status: parts.status, headers, body })
    }
}

/// Whether moto answered with one of its HTML error pages: it has no such operation, or failed inside.
fn is_html(answer: &Answer) -> bool {
    let failed = answer.status.is_server_error() || answer.status == StatusCode::NOT_FOUND;
    failed && answer.body.trim_ascii_start().get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"<!doc"))
}

/// Refuses in a way that no SDK retries: a 500 would cost each caller 1-2 s of retries.
fn unknown(request: &Request) -> Answer {
    let code = match request.protocol {
        Protocol::Ec2Query | Protocol::Query => "InvalidAction",
        Protocol::Json | Protocol::Cbor | Protocol::RestXml | Protocol::Rest => "UnknownOperationException",
    };
    let message =
        format!("ecs-local has no {}:{} (moto does not know it, or failed in it)", request.service, request.operation);
    Answer::refuse(request, StatusCode::BAD_REQUEST, code, &message)
}
