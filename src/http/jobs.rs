//! Runs indexing as a job, which callers start, watch and stop.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json as Out;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use muster_actors::domain::exit::Exit;
use muster_actors::flow::progress::{Counts, Progress};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::Json;
use super::problem::Problem;
use muster_library::removals::Missing;
use muster_library::runner::RoundObserver;
use muster_library::{Runner, ScanReport};

/// Most jobs that are kept in the list.
const KEPT: usize = 50;

pub(super) fn routes() -> OpenApiRouter<Arc<Jobs>> {
    OpenApiRouter::new().routes(routes!(list, start)).routes(routes!(one, stop)).routes(routes!(events))
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    /// It works.
    Running,
    /// It came to its end.
    Done,
    /// It was asked to stop; the next one goes on where it was.
    Stopped,
    /// Something failed; what was done is kept.
    Failed,
}

/// A run over the library's photos.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Job {
    /// Counted from 1 on.
    id: u64,
    /// `index` or `model`.
    kind: &'static str,
    /// The pack that a job of the kind `model` changes to.
    model: Option<String>,
    /// How far it is.
    state: JobState,
    /// What failed, or what came of another model.
    detail: Option<String>,
    /// When it began, in seconds since 1970.
    started: u64,
    /// Photos found so far.
    found: u64,
    /// Photos that wait, where that is known.
    left: Option<u64>,
    /// How photos ended so far.
    #[schema(value_type = Object)]
    counts: Counts,
    /// Faces found so far.
    faces: u64,
    /// Folders of which so many photos are gone that none was taken out: `accept_removals` takes them out.
    #[schema(value_type = Vec<Object>)]
    missing: Vec<Missing>,
}

/// All jobs, one at a time.
pub struct Jobs {
    runner: Runner,
    paths: Vec<PathBuf>,
    with_model: Box<RunnerFactory>,
    changed: Arc<dyn Fn() + Send + Sync>,
    log: Arc<JobLog>,
    other_model: watch::Sender<bool>,
}

/// The jobs of a service, the newest first. It outlives the parts of the service that are made anew for another model.
#[derive(Default)]
pub struct JobLog(Mutex<VecDeque<JobHandle>>);

/// Loads the models of another pack, and makes a runner that uses them. It blocks.
pub type LoadRunner = Box<dyn FnOnce() -> Result<Runner, String> + Send>;

/// Finds an installed pack by its name; the error says why the library cannot change to it.
pub type RunnerFactory = dyn Fn(&str) -> Result<LoadRunner, String> + Send + Sync;

struct JobHandle {
    job: watch::Receiver<Job>,
    stop: watch::Sender<bool>,
}

/// Copies the progress of a run into its job, which callers watch.
struct JobReporter {
    job: watch::Sender<Job>,
}

impl Drop for JobReporter {
    fn drop(&mut self) {
        self.job.send_if_modified(|job| {
            let died = job.state == JobState::Running;
            if died {
                (job.state, job.detail) = (JobState::Failed, Some(String::from("the job died")));
            }
            died
        });
    }
}

impl RoundObserver for JobReporter {
    fn show(&mut self, progress: &Progress, scan: &ScanReport, left: Option<u64>) {
        self.job.send_if_modified(|job| {
            let before = job.clone();
            (job.found, job.left, job.counts, job.faces) = (scan.found, left, progress.counts, progress.faces);
            *job != before
        });
    }

    fn stopping(&mut self) {}

    fn ended(&mut self) {}
}

