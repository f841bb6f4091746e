//! Crops and results of many images in one object.
//!
//! What will be in a pack is in the database before the pack is in S3, so that whoever forgets finds every byte. Each pack is
//! put by one writer, which claims it when it is there. Whoever takes something out closes the pack first: a claim fails then,
//! and the writer puts what it needs anew.

mod erase;
mod layout;
mod recent_puts;
mod write;

use std::sync::Arc;

use muster_actors::errors::Class;
use muster_actors::ports::faces::FacesError;
use muster_aws::classify::Fault;
use muster_aws::s3::S3Bucket;
use muster_stores::mongo::{MongoFaces, PackKind};
use parking_lot::Mutex;

use recent_puts::{PutLocation, RecentPuts};

pub(crate) use erase::Blanked;
pub(crate) use layout::{Part, is_blank};

/// Crops and results that lie in S3 and are not in the database: those of a few bulks of crowds.
const KEPT: usize = 20_000;
/// Packs whose writing failed and that will be written again.
const FAILED: usize = 64;

/// The packs of a fleet.
#[derive(Clone)]
pub(crate) struct Packs {
    store: MongoFaces,
    bucket: S3Bucket,
    kept: Arc<Mutex<RecentPuts<PutLocation>>>,
    failed: Arc<Mutex<RecentPuts<[u8; 16]>>>,
}

impl Packs {
    /// In the bucket of groups, beside the database.
    pub fn new(store: MongoFaces, bucket: S3Bucket) -> Self {
        let (kept, failed) = (RecentPuts::new(KEPT), RecentPuts::new(FAILED));
        Self { store, bucket, kept: Arc::new(Mutex::new(kept)), failed: Arc::new(Mutex::new(failed)) }
    }
}

fn content_type(kind: PackKind) -> &'static str {
    match kind {
        PackKind::Crops => "application/octet-stream",
        PackKind::Results => "application/x-ndjson",
    }
}

/// A refusal of a pack says nothing of any image in it.
fn of_no_image(fault: Fault) -> FacesError {
    let class = if fault.class == Class::Poison { Class::Transient } else { fault.class };
    FacesError::Failed { class, message: fault.message }
}

fn transient(message: &str) -> FacesError {
    FacesError::Failed { class: Class::Transient, message: message.to_owned() }
}
