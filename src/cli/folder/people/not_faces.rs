//! `muster people not-faces` lists detections that are not faces.

use serde_json::{Value, json};

use crate::cli::CliError;
use crate::cli::print::print;
use crate::cli::text::{place, printable, short};
use muster_gallery::view::{FaceRow, Totals};
use muster_library::Library;
use muster_library::view::{self, FaceSelection};

/// How many detections are no faces, as the end of a line; nothing where there are none.
pub(super) fn aside(totals: &Totals) -> String {
    match totals.non_faces {
        0 => String::new(),
        n => format!(" {n} not faces: `muster people not-faces`."),
    }
}

/// Lists them, the likeliest faces first.
pub(super) fn list(library: &Library, json: bool) -> Result<(), CliError> {
    let mut faces: Vec<FaceRow> = Vec::new();
    view::faces(library.db(), FaceSelection::NonFaces, |face| {
        faces.push(face);
        Ok(())
    })?;
    // The models would have it in the groups: a person said that it is no face.
    let said = |face: &FaceRow| face.quality.is_face();
    print(|out| {
        if json {
            let one = |f: &FaceRow| {
                json!({ "id": f.id, "path": f.path, "box": f.bbox, "face": f.quality.face, "score": f.quality.score,
                        "said": said(f) })
            };
            return Ok(writeln!(out, "{:#}", Value::Array(faces.iter().map(one).collect()))?);
        }
        if faces.is_empty() {
            return Ok(writeln!(out, "Everything that was found is a face.")?);
        }
        writeln!(out, "{:8}  {:>4}  {:>21}  PHOTO", "FACE", "FACE?", "BOX")?;
        for f in &faces {
            let (percent, said) = (f.quality.face * 100.0, if said(f) { "  (a person said so)" } else { "" });
            writeln!(out, "{:8}  {percent:>4.0}%  {:>21}  {}{said}", short(f.id), place(&f.bbox), printable(&f.path))?;
        }
        Ok(writeln!(out, "\n`muster people is-face FACE…` brings back what is a face.")?)
    })
}
