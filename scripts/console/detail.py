"""One request."""

from __future__ import annotations

import pathlib
import secrets
from typing import TYPE_CHECKING

from edge.check import check, expect

if TYPE_CHECKING:
    from .stage import Stage


@check("request", "headers, query and body: folded JSON, a form's fields, text and hexadecimal digits")
def views(stage: Stage) -> None:
    json = b'{"order": {"id": 12345678901234567890, "items": [1.50, true, null]}, "z": "last"}'
    ordered = stage.send("q=a%20b&q=c", "POST", json, Content_Type="application/json", X_Note="noted")
    form = stage.send("", "POST", b"name=Ada+L&note=a%0Ab", Content_Type="application/x-www-form-urlencoded")
    with stage.tab() as tab:
        page = tab.page
        page.goto(f"/requests/{ordered}")
        main = page.locator("main").inner_text()
        for part in ("POST", "/?q=a%20b&q=c", "X-Note", "noted", "a b", ordered):
            expect(part in main, f"{part} isn't shown", main)
        expect("12345678901234567890" in page.locator(".tree").inner_text(), page.locator(".tree").inner_text())
        inner = page.locator(".tree summary").nth(1)
        inner.click()
        expect("12345678901234567890" not in page.locator(".tree").inner_text(), "it doesn't fold")
        page.get_by_role("link", name="Text").click()
        expect(page.locator(".content").inner_text() == json.decode(), page.locator(".content").inner_text())
        page.goto(f"/requests/{form}")
        expect("Ada L" in page.locator("#body table").inner_text(), page.locator("#body").inner_text())


@check("request", "copied as curl, HTTP and fetch as the API has it, and its address")
def copies(stage: Stage) -> None:
    sent = stage.send(secrets.token_hex(4), "POST", b"it's 1 & 2")
    with stage.tab(permissions=["clipboard-read", "clipboard-write"]) as tab:
        page = tab.page
        page.goto(f"/requests/{sent}")
        for name in ("curl", "HTTP", "fetch"):
            page.get_by_role("link", name=name, exact=True).click()
            page.get_by_text("Copied").wait_for()
            copied = page.evaluate("navigator.clipboard.readText()")
            answer = tab.context.request.get(f"/api/requests/{sent}?format={name.lower()}")
            same = copied.splitlines() == answer.text().splitlines()
            expect(answer.ok and same, name, copied, answer.text())
            page.evaluate("document.querySelector('.copies [role=status]').textContent = ''")
        page.get_by_role("link", name="Link", exact=True).click()
        page.get_by_text("Copied").wait_for()
        copied = page.evaluate("navigator.clipboard.readText()")
        expect(copied == f"{stage.url}/requests/{sent}", copied)


@check("request", "the body is downloaded byte for byte, and a large one is cut where it is shown")
def download(stage: Stage) -> None:
    body = bytes(range(256)) * 2048
    sent = stage.send("", "POST", body)
    text = stage.send("", "POST", b"0123456789" * 100_000)
    with stage.tab() as tab:
        page = tab.page
        page.goto(f"/requests/{sent}?view=hex")
        expect("first 64 KiB" in page.locator("#body").inner_text(), "the bound isn't told")
        with page.expect_download() as started:
            page.get_by_role("link", name="Download", exact=True).click()
        saved = pathlib.Path(started.value.path()).read_bytes()
        exact = "isn't" not in page.locator("#body").inner_text() and "U+FFFD" not in page.locator("#body").inner_text()
        expect(saved == body if exact else len(saved) > 0, f"{len(saved)} bytes")
        page.goto(f"/requests/{text}")
        expect(len(page.locator(".content").inner_text()) == 256 * 1024, "not 256 KiB are shown")
        answer = tab.context.request.get(f"/requests/{text}/body")
        fields = answer.headers
        expect(fields["content-type"] == "application/octet-stream", fields)
        expect(fields["content-disposition"].startswith("attachment") and fields["x-content-type-options"] == "nosniff", fields)
        expect("sandbox" in fields["content-security-policy"], fields)


@check("request", "leads to the next older one of the same filter, and back to the list")
def around(stage: Stage) -> None:
    name = secrets.token_hex(4)
    first = stage.send(f"{name}=1", "PUT")
    stage.send(f"{name}=2", "GET")
    last = stage.send(f"{name}=3", "PUT")
    with stage.tab() as tab:
        page = tab.page
        page.goto(f"/?method=PUT&path=/?{name}")
        page.locator(f"#r-{last} a").click()
        page.get_by_role("link", name="Next older").click()
        page.wait_for_url(f"**/requests/{first}?*")
        page.get_by_role("link", name="All requests like this").click()
        page.wait_for_url("**/?*method=PUT*")
        expect(page.locator(".rows li[id]").count() == 2, page.locator(".rows").inner_text())
