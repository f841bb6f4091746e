//! Classifies errors of Amazon's services. The codes are those of the API references of SQS and S3, and the common
//! ones.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use muster_actors::domain::exit::Remedy;
use muster_actors::errors::Class;
use muster_actors::ports::faces::FacesError;
use muster_actors::ports::fleet::FleetError;

/// A failed call to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Class of the error.
    pub class: Class,
    /// Code of the service, if it answered.
    pub code: Option<String>,
    /// HTTP status, if the service answered.
    pub status: Option<u16>,
    /// Message for a person.
    pub message: String,
}

/// Classifies an error of the SDK; `what` names the call in the message.
pub fn fault<E>(what: &str, error: &SdkError<E, HttpResponse>) -> Fault
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().map(str::to_owned);
            // The log may name the missing permission, but not the object.
            let detail =
                service.err().message().unwrap_or("no message").split(" on resource").next().unwrap_or_default();
            let message = format!("{what}: {} ({detail})", code.as_deref().unwrap_or("no code"));
            Fault { class: class(code.as_deref(), status), code, status, message }
        }
        SdkError::ConstructionFailure(_) => {
            let message = format!("{what}: the request cannot be made: {}", deepest(error));
            Fault { class: Class::Misconfigured(Remedy::Settings), code: None, status, message }
        }
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            Fault { class: Class::Transient, code: None, status, message: format!("{what}: {}", deepest(error)) }
        }
        // The SDK's list is not complete. An unknown error is retried, and a long outage ends the run.
        _ => Fault { class: Class::Transient, code: None, status, message: format!("{what}: {}", deepest(error)) },
    }
}

impl Fault {
    /// Tells whether the service refused the call, for a known reason or an unknown one.
    pub fn is_refusal(&self) -> bool {
        self.class == Class::Poison
            || matches!(self.status, Some(400..=499)) && known(self.code.as_deref(), self.status).is_none()
    }

    /// Converts a failed read of the fleet. A refused read means a wrong name in the settings.
    pub(crate) fn of_read(self) -> FleetError {
        let class = if self.is_refusal() { Class::Misconfigured(Remedy::Settings) } else { self.class };
        FleetError::Failed { class, message: self.message }
    }
}

impl From<Fault> for FleetError {
    /// Converts a failed submission. A refused submission has started nothing.
    fn from(fault: Fault) -> Self {
        match fault.is_refusal() {
            true => Self::Refused(fault.message),
            false => Self::Failed { class: fault.class, message: fault.message },
        }
    }
}

/// Returns the innermost cause: "connection refused" rather than "dispatch failure".
fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Codes that ask for fewer requests.
const THROTTLED: [&str; 9] = [
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "OverLimit",
];
/// Codes of errors that pass by themselves, because the SDK renews credentials and the host sets its clock.
const PASSING: [&str; 5] =
    ["ExpiredToken", "ExpiredTokenException", "RequestTimeout", "RequestExpired", "RequestTimeTooSkewed"];
/// Codes that mean a wrong name in the settings.
const MISNAMED: [&str; 9] = [
    "NoSuchBucket",
    "InvalidBucketName",
    "IllegalLocationConstraintException",
    "QueueDoesNotExist",
    "NonExistentQueue",
    "InvalidAddress",
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    // A FIFO queue requires a group, which no message of muster has.
    "MissingParameter",
];
/// Codes that mean a missing permission or key.
const FORBIDDEN: [&str; 6] = [
    "AccessDenied",
    "AccessDeniedException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
];
/// Codes that mean that a receipt is not valid, or not any more.
const STALE: [&str; 2] = ["ReceiptHandleIsInvalid", "MessageNotInflight"];

/// Codes that concern only the object or message of the call.
const ITS_OWN: [&str; 8] = [
    "NoSuchKey",
    "NoSuchVersion",
    "InvalidObjectState",
    "KeyTooLongError",
    "InvalidURI",
    "EntityTooLarge",
    "MetadataTooLarge",
    "InvalidMessageContents",
];

/// Classifies a service's answer. An unknown refusal says nothing about the item of the call, and is retried.
pub fn class(code: Option<&str>, status: Option<u16>) -> Class {
    known(code, status).unwrap_or(Class::Transient)
}

/// Classifies an answer; `None` for an unknown refusal.
fn known(code: Option<&str>, status: Option<u16>) -> Option<Class> {
    let code = code.map(|code| code.rsplit('#').next().unwrap_or(code)).unwrap_or_default();
    if let Some(what) = code.strip_prefix("KMS.").or_else(|| code.strip_prefix("Kms")) {
        return Some(of_key(what));
    }
    let code = code.rsplit('.').next().unwrap_or(code);
    Some(match status {
        _ if THROTTLED.contains(&code) => Class::Throttled { retry_after: None },
        _ if PASSING.contains(&code) => Class::Transient,
        _ if MISNAMED.contains(&code) => Class::Misconfigured(Remedy::Settings),
        _ if FORBIDDEN.contains(&code) => Class::Misconfigured(Remedy::Permission),
        _ if STALE.contains(&code) => Class::LeaseLost,
        _ if ITS_OWN.contains(&code) => Class::Poison,
        Some(429) => Class::Throttled { retry_after: None },
        Some(401 | 403) => Class::Misconfigured(Remedy::Permission),
        // The bucket is in another region.
        Some(301) => Class::Misconfigured(Remedy::Settings),
        Some(400..=499) => return None,
        Some(_) | None => Class::Transient,
    })
}

