//! `deploy console`: a link that logs a browser in.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use engine::Engine;
use engine::error::Result;
use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use crate::cli;
use crate::console::{Console, PORT, Relay};
use crate::context::Context;

/// What the console answers.
#[derive(Deserialize)]
struct LoginLink {
    path: String,
    /// Seconds.
    expires_in: u64,
}

pub(super) async fn run(context: &Context, args: cli::Console) -> Result<()> {
    let output = &context.output;
    let project = context.project()?;
    let engine = Engine::connect().await?;
    let console = Console::find(&engine, &project).await?;
    let link: LoginLink = console.json(Method::POST, "/api/login-links").await?;
    // A browser of this machine comes by this process where the port is published nowhere.
    let relay = match console.relay() {
        Some(relay) => Some((relay, Relay::listen(PORT).await?)),
        None => None,
    };
    let url = |path: &str| match &relay {
        Some((_, (_, port))) => console.url_by(*port, path),
        None => console.url(path),
    };
    let (home, url) = (url("/"), url(&link.path));
    let token_file = &console.token_file;
    let shown = token_file
        .strip_prefix(&project.working_dir)
        .unwrap_or(token_file);
    output.document(&json!({
        "url": url,
        "expires_in": link.expires_in,
        "token_file": token_file,
    }));
    output.line(&url);
    output.line(&format!(
        "logs one browser in, within {} seconds; at {} the token in {} does at any time",
        link.expires_in,
        home,
        shown.display()
    ));
    if !args.no_open && !output.is_json() {
        open(&url);
    }
    match relay {
        Some((relay, (listener, _))) => {
            output.note(
                "the way there leads through this command: it goes on until it is interrupted",
            );
            relay.serve(listener).await
        }
        None => Ok(()),
    }
}

/// Opens it in a browser where there is a display. The link is used up by that, so it may stand among a
/// process's arguments, where others can read it; the token never does.
fn open(url: &str) {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else if set("DISPLAY") || set("WAYLAND_DISPLAY") {
        "xdg-open"
    } else {
        return;
    };
    // Not waited for: it may go on for as long as the browser. Where there is none, the link is printed.
    _ = Command::new(opener)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
}
