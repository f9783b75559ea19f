"""The keyboard."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from edge.check import check, expect

if TYPE_CHECKING:
    from .stage import Stage

FOCUSED = "document.activeElement.closest('li')?.id.slice(2) ?? document.activeElement.id"


@check("keys", "/ to the filter, j and k along the list, Enter opens, Esc leads back, ? explains")
def keys(stage: Stage) -> None:
    name = secrets.token_hex(4)
    sent = [stage.send(f"{name}={number}") for number in range(3)][::-1]
    with stage.tab() as tab:
        page = tab.page
        page.goto(f"/?path=/?{name}")
        page.keyboard.press("/")
        expect(page.evaluate(FOCUSED) == "f-path", page.evaluate(FOCUSED))
        page.keyboard.type("jk?")
        expect(page.get_by_label("Path").input_value() == "jk?", "a key in a field isn't typed")
        page.keyboard.press("Escape")
        expect(page.evaluate(FOCUSED) != "f-path", "Esc doesn't leave the field")
        for key, at in (("j", 0), ("j", 1), ("k", 0), ("j", 1), ("j", 2), ("j", 2)):
            page.keyboard.press(key)
            expect(page.evaluate(FOCUSED) == sent[at], key, page.evaluate(FOCUSED))
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/requests/{sent[2]}?*")
        page.keyboard.press("Escape")
        page.wait_for_url("**/?*")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog").is_visible(), "no help")
        page.keyboard.press("Escape")
        expect(not page.get_by_role("dialog").is_visible(), "the help stays")


@check("keys", "the first Tab leads to the content, and focus is seen")
def tabbing(stage: Stage) -> None:
    with stage.tab() as tab:
        page = tab.page
        page.goto("/")
        page.keyboard.press("Tab")
        expect(page.evaluate("document.activeElement.className") == "skip", "no skip link")
        expect(page.locator(".skip").bounding_box()["y"] >= 0, "the skip link can't be seen")
        page.keyboard.press("Enter")
        for _ in range(12):
            page.keyboard.press("Tab")
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            expect(outline != "none", page.evaluate("document.activeElement.outerHTML"))
