//! The command line, and running a command.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use clap::Parser;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;
use crate::local_aws::{LocalAws, Options};
use crate::weather::Weather;

/// Shells' exit code for a command that does not exist.
const NOT_FOUND: u8 = 127;

/// Shells' exit code for a command that exists and cannot be run.
const NOT_RUN: u8 = 126;

const EXAMPLES: &str = "\
Examples:
  ecs-local -- scripts/deploy-all.sh          run a script against a local AWS
  ecs-local --speed 0 --record calls.jsonl -- sh -c 'ecs-net | ecs-sg'
  ecs-local --weather tests/weather/bad-day.toml -- scripts/deploy-all.sh
  ecs-local --port 4566 > env.sh &           keep one up; then: . ./env.sh

Exit code: the command's own; 128 and the signal's number when it died by one;
127 or 126 when it cannot be run; 2 when there is no Python with moto.";

/// Run a command against a local AWS
#[derive(Debug, Parser)]
#[command(name = "ecs-local", version, about, after_help = EXAMPLES)]
struct Arguments {
    /// Simulated seconds per real second; 0: nothing takes time
    #[arg(long, default_value = "60", env = "ECS_LOCAL_SPEED", value_parser = speed)]
    speed: f64,
    /// Delay every call by this long: 50ms, 0.2s
    #[arg(long, default_value = "0ms", env = "ECS_LOCAL_LATENCY", value_parser = duration)]
    latency: Duration,
    /// Take the weather from this scenario file: latency, faults, throttling, slow provisioning
    #[arg(long, value_name = "FILE")]
    weather: Option<PathBuf>,
    /// Write each call as a JSON line to this file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Listen on this loopback port; 0: a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Use this Python, which has moto 5.2.5; else $ECS_LOCAL_PYTHON, else the nearest .venv/bin/python3
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Set this region for the command
    #[arg(long, default_value = "us-east-1", env = "ECS_LOCAL_REGION")]
    region: String,
    /// Say nothing but errors
    #[arg(short, long)]
    quiet: bool,
    /// The command and its arguments; none: print what to export, and wait
    #[arg(last = true)]
    command: Vec<OsString>,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Printing help can fail only where nobody reads it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("starting a runtime"))
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Starts the local AWS, runs the command, and takes everything down.
async fn run(arguments: Arguments) -> Result<u8, Error> {
    let signals = Signals::new().map_err(Error::io("catching signals"))?;
    let options = Options {
        python: arguments.python,
        speed: arguments.speed,
        latency: arguments.latency,
        weather: arguments.weather.as_deref().map(Weather::read).transpose()?.unwrap_or_default(),
        record: arguments.record,
        region: arguments.region,
        port: arguments.port,
    };
    let aws = LocalAws::start(options).await?;
    if !arguments.quiet {
        say(&format!("a local AWS is up at {}", aws.endpoint()));
    }
    let code = match arguments.command.split_first() {
        Some((program, rest)) => run_command(&aws, program, rest, signals).await?,
        None => keep_up(&aws, signals).await?,
    };
    aws.stop().await;
    Ok(code)
}

/// Runs the command to its end, passing on what signals ask for.
async fn run_command(aws: &LocalAws, program: &OsString, rest: &[OsString], mut signals: Signals) -> Result<u8, Error> {
    let mut command = Command::new(program);
    command.args(rest);
    aws.environment().apply_async(&mut command);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            say(&format!("error: running {}: {error}", program.to_string_lossy()));
            return Ok(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUN });
        }
    };
    loop {
        tokio::select! {
            status = child.wait() => return Ok(exit_code(status.map_err(Error::io("waiting for the command"))?)),
            // Ctrl-C at a terminal has gone to the command as well: it decides when it is done.
            _ = signals.interrupt.recv() => {}
            _ = signals.terminate.recv() => terminate(&child).await,
            _ = signals.hangup.recv() => terminate(&child).await,
        }
    }
}

/// Prints what to export, and waits for a signal: the usual way to end it, so the exit code is 0.
async fn keep_up(aws: &LocalAws, mut signals: Signals) -> Result<u8, Error> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(format!("{}# ecs-local is ready\n", aws.environment().shell()).as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(Error::io("writing to standard output"))?;
    drop(stdout);
    tokio::select! {
        _ = signals.interrupt.recv() => {}
        _ = signals.terminate.recv() => {}
        _ = signals.hangup.recv() => {}
    }
    Ok(0)
}

/// The signals that end a program politely.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Sends SIGTERM. The standard library can send SIGKILL only, which would leave the command no time to clean up.
async fn terminate(child: &Child) {
    if let Some(id) = child.id() {
        let _ = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
    }
}

/// The command's exit code as a shell gives it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// Writes a line to standard error; nobody can be told when that fails.
fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "ecs-local: {line}");
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed >= 0.0 => Ok(speed),
        Ok(_) | Err(_) => Err("a number of simulated seconds per second, 0 or more".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s').ok_or("a duration like 50ms or 0.2s")?, 1.0),
    };
    match number.parse::<f64>() {
        Ok(number) => Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string()),
        Err(_) => Err("a duration like 50ms or 0.2s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("50ms"), Ok(Duration::from_millis(50)));
        assert_eq!(duration("0.2s"), Ok(Duration::from_millis(200)));
        assert!(duration("50").is_err());
        assert!(duration("-1s").is_err());
    }

    #[test]
    fn speed_is_not_negative() {
        assert_eq!(speed("0"), Ok(0.0));
        assert!(speed("-1").is_err());
        assert!(speed("NaN").is_err());
    }

    #[test]
    fn command_line_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
