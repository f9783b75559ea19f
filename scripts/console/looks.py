"""How pages look, and how they are for who doesn't see them."""

from __future__ import annotations

import importlib.resources
import secrets
from typing import TYPE_CHECKING

from edge.check import check, expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from .stage import Stage

AXE = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def pages(stage: Stage) -> list[str]:
    """All kinds of pages there are."""
    name = secrets.token_hex(4)
    body = b'{"order": {"id": 1, "items": ["a", true, null]}, "marks": "\xe2\x80\xae"}'
    identifier = stage.send(f"{name}=1", "POST", body, Content_Type="application/json")
    for method in ("GET", "PUT", "DELETE", "PURGE"):
        stage.send(f"{name}=2", method)
    request = f"/requests/{identifier}"
    return [
        f"/?path=/?{name}", "/?path=/?nothing-is-like-that", "/?since=yesterday", "/live",
        request, f"{request}?view=text", f"{request}?view=hex", "/stack", "/nowhere",
    ]  # fmt: skip


def violations(page: Page) -> list[str]:
    """What axe-core finds. Its source is evaluated by the browser's own tools, which no policy of ours forbids."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("rules => axe.run({runOnly: rules})", RULES)["violations"]
    return [
        f"{page.url}: {rule['id']}: {rule['help']}: {'; '.join(node['html'][:200] for node in rule['nodes'][:3])}"
        for rule in found
    ]


@check("looks", "axe-core finds nothing wrong with any page, in light and in dark")
def accessible(stage: Stage) -> None:
    paths = pages(stage)
    wrong = []
    for scheme in ("light", "dark"):
        with stage.tab(log_in=False, color_scheme=scheme) as tab:
            tab.page.goto("/login")
            wrong += violations(tab.page)
        with stage.tab(color_scheme=scheme) as tab:
            for path in paths:
                tab.page.goto(path)
                wrong += violations(tab.page)
            tab.page.goto("/")
            tab.page.keyboard.press("?")
            wrong += violations(tab.page)
    expect(not wrong, *wrong)


@check("looks", "at 360 px nothing is wider than the window")
def narrow(stage: Stage) -> None:
    paths = pages(stage)
    with stage.tab(viewport={"width": 360, "height": 740}) as tab:
        for path in paths:
            tab.page.goto(path)
            tab.expect_width()


@check("looks", "dark where the system is dark; times are those of where one is")
def schemes(stage: Stage) -> None:
    identifier = stage.send(secrets.token_hex(4))
    grounds = []
    for scheme in ("light", "dark"):
        with stage.tab(color_scheme=scheme, timezone_id="Asia/Tokyo", locale="en-GB") as tab:
            tab.page.goto(f"/requests/{identifier}")
            grounds.append(tab.page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
            shown = tab.page.locator(".facts time").inner_text()
            expect("GMT+9" in shown or "JST" in shown, shown)
    light, dark = (sum(map(int, ground[4:-1].split(","))) for ground in grounds)
    expect(light > 600 and dark < 150, grounds)
