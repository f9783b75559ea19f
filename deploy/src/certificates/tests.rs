//! What becomes of certificates as time goes by, and as files come and go. That others accept them,
//! `tests/engine/certificates.rs` shows.

use std::path::PathBuf;

use compose_file::LoadOptions;
use tempfile::TempDir;

use super::*;

const FILE: &str = "
services:
  web: {image: i, secrets: [tls.crt, tls.key]}
  idle: {image: i}
secrets:
  tls.crt: {file: ./secrets/tls.crt, x-generate: certificate, x-names: 'NAMES'}
  tls.key: {file: ./secrets/tls.key, x-generate: certificate}
  unused.crt: {file: ./secrets/unused.crt, x-generate: certificate}
  unused.key: {file: ./secrets/unused.key, x-generate: certificate}
";

struct Scene {
    directory: TempDir,
    project: Project,
    now: SystemTime,
}

impl Scene {
    /// With what a first `up` makes.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut scene = Self {
            project: load(&directory, ""),
            directory,
            now: SystemTime::now(),
        };
        assert_eq!(scene.outlook(), (None, vec![], 0));
        scene.make();
        assert_eq!(scene.outlook(), (None, vec![], 0));
        scene
    }

    fn named(&mut self, names: &str) {
        self.project = load(&self.directory, names);
    }

    /// What is done about secrets that are missing or due.
    fn make(&mut self) {
        for name in ["tls.crt", "tls.key"] {
            let name = self.project.secrets.get_key_value(name).unwrap().0;
            make(&self.project, name, self.now).unwrap();
        }
    }

    fn pass(&mut self, count: u64) {
        self.now += days(count);
    }

    /// Why the certificate is due, the faults, and how many notes there are.
    fn outlook(&self) -> (Option<String>, Vec<String>, usize) {
        let outlook = outlook(&self.project, self.now);
        assert!(outlook.due.keys().all(|it| it.as_str() == "tls.crt"));
        let due = outlook.due.into_values().next();
        (due, outlook.faults, outlook.notes.len())
    }

    fn due(&self) -> Option<String> {
        let (due, faults, notes) = self.outlook();
        assert_eq!((faults, notes), (vec![], 0));
        due
    }

    fn fault(&self) -> String {
        let (due, mut faults, _) = self.outlook();
        assert_eq!((due, faults.len()), (None, 1));
        faults.remove(0)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("secrets").join(name)
    }

    fn content(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// A certificate of one's own in the generated one's place, for this many days.
    fn own(&self, lifetime: u64) {
        let key = PrivateKey::generate();
        let end = self.now + days(lifetime);
        let certificate = authority::tests::self_signed(&key, (self.now, end));
        fs::write(self.path("tls.crt"), certificate).unwrap();
        fs::write(self.path("tls.key"), key.to_pem().unwrap().as_bytes()).unwrap();
    }
}

fn load(directory: &TempDir, names: &str) -> Project {
    let path = directory.path().join("compose.yaml");
    fs::write(&path, FILE.replace("NAMES", names)).unwrap();
    let options = LoadOptions {
        files: vec![path],
        project_name: Some("test".to_owned()),
        ..LoadOptions::default()
    };
    compose_file::load(&options).unwrap()
}

#[test]
fn a_certificate_is_renewed_when_a_third_of_its_life_is_left_and_the_authority_stays() {
    let mut scene = Scene::new();
    let (authority, first) = (scene.content("ca.pem"), scene.content("tls.crt"));
    scene.pass(264);
    assert_eq!(scene.due(), None);
    scene.pass(2);
    assert_eq!(scene.due().unwrap(), "it expires in 130 days");
    let key = scene.content("tls.key");
    scene.make();
    assert_eq!(scene.due(), None);
    assert_ne!(scene.content("tls.crt"), first);
    assert_eq!(scene.content("tls.key"), key);
    scene.pass(398);
    assert_eq!(scene.due().unwrap(), "it has expired");
    scene.make();
    assert_eq!(scene.content("ca.pem"), authority);
}

#[test]
fn what_ends_with_its_authority_is_left_alone_until_that_has_to_go() {
    let mut scene = Scene::new();
    scene.pass(3649 - 100);
    scene.make();
    assert_eq!(scene.due(), None);
    scene.pass(90);
    assert_eq!(scene.due(), None);
    scene.pass(20);
    let fault = scene.fault();
    assert!(
        fault.contains("ca.pem expired at ") && fault.contains("new authority"),
        "{fault}"
    );
    scene.remove("ca.pem");
    scene.remove("ca.key");
    assert_eq!(scene.due().unwrap(), "another authority signed it");
    scene.make();
    assert_eq!(scene.due(), None);
}

