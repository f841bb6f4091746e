//! Caches the bytes of images, so that they need not be downloaded again. S3 is always asked whether the object is
//! unchanged.

use async_trait::async_trait;
use muster_actors::domain::image::Locator;
use muster_actors::ports::objects::{Object, Objects, ObjectsError};

use super::Cache;
use muster_aws::s3::{Got, S3Objects};

/// S3 with a cache in front of it.
pub struct CachedObjects {
    objects: S3Objects,
    cache: Cache,
    /// Greatest size of a cached object, in bytes.
    limit: u64,
    seconds: u64,
}

impl CachedObjects {
    /// Caches objects of up to `limit` bytes for `seconds`.
    pub fn new(objects: S3Objects, cache: Cache, limit: u64, seconds: u64) -> Self {
        Self { objects, cache, limit, seconds }
    }
}

/// Returns the key of an image's bytes.
pub(super) fn key(locator: &Locator) -> String {
    // The gallery is not part of the key, because the bytes are the same in all galleries.
    format!("muster:image:{}/{}", locator.bucket, locator.key)
}

/// Renders an object for the cache: its etag, a tab and its time of modification where that is known, a line feed, its
/// bytes.
fn written(object: &Object) -> Vec<u8> {
    let modified = object.modified_ms.map(|time| format!("\t{time}")).unwrap_or_default();
    [object.etag.as_bytes(), modified.as_bytes(), b"\n", &object.bytes].concat()
}

fn read(value: &bytes::Bytes) -> Option<Object> {
    let end = value.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&value[..end]).ok()?;
    // An older release wrote only the etag.
    let (etag, modified) = head.split_once('\t').unwrap_or((head, ""));
    let bytes = value.slice(end + 1..);
    Some(Object { size: bytes.len() as u64, bytes, etag: etag.to_owned(), modified_ms: modified.parse().ok() })
}

#[async_trait]
impl Objects for CachedObjects {
    async fn get(&self, locator: &Locator, limit: u64) -> Result<Object, ObjectsError> {
        let key = key(locator);
        if let Some(kept) = self.cache.get(&key).await.as_ref().and_then(read)
            && kept.size <= limit
            // The version behind the `@` is muster's addition; S3 does not know it.
            && let Some(etag) = kept.etag.split('@').next().filter(|etag| !etag.is_empty())
        {
            match self.objects.get_unless(locator, limit, Some(&format!("\"{etag}\""))).await? {
                Got::Unchanged => return Ok(kept),
                Got::Object(object) => {
                    self.keep(&key, &object);
                    return Ok(object);
                }
            }
        }
        let object = self.objects.get(locator, limit).await?;
        self.keep(&key, &object);
        Ok(object)
    }

    async fn head(&self, locator: &Locator, bytes: u64) -> Result<Object, ObjectsError> {
        self.objects.head(locator, bytes).await
    }
}

impl CachedObjects {
    fn keep(&self, key: &str, object: &Object) {
        if object.size <= self.limit {
            self.cache.put(key, &written(object), self.seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_it_was_written() {
        for modified_ms in [None, Some(1_594_030_210_000)] {
            let bytes = bytes::Bytes::from_static(b"\n\tbytes\n");
            let object = Object { bytes, size: 8, etag: "e@v".to_owned(), modified_ms };
            let got = read(&written(&object).into()).unwrap();
            assert_eq!((got.bytes, got.size, got.etag, got.modified_ms), (object.bytes, 8, object.etag, modified_ms));
        }
        let old = read(&bytes::Bytes::from_static(b"e@v\nbytes")).unwrap();
        assert_eq!((old.etag.as_str(), old.modified_ms), ("e@v", None));
        assert!(read(&bytes::Bytes::from_static(b"no line feed")).is_none());
    }
}
