//! One run: work is sent, workers are struck by what the plan says, then left in peace until nothing is left in the queues.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::ChaosError;
use super::load::{Load, Wanted};
use super::plan::{Blow, Dependency, Event};
use super::report::{Drains, Moment, Sample};
use super::site::{Ground, Site};
use super::workers::{Birth, Ended, Notice, Place, Role, meaning};

/// From SIGTERM to SIGKILL, as Batch has it.
const GRACE: Duration = Duration::from_secs(30);
/// After so many ends that nobody can explain there is nothing to learn from more.
const STRANGE: usize = 20;
const TICK: Duration = Duration::from_millis(50);
const SAMPLE: Duration = Duration::from_secs(1);
/// After the storm the work ends within this, or not at all.
const COMPLETION_TIMEOUT: Duration = Duration::from_secs(1_200);
/// Workers that group, beside those that detect.
pub const GROUPERS: usize = 2;
/// A broken device is mended after this: whoever comes later has another.
const MENDED: Duration = Duration::from_secs(20);

/// What a run is given.
pub struct Run<'a> {
    /// Where.
    pub site: &'a Site,
    /// What.
    pub load: &'a Load,
    /// The blows; none in calm.
    pub events: Vec<Event>,
    /// How long the messages are spread over.
    pub length: Duration,
    /// Workers that detect.
    pub workers: usize,
    /// This program.
    pub program: PathBuf,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What happened when.
    pub moments: Vec<Moment>,
    /// The queue and the workers, every second.
    pub samples: Vec<Sample>,
    /// How long drains took that ended in good order.
    pub drains: Drains,
    /// Blows that ended a worker.
    pub kills: usize,
    /// Ends that the error table does not have.
    pub strange: Vec<String>,
    /// From the first message to the last.
    pub seconds: f64,
}

struct Storm<'a> {
    run: &'a Run<'a>,
    places: Vec<Place>,
    outcome: Outcome,
    began: Instant,
    /// Devices that are mended then.
    broken: Vec<(Instant, usize)>,
}

/// Lets a wire be whole again after a while.
fn mend_later(ground: &Arc<Ground>, of: Dependency, after: Duration) {
    let ground = Arc::clone(ground);
    tokio::spawn(async move {
        sleep(after).await;
        ground.wire(of).set(true);
    });
}

impl Storm<'_> {
    fn note(&mut self, who: &str, what: impl Into<String>) {
        let moment = Moment { at: self.began.elapsed().as_secs_f64(), who: who.to_owned(), what: what.into() };
        tracing::info!(at = moment.at, who, what = moment.what, "chaos");
        self.outcome.moments.push(moment);
    }

    fn ended(&mut self, place: usize, ended: &Ended) {
        let name = self.places[place].name().to_owned();
        let means = meaning(ended);
        let lived = ended.lived.as_secs_f64();
        let drained =
            ended.drained.map_or(String::new(), |took| format!(", {:.1} s after its notice", took.as_secs_f64()));
        let what = format!("{} after {lived:.1} s{drained} ({})", means.unwrap_or("STRANGE"), ended.status);
        if means.is_none() {
            self.outcome.strange.push(format!("{name}: {what}"));
        }
        match (ended.drained, ended.killed) {
            (Some(took), false) => self.outcome.drains.clean.push(took.as_secs_f64()),
            (Some(_), true) if ended.overdue => self.outcome.drains.overdue += 1,
            (Some(_), true) => self.outcome.drains.cut += 1,
            (None, _) => {}
        }
        self.note(&name, what);
    }

    fn strike(&mut self, event: &Event) -> Result<(), ChaosError> {
        let ground = &self.run.site.ground;
        let number = event.place % self.places.len();
        let place = &mut self.places[number];
        let (full, little) =
            (Birth { full_disk: true, ..Birth::default() }, Birth { little_memory: true, ..Birth::default() });
        let struck = match event.blow {
            Blow::Kill => place.kill(Birth::default()),
            Blow::FullDisk => place.kill(full),
            Blow::LittleMemory => place.kill(little),
            Blow::Terminate => place.notice(Notice::Terminate, GRACE),
            Blow::Notice => place.notice(Notice::Interruption, GRACE),
            Blow::Rebalance => place.notice(Notice::Rebalance, GRACE),
            Blow::Stop(length) => place.stop(length),
            Blow::Engine(fault) => {
                self.broken.push((Instant::now() + MENDED, number));
                place.fault(fault)?
            }
            Blow::Cut(of, length) => {
                ground.wire(of).set(false);
                mend_later(ground, of, length);
                true
            }
            Blow::Mute(of, length) => {
                ground.wire(of).lose_answers();
                mend_later(ground, of, length);
                true
            }
            Blow::Slow(of, later, length) => {
                ground.wire(of).slow(later);
                mend_later(ground, of, length);
                true
            }
            Blow::Restart(of, after) => {
                let ground = Arc::clone(ground);
                tokio::task::spawn_blocking(move || ground.restart(of, after));
                true
            }
        };
        let who = match event.blow {
            Blow::Cut(..) | Blow::Mute(..) | Blow::Slow(..) | Blow::Restart(..) => "services".to_owned(),
            _ => self.places[number].name().to_owned(),
        };
        self.outcome.kills += usize::from(struck && event.blow.kills());
        let missed = if struck { "" } else { " (nobody there)" };
        self.note(&who, format!("{}{missed}", event.blow.text()));
        Ok(())
    }

    /// Every place, and every device that is to be mended.
    fn tick(&mut self) -> Result<(), ChaosError> {
        for number in 0..self.places.len() {
            if let Some(ended) = self.places[number].tick()? {
                self.ended(number, &ended);
            }
        }
        if let Some(end) = self.outcome.strange.get(STRANGE) {
            return Err(ChaosError::Strange { end: end.clone(), logs: self.run.site.logs.clone() });
        }
        let now = Instant::now();
        for (_, number) in self.broken.extract_if(.., |(at, _)| *at <= now) {
            self.places[number].mend();
        }
        Ok(())
    }

    /// Workers that live, messages that wait or are held.
    async fn sample(&mut self) {
        // A queue that cannot be asked just now is asked again in a second.
        let Ok(depth) = self.run.site.depth(&self.run.site.images).await else { return };
        let pids: Vec<u32> = self.places.iter().filter_map(Place::pid).collect();
        self.outcome.samples.push(Sample {
            at: self.began.elapsed().as_secs_f64(),
            waiting: depth.visible + depth.delayed,
            held: depth.in_flight,
            workers: pids.len(),
        });
    }

    /// Until nothing is left in the queues, three times in a row: a queue's counts are approximate.
    async fn settle(&mut self) -> Result<(), ChaosError> {
        let site = self.run.site;
        let (since, mut empty) = (Instant::now(), 0);
        while empty < 3 {
            let left = match (site.depth(&site.images).await, site.depth(&site.galleries).await) {
                (Ok(images), Ok(galleries)) => images.total() + galleries.total(),
                _ => 1,
            };
            empty = if left == 0 { empty + 1 } else { 0 };
            if since.elapsed() > COMPLETION_TIMEOUT {
                return Err(ChaosError::Stuck { left, seconds: COMPLETION_TIMEOUT.as_secs(), logs: site.logs.clone() });
            }
            let next = Instant::now() + SAMPLE;
            self.sample().await;
            while Instant::now() < next {
                self.tick()?;
                sleep(TICK).await;
            }
        }
        Ok(())
    }
}

