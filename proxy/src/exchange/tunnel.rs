//! After a 101: bytes in both directions until both ends have closed theirs.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    body::Outgoing,
    deadline::{Deadline, Traffic},
    transport::{Transport, poll_read_more},
};
use crate::worker::ledger::Turn;

struct Direction<'a, 'b> {
    outgoing: &'a mut Outgoing<'b>,
    read: u64,
    source_ended: bool,
    done: bool,
}

/// Tunnels until both ends have closed, one fails, or nothing moved for `limit`. What `up` and `down`
/// hold is sent first.
pub(crate) async fn run(
    client: &mut impl Transport,
    upstream: &mut TcpStream,
    up: &mut Outgoing<'_>,
    down: &mut Outgoing<'_>,
    deadline: &mut Deadline,
    limit: Duration,
) {
    let (mut up, mut down) = (Direction::new(up), Direction::new(down));
    let mut wait = deadline.wait();
    poll_fn(|cx| {
        let upward = up.poll(cx, client, upstream);
        let downward = down.poll(cx, upstream, client);
        let failed =
            matches!(upward, Poll::Ready(Err(()))) || matches!(downward, Poll::Ready(Err(())));
        if failed || (upward.is_ready() && downward.is_ready()) {
            return Poll::Ready(());
        }
        let sent = up.outgoing.sent() + down.outgoing.sent();
        let traffic = Traffic {
            moved: up.read + down.read + sent,
            of_client: sent,
            held: up.outgoing.buffer.capacity() + down.outgoing.buffer.capacity() + client.held(),
        };
        wait.poll(cx, Turn::Client, limit, traffic).map(drop)
    })
    .await;
}

impl<'a, 'b> Direction<'a, 'b> {
    const fn new(outgoing: &'a mut Outgoing<'b>) -> Self {
        Self {
            outgoing,
            read: 0,
            source_ended: false,
            done: false,
        }
    }

    /// Moves what can be moved; ready when the source has ended and the sink was told so.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut (impl AsyncRead + Unpin),
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), ()>> {
        while !self.done {
            ready!(self.outgoing.poll(cx, sink)).map_err(drop)?;
            self.outgoing.clear();
            if self.source_ended {
                // The other direction may go on.
                ready!(Pin::new(&mut *sink).poll_shutdown(cx)).map_err(drop)?;
                self.done = true;
                break;
            }
            match ready!(poll_read_more(source, cx, self.outgoing.buffer, 0)).map_err(drop)? {
                0 => self.source_ended = true,
                size => self.read += size as u64,
            }
        }
        Poll::Ready(Ok(()))
    }
}
