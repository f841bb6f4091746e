//! What must always hold.

use std::collections::BTreeSet;

use crate::domain::exit::Exit;
use crate::domain::image::{ImageState, RejectReason};
use crate::flow::progress::Summary;
use crate::pipeline::settings::Settings;
use crate::sim::host::Host;
use crate::sim::images::faces;
use crate::sim::life::{Service, Site};
use crate::sim::queue::Fate;
use crate::sim::scenario::{Kind, Scenario};
use crate::sim::script::{Fault, Script};

/// After each worker that was not taken away.
pub(super) fn worker(
    site: &Site,
    host: &Host,
    service: Service,
    exit: &Exit,
    summary: &Summary,
    (credits, leases): (usize, usize),
) {
    let world = &site.world;
    if *exit == Exit::Drained && service == Service::Both {
        for gallery in site.store.stale() {
            world.violation(format!("drained, and the groups of gallery {gallery} are not of its faces"));
        }
    }
    // What it gave back is visible to others, and what it could not give back is counted so.
    let kept = (site.images.kept_by(host.number) + site.galleries.kept_by(host.number)) as u64;
    if kept > summary.counts.lease_lost {
        world.violation(format!("{kept} messages are still leased to worker {}, which has ended", host.number));
    }
    if summary.fetched != summary.counts.ended() {
        world.violation(format!(
            "{} fetched, but {} ended: {:?}",
            summary.fetched,
            summary.counts.ended(),
            summary.counts
        ));
    }
    if credits > 0 {
        world.violation(format!("{credits} credits did not come back"));
    }
    if leases > 0 {
        world.violation(format!("{leases} leases were not settled"));
    }
    if summary.stages.values().any(|stage| stage.in_flight > 0) {
        world.violation("a stage still counts items in flight");
    }
    if summary.devices_lost > 0 && matches!(exit, Exit::Drained | Exit::HandedBack) {
        world.violation(format!("{} devices were lost, and it says {exit}", summary.devices_lost));
    }
    if matches!(exit, Exit::Bug(_)) && !host.allows(exit.code()) {
        // Only panics may end so, and only many of them.
        let panics: usize = world.look(|s| s.panics.values().map(Vec::len).sum());
        if panics < 2 {
            world.violation(format!("{exit} without cause"));
        }
    } else if !host.allows(exit.code()) {
        world.violation(format!("exit {} ({exit}) does not follow from what happened", exit.code()));
    }
}

/// How an image may be stored in the end: by what it is, and by how often it was received.
fn expected(kind: Kind, prefilter: bool) -> (ImageState, Option<RejectReason>) {
    match kind {
        Kind::Faces(0) => (ImageState::NoFaces, None),
        Kind::Faces(_) => (ImageState::Indexed, None),
        Kind::Poor if prefilter => (ImageState::LowQuality, None),
        Kind::Poor => (ImageState::Indexed, None),
        Kind::Corrupt => (ImageState::Rejected, Some(RejectReason::Corrupt)),
        Kind::Missing => (ImageState::Rejected, Some(RejectReason::Missing)),
        Kind::BadMessage => (ImageState::Rejected, Some(RejectReason::BadMessage)),
        Kind::DecoderPanic | Kind::DecoderAbort => (ImageState::Rejected, Some(RejectReason::Crashed)),
        Kind::Poison | Kind::Huge => (ImageState::Rejected, Some(RejectReason::Isolated)),
        Kind::Forgotten => (ImageState::Rejected, Some(RejectReason::Forgotten)),
    }
}

/// After the last worker: every image is stored as what it is, once. The images whose messages were received so often that
/// they may have been rejected for it, or that an engine broke on by chance.
pub(super) fn end(site: &Site, scenario: &Scenario) -> BTreeSet<usize> {
    let Site { world, images: queue, galleries, store, .. } = site;
    let mut excused = BTreeSet::new();
    let mut settings = Settings::default();
    (scenario.tune)(&mut settings);
    // An engine that breaks by chance, or for as long as the storm lasts, may break three times on one image.
    let blamed = scenario.scripts.iter().flat_map(Script::faults).any(Fault::may_blame_an_image);
    let breaks = scenario.sticky > 0.0 || scenario.dead_after.is_some() || blamed;
    let mut stored = 0;
    for (number, kind) in scenario.images.iter().enumerate() {
        let (state, reason) = expected(*kind, settings.prefilter.is_some());
        let fate = queue.fate(number);
        let commit = store.stored(number);
        stored += usize::from(commit.is_some());
        let worn = queue.deaths(number) >= settings.fetcher.max_receives;
        match (&fate, &commit) {
            (Fate::Queued, _) => world.violation(format!("message {number} is still in the queue")),
            (Fate::Dead(rejection), None)
                if matches!(rejection.reason, RejectReason::BadMessage | RejectReason::Forgotten)
                    && reason == Some(rejection.reason) => {}
            (Fate::Dead(rejection), Some(commit)) => {
                let why = commit.image.rejection.as_ref().map(|r| r.reason);
                // Two receipts of one message may end for two reasons.
                let too_many = worn && rejection.reason == RejectReason::TooManyAttempts;
                let unlucky = breaks && rejection.reason == RejectReason::Isolated;
                if Some(rejection.reason) != reason && (too_many || unlucky) {
                    excused.insert(number);
                }
                if Some(rejection.reason) != reason && !too_many && !unlucky {
                    world.violation(format!("image {number}, {kind:?}, is dead as {rejection}"));
                }
                // What another receipt of it found stays where the rejection says nothing of the picture.
                let kept = unlucky && why.is_none() && rejection.reason.says_nothing_of_the_picture();
                if why != Some(rejection.reason) && !worn && !kept {
                    world.violation(format!("image {number} is dead as {rejection} and stored as {why:?}"));
                }
            }
            (Fate::Dead(rejection), None) => {
                world.violation(format!("image {number} is dead as {rejection} and not stored"));
            }
            // Of two receipts one was unlucky, and wrote last.
            (Fate::Deleted, Some(commit))
                if breaks && commit.image.rejection.as_ref().is_some_and(|r| r.reason == RejectReason::Isolated) =>
            {
                excused.insert(number);
            }
            (Fate::Deleted, Some(commit)) => {
                let image = &commit.image;
                if image.state != state || image.face_count as usize != commit.faces.len() {
                    world.violation(format!("image {number}, {kind:?}, is stored as {:?}", image.state));
                }
                let count = if state == ImageState::Indexed { faces(number, *kind).len() } else { 0 };
                if commit.faces.len() != count {
                    world.violation(format!("image {number} has {} faces, not {count}", commit.faces.len()));
                }
            }
            (Fate::Deleted, None) => world.violation(format!("image {number} is deleted and not stored")),
        }
    }
    if store.len() != stored {
        world.violation(format!("{} images are stored, but only {stored} were sent", store.len()));
    }
    for gallery in store.stale() {
        world.violation(format!("the groups of gallery {gallery} are not of its faces"));
    }
    if galleries.open() > 0 {
        world.violation("a gallery that was asked for was not grouped");
    }
    excused
}
