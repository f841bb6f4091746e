//! Analyses by the content of the image and by everything else that they depend on.

use async_trait::async_trait;
use muster_actors::ports::analyses::{Analyses, Content, Known};

use super::Cache;

/// Analyses in the cache.
pub struct CachedAnalyses {
    cache: Cache,
    /// Names models, provider, limits and version: another of them finds other faces.
    maker: String,
    seconds: u64,
}

impl CachedAnalyses {
    /// Keeps the analyses of one `maker` for `seconds`.
    pub fn new(cache: Cache, maker: String, seconds: u64) -> Self {
        Self { cache, maker, seconds }
    }

    fn key(&self, content: &Content) -> String {
        format!("muster:analysis:{}:{}", self.maker, blake3::Hash::from_bytes(*content).to_hex())
    }
}

#[async_trait]
impl Analyses for CachedAnalyses {
    async fn find(&self, content: &Content) -> Option<Known> {
        postcard::from_bytes(&self.cache.get(&self.key(content)).await?).ok()
    }

    fn keep(&self, content: Content, known: Known) {
        // What cannot be written is not kept.
        if let Ok(value) = postcard::to_allocvec(&known) {
            self.cache.put(self.key(&content), &value, self.seconds);
        }
    }
}
