"""What was recorded to harm who looks at it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from edge.check import check, expect

if TYPE_CHECKING:
    from .stage import Stage

SCRIPTS = (
    "<script>alert(1)</script>",
    "</code></pre><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "<svg onload=alert(1)>",
    "{{ 7 * 7 }}<iframe srcdoc='<script>alert(1)</script>'>",
    "javascript:alert(1)",
)
INVISIBLE = "\u202egnp.exe\u202c\u2066\u200b\u200f\ufeff\u0085\x00\x1b[31m\x07\x7f"
FORMS = ("text/html", "application/json", "application/x-www-form-urlencoded", "image/svg+xml")
LARGE = {
    "one line": b"a" * 2**20,
    "angle brackets": b"<" * 2**20,
    "control characters": bytes(2**20),
    "a wide array": b"[" + b"0," * (2**19 - 2) + b"0]",
    "a deep array": b"[" * 2**19 + b"]" * 2**19,
    "many lines": b"\n" * 2**20,
    "directions": "\u202e".encode() * (2**20 // 3),
}


@check("hostile", "script tags, controls and directions, in URL, headers and body, are text on every page")
def inert(stage: Stage) -> None:
    name = secrets.token_hex(4)
    sent = []
    for number, script in enumerate(SCRIPTS):
        body = script.encode() + INVISIBLE.encode()
        for media_type in FORMS:
            if media_type == "application/json":
                body = ('{"' + script.replace('"', '\\"') + '": ["\u202e", "<script>alert(1)</script>"]}').encode()
            if media_type.endswith("urlencoded"):
                body = b"<script>alert(1)</script>=" + body
            query = f"{name}={number}&x=%3Cscript%3Ealert(1)%3C/script%3E'%00%e2%80%ae%22"
            sent.append(stage.send(query, "POST", body, Content_Type=media_type, X_Hostile=script, User_Agent=script))
    with stage.tab() as tab:
        page = tab.page
        for path in (f"/?path=/?{name}", "/live", f"/?body={'%3Cscript%3E'}", "/?path=<script>alert(1)</script>"):
            page.goto(path)
            tab.expect_width()
        for identifier in sent:
            for view in ("", "text", "json", "form", "hex"):
                page.goto(f"/requests/{identifier}?view={view}")
                tab.expect_width()
                made = page.locator("main").locator("script, img, iframe, svg, [onerror], [onload], [onmouseover]")
                expect(made.count() == 0, page.url)
                text = page.locator("main").inner_text()
                expect(not set(text) & set("\u202e\u202c\u2066\u200b\u200f\ufeff\u0085\x00\x1b\x07\x7f"), page.url)
        page.goto(f"/requests/{sent[0]}?view=text")
        expect("U+202E" in page.locator("#body").inner_text(), page.locator("#body").inner_text())


@check("hostile", "bodies of 1 MiB, of whatever kind, are shown within 5 s and break no layout, at 360 px too")
def large(stage: Stage) -> None:
    with stage.tab(viewport={"width": 360, "height": 740}) as tab:
        tab.page.set_default_timeout(5000)
        for what, body in LARGE.items():
            identifier = stage.send("", "POST", body)
            for view in ("", "text", "json", "hex"):
                tab.page.goto(f"/requests/{identifier}?view={view}")
                expect(tab.page.locator("#body").is_visible(), what, view)
                tab.expect_width()


@check("hostile", "long URLs and names break no layout, at 360 px too")
def long_names(stage: Stage) -> None:
    name = secrets.token_hex(4)
    identifier = stage.send(f"{name}=" + "x" * 6000, "LONGMETHODNAME", b"", **{"X-" + "N" * 200: "v" * 2000})
    for width in (360, 1280):
        with stage.tab(viewport={"width": width, "height": 740}) as tab:
            for path in (f"/?path=/?{name}", f"/requests/{identifier}", f"/?path=/?{'y' * 900}", f"/live?path={'y' * 900}"):
                tab.page.goto(path)
                tab.expect_width()
