"""A real browser: pages of other sites cannot connect to the exchange, pages of the exchange can.

The browser is driven over its DevTools protocol. Without Chromium these tests are skipped.
"""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.cli_support import PATIENCE_SECONDS, Server

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# A name of another site that leads to this machine, as after DNS rebinding.
REBOUND = "rebound.example"
# What the exchange answers to a GET of it, a browser shows.
ANSWER = "api/v2/public/test"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium"),
]

# Resolves to the result of public/test, or to "refused".
CONNECT = """
new Promise(resolve => {
    const socket = new WebSocket(%s);
    socket.onopen = () => socket.send('{"jsonrpc":"2.0","id":1,"method":"public/test"}');
    socket.onmessage = message => resolve(Object.keys(JSON.parse(message.data).result)[0]);
    socket.onerror = () => resolve("refused");
})
"""


class Page:
    """The one page of a headless browser, over its DevTools socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._call("Page.enable")

    def visit(self, url: str) -> None:
        """Open a page, and wait until it is loaded."""
        self._call("Page.navigate", url=url)
        while json.loads(self._socket.recv(PATIENCE_SECONDS)).get("method") != "Page.loadEventFired":
            pass

    def connect_from_page(self, url: str) -> str:
        """Let the page open a WebSocket to `url`. Returns what became of it."""
        expression = CONNECT % json.dumps(url)
        result = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return str(result["result"]["value"])

    def origin(self) -> str:
        """The origin of the page."""
        return str(self._call("Runtime.evaluate", expression="origin")["result"]["value"])

    def _call(self, method: str, **params: Any) -> Any:
        self._socket.send(json.dumps({"id": 1, "method": method, "params": params}))
        while "id" not in (answer := json.loads(self._socket.recv(PATIENCE_SECONDS))):
            pass
        return answer["result"]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Page]:
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0"]
    options += [f"--user-data-dir={tmp_path / 'browser'}", f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"]
    with subprocess.Popen([CHROMIUM, *options], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            assert process.stderr is not None
            told = (re.search(rb"listening on ws://127.0.0.1:(\d+)/", line) for line in process.stderr)
            port = next(filter(None, told))[1].decode()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                (page,) = [one for one in json.load(answer) if one["type"] == "page"]
            with connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
                yield Page(socket)
        finally:
            process.kill()


def test_pages_of_the_exchange_alone_can_connect(browser: Page, tmp_path: Path) -> None:
    """An answer of the exchange to a GET is a page of its own, and has no policy that forbids it to connect."""
    with Server(tmp_path / "a.db") as server, Server(tmp_path / "b.db") as other:
        page, other_page = (one.url.replace("ws://", "http://") + ANSWER for one in (server, other))
        browser.visit(page)
        assert browser.origin() == page.removesuffix(f"/{ANSWER}")
        assert browser.connect_from_page(server.url) == "version"
        assert browser.connect_from_page(server.url.replace("127.0.0.1", "localhost")) == "version"
        assert browser.connect_from_page(other.url) == "refused"
        browser.visit(page.replace("127.0.0.1", REBOUND))
        assert browser.origin() == page.removesuffix(f"/{ANSWER}").replace("127.0.0.1", REBOUND)
        assert browser.connect_from_page(server.url) == "refused"
        assert browser.connect_from_page(server.url.replace("127.0.0.1", REBOUND)) == "refused"
        browser.visit("data:text/html,a page without an origin")
        assert browser.origin() == "null"
        assert browser.connect_from_page(server.url) == "refused"
        browser.visit(other_page)
        assert browser.connect_from_page(server.url) == "refused"


def test_the_screen_connects_to_its_own_exchange_alone(browser: Page, tmp_path: Path) -> None:
    """Its policy keeps it from sending what it knows elsewhere, even to an exchange that would take it."""
    with Server(tmp_path / "a.db") as server:
        browser.visit(server.url.replace("ws://", "http://"))
        assert browser.connect_from_page(server.url) == "version"
        assert browser.connect_from_page(server.url.replace("127.0.0.1", "localhost")) == "refused"
