//! The reverse proxy: every call takes the one path through [`Proxy::handle`].

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use crate::answer::Answer;
use crate::call::Request;
use crate::clock::Clock;
use crate::ecs::Ecs;
use crate::newborn::Newborn;
use crate::recorder::{Call, Recorder};
use crate::upstream::Upstream;
use crate::weather::broken::{self, Body, Broken};
use crate::weather::{Go, Harm, Holds, Sky, Weather, When};
use crate::{
    acm, application_autoscaling, cloudwatch, dynamodb, ec2, ecr, elasticloadbalancing, iam, logs, model, rds, route53,
    scheduler, secretsmanager, servicediscovery, ssm, sts,
};

/// Control paths, for tests in other languages than Rust.
const CONTROL: &str = "/_ecs-local/";

/// Everything that a call may need.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) upstream: Upstream,
    pub(crate) ecs: Ecs,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) sky: Arc<Sky>,
    pub(crate) holds: Arc<Holds>,
    pub(crate) clock: Clock,
    pub(crate) latency: Duration,
    pub(crate) ec2: ec2::State,
    pub(crate) ecr: ecr::State,
    pub(crate) newborn: Newborn,
    pub(crate) elasticloadbalancing: elasticloadbalancing::State,
    pub(crate) rds: rds::State,
    pub(crate) acm: acm::State,
    pub(crate) route53: route53::State,
    pub(crate) dynamodb: dynamodb::State,
    pub(crate) iam: iam::State,
    pub(crate) secretsmanager: secretsmanager::State,
    /// Held while moto loads: a reset in the middle fails.
    warming: Mutex<()>,
    served: AtomicU64,
}

impl Proxy {
    /// A proxy in front of moto.
    pub(crate) fn new(
        upstream: Upstream,
        (recorder, sky, holds): (Arc<Recorder>, Arc<Sky>, Arc<Holds>),
        clock: Clock,
        latency: Duration,
    ) -> Proxy {
        let ecs = Ecs::new(clock, Arc::clone(&sky));
        let newborn = Newborn::new(clock, Arc::clone(&sky));
        Proxy {
            upstream,
            ecs,
            recorder,
            sky,
            holds,
            clock,
            latency,
            ec2: ec2::State::default(),
            ecr: ecr::State::default(),
            newborn,
            elasticloadbalancing: elasticloadbalancing::State::default(),
            rds: rds::State::default(),
            acm: acm::State::default(),
            route53: route53::State::default(),
            dynamodb: dynamodb::State::default(),
            iam: iam::State::default(),
            secretsmanager: secretsmanager::State::default(),
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
                let mut connection = server.serve_connection(TokioIo::new(stream), service);
                // Any other error here is a client that went away.
                let Err(error) = Pin::new(&mut connection).await else { return };
                let broken = error.source().and_then(|source| source.downcast_ref::<Broken>());
                if broken == Some(&Broken::Reset) {
                    // Where it cannot be reset it is closed, which is as bad.
                    let _ = connection.into_parts().io.into_inner().set_zero_linger();
                }
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
        self.ec2.clear();
        self.ecr.clear();
        self.newborn.clear();
        self.elasticloadbalancing.clear();
        self.rds.clear();
        self.acm.clear();
        self.route53.clear();
        self.dynamodb.clear();
        self.iam.clear();
        self.secretsmanager.clear();
        Ok(())
    }

    async fn respond(self: Arc<Self>, request: hyper::Request<Incoming>) -> Result<Response<Body>, Broken> {
        let started_ms = self.clock.real_ms();
        let id = self.served.fetch_add(1, Ordering::Relaxed);
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            let answer = Answer::text(StatusCode::BAD_REQUEST, "the request ended early\n".to_owned());
            return Ok(broken::whole(answer.into_response(id)));
        };
        let request = Request::new(parts, body.to_bytes());
        if let Some(path) = request.uri.path().strip_prefix(CONTROL) {
            return Ok(broken::whole(self.control(&request, path).await.into_response(id)));
        }
        let arrival = || self.describe(&request, started_ms, None, None);
        if self.holds.pass(&request, When::Before, arrival).await == Go::Nowhere {
            return Err(Broken::Closed);
        }
        // A task of its own: what a client has asked for takes effect as a whole, even when the client is killed meanwhile.
        let answered = tokio::spawn(async move { self.pass(&request, started_ms).await });
        let (harm, answer) = answered.await.unwrap_or_else(|error| {
            let why = format!("ecs-local failed: {error}\n");
            (None, Answer::text(StatusCode::INTERNAL_SERVER_ERROR, why))
        });
        let body = answer.body.clone();
        let response = answer.into_response(id);
        match harm {
            Some(Harm::Reset) => Err(Broken::Reset),
            Some(Harm::Lost) => Err(Broken::Closed),
            Some(Harm::Cut) => Ok(broken::cut(response, &body)),
            Some(Harm::Slow(time)) => Ok(broken::slow(response, &body, time)),
            Some(Harm::Throttle | Harm::Error(_) | Harm::Expire) | None => Ok(broken::whole(response)),
        }
    }

