//! How long `muster report` takes for 100,000 faces, how large its largest file gets and what memory it
//! needs: `cargo bench --bench report`. Another number of faces: `-- 54000`.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use muster_library::library::REPORT;
use muster_library::report;
use people_page::Contents;

#[allow(dead_code)]
#[path = "../support/people_page.rs"]
mod people_page;

/// The mean of real crops.
const CROP_BYTES: usize = 6_500;
const OF_GROUP: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let faces: usize = given.unwrap_or(100_000);
    println!("| {faces} faces | Seconds | A second time | Files | Largest, bytes | All, MB | Peak memory, MB |");
    println!("|---|---|---|---|---|---|---|");
    for (name, groups, ungrouped) in [
        ("all in no group", Vec::new(), faces),
        ("half of one person, half in no group", vec![faces / 2], faces - faces / 2),
        ("groups of ten", vec![OF_GROUP; faces / OF_GROUP], 0),
    ] {
        let folder = tempfile::tempdir()?;
        let contents = Contents { groups, ungrouped, rejected: 0, crop_bytes: CROP_BYTES };
        let (library, _) = people_page::library(folder.path(), &contents);
        let place = library.folder().to_path_buf();
        drop(library);
        let (seconds, memory) = time(&place)?;
        let (again, _) = time(&place)?;
        let sizes = sizes(&place.join(REPORT))?;
        let (largest, all) = (sizes.iter().max().copied().unwrap_or(0), sizes.iter().sum::<u64>() / 1_000_000);
        println!(
            "| {name} | {seconds:.1} | {again:.1} | {} | {largest} | {all} | {:.0} |",
            sizes.len(),
            memory as f64 / 1e3
        );
    }
    Ok(())
}

/// Writes the page; seconds, and the most memory in kilobytes.
fn time(library: &Path) -> Result<(f64, u64), Box<dyn Error>> {
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
        .arg("report")
        .arg("--library")
        .arg(library)
        .stdout(Stdio::null())
        .spawn()?;
    let (mut memory, mut status): (u64, Option<ExitStatus>) = (0, None);
    while status.is_none() {
        memory = memory.max(peak(&child).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(10));
        status = child.try_wait()?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    if status.is_some_and(|status| status.success()) {
        Ok((seconds, memory))
    } else {
        Err("muster report failed".into())
    }
}

/// The most memory that a process had at once, in kilobytes.
fn peak(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}

/// Bytes of each file of the page.
fn sizes(page: &Path) -> Result<Vec<u64>, Box<dyn Error>> {
    let mut sizes = vec![fs::metadata(page)?.len()];
    if let Ok(further) = fs::read_dir(report::folder(page)) {
        for file in further {
            sizes.push(file?.metadata()?.len());
        }
    }
    Ok(sizes)
}
