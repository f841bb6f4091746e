//! Runs a web service from its first request to its last.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use muster_actors::domain::exit::Exit;
use muster_actors::flow::progress::Progress;
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use crate::cli::CliError;
use crate::cli::print::say;
use crate::cli::signal::Signals;
use muster_http::connections::{self, ConnectionLimits};
use muster_http::jobs::Jobs;
use muster_http::{AppState, Guard, ServiceParts, router};
use muster_telemetry::Telemetry;

/// Time that an answer may take beyond its limit before the service gives up on it.
const GRACE: Duration = Duration::from_secs(2);
/// Time limit of sending the last spans and metrics.
const FLUSH: Duration = Duration::from_secs(3);
const MINUTE: Duration = Duration::from_secs(60);

/// A web service that is ready to run.
pub struct WebService {
    pub parts: ServiceParts,
    pub guard: Arc<Guard>,
}

/// Why a service ended.
pub enum ServiceEnd {
    /// It was asked to stop.
    Stopped,
    /// Recognition ended, for this reason.
    Broken(Exit),
    /// The library has another model now: the parts of the service have to be made anew.
    OtherModel,
}

/// What is measured of a service, whichever parts it has at the moment.
pub struct Measured {
    progress: watch::Sender<Progress>,
    /// `None` while the parts are made anew: nothing holds the old ones then.
    state: RwLock<Option<Arc<AppState>>>,
}

impl Measured {
    /// Begins to measure a service.
    ///
    /// # Errors
    /// The address for Prometheus is invalid or taken.
    pub fn start(state: Arc<AppState>, telemetry: &Telemetry) -> Result<Arc<Self>, CliError> {
        let progress = watch::Sender::new(Progress::default());
        let measured = Arc::new(Self { progress, state: RwLock::new(Some(state)) });
        let source = Arc::clone(&measured);
        telemetry.watch(measured.progress.subscribe(), move || {
            source.state.read().as_ref().map(|state| state.process_metrics()).unwrap_or_default()
        })?;
        Ok(measured)
    }

    /// Measures these parts from now on, until they end.
    async fn follow(self: Arc<Self>, state: Arc<AppState>) {
        let mut progress = state.recognizer.progress();
        *self.state.write() = Some(state);
        loop {
            self.progress.send_replace(progress.borrow_and_update().clone());
            if progress.changed().await.is_err() {
                return;
            }
        }
    }
}

impl WebService {
    /// Answers requests until it is asked to stop, until recognition ends, or until the library has another model.
    pub async fn run(
        self,
        listener: std::net::TcpListener,
        signals: &Signals,
        measured: &Arc<Measured>,
        drain: Duration,
    ) -> Result<ServiceEnd, CliError> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let Self { parts, guard } = self;
        let state = Arc::clone(&parts.state);
        let (jobs, galleries) = (parts.jobs.clone(), parts.galleries.clone());
        let measuring = tokio::spawn(Arc::clone(measured).follow(Arc::clone(&state)));
        let router = router(parts, Arc::clone(&guard));
        let tidy = tokio::spawn(async move {
            let mut minutes = interval(MINUTE);
            loop {
                minutes.tick().await;
                guard.tidy();
            }
        });
        let (stop, stopped) = watch::channel(false);
        let mut server = tokio::spawn(answer(listener, router, stopped));
        let changed = async {
            match &jobs {
                Some(jobs) => jobs.model_changed().await,
                None => std::future::pending().await,
            }
        };
        let end = tokio::select! {
            () = signals.asked() => ServiceEnd::Stopped,
            exit = state.recognizer.ended() => ServiceEnd::Broken(exit),
            () = changed => ServiceEnd::OtherModel,
            end = &mut server => {
                end.map_err(std::io::Error::other)??;
                ServiceEnd::Stopped
            }
        };
        match &end {
            ServiceEnd::Broken(exit) => say(&format!("muster: {exit}")),
            ServiceEnd::OtherModel => say("the library has another model now: the service goes on with it"),
            ServiceEnd::Stopped => {}
        }
        stop.send_replace(true);
        state.recognizer.close();
        let late = timeout(drain + GRACE, answered(jobs.as_deref(), &mut server)).await.is_err();
        if timeout(GRACE, state.recognizer.finished()).await.is_err() || late {
            say("muster: some callers were sent away without their answers");
        }
        tidy.abort();
        server.abort();
        if let Some(galleries) = galleries {
            galleries.close().await;
        }
        measuring.abort();
        *measured.state.write() = None;
        Ok(end)
    }
}

/// Sends the last spans and metrics.
pub fn flush(telemetry: &Telemetry) {
    if !telemetry.flush(FLUSH) {
        tracing::warn!(
            seconds = FLUSH.as_secs(),
            "telemetry.flush: not all of the last spans and metrics were taken in time; the collector lacks them"
        );
    }
}

type Server = tokio::task::JoinHandle<std::io::Result<()>>;

async fn answer(
    listener: tokio::net::TcpListener,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let asked = async move {
        // An error says that nobody can ask any more.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    connections::serve(listener, router, ConnectionLimits::default(), asked).await
}

/// Waits until all callers have their answers.
async fn answered(jobs: Option<&Jobs>, server: &mut Server) {
    if let Some(jobs) = jobs {
        jobs.finish().await;
    }
    // An error says that the server has ended, and then nobody waits.
    let _ = server.await;
}
