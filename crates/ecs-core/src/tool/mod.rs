//! The command line that all tools share, and the traits that a tool and its cloud implement.

mod course;

use std::cell::Cell;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, FromArgMatches as _};
use serde_json::Value;

use crate::console::Console;
use crate::diagram;
use crate::error::{Error, Kind, Result};
use crate::program::{self, CHANGES, EXIT_CODES, Files, Flags, report};
use crate::run::{Mode, Run};
use crate::stack::{Stack, load};
use crate::stop::Stop;
use course::Course;

/// How to reach AWS, as the person wants it.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Name of the tool: CloudTrail shows it as `app/NAME` in the user agent of every call
    pub tool: &'static str,
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
    #[command(flatten)]
    flags: Flags,
    /// Take over resources that carry our names but nobody's tags
    #[arg(long, env = "ECS_ADOPT", value_parser = clap::builder::FalseyValueParser::new(), global = true)]
    adopt: bool,
    /// Remove what others have added to the stack's resources
    #[arg(long, env = "ECS_PRUNE", value_parser = clap::builder::FalseyValueParser::new(), global = true)]
    prune: bool,
}

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
    /// Draw the document on stdin, whether it exists or is planned, as a Mermaid flowchart
    Diagram,
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
        Ok(Parsed { verb: Some(Verb::Diagram), common, .. }) => draw(&common.flags.console(T::NAME)),
        Ok(Parsed { common, options, verb }) => {
            let console = common.flags.console(T::NAME);
            program::run(&console, drive::<T>(common, options, verb, &console))
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
    if error.use_stderr() {
        open_and_leave();
    }
    program::refuse(error)
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
    let pretty = |value: Value| format!("{value:#}\n").into_bytes();
    let text = match verb {
        Verb::Policy => pretty(T::policy()),
        Verb::Schema { file: true } => pretty(load::schema()),
        Verb::Schema { file: false } => pretty(T::schema()),
        Verb::Completions { shell } => program::completions(command::<T>(), *shell),
        Verb::Man => program::manual(command::<T>()),
        Verb::Plan { .. } | Verb::Destroy { .. } | Verb::Diagram => Vec::new(),
    };
    program::print(&text)
}

/// Draws the document on stdin.
fn draw(console: &Console) -> ExitCode {
    let stdin = std::io::stdin();
    let drawn = if stdin.is_terminal() {
        Err(Error::usage("there is no document on stdin").hint("give it one: `… diagram < stack.json`"))
    } else {
        std::io::read_to_string(stdin)
            .map_err(|error| Error::other(format!("stdin cannot be read: {error}")))
            .and_then(|document| diagram::mermaid(&document))
    };
    match drawn {
        Ok(picture) => program::print(picture.as_bytes()),
        Err(error) => {
            report(console, &error);
            ExitCode::from(error.exit_code())
        }
    }
}

async fn drive<T: Tool>(common: Common, options: T::Options, verb: Option<Verb>, console: &Console) -> ExitCode {
    let (mode, exit_code, after) = match verb {
        Some(Verb::Plan { exit_code, destroy: false, files }) => (Mode::Plan, exit_code, files),
        Some(Verb::Plan { exit_code, destroy: true, files }) => (Mode::Destroy { plan: true }, exit_code, files),
        Some(Verb::Destroy { files }) => (Mode::Destroy { plan: false }, false, files),
        Some(Verb::Policy | Verb::Schema { .. } | Verb::Diagram | Verb::Completions { .. } | Verb::Man) | None => {
            (Mode::Apply, false, Files::default())
        }
    };
    let files: Vec<PathBuf> = common.files.clone().with(after);
    let stop = Stop::default();
    let course_reported = Cell::new(false);
    let course = Course::<T> { common, files, options, mode, console, stop: &stop, reported: &course_reported };
    let result = tokio::select! {
        result = course.run() => result,
        // Before this branch ends the program at the second signal, it gives the order to stop at the first.
        error = program::signals(&stop, console) => Err(error),
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
