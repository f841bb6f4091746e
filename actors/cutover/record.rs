//! The state where all find it: read, and changed on the condition that nobody else has changed it meanwhile.

use std::time::Duration;

use crate::domain::exit::Remedy;
use crate::errors::Class;
use crate::errors::class::Classified;
use crate::ports::cas_object::{CasError, CasObject, CasVersion, write};

use crate::domain::cutover_state::{Note, Refused, State, Wish};

/// Attempts at one change: as many others may come between.
const ATTEMPTS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(50);

/// The state cannot be read or changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecordError {
    /// It may not be changed so.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What is there is no state.
    #[error(
        "the state of the cutover cannot be read ({0}): bring back an earlier version of the object, or delete it to begin at 0 %"
    )]
    Garbled(String),
    /// Where it lies does not answer, or others were always faster.
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

/// The state, and the version that it was read at; the default where nobody has written one.
///
/// # Errors
/// Where it lies does not answer, or it is no state.
pub async fn read(cell: &dyn CasObject) -> Result<(State, Option<CasVersion>), RecordError> {
    let Some(held) = cell.read().await? else { return Ok((State::default(), None)) };
    let state: State = serde_json::from_slice(&held.bytes).map_err(|error| RecordError::Garbled(error.to_string()))?;
    if state.percent > 100 {
        return Err(RecordError::Garbled(format!("{} %", state.percent)));
    }
    Ok((state, Some(held.version)))
}

/// Grants a wish and writes what follows; the state with it. However many others write, and whichever answer is lost, it is
/// granted once or not at all, and no entry of the trail is lost.
///
/// # Errors
/// It is refused, or nothing is known of it because nobody answers.
pub async fn change(cell: &dyn CasObject, wish: Wish, note: &Note, dwell: Duration) -> Result<State, RecordError> {
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

async fn attempt(cell: &dyn CasObject, wish: Wish, note: &Note, dwell: Duration) -> Result<State, RecordError> {
    let (state, version) = read(cell).await?;
    // An earlier attempt whose answer was lost, and on which somebody has written since.
    if state.holds(&note.id) {
        return Ok(state);
    }
    let next = state.grant(wish, note, dwell)?;
    let bytes = serde_json::to_vec_pretty(&next).map_err(|error| RecordError::Garbled(error.to_string()))?;
    write(cell, version.as_ref(), bytes).await?;
    Ok(next)
}
