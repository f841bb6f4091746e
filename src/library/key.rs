//! Converts paths to locators and back, without loss for every path that the system allows.
//!
//! A photo under the library's parent folder (its base) has bucket `.` and the path relative to the
//! base as key, so that photos and library can be moved together. Any other photo has bucket `/` and
//! its absolute path without the leading slash as key: one name a photo, whichever PATH it was found by.
//!
//! A key is the path itself where that is UTF-8. A path that is not, or that begins with `bytes:`,
//! is written as `bytes:` and its bytes percent-encoded (RFC 3986, unreserved characters and `/` as they are).

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::Locator;
use muster_gallery::{ENROLLED, LIBRARY_GALLERY};

/// Bucket of photos under the library's base.
pub const HERE: &str = ".";
/// Bucket of all other photos.
pub const ROOT: &str = "/";
const ESCAPE: &str = "bytes:";

/// Errors of keys that name no photo.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A `%` without two hexadecimal digits.
    #[error("the key is not percent-encoded")]
    Encoding,
    /// The key has `..` or a NUL byte, or is absolute.
    #[error("the key leads out of its folder")]
    Outside,
    /// The bucket is neither `.` nor `/`.
    #[error("no such root folder: {0:?}")]
    Bucket(String),
}

/// Converts a relative path to a key.
pub fn encode(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with(ESCAPE) => text.to_owned(),
        _ => {
            let mut key = String::with_capacity(ESCAPE.len() + bytes.len() * 3);
            key.push_str(ESCAPE);
            for &byte in bytes {
                if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                    key.push(char::from(byte));
                } else {
                    // Writing to a String cannot fail.
                    let _ = write!(key, "%{byte:02X}");
                }
            }
            key
        }
    }
}

/// Converts a key back to a relative path that stays inside its folder.
pub fn decode(key: &str) -> Result<PathBuf, KeyError> {
    let bytes = match key.strip_prefix(ESCAPE) {
        None => key.as_bytes().to_vec(),
        Some(text) => {
            let mut bytes = Vec::with_capacity(text.len());
            let mut rest = text.as_bytes();
            while let Some((&byte, tail)) = rest.split_first() {
                if byte != b'%' {
                    bytes.push(byte);
                    rest = tail;
                    continue;
                }
                let digits = tail.get(..2).and_then(|d| std::str::from_utf8(d).ok()).ok_or(KeyError::Encoding)?;
                if !digits.bytes().all(|d| d.is_ascii_hexdigit()) {
                    return Err(KeyError::Encoding);
                }
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| KeyError::Encoding)?);
                rest = &tail[2..];
            }
            bytes
        }
    };
    let path = PathBuf::from(OsString::from_vec(bytes));
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    if inside && !path.as_os_str().as_bytes().contains(&0) { Ok(path) } else { Err(KeyError::Outside) }
}

/// Returns a locator's path as people read it: relative to the library's base, or absolute.
pub fn shown(bucket: &str, key: &str) -> String {
    match (bucket, key.strip_prefix(ESCAPE)) {
        (ROOT, Some(rest)) => format!("{ESCAPE}/{rest}"),
        (ROOT, None) => format!("/{key}"),
        (ENROLLED, _) => format!("enrolled/{}", &key[..key.len().min(12)]),
        (_, _) if key.is_empty() => ".".to_owned(),
        _ => key.to_owned(),
    }
}

/// The map between paths and locators of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathMap {
    base: PathBuf,
}

impl PathMap {
    /// Creates the map of a library with the parent folder `base`, which is absolute and without links.
    pub fn new(base: impl Into<PathBuf>) -> Self {
        Self { base: base.into() }
    }

    /// Returns the library's parent folder.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Returns the locator of an absolute path.
    pub fn locate(&self, path: &Path) -> Locator {
        let (bucket, relative) = match path.strip_prefix(&self.base) {
            Ok(relative) => (HERE, relative),
            Err(_) => (ROOT, path.strip_prefix("/").unwrap_or(path)),
        };
        Locator { gallery: GalleryId(LIBRARY_GALLERY.to_owned()), bucket: bucket.to_owned(), key: encode(relative) }
    }

    /// Returns the absolute path of a bucket and key.
    pub fn path(&self, bucket: &str, key: &str) -> Result<PathBuf, KeyError> {
        let relative = decode(key)?;
        match bucket {
            HERE => Ok(self.base.join(relative)),
            ROOT => Ok(Path::new("/").join(relative)),
            other => Err(KeyError::Bucket(other.chars().take(64).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn os(bytes: &[u8]) -> PathBuf {
        PathBuf::from(OsString::from_vec(bytes.to_vec()))
    }

    #[test]
    fn keys_are_readable_where_they_can_be() {
        for (bytes, key) in [
            (&b"2024/a b.jpg"[..], "2024/a b.jpg"),
            ("ü/ö.jpg".as_bytes(), "ü/ö.jpg"),
            (b"caf\xe9.jpg", "bytes:caf%E9.jpg"),
            (b"bytes:x y.jpg", "bytes:bytes%3Ax%20y.jpg"),
            (b"100%.jpg", "100%.jpg"),
        ] {
            assert_eq!(encode(&os(bytes)), key);
            assert_eq!(decode(key).unwrap(), os(bytes));
        }
    }

    #[test]
    fn keys_that_lead_out_are_refused() {
        for key in ["../x.jpg", "/etc/passwd", "a/../../x", "bytes:%2E%2E/x", "bytes:a%00b", "a\0b"] {
            assert_eq!(decode(key), Err(KeyError::Outside), "{key:?}");
        }
        for key in ["bytes:%", "bytes:%4", "bytes:%+1", "bytes:%é"] {
            assert_eq!(decode(key), Err(KeyError::Encoding), "{key:?}");
        }
    }

    #[test]
    fn photos_beside_the_library_are_relative_and_others_absolute() {
        let places = PathMap::new("/home/me/photos");
        for (path, bucket, key, text) in [
            ("/home/me/photos/a/b.jpg", ".", "a/b.jpg", "a/b.jpg"),
            ("/home/me/photos2/b.jpg", "/", "home/me/photos2/b.jpg", "/home/me/photos2/b.jpg"),
        ] {
            let locator = places.locate(Path::new(path));
            assert_eq!((locator.bucket.as_str(), locator.key.as_str()), (bucket, key));
            assert_eq!(places.path(bucket, key).unwrap(), Path::new(path));
            assert_eq!(shown(bucket, key), text);
        }
        assert!(matches!(places.path("photos", "x"), Err(KeyError::Bucket(_))));
    }

    proptest! {
        #[test]
        fn every_name_survives(parts in prop::collection::vec(prop::collection::vec(1u8.., 1..20), 1..4)) {
            let parts: Vec<_> = parts.into_iter()
                .map(|p| p.into_iter().map(|b| if b == b'/' { b'_' } else { b }).collect::<Vec<u8>>())
                .filter(|p| p != b"." && p != b"..")
                .collect();
            prop_assume!(!parts.is_empty());
            let path = os(&parts.join(&b'/'));
            prop_assert_eq!(decode(&encode(&path)).unwrap(), path);
        }
    }
}
