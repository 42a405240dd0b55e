"""What the exchange knows now: asked of the running exchange, or read from the journal if none runs.

`present` chooses the source. Both give the same structs, so that a command prints the same either way.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import click
import msgspec

from exchange.amounts import short_time
from exchange.cli.client import (
    NoServerError,
    RunningExchange,
    ServerError,
    admin_secret_of,
    client_of,
    log_in,
    log_in_as_admin,
)
from exchange.domain.reasons import REFUSALS, Reason
from exchange.domain.units import RESERVED_USERS
from exchange.projections.wire_types import AccountView, Instrument, OrderView, Settlement, Ticker, UserSettlement

_T = TypeVar("_T")
_ORDERS = ("private/get_open_orders", list[OrderView])
_PAID = ("private/get_settlements", list[UserSettlement])

offline_option = click.option(
    "--offline", is_flag=True, help="Read the journal, even if an exchange runs and could be asked."
)


class _Head(msgspec.Struct):
    """The last command of the running exchange."""

    seq: int
    ts_us: int


class AccountNow(NamedTuple):
    """An account with its newest settlements."""

    account: AccountView
    settled: list[UserSettlement]


class Present(Protocol):
    """Questions about the present. A name that the exchange does not know raises a ClickException."""

    def as_of(self) -> str:
        """The moment of the last command, for a caption."""

    def instruments(self) -> dict[str, Instrument]:
        """The instruments that have not expired, by id."""

    def account(self, user_id: str, settlements_max: int) -> AccountNow:
        """The account of a user."""

    def open_orders(self, user_id: str, instrument_id: str | None) -> list[OrderView]:
        """The open orders of a user, oldest first."""

    def ticker(self, instrument_id: str) -> Ticker:
        """The ticker of one instrument."""

    def tickers(self, asset: str) -> list[Ticker]:
        """The tickers of the instruments on `asset` that have not expired."""

    def settlements(self, asset: str | None, count: int) -> list[Settlement]:
        """The settlements of expired series, newest first."""

    def settlements_of(self, user_id: str, count: int) -> list[UserSettlement]:
        """The settled positions of a user, newest first."""


class _RunningPresent:
    """Asks the running exchange. Questions about a user need the administrator's secret."""

    def __init__(self, client: RunningExchange, path: Path) -> None:
        self._client = client
        self._path = path

    def as_of(self) -> str:
        head = self._ask(_Head, "public/get_head")
        return f"at seq {head.seq}, {short_time(head.ts_us)}"

    def instruments(self) -> dict[str, Instrument]:
        return {one.instrument_id: one for one in self._ask(list[Instrument], "public/get_instruments")}

    def account(self, user_id: str, settlements_max: int) -> AccountNow:
        return AccountNow(self._account(user_id), self._ask_as(user_id, _PAID, count=settlements_max))

    def open_orders(self, user_id: str, instrument_id: str | None) -> list[OrderView]:
        self._account(user_id)
        return self._ask_as(user_id, _ORDERS, instrument_id=instrument_id)

    def ticker(self, instrument_id: str) -> Ticker:
        return self._ask(Ticker, "public/get_ticker", instrument_id=instrument_id)

    def tickers(self, asset: str) -> list[Ticker]:
        return self._ask(list[Ticker], "public/get_tickers", asset=asset)

    def settlements(self, asset: str | None, count: int) -> list[Settlement]:
        return self._ask(list[Settlement], "public/get_settlements", asset=asset, count=count)

    def settlements_of(self, user_id: str, count: int) -> list[UserSettlement]:
        self._account(user_id)
        return self._ask_as(user_id, _PAID, count=count)

    def _account(self, user_id: str) -> AccountView:
        """The account of a user. A login without this question would open the account of an unknown user."""
        log_in_as_admin(self._client, self._path)
        try:
            return self._ask(AccountView, "admin/get_account", user_id=user_id)
        except ServerError as error:
            if error.reason != Reason.UNKNOWN_USER.value:
                raise
            raise click.ClickException(
                f"{self._path} has no account {user_id!r}. The first order of a user, or public/auth, opens an account"
            ) from error

    def _ask_as(self, user_id: str, question: tuple[str, type[_T]], **params: Any) -> _T:
        """Ask on a connection of the user: that of the administrator cannot change its user."""
        method, kind = question
        with RunningExchange(self._client.url) as client:
            log_in(client, user_id)
            return _convert(client, self._path, kind, method, params)

    def _ask(self, kind: type[_T], method: str, **params: Any) -> _T:
        return _convert(self._client, self._path, kind, method, params)


def _convert(client: RunningExchange, path: Path, kind: type[_T], method: str, params: dict[str, Any]) -> _T:
    try:
        return msgspec.convert(client.call(method, **params), kind)
    except ServerError as error:
        if "instrument_id" not in params or error.code != REFUSALS[Reason.INSTRUMENT_NOT_FOUND].code:
            raise
        raise click.ClickException(_not_listed(params["instrument_id"], path)) from error


class _RecordedPresent:
    """Reads the state after the last recorded command."""

    def __init__(self, path: Path) -> None:
        from exchange.cli.current_views import read_views

        self._path = path
        self._views = read_views(path)

    def as_of(self) -> str:
        return f"at seq {self._views.seq}, {short_time(self._views.ts_us)}"

    def instruments(self) -> dict[str, Instrument]:
        return {one.instrument_id: one for one in self._views.live_instruments()}

    def account(self, user_id: str, settlements_max: int) -> AccountNow:
        self._require_user(user_id)
        return AccountNow(self._views.account(user_id), self._views.settlements.newest_of(user_id, settlements_max))

    def open_orders(self, user_id: str, instrument_id: str | None) -> list[OrderView]:
        self._require_user(user_id)
        if instrument_id is not None:
            self._require_instrument(instrument_id)
        return self._views.orders.open_orders(user_id, instrument_id)

    def ticker(self, instrument_id: str) -> Ticker:
        self._require_instrument(instrument_id)
        return self._views.ticker(instrument_id)

    def tickers(self, asset: str) -> list[Ticker]:
        return [self._views.ticker(one.instrument_id) for one in self._views.live_instruments(asset)]

    def settlements(self, asset: str | None, count: int) -> list[Settlement]:
        return self._views.settlements.newest(count, asset=asset)

    def settlements_of(self, user_id: str, count: int) -> list[UserSettlement]:
        self._require_user(user_id)
        return self._views.settlements.newest_of(user_id, count)

    def _require_user(self, user_id: str) -> None:
        from exchange.cli.current_views import require_user

        require_user(self._views, user_id, self._path)

    def _require_instrument(self, instrument_id: str) -> None:
        if instrument_id not in self._views.instruments:
            raise click.ClickException(_not_listed(instrument_id, self._path))


@contextmanager
def present(path: Path, offline: bool, user_id: str | None = None) -> Iterator[Present]:
    """The running exchange, or the recorded state if none runs, or with `offline`.

    A question about `user_id` reads the recorded state too if no client can log in as this user, or without the secret.

    Raises JournalError, NoServerError and ServerError.
    """
    client = None if offline or user_id in RESERVED_USERS else _client_or_none(path, user_id is not None)
    if client is None:
        yield _RecordedPresent(path)
        return
    with client:
        yield _RunningPresent(client, path)


def _client_or_none(path: Path, needs_secret: bool) -> RunningExchange | None:
    try:
        if needs_secret:
            admin_secret_of(path)
        return client_of(path)
    except (NoServerError, OSError):
        return None


def _not_listed(instrument_id: str, path: Path) -> str:
    return f"{instrument_id} is not listed in {path}: `exchange instrument list --all` shows the listed instruments"
