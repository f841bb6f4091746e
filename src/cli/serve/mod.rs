//! `muster serve` serves recognition, people and the page over HTTP. A library is served by this process alone; with queues,
//! workers answer.

mod library;
mod service;

use std::env::VarError;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use service::{Measured, ServiceEnd, WebService};

use super::fleet;
use super::folder::library::LibraryArgs;
use super::print::print;
use super::signal::Signals;
use super::{CliError, Logging};
use muster_config::{Layers, Origin, Settings};
use muster_gallery::GalleryStores;
use muster_http::gallery_stores::FleetGalleryStores;
use muster_http::jobs::JobLog;
use muster_http::purge::Purger;
use muster_http::{Admin, AppState, Guard, Keys, ServiceParts, cors};
use muster_inference::pipeline;
use muster_library::Library;
use muster_telemetry::{ProcessMetrics, Telemetry};
use muster_worker::fleet::FleetError;
use muster_worker::recognition::RemoteRecognizer;

/// Arguments of `muster serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Open the address it prints in a browser, or ask it: curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' \\
  http://127.0.0.1:8080/v1/recognize

Where queues.requests (REQUEST_QUEUE_URL) is set and no library is named, `muster respond` workers answer.

Examples:
  muster serve --library ~/Pictures
  muster serve ~/Pictures                    what is new there can be indexed from the page
  muster keys add phone --role read && muster serve --listen 0.0.0.0:8080
  REQUEST_QUEUE_URL=… RESPONSE_QUEUE_URL=… INPUT_BUCKET_NAME=… OUTPUT_BUCKET_NAME=… muster serve")]
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
    pub(super) fn run(&self, mut layers: Layers, logging: Logging) -> Result<ExitCode, CliError> {
        if let Some(listen) = &self.listen {
            layers.set("serve.listen", listen.clone().into(), Origin::Flag("--listen"))?;
        }
        let settings = layers.settings()?;
        let signals = Signals::listen()?;
        let named = !self.paths.is_empty() || self.library.library.is_some();
        let here = named || settings.queues.requests.is_empty();
        let telemetry = Telemetry::start(&settings, "web")?;
        if here { logging } else { logging.of_a_fleet() }.start_traced(&telemetry);
        let drain = Duration::from_secs(settings.pipeline.drain_seconds);
        let log = Arc::<JobLog>::default();
        let folder = if here { Some(self.folder()?) } else { None };
        let guard = guard(&settings, folder.as_deref())?;
        let (mut listener, mut measured) = (None, None);
        let end = loop {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let parts = match &folder {
                Some(folder) => library::open(&layers, settings.clone(), folder, &self.paths, &log)?,
                None => runtime.block_on(elsewhere(&settings))?,
            };
            let service = WebService { parts, guard: Arc::clone(&guard) };
            // Callers who connect while the parts are made anew wait for them.
            let socket = match &listener {
                None => listener.insert(listen(&settings)?),
                Some(listener) => listener,
            };
            let socket = socket.try_clone()?;
            let measured = match &measured {
                None => measured.insert(Measured::start(Arc::clone(&service.parts.state), &telemetry)?),
                Some(measured) => measured,
            };
            let end = runtime.block_on(async { service.run(socket, &signals, measured, drain).await })?;
            // Connections that are still open are closed with it.
            runtime.shutdown_timeout(Duration::from_secs(1));
            match end {
                ServiceEnd::OtherModel => {}
                end => break end,
            }
        };
        service::flush(&telemetry);
        Ok(ExitCode::from(match end {
            ServiceEnd::Broken(exit) => exit.code(),
            ServiceEnd::Stopped | ServiceEnd::OtherModel => 0,
        }))
    }

    /// The library that is there; one is made for photos that are named.
    fn folder(&self) -> Result<PathBuf, CliError> {
        match Library::find(self.library.library.as_deref()) {
            Err(_) if !self.paths.is_empty() => Ok(Library::place(self.library.library.as_deref(), &self.paths)),
            found => Ok(found?),
        }
    }
}

