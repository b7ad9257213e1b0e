//! Runs the shipped programs against a local AWS, and reads AWS's side with boto3, which shares no code with them.

pub mod policy;
mod reader;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use ecs_local::{Call, LocalAws, Options};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use crate::reader::Reader;

/// The tools in the order of the pipe.
pub const TOOLS: [&str; 7] = ["ecs-net", "ecs-sg", "ecs-iam", "ecs-ecr", "ecs-db", "ecs-alb", "ecs-svc"];

/// Every program that calls AWS: what it calls must be what its `policy` allows.
pub const PROGRAMS: [&str; 8] =
    ["ecs-net", "ecs-sg", "ecs-iam", "ecs-ecr", "ecs-db", "ecs-alb", "ecs-svc", "ecs-deploy"];

/// The tools in the order of a destroy.
pub const BACKWARDS: [&str; 7] = ["ecs-svc", "ecs-alb", "ecs-db", "ecs-ecr", "ecs-iam", "ecs-sg", "ecs-net"];

/// What a program left behind.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; 128 and the signal's number when a signal ended it
    pub code: i32,
    /// What it wrote on stdout
    pub stdout: String,
    /// What it wrote on stderr
    pub stderr: String,
}

impl Outcome {
    /// Returns stdout as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns itself when the program ended well.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }
}

/// A local AWS for one test.
///
/// When it goes, every call that was made must have been one that the caller's own `policy` allows.
#[derive(Debug)]
pub struct Cloud {
    aws: LocalAws,
    /// Tools and the actions that they used
    used: Mutex<BTreeSet<(String, String)>>,
    /// Started when it is asked for the first time
    reader: tokio::sync::Mutex<Option<Reader>>,
}

impl Cloud {
    /// Starts a local AWS in which nothing takes time.
    ///
    /// # Panics
    /// When it does not start, such as for want of moto: `scripts/test.sh` installs it.
    pub async fn start() -> Self {
        Self::start_with(Options { speed: 0.0, ..Options::default() }).await
    }

    /// Starts a local AWS.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(options: Options) -> Self {
        let aws = LocalAws::start(options).await.unwrap_or_else(|error| panic!("no local AWS: {error}"));
        Self { aws, used: Mutex::default(), reader: tokio::sync::Mutex::default() }
    }

    /// Returns the local AWS itself.
    pub fn aws(&self) -> &LocalAws {
        &self.aws
    }

    /// Makes a command that can reach nothing but this local AWS.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        self.aws.environment().apply(command.as_std_mut());
        for name in std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("ECS_")) {
            command.env_remove(name);
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", programs().display()));
        command.env("ECS_PIPE_BIN", programs()).current_dir(root()).kill_on_drop(true);
        command
    }

    /// Runs a program with the given stdin to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn run(&self, program: &str, arguments: &[&str], stdin: &str) -> Outcome {
        finish(self.command(program).args(arguments), stdin).await
    }

    /// Runs a line of shell, `pipefail` on, to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn shell(&self, line: &str) -> Outcome {
        finish(self.command("bash").args(["-c", &format!("set -o pipefail; {line}")]).stdin(Stdio::null()), "").await
    }

    /// Runs the tools as a pipe, each with the same verb; the first one gets further arguments.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn pipe(&self, tools: &[&str], verb: &str, first: &str) -> Outcome {
        let (head, rest) = tools.split_first().expect("a tool");
        let rest: String = rest.iter().map(|tool| format!(" | {tool} {verb}")).collect();
        self.shell(&format!("{head} {verb} {first} < /dev/null{rest}")).await
    }

    /// Starts the tools as a pipe, each one's process at hand; the first one gets the arguments after the verb.
    ///
    /// What they say goes where `stderr` leads; what the last one prints, nowhere.
    ///
    /// # Panics
    /// When one cannot be started.
    pub fn start_pipe(&self, tools: &[&str], verb: &str, first: &str, stderr: impl Fn() -> Stdio) -> Vec<Child> {
        let mut stdin = Stdio::null();
        let mut children = Vec::new();
        for (index, tool) in tools.iter().enumerate() {
            let last = index + 1 == tools.len();
            let mut command = self.command(tool);
            command.args(verb.split_whitespace());
            if index == 0 {
                command.args(first.split_whitespace());
            }
            command.stdin(stdin).stdout(if last { Stdio::null() } else { Stdio::piped() }).stderr(stderr());
            let mut child = command.spawn().unwrap_or_else(|error| panic!("{tool}: {error}"));
            stdin = match child.stdout.take() {
                Some(stdout) => stdout.try_into().expect("a pipe"),
                None => Stdio::null(),
            };
            children.push(child);
        }
        children
    }

    /// Makes one call as another person would, and returns the answer.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn boto(&self, service: &str, call: &str, with: Value) -> Value {
        let script = root().join("tests/boto.py").display().to_string();
        let request = json!({"service": service, "call": call, "with": with}).to_string();
        let answer = self.run(&python().display().to_string(), &[&script], &format!("{request}\n")).await.ok();
        serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {}", answer.stdout))
    }

    /// Runs a command line of the independent reader: a verb and its flags.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn reader(&self, line: &str) -> Outcome {
        let mut reader = self.reader.lock().await;
        reader.get_or_insert_with(|| Reader::start(self.command(python()))).run(line).await
    }

    /// Runs a few lines of Python with boto3, as a person would change something by hand, and returns what they print.
    ///
    /// # Panics
    /// When they fail.
    pub async fn by_hand(&self, lines: &str) -> String {
        let script = format!("import boto3\n{lines}");
        let outcome = finish(self.command(python()).args(["-c", &script]).stdin(Stdio::null()), "").await.ok();
        outcome.stdout.trim().to_owned()
    }

    /// Returns everything that exists, without volatile ids.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn inventory(&self) -> Value {
        self.reader("inventory").await.ok().json()
    }

    /// Checks that nothing carries a stack's tag any more; `flags` say which stack, of which region.
    ///
    /// # Panics
    /// When something does: with its name.
    pub async fn assert_nothing_left(&self, flags: &str) {
        let left = self.reader(&format!("tagged {flags}")).await;
        assert_eq!((left.code, left.stdout.as_str()), (0, ""), "left behind: {}{}", left.stdout, left.stderr);
    }

    /// Checks that one more run of the tools writes nothing, and that a plan finds nothing to do.
    ///
    /// # Panics
    /// When that is not so.
    pub async fn assert_settled(&self, tools: &[&str], arguments: &str, when: &str) {
        self.take_calls();
        let again = self.pipe(tools, "", arguments).await.ok();
        assert_eq!(self.take_writes(), [""; 0], "{when}: {}", again.stderr);
        let plan = self.pipe(tools, "plan --exit-code", arguments).await;
        assert_eq!((plan.code, self.take_writes()), (0, Vec::new()), "{when}: {}", plan.stderr);
    }

    /// Checks that what exists is what another inventory says.
    ///
    /// # Panics
    /// When it is not: with the lines that differ.
    pub async fn assert_is(&self, clean: &Value, when: &str) {
        let found = self.inventory().await;
        let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
        assert!(found == *clean, "{when}: another stack\n{}", difference(&pretty(clean), &pretty(&found)));
    }

    /// Returns the calls so far that changed something, and forgets all calls.
    pub fn take_writes(&self) -> Vec<String> {
        let calls = self.take_calls();
        calls.iter().filter(|call| !is_read(call)).map(|call| format!("{}:{}", call.service, call.operation)).collect()
    }

    /// Returns the calls so far, and forgets them.
    pub fn take_calls(&self) -> Vec<Call> {
        let calls = self.aws.calls();
        self.aws.clear_calls();
        let ours = calls.iter().filter(|call| PROGRAMS.contains(&call.tool.as_str()));
        let ours = ours.map(|call| (call.tool.clone(), policy::action(call)));
        self.used.lock().unwrap_or_else(PoisonError::into_inner).extend(ours);
        calls
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.take_calls();
        if !std::thread::panicking() {
            let used = std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner));
            policy::check(&used);
        }
    }
}

