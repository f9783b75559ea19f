//! How a service gets into MongoDB.
//!
//! [`MongoSettings`] are read from a service's table of keys, [`MongoUri`] is never shown with a
//! password, and [`Logins`] finds out which of several passwords the server accepts.

mod logins;
mod settings;
mod uri;

pub use logins::Logins;
pub use settings::{MongoSettings, PASSWORD_FILE, URI};
pub use uri::MongoUri;
