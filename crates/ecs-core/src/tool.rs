//! The command line and the course of events that all tools share.

use std::cell::Cell;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::console::{Console, LogFormat, Verbosity, human};
use crate::document::{self, Arrival, End, Event, Inputs, Output};
use crate::error::{Error, Kind, Result};
use crate::run::{Counts, Gate, Mode, Run, Wishes, gate};
use crate::stack::{Stack, check, load};
use crate::stop::Stop;

/// Exit code of a plan with `--exit-code` that found changes.
const CHANGES: u8 = 3;
/// How long a tool that ends in an error waits for its output to be read.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a wait for the tools before this one stays silent, and how often it then says that it lives.
const UPSTREAM: Duration = Duration::from_secs(60);
/// Name of the document's member that describes the whole stack.
const STACK: &str = "stack";

/// How to reach AWS, as the person wants it.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Profile of the AWS configuration
    pub profile: Option<String>,
    /// Region; without it, the configuration's
    pub region: Option<String>,
    /// Endpoint of every service, instead of AWS's own
    pub endpoint_url: Option<String>,
}

/// A way to reach a cloud: what the shared course of events needs to know of it.
#[expect(async_fn_in_trait, reason = "the tools run on one thread and need no Send futures")]
pub trait Cloud: Sized + 'static {
    /// Loads configuration and credentials; makes no call.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    async fn connect(access: &Access) -> Result<Self>;

    /// Returns the region, if the configuration names one.
    fn region(&self) -> Option<&str>;

    /// Asks which account the credentials belong to.
    ///
    /// # Errors
    /// [`Kind::Credentials`] when they are missing or refused.
    async fn account(&self) -> Result<String>;
}

/// One tool: its name, its members and its layer.
#[expect(async_fn_in_trait, reason = "the tools run on one thread and need no Send futures")]
pub trait Tool: 'static {
    /// Name of the program.
    const NAME: &'static str;
    /// What it does, in one line.
    const ABOUT: &'static str;
    /// Examples for `--help`, one command a line.
    const EXAMPLES: &'static str;
    /// The members that it writes.
    const MEMBERS: &'static [&'static str];
    /// The members whose layers stand on this one: a destroy waits until they are `null`.
    const STOOD_ON_BY: &'static [&'static str];
    /// Flags of its own.
    type Options: Args;
    /// How it reaches AWS.
    type Cloud: Cloud;

    /// Returns the least IAM policy that it needs.
    fn policy() -> Value;

    /// Returns the JSON Schema of its members.
    fn schema() -> Value;

    /// Describes the layer, top to bottom.
    ///
    /// # Errors
    /// Whatever stops the layer.
    async fn layer(run: &Run<'_>, cloud: &Self::Cloud, stack: &Stack, options: &Self::Options) -> Result<()>;
}

/// Flags that every tool has.
#[derive(Debug, Clone, Args)]
struct Common {
    #[command(flatten)]
    files: Files,
    /// Use this profile of the AWS configuration
    #[arg(long, env = "ECS_PROFILE", global = true)]
    profile: Option<String>,
    /// Work in this region; the stack file's must be the same
    #[arg(long, env = "ECS_REGION", global = true)]
    region: Option<String>,
    /// Send every call to this URL instead of AWS
    #[arg(long, value_name = "URL", env = "ECS_ENDPOINT_URL", global = true)]
    endpoint_url: Option<String>,
    /// Give up waiting after this long, such as 90s or 30m; AWS goes on
    #[arg(long, value_name = "DURATION", env = "ECS_TIMEOUT", value_parser = humantime::parse_duration, global = true)]
    timeout: Option<Duration>,
    /// Take over resources that carry our names but nobody's tags
    #[arg(long, env = "ECS_ADOPT", value_parser = clap::builder::FalseyValueParser::new(), global = true)]
    adopt: bool,
    /// Remove what others have added to the stack's resources
    #[arg(long, env = "ECS_PRUNE", value_parser = clap::builder::FalseyValueParser::new(), global = true)]
    prune: bool,
    /// Do not read stdin
    #[arg(long, env = "ECS_NO_INPUT", value_parser = clap::builder::FalseyValueParser::new(), global = true)]
    no_input: bool,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", global = true)]
    quiet: bool,
    /// Say what stays as it is, too
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Form of the lines on stderr
    #[arg(long, value_enum, default_value_t, env = "ECS_LOG_FORMAT", global = true)]
    log_format: LogFormat,
}

