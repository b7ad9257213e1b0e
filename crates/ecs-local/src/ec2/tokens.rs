//! Client tokens: the same create call twice makes one thing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::refusal::Refusal;
use crate::answer::Answer;
use crate::call::Request;

/// Client tokens and what came of them.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// By region, operation and token.
    used: Mutex<HashMap<(String, String, String), Used>>,
}

#[derive(Clone, Debug)]
struct Used {
    form: Vec<(String, String)>,
    answer: Answer,
}

impl Tokens {
    /// The answer that the first call with this call's token got; none where there is no token, or it is new.
    ///
    /// # Errors
    /// The first call asked for something else.
    pub(super) fn answered(&self, request: &Request) -> Result<Option<Answer>, Refusal> {
        let Some(key) = key(request) else { return Ok(None) };
        match self.used().get(&key) {
            Some(used) if used.form == request.form => Ok(Some(used.answer.clone())),
            Some(_) => Err(Refusal::new(
                "IdempotentParameterMismatch",
                "A client token was used with different parameters than in the request that it was first used in.",
            )),
            None => Ok(None),
        }
    }

    /// Remembers what came of a call with a token.
    pub(super) fn remember(&self, request: &Request, answer: &Answer) {
        // What was refused in an answer that is no refusal has made nothing.
        let refused = String::from_utf8_lossy(&answer.body).contains("<unsuccessful><item>");
        if let Some(key) = key(request).filter(|_| answer.status.is_success() && !refused) {
            self.used().insert(key, Used { form: request.form.clone(), answer: answer.clone() });
        }
    }

    /// Forgets tokens whose resource is deleted.
    pub(super) fn forget(&self, id: &str) {
        self.used().retain(|_, used| !String::from_utf8_lossy(&used.answer.body).contains(id));
    }

    /// Forgets all tokens.
    pub(super) fn clear(&self) {
        self.used().clear();
    }

    fn used(&self) -> MutexGuard<'_, HashMap<(String, String, String), Used>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(request: &Request) -> Option<(String, String, String)> {
    let token = request.form_value("ClientToken").filter(|_| request.operation.starts_with("Create"))?;
    Some((request.region.clone(), request.operation.clone(), token.to_owned()))
}
