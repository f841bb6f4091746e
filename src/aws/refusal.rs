//! Classifies a refused read of S3: the fault of the object, of the message that names it, or of all reads.

use muster_actors::domain::exit::Remedy;
use muster_actors::domain::image::{RejectReason, Rejection};
use muster_actors::errors::Class;
use muster_actors::ports::objects::ObjectsError;

use super::classify::Fault;
use super::read_history::RefusalCause;

fn rejected(reason: RejectReason, detail: impl Into<String>) -> ObjectsError {
    ObjectsError::Rejected(Rejection::new(reason, detail))
}

/// Rejects an object without bytes.
pub(crate) fn empty() -> ObjectsError {
    rejected(RejectReason::Empty, "the object has no bytes")
}

/// Rejects an object above the limit.
pub(crate) fn too_large(size: u64, limit: u64) -> ObjectsError {
    rejected(RejectReason::TooManyBytes, format!("{size} bytes or more, allowed are {limit}"))
}

/// Tells whether a refusal may come from a missing permission. It does not if the signature or the account is refused,
/// which are the same for all objects.
fn is_denied(fault: &Fault) -> bool {
    fault.class == Class::Misconfigured(Remedy::Permission)
        && matches!(fault.code.as_deref(), Some("AccessDenied") | None)
}

/// Classifies an answer about an object. `is_configured` says whether its bucket is the one in the settings. Any other
/// bucket was named by the message, which is at fault if the bucket cannot be read at all.
pub(crate) fn judge(fault: Fault, is_configured: bool, cause: impl FnOnce() -> RefusalCause) -> ObjectsError {
    match fault.code.as_deref() {
        Some("NoSuchKey" | "NoSuchVersion") => return rejected(RejectReason::Missing, "the object is not there"),
        Some("InvalidObjectState") => {
            return rejected(RejectReason::Unreadable, "the object is archived: restore it first");
        }
        _ => {}
    }
    let class = match fault.class {
        // The code concerns this object alone, and S3 will not answer otherwise later.
        Class::Poison => return rejected(RejectReason::Unreadable, fault.message),
        Class::Misconfigured(Remedy::Permission) => match cause() {
            RefusalCause::Bucket if is_configured => fault.class,
            RefusalCause::Bucket if is_denied(&fault) => return elsewhere(&fault),
            RefusalCause::Object if is_denied(&fault) => {
                return rejected(
                    RejectReason::Unreadable,
                    "no permission to read the object, while others can be read",
                );
            }
            // The bucket could be read before, so a policy was broken or a key disabled by mistake. Until that is
            // mended, it is an outage.
            RefusalCause::Bucket | RefusalCause::Object | RefusalCause::Unknown => Class::Transient,
        },
        Class::Misconfigured(_) if !is_configured => return elsewhere(&fault),
        class => class,
    };
    ObjectsError::Failed { class, message: fault.message }
}

/// Rejects a message whose bucket is not the one in the settings.
fn elsewhere(fault: &Fault) -> ObjectsError {
    let detail = format!("its bucket, which is not that of the settings, cannot be read: {}", fault.message);
    rejected(RejectReason::Unreadable, detail)
}

#[cfg(test)]
mod tests {
    use super::super::classify::class;
    use super::*;

    const OURS: bool = true;
    const THEIRS: bool = false;
    const PERMISSION: Class = Class::Misconfigured(Remedy::Permission);
    const SETTINGS: Class = Class::Misconfigured(Remedy::Settings);

    #[test]
    fn only_a_statement_about_the_object_or_the_bucket_that_it_names_rejects_it() {
        use RefusalCause::{Bucket, Object, Unknown};
        let (missing, unreadable) = (Err(RejectReason::Missing), Err(RejectReason::Unreadable));
        let all = [Bucket, Object, Unknown];
        let mut cases = Vec::new();
        let mut case = |code, status, of: &[bool], causes: &[RefusalCause], expected: Result<Class, RejectReason>| {
            cases.extend(
                of.iter().flat_map(|ours| causes.iter().map(move |cause| (code, status, *ours, *cause, expected))),
            );
        };
        case(Some("NoSuchKey"), 404, &[OURS, THEIRS], &all, missing);
        case(Some("NoSuchVersion"), 404, &[OURS, THEIRS], &all, missing);
        case(Some("InvalidObjectState"), 403, &[OURS, THEIRS], &all, unreadable);
        case(Some("KeyTooLongError"), 400, &[OURS, THEIRS], &all, unreadable);
        // The page of a balancer, a code of tomorrow.
        case(None, 404, &[OURS, THEIRS], &all, Ok(Class::Transient));
        case(Some("SomethingNew"), 400, &[OURS, THEIRS], &all, Ok(Class::Transient));
        case(Some("InternalError"), 500, &[OURS, THEIRS], &all, Ok(Class::Transient));
        // The bucket's name.
        for (code, status) in [
            (Some("NoSuchBucket"), 404),
            (Some("InvalidBucketName"), 400),
            (Some("PermanentRedirect"), 301),
            (Some("AuthorizationHeaderMalformed"), 400),
            (None, 301),
        ] {
            case(code, status, &[OURS], &all, Ok(SETTINGS));
            case(code, status, &[THEIRS], &all, unreadable);
        }
        // A policy.
        for code in [Some("AccessDenied"), None] {
            case(code, 403, &[OURS], &[Bucket], Ok(PERMISSION));
            case(code, 403, &[THEIRS], &[Bucket], unreadable);
            case(code, 403, &[OURS, THEIRS], &[Unknown], Ok(Class::Transient));
            case(code, 403, &[OURS, THEIRS], &[Object], unreadable);
        }
        // A key, and the credentials.
        for (code, status) in [
            ("KMS.DisabledException", 400),
            ("KMS.NotFoundException", 400),
            ("KMS.KMSInvalidStateException", 400),
            ("SignatureDoesNotMatch", 403),
        ] {
            case(Some(code), status, &[OURS], &[Bucket], Ok(PERMISSION));
            case(Some(code), status, &[OURS], &[Object, Unknown], Ok(Class::Transient));
            case(Some(code), status, &[THEIRS], &all, Ok(Class::Transient));
        }
        for (code, status, ours, cause, expected) in cases {
            let fault = Fault {
                class: class(code, Some(status)),
                code: code.map(str::to_owned),
                status: Some(status),
                message: "GetObject".to_owned(),
            };
            let judged = match judge(fault, ours, || cause) {
                ObjectsError::Rejected(rejection) => Err(rejection.reason),
                ObjectsError::Failed { class, .. } => Ok(class),
            };
            assert_eq!(judged, expected, "{code:?} {status} {ours} {cause:?}");
        }
    }
}
