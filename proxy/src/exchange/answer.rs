//! Answers of our own.

use tokio::io::AsyncWriteExt;

use super::{
    Exchange, Next,
    error_page::{self, Delivery, Failure},
};
use crate::{http1::Method, worker::ledger::Turn};

impl Exchange<'_> {
    /// Answers OPTIONS as its final recipient (RFC 9110 §7.6.2).
    pub(super) async fn answer_options(&mut self) -> Next {
        self.report.status = 200;
        let keep = self.may_keep();
        let date = self.worker.date();
        self.buffers.to_client.clear();
        let out = &mut self.buffers.to_client;
        error_page::write_options(out, &self.id, !keep, date.as_bytes());
        self.send_answer(keep).await
    }

    /// Answers with an error page; silently where nobody would read it.
    pub(super) async fn fail(&mut self, failure: Failure) -> Next {
        self.report.status = failure.status();
        self.report.failure = Some(failure);
        if failure == Failure::ClientGone {
            return Next::Close;
        }
        if failure == Failure::Evicted {
            // It has to go now: it gets the page if it takes it at once.
            self.write_page(failure, true);
            if let Ok(sent) = self.client.try_write(&self.buffers.to_client) {
                self.report.sent += sent as u64;
            }
            return Next::Drop;
        }
        let malformed = matches!(failure, Failure::Request(_) | Failure::ClientTimeout);
        let keep = self.may_keep() && !malformed;
        self.write_page(failure, !keep);
        self.send_answer(keep).await
    }

    /// Sends an answer of our own, after which the connection is kept or isn't.
    async fn send_answer(&mut self, keep: bool) -> Next {
        match self.send_to_client().await {
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
        let delivery = Delivery {
            format: self.request.error_format,
            head_only: self.request.method == Method::Head,
            close,
            date: date.as_bytes(),
        };
        self.buffers.to_client.clear();
        error_page::write(&mut self.buffers.to_client, failure, &self.id, delivery);
    }

    /// Writes all of `to_client`.
    pub(super) async fn send_to_client(&mut self) -> Result<(), Failure> {
        let limit = self.worker.settings.read_timeout;
        self.watchdog.arm(Turn::Client, limit);
        let send = self.client.write_all(&self.buffers.to_client);
        match self.watchdog.guard(send).await {
            Ok(Ok(())) => {
                self.report.sent += self.buffers.to_client.len() as u64;
                Ok(())
            }
            _ => Err(Failure::ClientGone),
        }
    }
}
