#!/usr/bin/env python3
"""Checks every Markdown file.

What its links point to is there, and so is each path in backquotes that begins at the top; in the guides
to the sources any path does. The base images that it names are compose.yaml's, as the Dockerfiles' are,
and the stages that these share are the same.

A link to a Rust file whose text is a name in backquotes claims that the file holds a test of that
name, or a part of one: a function that a test in a file beside it calls. That is checked too, so that
a promise can't outlive the test that shows it.
"""

import pathlib
import re
import subprocess
import sys

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
NAME = re.compile(r"`(\w+)`")
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w.-]+\.(?:md|py|rs|sh|toml|yaml))`")
IMAGE = re.compile(r"\b(rust|mongo):\d[\w.-]*")
GUIDES = ("ARCHITECTURE.md", "CONTRIBUTING.md")
MADE = ("target", "secrets")
"""Folders that a checkout doesn't bring."""
SHARING = ("Dockerfile.proxy", "Dockerfile.api", "containers/Dockerfile.console")
"""One compile serves all of these, through the layer cache, for as long as these stages are the same."""
SHARED = re.compile(r"^ARG RUST_IMAGE.*^ && mkdir /out[^\n]*\n", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def holds_test(source: str, name: str) -> bool:
    """Whether `source` has a function `name` with a test attribute, or in a `proptest!` block."""
    function = re.search(rf"((?:^[ \t]*#\[[^\n]*\n)*)^[ \t]*(?:async )?fn {name}\(", source, re.MULTILINE)
    return function is not None and re.search(r"#\[(?:\w+::)?test\b", function[1]) is not None


def is_part_of_test(file: pathlib.Path, name: str) -> bool:
    """Whether `file` has a function `name` that a file with tests, in the same folder, calls."""
    if not re.search(rf"^pub\(crate\) fn {name}\(", file.read_text(encoding="utf-8"), re.MULTILINE):
        return False
    sources = (beside.read_text(encoding="utf-8") for beside in file.parent.glob("*.rs"))
    return any("#[test]" in source and f"{file.stem}::{name}(" in source for source in sources)


def anchor(heading: str) -> str:
    """The fragment that a heading gets where Markdown is shown."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def other_images(file: pathlib.Path, ours: set[str]) -> list[str]:
    """The base images in one file that aren't compose.yaml's."""
    named = {image[0] for image in IMAGE.finditer(file.read_text(encoding="utf-8"))}
    return [f"{file}: {image} is not what compose.yaml names" for image in sorted(named - ours)]


def problems(document: pathlib.Path) -> list[str]:
    """What is wrong with the links and paths of one file."""
    text = document.read_text(encoding="utf-8")
    found = []
    for path in PATH.findall(text):
        top = path.split("/")[0]
        ours = document.name in GUIDES or ("/" in path and pathlib.Path(top).is_dir())
        if ours and top not in MADE and not pathlib.Path(path).exists():
            found.append(f"{document}: {path} does not exist")
    for link in LINK.finditer(text):
        label, target = link.groups()
        if re.match(r"[a-z]+:", target):
            continue
        line = text.count("\n", 0, link.start()) + 1
        path, _, fragment = target.partition("#")
        file = document.parent / path if path else document
        name = NAME.fullmatch(label)
        if not file.exists():
            found.append(f"{document}:{line}: {target} does not exist")
        elif name and file.suffix == ".rs" and not (
            holds_test(file.read_text(encoding="utf-8"), name[1]) or is_part_of_test(file, name[1])
        ):
            found.append(f"{document}:{line}: {path} holds no test {name[1]}")
        elif fragment and file.suffix == ".md":
            headings = map(anchor, HEADING.findall(file.read_text(encoding="utf-8")))
            if fragment not in headings:
                found.append(f"{document}:{line}: {target}: no such heading")
    return found


def main() -> int:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
        check=True, capture_output=True, text=True,
    ).stdout
    documents = [pathlib.Path(name) for name in sorted(set(listed.split("\0"))) if name]
    documents = [document for document in documents if document.exists()]
    found = [problem for document in documents for problem in problems(document)]
    ours = {image[0] for image in IMAGE.finditer(pathlib.Path("compose.yaml").read_text(encoding="utf-8"))}
    dockerfiles = [path for folder in (".", "containers") for path in pathlib.Path(folder).glob("Dockerfile.*")]
    found += [problem for file in (*documents, *dockerfiles) for problem in other_images(file, ours)]
    shared = {SHARED.search(file.read_text(encoding="utf-8"))[0] for file in map(pathlib.Path, SHARING)}
    if len(shared) > 1:
        found.append(f"{', '.join(SHARING)}: the stages that they share differ")
    print("\n".join(found) or f"{len(documents)} documents hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
