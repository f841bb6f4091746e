//! Scales the services, once or again and again.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, System};
use muster_actors::domain::exit::Exit;
use muster_actors::errors::Class;
use muster_actors::errors::class::Classified;
use muster_actors::ports::fleet::Fleet;
use muster_actors::ports::queue_metrics::QueueMetrics;
use muster_actors::scaler::submitter::{ScalerTickError, Submitter};
use muster_actors::scaler::{Scaler, Stop};
use tokio::sync::Notify;

use super::tick_reporter::TickReporter;
use crate::cli::CliError;
use crate::cli::signal::Signals;
use muster_aws::clients::Clients;
use muster_aws::ecs::EcsFleet;
use muster_aws::scaling;
use muster_config::{FleetKind, ScaledService, Settings, required};
use muster_inference::onnx::home::Home;
use muster_worker::fleet::{CommandFactory, FleetError, LocalQueueMetrics, Processes};

/// How often the scaler makes a tick, and whether it submits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TickMode {
    /// A tick at each interval until it is stopped.
    Loop,
    /// One tick.
    Once,
    /// One tick that submits nothing.
    DryRun,
}

const SERVICES: [ScaledService; 2] = [ScaledService::Detection, ScaledService::Grouping];

/// Runs the scalers of all services.
pub fn run(settings: &Settings, file: Option<&Path>, how: TickMode, json: bool) -> Result<ExitCode, CliError> {
    let signals = Signals::listen()?;
    let teller = TickReporter::new(json);
    System::new().block_on(async {
        let clients = Clients::scaling(settings).await;
        let mut scaled = Vec::new();
        for service in SERVICES {
            // An ECS cluster may have no service that groups: AWS Batch does it then.
            if settings.scale.fleet == FleetKind::Ecs
                && service == ScaledService::Grouping
                && settings.ecs.grouping.is_empty()
            {
                continue;
            }
            scaled.push(ScaledFleet::new(&clients, settings, file, service, &teller)?);
        }
        let code = match how {
            TickMode::Loop => {
                endless(&scaled, Duration::from_secs(settings.scale.tick_seconds), &teller, &signals).await
            }
            TickMode::Once | TickMode::DryRun => once(&scaled, how, &teller).await,
        };
        // The workers are stopped in any case, because no other process knows them.
        for processes in scaled.iter().filter_map(|scaled| scaled.processes.as_ref()) {
            match how {
                TickMode::Loop => processes.stop().await,
                TickMode::Once | TickMode::DryRun => tokio::select! {
                    () = processes.wait() => {}
                    () = signals.asked() => processes.stop().await,
                },
            }
        }
        code
    })
}

/// A service with its submitter.
struct ScaledFleet {
    service: ScaledService,
    submitter: Submitter,
    /// Workers on this machine.
    processes: Option<Processes>,
}

impl ScaledFleet {
    fn new(
        clients: &Clients,
        settings: &Settings,
        file: Option<&Path>,
        service: ScaledService,
        teller: &TickReporter,
    ) -> Result<Self, CliError> {
        let gauge = scaling::gauge(clients, settings, service).map_err(FleetError::from)?;
        let mut processes = None;
        let (gauge, fleet): (Arc<dyn QueueMetrics>, Arc<dyn Fleet>) = match settings.scale.fleet {
            FleetKind::Batch => {
                let fleet = scaling::batch(clients, settings, service).map_err(FleetError::from)?;
                (Arc::new(gauge), Arc::new(fleet))
            }
            FleetKind::Ecs => {
                let name = ecs_service(settings, service)?;
                (Arc::new(gauge), Arc::new(EcsFleet::new(clients, settings, name)))
            }
            FleetKind::Local => {
                let queue = service.queue(&settings.queues).map_err(FleetError::from)?;
                let make = worker(service, file)?;
                let here = Processes::new(Home::from_env()?.folder(), queue, make, teller.hear())?;
                processes = Some(here.clone());
                (Arc::new(LocalQueueMetrics { queue: gauge, processes: here.clone() }), Arc::new(here))
            }
        };
        let submitter = scaling::submitter(clients, settings, service, gauge, fleet).map_err(FleetError::from)?;
        Ok(Self { service, submitter, processes })
    }
}