/// The stack's files. Not a global flag of clap's: one after the verb would silently replace those before it.
#[derive(Debug, Clone, Args)]
struct Files {
    /// Read the stack from FILE (TOML or JSON); later files are merged over earlier ones
    /// [env: ECS_STACK, several separated by `:`]
    #[arg(long, value_name = "FILE")]
    stack: Vec<PathBuf>,
}

/// Name of the variable that stands in for `--stack`.
const STACK_VARIABLE: &str = "ECS_STACK";

/// What to do; without a verb, create or update.
#[derive(Debug, Clone, clap::Subcommand)]
enum Verb {
    /// Say what would change, and change nothing
    Plan {
        /// Exit with 3 when something would change
        #[arg(long)]
        exit_code: bool,
        /// Plan a destroy
        #[arg(long)]
        destroy: bool,
        #[command(flatten)]
        files: Files,
    },
    /// Delete the layer, when those that stand on it are gone
    Destroy {
        #[command(flatten)]
        files: Files,
    },
    /// Print the least IAM policy that this tool needs
    Policy,
    /// Print the JSON Schema of the members that this tool writes, or of the stack file
    Schema {
        /// Print the schema of the stack file
        #[arg(long)]
        file: bool,
    },
    /// Print the completions for a shell
    Completions {
        /// Shell to complete in
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Runs a tool: parses the command line, does what it says, and returns the exit code.
pub fn main<T: Tool>() -> ExitCode {
    let command = command::<T>();
    let matches = match command.try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return refuse(&error),
    };
    match parse::<T>(&matches) {
        Ok(Parsed {
            verb: Some(verb @ (Verb::Policy | Verb::Schema { .. } | Verb::Completions { .. } | Verb::Man)),
            ..
        }) => print::<T>(&verb),
        Ok(Parsed { common, options, verb }) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let console = common.console(T::NAME);
            match runtime {
                Ok(runtime) => {
                    let code = runtime.block_on(drive::<T>(common, options, verb, &console));
                    // Blocked look-ups of a run that was cut short must not hold up its end.
                    runtime.shutdown_background();
                    code
                }
                Err(error) => {
                    console.error(&Error::other(format!("no runtime: {error}")));
                    ExitCode::from(1)
                }
            }
        }
        Err(error) => refuse(&error),
    }
}

struct Parsed<O> {
    common: Common,
    options: O,
    verb: Option<Verb>,
}

