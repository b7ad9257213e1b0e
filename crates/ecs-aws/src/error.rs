//! `SdkError` as our error: what AWS answered, to which call, and what kind of failure that is.

use std::error::Error as _;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::RequestId as _;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use ecs_core::{Error, Kind, Result};

/// Turns the result of a call into ours.
pub trait Answer<T> {
    /// Returns the reply, or an error that names the call as `service:Operation`.
    ///
    /// # Errors
    /// When the call was refused or did not get through.
    fn answer(self, call: &'static str) -> Result<T>;

    /// Returns the reply, none where AWS says that the thing does not exist.
    ///
    /// # Errors
    /// When the call was refused for another reason or did not get through.
    fn answer_if_found(self, call: &'static str) -> Result<Option<T>>
    where
        Self: Sized,
    {
        match self.answer(call) {
            Ok(reply) => Ok(Some(reply)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<T, E> Answer<T> for std::result::Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn answer(self, call: &'static str) -> Result<T> {
        self.map_err(|error| {
            let status = error.raw_response().map(|response| response.status().as_u16());
            let request_id = error.request_id().map(str::to_owned);
            match &error {
                SdkError::ServiceError(service) => {
                    let code = service.err().code();
                    let kind = classify(code, status);
                    let message = match (service.err().message(), status) {
                        (Some(message), _) => message.trim().to_owned(),
                        (None, Some(status)) => format!("AWS answered with HTTP status {status} and no message"),
                        (None, None) => "AWS refused without a message".to_owned(),
                    };
                    let denied =
                        code.is_some_and(|code| code.contains("AccessDenied") || code == "UnauthorizedOperation");
                    let error = Error::new(kind, message).answered(code.map(str::to_owned), call, request_id);
                    if denied {
                        error.hint("the verb `policy` prints the permissions that this tool needs")
                    } else {
                        error
                    }
                }
                SdkError::ConstructionFailure(_)
                | SdkError::TimeoutError(_)
                | SdkError::DispatchFailure(_)
                | SdkError::ResponseError(_)
                | _ => unanswered(&error, status).answered(None, call, request_id),
            }
        })
    }
}

/// Returns what AWS's reply must hold.
///
/// # Errors
/// When it does not.
pub fn present<T>(value: Option<T>, call: &'static str, what: &str) -> Result<T> {
    value.ok_or_else(|| Error::other(format!("AWS's reply lacks {what}")).answered(None, call, None))
}

/// Explains a call that got no answer that could be read.
fn unanswered<E: std::error::Error + 'static>(error: &SdkError<E, HttpResponse>, status: Option<u16>) -> Error {
    let mut chain = Vec::new();
    let mut source = error.source();
    let mut credentials = false;
    while let Some(cause) = source {
        credentials |= cause.is::<CredentialsError>();
        let text = cause.to_string();
        if chain.last() != Some(&text) {
            chain.push(text);
        }
        source = cause.source();
    }
    let why = if chain.is_empty() { error.to_string() } else { chain.join(": ") };
    // The SDK reports credentials that cannot be loaded as a failure to dispatch; an inner error's type tells.
    if credentials {
        return Error::new(Kind::Credentials, format!("no usable credentials: {why}"));
    }
    let (kind, what) = match error {
        SdkError::ConstructionFailure(_) => (Kind::Other, "the call could not be built"),
        SdkError::TimeoutError(_) => (Kind::Transient, "no answer in time"),
        SdkError::DispatchFailure(_) => (Kind::Transient, "AWS could not be reached"),
        SdkError::ResponseError(_) | SdkError::ServiceError(_) | _ => (Kind::Transient, "the answer could not be read"),
    };
    match status {
        Some(status) => Error::new(kind, format!("{what} (HTTP status {status}): {why}")),
        None => Error::new(kind, format!("{what}: {why}")),
    }
}

/// Says what kind of failure AWS's error code means, or without one the HTTP status.
///
/// The codes are those of the services' API references; families that AWS names alike are matched by that name.
pub fn classify(code: Option<&str>, status: Option<u16>) -> Kind {
    let Some(code) = code else {
        return if status.is_some_and(|status| status >= 500) { Kind::Transient } else { Kind::Other };
    };
    match code {
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "TooManyUpdates"
        | "PriorRequestNotComplete"
        | "SlowDown" => Kind::Throttled,
        "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "AuthFailure"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "OptInRequired" => Kind::Credentials,
        "DependencyViolation"
        | "ResourceInUse"
        | "ResourceInUseException"
        | "TableInUseException"
        | "BackupInUseException"
        | "DeleteConflict"
        | "InvalidIPAddress.InUse"
        | "InvalidDBSubnetGroupStateFault"
        | "InvalidDBSubnetStateFault"
        | "InvalidDBInstanceState"
        | "InvalidDBParameterGroupState"
        | "ClusterContainsServicesException"
        | "ClusterContainsTasksException"
        | "ClusterContainsContainerInstancesException"
        | "UpdateInProgressException" => Kind::InUse,
        "InternalError"
        | "InternalFailure"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "ServerException"
        | "ServiceFailure"
        | "Unavailable"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "ConcurrentModification"
        | "ConcurrentModificationException"
        | "ConcurrentUpdateException"
        | "OperationAbortedException" => Kind::Transient,
        // Application Auto Scaling, while its new service-linked role cannot be assumed yet.
        "FailedResourceAccessException" => Kind::NotYet,
        // DynamoDB, while it sets up the backups of a new table.
        "ContinuousBackupsUnavailableException" => Kind::NotYet,
        // The last is SSM's, for tags of a parameter that is gone.
        "NoSuchEntity" | "NoSuchEntityException" | "ServiceNotActiveException" | "InvalidResourceId" => Kind::NotFound,
        "InvalidSubnet.Conflict" | "EntityAlreadyExists" | "PriorityInUse" | "Resource.AlreadyAssociated" => {
            Kind::AlreadyExists
        }
        _ if code.contains("NotFound") => Kind::NotFound,
        _ if code.contains("AlreadyExists") || code.contains("Duplicate") => Kind::AlreadyExists,
        _ if status.is_some_and(|status| status >= 500) => Kind::Transient,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_what_the_engine_needs_to_know() {
        let cases = [
            ("InvalidVpcID.NotFound", 400, Kind::NotFound),
            ("NoSuchEntity", 404, Kind::NotFound),
            ("ClusterNotFoundException", 400, Kind::NotFound),
            ("InvalidGroup.Duplicate", 400, Kind::AlreadyExists),
            ("DuplicateTargetGroupName", 400, Kind::AlreadyExists),
            ("RepositoryAlreadyExistsException", 400, Kind::AlreadyExists),
            ("DependencyViolation", 400, Kind::InUse),
            ("RequestLimitExceeded", 503, Kind::Throttled),
            ("ExpiredTokenException", 400, Kind::Credentials),
            ("NatGatewayLimitExceeded", 400, Kind::Other),
            ("SomethingNew", 503, Kind::Transient),
        ];
        for (code, status, kind) in cases {
            assert_eq!(classify(Some(code), Some(status)), kind, "{code}");
        }
        assert_eq!(classify(None, Some(502)), Kind::Transient);
    }
}
