//! Starts the pipelines of the workers that detect and group, from settings.

use std::sync::Arc;
use std::time::Duration;

use muster_actors::domain::gallery::{GalleryId, GalleryRule};
use muster_actors::domain::message::Intake;
use muster_actors::errors::backoff::RetrySettings;
use muster_actors::flow::concurrency::{Bounds, Limits};
use muster_actors::grouping::ClusteringCache;
use muster_actors::pipeline::announcer::Announced;
use muster_actors::pipeline::settings::{
    CreditSettings, FetcherSettings, LeaseManagerSettings, PrefilterSettings, Settings as PipelineSettings, Timeouts,
    WriterSettings,
};
use muster_actors::ports::Ports;
use muster_actors::ports::objects::Objects;
use muster_actors::ports::releases::Releases;
use muster_actors::{Running, start, start_grouping};

use super::fleet_clients::{FleetClients, announcer};
use super::{DepthMonitor, FleetError, memory};
use muster_aws::depth::name;
use muster_aws::request_counts::RequestCounts;
use muster_aws::s3::S3Objects;
use muster_aws::sqs::{SqsQueue, Urls};
use muster_config::{Removals, Settings, WorkerRole, required};
use muster_index::FlatFactory;
use muster_inference::onnx::lanes::Lanes;
use muster_inference::onnx::pack::Pack;
use muster_inference::pipeline;
use muster_stores::mongo::GalleryCopies;
use muster_stores::redis::{Cache, CachedAnalyses, CachedObjects};

/// Most bytes of a bulk of results.
const BULK_BYTES: usize = 16 << 20;
/// Time that results wait for more when no photo is in flight, so that a few photos a second still share objects.
const FOLLOWERS: Duration = Duration::from_secs(1);
/// Most bulks that are written at the same time, so that the next does not wait for the answer of the last.
const BULKS: usize = 4;
/// Number of parallel downloads at the start.
const DOWNLOADS: usize = 16;
/// Timeout of a receive, which is longer than a long poll of SQS.
const POLL: Duration = Duration::from_secs(30);
/// Version of analyses. It is raised when the same models find something else in an image, or the format changes.
const ANALYSIS: u32 = 2;

/// A worker with its clients and its model pack.
pub struct Worker {
    pub(super) settings: Settings,
    pub(super) pack: Pack,
    pub(super) clients: FleetClients,
}

impl Worker {
    /// Connects to the services. It does not receive messages yet.
    pub async fn connect(settings: Settings, pack: Pack) -> Result<Self, FleetError> {
        let clients = FleetClients::connect(&settings).await?;
        Ok(Self { settings, pack, clients })
    }

    /// Returns the cache, where there is one.
    pub fn cache(&self) -> Option<Cache> {
        self.clients.cache.clone()
    }

    /// Returns the counts of requests to paid services.
    pub fn counted(&self) -> RequestCounts {
        self.clients.aws.counted.clone()
    }

    /// Starts monitoring how many messages wait for workers of a role.
    pub fn depth(&self, role: WorkerRole) -> DepthMonitor {
        // Whoever has none does not start.
        let url = role.queue(&self.settings.queues).unwrap_or_default();
        DepthMonitor::watch(self.clients.aws.sqs.clone(), url.to_owned())
    }

    /// Notes that this machine is being taken away, for the watcher of a cutover. A failure is ignored.
    pub async fn interrupted(&self) {
        if let Err(error) = self.clients.store.interrupted().await {
            tracing::debug!(%error, "host.interruption");
        }
    }

    /// Closes the connections after the work is over.
    pub async fn close(&self) {
        self.clients.store.close().await;
    }

    pub(super) fn queue(&self, url: &str, visibility: Duration) -> Result<Arc<SqsQueue>, FleetError> {
        let queues = &self.settings.queues;
        let urls = Urls {
            queue: url.to_owned(),
            dead_letters: required(&queues.dead_letters, "queues.dead_letters", "DEAD_LETTER_QUEUE_URL")?.to_owned(),
        };
        let wait = Duration::from_secs(queues.wait_seconds);
        Ok(Arc::new(SqsQueue::new(self.clients.aws.sqs.clone(), urls, visibility, wait)))
    }

    /// Returns the store of releases for the queue of a role.
    pub(super) fn releases(&self, role: WorkerRole) -> Arc<dyn Releases> {
        Arc::new(self.clients.store.releases(name(role.queue(&self.settings.queues).unwrap_or_default())))
    }

    fn objects(&self) -> Arc<dyn Objects> {
        let Settings { buckets, redis, .. } = &self.settings;
        let objects = S3Objects::new(self.clients.aws.s3.clone(), &buckets.images);
        match &self.clients.cache {
            Some(cache) => {
                Arc::new(CachedObjects::new(objects, cache.clone(), redis.image_megabytes << 20, redis.image_seconds))
            }
            None => Arc::new(objects),
        }
    }

    /// Returns a text with everything that the analysis of an image depends on, except the image.
    fn maker(&self) -> String {
        let Settings { models, limits, .. } = &self.settings;
        let version = env!("CARGO_PKG_VERSION");
        format!("{version}:{ANALYSIS}:{}:{:?}:{}", self.pack.id(), models.provider, limits.faces_per_image)
    }

