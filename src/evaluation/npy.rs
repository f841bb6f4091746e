//! Reads NumPy's file format, versions 1 to 3: two-dimensional arrays of little-endian float32 in C
//! order, as `muster export --embeddings` writes them.
//!
//! Source of the format: "NEP 1 — A simple file format for NumPy arrays" and `numpy.lib.format`.

use std::io::Read;

/// Longest header in bytes; NumPy refuses longer ones too.
const MAX_HEADER: usize = 10_000;
/// Most rows of an array.
const MAX_ROWS: usize = 4_000_000;
/// Most columns of an array.
const MAX_COLUMNS: usize = 4_096;
/// Bytes that are read at once, so that an array is not allocated before its bytes have arrived.
const BLOCK: usize = 1 << 20;

/// The reason why a file is not an array of vectors.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The file cannot be read.
    #[error("the array cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The first bytes are not those of the format.
    #[error("this is not a file of NumPy's format .npy: write one with `muster export --embeddings` or `numpy.save`")]
    Magic,
    /// The version of the format is unknown.
    #[error("version {0} of NumPy's file format is not known here: save the array with version 1, 2 or 3")]
    Version(u8),
    /// The header is longer than that of any array with two dimensions.
    #[error("the header says that it has {0} bytes, and {MAX_HEADER} are allowed: the file is damaged")]
    HeaderSize(usize),
    /// The header cannot be understood.
    #[error("the header cannot be understood ({0:?}): the file is damaged")]
    Header(String),
    /// The numbers are not little-endian float32.
    #[error("the array holds {0:?}, not little-endian float32 ('<f4'): convert it with `astype('<f4')`")]
    Type(String),
    /// The array is in Fortran order: its columns follow one another.
    #[error("the array is in Fortran order: save `numpy.ascontiguousarray(array)`")]
    Order,
    /// The array does not have two dimensions.
    #[error("the array has {0} dimensions, not two: a row is a face")]
    Dimensions(usize),
    /// The array has more rows or columns than the limits.
    #[error("the array is {rows} x {columns}: at most {MAX_ROWS} faces of 1 to {MAX_COLUMNS} dimensions are read")]
    Shape {
        /// Rows of the array.
        rows: usize,
        /// Columns of the array.
        columns: usize,
    },
    /// The bytes end before the array does.
    #[error("the file ends after {got} of {expected} bytes of the array: it is not complete")]
    Truncated {
        /// Bytes that the shape needs.
        expected: usize,
        /// Bytes that are there.
        got: usize,
    },
    /// Bytes follow the array.
    #[error("more bytes follow the array than its shape says: the file is damaged")]
    Trailing,
}

/// An array of numbers.
#[derive(Debug, PartialEq)]
pub(crate) struct VectorArray {
    pub rows: usize,
    pub columns: usize,
    /// `rows * columns` numbers, row-major.
    pub data: Vec<f32>,
}

