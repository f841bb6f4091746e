//! Plots the measurements of a bench.

use std::collections::BTreeMap;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::bench::BenchRow;

const SIZE: (u32, u32) = (1_000, 420);
type PlotError = Box<dyn std::error::Error>;
type Lines<'a> = BTreeMap<String, Vec<&'a BenchRow>>;

/// Draws items per second over the batch size, and milliseconds until the first answer. Each model has a chart, and
/// each pack and target a colour. An error of the drawing is shown in the picture.
pub fn svg(rows: &[BenchRow]) -> String {
    let mut models: BTreeMap<&str, Vec<&BenchRow>> = BTreeMap::new();
    for row in rows {
        models.entry(&row.model).or_default().push(row);
    }
    let size = (SIZE.0, SIZE.1 * u32::try_from(models.len().max(1)).unwrap_or(1));
    let mut text = String::new();
    let drawn = draw(&SVGBackend::with_string(&mut text, size).into_drawing_area(), &models);
    match drawn {
        Ok(()) => text,
        Err(error) => format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><text y=\"20\">no plot: {error}</text></svg>"),
    }
}

fn draw(root: &DrawingArea<SVGBackend<'_>, Shift>, models: &BTreeMap<&str, Vec<&BenchRow>>) -> Result<(), PlotError> {
    root.fill(&WHITE)?;
    for (area, (model, rows)) in root.split_evenly((models.len().max(1), 1)).iter().zip(models) {
        let mut lines = Lines::new();
        for row in rows {
            let [_, _, height, width] = row.shape;
            let line = format!("{} {} {} {width}x{height}", row.pack, row.precision, row.provider);
            lines.entry(line).or_default().push(row);
        }
        let (left, right) = area.split_horizontally(SIZE.0 * 2 / 3);
        let caption = format!("{model}: items a second");
        if rows.iter().any(|row| row.shape[0] > 1) {
            curves(&left, &caption, &lines)?;
        } else {
            bars(&left, &caption, &lines, true, |row| row.items_a_second)?;
        }
        // The time starts with the bytes of the model.
        bars(&right, "ms until the first answer", &lines, false, |row| row.load_milliseconds + row.first_milliseconds)?;
    }
    root.present()?;
    Ok(())
}

/// Draws items per second over the items in a run.
fn curves(area: &DrawingArea<SVGBackend<'_>, Shift>, caption: &str, lines: &Lines<'_>) -> Result<(), PlotError> {
    let all = || lines.values().flatten();
    let most = all().map(|row| row.items_a_second).fold(1.0, f64::max) * 1.1;
    let batch = all().map(|row| row.shape[0]).max().unwrap_or(1) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..batch + 1.0, 0.0..most)?;
    let whole = |value: &f64| format!("{value:.0}");
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("items in a run")
        .x_label_formatter(&whole)
        .y_label_formatter(&whole)
        .draw()?;
    for (at, (name, rows)) in lines.iter().enumerate() {
        let colour = Palette99::pick(at).to_rgba();
        let points: Vec<(f64, f64)> = rows.iter().map(|row| (row.shape[0] as f64, row.items_a_second)).collect();
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    Ok(())
}

/// Draws a bar for the first row of each line, in the colour of the line.
fn bars(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    caption: &str,
    lines: &Lines<'_>,
    named: bool,
    value: impl Fn(&BenchRow) -> f64,
) -> Result<(), PlotError> {
    let values: Vec<(&String, f64)> =
        lines.iter().filter_map(|(name, rows)| Some((name, value(rows.first()?)))).collect();
    let most = values.iter().map(|(_, value)| *value).fold(1.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..values.len().max(1) as f64, 0.0..most)?;
    let whole = |value: &f64| format!("{value:.0}");
    chart.configure_mesh().disable_x_mesh().light_line_style(WHITE).x_labels(0).y_label_formatter(&whole).draw()?;
    for (at, (name, value)) in values.into_iter().enumerate() {
        let colour = Palette99::pick(at).to_rgba();
        let bar = Rectangle::new([(at as f64 + 0.15, 0.0), (at as f64 + 0.85, value)], colour.filled());
        let drawn = chart.draw_series([bar])?;
        if named {
            drawn.label(name).legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled()));
        }
    }
    if named {
        chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_and_place_is_drawn() {
        let row = |model: &str, provider: &str, batch: usize| BenchRow {
            pack: String::from("open@1"),
            precision: String::from("float"),
            model: model.to_owned(),
            provider: provider.to_owned(),
            threads: 1,
            shape: [batch, 3, 112, 112],
            runs: 5,
            milliseconds: 9.0,
            shortest: 8.0,
            items_a_second: 100.0 * batch as f64,
            load_milliseconds: 80.0,
            first_milliseconds: 12.0,
        };
        let rows = [row("detector", "cpu", 1), row("embedder", "cpu", 1), row("embedder", "cuda", 8)];
        let svg = svg(&rows);
        for part in ["<svg", "detector: items a second", "open@1 float cuda 112x112", "ms until the first answer"] {
            assert!(svg.contains(part), "{part}");
        }
        assert!(self::svg(&[]).contains("<svg"));
    }
}
