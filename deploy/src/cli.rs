//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::image::Refresh;
use lab::Lab;

use crate::commands::replay::target::{Target, target};
use crate::origin;

/// Brings a Compose stack up on a Docker engine and proves its network
#[derive(Debug, Parser)]
#[command(
    name = "deploy",
    version,
    arg_required_else_help = true,
    after_help = "Exit status: 0 done, 1 failed, 2 wrong usage or Compose file, 3 no Docker engine,\n\
                  4 not wrong as far as could be seen (verify); 130 ended by Ctrl-C (verify --watch, logs -f, requests -f).\n\
                  DOCKER_HOST names the engine (unix:///path or tcp://host:port)."
)]
pub struct Cli {
    /// The Compose file; goes before the command. Given again, the further ones are merged over it
    /// [default: those that `COMPOSE_FILE` names, else compose.yaml and compose.override.yaml]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Vec<PathBuf>,
    /// Project name, the prefix of everything created [default: `COMPOSE_PROJECT_NAME`, else the
    /// file's `name:`, else the name of its directory]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) project: Option<String>,
    /// Also the services of this profile, `*`: of all; may be given several times [default: those that
    /// `COMPOSE_PROFILES` names]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Vec<String>,
    /// Print JSON: one document, or one line for each event
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print without colours (also with `NO_COLOR` set)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring the stack to where the file says, and verify it
    ///
    /// What was interrupted or failed is finished by the next one, a rotation of secrets too.
    Up(Up),
    /// Go back to the release that ran before the one that runs
    ///
    /// A release is what an `up` brought up and verified: the settings and the images, not the
    /// data and not the secrets. Five are kept. Each rollback goes one further back in what ran,
    /// past what was rolled back; if the last `up` failed, the first goes back to what ran before
    /// it. The Compose file stays as it is, so the next `up` leads to it again.
    Rollback(Rollback),
    /// List the releases: what ran since when, what changed, which runs now
    Releases,
    /// Get back the files of secrets
    #[command(subcommand)]
    Secrets(Secrets),
    /// Build the images whose sources changed, and nothing else
    Build(Build),
    /// Show what `up` would change, and what stands in its way
    Plan(Plan),
    /// Stop and remove the stack; data and secrets stay
    Down(Down),
    /// List the stack's containers
    Ps,
    /// Show the containers' logs
    Logs(Logs),
    /// Change how many containers services run, until the next `up`
    Scale(Scale),
    /// Restart services, in the order of their dependencies, each healthy before the next
    ///
    /// A service with `update_config.order: start-first` gets a new container with the settings of
    /// the old one, which stops when the new one is healthy: no request is lost. Others are stopped,
    /// with their `stop_grace_period`, and started again with what is in them, `update_config.parallelism`
    /// at a time.
    /// Changes of the file are for `up`.
    Restart(Restart),
    /// Show the nodes of the Swarm with what each runs and keeps, take one out of use, and in again
    Nodes {
        /// What to do; nothing: list them
        #[command(subcommand)]
        command: Option<Nodes>,
    },
    /// Prove that the running stack answers and that its network is as drawn
    ///
    /// Exits 0 only when the whole drawing is proven: 1 when something isn't as drawn, 4 when nothing
    /// is wrong that could be seen and not all could be seen. What isn't is named, a sentence each.
    Verify(Verify),
    /// Show the stack's network as it is: networks, sandboxes, endpoints, both ends of each veth
    Inspect(Inspect),
    /// Print the file with everything resolved
    Config(Config),
    /// Open the console, where what was recorded can be seen: prints a link that logs a browser in
    ///
    /// The link can be used once, within a minute. It is opened where there is a display.
    Console(Console),
    /// Show the requests that were recorded, newest first, or one of them whole
    ///
    /// Asks the running console, and searches as it does: `--where path=/?a --where method=POST`. Where
    /// the search takes long, what is found is shown as it is found.
    Requests(Requests),
    /// Write all that was recorded into one file, while the stack serves
    ///
    /// Whatever was acknowledged before it began is in it. The file is a ZIP archive with what
    /// `mongodump` writes; it is there when it is whole, and only you may read it. Secrets and certificates
    /// aren't in it (docs/backup.md).
    Backup(Backup),
    /// Store again what is in a backup and isn't there
    ///
    /// The file is checked first, and nothing stored of one that isn't whole. What is there already stays:
    /// so it can be run again where it was interrupted, and while the stack serves.
    Restore(Restore),
    /// Send recorded requests again, the oldest first, exactly as they were
    ///
    /// Method, target, header fields and bytes are those that came, less what belongs to a connection or
    /// was written by the proxy. Values that weren't recorded are left out and counted. Which requests, `deploy
    /// requests` shows with the same filters. Exits 1 where a request got no answer (docs/replay.md).
    Replay(Replay),
    /// Learn container networking from this engine: lessons with evidence
    #[command(subcommand)]
    Lab(Lab),
    /// Report on the network namespace that this runs in, as JSON
    #[command(hide = true)]
    Probe(Probe),
}

