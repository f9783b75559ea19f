//! Files with mistakes. Each file of `errors/` ends with the problems that it must give, all of
//! them and in this order, as comments: `# LINE:COLUMN: PATH: MESSAGE`.

use crate::support::{Fixture, service};

#[test]
fn corpus() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/compose/errors");
    let mut differences = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let expected: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .collect();
        assert!(!expected.is_empty(), "{} expects nothing", path.display());

        let problems = Fixture::new(&text).problems();
        let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
        if found != expected {
            differences.push(format!("{}:\n# {}\n", path.display(), found.join("\n# ")));
        }
        count += 1;
    }
    assert!(
        differences.is_empty(),
        "problems found instead:\n{}",
        differences.join("\n")
    );
    assert!(count > 8, "only {count} files in the corpus");
}

#[test]
fn the_report_has_a_line_for_each_problem() {
    let fixture = service("imag: x\nprivileged: true");
    let file = fixture.path("compose.yaml");
    let expected = format!(
        "{0}:4:5: services.s.imag: the key imag isn't supported; did you mean image?\n\
         {0}:5:5: services.s.privileged: the key privileged isn't supported: \
         use `cap_add` for the capabilities that are needed",
        file.display()
    );
    assert_eq!(fixture.load().unwrap_err().to_string(), expected);
}
