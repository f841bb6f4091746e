//! `muster serve`: recognition, people and the page over HTTP.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use muster_actors::exit::Exit;

use super::library::LibraryArgs;
use crate::cli::CliError;
use crate::cli::models::lanes;
use crate::cli::print::{print, say};
use crate::cli::signal::Signals;
use crate::http::album::Album;
use crate::http::app::PhotoLimits;
use crate::http::jobs::Jobs;
use crate::http::{App, Guard, Keys, router};
use crate::local::{Library, Runner, SqliteFaces, runner};
use crate::onnx::home::Home;
use crate::onnx::lanes::Lanes;
use crate::onnx::pack::Pack;
use crate::recognition::{self, Analyst, Crowd};
use crate::settings::{Layers, Origin, Settings};
use crate::telemetry::{Extra, ModelRuns};

/// What a caller's answer may take beyond its time limit, before the service gives up on it.
const GRACE: Duration = Duration::from_secs(2);

/// Arguments of `muster serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Open the address it prints in a browser, or ask it: curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' \\
  http://127.0.0.1:8080/v1/recognize

Examples:
  muster serve --library ~/Pictures
  muster serve ~/Pictures                    what is new there can be indexed from the page
  muster keys add phone --role read && muster serve --listen 0.0.0.0:8080")]
pub struct Args {
    /// Folders and photos that can be indexed from the page [default: those that were indexed last]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    library: LibraryArgs,
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

impl Args {
    pub(super) fn run(&self, mut layers: Layers) -> Result<ExitCode, CliError> {
        if let Some(listen) = &self.listen {
            layers.set("serve.listen", listen.clone().into(), Origin::Flag("--listen"))?;
        }
        let settings = layers.settings()?;
        let signals = Signals::listen()?;
        let folder = self.folder()?;
        let (guard, listen) = front(&settings, &folder)?;
        let home = Home::from_env()?;
        let pack = Pack::open(&settings.models.pack, &home)?;
        pack.verify()?;
        let pack = Arc::new(pack);
        let store = Arc::new(SqliteFaces::start(Library::create(&folder)?)?);
        let lanes = lanes(&settings, &pack, &home)?;
        let app = Arc::new(self.app(&settings, &pack, &lanes, store)?);
        let drain = Duration::from_secs(settings.pipeline.drain_seconds);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let exit = runtime.block_on(serve(Arc::clone(&app), guard, listen, &signals, drain))?;
        // Whoever is still connected is gone with it.
        runtime.shutdown_timeout(Duration::from_secs(1));
        Ok(ExitCode::from(exit.map_or(0, |exit| exit.code())))
    }

    /// The library that is there; one is made for photos that are named.
    fn folder(&self) -> Result<PathBuf, CliError> {
        match Library::find(self.library.library.as_deref()) {
            Err(_) if !self.paths.is_empty() => {
                Ok(self.library.library.clone().unwrap_or_else(|| Library::default_folder(&self.paths)))
            }
            found => Ok(found?),
        }
    }

