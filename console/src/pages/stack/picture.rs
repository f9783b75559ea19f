//! The picture of the stack: who is there, and what goes from one to the next.
//!
//! It is laid out twice: from left to right, and from top to bottom for narrow windows. The style sheet
//! shows the one that fits.

mod layout;
mod stages;

use crate::pages::stack::words::Told;
use crate::stack::figures::Figures;

/// Everything that is drawn.
pub(crate) struct Picture {
    pub(crate) class: &'static str,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) networks: Vec<Network>,
    pub(crate) wires: Vec<Wire>,
    pub(crate) boxes: Vec<PartBox>,
    pub(crate) labels: Vec<Label>,
}

/// A network: an area with its name.
pub(crate) struct Network {
    pub(crate) name: &'static str,
    pub(crate) class: &'static str,
    pub(crate) area: Area,
    pub(crate) label: (f64, f64),
    pub(crate) anchor: &'static str,
}

#[derive(Clone, Copy)]
pub(crate) struct Area {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// A line along which something goes.
pub(crate) struct Wire {
    pub(crate) path: String,
    pub(crate) class: &'static str,
    /// Thicker where more goes.
    pub(crate) width: String,
    /// How fast its dots move; empty where nothing does.
    pub(crate) flow: &'static str,
}

/// A process.
pub(crate) struct PartBox {
    pub(crate) area: Area,
    pub(crate) name: String,
    /// None of what isn't a part, such as the clients.
    pub(crate) state: Option<Told>,
    pub(crate) lines: Vec<String>,
    /// All that there is to say, for those who point at it.
    pub(crate) title: String,
}

/// A figure beside a line.
pub(crate) struct Label {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) text: String,
    pub(crate) class: &'static str,
    pub(crate) anchor: &'static str,
}

/// From left to right.
pub(crate) fn across(figures: &Figures) -> Picture {
    layout::draw(stages::stages(figures), &layout::Layout::Across)
}

/// From top to bottom.
pub(crate) fn down(figures: &Figures) -> Picture {
    layout::draw(stages::stages(figures), &layout::Layout::Down)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::figures::{Backend, Clients, Database, Part, ReplicaFigures};
    use crate::stack::replica::{Replica, State};

    fn replica(address: &str, state: State) -> ReplicaFigures {
        let replica = Replica::new(format!("{address}:9180").parse().unwrap());
        ReplicaFigures {
            state,
            requests_per_second: (state == State::Ready).then_some(60.0),
            connections: Some(4.0),
            ..ReplicaFigures::of(&replica)
        }
    }

    fn part(replicas: Vec<ReplicaFigures>) -> Part {
        Part {
            replicas,
            ..Part::default()
        }
    }

    fn figures() -> Figures {
        let mut refused = replica("172.18.0.5", State::Away);
        refused.reason = Some("Connection refused by the peer, of all things".to_owned());
        Figures {
            listener: part(vec![replica("172.18.0.2", State::Ready)]),
            proxy: part(vec![
                replica("172.18.0.3", State::Ready),
                replica("172.18.0.4", State::Ready),
            ]),
            api: part(vec![refused, replica("172.18.0.6", State::Ready)]),
            mongo: Database {
                name: Some("mongo:27017".to_owned()),
                state: State::Ready,
                documents: Some(1_234_567),
                up_for_apis: 1,
                ..Database::default()
            },
            clients: Clients {
                requests_per_second: Some(120.0),
                errors_per_second: Some(0.5),
                p50_seconds: Some(0.002),
                ..Clients::default()
            },
            ..Figures::default()
        }
    }

    #[test]
    fn the_picture_says_who_is_there_and_what_goes_from_one_to_the_next() {
        let picture = across(&figures());
        let boxes = picture.boxes.iter().map(|part| {
            let state = part.state.map_or("", |state| state.word);
            format!("{} {state}: {}", part.name, part.lines.join(", "))
        });
        assert_eq!(
            boxes.collect::<Vec<_>>(),
            [
                "clients : – connections",
                "listener running: 172.18.0.2, holds the ports",
                "proxy ready: 172.18.0.3, 60 req/s, 4 open",
                "proxy ready: 172.18.0.4, 60 req/s, 4 open",
                "api no answer: 172.18.0.5, Connection refused by t…, for 0 s",
                "api ready: 172.18.0.6, 60 req/s, – queued",
                "mongo ready: mongo:27017, 1,234,567 documents, up for 1 of 0 APIs",
            ]
        );
        let first: Vec<_> = picture.labels.iter().take(6).collect();
        let texts: Vec<_> = first.iter().map(|label| label.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "120 req/s",
                "p50 2 ms",
                "p99 –",
                "–/s in",
                "–/s out",
                "0.5 errors/s"
            ]
        );
        assert_eq!((first[0].class, first[5].class), ("main", "bad"));
    }

    #[test]
    fn both_layouts_draw_the_same_within_their_bounds() {
        let pictures = [across(&figures()), down(&figures())];
        for picture in &pictures {
            assert_eq!(picture.boxes.len(), 7);
            for Area {
                x,
                y,
                width,
                height,
            } in picture.boxes.iter().map(|part| part.area)
            {
                assert!(x >= 0.0 && y >= 0.0);
                assert!(x + width <= picture.width && y + height <= picture.height);
            }
        }
        let [wide, narrow] = pictures;
        assert!(wide.width > 3.0 * wide.height);
        assert!(narrow.width < 360.0 && narrow.height > narrow.width);
        assert_eq!(wide.wires.len(), narrow.wires.len());
    }

    #[test]
    fn nothing_moves_to_where_nothing_goes() {
        let down_wires = |figures: &Figures| {
            let picture = across(figures);
            let wires = picture.wires.iter().filter(|wire| wire.class == "down");
            assert!(wires.clone().all(|wire| wire.flow.is_empty()));
            wires.count()
        };
        let mut figures = figures();
        // To the API that is away, and from it.
        assert_eq!(down_wires(&figures), 2);
        figures.proxy.replicas[0].backends = vec![Backend {
            address: "172.18.0.6:9090".to_owned(),
            up: false,
            outstanding: 0.0,
        }];
        assert_eq!(down_wires(&figures), 3);
        figures.mongo.state = State::Away;
        assert_eq!(down_wires(&figures), 5);
    }
}
