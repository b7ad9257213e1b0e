//! What EC2 refuses.

use hyper::StatusCode;

use crate::answer::Answer;
use crate::call::Request;

/// A refusal: a code, and what AWS says with it. All of EC2's client errors have status 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    code: &'static str,
    message: String,
}

impl Refusal {
    /// A refusal.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }

    /// Its code.
    #[cfg(test)]
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// The refusal as an answer.
    pub(super) fn answer(&self, request: &Request) -> Answer {
        Answer::refuse(request, StatusCode::BAD_REQUEST, self.code, &self.message)
    }
}
