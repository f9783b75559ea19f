"""The console in a browser: scripts/try-console.py."""
