//! Answers of our own.

use std::{future::poll_fn, task::Poll};

use tokio::task::unconstrained;

use super::{
    Exchange, Next,
    error_page::{self, Delivery, Failure},
    transport::Transport,
};
use crate::{
    edge::acme::challenges::WELL_KNOWN,
    http1::{Method, SyntaxError},
    worker::ledger::Turn,
};

impl<'c, T: Transport> Exchange<'c, T> {
    /// Answers OPTIONS as its final recipient (RFC 9110 §7.6.2).
    pub(super) async fn answer_options(&mut self) -> Next {
        self.summary.status = 200;
        let keep = self.may_keep();
        let date = self.worker.date();
        let hsts = self.request.hsts;
        let out = self.download.answer();
        error_page::write_options(out, &self.id, !keep, hsts, date.as_bytes());
        self.send_answer(keep).await
    }

    /// The port of https that the request has to come back to, if it has to.
    pub(super) fn redirect(&self) -> Option<u16> {
        let port = self.worker.settings.redirect_https?;
        // Certificate authorities look for answers without TLS (RFC 8555 §8.3).
        let has_to = !self.request.secure && !self.request.path.starts_with(WELL_KNOWN);
        has_to.then_some(port)
    }

    /// Sends the client to the same place with TLS.
    pub(super) async fn answer_redirect(&mut self, port: u16) -> Result<Next, Failure> {
        // Of HTTP/1.0: there is nowhere to send it.
        let host = self
            .request
            .host
            .ok_or(Failure::Request(SyntaxError::Host))?;
        self.summary.status = 308;
        let keep = self.may_keep();
        let date = self.worker.date();
        let place = (host, port, self.request.path);
        let out = self.download.answer();
        error_page::write_redirect(out, place, &self.id, !keep, date.as_bytes());
        Ok(self.send_answer(keep).await)
    }

    /// Answers with the proof that a name is ours.
    pub(super) async fn answer_proof(&mut self, proof: &[u8]) -> Next {
        self.summary.status = 200;
        let keep = self.may_keep();
        let date = self.worker.date();
        let delivery = self.delivery(!keep, date.as_bytes());
        error_page::write_proof(self.download.answer(), proof, &self.id, delivery);
        self.send_answer(keep).await
    }

    /// Answers with an error page; silently where nobody would read it.
    pub(super) async fn fail(&mut self, failure: Failure) -> Next {
        self.summary.status = failure.status();
        self.summary.failure = Some(failure);
        if failure == Failure::ClientGone {
            return Next::Close;
        }
        if failure == Failure::Evicted {
            // It has to go now: it gets the page if it takes it at once.
            self.write_page(failure, true);
            let (download, client) = (&mut self.download, &mut *self.client.transport);
            let _ = unconstrained(poll_fn(|cx| Poll::Ready(download.poll_send(cx, client)))).await;
            return Next::Drop;
        }
        let malformed = matches!(failure, Failure::Request(_) | Failure::ClientTimeout);
        let keep = self.may_keep() && !malformed;
        self.write_page(failure, !keep);
        self.send_answer(keep).await
    }

    /// Sends an answer of our own, after which the connection is kept or isn't.
    async fn send_answer(&mut self, keep: bool) -> Next {
        match self.send_head().await {
            Ok(()) if keep => Next::KeepAlive,
            Ok(()) => Next::Linger,
            Err(_) => Next::Close,
        }
    }

    /// Whether the client's connection can serve another request after this one.
    pub(super) fn may_keep(&self) -> bool {
        self.request.keep_alive && self.upload.is_received() && !self.worker.drain.has_started()
    }

    fn write_page(&mut self, failure: Failure, close: bool) {
        let date = self.worker.date();
        let delivery = self.delivery(close, date.as_bytes());
        error_page::write(self.download.answer(), failure, &self.id, delivery);
    }

    fn delivery<'a>(&self, close: bool, date: &'a [u8]) -> Delivery<'a>
    where
        'c: 'a,
    {
        Delivery {
            format: self.request.error_format,
            head_only: self.request.method == Method::Head,
            close,
            hsts: self.request.hsts,
            date,
        }
    }

    /// Sends an interim head, or a whole answer.
    pub(super) async fn send_head(&mut self) -> Result<(), Failure> {
        let limit = self.worker.settings.read_timeout;
        let (download, client) = (&mut self.download, &mut self.client);
        let sending = poll_fn(|cx| download.poll_send(cx, client.transport));
        let outcome = client.deadline.within(Turn::Client, limit, sending).await;
        outcome.unwrap_or(Err(Failure::ClientGone))
    }
}
