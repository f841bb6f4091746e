//! The service is what its OpenAPI document says, whatever schemathesis makes of that.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::copy;
use crate::service::Service;
use crate::support::{photos, repository};

#[test]
fn every_answer_is_one_that_the_description_promises() {
    let library = copy();
    let service = Service::start(&library.path());
    let ids = |list: &str| service.all(list, 500).iter().map(|item| item["id"].clone()).collect::<Vec<_>>();
    let ids = json!({ "people": ids("/v1/people"), "faces": ids("/v1/faces"), "photos": ids("/v1/photos") });
    let venv = std::env::var_os("MUSTER_VENV").map_or_else(|| repository().join(".cache/venv"), PathBuf::from);
    let said = Command::new(venv.join("bin/schemathesis"))
        .current_dir(repository().join("tests/serve/schemathesis"))
        .env("MUSTER_IDS", ids.to_string())
        .env("MUSTER_PHOTOS", photos("demo").parent().unwrap())
        .args(["--config-file", "schemathesis.toml", "run"])
        .arg(format!("{}/openapi.json", service.url))
        .args(["--seed", "1", "--generation-database", "none", "--workers", "1"])
        .args(["--continue-on-failure", "--no-color", "--max-examples", "25"])
        .output()
        .unwrap_or_else(|error| panic!("{error}: `make setup` installs schemathesis"));
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success(), "{text}\n{}", String::from_utf8_lossy(&said.stderr));
    println!("{}", text.lines().rev().take(30).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n"));
    assert_eq!(service.get("/health/ready")["status"], "ok");
}
