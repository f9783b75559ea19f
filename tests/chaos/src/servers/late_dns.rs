//! A DNS server that passes each question on to Docker's own, a while later.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

/// Docker's embedded DNS.
const REAL: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 11), 53);
/// Longest wait for the real answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Largest message over UDP, with EDNS.
const MESSAGE: usize = 4_096;

/// Serves until it is killed.
///
/// # Errors
/// The port can't be bound.
pub(crate) async fn serve(port: u16, delay: Duration) -> io::Result<()> {
    let socket = Arc::new(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await?);
    let mut question = vec![0; MESSAGE];
    loop {
        // An error here is an ICMP message about an answer that nobody waited for.
        let Ok((length, client)) = socket.recv_from(&mut question).await else {
            continue;
        };
        let question = question.get(..length).unwrap_or_default().to_vec();
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            sleep(delay).await;
            answer(&socket, client, &question).await
        });
    }
}

async fn answer(socket: &UdpSocket, client: SocketAddr, question: &[u8]) -> io::Result<()> {
    let upstream = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    upstream.connect(REAL).await?;
    upstream.send(question).await?;
    let mut answer = vec![0; MESSAGE];
    let length = timeout(PATIENCE, upstream.recv(&mut answer)).await??;
    let answer = answer.get(..length).unwrap_or_default();
    socket.send_to(answer, client).await.map(drop)
}
