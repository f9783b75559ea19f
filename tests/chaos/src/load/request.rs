//! The requests of the load: each bears a token of its own, and everything about it follows from
//! the token and the seed.

use std::fmt::Write;

use super::carrier::Carrier;
use crate::seed::Dice;

/// The field that bears the token, as the API stores its name.
pub(crate) const TOKEN: &str = "X-Chaos-Token";

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Stored by the API: `GET /`, with the token in the query.
    Get,
    /// Stored by the API, with a body.
    Post,
    /// As `Post`: another method that a proxy may be wary of repeating.
    Put,
    /// Only read: `/hello`, which pings the database.
    Hello,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Tells it from every other request of every run.
    pub(crate) token: String,
    /// What it is for.
    pub(crate) kind: Kind,
    /// Length of the body.
    pub(crate) length: usize,
    /// Whether it gets a connection of its own, closed afterwards.
    pub(crate) fresh: bool,
    pub(crate) carrier: Carrier,
}

impl Request {
    /// Whether the API stores it.
    pub(crate) const fn is_write(&self) -> bool {
        !matches!(self.kind, Kind::Hello)
    }

    /// As it stands in the document.
    pub(crate) const fn method(&self) -> &'static str {
        match self.kind {
            Kind::Get | Kind::Hello => "GET",
            Kind::Post => "POST",
            Kind::Put => "PUT",
        }
    }

    /// Path and query.
    pub(crate) fn target(&self) -> String {
        match self.kind {
            Kind::Hello => "/hello".to_owned(),
            _ => format!("/?chaos={}", self.token),
        }
    }

    /// The token, repeated until the body is as long as it should be: a body that ends early, or is
    /// mixed up with another one, shows.
    pub(crate) fn body(&self) -> String {
        self.token.chars().cycle().take(self.length).collect()
    }

    /// The bytes to send.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let body = self.body();
        let mut text = format!(
            "{} {} HTTP/1.1\r\nHost: chaos.test\r\n{TOKEN}: {}\r\n",
            self.method(),
            self.target(),
            self.token
        );
        if self.fresh {
            text.push_str("Connection: close\r\n");
        }
        // Writing to a string can't fail.
        _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
        text.into_bytes()
    }
}

#[cfg(test)]
impl Request {
    pub(crate) fn over_tcp(token: &str, kind: Kind, length: usize) -> Self {
        Self {
            token: token.to_owned(),
            kind,
            length,
            fresh: false,
            carrier: Carrier::Plain,
        }
    }
}

/// Draws the requests of one round.
#[derive(Debug)]
pub(crate) struct Mix {
    dice: Dice,
    prefix: String,
    drawn: u64,
}

impl Mix {
    /// Tokens begin with `prefix`.
    pub(crate) fn new(seed: u64, fault: &str, prefix: String) -> Self {
        Self {
            dice: Dice::new(seed, &format!("load of {fault}")),
            prefix,
            drawn: 0,
        }
    }

    /// Of ten requests, eight are stored and two only read; three get a new connection. Of four, two
    /// go over TCP, one over TLS, and one over HTTP/2.
    pub(crate) fn draw(&mut self) -> Request {
        let (kind, longest) = match self.dice.below(10) {
            0..=4 => (Kind::Post, 2048),
            5 => (Kind::Put, 2048),
            6..=7 => (Kind::Get, 1),
            _ => (Kind::Hello, 1),
        };
        let length = usize::try_from(self.dice.below(longest)).unwrap_or(0);
        let fresh = self.dice.below(10) < 3;
        let carrier = match self.dice.below(4) {
            0..=1 => Carrier::Plain,
            2 => Carrier::Tls,
            _ => Carrier::Http2,
        };
        self.numbered(kind, length, fresh, carrier)
    }

    /// A `POST` of a given length, on a new connection.
    pub(crate) fn post(&mut self, length: usize) -> Request {
        self.numbered(Kind::Post, length, true, Carrier::Plain)
    }

    fn numbered(&mut self, kind: Kind, length: usize, fresh: bool, carrier: Carrier) -> Request {
        self.drawn += 1;
        Request {
            token: format!("{}{}", self.prefix, self.drawn),
            kind,
            length,
            fresh,
            carrier,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_requests() {
        let draw = |seed| {
            let mut mix = Mix::new(seed, "kill-api", "run-".to_owned());
            (0..200).map(|_| mix.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let tokens: BTreeSet<String> = draw(1).into_iter().map(|it| it.token).collect();
        assert_eq!(tokens.len(), 200);
    }

    #[test]
    fn a_request_is_framed_by_its_length() {
        let request = Request {
            fresh: true,
            ..Request::over_tcp("t1", Kind::Post, 5)
        };
        let text = String::from_utf8(request.encode()).unwrap();
        assert_eq!(
            text,
            "POST /?chaos=t1 HTTP/1.1\r\nHost: chaos.test\r\nX-Chaos-Token: t1\r\n\
             Connection: close\r\nContent-Length: 5\r\n\r\nt1t1t"
        );
    }
}
