//! Moves a fleet's work from an ECS service to Batch jobs: its queues, its state in S3, and the process that routes and watches.

mod observer;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::try_join3;
use mongodb::bson::Uuid;
use muster_actors::cutover::record;
use muster_actors::cutover::router::{RoutedCounts, Router};
use muster_actors::cutover::trigger::{TriggerReading, readings};
use muster_actors::cutover::watcher::{Watcher, WatcherRules};
use muster_actors::domain::cutover_state::{ChangeNote, CutoverCommand, CutoverState};
use muster_actors::ports::observer::Observer;
use muster_actors::ports::observer::SideStats;
use muster_actors::ports::outbox::Outbox;
use muster_actors::ports::queue::{Queue, QueueError};
use muster_actors::ports::queue_metrics::Depth;
use serde::Serialize;
use tokio::sync::watch;

use super::FleetError;
use muster_aws::cas_object::S3CasObject;
use muster_aws::classify::Fault;
use muster_aws::clients::Clients;
use muster_aws::depth::{depth, name};
use muster_aws::s3::S3Bucket;
use muster_aws::scaling::STATE;
use muster_aws::sqs::{SqsOutbox, SqsQueue, Urls};
use muster_config::{Settings, required};
use observer::FleetObserver;

/// Lease of a message that is routed, which is longer than a send and a delete may take together.
const LEASE: Duration = Duration::from_secs(30);
/// Length of a long poll, for which a process that is told to end waits.
const POLL: Duration = Duration::from_secs(5);
/// Interval of log lines about routed messages.
const REPORT: Duration = Duration::from_secs(60);

/// Returns the milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A cutover, from settings. Creating one connects to nothing.
pub struct Cutover {
    settings: Settings,
    aws: Clients,
    cell: Arc<S3CasObject>,
}

/// A report on a cutover at one moment.
#[derive(Debug, Serialize)]
pub struct CutoverReport {
    /// The state with its audit trail.
    pub state: CutoverState,
    /// The next step; `None` at the last.
    pub next: Option<u8>,
    /// Remaining seconds of the dwell.
    pub dwell_left_seconds: u64,
    /// The three queues and the dead-letter queue, with their depths; `None` where SQS fails.
    pub queues: Vec<(&'static str, String, Option<Depth>)>,
    /// Images of Batch and of ECS in the window; `None` where MongoDB fails.
    pub images: (Option<u64>, Option<u64>),
    /// Running tasks of the ECS service; `None` where none is named or ECS fails.
    pub tasks: Option<u64>,
    /// Each figure with its limit. The age of the queue is an upper bound, because one report cannot know when it was empty.
    pub readings: [TriggerReading; 6],
}

impl Cutover {
    /// Reads the settings.
    ///
    /// # Errors
    /// A required setting is missing, or two queues are the same.
    pub async fn new(settings: Settings) -> Result<Self, FleetError> {
        let Settings { cutover, queues, buckets, .. } = &settings;
        let named = [
            ("cutover.intake", "MUSTER_CUTOVER__INTAKE", &cutover.intake),
            ("cutover.ecs", "MUSTER_CUTOVER__ECS", &cutover.ecs),
            ("queues.images", "QUEUE_URL", &queues.images),
            ("queues.dead_letters", "DEAD_LETTER_QUEUE_URL", &queues.dead_letters),
        ];
        for (key, variable, url) in named {
            required(url, key, variable)?;
        }
        for (n, (a, _, one)) in named.iter().enumerate() {
            // By name, as an image's record has it.
            if let Some((b, ..)) = named.iter().skip(n + 1).find(|(.., other)| name(other) == name(one)) {
                return Err(FleetError::OneQueue { a, b, name: name(one).to_owned() });
            }
        }
        let groups = required(&buckets.groups, "buckets.groups", "FACE_GROUP_BUCKET_NAME")?;
        let aws = Clients::new(&settings).await;
        let cell = Arc::new(S3CasObject::new(
            S3Bucket::new(aws.s3.clone(), groups, &buckets.kms_key),
            &format!("{STATE}cutover.json"),
        ));
        Ok(Self { settings, aws, cell })
    }

    /// Returns the note of a change that is made now.
    fn note(why: String, by: &str) -> ChangeNote {
        ChangeNote { id: Uuid::new().to_string(), at: now(), by: by.to_owned(), why, dead_letters: None }
    }

    /// Executes a person's command.
    ///
    /// # Errors
    /// It is refused, or the state cannot be read or written.
    pub async fn change(&self, wish: CutoverCommand, why: String) -> Result<CutoverState, FleetError> {
        let Settings { queues, cutover, .. } = &self.settings;
        let dead_letters = depth(&self.aws.sqs, &queues.dead_letters).await.ok().map(|depth| depth.total());
        let note = ChangeNote { dead_letters, ..Self::note(why, &who()) };
        Ok(record::change(self.cell.as_ref(), wish, &note, Duration::from_secs(cutover.dwell_seconds)).await?)
    }

    fn observer(&self, empty: u64) -> Result<Arc<FleetObserver>, FleetError> {
        required(self.settings.mongo.gallery_images.reveal(), "mongo.gallery_images", "GALLERY_IMAGES_MONGO_URI")?;
        Ok(FleetObserver::new(&self.settings, &self.aws, empty))
    }

