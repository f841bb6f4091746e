//! Rows to domain values and back. A value that cannot be read says that the file is damaged.

use muster_actors::domain::capture::{Capture, PictureHash, Taken};
use muster_actors::domain::face::{BBox, Landmarks, Quality, QualityReason};
use muster_actors::domain::image::{ImageState, RejectReason};
use rusqlite::Row;
use rusqlite::types::{FromSqlError, Type};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::LibraryError;

/// Columns of a face `f` that [`quality`] reads, in its order.
pub(super) const QUALITY: &str =
    "sharpness, level, contrast, unevenness, yaw, pitch, roll, occlusion, size, score, norm, overall, reasons, f.face";

/// Little-endian float32.
pub(super) fn floats_to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Little-endian float32; a tail that is no whole number is an error.
pub(super) fn bytes_to_floats(bytes: &[u8]) -> Result<Vec<f32>, FromSqlError> {
    let (whole, []) = bytes.as_chunks::<4>() else {
        return Err(FromSqlError::InvalidBlobSize { expected_size: bytes.len() / 4 * 4, blob_size: bytes.len() });
    };
    Ok(whole.iter().map(|v| f32::from_le_bytes(*v)).collect())
}

/// The column's blob as float32.
pub(super) fn floats(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<f32>> {
    let bytes = row.get_ref(column)?.as_blob().map_err(|e| damaged(column, e))?;
    bytes_to_floats(bytes).map_err(|e| damaged(column, e))
}

/// The column's blob as an id's bytes.
pub(super) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<[u8; 16]> {
    row.get(column)
}

/// The column's blob as an id's bytes, where there is one.
pub(super) fn maybe_id(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<[u8; 16]>> {
    row.get(column)
}

pub(super) fn damaged(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, Box::new(error))
}

pub(super) fn bbox_to_bytes(b: &BBox) -> Vec<u8> {
    floats_to_bytes(&[b.x, b.y, b.width, b.height])
}

pub(super) fn bbox(row: &Row<'_>, column: usize) -> rusqlite::Result<BBox> {
    match floats(row, column)?[..] {
        [x, y, width, height] => Ok(BBox { x, y, width, height }),
        _ => Err(damaged(column, FromSqlError::InvalidType)),
    }
}

pub(super) fn landmarks_to_bytes(points: &Landmarks) -> Vec<u8> {
    floats_to_bytes(points.as_flattened())
}

pub(super) fn landmarks(row: &Row<'_>, column: usize) -> rusqlite::Result<Landmarks> {
    let values = floats(row, column)?;
    let (points, rest) = values.as_chunks::<2>();
    match (<Landmarks>::try_from(points), rest) {
        (Ok(points), []) => Ok(points),
        _ => Err(damaged(column, FromSqlError::InvalidType)),
    }
}

/// Reads the columns of [`QUALITY`] from `first` on.
pub(super) fn quality(row: &Row<'_>, first: usize) -> rusqlite::Result<Quality> {
    let mut columns = first..;
    let mut next = || row.get::<_, f32>(columns.next().unwrap_or(first));
    Ok(Quality {
        sharpness: next()?,
        level: next()?,
        contrast: next()?,
        unevenness: next()?,
        yaw: next()?,
        pitch: next()?,
        roll: next()?,
        occlusion: next()?,
        size: next()?,
        score: next()?,
        norm: next()?,
        overall: next()?,
        reasons: reasons(row, first + 12)?,
        face: row.get(first + 13)?,
    })
}

/// Reads how a photo came about from the column of its bucket, and from `key, taken_local_ms, taken_offset, picture`,
/// the first of them at `first`.
pub(super) fn capture(row: &Row<'_>, bucket: usize, first: usize) -> rusqlite::Result<Capture> {
    let bucket = row.get_ref(bucket)?.as_str().map_err(|e| damaged(bucket, e))?;
    let key = row.get_ref(first)?.as_str().map_err(|e| damaged(first, e))?;
    Ok(Capture::new(taken(row, first + 1)?, picture(row, first + 3)?, bucket, key))
}

/// Reads the hash of a photo as a whole, where there is one.
pub(super) fn picture(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<PictureHash>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|bits| PictureHash(bits.cast_unsigned())))
}

/// Reads when a photo was taken, where its file says so, from `taken_local_ms, taken_offset`.
pub(super) fn taken(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Taken>> {
    let (local_ms, offset_minutes) = (row.get::<_, Option<i64>>(first)?, row.get(first + 1)?);
    Ok(local_ms.map(|local_ms| Taken { local_ms, offset_minutes }))
}

fn reasons(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<QualityReason>> {
    let text: String = row.get(column)?;
    text.split(',').filter(|word| !word.is_empty()).map(|word| parse(column, word)).collect()
}

/// `TOO_SMALL,BLURRED`, in the given order.
pub(super) fn reasons_to_text(reasons: &[QualityReason]) -> Result<String, LibraryError> {
    let words: Result<Vec<_>, _> = reasons.iter().map(word).collect();
    Ok(words?.join(","))
}

/// The name under which serde knows a variant without fields.
pub(super) fn word<T: Serialize>(value: &T) -> Result<String, LibraryError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        other => Err(LibraryError::Broken(format!("not a word: {other:?}"))),
    }
}

fn parse<T: DeserializeOwned>(column: usize, word: &str) -> rusqlite::Result<T> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(|e| damaged(column, e))
}

pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<ImageState> {
    parse(column, &row.get::<_, String>(column)?)
}

pub(super) fn reject_reason(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<RejectReason>> {
    row.get::<_, Option<String>>(column)?.map(|word| parse(column, &word)).transpose()
}

/// Counts are stored as SQLite's signed integers.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|e| damaged(column, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_survive_bit_by_bit() {
        let values = [0.1, -0.0, f32::MIN_POSITIVE, 1e-42, f32::MAX];
        let back = bytes_to_floats(&floats_to_bytes(&values)).unwrap();
        assert!(values.iter().zip(&back).all(|(a, b)| a.to_bits() == b.to_bits()));
        assert!(bytes_to_floats(&[1, 2, 3]).is_err());
    }

    #[test]
    fn reasons_are_words() {
        let text = reasons_to_text(&[QualityReason::TooSmall, QualityReason::LowNorm]).unwrap();
        assert_eq!(text, "TOO_SMALL,LOW_NORM");
    }
}
