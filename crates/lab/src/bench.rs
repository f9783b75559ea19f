//! The workbench of one lesson: makes throw-away containers and networks, and
//! looks at them from the engine, from the inside and from the host.
//!
//! Everything made here is labelled with the run; [`Run`] removes it by that
//! label, so that nothing has to be remembered.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use engine::Engine;
use engine::api::{
    ContainerCreateBody, ContainerInspectResponse, EndpointIpamConfig, EndpointSettings, Ipam,
    IpamConfig, LogOptions, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
    NetworkInspect, NetworkingConfig, PortBinding, Printed,
};
use engine::error::{EngineContext, Error, Result};
use futures_util::StreamExt;
use netcheck::probe::{Report, Request};
use terminal::text;
use tokio::time::timeout;

use super::run::{READY, Run};

/// A container that isn't ready after this long won't be.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Where one lesson works.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    run: &'a Run,
    lesson: &'static str,
    /// Its place among all lessons, which keeps names short and apart.
    number: usize,
}

/// A container of this lesson.
#[derive(Debug, Clone)]
pub(super) struct Container {
    /// The engine's id.
    pub(super) id: String,
    /// Its full name, unique on the engine.
    pub(super) name: String,
    /// What it printed once it served: `ready http=8000`.
    pub(super) ready: String,
}

impl Container {
    /// The port on which it answers HTTP, where it does.
    pub(super) fn http_port(&self) -> Option<u16> {
        self.ready
            .split_whitespace()
            .find_map(|word| word.strip_prefix("http=")?.parse().ok())
    }
}

/// How a container differs from a plain one.
#[derive(Debug, Clone, Default)]
pub(super) struct Setup {
    /// Network by name, `host` or `none`; the engine's default where none is given.
    pub(super) network: Option<String>,
    /// Further names on that network.
    pub(super) aliases: Vec<String>,
    /// A fixed address on that network.
    pub(super) address: Option<Ipv4Addr>,
    /// Serves HTTP on this port; 0 takes a free one.
    pub(super) http: Option<u16>,
    /// Serves DNS: `NAME=ADDRESS`.
    pub(super) record: Option<String>,
    /// Ports to document, as EXPOSE does.
    pub(super) expose: Vec<u16>,
    /// Ports to publish, each on a free port of the host's loopback address.
    pub(super) publish: Vec<u16>,
    /// The host name inside.
    pub(super) hostname: Option<String>,
    /// `NAME:ADDRESS` lines for `/etc/hosts`.
    pub(super) extra_hosts: Vec<String>,
    /// DNS servers instead of the host's.
    pub(super) dns: Vec<String>,
    /// May read the rules of the network that it is on (`CAP_NET_ADMIN`).
    pub(super) reads_rules: bool,
    /// Tells what it sees of an overlay network's packets, for [`packet`](super::machines::packet).
    pub(super) watches: bool,
}

/// How a network differs from what the engine would choose.
#[derive(Debug, Clone, Default)]
pub(super) struct NetworkSetup {
    /// `bridge` where none is given.
    pub(super) driver: Option<&'static str>,
    /// Subnet and gateway; the engine takes a free pool where none is given.
    pub(super) pool: Option<(String, String)>,
    /// Plain containers may join (overlay).
    pub(super) attachable: bool,
}

impl<'a> Bench<'a> {
    /// For the lesson of this name, the `number`th.
    pub(super) fn new(run: &'a Run, lesson: &'static str, number: usize) -> Self {
        Self {
            run,
            lesson,
            number,
        }
    }

    /// The name on the engine of what the lesson calls `name`.
    pub(super) fn name(&self, name: &str) -> String {
        format!("lab-{}-{}-{name}", self.run.id(), self.number)
    }

    pub(super) fn run(&self) -> &Run {
        self.run
    }

    /// The labels of what this lesson makes.
    pub(super) fn labels(&self) -> HashMap<String, String> {
        self.run.labels(self.lesson)
    }

