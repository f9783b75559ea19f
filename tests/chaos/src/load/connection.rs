//! One client connection. It never sends anything twice: what becomes of a request is recorded as
//! it happened, not as a second attempt would have had it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};

use super::answer;
use super::carrier::{Carrier, Published, Stream};
use super::request::Request;
use crate::ledger::Outcome;

/// A connection for HTTP/1.1 to one of the stack's published ports.
pub(crate) struct Connection {
    pub(crate) carrier: Carrier,
    stream: Pin<Box<dyn Stream>>,
}

impl Connection {
    /// Opens one.
    pub(crate) async fn open(target: Published, carrier: Carrier) -> io::Result<Self> {
        let stream = target.connect(carrier).await?;
        Ok(Self { carrier, stream })
    }

    /// Whether the other side has closed it while it was idle, which every HTTP server may do at
    /// any time. As long as nothing has been sent on it, another connection does as well.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        let mut byte = ReadBuf::new(&mut byte);
        let mut nobody = Context::from_waker(Waker::noop());
        self.stream
            .as_mut()
            .poll_read(&mut nobody, &mut byte)
            .is_ready()
    }

    /// Sends `request` and reads the response. The flag says whether the connection can be used
    /// again.
    pub(crate) async fn exchange(&mut self, request: &Request) -> (Outcome, bool) {
        // An answer may come before the whole body has gone (413, 503); so a failure to send it is
        // not the end, and what can be read decides.
        let sent = self.stream.write_all(&request.encode()).await.is_ok()
            && self.stream.flush().await.is_ok();
        let mut received = Vec::with_capacity(1024);
        let head = loop {
            match answer::head(&received) {
                Ok(Some(head)) => break head,
                Ok(None) => {}
                Err(what) => return (Outcome::Malformed(what), false),
            }
            if !self.more(&mut received).await {
                let outcome = if received.is_empty() {
                    Outcome::Cut
                } else {
                    Outcome::Truncated
                };
                return (outcome, false);
            }
        };
        while received.len() < head.length + head.body {
            if !self.more(&mut received).await {
                return (Outcome::Truncated, false);
            }
        }
        let body = received
            .get(head.length..head.length + head.body)
            .unwrap_or_default();
        let in_step = received.len() == head.length + head.body;
        let reusable = sent && in_step && !head.close && !request.fresh;
        (answer::outcome(request, &head, body), reusable)
    }

    async fn more(&mut self, received: &mut Vec<u8>) -> bool {
        matches!(self.stream.read_buf(received).await, Ok(1..))
    }
}