/// Sends the work bit by bit, so that there is some for all of the storm.
async fn feed(site: &Site, wanted: &[Wanted], length: Duration) -> Result<(), ChaosError> {
    let began = Instant::now();
    // The queue never runs empty: a fifth at once, the rest over four fifths of the time.
    let (first, rest) = wanted.split_at(wanted.len() / 5);
    Load::send(site, first).await?;
    let parts: Vec<&[Wanted]> = rest.chunks(50).collect();
    for (number, part) in parts.iter().enumerate() {
        let due = length.mul_f64(0.8 * number as f64 / parts.len() as f64);
        sleep(due.saturating_sub(began.elapsed())).await;
        Load::send(site, part).await?;
    }
    Ok(())
}

/// Makes the run.
///
/// # Errors
/// The servers fail beyond what the storm does to them, or the work does not end.
pub async fn weather(run: &Run<'_>) -> Result<Outcome, ChaosError> {
    let mut places = Vec::new();
    for (role, count) in [(Role::Detect, run.workers), (Role::Group, GROUPERS)] {
        for number in 0..count {
            places.push(Place::open(run.site, role, number, run.program.clone()).await?);
        }
    }
    let began = Instant::now();
    let mut storm = Storm { run, places, outcome: Outcome::default(), began, broken: Vec::new() };
    let fed = feed(run.site, &run.load.wanted, run.length);
    tokio::pin!(fed);
    let (mut feeding, mut events) = (true, run.events.iter().peekable());
    let mut sampled = began;
    while feeding || events.peek().is_some() {
        tokio::select! {
            sent = &mut fed, if feeding => {
                sent?;
                feeding = false;
            }
            () = sleep(TICK) => {}
        }
        storm.tick()?;
        while let Some(event) = events.next_if(|event| event.at <= began.elapsed()) {
            storm.strike(event)?;
        }
        if sampled.elapsed() >= SAMPLE {
            sampled = Instant::now();
            storm.sample().await;
        }
    }
    storm.note("storm", "is over");
    storm.settle().await?;
    storm.outcome.seconds = began.elapsed().as_secs_f64();
    storm.places.iter_mut().for_each(|place| place.close(GRACE));
    while !storm.places.iter().all(Place::is_empty) {
        storm.tick()?;
        sleep(TICK).await;
    }
    Ok(storm.outcome)
}
