//! Aligned columns.

use super::style::{Style, Tone};

/// A cell: text and what it means.
pub type Cell = (String, Tone);

/// Lines of a table with a heading, columns two spaces apart.
pub fn lines(heading: &[&str], rows: &[Vec<Cell>], style: Style) -> Vec<String> {
    let mut widths: Vec<usize> = heading.iter().map(|title| title.chars().count()).collect();
    for row in rows {
        for (width, (text, _)) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let heading: Vec<Cell> = heading
        .iter()
        .map(|title| ((*title).to_owned(), Tone::Strong))
        .collect();
    std::iter::once(&heading)
        .chain(rows)
        .map(|row| line(row, &widths, style))
        .collect()
}

fn line(row: &[Cell], widths: &[usize], style: Style) -> String {
    let mut text = String::new();
    for (index, ((cell, tone), width)) in row.iter().zip(widths).enumerate() {
        if index > 0 {
            text.push_str("  ");
        }
        text.push_str(&style.paint(*tone, cell));
        // The last column needs no padding: trailing blanks would wrap narrow terminals.
        if index + 1 < row.len() {
            let pad = width.saturating_sub(cell.chars().count());
            text.extend(std::iter::repeat_n(' ', pad));
        }
    }
    text
}
