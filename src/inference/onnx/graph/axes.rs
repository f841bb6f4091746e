//! Frees axes of a graph's inputs and outputs, so that their lengths may vary.

use super::super::wire::{Value, WireError, fields, put_bytes};
use super::Rewrite;
use super::number::*;

/// The axes of a value that lose their fixed length.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Axes {
    Keep,
    Batch,
    BatchAndSize,
    AllButLast,
}

impl Axes {
    pub(super) fn of_input(rewrite: &Rewrite) -> Self {
        match (rewrite.free_size, rewrite.free_batch) {
            (true, _) => Self::BatchAndSize,
            (false, true) => Self::Batch,
            (false, false) => Self::Keep,
        }
    }

    pub(super) fn of_output(rewrite: &Rewrite) -> Self {
        if rewrite.free_size { Self::AllButLast } else { Self::of_input(rewrite) }
    }

    /// Returns the new name of dimension `axis` in a tensor of `rank` dimensions, if its length becomes free. An empty
    /// name stands for an unknown length.
    fn freed(self, axis: usize, rank: usize) -> Option<&'static [u8]> {
        match (self, axis) {
            (Self::Batch | Self::BatchAndSize, 0) => Some(b"batch"),
            (Self::BatchAndSize, 2) if rank == 4 => Some(b"height"),
            (Self::BatchAndSize, 3) if rank == 4 => Some(b"width"),
            (Self::AllButLast, axis) if axis + 1 < rank => Some(b""),
            _ => None,
        }
    }
}

/// Returns a `ValueInfoProto` with its axes freed.
pub(super) fn value_info(message: &[u8], axes: Axes) -> Result<Vec<u8>, WireError> {
    if axes == Axes::Keep {
        return Ok(message.to_vec());
    }
    within(message, VALUE_TYPE, &|kind| {
        within(kind, TYPE_TENSOR, &|tensor| within(tensor, TENSOR_SHAPE, &|s| shape(s, axes)))
    })
}

/// A function that makes a new message from another.
type Change<'a> = &'a dyn Fn(&[u8]) -> Result<Vec<u8>, WireError>;

/// Replaces every field `number` of a message by the result of `change`.
fn within(message: &[u8], number: u64, change: Change<'_>) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(message.len() + 16);
    for field in fields(message) {
        let field = field?;
        if field.number == number && matches!(field.value, Value::Bytes(_)) {
            put_bytes(&mut out, number, &change(field.bytes())?);
        } else {
            out.extend_from_slice(field.raw);
        }
    }
    Ok(out)
}

fn shape(message: &[u8], axes: Axes) -> Result<Vec<u8>, WireError> {
    let rank = fields(message).filter(|field| matches!(field, Ok(field) if field.number == SHAPE_DIM)).count();
    let (mut out, mut axis) = (Vec::new(), 0);
    for field in fields(message) {
        let field = field?;
        if field.number != SHAPE_DIM {
            out.extend_from_slice(field.raw);
            continue;
        }
        match axes.freed(axis, rank) {
            None => out.extend_from_slice(field.raw),
            Some(b"") => put_bytes(&mut out, SHAPE_DIM, &[]),
            Some(name) => {
                let mut dim = Vec::new();
                put_bytes(&mut dim, DIM_PARAM, name);
                put_bytes(&mut out, SHAPE_DIM, &dim);
            }
        }
        axis += 1;
    }
    Ok(out)
}
