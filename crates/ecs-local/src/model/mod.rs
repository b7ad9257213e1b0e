//! The services' published models: a call that its operation's input shape does not allow is refused.
//!
//! Members that a shape does not know are passed over, as the services do: only SDKs refuse them.

mod check;
mod exceptions;
mod members;
mod shapes;
mod words;

#[cfg(test)]
mod tests;

use hyper::StatusCode;

use crate::answer::Answer;
use crate::call::Request;
use shapes::Model;
use words::Refusal;

/// The refusal of a call that its service's model does not allow; `None`: it does, or it does not know the operation.
pub(crate) fn refuse(request: &Request) -> Option<Answer> {
    let Refusal { code, message } = refusal(request)?;
    Some(Answer::refuse(request, StatusCode::BAD_REQUEST, code, &message))
}

fn refusal(request: &Request) -> Option<Refusal> {
    let (service, operation) = (request.service.as_str(), request.operation.as_str());
    let model = Model::of(service)?;
    let input = model.input(operation)?;
    let Some(members) = members::read(request, model, input) else { return Some(words::unreadable()) };
    let findings = check::check(model, input, &members.value, members.text);
    words::refuse(service, operation, &findings, members.text)
        .or_else(|| exceptions::refuse(service, operation, &members.value))
}
