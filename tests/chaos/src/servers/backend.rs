//! A backend that is faulty.

use std::io;
use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::faults::Manner;

/// Where the API listens.
const PORT: u16 = 9_090;

/// Serves until it is killed.
///
/// # Errors
/// The port can't be bound.
pub(crate) async fn serve(manner: Manner) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    loop {
        // A connection that is gone before it is accepted harms nobody here.
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(mistreat(stream, manner));
        }
    }
}

async fn mistreat(mut stream: TcpStream, manner: Manner) -> io::Result<()> {
    let mut received = vec![0; 64 * 1024];
    if stream.read(&mut received).await? == 0 {
        return Ok(());
    }
    match manner {
        Manner::Silent => loop {
            if stream.read(&mut received).await? == 0 {
                return Ok(());
            }
        },
        Manner::Half => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 66\r\n\r\nRequest information")
                .await?;
            stream.shutdown().await
        }
        // Closing with a linger of no time sends RST instead of FIN.
        Manner::Reset => stream.set_zero_linger(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// So that a server that hangs fails the test rather than holding it up.
    const LIMIT: Duration = Duration::from_secs(5);

    async fn answer(manner: Manner) -> io::Result<Vec<u8>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            mistreat(stream, manner).await
        });
        let mut client = TcpStream::connect(address).await?;
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
        if manner == Manner::Silent {
            client.shutdown().await?;
        }
        let mut received = Vec::new();
        timeout(LIMIT, client.read_to_end(&mut received)).await??;
        Ok(received)
    }

    #[tokio::test]
    async fn each_manner_is_what_it_says() {
        let half = answer(Manner::Half).await.unwrap();
        assert!(half.starts_with(b"HTTP/1.1 200 OK\r\n") && half.ends_with(b"information"));
        assert_eq!(answer(Manner::Silent).await.unwrap(), b"");
        let reset = answer(Manner::Reset).await.unwrap_err();
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
    }
}
