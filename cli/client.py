"""A small JSON-RPC client: finds the running exchange by its journal's lock, asks, and listens."""

import itertools
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

from cli.options import command_line
from exchange.runtime.settings import admin_secret_file
from journal.lock import holder_of

_OPEN_SECONDS = 10
_ANSWER_SECONDS = 30


class ServerError(Exception):
    """The exchange answered with an error."""

    def __init__(self, code: int, message: str, detail: str) -> None:
        super().__init__(f"error {code}: {message}" + (f": {detail}" if detail else ""))
        self.code = code
        self.message = message
        self.detail = detail


class NoServerError(Exception):
    """There is no exchange to talk to, or there is none any more; the message is for people."""


class Notification(NamedTuple):
    """What a channel sent. `seq` is the command it tells of, for those channels whose data may not say so."""

    channel: str
    data: Any
    seq: int | None = None


class Client:
    """One connection to the exchange at `url`. A context manager; raises NoServerError where it cannot be had."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._open = ExitStack()
        self._ids = itertools.count(1)
        self._notifications: deque[Notification] = deque()

    def __enter__(self) -> Self:
        try:
            self._connection = self._open.enter_context(
                connect(self._url, open_timeout=_OPEN_SECONDS, compression=None, max_size=None, proxy=None)
            )
        except (OSError, InvalidHandshake) as error:
            raise NoServerError(f"cannot connect to {self._url}: {error}") from error
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self._open.close()

    def call(self, method: str, **params: Any) -> Any:
        """The result of `method`. Parameters that are None are left out. Raises ServerError, NoServerError."""
        request_id = next(self._ids)
        given = {name: value for name, value in params.items() if value is not None}
        request = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": given}
        try:
            self._connection.send(msgspec.json.encode(request).decode())
        except ConnectionClosed as error:
            raise _gone(error) from error
        while True:
            message = self._receive(_ANSWER_SECONDS)
            if message is None:
                raise NoServerError(f"{self._url} gave no answer for {_ANSWER_SECONDS} seconds")
            if message.get("id") == request_id:
                return _result(message)
            self._keep(message)

    def notifications(self, pause_seconds: float) -> Iterator[Notification | None]:
        """What the subscribed channels send, in order; None whenever nothing has come for `pause_seconds`."""
        while True:
            while self._notifications:
                yield self._notifications.popleft()
            message = self._receive(pause_seconds)
            if message is None:
                yield None
            else:
                self._keep(message)

    def _receive(self, timeout_seconds: float) -> dict[str, Any] | None:
        try:
            return msgspec.json.decode(self._connection.recv(timeout_seconds), type=dict[str, Any])
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise _gone(error) from error

    def _keep(self, message: dict[str, Any]) -> None:
        if message.get("method") == "subscription":
            self._notifications.append(Notification(**message["params"]))


def client_of(path: Path) -> Client:
    """A client of the exchange that runs on the journal at `path`; NoServerError says how to start one."""
    holder = holder_of(path)
    if holder is None:
        raise NoServerError(f"no exchange is running on {path}: start it with `{command_line('serve', path)}`")
    if holder.url is None:
        raise NoServerError(f"{path} is held by process {holder.pid}, which does not listen yet: try again in a moment")
    return Client(holder.url)


def enter(client: Client, user_id: str) -> None:
    """Authenticate as a user. An account that is not known is opened by this."""
    client.call("public/auth", grant_type="client_credentials", client_id=user_id)


def enter_as_admin(client: Client, path: Path) -> None:
    """Authenticate as the administrator of the journal at `path`, with the secret in the file beside it."""
    file = admin_secret_file(path)
    try:
        secret = file.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise NoServerError(f"the administrator's secret is not in {file}: it was written there on creation") from error
    client.call("public/auth", grant_type="client_credentials", client_id="admin", client_secret=secret)


def _result(message: dict[str, Any]) -> Any:
    if (error := message.get("error")) is not None:
        raise ServerError(error["code"], error["message"], (error.get("data") or {}).get("detail", ""))
    return message["result"]


def _gone(error: ConnectionClosed) -> NoServerError:
    reason = error.rcvd.reason if error.rcvd is not None else "without a word"
    return NoServerError(f"the exchange closed the connection ({reason})")
