"""gunicorn for tuned.py: threads, long keep-alive towards nginx, no access log (nginx has one)."""

import os

bind = "0.0.0.0:9090"
worker_class = "gthread"
workers = int(os.environ["APP_WORKERS"])
threads = int(os.environ["APP_THREADS"])
# Longer than nginx keeps an idle upstream connection, so that nginx is the one to close it.
keepalive = 75
backlog = 4096
worker_connections = 4096
# Heartbeat files in memory: on a disk they can stall a worker.
worker_tmp_dir = "/dev/shm"
