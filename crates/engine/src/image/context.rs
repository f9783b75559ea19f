//! The build context: which files it holds, a hash over them, and their tar stream.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;
use walkdir::WalkDir;

use super::ignore::Ignore;
use super::withheld::Withheld;

/// Under this name a Dockerfile from outside the context is sent along.
const FOREIGN_DOCKERFILE: &str = ".causeway.Dockerfile";
/// Size of the pieces of the tar stream.
const PIECE: usize = 64 * 1024;

/// The files of a build, in a fixed order.
#[derive(Debug)]
pub struct Context {
    root: PathBuf,
    /// Relative paths, sorted.
    paths: Vec<String>,
    /// Name of the Dockerfile within the stream.
    dockerfile: String,
    /// Where the Dockerfile is, if not in the context.
    foreign_dockerfile: Option<PathBuf>,
    /// Relative paths of what `.dockerignore` would have let in.
    withheld: Vec<String>,
}

impl Context {
    /// Lists `root` after `<dockerfile>.dockerignore` or else `.dockerignore`, without what is
    /// `withheld`. The Dockerfile is always part of it.
    pub fn list(root: &Path, dockerfile: &Path, withheld: &Withheld) -> io::Result<Self> {
        let own = with_suffix(dockerfile, ".dockerignore");
        let ignore_file = if own.exists() {
            own
        } else {
            root.join(".dockerignore")
        };
        let ignore = match fs::read_to_string(&ignore_file) {
            Ok(text) => Ignore::parse(&text).map_err(|err| named(&ignore_file, &err))?,
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ignore::default(),
            Err(err) => return Err(named(&ignore_file, &err)),
        };
        let inside = dockerfile.strip_prefix(root).ok().and_then(Path::to_str);
        let mut paths = Vec::new();
        let mut left_out = Vec::new();
        let mut walk = WalkDir::new(root)
            .min_depth(1)
            .sort_by_file_name()
            .into_iter();
        while let Some(entry) = walk.next() {
            let entry = entry?;
            let relative = entry.path().strip_prefix(root).map_err(io::Error::other)?;
            let Some(path) = relative.to_str() else {
                return Err(named(
                    entry.path(),
                    &"its name is not UTF-8; rename it or add it to .dockerignore",
                ));
            };
            let ignored = ignore.excludes(path) && inside != Some(path);
            let private = withheld.has(entry.path(), &entry.metadata()?);
            let skipped = private || ignored && !ignore.may_keep_below();
            if skipped && entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            if private {
                left_out.push((path.to_owned(), ignored));
            } else if !ignored {
                paths.push(path.to_owned());
            }
        }
        for (path, _) in &left_out {
            drop_hollow(path, &mut paths);
        }
        if inside.is_some_and(|path| !paths.iter().any(|it| it == path)) {
            // In an ignored directory that was skipped as a whole.
            paths.extend(inside.map(ToOwned::to_owned));
        }
        paths.sort();
        Ok(Self {
            root: root.to_owned(),
            paths,
            dockerfile: inside.unwrap_or(FOREIGN_DOCKERFILE).to_owned(),
            foreign_dockerfile: inside.is_none().then(|| dockerfile.to_owned()),
            withheld: left_out
                .into_iter()
                .filter_map(|(path, ignored)| (!ignored).then_some(path))
                .collect(),
        })
    }

    /// What to tell of what isn't sent although `.dockerignore` lets it in.
    pub fn note(&self) -> Option<String> {
        (!self.withheld.is_empty()).then(|| {
            format!(
                "not sent to the builder: {}, which hold secrets or settings; say so in {} for \
                 `docker build` and `docker compose build`, which would send them",
                self.withheld.join(", "),
                self.root.join(".dockerignore").display()
            )
        })
    }

    /// Name of the Dockerfile within the stream.
    pub fn dockerfile(&self) -> &str {
        &self.dockerfile
    }

