//! Which environment variables are settings.
//!
//! Every variable with a service's prefix is a setting, and an unknown one is an error. But Kubernetes
//! and Docker's links describe other services in variables that begin with those services' names: a
//! service called `proxy` puts `PROXY_SERVICE_HOST` and `PROXY_PORT=tcp://10.0.0.1:80` into every
//! container beside it.

/// Whether a variable describes a service, as Kubernetes ("Service environment variables") and
/// Docker's links ("Legacy container links") have it, rather than being a setting.
///
/// `name` is what follows the prefix: `PORT_80_TCP_ADDR` of `PROXY_PORT_80_TCP_ADDR`. Services whose
/// names only begin alike count, too: `ADMIN_SERVICE_HOST` of `PROXY_ADMIN_SERVICE_HOST`.
pub(crate) fn describes_a_service(name: &str, value: &str) -> bool {
    let words: Vec<&str> = name.split('_').collect();
    let is_url = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    words[0] == "ENV"
        || (0..words.len()).any(|start| match words[start..] {
            ["SERVICE", "HOST"] | ["SERVICE", "PORT", ..] => true,
            ["PORT"] => is_url,
            ["PORT", port, "TCP" | "UDP" | "SCTP", ref detail @ ..] => {
                port.parse::<u16>().is_ok() && matches!(detail, [] | ["PROTO" | "PORT" | "ADDR"])
            }
            ["NAME"] => value.starts_with('/'),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_told_from_settings() {
        for (name, value) in [
            ("SERVICE_HOST", "10.0.0.11"),
            ("SERVICE_PORT", "80"),
            ("SERVICE_PORT_HTTP", "80"),
            ("PORT", "tcp://10.0.0.11:80"),
            ("PORT_80_TCP", "tcp://10.0.0.11:80"),
            ("PORT_80_TCP_PROTO", "tcp"),
            ("PORT_80_TCP_PORT", "80"),
            ("PORT_80_TCP_ADDR", "10.0.0.11"),
            ("ADMIN_SERVICE_HOST", "10.0.0.12"),
            ("ADMIN_PORT_9180_TCP_ADDR", "10.0.0.12"),
            ("NAME", "/web/proxy"),
            ("ENV_PATH", "/bin"),
        ] {
            assert!(describes_a_service(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("LISTEN", "0.0.0.0:80"),
            ("MAX_BODY", "1MiB"),
            ("PORT", "80"),
            ("PORTS", "tcp://a"),
            ("PORT_X_TCP", "80"),
            ("PORT_80_HTTP", "80"),
            ("SERVICE_HOSTS", "a"),
            ("NAME", "proxy"),
            ("MICROSERVICE_HOST", "a"),
        ] {
            assert!(!describes_a_service(name, value), "{name}={value}");
        }
    }
}
