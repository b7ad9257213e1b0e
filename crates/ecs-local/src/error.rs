//! What can go wrong before the local AWS is up.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why the local AWS did not start, or the command did not run.
#[derive(Debug)]
pub enum Error {
    /// No Python with moto was found.
    NoPython,
    /// The Python that was found cannot run moto.
    Python {
        /// The interpreter.
        path: PathBuf,
        /// What it said.
        why: String,
    },
    /// The operating system refused something.
    Io {
        /// What was being done: "listening on 127.0.0.1:0".
        doing: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// moto stopped, or did not answer.
    Moto(String),
    /// The scenario file says something that is no weather.
    Weather {
        /// The file.
        path: PathBuf,
        /// What is wrong in it, with line and column.
        why: String,
    },
}

impl Error {
    /// The exit code of the program: 2 where the setup or the scenario is wrong, 1 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::NoPython | Error::Python { .. } | Error::Weather { .. } => 2,
            Error::Io { .. } | Error::Moto(_) => 1,
        }
    }

    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let doing = doing.into();
        move |source| Error::Io { doing, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoPython => write!(
                f,
                "no Python with moto found: not in --python, not in ECS_LOCAL_PYTHON, and there is no .venv/bin/python3 here or above\n  \
                 hint: run scripts/try-local.sh, or: {INSTALL}"
            ),
            Error::Python { path, why } => {
                write!(f, "{} cannot run moto: {why}\n  hint: {INSTALL}", path.display())
            }
            Error::Io { doing, source } => write!(f, "{doing}: {source}"),
            Error::Moto(why) => write!(f, "moto: {why}"),
            Error::Weather { path, why } => write!(f, "{}: {}", path.display(), why.trim_end()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            Error::NoPython | Error::Python { .. } | Error::Moto(_) | Error::Weather { .. } => None,
        }
    }
}

/// How to get a Python with moto.
const INSTALL: &str = "python3 -m venv .venv && .venv/bin/pip install moto==5.2.5 flask flask-cors";
