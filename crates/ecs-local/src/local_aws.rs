//! Starting and stopping a local AWS.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::environment::Environment;
use crate::error::Error;
use crate::moto::{Moto, find_python};
use crate::proxy::Proxy;
use crate::recorder::{Call, Recorder};
use crate::upstream::Upstream;
use crate::weather::{Hold, Holds, Sky, Weather, When};

/// How a local AWS is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The Python that has moto; else `ECS_LOCAL_PYTHON`, else the nearest `.venv/bin/python3`.
    pub python: Option<PathBuf>,
    /// Simulated seconds per real second; zero: nothing takes time.
    pub speed: f64,
    /// Delays every call, calls at the same time together; on top of the weather's.
    pub latency: Duration,
    /// What the day is like.
    pub weather: Weather,
    /// Where each call is written as one JSON line.
    pub record: Option<PathBuf>,
    /// The region that the environment names; calls to others are answered as well.
    pub region: String,
    /// The loopback port to listen on; zero: a free one.
    pub port: u16,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            python: None,
            speed: 60.0,
            latency: Duration::ZERO,
            weather: Weather::default(),
            record: None,
            region: "us-east-1".to_owned(),
            port: 0,
        }
    }
}

/// A running local AWS, in a thread of its own, so that a caller may block while a command runs against it.
///
/// It stops when it is dropped.
#[derive(Debug)]
pub struct LocalAws {
    port: u16,
    region: String,
    recorder: Arc<Recorder>,
    sky: Arc<Sky>,
    holds: Arc<Holds>,
    control: mpsc::UnboundedSender<Control>,
    thread: Option<JoinHandle<()>>,
}

/// What the owner asks of the thread. It ends when nobody can ask any more.
#[derive(Debug)]
enum Control {
    Reset(oneshot::Sender<Result<(), String>>),
}

impl LocalAws {
    /// Starts a local AWS, and returns when it answers.
    ///
    /// # Errors
    /// There is no Python with moto 5.2.5, or the port is taken.
    pub async fn start(options: Options) -> Result<LocalAws, Error> {
        let python = find_python(options.python.as_deref())?;
        let recorder = Arc::new(Recorder::open(options.record.as_deref())?);
        let sky = Arc::new(Sky::default());
        sky.set(options.weather.clone());
        let holds = Arc::new(Holds::default());
        let region = options.region.clone();
        let (control, requests) = mpsc::unbounded_channel();
        let (ready, started) = oneshot::channel();
        let thread = {
            let shared = (Arc::clone(&recorder), Arc::clone(&sky), Arc::clone(&holds));
            std::thread::Builder::new()
                .name("ecs-local".to_owned())
                .spawn(move || run(python, options, shared, requests, ready))
                .map_err(Error::io("starting a thread"))?
        };
        let port = started.await.map_err(|_| Error::Moto("the proxy ended".to_owned()))??;
        Ok(LocalAws { port, region, recorder, sky, holds, control, thread: Some(thread) })
    }

    /// The endpoint: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The variables with which a command talks to this AWS, and to no other.
    #[must_use]
    pub fn environment(&self) -> Environment {
        let present = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        Environment::new(&self.endpoint(), &self.region, present)
    }

    /// Everything recorded so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.recorder.calls()
    }

    /// Waits until at least this many calls have been answered since the last [`LocalAws::clear_calls`].
    pub async fn calls_reach(&self, count: usize) {
        self.recorder.reaches(count).await;
    }

    /// Forgets what was recorded.
    pub fn clear_calls(&self) {
        self.recorder.clear();
    }

    /// Changes the weather, from the next call on.
    pub fn set_weather(&self, weather: Weather) {
        self.sky.set(weather);
    }

    /// Holds a call: that of this name ("ec2:CreateVpc", `*` for anything) which comes after `after` others of it.
    #[must_use]
    pub fn hold(&self, call: &str, after: usize, when: When) -> Hold {
        self.holds.hold(call, after, when)
    }

    /// Forgets every hold; calls that are held go on when theirs is dropped.
    pub fn clear_holds(&self) {
        self.holds.clear();
    }

    /// Forgets every resource. Recorded calls stay.
    ///
    /// # Errors
    /// moto has gone.
    pub async fn reset(&self) -> Result<(), Error> {
        let gone = || Error::Moto("the proxy ended".to_owned());
        let (done, answer) = oneshot::channel();
        self.control.send(Control::Reset(done)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?.map_err(Error::Moto)
    }

    /// Takes everything down.
    pub async fn stop(self) {
        drop(self);
    }
}

impl Drop for LocalAws {
    fn drop(&mut self) {
        // Closing the channel ends the thread, which takes moto down.
        self.control = mpsc::unbounded_channel().0;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs the proxy and moto until the owner is gone.
fn run(
    python: PathBuf,
    options: Options,
    shared: (Arc<Recorder>, Arc<Sky>, Arc<Holds>),
    mut requests: mpsc::UnboundedReceiver<Control>,
    ready: oneshot::Sender<Result<u16, Error>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(Error::Io { doing: "starting a runtime".to_owned(), source: error }));
            return;
        }
    };
    runtime.block_on(async move {
        let (moto, listener, port) = match open(&python, options.port).await {
            Ok(opened) => opened,
            Err(error) => {
                let _ = ready.send(Err(error));
                return;
            }
        };
        let clock = Clock::start(options.speed);
        let proxy = Arc::new(Proxy::new(Upstream::new(moto.port), shared, clock, options.latency));
        if ready.send(Ok(port)).is_err() {
            return;
        }
        tokio::spawn(Arc::clone(&proxy).serve(listener));
        let warm = Arc::clone(&proxy);
        tokio::spawn(async move { warm.warm(&options.region).await });
        while let Some(Control::Reset(done)) = requests.recv().await {
            let _ = done.send(proxy.reset().await);
        }
        moto.stop().await;
    });
    // A call in flight is not worth waiting for: the command has ended.
    runtime.shutdown_background();
}

/// Starts moto and opens the port.
async fn open(python: &std::path::Path, port: u16) -> Result<(Moto, TcpListener, u16), Error> {
    let doing = || format!("listening on 127.0.0.1:{port}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(Error::io(doing()))?;
    let port = listener.local_addr().map_err(Error::io(doing()))?.port();
    Ok((Moto::start(python).await?, listener, port))
}
