//! What a tool says while it works: one line per change of state on stderr, prefixed with its name.

use std::io::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::error::Error;

/// Form of the lines on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only
    Quiet,
    /// Changes and long waits too
    Normal,
    /// What stays as it is, too
    Verbose,
}

/// Writes to stderr for one tool.
#[derive(Debug, Clone)]
pub struct Console {
    tool: &'static str,
    verbosity: Verbosity,
    format: LogFormat,
}

impl Console {
    /// Makes the console of a tool.
    pub fn new(tool: &'static str, verbosity: Verbosity, format: LogFormat) -> Self {
        Self { tool, verbosity, format }
    }

    /// Says that something has changed or is being waited for.
    pub fn say(&self, event: &str, message: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.write("info", event, message);
        }
    }

    /// Says that something is as it should be: only with `-v`.
    pub fn detail(&self, event: &str, message: &str) {
        if self.verbosity >= Verbosity::Verbose {
            self.write("debug", event, message);
        }
    }

    /// Warns of something that will not stop the tool.
    pub fn warn(&self, message: &str) {
        if self.verbosity >= Verbosity::Normal {
            match self.format {
                LogFormat::Text => self.write("warning", "warning", &format!("warning: {message}")),
                LogFormat::Json => self.write("warning", "warning", message),
            }
        }
    }

    /// Reports every part of an error.
    pub fn error(&self, error: &Error) {
        for part in error.parts() {
            let text = part.render();
            match self.format {
                LogFormat::Text => self.write("error", "error", &format!("error: {text}")),
                LogFormat::Json => self.write("error", "error", &text),
            }
        }
    }

    // One write a line, so that the lines of seven tools in a pipe do not cut into one another.
    fn write(&self, level: &str, event: &str, message: &str) {
        let line = match self.format {
            LogFormat::Text => format!("{}: {message}\n", self.tool),
            LogFormat::Json => {
                format!("{}\n", json!({"tool": self.tool, "level": level, "event": event, "message": message}))
            }
        };
        // Nobody is left to tell when stderr itself is gone.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// Writes a duration as people say it: `0.4 s`, `42 s`, `3 min 20 s`.
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration < Duration::from_secs(10) {
        format!("{:.1} s", duration.as_secs_f64())
    } else if seconds < 60 {
        format!("{seconds} s")
    } else if seconds.is_multiple_of(60) {
        format!("{} min", seconds / 60)
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        let cases = [(400, "0.4 s"), (42_000, "42 s"), (120_000, "2 min"), (200_000, "3 min 20 s")];
        for (millis, text) in cases {
            assert_eq!(human(Duration::from_millis(millis)), text);
        }
    }
}