impl Jobs {
    /// Creates the jobs over a runner and the photos of its library. `changed` is called when a job has ended.
    pub fn new(
        runner: Runner,
        paths: Vec<PathBuf>,
        with_model: Box<RunnerFactory>,
        changed: Arc<dyn Fn() + Send + Sync>,
        log: Arc<JobLog>,
    ) -> Self {
        Self { runner, paths, with_model, changed, log, other_model: watch::Sender::new(false) }
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<JobHandle>> {
        self.log.0.lock()
    }

    /// Waits until a job has changed the model of the library: recognition goes on with the new one only when the
    /// service's parts are made anew.
    pub async fn model_changed(&self) {
        // The sender is this value's own.
        let _ = self.other_model.subscribe().wait_for(|changed| *changed).await;
    }

    /// Starts a job.
    ///
    /// # Errors
    /// A job is running already, or the library cannot change to the model.
    fn start(&self, order: StartJob) -> Result<Job, Problem> {
        if *self.other_model.borrow() {
            let detail = "the service changes to another model: ask again in a moment";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "STOPPING", detail).after(5));
        }
        let mut all = self.all();
        let last = all.front().map(|running| running.job.borrow().clone());
        if last.as_ref().is_some_and(|job| job.state == JobState::Running) {
            return Err(Problem::new(StatusCode::CONFLICT, "JOB_RUNNING", "photos are being indexed already"));
        }
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let job = Job {
            id: last.map_or(1, |job| job.id + 1),
            kind: order.kind.name(),
            model: order.model.clone(),
            state: JobState::Running,
            detail: None,
            started,
            found: 0,
            left: None,
            counts: Counts::default(),
            faces: 0,
            missing: Vec::new(),
        };
        let load = match (order.kind, &order.model) {
            (JobKind::Index, None) => None,
            (JobKind::Index, Some(_)) => return Err(Problem::invalid("`model` goes with the kind `model`")),
            (JobKind::Model, None) => return Err(Problem::invalid("the kind `model` needs a `model`")),
            (JobKind::Model, Some(name)) => {
                let unusable = |why: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "BAD_MODEL", why);
                Some((self.with_model)(name).map_err(unusable)?)
            }
        };
        let (reporter, seen) = watch::channel(job.clone());
        let (stop, mut stopped) = watch::channel(false);
        let runner = self.runner.clone().accepting_removals(order.accept_removals);
        let (paths, changed, other_model) = (self.paths.clone(), Arc::clone(&self.changed), self.other_model.clone());
        let work = move || {
            let mut reporter = JobReporter { job: reporter };
            let asked = async move {
                // The sender is gone once the service is; the service itself asks jobs to stop before that.
                if stopped.wait_for(|stop| *stop).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let is_model_job = load.is_some();
            let loaded = match load {
                Some(load) => {
                    // It holds the library, which is opened anew afterwards.
                    drop(runner);
                    load().map(|runner| runner.accepting_removals(order.accept_removals))
                }
                None => Ok(runner),
            };
            let round = loaded.and_then(|runner| {
                // The pack may be of another release, or another one may be set, than when the library was made.
                let round = match runner.has_other_model().map(|is_other| is_other || is_model_job) {
                    Ok(true) => runner.change_model(&paths, asked, &mut reporter),
                    Ok(false) => runner.round(&paths, asked, &mut reporter).map(|round| (round, None)),
                    Err(error) => Err(error),
                };
                round.map_err(|error| error.to_string())
            });
            changed();
            // Before the job ends: another one would begin with the model before.
            if matches!(round, Ok((_, Some(_)))) {
                other_model.send_replace(true);
            }
            reporter.job.send_modify(|job| {
                (job.state, job.detail) = match round {
                    Ok((round, exchanged)) => {
                        job.missing = round.scan.missing;
                        (job.found, job.counts, job.faces) =
                            (round.scan.found, round.summary.counts, round.summary.faces);
                        match round.exit {
                            Exit::Drained => (JobState::Done, exchanged.map(|exchanged| exchanged.to_string())),
                            Exit::HandedBack => (JobState::Stopped, None),
                            broken => (JobState::Failed, Some(broken.to_string())),
                        }
                    }
                    Err(error) => (JobState::Failed, Some(error)),
                };
                job.left = (job.state == JobState::Done).then_some(0);
            });
        };
        std::thread::Builder::new().name("index".into()).spawn(work).map_err(Problem::broken)?;
        all.push_front(JobHandle { job: seen, stop });
        all.truncate(KEPT);
        Ok(job)
    }

    /// Returns all jobs, the newest first.
    pub fn list(&self) -> Vec<Job> {
        self.all().iter().map(|running| running.job.borrow().clone()).collect()
    }

    fn find(&self, id: &str) -> Result<watch::Receiver<Job>, Problem> {
        let id: u64 = super::people::id(id, "job")?;
        let all = self.all();
        let found = all.iter().find(|running| running.job.borrow().id == id);
        found.map(|running| running.job.clone()).ok_or_else(|| Problem::missing("job"))
    }

    /// Asks the running job to stop, and waits for its end.
    pub async fn finish(&self) {
        let running = self.all().front().map(|running| {
            running.stop.send_replace(true);
            running.job.clone()
        });
        if let Some(mut job) = running {
            // An error says that its thread is gone, which ends it as well.
            let _ = job.wait_for(|job| job.state != JobState::Running).await;
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct JobList {
    items: Vec<Job>,
}

/// The jobs, newest first
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", responses((status = 200, body = JobList)))]
async fn list(State(jobs): State<Arc<Jobs>>) -> Out<JobList> {
    Out(JobList { items: jobs.list() })
}

/// What a job does.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[schema(as = Kind)]
#[serde(rename_all = "snake_case")]
enum JobKind {
    /// Finds what is new or changed among the library's photos, and groups.
    Index,
    /// Looks at all photos with another model. The old answers stay until all are done; then the service changes to the
    /// new model, which takes some seconds, and keeps people and names.
    Model,
}

impl JobKind {
    fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Model => "model",
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Order)]
#[serde(deny_unknown_fields)]
struct StartJob {
    kind: JobKind,
    /// For the kind `model`: the name of an installed pack.
    #[schema(max_length = 100)]
    model: Option<String>,
    /// Whether photos that are gone are taken out of the library, however many they are.
    #[serde(default)]
    accept_removals: bool,
}

/// Index what is new or changed among the library's photos, or look at all of them with another model
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", request_body = StartJob, responses((status = 202, body = Job)))]
async fn start(State(jobs): State<Arc<Jobs>>, Json(order): Json<StartJob>) -> Result<(StatusCode, Out<Job>), Problem> {
    Ok((StatusCode::ACCEPTED, Out(jobs.start(order)?)))
}

/// One job
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, pattern = "^[0-9]{1,19}$")), responses((status = 200, body = Job)))]
async fn one(State(jobs): State<Arc<Jobs>>, Path(job): Path<String>) -> Result<Out<Job>, Problem> {
    Ok(Out(jobs.find(&job)?.borrow().clone()))
}

