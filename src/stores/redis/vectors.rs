//! Caches embeddings of galleries. Each is named by a digest of its own numbers, which the database has. So a changed
//! face has another name, and a wrong value does not match its name.

use async_trait::async_trait;
use muster_actors::domain::gallery::GalleryId;

use super::Cache;
use crate::embeddings::{Digest, Embeddings, digest};

/// Number of embeddings in one command.
const BATCH: usize = 1_000;

/// Cache of embeddings.
#[derive(Clone)]
pub struct Vectors {
    cache: Cache,
    seconds: u64,
}

/// Returns the key of a gallery's embeddings.
pub(super) fn key(gallery: &GalleryId) -> String {
    format!("muster:gallery:{gallery}")
}

fn floats(bytes: &[u8], wanted: &Digest) -> Option<Vec<f32>> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    let embedding: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    (rest.is_empty() && !embedding.is_empty() && digest(&embedding) == *wanted).then_some(embedding)
}

impl Vectors {
    /// Caches a gallery's embeddings for `seconds` after the last was added.
    pub fn new(cache: Cache, seconds: u64) -> Self {
        Self { cache, seconds }
    }
}

#[async_trait]
impl Embeddings for Vectors {
    async fn find(&self, gallery: &GalleryId, digests: &[Digest]) -> Vec<Option<Vec<f32>>> {
        let mut found = Vec::with_capacity(digests.len());
        for digests in digests.chunks(BATCH) {
            let mut command = redis::cmd("HMGET");
            command.arg(key(gallery));
            digests.iter().for_each(|digest| {
                command.arg(digest);
            });
            let kept: Option<Vec<Option<Vec<u8>>>> = self.cache.command(&command).await;
            let mut kept = kept.unwrap_or_default();
            kept.resize(digests.len(), None);
            for (bytes, digest) in kept.into_iter().zip(digests) {
                let Some(bytes) = bytes else {
                    self.cache.count(|state| &state.misses, 1);
                    found.push(None);
                    continue;
                };
                let embedding = floats(&bytes, digest);
                match embedding {
                    Some(_) => {
                        self.cache.count(|state| &state.hits, 1);
                        self.cache.count(|state| &state.bytes, bytes.len() as u64);
                    }
                    None => self.cache.count(|state| &state.errors, 1),
                }
                found.push(embedding);
            }
        }
        found
    }

    async fn keep(&self, gallery: &GalleryId, embeddings: &[(Digest, &[f32])]) {
        for batch in embeddings.chunks(BATCH) {
            let mut pipeline = redis::pipe();
            let command = pipeline.cmd("HSET").arg(key(gallery));
            for (digest, embedding) in batch {
                let bytes: Vec<u8> = embedding.iter().flat_map(|value| value.to_le_bytes()).collect();
                command.arg(digest).arg(bytes);
            }
            pipeline.ignore().cmd("EXPIRE").arg(key(gallery)).arg(self.seconds).ignore();
            let _: Option<()> = self.cache.pipeline(&pipeline).await;
        }
    }

    async fn forget(&self, gallery: &GalleryId) {
        self.cache.forget(&[], std::slice::from_ref(gallery)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedding_comes_back_only_under_its_own_digest() {
        let embedding = [0.5f32, -0.0, 3.25];
        let bytes: Vec<u8> = embedding.iter().flat_map(|value| value.to_le_bytes()).collect();
        let name = digest(&embedding);
        assert_eq!(floats(&bytes, &name), Some(embedding.to_vec()));
        assert_eq!(floats(&bytes, &[0; 16]), None);
        assert_eq!(floats(&bytes[..9], &name), None);
        assert_eq!(floats(b"", &digest(&[])), None);
        assert_ne!(digest(&[0.0]), digest(&[-0.0]));
    }
}