/// Writes an overlay for a stack file: it is there for as long as what is returned.
///
/// # Panics
/// When it cannot be written.
pub fn overlay(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".toml").expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

/// Returns the item of a list that has a member of this value; null where there is none.
///
/// # Panics
/// When it is no list.
pub fn item<'i>(list: &'i Value, member: &str, value: &str) -> &'i Value {
    let items = list.as_array().unwrap_or_else(|| panic!("{member}: {list}"));
    items.iter().find(|item| item[member] == value).unwrap_or(&Value::Null)
}

/// Says whether a call only reads: AWS names all of those alike.
fn is_read(call: &Call) -> bool {
    ["BatchGet", "Describe", "Get", "List", "Simulate"].iter().any(|prefix| call.operation.starts_with(prefix))
}

async fn finish(command: &mut Command, stdin: &str) -> Outcome {
    let name = format!("{command:?}");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if !stdin.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
    let pipe = child.stdin.take();
    let feed = async {
        if let Some(mut pipe) = pipe {
            // A program that refuses its input does not read all of it.
            let _ = pipe.write_all(stdin.as_bytes()).await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}"));
    Outcome {
        code: code(output.status),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Returns an exit code as a shell reports it.
pub fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Returns the lines that only one of two texts has, 40 at most.
pub fn difference(wanted: &str, found: &str) -> String {
    let only = |sign: &'static str, these: &str, those: &str| -> Vec<String> {
        let those: Vec<String> = those.lines().map(str::to_owned).collect();
        these
            .lines()
            .filter(|line| !those.iter().any(|other| other == line))
            .map(|line| format!("{sign} {line}"))
            .collect()
    };
    let mut lines = only("-", wanted, found);
    lines.extend(only("+", found, wanted));
    lines.truncate(40);
    lines.join("\n")
}

/// Returns the project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Returns the directory of the programs: tests are built beside it.
///
/// # Panics
/// When the programs are not built.
pub fn programs() -> PathBuf {
    let own = std::env::current_exe().expect("a program");
    // A test is target/PROFILE/deps/TEST, a program target/PROFILE/PROGRAM.
    let directory =
        own.ancestors().skip(1).find(|directory| !directory.ends_with("deps")).expect("a directory").to_owned();
    assert!(directory.join("ecs-svc").exists(), "the programs are not built: cargo build --workspace --bins");
    directory
}

/// Returns the Python that has boto3.
pub fn python() -> PathBuf {
    std::env::var_os("ECS_LOCAL_PYTHON").map_or_else(|| root().join(".venv/bin/python3"), PathBuf::from)
}
