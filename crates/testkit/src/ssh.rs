//! SSH for tests: Debian's server, started by `ssh` itself for each connection instead of a port, with keys
//! of the test's own. Whoever tries it needs root: the server finds its user in a namespace of its own.

use std::env;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process::{debian, run};

/// Hosts that `ssh` reaches while [`path`](Self::path) is the `PATH`.
#[derive(Debug)]
pub struct Ssh {
    directory: TempDir,
}

impl Ssh {
    /// Every host name leads to this machine, where `root` may log in.
    #[track_caller]
    pub fn new() -> Self {
        let ssh = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let (server, wrap) = (
            debian("bookworm", "openssh-server"),
            debian("bookworm", "libwrap0"),
        );
        let libraries = fs::read_dir(wrap.join("usr/lib")).unwrap().next().unwrap();
        let at = |name: &str| ssh.at(name).display().to_string();
        for key in ["key", "host"] {
            let mut keygen = Command::new("ssh-keygen");
            run(keygen
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(ssh.at(key)));
        }
        fs::copy(ssh.at("key.pub"), ssh.at("authorized")).unwrap();
        fs::create_dir(ssh.at("forced")).unwrap();
        fs::create_dir(ssh.at("bin")).unwrap();
        let users = fs::read_to_string("/etc/passwd").unwrap();
        let user = "sshd:x:64001:64001::/run/sshd:/usr/sbin/nologin\n";
        ssh.write("passwd", &format!("{users}{user}"));
        let config = "StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none";
        ssh.write(
            "sshd_config",
            &format!(
                "HostKey {}\nAuthorizedKeysFile {}\n{config}\n",
                at("host"),
                at("authorized")
            ),
        );
        ssh.script(
            "server",
            &format!(
                "mkdir -p /run/sshd\nmount --bind {passwd} /etc/passwd\nforced={forced}/$1\n\
                 [ ! -e \"$forced\" ] || set -- -o \"ForceCommand $(cat \"$forced\")\"\n\
                 case $1 in -o) ;; *) shift ;; esac\n\
                 LD_LIBRARY_PATH={libraries} exec {sshd} -i -f {config} -E {log} \"$@\"",
                passwd = at("passwd"),
                forced = at("forced"),
                libraries = libraries.unwrap().path().display(),
                sshd = server.join("usr/sbin/sshd").display(),
                config = at("sshd_config"),
                log = at("log"),
            ),
        );
        ssh.write(
            "ssh_config",
            &format!(
                "Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {}\n  \
                 GlobalKnownHostsFile none\n  ProxyCommand unshare --mount {} %h\n",
                at("key"),
                at("known"),
                at("server")
            ),
        );
        ssh.script(
            "bin/ssh",
            &format!("exec /usr/bin/ssh -F {} \"$@\"", at("ssh_config")),
        );
        ssh.knows_hosts(true);
        ssh
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    fn script(&self, name: &str, text: &str) {
        self.write(name, &format!("#!/bin/sh\nset -e\n{text}\n"));
        fs::set_permissions(self.at(name), Permissions::from_mode(0o755)).unwrap();
    }

    /// Whoever logs in at this host runs this command, and no other.
    pub fn force(&self, host: &str, command: &str) {
        self.write(&format!("forced/{host}"), command);
    }

    /// Whether the hosts' key is known.
    pub fn knows_hosts(&self, known: bool) {
        let key = fs::read_to_string(self.at("host.pub")).unwrap();
        self.write(
            "known",
            &if known {
                format!("* {key}")
            } else {
                String::new()
            },
        );
    }

    /// Whether anybody's key is let in.
    pub fn lets_in(&self, lets: bool) {
        let key = fs::read_to_string(self.at("key.pub")).unwrap();
        self.write("authorized", if lets { &key } else { "" });
    }

    /// The `PATH` by which `ssh` is this one.
    pub fn path(&self) -> OsString {
        let others = env::var_os("PATH").unwrap_or_default();
        let ours: &Path = &self.at("bin");
        env::join_paths(std::iter::once(ours.to_owned()).chain(env::split_paths(&others))).unwrap()
    }
}

impl Default for Ssh {
    fn default() -> Self {
        Self::new()
    }
}
