//! Where requests are sent to.

use hyper::Uri;
use hyper::header::HeaderValue;

/// `http://HOST[:PORT]`.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// What `Host` says.
    pub(super) authority: HeaderValue,
    /// As it was given.
    pub(super) url: String,
}

/// Reads it from the command line.
pub(crate) fn target(text: &str) -> Result<Target, String> {
    let expected = "expected http://HOST or http://HOST:PORT: paths are those that were recorded";
    let uri: Uri = text.parse().map_err(|_| expected)?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            return Err(
                "deploy has no TLS: give it a forwarder that has, such as `socat \
                 TCP-LISTEN:8000,fork,reuseaddr,bind=127.0.0.1 OPENSSL:HOST:443` (docs/replay.md)"
                    .to_owned(),
            );
        }
        _ => return Err(expected.to_owned()),
    }
    let authority = uri.authority().ok_or(expected)?.as_str();
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.contains('@') {
        return Err(expected.to_owned());
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or(expected)?;
    Ok(Target {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: uri.port_u16().unwrap_or(80),
        authority: authority.parse().map_err(|_| expected)?,
        url: format!("http://{authority}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (text, host, port, authority) in [
            ("http://localhost:8080", "localhost", 8080, "localhost:8080"),
            ("http://a.test/", "a.test", 80, "a.test"),
            ("http://[::1]:81", "::1", 81, "[::1]:81"),
        ] {
            let target = target(text).unwrap();
            assert_eq!((target.host.as_str(), target.port), (host, port));
            assert_eq!(target.authority, authority);
        }
        for text in [
            "localhost",
            "http://",
            "http://a/b",
            "http://a?b",
            "http://u@a",
            "ftp://a",
        ] {
            let said = target(text).unwrap_err();
            assert!(said.starts_with("expected http://HOST"), "{text}: {said}");
        }
        assert!(target("https://a").unwrap_err().contains("TLS"));
    }
}
