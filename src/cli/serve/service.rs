//! Runs a web service from its first request to its last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use muster_actors::domain::exit::Exit;
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use crate::cli::CliError;
use crate::cli::print::{print, say};
use crate::cli::signal::Signals;
use muster_http::jobs::Jobs;
use muster_http::{Guard, ServiceParts, router};
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
    pub listen: SocketAddr,
}

impl WebService {
    /// Answers requests until it is asked to stop, or until recognition ends, and then returns the reason.
    pub async fn run(
        self,
        signals: &Signals,
        telemetry: &Telemetry,
        drain: Duration,
    ) -> Result<Option<Exit>, CliError> {
        let listener = tokio::net::TcpListener::bind(self.listen).await.map_err(|error| {
            let text = format!("cannot listen on {}: {error}; choose another with --listen", self.listen);
            CliError::Refused(text)
        })?;
        let bound = listener.local_addr()?;
        print(|out| Ok(writeln!(out, "http://{bound}")?))?;
        let Self { parts, guard, .. } = self;
        let state = Arc::clone(&parts.state);
        let (jobs, galleries) = (parts.jobs.clone(), parts.galleries.clone());
        let metered = Arc::clone(&state);
        telemetry.watch(state.recognizer.progress(), move || metered.process_metrics())?;
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
        let broken = tokio::select! {
            () = signals.asked() => None,
            exit = state.recognizer.ended() => Some(exit),
            end = &mut server => {
                end.map_err(std::io::Error::other)??;
                None
            }
        };
        if let Some(exit) = &broken {
            say(&format!("muster: {exit}"));
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
        if !telemetry.flush(FLUSH) {
            tracing::warn!(
                seconds = FLUSH.as_secs(),
                "telemetry.flush: not all of the last spans and metrics were taken in time; the collector lacks them"
            );
        }
        Ok(broken)
    }
}

type Server = tokio::task::JoinHandle<std::io::Result<()>>;

async fn answer(
    listener: tokio::net::TcpListener,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let asked = async move {
        // An error says that nobody can ask any more.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, service).with_graceful_shutdown(asked).await
}

/// Waits until all callers have their answers.
async fn answered(jobs: Option<&Jobs>, server: &mut Server) {
    if let Some(jobs) = jobs {
        jobs.finish().await;
    }
    // An error says that the server has ended, and then nobody waits.
    let _ = server.await;
}
