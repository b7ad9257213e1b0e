//! Faults: what goes wrong with a call, and for which calls.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use rand::RngExt as _;
use serde::Deserialize;

use super::pattern;
use crate::answer::Answer;
use crate::call::{Protocol, Request};

/// Something that goes wrong with certain calls.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Fault {
    /// The calls it befalls, by signing name and operation, with `*` for anything: "ec2:CreateVpc", "ecs:*", "*".
    #[serde(default = "anything")]
    pub call: String,
    /// Only calls about this: what the recorder calls the resource, with `*` for anything.
    #[serde(default)]
    pub resource: Option<String>,
    /// Only calls of this tool, with `*` for anything: "ecs-net".
    #[serde(default)]
    pub tool: Option<String>,
    /// How many such calls pass unharmed first.
    #[serde(default)]
    pub after: usize,
    /// How many calls it befalls then; none: all.
    #[serde(default)]
    pub times: Option<usize>,
    /// How likely it is for each of those, from 0 to 1; none: certain.
    #[serde(default)]
    pub chance: Option<f64>,
    /// What goes wrong.
    #[serde(rename = "do")]
    pub what: Harm,
}

fn anything() -> String {
    "*".to_owned()
}

/// What can go wrong with a call.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// Refused as throttled, with the service's own code and status; no effect.
    Throttle,
    /// An error with this HTTP status (500, 503) and the service's own shape; no effect.
    Error(u16),
    /// The connection is reset; no effect.
    Reset,
    /// The request takes effect, and the connection is closed without an answer.
    Lost,
    /// The request takes effect, and the connection breaks in the middle of the answer.
    Cut,
    /// The request takes effect, and the answer's body takes this much longer to arrive, piece by piece.
    Slow(#[serde(with = "humantime_serde")] Duration),
    /// The credentials have expired; no effect. Without `times` that stays so for all later calls.
    Expire,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Harm::Throttle => f.write_str("throttled"),
            Harm::Error(status) => write!(f, "error {status}"),
            Harm::Reset => f.write_str("reset"),
            Harm::Lost => f.write_str("lost"),
            Harm::Cut => f.write_str("cut"),
            Harm::Slow(_) => f.write_str("slow"),
            Harm::Expire => f.write_str("expired"),
        }
    }
}

impl Harm {
    /// The answer of a call that has no effect; none where it has one, or gets no answer.
    pub(crate) fn refusal(&self, request: &Request) -> Option<Answer> {
        match self {
            Harm::Throttle => Some(throttled(request)),
            Harm::Error(status) => Some(broken(request, *status)),
            Harm::Expire => Some(expired(request)),
            Harm::Reset | Harm::Lost | Harm::Cut | Harm::Slow(_) => None,
        }
    }
}

/// Counts the calls that each fault has seen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    seen: Mutex<Vec<Seen>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    calls: usize,
    harmed: usize,
}

impl Tally {
    /// Says what befalls a call: the first fault that is due. Every fault that the call is one for counts it.
    pub(crate) fn strike(&self, faults: &[Fault], request: &Request) -> Option<Harm> {
        if faults.is_empty() {
            return None;
        }
        let (name, resource, tool) = (request.name(), request.resource(), request.tool());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.resize(faults.len(), Seen::default());
        let mut harm = None;
        for (fault, seen) in faults.iter().zip(seen.iter_mut()) {
            let meant = pattern::matches(&fault.call, &name)
                && fault.resource.as_deref().is_none_or(|wanted| pattern::matches(wanted, &resource))
                && fault.tool.as_deref().is_none_or(|wanted| pattern::matches(wanted, tool));
            if !meant {
                continue;
            }
            seen.calls += 1;
            let due = seen.calls > fault.after && fault.times.is_none_or(|times| seen.harmed < times);
            if due
                && harm.is_none()
                && fault.chance.is_none_or(|chance| rand::rng().random_bool(chance.clamp(0.0, 1.0)))
            {
                seen.harmed += 1;
                harm = Some(fault.what.clone());
            }
        }
        harm
    }

