//! The messages between the web tier and its workers: a request, and a reply that says where the answer is. Pure functions.
//!
//! The keys of a photo and its answer follow from the request's id. A reply carries that id only, so somebody who can write
//! to the queue of replies cannot make a web server read another object.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::{RejectReason, Rejection};
use muster_actors::domain::message;
use serde::{Deserialize, Serialize};

use super::query::{AnalysedPhoto, IdentifiedFaces};

/// Prefix of callers' photos in their bucket.
pub const PHOTOS: &str = "requests/";
/// Prefix of answers in their bucket.
pub const ANSWERS: &str = "answers/";
/// Most bytes of a message.
const MESSAGE_BYTES: usize = 16 << 10;
/// Longest time for which a caller waits (`serve.seconds`).
const MAX_WAIT_SECONDS: u64 = 3600;
/// Most difference between clocks. A request that is late by no more, and is received for the first time, is worked on.
const SKEW: Duration = Duration::from_secs(300);
/// Most candidates of a face.
pub const CANDIDATES: usize = 20;

/// A random id that cannot be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(pub [u8; 16]);

impl Id {
    /// Creates a random id.
    ///
    /// # Errors
    /// The system provides no random bytes.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.to_string()
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 32 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(|number| Self(number.to_be_bytes())).ok_or_else(|| "no 32 hexadecimal digits".to_owned())
    }
}

impl TryFrom<String> for Id {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl Id {
    /// Returns the key of the photo.
    pub fn photo(self) -> String {
        format!("{PHOTOS}{self}")
    }

    /// Returns the key of the answer.
    pub fn answer(self) -> String {
        format!("{ANSWERS}{self}.json")
    }
}

/// A request to identify the faces in a photo: a message to the workers that their pipeline can read as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Id of the request.
    pub id: Id,
    /// Id of the web server that sends it.
    pub server: Id,
    /// Bucket of the photo.
    pub bucket: String,
    /// Key of the photo.
    pub key: String,
    /// Gallery to search.
    pub gallery_id: GalleryId,
    /// Most candidates of each face.
    pub candidates: usize,
    /// Seconds for which the caller waits.
    pub seconds: u64,
    /// URL of the queue of replies.
    pub reply_to: String,
    /// Whether the answer holds the faces themselves, with vectors and crops.
    #[serde(default)]
    pub whole: bool,
}

/// A reply that says that the answer to a request is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Id of the request.
    pub id: Id,
    /// Id of the web server that sent the request.
    pub server: Id,
    /// Seconds for which the caller waits.
    pub seconds: u64,
}

/// An object in the bucket of answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The faces, identified.
    Seen(IdentifiedFaces),
    /// The faces with vectors and crops, identified.
    Found(Box<AnalysedPhoto>),
    /// The photo cannot be used.
    Rejected(Rejection),
    /// There is no such gallery.
    NoGallery(GalleryId),
    /// The gallery cannot be read; the worker's log says why.
    Broken,
}

/// The bucket and queues that a worker accepts in requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestPolicy {
    /// The worker reads photos of this bucket only.
    pub bucket: String,
    /// The worker replies to this queue, and to queues whose name continues it with `-`.
    pub responses: String,
}

impl RequestPolicy {
    fn may_reply_to(&self, queue: &str) -> bool {
        let rest = queue.strip_prefix(&self.responses);
        let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-') && rest.chars().all(part))
    }

    /// Parses and checks a request.
    ///
    /// # Errors
    /// [`RejectReason::BadMessage`] with what is wrong.
    pub fn read(&self, body: &str) -> Result<Request, Rejection> {
        let bad = |detail: String| Rejection::new(RejectReason::BadMessage, detail);
        if body.len() > MESSAGE_BYTES {
            return Err(bad(format!("{} bytes, more than {MESSAGE_BYTES}", body.len())));
        }
        let request: Request = serde_json::from_str(body).map_err(|error| bad(format!("not a request: {error}")))?;
        if request.bucket != self.bucket || request.key != request.id.photo() {
            return Err(bad("the photo is not where photos of callers are".into()));
        }
        if !self.may_reply_to(&request.reply_to) {
            return Err(bad("the reply is wanted in a queue that is not one of ours".into()));
        }
        message::gallery(request.gallery_id.0.clone())?;
        let candidates = request.candidates.clamp(1, CANDIDATES);
        Ok(Request { candidates, seconds: request.seconds.min(MAX_WAIT_SECONDS), ..request })
    }
}

impl Request {
    /// Returns the reply to this request.
    pub fn reply(&self) -> Reply {
        Reply { id: self.id, server: self.server, seconds: self.seconds }
    }
}

/// Tells whether the caller has left.
fn is_late(seconds: u64, waited: Option<Duration>) -> bool {
    waited.is_some_and(|waited| waited > Duration::from_secs(seconds.min(MAX_WAIT_SECONDS)))
}

