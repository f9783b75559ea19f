//! Handshakes: in pieces, too slow, too many, or none at all.

use super::tls::{Tls, client, failures};
use crate::support::*;
use rustls::{ClientConfig, ClientConnection};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The first message of a client, as it goes over the wire.
fn client_hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let mut session =
        ClientConnection::new(Arc::clone(config), "a.test".try_into().unwrap()).unwrap();
    let mut hello = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut hello).unwrap();
    }
    hello
}

/// Whether the proxy has closed, after whatever it had to say.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut scratch = [0; 4096];
    loop {
        match stream.read(&mut scratch) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn who_is_slow_is_cut_off() {
    let tls = Tls::start(&[("HEADER_TIMEOUT", "500ms")]);
    let address = tls.proxy.tls_address;
    let hello = client_hello(&tls.config());
    let begun = Instant::now();
    let mut silent = TcpStream::connect(address).unwrap();
    // A whole first message, and then nothing.
    let mut half = TcpStream::connect(address).unwrap();
    half.write_all(&hello).unwrap();
    // A byte at a time.
    let mut dripping = TcpStream::connect(address).unwrap();
    for byte in &hello {
        if dripping.write_all(&[*byte]).is_err() || is_closed(&mut dripping) {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert_within(Duration::from_secs(5), begun);
    assert!(begun.elapsed() >= Duration::from_millis(450));
    wait_until("all to be closed", || {
        is_closed(&mut silent) && is_closed(&mut half) && is_closed(&mut dripping)
    });
    wait_until("the failures in the metrics", || {
        failures(&tls.proxy, "timeout") == 3
    });
}

/// However the first message is cut up: into TCP segments, and into records.
#[test]
fn pieces_are_put_together() {
    let tls = Tls::start(&[]);
    let config = tls.config();
    for records in [false, true] {
        let mut session =
            ClientConnection::new(Arc::clone(&config), "a.test".try_into().unwrap()).unwrap();
        let mut hello = Vec::new();
        session.write_tls(&mut hello).unwrap();
        let mut tcp = TcpStream::connect(tls.proxy.tls_address).unwrap();
        tcp.set_nodelay(true).unwrap();
        let pieces: Vec<Vec<u8>> = if records {
            // Each byte of the message in a record of its own.
            let (head, message) = hello.split_at(5);
            let record = |byte: &u8| vec![head[0], head[1], head[2], 0, 1, *byte];
            message.iter().map(record).collect()
        } else {
            hello.iter().map(|byte| vec![*byte]).collect()
        };
        for piece in pieces {
            tcp.write_all(&piece).unwrap();
        }
        let mut stream = rustls::StreamOwned::new(session, tcp);
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        let mut client = RawClient::over(testkit::http::Stream::Tls(Box::new(stream)));
        client.response("GET").unwrap().assert_is(200, "served");
    }
}

#[test]
fn what_is_no_handshake_is_refused_at_once() {
    let tls = Tls::start(&[]);
    let mut huge = vec![22, 3, 1, 0x40, 0];
    // The first message of 16 MiB.
    huge.extend([1, 0xff, 0xff, 0xff]);
    huge.resize(5 + 0x4000, 0);
    let hello = client_hello(&tls.config());
    let mut nonsense = hello.clone();
    nonsense[11..].fill(0xff);
    for (count, (bytes, what)) in [
        (b"\x80\x2e\x01\x03\x01".as_slice(), "SSL 2"),
        (b"\x00\x00\x00\x00", "zeroes"),
        (b"SSH-2.0-x"[3..].as_ref(), "another protocol"),
        (&[22, 9, 9, 0, 5, 1, 2, 3, 4, 5], "an unknown version"),
        (&[22, 3, 1, 0xff, 0xff], "a record too long"),
        (&[23, 3, 3, 0, 1, 0], "data before the handshake"),
        (&huge, "a message too long"),
        (&nonsense, "a message without sense"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut stream = TcpStream::connect(tls.proxy.tls_address).unwrap();
        stream.write_all(bytes).unwrap();
        wait_until(what, || is_closed(&mut stream));
        wait_until(what, || {
            failures(&tls.proxy, "malformed") == i64::try_from(count).unwrap() + 1
        });
    }
    drop(TcpStream::connect(tls.proxy.tls_address).unwrap());
    wait_until("who left", || failures(&tls.proxy, "closed") == 1);
    tls.client().get("/").assert_is(200, "served");
}

#[test]
fn those_that_only_begin_make_room_for_others() {
    let tls = Tls::start(&[("MAX_CONNECTIONS", "16")]);
    let hello = client_hello(&tls.config());
    let mut open = tls.client();
    open.get("/").assert_is(200, "served");
    let mut begun = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(tls.proxy.tls_address).unwrap();
        stream.write_all(&hello).unwrap();
        begun.push(stream);
    }
    wait_until("some to make room", || {
        failures(&tls.proxy, "evicted") >= 40
    });
    for _ in 0..4 {
        tls.client().get("/").assert_is(200, "served");
    }
    assert!(
        begun
            .iter_mut()
            .filter_map(|it| is_closed(it).then_some(()))
            .count()
            >= 40
    );
}

/// Open connections are served between any two steps of a handshake.
#[test]
fn a_flood_of_handshakes_does_not_stop_those_who_are_served() {
    let tls = Tls::start(&[]);
    let config = tls.config();
    let mut open = client(&tls.proxy, &config, "a.test");
    open.get("/");
    let done = Arc::new(AtomicBool::new(false));
    let hello = client_hello(&config);
    let flood: Vec<_> = (0..2)
        .map(|_| {
            let (done, hello) = (Arc::clone(&done), hello.clone());
            let address = tls.proxy.tls_address;
            thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    // Many at a time, each of which costs the proxy a signature.
                    let many: Vec<_> = (0..100)
                        .filter_map(|_| {
                            let mut stream = TcpStream::connect(address).ok()?;
                            stream.write_all(&hello).ok()?;
                            Some(stream)
                        })
                        .collect();
                    drop(many);
                    // As much as the proxy can't do, and no more than leaves others a processor.
                    thread::sleep(Duration::from_millis(50));
                }
            })
        })
        .collect();
    let failed = || ["closed", "evicted", "timeout"].map(|reason| failures(&tls.proxy, reason));
    wait_until("the flood", || failed().iter().sum::<i64>() > 300);
    let begun = Instant::now();
    for _ in 0..100 {
        open.get("/").assert_is(200, "served");
    }
    let took = begun.elapsed();
    done.store(true, Ordering::Relaxed);
    for thread in flood {
        thread.join().unwrap();
    }
    assert!(took < Duration::from_secs(10), "{took:?}");
}
