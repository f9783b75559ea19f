//! Machines, for a lesson that takes more than one: containers with an engine of their own in each.
//!
//! To the engine that the lab works on they are containers of the run like others, which its sweep removes,
//! and what is made in them is gone with them. So names in them need no mark.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use engine::Engine;
use engine::api::{ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum};
use engine::error::{EngineContext, Error, Result};
use engine::exec::{self, Within};
use futures_util::StreamExt;
use netcheck::probe::{Report, Request};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::bench::{Bench, Container};
use super::view;
use super::wire::Packet;

/// Debian with an engine.
pub(super) const IMAGE: &str = "causeway/base-node:local";
/// Assembles it, or loads what was assembled before; in a checkout.
const SCRIPT: &str = "scripts/node-image.sh";
/// An engine that doesn't answer after this long won't.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// What is sent is seen at once; this is for a machine that is busy.
const SEEN_WITHIN: Duration = Duration::from_secs(30);
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Sees that there is the machines' image.
///
/// # Errors
/// Why there is none, and can't be.
pub(super) async fn image(engine: &Engine, note: impl Fn(&str)) -> Result<(), String> {
    if engine.inspect_image(IMAGE).await.is_ok() {
        return Ok(());
    }
    if !Path::new(SCRIPT).is_file() {
        return Err(format!(
            "it takes the image {IMAGE}, which isn't there: run it in a checkout of Causeway, where {SCRIPT} \
             assembles it"
        ));
    }
    note(&format!(
        "{SCRIPT}: assembling {IMAGE}, a minute or two the first time"
    ));
    let output = Command::new(SCRIPT).kill_on_drop(true).output().await;
    let output = output.map_err(|err| format!("{SCRIPT} could not be run: {err}"))?;
    if output.status.success() && engine.inspect_image(IMAGE).await.is_ok() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    Err(format!(
        "{SCRIPT} could not assemble {IMAGE}: {}",
        last.unwrap_or("it said nothing")
    ))
}

/// A machine of this lesson.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    bench: &'a Bench<'a>,
    container: Container,
    /// On the network between the machines.
    pub(super) address: Ipv4Addr,
}

impl<'a> Machine<'a> {
    /// Starts one that is called `name`, on `network`, and waits until its engine answers. It has the image
    /// that the lab's containers are made of.
    ///
    /// # Errors
    /// The engine refuses, or the one in the machine doesn't come up; the last lines of its log are in the details.
    pub(super) async fn start(bench: &'a Bench<'a>, name: &str, network: &str) -> Result<Self> {
        let body = body(bench, name, network);
        let container = bench.start_body(name, body).await?;
        let found = bench.inspect(&container).await?;
        let Some(IpAddr::V4(address)) = view::address(&found, network) else {
            return Err(Error::failed(
                format!("{} has no IPv4 address on {network}", container.name),
                "see the engine's log",
            ));
        };
        let machine = Self {
            bench,
            container,
            address,
        };
        machine.wait().await?;
        machine.load().await?;
        Ok(machine)
    }

    async fn wait(&self) -> Result<()> {
        let until = Instant::now() + READY_WITHIN;
        loop {
            self.bench.run().may_go_on()?;
            let version = self.run(&["docker", "version"], b"").await?;
            if version.status == 0 {
                return Ok(());
            }
            if Instant::now() > until {
                let log = ["tail", "-n", "15", "/var/log/dockerd.log"];
                let log = self.run(&log, b"").await?;
                return Err(Error::failed(
                    format!(
                        "the engine in {} did not come up within {} s",
                        self.container.name,
                        READY_WITHIN.as_secs()
                    ),
                    "see the end of its log above: this engine's host may not let containers run engines",
                )
                .with_details(log.said.lines().map(str::to_owned)));
            }
            sleep(TRY_AGAIN).await;
        }
    }

    /// The image goes from the one engine into the other.
    async fn load(&self) -> Result<()> {
        let image = self.bench.run().image();
        let exported = self.bench.run().engine().export_image(image).await;
        let exported = exported.doing(|| format!("read the image {image}"))?;
        let loaded = self.run(&["docker", "load"], &exported).await?;
        if loaded.status == 0 {
            return Ok(());
        }
        Err(Error::failed(
            format!("could not load {image} into {}", self.container.name),
            "run the lesson again",
        )
        .with_details([loaded.said]))
    }

    async fn run(&self, command: &[&str], input: &[u8]) -> Result<exec::Ended> {
        exec::run(
            self.bench.run().engine(),
            self.within(),
            &owned(command),
            input,
        )
        .await
    }

