//! Measures how much memory an image takes on a card, by runs of two sizes.

use muster_actors::ports::engine::EngineError;

use super::analyser::Analyser;
use crate::gpu;
use crate::gpu::batch_size::MemoryMeasurement;

/// Measures the largest batch that fits into the card's memory when `lanes` lanes share it, from its free memory after
/// a run of one image and after one of `most`. A run that does not fit is tried with half the size. `None` where the
/// driver does not tell the free memory, or where `most` is 1.
///
/// # Errors
/// [`EngineError`] when even one image does not run.
pub fn measure(analyser: &mut Analyser, card: u32, most: usize, lanes: usize) -> Result<Option<usize>, EngineError> {
    let few = 1;
    analyser.warm(few)?;
    let Some(free_after_few) = gpu::free(card) else { return Ok(None) };
    let mut many = most;
    while many > few {
        match analyser.warm(many) {
            Ok(()) => {
                let measured = gpu::free(card).map(|free_after_many| MemoryMeasurement {
                    free_after_few,
                    few,
                    free_after_many,
                    many,
                });
                return Ok(measured.and_then(|measured| measured.max_batch_size(lanes)));
            }
            Err(EngineError::OutOfMemory(_)) => many /= 2,
            Err(error) => return Err(error),
        }
    }
    Ok((most > few).then_some(few))
}
