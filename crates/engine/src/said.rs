//! What only the words of the engine tell, in one place: there is no code for it. Seen so on Docker
//! 20.10 and 26.1; where a later one puts it otherwise, the advice that follows from it is less exact,
//! and nothing else changes, but for [`is_not_there`] and [`is_paused`].

/// A limit of the service is beyond the engine's own (`ulimits`).
pub(crate) fn is_about_limits(message: &str) -> bool {
    message.contains("rlimit")
}

/// The engine has no address pool left for a network.
pub(crate) fn is_out_of_pools(message: &str) -> bool {
    message.contains("address pool")
}

/// The socket is there and isn't for this user.
pub(crate) fn is_not_permitted(reason: &str) -> bool {
    reason.contains("ermission denied")
}

/// `ssh` doesn't take the other side for who it says it is.
pub(crate) fn is_unknown_host_key(said: &str) -> bool {
    said.contains("ost key verification failed") || said.contains("HOST IDENTIFICATION HAS CHANGED")
}

/// A registry wants a login.
pub(crate) fn wants_login(reason: &str) -> bool {
    reason.contains("unauthorized") || reason.contains("no basic auth")
}

/// A registry speaks no TLS, and the engine wasn't told that it needn't.
pub(crate) fn wants_tls(reason: &str) -> bool {
    reason.contains("server gave HTTP response to HTTPS client")
}

/// A registry doesn't have the image, or doesn't say whether it does to who isn't logged in.
pub(crate) fn is_no_such_image(reason: &str) -> bool {
    let missing = [
        "denied",
        "not found",
        "manifest unknown",
        "does not exist",
        "unknown",
    ];
    missing.iter().any(|word| reason.contains(word))
}

/// A Swarm's object was changed since its version was read.
pub(crate) fn is_out_of_sequence(message: &str) -> bool {
    message.contains("out of sequence")
}

/// A node has no image of the name that a task is made from.
pub fn is_without_image(complaint: &str) -> bool {
    complaint.contains("No such image")
}

/// A bind mount's source isn't there.
pub fn is_not_there(message: &str) -> bool {
    message.contains("does not exist")
}

/// A container can't be stopped because it is frozen.
pub fn is_paused(message: &str) -> bool {
    message.contains("paused")
}

/// No subnet of a network has the address that was asked for: "It does not belong to any of this network's
/// subnets", "no configured subnet contains IP address".
pub fn is_about_subnets(message: &str) -> bool {
    message.contains("subnet")
}
