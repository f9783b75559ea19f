//! HTTP/1.1 message syntax: heads, body framing and the errors both can have.
//!
//! Nothing in here does I/O. Bytes come in as slices, verdicts go out, so that each rule can be
//! tested on its own and the relay around it stays a matter of moving bytes.

pub(crate) mod chunked;
pub(crate) mod error;
pub(crate) mod field;
pub(crate) mod framing;
pub mod head;

pub use chunked::{ChunkedDecoder, Reframe};
pub use error::SyntaxError;
pub(crate) use field::Field;
pub use framing::BodyLength;
pub use head::{HeadScanner, Method, Version};
