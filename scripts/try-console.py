#!/usr/bin/env python3
"""Uses the console as people do, in Chromium, and says what it found.

    scripts/try-console.py                  every check, about two minutes, with a console and an API of its own
    scripts/try-console.py --only live,keys  some of them
    scripts/try-console.py --console http://localhost:8081 --requests http://localhost:8080 \\
        --token secrets/console_token --screenshots docs/console
                                            on a stack that runs: the checks that it allows, and pictures
    scripts/try-console.py --install        only makes sure that what it needs is there

By itself it runs target/debug/console and target/debug/api as processes of its own, on the MongoDB that
TEST_MONGO_URI names (127.0.0.1:27017 otherwise), in a database of its own. Chromium comes from Debian;
Playwright and axe-core, pinned with their hashes in scripts/console/requirements.txt, from PyPI into
target/console. Exit code 1 says that a check failed, 2 that they couldn't be run.
"""

from __future__ import annotations

from trial import start

if __name__ == "__main__":
    start("console", ["chromium=chromium", "/usr/share/fonts/truetype/liberation=fonts-liberation"])
