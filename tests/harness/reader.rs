//! The independent reader of AWS's side: `tests/reader.py`.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::{Outcome, root};

/// A reader that stays: to start one takes longer than a run of the pipe.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Killed when it is dropped
    _process: Child,
    questions: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Reader {
    /// Starts one with a Python that has boto3.
    pub(crate) fn start(mut python: Command) -> Self {
        python.arg(root().join("tests/reader.py")).arg("serve");
        let mut process = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a reader");
        let questions = process.stdin.take().expect("its stdin");
        let answers = BufReader::new(process.stdout.take().expect("its stdout")).lines();
        Self { _process: process, questions, answers }
    }

    /// Runs a command line, a verb and its flags.
    pub(crate) async fn run(&mut self, line: &str) -> Outcome {
        self.questions.write_all(format!("{line}\n").as_bytes()).await.expect("a question");
        let answer = self.answers.next_line().await.expect("readable").expect("an answer");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        let text = |key: &str| answer[key].as_str().expect("a text").to_owned();
        let code = answer["code"].as_i64().and_then(|code| code.try_into().ok()).expect("an exit code");
        Outcome { code, stdout: text("stdout"), stderr: text("stderr") }
    }
}
