//! The submitter as a Lambda function: each invocation is one look at each queue, and what follows (docs/lambda.md).

mod submitters;

use std::process::ExitCode;

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

use submitters::Submitters;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let lines = tracing_subscriber::fmt().json().with_max_level(tracing::Level::INFO);
    lines.with_current_span(false).with_span_list(false).init();
    // Clients are made once, in the cold start. What is wrong with the settings is told by each invocation.
    let looks = &Submitters::new().await;
    let handler = service_fn(async |event: LambdaEvent<Value>| {
        tracing::info!(request = event.context.request_id, "submitter.invoked");
        match looks {
            Ok(looks) => looks.once().await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "submitter.stopped");
            ExitCode::FAILURE
        }
    }
}
