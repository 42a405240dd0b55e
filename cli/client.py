"""Calls to the running exchange, whose address is in the lock file of its journal."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from exchange.cli.options import command_line
from exchange.client import ExchangeError as ServerError
from exchange.client import connect
from exchange.journal.lock import lock_owner
from exchange.runtime.server_settings import admin_secret_file

__all__ = [
    "NoServerError",
    "RunningExchange",
    "ServerError",
    "admin_client_of",
    "admin_secret_of",
    "call_as_admin",
    "client_of",
    "log_in",
    "log_in_as_admin",
    "url_of",
]

_ANSWER_SECONDS = 30


class NoServerError(Exception):
    """No exchange answers; the message tells the user what to do."""


class RunningExchange:
    """A blocking client that makes one call at a time. A context manager; raises ServerError."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        try:
            self._client = self._runner.run(connect(self.url, reconnects=False).__aenter__())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        self._runner.run(self._client.close())
        self._runner.close()

    def call(self, method: str, **params: Any) -> Any:
        """The result of `method`. Parameters that are None are left out. Raises ServerError, NoServerError."""
        try:
            return self._runner.run(self._call(method, params))
        except ServerError as error:
            from exchange.cli.refusals import translated

            raise translated(error, params, self.call) from error

    async def _call(self, method: str, params: dict[str, Any]) -> Any:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._client.call(method, **params)
        except TimeoutError:
            raise NoServerError(
                f"{self.url} did not answer within {_ANSWER_SECONDS} seconds: check the exchange and try again"
            ) from None


def url_of(path: Path) -> str:
    """The URL of the exchange that runs on the journal at `path`. Raises NoServerError."""
    owner = lock_owner(path)
    if owner is None:
        raise NoServerError(f"no exchange is running on {path}: start it with `{command_line('serve', path)}`")
    if owner.url is None:
        raise NoServerError(
            f"{path} is locked by process {owner.pid}, which does not listen yet: try again in a moment"
        )
    return owner.url


def client_of(path: Path) -> RunningExchange:
    """A client of the exchange that runs on the journal at `path`. Raises NoServerError."""
    return RunningExchange(url_of(path))


def log_in(client: RunningExchange, user_id: str) -> None:
    """Authenticate as a user, without a secret. The exchange opens an account for a new user."""
    client.call("public/auth", grant_type="client_credentials", client_id=user_id)


def log_in_as_admin(client: RunningExchange, path: Path) -> None:
    """Authenticate as the administrator, with the secret in the file next to the journal at `path`."""
    secret = admin_secret_of(path)
    client.call("public/auth", grant_type="client_credentials", client_id="admin", client_secret=secret)


@contextmanager
def admin_client_of(path: Path) -> Iterator[RunningExchange]:
    """A client of the exchange that runs on the journal at `path`, logged in as its administrator."""
    with client_of(path) as client:
        log_in_as_admin(client, path)
        yield client


def call_as_admin(path: Path, method: str, **params: Any) -> Any:
    """The result of one method, called as the administrator. Raises ServerError, NoServerError."""
    with admin_client_of(path) as client:
        return client.call(method, **params)


def admin_secret_of(path: Path) -> str:
    """The administrator's secret of the journal at `path`. Raises NoServerError if its file is missing."""
    file = admin_secret_file(path)
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise NoServerError(
            f"the administrator's secret is missing: {file} does not exist. Restart the exchange: it writes a new one"
        ) from error
