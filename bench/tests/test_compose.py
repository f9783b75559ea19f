import json
import os
import subprocess
import unittest
from pathlib import Path

from harness.compose import interpolate, service
from harness.errors import BenchError


class Interpolation(unittest.TestCase):
    def test_values_defaults_and_dollars(self):
        settings = {"A": "1", "EMPTY": ""}
        for text, expected in {
            "${A}": "1",
            "$A/x": "1/x",
            "${A:-2}": "1",
            "${EMPTY:-2}": "2",
            "${EMPTY-2}": "",
            "${NONE:-a:b}": "a:b",
            "${NONE}": "",
            "$$HOME": "$HOME",
        }.items():
            with self.subTest(text=text):
                self.assertEqual(interpolate(text, settings), expected)

    def test_inside_lists_and_maps(self):
        self.assertEqual(interpolate({"a": ["${A}", 1, None]}, {"A": "x"}), {"a": ["x", 1, None]})

    def test_a_variable_that_has_to_be_there(self):
        with self.assertRaisesRegex(BenchError, "NAME.*say it"):
            interpolate("${NAME:?say it}", {})


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
                "environment": {"A": 1},
                "command": ["run", 2],
                "logging": {"driver": "json-file", "options": {"max-size": "10m"}},
                "deploy": {"replicas": 1, "resources": {"limits": {"memory": "256M"}}},
                "healthcheck": {"test": ["CMD", "true"]},
                "x-leads-to": "other",
            },
        )
        self.assertEqual(
            found.arguments,
            [
                "--read-only", "--cap-drop=ALL", "--user=999:999", "--ulimit=nofile=10:20",
                "--log-driver=json-file", "--log-opt=max-size=10m", "--memory=256M",
            ],
        )  # fmt: skip
        self.assertEqual((found.environment, found.command), ({"A": "1"}, ["run", "2"]))

    def test_an_unknown_key_is_an_error_that_names_it(self):
        with self.assertRaisesRegex(BenchError, "services.api.privileged"):
            service("api", {"image": "x", "privileged": True})

    def test_an_unknown_key_under_deploy_too(self):
        with self.assertRaisesRegex(BenchError, "services.api.deploy"):
            service("api", {"image": "x", "deploy": {"mode": "global"}})

    def test_every_key_of_the_real_file_is_known(self):
        # As `deploy` reads it: YAML isn't in the standard library.
        root = Path(__file__).parents[2]
        deploy = os.environ.get("CAUSEWAY_PROBE_BINARY", root / "target/deploy")
        printed = subprocess.run([deploy, "--json", "config"], cwd=root, check=True, capture_output=True)
        services = json.loads(printed.stdout)["services"]
        arguments = {name: service(name, keys).arguments for name, keys in services.items()}
        self.assertIn("--read-only", arguments["proxy"])
        self.assertIn("--init", arguments["mongo"])
