//! The findings of `muster check`, with their remedies.

use serde::Serialize;

/// The result of one check.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub(super) what: &'static str,
    pub(super) state: FindingState,
    /// Details for a person.
    pub(super) detail: String,
    /// The remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
    #[serde(skip)]
    pub(super) code: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingState {
    Ok,
    /// A thing is missing that muster works without.
    Missing,
    Broken,
}

impl Finding {
    pub fn ok(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, state: FindingState::Ok, detail: detail.into(), mend: None, code: 0 }
    }

    pub fn broken(what: &'static str, error: &dyn std::fmt::Display, mend: &str, code: u8) -> Self {
        Self { what, state: FindingState::Broken, detail: error.to_string(), mend: Some(mend.to_owned()), code }
    }

    /// Reports a missing thing that muster works without.
    pub fn lacking(what: &'static str, detail: &str, mend: &str) -> Self {
        Self { what, state: FindingState::Missing, detail: detail.to_owned(), mend: Some(mend.to_owned()), code: 0 }
    }
}
