//! Connects to the services of a fleet, from settings.

use std::sync::Arc;
use std::time::Duration;

use muster_actors::pipeline::announcer::Announcer;
use tracing::Span;

use super::publishing_store::Layouts;
use super::{FleetError, PublishingStore};
use muster_aws::clients::Clients;
use muster_aws::depth::name;
use muster_aws::s3::S3Bucket;
use muster_aws::sqs::SqsOutbox;
use muster_config::{Settings, required};
use muster_stores::embeddings::Embeddings;
use muster_stores::mongo::{Connection, MongoFaces, Origin, Uris};
use muster_stores::redis::{Cache, Vectors};

/// Clients of all services that a worker writes to.
pub(super) struct FleetClients {
    pub(super) aws: Clients,
    pub(super) cache: Option<Cache>,
    pub(super) store: MongoFaces,
}

impl FleetClients {
    /// Connects to MongoDB and creates its indexes; the others connect when they are first needed.
    pub(super) async fn connect(settings: &Settings) -> Result<Self, FleetError> {
        let mongo = &settings.mongo;
        required(mongo.gallery_images.reveal(), "mongo.gallery_images", "GALLERY_IMAGES_MONGO_URI")?;
        let uris = Uris { gallery_images: &mongo.gallery_images, huemn: &mongo.huemn };
        let connection = Connection::open(&uris).await?;
        connection.ensure_indexes(mongo.lineage()).await?;
        tracing::info!(version = connection.version, "mongo.connected");
        let cache = match settings.redis.url.is_empty() {
            true => None,
            false => Some(Cache::new(&settings.redis).map_err(|error| FleetError::Redis(error.to_string()))?),
        };
        let vectors = cache.clone().map(|cache| Vectors::new(cache, settings.redis.gallery_seconds));
        let store = MongoFaces::new(&connection, vectors.map(|vectors| Arc::new(vectors) as Arc<dyn Embeddings>));
        let store = match name(&settings.queues.images) {
            "" => store,
            queue => store.with_origin(Origin::new(queue)),
        };
        Ok(Self { aws: Clients::new(settings).await, cache, store })
    }

    /// The store with S3 beside it.
    pub(super) fn published(&self, settings: &Settings) -> Result<PublishingStore, FleetError> {
        let buckets = &settings.buckets;
        let bucket = |name: &str| S3Bucket::new(self.aws.s3.clone(), name, &buckets.kms_key);
        let groups = bucket(required(&buckets.groups, "buckets.groups", "FACE_GROUP_BUCKET_NAME")?);
        let below_prefix = |name: &str| match buckets.results_prefix.as_str() {
            "" => None,
            prefix => Some((bucket(name), prefix.to_owned())),
        };
        let results = below_prefix(buckets.of_single_results());
        // Releases before wrote results beside the images.
        let elsewhere = !buckets.images.is_empty() && buckets.images != buckets.of_single_results();
        let former = elsewhere.then(|| below_prefix(&buckets.images)).flatten();
        let layouts = Layouts { crops: buckets.crops, results: buckets.results, groups_json: buckets.groups_json };
        Ok(PublishingStore::new(self.store.clone(), results, former, groups, layouts, self.cache.clone()))
    }
}

/// Creates the announcer that asks for groupings in the queue `url`.
pub(super) fn announcer(clients: &FleetClients, url: &str, delay: Duration) -> Announcer {
    let outbox = SqsOutbox::new(clients.aws.sqs.clone(), url.to_owned());
    Announcer::new(Arc::new(outbox), delay, || muster_telemetry::header(&Span::current()))
}
