//! Reads and writes protobuf's wire format, as far as rewriting an ONNX file needs it. Fields are borrowed slices, and
//! unknown ones are copied as they are.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>. Groups (wire types 3 and 4) do not occur in ONNX, and
//! are refused.

/// The reason why bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field reaches past the end of its message.
    #[error("a field reaches past the end of its message")]
    Truncated,
    /// A varint is longer than ten bytes.
    #[error("a number is longer than ten bytes")]
    LongVarint,
    /// A wire type is none that ONNX uses.
    #[error("wire type {0} is not one that ONNX uses")]
    WireType(u8),
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number of up to 64 bits (protobuf's "varint").
    Varint(u64),
    /// A string, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
    /// Four or eight bytes, which are not rewritten in ONNX files.
    Fixed,
}

/// One field of a message.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Number in the schema.
    pub number: u64,
    /// Value of the field.
    pub value: Value<'a>,
    /// Tag and payload as they were read.
    pub raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// Returns the payload if it is length-delimited, otherwise an empty slice.
    pub fn bytes(&self) -> &'a [u8] {
        if let Value::Bytes(bytes) = self.value { bytes } else { &[] }
    }
}

/// Iterates over the fields of a message, in order. It never allocates, and ends after the first error.
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// Reads the fields of `message`.
pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let before = self.rest;
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field.map(|(number, value)| Field { number, value, raw: &before[..before.len() - self.rest.len()] }))
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Result<(u64, Value<'a>), WireError> {
        let tag = varint(&mut self.rest)?;
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = varint(&mut self.rest)?;
                Value::Bytes(self.take(usize::try_from(length).map_err(|_| WireError::Truncated)?)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            other => return Err(WireError::WireType(other as u8)),
        };
        Ok((tag >> 3, value))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Takes one varint off the front of `bytes`.
pub(crate) fn varint(bytes: &mut &[u8]) -> Result<u64, WireError> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index).min(63);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Ok(value);
        }
    }
    Err(if bytes.len() < 10 { WireError::Truncated } else { WireError::LongVarint })
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a numeric field.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u64, value: u64) {
    put_varint(out, field << 3);
    put_varint(out, value);
}

/// Appends a length-delimited field.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u64, payload: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, payload.len() as u64);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read_back() {
        let mut message = Vec::new();
        put_number(&mut message, 1, u64::MAX);
        put_bytes(&mut message, 700, b"abc");
        let read: Vec<_> = fields(&message).map(|f| f.map(|f| (f.number, f.value))).collect();
        assert_eq!(read, [Ok((1, Value::Varint(u64::MAX))), Ok((700, Value::Bytes(b"abc")))]);
    }

    #[test]
    fn bad_bytes_are_errors_not_panics() {
        let table: [(&[u8], WireError); 6] = [
            (&[0x0a, 5, 1], WireError::Truncated),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], WireError::Truncated),
            (&[0x09, 1, 2], WireError::Truncated),
            (&[0x80], WireError::Truncated),
            (&[0xff; 12], WireError::LongVarint),
            (&[0x0b], WireError::WireType(3)),
        ];
        for (bytes, expected) in table {
            let error = fields(bytes).find_map(Result::err);
            assert_eq!(error, Some(expected), "{bytes:?}");
        }
    }
}