    /// Makes a report, and changes nothing.
    ///
    /// # Errors
    /// The state cannot be read.
    pub async fn look(&self) -> Result<CutoverReport, FleetError> {
        let Settings { cutover, queues, .. } = &self.settings;
        let (state, _) = record::read(self.cell.as_ref()).await?;
        let observed = self.observer(0)?.observe(&state).await;
        let mut depths = Vec::new();
        for (what, url) in [
            ("intake", &cutover.intake),
            ("ecs", &cutover.ecs),
            ("batch", &queues.images),
            ("dead letters", &queues.dead_letters),
        ] {
            depths.push((what, name(url).to_owned(), depth(&self.aws.sqs, url).await.ok()));
        }
        let images = |seen: &Option<SideStats>| seen.as_ref().map(|seen| seen.images);
        let left = state.dwell_left(Duration::from_secs(cutover.dwell_seconds), now());
        Ok(CutoverReport {
            next: muster_actors::domain::cutover_state::next(state.percent),
            dwell_left_seconds: left.as_millis().div_ceil(1000) as u64,
            queues: depths,
            images: (images(&observed.batch), images(&observed.ecs)),
            tasks: observed.tasks,
            readings: readings(&observed, &self.settings.cutover_limits()),
            state,
        })
    }

    fn inbox(&self, url: &str) -> Arc<dyn Queue> {
        let urls = Urls { queue: url.to_owned(), dead_letters: self.settings.queues.dead_letters.clone() };
        Arc::new(SqsQueue::new(self.aws.sqs.clone(), urls, LEASE, POLL))
    }

    fn outbox(&self, url: &str) -> Arc<dyn Outbox> {
        Arc::new(SqsOutbox::new(self.aws.sqs.clone(), url.to_owned()))
    }

    /// Prepares the process that routes and watches.
    ///
    /// # Errors
    /// A setting that it needs is not set.
    pub fn watch(&self) -> Result<CutoverProcess, FleetError> {
        let Settings { cutover, queues, .. } = &self.settings;
        let (percent, known) = watch::channel(None);
        let routed = Arc::<RoutedCounts>::default();
        let ecs = self.outbox(&cutover.ecs);
        let router = Router {
            from: self.inbox(&cutover.intake),
            ecs: Arc::clone(&ecs),
            batch: Some(self.outbox(&queues.images)),
            percent: known.clone(),
            routed: Arc::clone(&routed),
        };
        let moved = Arc::<RoutedCounts>::default();
        let mover =
            Router { from: self.inbox(&queues.images), ecs, batch: None, percent: known, routed: Arc::clone(&moved) };
        let by = format!("watch {}", who());
        let watcher = Watcher {
            cell: Arc::clone(&self.cell) as _,
            observer: self.observer(now())?,
            notes: Arc::new(move |why| Self::note(why, &by)),
            rules: self.settings.cutover_rules(),
            percent,
        };
        Ok(CutoverProcess { router, mover, watcher, routed, moved })
    }
}

/// Who this is: for the trail.
fn who() -> String {
    let variable = |names: [&str; 2], or: &str| {
        names
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
            .unwrap_or_else(|| or.to_owned())
    };
    format!("{}@{}", variable(["USER", "LOGNAME"], "somebody"), variable(["HOSTNAME", "AWS_BATCH_JOB_ID"], "somewhere"))
}

/// The process that routes and watches.
pub struct CutoverProcess {
    router: Router,
    mover: Router,
    watcher: Watcher,
    routed: Arc<RoutedCounts>,
    moved: Arc<RoutedCounts>,
}

/// Messages that a process has sent on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// From the intake to ECS.
    pub ecs: u64,
    /// From the intake to Batch.
    pub batch: u64,
    /// From Batch's queue to ECS's.
    pub moved: u64,
}

fn failed(QueueError { class, message }: QueueError) -> FleetError {
    FleetError::Aws(Fault { class, code: None, status: None, message })
}

impl CutoverProcess {
    fn counts(&self) -> Counts {
        let ((ecs, batch), (moved, _)) = (self.routed.counts(), self.moved.counts());
        Counts { ecs, batch, moved }
    }

    /// Works until `asked` returns; what is in hand then is finished.
    ///
    /// # Errors
    /// A queue or the state is not there, or may not be used.
    pub async fn run(&self, asked: impl Future<Output = ()>) -> Result<Counts, FleetError> {
        let (stop, stopped) = watch::channel(false);
        let work = try_join3(
            async { self.router.run(&stopped).await.map_err(failed) },
            async { self.mover.run(&stopped).await.map_err(failed) },
            async { Ok(self.watcher.run(&stopped).await?) },
        );
        let stopping = async {
            asked.await;
            stop.send_replace(true);
            std::future::pending::<()>().await;
        };
        let reporting = async {
            let mut clock = tokio::time::interval(REPORT);
            let mut last = Counts::default();
            loop {
                clock.tick().await;
                let counts = self.counts();
                if counts != last {
                    tracing::info!(ecs = counts.ecs, batch = counts.batch, moved = counts.moved, "cutover.routed");
                    last = counts;
                }
            }
        };
        tokio::select! {
            end = work => end.map(|_| self.counts()),
            () = stopping => Ok(self.counts()),
            () = reporting => Ok(self.counts()),
        }
    }

    /// What it goes by.
    pub fn rules(&self) -> &WatcherRules {
        &self.watcher.rules
    }
}