    fn engine(&self) -> &Engine {
        self.run.engine()
    }

    /// Creates and starts a container, and waits until it serves what it is to serve.
    ///
    /// # Errors
    /// The engine refuses, or the container ends before it is ready; what it said is in the
    /// details.
    pub(super) async fn container(&self, name: &str, setup: Setup) -> Result<Container> {
        let container = self.start(name, setup).await?;
        let (ready, line) = self.first_line(&container).await?;
        if !ready {
            return Err(Error::failed(
                format!("the container {} ended instead of serving", container.name),
                "run the lesson again",
            )
            .with_details([line]));
        }
        Ok(Container {
            ready: line,
            ..container
        })
    }

    /// Creates and starts a container that is expected to fail; what it said.
    pub(super) async fn failing_container(&self, name: &str, setup: Setup) -> Result<String> {
        let container = self.start(name, setup).await?;
        self.first_line(&container).await.map(|(_, line)| line)
    }

    async fn start(&self, name: &str, setup: Setup) -> Result<Container> {
        self.start_body(name, self.body(setup)).await
    }

    pub(super) async fn start_body(
        &self,
        name: &str,
        body: ContainerCreateBody,
    ) -> Result<Container> {
        self.run.may_go_on()?;
        let name = self.name(name);
        let created = self
            .engine()
            .create_container(Some(&name), body)
            .await
            .doing(|| format!("create the container {name}"))?;
        self.engine()
            .start_container(&created.id)
            .await
            .doing(|| format!("start the container {name}"))?;
        Ok(Container {
            id: created.id,
            name,
            ready: String::new(),
        })
    }

    /// The first line it prints, and whether that is the one that it serves.
    async fn first_line(&self, container: &Container) -> Result<(bool, String)> {
        let mut lines = self.lines(container);
        let line = timeout(READY_WITHIN, lines.next()).await.map_err(|_| {
            Error::failed(
                format!("the container {} said nothing in time", container.name),
                "see whether the engine is overloaded, then run the lesson again",
            )
        })?;
        let line = match line {
            Some(line) => line.doing(|| format!("read the log of {}", container.name))?,
            None => return Ok((false, "it said nothing".to_owned())),
        };
        let line = text::printable(&line.into_bytes());
        Ok((line.starts_with(READY), line))
    }

    /// What it prints, from its start on.
    pub(super) fn lines(&self, container: &Container) -> Printed {
        let all = LogOptions {
            follow: true,
            ..LogOptions::default()
        };
        self.engine().logs(&container.id, all)
    }

