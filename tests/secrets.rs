//! No secret value in any output, argument, environment variable, log or document.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ecs_pipe_tests::{Cloud, TOOLS, python};

/// Prints the database's password, as AWS keeps it.
const PASSWORD: &str = "import boto3; print(boto3.client('ssm').get_parameter(Name='/ecs/backend/DB_PASSWORD', \
                        WithDecryption=True)['Parameter']['Value'], end='')";

#[tokio::test]
async fn the_password_is_nowhere_but_in_the_parameter_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let record = directory.path().join("calls.jsonl");
    let cloud = Cloud::start_with(ecs_local::Options {
        speed: 0.0,
        record: Some(record.clone()),
        ..ecs_local::Options::default()
    })
    .await;
    // `-v` and JSON lines: everything that is ever said.
    let line = TOOLS.map(|tool| format!("{tool} -v --log-format json")).join(" | ");
    let mut shell = cloud.command("bash");
    let output = shell.args(["-c", &format!("set -o pipefail; {line}")]).stdin(std::process::Stdio::null()).output();
    tokio::pin!(output);
    let mut processes = BTreeSet::new();
    let mut calls = 0;
    let output = loop {
        // A look at every process at each call, while the pipe runs.
        tokio::select! {
            output = &mut output => break output.expect("ran"),
            () = cloud.aws().calls_reach(calls + 1) => {
                calls = cloud.aws().calls().len();
                processes.extend(descendants());
            }
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat();
    let planned =
        cloud.shell(&format!("{} 2>&1", TOOLS.map(|tool| format!("{tool} plan -v")).join(" | "))).await.stdout;

    let password = cloud.run(&python().display().to_string(), &["-c", PASSWORD], "").await.ok().stdout;
    assert!(password.len() >= 16, "the password is short");
    assert!(processes.iter().any(|process| process.contains("ecs-db")), "no process was seen");
    let recorded = fs::read_to_string(&record).expect("a record");
    for (place, text) in [("output", said), ("plan", planned), ("record", recorded)] {
        assert!(!text.contains(&password), "the password is in the {place}");
    }
    assert!(
        !processes.iter().any(|process| process.contains(&password)),
        "the password is in a process's memory of /proc"
    );
}

/// Returns the arguments and environment of every process that runs one of the tools.
fn descendants() -> BTreeSet<String> {
    let read =
        |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let Ok(processes) = fs::read_dir("/proc") else { return BTreeSet::new() };
    processes
        .filter_map(|entry| Some(entry.ok()?.path()))
        .map(|path| format!("{} {}", read(&path.join("cmdline")), read(&path.join("environ"))))
        .filter(|text| text.contains("ecs-"))
        .collect()
}
