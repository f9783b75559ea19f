//! How the containers are confined: read off the engine and, since settings are only a wish, off
//! the kernel. For every service of `compose.yaml`, so that a new one can't be forgotten.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use procfs::process::Process;
use serde_json::{Value, json};

use crate::container::{Container, text};
use crate::stack::Stack;

/// The largest image that we build, in bytes.
const IMAGE_LIMIT: u64 = 30_000_000;

pub(crate) fn every_container_is_confined(stack: &Stack) {
    let containers = Container::all(stack);

    let running: BTreeSet<&str> = containers.iter().map(|it| it.service.as_str()).collect();
    let services = stack.compose(&["config", "--services"]);
    assert_eq!(running, services.lines().collect::<BTreeSet<_>>());

    for container in &containers {
        engine_settings(container, stack);
        let processes = container.processes(stack);
        for process in &processes {
            privileges(container, process);
        }
        let first = &processes[0];
        separate_namespaces(container, first);
        read_only_root(container, first);
        enforced_limits(container, first);
    }
    published_ports(&containers, stack);
    for container in containers.iter().filter(|it| it.service != "mongo") {
        nothing_but_the_binary(container, stack);
    }
}

/// What the engine was asked for.
fn engine_settings(container: &Container, stack: &Stack) {
    let service = &container.service;
    let host = &container.settings["HostConfig"];
    let expect = |key: &str, wanted: &[Value]| {
        assert!(
            wanted.contains(&host[key]),
            "{service}: {key}: {}, expected one of {wanted:?}",
            host[key]
        );
    };
    expect("Privileged", &[json!(false)]);
    expect("ReadonlyRootfs", &[json!(true)]);
    expect("CapDrop", &[json!(["ALL"])]);
    expect("CapAdd", &[json!(null), json!([])]);
    // Nothing beside it: `seccomp=unconfined` would stand here.
    expect("SecurityOpt", &[json!(["no-new-privileges=true"])]);
    expect("PidMode", &[json!("")]);
    // Before what else runs on the machine.
    expect("CpuShares", &[json!(16384)]);
    expect("UTSMode", &[json!("")]);
    expect("IpcMode", &[json!("private")]);
    expect("UsernsMode", &[json!("")]);
    expect("Devices", &[json!(null), json!([])]);
    expect("DeviceRequests", &[json!(null), json!([])]);
    assert_ne!(host["NetworkMode"], "host", "{service}");
    assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped", "{service}");
    let log = &host["LogConfig"];
    assert_eq!(log["Type"], "json-file", "{service}");
    for option in ["max-size", "max-file"] {
        assert!(
            log["Config"][option].is_string(),
            "{service}: logs aren't rotated: {log}"
        );
    }

    // No file of the host but those of the checkout, and those read-only: no socket of the engine.
    for mount in container.settings["Mounts"].as_array().unwrap() {
        match mount["Type"].as_str() {
            Some("bind") => {
                let source = PathBuf::from(text(&mount["Source"]));
                assert!(source.starts_with(stack.path()), "{service}: {mount}");
                assert_eq!(mount["RW"], false, "{service}: {mount}");
            }
            Some("volume" | "tmpfs") => {}
            _ => panic!("{service}: a mount of another kind: {mount}"),
        }
    }
}

/// What each process may do.
fn privileges(container: &Container, process: &Process) {
    let service = &container.service;
    // Gone already, as processes of health checks are.
    let Ok(status) = process.status() else { return };
    let name = &status.name;
    for (kind, id) in [
        ("real uid", status.ruid),
        ("effective uid", status.euid),
        ("saved uid", status.suid),
        ("file system uid", status.fuid),
        ("real gid", status.rgid),
        ("effective gid", status.egid),
        ("saved gid", status.sgid),
        ("file system gid", status.fgid),
    ] {
        assert_ne!(id, 0, "{service}: {name}: {kind}");
    }
    assert!(!status.groups.contains(&0), "{service}: {name}: in group 0");
    for (set, capabilities) in [
        ("inheritable", status.capinh),
        ("permitted", status.capprm),
        ("effective", status.capeff),
        ("bounding", status.capbnd.unwrap()),
        ("ambient", status.capamb.unwrap()),
    ] {
        assert_eq!(capabilities, 0, "{service}: {name}: {set} capabilities");
    }
    assert_eq!(status.nonewprivs, Some(1), "{service}: {name}");
    // 2: a filter is in force; with no `seccomp=` asked for, it is the engine's own profile.
    assert_eq!(status.seccomp, Some(2), "{service}: {name}");
}

/// The container has namespaces of its own where the host has some: none is shared with it.
fn separate_namespaces(container: &Container, process: &Process) {
    let of = |process: &Process, kind: &str| {
        let link = format!("/proc/{}/ns/{kind}", process.pid());
        fs::read_link(&link).unwrap_or_else(|error| panic!("{link}: {error}"))
    };
    let host = Process::myself().unwrap();
    for kind in ["ipc", "mnt", "net", "pid", "uts"] {
        assert_ne!(
            of(process, kind),
            of(&host, kind),
            "{}: the host's own {kind} namespace",
            container.service
        );
    }
}

