//! The waits of an exchange: each moves what can be moved, in both directions, until what it is for is
//! there, and knows whose turn it is meanwhile and for how long.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{net::TcpStream, time::Instant};
use tokio_util::io::poll_read_buf;

use super::{
    Exchange, Interruption,
    error_page::Failure,
    relay::{Download, DownloadError, READ_SIZE, UploadError, poll_read_more},
    watchdog::Expired,
};
use crate::{
    http1::{HeadScanner, head::Side},
    upstream::connection::UpstreamConnection,
    worker::ledger::Turn,
};

/// Most bytes of further requests that are read while a response is awaited.
const MAX_PIPELINED: usize = 64 * 1024;

impl Exchange<'_> {
    /// Waits for the whole body.
    pub(super) async fn take_in(&mut self) -> Result<(), Failure> {
        let Self {
            worker,
            client,
            watchdog,
            buffers,
            upload,
            ..
        } = self;
        let mut moved = true;
        poll_fn(|cx| {
            let received = upload.poll_receive(cx, client, buffers, &mut moved);
            watchdog.account.hold(buffers.footprint());
            if let Poll::Ready(received) = received {
                return Poll::Ready(received.map_err(Failure::of_upload));
            }
            if moved {
                moved = false;
                let limit = worker.settings.read_timeout.min(upload.patience());
                watchdog.arm(Turn::Client, limit);
                watchdog.account.moved(upload.received, Instant::now());
            }
            watchdog.poll_expired(cx).map(|expired| {
                Err(match expired {
                    Expired::Late => Failure::ClientTimeout,
                    Expired::Evicted => Failure::Evicted,
                })
            })
        })
        .await
    }

    /// Sends the request, and waits for a complete response head, whose length is returned.
    pub(super) async fn await_head(
        &mut self,
        connection: &mut UpstreamConnection,
    ) -> Result<usize, Interruption> {
        let mut scanner = HeadScanner::default();
        let mut turn = None;
        let Self {
            worker,
            client,
            watchdog,
            buffers,
            upload,
            request,
            client_ended,
            ..
        } = self;
        let read_timeout = worker.settings.read_timeout;
        poll_fn(|cx| {
            let mut moved = false;
            if !upload.is_over() {
                let upstream = &mut connection.stream;
                match upload.poll(cx, client, upstream, buffers, &mut moved) {
                    // Its response may explain why it takes no more.
                    Poll::Ready(Ok(()) | Err(UploadError::Upstream)) | Poll::Pending => {}
                    Poll::Ready(Err(error)) => {
                        let failure = Failure::of_upload(error);
                        return Poll::Ready(Err(Interruption::Failed(failure)));
                    }
                }
                if upload.is_received()
                    && let Some(slot) = &mut connection.slot
                {
                    slot.completed();
                }
            }
            if let Poll::Ready(head) = poll_head(
                cx,
                &mut connection.stream,
                &mut buffers.upstream_in,
                &mut scanner,
                &mut moved,
            ) {
                return Poll::Ready(head);
            }
            if upload.is_over()
                && !*client_ended
                && let Poll::Ready(ended) = poll_end(cx, client, &mut buffers.client_in)
            {
                match ended {
                    Ok(()) => *client_ended = true,
                    Err(_) => {
                        return Poll::Ready(Err(Interruption::Failed(Failure::ClientGone)));
                    }
                }
            }
            watchdog.account.hold(buffers.footprint());
            let waits_for_client = upload.waits_for_client() && !request.expects_continue;
            let (now, limit) = if waits_for_client {
                (Turn::Client, read_timeout.min(upload.patience()))
            } else {
                (Turn::Upstream, read_timeout)
            };
            if moved || turn != Some(now) {
                turn = Some(now);
                watchdog.arm(now, limit);
                watchdog.account.moved(upload.received, Instant::now());
            }
            watchdog.poll_expired(cx).map(|expired| {
                Err(Interruption::Failed(match expired {
                    Expired::Evicted => Failure::Evicted,
                    Expired::Late if waits_for_client => Failure::ClientTimeout,
                    Expired::Late => Failure::ResponseTimeout,
                }))
            })
        })
        .await
    }

    /// Relays the body of the response until it is received, and what is left of the request's.
    pub(super) async fn relay(
        &mut self,
        connection: &mut UpstreamConnection,
        download: &mut Download,
    ) -> Result<(), Failure> {
        if download.is_received() {
            return Ok(());
        }
        let Self {
            worker,
            client,
            watchdog,
            buffers,
            upload,
            client_ended,
            ..
        } = self;
        let read_timeout = worker.settings.read_timeout;
        let mut moved = true;
        poll_fn(|cx| {
            let upstream = &mut connection.stream;
            if let Poll::Ready(result) = download.poll(cx, upstream, client, buffers, &mut moved) {
                return Poll::Ready(result.map_err(|error| match error {
                    DownloadError::ClientGone => Failure::ClientGone,
                    DownloadError::Upstream => Failure::Broken,
                    DownloadError::Response(error) => Failure::Response(error),
                }));
            }
            if upload.is_over() {
                if !*client_ended
                    && let Poll::Ready(ended) = poll_end(cx, client, &mut buffers.client_in)
                {
                    match ended {
                        Ok(()) => *client_ended = true,
                        Err(_) => return Poll::Ready(Err(Failure::ClientGone)),
                    }
                }
            } else if let Poll::Ready(Err(error)) =
                upload.poll(cx, client, upstream, buffers, &mut moved)
                && error != UploadError::Upstream
            {
                return Poll::Ready(Err(Failure::of_upload(error)));
            }
            watchdog.account.hold(buffers.footprint());
            let waits_for_client = download.waits_for_client();
            if moved {
                moved = false;
                let turn = if waits_for_client {
                    Turn::Client
                } else {
                    Turn::Upstream
                };
                watchdog.arm(turn, read_timeout);
                let total = upload.received + download.sent;
                watchdog.account.moved(total, Instant::now());
            }
            watchdog.poll_expired(cx).map(|expired| {
                Err(match expired {
                    Expired::Evicted => Failure::Evicted,
                    Expired::Late if waits_for_client => Failure::ClientStalled,
                    Expired::Late => Failure::ResponseTimeout,
                })
            })
        })
        .await
    }

    /// Sends what is left of a response that is received.
    pub(super) async fn send_rest(&mut self, download: &mut Download) -> Result<(), Failure> {
        let Self {
            worker,
            client,
            watchdog,
            buffers,
            ..
        } = self;
        let mut moved = true;
        poll_fn(|cx| {
            let sent = download.poll_send(cx, client, &buffers.to_client, &mut moved);
            if let Poll::Ready(sent) = sent {
                return Poll::Ready(sent.map_err(|_| Failure::ClientGone));
            }
            if moved {
                moved = false;
                watchdog.arm(Turn::Client, worker.settings.read_timeout);
                watchdog.account.moved(download.sent, Instant::now());
            }
            watchdog.account.hold(buffers.footprint());
            watchdog.poll_expired(cx).map(|expired| {
                Err(match expired {
                    Expired::Evicted => Failure::Evicted,
                    Expired::Late => Failure::ClientStalled,
                })
            })
        })
        .await
    }
}

