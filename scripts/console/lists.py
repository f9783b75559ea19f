"""The list of requests."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from edge.check import check, expect
from edge.stage import free_ports

from .stage import Sender

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from .stage import Stage


def shown(page: Page) -> list[str]:
    """Ids of the rows."""
    return page.eval_on_selector_all(".rows li[id]", "rows => rows.map(row => row.id.slice(2))")


@check("list", "the newest first, more of it as it is scrolled, and how many there are")
def scrolling(stage: Stage) -> None:
    name = secrets.token_hex(4)
    sender = Sender(stage.requests)
    sent = [sender.send(f"{name}={number}") for number in range(130)]
    newest_first = sent[::-1]
    with stage.tab() as tab:
        page = tab.page
        page.goto(f"/?path=/?{name}")
        expect(shown(page) == newest_first[: len(shown(page))], "not the newest first")
        page.get_by_text("130 requests").wait_for()
        for _ in range(20):
            page.keyboard.press("End")
            page.wait_for_timeout(100)
            if len(shown(page)) == len(sent):
                break
        expect(shown(page) == newest_first, f"{len(shown(page))} of {len(sent)} after scrolling")


@check("list", "filters by path, method, header and text in the body, combined")
def filters(stage: Stage) -> None:
    name = secrets.token_hex(4)
    wanted = stage.send(f"{name}=1", "POST", b"the Needle in it", X_Kind="blue")
    stage.send(f"{name}=2", "POST", b"nothing in it", X_Kind="blue")
    stage.send(f"{name}=3", "PUT", b"the needle in it", X_Kind="blue")
    stage.send(f"{name}=4", "POST", b"the needle in it", X_Kind="red")
    with stage.tab() as tab:
        page = tab.page
        page.get_by_label("Path").fill(f"/?{name}")
        page.get_by_label("Method").fill("POST")
        page.get_by_label("Text in the body").fill("needle")
        page.get_by_text("Header, address, time, id").click()
        page.get_by_label("Header").first.fill("X-Kind: blue")
        page.get_by_label("Since").fill("1h")
        page.get_by_role("button", name="Filter").click()
        page.wait_for_url("**/?*needle*")
        expect(shown(page) == [wanted], shown(page))
        expect("until=" not in page.url, f"an empty field in {page.url}")
        expect(page.get_by_label("Header").first.input_value() == "X-Kind: blue", "the header isn't in the form")
        page.get_by_role("link", name="Clear").click()
        page.wait_for_url(stage.url + "/")


@check("list", "a field that can't be understood is said beside it, and nothing that was typed is lost")
def bad_filter(stage: Stage) -> None:
    with stage.tab() as tab:
        page = tab.page
        page.get_by_label("Path").fill("/?kept")
        page.get_by_text("Header, address, time, id").click()
        page.get_by_label("Since").fill("yesterday")
        with page.expect_navigation() as navigation:
            page.get_by_label("Since").press("Enter")
        expect(navigation.value.status == 400, navigation.value.status)
        since = page.get_by_label("Since")
        expect(since.is_visible() and since.input_value() == "yesterday", "what was typed is lost")
        expect(page.get_by_label("Path").input_value() == "/?kept", "another field is lost")
        described = since.get_attribute("aria-describedby")
        expect("Expected" in page.locator(f"#{described}").inner_text(), page.content())


@check("list", "all of it works without JavaScript: filter, older ones, a request, its views")
def without_script(stage: Stage) -> None:
    name = secrets.token_hex(4)
    sender = Sender(stage.requests)
    sent = [sender.send(f"{name}={number}", "POST", b'{"number": 1}') for number in range(60)]
    with stage.tab(java_script_enabled=False) as tab:
        page = tab.page
        page.get_by_label("Path").fill(f"/?{name}")
        page.get_by_role("button", name="Filter").click()
        found = [row.get_attribute("id")[2:] for row in page.locator(".rows li[id]").all()]
        page.get_by_role("link", name="Older").click()
        found += [row.get_attribute("id")[2:] for row in page.locator(".rows li[id]").all()]
        expect(found == sent[::-1], f"{len(found)} of {len(sent)}")
        page.locator(f"#r-{sent[0]} a").click()
        page.get_by_role("heading", name="Headers").wait_for()
        expect("1 member" in page.locator(".tree").inner_text(), page.locator("#body").inner_text())
        page.get_by_role("link", name="Hex").click()
        expect("7b 22 6e" in page.locator(".content").inner_text(), page.locator("#body").inner_text())
        page.get_by_role("link", name="curl").click()
        expect("curl" in page.locator("body").inner_text(), page.content())
        page.goto("/live")
        expect("needs JavaScript" in page.locator("main").inner_text(), page.content())


@check("list", "pages that aren't there, and a database that is away, are told in words")
def errors(stage: Stage) -> None:
    with stage.tab() as tab:
        for path, status, words in (
            ("/nowhere", 404, "There is no page"),
            (f"/requests/{'0' * 24}", 404, "No request"),
            ("/requests/<script>", 404, "No request"),
        ):
            answer = tab.page.goto(path)
            expect(answer and answer.status == status, path, answer and answer.status)
            expect(words in tab.page.locator("main").inner_text(), tab.page.content())
    processes = stage.own()
    processes.stop("console")
    try:
        processes.start("console", CONSOLE_MONGO_URI=f"mongodb://127.0.0.1:{free_ports(1)[0]}")
        with stage.tab(log_in=False) as tab:
            tab.page.goto("/login")
            tab.page.get_by_label("Token").fill(stage.token)
            with tab.page.expect_navigation() as navigation:
                tab.page.get_by_role("button", name="Log in").click()
            expect(navigation.value.status == 503, navigation.value.status)
            tab.page.get_by_role("heading", name="The database can't be read now").wait_for()
            tab.page.get_by_role("link", name="Try again").wait_for()
    finally:
        processes.stop("console")
        processes.start("console")
