"""The alerts on the page Stack."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from edge.check import check, expect

from .looks import violations

if TYPE_CHECKING:
    from .stage import Stage

FIRING = [
    {
        "labels": {"alertname": name, "severity": severity},
        "annotations": {"summary": "<img src=x onerror=alert(1)> \u202eis down", "runbook": f"docs/metrics.md#{name}"},
        "state": "firing",
        "activeAt": "2026-01-01T00:00:00Z",
    }
    for name, severity in (("CausewaySlow", "warning"), ("CausewayDown", "critical"))
]


class Prometheus(BaseHTTPRequestHandler):
    """Answers as one does whose alerts these are."""

    def do_GET(self) -> None:  # noqa: N802  as the library calls it
        """Whatever is asked for."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "success", "data": {"alerts": FIRING}}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@check("alerts", "what fires is on the page Stack, as inert text, and axe-core finds nothing wrong with it")
def firing(stage: Stage) -> None:
    processes = stage.own()
    with ThreadingHTTPServer(("127.0.0.1", 0), Prometheus) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        processes.stop("console")
        processes.start("console", CONSOLE_PROMETHEUS_URL=f"http://127.0.0.1:{server.server_port}")
        try:
            with stage.tab(viewport={"width": 360, "height": 740}) as tab:
                tab.page.goto("/stack")
                tab.page.get_by_text("CausewayDown", exact=True).wait_for()
                names = tab.page.locator("section:has(#alerts) li strong").all_inner_texts()
                expect(names == ["CausewayDown", "CausewaySlow"], f"{names}")
                expect("<img src=x" in tab.page.locator("section:has(#alerts)").inner_text(), "no text")
                wrong = violations(tab.page)
                expect(not wrong, *wrong)
                tab.expect_width()
        finally:
            processes.stop("console")
            processes.start("console")
            server.shutdown()
