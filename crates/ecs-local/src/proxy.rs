//! The reverse proxy: every call takes the one path through [`Proxy::handle`].

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::answer::Answer;
use crate::call::Request;
use crate::clock::Clock;
use crate::ecs::Ecs;
use crate::recorder::{Call, Recorder};
use crate::upstream::Upstream;
use crate::weather::Sky;
use crate::{application_autoscaling, ec2, elasticloadbalancing, iam, rds};

/// Control paths, for tests in other languages than Rust.
const CONTROL: &str = "/_ecs-local/";

/// Everything that a call may need.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) upstream: Upstream,
    pub(crate) ecs: Ecs,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) sky: Arc<Sky>,
    pub(crate) clock: Clock,
    pub(crate) latency: Duration,
    pub(crate) tokens: ec2::Tokens,
    pub(crate) elasticloadbalancing: elasticloadbalancing::State,
    pub(crate) rds: rds::State,
    pub(crate) iam: iam::State,
    /// Held while moto loads: a reset in the middle fails.
    warming: Mutex<()>,
    served: AtomicU64,
}

impl Proxy {
    /// A proxy in front of moto.
    pub(crate) fn new(
        upstream: Upstream,
        recorder: Arc<Recorder>,
        sky: Arc<Sky>,
        clock: Clock,
        latency: Duration,
    ) -> Proxy {
        let ecs = Ecs::new(clock);
        Proxy {
            upstream,
            ecs,
            recorder,
            sky,
            clock,
            latency,
            tokens: ec2::Tokens::default(),
            elasticloadbalancing: elasticloadbalancing::State::default(),
            rds: rds::State::default(),
            iam: iam::State::default(),
            warming: Mutex::new(()),
            served: AtomicU64::new(0),
        }
    }

    /// Serves connections until the future is dropped.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            // A failed accept is a connection gone before it was accepted.
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let proxy = Arc::clone(&self);
            tokio::spawn(async move {
                let service = service_fn(move |request| Arc::clone(&proxy).respond(request));
                let mut server = hyper::server::conn::http1::Builder::new();
                server.timer(TokioTimer::new());
                // An error here is a client that went away.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    /// Makes moto load its services, in the order in which a stack needs them: the first call to each is slow.
    pub(crate) async fn warm(&self, region: &str) {
        let _warming = self.warming.lock().await;
        let upstream = &self.upstream;
        upstream.query("sts", region, "2011-06-15", &[("Action", "GetCallerIdentity")]).await;
        upstream.query("ec2", region, "2016-11-15", &[("Action", "DescribeVpcs")]).await;
        upstream.query("iam", region, "2010-05-08", &[("Action", "ListRoles")]).await;
        upstream
            .json("ecr", region, "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories", &serde_json::json!({}))
            .await;
        upstream.query("rds", region, "2014-10-31", &[("Action", "DescribeDBInstances")]).await;
        upstream.query("elasticloadbalancing", region, "2015-12-01", &[("Action", "DescribeLoadBalancers")]).await;
        upstream.json("ssm", region, "AmazonSSM.GetParameters", &serde_json::json!({"Names": ["/"]})).await;
        upstream.json("logs", region, "Logs_20140328.DescribeLogGroups", &serde_json::json!({})).await;
    }

    /// Forgets everything: moto's state, the model of ECS, client tokens. Recorded calls stay.
    pub(crate) async fn reset(&self) -> Result<(), String> {
        let _warming = self.warming.lock().await;
        self.upstream.reset().await?;
        self.ecs.reset().await;
        self.tokens.clear();
        self.elasticloadbalancing.clear();
        self.rds.clear();
        self.iam.clear();
        Ok(())
    }

    async fn respond(self: Arc<Self>, request: hyper::Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let started_ms = self.clock.real_ms();
        let id = self.served.fetch_add(1, Ordering::Relaxed);
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return Ok(Answer::text(StatusCode::BAD_REQUEST, "the request ended early\n".to_owned()).into_response(id));
        };
        let request = Request::new(parts, body.to_bytes());
        if let Some(path) = request.uri.path().strip_prefix(CONTROL) {
            return Ok(self.control(&request, path).await.into_response(id));
        }
        // A task of its own: what a client has asked for takes effect as a whole, even when the client is killed meanwhile.
        let answered = tokio::spawn(async move {
            let answer = self.handle(&request).await;
            self.recorder.record(Call {
                service: request.service.clone(),
                operation: request.operation.clone(),
                resource: request.resource(),
                status: answer.status.as_u16(),
                started_ms,
                ms: ((self.clock.real_ms() - started_ms) * 1e3).round() / 1e3,
            });
            answer
        });
        let answer = answered.await.unwrap_or_else(|error| {
            Answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("ecs-local failed: {error}\n"))
        });
        Ok(answer.into_response(id))
    }

    /// Answers a call: latency first, then our own model, or moto.
    ///
    /// The one place that every call passes: what is to befall calls (faults, throttling) belongs around the match.
    async fn handle(&self, request: &Request) -> Answer {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        match request.service.as_str() {
            "ecs" => match iam::pass_role::refusal(self, request).await {
                Some(refusal) => refusal,
                None => self.ecs.call(request, &self.upstream).await,
            },
            "iam" => iam::answer(self, request).await,
            "rds" => rds::answer(self, request).await,
            "ec2" => ec2::answer(self, request).await,
            "elasticloadbalancing" => elasticloadbalancing::answer(self, request).await,
            "application-autoscaling" => application_autoscaling::answer(self, request).await,
            _ => self.upstream.forward(request).await,
        }
    }

    async fn control(&self, request: &Request, path: &str) -> Answer {
        match (&request.method, path) {
            (&Method::GET, "calls") => {
                let calls = self.recorder.calls();
                let lines = calls.iter().filter_map(|call| serde_json::to_string(call).ok());
                Answer::text(StatusCode::OK, lines.map(|line| line + "\n").collect())
            }
            (&Method::DELETE, "calls") => {
                self.recorder.clear();
                Answer::text(StatusCode::OK, String::new())
            }
            (&Method::POST, "reset") => match self.reset().await {
                Ok(()) => Answer::text(StatusCode::OK, String::new()),
                Err(why) => Answer::text(StatusCode::BAD_GATEWAY, why + "\n"),
            },
            _ => Answer::text(
                StatusCode::NOT_FOUND,
                format!("ecs-local has GET and DELETE {CONTROL}calls, and POST {CONTROL}reset\n"),
            ),
        }
    }
}
