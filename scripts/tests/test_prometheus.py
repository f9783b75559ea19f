"""What Prometheus and Grafana are given: rules that fire when they should, figures that there are.

promtool is Debian's (scripts/debian.sh). That docs/metrics.md has what the parts tell, and no other, is a test of
each part (crates/testkit/src/metrics_page.rs).
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = ROOT / "containers/prometheus"
TESTS = sorted((ROOT / "tests/prometheus").glob("*.yml"))
DASHBOARD = ROOT / "containers/grafana/causeway.json"
PAGE = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
RULES = {file.name: file.read_text(encoding="utf-8") for file in sorted(CONFIG.glob("*.yml"))}

DOCUMENTED = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE, re.MULTILINE))
RECORDED = set(re.findall(r"record: (\S+)", RULES["slo.yml"]))
METRIC = re.compile(r"\b(?:(?:proxy|api|console|keeper|process)_|causeway:)[a-z0-9_:]+")
BUILT_IN = {"$__rate_interval": "5m"}
"""What Grafana puts in."""


def promtool(*arguments: str | pathlib.Path, given: str = "") -> str:
    """What it prints, both outputs in one; fails where it finds fault."""
    folder = subprocess.run(
        [ROOT / "scripts/debian.sh", "trixie", "promtool"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()
    done = subprocess.run(
        [f"{folder}/usr/bin/promtool", *arguments],
        input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(f"promtool {arguments}:\n{done.stdout}")
    return done.stdout


def expressions() -> list[str]:
    """Those of the dashboard, as Prometheus gets them."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    found = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    for name, value in BUILT_IN.items():
        found = [expression.replace(name, value) for expression in found]
    return found


class Prometheus(unittest.TestCase):
    """The configuration, the rules and the dashboard."""

    def test_prometheus_takes_configuration_and_rules(self) -> None:
        """With its lints."""
        promtool("check", "config", "--lint=all", "--lint-fatal", CONFIG / "prometheus.yml")

    def test_alerts_fire_when_they_should_and_not_otherwise(self) -> None:
        """By the tests of the rules; these leave out no alert."""
        tests = "".join(file.read_text(encoding="utf-8") for file in TESTS)
        quiet = set(re.findall(r"\{eval_time: \w+, alertname: (\w+)\}", tests))
        fired = {
            (alert, severity)
            for alert, all_of in re.findall(r"alertname: (\w+)\n +exp_alerts:\n((?: {10}.*\n?)+)", tests)
            for severity in re.findall(r"severity: (\w+)", all_of)
        }
        alerts = set(re.findall(r"alert: (\w+)\n(?:.*\n)+?        labels: {severity: (\w+)}", RULES["alerts.yml"]))
        self.assertEqual(len(alerts), RULES["alerts.yml"].count("- alert: "), "one lacks a severity")
        self.assertEqual(alerts, fired)
        self.assertEqual({alert for alert, _ in alerts}, quiet)
        promtool("test", "rules", *TESTS)

    def test_every_alert_leads_to_its_paragraph(self) -> None:
        """`runbook` is a heading of docs/metrics.md."""
        for alert in re.findall(r"- alert: (\w+)", RULES["alerts.yml"]):
            self.assertTrue(f"runbook: docs/metrics.md#{alert.lower()}\n" in RULES["alerts.yml"], alert)
            self.assertTrue(f"\n### {alert}\n" in PAGE, alert)

    def test_every_figure_that_rules_and_dashboard_go_by_is_there(self) -> None:
        """A part tells it, or a rule records it."""
        for expression in (*expressions(), RULES["slo.yml"], RULES["alerts.yml"]):
            for name in METRIC.findall(re.sub(r"record: \S+|#.*", "", expression)):
                family = re.sub(r"_(bucket|sum|count)$", "", name)
                is_series = DOCUMENTED.get(family) == "histogram" if family != name else name in DOCUMENTED
                self.assertTrue(is_series or name in RECORDED, f"there is no {name}")

    def test_prometheus_takes_every_expression_of_the_dashboard(self) -> None:
        """As rules, which are parsed alike; JSON is YAML."""
        rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions())]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
            file.flush()
            said = promtool("check", "rules", "--lint=none", file.name)
        self.assertGreater(len(rules), 50)
        self.assertIn(f"SUCCESS: {len(rules)} rules found", said)


if __name__ == "__main__":
    unittest.main()
