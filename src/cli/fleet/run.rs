//! Runs one worker from its start to its exit code. Every request to end becomes a drain.

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix::System;
use muster_actors::domain::cost::{Prices, Requests, Usage};
use muster_actors::domain::exit::Exit;
use muster_actors::flow::progress::Summary;
use muster_actors::runtime::drain::Drain;
use serde::Serialize;

use crate::cli::models::lanes;
use crate::cli::print::print;
use crate::cli::signal::Signals;
use crate::cli::{CliError, Logging};
use muster_aws::host::{self, HostNotice};
use muster_aws::request_counts::RequestCounts;
use muster_config::{Settings, WorkerRole};
use muster_inference::gpu::health::{CardMonitor, CardStatus};
use muster_inference::onnx::home::Home;
use muster_inference::onnx::lanes::Lanes;
use muster_inference::onnx::manifest::Manifest;
use muster_inference::onnx::pack::Pack;
use muster_inference::onnx::tally::Tally;
use muster_stores::redis::{Cache, Counts};
use muster_telemetry::{CacheCounts, CardReading, ModelRuns, ProcessMetrics, Telemetry};
use muster_worker::fleet::{DepthMonitor, Worker};

/// Spans and metrics may take so long at the end: a part of what a drain leaves before SIGKILL.
const FLUSH: Duration = Duration::from_secs(3);
/// Threads for sockets and TLS beside the actors' own.
const THREADS: usize = 2;

/// Runs a worker.
pub fn run(mut settings: Settings, role: WorkerRole, logging: Logging, json: bool) -> Result<ExitCode, CliError> {
    // Before anything that takes time: a worker that is told to end while it loads its models ends in good order.
    let signals = Signals::listen()?;
    let telemetry = Telemetry::start(&settings, role.as_str())?;
    logging.of_a_fleet().start_traced(&telemetry);
    let home = Home::from_env()?;
    super::bring(&mut settings, &home)?;
    let pack = Pack::open(&settings.models.pack, &home)?;
    pack.verify()?;
    let lanes = match role {
        WorkerRole::Detection | WorkerRole::Recognition => {
            let most = settings.fleet.face_workers;
            Some(lanes(&mut settings, &pack, &home, most)?)
        }
        WorkerRole::Grouping => None,
    };
    let limit = settings.fleet.time_limit_minutes;
    let deadline = Duration::from_secs(settings.pipeline.drain_seconds);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(THREADS).enable_all().build()
    };
    // A runtime that cannot be made leaves actix's own, on one thread.
    let system = match runtime() {
        Ok(runtime) => System::with_tokio_rt(move || runtime),
        Err(_) => System::new(),
    };
    let report = system.block_on(async move {
        let models = lanes.as_ref().map(|lanes| (files(&pack), lanes.tally()));
        let prices = settings.cost.spot();
        let worker = Box::pin(Worker::connect(settings, pack)).await?;
        let meter = RequestMeter { counted: worker.counted(), prices };
        let running = match &lanes {
            Some(lanes) if role == WorkerRole::Recognition => worker.respond(lanes)?,
            Some(lanes) => worker.detect(lanes)?,
            None => worker.group()?,
        };
        let drain = running.drainer();
        let place = lanes.as_ref().map_or("cpu", Lanes::place);
        let fault = running.faults();
        let cards = lanes.as_ref().map_or(&[][..], Lanes::cards);
        let health = CardMonitor::watch(cards, move |reason| fault(Exit::HostFault(reason))).map(Arc::new);
        let watched = RunMonitor {
            role,
            place,
            health: health.clone(),
            cache: worker.cache(),
            depth: worker.depth(role),
            models,
            meter,
        };
        telemetry.watch(running.progress(), move || watched.process_metrics())?;
        let interrupted = async {
            match role {
                WorkerRole::Detection => worker.interrupted().await,
                WorkerRole::Grouping | WorkerRole::Recognition => {}
            }
        };
        let (exit, summary) = tokio::select! {
            end = running.finished() => end,
            never = endings(&signals, limit, deadline, drain, interrupted) => match never {},
        };
        if !telemetry.flush(FLUSH) {
            tracing::warn!(
                seconds = FLUSH.as_secs(),
                "telemetry.flush: not all of the last spans and metrics were taken in time; the collector lacks them"
            );
        }
        // Until here, whether anybody wants metrics or not.
        drop(health);
        worker.close().await;
        let cache = worker.cache().map(|cache| cache.counts());
        Ok::<_, CliError>(RunReport {
            cost: spent(&summary, worker.counted().requests(), &prices),
            exit,
            summary,
            cache,
        })
    })?;
    // A log without room changes nothing about how the work ended.
    if let Err(error) = tell(&report, json) {
        tracing::error!(%error, "worker.report");
    }
    Ok(ExitCode::from(report.exit.code()))
}

/// Returns the role of each file of a pack.
fn files(pack: &Pack) -> ModelFiles {
    let Manifest { detector, embedder, .. } = pack.manifest();
    [("detector", detector.file.clone()), ("embedder", embedder.file.clone())]
}

