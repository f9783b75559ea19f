//! A backend's parser that takes more than it should: one of the many readings that a sequence of
//! bytes has among servers that don't hold to RFC 9112. Where all of them see the same requests,
//! nobody can be made to see another.

/// A way of reading. Each choice is one that servers are known to have made.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "choices that exclude none of the others"
)]
pub(crate) struct Reading {
    line_end: LineEnd,
    names: Names,
    codings: Codings,
    /// Whether `Transfer-Encoding` comes before `Content-Length` where both are there.
    coding_first: bool,
    /// Whether the last of several fields counts, instead of the first.
    last_counts: bool,
    /// Whether a line that begins with a blank continues the one before it.
    folds: bool,
    /// Whether numbers are read up to the first other character, with sign and `0x`.
    loose_numbers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    CrLf,
    /// LF, whatever comes before it.
    Lf,
    /// CR, LF or both.
    Either,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Exact,
    /// Without blanks and control characters around them.
    Trimmed,
    /// That, and `_` is `-`: CGI, WSGI.
    Cgi,
}

/// Which values of `Transfer-Encoding` mean chunked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codings {
    Equal,
    /// `chunked` is among the members of the list.
    Member,
    /// `chunked` is anywhere in it.
    Substring,
}

/// A request as some server would see it; the body is missing where it isn't whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) body: Option<Vec<u8>>,
}

impl Reading {
    /// Every combination.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let line_ends = [LineEnd::CrLf, LineEnd::Lf, LineEnd::Either];
        let names = [Names::Exact, Names::Trimmed, Names::Cgi];
        let codings = [Codings::Equal, Codings::Member, Codings::Substring];
        (0..27 * 16).map(move |n| Self {
            line_end: line_ends[n % 3],
            names: names[n / 3 % 3],
            codings: codings[n / 9 % 3],
            coding_first: n / 27 % 2 == 0,
            last_counts: n / 54 % 2 == 0,
            folds: n / 108 % 2 == 0,
            loose_numbers: n / 216 % 2 == 0,
        })
    }

    /// What a server that reads so sees in everything that came over one connection.
    pub(crate) fn requests(self, mut bytes: &[u8]) -> Vec<Seen> {
        let mut requests = Vec::new();
        while !bytes.is_empty() {
            let mut fields = Vec::new();
            let start = loop {
                // Empty lines before a request are skipped.
                match self.line(&mut bytes) {
                    Some("") if bytes.is_empty() => return requests,
                    Some("") => {}
                    Some(line) => break line.to_owned(),
                    None => return requests,
                }
            };
            let mut words = start.split_whitespace().map(str::to_owned);
            let mut seen = Seen {
                method: words.next().unwrap_or_default(),
                target: words.next().unwrap_or_default(),
                body: None,
            };
            if self.fields(&mut bytes, &mut fields).is_some() {
                seen.body = self.body(&mut bytes, &fields);
            }
            let whole = seen.body.is_some();
            requests.push(seen);
            if !whole {
                break;
            }
        }
        requests
    }

    /// The next line, without its end.
    fn line<'b>(self, bytes: &mut &'b [u8]) -> Option<&'b str> {
        let at = |found: Option<usize>, length| found.map(|at| (at, at + length));
        let lf = bytes.iter().position(|byte| *byte == b'\n');
        let (end, next) = match self.line_end {
            LineEnd::CrLf => at(bytes.windows(2).position(|pair| pair == b"\r\n"), 2),
            LineEnd::Lf => lf.map(|lf| (lf - usize::from(bytes[..lf].ends_with(b"\r")), lf + 1)),
            LineEnd::Either => {
                let end = bytes.iter().position(|byte| b"\r\n".contains(byte));
                let both = end.is_some_and(|end| bytes[end..].starts_with(b"\r\n"));
                at(end, if both { 2 } else { 1 })
            }
        }?;
        let (line, rest) = (&bytes[..end], &bytes[next..]);
        *bytes = rest;
        // Only names and framing matter here, and those are ASCII wherever anyone understands them.
        Some(str::from_utf8(line).unwrap_or("not-utf-8: x"))
    }

    /// Reads the fields up to and with the empty line.
    fn fields(self, bytes: &mut &[u8], fields: &mut Vec<(String, String)>) -> Option<()> {
        loop {
            let line = self.line(bytes)?;
            if line.is_empty() {
                return Some(());
            }
            if self.folds
                && line.starts_with([' ', '\t'])
                && let Some((_, value)) = fields.last_mut()
            {
                value.push_str(line);
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let blank = |c: char| c.is_whitespace() || c.is_control();
            let name = match self.names {
                Names::Exact => name.to_owned(),
                Names::Trimmed => name.trim_matches(blank).to_owned(),
                Names::Cgi => name.trim_matches(blank).replace('_', "-"),
            };
            fields.push((
                name.to_ascii_lowercase(),
                value.trim_matches(blank).to_owned(),
            ));
        }
    }

    fn body(self, bytes: &mut &[u8], fields: &[(String, String)]) -> Option<Vec<u8>> {
        let counting = |wanted: &str| {
            let mut values = fields.iter().filter(|(name, _)| name == wanted);
            let value = if self.last_counts {
                values.next_back()
            } else {
                values.next()
            };
            value.map(|(_, value)| value.to_ascii_lowercase())
        };
        let coding = counting("transfer-encoding").filter(|value| match self.codings {
            Codings::Equal => value == "chunked",
            Codings::Member => value.split(',').any(|member| member.trim() == "chunked"),
            Codings::Substring => value.contains("chunked"),
        });
        let length = counting("content-length");
        match (coding, length) {
            (Some(_), length) if self.coding_first || length.is_none() => self.chunks(bytes),
            (_, Some(length)) => {
                let length = usize::try_from(self.number(&length, 10)?).ok()?;
                let (body, rest) = bytes.split_at_checked(length)?;
                *bytes = rest;
                Some(body.to_vec())
            }
            _ => Some(Vec::new()),
        }
    }

    fn chunks(self, bytes: &mut &[u8]) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line(bytes)?;
            let size = line.split(';').next().unwrap_or_default();
            let size = usize::try_from(self.number(size, 16)?).ok()?;
            if size == 0 {
                self.fields(bytes, &mut Vec::new())?;
                return Some(body);
            }
            let (chunk, rest) = bytes.split_at_checked(size)?;
            body.extend_from_slice(chunk);
            *bytes = rest;
            // Many servers skip a line here without a look at it.
            self.line(bytes)?;
        }
    }

    fn number(self, text: &str, radix: u32) -> Option<u64> {
        if !self.loose_numbers {
            return u64::from_str_radix(text, radix).ok();
        }
        let text = text.trim_start().trim_start_matches(['+', '-']);
        let (text, radix) = text
            .strip_prefix("0x")
            .map_or((text, radix), |hexadecimal| (hexadecimal, 16));
        let digits = text.chars().map_while(|c| c.to_digit(radix));
        Some(digits.fold(0, |sum: u64, digit| {
            // As C does where nobody looks at the overflow.
            sum.wrapping_mul(radix.into()).wrapping_add(digit.into())
        }))
    }
}
