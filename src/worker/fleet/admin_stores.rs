//! The stores of a fleet for changes by people: MongoDB, S3, and the queue that asks for groupings.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::ImageId;
use muster_actors::grouping::Params;

use super::fleet_clients::{FleetClients, announcer};
use super::objects::crop_key;
use super::packs::is_blank;
use super::{FleetError, Forgetter, PublishingStore};
use muster_aws::clients::Clients;
use muster_config::Settings;
use muster_stores::mongo::PackRange;

/// Most bytes of a face's crop.
const CROP: u64 = 1 << 20;

/// The stores of a fleet for people who read and change galleries.
pub struct AdminStores {
    clients: FleetClients,
    /// The store with S3 beside it.
    pub published: PublishingStore,
    /// URL of the queue of galleries; empty where it is unknown.
    galleries: String,
}

impl AdminStores {
    /// Connects to the stores.
    ///
    /// # Errors
    /// A setting is missing, or a service does not answer.
    pub async fn connect(settings: &Settings) -> Result<Self, FleetError> {
        let mut clients = FleetClients::connect(settings).await?;
        // No actor retries here, so the SDK may.
        let retried = clients.aws.config.to_builder().retry_config(RetryConfig::standard()).build();
        clients.aws = Clients::from_config(retried, settings);
        let published = clients.published(settings)?;
        Ok(Self { clients, published, galleries: settings.queues.galleries.clone() })
    }

    /// Creates the forgetter of a gallery. Groups are computed again with `params`, which must be those of the workers.
    pub fn forgetter(&self, gallery: GalleryId, params: Params) -> Forgetter {
        let url = &self.galleries;
        let announcer = (!url.is_empty()).then(|| announcer(&self.clients, url, Duration::ZERO));
        Forgetter::new(gallery, params, self.published.clone(), announcer)
    }

    /// Asks the workers to group a gallery, where their queue is known.
    ///
    /// # Errors
    /// The message may not have been sent.
    pub async fn announce(&self, gallery: &GalleryId) -> Result<(), FleetError> {
        if !self.galleries.is_empty() {
            announcer(&self.clients, &self.galleries, Duration::ZERO).announce(gallery).await?;
        }
        Ok(())
    }

    /// Reads the crop of a face, where it exists.
    ///
    /// # Errors
    /// A store failed.
    pub async fn crop(&self, gallery: &GalleryId, image: ImageId, face: FaceId) -> Result<Option<Vec<u8>>, FleetError> {
        let PublishingStore { store, groups, .. } = &self.published;
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
