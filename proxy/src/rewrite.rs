//! What the proxy does to heads on their way through: design §6, RFC 9110 §7.6.
//!
//! A head is parsed, judged and written to the other side's buffer in one go, straight from the
//! received bytes: no map of headers in between. What later steps need is left in a few plain
//! facts.

pub mod error_format;
pub mod hop;
pub mod request;
pub mod request_id;
pub mod response;
mod target;
pub mod trusted_proxies;
pub mod upstream_token;

use httparse::Header;

use crate::http1::{Field, SyntaxError, field};

/// Our name in `Via`.
pub(crate) const VIA_NAME: &str = "causeway";

/// Appends a field line.
fn push_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Appends a field line with a number.
fn push_number(out: &mut Vec<u8>, name: &str, value: u64) {
    push_field(out, name, itoa::Buffer::new().format(value).as_bytes());
}

/// The connection options of a message (RFC 9110 §7.6.1).
#[derive(Debug, Default, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "any of the options may be there"
)]
struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    /// Whether fields are named that have to be removed.
    nominates: bool,
}

impl ConnectionOptions {
    /// Takes in one `Connection` field.
    ///
    /// A sender can't have fields removed that say where the message ends or where it goes: the
    /// next recipient would see another message than we did.
    fn note(&mut self, value: &[u8]) -> Result<(), SyntaxError> {
        for option in field::list(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                let name = str::from_utf8(option).map_err(|_| SyntaxError::Field)?;
                match Field::of(name) {
                    Field::Host | Field::ContentLength | Field::TransferEncoding => {
                        return Err(SyntaxError::Connection);
                    }
                    // All others are removed or rewritten anyway.
                    field => self.nominates |= field.is_end_to_end() || field == Field::Lookalike,
                }
            }
        }
        Ok(())
    }

    /// Whether the field has to be removed because `Connection` names it.
    fn removes(self, name: &str, fields: &[Header<'_>]) -> bool {
        self.nominates
            && fields
                .iter()
                .filter(|field| Field::of(field.name) == Field::Connection)
                .flat_map(|field| field::list(field.value))
                .any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
    }
}
