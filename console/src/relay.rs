//! `console relay`: passes bytes between standard input and output and the running console, as one
//! connection from this machine. `deploy` runs it in the container where the port is published nowhere.

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use service::cli::{USAGE, fail};
use service::sockets::reachable;

use crate::settings::Settings;

/// Until one side ends: the other one has nobody to talk to then.
pub(crate) fn run() -> ExitCode {
    let settings = match Settings::load(None, std::env::vars_os()) {
        Ok(settings) => settings,
        Err(error) => return fail(USAGE, error),
    };
    let address = reachable(settings.listen);
    match TcpStream::connect(address).and_then(pass) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, format_args!("can't relay to {address}: {error}")),
    }
}

fn pass(stream: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (stream.try_clone()?, stream);
    let (ended, first) = mpsc::channel();
    let done = ended.clone();
    thread::spawn(move || {
        let copied = io::copy(&mut io::stdin().lock(), &mut to).map(drop);
        // The other thread, which waits for more, ends as well.
        let _ = to.shutdown(Shutdown::Both);
        let _ = done.send(copied);
    });
    thread::spawn(move || {
        let _ = ended.send(copy_at_once(&mut from));
    });
    first.recv().map_err(io::Error::other)?
}

/// To standard output, each piece as it comes: an event waits for no line's end.
fn copy_at_once(from: &mut impl io::Read) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        out.write_all(&buffer[..read])?;
        out.flush()?;
    }
}