    /// Starts the pipeline that finds faces.
    pub fn detect(&self, lanes: &Lanes) -> Result<Running, FleetError> {
        let queues = &self.settings.queues;
        let galleries = required(&queues.galleries, "queues.galleries", "GROUP_FACE_QUEUE_URL")?;
        let delay = Duration::from_secs(queues.group_after_seconds);
        let announcer = announcer(&self.clients, galleries, delay);
        let (decoder, isolated_decoder) = pipeline::decoders(&self.settings, &self.pack);
        let ports = Ports {
            queue: self.queue(WorkerRole::Detection.queue(queues)?, queues.visibility())?,
            releases: self.releases(WorkerRole::Detection),
            objects: self.objects(),
            analyses: self.clients.cache.clone().map(|cache| {
                Arc::new(CachedAnalyses::new(cache, self.maker(), self.settings.redis.analysis_seconds)) as _
            }),
            decoder,
            isolated_decoder,
            engines: lanes.engines(),
            faces: Arc::new(Announced::new(self.clients.published(&self.settings)?, announcer)),
            reconcile: None,
        };
        Ok(start(ports, self.pipeline()))
    }

    /// Starts the pipeline that groups galleries.
    pub fn group(&self) -> Result<Running, FleetError> {
        let queues = &self.settings.queues;
        let queue = self.queue(WorkerRole::Grouping.queue(queues)?, queues.visibility())?;
        let params = pipeline::params(&self.settings, self.pack.manifest());
        let limit = memory::for_kept_galleries(self.settings.fleet.kept_megabytes);
        tracing::info!(megabytes = limit >> 20, "grouper.kept");
        // What is read of a gallery takes about half of what its clustering takes.
        let copies = GalleryCopies::new(limit / 3);
        let published = Arc::new(self.clients.published(&self.settings)?.grouping_with(&params).with_copies(copies));
        let packs = published.packs.clone();
        tokio::spawn(async move {
            match packs.sweep().await {
                Ok(swept) => tracing::debug!(deleted = swept.deleted, "packs.swept"),
                // The next worker does it, or whoever forgets something.
                Err(error) => {
                    tracing::warn!(%error, "packs.sweep: objects of workers that died stay until the next sweep")
                }
            }
        });
        let kept = ClusteringCache::new(params, Arc::new(FlatFactory), limit - limit / 3);
        let reconcile = Arc::new(move |gallery: &GalleryId, snapshot| kept.reconcile(gallery, snapshot));
        Ok(start_grouping(queue, self.releases(WorkerRole::Grouping), published, reconcile, self.pipeline()))
    }

    pub(super) fn pipeline(&self) -> PipelineSettings {
        let Settings { fleet, queues, mongo, buckets, prefilter, .. } = &self.settings;
        let common = pipeline::settings(&self.settings, self.pack.id());
        let batch_job = std::env::var_os("AWS_BATCH_JOB_ID").is_some();
        let default = GalleryId("default".to_owned());
        let gallery = match fleet.gallery.as_str() {
            "" => GalleryRule::FirstFolder(default),
            name => GalleryRule::Always(GalleryId(name.to_owned())),
        };
        let thumbnails = prefilter.sibling();
        PipelineSettings {
            adopt: muster_telemetry::adopt,
            credits: CreditSettings { count: fleet.credits, ..common.credits },
            limits: Limits { downloads: fleet.downloads.min(DOWNLOADS), ..common.limits },
            bounds: Bounds { most: Limits { downloads: fleet.downloads, ..common.bounds.most }, ..common.bounds },
            prefilter: common.prefilter.map(|common| PrefilterSettings {
                sibling: thumbnails.clone(),
                at_once: fleet.downloads,
                ..common
            }),
            intake: Intake {
                gallery,
                results: buckets.results_prefix.clone(),
                thumbnails,
                removals: queues.removals == Removals::Remove,
            },
            fetcher: FetcherSettings {
                leave_after_empty: fleet.leaves_when_empty(batch_job).then_some(queues.leave_after_empty),
                apart_at: queues.apart_at,
                suspect_at: queues.suspect_at,
                max_receives: queues.max_receives,
                ..common.fetcher
            },
            writer: WriterSettings {
                // Results keep their credits while they wait: the other half is for photos.
                count: mongo.write_batch.min(fleet.credits / 2).max(1),
                bytes: BULK_BYTES,
                age: Duration::from_millis(mongo.write_milliseconds),
                complete_age: FOLLOWERS,
                at_once: BULKS,
            },
            lease_manager: LeaseManagerSettings {
                bound: queues.renewals(),
                // Tried as long as the lease lasts: a message that is not deleted is worked on again.
                attempts: u32::MAX,
                ..common.lease_manager
            },
            timeouts: Timeouts { queue: POLL, ..common.timeouts },
            retry: RetrySettings { outage: Duration::from_secs(fleet.outage_minutes * 60), ..common.retry },
            ..common
        }
    }
}
