//! The ground that cases are tried on: a local AWS, the pipe, and an independent reader of what came of it.

use std::fs::File;
use std::process::Stdio;

use ecs_local::Weather;
use ecs_local::weather::When;
use ecs_pipe_tests::{BACKWARDS, Cloud, TOOLS, code, difference};
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

use crate::case::{Case, Fault, Verdict};

const TUTORIAL: &str = "--stack tests/stacks/tutorial.toml";

/// A local AWS, and what the tools have said to it.
#[derive(Debug)]
pub struct Ground {
    cloud: Cloud,
    /// What the tools said last.
    said: NamedTempFile,
}

/// A run that has met its fault, or has ended without.
struct Met {
    codes: Vec<i32>,
    fault: bool,
}

impl Ground {
    /// Starts a local AWS in which nothing takes time.
    pub async fn start() -> Self {
        Self { cloud: Cloud::start().await, said: NamedTempFile::new().expect("a temporary file") }
    }

    /// Creates and destroys once; returns the stack, and the calls of both runs.
    pub async fn clean_run(self: Ground) -> (String, Vec<String>, Vec<String>) {
        self.create_cleanly().await;
        let creates = self.calls();
        let clean = self.cloud.reader("inventory").await.ok().stdout;
        self.cloud.take_calls();
        self.cloud.pipe(&BACKWARDS, "destroy", TUTORIAL).await.ok();
        (clean, creates, self.calls())
    }

    /// Returns what the tools said in the last run.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.said.path()).unwrap_or_else(|error| error.to_string())
    }

    /// Forgets everything.
    pub async fn reset(&self) {
        self.cloud.aws().set_weather(Weather::default());
        self.cloud.aws().clear_holds();
        self.cloud.aws().reset().await.expect("a reset");
        self.cloud.take_calls();
    }

    /// Creates the stack on a fine day.
    pub async fn create_cleanly(&self) {
        self.cloud.pipe(&TOOLS, "", TUTORIAL).await.ok();
    }

    /// Creates with a fault, then on a fine day; the stack must be the clean one.
    pub async fn create(&mut self, case: &Case, clean: &str) -> Verdict {
        let (came_through, failure) = match self.meet(case, &TOOLS, "").await {
            Err(why) => (false, Some(why)),
            Ok(came_through) => {
                let again = self.cloud.pipe(&TOOLS, "", TUTORIAL).await;
                let failure = if again.code == 0 {
                    let stack = self.cloud.reader("inventory").await.stdout;
                    (stack != clean).then(|| format!("another stack:\n{}", difference(clean, &stack)))
                } else {
                    Some(format!("running again exits {}: {}", again.code, again.stderr))
                };
                (came_through, failure)
            }
        };
        let failure = failure.map(|why| format!("{why}\nwith the fault it said:\n{}", self.said()));
        Verdict { case: case.clone(), came_through, failure }
    }

    /// Destroys with a fault, then on a fine day; nothing may be left.
    pub async fn destroy(&mut self, case: &Case) -> Verdict {
        let (came_through, failure) = match self.meet(case, &BACKWARDS, "destroy").await {
            Err(why) => (false, Some(why)),
            Ok(came_through) => {
                let again = self.cloud.pipe(&BACKWARDS, "destroy", TUTORIAL).await;
                let failure = if again.code == 0 {
                    let left = self.cloud.reader("tagged").await;
                    (left.code != 0).then(|| format!("left behind:\n{}{}", left.stdout, left.stderr))
                } else {
                    Some(format!("running again exits {}: {}", again.code, again.stderr))
                };
                (came_through, failure)
            }
        };
        let failure = failure.map(|why| format!("{why}\nwith the fault it said:\n{}", self.said()));
        Verdict { case: case.clone(), came_through, failure }
    }

    /// Runs the pipe into the fault; says whether it came through, or what is wrong with how it ended.
    async fn meet(&mut self, case: &Case, tools: &[&str], verb: &str) -> Result<bool, String> {
        self.cloud.take_calls();
        self.said = NamedTempFile::new().map_err(|error| error.to_string())?;
        let said = self.said.path().to_owned();
        let stderr = || File::options().append(true).open(&said).map_or_else(|_| Stdio::null(), Stdio::from);
        let met = match case.fault {
            Fault::KilledBefore | Fault::Interrupted => self.signal(case, When::Before, tools, verb, stderr).await,
            Fault::KilledAfter => self.signal(case, When::After, tools, verb, stderr).await,
            Fault::Lost | Fault::Cut | Fault::Error500 | Fault::Throttled | Fault::Reset => {
                self.cloud.aws().set_weather(case.weather());
                let mut children = self.cloud.start_pipe(tools, verb, TUTORIAL, stderr);
                let codes = ended(&mut children).await;
                self.cloud.aws().set_weather(Weather::default());
                let fault = self.cloud.aws().calls().iter().any(|call| !call.weather.is_empty());
                Met { codes, fault }
            }
        };
        self.cloud.aws().clear_holds();
        if !met.fault {
            return Err(format!("the call was not made: exit codes {:?}", met.codes));
        }
        // 1 and 7 are what the tools have for such a day; 137 is the kill; 141 a pipe whose reader was killed.
        let usual: &[i32] = match case.fault {
            // A tool may see the end of its input, or of its reader, before the signal.
            Fault::Interrupted => &[0, 7, 130, 141],
            Fault::KilledBefore | Fault::KilledAfter => &[0, 1, 7, 137, 141],
            Fault::Lost | Fault::Cut | Fault::Error500 | Fault::Throttled | Fault::Reset => &[0, 1, 7],
        };
        let unheard = case.fault == Fault::Interrupted && !met.codes.contains(&130);
        if unheard || met.codes.iter().any(|code| !usual.contains(code)) {
            return Err(format!("exit codes {:?}", met.codes));
        }
        Ok(met.codes.iter().all(|&code| code == 0))
    }

    /// Starts the pipe, and sends a signal at the call: Ctrl-C to the whole pipe, as a terminal does; SIGKILL to the tool that made
    /// the call, or every second time to the whole pipe.
    async fn signal(&self, case: &Case, when: When, tools: &[&str], verb: &str, stderr: impl Fn() -> Stdio) -> Met {
        let mut hold = self.cloud.aws().hold(&case.call, case.after, when);
        let mut children = self.cloud.start_pipe(tools, verb, TUTORIAL, stderr);
        let call = tokio::select! {
            call = hold.reached() => call,
            codes = ended(&mut children) => return Met { codes, fault: false },
        };
        let Some(call) = call else { return Met { codes: ended(&mut children).await, fault: false } };
        if case.fault == Fault::Interrupted {
            let running: Vec<String> = children.iter().filter_map(Child::id).map(|id| id.to_string()).collect();
            // One that has ended cannot be interrupted any more, and `kill` then says so.
            let _ = Command::new("kill").arg("-INT").args(running).stderr(Stdio::null()).status().await;
            hold.release();
        } else {
            for (tool, child) in tools.iter().zip(&mut children) {
                if case.after % 2 == 1 || *tool == call.tool {
                    let _ = child.start_kill();
                }
            }
            hold.discard();
        }
        Met { codes: ended(&mut children).await, fault: true }
    }

    fn calls(&self) -> Vec<String> {
        self.cloud.take_calls().iter().map(|call| format!("{}:{}", call.service, call.operation)).collect()
    }
}

async fn ended(children: &mut [Child]) -> Vec<i32> {
    let mut codes = Vec::new();
    for child in children {
        codes.push(code(child.wait().await.expect("ended")));
    }
    codes
}
