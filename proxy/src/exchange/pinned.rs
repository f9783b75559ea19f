//! Authentication that is bound to a connection.

use crate::upstream::{connection::UpstreamConnection, pool::is_quiet};

/// A client's own connection to a backend. Where a server asks for NTLM or Negotiate, who has logged in
/// is a matter of the connection (RFC 4559 §6): nobody else's request may go over it any more.
#[derive(Default)]
pub enum Pinned {
    /// Requests go over any connection.
    #[default]
    Never,
    /// They go over this one, or over a new one that becomes it.
    To(Option<UpstreamConnection>),
}

impl Pinned {
    /// The connection, if it is still open as far as can be known.
    pub(super) fn take(&mut self) -> Option<UpstreamConnection> {
        let Self::To(connection) = self else {
            return None;
        };
        let mut connection = connection.take()?;
        connection.reused = true;
        is_quiet(&connection.stream).then_some(connection)
    }
}