    fn app(
        &self,
        settings: &Settings,
        pack: &Arc<Pack>,
        lanes: &Lanes,
        store: Arc<SqliteFaces>,
    ) -> Result<App, CliError> {
        let engines = lanes.engines();
        let folder = store.look(|library| Ok(library.folder().to_owned()))?;
        let rule = recognition::rule(settings, pack.manifest());
        let dimensions = pack.manifest().embedder.dimensions as usize;
        let crowd = Arc::new(Crowd::new(Library::read(&folder)?, rule, dimensions));
        let paths = match &self.paths[..] {
            [] => store.look(|library| runner::remembered(library))?,
            paths => paths.to_vec(),
        };
        // One lane at least is left to callers while photos are indexed.
        let indexing = engines[..engines.len().saturating_sub(1).max(1)].to_vec();
        let runner = Runner::new(settings.clone(), Arc::clone(pack), indexing, Arc::clone(&store));
        let grouped = Arc::clone(&crowd);
        let (tally, service) = (lanes.tally(), String::from("recognition"));
        let manifest = pack.manifest();
        let files = [("detector", manifest.detector.file.clone()), ("embedder", manifest.embedder.file.clone())];
        Ok(App {
            analyst: Analyst::start(settings, pack, engines)?,
            jobs: Jobs::new(Arc::new(runner), paths, Arc::new(move || grouped.changed())),
            album: Arc::new(Album::new(store, Library::read(&folder)?, Arc::clone(&crowd))?),
            crowd,
            limits: PhotoLimits { bytes: settings.serve.photo_megabytes << 20, photos: settings.serve.enrol_photos },
            extra: Box::new(move || {
                let models = files.iter().map(|(model, file)| {
                    let (runs, seconds) = tally.of(file);
                    ModelRuns { model, runs, seconds }
                });
                Extra { device: "cpu", service: service.clone(), models: models.collect(), ..Extra::default() }
            }),
        })
    }
}

/// Who may ask, and where.
fn front(settings: &Settings, folder: &std::path::Path) -> Result<(Guard, SocketAddr), CliError> {
    let serve = &settings.serve;
    let wrong =
        || CliError::Usage(format!("serve.listen is {:?}, wanted is an address as 127.0.0.1:8080", serve.listen));
    let listen: SocketAddr = match serve.listen.parse::<u16>() {
        Ok(port) => SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port),
        Err(_) => serve.listen.parse().map_err(|_| wrong())?,
    };
    let keys = Keys::read(&keys_file(settings, folder))?;
    if !listen.ip().is_loopback() && keys.list().is_empty() {
        let text =
            format!("{listen} can be reached by others: make a key first, with `muster keys add NAME --role read`");
        return Err(CliError::Refused(text));
    }
    let limit = Duration::from_secs(serve.seconds);
    Ok((Guard::new(keys, listen, serve.requests_per_minute, limit), listen))
}

/// Where the API keys of a library are.
pub(super) fn keys_file(settings: &Settings, folder: &std::path::Path) -> PathBuf {
    match settings.serve.keys.as_str() {
        "" => folder.join("keys.json"),
        path => PathBuf::from(path),
    }
}

/// Answers until it is asked to stop, or cannot any more: then with the reason.
async fn serve(
    app: Arc<App>,
    guard: Guard,
    listen: SocketAddr,
    signals: &Signals,
    drain: Duration,
) -> Result<Option<Exit>, CliError> {
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .map_err(|error| CliError::Refused(format!("cannot listen on {listen}: {error}")))?;
    let bound = listener.local_addr()?;
    print(|out| Ok(writeln!(out, "http://{bound}")?))?;
    let guard = Arc::new(guard);
    let tidied = Arc::clone(&guard);
    let tidy = tokio::spawn(async move {
        let mut minutes = tokio::time::interval(Duration::from_secs(60));
        loop {
            minutes.tick().await;
            tidied.tidy();
        }
    });
    let service = router(Arc::clone(&app), guard).into_make_service_with_connect_info::<SocketAddr>();
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let asked = async move {
        // An error says that nobody can ask any more.
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    let mut server = tokio::spawn(async move { axum::serve(listener, service).with_graceful_shutdown(asked).await });
    let mut ended = app.analyst.ended();
    let broken = tokio::select! {
        () = signals.asked() => None,
        exit = ended.wait_for(Option::is_some) => exit.map_or(None, |exit| exit.clone()),
        end = &mut server => {
            end.map_err(std::io::Error::other)??;
            None
        }
    };
    if let Some(exit) = &broken {
        say(&format!("muster: {exit}"));
    }
    stop.send_replace(true);
    app.analyst.close();
    let end = async {
        app.jobs.finish().await;
        // Answers that are on their way.
        let _ = (&mut server).await;
    };
    if tokio::time::timeout(drain + GRACE, end).await.is_err() {
        say("muster: some callers did not wait for their answers");
    }
    tidy.abort();
    server.abort();
    Ok(broken)
}
