import os
import unittest
from pathlib import Path

from harness.compose import load, service
from harness.errors import BenchError


class Services(unittest.TestCase):
    def test_limits_and_hardening_become_arguments(self):
        found = service(
            "api",
            {
                "image": "x",
                "read_only": True,
                "cap_drop": ["ALL"],
                "user": "999:999",
                "ulimits": {"nofile": {"soft": 10, "hard": 20}},
                "environment": {"A": "1"},
                "command": ["run", "2"],
                "build": {"args": {"RUST_IMAGE": "rust"}},
                "volumes": [
                    {"type": "volume", "source": "data", "target": "/data"},
                    {"type": "bind", "source": "/here/init.d", "target": "/init.d"},
                ],
                "logging": {"driver": "json-file", "options": {"max-size": "10m"}},
                "deploy": {"replicas": 1, "resources": {"limits": {"memory": "256M"}}},
                "healthcheck": {"test": ["CMD", "true"]},
                "x-note": "other",
            },
        )
        self.assertEqual(
            found.arguments,
            [
                "--read-only", "--cap-drop=ALL", "--user=999:999", "--ulimit=nofile=10:20",
                "--volume=/here/init.d:/init.d:ro",
                "--log-driver=json-file", "--log-opt=max-size=10m", "--memory=256M",
            ],
        )  # fmt: skip
        self.assertEqual((found.environment, found.command), ({"A": "1"}, ["run", "2"]))
        self.assertEqual(found.build_args, {"RUST_IMAGE": "rust"})

    def test_an_unknown_key_is_an_error_that_names_it(self):
        with self.assertRaisesRegex(BenchError, "services.api.privileged"):
            service("api", {"image": "x", "privileged": True})

    def test_an_unknown_key_under_deploy_too(self):
        with self.assertRaisesRegex(BenchError, "services.api.deploy"):
            service("api", {"image": "x", "deploy": {"mode": "global"}})

    def test_every_key_of_the_real_file_is_known(self):
        root = Path(__file__).parents[2]
        services = load(root, Path(os.environ.get("CAUSEWAY_PROBE_BINARY", root / "target/deploy")))
        self.assertIn("--read-only", services["proxy"].arguments)
        self.assertIn("--init", services["mongo"].arguments)
