//! Takes what was forgotten out of the cache.

use std::collections::BTreeSet;

use muster_actors::gallery::GalleryId;
use muster_actors::image::Locator;
use muster_actors::ports::analyses::Content;

use super::{Cache, analyses, objects, vectors};

/// Keys that one command deletes.
const BATCH: usize = 1_000;

impl Cache {
    /// Deletes the bytes of images, all analyses of their contents, and the embeddings of galleries: all of a gallery's, because
    /// nobody may know any more which of them were whose, and the next grouping brings back those that are left. Whether the
    /// cache was reached.
    pub async fn forget(&self, images: &[(&Locator, Option<Content>)], galleries: &[GalleryId]) -> bool {
        let mut keys: BTreeSet<String> = galleries.iter().map(vectors::key).collect();
        keys.extend(images.iter().map(|(locator, _)| objects::key(locator)));
        keys.extend(images.iter().filter_map(|(_, content)| Some(analyses::key(content.as_ref()?))));
        let keys: Vec<String> = keys.into_iter().collect();
        for keys in keys.chunks(BATCH) {
            if self.command::<u64>(redis::cmd("DEL").arg(keys)).await.is_none() {
                return false;
            }
        }
        true
    }
}