fn ecs_service(settings: &Settings, service: ScaledService) -> Result<&str, FleetError> {
    let ecs = &settings.ecs;
    required(&ecs.cluster, "ecs.cluster", "MUSTER_ECS__CLUSTER")?;
    Ok(match service {
        ScaledService::Detection => required(&ecs.detection, "ecs.detection", "MUSTER_ECS__DETECTION")?,
        ScaledService::Grouping => required(&ecs.grouping, "ecs.grouping", "MUSTER_ECS__GROUPING")?,
    })
}

/// This program as a worker with the same settings.
fn worker(service: ScaledService, file: Option<&Path>) -> Result<CommandFactory, CliError> {
    let program = std::env::current_exe()?;
    let command = match service {
        ScaledService::Detection => "detect",
        ScaledService::Grouping => "group",
    };
    let file = file.map(std::path::absolute).transpose()?;
    Ok(Arc::new(move || {
        let mut worker = Command::new(&program);
        if let Some(file) = &file {
            worker.arg("--config").arg(file);
        }
        worker.args([command, "--mode", "batch", "--json"]);
        // One page for Prometheus cannot be all of theirs; their standard output is for their summary.
        worker.env("MUSTER_TELEMETRY__METRICS_LISTEN", "").env("MUSTER_TELEMETRY__EMF", "false");
        worker
    }))
}

/// One look at each queue. Where one cannot be looked at, the other still is.
async fn once(scaled: &[ScaledFleet], how: TickMode, teller: &TickReporter) -> Result<ExitCode, CliError> {
    let mut worst = Ok(ExitCode::SUCCESS);
    for ScaledFleet { service, submitter, .. } in scaled {
        let looked = match how {
            TickMode::DryRun => submitter.peek().await,
            TickMode::Once | TickMode::Loop => submitter.tick().await,
        };
        teller.look(*service, &looked, how == TickMode::DryRun);
        match looked {
            Ok(look) if look.failed.is_empty() => {}
            Ok(_) => worst = worst.and(Ok(ExitCode::from(75))),
            // Whoever is at it does the same.
            Err(ScalerTickError::Busy { .. }) => {}
            Err(error) => worst = Err(FleetError::from(error).into()),
        }
    }
    worst
}

/// Looks until somebody wants an end, or a person must mend something.
async fn endless(
    scaled: &[ScaledFleet],
    every: Duration,
    teller: &TickReporter,
    signals: &Signals,
) -> Result<ExitCode, CliError> {
    let broken = Arc::new((Notify::new(), parking_lot::Mutex::new(None)));
    let scalers: Vec<_> = scaled
        .iter()
        .map(|ScaledFleet { service, submitter, .. }| {
            let (service, teller, broken) = (*service, teller.clone(), Arc::clone(&broken));
            let tell = Arc::new(move |looked: &Result<_, ScalerTickError>| {
                teller.look(service, looked, false);
                if let Err(error) = looked
                    && matches!(error.class(), Class::Misconfigured(_))
                {
                    *broken.1.lock() = Some(error.clone());
                    broken.0.notify_one();
                }
            });
            Scaler::new(submitter.clone(), every, tell).start()
        })
        .collect();
    let died = async {
        while scalers.iter().all(actix::Addr::connected) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let mut code = ExitCode::SUCCESS;
    tokio::select! {
        () = signals.asked() => {}
        () = broken.0.notified() => {}
        // A queue that nobody scales any more must not go unnoticed.
        () = died => code = ExitCode::from(Exit::Bug(String::new()).code()),
    }
    for scaler in &scalers {
        let _ = scaler.send(Stop).await;
    }
    while scalers.iter().any(actix::Addr::connected) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let broken = broken.1.lock().take();
    match broken {
        Some(error) => Err(FleetError::from(error).into()),
        None => Ok(code),
    }
}