/// Reads until a response head is complete.
fn poll_head(
    cx: &mut Context<'_>,
    upstream: &mut TcpStream,
    upstream_in: &mut Vec<u8>,
    scanner: &mut HeadScanner,
    moved: &mut bool,
) -> Poll<Result<usize, Interruption>> {
    loop {
        match scanner.scan(upstream_in, Side::Response) {
            Ok(Some(head_len)) => return Poll::Ready(Ok(head_len)),
            Ok(None) => {}
            Err(error) => {
                return Poll::Ready(Err(Interruption::Failed(Failure::Response(error))));
            }
        }
        match ready!(poll_read_more(upstream, cx, upstream_in, 0)) {
            Ok(1..) => *moved = true,
            Ok(0) | Err(_) => return Poll::Ready(Err(Interruption::Broken)),
        }
    }
}

/// Ready when the client has ended its side of the connection while it waits for a response, or with
/// an error when it has reset it.
///
/// The end of its side is not the end of its interest: it may only have nothing more to ask. Further
/// requests that it sends meanwhile are kept for later, within limits.
fn poll_end(
    cx: &mut Context<'_>,
    client: &mut TcpStream,
    client_in: &mut Vec<u8>,
) -> Poll<io::Result<()>> {
    while client_in.len() < MAX_PIPELINED {
        client_in.reserve(READ_SIZE);
        if ready!(poll_read_buf(Pin::new(&mut *client), cx, client_in))? == 0 {
            return Poll::Ready(Ok(()));
        }
    }
    Poll::Pending
}

impl Failure {
    /// What it is if a request's body doesn't get through.
    const fn of_upload(error: UploadError) -> Self {
        match error {
            UploadError::ClientGone => Self::ClientGone,
            UploadError::Request(error) => Self::Request(error),
            UploadError::Upstream => Self::Broken,
        }
    }
}
