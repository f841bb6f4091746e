//! Reads EXIF: the orientation, the time of the photo, and the embedded thumbnail.

use exif::{Exif, In, Reader, Tag, Value};
use muster_actors::domain::capture::{ClockTime, Taken};

/// Largest EXIF block that is read, in bytes; one in a JPEG cannot reach 64 KiB.
const LIMIT: usize = 1 << 20;

fn read(tiff: &[u8]) -> Option<Exif> {
    if tiff.len() > LIMIT {
        return None;
    }
    let mut reader = Reader::new();
    // A block with one bad entry still has a usable orientation.
    reader.continue_on_error(true);
    match reader.read_raw(tiff.to_vec()) {
        Ok(exif) => Some(exif),
        Err(error) => error.distill_partial_result(|_| {}).ok(),
    }
}

fn number(exif: &Exif, tag: Tag, ifd: In) -> Option<u32> {
    match &exif.get_field(tag, ifd)?.value {
        Value::Short(values) => values.first().map(|&v| u32::from(v)),
        Value::Long(values) => values.first().copied(),
        _ => None,
    }
}

/// Returns the orientation of the primary image, 1 to 8; 1 where the block is absent or broken, or
/// the value is not valid.
pub fn orientation(tiff: Option<&[u8]>) -> u8 {
    tiff.and_then(read)
        .and_then(|exif| number(&exif, Tag::Orientation, In::PRIMARY))
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (1..=8).contains(value))
        .unwrap_or(1)
}

/// Returns when the photo was taken (EXIF 2.32 section 4.6.5): the time of the shot, otherwise that
/// of the scan. `DateTime` does not count, because editors change it. `None` where the block is
/// absent or broken, or the value is not valid.
pub fn taken(tiff: Option<&[u8]>) -> Option<Taken> {
    let exif = read(tiff?)?;
    let time = |[clock, part, offset]: [Tag; 3]| {
        let mut clock = clock_time(text(&exif, clock)?)?;
        clock.millisecond = text(&exif, part).and_then(milliseconds).unwrap_or(0);
        Taken::new(clock, text(&exif, offset).and_then(offset_minutes))
    };
    time([Tag::DateTimeOriginal, Tag::SubSecTimeOriginal, Tag::OffsetTimeOriginal])
        .or_else(|| time([Tag::DateTimeDigitized, Tag::SubSecTimeDigitized, Tag::OffsetTimeDigitized]))
}

/// Returns the first text under a tag, without white space around it.
fn text(exif: &Exif, tag: Tag) -> Option<&[u8]> {
    match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Ascii(texts) => texts.first().map(|text| text.trim_ascii()),
        _ => None,
    }
}

/// Parses a number that consists of digits only.
fn digits(text: &[u8]) -> Option<u32> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

/// Parses a time such as `2020:07:06 10:10:10`. Any separators are accepted, because some programs
/// write others.
fn clock_time(text: &[u8]) -> Option<ClockTime> {
    let part = |from: usize, to: usize| digits(text.get(from..to)?);
    let separators = [4, 7, 10, 13, 16].map(|at| text.get(at).is_some_and(|byte| !byte.is_ascii_digit()));
    if text.len() != 19 || separators.contains(&false) {
        return None;
    }
    Some(ClockTime {
        year: part(0, 4)?,
        month: part(5, 7)?,
        day: part(8, 10)?,
        hour: part(11, 13)?,
        minute: part(14, 16)?,
        second: part(17, 19)?,
        millisecond: 0,
    })
}

/// Converts the digits behind the decimal point of a second to milliseconds.
fn milliseconds(text: &[u8]) -> Option<u32> {
    digits(text)?;
    digits(&[text.get(..text.len().min(3))?, b"00"].concat()[..3])
}

/// Parses an offset from UTC such as `+02:00` to minutes.
fn offset_minutes(text: &[u8]) -> Option<i16> {
    let (sign, rest) = match text.split_first()? {
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = (digits(rest.get(..2)?)?, digits(rest.get(3..)?)?);
    let is_offset = rest.len() == 5 && rest.get(2) == Some(&b':') && minutes < 60;
    is_offset.then(|| Some(sign * i16::try_from(hours * 60 + minutes).ok()?))?
}

/// Returns the JPEG thumbnail of the second directory (IFD1), EXIF 2.32 section 4.5.5.
pub fn thumbnail(tiff: &[u8]) -> Option<Vec<u8>> {
    let exif = read(tiff)?;
    let start = number(&exif, Tag::JPEGInterchangeFormat, In::THUMBNAIL)? as usize;
    let length = number(&exif, Tag::JPEGInterchangeFormatLength, In::THUMBNAIL)? as usize;
    exif.buf().get(start..start.checked_add(length)?).map(<[u8]>::to_vec)
}
