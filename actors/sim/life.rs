//! One worker of a simulated world, from its start to its end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::domain::exit::Exit;
use crate::domain::gallery::{GalleryId, GalleryRule};
use crate::domain::message::Intake;
use crate::errors::backoff::RetrySettings;
use crate::flow::concurrency::{Bounds, Limits};
use crate::flow::progress::Summary;
use crate::pipeline::announcer::{Announced, Announcer};
use crate::pipeline::build::{Running, start, start_grouping};
use crate::pipeline::settings::{Probe, Settings, Timeouts};
use crate::ports::Ports;
use crate::ports::engine::Engine;
use crate::ports::faces::Faces;
use crate::ports::queue::Queue;
use crate::runtime::blocking::Blocking;
use crate::runtime::drain::{Drain, Mode};
use crate::sim::check;
use crate::sim::faulty::{Call, Faulty};
use crate::sim::host::Host;
use crate::sim::images::{Apart, SimImages};
use crate::sim::plant::Plant;
use crate::sim::queue::SimQueue;
use crate::sim::scenario::Notice;
use crate::sim::script::Fault;
use crate::sim::store::{self, SimFaces};
use crate::sim::world::World;

/// No simulated worker takes longer.
const LIMIT: Duration = Duration::from_secs(4 * 3600);

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// Finds faces, and asks for the grouping of galleries.
    Detect,
    /// Groups the galleries that were asked for.
    Group,
    /// Finds and groups: a laptop.
    Both,
}

/// The world that workers share.
pub(super) struct Site {
    pub(super) seed: u64,
    pub(super) world: World,
    pub(super) images: SimQueue,
    pub(super) galleries: SimQueue,
    pub(super) store: SimFaces,
    lives: RefCell<Lives>,
    /// The devices of every worker that finds faces.
    devices: RefCell<BTreeMap<usize, Vec<Faulty>>>,
    /// Machines that run.
    hosts: RefCell<Vec<Host>>,
}

#[derive(Default)]
struct Lives {
    ended: Vec<(Exit, Summary)>,
    killed: usize,
    /// One did not end. It still runs: there is nothing to learn from another.
    stuck: bool,
}

/// How a worker ended.
struct End {
    exit: Exit,
    summary: Summary,
    /// Credits that did not come back and leases that were not settled.
    leftovers: (usize, usize),
    /// How long each drain took that was asked for, and how long it might.
    drains: Vec<(Duration, Duration)>,
}

impl Site {
    pub(super) fn new(seed: u64, world: &World) -> Self {
        let store = SimFaces::default();
        let (images, galleries) = (SimQueue::images(world, &store), SimQueue::galleries(world));
        Self {
            seed,
            world: world.clone(),
            images,
            galleries,
            store,
            lives: RefCell::default(),
            devices: RefCell::default(),
            hosts: RefCell::default(),
        }
    }

    pub(super) fn stuck(&self) -> bool {
        self.lives.borrow().stuck
    }

    /// What the devices of the first worker were asked for.
    pub(super) fn devices(&self) -> Vec<Vec<Call>> {
        self.devices.borrow().get(&0).into_iter().flatten().map(Faulty::calls).collect()
    }

    /// What befell a worker's devices says how it may end.
    fn allow(&self, host: &Host, summary: &Summary) {
        if summary.devices_lost > 0 {
            host.allow(82, true);
        }
        let devices = self.devices.borrow();
        for fault in devices.get(&host.number).into_iter().flatten().flat_map(Faulty::struck) {
            match fault {
                Fault::Lost => host.allow(82, true),
                Fault::Hang => host.allow(83, true),
                Fault::Miscount => host.allow(70, true),
                Fault::Dead | Fault::Unloadable => host.allow(84, true),
                Fault::Sticky | Fault::Gone | Fault::OutOfMemory => host.allow(84, false),
                Fault::Slow(_) => {}
            }
        }
    }

    /// How the workers ended, and how many were taken away.
    pub(super) fn ended(self) -> (Vec<(Exit, Summary)>, usize) {
        let Lives { ended, killed, .. } = self.lives.into_inner();
        (ended, killed)
    }

    /// Worker `number`, from start to end; `None` when it was taken away, or did not end.
    pub(super) async fn life(&self, number: usize, service: Service) -> Option<Exit> {
        self.world.note(|| format!("worker {number} begins: {service:?}"));
        let host = Host::new(&self.world, number);
        self.hosts.borrow_mut().push(host.clone());
        let ended = host.run(self.work(&host, service)).await;
        self.hosts.borrow_mut().retain(|other| other.number != number);
        let Some(end) = ended else {
            self.lives.borrow_mut().killed += 1;
            return None;
        };
        let Some(end) = end else {
            self.lives.borrow_mut().stuck = true;
            return None;
        };
        let End { exit, summary, leftovers, drains } = end;
        self.world.note(|| format!("worker {number} ended: {exit}, {:?}", summary.counts));
        for (took, deadline) in drains {
            if took > deadline + host.frozen() + Duration::from_millis(10) {
                self.world.violation(format!("the drain took {took:?}, more than {deadline:?}"));
            }
        }
        self.allow(&host, &summary);
        check::worker(self, &host, service, &exit, &summary, leftovers);
        self.lives.borrow_mut().ended.push((exit.clone(), summary));
        Some(exit)
    }

    /// Takes one of the machines away that run.
    pub(super) fn kill_one(&self) {
        let hosts = self.hosts.borrow();
        if let Some(host) = hosts.get(self.world.below(hosts.len())) {
            host.die("its machine is taken away");
        }
    }

