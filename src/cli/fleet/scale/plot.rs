//! Plots backlog and workers over time as an SVG.

use plotters::prelude::*;

use super::simulate::Run;
use crate::cli::CliError;

const SIZE: (u32, u32) = (960, 640);
const COLOURS: [RGBColor; 3] = [RGBColor(31, 119, 180), RGBColor(255, 127, 14), RGBColor(44, 160, 44)];

/// Draws the runs of a trace: the backlog above, the workers below.
pub fn draw(title: &str, runs: &[&Run]) -> Result<String, CliError> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        charts(&root, title, runs).map_err(|error| CliError::Io(std::io::Error::other(error.to_string())))?;
    }
    Ok(text)
}

type PlotError = Box<dyn std::error::Error>;

fn charts(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    runs: &[&Run],
) -> Result<(), PlotError> {
    root.fill(&WHITE)?;
    let halves = root.split_evenly((2, 1));
    let end = runs.iter().filter_map(|run| run.outcome.drained).max().unwrap_or(3600).max(60);
    let looks = |run: &Run| run.outcome.looks.iter().copied().filter(|(second, ..)| *second <= end).collect::<Vec<_>>();
    for (half, what) in halves.iter().zip(["images that wait", "workers"]) {
        let value = |look: (u64, u64, u64)| if what == "workers" { look.2 } else { look.1 };
        let most = runs.iter().flat_map(|run| looks(run)).map(value).max().unwrap_or(0).max(1);
        let mut chart = ChartBuilder::on(half)
            .caption(format!("{title}: {what}"), ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(70)
            .build_cartesian_2d(0..end, 0..most + most / 20 + 1)?;
        chart.configure_mesh().x_desc("seconds").draw()?;
        for (run, colour) in runs.iter().zip(COLOURS) {
            let points = looks(run).into_iter().map(|look| (look.0, value(look)));
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
                .label(run.policy)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
        }
        chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    }
    root.present()?;
    Ok(())
}
