//! Decodes images in a process of their own, when earlier receipts of them had no end. A decoder is the largest part of
//! foreign code that foreign bytes reach. If it crashes or loops here, that costs one image and no other.
//!
//! The child reads an image from its standard input. It writes one line of JSON, then the pixels, to its standard
//! output. Its environment is empty, and so has no secrets.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use muster_actors::domain::capture::{PictureHash, Taken};
use muster_actors::domain::image::{Frame, Pixels, RejectReason, Rejection};
use muster_actors::ports::decoder::{DecodeError, Decoder};
use serde::{Deserialize, Serialize};

use crate::decode::Limits;

/// The hidden subcommand that the child runs.
pub const COMMAND: &str = "decode-apart";
/// Time limit of a decode; a decoder that takes longer hangs.
const DECODE_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest line that a child may write, in bytes; it has a frame's size, a rejection or a number.
const LINE_BYTES: u64 = 16 << 10;

/// The request to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Decode the image to pixels.
    Decode,
    /// Judge the thumbnail in the header, as [`Decoder::judge_header`].
    Header,
    /// Judge the thumbnail, as [`Decoder::judge_thumbnail`].
    Thumbnail,
}

impl Ask {
    fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Header => "header",
            Self::Thumbnail => "thumbnail",
        }
    }
}

/// The answer of a child.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// Pixels of this size follow the line.
    Frame {
        columns: u32,
        rows: u32,
        scale: f32,
        width: u32,
        height: u32,
        orientation: u8,
        taken: Option<Taken>,
        picture: Option<PictureHash>,
    },
    Rejected(Rejection),
    Failed(String),
    Judged(Option<f32>),
}

/// The reason why a child gave no answer.
#[derive(Debug, thiserror::Error)]
enum IsolationError {
    #[error("cannot start a decoder: {0}")]
    Start(io::Error),
    #[error("{0}")]
    Died(String),
}

/// A decoder that starts a child process for each image.
#[derive(Clone, Debug)]
pub struct IsolatedDecoder {
    program: PathBuf,
    /// Arguments by which the child makes the same decoder.
    arguments: Vec<OsString>,
    limits: Limits,
}

impl IsolatedDecoder {
    /// Creates a decoder whose children are `program` with [`COMMAND`] and `arguments`. An answer with a frame larger
    /// than `limits` is refused.
    pub fn new(program: PathBuf, arguments: Vec<OsString>, limits: Limits) -> Self {
        Self { program, arguments, limits }
    }

    fn ask(&self, ask: Ask, source: &[u8]) -> Result<(Answer, Vec<u8>), IsolationError> {
        let mut child = Command::new(&self.program)
            .args([COMMAND, ask.as_str()])
            .args(&self.arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(IsolationError::Start)?;
        // A child that died does not read; the code below reports how it died.
        if let Some(mut to) = child.stdin.take() {
            let _ = to.write_all(source);
        }
        let heard = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe.into()).and_then(|from| self.hear(from));
        let died = match child.wait() {
            Ok(status) if status.success() => "said nothing that can be read".to_owned(),
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        heard.map_err(|_| IsolationError::Died(format!("the decoder died of it: {died}")))
    }

    fn hear(&self, from: impl Read) -> io::Result<(Answer, Vec<u8>)> {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        from.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)?;
        let answer: Answer = serde_json::from_slice(&line)?;
        let mut pixels = Vec::new();
        if let Answer::Frame { columns, rows, .. } = answer {
            let count = u64::from(columns) * u64::from(rows);
            if count == 0 || count > self.limits.pixels {
                return Err(io::ErrorKind::InvalidData.into());
            }
            from.take(count * 3).read_to_end(&mut pixels)?;
            if pixels.len() as u64 != count * 3 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok((answer, pixels))
    }

    fn judge(&self, ask: Ask, bytes: &[u8]) -> Option<f32> {
        match self.ask(ask, bytes) {
            Ok((Answer::Judged(quality), _)) => quality,
            // An image that was not judged goes on to be decoded.
            Ok(_) | Err(_) => None,
        }
    }
}

impl Decoder for IsolatedDecoder {
    fn decode(&self, source: Bytes) -> Result<Frame, DecodeError> {
        match self.ask(Ask::Decode, &source) {
            Ok((Answer::Frame { columns, rows, scale, width, height, orientation, taken, picture }, data)) => {
                let pixels = Pixels { width: columns, height: rows, data };
                Ok(Frame { pixels, scale, width, height, orientation, taken, picture, source })
            }
            Ok((Answer::Rejected(rejection), _)) => Err(rejection.into()),
            Ok((Answer::Failed(detail), _)) => Err(DecodeError::Failed(detail)),
            Ok((Answer::Judged(_), _)) => Err(DecodeError::Failed("an answer to another question".to_owned())),
            Err(error @ IsolationError::Start(_)) => Err(DecodeError::Failed(error.to_string())),
            Err(IsolationError::Died(how)) => Err(Rejection::new(RejectReason::Crashed, how).into()),
        }
    }