/// Classifies an error of KMS about the key of an object or a message. All others are encrypted with the same key.
fn of_key(what: &str) -> Class {
    match what {
        "ThrottlingException" | "Throttled" => Class::Throttled { retry_after: None },
        "KMSInternalException" | "DependencyTimeoutException" | "KeyUnavailableException" => Class::Transient,
        _ => Class::Misconfigured(Remedy::Permission),
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

    const THROTTLE: Class = Class::Throttled { retry_after: None };
    const PERMISSION: Class = Class::Misconfigured(Remedy::Permission);
    const SETTINGS: Class = Class::Misconfigured(Remedy::Settings);

    #[test]
    fn every_answer_has_its_class() {
        for (code, status, expected) in [
            (Some("SlowDown"), Some(503), THROTTLE),
            (None, Some(429), THROTTLE),
            (Some("RequestThrottled"), Some(400), THROTTLE),
            (Some("ServiceUnavailable"), Some(503), Class::Transient),
            (Some("InternalError"), Some(500), Class::Transient),
            (Some("ExpiredToken"), Some(403), Class::Transient),
            (Some("AccessDenied"), Some(403), PERMISSION),
            (None, Some(403), PERMISSION),
            (Some("AWS.SimpleQueueService.NonExistentQueue"), Some(400), SETTINGS),
            (Some("com.amazonaws.sqs#QueueDoesNotExist"), Some(400), SETTINGS),
            (Some("ReceiptHandleIsInvalid"), Some(400), Class::LeaseLost),
            (Some("NoSuchBucket"), Some(404), SETTINGS),
            (None, Some(301), SETTINGS),
            (None, None, Class::Transient),
        ] {
            assert_eq!(class(code, status), expected, "{code:?} {status:?}");
        }
    }

    #[test]
    fn only_a_known_code_of_one_object_or_message_is_its_own_fault() {
        for (code, status) in [
            ("NoSuchKey", 404),
            ("NoSuchVersion", 404),
            ("InvalidObjectState", 403),
            ("KeyTooLongError", 400),
            ("InvalidURI", 400),
            ("EntityTooLarge", 400),
            ("MetadataTooLarge", 400),
            ("InvalidMessageContents", 400),
            ("com.amazonaws.sqs#InvalidMessageContents", 400),
        ] {
            assert_eq!(class(Some(code), Some(status)), Class::Poison, "{code}");
        }
        // Everything else that is refused says nothing of the item that was asked for.
        for status in 400..500 {
            for code in [None, Some("SomethingNewOfAmazons"), Some("InvalidRequest"), Some("ClientException")] {
                let class = class(code, Some(status));
                assert!(
                    matches!(class, Class::Transient | Class::Throttled { .. } | Class::Misconfigured(_)),
                    "{class:?}"
                );
            }
        }
        for code in ["OperationAborted", "ConditionalRequestConflict", "PreconditionFailed", "BadDigest"] {
            assert_eq!(class(Some(code), Some(409)), Class::Transient, "{code}");
        }
    }

    #[test]
    fn what_a_fleet_will_not_take_starts_nothing_and_what_it_will_not_tell_has_a_wrong_name() {
        for (code, status, is_refusal) in [
            (Some("ClientException"), Some(400), true),
            (Some("SomethingNewOfAmazons"), Some(404), true),
            (Some("NoSuchKey"), Some(404), true),
            (Some("TooManyRequestsException"), Some(429), false),
            (Some("ServerException"), Some(500), false),
            (Some("RequestTimeout"), Some(400), false),
            (None, None, false),
        ] {
            let fault =
                Fault { class: class(code, status), code: code.map(str::to_owned), status, message: String::new() };
            assert_eq!(fault.is_refusal(), is_refusal, "{code:?}");
            let order = FleetError::from(fault.clone());
            assert_eq!(matches!(order, FleetError::Refused(_)), is_refusal, "{code:?}: {order:?}");
            let FleetError::Failed { class: read, .. } = fault.clone().of_read() else { panic!("{code:?}") };
            assert_eq!(read, if is_refusal { SETTINGS } else { fault.class }, "{code:?}");
        }
    }

    #[test]
    fn a_key_of_kms_is_no_fault_of_what_it_encrypts() {
        for (code, expected) in [
            ("KMS.DisabledException", PERMISSION),
            ("KMS.NotFoundException", PERMISSION),
            ("KMS.KMSInvalidStateException", PERMISSION),
            ("KMS.InvalidKeyUsageException", PERMISSION),
            ("KMS.SomethingNewException", PERMISSION),
            ("com.amazonaws.sqs#KMS.DisabledException", PERMISSION),
            ("KMS.ThrottlingException", THROTTLE),
            ("KMS.KMSInternalException", Class::Transient),
            ("KMS.DependencyTimeoutException", Class::Transient),
            ("KMS.KeyUnavailableException", Class::Transient),
            ("KmsDisabled", PERMISSION),
            ("com.amazonaws.sqs#KmsInvalidKeyUsage", PERMISSION),
            ("com.amazonaws.sqs#KmsOptInRequired", PERMISSION),
            ("com.amazonaws.sqs#KmsThrottled", THROTTLE),
        ] {
            assert_eq!(class(Some(code), Some(400)), expected, "{code}");
        }
    }
}
