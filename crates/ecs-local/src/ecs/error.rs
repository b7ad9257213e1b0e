//! Refusals of ECS, and questions that must be answered before it can decide.

use super::facts::Question;

/// Why an operation, or time, cannot go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// ECS refuses.
    Refused(Refusal),
    /// These must be known first. Nothing has been changed yet: ask, and do it again.
    Ask(Vec<Question>),
}

/// A refusal, in AWS's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

fn refuse(code: &'static str, message: impl Into<String>) -> Stop {
    Stop::Refused(Refusal { code, message: message.into() })
}

pub(crate) fn invalid_parameter(message: impl Into<String>) -> Stop {
    refuse("InvalidParameterException", message)
}

pub(crate) fn client_exception(message: impl Into<String>) -> Stop {
    refuse("ClientException", message)
}

/// A client token that was used with another request.
pub(crate) fn conflict(message: impl Into<String>) -> Stop {
    refuse("ConflictException", message)
}

pub(crate) fn platform_unknown() -> Stop {
    refuse("PlatformUnknownException", "The specified platform version does not exist.")
}

pub(crate) fn cluster_not_found() -> Stop {
    refuse("ClusterNotFoundException", "Cluster not found.")
}

pub(crate) fn service_not_found() -> Stop {
    refuse("ServiceNotFoundException", "Service not found.")
}

pub(crate) fn service_not_active() -> Stop {
    refuse("ServiceNotActiveException", "Service was not ACTIVE.")
}

pub(crate) fn cluster_contains_services() -> Stop {
    refuse("ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")
}

pub(crate) fn cluster_contains_tasks() -> Stop {
    refuse("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
}

pub(crate) fn unknown_operation(operation: &str) -> Stop {
    refuse("UnknownOperationException", format!("ecs-local has no ecs:{operation}"))
}