/// Which images are made anew.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Images {
    /// Build images even if their sources didn't change
    #[arg(long)]
    pub(crate) build: bool,
    /// Pull images even if the engine has them
    #[arg(long)]
    pub(crate) pull: bool,
}

/// `deploy plan`.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) images: Images,
    /// As `up --force`
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

impl From<Images> for Refresh {
    fn from(Images { build, pull }: Images) -> Self {
        Self { build, pull }
    }
}

/// What may be done to what another Compose file brought up.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Reach {
    /// Also remove services and networks of the project that came from another Compose file
    #[arg(long)]
    pub(crate) remove_orphans: bool,
    #[command(flatten)]
    pub(crate) take_over: TakeOver,
}

/// Whether to go on with another checkout's stack.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct TakeOver {
    /// Go on with the stack although it was brought up from another Compose file
    #[arg(long)]
    pub(crate) take_over: bool,
}

impl From<Reach> for origin::Reach {
    fn from(reach: Reach) -> Self {
        Self {
            remove_orphans: reach.remove_orphans,
            ..reach.take_over.into()
        }
    }
}

impl From<TakeOver> for origin::Reach {
    fn from(TakeOver { take_over }: TakeOver) -> Self {
        Self {
            take_over,
            ..Self::default()
        }
    }
}

/// What to do while another `deploy` changes the project.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Wait {
    /// Fail at once if another deploy is changing the project, instead of waiting for it
    #[arg(long, conflicts_with = "lock_timeout")]
    pub(crate) no_wait: bool,
    /// Wait no longer than this for another deploy that is changing the project
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) lock_timeout: Option<Duration>,
}

impl Wait {
    /// How long; `None`: until the other one is done.
    pub(crate) fn patience(self) -> Option<Duration> {
        if self.no_wait {
            Some(Duration::ZERO)
        } else {
            self.lock_timeout
        }
    }
}

/// `deploy up`.
#[derive(Debug, Args)]
pub(crate) struct Up {
    #[command(flatten)]
    pub(crate) images: Images,
    /// Then give these secrets new values, while the stack serves [default: all that are generated]
    #[arg(long, value_name = "NAME", num_args = 0..)]
    pub(crate) rotate_secrets: Option<Vec<String>>,
    /// Replace every container, also those about which nothing has changed
    #[arg(long)]
    pub(crate) force_recreate: bool,
    /// Run as many containers as the file says even if their memory limits don't fit the machine, or
    /// several write to one place
    #[arg(long)]
    pub(crate) force: bool,
    /// How long a container may take to become ready [default: what its health check allows, and 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Don't verify at the end
    #[arg(long)]
    pub(crate) no_verify: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// `deploy build`.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// Only these services [default: all that have a `build`]
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// `deploy rollback`.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// To the release with this number (`deploy releases`) [default: what ran before]
    #[arg(long, value_name = "N")]
    pub(crate) to: Option<u32>,
    /// How long a container may take to become ready [default: what its health check allows, and 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Don't verify at the end
    #[arg(long)]
    pub(crate) no_verify: bool,
    #[command(flatten)]
    pub(crate) take_over: TakeOver,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// `deploy secrets`.
#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// Write files that are gone anew, with what the running containers have of them
    ///
    /// Nothing that is there is overwritten, and no value is shown.
    Recover(Recover),
}

