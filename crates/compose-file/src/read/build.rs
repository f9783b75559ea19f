//! `build`.

use super::environment::arguments;
use super::forms::host_path;
use crate::context::normalize;
use crate::cursor::Cursor;
use crate::fields::Fields;
use crate::model::Build;

/// Keys of Compose that aren't supported. The engine's classic builder knows nothing of `BuildKit`.
const HINTS: &[(&str, &str)] = &[
    ("secrets", "it needs BuildKit"),
    ("ssh", "it needs BuildKit"),
    ("additional_contexts", "it needs BuildKit"),
    (
        "dockerfile_inline",
        "write it into a file and name that in `dockerfile`",
    ),
    ("tags", "use `image` of the service"),
    (
        "platforms",
        "images are built for the engine's own platform",
    ),
];

/// A directory, or a mapping.
pub(super) fn build(cursor: &Cursor<'_>) -> Option<Build> {
    if cursor.is_scalar() {
        let context = directory(cursor)?;
        let dockerfile = context.join("Dockerfile");
        let (args, labels) = Default::default();
        return Some(Build {
            context,
            dockerfile,
            args,
            target: None,
            labels,
        });
    }
    let fields = Fields::of(cursor)?;
    let context = match fields.get("context") {
        Some(context) => directory(&context),
        None => Some(cursor.context.directory.clone()),
    };
    let dockerfile = fields
        .get("dockerfile")
        .and_then(|c| c.filled())
        .unwrap_or("Dockerfile");
    let args = fields
        .get("args")
        .map(|c| arguments(&c))
        .unwrap_or_default();
    let target = fields
        .get("target")
        .and_then(|c| c.filled())
        .map(str::to_owned);
    let labels = fields
        .get("labels")
        .and_then(|c| c.labels())
        .unwrap_or_default();
    fields.finish(HINTS);
    let context = context?;
    let dockerfile = normalize(&context.join(dockerfile));
    Some(Build {
        context,
        dockerfile,
        args,
        target,
        labels,
    })
}

/// A build context on this host.
fn directory(cursor: &Cursor<'_>) -> Option<std::path::PathBuf> {
    let text = cursor.filled()?;
    if text.contains("://") || text.starts_with("git@") {
        cursor.expected("a directory; remote build contexts aren't supported");
        return None;
    }
    host_path(cursor)
}
