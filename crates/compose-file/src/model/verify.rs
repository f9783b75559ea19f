//! What there is to prove that the rest of the file doesn't say.

use std::collections::BTreeSet;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::Serialize;

use super::{CertificateName, ServiceName};

/// `x-verify`, an extension that other tools skip.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verify {
    /// The services at whose published ports requests come in.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub entry_points: IndexMap<ServiceName, EntryPoint>,
    /// Services that nothing may get out of: an open way is a failure, also where it is the engine that
    /// leaves it open.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub no_way_out: BTreeSet<ServiceName>,
    /// Services whose TCP ports are only for those who use a published one: on networks that they share
    /// with others, nobody can connect.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub only_published: BTreeSet<ServiceName>,
}

impl Verify {
    /// Whether the service's ports are to be closed on the networks that it shares.
    pub fn is_only_published(&self, service: &str) -> bool {
        self.only_published.contains(service)
    }
}

/// Where requests come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntryPoint {
    /// The service's own port that HTTP is spoken at; `None`: at none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Who accepts what comes in at the service's ports, where that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_by: Option<ServiceName>,
    /// Path and query of the request; `{marker}` is where a word comes by which it can be found again.
    pub request: String,
    /// What the request leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
    /// Where the same is done with TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsEntry>,
}

/// Where requests come in with TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TlsEntry {
    /// The service's own port that it is spoken at.
    pub port: u16,
    /// Who has a TLS client.
    pub service: ServiceName,
    /// The client, run in that service's container.
    pub command: Vec<String>,
    /// The certificate, a file on this host, of an authority that is trusted beside the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority: Option<PathBuf>,
    /// The names that certificates of public authorities are for.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "super::certificate::joined"
    )]
    pub names: Vec<CertificateName>,
}

/// What a request leaves in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Document {
    /// The database.
    pub service: ServiceName,
    /// Part of the answer to the request, in which the document's id stands for `{id}`.
    pub answer: String,
    /// What finds the document, run in the database's container.
    pub command: Vec<String>,
}
