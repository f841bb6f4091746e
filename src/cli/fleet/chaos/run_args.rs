//! Arguments that `muster chaos` and `muster soak` share: servers, photos and a folder for the report.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_chaos::ChaosError;
use muster_chaos::site::{ProxiedServers, Site};

/// Exit code of a run that found a fault.
pub const FOUND: u8 = 1;

/// Arguments for the environment of a run.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Folder of photos
    #[arg(long, value_name = "DIR", default_value = ".cache/photos/gallery")]
    pub photos: PathBuf,
    /// Command that starts the servers, as tests/stack/stack.py does
    #[arg(long, value_name = "COMMAND", default_value = ".cache/venv/bin/python tests/stack/stack.py")]
    servers: String,
    /// Write the report and the workers' logs into this folder
    #[arg(long, value_name = "DIR", default_value = "muster-chaos")]
    pub report: PathBuf,
}

impl RunArgs {
    /// Starts the servers.
    pub async fn start(&self) -> Result<Arc<ProxiedServers>, ChaosError> {
        let command: Vec<String> = self.servers.split_whitespace().map(str::to_owned).collect();
        ProxiedServers::start(&command).await
    }

    /// Creates the queues, buckets and databases of a run.
    pub async fn site(
        &self,
        servers: &Arc<ProxiedServers>,
        name: &'static str,
        lease: u64,
    ) -> Result<Site, ChaosError> {
        Site::make(servers, name, lease, logs(&self.report, name)?).await
    }
}

/// Returns the path of this program, which the workers run.
pub fn program() -> Result<PathBuf, ChaosError> {
    std::env::current_exe().map_err(|source| ChaosError::Io { what: "this program".into(), source })
}

/// Creates an empty folder for the logs of a run.
fn logs(report: &Path, name: &str) -> Result<PathBuf, ChaosError> {
    let failed = |source| ChaosError::Io { what: report.display().to_string(), source };
    let folder = report.join(name);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    std::fs::create_dir_all(&folder).map_err(failed)?;
    folder.canonicalize().map_err(failed)
}