    /// Takes a call through the weather: half of its latency, what befalls it, its effect, the other half.
    async fn pass(&self, request: &Request, started_ms: f64) -> (Option<Harm>, Answer) {
        let latency = self.latency + self.sky.weather().latency.next();
        if !latency.is_zero() {
            tokio::time::sleep(latency / 2).await;
        }
        let mut harm = self.sky.strike(request, self.clock.real_ms() / 1e3);
        let answer = match harm.as_ref().and_then(|harm| harm.refusal(request)) {
            Some(refusal) => refusal,
            None if harm == Some(Harm::Reset) => Answer::text(StatusCode::BAD_GATEWAY, String::new()),
            None => self.handle(request).await,
        };
        if !latency.is_zero() {
            tokio::time::sleep(latency / 2).await;
        }
        let call = self.describe(request, started_ms, harm.as_ref(), Some(&answer));
        self.recorder.record(call.clone());
        if self.holds.pass(request, When::After, || call).await == Go::Nowhere {
            harm = Some(Harm::Lost);
        }
        (harm, answer)
    }

    /// A call for the record; without an answer, it has just come.
    fn describe(&self, request: &Request, started_ms: f64, harm: Option<&Harm>, answer: Option<&Answer>) -> Call {
        let unanswered = matches!(harm, Some(Harm::Reset | Harm::Lost));
        let status = answer.filter(|_| !unanswered).map_or(0, |answer| answer.status.as_u16());
        Call {
            service: request.service.clone(),
            operation: request.operation.clone(),
            resource: request.resource(),
            tool: request.tool().to_owned(),
            status,
            weather: harm.map(ToString::to_string).unwrap_or_default(),
            started_ms,
            ms: ((self.clock.real_ms() - started_ms) * 1e3).round() / 1e3,
        }
    }

    /// Answers a call: our own model, or moto. Weather has passed already.
    async fn handle(&self, request: &Request) -> Answer {
        if let Some(refusal) = model::refuse(request) {
            return refusal;
        }
        if let Some(refusal) = iam::denial::refusal(self, request) {
            return refusal;
        }
        match request.service.as_str() {
            "ecs" => match iam::pass_role::refusal(self, request).await {
                Some(refusal) => refusal,
                None => self.ecs.call(request, &self.upstream).await,
            },
            "iam" => iam::answer(self, request).await,
            "ssm" => ssm::answer(self, request).await,
            "sts" => sts::answer(self, request).await,
            "rds" => {
                let answer = rds::answer(self, request).await;
                ec2::owners_changed(self, request).await;
                answer
            }
            "dynamodb" => dynamodb::answer(self, request).await,
            "ec2" => ec2::answer(self, request).await,
            "ecr" => ecr::answer(self, request).await,
            // Whoever asks, and however it is signed.
            _ if ecr::is_download(request) => ecr::download(self, request),
            "elasticloadbalancing" => {
                let answer = elasticloadbalancing::answer(self, request).await;
                ec2::owners_changed(self, request).await;
                answer
            }
            "acm" => acm::answer(self, request).await,
            "route53" => route53::answer(self, request).await,
            "application-autoscaling" => application_autoscaling::answer(self, request).await,
            "logs" => logs::answer(self, request).await,
            "scheduler" => scheduler::answer(self, request).await,
            "secretsmanager" => secretsmanager::answer(self, request).await,
            "servicediscovery" => servicediscovery::answer(self, request).await,
            "monitoring" => cloudwatch::answer(self, request).await,
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
            (&Method::PUT, "weather") => match Weather::parse(&String::from_utf8_lossy(&request.body)) {
                Ok(weather) => {
                    self.sky.set(weather);
                    Answer::text(StatusCode::OK, String::new())
                }
                Err(why) => Answer::text(StatusCode::BAD_REQUEST, why),
            },
            (&Method::DELETE, "weather") => {
                self.sky.set(Weather::default());
                Answer::text(StatusCode::OK, String::new())
            }
            (&Method::POST, "reset") => match self.reset().await {
                Ok(()) => Answer::text(StatusCode::OK, String::new()),
                Err(why) => Answer::text(StatusCode::BAD_GATEWAY, why + "\n"),
            },
            _ => Answer::text(
                StatusCode::NOT_FOUND,
                format!(
                    "ecs-local has GET and DELETE {CONTROL}calls, PUT and DELETE {CONTROL}weather, and POST {CONTROL}reset\n"
                ),
            ),
        }
    }
}
