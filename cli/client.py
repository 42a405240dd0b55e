"""Calls to the running exchange, whose address is in the lock file of its journal."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self, TypedDict

import click

from exchange.cli.options import KEY_OF_CONTEXT, command_line
from exchange.client import ExchangeError as ServerError
from exchange.client import connect
from exchange.journal.lock import lock_owner
from exchange.keys.client_key import ClientKey
from exchange.runtime.server_settings import admin_secret_file

__all__ = [
    "NoServerError",
    "RunningExchange",
    "ServerError",
    "admin_client_of",
    "admin_secret_of",
    "call_as_admin",
    "client_of",
    "given_key",
    "log_in",
    "log_in_as_admin",
    "login_of",
    "owner_secret",
    "tls_of",
    "url_of",
]

_ANSWER_SECONDS = 30


class NoServerError(Exception):
    """No exchange answers; the message tells the user what to do."""


class RunningExchange:
    """A blocking client that makes one call at a time. A context manager; raises ServerError."""

    def __init__(self, url: str, path: Path | None = None) -> None:
        self.url = url
        # The journal of the exchange; None if only its URL is known.
        self.path = path
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.__enter__()
        try:
            client = connect(self.url, reconnects=False, tls=tls_of(self.url, self.path))
            self._client = self._runner.run(client.__aenter__())
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
    """The URL of the exchange in the key file, or that runs on the journal at `path`. Raises NoServerError."""
    key = given_key()
    if key is not None and key.url is not None:
        return key.url
    owner = lock_owner(path)
    if owner is None and _is_closed_lock(path):
        raise NoServerError(
            f"you may not read the address of the exchange next to {path}: use a --key-file with a URL, as "
            "`exchange account secret USER --out FILE --url URL` writes it"
        )
    if owner is None:
        raise NoServerError(f"no exchange is running on {path}: start it with `{command_line('serve', path)}`")
    if owner.url is None:
        raise NoServerError(
            f"{path} is locked by process {owner.pid}, which does not listen yet: try again in a moment"
        )
    return owner.url


def _is_closed_lock(path: Path) -> bool:
    """True if the lock file of the journal belongs to another user, who did not open it."""
    file = path.with_name(path.name + ".lock")
    return file.exists() and not os.access(file, os.R_OK)


def tls_of(url: str, path: Path | None) -> SSLContext | None:
    """The TLS context for the exchange on the journal at `path`; None: that of the system, or no TLS."""
    key = given_key()
    if path is None or not url.startswith("wss:") or (key is not None and key.url is not None):
        return None
    # Only a client with TLS needs ssl.
    from exchange.keys.tls import local_context

    return local_context(url, path)


def client_of(path: Path) -> RunningExchange:
    """A client of the exchange that runs on the journal at `path`. Raises NoServerError."""
    return RunningExchange(url_of(path), path)


def log_in(client: RunningExchange, user_id: str) -> None:
    """Authenticate as a user. The exchange opens an account for a new user. Raises ServerError, NoServerError.

    With --key-file, its key opens the account. Otherwise the administrator's secret does, if it can be read: who owns
    the journal may act for every user.
    """
    key = given_key()
    if key is not None:
        if key.user_id != user_id:
            raise click.UsageError(f"the key in --key-file opens the account {key.user_id!r}, not {user_id!r}")
        client.call("public/auth", **key.login())
        return
    secret = None if client.path is None else owner_secret(client.path)
    try:
        client.call("public/auth", grant_type="client_credentials", client_id=user_id, client_secret=secret)
    except ServerError as error:
        if error.reason != "invalid_credentials" or secret is not None:
            raise
        raise NoServerError(f"{error.detail}. Use --key-file FILE, or run this as the owner of the journal") from error


def owner_secret(path: Path) -> str | None:
    """The administrator's secret of the journal at `path`, with which its owner acts for every user.

    None if there is none, or another user owns it.
    """
    try:
        return admin_secret_file(path).read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def given_key() -> ClientKey | None:
    """The key in --key-file; None without this option."""
    context = click.get_current_context(silent=True)
    return None if context is None else context.meta.get(KEY_OF_CONTEXT)


class AccountLogin(TypedDict, total=False):
    """What a client of the library needs to enter an account."""

    user_id: str
    secret: str | None
    key: ClientKey


def login_of(path: Path, user_id: str) -> AccountLogin:
    """How to enter an account: with --key-file, or as the owner of the journal. Raises UsageError."""
    key = given_key()
    if key is None:
        return {"user_id": user_id, "secret": owner_secret(path)}
    if key.user_id != user_id:
        raise click.UsageError(f"the key in --key-file opens the account {key.user_id!r}, not {user_id!r}")
    return {"key": key}


def log_in_as_admin(client: RunningExchange, path: Path) -> None:
    """Authenticate as the administrator, with --key-file or the secret in the file next to the journal at `path`."""
    key = given_key()
    if key is not None:
        client.call("public/auth", **key.login())
        return
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
    except UnicodeDecodeError as error:
        raise NoServerError(f"{file} is not a text: restore the secret that the exchange started with") from error
    except FileNotFoundError as error:
        raise NoServerError(
            f"the administrator's secret is missing: {file} does not exist. Restart the exchange: it writes a new one"
        ) from error