fn command<T: Tool>() -> Command {
    let command = Command::new(T::NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about(T::ABOUT)
        .after_help(format!("Examples:\n{}\n\n{EXIT_CODES}", T::EXAMPLES))
        .subcommand_required(false)
        .disable_help_subcommand(true);
    let command = T::Options::augment_args(Common::augment_args(command));
    <Verb as clap::Subcommand>::augment_subcommands(command)
}

const EXIT_CODES: &str = "Exit codes:
  0 done, 1 failed, 2 bad command line, stack file or document, 3 plan --exit-code found changes,
  4 deployment rolled back, 5 timed out and still going on, 7 the input ended too early,
  8 credentials missing, refused, or for another account or region, 130 interrupted,
  141 nobody reads the output any more";

fn parse<T: Tool>(matches: &ArgMatches) -> std::result::Result<Parsed<T::Options>, clap::Error> {
    let verb = match matches.subcommand() {
        Some(_) => Some(<Verb as clap::FromArgMatches>::from_arg_matches(matches)?),
        None => None,
    };
    // A flag after the verb is a flag all the same: clap hands global arguments up, except for the tool's own.
    let options = T::Options::from_arg_matches(matches)?;
    Ok(Parsed { common: Common::from_arg_matches(matches)?, options, verb })
}

/// Reports a bad command line, or shows the help that was asked for.
fn refuse(error: &clap::Error) -> ExitCode {
    let failed = error.use_stderr();
    if failed {
        open_and_leave();
    }
    // A terminal that is gone cannot be told so.
    let _ = error.print();
    ExitCode::from(if failed { Kind::Usage.exit_code() } else { 0 })
}

/// Starts a document that is never closed, so that the next tool in the pipe knows that this one failed.
fn open_and_leave() {
    let mut stdout = std::io::stdout();
    if !stdout.is_terminal() {
        // A reader that is gone knows already.
        let _ = stdout.write_all(b"{").and_then(|()| stdout.flush());
    }
}

fn print<T: Tool>(verb: &Verb) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    let pretty = |value: Value| format!("{value:#}\n").into_bytes();
    let text = match verb {
        Verb::Policy => pretty(T::policy()),
        Verb::Schema { file: true } => pretty(load::schema()),
        Verb::Schema { file: false } => pretty(T::schema()),
        Verb::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut command::<T>(), T::NAME, &mut text);
            text
        }
        Verb::Man => {
            let mut text = Vec::new();
            // Writing to memory does not fail.
            let _ = clap_mangen::Man::new(command::<T>()).render(&mut text);
            text
        }
        Verb::Plan { .. } | Verb::Destroy { .. } => Vec::new(),
    };
    match stdout.write_all(&text).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_nobody_reads) => ExitCode::from(Kind::BrokenPipe.exit_code()),
    }
}

impl Common {
    fn console(&self, tool: &'static str) -> Console {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        Console::new(tool, verbosity, self.log_format)
    }
}

async fn drive<T: Tool>(mut common: Common, options: T::Options, verb: Option<Verb>, console: &Console) -> ExitCode {
    let (mode, exit_code, files) = match verb {
        Some(Verb::Plan { exit_code, destroy: false, files }) => (Mode::Plan, exit_code, files.stack),
        Some(Verb::Plan { exit_code, destroy: true, files }) => (Mode::Destroy { plan: true }, exit_code, files.stack),
        Some(Verb::Destroy { files }) => (Mode::Destroy { plan: false }, false, files.stack),
        Some(Verb::Policy | Verb::Schema { .. } | Verb::Completions { .. } | Verb::Man) | None => {
            (Mode::Apply, false, Vec::new())
        }
    };
    common.files.stack.extend(files);
    if common.files.stack.is_empty() {
        let variable = std::env::var_os(STACK_VARIABLE).filter(|value| !value.is_empty());
        common.files.stack = variable.iter().flat_map(std::env::split_paths).collect();
    }
    let stop = Stop::default();
    let course_reported = Cell::new(false);
    let course = Course::<T> { common, options, mode, console, stop: &stop, reported: &course_reported };
    let result = tokio::select! {
        result = course.run() => result,
        // Before this branch ends the program at the second signal, it gives the order to stop at the first.
        error = signals(&stop, console) => Err(error),
    };
    // A call that an interruption cut short may end in an error of its own.
    let interrupted = stop.check().is_err_and(|reason| reason.kind() == Kind::Interrupted);
    match result {
        Ok(counts) if exit_code && counts.any() => ExitCode::from(CHANGES),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            if !course_reported.get() {
                report(console, &error);
            }
            ExitCode::from(if interrupted { Kind::Interrupted.exit_code() } else { error.exit_code() })
        }
    }
}

/// Reports an error, except for the parts that only say that nobody reads any more.
fn report(console: &Console, error: &Error) {
    for part in error.parts().filter(|part| part.kind() != Kind::BrokenPipe) {
        console.error(part);
    }
}

/// Orders to stop at the first Ctrl-C or SIGTERM, and returns at the second.
async fn signals(stop: &Stop, console: &Console) -> Error {
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

/// One run of a tool from its first byte to its last.
struct Course<'c, T: Tool> {
    common: Common,
    options: T::Options,
    mode: Mode,
    console: &'c Console,
    stop: &'c Stop,
    /// Whether the error that the run ends with has been told already
    reported: &'c Cell<bool>,
}

