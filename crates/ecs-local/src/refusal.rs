//! A refusal on its way to an answer.

use hyper::StatusCode;

use crate::answer::Answer;
use crate::call::Request;

/// Why a call is refused, in AWS's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    /// A refusal with status 400.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status: StatusCode::BAD_REQUEST, code, message: message.into() }
    }

    /// The same with another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Refusal {
        Refusal { status, ..self }
    }

    /// The refusal as the caller's service puts it.
    pub(crate) fn answer(&self, request: &Request) -> Answer {
        Answer::refuse(request, self.status, self.code, &self.message)
    }
}
