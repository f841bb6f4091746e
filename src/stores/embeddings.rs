//! Embeddings that need not be read from the database: a port between MongoDB, which names them, and whatever keeps them.

use async_trait::async_trait;
use muster_actors::domain::gallery::GalleryId;

/// Names an embedding by its numbers: a changed face has another name.
pub type Digest = [u8; 16];

/// The digest of an embedding: the first 128 bits of BLAKE3 over its numbers as little-endian float32.
pub fn digest(embedding: &[f32]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    embedding.iter().for_each(|value| {
        hasher.update(&value.to_le_bytes());
    });
    let mut name = [0; 16];
    name.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    name
}

/// Embeddings of galleries by their digests. It may forget, be slow or be down, and never changes a result: a failure is an
/// embedding that is not there.
#[async_trait]
pub trait Embeddings: Send + Sync {
    /// Embeddings by their digests, in order; `None` for each that is not kept.
    async fn find(&self, gallery: &GalleryId, digests: &[Digest]) -> Vec<Option<Vec<f32>>>;

    /// Keeps embeddings.
    async fn keep(&self, gallery: &GalleryId, embeddings: &[(Digest, &[f32])]);

    /// Deletes a gallery's embeddings.
    async fn forget(&self, gallery: &GalleryId);
}
