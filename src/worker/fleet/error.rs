//! Errors of starting a worker, and of forgetting a gallery's images.

use muster_actors::cutover::record::RecordError;
use muster_actors::domain::exit::{Exit, Remedy};
use muster_actors::errors::Class;
use muster_actors::errors::class::Classified;
use muster_actors::ports::faces::FacesError;
use muster_actors::ports::queue::QueueError;
use muster_actors::scaler::submitter::ScalerTickError;

use muster_aws::classify::Fault;
use muster_config::MissingSetting;
use muster_gallery::{GalleryError, StoreFault};
use muster_stores::mongo::{MongoError, classify};

/// Errors of starting a worker, and of forgetting a gallery's images.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A required setting is missing.
    #[error(transparent)]
    MissingSetting(#[from] MissingSetting),
    /// The settings do not say which role `muster worker` has.
    #[error("fleet.service is {0:?}: set SERVICE_TYPE to detection, grouping or recognition")]
    Service(String),
    /// MongoDB.
    #[error(transparent)]
    Mongo(#[from] MongoError),
    /// The store of faces, with the objects beside it.
    #[error(transparent)]
    Store(#[from] FacesError),
    /// SQS or S3.
    #[error("{}", .0.message)]
    Aws(Fault),
    /// A queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A model pack in S3.
    #[error("models.pack {0}: correct models.pack, or upload the pack")]
    Models(String),
    /// The queues of a cutover.
    #[error("{a} and {b} are one queue ({name}): a cutover needs one of its own for each")]
    OneQueue {
        /// A setting.
        a: &'static str,
        /// Another one.
        b: &'static str,
        /// The queue.
        name: String,
    },
    /// The state of a cutover.
    #[error(transparent)]
    Cutover(#[from] RecordError),
    /// Redis.
    #[error("Redis: {0}")]
    Redis(String),
    /// The scaler cannot look or submit.
    #[error(transparent)]
    Look(#[from] ScalerTickError),
    /// Another `muster scale` starts processes for this queue on this machine.
    #[error("another muster scale starts workers for this queue on this machine: stop it first")]
    Taken,
    /// Workers cannot be started on this machine.
    #[error("{0}")]
    Processes(std::io::Error),
}

impl FleetError {
    /// Returns the exit of the program.
    pub fn exit(&self) -> Exit {
        let class = match self {
            Self::MissingSetting(_) | Self::Service(_) | Self::OneQueue { .. } | Self::Redis(_) => {
                Class::Misconfigured(Remedy::Settings)
            }
            Self::Cutover(error) => error.class(),
            Self::Models(_) => Class::Misconfigured(Remedy::Model),
            Self::Mongo(error) => classify::class(error),
            Self::Store(error) => error.class(),
            Self::Aws(fault) => fault.class,
            Self::Queue(error) => error.class(),
            Self::Look(error) => error.class(),
            Self::Taken | Self::Processes(_) => Class::Transient,
        };
        match class {
            Class::Misconfigured(mend) => Exit::Misconfigured(mend, self.to_string()),
            class if class.passes() => Exit::DependencyDown(self.to_string()),
            _ => Exit::Bug(self.to_string()),
        }
    }
}

impl From<FleetError> for GalleryError {
    fn from(error: FleetError) -> Self {
        Self::Store(match error.exit() {
            Exit::DependencyDown(why) => StoreFault::Unavailable(why),
            exit => StoreFault::Broken(exit.to_string()),
        })
    }
}
