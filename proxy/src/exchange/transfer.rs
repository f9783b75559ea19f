//! The waits of an exchange: each moves what can be moved, in both directions, until what it is for is
//! there, and knows whose turn it is meanwhile and for how long.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    Exchange,
    attempt::Attempt,
    deadline::{Traffic, Wait},
    download::Download,
    error_page::Failure,
    transport::Transport,
    upload::Upload,
};
use crate::worker::ledger::Turn;

/// What moves during a wait.
struct Moving<'e, 'c, T> {
    client: &'e mut T,
    upload: &'e mut Upload<'c>,
    download: &'e mut Download<'c>,
    wait: Wait<'e>,
    read_timeout: Duration,
}

impl<T: Transport> Moving<'_, '_, T> {
    /// Ready when it has been somebody's `turn` for too long.
    fn poll_expired(
        &mut self,
        cx: &mut Context<'_>,
        turn: Turn,
        limit: Duration,
        late: Failure,
    ) -> Poll<Failure> {
        let traffic = Traffic {
            moved: self.upload.moved() + self.download.moved(),
            of_client: self.upload.received + self.download.sent(),
            held: self.upload.footprint() + self.download.footprint() + self.client.held(),
        };
        let expired = self.wait.poll(cx, turn, limit, traffic);
        expired.map(|expired| expired.failure(late))
    }

    /// How long the client may take to go on with its request.
    fn patience(&self) -> Duration {
        self.read_timeout.min(self.upload.patience())
    }
}

impl<'c, T: Transport> Exchange<'c, T> {
    fn moving(&mut self) -> Moving<'_, 'c, T> {
        Moving {
            client: &mut *self.client.transport,
            upload: &mut self.upload,
            download: &mut self.download,
            wait: self.client.deadline.wait(),
            read_timeout: self.worker.settings.read_timeout,
        }
    }

    /// Waits for the whole body.
    pub(super) async fn take_in(&mut self) -> Result<(), Failure> {
        let mut moving = self.moving();
        poll_fn(|cx| {
            if let Poll::Ready(received) = moving.upload.poll_receive(cx, moving.client) {
                return Poll::Ready(received);
            }
            let (limit, late) = (moving.patience(), Failure::ClientTimeout);
            let expired = moving.poll_expired(cx, Turn::Client, limit, late);
            expired.map(Err)
        })
        .await
    }

    /// Sends the request, and waits for a complete response head, whose length is returned.
    pub(super) async fn await_head(&mut self, attempt: &mut Attempt) -> Result<usize, Failure> {
        let connection = &mut attempt.connection;
        let mut moving = self.moving();
        poll_fn(|cx| {
            let upstream = &mut connection.stream;
            let (client, upload) = (&mut *moving.client, &mut *moving.upload);
            if !upload.is_over() {
                if let Poll::Ready(Err(failure)) = upload.poll(cx, client, upstream) {
                    return Poll::Ready(Err(failure));
                }
                if upload.is_received()
                    && let Some(slot) = &mut connection.slot
                {
                    slot.completed();
                }
            }
            if let Poll::Ready(head) = moving.download.poll_head(cx, upstream) {
                return Poll::Ready(head);
            }
            upload.check_client(cx, client)?;
            let (turn, limit, late) = if upload.waits_for_client() {
                (Turn::Client, moving.patience(), Failure::ClientTimeout)
            } else {
                let limit = moving.read_timeout;
                (Turn::Upstream, limit, Failure::ResponseTimeout)
            };
            moving.poll_expired(cx, turn, limit, late).map(Err)
        })
        .await
    }

    /// Relays the body of the response until it is received, and what is left of the request's.
    pub(super) async fn relay(&mut self, attempt: &mut Attempt) -> Result<(), Failure> {
        if self.download.is_received() {
            return Ok(());
        }
        let upstream = &mut attempt.connection.stream;
        let mut moving = self.moving();
        moving.client.limit_unacknowledged(moving.read_timeout);
        poll_fn(|cx| {
            let (client, upload) = (&mut *moving.client, &mut *moving.upload);
            if let Poll::Ready(received) = moving.download.poll(cx, upstream, client) {
                return Poll::Ready(received);
            }
            if upload.is_over() {
                upload.check_client(cx, client)?;
            } else if let Poll::Ready(Err(failure)) = upload.poll(cx, client, upstream) {
                return Poll::Ready(Err(failure));
            }
            let (turn, late) = if moving.download.waits_for_client() {
                (Turn::Client, Failure::ClientStalled)
            } else {
                (Turn::Upstream, Failure::ResponseTimeout)
            };
            let limit = moving.read_timeout;
            moving.poll_expired(cx, turn, limit, late).map(Err)
        })
        .await
    }

    /// Sends what is left of a response that is received.
    pub(super) async fn send_rest(&mut self) -> Result<(), Failure> {
        let mut moving = self.moving();
        poll_fn(|cx| {
            if let Poll::Ready(sent) = moving.download.poll_send(cx, moving.client) {
                return Poll::Ready(sent);
            }
            let (limit, late) = (moving.read_timeout, Failure::ClientStalled);
            let expired = moving.poll_expired(cx, Turn::Client, limit, late);
            expired.map(Err)
        })
        .await
    }
}
