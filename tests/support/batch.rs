//! AWS Batch as a server, with its rules (`muster_actors::sim::batch`): emulators take what it refuses, and forget arrays.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use muster_actors::sim::batch::{Job, Jobs, Status};
use muster_actors::sim::call_loss::LostPart;
use serde_json::{Value, json};

/// The account's job queues.
pub const QUEUES: [&str; 3] = ["primary", "secondary", "on-demand"];

/// A server; it ends with its test's runtime.
#[derive(Clone)]
pub struct Batch {
    jobs: Arc<Mutex<Jobs>>,
    calls: Arc<AtomicUsize>,
    lost: Arc<Mutex<Option<(usize, LostPart)>>>,
    submitted: Arc<Mutex<Vec<(String, u64)>>>,
    /// When all jobs were made, in milliseconds since 1970.
    made: i64,
    /// The server that answers in place of the rules.
    behind: Option<String>,
    url: String,
}

impl Batch {
    pub async fn start() -> Self {
        Self::serve(None).await
    }

    /// In front of another server.
    pub async fn before(url: &str) -> Self {
        Self::serve(Some(url.to_owned())).await
    }

    async fn serve(behind: Option<String>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let batch = Self {
            jobs: Arc::new(Mutex::new(Jobs::new(&QUEUES))),
            calls: Arc::default(),
            lost: Arc::default(),
            submitted: Arc::default(),
            made: std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64,
            behind,
            url: format!("http://{}", listener.local_addr().unwrap()),
        };
        let router = Router::new().route("/v1/{verb}", axum::routing::post(answer)).with_state(batch.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        batch
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap()
    }

    /// How many calls there were; counts anew.
    pub fn take_calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }

    /// Workers that were asked for by queue, one entry a job; counts anew.
    pub fn take_submitted(&self) -> Vec<(String, u64)> {
        std::mem::take(&mut *self.submitted.lock().unwrap())
    }

    /// The call `nth` from now, or its answer, gets lost.
    pub fn lose(&self, nth: usize, what: LostPart) {
        self.calls.store(0, Ordering::SeqCst);
        *self.lost.lock().unwrap() = Some((nth, what));
    }
}

async fn answer(
    State(batch): State<Batch>,
    Path(verb): Path<String>,
    headers: axum::http::HeaderMap,
    body: axum::body::Bytes,
) -> Response {
    let nth = batch.calls.fetch_add(1, Ordering::SeqCst);
    let lost = batch.lost.lock().unwrap().and_then(|(which, what)| (which == nth).then_some(what));
    let gone = || (StatusCode::INTERNAL_SERVER_ERROR, "{}").into_response();
    if lost == Some(LostPart::Call) {
        return gone();
    }
    let asked: Value = serde_json::from_slice(&body).unwrap();
    if verb == "submitjob" {
        let size = asked.get("arrayProperties").map_or(1, |array| array["size"].as_u64().unwrap());
        batch.submitted.lock().unwrap().push((asked["jobQueue"].as_str().unwrap().to_owned(), size));
    }
    if let Some(server) = &batch.behind {
        let sent = reqwest::Client::new().post(format!("{server}/v1/{verb}")).headers(headers).body(body).send();
        let answer = sent.await.unwrap();
        let (status, bytes) = (answer.status().as_u16(), answer.bytes().await.unwrap());
        return match lost {
            Some(_) => gone(),
            None => (StatusCode::from_u16(status).unwrap(), bytes).into_response(),
        };
    }
    let done = {
        let mut jobs = batch.jobs();
        match verb.as_str() {
            "submitjob" => submit(&mut jobs, &asked),
            "listjobs" => list(&mut jobs, &asked, batch.made),
            "describejobs" => describe(&jobs, &asked, batch.made),
            other => Err(format!("{other} is not known here")),
        }
    };
    match done {
        _ if lost == Some(LostPart::Answer) => gone(),
        Ok(answer) => axum::Json(answer).into_response(),
        Err(message) => {
            let head = [("x-amzn-errortype", "ClientException")];
            (StatusCode::BAD_REQUEST, head, json!({ "message": message }).to_string()).into_response()
        }
    }
}

