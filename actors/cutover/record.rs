//! Reads the shared state of a cutover, and changes it on the condition that it has not changed meanwhile.

use std::time::Duration;

use crate::domain::exit::Remedy;
use crate::errors::Class;
use crate::errors::class::Classified;
use crate::ports::cas_object::{CasError, CasObject, CasVersion, write};

use crate::domain::cutover_state::{ChangeNote, CutoverCommand, CutoverRefusal, CutoverState};

/// Number of attempts at one change, between which other changes may come.
const ATTEMPTS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(50);

/// Errors of reading or changing the state.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecordError {
    /// The change is refused.
    #[error(transparent)]
    Refused(#[from] CutoverRefusal),
    /// The stored value is not a state.
    #[error(
        "the state of the cutover cannot be read ({0}): bring back an earlier version of the object, or delete it to begin at 0 %"
    )]
    Garbled(String),
    /// The store does not answer, or other changes came between each time.
    #[error("the state of the cutover: {0}")]
    CasObject(#[from] CasError),
}

impl Classified for RecordError {
    fn class(&self) -> Class {
        match self {
            Self::Refused(_) => Class::Poison,
            Self::Garbled(_) => Class::Misconfigured(Remedy::Settings),
            Self::CasObject(error) => error.class(),
        }
    }
}

/// Reads the state with its version; the default state where none is stored.
///
/// # Errors
/// The store does not answer, or the stored value is not a state.
pub async fn read(cell: &dyn CasObject) -> Result<(CutoverState, Option<CasVersion>), RecordError> {
    let Some(held) = cell.read().await? else { return Ok((CutoverState::default(), None)) };
    let state: CutoverState =
        serde_json::from_slice(&held.bytes).map_err(|error| RecordError::Garbled(error.to_string()))?;
    if state.percent > 100 {
        return Err(RecordError::Garbled(format!("{} %", state.percent)));
    }
    Ok((state, Some(held.version)))
}

/// Executes a command, and returns the state after it. However many others write, and whichever answer is lost, it is executed
/// once or not at all, and no entry of the audit trail is lost.
///
/// # Errors
/// The command is refused, or the store does not answer and the outcome is unknown.
pub async fn change(
    cell: &dyn CasObject,
    wish: CutoverCommand,
    note: &ChangeNote,
    dwell: Duration,
) -> Result<CutoverState, RecordError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let error = match attempt(cell, wish, note, dwell).await {
            Err(RecordError::CasObject(error)) => error,
            end => return end,
        };
        let passes = matches!(error.class(), Class::Transient | Class::Throttled { .. });
        if attempts == ATTEMPTS || !passes {
            return Err(error.into());
        }
        tokio::time::sleep(PAUSE * attempts).await;
    }
}

async fn attempt(
    cell: &dyn CasObject,
    wish: CutoverCommand,
    note: &ChangeNote,
    dwell: Duration,
) -> Result<CutoverState, RecordError> {
    let (state, version) = read(cell).await?;
    // An earlier attempt has succeeded, its answer was lost, and another change came after it.
    if state.holds(&note.id) {
        return Ok(state);
    }
    let next = state.grant(wish, note, dwell)?;
    let bytes = serde_json::to_vec_pretty(&next).map_err(|error| RecordError::Garbled(error.to_string()))?;
    write(cell, version.as_ref(), bytes).await?;
    Ok(next)
}
