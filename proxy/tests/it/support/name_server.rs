//! A real DNS server on port 53 of a loopback address of the test's own.
//!
//! The proxy finds its name server in `/etc/resolv.conf`, as in a container, so a proxy that is
//! to ask this one runs in a private mount namespace with a `/etc/resolv.conf` of its own.
//! Binding port 53 and mounting take root, as the end-to-end suite does.

use super::net::loopback;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Long, as Docker's embedded DNS has it: a proxy that trusted it would not follow a redeploy.
const TTL_SECONDS: u32 = 600;

/// What the name server says about every name.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Addresses(Vec<IpAddr>),
    NoSuchName,
    ServerFailure,
    Silence,
    Late(Duration, Vec<IpAddr>),
}

pub(crate) struct NameServer {
    address: IpAddr,
    answer: Arc<Mutex<Answer>>,
    queries: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    pub(crate) fn start(answer: Answer) -> Self {
        let address = loopback(7);
        let socket = UdpSocket::bind(SocketAddr::new(address, 53))
            .expect("a name server on port 53: this test needs root");
        let answer = Arc::new(Mutex::new(answer));
        let queries = Arc::new(Mutex::new(Vec::new()));
        let (current, log) = (Arc::clone(&answer), Arc::clone(&queries));
        thread::spawn(move || serve(&socket, &current, &log));
        Self {
            address,
            answer,
            queries,
        }
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    pub(crate) fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// How many queries have come for `name`.
    pub(crate) fn queries(&self, name: &str) -> usize {
        let queries = self.queries.lock().unwrap();
        queries
            .iter()
            .filter(|asked| asked.trim_end_matches('.') == name)
            .count()
    }
}

fn serve(socket: &UdpSocket, answer: &Mutex<Answer>, log: &Mutex<Vec<String>>) {
    let mut buffer = [0; 4096];
    while let Ok((count, peer)) = socket.recv_from(&mut buffer) {
        let Ok(query) = Message::from_vec(&buffer[..count]) else {
            continue;
        };
        let Some(question) = query.queries.first() else {
            continue;
        };
        log.lock().unwrap().push(question.name().to_utf8());
        match answer.lock().unwrap().clone() {
            Answer::Silence => {}
            Answer::Late(delay, addresses) => {
                let socket = socket.try_clone().unwrap();
                thread::spawn(move || {
                    thread::sleep(delay);
                    let reply = reply(&query, ResponseCode::NoError, &addresses);
                    let _the_asker_may_be_gone = socket.send_to(&reply, peer);
                });
            }
            now => {
                let reply = match now {
                    Answer::Addresses(addresses) => {
                        reply(&query, ResponseCode::NoError, &addresses)
                    }
                    Answer::NoSuchName => reply(&query, ResponseCode::NXDomain, &[]),
                    _ => reply(&query, ResponseCode::ServFail, &[]),
                };
                let _the_asker_may_be_gone = socket.send_to(&reply, peer);
            }
        }
    }
}

fn reply(query: &Message, code: ResponseCode, addresses: &[IpAddr]) -> Vec<u8> {
    let question = &query.queries[0];
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.response_code = code;
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.add_query(question.clone());
    for address in addresses {
        let data = match (question.query_type(), address) {
            (RecordType::A, IpAddr::V4(ip)) => RData::A(A(*ip)),
            (RecordType::AAAA, IpAddr::V6(ip)) => RData::AAAA(AAAA(*ip)),
            _ => continue,
        };
        reply.add_answer(Record::from_rdata(
            question.name().clone(),
            TTL_SECONDS,
            data,
        ));
    }
    reply.to_vec().unwrap()
}
