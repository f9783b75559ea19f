//! Properties of the Compose reader that hold for any input (`testkit::fuzz`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use compose_file::{Error, LoadOptions, Project, load};
use testkit::{fuzz, table::words};

const WORDS: &str = r#"
\n \n\s\s \n\s\s\s\s :\s -\s [ ] { } ,\s " ' |\n >\n *a &a\s <<:\s*a !!str\s ~ #\s \t \n---\n $$
${X ${X:- ${X:? ${X:+ } services: networks: volumes: secrets: name:\s image:\si build:\s. ports:\s
80:80 127.0.0.1:1-3:4-6/udp environment:\s command:\s command:\sa\s'b\sc'\s\\;\s#d\s&&\se
env_file:\s[.env,\s.env] 'it\\'s'\s#\sc export\s A=$A$A\s# entrypoint:\s healthcheck:\s test:\s
interval:\s1s depends_on:\s condition:\sservice_healthy deploy:\s replicas:\s2 update_config:\s
order:\sstart-first resources:\s limits:\s memory:\s1g ulimits:\s tmpfs:\s network_mode:\s
service:s extra_hosts:\s read_only:\strue restart:\salways labels:\s external:\strue
internal:\strue !reset\s !override\s [A=b] {A:\sb} ipam:\s subnet:\s10.0.0.0/8 aliases:\s x-a:\s \xff \xc2\x9b \x1b \xe2\x80\xae -1
0x1 1e3 0440 1_000 yes null .inf
"#;

#[test]
fn compose() {
    let directory = tempfile::TempDir::new().unwrap();
    fuzz::run("compose", &words(WORDS), 1_500, |input| {
        check(input, directory.path())
    });
}

fn read(texts: &[&[u8]], dot_env: &[u8], directory: &Path) -> Result<Project, Error> {
    let named = |(number, text): (usize, &&[u8])| {
        let file = directory.join(format!("{number}.yaml"));
        std::fs::write(&file, text).unwrap();
        file
    };
    std::fs::write(directory.join(".env"), dot_env).unwrap();
    load(&LoadOptions {
        files: texts.iter().enumerate().map(named).collect(),
        ..LoadOptions::default()
    })
}

/// Up to a line of `---`, and after it.
fn split(input: &[u8]) -> (&[u8], Option<&[u8]>) {
    let separator = b"\n---\n";
    let mut windows = input.windows(separator.len());
    match windows.position(|part| part == separator) {
        Some(end) => (&input[..end], Some(&input[end + separator.len()..])),
        None => (input, None),
    }
}

/// The file, after a line of `---` the `.env` beside it, and after another one a file over it. What is
/// understood is written back as a file that is understood in the same way, also where it is merged over
/// itself.
fn check(input: &[u8], directory: &Path) -> String {
    let (text, rest) = split(input);
    let (dot_env, over) = rest.map_or((&b""[..], None), split);
    let texts: Vec<&[u8]> = std::iter::once(text).chain(over).collect();
    let project = match read(&texts, dot_env, directory) {
        Ok(project) => project,
        Err(Error::Invalid { problems, .. }) => {
            assert!(!problems.is_empty());
            let first = &problems[0];
            let message: String = first
                .message
                .chars()
                .filter(char::is_ascii_alphabetic)
                .take(24)
                .collect();
            return format!(
                "{} {message}",
                first.path.split('.').next_back().unwrap_or_default()
            );
        }
        Err(error) => return error.to_string().chars().take(20).collect(),
    };
    let yaml = project.to_yaml().expect("a project has a YAML form");
    let twice = [yaml.as_bytes(); 2];
    for texts in [&twice[..1], &twice] {
        let again = read(texts, b"", directory).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
        assert_eq!(again.name, project.name);
        assert_eq!(again.services, project.services, "{yaml}");
        assert_eq!(again.networks, project.networks, "{yaml}");
        assert_eq!(again.volumes, project.volumes, "{yaml}");
        assert_eq!(again.secrets, project.secrets, "{yaml}");
        assert_eq!(again.verify, project.verify, "{yaml}");
    }
    format!(
        "ok {} {} {}",
        texts.len(),
        project.services.len(),
        yaml.lines().count().min(60)
    )
}
