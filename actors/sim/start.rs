//! Starts a worker of a simulated world, with its ports and settings.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::gallery::{GalleryId, GalleryRule};
use crate::domain::message::Intake;
use crate::errors::backoff::RetrySettings;
use crate::flow::concurrency::{Bounds, Limits};
use crate::pipeline::announcer::{Announced, Announcer};
use crate::pipeline::build::{Running, start, start_grouping};
use crate::pipeline::settings::{Probe, Settings, Timeouts};
use crate::ports::Ports;
use crate::ports::engine::Engine;
use crate::ports::faces::Faces;
use crate::runtime::blocking::Blocking;
use crate::sim::faulty_engine::FaultyEngine;
use crate::sim::host::Host;
use crate::sim::images::{IsolatedImages, SimImages};
use crate::sim::planted_bugs::{Planted, PlantedBug};
use crate::sim::store;
use crate::sim::stored::MODEL;
use crate::sim::worker::{SimSite, SimWorkerRole};

impl SimSite {
    /// Starts a worker of the simulated world.
    pub(super) fn start(&self, host: &Host, service: SimWorkerRole) -> Running {
        let scenario = self.world.scenario();
        let settings = self.settings(host, service);
        let faces = self.store.at(host);
        let planted = Planted::new(scenario.planted_bug);
        if service == SimWorkerRole::Group {
            let reconcile = Arc::new(|_: &GalleryId, snapshot| store::reconcile(snapshot));
            let galleries = planted.in_galleries(Arc::new(self.galleries.at(host)));
            let releases = planted.in_releases(self.galleries.releases());
            return start_grouping(galleries, releases, planted.in_faces(Arc::new(faces)), reconcile, settings);
        }
        let faces: Arc<dyn Faces> = match service {
            SimWorkerRole::Detect => {
                let outbox = planted.in_outbox(Arc::new(self.galleries.at(host)));
                let announcer = Announcer::new(outbox, Duration::from_secs(3), || None);
                Arc::new(Announced::new(faces, announcer))
            }
            SimWorkerRole::Group | SimWorkerRole::Both => Arc::new(faces),
        };
        let device = |device| FaultyEngine::new(Arc::new(SimImages::new(host)), scenario.script(host.number, device));
        let devices: Vec<FaultyEngine> = (0..scenario.devices).map(device).collect();
        let images = Arc::new(SimImages::new(host));
        let ports = Ports {
            queue: planted.in_images(Arc::new(self.images.at(host))),
            releases: planted.in_releases(self.images.releases()),
            objects: planted.in_objects(images.clone()),
            analyses: None,
            decoder: images.clone(),
            isolated_decoder: Arc::new(IsolatedImages((*images).clone())),
            engines: devices.iter().map(|device| Arc::new(device.clone()) as Arc<dyn Engine>).collect(),
            faces: planted.in_faces(faces),
            reconcile: match service {
                SimWorkerRole::Both => Some(Arc::new(|_: &GalleryId, snapshot| store::reconcile(snapshot))),
                SimWorkerRole::Detect | SimWorkerRole::Group => None,
            },
        };
        self.devices.borrow_mut().insert(host.number, devices);
        start(ports, settings)
    }

    /// Settings that suit a simulated world.
    fn settings(&self, host: &Host, service: SimWorkerRole) -> Settings {
        let seconds = Duration::from_secs;
        let striking = host.clone();
        let mut settings = Settings {
            model: String::from(MODEL),
            intake: Intake {
                gallery: GalleryRule::FirstFolder(GalleryId(String::from("even"))),
                results: String::from("results/"),
                thumbnails: None,
                removals: false,
            },
            limits: Limits { downloads: 4, decodes: 2 },
            bounds: Bounds { least: Limits { downloads: 1, decodes: 1 }, most: Limits { downloads: 8, decodes: 4 } },
            timeouts: Timeouts {
                queue: seconds(25),
                object: seconds(5),
                engine: seconds(30),
                rebuild: seconds(30),
                store: seconds(5),
                gallery: seconds(5),
            },
            retry: RetrySettings { max: seconds(3), ..RetrySettings::default() },
            release_delay: seconds(3),
            watchdog: seconds(100),
            finish_deadline: seconds(3600),
            progress_every: seconds(10),
            blocking: Blocking::InPlace,
            seed: self.seed.wrapping_add(host.number as u64),
            probe: Probe(Some(Arc::new(move |stage| striking.pass(stage)))),
            ..Settings::default()
        };
        settings.batch.age = Duration::from_millis(50);
        if service != SimWorkerRole::Both {
            settings.fetcher.leave_after_empty = Some(2);
        } else if host.number > 0 {
            // A run that was interrupted before it grouped leaves this to the next.
            settings.grouper.always = ["even", "odd"].map(|gallery| GalleryId(String::from(gallery))).to_vec();
        }
        settings.settles_lost_leases = self.world.look(|s| s.planted_bug) == Some(PlantedBug::StaleDelete);
        (self.world.look(|s| s.tune))(&mut settings);
        settings
    }
}
