//! Analyses by the content of the image and by everything else that they depend on. All analyses of one content lie under one key, so
//! that they go together when the image is forgotten.

use async_trait::async_trait;
use muster_actors::ports::analyses::{Analyses, Content, Known};

use super::{Cache, opened, sealed};

/// Analyses in the cache.
pub struct CachedAnalyses {
    cache: Cache,
    /// Names models, provider, limits and version: another of them finds other faces.
    maker: String,
    seconds: u64,
}

/// The key of all analyses of a content; a field for each maker.
pub(super) fn key(content: &Content) -> String {
    format!("muster:analysis:{}", blake3::Hash::from_bytes(*content).to_hex())
}

impl CachedAnalyses {
    /// Keeps the analyses of one `maker`; those of a content for `seconds` after the last of them.
    pub fn new(cache: Cache, maker: String, seconds: u64) -> Self {
        Self { cache, maker, seconds }
    }

    /// What the checksum of an analysis binds it to. A key's length is always the same, so no two pairs are one name.
    fn name(&self, key: &str) -> String {
        format!("{key}:{}", self.maker)
    }
}

#[async_trait]
impl Analyses for CachedAnalyses {
    async fn find(&self, content: &Content) -> Option<Known> {
        let key = key(content);
        let kept = self.cache.read(redis::cmd("HGET").arg(&key).arg(&self.maker)).await?;
        postcard::from_bytes(&self.cache.checked(opened(&self.name(&key), &kept))?).ok()
    }

    fn keep(&self, content: Content, known: Known) {
        // What cannot be written is not kept.
        let Ok(value) = postcard::to_allocvec(&known) else { return };
        let key = key(&content);
        let value = sealed(&self.name(&key), &value);
        let mut pipeline = redis::pipe();
        pipeline.cmd("HSET").arg(&key).arg(&self.maker).arg(value).ignore();
        pipeline.cmd("EXPIRE").arg(&key).arg(self.seconds).ignore();
        self.cache.write(pipeline);
    }
}
