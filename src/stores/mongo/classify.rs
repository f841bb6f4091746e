//! Maps errors of MongoDB to their classes. Sources of codes and labels: MongoDB manual, "Error codes"; specifications
//! "Retryable writes" and "Server overload retry".

use mongodb::error::{Error, ErrorKind, WriteFailure};
use muster_actors::domain::exit::Remedy;
use muster_actors::errors::Class;

use super::MongoError;

/// Returns the class of an error.
pub fn class(error: &MongoError) -> Class {
    match error {
        MongoError::Driver(error) => of_driver(error),
        MongoError::Statement { code, .. } if OF_A_DOCUMENT.contains(code) => Class::Poison,
        MongoError::Statement { code, .. } | MongoError::Unconfirmed { code, .. } => of_code(*code),
        // muster cannot repair a document that it did not write; the worker ends rather than guess.
        MongoError::Document(_) | MongoError::Unfit(_) => Class::Misconfigured(Remedy::Settings),
        MongoError::Invalid(_) => Class::Poison,
        MongoError::Conflict | MongoError::Aborted(_) => Class::Transient,
    }
}

/// Labels of errors after which the same operation may succeed later.
const LATER: [&str; 6] = [
    "RetryableWriteError",
    "RetryableError",
    "TransientTransactionError",
    "UnknownTransactionCommitResult",
    "NoWritesPerformed",
    "NetworkError",
];
/// Labels of errors of an overloaded server.
const BUSY: [&str; 2] = ["SystemOverloadedError", "SystemOverloaded"];

/// Codes of a document that breaks a rule of the collection, is too large, or has a value of a kind that it cannot
/// hold. If a whole command fails with one, any part of it may be at fault, or the command itself.
const OF_A_DOCUMENT: [i32; 9] = [2, 9, 14, 15, 22, 121, 10334, 17280, 17419];

/// Returns the error of one statement, where a server refused a whole command because of one statement in it.
pub(super) fn of_one(error: &MongoError) -> Option<MongoError> {
    let MongoError::Driver(error) = error else { return None };
    let ErrorKind::Command(command) = error.kind.as_ref() else { return None };
    let code = command.code;
    let passes = BUSY.iter().chain(&LATER).any(|label| error.contains_label(label));
    (!passes && OF_A_DOCUMENT.contains(&code)).then(|| MongoError::Statement { code, message: command.message.clone() })
}

fn of_driver(error: &Error) -> Class {
    if BUSY.iter().any(|label| error.contains_label(label)) {
        return Class::Throttled { retry_after: None };
    }
    if LATER.iter().any(|label| error.contains_label(label)) {
        return Class::Transient;
    }
    match error.kind.as_ref() {
        ErrorKind::Command(error) => of_code(error.code),
        ErrorKind::Write(WriteFailure::WriteError(error)) if OF_A_DOCUMENT.contains(&error.code) => Class::Poison,
        ErrorKind::Write(WriteFailure::WriteError(error)) => of_code(error.code),
        ErrorKind::Write(_)
        | ErrorKind::BulkWrite(_)
        | ErrorKind::Io(_)
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::InvalidResponse { .. }
        | ErrorKind::Transaction { .. }
        | ErrorKind::Shutdown => Class::Transient,
        ErrorKind::Authentication { .. } => Class::Misconfigured(Remedy::Permission),
        ErrorKind::InvalidArgument { .. }
        | ErrorKind::SessionsNotSupported
        | ErrorKind::InvalidTlsConfig { .. }
        | ErrorKind::IncompatibleServer { .. } => Class::Misconfigured(Remedy::Settings),
        // The driver's list of kinds is open. A new kind is tried again; a lasting outage ends the run.
        _ => Class::Transient,
    }
}

/// Returns the class of a server's error code, whatever the operation. It never blames an image.
fn of_code(code: i32) -> Class {
    match code {
        // Unauthorized, AuthenticationFailed, AtlasError.
        13 | 18 | 8000 => Class::Misconfigured(Remedy::Permission),
        // Command unknown, illegal operation, transactions not supported: another server is wanted.
        59 | 20 | 263 => Class::Misconfigured(Remedy::Settings),
        // The server refuses commands of this form.
        code if OF_A_DOCUMENT.contains(&code) => Class::Misconfigured(Remedy::Settings),
        // Code IngressRequestRateLimitExceeded, and the request limit of services that speak the protocol.
        462 | 16500 => Class::Throttled { retry_after: None },
        // Not primary, stepping down, shutting down, write conflict, time limits, duplicate key of two upserts that
        // met.
        _ => Class::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_a_statement_has_its_class() {
        let statement = |code| class(&MongoError::Statement { code, message: String::new() });
        for (code, expected) in [
            (11000, Class::Transient),
            (112, Class::Transient),
            (189, Class::Transient),
            (91, Class::Transient),
            (50, Class::Transient),
            (10334, Class::Poison),
            (121, Class::Poison),
            (13, Class::Misconfigured(Remedy::Permission)),
            (18, Class::Misconfigured(Remedy::Permission)),
            (59, Class::Misconfigured(Remedy::Settings)),
            (462, Class::Throttled { retry_after: None }),
        ] {
            assert_eq!(statement(code), expected, "{code}");
        }
    }

    #[test]
    fn a_whole_command_condemns_nothing() {
        for code in OF_A_DOCUMENT.into_iter().chain([0, 1, 64, 91, 100, 11000]) {
            let whole = class(&MongoError::Unconfirmed { code, message: String::new() });
            assert_ne!(whole, Class::Poison, "{code}");
        }
    }
}
