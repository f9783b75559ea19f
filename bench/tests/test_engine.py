"""Needs an engine, and the mongo image (any image with `sleep` would do)."""

import os
import secrets
import subprocess
import unittest

from harness.cgroup import Meter
from harness.engine import LABEL, ContainerSpec, Engine, docker

IMAGE = os.environ.get("CAUSEWAY_MONGO_IMAGE", "causeway/base-mongo:local")


def engine_has_image() -> bool:
    try:
        return subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@unittest.skipUnless(engine_has_image(), f"no engine, or no image {IMAGE} (CAUSEWAY_MONGO_IMAGE)")
class WithAnEngine(unittest.TestCase):
    def setUp(self):
        self.run_name = f"test-{secrets.token_hex(4)}"

    def sleeper(self, engine, network):
        return engine.start(
            ContainerSpec(
                "sleeper",
                IMAGE,
                {network: ["alias"]},
                arguments=["--entrypoint=sleep"],
                command=["60"],
            )
        )

    def left(self):
        label = f"label={LABEL}={self.run_name}"
        return docker("ps", "-aq", "--filter", label) + docker("network", "ls", "-q", "--filter", label)

    def test_a_failure_leaves_nothing_behind(self):
        with self.assertRaisesRegex(RuntimeError, "on purpose"), Engine(self.run_name) as engine:
            self.sleeper(engine, engine.network("net"))
            self.assertNotEqual(self.left(), "")
            raise RuntimeError("on purpose")
        self.assertEqual(self.left(), "")

    def test_a_running_container_has_accounts(self):
        with Engine(self.run_name) as engine:
            meter = Meter(self.sleeper(engine, engine.network("net")).pid)
            self.assertGreater(meter.cpu().total, 0)
            self.assertGreater(meter.resident(), 0)
