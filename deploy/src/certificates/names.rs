//! What a generated certificate is for.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use compose_file::model::{CertificateName, Secret};

/// This machine, by each of its names, and what the file says (`x-names`).
pub(super) fn of(certificate: &Secret) -> BTreeSet<CertificateName> {
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let host = rustix::system::uname();
    let host = host
        .nodename()
        .to_str()
        .ok()
        .and_then(CertificateName::parse);
    let mut names = BTreeSet::from(loopback.map(CertificateName::Address));
    names.insert(CertificateName::Dns("localhost".to_owned()));
    names.extend(host);
    names.extend(certificate.names.iter().cloned());
    names
}