fn submit(jobs: &mut Jobs, asked: &Value) -> Result<Value, String> {
    let text = |key: &str| asked[key].as_str().unwrap_or_default();
    if text("jobDefinition") != "detection:1" {
        return Err(format!("JobDefinition {} not found", text("jobDefinition")));
    }
    let array = asked.get("arrayProperties").map(|array| array["size"].as_i64().unwrap_or(0));
    let id = jobs.submit(text("jobName"), text("jobQueue"), array)?;
    Ok(json!({ "jobId": id, "jobName": text("jobName"), "jobArn": format!("arn:aws:batch:::job/{id}") }))
}

fn status(text: &str) -> Option<Status> {
    Status::ALL.into_iter().find(|status| status.as_str() == text)
}

fn list(jobs: &mut Jobs, asked: &Value, made: i64) -> Result<Value, String> {
    let status = asked["jobStatus"].as_str().and_then(status);
    let mut all: Vec<Value> = match (asked["jobQueue"].as_str(), asked["arrayJobId"].as_str()) {
        (Some(queue), None) => {
            // With a filter the status is passed over.
            let all = match asked["filters"].as_array().map(|filters| (&filters[0]["name"], &filters[0]["values"][0])) {
                Some((name, after)) if name == "AFTER_CREATED_AT" => {
                    let after: i64 = after.as_str().and_then(|after| after.parse().ok()).ok_or("no time")?;
                    if after < made { Some("*") } else { Some("none of them") }
                }
                Some((name, _)) => return Err(format!("{name} is no filter that is known here")),
                None => None,
            };
            jobs.list(queue, status, all)?.into_iter().map(|job| summary(job, made)).collect()
        }
        (None, Some(parent)) => children(jobs, parent, status.unwrap_or(Status::Running), made),
        _ => return Err("name a job queue or an array job, and one alone".to_owned()),
    };
    // The newest first.
    all.reverse();
    let (from, most) = (
        asked["nextToken"].as_str().map_or(0, |token| token.parse().unwrap()),
        asked["maxResults"].as_u64().unwrap_or(100) as usize,
    );
    let rest = all.len().saturating_sub(from + most);
    let page: Vec<Value> = all.into_iter().skip(from).take(most).collect();
    let token = (rest > 0).then(|| (from + most).to_string());
    Ok(json!({ "jobSummaryList": page, "nextToken": token }))
}

fn summary(job: &Job, made: i64) -> Value {
    let mut said = json!({ "jobId": job.id, "jobName": job.name, "status": job.status().as_str(), "createdAt": made });
    if job.array {
        said["arrayProperties"] = json!({ "size": job.workers.len() });
    } else if !job.reason.is_empty() {
        said["statusReason"] = json!(job.reason);
    }
    said
}

/// A reason stands at the children, not at the parent.
fn children(jobs: &Jobs, parent: &str, status: Status, made: i64) -> Vec<Value> {
    let parents = jobs.all().iter().filter(|job| job.id == parent);
    parents
        .flat_map(|job| job.workers.iter().enumerate().map(move |(index, worker)| (job, index, *worker)))
        .filter(|(.., worker)| *worker == status)
        .map(|(job, index, worker)| {
            json!({
                "jobId": format!("{parent}:{index}"), "jobName": job.name, "status": worker.as_str(),
                "createdAt": made, "arrayProperties": { "index": index }, "statusReason": job.reason,
            })
        })
        .collect()
}

fn describe(jobs: &Jobs, asked: &Value, made: i64) -> Result<Value, String> {
    let ids: Vec<String> =
        asked["jobs"].as_array().into_iter().flatten().filter_map(|id| Some(id.as_str()?.to_owned())).collect();
    let described = jobs.describe(&ids)?.into_iter().map(|job| {
        let mut said = summary(job, made);
        if job.array {
            said["arrayProperties"]["statusSummary"] = json!(job.summary());
        }
        said
    });
    Ok(json!({ "jobs": described.collect::<Vec<_>>() }))
}
