//! Deletes forgotten data from the cache.

use std::collections::BTreeSet;
use std::time::Duration;

use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::Locator;
use muster_actors::ports::analyses::Content;

use super::{Cache, analyses, connection, objects, vectors};

/// Time limit of a call.
const CACHE_TIMEOUT: Duration = Duration::from_secs(2);
/// Number of keys that one command deletes.
const BATCH: usize = 1_000;

impl Cache {
    /// Deletes the bytes of images, all analyses of their contents, and all embeddings of galleries, because it may be
    /// unknown which of these belonged to the forgotten faces; the next grouping adds the others again. Tells whether
    /// the cache was reached.
    pub async fn forget(&self, images: &[(&Locator, Option<Content>)], galleries: &[GalleryId]) -> bool {
        let mut keys: BTreeSet<String> = galleries.iter().map(vectors::key).collect();
        keys.extend(images.iter().map(|(locator, _)| objects::key(locator)));
        keys.extend(images.iter().filter_map(|(_, content)| Some(analyses::key(content.as_ref()?))));
        let keys: Vec<String> = keys.into_iter().collect();
        if keys.is_empty() {
            return true;
        }
        // This uses its own connection with a longer time limit, and does not skip a paused cache, because data that is
        // not deleted now stays for hours.
        let Ok(mut connection) = connection(&self.client, CACHE_TIMEOUT, CACHE_TIMEOUT) else { return false };
        for keys in keys.chunks(BATCH) {
            let deleted: redis::RedisResult<u64> = redis::cmd("UNLINK").arg(keys).query_async(&mut connection).await;
            if let Err(error) = deleted {
                tracing::warn!(%error, "cache.forget");
                self.count(|state| &state.errors, 1);
                return false;
            }
        }
        true
    }
}