/// The stack, where it came from, and the cloud that it is in.
struct Ground<C> {
    stack: Stack,
    /// Whether the document still lacks its `stack` member
    ours: bool,
    cloud: Rc<C>,
}

impl<T: Tool> Course<'_, T> {
    async fn run(&self) -> Result<Counts> {
        let begin = Instant::now();
        let output = Output::open(std::io::stdout())?;
        let stack = self.stack_from_files()?;
        let inputs = Inputs::default();
        let events = self.start_input(&inputs)?;
        let limit = async {
            match self.common.timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        let layer = async {
            let result = self.work(stack.clone(), &inputs, &output, begin).await;
            // Told at once; but the other layers' work goes on, and their members through, until the input ends.
            if let Err(error) = &result {
                report(self.console, error);
                self.reported.set(true);
            }
            result
        };
        let work = async { tokio::join!(self.forward(events, stack.as_ref(), &inputs, &output), layer) };
        tokio::pin!(work);
        tokio::pin!(limit);
        let ((), result) = loop {
            tokio::select! {
                done = &mut work => break done,
                error = output.broken(), if self.stop.check().is_ok() => self.stop.order(error),
                () = &mut limit, if self.stop.check().is_ok() => {
                    let waited = self.common.timeout.map(human).unwrap_or_default();
                    self.stop.order(
                        Error::new(Kind::TimedOut, format!("not done after {waited}"))
                            .hint("what AWS was asked for goes on; run the same line again to continue"),
                    );
                }
            }
        };
        // Whatever came first, stdout has everything that was written before the tool ends.
        let counts = match result {
            Ok(counts) => counts,
            Err(error) => {
                // The reader of an unfinished document hears of it by its end alone; one that does not read at all must
                // not keep the tool from ending.
                let _ = tokio::time::timeout(LAST_WORDS, output.flushed()).await;
                return Err(error);
            }
        };
        output.close().await?;
        Ok(counts)
    }

    fn stack_from_files(&self) -> Result<Option<Stack>> {
        let files = &self.common.files.stack;
        if files.is_empty() { Ok(None) } else { load::load(files).map(Some) }
    }

    /// Starts reading stdin, unless there is nothing upstream.
    fn start_input(&self, inputs: &Inputs) -> Result<Option<mpsc::UnboundedReceiver<Event>>> {
        let stdin = std::io::stdin();
        if self.common.no_input || stdin.is_terminal() {
            inputs.end(End::Nothing);
            return Ok(None);
        }
        document::read(stdin).map(Some)
    }

    /// Forwards what arrives, and hands it to whoever waits for it.
    async fn forward(
        &self,
        events: Option<mpsc::UnboundedReceiver<Event>>,
        stack: Option<&Stack>,
        inputs: &Inputs,
        output: &Output,
    ) {
        let Some(mut events) = events else { return };
        // An order to stop ends the wait for the tools before us, which hear the same signal.
        while let Ok(Some(event)) = self.stop.or(events.recv()).await {
            match event {
                Event::Member(name, value) => {
                    let replaced = T::MEMBERS.contains(&name.as_str()) || (name == STACK && stack.is_some());
                    if !replaced {
                        output.forward(&name, &value);
                    }
                    inputs.arrive(&name, value);
                }
                Event::End(End::Nothing) if self.needs_a_word(stack) && stdin_is_pipe() => inputs.end(End::Failed(
                    Error::new(Kind::Truncated, "stdin is an empty pipe: the program before this one never ran")
                        .hint("give --no-input if there is nothing before it"),
                )),
                Event::End(end) => inputs.end(end),
            }
        }
    }

    /// Says whether an empty pipe is too little to act upon: without a stack it would be the default one, and a destroy
    /// must not begin while what stands on the layer may be there.
    fn needs_a_word(&self, stack: Option<&Stack>) -> bool {
        stack.is_none() || matches!(self.mode, Mode::Destroy { .. })
    }

    async fn work(&self, stack: Option<Stack>, inputs: &Inputs, output: &Output, begin: Instant) -> Result<Counts> {
        let ground = self.ground(stack, inputs).await?;
        if ground.ours {
            output.hold();
        }
        let gate = self.gate(&ground);
        let wishes = Wishes { adopt: self.common.adopt, prune: self.common.prune };
        let run = Run::new(self.mode, wishes, self.console, (inputs, output), self.stop, gate.clone());
        let announce = async {
            if !run.begins().await {
                return Ok(());
            }
            let account = gate.clone().await;
            if let Err(error) = &account {
                // Nothing that the layer still waits for can make this right.
                self.stop.order(error.clone());
            }
            let account = account?;
            if ground.ours {
                output.release(STACK, &Stack { account: Some(account), ..ground.stack.clone() })?;
            }
            Ok(())
        };
        let layer = async {
            let result = self.layer(&run, &ground, output).await;
            // A layer with nothing to make, such as no database, is about an account all the same.
            run.begin(result.is_ok());
            (result, begin.elapsed())
        };
        let (announced, (layer, took)) = tokio::join!(announce, layer);
        // Without the right account everything else that failed is a consequence.
        announced?;
        if let Err(error) = layer {
            return Err(self.explain(&run, error));
        }
        let waiting = self.while_waiting("the end of the input", inputs.ended());
        match self.stop.or(waiting).await.and_then(|end| end) {
            Ok(End::Failed(error)) | Err(error) => return Err(self.explain(&run, error)),
            Ok(End::Closed | End::Nothing) => {}
        }
        self.summary(run.counts(), took);
        Ok(run.counts())
    }

    async fn layer(&self, run: &Run<'_>, ground: &Ground<T::Cloud>, output: &Output) -> Result<()> {
        Box::pin(T::layer(run, &ground.cloud, &ground.stack, &self.options)).await?;
        if let Mode::Destroy { plan } = self.mode {
            if !plan {
                run.wait_until_gone(T::STOOD_ON_BY).await?;
            }
            run.delete_found().await?;
            for name in T::MEMBERS {
                output.member(name, &())?;
            }
        }
        Ok(())
    }

    /// Finds out which stack it is about, and where.
    async fn ground(&self, given: Option<Stack>, inputs: &Inputs) -> Result<Ground<T::Cloud>> {
        let arrived = match &given {
            // The tools write it first; a document made by hand may do without.
            Some(_) => {
                self.stop.or(self.while_waiting("the input", inputs.anything())).await??;
                inputs.arrived(STACK)
            }
            None => match self.stop.or(self.while_waiting("the stack", inputs.member(STACK))).await?? {
                Arrival::Here(raw) => Some(raw),
                Arrival::Absent => None,
            },
        };
        let ours = given.is_some() || arrived.is_none();
        let mut stack = match (given, arrived) {
            (Some(stack), None) => stack,
            (Some(stack), Some(raw)) => same_stack(stack, &raw)?,
            (None, Some(raw)) => {
                let stack: Stack = serde_json::from_str(raw.get()).map_err(|error| {
                    Error::usage(format!("the document's member `stack` has the wrong shape: {error}"))
                })?;
                check::check_all(&stack)?;
                stack
            }
            (None, None) => Stack::default(),
        };
        let flag = self.common.region.as_deref();
        if let (Some(flag), Some(region)) = (flag, stack.region.as_deref())
            && flag != region
        {
            let message = format!("the stack is in {region}, but the region asked for is {flag}");
            return Err(Error::new(Kind::Credentials, message)
                .hint("leave out --region, or take the stack file of that region"));
        }
        let access = Access {
            profile: self.common.profile.clone(),
            region: stack.region.clone().or(flag.map(str::to_owned)),
            endpoint_url: self.common.endpoint_url.clone(),
        };
        let cloud = T::Cloud::connect(&access).await?;
        // The tutorial stack, which is the default, lives in us-east-1.
        let region = cloud.region().unwrap_or("us-east-1").to_owned();
        stack.region = Some(region);
        check::check_all(&stack)?;
        Ok(Ground { stack, ours, cloud: Rc::new(cloud) })
    }

    /// Awaits something that the tools before this one bring, and says now and then that it is waited for.
    async fn while_waiting<O>(&self, what: &str, work: impl Future<Output = O>) -> O {
        let begin = Instant::now();
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(UPSTREAM) => {
                    let waited = human(begin.elapsed());
                    self.console.say("waiting", &format!("waiting for {what} on stdin for {waited}; --no-input if nothing comes"));
                }
            }
        }
    }

    /// Starts the identity check, which everything that changes something waits for.
    fn gate(&self, ground: &Ground<T::Cloud>) -> Gate {
        let cloud = Rc::clone(&ground.cloud);
        let expected = ground.stack.account.clone();
        gate(async move {
            let account = cloud.account().await?;
            match expected {
                Some(expected) if expected != account => Err(Error::new(
                    Kind::Credentials,
                    format!("the stack belongs to account {expected}, but the credentials are for account {account}"),
                )
                .hint("choose the right profile with --profile; nothing has been changed")),
                _ => Ok(account),
            }
        })
    }

    /// Adds what a run that failed has made, and that running again continues.
    fn explain(&self, run: &Run<'_>, error: Error) -> Error {
        let created = run.created();
        if created.is_empty() {
            return error;
        }
        let error = created.into_iter().fold(error, Error::left_behind);
        error.hint(format!(
            "running {} again continues from here; `{} destroy` removes what is there",
            T::NAME,
            T::NAME
        ))
    }

    /// Says what was done, and how long after the start the layer was ready; the input may have taken longer.
    fn summary(&self, counts: Counts, took: Duration) {
        let Counts { create, change, delete, keep } = counts;
        let took = human(took);
        match self.mode {
            Mode::Apply if !counts.any() => {
                self.console.say("done", &format!("nothing to change: {keep} resources as they should be, {took}"))
            }
            Mode::Apply => {
                self.console.say("done", &format!("done: {create} created, {change} changed, {keep} kept, {took}"))
            }
            Mode::Plan if !counts.any() => {
                self.console.say("done", &format!("plan: nothing to change, {keep} resources as they should be"))
            }
            Mode::Plan => {
                self.console.say("done", &format!("plan: {create} to create, {change} to change, {keep} to keep"))
            }
            Mode::Destroy { plan: true } => self.console.say("done", &format!("plan: {delete} to delete")),
            Mode::Destroy { plan: false } => self.console.say("done", &format!("done: {delete} deleted, {took}")),
        }
    }
}