/// `deploy secrets recover`.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Only these secrets [default: all whose file is gone]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// `deploy down`.
#[derive(Debug, Args)]
pub(crate) struct Down {
    /// Remove the volumes too, with all data in them, and forget the releases
    #[arg(long)]
    pub(crate) volumes: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// `deploy logs`.
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    /// Go on with what is logged from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only the last N lines of each container
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<u32>,
    /// Begin each line with its time
    #[arg(short, long)]
    pub(crate) timestamps: bool,
}

/// `deploy scale`.
#[derive(Debug, Args)]
pub(crate) struct Scale {
    /// How many containers each service runs. The next `up` goes back to the file's
    /// `deploy.replicas`
    #[arg(required = true, value_name = "SERVICE=N", value_parser = service_count)]
    pub(crate) counts: Vec<(String, u32)>,
    /// Run so many even if their memory limits don't fit the machine, or several write to one place
    #[arg(long)]
    pub(crate) force: bool,
    /// How long a container may take to become ready
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) take_over: TakeOver,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// `deploy restart`.
#[derive(Debug, Args)]
pub(crate) struct Restart {
    /// Which services
    #[arg(required = true, value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    /// Stop and start the same containers, also of services that are replaced start-first
    #[arg(long)]
    pub(crate) in_place: bool,
    #[command(flatten)]
    pub(crate) take_over: TakeOver,
    /// How long a container may take to become ready [default: what its health check allows, and 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// `deploy nodes`.
#[derive(Debug, Subcommand)]
pub(crate) enum Nodes {
    /// Have a node's tasks run elsewhere, for as long as something is done to it
    ///
    /// Says of each task where it goes. Refuses where one can't go anywhere, as a database can't that has
    /// its data there.
    Drain(Drain),
    /// Let a node take tasks again
    Activate {
        /// Its name or id
        #[arg(value_name = "NODE")]
        node: String,
    },
    /// Print the command by which a machine joins
    Join {
        /// What it is to be
        #[arg(long = "as", value_enum, default_value_t = NodeRole::Worker)]
        role: NodeRole,
    },
}

/// What a machine joins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NodeRole {
    /// Runs tasks
    Worker,
    /// Also keeps the Swarm's state: three or five of them, so that one or two may be lost
    Manager,
}

/// `deploy nodes drain`.
#[derive(Debug, Args)]
pub(crate) struct Drain {
    /// Its name or id
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// Only say what would move
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Even if something can run on no other node, and is away meanwhile
    #[arg(long)]
    pub(crate) force: bool,
    /// How long it may take until everything runs elsewhere [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

/// `deploy verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Look again and again, SECONDS apart, and tell what begins and what ends
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5",
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) watch: Option<u32>,
}

/// `deploy config`.
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// As `docker stack deploy --compose-file - NAME` reads it: for a Swarm
    #[arg(long)]
    pub(crate) stack: bool,
}

/// `deploy inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// How to show it; `--json` is short for json
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// Write into FILE instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// The forms of `deploy inspect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For reading
    Table,
    /// For machines
    Json,
    /// A diagram that Markdown renderers draw
    Mermaid,
    /// A picture
    Svg,
}

