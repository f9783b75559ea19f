//! Where everything is: the stages side by side, and lines with their figures between them.

use super::stages::{Edge, Share, Stage};
use super::{Area, Label, Network, PartBox, Picture, Wire};
use crate::pages::stack::words;

const BOX_HEIGHT: f64 = 96.0;
/// Between boxes of the same part.
const SPACING: f64 = 14.0;
/// Between parts, where figures are written.
const ROOM: f64 = 148.0;
/// Between the listener and the proxies, where there are none.
const NARROW: f64 = 64.0;
/// How far lines run together at either end of it.
const FAN: f64 = 26.0;
/// Around the boxes of a network.
const PAD: f64 = 18.0;

/// Which way it goes. "Along" is the way from the clients to the database, "beside" is across it.
pub(super) enum Layout {
    Across,
    Down,
}

impl Layout {
    /// Places the boxes of a stage that begins `along`: their areas, and how long the stage is.
    fn place(&self, stage: &Stage, along: f64, middle: f64) -> (Vec<Area>, f64) {
        let count = stage.boxes.len();
        match self {
            Self::Across => {
                let height = size(count, BOX_HEIGHT);
                let areas = (0..count).map(|at| Area {
                    x: along,
                    y: middle - height / 2.0 + position(at) * (BOX_HEIGHT + SPACING),
                    width: stage.width,
                    height: BOX_HEIGHT,
                });
                (areas.collect(), stage.width)
            }
            Self::Down => {
                let width = if count == 1 { 184.0 } else { 148.0 };
                let rows = count.div_ceil(2);
                let areas = (0..count).map(|at| {
                    let in_row = if at + 1 == count && count % 2 == 1 {
                        1
                    } else {
                        2
                    };
                    let left = middle - size(in_row, width) / 2.0;
                    Area {
                        x: left + position(at % 2) * (width + SPACING),
                        y: along + position(at / 2) * (BOX_HEIGHT + SPACING),
                        width,
                        height: BOX_HEIGHT,
                    }
                });
                (areas.collect(), size(rows, BOX_HEIGHT))
            }
        }
    }

    /// A point, by how far it is along and beside.
    fn point(&self, along: f64, beside: f64) -> (f64, f64) {
        match self {
            Self::Across => (along, beside),
            Self::Down => (beside, along),
        }
    }

    fn beside(&self, area: &Area) -> f64 {
        match self {
            Self::Across => area.y + area.height / 2.0,
            Self::Down => area.x + area.width / 2.0,
        }
    }

    fn path(&self, from: (f64, f64), to: (f64, f64)) -> String {
        let half = f64::midpoint(from.0, to.0);
        let [(ax, ay), (bx, by), (cx, cy), (dx, dy)] = [
            self.point(from.0, from.1),
            self.point(half, from.1),
            self.point(half, to.1),
            self.point(to.0, to.1),
        ];
        if (from.1 - to.1).abs() < 0.1 {
            format!("M{ax:.1} {ay:.1}L{dx:.1} {dy:.1}")
        } else {
            format!("M{ax:.1} {ay:.1}C{bx:.1} {by:.1} {cx:.1} {cy:.1} {dx:.1} {dy:.1}")
        }
    }

    /// Where the figure of this number is, of those beside a line.
    fn label(&self, number: usize, center: f64, middle: f64) -> (f64, f64, &'static str) {
        let row = position(number);
        match self {
            // Three above the line, the first on top, the others below it.
            Self::Across if number < 3 => (center, middle - 50.0 + 18.0 * row, "middle"),
            Self::Across => (center, middle + 24.0 + 18.0 * (row - 3.0), "middle"),
            Self::Down if number < 3 => (middle - 12.0, center - 14.0 + 18.0 * row, "end"),
            Self::Down => (middle + 12.0, center - 14.0 + 18.0 * (row - 3.0), "start"),
        }
    }
}

fn position(at: usize) -> f64 {
    f64::from(u32::try_from(at).unwrap_or(u32::MAX))
}

/// Of so many boxes beside each other.
fn size(count: usize, each: f64) -> f64 {
    position(count) * (each + SPACING) - SPACING
}

pub(super) fn draw(stages: Vec<Stage>, layout: &Layout) -> Picture {
    let most = stages.iter().map(|stage| stage.boxes.len()).max();
    let (class, middle, mut along) = match layout {
        // Figures are written above and below the lines: there is room for three at least.
        Layout::Across => {
            let height = size(most.unwrap_or(1), BOX_HEIGHT).max(150.0);
            ("across", height / 2.0 + 62.0, 4.0)
        }
        Layout::Down => ("down", 172.0, 2.0),
    };
    let mut picture = Picture {
        class,
        width: 0.0,
        height: 0.0,
        networks: Vec::new(),
        wires: Vec::new(),
        boxes: Vec::new(),
        labels: Vec::new(),
    };
    let (mut public, mut private) = (Vec::new(), Vec::new());
    let mut before: Vec<f64> = Vec::new();
    for stage in stages {
        let begin = along;
        along += stage.edge.as_ref().map_or(0.0, length);
        let (areas, length) = layout.place(&stage, along, middle);
        let beside: Vec<_> = areas.iter().map(|area| layout.beside(area)).collect();
        if let Some(edge) = &stage.edge {
            let gap = Gap {
                layout,
                begin,
                end: along,
                middle,
            };
            gap.connect(&mut picture, edge, &before, &beside);
        }
        along += length;
        before = beside;
        if stage.is_public {
            public.extend(&areas);
        }
        if stage.is_private {
            private.extend(&areas);
        }
        let boxes = stage.boxes.into_iter().zip(areas);
        picture.boxes.extend(boxes.map(|(content, area)| PartBox {
            area,
            state: content.state.map(|state| words::told(&content.name, state)),
            name: content.name,
            lines: content.lines,
            title: content.title,
        }));
    }
    (picture.width, picture.height) = match layout {
        Layout::Across => (along + PAD + 4.0, 2.0 * middle),
        Layout::Down => (2.0 * middle, along + PAD + 32.0),
    };
    picture.networks = networks(layout, &public, &private, picture.width, picture.height);
    picture
}