/// Reads an array. It allocates no more than the bytes that arrive, and one block.
pub(crate) fn read(mut from: impl Read) -> Result<VectorArray, NpyError> {
    let header = header(&mut from)?;
    let (rows, columns) = shape(&header)?;
    let expected = rows * columns * size_of::<f32>();
    let mut data = Vec::new();
    let mut block = vec![0; BLOCK.min(expected)];
    let mut got = 0;
    while got < expected {
        let wanted = block.len().min(expected - got);
        let read = fill(&mut from, &mut block[..wanted])?;
        let (numbers, rest) = block[..read].as_chunks::<4>();
        data.extend(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        got += read;
        if read < wanted || !rest.is_empty() {
            return Err(NpyError::Truncated { expected, got });
        }
    }
    match fill(&mut from, &mut [0])? {
        0 => Ok(VectorArray { rows, columns, data }),
        _ => Err(NpyError::Trailing),
    }
}

/// Reads until the buffer is full or the bytes end, and returns how many bytes were read.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> Result<usize, NpyError> {
    let mut at = 0;
    while at < buffer.len() {
        match from.read(&mut buffer[at..]) {
            Ok(0) => break,
            Ok(read) => at += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(at)
}

/// Returns the text of the header.
fn header(from: &mut impl Read) -> Result<String, NpyError> {
    let mut start = [0; 8];
    if fill(from, &mut start)? < start.len() || start[..6] != *b"\x93NUMPY" {
        return Err(NpyError::Magic);
    }
    let mut length = [0; 4];
    let bytes = match start[6] {
        1 => 2,
        2 | 3 => 4,
        version => return Err(NpyError::Version(version)),
    };
    let cut = || NpyError::Header("the file ends in it".to_owned());
    if fill(from, &mut length[..bytes])? < bytes {
        return Err(cut());
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        return Err(NpyError::HeaderSize(length));
    }
    let mut text = vec![0; length];
    if fill(from, &mut text)? < length {
        return Err(cut());
    }
    String::from_utf8(text).map_err(|_| NpyError::Header("it is not UTF-8".to_owned()))
}

/// Parses rows and columns from the header, a Python dict of `descr`, `fortran_order` and `shape`,
/// and checks all three.
fn shape(header: &str) -> Result<(usize, usize), NpyError> {
    let fault = || NpyError::Header(header.trim().chars().take(200).collect());
    let dict = header.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or_else(fault)?;
    let (mut kind, mut order, mut shape) = (None, None, None);
    let mut rest = dict.trim();
    while !rest.is_empty() {
        let (key, after) = quoted(rest).ok_or_else(fault)?;
        let after = after.trim_start().strip_prefix(':').ok_or_else(fault)?.trim_start();
        let (value, after) = value(after).ok_or_else(fault)?;
        let place = match key {
            "descr" => &mut kind,
            "fortran_order" => &mut order,
            "shape" => &mut shape,
            _ => return Err(fault()),
        };
        if place.replace(value).is_some() {
            return Err(fault());
        }
        rest = match after.trim_start().strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if after.trim().is_empty() => "",
            None => return Err(fault()),
        };
    }
    let (Some(kind), Some(order), Some(shape)) = (kind, order, shape) else { return Err(fault()) };
    if quoted(kind) != Some(("<f4", "")) {
        return Err(NpyError::Type(kind.to_owned()));
    }
    match order {
        "False" => {}
        "True" => return Err(NpyError::Order),
        _ => return Err(fault()),
    }
    let sides = shape.strip_prefix('(').and_then(|text| text.strip_suffix(')')).ok_or_else(fault)?;
    let sides = sides.trim().trim_end_matches(',').split(',').map(str::trim).filter(|side| !side.is_empty());
    let sides = sides.map(str::parse).collect::<Result<Vec<usize>, _>>().map_err(|_| fault())?;
    let [rows, columns] = sides[..] else { return Err(NpyError::Dimensions(sides.len())) };
    if rows > MAX_ROWS || !(1..=MAX_COLUMNS).contains(&columns) {
        return Err(NpyError::Shape { rows, columns });
    }
    Ok((rows, columns))
}

/// Returns the text between quotes, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c))?;
    text[1..].split_once(quote)
}

