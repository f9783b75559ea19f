"""Chromium, by Playwright."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from .check import check, expect

if TYPE_CHECKING:
    from .stage import Stage

PAGE = """async (tls) => {
    const hop = performance.getEntriesByType('navigation')[0].nextHopProtocol;
    const posted = await (await fetch('/posted', {method: 'POST', body: 'x'.repeat(100000)})).json();
    const pages = await Promise.all([...Array(50).keys()].map(async n => (await fetch('/page?' + n)).status));
    const echo = await new Promise((resolve, reject) => {
        const socket = new WebSocket(`wss://localhost:${tls}/socket`);
        socket.onopen = () => socket.send('over the edge');
        socket.onmessage = message => resolve(message.data);
        socket.onerror = () => reject('the WebSocket failed');
        setTimeout(() => reject('nothing came back by the WebSocket'), 10000);
    });
    return {hop, posted, pages, echo};
}"""


@check("Chromium", "a page by HTTP/2, a POST, fifty fetches at a time and a WebSocket")
def page(stage: Stage) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            context = browser.new_context(ignore_https_errors=True)
            tab = context.new_page()
            answer = tab.goto(stage.url("/page"))
            expect(answer is not None and answer.status == 200, answer and answer.status)
            expect(tab.inner_text("p") == "served", tab.content())
            security = answer.security_details() if answer else None
            expect(security and security["protocol"] == "TLS 1.3", security)
            expect(security and security["subjectName"] == "localhost", security)
            found = tab.evaluate(PAGE, stage.tls)
        finally:
            browser.close()
    expect(found["hop"] == "h2", found["hop"])
    expect((found["posted"]["method"], found["posted"]["length"]) == ("POST", 100_000), found["posted"])
    expect(found["pages"] == [200] * 50, found["pages"])
    expect(found["echo"] == "over the edge", found["echo"])
