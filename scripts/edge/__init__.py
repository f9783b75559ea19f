"""Other people's clients before the proxy: scripts/try-edge.py."""
