//! Runs one worker of a simulated world from its start to its end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::domain::exit::Exit;
use crate::flow::progress::Summary;
use crate::pipeline::build::Leftovers;
use crate::runtime::drain::{Drain, Mode};
use crate::sim::check;
use crate::sim::faulty_engine::{EngineCall, FaultyEngine};
use crate::sim::host::Host;
use crate::sim::queue::SimQueue;
use crate::sim::scenario::DrainNotice;
use crate::sim::script::DeviceFault;
use crate::sim::store::SimFaces;
use crate::sim::world::World;

/// No simulated worker takes longer.
const LIMIT: Duration = Duration::from_secs(4 * 3600);

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SimWorkerRole {
    /// Finds faces, and asks for the grouping of galleries.
    Detect,
    /// Groups the galleries that were asked for.
    Group,
    /// Finds and groups: a laptop.
    Both,
}

/// The world that workers share.
pub(super) struct SimSite {
    pub(super) seed: u64,
    pub(super) world: World,
    pub(super) images: SimQueue,
    pub(super) galleries: SimQueue,
    pub(super) store: SimFaces,
    lives: RefCell<WorkerCounts>,
    /// The devices of every worker that finds faces.
    pub(super) devices: RefCell<BTreeMap<usize, Vec<FaultyEngine>>>,
    /// Machines that run.
    hosts: RefCell<Vec<Host>>,
}

#[derive(Default)]
struct WorkerCounts {
    ended: Vec<(Exit, Summary)>,
    killed: usize,
    /// One did not end. It still runs: there is nothing to learn from another.
    stuck: bool,
}

/// How a worker ended.
struct WorkerExit {
    exit: Exit,
    summary: Summary,
    leftovers: Leftovers,
    /// How long each drain took that was asked for, and how long it might.
    drains: Vec<(Duration, Duration)>,
}

impl SimSite {
    pub(super) fn new(seed: u64, world: &World) -> Self {
        let store = SimFaces::new(world);
        let (images, galleries) = (SimQueue::for_images(world, &store), SimQueue::for_galleries(world));
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
    pub(super) fn devices(&self) -> Vec<Vec<EngineCall>> {
        self.devices.borrow().get(&0).into_iter().flatten().map(FaultyEngine::calls).collect()
    }

    /// What befell a worker's devices says how it may end.
    fn allow(&self, host: &Host, summary: &Summary) {
        if summary.devices_lost > 0 {
            host.allow(82, true);
        }
        let devices = self.devices.borrow();
        for fault in devices.get(&host.number).into_iter().flatten().flat_map(FaultyEngine::struck) {
            match fault {
                DeviceFault::CallLoss => host.allow(82, true),
                DeviceFault::Hang => host.allow(83, true),
                DeviceFault::Miscount => host.allow(70, true),
                DeviceFault::Dead | DeviceFault::Unloadable => host.allow(84, true),
                DeviceFault::Sticky | DeviceFault::Gone | DeviceFault::OutOfMemory => host.allow(84, false),
                DeviceFault::Slow(_) => {}
            }
        }
    }

    /// How the workers ended, and how many were taken away.
    pub(super) fn ended(self) -> (Vec<(Exit, Summary)>, usize) {
        let WorkerCounts { ended, killed, .. } = self.lives.into_inner();
        (ended, killed)
    }

    /// Worker `number`, from start to end; `None` when it was taken away, or did not end.
    pub(super) async fn life(&self, number: usize, service: SimWorkerRole) -> Option<Exit> {
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
        let WorkerExit { exit, summary, leftovers, drains } = end;
        self.world.note(|| format!("worker {number} ended: {exit}, {:?}", summary.counts));
        for (took, deadline) in drains {
            if took > deadline + host.frozen() + Duration::from_millis(10) {
                self.world.violation(format!("the drain took {took:?}, more than {deadline:?}"));
            }
        }
        self.allow(&host, &summary);
        check::worker(self, &host, service, &exit, &summary, &leftovers);
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

    /// One worker, from start to end; `None` when it does not end.
    async fn work(&self, host: &Host, service: SimWorkerRole) -> Option<WorkerExit> {
        // A worker connects to its store before it receives anything.
        if let Err(error) = self.store.at(host).hello().await {
            let exit = Exit::DependencyDown(error.to_string());
            return Some(WorkerExit {
                exit,
                summary: Summary::default(),
                leftovers: Leftovers::default(),
                drains: Vec::new(),
            });
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
        let mut notices: Vec<DrainNotice> =
            self.world.look(|s| s.notices.iter().filter(|notice| notice.worker == host.number).copied().collect());
        notices.sort_by_key(|notice| notice.at);
        let mut asked = Vec::new();
        let finished = running.finished();
        tokio::pin!(finished);
        let ended = async {
            for DrainNotice { at, mode, deadline, .. } in notices {
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
        Some(WorkerExit { exit, summary, leftovers: leftovers(), drains })
    }
}
