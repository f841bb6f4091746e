//! What the web tier and its workers write to each other: a request, and a reply that says where the answer is. Pure.
//!
//! A photo and its answer have the request's own name in their buckets. So a reply carries nothing but that name, and whoever can
//! write to the queue of replies can make nobody read anything else.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use muster_actors::domain::gallery::GalleryId;
use muster_actors::domain::image::{RejectReason, Rejection};
use muster_actors::domain::message;
use serde::{Deserialize, Serialize};

use super::seen::{Found, Seen};

/// Photos of callers lie here in their bucket.
pub const PHOTOS: &str = "requests/";
/// Answers lie here in theirs.
pub const ANSWERS: &str = "answers/";
/// Bytes of a letter at most.
const LETTER: usize = 16 << 10;
/// Nobody waits for longer (`serve.seconds`).
const MAX_WAIT_SECONDS: u64 = 3600;
/// Clocks may differ by so much: what is late by no more, and was never received before, is worked on.
const SKEW: Duration = Duration::from_secs(300);
/// Candidates of a face at most.
pub const CANDIDATES: usize = 20;

/// A name that nobody can guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(pub [u8; 16]);

impl Id {
    /// A new one.
    ///
    /// # Errors
    /// The system has no random bytes to give.
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
    /// Of the photo.
    pub fn photo(self) -> String {
        format!("{PHOTOS}{self}")
    }

    /// Of the answer.
    pub fn answer(self) -> String {
        format!("{ANSWERS}{self}.json")
    }
}

/// Whose faces are in a photo? A message to the workers; also one that the pipeline reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Names it.
    pub id: Id,
    /// The web server that asks.
    pub server: Id,
    /// Where the photo is.
    pub bucket: String,
    /// The photo's key.
    pub key: String,
    /// Among whom is searched.
    pub gallery_id: GalleryId,
    /// Candidates of each face at most.
    pub candidates: usize,
    /// The caller waits so long.
    pub seconds: u64,
    /// The queue of replies.
    pub reply_to: String,
    /// The faces themselves are wanted, with vectors and crops.
    #[serde(default)]
    pub whole: bool,
}

/// There is an answer, or there will be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Of the request.
    pub id: Id,
    /// Who asked.
    pub server: Id,
    /// The caller waits so long.
    pub seconds: u64,
}

/// What lies in the bucket of answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// This was seen.
    Seen(Seen),
    /// These faces were found.
    Found(Box<Found>),
    /// The photo cannot be used.
    Rejected(Rejection),
    /// There is no such gallery.
    NoGallery(GalleryId),
    /// The gallery cannot be read; the worker's log says why.
    Broken,
}

/// What a worker takes requests for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rights {
    /// It reads photos of this bucket.
    pub bucket: String,
    /// It replies to this queue, and to those whose name goes on after it with `-`.
    pub responses: String,
}

impl Rights {
    fn may_reply_to(&self, queue: &str) -> bool {
        let rest = queue.strip_prefix(&self.responses);
        let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-') && rest.chars().all(part))
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`RejectReason::BadMessage`] with what is wrong.
    pub fn read(&self, body: &str) -> Result<Request, Rejection> {
        let bad = |detail: String| Rejection::new(RejectReason::BadMessage, detail);
        if body.len() > LETTER {
            return Err(bad(format!("{} bytes, more than {LETTER}", body.len())));
        }
        let request: Request = serde_json::from_str(body).map_err(|error| bad(format!("no request: {error}")))?;
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
    /// To whoever asked.
    pub fn reply(&self) -> Reply {
        Reply { id: self.id, server: self.server, seconds: self.seconds }
    }
}

/// Whether the caller has left.
fn is_late(seconds: u64, waited: Option<Duration>) -> bool {
    waited.is_some_and(|waited| waited > Duration::from_secs(seconds.min(MAX_WAIT_SECONDS)))
}

/// Whether a request need not be begun. By a clock that is wrong every request would be late: whoever left has taken the photo
/// along, so that the first attempt costs little.
pub fn is_over(seconds: u64, waited: Option<Duration>, receive_count: u32) -> bool {
    let forgiven = if receive_count > 1 { Duration::ZERO } else { SKEW };
    is_late(seconds, waited.map(|waited| waited.saturating_sub(forgiven)))
}

/// What becomes of a reply at one of several web servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is for this server.
    Ours(Id),
    /// It is for another, who gets it next.
    Theirs,
    /// Nobody waits for it any more, or it is none.
    Nobodys,
}

/// Reads a reply as the web server `server`.
pub fn sort(body: &str, waited: Option<Duration>, server: Id) -> Fate {
    match serde_json::from_str::<Reply>(body) {
        Ok(reply) if reply.server == server => Fate::Ours(reply.id),
        Ok(reply) if !is_late(reply.seconds, waited) => Fate::Theirs,
        Ok(_) | Err(_) => Fate::Nobodys,
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
        let rights = Rights { bucket: "in".into(), responses: "https://sqs/1/replies".into() };
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
            let read = rights.read(&serde_json::to_string(&request).unwrap());
            assert_eq!(read.is_ok(), ok, "{request:?}");
        }
        let greedy = Request { candidates: 1_000_000, ..good };
        assert_eq!(rights.read(&serde_json::to_string(&greedy).unwrap()).unwrap().candidates, CANDIDATES);
        for body in ["", "{}", &"x".repeat(LETTER + 1)] {
            assert!(rights.read(body).is_err());
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
        let rights = Rights { bucket: "in".into(), responses: "https://sqs/1/replies".into() };
        assert_eq!(rights.read(&serde_json::to_string(&endless).unwrap()).unwrap().seconds, MAX_WAIT_SECONDS);
        let reply = Reply { seconds: u64::MAX, ..request().reply() };
        let old = Some(Duration::from_secs(MAX_WAIT_SECONDS + 1));
        assert_eq!(sort(&serde_json::to_string(&reply).unwrap(), old, Id([9; 16])), Fate::Nobodys);
    }

    #[test]
    fn a_reply_goes_to_the_server_that_asked_and_to_nobody_when_it_is_too_late() {
        let reply = serde_json::to_string(&request().reply()).unwrap();
        let (ours, theirs) = (Id([1; 16]), Id([2; 16]));
        let (soon, late) = (Some(Duration::from_secs(29)), Some(Duration::from_secs(31)));
        for (body, waited, server, expected) in [
            (&*reply, soon, ours, Fate::Ours(Id([7; 16]))),
            (&reply, late, ours, Fate::Ours(Id([7; 16]))),
            (&reply, soon, theirs, Fate::Theirs),
            (&reply, None, theirs, Fate::Theirs),
            (&reply, late, theirs, Fate::Nobodys),
            ("{}", soon, ours, Fate::Nobodys),
            (r#"{"id":"../../x","server":"","seconds":1}"#, soon, ours, Fate::Nobodys),
        ] {
            assert_eq!(sort(body, waited, server), expected, "{body} {waited:?}");
        }
    }
}
