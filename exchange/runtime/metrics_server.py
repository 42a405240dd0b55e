"""The HTTP server of the metrics: a few pages that only read, on a thread of its own."""

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from socket import AF_INET6, SHUT_RDWR, socket
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from exchange.gateway.handshake import AllowedPeers, host_refusal_of

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_log = logging.getLogger(__name__)

# A connection that takes longer in all is cut off. Each page is small.
CLIENT_SECONDS = 10.0
# Connections at once, each with a thread. Further ones are closed at once.
CONNECTIONS_MAX = 16
STOP_LOOK_SECONDS = 0.1
_LOCAL = "exchange.local"


class WebPage(NamedTuple):
    """The answer to one request."""

    status: HTTPStatus
    content_type: str
    body: bytes


# Makes a page from the `Accept` header of the request.
MakeWebPage = Callable[[str], WebPage]


class MetricsServer:
    """Serves `pages`, by path, at `host` and `port`. A context manager; entering it raises OSError."""

    def __init__(self, host: str, port: int, pages: Mapping[str, MakeWebPage], allowed_peers: AllowedPeers) -> None:
        self._host = host
        self._port = port
        self._pages = pages
        self._allowed_peers = allowed_peers

    def __enter__(self) -> Self:
        server_class = _Server6 if ":" in self._host else _Server
        try:
            self._server = make_server(self._host, self._port, self._answer, server_class, _Handler)
        except OSError as error:
            detail = f"{error.strerror}: choose another with --metrics-port, or 0 for any free one"
            raise OSError(error.errno, detail, f"metrics port {self._port}") from error
        arguments = {"poll_interval": STOP_LOOK_SECONDS}
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs=arguments, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The address of the server, without a path."""
        host, port = self._server.socket.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def _answer(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        page = self._page_for(environ)
        headers = [
            ("Content-Type", page.content_type),
            ("Content-Length", str(len(page.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        start_response(f"{page.status} {page.status.phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [page.body]

    def _page_for(self, environ: "WSGIEnvironment") -> WebPage:
        refusal = host_refusal_of(environ.get("HTTP_HOST", ""), environ[_LOCAL], self._allowed_peers)
        if refusal is not None:
            return _text(refusal.status, refusal.text)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are served\n")
        make = self._pages.get(environ["PATH_INFO"])
        if make is None:
            return _text(HTTPStatus.NOT_FOUND, f"nothing is served here: ask for {', '.join(self._pages)}\n")
        return make(environ.get("HTTP_ACCEPT", ""))


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, *args: Any, **options: Any) -> None:
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__(*args, **options)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a new thread, or close the connection if too many are open."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer on this thread. A connection that is still open after CLIENT_SECONDS is cut off."""
        deadline = threading.Timer(CLIENT_SECONDS, _cut_off, (request,))
        deadline.daemon = True
        deadline.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            self._free.release()

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Log an error, unless the client caused it by going away."""
        if not isinstance(sys.exception(), OSError):
            _log.exception("a request for metrics from %s failed", client_address)


class _Server6(_Server):
    address_family = AF_INET6


class _Handler(WSGIRequestHandler):
    def get_environ(self) -> dict[str, Any]:
        """The variables of a request, with the address and the port that the client reached."""
        return super().get_environ() | {_LOCAL: self.connection.getsockname()[:2]}

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is that of the base class
        """Requests are not logged."""


def _cut_off(connection: socket) -> None:
    # The connection may have ended meanwhile.
    with suppress(OSError):
        connection.shutdown(SHUT_RDWR)


def _text(status: HTTPStatus, text: str) -> WebPage:
    return WebPage(status, "text/plain; charset=utf-8", text.encode())
