"""The client: typed methods for the trading and query methods of docs/protocol.md."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import msgspec

from exchange.client.connection import Callbacks, Connection, SendRequest
from exchange.client.errors import CONNECTION, ExchangeError
from exchange.client.results import (
    LinkedOrderOptions,
    OrderBookSnapshot,
    OrderOptions,
    PastMoment,
    PastRange,
    PastSeqRange,
    PlaceResult,
    QuoteFilter,
    QuoteOptions,
)
from exchange.client.subscription import Subscription
from exchange.domain.enums import CancelScope, FillCondition, InstrumentKind, LinkType, Side
from exchange.domain.rules import Rules
from exchange.keys.client_key import ClientKey
from exchange.projections.wire_types import (
    AccountView,
    Balance,
    CancelAllResult,
    CancelResult,
    Candles,
    DeliveryPrice,
    ExchangeStatus,
    HistoricalVolatility,
    IndexPrice,
    Instrument,
    LinkedOrdersResult,
    MarginResult,
    MarkSurface,
    MassQuoteResult,
    MmpGroupResult,
    MmpGroupView,
    MomentResult,
    OrderView,
    PositionsResult,
    ProfitHistory,
    Receipt,
    Resolution,
    RulesResult,
    Settlement,
    SimulatedAccount,
    StepUnit,
    Ticker,
    Timeline,
    TimeResult,
    Trade,
    Transaction,
    TransactionsResult,
    UserSettlement,
    UserTrade,
    WhatIfResult,
)

_T = TypeVar("_T")
_ORDERS = ("private/buy", "private/sell")
# Methods with these prefixes are not sent again after a break. The client cannot know whether the exchange carried out
# the first request, and a second one could do harm: pay twice, close a position opened since, cancel an order placed
# since, or move an edited order to the back of the queue.
_NEVER_REPEATED = (
    *("admin/", "private/close_position", "private/cancel_all", "private/edit"),
    *("private/mass_quote", "private/cancel_quotes"),
)


class Client:
    """A connection to the exchange at `url`, logged in with `key` or as `user_id`. An async context manager.

    With a `key` (`read_client_key`), the client signs each login, so that the secret is not sent. With a `user_id` it
    sends `secret`: that of a key, or of the administrator; None for an account without a key. `tls` is the context of a
    `wss` URL; None: that of the system.

    Prices are in micros of USDC, sizes in millicontracts. Every method raises ExchangeError.

    The client reconnects when the connection breaks (unless `reconnects` is False); requests wait until then. It never
    places an order twice: it repeats the order under the same client_order_id, and makes one if the caller gives none.
    A request that could do harm if repeated raises `connection_lost` instead.
    """

    def __init__(
        self,
        url: str,
        user_id: str | None = None,
        secret: str | None = None,
        reconnects: bool = True,
        *,
        key: ClientKey | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url
        # Makes the parameters of each login; None: the client does not log in.
        self._login: Callable[[], dict[str, Any]] | None = None
        if key is not None:
            self._login = key.login
        elif user_id is not None:
            self._login = partial(_credentials, user_id, secret)
        self._cancel_scope: CancelScope | None = None
        self._subscriptions: dict[str, Subscription] = {}
        self._resubscribing: set[asyncio.Task[None]] = set()
        callbacks = Callbacks(self._on_connect, self._on_notification, self._on_end)
        self._connection = Connection(url, callbacks, reconnects, tls)
        self._order_ids = (f"c-{secrets.token_hex(6)}-{n}" for n in itertools.count(1))

    async def __aenter__(self) -> Self:
        await self._connection.open()
        return self

    async def __aexit__(self, _type: type | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection. Pending requests and subscriptions raise `connection_closed`."""
        await self._connection.close()

    @property
    def is_connected(self) -> bool:
        """False while the connection is broken and the client tries to restore it."""
        return self._connection.is_ready

    @property
    def reconnect_count(self) -> int:
        """The number of times that the connection has broken."""
        return self._connection.reconnect_count

    async def request(self, method: str, params: dict[str, Any]) -> bytes:
        """Call any method and return its result as JSON.

        Parameters that are None are left out. An order without a client_order_id gets one.
        """
        if method in _ORDERS and params.get("client_order_id") is None and not params.get("dry_run"):
            params = params | {"client_order_id": next(self._order_ids)}
        elif method == "private/place_linked_orders":
            params = params | {"orders": self._linked(params["orders"])}
        return await self._connection.call(method, params, not method.startswith(_NEVER_REPEATED))

    def _linked(self, orders: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Give the first of linked orders a client_order_id, by which a repetition of all of them is known."""
        if not orders or orders[0].get("client_order_id") is not None:
            return list(orders)
        return [{**orders[0], "client_order_id": next(self._order_ids)}, *orders[1:]]

    async def call(self, method: str, **params: Any) -> Any:
        """Call any method, also those of the administrator, and return its decoded result."""
        return msgspec.json.decode(await self.request(method, params))

    async def authenticate(self, user_id: str, secret: str | None = None) -> None:
        """Log in, now and after every break. The exchange opens the account if it does not exist."""
        login = partial(_credentials, user_id, secret)
        await self._connection.call("public/auth", login())
        self._login = login

    # Trading

    async def buy(
        self, instrument_id: str, amount: int, price: int | None = None, **options: Unpack[OrderOptions]
    ) -> PlaceResult:
        """Buy `amount` at `price` or lower. Without a price it is a market order."""
        return await self._place("private/buy", instrument_id, amount, price, options)

    async def sell(
        self, instrument_id: str, amount: int, price: int | None = None, **options: Unpack[OrderOptions]
    ) -> PlaceResult:
        """Sell `amount` at `price` or higher. Without a price it is a market order."""
        return await self._place("private/sell", instrument_id, amount, price, options)

    async def place_linked_orders(
        self,
        link: LinkType,
        orders: Sequence[LinkedOrderOptions],
        *,
        fill_condition: FillCondition = "first_hit",
        receipt: bool = False,
    ) -> LinkedOrdersResult:
        """Place two or three linked orders at once; the first is the primary, whose fills place the others.

        After a break they are repeated as an order is, under the client_order_id of the primary.
        """
        given = {"link": link, "fill_condition": fill_condition, "orders": list(orders)}
        return await self._typed("private/place_linked_orders", LinkedOrdersResult, **given, receipt=receipt or None)

    async def edit(
        self,
        order_id: int | None = None,
        *,
        client_order_id: str | None = None,
        label: str | None = None,
        instrument_id: str | None = None,
        amount: int | None = None,
        price: int | None = None,
        trigger_price: int | None = None,
        trigger_offset: int | None = None,
        valid_until_us: int | None = None,
        receipt: bool = False,
    ) -> PlaceResult:
        """Change an order's total size (its filled part included), its price, or both. Never repeated after a break.

        An untriggered order may also get another trigger price or offset.
        """
        reference = {"order_id": order_id, "client_order_id": client_order_id, "label": label}
        which = {**reference, "instrument_id": instrument_id, "receipt": receipt or None}
        terms = {"amount": amount, "price": price, "trigger_price": trigger_price, "trigger_offset": trigger_offset}
        terms |= {"valid_until_us": valid_until_us}
        return await self._typed("private/edit", PlaceResult, **which, **terms)

    async def cancel(
        self,
        order_id: int | None = None,
        *,
        client_order_id: str | None = None,
        label: str | None = None,
        instrument_id: str | None = None,
        receipt: bool = False,
    ) -> CancelResult:
        """Cancel an order.

        If the connection breaks before the answer, the repeated request may raise error 1008 (already closed) although
        the first one cancelled the order.
        """
        reference = {"order_id": order_id, "client_order_id": client_order_id, "label": label}
        which = {**reference, "instrument_id": instrument_id, "receipt": receipt or None}
        return await self._typed("private/cancel", CancelResult, **which)

    async def cancel_all(
        self,
        instrument_id: str | None = None,
        *,
        asset: str | None = None,
        kind: InstrumentKind | None = None,
        label: str | None = None,
        receipt: bool = False,
    ) -> CancelAllResult:
        """Cancel all open orders, or those of one instrument, asset, kind and label. Never repeated after a break."""
        which = {"instrument_id": instrument_id, "asset": asset, "kind": kind, "label": label}
        return await self._typed("private/cancel_all", CancelAllResult, **which, receipt=receipt or None)

    async def mass_quote(
        self, mmp_group: str, quote_id: str, quotes: Sequence[QuoteOptions], *, receipt: bool = False
    ) -> MassQuoteResult:
        """Place, replace or cancel many two-sided quotes at once. Never repeated after a break.

        It needs `cancel_on_disconnect` and an MMP group.
        """
        given = {"mmp_group": mmp_group, "quote_id": quote_id, "quotes": list(quotes), "receipt": receipt or None}
        return await self._typed("private/mass_quote", MassQuoteResult, **given)

    async def cancel_quotes(self, *, receipt: bool = False, **which: Unpack[QuoteFilter]) -> CancelAllResult:
        """Cancel all quotes, or those that fit every filter. Never repeated after a break."""
        return await self._typed("private/cancel_quotes", CancelAllResult, **which, receipt=receipt or None)

    async def set_mmp_config(
        self,
        mmp_group: str,
        asset: str,
        interval: int,
        frozen_time: int = 0,
        *,
        quantity_limit: int | None = None,
        delta_limit: int | None = None,
        vega_limit: int | None = None,
    ) -> MmpGroupView | None:
        """Create an MMP group or replace its limits. An interval of 0 removes the group, and its quotes."""
        limits = {"quantity_limit": quantity_limit, "delta_limit": delta_limit, "vega_limit": vega_limit}
        terms = {"mmp_group": mmp_group, "asset": asset, "interval": interval, "frozen_time": frozen_time, **limits}
        return (await self._typed("private/set_mmp_config", MmpGroupResult, **terms)).group

    async def reset_mmp(self, mmp_group: str) -> MmpGroupView | None:
        """End the freeze of an MMP group."""
        return (await self._typed("private/reset_mmp", MmpGroupResult, mmp_group=mmp_group)).group

    async def get_mmp_config(self, mmp_group: str | None = None, **at: Unpack[PastMoment]) -> list[MmpGroupView]:
        """The MMP groups of the user with their limits and freezes; all of them, or one."""
        return await self._typed("private/get_mmp_config", list[MmpGroupView], mmp_group=mmp_group, **at)

    async def close_position(
        self, instrument_id: str, price: int | None = None, *, receipt: bool = False
    ) -> PlaceResult:
        """Close a position at `price` or better, as far as the book allows. Without a price, at market.

        Never repeated after a break.
        """
        kind = "market" if price is None else "limit"
        order = {"instrument_id": instrument_id, "type": kind, "price": price, "receipt": receipt or None}
        return await self._typed("private/close_position", PlaceResult, **order)

    async def cancel_on_disconnect(self, enabled: bool = True, scope: CancelScope = "account") -> None:
        """Turn on or off that the exchange cancels open orders when the connection breaks.

        With the scope `account` these are all orders of the user; with `connection` only those that this connection
        placed since. The client turns it on again after it has reconnected.
        """
        if enabled:
            await self.call("private/enable_cancel_on_disconnect", scope=scope)
        else:
            await self.call("private/disable_cancel_on_disconnect")
        self._cancel_scope = scope if enabled else None

    # Queries: with `at_seq` or `at_ts_us` as they were answered at that moment.

    async def get_time_us(self) -> int:
        """Exchange time, in microseconds since 1970 (UTC)."""
        return (await self._typed("public/get_time", TimeResult)).ts_us

    async def get_status(self, **at: Unpack[PastMoment]) -> ExchangeStatus:
        """The status of the exchange: whether it is halted, and the assets that are reopening."""
        return await self._typed("public/get_status", ExchangeStatus, **at)

    async def get_head(self, **at: Unpack[PastMoment]) -> Receipt:
        """The seq, time and hash of the last command of the journal."""
        return await self._typed("public/get_head", Receipt, **at)

    async def get_instruments(self, asset: str | None = None, **at: Unpack[PastMoment]) -> list[Instrument]:
        """The instruments that have not expired, of all assets or of one."""
        return await self._typed("public/get_instruments", list[Instrument], asset=asset, **at)

    async def get_order_book(
        self, instrument_id: str, depth: int | None = None, **at: Unpack[PastMoment]
    ) -> OrderBookSnapshot:
        """An order book with up to `depth` levels on each side."""
        return await self._typed(
            "public/get_order_book", OrderBookSnapshot, instrument_id=instrument_id, depth=depth, **at
        )

    async def get_trades(
        self, instrument_id: str, count: int | None = None, before: int | None = None, **at: Unpack[PastRange]
    ) -> list[Trade]:
        """The last trades in an instrument, newest first. `before` is a trade_id."""
        which = {"instrument_id": instrument_id, "count": count, "before": before}
        return await self._typed("public/get_trades", list[Trade], **which, **at)

    async def get_order(
        self,
        order_id: int | None = None,
        *,
        client_order_id: str | None = None,
        label: str | None = None,
        **at: Unpack[PastMoment],
    ) -> OrderView:
        """The state of an order, open or finished. A label names the newest open order, else the newest finished."""
        reference = {"order_id": order_id, "client_order_id": client_order_id, "label": label}
        return await self._typed("private/get_order", OrderView, **reference, **at)

    async def get_open_orders(
        self, instrument_id: str | None = None, label: str | None = None, **at: Unpack[PastMoment]
    ) -> list[OrderView]:
        """The user's open orders, oldest first; of all, or those in one instrument or with one label."""
        which = {"instrument_id": instrument_id, "label": label}
        return await self._typed("private/get_open_orders", list[OrderView], **which, **at)

    async def get_order_history(
        self,
        instrument_id: str | None = None,
        count: int | None = None,
        before: int | None = None,
        label: str | None = None,
        **at: Unpack[PastRange],
    ) -> list[OrderView]:
        """The user's closed orders, newest first. `before` is an order_id."""
        which = {"instrument_id": instrument_id, "count": count, "before": before, "label": label}
        return await self._typed("private/get_order_history", list[OrderView], **which, **at)

    async def get_user_trades(
        self,
        instrument_id: str | None = None,
        count: int | None = None,
        before: int | None = None,
        order_id: int | None = None,
        **at: Unpack[PastRange],
    ) -> list[UserTrade]:
        """The user's last trades, newest first; all, or of one instrument or order. `before` is a trade_id."""
        which = {"instrument_id": instrument_id, "count": count, "before": before, "order_id": order_id}
        return await self._typed("private/get_user_trades", list[UserTrade], **which, **at)

    async def get_balance(self, **at: Unpack[PastMoment]) -> Balance:
        """The user's cash: available, locked, and the maintenance margin."""
        return await self._typed("private/get_balance", Balance, **at)

    async def get_account(self, **at: Unpack[PastMoment]) -> AccountView:
        """The user's balance, positions, profit and limits."""
        return await self._typed("private/get_account", AccountView, **at)

    async def get_positions(self, asset: str | None = None, **at: Unpack[PastMoment]) -> PositionsResult:
        """The user's positions with margins, profits and Greeks, and the Greeks of each asset."""
        return await self._typed("private/get_positions", PositionsResult, asset=asset, **at)

    async def get_transaction_log(
        self, count: int | None = None, before: int | None = None, **at: Unpack[PastRange]
    ) -> list[Transaction]:
        """The movements of the user's cash, newest first. `before` is the id of an entry."""
        which = {"count": count, "before": before}
        return (await self._typed("private/get_transaction_log", TransactionsResult, **which, **at)).transactions

    async def get_profit_history(
        self, points: int | None = None, *, user_id: str | None = None, **of: Unpack[PastSeqRange]
    ) -> ProfitHistory:
        """The profit of the account over time, in parts; the administrator may name any `user_id`."""
        return await self._typed("private/get_profit_history", ProfitHistory, points=points, user_id=user_id, **of)

    async def what_if(
        self,
        *,
        user_id: str | None = None,
        without_orders: Sequence[int] = (),
        rules: Mapping[str, str] | None = None,
        index_paths: Mapping[str, Sequence[tuple[int, int]]] | None = None,
        from_seq: int | None = None,
        to_seq: int | None = None,
    ) -> WhatIfResult:
        """The account as it would be without some orders, with other `rules`, or with other index prices.

        `index_paths` has points of time and price by asset. The answer can take a minute, and later requests of the
        connection wait for it.
        """
        which = {"user_id": user_id, "from_seq": from_seq, "to_seq": to_seq}
        edits = {"without_orders": list(without_orders), "rules": dict(rules or {}), "index_paths": index_paths or {}}
        return await self._typed("private/what_if", WhatIfResult, **which, **edits)

    async def get_settlements(
        self, count: int | None = None, before: int | None = None, **at: Unpack[PastMoment]
    ) -> list[UserSettlement]:
        """The settlements of the user's positions, newest first. `before` is a seq."""
        return await self._typed("private/get_settlements", list[UserSettlement], count=count, before=before, **at)

    async def get_margin(self, instrument_id: str, side: Side, amount: int, price: int) -> MarginResult:
        """The cash an order would lock, and whether the exchange would accept it. Nothing is recorded."""
        order = {"instrument_id": instrument_id, "side": side, "amount": amount, "price": price}
        return await self._typed("private/get_margin", MarginResult, **order)

    async def simulate(self, positions: Mapping[str, int], add_positions: bool = True) -> SimulatedAccount:
        """Margins and Greeks of the account with these millicontracts, by instrument, added or instead."""
        params = {"positions": dict(positions), "add_positions": add_positions}
        return await self._typed("private/simulate", SimulatedAccount, **params)

    async def get_ticker(self, instrument_id: str, **at: Unpack[PastMoment]) -> Ticker:
        """The ticker of an instrument: best prices, mark, volume, open interest, implied volatility and Greeks."""
        return await self._typed("public/get_ticker", Ticker, instrument_id=instrument_id, **at)

    async def get_tickers(self, asset: str | None = None, **at: Unpack[PastMoment]) -> list[Ticker]:
        """The tickers of the instruments that have not expired, of all assets or of one."""
        return await self._typed("public/get_tickers", list[Ticker], asset=asset, **at)

    async def get_index_price(self, asset: str, **at: Unpack[PastMoment]) -> IndexPrice:
        """The current index price of an asset."""
        return await self._typed("public/get_index_price", IndexPrice, asset=asset, **at)

    async def get_index_prices(self, **at: Unpack[PastMoment]) -> list[IndexPrice]:
        """The current index prices of all assets that have one."""
        return await self._typed("public/get_index_prices", list[IndexPrice], **at)

    async def get_mark_surface(self, asset: str, **at: Unpack[PastMoment]) -> MarkSurface:
        """The volatility surface that the marks of an asset follow."""
        return await self._typed("public/get_mark_surface", MarkSurface, asset=asset, **at)

    async def get_candles(
        self,
        instrument_id: str | None = None,
        resolution: Resolution = "1m",
        *,
        asset: str | None = None,
        count: int | None = None,
        **at: Unpack[PastRange],
    ) -> Candles:
        """Candles of an instrument's trades or of an asset's index, oldest first: the last `count`, or from a time."""
        which = {"instrument_id": instrument_id, "asset": asset, "resolution": resolution, "count": count}
        return await self._typed("public/get_candles", Candles, **which, **at)

    async def get_historical_volatility(
        self, asset: str, count: int | None = None, end_us: int | None = None, **at: Unpack[PastMoment]
    ) -> list[HistoricalVolatility]:
        """The volatility of an asset's index over 15 days, at each of the last `count` full hours, oldest first."""
        which = {"asset": asset, "count": count, "end_us": end_us}
        return await self._typed("public/get_historical_volatility", list[HistoricalVolatility], **which, **at)

    async def get_timeline(
        self, buckets: int | None = None, *, asset: str | None = None, **of: Unpack[PastSeqRange]
    ) -> Timeline:
        """The journal, or a part of it, as `buckets` of commands with their volumes, and marks of what happened."""
        return await self._typed("public/get_timeline", Timeline, buckets=buckets, asset=asset, **of)

    async def get_moment(
        self,
        seq: int | None = None,
        *,
        ts_us: int | None = None,
        by: StepUnit | None = None,
        count: int | None = None,
        **at: Unpack[PastMoment],
    ) -> MomentResult:
        """The moment `count` commands, trades or seconds after command `seq` or a time, or before it if negative.

        Without `seq` and `ts_us` it counts from the last command.
        """
        which = {"seq": seq, "ts_us": ts_us, "by": by, "count": count}
        return await self._typed("public/get_moment", MomentResult, **which, **at)

    async def get_delivery_prices(
        self, asset: str, count: int | None = None, before: int | None = None, **at: Unpack[PastMoment]
    ) -> list[DeliveryPrice]:
        """The delivery prices of an asset, newest first. `before` is an expiration, in seconds since 1970 (UTC)."""
        which = {"asset": asset, "count": count, "before": before}
        return await self._typed("public/get_delivery_prices", list[DeliveryPrice], **which, **at)

    async def get_series_settlements(
        self, asset: str | None = None, count: int | None = None, before: int | None = None, **at: Unpack[PastMoment]
    ) -> list[Settlement]:
        """The settlements of series on `asset`, newest first; on all assets if it is None.

        Only settlements before seq `before` (exclusive). The result has `count` of them, or more if one command
        settled more: its settlements are never split.
        """
        return await self._typed(
            "public/get_settlements", list[Settlement], asset=asset, count=count, before=before, **at
        )

    async def get_rules(self, **at: Unpack[PastMoment]) -> Rules:
        """The rules in force."""
        return (await self._typed("public/get_rules", RulesResult, **at)).rules

    async def get_api(self) -> dict[str, Any]:
        """The OpenRPC document of the methods of the server."""
        return await self._typed("public/get_api", dict[str, Any])

    # Subscriptions

    async def subscribe(self, *channels: str, from_seq: int | None = None) -> Subscription:
        """Subscribe to channels. The result is an async iterator of typed messages.

        Messages start now, or for streams with command `from_seq` if it is given. After a break the streams continue
        without a gap. Raises ValueError if a channel is subscribed already, and ExchangeError.
        """
        if taken := [channel for channel in channels if channel in self._subscriptions]:
            raise ValueError(f"{taken[0]} is subscribed already: close that subscription first, or read from it")
        subscription = Subscription(channels, from_seq, self._unsubscribe)
        self._subscriptions |= dict.fromkeys(channels, subscription)
        try:
            await subscription.start(self._connection.call)
        except BaseException:
            self._remove(subscription)
            raise
        return subscription

    async def _place(
        self, method: str, instrument_id: str, amount: int, price: int | None, options: OrderOptions
    ) -> PlaceResult:
        kind: OrderOptions = {"type": "market" if price is None else "limit"}
        order = {"instrument_id": instrument_id, "amount": amount, "price": price}
        return await self._typed(method, PlaceResult, **order, **{**kind, **options})

    async def _typed(self, method: str, result_type: type[_T], **params: Any) -> _T:
        return msgspec.json.decode(await self.request(method, params), type=result_type)

    async def _on_connect(self, send: SendRequest) -> None:
        """Log in and restore cancel-on-disconnect and the subscriptions on a new connection."""
        if self._login is not None:
            await send("public/auth", self._login())
        if self._cancel_scope is not None:
            await send("private/enable_cancel_on_disconnect", {"scope": self._cancel_scope})
        for subscription in dict.fromkeys(self._subscriptions.values()):
            if subscription.has_start:
                try:
                    await subscription.start(send)
                except ExchangeError as error:
                    if error.code == CONNECTION:
                        raise
                    self._remove(subscription)
                    subscription.fail(error)

    def _on_notification(self, channel: str, seq: int, data: msgspec.Raw) -> None:
        subscription = self._subscriptions.get(channel)
        if subscription is not None and not subscription.receive(channel, seq, data):
            task = asyncio.create_task(self._resubscribe(channel))
            self._resubscribing.add(task)
            task.add_done_callback(self._resubscribing.discard)

    def _on_end(self, error: ExchangeError) -> None:
        for subscription in dict.fromkeys(self._subscriptions.values()):
            subscription.fail(error)

    async def _resubscribe(self, channel: str) -> None:
        """Request a new snapshot of a book. If this fails because of a break, reconnecting requests it anyway."""
        with contextlib.suppress(ExchangeError):
            await self._connection.call("public/subscribe", {"channels": [channel]})

    def _remove(self, subscription: Subscription) -> None:
        for channel in subscription.channels:
            if self._subscriptions.get(channel) is subscription:
                del self._subscriptions[channel]

    async def _unsubscribe(self, subscription: Subscription) -> None:
        self._remove(subscription)
        if not self._connection.has_ended:
            await self._connection.call("public/unsubscribe", {"channels": subscription.channels})


def _credentials(user_id: str, secret: str | None) -> dict[str, Any]:
    return {"grant_type": "client_credentials", "client_id": user_id, "client_secret": secret}
