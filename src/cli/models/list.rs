//! `muster models list`, and the hints of a first run: figures to choose a pack by.

use std::io::Write;

use serde_json::json;

use super::ModelsError;
use crate::cli::text::printable;
use muster_inference::onnx::home::Home;
use muster_inference::onnx::pack::{DEFAULT_PACK, Pack, PackError};

/// The known pack that tells children apart best. Its licence forbids commercial use.
const PACK_FOR_CHILDREN: &str = "edgeface";

/// What the columns of figures mean.
const LEGEND: &str = "\
grown: B-cubed F of the groups of grown people. young: share of the pairs of one child's photos that
are recognised when one pair of two children in a thousand is mistaken for one child; young to grown:
the same where one photo shows the grown person. speed: photos a second on a processor, as a multiple
of what open manages. docs/models.md says where the figures are from.
";

/// Lists the packs: a table for a person, or one JSON object a line.
pub(super) fn list(home: &Home, json: bool, out: &mut dyn Write) -> Result<(), ModelsError> {
    let mut packs = Pack::known(home)?;
    packs.extend(Pack::own(home));
    if !json {
        writeln!(
            out,
            "{}",
            row(["pack", "state", "grown", "young", "young to grown", "speed", "vector", "who may use it"])
        )?;
    }
    for pack in &packs {
        let state = match pack.verify() {
            Ok(()) => "installed",
            Err(PackError::Missing { .. }) => "not installed",
            Err(_) => "damaged",
        };
        writeln!(out, "{}", if json { line(pack, state) } else { described(pack, state) })?;
    }
    if !json {
        write!(out, "\n{LEGEND}")?;
    }
    Ok(())
}

/// A pack as one JSON object. Figures that nobody measured are null.
fn line(pack: &Pack, state: &str) -> String {
    let manifest = pack.manifest();
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    json!({
        "name": manifest.name, "version": manifest.version, "state": state, "folder": pack.folder().display().to_string(),
        "bytes": bytes, "dimensions": manifest.embedder.dimensions, "similarity": manifest.grouping.similarity,
        "licence": manifest.licence, "non_commercial": manifest.non_commercial, "source": manifest.source,
        "accuracy": manifest.accuracy, "speed": manifest.speed,
    })
    .to_string()
}

/// A pack as a row of the table.
fn described(pack: &Pack, state: &str) -> String {
    let manifest = pack.manifest();
    let accuracy = manifest.accuracy.clone().unwrap_or_default();
    let share = |figure: Option<f64>, decimals: usize| match figure {
        Some(figure) => format!("{:.decimals$} %", figure * 100.0),
        None => String::from("not measured"),
    };
    let accepted = |pairs: Option<f64>| share(pairs, 0);
    let who = match (manifest.non_commercial, pack.is_known()) {
        (true, _) => "no commercial use: ",
        (false, true) => "everybody: ",
        // Whoever wrote the manifest need not have asked.
        (false, false) => "",
    };
    row([
        &manifest.name,
        state,
        &share(accuracy.grown.map(|groups| groups.b_cubed_f), 1),
        &accepted(accuracy.young.map(|pairs| pairs.true_accept_rate)),
        &accepted(accuracy.young_to_grown.map(|pairs| pairs.true_accept_rate)),
        &manifest.speed.as_ref().map_or_else(|| String::from("not measured"), |speed| format!("{}", speed.relative)),
        &format!("{}-d", manifest.embedder.dimensions),
        &format!("{who}{}", printable(&manifest.licence)),
    ])
}

fn row([pack, state, grown, young, young_to_grown, speed, vector, who]: [&str; 8]) -> String {
    format!("{pack:<14} {state:<14} {grown:<13} {young:<13} {young_to_grown:<15} {speed:<13} {vector:<7} {who}")
}

/// Returns a line for whoever starts a library without naming a pack: which one is taken, and which
/// one is better with children. `packs` are the known packs; none is returned where nobody measured
/// how they compare.
pub fn first_run_note(packs: &[Pack]) -> Option<String> {
    let young = |name: &str| {
        let pack = packs.iter().find(|pack| pack.manifest().name == name)?;
        Some(pack.manifest().accuracy.as_ref()?.young.as_ref()?.true_accept_rate * 100.0)
    };
    let (taken, better) = (young(DEFAULT_PACK)?, young(PACK_FOR_CHILDREN)?);
    Some(format!(
        "model pack: {DEFAULT_PACK}, which everybody may use. For private, non-commercial use {PACK_FOR_CHILDREN} \
         recognises children better ({better:.0} % of the pairs of a child's photos, {DEFAULT_PACK} {taken:.0} %): \
         muster models pull {PACK_FOR_CHILDREN} --accept-licence, then add --model {PACK_FOR_CHILDREN}; \
         `muster models list` compares all packs"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_figures_and_says_where_there_are_none() {
        let packs = Pack::known(&Home::new("/nowhere")).unwrap();
        let rows: Vec<String> = packs.iter().map(|pack| described(pack, "not installed")).collect();
        let has = |row: &str, parts: &[&str]| parts.iter().all(|part| row.contains(part));
        assert!(has(&rows[0], &["open ", "not installed", "99.2 %", "48 %", "43 %", "everybody: YuNet"]), "{rows:?}");
        assert!(
            has(&rows[1], &["edgeface ", "not measured", "66 %", "56 %", "1.7 ", "no commercial use: "]),
            "{rows:?}"
        );
        assert!(has(&rows[2], &["insightface-s ", "99.6 %", "58 %", "0.95 ", "non-commercial research"]), "{rows:?}");
    }

    #[test]
    fn the_first_run_names_the_pack_for_children_with_its_figures_and_its_command() {
        let packs = Pack::known(&Home::new("/nowhere")).unwrap();
        let note = first_run_note(&packs).unwrap();
        for part in ["open", "private, non-commercial", "66 %", "48 %", "muster models pull edgeface --accept-licence"]
        {
            assert!(note.contains(part), "{part} in {note}");
        }
        assert!(!note.contains('\n'), "{note}");
        assert_eq!(first_run_note(&packs[..1]), None);
    }
}
