//! Port for a store of embeddings outside MongoDB. MongoDB names each embedding by its digest; a cache may keep the
//! numbers, so that they need not be read from the database.

use async_trait::async_trait;
use muster_actors::domain::gallery::GalleryId;

/// Names an embedding by its numbers, so that a changed face has another name.
pub type Digest = [u8; 16];

/// Computes the digest of an embedding: the first 128 bits of BLAKE3 over its numbers as little-endian float32.
pub fn digest(embedding: &[f32]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    embedding.iter().for_each(|value| {
        hasher.update(&value.to_le_bytes());
    });
    let mut name = [0; 16];
    name.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    name
}

/// Store of the embeddings of galleries by their digests. It may forget, be slow or be down, and never changes a
/// result: after a failure, the embedding counts as missing.
#[async_trait]
pub trait Embeddings: Send + Sync {
    /// Finds embeddings by their digests, in their order; `None` for each that is missing.
    async fn find(&self, gallery: &GalleryId, digests: &[Digest]) -> Vec<Option<Vec<f32>>>;

    /// Stores embeddings of a gallery with their digests. Failures are ignored.
    async fn keep(&self, gallery: &GalleryId, embeddings: &[(Digest, &[f32])]);

    /// Deletes all embeddings of a gallery.
    async fn forget(&self, gallery: &GalleryId);
}
