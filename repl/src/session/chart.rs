//! `:plot … FILE`: the same drawings as files, by plotters.
//!
//! An SVG leaves its letters to whoever shows it. A PNG has no such help, and a font of the system is not to be relied
//! on, so that its letters are those of an 8 by 8 matrix font.

use super::plot::Chart;
use crate::data::DataError;
use crate::failure::Failure;
use font8x8::UnicodeFonts;
use matex_lang::codes;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind};
use std::fmt::Display;
use std::path::Path;

const SIZE: (u32, u32) = (800, 500);

/// The most cells of a heat map along an axis; what there is no room for is left out evenly.
const CELLS: usize = 200;

/// Whether a word is the name of a file that can be drawn to.
pub(super) fn is_file(word: &str) -> bool {
    ending(word).is_some_and(|e| e.eq_ignore_ascii_case("svg") || e.eq_ignore_ascii_case("png"))
}

fn ending(path: &str) -> Option<&str> {
    Path::new(path).extension()?.to_str()
}

/// Draws to a file, in the format of its ending.
pub(super) fn save(chart: &Chart, path: &str) -> Result<(), Failure> {
    let bytes = if ending(path).is_some_and(|e| e.eq_ignore_ascii_case("svg")) {
        let mut text = String::new();
        draw(SVGBackend::with_string(&mut text, SIZE), chart).map(|()| text.into_bytes())
    } else {
        picture(chart)
    };
    let refused = |why: String| {
        let error = DataError::new(codes::FILE_NOT_WRITTEN, path, why);
        Failure::from(error)
    };
    let bytes = bytes.map_err(|why| refused(format!("cannot draw: {why}")))?;
    std::fs::write(path, bytes).map_err(|e| refused(format!("cannot write: {e}")))
}

fn picture(chart: &Chart) -> Result<Vec<u8>, String> {
    let mut pixels = vec![0; (SIZE.0 * SIZE.1 * 3) as usize];
    draw(Lettered(BitMapBackend::with_buffer(&mut pixels, SIZE)), chart)?;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().map_err(text)?;
    writer.write_image_data(&pixels).map_err(text)?;
    writer.finish().map_err(text)?;
    Ok(file)
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// Ends with a little room, apart even where all values are one.
fn room((min, max): (f64, f64)) -> Result<std::ops::Range<f64>, String> {
    let width = max - min;
    let size = min.abs().max(max.abs());
    if !width.is_finite() || size > 1e300 {
        return Err("its numbers are too far apart".to_owned());
    }
    let more = if width <= size * 1e-9 { if size > 1e-300 { size * 0.1 } else { 1.0 } } else { width * 0.03 };
    Ok(min - more..max + more)
}

fn draw<B: DrawingBackend>(backend: B, chart: &Chart) -> Result<(), String>
where
    B::ErrorType: 'static,
{
    let area = backend.into_drawing_area();
    area.fill(&WHITE).map_err(text)?;
    let (across, up) = chart.ends();
    let (across, up) = (room(across)?, room(up)?);
    let mut on = ChartBuilder::on(&area)
        .margin(15)
        .x_label_area_size(30)
        .y_label_area_size(80)
        .build_cartesian_2d(across, up)
        .map_err(text)?;
    on.configure_mesh().light_line_style(WHITE).draw().map_err(text)?;
    match chart {
        Chart::Line(points) => {
            // What is not finite leaves a gap.
            for piece in points.split(|(_, y)| !y.is_finite()) {
                on.draw_series(LineSeries::new(piece.iter().copied(), BLUE.filled().stroke_width(2)))
                    .map_err(text)?;
            }
        }
        Chart::Points(points) => {
            let finite = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
            on.draw_series(finite.map(|p| Circle::new(*p, 3, BLUE.filled()))).map_err(text)?;
        }
        Chart::Bars { ends: (min, max), counts } => {
            let edge = |i: usize| min + (max - min) * i as f64 / counts.len() as f64;
            let bar = |(i, n): (usize, &usize)| {
                Rectangle::new([(edge(i), 0.0), (edge(i + 1), *n as f64)], BLUE.mix(0.6).filled())
            };
            on.draw_series(counts.iter().enumerate().map(bar)).map_err(text)?;
        }
        Chart::Heat { values, rows, columns, ends } => {
            let (down, wide) = ((*rows).min(CELLS), (*columns).min(CELLS));
            let cells = (0..down).flat_map(|r| (0..wide).map(move |c| (r, c)));
            let cell = |(r, c): (usize, usize)| {
                let v = values.get((r * rows / down) * columns + c * columns / wide);
                let corner = |r: usize, c: usize| {
                    let part = |i: usize, n: usize, all: usize| (i * all) as f64 / n as f64;
                    (part(c, wide, *columns), -part(r, down, *rows))
                };
                Rectangle::new([corner(r, c), corner(r + 1, c + 1)], shade(v.copied(), *ends).filled())
            };
            on.draw_series(cells.map(cell)).map_err(text)?;
        }
    }
    area.present().map_err(text)
}

/// From light for the least to dark for the largest; grey for what is not finite.
fn shade(v: Option<f64>, (min, max): (f64, f64)) -> RGBColor {
    let Some(v) = v.filter(|v| v.is_finite()) else { return RGBColor(200, 200, 200) };
    let part = if max > min { (v - min) / (max - min) } else { 0.5 };
    let mix = |from: f64, to: f64| (from + (to - from) * part) as u8;
    RGBColor(mix(245.0, 20.0), mix(248.0, 50.0), mix(255.0, 120.0))
}

/// A picture with letters.
struct Lettered<'a>(BitMapBackend<'a>);

type Drawn<'a> = Result<(), DrawingErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

impl<'a> DrawingBackend for Lettered<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Drawn<'a> {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Drawn<'a> {
        self.0.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn<'a> {
        self.0.draw_pixel(point, color)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn<'a> {
        self.0.draw_rect(upper_left, bottom_right, style, fill)
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        _: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Self::ErrorType>> {
        Ok((8 * text.chars().count() as u32, 8))
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn<'a> {
        let (width, height) = self.estimate_text_size(text, style)?;
        let anchor = style.anchor();
        let left = match anchor.h_pos {
            HPos::Left => at.0,
            HPos::Center => at.0 - width as i32 / 2,
            HPos::Right => at.0 - width as i32,
        };
        let top = match anchor.v_pos {
            VPos::Top => at.1,
            VPos::Center => at.1 - height as i32 / 2,
            VPos::Bottom => at.1 - height as i32,
        };
        for (i, letter) in text.chars().enumerate() {
            let rows = font8x8::BASIC_FONTS.get(letter).unwrap_or_default();
            for (y, row) in rows.iter().enumerate() {
                for x in (0..8).filter(|x| row >> x & 1 == 1) {
                    let point = (left + (8 * i + x) as i32, top + y as i32);
                    self.0.draw_pixel(point, style.color())?;
                }
            }
        }
        Ok(())
    }
}
