//! Checks the invariants of a simulated run.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::exit::Exit;
use crate::domain::image::{ImageState, RejectReason};
use crate::flow::progress::Summary;
use crate::pipeline::build::Leftovers;
use crate::pipeline::settings::Settings;
use crate::ports::faces::Commit;
use crate::sim::host::Host;
use crate::sim::images::faces;
use crate::sim::queue::{DeliveryState, MessageCount};
use crate::sim::refusal::RefusedCall;
use crate::sim::scenario::{ImageKind, Scenario};
use crate::sim::script::{DeviceFault, FaultScript};
use crate::sim::worker::{SimSite, SimWorkerRole};

/// After each worker that was not taken away.
pub(super) fn worker(
    site: &SimSite,
    host: &Host,
    service: SimWorkerRole,
    exit: &Exit,
    summary: &Summary,
    leftovers: &Leftovers,
) {
    let world = &site.world;
    if *exit == Exit::Drained && service == SimWorkerRole::Both {
        for gallery in site.store.stale() {
            world.violation(format!("drained, and the groups of gallery {gallery} are not of its faces"));
        }
    }
    let Leftovers { credits, leases, lost_messages } = *leftovers;
    // What it gave back is visible to others, and what it could not give back is counted so: each message, and in the summary
    // each image that one names. A test event names none.
    let kept = site.images.kept_by(host.number) + site.galleries.kept_by(host.number);
    let lost = MessageCount { messages: lost_messages, images: summary.counts.lease_lost };
    if kept.messages > lost.messages || kept.images > lost.images {
        world.violation(format!("worker {} has ended and still holds {kept:?}, but counts {lost:?}", host.number));
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
fn expected(kind: ImageKind, prefilter: bool) -> (ImageState, Option<RejectReason>) {
    match kind {
        ImageKind::Faces(0) => (ImageState::NoFaces, None),
        ImageKind::Faces(_) => (ImageState::Indexed, None),
        ImageKind::Poor if prefilter => (ImageState::LowQuality, None),
        ImageKind::Poor => (ImageState::Indexed, None),
        ImageKind::Corrupt => (ImageState::Rejected, Some(RejectReason::Corrupt)),
        ImageKind::Missing => (ImageState::Rejected, Some(RejectReason::Missing)),
        ImageKind::BadMessage => (ImageState::Rejected, Some(RejectReason::BadMessage)),
        ImageKind::DecoderPanic | ImageKind::DecoderAbort => (ImageState::Rejected, Some(RejectReason::Crashed)),
        ImageKind::Poison | ImageKind::Huge => (ImageState::Rejected, Some(RejectReason::Isolated)),
        ImageKind::Forgotten => (ImageState::Rejected, Some(RejectReason::Forgotten)),
    }
}

/// Whether the engines of a world break by chance, or for as long as the storm lasts: then they may break three times on
/// one image.
fn breaks_by_chance(scenario: &Scenario) -> bool {
    let blamed = scenario.scripts.iter().flat_map(FaultScript::faults).any(DeviceFault::may_blame_an_image);
    scenario.sticky > 0.0 || scenario.dead_after.is_some() || blamed
}

/// Whether a read of an object may fail as often as it is tried: a photo whose header cannot be read is judged by no one, and
/// read as a whole later.
fn reads_fail(scenario: &Scenario) -> bool {
    let refused = scenario.refusals.iter().any(|refusal| refusal.asked == RefusedCall::Get);
    scenario.object_errors > 0.0 || scenario.slow > 0.0 || refused
}

/// After the last worker: every message has ended, and every image is stored as what it is, once. The images whose messages
/// were received so often that they may have been rejected for it, that an engine broke on by chance, or that nobody judged.
pub(super) fn end(site: &SimSite, scenario: &Scenario) -> BTreeSet<usize> {
    let SimSite { world, images: queue, galleries, store, .. } = site;
    let mut settings = Settings::default();
    (scenario.tune)(&mut settings);
    let expected: Vec<_> = scenario.images.iter().map(|kind| expected(*kind, settings.prefilter.is_some())).collect();
    let breaks = breaks_by_chance(scenario);
    let engines_end_workers = scenario.dead_after.is_some() || scenario.hang_after.is_some();
    let (mut excused, mut worn) = (BTreeSet::<usize>::new(), BTreeSet::<usize>::new());
    for (images, fate, deaths) in queue.ended() {
        // Where all images of a message can be indexed, none of them ends its workers; where every engine of every worker
        // stays broken or hangs, nobody can tell.
        let sound = |image: &usize| expected[*image].0 != ImageState::Rejected;
        let innocent = !engines_end_workers && images.iter().all(sound);
        let too_many = deaths >= settings.fetcher.max_receives && !innocent;
        if too_many {
            worn.extend(&images);
        }
        match fate {
            DeliveryState::Queued => world.violation(format!("the message of {images:?} is still in the queue")),
            DeliveryState::Deleted => {
                let bad = |image: &&usize| expected[**image].0 == ImageState::Rejected && !breaks;
                if let Some(image) = images.iter().find(bad) {
                    world.violation(format!("the message of image {image}, {:?}, is deleted", scenario.images[*image]));
                }
            }
            DeliveryState::Dead(rejection) => {
                let too_many = too_many && rejection.reason == RejectReason::TooManyAttempts;
                let unlucky = breaks && rejection.reason == RejectReason::Isolated;
                if images.iter().any(|image| expected[*image].1 == Some(rejection.reason)) {
                } else if too_many || unlucky {
                    excused.extend(&images);
                } else {
                    world.violation(format!("the message of {images:?} is dead as {rejection}"));
                }
            }
        }
    }
    let mut stored = 0;
    for (number, (state, reason)) in expected.into_iter().enumerate() {
        let kind = scenario.images[number];
        let Some(commit) = store.stored(number) else {
            // Nothing is known of what these messages name.
            if !matches!(reason, Some(RejectReason::BadMessage | RejectReason::Forgotten)) {
                world.violation(format!("image {number}, {kind:?}, is not stored"));
            }
            continue;
        };
        stored += 1;
        let image = &commit.image;
        let why = image.rejection.as_ref().map(|rejection| rejection.reason);
        let too_many = worn.contains(&number) && why == Some(RejectReason::TooManyAttempts);
        // Of two receipts one was unlucky, and wrote last.
        let unlucky = breaks && why == Some(RejectReason::Isolated);
        let unjudged = kind == ImageKind::Poor && image.state == ImageState::Indexed && reads_fail(scenario);
        if (image.state, why) != (state, reason) {
            if too_many || unlucky || unjudged {
                excused.insert(number);
            } else {
                world.violation(format!("image {number}, {kind:?}, is stored as {:?} {why:?}", image.state));
            }
        } else if image.face_count as usize != commit.faces.len() {
            world.violation(format!("image {number} has {} faces, and says {}", commit.faces.len(), image.face_count));
        } else if state == ImageState::Indexed && !excused.contains(&number) && !has_faces(&commit, number, scenario) {
            world.violation(format!("image {number}, {kind:?}, is stored with the faces of another"));
        }
    }
    if store.len() != stored {
        world.violation(format!("{} images are stored, but only {stored} were sent", store.len()));
    }
    if store.without_crop() > 0 {
        world.violation(format!("{} faces are stored without their crops", store.without_crop()));
    }
    for gallery in store.stale() {
        world.violation(format!("the groups of gallery {gallery} are not of its faces"));
    }
    if galleries.open() > 0 {
        world.violation("a gallery that was asked for was not grouped");
    }
    excused
}

/// Whether the faces stored with an image are those of its last version.
fn has_faces(commit: &Commit, number: usize, scenario: &Scenario) -> bool {
    let found = faces(number, scenario.images[number], scenario.version(number, Duration::MAX));
    commit.faces.iter().map(|face| face.bbox).eq(found.into_iter().map(|face| face.bbox))
}