/// Checks that a document is about the same stack, account and region as a stack file; takes over what the file leaves
/// open.
fn same_stack(mut stack: Stack, raw: &RawValue) -> Result<Stack> {
    #[derive(serde::Deserialize)]
    struct Place {
        name: Option<String>,
        account: Option<String>,
        region: Option<String>,
    }
    let place: Place = serde_json::from_str(raw.get())
        .map_err(|error| Error::usage(format!("the document's member `stack` has the wrong shape: {error}")))?;
    if let Some(name) = place.name.filter(|name| *name != stack.name) {
        return Err(Error::usage(format!(
            "the document is about the stack `{name}`, the stack file about `{}`",
            stack.name
        ))
        .hint("take the document that belongs to the file, or leave out --stack"));
    }
    let both = [("account", &mut stack.account, place.account), ("region", &mut stack.region, place.region)];
    for (what, own, theirs) in both {
        match (own.as_deref(), theirs) {
            (Some(own), Some(theirs)) if own != theirs => {
                let message = format!("the document is about {what} {theirs}, the stack file about {what} {own}");
                return Err(Error::new(Kind::Credentials, message).hint("take the document that belongs to the file"));
            }
            (None, theirs @ Some(_)) => *own = theirs,
            (_, _) => {}
        }
    }
    Ok(stack)
}

/// Says whether stdin is a pipe: an empty one means that the program before us never ran, an empty file or `/dev/null`
/// that there is none.
fn stdin_is_pipe() -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::metadata("/dev/stdin").is_ok_and(|stdin| stdin.file_type().is_fifo())
}
