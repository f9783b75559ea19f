//! A way to the database that the network hasn't got: the engine's host can't reach it, as it should
//! be. Connections are opened from within the database's own network namespace.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream as StdStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// A port of this machine that leads to one of a container's loopback interface, until dropped.
#[derive(Debug)]
pub(crate) struct Passage {
    /// Where it begins.
    pub(crate) address: SocketAddr,
    _relay: JoinSet<()>,
}

impl Passage {
    /// To `port` in the network namespace of the process that has this folder in `/proc`.
    ///
    /// # Errors
    /// When the namespace can't be opened: it takes root, and a process that runs.
    pub(crate) async fn to(process: &Path, port: u16) -> io::Result<Self> {
        let namespace = Arc::new(File::open(process.join("ns/net"))?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut relay = JoinSet::new();
        relay.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let namespace = Arc::clone(&namespace);
                connections.spawn(async move {
                    // Whoever connects sees what becomes of it: its connection ends.
                    if let Ok(mut far) = connect(namespace, port).await {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self {
            address,
            _relay: relay,
        })
    }
}

/// Connects on a thread of its own, which moves into the namespace for good; a socket stays in the
/// one that it was made in.
async fn connect(namespace: Arc<File>, port: u16) -> io::Result<TcpStream> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || {
        let network = Some(LinkNameSpaceType::Network);
        let connected = move_into_link_name_space(namespace.as_fd(), network)
            .map_err(io::Error::from)
            .and_then(|()| StdStream::connect((Ipv4Addr::LOCALHOST, port)));
        // Nobody waits any more if this fails.
        let _ = tell.send(connected);
    });
    let stream = told.await.map_err(io::Error::other)??;
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}
