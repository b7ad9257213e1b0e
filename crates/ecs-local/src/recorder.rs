//! Keeps what was called, in memory and as JSON lines in a file.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::error::Error;

/// One call to the local AWS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The service's signing name: "ec2", "elasticloadbalancing".
    pub service: String,
    /// The operation: "CreateVpc".
    pub operation: String,
    /// The names or ids that the call is about, joined by commas; never a secret's value.
    pub resource: String,
    /// The tool that called, as its SDK names the application; empty where it names none.
    pub tool: String,
    /// The HTTP status of the answer; 0 where there was none.
    pub status: u16,
    /// What the weather did to the call: "throttled", "error 503", "reset", "lost", "cut", "slow", "expired"; empty on a fine day.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub weather: String,
    /// When the call came, in real milliseconds since the local AWS started.
    pub started_ms: f64,
    /// How long the answer took, in real milliseconds.
    pub ms: f64,
}

/// Keeps calls.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    kept: Mutex<Kept>,
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Kept {
    calls: Vec<Call>,
    file: Option<File>,
}

impl Recorder {
    /// Opens a recorder, which writes to a new file where one is given.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(crate) fn open(path: Option<&Path>) -> Result<Recorder, Error> {
        let file = match path {
            Some(path) => Some(File::create(path).map_err(Error::io(format!("creating {}", path.display())))?),
            None => None,
        };
        Ok(Recorder { kept: Mutex::new(Kept { calls: Vec::new(), file }), count: watch::Sender::new(0) })
    }

    /// Keeps a call; its line is in the file when this returns. A file that cannot be written is given up.
    pub(crate) fn record(&self, call: Call) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut kept.file {
            let written =
                serde_json::to_string(&call).is_ok_and(|line| file.write_all(format!("{line}\n").as_bytes()).is_ok());
            if !written {
                kept.file = None;
            }
        }
        kept.calls.push(call);
        self.count.send_replace(kept.calls.len());
    }

    /// Waits until this many calls are kept.
    pub(crate) async fn reaches(&self, count: usize) {
        // The sender lives in `self`, so the wait ends only by what it waits for.
        let _ = self.count.subscribe().wait_for(|kept| *kept >= count).await;
    }

    /// Everything kept so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).calls.clone()
    }

    /// Forgets what is in memory; the file keeps its lines.
    pub(crate) fn clear(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).calls.clear();
        self.count.send_replace(0);
    }
}
