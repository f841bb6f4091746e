//! What came of trying one thing, and how to mend it.

use serde::Serialize;

/// One thing that was tried.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub(super) what: &'static str,
    pub(super) state: State,
    /// What was found.
    pub(super) detail: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
    #[serde(skip)]
    pub(super) code: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// muster works without it.
    Missing,
    Broken,
}

impl Finding {
    pub fn ok(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, state: State::Ok, detail: detail.into(), mend: None, code: 0 }
    }

    pub fn broken(what: &'static str, error: &dyn std::fmt::Display, mend: &str, code: u8) -> Self {
        Self { what, state: State::Broken, detail: error.to_string(), mend: Some(mend.to_owned()), code }
    }

    /// muster works without it.
    pub fn lacking(what: &'static str, detail: &str, mend: &str) -> Self {
        Self { what, state: State::Missing, detail: detail.to_owned(), mend: Some(mend.to_owned()), code: 0 }
    }
}
