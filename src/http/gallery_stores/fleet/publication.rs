//! Publishes the groups of galleries to S3 after corrections. It runs after the answer to the caller, because it writes all
//! groups of a gallery.

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
    /// Tells whether the caller must publish the gallery; otherwise the task that is publishing it will do so once more.
    fn begin(&self, gallery: &GalleryId) -> bool {
        let mut all = self.0.lock();
        match all.get_mut(gallery) {
            Some(changed) => *changed = true,
            None => drop(all.insert(gallery.clone(), false)),
        }
        !all[gallery]
    }

    /// Tells whether the gallery is published as it is now; otherwise it must be published again.
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
