"""The client: every method of docs/protocol.md that a trader or a program needs, typed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack

import msgspec

from exchange.client.connection import Ask, Callbacks, Connection
from exchange.client.errors import CONNECTION, ExchangeError
from exchange.client.subscription import Subscription
from exchange.domain.enums import Side, TimeInForce
from exchange.domain.rules import Rules
from exchange.projections.wire_types import (
    AccountView,
    Balance,
    BookLevel,
    IndexPrice,
    Instrument,
    MarketStatus,
    OrderView,
    PositionView,
    Settlement,
    Ticker,
    Trade,
    UserSettlement,
    UserTrade,
)

_T = TypeVar("_T")
_ORDERS = ("private/buy", "private/sell")
# What begins so is not sent again, for nobody knows whether it was carried out; a second time it could do harm: pay
# again, close a position that was taken since, cancel an order that was placed since, or lose one its place.
_ONCE_ONLY = ("admin/", "private/close_position", "private/cancel_all", "private/edit")


class OrderOptions(TypedDict, total=False):
    """How an order is to be placed, as in docs/protocol.md."""

    time_in_force: TimeInForce
    post_only: bool
    reduce_only: bool
    client_order_id: str
    dry_run: bool


class PlaceResult(msgspec.Struct):
    """The answer to an order or an edit. `duplicate`: it was sent before, and this is the order that came of it.

    `dry_run`: nothing was recorded; `balance` and `position` say how they would be.
    """

    order: OrderView
    trades: list[UserTrade]
    seq: int = 0
    duplicate: bool = False
    dry_run: bool = False
    balance: Balance | None = None
    position: PositionView | None = None


class CancelResult(msgspec.Struct):
    order: OrderView
    seq: int


class CancelAllResult(msgspec.Struct):
    cancelled: int
    order_ids: list[int]
    seq: int


class OrderBookSnapshot(msgspec.Struct):
    """An order book as of `seq`, best first."""

    instrument_id: str
    seq: int
    ts_us: int
    bids: list[BookLevel]
    asks: list[BookLevel]


class MarginResult(msgspec.Struct):
    """What an order would take. `initial_margin` and `maintenance_margin` are those of one short contract."""

    instrument_id: str
    side: Side
    amount: int
    price: int
    needed: int
    available: int
    passes: bool
    initial_margin: int | None = None
    maintenance_margin: int | None = None
    reason: str | None = None
    detail: str | None = None


class DeliveryPrice(msgspec.Struct):
    asset: str
    expiration: int  # Unix seconds
    delivery_price: int
    seq: int
    ts_us: int


class _RulesInForce(msgspec.Struct):
    rules: Rules


class _Time(msgspec.Struct):
    ts_us: int


class Client:
    """A connection to the exchange at `url`, as `user_id` if one is given. An async context manager.

    It connects again whenever the connection breaks (unless `reconnects` is False), and meanwhile requests wait. An
    order is never placed twice: it is repeated under its client_order_id, of which one is made where none is given.
    What could do harm a second time raises `connection_lost`. All methods raise ExchangeError. Prices are micros of
    USDC, sizes millicontracts.
    """

    def __init__(
        self, url: str, user_id: str | None = None, secret: str | None = None, reconnects: bool = True
    ) -> None:
        self.url = url
        self._credentials = None if user_id is None else _credentials(user_id, secret)
        self._cancels_on_disconnect = False
        self._subscriptions: dict[str, Subscription] = {}  # by channel
        self._beginning_again: set[asyncio.Task[None]] = set()
        self._link = Connection(url, Callbacks(self._renewed, self._notified, self._ended), reconnects)
        self._order_ids = (f"c-{secrets.token_hex(6)}-{n}" for n in itertools.count(1))

    async def __aenter__(self) -> Self:
        await self._link.open()
        return self

    async def __aexit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Break off. Whoever waits for an answer or a message hears of it."""
        await self._link.close()

    @property
    def reconnect_count(self) -> int:
        """How often the connection broke so far."""
        return self._link.breaks

    async def request(self, method: str, params: dict[str, Any]) -> bytes:
        """The result of any method, as JSON. Parameters that are None are left out; an order gets a client_order_id."""
        if method in _ORDERS and params.get("client_order_id") is None and not params.get("dry_run"):
            params = params | {"client_order_id": next(self._order_ids)}
        return await self._link.call(method, params, not method.startswith(_ONCE_ONLY))

    async def call(self, method: str, **params: Any) -> Any:
        """The result of any method, as it comes."""
        return msgspec.json.decode(await self.request(method, params))

    async def authenticate(self, user_id: str, secret: str | None = None) -> None:
        """Enter an account, here and after every break. One that is not known is opened by this."""
        await self._link.call("public/auth", _credentials(user_id, secret))
        self._credentials = _credentials(user_id, secret)

    # Trading

    async def buy(
        self, instrument_id: str, amount: int, price: int | None = None, **options: Unpack[OrderOptions]
    ) -> PlaceResult:
        """Buy `amount` at `price` or lower; without a price, at the best there are (a market order)."""
        return await self._place("private/buy", instrument_id, amount, price, options)

    async def sell(
        self, instrument_id: str, amount: int, price: int | None = None, **options: Unpack[OrderOptions]
    ) -> PlaceResult:
        """Sell `amount` at `price` or higher; without a price, at the best there are (a market order)."""
        return await self._place("private/sell", instrument_id, amount, price, options)

    async def edit(
        self,
        order_id: int | None = None,
        *,
        client_order_id: str | None = None,
        amount: int | None = None,
        price: int | None = None,
    ) -> PlaceResult:
        """Give an order a new total size (filled part included), a new price, or both."""
        named = {"order_id": order_id, "client_order_id": client_order_id}
        return await self._ask("private/edit", PlaceResult, **named, amount=amount, price=price)

    async def cancel(
        self, order_id: int | None = None, *, client_order_id: str | None = None, instrument_id: str | None = None
    ) -> CancelResult:
        """Cancel an order. Where the connection broke before the answer, the repeat may be answered 1008."""
        named = {"order_id": order_id, "client_order_id": client_order_id}
        return await self._ask("private/cancel", CancelResult, **named, instrument_id=instrument_id)

    async def cancel_all(self, instrument_id: str | None = None) -> CancelAllResult:
        return await self._ask("private/cancel_all", CancelAllResult, instrument_id=instrument_id)

    async def close_position(self, instrument_id: str, price: int | None = None) -> PlaceResult:
        """Trade what brings the position to zero, as far as there is somebody to trade with; no worse than `price`."""
        kind = "market" if price is None else "limit"
        return await self._ask(
            "private/close_position", PlaceResult, instrument_id=instrument_id, type=kind, price=price
        )

    async def cancel_on_disconnect(self, enabled: bool = True) -> None:
        """Whether the user's open orders are cancelled when the connection goes; so also on the ones that follow."""
        await self.call(f"private/{'enable' if enabled else 'disable'}_cancel_on_disconnect")
        self._cancels_on_disconnect = enabled

    # Queries

    async def get_time_us(self) -> int:
        """Exchange time."""
        return (await self._ask("public/get_time", _Time)).ts_us

    async def get_status(self) -> MarketStatus:
        """Whether the exchange is halted."""
        return await self._ask("public/get_status", MarketStatus)

    async def get_instruments(self, asset: str | None = None) -> list[Instrument]:
        """Those that have not expired."""
        return await self._ask("public/get_instruments", list[Instrument], asset=asset)

    async def get_order_book(self, instrument_id: str, depth: int | None = None) -> OrderBookSnapshot:
        return await self._ask("public/get_order_book", OrderBookSnapshot, instrument_id=instrument_id, depth=depth)

    async def get_trades(self, instrument_id: str, count: int | None = None, before: int | None = None) -> list[Trade]:
        """Newest first; `before` a trade_id."""
        which = {"instrument_id": instrument_id, "count": count, "before": before}
        return await self._ask("public/get_trades", list[Trade], **which)

    async def get_open_orders(self, instrument_id: str | None = None) -> list[OrderView]:
        """Oldest first."""
        return await self._ask("private/get_open_orders", list[OrderView], instrument_id=instrument_id)

    async def get_order_history(
        self, instrument_id: str | None = None, count: int | None = None, before: int | None = None
    ) -> list[OrderView]:
        """Finished orders, newest first; `before` an order_id."""
        which = {"instrument_id": instrument_id, "count": count, "before": before}
        return await self._ask("private/get_order_history", list[OrderView], **which)

    async def get_user_trades(
        self, instrument_id: str | None = None, count: int | None = None, before: int | None = None
    ) -> list[UserTrade]:
        """Newest first; `before` a trade_id."""
        which = {"instrument_id": instrument_id, "count": count, "before": before}
        return await self._ask("private/get_user_trades", list[UserTrade], **which)

    async def get_balance(self) -> Balance:
        return await self._ask("private/get_balance", Balance)

    async def get_account(self) -> AccountView:
        return await self._ask("private/get_account", AccountView)

    async def get_settlements(self, count: int | None = None, before: int | None = None) -> list[UserSettlement]:
        """What became of the user's positions, newest first; `before` a seq."""
        return await self._ask("private/get_settlements", list[UserSettlement], count=count, before=before)

    async def get_margin(self, instrument_id: str, side: Side, amount: int, price: int) -> MarginResult:
        """What an order would lock, and whether it would pass, without placing it."""
        order = {"instrument_id": instrument_id, "side": side, "amount": amount, "price": price}
        return await self._ask("private/get_margin", MarginResult, **order)

    async def get_ticker(self, instrument_id: str) -> Ticker:
        return await self._ask("public/get_ticker", Ticker, instrument_id=instrument_id)

    async def get_tickers(self, asset: str | None = None) -> list[Ticker]:
        """Of the instruments that have not expired."""
        return await self._ask("public/get_tickers", list[Ticker], asset=asset)

    async def get_index_price(self, asset: str) -> IndexPrice:
        return await self._ask("public/get_index_price", IndexPrice, asset=asset)

    async def get_delivery_prices(
        self, asset: str, count: int | None = None, before: int | None = None
    ) -> list[DeliveryPrice]:
        """Newest first; `before` an expiration."""
        which = {"asset": asset, "count": count, "before": before}
        return await self._ask("public/get_delivery_prices", list[DeliveryPrice], **which)

    async def get_series_settlements(
        self, asset: str | None = None, count: int | None = None, before: int | None = None
    ) -> list[Settlement]:
        """How series ended, newest first; `before` a seq."""
        return await self._ask("public/get_settlements", list[Settlement], asset=asset, count=count, before=before)

    async def get_rules(self) -> Rules:
        return (await self._ask("public/get_rules", _RulesInForce)).rules

    # Subscriptions

    async def subscribe(self, *channels: str, from_seq: int | None = None) -> Subscription:
        """What these channels send from now on, as an async iterator of typed messages; one subscription a channel.

        With `from_seq`, streams begin with what command `from_seq` did. After a break, they go on where they were.
        """
        if taken := [channel for channel in channels if channel in self._subscriptions]:
            raise ValueError(f"{taken[0]} is subscribed already: close that subscription, or read from it")
        subscription = Subscription(channels, from_seq, self._unsubscribe)
        self._subscriptions |= dict.fromkeys(channels, subscription)
        try:
            await subscription.begin(self._link.call)
        except BaseException:
            self._forget(subscription)
            raise
        return subscription

    async def _place(
        self, method: str, instrument_id: str, amount: int, price: int | None, options: OrderOptions
    ) -> PlaceResult:
        kind = "market" if price is None else "limit"
        return await self._ask(
            method, PlaceResult, instrument_id=instrument_id, amount=amount, type=kind, price=price, **options
        )

    async def _ask(self, method: str, shape: type[_T], **params: Any) -> _T:
        return msgspec.json.decode(await self.request(method, params), type=shape)

    async def _renewed(self, ask: Ask) -> None:
        """Make a new connection what the one before was."""
        if self._credentials is not None:
            await ask("public/auth", self._credentials)
        if self._cancels_on_disconnect:
            await ask("private/enable_cancel_on_disconnect", {})
        for subscription in dict.fromkeys(self._subscriptions.values()):
            if subscription.has_begun:
                try:
                    await subscription.begin(ask)
                except ExchangeError as error:
                    if error.code == CONNECTION:
                        raise
                    self._forget(subscription)
                    subscription.end(error)

    def _notified(self, channel: str, seq: int, data: msgspec.Raw) -> None:
        subscription = self._subscriptions.get(channel)
        if subscription is not None and not subscription.take(channel, seq, data):
            again = asyncio.create_task(self._begin_again(channel))
            self._beginning_again.add(again)
            again.add_done_callback(self._beginning_again.discard)

    def _ended(self, error: ExchangeError) -> None:
        for subscription in dict.fromkeys(self._subscriptions.values()):
            subscription.end(error)

    async def _begin_again(self, channel: str) -> None:
        """Have a book sent whole; after a break it is in any case."""
        with contextlib.suppress(ExchangeError):
            await self._link.call("public/subscribe", {"channels": [channel]})

    def _forget(self, subscription: Subscription) -> None:
        for channel in subscription.channels:
            if self._subscriptions.get(channel) is subscription:
                del self._subscriptions[channel]

    async def _unsubscribe(self, subscription: Subscription) -> None:
        self._forget(subscription)
        if not self._link.has_ended:
            await self._link.call("public/unsubscribe", {"channels": subscription.channels})


def _credentials(user_id: str, secret: str | None) -> dict[str, Any]:
    return {"grant_type": "client_credentials", "client_id": user_id, "client_secret": secret}
