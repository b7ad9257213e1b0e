//! The moto process: finding a Python, starting it, and its end.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::error::Error;

/// How long a Python may take to import moto; usually 0.3 s, on a cold disk 10 s.
const PATIENCE: Duration = Duration::from_secs(60);

const LAUNCHER: &str = include_str!("moto_launcher.py");

/// A running moto. It ends when this is dropped, and when this process ends in whatever way.
#[derive(Debug)]
pub(crate) struct Moto {
    pub(crate) port: u16,
    child: Child,
    _stdin: Option<ChildStdin>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    Port(u16),
    Error(String),
}

impl Moto {
    /// Starts moto and waits until it listens.
    ///
    /// # Errors
    /// There is no such Python, or it has no moto 5.2.5.
    pub(crate) async fn start(python: &Path) -> Result<Moto, Error> {
        let refused = |why: String| Error::Python { path: python.to_owned(), why };
        let mut command = Command::new(python);
        command
            .args(["-I", "-c", LAUNCHER])
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(kept)))
            .envs([
                ("MOTO_IAM_LOAD_MANAGED_POLICIES", "true"),
                ("MOTO_ACM_VALIDATION_WAIT", "2"),
                // Nothing here starts an instance, and the images take half a second to load.
                ("MOTO_EC2_LOAD_DEFAULT_AMIS", "false"),
                ("MOTO_DISABLE_GLOBAL_CORS", "true"),
                ("AWS_ACCESS_KEY_ID", "testing"),
                ("AWS_SECRET_ACCESS_KEY", "testing"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        // In a process group of its own: a Ctrl-C at the terminal is for the command, which may still need moto to clean up.
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| refused(error.to_string()))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or_else(|| Error::Moto("it has no standard output".to_owned()))?;
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, BufReader::new(stdout).read_line(&mut line))
            .await
            .map_err(|_| Error::Moto(format!("not up after {} s", PATIENCE.as_secs())))?
            .map_err(Error::io("reading from moto"))?;
        match serde_json::from_str(&line) {
            Ok(Said::Port(port)) => Ok(Moto { port, child, _stdin: stdin }),
            Ok(Said::Error(why)) => Err(refused(why)),
            Err(_) => Err(refused("it ended without a word; is it Python 3.10 or newer?".to_owned())),
        }
    }
}

impl Moto {
    /// Ends moto and waits until it is gone.
    pub(crate) async fn stop(mut self) {
        // It is gone already where this fails.
        let _ = self.child.kill().await;
    }
}

/// Finds the Python to use: the one given, the one in `ECS_LOCAL_PYTHON`, else the nearest `.venv`.
///
/// # Errors
/// There is none.
pub(crate) fn find_python(given: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    if let Some(path) = std::env::var_os("ECS_LOCAL_PYTHON").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let here = std::env::current_dir().ok();
    let executable = std::env::current_exe().ok();
    [here, executable]
        .iter()
        .flatten()
        .flat_map(|start| start.ancestors())
        .map(|directory| directory.join(".venv/bin/python3"))
        .find(|python| python.is_file())
        .ok_or(Error::NoPython)
}

/// Whether moto gets a variable of the person's: nothing of AWS, of moto, of Python or of a proxy.
fn kept(name: &str) -> bool {
    matches!(name, "PATH" | "HOME" | "TMPDIR" | "LANG" | "TZ") || name.starts_with("LC_") || name == "LD_LIBRARY_PATH"
}
