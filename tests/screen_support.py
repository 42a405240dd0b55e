"""A page of the screen in a headless browser, a real server behind it, and clients that trade beside it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from playwright.sync_api import Browser, Page, expect, sync_playwright
from websockets.sync.client import connect

from exchange.gateway.screen import FOLDER
from tests.cli_support import CLOCK_START, PATIENCE_SECONDS, Server, command, environment

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WHY_SKIPPED = (
    "no Chromium is installed: apt-get install chromium"
    if CHROMIUM is None
    else "the screen is not built: make web"
    if not (FOLDER / "index.html").exists()
    else ""
)
PATIENCE_MS = PATIENCE_SECONDS * 1_000
# A figure that there is not.
NONE = "\N{EN DASH}"
BEGIN = ("--clock-start", CLOCK_START)

expect.set_options(timeout=PATIENCE_MS)


class Caller:
    """A connection to the exchange, logged in as a user of the local mode or with a secret. A context manager."""

    def __init__(self, url: str, user_id: str, secret: str = "") -> None:
        self._opened = ExitStack()
        self._socket = self._opened.enter_context(connect(url, max_size=None))
        self._next_id = 0
        self("public/auth", grant_type="client_credentials", client_id=user_id, client_secret=secret)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self._opened.close()

    def __call__(self, method: str, **params: Any) -> Any:
        self._next_id += 1
        self._socket.send(json.dumps({"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params}))
        while (answer := json.loads(self._socket.recv(PATIENCE_SECONDS))).get("id") != self._next_id:
            pass
        assert "error" not in answer, answer["error"]
        return answer["result"]


def admin_secret(server: Server) -> str:
    return Path(f"{server.path}.admin").read_text().strip()


def administer(server: Server, method: str, **params: Any) -> None:
    """Call a method of the administrator."""
    with Caller(server.url, "admin", admin_secret(server)) as admin:
        admin(method, **params)


def set_index(server: Server, price: float) -> None:
    """Set the index of SOL, in USDC."""
    administer(server, "admin/set_index_price", asset="SOL", price=round(price * 1_000_000), forced=True)


def new_market(path: Path, *options: object) -> None:
    """A journal whose exchange lists options on SOL."""
    options = ("--db", path, "--series", "SOL:10:4", *BEGIN, *options)
    # In a process of its own: Playwright runs an event loop in this thread.
    subprocess.run(command("init", *options), check=True, capture_output=True, env=environment())


@contextmanager
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def http(server: Server) -> str:
    return server.url.replace("ws://", "http://").rstrip("/")


def log_in(page: Page, user_id: str, secret: str = "") -> None:
    page.get_by_role("textbox", name="Account", exact=True).fill(user_id)
    if secret:
        page.get_by_role("textbox", name="Secret", exact=True).fill(secret)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


def still(page: Page) -> None:
    """Wait until all that the page shows belongs to one moment."""
    expect(page.locator("[data-waiting]")).to_have_attribute("data-waiting", "0")


def look_at(page: Page, seq: int | None) -> None:
    """Let the page show the moment after the command `seq`; None: now."""
    fields = [field for field in page.evaluate("location.hash").lstrip("#").split("&") if not field.startswith("seq=")]
    page.evaluate("hash => { location.hash = hash }", "&".join([*fields, *([f"seq={seq}"] if seq else [])]))
    bar = page.get_by_role("button", name="Back to now")
    if seq is None:
        expect(bar).to_have_count(0)
    else:
        expect(page.locator("[data-seq]")).to_have_attribute("data-seq", str(seq))
    still(page)


def rows(page: Page, selector: str) -> list[list[str]]:
    """The visible texts of the cells of a table, row by row; of a cell with buttons the text of the first."""
    found: list[list[str]] = page.evaluate(
        """selector => [...document.querySelectorAll(`${selector} tbody tr`)]
            .map(row => [...row.cells].map(cell => (cell.querySelector("button") ?? cell).innerText.trim()))""",
        selector,
    )
    return found


def price(micros: int | None, decimals: int = 2) -> str:
    return NONE if micros is None else f"{micros / 1e6:,.{decimals}f}"


def amount(milli: int | None) -> str:
    return NONE if milli is None else re.sub(r"\.?0+$", "", f"{milli / 1e3:,.3f}")
