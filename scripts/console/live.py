"""The live page."""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING

from edge.check import check, expect, until

from .lists import shown
from .stage import Sender

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from .stage import Stage

ROWS = 500


def connected(page: Page, path: str) -> None:
    """Open it, and wait until it listens."""
    page.goto(path)
    page.locator("#live-state[data-state=on]").wait_for()


@check("live", "a request is shown, only where the filter lets it, and pause holds it back")
def arrives(stage: Stage) -> None:
    name = secrets.token_hex(4)
    with stage.tab() as tab:
        page = tab.page
        connected(page, f"/live?method=POST&path=/?{name}")
        stage.send(f"{name}=0", "GET")
        sent = stage.send(f"{name}=1", "POST")
        tab.row(sent).wait_for()
        expect(shown(page) == [sent], shown(page))
        page.get_by_role("button", name="Pause").click()
        later = [stage.send(f"{name}={number}", "POST") for number in (2, 3)]
        page.get_by_text("2 new").wait_for()
        expect(shown(page) == [sent], "shown though paused")
        page.get_by_role("button", name="Go on").click()
        tab.row(later[1]).wait_for()
        expect(shown(page) == [later[1], later[0], sent], shown(page))
        tab.row(later[1]).get_by_role("link").click()
        page.wait_for_url(f"**/requests/{later[1]}?*")


class Load:
    """Requests, one after another, until it is stopped."""

    def __init__(self, stage: Stage, name: str, pause: float) -> None:
        """Begin."""
        self.sent: list[str] = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(Sender(stage.requests), name, pause))
        self.thread.start()

    def _run(self, sender: Sender, name: str, pause: float) -> None:
        while not self.stopping.is_set():
            self.sent.append(sender.send(f"{name}={len(self.sent)}"))
            time.sleep(pause)

    def stop(self) -> list[str]:
        """End, and say what was sent."""
        self.stopping.set()
        self.thread.join()
        return self.sent


@check("live", "while load runs: all of it, each once, in order; as many rows and as much memory as before")
def under_load(stage: Stage) -> None:
    name = secrets.token_hex(4)
    with stage.tab() as tab:
        page = tab.page
        connected(page, f"/live?path=/?{name}")
        # Fewer than 100 between two polls, even where one is late: of more, the page shows the newest.
        load = Load(stage, name, 0.01)
        try:
            until(lambda: page.wait_for_timeout(200) or len(load.sent) > ROWS + 200, "load", 60)
            first = memory(page)
            begun = len(load.sent)
            until(lambda: page.wait_for_timeout(200) or len(load.sent) > begun + 800, "load", 90)
        finally:
            sent = load.stop()
        tab.row(sent[-1]).wait_for()
        expect(shown(page) == sent[: -ROWS - 1 : -1], f"{len(shown(page))} rows, and not the last {ROWS} in order")
        last = memory(page)
        expect(last["nodes"] < first["nodes"] * 1.2 + 1000, first, last)
        expect(last["heap"] < first["heap"] * 1.5 + 2**20, first, last)


def memory(page: Page) -> dict[str, int]:
    """What a page has, after rubbish is collected."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    found = {metric["name"]: int(metric["value"]) for metric in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    return {"nodes": found["Nodes"], "heap": found["JSHeapUsedSize"]}


@check("live", "the console is stopped and started: the page says so, goes on by itself, and nothing is missing or twice")
def reconnects(stage: Stage) -> None:
    processes = stage.own()
    name = secrets.token_hex(4)
    with stage.tab() as tab:
        page = tab.page
        connected(page, f"/live?path=/?{name}")
        before = stage.send(f"{name}=before")
        tab.row(before).wait_for()
        processes.stop("console")
        try:
            page.locator("#live-state[data-state=away]").wait_for()
            meanwhile = [stage.send(f"{name}={number}") for number in range(5)]
        finally:
            processes.start("console")
        page.locator("#live-state[data-state=on]").wait_for(timeout=20_000)
        after = stage.send(f"{name}=after")
        tab.row(after).wait_for()
        expect(shown(page) == [after, *meanwhile[::-1], before], shown(page), meanwhile)