    fn start(&self, host: &Host, service: Service) -> Running {
        let scenario = self.world.scenario();
        let settings = self.settings(host, service);
        let faces = self.store.at(host);
        let queue = |queue: Arc<dyn Queue>| match scenario.plant {
            Some(plant) => plant.in_queue(queue),
            None => queue,
        };
        if service == Service::Group {
            let reconcile = Arc::new(|_: &GalleryId, snapshot| store::reconcile(snapshot));
            return start_grouping(queue(Arc::new(self.galleries.at(host))), Arc::new(faces), reconcile, settings);
        }
        let faces: Arc<dyn Faces> = match service {
            Service::Detect => {
                let announcer = Announcer::new(Arc::new(self.galleries.at(host)), Duration::from_secs(3), || None);
                Arc::new(Announced::new(faces, announcer))
            }
            Service::Group | Service::Both => Arc::new(faces),
        };
        let device = |device| Faulty::new(Arc::new(SimImages::new(host)), scenario.script(host.number, device));
        let devices: Vec<Faulty> = (0..scenario.devices).map(device).collect();
        let images = Arc::new(SimImages::new(host));
        let ports = Ports {
            queue: queue(Arc::new(self.images.at(host))),
            objects: images.clone(),
            analyses: None,
            decoder: images.clone(),
            apart: Arc::new(Apart((*images).clone())),
            engines: devices.iter().map(|device| Arc::new(device.clone()) as Arc<dyn Engine>).collect(),
            faces: match scenario.plant {
                Some(plant) => plant.in_faces(faces),
                None => faces,
            },
            reconcile: match service {
                Service::Both => Some(Arc::new(|_: &GalleryId, snapshot| store::reconcile(snapshot))),
                Service::Detect | Service::Group => None,
            },
        };
        self.devices.borrow_mut().insert(host.number, devices);
        start(ports, settings)
    }

    /// One worker, from start to end; `None` when it does not end.
    async fn work(&self, host: &Host, service: Service) -> Option<End> {
        // A worker connects to its store before it receives anything.
        if let Err(error) = self.store.at(host).hello().await {
            let exit = Exit::DependencyDown(error.to_string());
            return Some(End { exit, summary: Summary::default(), leftovers: (0, 0), drains: Vec::new() });
        }
        let running = self.start(host, service);
        let (leftovers, progress, drainer) = (running.leftovers(), running.progress(), running.drainer());
        let began = Instant::now();
        if let Some(at) = self.world.look(|s| s.reported).filter(|_| host.number == 0) {
            let (host, fault) = (host.clone(), running.faults());
            tokio::task::spawn_local(async move {
                sleep(at).await;
                // It may have ended at this very moment.
                host.allow(82, false);
                fault(Exit::HostFault(String::from("what watches the devices says so")));
            });
        }
        let mut notices: Vec<Notice> =
            self.world.look(|s| s.notices.iter().filter(|notice| notice.worker == host.number).copied().collect());
        notices.sort_by_key(|notice| notice.at);
        let mut asked = Vec::new();
        let finished = running.finished();
        tokio::pin!(finished);
        let ended = async {
            for Notice { at, mode, deadline, .. } in notices {
                tokio::select! {
                    biased;
                    early = &mut finished => return Some(early),
                    () = sleep_until(began + at) => {}
                }
                self.world.note(|| format!("worker {}: drain {mode:?} within {deadline:?}", host.number));
                host.allow(80, mode == Mode::HandBack);
                self.world.set_sound(host.number, false);
                host.leave();
                asked.push((Instant::now(), deadline));
                drainer(Drain { mode, deadline });
            }
            timeout(LIMIT, &mut finished).await.ok()
        };
        let Some((exit, summary)) = ended.await else {
            let seen = progress.borrow().clone();
            let left = leftovers();
            self.world.violation(format!("worker {} did not end: {left:?} {:?}", host.number, seen.stages));
            return None;
        };
        let drains = asked.into_iter().map(|(since, deadline)| (since.elapsed(), deadline)).collect();
        // What dies with the actors is dropped a turn later.
        sleep(Duration::from_millis(1)).await;
        Some(End { exit, summary, leftovers: leftovers(), drains })
    }

    /// Settings that suit a simulated world.
    fn settings(&self, host: &Host, service: Service) -> Settings {
        let seconds = Duration::from_secs;
        let striking = host.clone();
        let mut settings = Settings {
            model: String::from("sim-1"),
            intake: Intake {
                gallery: GalleryRule::Always(GalleryId(String::from("even"))),
                results: String::new(),
                thumbnails: None,
            },
            limits: Limits { downloads: 4, decodes: 2 },
            bounds: Bounds { least: Limits { downloads: 1, decodes: 1 }, most: Limits { downloads: 8, decodes: 4 } },
            timeouts: Timeouts {
                queue: seconds(25),
                object: seconds(5),
                engine: seconds(30),
                rebuild: seconds(30),
                store: seconds(5),
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
        if service != Service::Both {
            settings.fetcher.leave_after_empty = Some(2);
        } else if host.number > 0 {
            // A run that was interrupted before it grouped leaves this to the next.
            settings.grouper.always = ["even", "odd"].map(|gallery| GalleryId(String::from(gallery))).to_vec();
        }
        settings.settles_lost_leases = self.world.look(|s| s.plant) == Some(Plant::StaleDelete);
        (self.world.look(|s| s.tune))(&mut settings);
        settings
    }
}
