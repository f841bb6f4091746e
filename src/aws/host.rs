//! Notices of the machine: Spot interruption and rebalance, from instance metadata version 2 (Amazon EC2 User Guide, "Spot
//! Instance interruption notices" and "EC2 instance rebalance recommendations").

use std::time::Duration;

use aws_config::imds::Client;
use aws_config::imds::client::error::ImdsError;
use aws_config::provider_config::ProviderConfig;

/// Interval at which the metadata service is asked, as the user guide recommends.
const EVERY: Duration = Duration::from_secs(5);
/// Timeout of the service, which is on the same machine and answers at once or not at all.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// A notice about the future of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostNotice {
    /// The machine is taken away within two minutes.
    Interruption,
    /// The machine is likely to be taken away.
    Rebalance,
}

impl HostNotice {
    /// Paths of the notices; the first that exists counts.
    const PATHS: [(Self, &'static str); 2] = [
        (Self::Interruption, "/latest/meta-data/spot/instance-action"),
        (Self::Rebalance, "/latest/meta-data/events/recommendations/rebalance"),
    ];
}

/// Waits for a notice of the metadata service. Where there is no such service this never ends.
pub async fn notice() -> HostNotice {
    if std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|off| off.eq_ignore_ascii_case("true")) {
        std::future::pending::<()>().await;
    }
    let mut client = client();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for (notice, path) in HostNotice::PATHS {
            let mut answer = client.get(path).await;
            // A token that ran out before its time stays in the client's memory: the next one has another, and is asked at
            // once, since five seconds of two minutes are many.
            if answer.as_ref().is_err_and(|error| status(error) == Some(401)) {
                client = self::client();
                answer = client.get(path).await;
            }
            match answer {
                Ok(_) => return notice,
                // No notice: the usual answer.
                Err(ref error) if status(error) == Some(404) => {}
                // A service that is slow, or not there at all.
                Err(error) => tracing::debug!(%error, "host.metadata"),
            }
        }
    }
}

/// What the service answered, where it did.
fn status(error: &ImdsError) -> Option<u16> {
    match error {
        ImdsError::ErrorResponse(answer) => Some(answer.response().status().as_u16()),
        _ => None,
    }
}

/// A client with a token of its own; its endpoint may be set by `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
fn client() -> Client {
    Client::builder()
        .configure(&ProviderConfig::without_region())
        .max_attempts(1)
        .connect_timeout(METADATA_TIMEOUT)
        .read_timeout(METADATA_TIMEOUT)
        .build()
}
