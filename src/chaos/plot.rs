//! Renders a page with messages, workers and faults over time.

use std::fmt::Write;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::report::{Report, Sample, TimelineEvent};
use super::soak::{MEASURES, SoakReport};

const SIZE: (u32, u32) = (1_100, 520);
const STYLE: &str = "body{font:15px system-ui;margin:2rem auto;max-width:1100px;padding:0 1rem}svg{max-width:100%;height:auto}\
td{padding:.1rem .8rem .1rem 0;vertical-align:top}pre{background:#f4f4f4;padding:1rem;overflow:auto}";

type PlotError = Box<dyn std::error::Error>;

/// Renders the page of a run.
pub fn page(report: &Report) -> String {
    let mut svg = String::new();
    let drawn = charts(&SVGBackend::with_string(&mut svg, SIZE).into_drawing_area(), report);
    if let Err(error) = drawn {
        svg = format!("<p>no plot: {}</p>", escaped(&error.to_string()));
    }
    let mut rows = String::new();
    for TimelineEvent { at, who, what } in &report.moments {
        let _ = write!(rows, "<tr><td>{at:.1} s<td>{}<td>{}", escaped(who), escaped(what));
    }
    let summary = escaped(&report.text(false));
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>muster chaos, seed {}</title><style>{STYLE}</style>\
         <h1>muster chaos, seed {}</h1><pre>{summary}</pre>{svg}<h2>Timeline</h2><table>{rows}</table></html>",
        report.seed, report.seed
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Draws messages with faults as vertical lines, and workers below.
fn charts(root: &DrawingArea<SVGBackend<'_>, Shift>, report: &Report) -> Result<(), PlotError> {
    root.fill(&WHITE)?;
    let (above, below) = root.split_vertically(360);
    let end = report.seconds.max(1.0);
    let most = report.samples.iter().map(|sample| sample.waiting.max(sample.held)).max().unwrap_or(0).max(1);
    let mut chart = ChartBuilder::on(&above)
        .caption("messages", ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..end, 0..most + most / 20 + 1)?;
    chart.configure_mesh().x_desc("seconds").draw()?;
    let blow = |what: &str| ["kill", "SIG", "Spot", "rebalance"].iter().any(|word| what.starts_with(word));
    for moment in report.moments.iter().filter(|moment| blow(&moment.what)) {
        chart.draw_series(LineSeries::new([(moment.at, 0), (moment.at, most / 15 + 1)], RED.mix(0.6)))?;
    }
    for moment in report.moments.iter().filter(|moment| moment.who == "services") {
        chart.draw_series(LineSeries::new([(moment.at, most), (moment.at, most - most / 15)], BLUE.mix(0.6)))?;
    }
    type Value = fn(&Sample) -> u64;
    let lines: [(&str, RGBColor, Value); 2] =
        [("waiting", RGBColor(31, 119, 180), |s| s.waiting), ("held", RGBColor(255, 127, 14), |s| s.held)];
    for (name, colour, value) in lines {
        let points = report.samples.iter().map(|sample| (sample.at, value(sample)));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    let workers = report.samples.iter().map(|sample| sample.workers).max().unwrap_or(0).max(1);
    let mut chart = ChartBuilder::on(&below)
        .caption("workers that live", ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..end, 0..workers + 1)?;
    chart.configure_mesh().x_desc("seconds").draw()?;
    let points = report.samples.iter().map(|sample| (sample.at, sample.workers));
    chart.draw_series(LineSeries::new(points, RGBColor(44, 160, 44).stroke_width(2)))?;
    root.present()?;
    Ok(())
}

/// Renders the page of a soak with every measure of every worker over time.
pub fn soak(soak: &SoakReport) -> String {
    let mut svg = String::new();
    let drawn = measures(&SVGBackend::with_string(&mut svg, (1_100, 900)).into_drawing_area(), soak);
    if let Err(error) = drawn {
        svg = format!("<p>no plot: {}</p>", escaped(&error.to_string()));
    }
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>muster soak</title><style>{STYLE}</style>\
         <h1>muster soak</h1><pre>{}</pre>{svg}</html>",
        escaped(&soak.text())
    )
}

fn measures(root: &DrawingArea<SVGBackend<'_>, Shift>, soak: &SoakReport) -> Result<(), PlotError> {
    root.fill(&WHITE)?;
    let colours = [RGBColor(31, 119, 180), RGBColor(255, 127, 14)];
    let workers: std::collections::BTreeSet<&str> = soak.vitals.iter().map(|vital| vital.who.as_str()).collect();
    for (area, (what, value)) in root.split_evenly((4, 1)).iter().zip(MEASURES) {
        let most = soak.vitals.iter().map(value).max().unwrap_or(0).max(1);
        let mut chart = ChartBuilder::on(area)
            .caption(what, ("sans-serif", 15))
            .margin(6)
            .x_label_area_size(22)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..soak.seconds.max(1.0), 0..most + most / 10 + 1)?;
        chart.configure_mesh().draw()?;
        for (who, colour) in workers.iter().zip(colours) {
            let own = soak.vitals.iter().filter(|vital| vital.who == *who);
            let line = LineSeries::new(own.map(|vital| (vital.at, value(vital))), colour.stroke_width(2));
            let legend = move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2));
            chart.draw_series(line)?.label(*who).legend(legend);
        }
        chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    }
    root.present()?;
    Ok(())
}
