//! What runs inside the containers of a lesson: the images have no shell and no
//! tools, so this process is the plain container, the server and the DNS server.

use std::io::Write;
use std::net::Ipv4Addr;

use clap::Args;
use engine::error::{Error, Result};
use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record};
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};

use super::run::READY;
use super::wire::Watch;

/// A client that doesn't finish its request within this many bytes gets its answer anyway.
const REQUEST_LIMIT: usize = 4096;

/// What a guest does until SIGTERM.
#[derive(Debug, Args)]
pub struct GuestOptions {
    /// Answer HTTP on this port; 0 takes a free one
    #[arg(long, value_name = "PORT")]
    http: Option<u16>,
    /// Answer DNS queries on port 53: this name has this address, no other exists
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = record)]
    record: Option<(Name, Ipv4Addr)>,
    /// Print the packets of overlay networks that pass by here, one as JSON on each line
    #[arg(long)]
    watch_overlays: bool,
    /// End when standard input is closed
    #[arg(long)]
    until_stdin_closes: bool,
}

fn record(text: &str) -> Result<(Name, Ipv4Addr), String> {
    let (name, address) = text.split_once('=').ok_or("expected NAME=ADDRESS")?;
    let mut name = Name::from_ascii(name).map_err(|err| format!("name {name:?}: {err}"))?;
    name.set_fqdn(true);
    let address = address
        .parse()
        .map_err(|err| format!("address {address:?}: {err}"))?;
    Ok((name, address))
}

/// Serves until a signal comes or, if so asked, standard input ends.
///
/// # Errors
/// A port that can't be bound.
pub async fn serve(options: &GuestOptions) -> Result<()> {
    let mut ready = READY.to_owned();
    let http = match options.http {
        Some(port) => {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
                .await
                .map_err(|err| unbound("TCP", port, &err))?;
            let port = listener.local_addr().map_or(port, |address| address.port());
            ready = format!("{READY} http={port}");
            Some(listener)
        }
        None => None,
    };
    let dns = match options.record {
        Some(_) => Some(
            UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53))
                .await
                .map_err(|err| unbound("UDP", 53, &err))?,
        ),
        None => None,
    };
    // PID 1 of a container gets no default action for signals, so both are handled.
    let stop = |kind| signal(kind).map_err(|err| unlistenable(&err));
    let (mut terminate, mut interrupt) = (
        stop(SignalKind::terminate())?,
        stop(SignalKind::interrupt())?,
    );
    let watch = options.watch_overlays.then(Watch::open).transpose();
    let watch = watch.map_err(unwatchable)?;
    announce(&ready);
    if let Some(watch) = watch {
        watch.tell(announce);
    }
    tokio::select! {
        () = serve_http(http) => {}
        () = serve_dns(dns, options.record.as_ref()) => {}
        () = standard_input_closed(options.until_stdin_closes) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// The lab waits for these lines; nobody else reads them, so a closed pipe is no error.
fn announce(line: &str) {
    let mut out = std::io::stdout().lock();
    _ = writeln!(out, "{line}");
    _ = out.flush();
}

async fn serve_http(listener: Option<TcpListener>) {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    let greeting = format!("hello from {}\n", hostname());
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_http(stream, greeting.clone()));
        }
    }
}

fn hostname() -> String {
    nix::unistd::gethostname()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

async fn answer_http(mut stream: TcpStream, body: String) {
    let mut request = vec![0; REQUEST_LIMIT];
    let mut filled = 0;
    while let Some(room) = request.get_mut(filled..).filter(|room| !room.is_empty()) {
        match stream.read(room).await {
            Ok(0) | Err(_) => return,
            Ok(count) => filled += count,
        }
        if request.windows(4).any(|window| window == b"\r\n\r\n") {
            break;
        }
    }
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    _ = stream.write_all(answer.as_bytes()).await;
    _ = stream.shutdown().await;
}

async fn serve_dns(socket: Option<UdpSocket>, record: Option<&(Name, Ipv4Addr)>) {
    let (Some(socket), Some(record)) = (socket, record) else {
        return std::future::pending().await;
    };
    let mut datagram = [0; 1232];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut datagram).await else {
            continue;
        };
        let query = datagram.get(..length).unwrap_or_default();
        if let Some(answer) = answer_dns(query, record) {
            _ = socket.send_to(&answer, client).await;
        }
    }
}

/// RFC 1035 §4.1: the question comes back with the one record we have, with
/// nothing (another type of the same name), or with NXDOMAIN.
fn answer_dns(query: &[u8], (name, address): &(Name, Ipv4Addr)) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let mut answer = Message::response(query.metadata.id, OpCode::Query);
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    for question in &query.queries {
        answer.add_query(question.clone());
        if question.name() != name {
            answer.metadata.response_code = ResponseCode::NXDomain;
        } else if question.query_type() == hickory_proto::rr::RecordType::A {
            answer.add_answer(Record::from_rdata(name.clone(), 1, RData::A(A(*address))));
        }
    }
    answer.to_vec().ok()
}

async fn standard_input_closed(asked: bool) {
    if !asked {
        return std::future::pending().await;
    }
    // Whatever comes in means nothing; the end of it does.
    let read = || std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    _ = tokio::task::spawn_blocking(read).await;
}

fn unbound(protocol: &str, port: u16, err: &io::Error) -> Error {
    Error::failed(
        format!("cannot listen on {protocol} port {port}: {err}"),
        "this process serves inside the lab's containers; use `deploy lab run`",
    )
}

fn unwatchable(err: nix::Error) -> Error {
    Error::failed(
        format!("cannot see the network's packets: {err}"),
        "this process watches inside the lab's containers; use `deploy lab run`",
    )
}

fn unlistenable(err: &io::Error) -> Error {
    Error::failed(
        format!("cannot handle signals: {err}"),
        "see the system's limits",
    )
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;
    use hickory_proto::rr::RecordType;

    use super::*;

    fn ask(name: &str, kind: RecordType) -> Message {
        let ours = record("lesson.lab=192.0.2.77").unwrap();
        let mut query = Message::query();
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        let answer = answer_dns(&query.to_vec().unwrap(), &ours).unwrap();
        let answer = Message::from_vec(&answer).unwrap();
        assert_eq!(answer.metadata.id, query.metadata.id);
        answer
    }

    #[test]
    fn its_name_has_its_address() {
        let answer = ask("lesson.lab.", RecordType::A);
        assert_eq!(answer.answers.len(), 1);
        assert_eq!(
            answer.answers[0].data,
            RData::A(A(Ipv4Addr::new(192, 0, 2, 77)))
        );
    }

    #[test]
    fn another_type_is_empty_and_another_name_does_not_exist() {
        let answer = ask("lesson.lab.", RecordType::AAAA);
        assert!(answer.answers.is_empty());
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        let answer = ask("other.lab.", RecordType::A);
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    }

    #[test]
    fn garbage_gets_no_answer() {
        assert_eq!(
            answer_dns(b"\x00\x01garbage", &record("a.b=192.0.2.1").unwrap()),
            None
        );
    }

    #[test]
    fn bad_records_are_explained() {
        assert!(record("lesson.lab").unwrap_err().contains("NAME=ADDRESS"));
        assert!(
            record("lesson.lab=300.1.1.1")
                .unwrap_err()
                .contains("300.1.1.1")
        );
    }
}
