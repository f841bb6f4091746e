//! A `muster serve` of the test's own, and how it is asked.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::blocking::multipart::{Form, Part};
use reqwest::blocking::{Client, RequestBuilder, Response};
use serde_json::Value;

use crate::support::muster;

/// Seconds that a service takes for an answer at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// A service that ends with its test.
pub struct Service {
    child: Child,
    pub url: String,
    pub client: Client,
}

impl Service {
    /// Over a library.
    pub fn start(library: &Path) -> Self {
        Self::with(library, &[])
    }

    /// With settings of its own.
    pub fn with(library: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = muster();
        command.args(["serve", "--listen", "127.0.0.1:0", "--library"]).arg(library);
        command.envs(settings.iter().copied());
        Self::spawn(command)
    }

    /// By this command.
    pub fn spawn(mut command: Command) -> Self {
        // A busy machine is slow, and only tests about time limits are about them.
        if !command.get_envs().any(|(name, _)| name == "MUSTER_SERVE__SECONDS") {
            command.env("MUSTER_SERVE__SECONDS", ANSWER_TIMEOUT.as_secs().to_string());
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "it says where it listens, not {line:?}");
        let client = Client::builder().timeout(ANSWER_TIMEOUT * 2).build().unwrap();
        Self { child, url, client }
    }

    pub fn get(&self, path: &str) -> Value {
        ok(self.client.get(format!("{}{path}", self.url)).send().unwrap())
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        ok(self.client.post(format!("{}{path}", self.url)).json(body).send().unwrap())
    }

    /// All items of a list, page by page.
    pub fn all(&self, path: &str, limit: usize) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let more = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{more}limit={limit}{cursor}"));
            items.extend(page["items"].as_array().unwrap().clone());
            assert!(page["items"].as_array().unwrap().len() <= limit);
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => {
                    assert_eq!(page["total"], items.len());
                    return items;
                }
            }
        }
    }

    pub fn asking(&self, photo: Vec<u8>) -> RequestBuilder {
        self.client.post(format!("{}/v1/recognize", self.url)).header("content-type", "image/jpeg").body(photo)
    }

    pub fn recognize(&self, photo: &Path) -> Value {
        ok(self.asking(std::fs::read(photo).unwrap()).send().unwrap())
    }

    pub fn enrol(&self, name: &str, photos: &[&Path]) -> Response {
        let form = photos.iter().fold(Form::new().text("name", name.to_owned()), |form, photo| {
            form.part("photo", Part::bytes(std::fs::read(photo).unwrap()).file_name("photo.png"))
        });
        self.client.post(format!("{}/v1/people", self.url)).multipart(form).send().unwrap()
    }

    /// Asks it to stop, and waits for its end.
    pub fn stop(mut self) -> i32 {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(told.unwrap().success());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Megabytes that are resident.
    pub fn megabytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Ended already where the test stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of an answer that says yes.
pub fn ok(response: Response) -> Value {
    let status = response.status();
    let text = response.text().unwrap();
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// Status and code of one that says no.
pub fn refused(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    assert_eq!(kind.as_deref(), Some("application/problem+json"), "{status}");
    let problem: Value = response.json().unwrap();
    assert_eq!(problem["status"], status);
    assert!(!problem["detail"].as_str().unwrap().is_empty());
    (status, problem["code"].as_str().unwrap().to_owned())
}