    fn judge_header(&self, head: &[u8]) -> Option<f32> {
        self.judge(Ask::Header, head)
    }

    fn judge_thumbnail(&self, thumbnail: &[u8]) -> Option<f32> {
        self.judge(Ask::Thumbnail, thumbnail)
    }
}

/// Runs the child: it answers one request about the image on its standard input.
///
/// # Errors
/// An I/O error when standard input or output fails.
pub fn answer(decoder: &dyn Decoder, ask: Ask, from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    std::thread::spawn(|| {
        std::thread::sleep(DECODE_TIMEOUT);
        std::process::abort();
    });
    let mut source = Vec::new();
    from.read_to_end(&mut source)?;
    let (answer, pixels) = match ask {
        Ask::Header => (Answer::Judged(decoder.judge_header(&source)), Vec::new()),
        Ask::Thumbnail => (Answer::Judged(decoder.judge_thumbnail(&source)), Vec::new()),
        Ask::Decode => match decoder.decode(Bytes::from(source)) {
            Ok(Frame { pixels, scale, width, height, orientation, taken, picture, .. }) => {
                let Pixels { width: columns, height: rows, data } = pixels;
                (Answer::Frame { columns, rows, scale, width, height, orientation, taken, picture }, data)
            }
            Err(DecodeError::Rejected(rejection)) => (Answer::Rejected(rejection), Vec::new()),
            Err(DecodeError::Failed(detail)) => (Answer::Failed(detail), Vec::new()),
        },
    };
    serde_json::to_writer(&mut *to, &answer)?;
    to.write_all(b"\n")?;
    to.write_all(&pixels)?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the decoder's reading of a child's answer.
    fn heard(said: &[u8]) -> io::Result<(Answer, Vec<u8>)> {
        IsolatedDecoder::new("none".into(), Vec::new(), Limits { bytes: 100, pixels: 4 }).hear(said)
    }

    #[test]
    fn an_answer_is_believed_only_where_it_is_whole_and_within_the_limits() {
        let frame = |columns, rows| {
            format!(
                r#"{{"frame":{{"columns":{columns},"rows":{rows},"scale":1,"width":9,"height":9,"orientation":1}}}}"#
            )
        };
        let said = |line: &str, pixels: usize| heard(&[line.as_bytes(), b"\n", &vec![0; pixels]].concat());
        assert_eq!(said(&frame(2, 2), 12).unwrap().1.len(), 12);
        for (line, pixels) in [(frame(2, 2), 11), (frame(3, 2), 18), (frame(0, 2), 0), ("{}".into(), 0), ("".into(), 0)]
        {
            assert!(said(&line, pixels).is_err(), "{line}");
        }
        let rejected = said(r#"{"rejected":{"reason":"CORRUPT","detail":"x"}}"#, 0);
        assert!(matches!(rejected, Ok((Answer::Rejected(rejection), _)) if rejection.reason == RejectReason::Corrupt));
    }

    #[test]
    fn a_child_that_dies_or_says_nothing_convicts_the_image_and_one_that_cannot_start_does_not() {
        let decode = |program: &str| {
            let decoder = IsolatedDecoder::new(program.into(), Vec::new(), Limits::default());
            decoder.decode(Bytes::from_static(b"an image"))
        };
        for program in ["false", "true"] {
            assert!(matches!(decode(program), Err(DecodeError::Rejected(r)) if r.reason == RejectReason::Crashed));
        }
        assert!(matches!(decode("/nowhere/muster"), Err(DecodeError::Failed(_))));
    }
}