/// Tells whether a request need not be begun. A first attempt is allowed [`SKEW`], because by a wrong clock every request
/// would be late. It costs little: a caller who leaves deletes the photo.
pub fn is_over(seconds: u64, waited: Option<Duration>, receive_count: u32) -> bool {
    let forgiven = if receive_count > 1 { Duration::ZERO } else { SKEW };
    is_late(seconds, waited.map(|waited| waited.saturating_sub(forgiven)))
}

/// Where a reply goes that one of several web servers received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyRoute {
    /// The reply is for this server.
    Ours(Id),
    /// The reply is for another server, which receives it next.
    OtherServer,
    /// Nobody waits for the reply any more, or it is not valid.
    Discard,
}

/// Decides where a reply goes that the web server `server` received.
pub fn route(body: &str, waited: Option<Duration>, server: Id) -> ReplyRoute {
    match serde_json::from_str::<Reply>(body) {
        Ok(reply) if reply.server == server => ReplyRoute::Ours(reply.id),
        Ok(reply) if !is_late(reply.seconds, waited) => ReplyRoute::OtherServer,
        Ok(_) | Err(_) => ReplyRoute::Discard,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        let id = Id([7; 16]);
        Request {
            id,
            server: Id([1; 16]),
            bucket: "in".into(),
            key: id.photo(),
            gallery_id: GalleryId("g".into()),
            candidates: 3,
            seconds: 30,
            reply_to: "https://sqs/1/replies".into(),
            whole: false,
        }
    }

    #[test]
    fn a_worker_reads_photos_of_its_bucket_only_and_replies_to_its_queues_only() {
        let policy = RequestPolicy { bucket: "in".into(), responses: "https://sqs/1/replies".into() };
        let good = request();
        for (request, ok) in [
            (good.clone(), true),
            (Request { reply_to: "https://sqs/1/replies-web_2".into(), ..good.clone() }, true),
            (Request { reply_to: "https://sqs/1/replies2".into(), ..good.clone() }, false),
            (Request { reply_to: "https://sqs/1/replies-/../2".into(), ..good.clone() }, false),
            (Request { reply_to: "https://elsewhere".into(), ..good.clone() }, false),
            (Request { bucket: "secrets".into(), ..good.clone() }, false),
            (Request { key: "requests/../all".into(), ..good.clone() }, false),
            (Request { gallery_id: GalleryId("a/b".into()), ..good.clone() }, false),
        ] {
            let read = policy.read(&serde_json::to_string(&request).unwrap());
            assert_eq!(read.is_ok(), ok, "{request:?}");
        }
        let greedy = Request { candidates: 1_000_000, ..good };
        assert_eq!(policy.read(&serde_json::to_string(&greedy).unwrap()).unwrap().candidates, CANDIDATES);
        for body in ["", "{}", &"x".repeat(MESSAGE_BYTES + 1)] {
            assert!(policy.read(body).is_err());
        }
    }

    #[test]
    fn a_request_is_over_when_its_caller_has_left_by_any_clock_or_by_ours_the_second_time() {
        for (waited, count, over) in [
            (None, 9, false),
            (Some(29), 2, false),
            (Some(31), 2, true),
            (Some(31), 1, false),
            (Some(331), 1, true),
            (Some(100_000), 1, true),
        ] {
            assert_eq!(is_over(30, waited.map(Duration::from_secs), count), over, "{waited:?} {count}");
        }
        let endless = Request { seconds: u64::MAX, ..request() };
        let policy = RequestPolicy { bucket: "in".into(), responses: "https://sqs/1/replies".into() };
        assert_eq!(policy.read(&serde_json::to_string(&endless).unwrap()).unwrap().seconds, MAX_WAIT_SECONDS);
        let reply = Reply { seconds: u64::MAX, ..request().reply() };
        let old = Some(Duration::from_secs(MAX_WAIT_SECONDS + 1));
        assert_eq!(route(&serde_json::to_string(&reply).unwrap(), old, Id([9; 16])), ReplyRoute::Discard);
    }

    #[test]
    fn a_reply_goes_to_the_server_that_asked_and_to_nobody_when_it_is_too_late() {
        let reply = serde_json::to_string(&request().reply()).unwrap();
        let (ours, theirs) = (Id([1; 16]), Id([2; 16]));
        let (soon, late) = (Some(Duration::from_secs(29)), Some(Duration::from_secs(31)));
        for (body, waited, server, expected) in [
            (&*reply, soon, ours, ReplyRoute::Ours(Id([7; 16]))),
            (&reply, late, ours, ReplyRoute::Ours(Id([7; 16]))),
            (&reply, soon, theirs, ReplyRoute::OtherServer),
            (&reply, None, theirs, ReplyRoute::OtherServer),
            (&reply, late, theirs, ReplyRoute::Discard),
            ("{}", soon, ours, ReplyRoute::Discard),
            (r#"{"id":"../../x","server":"","seconds":1}"#, soon, ours, ReplyRoute::Discard),
        ] {
            assert_eq!(route(body, waited, server), expected, "{body} {waited:?}");
        }
    }
}