/// Returns a value of the dict (quoted, in parentheses or brackets, or a word), and what follows
/// it.
fn value(text: &str) -> Option<(&str, &str)> {
    let end = match text.chars().next()? {
        quote @ ('\'' | '"') => text[1..].find(quote)? + 2,
        '(' => text.find(')')? + 1,
        '[' => text.find(']')? + 1,
        _ => text.find([',', '}']).unwrap_or(text.len()),
    };
    Some((text[..end].trim_end(), &text[end..]))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const HEADER: &str = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";

    /// A file with this header and these bytes of data.
    pub(crate) fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        let length = (header.len() as u32 + 1).to_le_bytes();
        bytes.extend(&length[..if version == 1 { 2 } else { 4 }]);
        bytes.extend(header.as_bytes());
        bytes.push(b'\n');
        bytes.extend(data);
        bytes
    }

    /// The bytes of numbers.
    pub(crate) fn bytes(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn fault(bytes: &[u8]) -> NpyError {
        read(bytes).unwrap_err()
    }

    #[test]
    fn each_version_is_read() {
        let numbers = [1.0, -2.0, 3.5, 0.0, f32::MIN_POSITIVE, 6.0];
        for version in 1..=3 {
            let array = read(&file(version, HEADER, &bytes(&numbers))[..]).unwrap();
            assert_eq!(array, VectorArray { rows: 2, columns: 3, data: numbers.to_vec() });
        }
    }

    #[test]
    fn other_spellings_of_a_header_are_read() {
        for header in [
            "{\"shape\": (2,3), \"fortran_order\": False, \"descr\": \"<f4\"}",
            "  {'descr':'<f4','fortran_order':False,'shape':( 2 , 3 ,)}  ",
        ] {
            assert_eq!(read(&file(1, header, &[0; 24])[..]).unwrap().rows, 2, "{header}");
        }
        let none = HEADER.replace("(2, 3)", "(0, 3)");
        assert_eq!(read(&file(1, &none, &[])[..]).unwrap(), VectorArray { rows: 0, columns: 3, data: vec![] });
    }

    #[test]
    fn a_large_array_is_read_in_blocks() {
        let rows = BLOCK / 4;
        let header = HEADER.replace("(2, 3)", &format!("({rows}, 3)"));
        let numbers: Vec<f32> = (0..rows * 3).map(|n| n as f32).collect();
        assert_eq!(read(&file(2, &header, &bytes(&numbers))[..]).unwrap().data, numbers);
    }

    #[test]
    fn huge_shapes_are_refused_before_anything_is_allocated() {
        for shape in ["(4000001, 3)", "(2, 4097)", "(2, 0)", "(18446744073709551615, 4096)"] {
            let header = HEADER.replace("(2, 3)", shape);
            assert!(matches!(fault(&file(1, &header, &[])), NpyError::Shape { .. }), "{shape}");
        }
        let header = HEADER.replace("(2, 3)", "(4000000, 4096)");
        let fault = fault(&file(1, &header, &[0; 40]));
        assert!(matches!(fault, NpyError::Truncated { expected: 65_536_000_000, got: 40 }), "{fault}");
    }

    #[test]
    fn an_array_that_is_cut_or_goes_on_is_refused() {
        for size in [0, 3, 23] {
            let fault = fault(&file(1, HEADER, &vec![0; size]));
            assert!(matches!(fault, NpyError::Truncated { expected: 24, got } if got == size), "{fault}");
        }
        assert!(matches!(fault(&file(1, HEADER, &[0; 25])), NpyError::Trailing));
        let whole = file(1, HEADER, &[0; 24]);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn other_numbers_orders_and_dimensions_are_refused() {
        let with = |from: &str, to: &str| fault(&file(1, &HEADER.replace(from, to), &[0; 24]));
        for kind in ["'<f8'", "'>f4'", "'|O'", "[('a', '<f4')]"] {
            assert!(matches!(with("'<f4'", kind), NpyError::Type(_)), "{kind}");
        }
        assert!(matches!(with("False", "True"), NpyError::Order));
        assert!(matches!(with("(2, 3)", "(6,)"), NpyError::Dimensions(1)));
        assert!(matches!(with("(2, 3)", "()"), NpyError::Dimensions(0)));
        assert!(matches!(with("(2, 3)", "(1, 2, 3)"), NpyError::Dimensions(3)));
    }

    #[test]
    fn headers_that_are_none_are_refused() {
        for header in [
            "",
            "{",
            "{}",
            "{'descr': '<f4'}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 99999999999999999999)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3}",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'shape': (2, 3)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 1}",
            "{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3)}",
            "{'é",
            "{é}",
        ] {
            assert!(matches!(fault(&file(1, header, &[0; 24])), NpyError::Header(_)), "{header}");
        }
        assert!(matches!(fault(b"PK\x03\x04 an archive .npz"), NpyError::Magic));
        assert!(matches!(fault(&file(4, HEADER, &[])), NpyError::Version(4)));
        let long = file(2, &" ".repeat(MAX_HEADER), &[]);
        assert!(matches!(fault(&long), NpyError::HeaderSize(_)));
    }
}