    /// Forgets what was counted.
    pub(crate) fn clear(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// A throttling error as the service words it.
///
/// EC2: `RequestLimitExceeded`, 503 (EC2 API error codes). Query services: `Throttling`, 400 (Common Errors). JSON services: `ThrottlingException`, 400.
fn throttled(request: &Request) -> Answer {
    match request.protocol {
        Protocol::Ec2Query => {
            Answer::refuse(request, StatusCode::SERVICE_UNAVAILABLE, "RequestLimitExceeded", "Request limit exceeded.")
        }
        Protocol::Query | Protocol::RestXml => {
            Answer::refuse(request, StatusCode::BAD_REQUEST, "Throttling", "Rate exceeded")
        }
        Protocol::Json | Protocol::Cbor | Protocol::Rest => {
            Answer::refuse(request, StatusCode::BAD_REQUEST, "ThrottlingException", "Rate exceeded")
        }
    }
}

/// A server's error in the service's own words: EC2's error codes, the services' models, else the common errors.
fn broken(request: &Request, status: u16) -> Answer {
    let unavailable = status == 503;
    let code = match (request.service.as_str(), request.protocol) {
        (_, Protocol::Ec2Query) => {
            if unavailable {
                "Unavailable"
            } else {
                "InternalError"
            }
        }
        ("ecs" | "ecr", _) => "ServerException",
        ("ssm", _) => "InternalServerError",
        ("application-autoscaling", _) => "InternalServiceException",
        ("logs", _) if unavailable => "ServiceUnavailableException",
        ("iam", _) if !unavailable => "ServiceFailure",
        _ => {
            if unavailable {
                "ServiceUnavailable"
            } else {
                "InternalFailure"
            }
        }
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer::refuse(
        request,
        status,
        code,
        "The request processing has failed because of an unknown error, exception or failure.",
    )
}

/// Expired temporary credentials: `RequestExpired` in EC2, `ExpiredToken` in query services, else `ExpiredTokenException`.
fn expired(request: &Request) -> Answer {
    let (status, code) = match request.protocol {
        Protocol::Ec2Query => (StatusCode::BAD_REQUEST, "RequestExpired"),
        Protocol::Query | Protocol::RestXml => (StatusCode::FORBIDDEN, "ExpiredToken"),
        Protocol::Json | Protocol::Cbor | Protocol::Rest => (StatusCode::BAD_REQUEST, "ExpiredTokenException"),
    };
    Answer::refuse(request, status, code, "The security token included in the request is expired")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::query;

    fn fault(text: &str) -> Fault {
        toml::from_str(text).expect("a fault")
    }

    #[test]
    fn befalls_the_calls_that_it_names_and_no_more_than_told() {
        let faults = [fault("call = 'ec2:Create*'\nafter = 1\ntimes = 2\ndo = 'throttle'")];
        let tally = Tally::default();
        let strike = |call: &str| tally.strike(&faults, &query("ec2", call));
        assert_eq!(strike("Action=DescribeVpcs"), None);
        assert_eq!(strike("Action=CreateVpc"), None);
        assert_eq!(strike("Action=CreateVpc"), Some(Harm::Throttle));
        assert_eq!(strike("Action=CreateSubnet"), Some(Harm::Throttle));
        assert_eq!(strike("Action=CreateVpc"), None);
    }

    #[test]
    fn expiry_stays() {
        let faults = [fault("after = 1\ndo = 'expire'")];
        let tally = Tally::default();
        let request = query("iam", "Action=GetRole&RoleName=x");
        let strikes: Vec<_> = (0..3).map(|_| tally.strike(&faults, &request)).collect();
        assert_eq!(strikes, [None, Some(Harm::Expire), Some(Harm::Expire)]);
        assert_eq!(expired(&request).status, StatusCode::FORBIDDEN);
    }

    #[test]
    fn a_fault_may_be_one_tools_or_one_resources_alone() {
        let tally = Tally::default();
        let request = query("iam", "Action=GetRole&RoleName=backend-task");
        assert_eq!(tally.strike(&[fault("tool = 'ecs-net'\ndo = 'reset'")], &request), None);
        assert_eq!(Tally::default().strike(&[fault("resource = '*-task'\ndo = 'reset'")], &request), Some(Harm::Reset));
    }

    #[test]
    fn every_harm_can_be_written_down() {
        for (text, harm) in [
            ("do = 'lost'", Harm::Lost),
            ("do = 'cut'", Harm::Cut),
            ("do = { error = 503 }", Harm::Error(503)),
            ("do = { slow = '2s' }", Harm::Slow(Duration::from_secs(2))),
        ] {
            assert_eq!(fault(text).what, harm);
        }
    }
}