    fn body(&self, setup: Setup) -> ContainerCreateBody {
        let mut arguments = Vec::new();
        if let Some(port) = setup.http {
            arguments.extend(["--http".to_owned(), port.to_string()]);
        }
        if let Some(record) = setup.record {
            arguments.extend(["--record".to_owned(), record]);
        }
        if setup.watches {
            arguments.push("--watch-overlays".to_owned());
        }
        let tcp = |port: &u16| format!("{port}/tcp");
        let loopback = || {
            Some(vec![PortBinding {
                host_ip: Some(Ipv4Addr::LOCALHOST.to_string()),
                host_port: Some(String::new()),
            }])
        };
        let endpoint = setup.network.clone().map(|network| {
            let endpoint = EndpointSettings {
                aliases: (!setup.aliases.is_empty()).then_some(setup.aliases),
                ipam_config: setup.address.map(|address| EndpointIpamConfig {
                    ipv4_address: Some(address.to_string()),
                    ..EndpointIpamConfig::default()
                }),
                ..EndpointSettings::default()
            };
            (network, endpoint)
        });
        let exposed = setup
            .expose
            .iter()
            .chain(&setup.publish)
            .map(tcp)
            .collect::<Vec<_>>();
        let mut body = self.run.guest(self.lesson, &arguments);
        body.hostname = setup.hostname;
        body.exposed_ports = (!exposed.is_empty()).then_some(exposed);
        body.networking_config = endpoint.map(|(network, endpoint)| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network, endpoint)])),
        });
        let host = body.host_config.get_or_insert_default();
        if setup.reads_rules {
            let capabilities = host.cap_add.get_or_insert_default();
            capabilities.push("NET_ADMIN".to_owned());
        }
        host.network_mode = setup.network;
        host.extra_hosts = Some(setup.extra_hosts);
        host.dns = Some(setup.dns);
        host.port_bindings = Some(
            setup
                .publish
                .iter()
                .map(|port| (tcp(port), loopback()))
                .collect(),
        );
        body
    }

    /// Creates a network; its name on the engine.
    ///
    /// # Errors
    /// The engine refuses: no free pool, or the pool asked for overlaps another.
    pub(super) async fn network(&self, name: &str, setup: NetworkSetup) -> Result<String> {
        self.run.may_go_on()?;
        let name = self.name(name);
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some(setup.driver.unwrap_or("bridge").to_owned()),
            attachable: Some(setup.attachable),
            ipam: setup.pool.map(|(subnet, gateway)| Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(subnet),
                    gateway: Some(gateway),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            }),
            labels: Some(self.labels()),
            ..NetworkCreateRequest::default()
        };
        self.engine()
            .create_network(request)
            .await
            .doing(|| format!("create the network {name}"))?;
        Ok(name)
    }

    /// Connects a running container to a network, under `aliases` beside its name.
    pub(super) async fn connect(
        &self,
        network: &str,
        container: &Container,
        aliases: &[&str],
    ) -> Result<()> {
        self.run.may_go_on()?;
        let aliases: Vec<String> = aliases.iter().map(|&alias| alias.to_owned()).collect();
        let request = NetworkConnectRequest {
            container: container.id.clone(),
            endpoint_config: (!aliases.is_empty()).then(|| EndpointSettings {
                aliases: Some(aliases),
                ..EndpointSettings::default()
            }),
        };
        self.engine()
            .connect_network(network, request)
            .await
            .doing(|| format!("connect {} to {network}", container.name))
    }

    /// Disconnects a running container from a network.
    pub(super) async fn disconnect(&self, network: &str, container: &Container) -> Result<()> {
        self.run.may_go_on()?;
        let request = NetworkDisconnectRequest {
            container: container.id.clone(),
            force: Some(false),
        };
        self.engine()
            .disconnect_network(network, request)
            .await
            .doing(|| format!("disconnect {} from {network}", container.name))
    }

    /// What the engine knows of a container.
    pub(super) async fn inspect(&self, container: &Container) -> Result<ContainerInspectResponse> {
        self.engine()
            .inspect_container(&container.id)
            .await
            .doing(|| format!("inspect {}", container.name))
    }

    /// What the engine knows of a network, by its name.
    pub(super) async fn inspect_network(&self, network: &str) -> Result<NetworkInspect> {
        self.engine()
            .inspect_network(network)
            .await
            .doing(|| format!("inspect the network {network}"))
    }

    /// What a container sees and reaches from inside its sandbox.
    pub(super) async fn look(&self, container: &Container, request: Request) -> Result<Report> {
        self.run.look(&container.id, &request).await
    }

    /// The host's rules for masquerading. For the look alone there is a container with the right to.
    pub(super) async fn host_rules(&self) -> Result<Report> {
        let reader = Setup {
            network: Some("host".to_owned()),
            reads_rules: true,
            ..Setup::default()
        };
        let reader = self.container("rules", reader).await?;
        let request = Request {
            masquerading: true,
            ..Request::default()
        };
        self.look(&reader, request).await
    }

    /// What the engine's host sees and reaches, outside of any container's sandbox.
    pub(super) async fn host(&self, request: Request) -> Result<Report> {
        self.run.look(self.run.keeper(), &request).await
    }
}