    fn within(&self) -> Within<'_> {
        Within {
            id: &self.container.id,
            name: &self.container.name,
        }
    }

    /// What `docker …` prints in the machine.
    ///
    /// # Errors
    /// It fails; what it said is in the message.
    pub(super) async fn docker(&self, arguments: &[&str]) -> Result<String> {
        self.bench.run().may_go_on()?;
        let command = owned(&[&["docker"], arguments].concat());
        let said = exec::read(self.bench.run().engine(), self.within(), &command).await?;
        Ok(String::from_utf8_lossy(&said).trim().to_owned())
    }

    /// The same, where it prints JSON.
    pub(super) async fn json<T>(&self, arguments: &[&str]) -> Result<T>
    where
        T: serde::de::DeserializeOwned,
    {
        let said = self.docker(arguments).await?;
        serde_json::from_str(&said).map_err(|err| {
            let command = arguments.join(" ");
            let name = &self.container.name;
            Error::failed(
                format!("`docker {command}` in {name} printed what isn't understood: {err}"),
                "report it with this message",
            )
            .with_details([said])
        })
    }

    /// Starts a container of the lab's in it that answers HTTP.
    pub(super) async fn serve(&self, name: &str, network: &str, port: u16) -> Result<()> {
        let run = self.bench.run();
        let port = port.to_string();
        let container = ["run", "--detach", "--name", name, "--network", network];
        let rights = ["--read-only", "--cap-drop", "ALL", "--cap-add", "NET_RAW"];
        let program = ["--entrypoint", run.program(), run.image()];
        let guest = ["lab", "guest", "--http", &port];
        self.docker(&[&container[..], &rights, &program, &guest].concat())
            .await
            .map(drop)
    }

    /// What a container in it sees and reaches.
    pub(super) async fn look(&self, container: &str, request: &Request) -> Result<Report> {
        let request = written(request)?;
        let program = self.bench.run().program();
        self.json(&["exec", container, program, "probe", &request])
            .await
    }

    /// What the machine itself sees, outside of its containers.
    pub(super) async fn host(&self) -> Result<Report> {
        let request = written(&Request::default())?;
        let image = self.bench.run().image();
        self.json(&["run", "--rm", "--network", "host", image, &request])
            .await
    }
}

/// The first packet that a container which [`watches`](super::bench::Setup::watches) has seen, of those that `which` is about.
///
/// # Errors
/// It hasn't seen any in time.
pub(super) async fn packet(
    bench: &Bench<'_>,
    watching: &Container,
    which: impl Fn(&Packet) -> bool,
) -> Result<Packet> {
    let mut lines = bench.lines(watching);
    let found = async {
        while let Some(line) = lines.next().await {
            let line = line.doing(|| format!("read the log of {}", watching.name))?;
            let packet = serde_json::from_slice::<Packet>(&line.into_bytes()).ok();
            if let Some(packet) = packet.filter(&which) {
                return Ok(Some(packet));
            }
        }
        Ok(None)
    };
    let found = timeout(SEEN_WITHIN, found).await.unwrap_or(Ok(None))?;
    found.ok_or_else(|| {
        Error::failed(
            format!("{} saw no such packet in time", watching.name),
            "run the lesson again",
        )
    })
}

fn owned(command: &[&str]) -> Vec<String> {
    command.iter().map(|&part| part.to_owned()).collect()
}

fn written(request: &Request) -> Result<String> {
    serde_json::to_string(request)
        .map_err(|err| Error::failed(format!("can't write the request: {err}"), "report this"))
}

/// With what an engine needs: the rights of root, but for one that not every engine can give, devices and
/// control groups; no filter; a disk that isn't layered, for the layers of its own containers.
fn body(bench: &Bench<'_>, name: &str, network: &str) -> ContainerCreateBody {
    let unconfined = |what: &str| format!("{what}=unconfined");
    let tmpfs = [("/run", "exec,mode=755"), ("/sock", "")];
    ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        cmd: Some(vec!["start.sh".to_owned()]),
        hostname: Some(name.to_owned()),
        labels: Some(bench.labels()),
        volumes: Some(vec!["/var/lib/docker".to_owned()]),
        host_config: Some(HostConfig {
            init: Some(true),
            network_mode: Some(network.to_owned()),
            cap_add: Some(vec!["ALL".to_owned()]),
            cap_drop: Some(vec!["SYS_RESOURCE".to_owned()]),
            security_opt: Some(["seccomp", "apparmor"].map(unconfined).to_vec()),
            masked_paths: Some(Vec::new()),
            readonly_paths: Some(Vec::new()),
            device_cgroup_rules: Some(vec!["a *:* rwm".to_owned()]),
            cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
            tmpfs: Some(HashMap::from(
                tmpfs.map(|(path, options)| (path.to_owned(), options.to_owned())),
            )),
            memory: Some(1 << 30),
            pids_limit: Some(2048),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}