async fn elsewhere(settings: &Settings) -> Result<ServiceParts, CliError> {
    let remote = Arc::new(RemoteRecognizer::start(settings).await.map_err(FleetError::from)?);
    let admin = Arc::new(Admin::new(Purger::new(&remote)));
    let process = Box::new(|| ProcessMetrics {
        elsewhere: true,
        device: "none",
        service: String::from("web"),
        ..ProcessMetrics::default()
    });
    let state = AppState { recognizer: remote, limits: library::limits(settings), process, metrics: Arc::default() };
    Ok(ServiceParts { state: Arc::new(state), galleries: people(settings).await?, jobs: None, admin: Some(admin) })
}

/// Connects to the galleries of a fleet, where its database is set.
async fn people(settings: &Settings) -> Result<Option<Arc<dyn GalleryStores>>, CliError> {
    if settings.mongo.gallery_images.is_empty() {
        return Ok(None);
    }
    let params = pipeline::params(settings, &fleet::manifest(settings).await?);
    Ok(Some(Arc::new(FleetGalleryStores::connect(settings, params).await?)))
}

/// Returns the address to listen on.
fn address(settings: &Settings) -> Result<SocketAddr, CliError> {
    let listen = &settings.serve.listen;
    match listen.parse::<u16>() {
        Ok(port) => Ok(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port)),
        Err(_) => listen.parse().map_err(|_| {
            CliError::Usage(format!("serve.listen is {listen:?}, wanted is an address as 127.0.0.1:8080"))
        }),
    }
}

/// Listens, and prints the address.
fn listen(settings: &Settings) -> Result<std::net::TcpListener, CliError> {
    let address = address(settings)?;
    let listener = std::net::TcpListener::bind(address).map_err(|error| {
        CliError::Refused(format!("cannot listen on {address}: {error}; choose another with --listen"))
    })?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    print(|out| Ok(writeln!(out, "http://{bound}")?))?;
    Ok(listener)
}

/// Creates the guard.
fn guard(settings: &Settings, folder: Option<&Path>) -> Result<Arc<Guard>, CliError> {
    let (serve, listen) = (&settings.serve, address(settings)?);
    let keys = keys(settings, folder)?;
    if !listen.ip().is_loopback() && keys.list().is_empty() {
        let text =
            format!("{listen} can be reached by others: make a key first, with `muster keys add NAME --role read`");
        return Err(CliError::Refused(text));
    }
    let pages = cors::origins(&serve.cors).map_err(CliError::Usage)?;
    if !pages.is_empty() && keys.list().is_empty() {
        let text = "serve.cors lets pages of other origins ask, each with a key: make one first, with `muster keys add NAME --role read`";
        return Err(CliError::Refused(text.to_owned()));
    }
    let limit = Duration::from_secs(serve.seconds);
    Ok(Arc::new(Guard::new(keys, listen, serve.requests_per_minute, limit).with_pages(pages)))
}

/// Reads the keys from MUSTER_API_KEYS, which has the text of their file for containers, otherwise from the file.
fn keys(settings: &Settings, folder: Option<&Path>) -> Result<Keys, CliError> {
    match (std::env::var("MUSTER_API_KEYS"), keys_file(settings, folder)) {
        (Ok(text), _) => Ok(Keys::parse("MUSTER_API_KEYS".as_ref(), text.as_bytes())?),
        (Err(VarError::NotUnicode(_)), _) => Err(CliError::Usage("MUSTER_API_KEYS is no text".to_owned())),
        (Err(VarError::NotPresent), Some(path)) => Ok(Keys::read(&path)?),
        (Err(VarError::NotPresent), None) => Ok(Keys::default()),
    }
}

/// Returns the file of a library's API keys.
pub(super) fn keys_in(folder: &Path) -> PathBuf {
    folder.join("keys.json")
}

/// Returns the file of the API keys; `None` where no file is named and there is no library.
pub(super) fn keys_file(settings: &Settings, folder: Option<&Path>) -> Option<PathBuf> {
    match settings.serve.keys.as_str() {
        "" => folder.map(keys_in),
        path => Some(PathBuf::from(path)),
    }
}
