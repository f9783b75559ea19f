//! A real DNS server on port 53 of a loopback address of the test's own, over UDP and TCP.
//!
//! The proxy finds its name server in `/etc/resolv.conf`, as in a container, so a proxy that is
//! to ask this one runs in a private mount namespace with an `/etc` of its own.
//! Binding port 53 and mounting take root, as the end-to-end suite does.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use testkit::net::loopback;

/// Long, as Docker's embedded DNS has it: a proxy that trusted it would not follow a redeploy.
const TTL_SECONDS: u32 = 600;

/// What the name server says about every name.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Addresses(Vec<IpAddr>),
    NoSuchName,
    ServerFailure,
    Refused,
    Silence,
    Late(Duration, Vec<IpAddr>),
}

/// A question that has come.
struct Question {
    name: String,
    over_tcp: bool,
}

/// What is said to A and to AAAA, and what was asked.
struct State {
    answers: Mutex<[Answer; 2]>,
    questions: Mutex<Vec<Question>>,
}

pub(crate) struct NameServer {
    address: IpAddr,
    state: Arc<State>,
}

impl NameServer {
    pub(crate) fn start(answer: Answer) -> Self {
        Self::start_at(7, answer)
    }

    /// At the `n`th address of this process.
    pub(crate) fn start_at(n: u8, answer: Answer) -> Self {
        let address = loopback(n);
        let needs = "a name server on port 53: this test needs root";
        let udp = UdpSocket::bind(SocketAddr::new(address, 53)).expect(needs);
        let tcp = TcpListener::bind(SocketAddr::new(address, 53)).expect(needs);
        let state = Arc::new(State {
            answers: Mutex::new([answer.clone(), answer]),
            questions: Mutex::default(),
        });
        let (over_udp, over_tcp) = (Arc::clone(&state), Arc::clone(&state));
        thread::spawn(move || serve_udp(&udp, &over_udp));
        thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let state = Arc::clone(&over_tcp);
                thread::spawn(move || serve_tcp(stream, &state));
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    pub(crate) fn set(&self, answer: Answer) {
        *self.state.answers.lock().unwrap() = [answer.clone(), answer];
    }

    /// What to say to A only.
    pub(crate) fn set_a(&self, answer: Answer) {
        self.state.answers.lock().unwrap()[0] = answer;
    }

    /// What to say to AAAA only.
    pub(crate) fn set_aaaa(&self, answer: Answer) {
        self.state.answers.lock().unwrap()[1] = answer;
    }

    /// How many queries have come for `name`.
    pub(crate) fn queries(&self, name: &str) -> usize {
        self.count(|question| question.name == name)
    }

    /// How many queries have come over TCP.
    pub(crate) fn queries_over_tcp(&self) -> usize {
        self.count(|question| question.over_tcp)
    }

    /// How many queries have come.
    pub(crate) fn all_queries(&self) -> usize {
        self.count(|_| true)
    }

    fn count(&self, wanted: impl Fn(&Question) -> bool) -> usize {
        let questions = self.state.questions.lock().unwrap();
        questions.iter().filter(|question| wanted(question)).count()
    }
}

impl State {
    /// The reply to a query, and how long it takes.
    fn reply(&self, query: &[u8], over_tcp: bool) -> Option<(Duration, Vec<u8>)> {
        let query = Message::from_vec(query).ok()?;
        let question = query.queries.first()?;
        let name = question.name().to_utf8();
        self.questions.lock().unwrap().push(Question {
            name: name.trim_end_matches('.').to_owned(),
            over_tcp,
        });
        let family = usize::from(question.query_type() == RecordType::AAAA);
        let answer = self.answers.lock().unwrap()[family].clone();
        let now = |code, addresses: &[IpAddr]| (Duration::ZERO, reply(&query, code, addresses));
        Some(match answer {
            Answer::Silence => return None,
            Answer::Addresses(addresses) => now(ResponseCode::NoError, &addresses),
            Answer::NoSuchName => now(ResponseCode::NXDomain, &[]),
            Answer::ServerFailure => now(ResponseCode::ServFail, &[]),
            Answer::Refused => now(ResponseCode::Refused, &[]),
            Answer::Late(delay, addresses) => {
                (delay, reply(&query, ResponseCode::NoError, &addresses))
            }
        })
    }
}

fn serve_udp(socket: &UdpSocket, state: &State) {
    let mut buffer = [0; 4096];
    while let Ok((count, peer)) = socket.recv_from(&mut buffer) {
        if let Some((delay, reply)) = state.reply(&buffer[..count], false) {
            let socket = socket.try_clone().unwrap();
            thread::spawn(move || {
                thread::sleep(delay);
                let _the_asker_may_be_gone = socket.send_to(&reply, peer);
            });
        }
    }
}

/// Messages behind their lengths (RFC 1035 §4.2.2), until the asker leaves.
fn serve_tcp(mut stream: TcpStream, state: &State) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut query = vec![0; u16::from_be_bytes(length).into()];
        if stream.read_exact(&mut query).is_err() {
            return;
        }
        if let Some((delay, reply)) = state.reply(&query, true) {
            thread::sleep(delay);
            let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
            let _the_asker_may_be_gone = stream.write_all(&[&length[..], &reply].concat());
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
