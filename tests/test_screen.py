"""The files of the screen over HTTP: pages, scripts, what browsers may do with them, and who may ask for them."""

import asyncio
import gzip
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import connect

from exchange.gateway.screen import PAGES, Screen
from tests.wire import Server, exchange

SCRIPT = b"console.log('hello');\n" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as `make web` writes it."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Exchange</title>")
    (folder / "assets" / "index-1a2b.js").write_bytes(SCRIPT)
    (folder / "secret.key").write_text("not for browsers")
    (tmp_path / "above.html").write_text("not for browsers either")
    return folder


def test_every_page_is_the_same_file(folder: Path) -> None:
    screen = Screen(folder)
    answers = {screen.answer(page, accepts_gzip=False) for page in PAGES}
    assert [(it.status, it.body) for it in answers] == [(HTTPStatus.OK, b"<!doctype html><title>Exchange</title>")]
    assert dict(answers.pop().headers)["Cache-Control"] == "no-cache"


def test_a_script_is_kept_and_zipped(folder: Path) -> None:
    plain = Screen(folder).answer("/assets/index-1a2b.js", accepts_gzip=False)
    zipped = Screen(folder).answer("/assets/index-1a2b.js", accepts_gzip=True)
    assert plain.body == SCRIPT and gzip.decompress(zipped.body) == SCRIPT and len(zipped.body) < len(SCRIPT)
    headers = dict(zipped.headers)
    assert headers["Content-Type"] == "text/javascript; charset=utf-8" and headers["Content-Encoding"] == "gzip"
    assert "immutable" in headers["Cache-Control"] and headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path", ["/secret.key", "/../above.html", "//above.html", "/assets/", "/assets", "/index", "/%2e"]
)
def test_nothing_else_is_served(folder: Path, path: str) -> None:
    answer = Screen(folder).answer(path, accepts_gzip=False)
    assert answer.status == HTTPStatus.NOT_FOUND and b"not for browsers" not in answer.body


def test_a_new_build_replaces_the_files(folder: Path) -> None:
    screen = Screen(folder)
    assert b"Exchange" in screen.answer("/", accepts_gzip=False).body
    (folder / "index.html").write_text("the next build")
    assert screen.answer("/", accepts_gzip=False).body == b"the next build"
    (folder / "assets" / "index-1a2b.js").unlink()
    assert screen.answer("/assets/index-1a2b.js", accepts_gzip=False).status == HTTPStatus.NOT_FOUND
    (folder / "index.html").unlink()
    assert b"make web" in screen.answer("/", accepts_gzip=False).body


def asked(server: Server, method: str, path: str, **headers: str) -> tuple[HTTPResponse, bytes]:
    """The answer to one request, with its body."""
    address = urlsplit(server.url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=20)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def test_a_browser_and_a_websocket_at_one_address(tmp_path: Path, folder: Path) -> None:
    def browse(server: Server) -> None:
        answer, body = asked(server, "GET", "/?x=1")
        assert answer.status == 200 and b"<title>Exchange" in body
        answer, body = asked(server, "HEAD", "/")
        assert (answer.status, answer.getheader("Content-Length"), body) == (200, "38", b"")
        assert asked(server, "POST", "/")[0].status == 405
        assert asked(server, "GET", "/nothing")[0].status == 404
        with connect(server.url) as socket:
            socket.send('{"jsonrpc":"2.0","id":1,"method":"public/test"}')
            assert '"result"' in str(socket.recv(20))

    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db") as server:
            server.node.gateway.screen = Screen(folder)
            await asyncio.to_thread(browse, server)

    asyncio.run(conversation())


def test_pages_of_other_sites(tmp_path: Path, folder: Path) -> None:
    """A link of another site leads to the screen; its scripts, frames and images get nothing."""

    def browse(server: Server) -> None:
        link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
        answer, _ = asked(server, "GET", "/", **link)
        assert answer.status == 200
        assert "frame-ancestors 'none'" in str(answer.getheader("Content-Security-Policy"))
        assert asked(server, "GET", "/api/v2/public/test", **link)[0].status == 403
        assert asked(server, "GET", "/", **link | {"Sec_Fetch_Dest": "iframe"})[0].status == 403
        image = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"}
        assert asked(server, "GET", "/", **image)[0].status == 403
        assert asked(server, "GET", "/", Origin="https://evil.example")[0].status == 403
        assert asked(server, "GET", "/", Host="evil.example")[0].status == 403

    async def conversation() -> None:
        async with exchange(tmp_path / "exchange.db") as server:
            server.node.gateway.screen = Screen(folder)
            await asyncio.to_thread(browse, server)

    asyncio.run(conversation())
