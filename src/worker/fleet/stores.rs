//! The stores of a fleet for what a person does: MongoDB and S3, and the queue that asks for groupings.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use muster_actors::domain::face::FaceId;
use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::{ImageId, Locator};
use muster_actors::grouping::Params;
use muster_actors::ports::objects::{Objects, ObjectsError};

use super::ends::{Ends, announcer};
use super::published::crop_key;
use super::{FleetError, Forgetter, Published};
use muster_aws::classify::Fault;
use muster_aws::clients::Clients;
use muster_aws::s3::S3Objects;
use muster_config::Settings;

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
    pub async fn crop(&self, gallery: &GalleryId, image: ImageId, face: FaceId) -> Result<Option<Vec<u8>>, FleetError> {
        let (bucket, key) = (self.published.groups.name().to_owned(), crop_key(gallery, image, face));
        match S3Objects::new(self.ends.aws.s3.clone(), &bucket)
            .get(&Locator { gallery: gallery.clone(), bucket, key }, CROP)
            .await
        {
            Ok(object) => Ok(Some(object.bytes.to_vec())),
            Err(ObjectsError::Rejected(_)) => Ok(None),
            Err(ObjectsError::Failed { class, message }) => {
                Err(FleetError::Aws(Fault { class, code: None, status: None, message }))
            }
        }
    }
}