type ModelFiles = [(&'static str, String); 2];

/// Collects the metrics of a run that the pipeline does not count.
struct RunMonitor {
    role: WorkerRole,
    cache: Option<Cache>,
    depth: DepthMonitor,
    /// Where models run.
    place: &'static str,
    /// Monitors the cards, where there are some.
    health: Option<Arc<CardMonitor>>,
    /// The models, and their runs.
    models: Option<(ModelFiles, Tally)>,
    meter: RequestMeter,
}

/// Counts requests to paid services, with their prices.
struct RequestMeter {
    counted: RequestCounts,
    prices: Prices,
}

/// The cost of a worker's run.
#[derive(Serialize)]
struct RunCost {
    #[serde(flatten)]
    usage: Usage,
    dollars: f64,
    dollars_per_million: Option<f64>,
}

fn spent(summary: &Summary, requests: Requests, prices: &Prices) -> RunCost {
    let usage = summary.usage(requests);
    let bill = usage.at(prices);
    RunCost { dollars: bill.total(), dollars_per_million: bill.per_million(usage.images), usage }
}

impl RunMonitor {
    fn process_metrics(&self) -> ProcessMetrics {
        let cache = self.cache.as_ref().map(|cache| {
            let Counts { hits, misses, errors, bytes } = cache.counts();
            CacheCounts { hits, misses, bytes, errors }
        });
        let models = self.models.iter().flat_map(|(files, tally)| {
            files.iter().map(|(model, file)| {
                let (runs, seconds) = tally.of(file);
                ModelRuns { model, runs, seconds }
            })
        });
        let service = self.role.as_str().to_owned();
        let RequestMeter { counted, prices } = &self.meter;
        let meter = Some((counted.requests(), *prices));
        let cards = self.health.as_ref().map_or_else(Vec::new, |health| health.vitals());
        let cards = cards.into_iter().map(reading).collect();
        ProcessMetrics {
            cards,
            cache,
            device: self.place,
            service,
            queue_depth: self.depth.last(),
            models: models.collect(),
            meter,
            ..ProcessMetrics::default()
        }
    }
}

/// A look at a card as telemetry tells it.
fn reading(vitals: CardStatus) -> CardReading {
    let CardStatus { uuid, busy, used, total: _, temperature, power, energy, throttled } = vitals;
    CardReading { uuid, busy, used, temperature, power, energy, throttled }
}

/// Asks for a drain when anybody wants the worker to end. Never returns: the worker does.
async fn endings(
    signals: &Signals,
    limit_minutes: u64,
    deadline: Duration,
    drain: impl Fn(Drain),
    interrupted: impl Future<Output = ()>,
) -> Infallible {
    let limit = async {
        match limit_minutes {
            0 => std::future::pending().await,
            minutes => tokio::time::sleep(Duration::from_secs(minutes * 60)).await,
        }
    };
    tokio::select! {
        () = signals.asked() => {
            tracing::info!("host.terminate");
            drain(Drain::hand_back(deadline));
        }
        notice = host::notice() => {
            match notice {
                HostNotice::Interruption => {
                    tracing::warn!("host.interruption");
                    drain(Drain::hand_back(deadline));
                    interrupted.await;
                }
                HostNotice::Rebalance => {
                    tracing::warn!("host.rebalance");
                    drain(Drain::hand_back(deadline));
                }
            }
        }
        () = limit => {
            tracing::info!("host.time_limit");
            // What is on its way is finished; a signal meanwhile is tighter.
            drain(Drain::finish(Duration::from_secs(600)));
            signals.asked().await;
            drain(Drain::hand_back(deadline));
        }
    }
    std::future::pending().await
}

/// The report of a worker's run.
#[derive(Serialize)]
struct RunReport {
    #[serde(flatten)]
    exit: Exit,
    #[serde(flatten)]
    summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<Counts>,
    cost: RunCost,
}

fn tell(report: &RunReport, json: bool) -> Result<(), CliError> {
    let RunReport { exit, summary, cache, cost } = report;
    print(|out| {
        if json {
            return Ok(writeln!(out, "{}", serde_json::to_string(report)?)?);
        }
        let counts = summary.counts;
        writeln!(
            out,
            "fetched {}: indexed {}, no faces {}, low quality {}, grouped {}, rejected {}, released {}, lease lost {}",
            summary.fetched,
            counts.indexed,
            counts.no_faces,
            counts.low_quality,
            counts.grouped,
            counts.rejected,
            counts.released,
            counts.lease_lost
        )?;
        if let Some(Counts { hits, misses, errors, .. }) = cache {
            writeln!(out, "cache: {hits} hits, {misses} misses, {errors} errors")?;
        }
        if let Some(million) = cost.dollars_per_million {
            writeln!(out, "{:.4} dollars, {million:.2} for a million images (prices: [cost])", cost.dollars)?;
        }
        Ok(writeln!(out, "faces {}, {:.1} s, {exit}", summary.faces, summary.seconds)?)
    })?;
    match exit {
        Exit::Drained => tracing::info!(%exit, "worker.exit"),
        Exit::HandedBack => tracing::warn!(%exit, "worker.exit"),
        _ => tracing::error!(%exit, "worker.exit"),
    }
    Ok(())
}
