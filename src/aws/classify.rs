//! From an error of Amazon's services to its class. Codes: SQS, S3 and common error lists of the API references.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use muster_actors::domain::exit::Mend;
use muster_actors::errors::Class;
use muster_actors::ports::faces::FacesError;
use muster_actors::ports::fleet::FleetError;

/// What is known of a call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its class.
    pub class: Class,
    /// The service's code, where it answered.
    pub code: Option<String>,
    /// HTTP status, where it answered.
    pub status: Option<u16>,
    /// For a person.
    pub message: String,
}

/// Reads an error of the SDK.
pub fn fault<E>(what: &str, error: &SdkError<E, HttpResponse>) -> Fault
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().map(str::to_owned);
            // Which permission is missing is for the log; which object it was about is not.
            let detail =
                service.err().message().unwrap_or("no message").split(" on resource").next().unwrap_or_default();
            let message = format!("{what}: {} ({detail})", code.as_deref().unwrap_or("no code"));
            Fault { class: class(code.as_deref(), status), code, status, message }
        }
        SdkError::ConstructionFailure(_) => {
            let message = format!("{what}: the request cannot be made: {}", deepest(error));
            Fault { class: Class::Misconfigured(Mend::Settings), code: None, status, message }
        }
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            Fault { class: Class::Transient, code: None, status, message: format!("{what}: {}", deepest(error)) }
        }
        // The SDK's list is open; what is new there is tried again, and an outage ends the run in the end.
        _ => Fault { class: Class::Transient, code: None, status, message: format!("{what}: {}", deepest(error)) },
    }
}

impl Fault {
    /// A look at the fleet that failed: what the service will never answer has a wrong name in it.
    pub(crate) fn of_read(self) -> FleetError {
        let class = if self.class == Class::Poison { Class::Misconfigured(Mend::Settings) } else { self.class };
        FleetError::Failed { class, message: self.message }
    }
}

impl From<Fault> for FleetError {
    /// A request that the service will never take starts nothing.
    fn from(Fault { class, message, .. }: Fault) -> Self {
        match class {
            Class::Poison => Self::Refused(message),
            class => Self::Failed { class, message },
        }
    }
}

/// The cause behind the causes: "connection refused" rather than "dispatch failure".
fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// We ask too fast.
const THROTTLED: [&str; 10] = [
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "KmsThrottled",
    "OverLimit",
];
/// Passes by itself: credentials that ran out are renewed behind our back, the host sets its clock.
const PASSING: [&str; 5] =
    ["ExpiredToken", "ExpiredTokenException", "RequestTimeout", "RequestExpired", "RequestTimeTooSkewed"];
/// A name in the settings is wrong.
const MISNAMED: [&str; 6] = [
    "NoSuchBucket",
    "QueueDoesNotExist",
    "NonExistentQueue",
    "InvalidAddress",
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
];
/// A permission or a key is missing.
const FORBIDDEN: [&str; 10] = [
    "AccessDenied",
    "AccessDeniedException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "KmsAccessDenied",
    "KmsDisabled",
    "KmsNotFound",
    "KmsInvalidState",
];
/// A receipt is not, or no longer, ours.
const STALE: [&str; 2] = ["ReceiptHandleIsInvalid", "MessageNotInflight"];

/// The class of a service's answer.
pub fn class(code: Option<&str>, status: Option<u16>) -> Class {
    let code = code.map(|code| code.rsplit(['.', '#']).next().unwrap_or(code)).unwrap_or_default();
    match status {
        _ if THROTTLED.contains(&code) => Class::Throttled { retry_after: None },
        _ if PASSING.contains(&code) => Class::Transient,
        _ if MISNAMED.contains(&code) => Class::Misconfigured(Mend::Settings),
        _ if FORBIDDEN.contains(&code) => Class::Misconfigured(Mend::Permission),
        _ if STALE.contains(&code) => Class::LeaseLost,
        Some(429) => Class::Throttled { retry_after: None },
        Some(401 | 403) => Class::Misconfigured(Mend::Permission),
        Some(400..=499) => Class::Poison,
        Some(_) | None => Class::Transient,
    }
}

impl From<Fault> for FacesError {
    fn from(Fault { class, message, .. }: Fault) -> Self {
        Self::Failed { class, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_class() {
        let throttled = Class::Throttled { retry_after: None };
        for (code, status, expected) in [
            (Some("SlowDown"), Some(503), throttled),
            (None, Some(429), throttled),
            (Some("RequestThrottled"), Some(400), throttled),
            (Some("ServiceUnavailable"), Some(503), Class::Transient),
            (Some("InternalError"), Some(500), Class::Transient),
            (Some("ExpiredToken"), Some(403), Class::Transient),
            (Some("AccessDenied"), Some(403), Class::Misconfigured(Mend::Permission)),
            (None, Some(403), Class::Misconfigured(Mend::Permission)),
            (Some("AWS.SimpleQueueService.NonExistentQueue"), Some(400), Class::Misconfigured(Mend::Settings)),
            (Some("com.amazonaws.sqs#QueueDoesNotExist"), Some(400), Class::Misconfigured(Mend::Settings)),
            (Some("ReceiptHandleIsInvalid"), Some(400), Class::LeaseLost),
            (Some("NoSuchKey"), Some(404), Class::Poison),
            (None, None, Class::Transient),
        ] {
            assert_eq!(class(code, status), expected, "{code:?} {status:?}");
        }
    }
}
