//! Docker, through its own command line, and the busybox that tests run there.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::{Outcome, outcome, run};
use crate::scratch;

/// Marks what tests make.
pub const LABEL: &str = "dev.causeway.test=1";

fn command(arguments: &[&str]) -> Command {
    let mut docker = Command::new("docker");
    docker.args(arguments).stdin(Stdio::null());
    docker
}

/// What `docker ARGUMENTS` prints, which must succeed.
#[track_caller]
pub fn docker(arguments: &[&str]) -> String {
    run(&mut command(arguments))
}

/// The same of what is a line, such as an id: without its end.
#[track_caller]
pub fn docker_line(arguments: &[&str]) -> String {
    docker(arguments).trim().to_owned()
}

/// Whether `docker ARGUMENTS` succeeds.
pub fn succeeds(arguments: &[&str]) -> bool {
    command(arguments).output().unwrap().status.success()
}

/// What `docker ARGUMENTS` does, whatever that is.
pub fn tried(arguments: &[&str]) -> Outcome {
    outcome(&command(arguments).output().unwrap())
}

/// Removes what a listing names, as far as it can be, with the words of `remove`.
pub fn remove(list: &[&str], remove: &str) {
    let listed = tried(list).stdout;
    if !listed.trim().is_empty() {
        let words: Vec<_> = remove.split(' ').chain(listed.split_whitespace()).collect();
        tried(&words);
    }
}

/// Removes the containers, networks and volumes with this label.
pub fn remove_labelled(label: &str) {
    let filter = format!("label={label}");
    for (list, words) in [
        (["ps", "--all"], "rm --force --volumes"),
        (["network", "ls"], "network rm"),
        (["volume", "ls"], "volume rm --force"),
    ] {
        let list = [&list[..], &["--quiet", "--filter", &filter]].concat();
        remove(&list, words);
    }
}

/// Makes an image of Debian's static busybox (package busybox-static) unless it is there: with a link
/// for each of `applets`, with `files` of these contents, and with these `docker import --change`.
/// Tests run as processes side by side: one of them does it.
pub fn import_busybox(image: &str, applets: &[&str], files: &[(&str, &str)], changes: &[&str]) {
    std::fs::create_dir_all(scratch()).unwrap();
    let lock = File::create(scratch().join("busybox-image.lock")).unwrap();
    lock.lock().unwrap();
    if succeeds(&["image", "inspect", image]) {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    let busybox = busybox.into_iter().find(|path| path.exists());
    let bin = root.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let busybox = busybox.expect("busybox-static is installed");
    std::fs::copy(busybox, bin.join("busybox")).unwrap();
    for applet in applets {
        std::os::unix::fs::symlink("busybox", bin.join(applet)).unwrap();
    }
    for (path, content) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    import(image, root.path(), changes);
}

/// Makes an image of what is in a folder.
pub fn import(image: &str, root: &Path, changes: &[&str]) {
    let archive = tempfile::NamedTempFile::new().unwrap();
    let mut tar = Command::new("tar");
    run(tar
        .arg("-C")
        .arg(root)
        .arg("-cf")
        .arg(archive.path())
        .arg("."));
    let label = format!("LABEL {LABEL}");
    let changes = changes.iter().copied().chain([label.as_str()]);
    let changes: Vec<_> = changes.flat_map(|change| ["--change", change]).collect();
    let path = archive.path().to_str().unwrap();
    docker(&[&["import"][..], &changes, &[path, image]].concat());
}