/// Ask a job to stop. The next one goes on where it was
#[utoipa::path(delete, path = "/v1/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, pattern = "^[0-9]{1,19}$")), responses((status = 202, body = Job)))]
async fn stop(State(jobs): State<Arc<Jobs>>, Path(job): Path<String>) -> Result<(StatusCode, Out<Job>), Problem> {
    let seen = jobs.find(&job)?;
    let job = seen.borrow().clone();
    if let Some(running) = jobs.all().iter().find(|running| running.job.borrow().id == job.id) {
        running.stop.send_replace(true);
    }
    Ok((StatusCode::ACCEPTED, Out(job)))
}

/// A job as it goes on, as server-sent events
///
/// Each event is called `job` and holds the job; the stream ends with the job.
#[utoipa::path(get, path = "/v1/jobs/{id}/events", tag = "jobs",
    params(("id" = String, Path, pattern = "^[0-9]{1,19}$")),
    responses((status = 200, content_type = "text/event-stream")))]
async fn events(
    State(jobs): State<Arc<Jobs>>,
    Path(job): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let mut seen = jobs.find(&job)?;
    seen.mark_changed();
    let stream = unfold(Some(seen), |seen| async move {
        let mut seen = seen?;
        seen.changed().await.ok()?;
        let job = seen.borrow_and_update().clone();
        let event = Event::default().event("job").json_data(&job).unwrap_or_default();
        let more = (job.state == JobState::Running).then_some(seen);
        Some((Ok(event), more))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}
