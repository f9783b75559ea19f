//! After a 101: bytes in both directions until both ends have closed theirs.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{io::AsyncWrite, net::TcpStream, time::Instant};

use super::{relay::poll_read_more, watchdog::Watchdog};
use crate::worker::ledger::Turn;

/// How many bytes went through.
#[derive(Debug, Clone, Copy)]
pub struct Moved {
    /// From the client to the upstream.
    pub from_client: u64,
    /// From the upstream to the client, the 101 included.
    pub to_client: u64,
}

/// One direction.
#[derive(Debug, Default)]
struct Direction {
    /// End of what was written of the buffer.
    written: usize,
    total: u64,
    source_ended: bool,
    done: bool,
}

/// The two connections.
#[derive(Debug)]
pub struct Ends<'a> {
    /// To the client.
    pub client: &'a mut TcpStream,
    /// To the upstream.
    pub upstream: &'a mut TcpStream,
}

/// Tunnels until both ends have closed, one fails, or nothing moved for `limit`.
///
/// The buffers hold what is to be sent first: what followed the request's head, and the 101 with
/// what followed that.
pub async fn run(
    ends: Ends<'_>,
    to_upstream: &mut Vec<u8>,
    to_client: &mut Vec<u8>,
    watchdog: &mut Watchdog,
    limit: Duration,
) -> Moved {
    let Ends { client, upstream } = ends;
    let (mut up, mut down) = (Direction::default(), Direction::default());
    watchdog.arm(Turn::Client, limit);
    poll_fn(|cx| {
        let mut moved = false;
        let upward = up.poll(cx, client, upstream, to_upstream, &mut moved);
        let downward = down.poll(cx, upstream, client, to_client, &mut moved);
        let failed =
            matches!(upward, Poll::Ready(Err(()))) || matches!(downward, Poll::Ready(Err(())));
        if failed || (upward.is_ready() && downward.is_ready()) {
            return Poll::Ready(());
        }
        watchdog
            .account
            .hold(to_upstream.capacity() + to_client.capacity());
        if moved {
            watchdog.arm(Turn::Client, limit);
            watchdog
                .account
                .moved(up.total + down.total, Instant::now());
        }
        watchdog.poll_expired(cx).map(drop)
    })
    .await;
    Moved {
        from_client: up.total,
        to_client: down.total,
    }
}

impl Direction {
    /// Moves what can be moved; ready when the source has ended and the sink was told so.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut TcpStream,
        sink: &mut TcpStream,
        buffer: &mut Vec<u8>,
        moved: &mut bool,
    ) -> Poll<Result<(), ()>> {
        while !self.done {
            while self.written < buffer.len() {
                match ready!(Pin::new(&mut *sink).poll_write(cx, &buffer[self.written..])) {
                    Ok(sent @ 1..) => {
                        self.written += sent;
                        self.total += sent as u64;
                        *moved = true;
                    }
                    Ok(0) | Err(_) => return Poll::Ready(Err(())),
                }
            }
            buffer.clear();
            self.written = 0;
            if self.source_ended {
                // The other direction may go on.
                if ready!(Pin::new(&mut *sink).poll_shutdown(cx)).is_err() {
                    return Poll::Ready(Err(()));
                }
                self.done = true;
                break;
            }
            match ready!(poll_read_more(source, cx, buffer, 0)) {
                Ok(1..) => *moved = true,
                Ok(0) => self.source_ended = true,
                Err(_) => return Poll::Ready(Err(())),
            }
        }
        Poll::Ready(Ok(()))
    }
}