/// `deploy requests`.
#[derive(Debug, Args)]
pub(crate) struct Requests {
    /// This one, whole: its id, as the list and the answer to it have it
    #[arg(value_name = "ID", value_parser = request_id,
          conflicts_with_all = ["wanted", "limit", "follow", "ndjson"])]
    pub(crate) id: Option<String>,
    /// Go on with what is recorded from now on
    #[arg(short, long, conflicts_with = "RequestFormat")]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) filter: Wanted,
    /// At most the newest N [default: 20, with --follow 10, with --curl 1, with --ndjson and --har all]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<u32>,
    #[command(flatten)]
    pub(crate) format: RequestFormat,
}

/// Which of the recorded requests.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// Only those with this id, since, until, method, path, header, address or body; each has to hold
    /// (docs/console.md)
    #[arg(id = "wanted", short, long = "where", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) wanted: Vec<(String, String)>,
}

/// `deploy replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Where to: `http://HOST` or `http://HOST:PORT`
    #[arg(long, value_name = "URL", value_parser = target)]
    pub(crate) to: Target,
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// At most the newest N [default: all]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<u32>,
    /// N a second [default: the next when the one before is answered]
    #[arg(long, value_name = "N", value_parser = rate, conflicts_with = "as_recorded")]
    pub(crate) rate: Option<f64>,
    /// As far apart as they were received
    #[arg(long)]
    pub(crate) as_recorded: bool,
    /// On their way at a time [default: 1, with --rate and --as-recorded up to 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) connections: Option<u16>,
    /// Send `Host` as it was recorded, instead of the target's
    #[arg(long)]
    pub(crate) keep_host: bool,
    /// Show what would be sent, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// In what form `deploy requests` prints requests whole.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct RequestFormat {
    /// Print them whole, one a line as JSON
    #[arg(long)]
    pub(crate) ndjson: bool,
    /// Print them whole as a HAR document, which browsers' developer tools import
    #[arg(long)]
    pub(crate) har: bool,
    /// Print the command of curl that sends one again
    #[arg(long)]
    pub(crate) curl: bool,
}

/// `deploy backup`.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to write; `-` is standard output
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Replace the file if there is one
    #[arg(long)]
    pub(crate) force: bool,
}

/// `deploy restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// A file that `deploy backup` wrote
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Only check that the file is whole; this needs neither a stack nor an engine
    #[arg(long)]
    pub(crate) check: bool,
}

/// `deploy console`.
#[derive(Debug, Args)]
pub(crate) struct Console {
    /// Print the link and don't open it
    #[arg(long)]
    pub(crate) no_open: bool,
}

/// `deploy probe`.
#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// What to find out, as JSON; several pieces are joined; without any, standard input is read
    #[arg(value_name = "REQUEST")]
    pub(crate) request: Vec<String>,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "expected a duration such as 90s or 5m".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate| (0.001..=100_000.0).contains(rate))
        .ok_or_else(|| "expected requests a second, from 0.001 to 100000".to_owned())
}

fn request_id(text: &str) -> Result<String, String> {
    let is_id = text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id
        .then(|| text.to_owned())
        .ok_or_else(|| "expected 24 hexadecimal digits".to_owned())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or("expected KEY=VALUE such as method=POST")?;
    if let "after" | "before" | "count" | "download" | "format" | "limit" = key {
        return Err(format!(
            "{key} is no filter: expected id, since, until, method, path, header, address or body"
        ));
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn service_count(text: &str) -> Result<(String, u32), String> {
    let expected = "expected SERVICE=N such as api=3";
    let (service, count) = text.split_once('=').ok_or(expected)?;
    if service.is_empty() {
        return Err(expected.to_owned());
    }
    Ok((service.to_owned(), count.parse().map_err(|_| expected)?))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn help() {
        let mut command = Cli::command().term_width(100);
        command.build();
        let own = command.render_long_help().to_string();
        let commands = command
            .get_subcommands_mut()
            .map(|it| it.render_long_help().to_string());
        let texts: Vec<String> = std::iter::once(own).chain(commands).collect();
        insta::assert_snapshot!(texts.join("\n----\n"));
    }
}
