#!/usr/bin/env python3
"""`make bench`: measures Causeway beside its peers. See README.md."""

import sys

from harness.cli import main

if __name__ == "__main__":
    sys.exit(main())
