//! A case: one fault on one call of one verb.

use std::fmt;

use ecs_local::weather::{Fault as Strike, Harm, Weather};

/// What befalls a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL before the call has an effect
    KilledBefore,
    /// SIGKILL when the call has taken effect, before it is answered
    KilledAfter,
    /// Ctrl-C while the call is under way
    Interrupted,
    /// The call takes effect; the connection closes without an answer
    Lost,
    /// The call takes effect; the answer breaks off in the middle
    Cut,
    /// HTTP status 500, once
    Error500,
    /// Throttled, three times
    Throttled,
    /// The connection is reset before the call has an effect
    Reset,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 8] = [
        Self::KilledBefore,
        Self::KilledAfter,
        Self::Interrupted,
        Self::Lost,
        Self::Cut,
        Self::Error500,
        Self::Throttled,
        Self::Reset,
    ];

    /// Returns what the weather does, and how often; none for a signal.
    fn harm(self) -> Option<(Harm, usize)> {
        match self {
            Self::KilledBefore | Self::KilledAfter | Self::Interrupted => None,
            Self::Lost => Some((Harm::Lost, 1)),
            Self::Cut => Some((Harm::Cut, 1)),
            Self::Error500 => Some((Harm::Error(500), 1)),
            Self::Throttled => Some((Harm::Throttle, 3)),
            Self::Reset => Some((Harm::Reset, 1)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::KilledBefore => "killed before the call",
            Self::KilledAfter => "killed after the call",
            Self::Interrupted => "Ctrl-C during the call",
            Self::Lost => "answer lost after the effect",
            Self::Cut => "answer cut after the effect",
            Self::Error500 => "status 500 once",
            Self::Throttled => "throttled three times",
            Self::Reset => "connection reset",
        })
    }
}

/// One fault on one call of one verb.
#[derive(Clone, Debug)]
pub struct Case {
    /// "create" or "destroy"
    pub verb: &'static str,
    /// The call: `service:Operation`
    pub call: String,
    /// How many calls of that name pass first
    pub after: usize,
    /// What befalls it
    pub fault: Fault,
}

impl Case {
    /// Returns the weather that brings the fault; a fine day for a signal.
    pub fn weather(&self) -> Weather {
        let fault = self.fault.harm().map(|(what, times)| Strike {
            call: self.call.clone(),
            resource: None,
            tool: None,
            after: self.after,
            times: Some(times),
            chance: None,
            what,
        });
        Weather { faults: fault.into_iter().collect(), ..Weather::default() }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}#{} {}", self.verb, self.call, self.after + 1, self.fault)
    }
}

/// What came of a case.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The case
    pub case: Case,
    /// Whether the run that met the fault ended with exit code 0
    pub came_through: bool,
    /// Why it failed; none when it passed
    pub failure: Option<String>,
}
