//! Installs the log, once a process. It goes to standard error, because standard output is for results.

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

#[cfg(feature = "cloud")]
use muster_config::LogFormat;
#[cfg(feature = "cloud")]
use muster_telemetry::{Telemetry, logs::JsonLines};

/// What is said, by the number of -v.
const FILTERS: [&str; 3] = ["warn", "muster=info,muster_actors=info,warn", "muster=debug,muster_actors=debug,info"];

/// How much is said.
#[derive(Clone, Copy, Debug)]
pub struct Logging {
    verbose: u8,
}

impl Logging {
    /// As much as so many -v ask for; MUSTER_LOG wins.
    pub fn new(verbose: u8) -> Self {
        Self { verbose }
    }

    fn filter(self) -> EnvFilter {
        let default = FILTERS[usize::from(self.verbose).min(FILTERS.len() - 1)];
        EnvFilter::try_from_env("MUSTER_LOG").unwrap_or_else(|_| EnvFilter::new(default))
    }

    fn text<S: Subscriber + for<'a> LookupSpan<'a>>(self) -> impl Layer<S> {
        // Colours are for a terminal; a log that is kept has none.
        let colours = std::io::stderr().is_terminal();
        fmt::layer().with_writer(std::io::stderr).with_ansi(colours).without_time().with_filter(self.filter())
    }

    /// Starts the log of a command that a person typed.
    pub fn start(self) {
        install(Registry::default().with(self.text()));
    }

    /// Of a part of a fleet: with what happens even without a -v.
    #[cfg(feature = "cloud")]
    pub fn of_a_fleet(self) -> Self {
        Self { verbose: self.verbose.max(1) }
    }

    /// Starts the log with the traces, in the format that the settings name.
    #[cfg(feature = "cloud")]
    pub fn start_traced(self, telemetry: &Telemetry) {
        let registry = Registry::default().with(telemetry.layer());
        match telemetry.log_format() {
            LogFormat::Text => install(registry.with(self.text())),
            LogFormat::Json => {
                let json = fmt::layer().fmt_fields(fmt::format::JsonFields::new()).event_format(JsonLines);
                install(registry.with(json.with_writer(std::io::stderr).with_filter(self.filter())));
            }
        }
    }
}

/// The first subscriber of a process stays.
fn install(subscriber: impl Subscriber + Send + Sync + 'static) {
    let _ = subscriber.try_init();
}
