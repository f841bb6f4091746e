//! `muster forget` in a fleet's gallery.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use muster_actors::domain::gallery::GalleryId;

use crate::cli::CliError;
use crate::cli::print::print;
use crate::cli::text::{count, is_id_like, one, printable, short};
use muster_config::{Layers, Redis};
use muster_gallery::receipt::{CacheErasure, FleetReceipt};
use muster_inference::pipeline;
use muster_stores::mongo::Scope;
use muster_worker::fleet::{AdminStores, ForgetTarget, Forgetter};

/// Which gallery, and how.
#[derive(Debug, clap::Args)]
pub struct GalleryArgs {
    /// The fleet's gallery to forget in
    #[arg(long, value_name = "GALLERY")]
    gallery: Option<String>,
    /// Forget the whole gallery
    #[arg(long, requires = "gallery")]
    all: bool,
}

impl GalleryArgs {
    /// Whether a gallery is meant, and no library.
    pub fn is_named(&self) -> bool {
        self.gallery.is_some()
    }

    /// Forgets, or takes back.
    pub fn run(&self, layers: &Layers, target: Option<&Path>, is_lift: bool, json: bool) -> Result<ExitCode, CliError> {
        let settings = layers.settings()?;
        let gallery = GalleryId(self.gallery.clone().unwrap_or_default());
        let asked = match target {
            Some(target) => ForgetRequest::read(target)?,
            None => ForgetRequest::Images(Scope::Gallery),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let params = pipeline::params(&settings, &super::manifest(&settings).await?);
            let forgetter = AdminStores::connect(&settings).await?.forgetter(gallery, params);
            let target = asked.find(&forgetter, is_lift).await?;
            if is_lift {
                return lift(&forgetter, &target, json).await;
            }
            if !forgetter.knows(&target).await? {
                let mend = "is it another gallery's? What is still on its way is known when a worker has written it";
                return Err(CliError::Missing(format!(
                    "nothing is known of {}: {mend}",
                    printable(&target.to_string())
                )));
            }
            let receipt = forgetter.forget(&target).await?;
            print(|out| if json { tell_json(&receipt, out) } else { tell(&receipt, &settings.redis, out) })
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What a person asks to forget.
#[derive(Debug, PartialEq, Eq)]
enum ForgetRequest {
    Images(Scope),
    /// The beginning of a group's id.
    Group(String),
}

impl ForgetRequest {
    fn read(target: &Path) -> Result<Self, CliError> {
        let text = target.to_str().unwrap_or_default();
        if let Some((bucket, key)) = text.strip_prefix("s3://").and_then(|rest| rest.split_once('/'))
            && !bucket.is_empty()
        {
            let (bucket, key) = (bucket.to_owned(), key.to_owned());
            return Ok(Self::Images(match key.is_empty() || key.ends_with('/') {
                true => Scope::Below { bucket, prefix: key },
                false => Scope::Image { bucket, key },
            }));
        }
        if is_id_like(text) {
            return Ok(Self::Group(text.to_ascii_lowercase()));
        }
        let shown = printable(&target.to_string_lossy());
        Err(CliError::Usage(format!(
            "{shown} is none of s3://BUCKET/KEY, s3://BUCKET/PREFIX/ and four digits or more of a group's id"
        )))
    }

    async fn find(self, forgetter: &Forgetter, lift: bool) -> Result<ForgetTarget, CliError> {
        let text = match self {
            Self::Images(scope) => return Ok(ForgetTarget::Images(scope)),
            Self::Group(text) => text,
        };
        // A group that was forgotten is known by its whole id alone.
        match text.parse() {
            Ok(whole) if lift || forgetter.knows(&ForgetTarget::Group(whole)).await? => Ok(ForgetTarget::Group(whole)),
            Err(_) if lift => Err(CliError::Usage(format!("{text}: give the group's whole id, as its receipt has it"))),
            _ => Ok(ForgetTarget::Group(one(
                "group",
                &text,
                forgetter.groups_like(&text).await?,
                "the gallery's index.json",
            )?)),
        }
    }
}

async fn lift(forgetter: &Forgetter, target: &ForgetTarget, json: bool) -> Result<(), CliError> {
    let lifted = forgetter.lift(target).await?;
    let shown = printable(&target.to_string());
    if lifted == 0 {
        let mend = "name what was forgotten, or what holds it";
        return Err(CliError::Missing(format!("{shown} was not forgotten by itself: {mend}")));
    }
    print(|out| {
        if json {
            let told = serde_json::json!({ "target": target.to_string(), "lifted": lifted });
            return Ok(writeln!(out, "{told:#}")?);
        }
        writeln!(out, "Taken back: {shown} ({})", count(lifted, "tombstone"))?;
        Ok(writeln!(out, "Its images come back when their messages are sent again.")?)
    })
}

fn tell_json(receipt: &FleetReceipt, out: &mut dyn Write) -> Result<(), CliError> {
    serde_json::to_writer_pretty(&mut *out, receipt).map_err(|error| CliError::Io(error.into()))?;
    Ok(writeln!(out)?)
}

fn tell(r: &FleetReceipt, redis: &Redis, out: &mut dyn Write) -> Result<(), CliError> {
    writeln!(out, "Forgotten in {}: {}\n", printable(&r.gallery.0), printable(&r.target))?;
    writeln!(out, "  images touched    {}", r.images)?;
    writeln!(out, "  faces, vectors    {}", r.faces)?;
    writeln!(out, "  decisions         {}", r.decisions)?;
    writeln!(out, "  face crops        {}", r.crops)?;
    writeln!(out, "  results           {}", r.results)?;
    if r.packs_rewritten + r.packs_deleted > 0 {
        let (rewritten, deleted) = (count(r.packs_rewritten, "object"), r.packs_deleted);
        writeln!(out, "  packs             {rewritten} rewritten without them, {deleted} deleted")?;
    }
    let list = |ids: &[_]| ids.iter().map(short).collect::<Vec<_>>().join(" ");
    if !r.groups.is_empty() {
        writeln!(out, "  groups ended      {}", list(&r.groups))?;
    }
    if !r.recomputed.is_empty() {
        writeln!(out, "  groups recomputed {}", list(&r.recomputed))?;
    }
    if !r.appeared.is_empty() {
        writeln!(out, "  groups new        {} (look whether they are of somebody forgotten)", list(&r.appeared))?;
    }
    if !r.regrouped {
        writeln!(
            out,
            "  the gallery is being written to all the time: its next grouping leaves them out of its groups"
        )?;
    }
    match r.cache {
        CacheErasure::None => writeln!(out, "  cache: none is set")?,
        CacheErasure::Emptied => writeln!(out, "  cache: emptied of them")?,
        CacheErasure::Away => {
            let hours = |seconds: u64| seconds as f64 / 3600.0;
            writeln!(
                out,
                "  cache: it did not answer. Images and analyses in it end within {:.1} h by themselves, the gallery's\n  \
                 vectors {:.1} h after it was grouped last; run this again when it is back",
                hours(redis.image_seconds.max(redis.analysis_seconds)),
                hours(redis.gallery_seconds)
            )?;
        }
    }
    if r.versions_stay {
        writeln!(out, "  the bucket keeps versions: old ones stay until its lifecycle removes them")?;
    }
    if r.packs_awaited > 0 {
        writeln!(
            out,
            "  a worker was about to write {}: it deletes them itself. Where it died first, the first worker that groups,\n  \
             or the first `muster forget`, deletes them after a day",
            count(r.packs_awaited, "object")
        )?;
    }
    if r.bytes_gone {
        writeln!(out, "  no byte of them is left in S3")?;
    }
    Ok(writeln!(
        out,
        "\nKept so that they do not come back: {}, without a face.",
        count(r.tombstones, "new tombstone")
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_an_image_a_prefix_or_a_group() {
        let below = |bucket: &str, prefix: &str| {
            ForgetRequest::Images(Scope::Below { bucket: bucket.into(), prefix: prefix.into() })
        };
        for (text, expected) in [
            ("s3://b/k.jpg", Some(ForgetRequest::Images(Scope::Image { bucket: "b".into(), key: "k.jpg".into() }))),
            ("s3://b/a/", Some(below("b", "a/"))),
            ("s3://b/", Some(below("b", ""))),
            ("3F2A91c4", Some(ForgetRequest::Group("3f2a91c4".into()))),
            ("s3://b", None),
            ("s3:///k", None),
            ("b/k.jpg", None),
            ("3f2", None),
        ] {
            assert_eq!(ForgetRequest::read(Path::new(text)).ok(), expected, "{text}");
        }
    }
}
