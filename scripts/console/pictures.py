"""Pictures of the pages, for the documents."""

from __future__ import annotations

import json
import pathlib
import secrets
import threading
from typing import TYPE_CHECKING

from .stage import Sender

if TYPE_CHECKING:
    from .stage import Stage

DESK = {"width": 1200, "height": 760}
PHONE = {"width": 360, "height": 740}


def take(stage: Stage, folder: pathlib.Path) -> None:
    """Send requests that look like somebody's, and take a picture of each page."""
    folder.mkdir(parents=True, exist_ok=True)
    order = send_some(stage)
    for name, path, options in (
        ("requests", "/", {}),
        ("requests-dark", "/", {"color_scheme": "dark"}),
        ("requests-phone", "/", {"viewport": PHONE}),
        ("request", f"/requests/{order}", {"viewport": {"width": 1200, "height": 1100}}),
        ("request-dark", f"/requests/{order}", {"viewport": {"width": 1200, "height": 1100}, "color_scheme": "dark"}),
        ("request-phone", f"/requests/{order}", {"viewport": PHONE}),
        ("live", "/live", {}),
        ("stack", "/stack", {}),
        ("stack-dark", "/stack", {"color_scheme": "dark"}),
        ("login", None, {}),
    ):
        with stage.tab(log_in=path is not None, **{"viewport": DESK, "locale": "en-GB", **options}) as tab:
            tab.page.goto(path or "/login")
            if path in ("/live", "/stack"):
                loading = threading.Thread(target=send_some, args=(stage,))
                loading.start()
                tab.page.wait_for_timeout(3000)
                loading.join()
            tab.page.screenshot(path=folder / f"{name}.png")
            print(f"console: {folder / name}.png", flush=True)


def send_some(stage: Stage) -> str:
    """Send some; return the id of one that has something in it."""
    sender = Sender(stage.requests)
    for number in range(12):
        sender.send(f"sensor={number % 4}&celsius={18 + number / 2}")
    sender.send("topic=orders", "DELETE")
    sender.send("name=Ada&visits=3", "PUT", b"name=Ada&visits=3", Content_Type="application/x-www-form-urlencoded")
    hook = {"event": "push", "ref": "refs/heads/main", "commits": [{"id": secrets.token_hex(20), "message": "Fix it"}]}
    sender.send("hook=push", "POST", json.dumps(hook).encode(), Content_Type="application/json", User_Agent="Hookshot/1")
    order = {
        "order": 10_442,
        "customer": {"name": "Ada Lovelace", "country": "GB"},
        "items": [{"article": "punched cards", "count": 500, "price": 12.50}, {"article": "gears", "count": 12, "price": 3.75}],
        "paid": True,
        "note": None,
    }
    body = json.dumps(order).encode()
    found = sender.send("topic=orders&retry=0", "POST", body, Content_Type="application/json", User_Agent="shop/2.1")
    for number in range(6):
        sender.send(f"health={number}", "HEAD" if number == 3 else "GET", User_Agent="uptime/1.0")
    return found
