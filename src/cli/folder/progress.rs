//! Shows the progress of `muster index`: one live line on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use muster_actors::flow::progress::{Progress, Stage};

use crate::cli::print::say;
use muster_library::ScanReport;
use muster_library::runner::RoundObserver;

const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Shows progress on standard error.
pub struct ProgressView {
    bar: Option<ProgressBar>,
    next_line: Instant,
}

impl ProgressView {
    /// Starts a live line on a terminal, or plain lines every five seconds elsewhere.
    pub fn start() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new_spinner().with_style(style);
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { bar, next_line: Instant::now() + PLAIN_EVERY }
    }

    /// Prints a text above the live line.
    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => say(text),
        }
    }
}

impl RoundObserver for ProgressView {
    fn show(&mut self, progress: &Progress, _: &ScanReport, left: Option<u64>) {
        match &self.bar {
            Some(bar) => bar.set_message(line(progress, left)),
            None if Instant::now() >= self.next_line => {
                self.next_line = Instant::now() + PLAIN_EVERY;
                say(&line(progress, left));
            }
            None => {}
        }
    }

    fn stopping(&mut self) {
        self.say("stopping: finishing what is on a lane (Ctrl-C again ends at once)");
    }

    fn ended(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `412 images, 388 faces, 18.2 images/s, 1 min 10 s left | fetch 3 decode 2 detect 4 write 8`
fn line(progress: &Progress, left: Option<u64>) -> String {
    let ended = progress.counts.ended();
    let speed = if progress.seconds > 0.0 { ended as f64 / progress.seconds } else { 0.0 };
    let mut text = format!("{ended} images, {} faces, {speed:.1} images/s", progress.faces);
    if let Some(left) = left.filter(|_| speed > 0.0 && ended >= 8) {
        text.push_str(&format!(", {} left", span((left as f64 / speed) as u64)));
    }
    if progress.counts.rejected > 0 {
        text.push_str(&format!(", {} rejected", progress.counts.rejected));
    }
    let doing = [
        (Stage::Downloader, "reading"),
        (Stage::Decoder, "decoding"),
        (Stage::Batcher, "waiting"),
        (Stage::Device, "on a lane"),
        (Stage::Writer, "writing"),
        (Stage::Grouper, "grouping"),
    ];
    let doing: Vec<_> = doing
        .iter()
        .filter_map(|(stage, word)| {
            let now = progress.stages.get(stage)?;
            let count = now.in_flight + now.waiting;
            (count > 0).then(|| format!("{word} {count}"))
        })
        .collect();
    if !doing.is_empty() {
        text.push_str(" | ");
        text.push_str(&doing.join(", "));
    }
    text
}

/// `1 h 02 min`, `3 min 20 s` or `12 s`.
pub fn span(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_actors::flow::progress::{Counts, StageProgress};

    #[test]
    fn the_line_says_speed_time_left_and_what_each_stage_does() {
        let mut progress = Progress { seconds: 10.0, faces: 90, ..Progress::default() };
        progress.counts = Counts { indexed: 95, rejected: 5, ..Counts::default() };
        progress.stages.insert(Stage::Device, StageProgress { in_flight: 2, ..StageProgress::default() });
        let text = line(&progress, Some(700));
        assert_eq!(text, "100 images, 90 faces, 10.0 images/s, 1 min 10 s left, 5 rejected | on a lane 2");
    }

    #[test]
    fn spans_are_short_and_exact() {
        assert_eq!([span(12), span(200), span(3725)], ["12 s", "3 min 20 s", "1 h 02 min"]);
    }
}
