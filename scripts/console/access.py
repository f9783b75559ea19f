"""Logging in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.check import check, expect

if TYPE_CHECKING:
    from .stage import Stage


@check("log-in", "leads back to the page that was asked for; a wrong token is told so; log-out ends it")
def log_in(stage: Stage) -> None:
    wanted = "/?method=POST"
    with stage.tab(log_in=False) as tab:
        page = tab.page
        page.goto(wanted)
        expect("/login" in page.url, page.url)
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("alert").wait_for()
        page.get_by_label("Token").fill(stage.token)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Requests").wait_for()
        expect(page.url == stage.url + wanted, page.url)
        cookies = tab.context.cookies()
        expect(cookies and all(it["httpOnly"] and it["sameSite"] == "Strict" for it in cookies), cookies)
        page.get_by_role("button", name="Log out").click()
        page.get_by_label("Token").wait_for()
        page.goto("/")
        expect("/login" in page.url, page.url)