#[test]
fn names_are_those_of_the_file_and_of_the_machine() {
    let mut scene = Scene::new();
    scene.named("example.org, 192.0.2.7");
    let due = scene.due().unwrap();
    for name in ["localhost", "127.0.0.1", "::1", "example.org", "192.0.2.7"] {
        assert!(due.contains(name), "{due}");
    }
    scene.make();
    assert_eq!(scene.due(), None);
    scene.named("192.0.2.7,EXAMPLE.org");
    assert_eq!(scene.due(), None);
    scene.named("");
    assert!(!scene.due().unwrap().contains("example.org"));
}

#[test]
fn what_a_killed_run_left_is_finished() {
    let every = ["ca.key", "ca.pem", "tls.key", "tls.crt"];
    // In the order in which they are written.
    for written in 0..every.len() {
        let mut scene = Scene::new();
        every[written..].iter().for_each(|name| scene.remove(name));
        assert_eq!(scene.due(), None);
        scene.make();
        assert_eq!(scene.due(), None, "after {written} files");
    }
    // In a rotation, the key is the first.
    let mut scene = Scene::new();
    let key = PrivateKey::generate();
    fs::write(scene.path("tls.key"), key.to_pem().unwrap().as_bytes()).unwrap();
    assert_eq!(scene.due().unwrap(), "it is another key's");
    scene.make();
    assert_eq!(scene.due(), None);
    scene.remove("tls.key");
    assert_eq!(scene.due().unwrap(), "its key is gone");
    scene.make();
    assert_eq!(scene.due(), None);
}

#[test]
fn a_rotation_gives_a_new_key_and_leaves_the_authority() {
    let scene = Scene::new();
    let before = ["ca.pem", "ca.key", "tls.key"].map(|name| scene.content(name));
    let name = scene.project.secrets.get_key_value("tls.crt").unwrap().0;
    rotate(&scene.project, name, scene.now).unwrap();
    let after = ["ca.pem", "ca.key", "tls.key"].map(|name| scene.content(name));
    assert_eq!(before[..2], after[..2]);
    assert_ne!(before[2], after[2]);
    assert_eq!(scene.due(), None);
}

#[test]
fn an_authority_that_cannot_sign_is_no_trouble_before_it_has_to() {
    let mut scene = Scene::new();
    scene.remove("ca.key");
    assert_eq!(scene.outlook(), (None, vec![], 0));
    scene.pass(300);
    assert_eq!(scene.outlook(), (None, vec![], 1));
    scene.pass(100);
    let fault = scene.fault();
    assert!(
        fault.contains("its key, ") && fault.contains("ca.key, is gone"),
        "{fault}"
    );
}

#[test]
fn what_is_ones_own_is_never_due() {
    let mut scene = Scene::new();
    scene.own(30);
    let own = scene.content("tls.crt");
    scene.pass(29);
    scene.named("other.example");
    assert_eq!(scene.due(), None);
    let name = scene.project.secrets.get_key_value("tls.key").unwrap().0;
    assert!(is_own(&scene.project, name));
    assert_eq!(scene.content("tls.crt"), own);
    scene.pass(2);
    let fault = scene.fault();
    assert!(fault.contains("tls.crt expired at "), "{fault}");
}

#[test]
fn what_nobody_could_serve_with_is_told() {
    let scene = Scene::new();
    scene.own(30);
    let (certificate, key) = (scene.content("tls.crt"), scene.content("tls.key"));
    let write = |name, content: &str| fs::write(scene.path(name), content).unwrap();
    scene.own(30);
    write("tls.key", &key);
    let expected = "isn't the certificate of the key in";
    assert!(scene.fault().contains(expected), "{}", scene.fault());

    write("tls.crt", &certificate);
    assert_eq!(scene.due(), None);
    for nonsense in [
        "",
        "hello",
        &key,
        &certificate[..300],
        &certificate.replace('M', "!"),
    ] {
        write("tls.crt", nonsense);
        let fault = scene.fault();
        assert!(
            fault.contains("tls.crt is no certificate in PEM: "),
            "{fault}"
        );
    }
    write("tls.crt", &certificate);
    for nonsense in [
        "",
        "hello",
        &certificate,
        &key.replace("PRIVATE", "ENCRYPTED PRIVATE"),
    ] {
        write("tls.key", nonsense);
        let fault = scene.fault();
        assert!(
            fault.contains("tls.key holds no private key in PEM"),
            "{fault}"
        );
    }
    scene.remove("tls.key");
    let fault = scene.fault();
    assert!(fault.contains("tls.key, its key, is missing"), "{fault}");
}