/// Of the gap that an edge is drawn in.
fn length(edge: &Edge) -> f64 {
    if edge.figures.is_empty() {
        NARROW
    } else {
        ROOM
    }
}

/// The areas of both networks. The APIs are on both: there they overlap.
fn networks(
    layout: &Layout,
    public: &[Area],
    private: &[Area],
    width: f64,
    height: f64,
) -> Vec<Network> {
    let around = |areas: &[Area], inset: f64| {
        let [left, top] = [|area: &Area| area.x, |area: &Area| area.y]
            .map(|edge| areas.iter().map(edge).fold(f64::MAX, f64::min));
        let right = areas
            .iter()
            .map(|area| area.x + area.width)
            .fold(0.0, f64::max);
        let bottom = areas
            .iter()
            .map(|area| area.y + area.height)
            .fold(0.0, f64::max);
        match layout {
            Layout::Across => Area {
                x: left - PAD,
                y: 2.0 + inset,
                width: right - left + 2.0 * PAD,
                height: height - 16.0,
            },
            Layout::Down => Area {
                x: 2.0 + inset,
                y: top - PAD - 12.0,
                width: width - 16.0,
                height: bottom - top + 2.0 * PAD + 24.0,
            },
        }
    };
    let (public, private) = (around(public, 0.0), around(private, 12.0));
    let private_label = match layout {
        Layout::Across => (private.x + private.width - 14.0, private.y + 24.0),
        Layout::Down => (
            private.x + private.width - 14.0,
            private.y + private.height - 10.0,
        ),
    };
    vec![
        Network {
            name: "public-net-1",
            class: "public",
            area: public,
            label: (public.x + 14.0, public.y + 22.0),
            anchor: "start",
        },
        Network {
            name: "private-net-1",
            class: "private",
            area: private,
            label: private_label,
            anchor: "end",
        },
    ]
}

/// Between two stages.
struct Gap<'a> {
    layout: &'a Layout,
    begin: f64,
    end: f64,
    middle: f64,
}

impl Gap<'_> {
    /// Draws what goes from one to the other: lines that run together, and figures beside them. The boxes
    /// of the stages are that far `from` and `to` beside.
    fn connect(&self, picture: &mut Picture, edge: &Edge, from: &[f64], to: &[f64]) {
        let &Self {
            layout,
            begin,
            end,
            middle,
        } = self;
        let mut wire = |path, share: Share| {
            picture.wires.push(Wire {
                path,
                class: if share.is_down {
                    "down"
                } else if edge.figures.is_empty() {
                    "handed"
                } else {
                    ""
                },
                width: format!("{:.1}", thickness(share.rate)),
                flow: if share.is_down { "" } else { flow(share.rate) },
            });
        };
        let share = |shares: &[Share], at: usize| shares.get(at).copied().unwrap_or(edge.all);
        let (join, part) = if edge.figures.is_empty() {
            (begin, begin)
        } else {
            (begin + FAN, end - FAN)
        };
        if join < part {
            for (at, beside) in from.iter().enumerate() {
                let path = layout.path((begin, *beside), (join, middle));
                wire(path, share(&edge.from, at));
            }
            wire(layout.path((join, middle), (part, middle)), edge.all);
        }
        for (at, beside) in to.iter().enumerate() {
            let path = layout.path((part, middle), (end, *beside));
            wire(path, share(&edge.to, at));
        }
        let center = f64::midpoint(begin, end);
        for (at, figure) in edge.figures.iter().enumerate() {
            let (x, y, anchor) = layout.label(at, center, middle);
            picture.labels.push(Label {
                x,
                y,
                text: figure.text.clone(),
                class: match (figure.is_bad, at) {
                    (true, _) => "bad",
                    (false, 0) => "main",
                    _ => "",
                },
                anchor,
            });
        }
    }
}

/// How thick the line is along which so many go each second.
fn thickness(rate: Option<f64>) -> f64 {
    1.5 + (1.0 + rate.unwrap_or(0.0).max(0.0)).log10() * 1.2
}

/// How fast so many each second move.
fn flow(rate: Option<f64>) -> &'static str {
    match rate.unwrap_or(0.0) {
        rate if rate <= 0.0 => "",
        rate if rate < 10.0 => "flow-1",
        rate if rate < 100.0 => "flow-2",
        rate if rate < 1000.0 => "flow-3",
        _ => "flow-4",
    }
}
