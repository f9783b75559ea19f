//! Completes what the engine tells with what probes see: inside each sandbox, and on the host.

use std::net::IpAddr;

use engine::Engine;
use engine::error::Result;

use super::model::{Host, Topology};
use crate::probe::image::Image;
use crate::probe::report::Resolver;
use crate::probe::run::{Place, many};
use crate::probe::{Report, Request};

impl Topology {
    /// Looks into each running container and at the host.
    pub async fn look(&mut self, engine: &Engine, image: &Image) {
        let questions: Vec<_> = self
            .places()
            .into_iter()
            .map(|place| (place, Request::default()))
            .collect();
        let answers = many(engine, image, &questions).await;
        for ((place, _), answer) in questions.iter().zip(answers) {
            self.add(place, answer.as_ref());
        }
    }

    /// Where there is something to look at: the host, and each sandbox once.
    pub fn places(&self) -> Vec<Place> {
        let own = self.sandboxes.iter().filter(|sandbox| {
            sandbox.is_up() && sandbox.mode != "host" && !sandbox.mode.starts_with("container:")
        });
        let sandboxes = own.map(|sandbox| Place::Sandbox(sandbox.id.clone()));
        std::iter::once(Place::Host).chain(sandboxes).collect()
    }

    /// Adds what a probe saw, or notes why it saw nothing.
    pub fn add(&mut self, place: &Place, answer: Result<&Report, &engine::error::Error>) {
        let report = match answer {
            Ok(report) => report,
            Err(error) => {
                self.notes.push(error.message.clone());
                return;
            }
        };
        let name = match place {
            Place::Host => "the host",
            Place::Sandbox(id) => id,
        };
        for what in &report.incomplete {
            self.notes.push(format!("{name}: {what}"));
        }
        match place {
            Place::Host => self.add_host(report),
            Place::Sandbox(id) => self.add_sandbox(id, report),
        }
        self.join_veths();
    }

    fn add_host(&mut self, report: &Report) {
        self.host = Host {
            hostname: Some(report.hostname.clone()),
            resolver: Some(report.resolver.clone()),
            default_gateway: report.default_gateway(),
            interfaces: report.interfaces.clone(),
            routes: report.routes.clone(),
            listening: report.listening.clone(),
            namespace: report.namespace.clone(),
        };
        for network in &mut self.networks {
            let name = network.bridge.as_ref();
            let found = report.interfaces.iter().find(|it| Some(&it.name) == name);
            network.bridge_interface = found.cloned();
        }
    }

    fn add_sandbox(&mut self, id: &str, report: &Report) {
        let sharing = format!("container:{id}");
        for sandbox in self
            .sandboxes
            .iter_mut()
            .filter(|it| it.id == id || it.mode == sharing)
        {
            sandbox.hostname = Some(report.hostname.clone());
            sandbox.resolver = Some(report.resolver.clone());
            sandbox.default_gateway = report.default_gateway();
            sandbox.routes.clone_from(&report.routes);
            sandbox.listening.clone_from(&report.listening);
            if !report.resolver.forwards_to.is_empty() {
                sandbox.forwards_to.clone_from(&report.resolver.forwards_to);
            }
            for endpoint in &mut sandbox.endpoints {
                let inside = endpoint
                    .ip()
                    .and_then(|address| report.interface_of(address));
                if let Some(inside) = inside {
                    endpoint.interface = Some(inside.name.clone());
                    endpoint.index = Some(inside.index);
                    endpoint.mtu = Some(inside.mtu);
                    endpoint.host_index = inside
                        .link_index
                        .filter(|_| inside.kind.as_deref() == Some("veth"));
                }
            }
        }
    }

    /// Finds the host's ends of the veth pairs, once both sides have been seen; and where DNS goes
    /// to on engines that don't write it down: the host's own servers.
    fn join_veths(&mut self) {
        let host = &self.host;
        for sandbox in &mut self.sandboxes {
            for endpoint in &mut sandbox.endpoints {
                let Some(index) = endpoint.host_index else {
                    continue;
                };
                let end = host.interfaces.iter().find(|it| {
                    // An index is unique within a namespace only: the pair must point at each other.
                    it.index == index && it.link_index == endpoint.index
                });
                if let Some(end) = end {
                    endpoint.host_interface = Some(end.name.clone());
                    endpoint.bridge.clone_from(&end.bridge);
                }
            }
            let embedded = sandbox.resolver.as_ref().is_some_and(Resolver::is_embedded);
            if let Some(resolver) = &host.resolver
                && embedded
                && sandbox.forwards_to.is_empty()
            {
                sandbox.forwards_to = resolver.nameservers.iter().map(IpAddr::to_string).collect();
            }
        }
    }
}
