//! What the command lines of all programs share, whether a program makes a layer or not: flags, signals, exit codes.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Command};

use crate::console::{Console, LogFormat, Verbosity};
use crate::error::{Error, Kind};
use crate::stop::Stop;
use crate::tool::Access;

/// The exit codes, for `--help`.
pub const EXIT_CODES: &str = "Exit codes:
  0 done, 1 failed, 2 bad command line, stack file or document, 3 plan --exit-code found changes,
  4 deployment rolled back, 5 timed out and still going on, 6 paused until a person continues it,
  7 the input ended too early, 8 credentials missing, refused, or for another account or region,
  130 interrupted, 141 nobody reads the output any more";

/// Exit code of a plan with `--exit-code` that found changes.
pub const CHANGES: u8 = 3;

/// Name of the variable that stands in for `--stack`.
const STACK_VARIABLE: &str = "ECS_STACK";

/// Flags that every program has.
#[derive(Debug, Clone, Args)]
pub struct Flags {
    /// Use this profile of the AWS configuration
    #[arg(long, env = "ECS_PROFILE", global = true)]
    pub profile: Option<String>,
    /// Work in this region; the stack file's must be the same
    #[arg(long, env = "ECS_REGION", global = true)]
    pub region: Option<String>,
    /// Send every call to this URL instead of AWS
    #[arg(long, value_name = "URL", env = "ECS_ENDPOINT_URL", global = true)]
    pub endpoint_url: Option<String>,
    /// Give up waiting after this long, such as 90s or 30m; AWS goes on
    #[arg(long, value_name = "DURATION", env = "ECS_TIMEOUT", value_parser = humantime::parse_duration, global = true)]
    pub timeout: Option<Duration>,
    /// Do not read stdin
    #[arg(long, env = "ECS_NO_INPUT", value_parser = clap::builder::FalseyValueParser::new(), global = true)]
    pub no_input: bool,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", global = true)]
    pub quiet: bool,
    /// Say what stays as it is, too
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Form of the lines on stderr
    #[arg(long, value_enum, default_value_t, env = "ECS_LOG_FORMAT", global = true)]
    pub log_format: LogFormat,
}

impl Flags {
    /// Makes the console that they ask for.
    pub fn console(&self, program: &'static str) -> Console {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        Console::new(program, verbosity, self.log_format)
    }

    /// Says how to reach AWS; the region is the stack's, where it names one.
    ///
    /// # Errors
    /// [`Kind::Credentials`] when another region was asked for than the stack's.
    pub fn access(&self, program: &'static str, region: Option<&str>) -> crate::Result<Access> {
        if let (Some(flag), Some(region)) = (self.region.as_deref(), region)
            && flag != region
        {
            let message = format!("the stack is in {region}, but the region asked for is {flag}");
            return Err(Error::new(Kind::Credentials, message)
                .hint("leave out --region, or take the stack file of that region"));
        }
        Ok(Access {
            tool: program,
            profile: self.profile.clone(),
            region: region.or(self.region.as_deref()).map(str::to_owned),
            endpoint_url: self.endpoint_url.clone(),
        })
    }
}

/// The stack's files. Not a global flag of clap's: one after the verb would silently replace those before it.
#[derive(Debug, Clone, Default, Args)]
pub struct Files {
    /// Read the stack from FILE (TOML or JSON); later files are merged over earlier ones
    /// [env: ECS_STACK, several separated by `:`]
    #[arg(long, value_name = "FILE")]
    pub stack: Vec<PathBuf>,
}

impl Files {
    /// Returns the files: those before the verb, those after it, or else those of the environment.
    pub fn with(self, after: Files) -> Vec<PathBuf> {
        let files: Vec<_> = self.stack.into_iter().chain(after.stack).collect();
        if !files.is_empty() {
            return files;
        }
        let variable = std::env::var_os(STACK_VARIABLE).filter(|value| !value.is_empty());
        variable.iter().flat_map(std::env::split_paths).collect()
    }
}

/// Reports a bad command line, or shows the help that was asked for.
pub fn refuse(error: &clap::Error) -> ExitCode {
    // A terminal that is gone cannot be told so.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() { Kind::Usage.exit_code() } else { 0 })
}

/// Writes text to stdout, for verbs that only print.
pub fn print(text: &[u8]) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_nobody_reads) => ExitCode::from(Kind::BrokenPipe.exit_code()),
    }
}

/// Makes the completions of a command for a shell.
pub fn completions(mut command: Command, shell: clap_complete::Shell) -> Vec<u8> {
    let (name, mut text) = (command.get_name().to_owned(), Vec::new());
    clap_complete::generate(shell, &mut command, name, &mut text);
    text
}

/// Makes the manual page of a command.
pub fn manual(command: Command) -> Vec<u8> {
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = clap_mangen::Man::new(command).render(&mut text);
    text
}

/// Runs a program's work to its end on a runtime of its own.
pub fn run(console: &Console, work: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // Blocked look-ups of a run that was cut short must not hold up its end.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            console.error(&Error::other(format!("no runtime: {error}")));
            ExitCode::from(Kind::Other.exit_code())
        }
    }
}

/// Reports an error, except for the parts that only say that nobody reads any more.
pub fn report(console: &Console, error: &Error) {
    for part in error.parts().filter(|part| part.kind() != Kind::BrokenPipe) {
        console.error(part);
    }
}

/// Orders to stop at the first Ctrl-C or SIGTERM, and returns at the second.
pub async fn signals(stop: &Stop, console: &Console) -> Error {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = || Error::new(Kind::Interrupted, "interrupted");
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        console.warn("signals cannot be handled here: an interruption ends the tool at once");
        return std::future::pending().await;
    };
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    next().await;
    console.say("interrupted", "interrupted: starting nothing new; once more ends at once");
    stop.order(interrupted());
    next().await;
    interrupted()
}

/// Says whether stdin is a pipe: an empty one means that the program before us never ran, an empty file or `/dev/null`
/// that there is none.
pub fn stdin_is_pipe() -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::metadata("/dev/stdin").is_ok_and(|stdin| stdin.file_type().is_fifo())
}
