//! Waits for notices about the machine: Spot interruption and rebalance, from instance metadata version 2 (Amazon EC2
//! User Guide, "Spot Instance interruption notices" and "EC2 instance rebalance recommendations").

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

/// Waits for a notice of the metadata service. If there is no such service this never ends.
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
            // A token that expired early stays in the client's memory. The next client has a new token and asks at
            // once, because five seconds matter when two minutes are left.
            if answer.as_ref().is_err_and(|error| status(error) == Some(401)) {
                client = self::client();
                answer = client.get(path).await;
            }
            match answer {
                Ok(_) => return notice,
                // The usual answer is that there is no notice.
                Err(ref error) if status(error) == Some(404) => {}
                // The service is slow, or does not exist.
                Err(error) => tracing::debug!(%error, "host.metadata"),
            }
        }
    }
}

/// Returns the status of the service's answer, if it answered.
fn status(error: &ImdsError) -> Option<u16> {
    match error {
        ImdsError::ErrorResponse(answer) => Some(answer.response().status().as_u16()),
        _ => None,
    }
}

/// Creates a client with a token of its own. `AWS_EC2_METADATA_SERVICE_ENDPOINT` may set its endpoint.
fn client() -> Client {
    Client::builder()
        .configure(&ProviderConfig::without_region())
        .max_attempts(1)
        .connect_timeout(METADATA_TIMEOUT)
        .read_timeout(METADATA_TIMEOUT)
        .build()
}
