//! A weight (`TensorProto`) that is read from a model or created.

use super::super::wire::{Value, fields, put_bytes, put_number, varint};
use super::model::ModelError;
use super::number::*;

/// A constant of a graph.
#[derive(Clone, Debug)]
pub(crate) struct Weight<'a> {
    /// Name by which nodes refer to it.
    pub name: String,
    /// Shape; empty for a scalar.
    pub dims: Vec<u64>,
    /// Element type, a `TensorProto.DataType`.
    pub kind: u64,
    data: Data<'a>,
}

#[derive(Clone, Debug)]
enum Data<'a> {
    /// The whole message, as it was read.
    Read(&'a [u8]),
    /// Elements that were computed, little-endian.
    Made(Vec<u8>),
}

impl<'a> Weight<'a> {
    /// Reads a `TensorProto`. [`Weight::floats`] reads its elements later.
    ///
    /// # Errors
    /// [`ModelError::External`] when its elements are in another file; other variants when the
    /// bytes are not a tensor.
    pub fn read(message: &'a [u8]) -> Result<Self, ModelError> {
        let mut weight = Self { name: String::new(), dims: Vec::new(), kind: 0, data: Data::Read(message) };
        for field in fields(message) {
            let field = field?;
            match (field.number, field.value) {
                (TENSOR_DIMS, Value::Varint(dim)) => weight.dims.push(dim),
                (TENSOR_DIMS, Value::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        weight.dims.push(varint(&mut packed)?);
                    }
                }
                (TENSOR_TYPE, Value::Varint(kind)) => weight.kind = kind,
                (TENSOR_NAME, Value::Bytes(name)) => weight.name = super::model::text(name)?,
                (TENSOR_LOCATION, Value::Varint(1)) => return Err(ModelError::External),
                _ => {}
            }
        }
        Ok(weight)
    }

    /// Creates a weight of `kind`, with its elements little-endian in `data`.
    pub fn made(name: impl Into<String>, dims: &[u64], kind: u64, data: Vec<u8>) -> Self {
        Self { name: name.into(), dims: dims.to_vec(), kind, data: Data::Made(data) }
    }

    /// Creates a float32 weight.
    pub(crate) fn of_floats(name: impl Into<String>, dims: &[u64], values: &[f32]) -> Self {
        Self::made(name, dims, KIND_FLOAT, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Returns its elements; `None` where it is not float32.
    ///
    /// # Errors
    /// [`ModelError::Length`] when it does not have as many elements as its shape says; other
    /// variants when the bytes are damaged.
    pub fn floats(&self) -> Result<Option<Vec<f32>>, ModelError> {
        if self.kind != KIND_FLOAT {
            return Ok(None);
        }
        let mut values = Vec::new();
        let mut take = |bytes: &[u8]| {
            let (words, _) = bytes.as_chunks::<4>();
            values.extend(words.iter().map(|word| f32::from_le_bytes(*word)));
        };
        match &self.data {
            Data::Made(data) => take(data),
            Data::Read(message) => {
                for field in fields(message) {
                    // Unpacked floats do not occur, because the schema says packed.
                    if let (TENSOR_FLOATS | TENSOR_RAW, Value::Bytes(bytes)) =
                        field.map(|field| (field.number, field.value))?
                    {
                        take(bytes);
                    }
                }
            }
        }
        let length = self.dims.iter().try_fold(1u64, |length, dim| length.checked_mul(*dim));
        if length == Some(values.len() as u64) { Ok(Some(values)) } else { Err(ModelError::Length(self.name.clone())) }
    }

    /// Returns its `TensorProto`.
    pub fn write(&self) -> Vec<u8> {
        let data = match &self.data {
            Data::Read(message) => return message.to_vec(),
            Data::Made(data) => data,
        };
        let mut out = Vec::with_capacity(data.len() + self.name.len() + 64);
        self.dims.iter().for_each(|dim| put_number(&mut out, TENSOR_DIMS, *dim));
        put_number(&mut out, TENSOR_TYPE, self.kind);
        put_bytes(&mut out, TENSOR_NAME, self.name.as_bytes());
        put_bytes(&mut out, TENSOR_RAW, data);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tensor of two floats, with `numbers` and `bytes` put after its type.
    fn message(dims: &[u64], kind: u64, bytes: &[(u64, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        dims.iter().for_each(|dim| put_number(&mut out, TENSOR_DIMS, *dim));
        put_number(&mut out, TENSOR_TYPE, kind);
        bytes.iter().for_each(|(number, bytes)| put_bytes(&mut out, *number, bytes));
        out
    }

    #[test]
    fn elements_are_read_raw_and_packed() {
        let floats: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        for field in [TENSOR_RAW, TENSOR_FLOATS] {
            let bytes = message(&[2], KIND_FLOAT, &[(field, &floats)]);
            let weight = Weight::read(&bytes).unwrap();
            assert_eq!(weight.floats(), Ok(Some(vec![1.5, -2.0])));
            assert_eq!(weight.write(), bytes);
        }
        assert_eq!(Weight::made("w", &[1], KIND_INT64, vec![0; 8]).floats(), Ok(None));
        let made = Weight::of_floats("w", &[2], &[1.5, -2.0]).write();
        assert_eq!(Weight::read(&made).unwrap().floats(), Ok(Some(vec![1.5, -2.0])));
    }

    #[test]
    fn a_shape_that_does_not_match_is_an_error() {
        for dims in [&[3][..], &[u64::MAX, 2], &[]] {
            let bytes = message(dims, KIND_FLOAT, &[(TENSOR_RAW, &[0; 8])]);
            assert_eq!(Weight::read(&bytes).unwrap().floats(), Err(ModelError::Length(String::new())));
        }
        let mut external = message(&[2], KIND_FLOAT, &[]);
        put_number(&mut external, TENSOR_LOCATION, 1);
        assert_eq!(Weight::read(&external).map(|_| ()), Err(ModelError::External));
    }
}
