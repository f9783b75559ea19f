//! Accepting connections: one listening socket per worker, all on the same address.
//!
//! `SO_REUSEPORT` lets the kernel spread connections over the workers. Pingora's own listening
//! service can't be used for that: services that listen on one address share one descriptor, and
//! every worker is woken for every connection. So the sockets are bound here, before anything
//! runs, where a failure can still be reported; pingora runs the [`Acceptor`]s.

use std::{
    future::poll_fn,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use pingora_core::{
    server::{ListenFds, ShutdownWatch},
    services::Service,
};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tracing::warn;

use crate::{connection, worker::Worker};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
/// Pause after an accept that failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds a listening socket. With `shared`, others may listen on the same address too.
pub fn bind(address: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    // Inherited by the accepted sockets. Keep-alive finds peers that vanished without a word.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(Duration::from_secs(60))
            .with_interval(Duration::from_secs(15)),
    )?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A worker's accept loop, as a pingora service with a thread of its own.
pub struct Acceptor {
    name: String,
    worker: Arc<Worker>,
    listener: Option<StdListener>,
}

impl Acceptor {
    /// Accepts on `listener` for `worker`.
    pub fn new(worker: Arc<Worker>, listener: StdListener) -> Self {
        Self {
            name: format!("worker-{}", worker.index),
            worker,
            listener: Some(listener),
        }
    }

    async fn run(&self, listener: StdListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let draining = self.worker.drain.notified(self.worker.index);
        tokio::pin!(draining);
        while !self.worker.drain.has_started() {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.admit(stream, peer),
                    Err(error) if is_about_the_connection(&error) => {}
                    Err(error) => {
                        warn!(%error, "accept failed");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                () = &mut draining => {}
            }
        }
        // Closing the socket would reset those that the kernel has already let in. One that comes
        // between the last look and the close is lost, but for `net.ipv4.tcp_migrate_req`: with that
        // the kernel gives it to another socket on the address, such as a successor's.
        while let Some((stream, peer)) = poll_fn(|cx| match listener.poll_accept(cx) {
            Poll::Ready(Ok(accepted)) => Poll::Ready(Some(accepted)),
            _ => Poll::Ready(None),
        })
        .await
        {
            self.admit(stream, peer);
        }
        Ok(())
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let worker = Arc::clone(&self.worker);
        match self.worker.connections.admit() {
            Some(slot) => tokio::spawn(connection::serve(stream, peer, worker, slot)),
            None => tokio::spawn(connection::turn_away(stream, worker)),
        };
    }
}

/// Errors of a connection that was gone before it was accepted; accept(2) passes them on.
fn is_about_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::Interrupted
    )
}

#[async_trait]
impl Service for Acceptor {
    async fn start_service(&mut self, _: Option<ListenFds>, _: ShutdownWatch, _: usize) {
        let Some(listener) = self.listener.take() else {
            return;
        };
        if let Err(error) = self.run(listener).await {
            tracing::error!(%error, worker = self.name, "worker can't accept connections");
        }
        self.worker.drain.listener_closed();
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}
