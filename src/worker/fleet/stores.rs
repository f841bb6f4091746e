//! The stores of a fleet for what a person does: MongoDB and S3, and the queue that asks for groupings.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::ImageId;
use muster_actors::grouping::Params;

use super::ends::{Ends, announcer};
use super::objects::crop_key;
use super::packs::is_blank;
use super::{FleetError, Forgetter, Published};
use muster_aws::clients::Clients;
use muster_config::Settings;
use muster_stores::mongo::PackRange;

/// Bytes of a face's crop at most.
const CROP: u64 = 1 << 20;

/// MongoDB and S3.
pub struct Stores {
    ends: Ends,
    /// The store with S3 beside it.
    pub published: Published,
    /// The queue of galleries; empty where it is not known.
    galleries: String,
}

impl Stores {
    /// Connects.
    ///
    /// # Errors
    /// A setting is missing, or a service does not answer.
    pub async fn connect(settings: &Settings) -> Result<Self, FleetError> {
        let mut ends = Ends::connect(settings).await?;
        // No actor retries here, so the SDK may.
        let retried = ends.aws.config.to_builder().retry_config(RetryConfig::standard()).build();
        ends.aws = Clients::from_config(retried, settings);
        let published = ends.published(settings)?;
        Ok(Self { ends, published, galleries: settings.queues.galleries.clone() })
    }

    /// Who forgets. Groups are computed anew with `params`, which must be those of the workers.
    pub fn forgetter(&self, gallery: GalleryId, params: Params) -> Forgetter {
        let url = &self.galleries;
        let announcer = (!url.is_empty()).then(|| announcer(&self.ends, url, Duration::ZERO));
        Forgetter::new(gallery, params, self.published.clone(), announcer)
    }

    /// Asks the workers to group a gallery, where their queue is known.
    ///
    /// # Errors
    /// The message may not have been sent.
    pub async fn announce(&self, gallery: &GalleryId) -> Result<(), FleetError> {
        if !self.galleries.is_empty() {
            announcer(&self.ends, &self.galleries, Duration::ZERO).announce(gallery).await?;
        }
        Ok(())
    }

    /// What a face looks like, where its crop is there.
    ///
    /// # Errors
    /// A store failed.
    pub async fn crop(&self, gallery: &GalleryId, image: ImageId, face: FaceId) -> Result<Option<Vec<u8>>, FleetError> {
        let Published { store, groups, .. } = &self.published;
        let found = match store.crop_of(gallery, face).await? {
            Some(range) if range.length > CROP => None,
            Some(PackRange { pack, offset, length }) => {
                groups.get_range(&pack, offset, length).await.map_err(FleetError::Aws)?
            }
            // It is as a release before left it, or crops are not packed here.
            None => {
                let whole = groups.get_whole(&crop_key(gallery, image, face)).await.map_err(FleetError::Aws)?;
                whole.map(|whole| whole.bytes)
            }
        };
        Ok(found.filter(|jpeg| !is_blank(jpeg)).map(|jpeg| jpeg.to_vec()))
    }
}
