//! The groups of galleries in S3, where others read them, put there after corrections: behind the answer to whoever made
//! them, because all groups of a gallery are written.

use std::collections::HashMap;
use std::sync::Arc;

use muster_actors::domain::gallery::GalleryId;
use parking_lot::Mutex;
use tracing::Instrument;

use super::Shared;

/// The galleries that are being published, and whether they changed since that began.
#[derive(Default)]
pub(super) struct Publications(Mutex<HashMap<GalleryId, bool>>);

impl Publications {
    /// Whether whoever asks is to publish the gallery; else the one who does will do so again.
    fn begin(&self, gallery: &GalleryId) -> bool {
        let mut all = self.0.lock();
        match all.get_mut(gallery) {
            Some(changed) => *changed = true,
            None => drop(all.insert(gallery.clone(), false)),
        }
        !all[gallery]
    }

    /// Whether the gallery is published as it is now; else it is to be published again.
    fn end(&self, gallery: &GalleryId) -> bool {
        let mut all = self.0.lock();
        match all.get_mut(gallery) {
            Some(changed) if *changed => {
                *changed = false;
                false
            }
            _ => {
                all.remove(gallery);
                true
            }
        }
    }
}

/// Publishes a gallery soon. Where that fails, the workers are asked to group it, after which they publish it.
pub(super) fn publish(shared: &Arc<Shared>, gallery: &GalleryId) {
    if !shared.publications.begin(gallery) {
        return;
    }
    let (shared, gallery) = (Arc::clone(shared), gallery.clone());
    let publishing = async move {
        loop {
            if let Err(error) = shared.stores.published.publish(&gallery).await {
                tracing::warn!(%error, "album.publish");
                if let Err(error) = shared.stores.announce(&gallery).await {
                    tracing::error!(%error, "album.announce");
                }
            }
            if shared.publications.end(&gallery) {
                break;
            }
        }
    };
    tokio::spawn(publishing.in_current_span());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_while_it_is_published_is_published_once_more_by_the_same() {
        let (all, gallery) = (Publications::default(), GalleryId("trip".into()));
        assert_eq!([(); 3].map(|()| all.begin(&gallery)), [true, false, false]);
        assert!(all.begin(&GalleryId("other".into())));
        assert_eq!([(); 2].map(|()| all.end(&gallery)), [false, true]);
        assert!(all.begin(&gallery));
    }
}