/// The root file system takes no write; what does take them runs no programs.
fn read_only_root(container: &Container, process: &Process) {
    let service = &container.service;
    let mounts = process.mountinfo().unwrap();
    let root = mounts
        .iter()
        .find(|mount| mount.mount_point == Path::new("/"))
        .unwrap();
    assert!(root.mount_options.contains_key("ro"), "{service}: {root:?}");

    let asked = container.settings["HostConfig"]["Tmpfs"].as_object();
    for path in asked.into_iter().flat_map(|paths| paths.keys()) {
        let mounted = mounts.iter().any(|it| it.mount_point == Path::new(path));
        assert!(mounted, "{service}: {path} isn't mounted");
    }
    for mount in mounts
        .iter()
        .filter(|it| it.mount_options.contains_key("rw") && !is_exempt(&it.mount_point, service))
    {
        for option in ["noexec", "nosuid", "nodev"] {
            assert!(
                mount.mount_options.contains_key(option),
                "{service}: {} without {option}: {mount:?}",
                mount.mount_point.display()
            );
        }
    }
}

/// Whether what is mounted there isn't ours to say: the kernel's, the engine's (`/etc/hosts` and the
/// like), or a volume's, which has the options of the engine's own disk.
fn is_exempt(path: &Path, service: &str) -> bool {
    let volumes = [
        ("mongo", "/data/db"),
        ("listener", "/run/listener"),
        ("proxy", "/var/lib/acme"),
    ];
    let volume = volumes
        .iter()
        .any(|(of, at)| *of == service && path == Path::new(at));
    let others = ["/proc", "/sys", "/dev", "/etc"];
    volume || others.iter().any(|it| path.starts_with(it))
}

/// The limits as the kernel enforces them.
fn enforced_limits(container: &Container, process: &Process) {
    let service = &container.service;
    for (controller, v1, v2, asked) in [
        ("memory", "memory.limit_in_bytes", "memory.max", "Memory"),
        ("pids", "pids.max", "pids.max", "PidsLimit"),
    ] {
        let groups = process.cgroups().unwrap();
        let of_v1 = groups
            .0
            .iter()
            .find(|group| group.controllers.iter().any(|name| name == controller));
        let (mount, group, file) = match of_v1 {
            Some(group) => (format!("/sys/fs/cgroup/{controller}"), group, v1),
            None => ("/sys/fs/cgroup".to_owned(), groups.0.first().unwrap(), v2),
        };
        let file = format!("{mount}{}/{file}", group.pathname);
        let limit = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        // "max", which is no number, would be no limit.
        let limit: i64 = limit
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("{service}: no {controller} limit: {limit}"));
        assert_eq!(
            Some(limit),
            container.settings["HostConfig"][asked].as_i64(),
            "{service}: {controller}"
        );
    }
}

/// One door with two ports, and for this machine alone the console's. Nothing of the API's, the
/// database's, nor an admin port.
fn published_ports(containers: &[Container], stack: &Stack) {
    let mut published: Vec<(&str, &str, &Value)> = containers
        .iter()
        .flat_map(|container| {
            let ports = container.settings["HostConfig"]["PortBindings"].as_object();
            ports
                .into_iter()
                .flatten()
                .map(|(port, binding)| (container.service.as_str(), port.as_str(), binding))
        })
        .collect();
    published.sort_by_key(|(_, port, _)| *port);
    let host = |index: usize| published[index].2[0]["HostPort"].as_str().unwrap();
    let doors: Vec<_> = published.iter().map(|it| (it.0, it.1)).collect();
    assert_eq!(
        doors,
        [
            ("listener", "443/tcp"),
            ("listener", "80/tcp"),
            ("console", "8081/tcp")
        ]
    );
    assert_eq!(
        [host(0), host(1), host(2)],
        [stack.tls_port(), stack.port(), stack.console_port()].map(|it| it.to_string())
    );
    assert_eq!(published[2].2[0]["HostIp"], "127.0.0.1");
    for (_, _, binding) in published {
        assert_eq!(binding.as_array().unwrap().len(), 1, "{binding}");
    }
}

/// Our images hold one binary: no shell, no package, nothing to find a hole in.
fn nothing_but_the_binary(container: &Container, stack: &Stack) {
    let service = &container.service;
    let image = text(&container.settings["Image"]);
    let described = stack.docker(&["image", "inspect", &image]);
    let described: Value = serde_json::from_str(&described).unwrap();
    let size = described[0]["Size"].as_u64().unwrap();
    assert!(size <= IMAGE_LIMIT, "{service}: {size} bytes");

    // A container that is never started holds what the image does, and the engine's mount points.
    let files = stack.shell(&format!(
        "id=$(docker create --label dev.causeway.test=1 {image}) && docker export $id | tar -t; \
         docker rm $id >/dev/null"
    ));
    let own: Vec<&str> = files
        .lines()
        .filter(|file| !file.ends_with('/'))
        .filter(|file| {
            let engines = ["dev/", "etc/", ".dockerenv"];
            !engines.iter().any(|it| file.starts_with(it))
        })
        .collect();
    let entry_point = text(&described[0]["Config"]["Entrypoint"][0]);
    assert_eq!(own, [entry_point.trim_start_matches('/')], "{files}");
}
