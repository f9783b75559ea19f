//! The waits of an exchange: each moves what can be moved, in both directions, until what it is for is
//! there, and knows whose turn it is meanwhile and for how long.

use std::{future::poll_fn, task::Poll};

use super::{
    Client, Exchange, attempt::Attempt, deadline::Traffic, download::Download, error_page::Failure,
    transport::Transport, upload::Upload,
};
use crate::worker::ledger::Turn;

impl<T: Transport> Exchange<'_, T> {
    /// Waits for the whole body.
    pub(super) async fn take_in(&mut self) -> Result<(), Failure> {
        let read_timeout = self.worker.settings.read_timeout;
        let (upload, download) = (&mut self.upload, &self.download);
        let Client {
            transport,
            deadline,
            ..
        } = &mut self.client;
        let mut wait = deadline.wait();
        poll_fn(|cx| {
            if let Poll::Ready(received) = upload.poll_receive(cx, *transport) {
                return Poll::Ready(received);
            }
            let limit = read_timeout.min(upload.patience());
            wait.poll(cx, Turn::Client, limit, traffic(upload, download))
                .map(|expired| Err(expired.failure(Failure::ClientTimeout)))
        })
        .await
    }

    /// Sends the request, and waits for a complete response head, whose length is returned.
    pub(super) async fn await_head(&mut self, attempt: &mut Attempt) -> Result<usize, Failure> {
        let read_timeout = self.worker.settings.read_timeout;
        let (upload, download) = (&mut self.upload, &mut self.download);
        let Client {
            transport,
            deadline,
            ..
        } = &mut self.client;
        let connection = &mut attempt.connection;
        let mut wait = deadline.wait();
        poll_fn(|cx| {
            if !upload.is_over() {
                let upstream = &mut connection.stream;
                if let Poll::Ready(Err(failure)) = upload.poll(cx, *transport, upstream) {
                    return Poll::Ready(Err(failure));
                }
                if upload.is_received()
                    && let Some(slot) = &mut connection.slot
                {
                    slot.completed();
                }
            }
            if let Poll::Ready(head) = download.poll_head(cx, &mut connection.stream) {
                return Poll::Ready(head);
            }
            upload.check_client(cx, *transport)?;
            let (turn, limit, late) = if upload.waits_for_client() {
                let limit = read_timeout.min(upload.patience());
                (Turn::Client, limit, Failure::ClientTimeout)
            } else {
                (Turn::Upstream, read_timeout, Failure::ResponseTimeout)
            };
            wait.poll(cx, turn, limit, traffic(upload, download))
                .map(|expired| Err(expired.failure(late)))
        })
        .await
    }

    /// Relays the body of the response until it is received, and what is left of the request's.
    pub(super) async fn relay(&mut self, attempt: &mut Attempt) -> Result<(), Failure> {
        if self.download.is_received() {
            return Ok(());
        }
        let read_timeout = self.worker.settings.read_timeout;
        let (upload, download) = (&mut self.upload, &mut self.download);
        let Client {
            transport,
            deadline,
            ..
        } = &mut self.client;
        let upstream = &mut attempt.connection.stream;
        let mut wait = deadline.wait();
        poll_fn(|cx| {
            if let Poll::Ready(received) = download.poll(cx, upstream, *transport) {
                return Poll::Ready(received);
            }
            if upload.is_over() {
                upload.check_client(cx, *transport)?;
            } else if let Poll::Ready(Err(failure)) = upload.poll(cx, *transport, upstream) {
                return Poll::Ready(Err(failure));
            }
            let (turn, late) = if download.waits_for_client() {
                (Turn::Client, Failure::ClientStalled)
            } else {
                (Turn::Upstream, Failure::ResponseTimeout)
            };
            wait.poll(cx, turn, read_timeout, traffic(upload, download))
                .map(|expired| Err(expired.failure(late)))
        })
        .await
    }

    /// Sends what is left of a response that is received.
    pub(super) async fn send_rest(&mut self) -> Result<(), Failure> {
        let read_timeout = self.worker.settings.read_timeout;
        let (upload, download) = (&self.upload, &mut self.download);
        let Client {
            transport,
            deadline,
            ..
        } = &mut self.client;
        let mut wait = deadline.wait();
        poll_fn(|cx| {
            if let Poll::Ready(sent) = download.poll_send(cx, *transport) {
                return Poll::Ready(sent);
            }
            wait.poll(cx, Turn::Client, read_timeout, traffic(upload, download))
                .map(|expired| Err(expired.failure(Failure::ClientStalled)))
        })
        .await
    }
}

fn traffic(upload: &Upload<'_>, download: &Download<'_>) -> Traffic {
    Traffic {
        moved: upload.moved() + download.moved(),
        of_client: upload.received + download.sent(),
        held: upload.footprint() + download.footprint(),
    }
}
