//! Which network namespace a process is in, so that two processes can find out whether they share one.

use std::fs;
use std::io;

/// Whether this process is in the namespace that somebody else read as theirs; `None`: it can't be
/// told.
pub fn is_current(theirs: Option<&str>) -> Option<bool> {
    Some(theirs? == current().ok()?)
}

/// The boot of the kernel and the number of the namespace, which is unique within it
/// (`network_namespaces(7)`): `<uuid>/net:[4026531840]`. Two processes that read the same are in one
/// network namespace.
///
/// # Errors
/// Where there is no `/proc` of Linux.
pub fn current() -> io::Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let namespace = fs::read_link("/proc/self/ns/net")?;
    Ok(format!("{}/{}", boot.trim(), namespace.display()))
}