    /// Over names, kinds, permissions and contents; times don't count.
    pub fn hash(&self) -> io::Result<String> {
        let mut hash = Sha256::new();
        for (name, path) in self.entries() {
            let meta = fs::symlink_metadata(&path).map_err(|err| named(&path, &err))?;
            let (kind, content) = if meta.is_symlink() {
                (
                    b'l',
                    fs::read_link(&path)?.into_os_string().into_encoded_bytes(),
                )
            } else if meta.is_dir() {
                (b'd', Vec::new())
            } else if !meta.is_file() {
                continue; // Sockets and devices aren't sent either.
            } else {
                let mut file = open(&path)?;
                let mut content = Sha256::new();
                let mut writer = HashWriter(&mut content);
                io::copy(&mut file, &mut writer)?;
                (b'f', content.finalize().to_vec())
            };
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update([kind]);
            hash.update((meta.permissions().mode() & 0o7777).to_le_bytes());
            hash.update((content.len() as u64).to_le_bytes());
            hash.update(content);
        }
        Ok(hex::encode(hash.finalize()))
    }

    /// The context as a tar stream, read while it is sent. A file that can't be read
    /// ends it with an error.
    pub fn stream(self) -> mpsc::Receiver<io::Result<Bytes>> {
        let (sender, receiver) = mpsc::channel(8);
        tokio::task::spawn_blocking(move || {
            let mut out = Pieces {
                sender: sender.clone(),
                buffer: Vec::with_capacity(PIECE),
            };
            if let Err(err) = self.write_tar(&mut out) {
                // Nobody listens any more when the engine gave up first.
                _ = sender.blocking_send(Err(err));
            }
        });
        receiver
    }

    fn write_tar(&self, out: &mut Pieces) -> io::Result<()> {
        let mut tar = Builder::new(out);
        for (name, path) in self.entries() {
            let meta = fs::symlink_metadata(&path).map_err(|err| named(&path, &err))?;
            let mut header = Header::new_gnu();
            header.set_metadata(&meta);
            // Files in an image belong to root whoever builds it.
            header.set_uid(0);
            header.set_gid(0);
            if meta.is_symlink() {
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, name, fs::read_link(&path)?)?;
            } else if meta.is_dir() {
                header.set_size(0);
                tar.append_data(&mut header, format!("{name}/"), io::empty())?;
            } else if meta.is_file() {
                let file = open(&path)?;
                tar.append_data(&mut header, name, file)?;
            } // Sockets and devices have no place in an image.
        }
        tar.into_inner()?.flush()
    }

    fn entries(&self) -> impl Iterator<Item = (&str, PathBuf)> {
        let inside = self
            .paths
            .iter()
            .map(|path| (path.as_str(), self.root.join(path)));
        let outside = self
            .foreign_dockerfile
            .iter()
            .map(|path| (FOREIGN_DOCKERFILE, path.clone()));
        inside.chain(outside)
    }
}

