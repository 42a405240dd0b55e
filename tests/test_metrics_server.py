"""The HTTP server of the metrics, when connections hold on to it."""

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus

import pytest

from exchange.gateway.handshake import AllowedPeers
from exchange.runtime import metrics_server
from exchange.runtime.metrics_server import MetricsServer, WebPage

PAGES = {"/": lambda accept: WebPage(HTTPStatus.OK, "text/plain", b"fine")}


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    with MetricsServer("127.0.0.1", 0, PAGES, AllowedPeers()) as running:
        yield running


def connect(server: MetricsServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=60)


def fetch(server: MetricsServer) -> bytes:
    with urllib.request.urlopen(server.url + "/") as answer:
        body: bytes = answer.read()
        return body


@pytest.mark.slow
def test_connections_above_the_limit_are_closed_at_once(
    server: MetricsServer, capfd: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as held:
        for _ in range(metrics_server.CONNECTIONS_MAX):
            # The server has taken a connection when it takes the next one.
            held.enter_context(connect(server)).sendall(b"GET /")
        with connect(server) as refused:
            assert refused.recv(1) == b""
    while True:
        # The threads of the others end a moment after their connections.
        try:
            assert fetch(server) == b"fine"
            break
        except OSError:
            continue
    assert "Traceback" not in capfd.readouterr().err


def test_a_slow_request_is_cut_off(
    server: MetricsServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metrics_server, "CLIENT_SECONDS", 0.01)
    with connect(server) as slow:
        slow.sendall(b"GET / HTTP/1.0\r\nHost: 127")
        assert slow.recv(1) == b""
    monkeypatch.undo()
    assert fetch(server) == b"fine"
    assert "Traceback" not in capfd.readouterr().err