/// Hands what is written to it to the stream, in pieces.
struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(data);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.sender
            .blocking_send(Ok(piece.into()))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.update(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes the directories of `path` out of `paths` that hold nothing else: `deploy` may make them
/// with it, and the next build mustn't differ.
fn drop_hollow(path: &str, paths: &mut Vec<String>) {
    let mut path = path;
    while let Some((directory, _)) = path.rsplit_once('/') {
        let below = format!("{directory}/");
        if paths.iter().any(|it| it.starts_with(&below)) {
            return;
        }
        paths.retain(|it| it != directory);
        path = directory;
    }
}

/// Opens what was listed as a file. It may have become a link since, to anything.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .map_err(|err| named(path, &err))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn named(path: &Path, err: &impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {err}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, name: &str, content: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directory");
        fs::write(path, content).expect("file");
    }

    #[test]
    fn the_hash_follows_what_is_sent_and_nothing_else() {
        let dir = tempfile::tempdir().expect("directory");
        let root = dir.path();
        write(root, "Dockerfile", "FROM scratch");
        write(root, ".dockerignore", "target\n*.md");
        write(root, "src/main.rs", "fn main() {}");
        write(root, "target/big", "x");
        let hash = || {
            Context::list(root, &root.join("Dockerfile"), &Withheld::default())
                .and_then(|it| it.hash())
                .expect("hash")
        };
        let before = hash();
        write(root, "target/big", "y");
        write(root, "README.md", "new");
        assert_eq!(hash(), before, "ignored files don't count");
        write(root, "src/main.rs", "fn main() { }");
        assert_ne!(hash(), before, "a source does");
    }

    #[tokio::test]
    async fn the_stream_holds_the_listed_files() {
        let dir = tempfile::tempdir().expect("directory");
        let root = dir.path().join("context");
        write(&root, ".dockerignore", "*\n!keep");
        write(&root, "keep/a", "1");
        write(&root, "drop/b", "2");
        write(dir.path(), "Dockerfile.x", "FROM scratch");
        let dockerfile = dir.path().join("Dockerfile.x");
        let context = Context::list(&root, &dockerfile, &Withheld::default()).expect("listed");
        assert_eq!(context.dockerfile(), FOREIGN_DOCKERFILE);
        assert_eq!(context.note(), None);
        let mut bytes = Vec::new();
        let mut stream = context.stream();
        while let Some(piece) = stream.recv().await {
            bytes.extend_from_slice(&piece.expect("readable"));
        }
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names: Vec<String> = archive
            .entries()
            .expect("entries")
            .map(|entry| {
                entry
                    .expect("entry")
                    .path()
                    .expect("path")
                    .display()
                    .to_string()
            })
            .collect();
        assert_eq!(names, ["keep/", "keep/a", FOREIGN_DOCKERFILE]);
    }

    #[test]
    fn secrets_and_settings_are_never_listed() {
        let dir = tempfile::tempdir().expect("directory");
        let root = dir.path();
        let services = "
services:
  web:
    image: i
    build: .
    env_file: [settings/web.env, {path: gone.env, required: false}]
    secrets: [password]
secrets:
  password: {file: ./link/password, x-generate: password}
  unused: {file: ./secrets/unused}
";
        write(root, "compose.yaml", services);
        write(root, "Dockerfile", "FROM scratch");
        for private in [
            ".env",
            ".deploy/p/releases.json",
            "settings/web.env",
            "gone.env",
            "secrets/password",
            "secrets/unused",
            "secrets/.unused.0123456789abcdef.new",
            "..env.Ab12Cd.new",
        ] {
            write(root, private, "private");
        }
        write(root, "secrets/README.md", "public");
        write(root, "settings/other.env", "public");
        std::os::unix::fs::symlink("secrets", root.join("link")).expect("link");
        fs::hard_link(root.join(".env"), root.join("second-name")).expect("link");
        let project = compose_file::load(&compose_file::LoadOptions {
            files: vec![root.join("compose.yaml")],
            ..compose_file::LoadOptions::default()
        });
        let withheld = Withheld::of(&project.expect("valid"));
        let list = || Context::list(root, &root.join("Dockerfile"), &withheld).expect("listed");
        let public = [
            "Dockerfile",
            "compose.yaml",
            "link",
            "secrets",
            "secrets/README.md",
            "settings",
            "settings/other.env",
        ];
        assert_eq!(list().paths, public);
        let note = list().note().expect("a note");
        assert!(note.contains("secrets/password, secrets/unused"), "{note}");
        assert!(note.contains(".new, .deploy, .env, gone.env, "), "{note}");

        for rules in [
            "*\n!secrets\n!.env\n!.deploy",
            "secrets\n!secrets/*\n*\n!**/.env",
        ] {
            write(root, ".dockerignore", rules);
            let paths = list().paths;
            assert!(!paths.iter().any(|it| it.contains(".env")), "{paths:?}");
            assert!(!paths.iter().any(|it| it.ends_with("ed")), "{paths:?}");
            assert!(!paths.iter().any(|it| it.contains("password")), "{paths:?}");
        }
        fs::remove_file(root.join(".dockerignore")).expect("removed");
        fs::remove_file(root.join("secrets/README.md")).expect("removed");
        let without = [
            "Dockerfile",
            "compose.yaml",
            "link",
            "settings",
            "settings/other.env",
        ];
        assert_eq!(list().paths, without, "as before the secrets were made");
        write(root, ".dockerignore", "*\n!Dockerfile");
        assert_eq!(list().paths, ["Dockerfile"]);
        assert_eq!(list().note(), None, "nothing was let in");
    }

    #[test]
    fn this_repositorys_dockerignore_keeps_them_from_every_builder() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let text = fs::read_to_string(root.join(".dockerignore")).expect("there");
        let ignore = Ignore::parse(&text).expect("valid");
        for private in [
            "secrets/proxy_token",
            ".env",
            ".deploy/causeway/releases.json",
        ] {
            assert!(ignore.excludes(private), "{private}");
        }
    }
}
