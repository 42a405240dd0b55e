"""The methods of the protocol: who may call them, what they take, which command they become, how they are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from exchange.domain.enums import Side
from exchange.domain.reasons import Reason
from exchange.gateway import admin, connection, queries, trading
from exchange.gateway import params as p
from exchange.gateway.authentication import authenticate, authentication_answer
from exchange.gateway.caller import Caller

Access = Literal["public", "private", "admin"]


class Method(NamedTuple):
    """`handle` takes the caller and its parameters and returns the result, or what will bring it about: a command or an
    inquiry, of which `answer` then makes the result.

    For a command `answer` is given what it changed, and `undo` takes back what `handle` did to the session
    when it could not be recorded. A refusal for `ignores` is as good as success. One that `waits` is not under way
    together with others of its connection. Where its `dry_run` is asked for, `rehearse` gives the result instead.
    """

    access: Access
    decode: p.Decoder
    handle: Callable[[Caller, Any], Any]
    answer: Callable[[Caller, Any], Any] | None = None
    ignores: Reason | None = None
    undo: Callable[[Caller], None] | None = None
    waits: bool = False
    dry_run: Callable[[Caller, Any], Any] | None = None


def _cancel_on_disconnect_method(enabled: bool) -> Method:
    return Method(
        "private",
        p.Decoder(p.NoParams),
        connection.set_cancel_on_disconnect(enabled),
        connection.cancel_on_disconnect_answer,
        undo=connection.undo_cancel_on_disconnect,
        waits=True,
    )


def _public(shape: type[p.Params], handle: Callable[[Caller, Any], Any]) -> Method:
    return Method("public", p.Decoder(shape), handle)


def _private(
    shape: type[p.Params],
    handle: Callable[[Caller, Any], Any],
    answer: Callable[[Caller, Any], Any] | None = None,
    waits: bool = False,
) -> Method:
    return Method("private", p.Decoder(shape), handle, answer, waits=waits)


def _admin(
    shape: type[p.Params],
    handle: Callable[[Caller, Any], Any],
    answer: Callable[[Caller, Any], Any] | None = None,
) -> Method:
    return Method("admin", p.Decoder(shape), handle, answer)


def _order_method(side: Side) -> Method:
    method = _private(p.PlaceParams, trading.place(side), trading.order_answer)
    return method._replace(dry_run=trading.dry_run(side))


METHODS: dict[str, Method] = {
    "public/auth": Method(
        "public", p.Decoder(p.AuthParams), authenticate, authentication_answer, Reason.ACCOUNT_EXISTS, waits=True
    ),
    "public/subscribe": _public(p.SubscribeParams, connection.subscribe),
    "public/unsubscribe": _public(p.UnsubscribeParams, connection.unsubscribe),
    "public/test": _public(p.NoParams, connection.test),
    "public/set_heartbeat": _public(p.HeartbeatParams, connection.set_heartbeat),
    "public/disable_heartbeat": _public(p.NoParams, connection.disable_heartbeat),
    "public/get_time": _public(p.NoParams, queries.time),
    "public/get_status": _public(p.NoParams, queries.status),
    "public/get_instruments": _public(p.AssetFilter, queries.instruments),
    "public/get_order_book": _public(p.OrderBookParams, queries.order_book),
    "public/get_trades": _public(p.TradesParams, queries.trades),
    "public/get_ticker": _public(p.InstrumentRef, queries.ticker),
    "public/get_tickers": _public(p.AssetFilter, queries.tickers),
    "public/get_index_price": _public(p.AssetRef, queries.index_price),
    "public/get_settlements": _public(p.SettlementsParams, queries.settlements),
    "public/get_delivery_prices": _public(p.DeliveryPricesParams, queries.delivery_prices),
    "public/get_insurance": _public(p.NoParams, queries.insurance),
    "public/get_rules": _public(p.NoParams, queries.rules),
    "private/buy": _order_method("bid"),
    "private/sell": _order_method("ask"),
    "private/edit": _private(p.EditParams, trading.edit, trading.order_answer),
    "private/cancel": _private(p.CancelParams, trading.cancel, trading.cancel_answer),
    "private/cancel_all": _private(p.InstrumentFilter, trading.cancel_all, trading.cancel_all_answer),
    "private/close_position": _private(p.ClosePositionParams, trading.close_position, trading.order_answer, waits=True),
    "private/get_margin": _private(p.MarginParams, trading.get_margin),
    "private/explain_order": _private(p.OrderRef, trading.explain_order, trading.explain_answer, waits=True),
    "private/get_open_orders": _private(p.InstrumentFilter, queries.open_orders),
    "private/get_order_history": _private(p.HistoryParams, queries.order_history),
    "private/get_user_trades": _private(p.HistoryParams, queries.user_trades),
    "private/get_settlements": _private(p.UserSettlementsParams, queries.user_settlements),
    "private/get_balance": _private(p.NoParams, queries.balance),
    "private/get_account": _private(p.NoParams, queries.account),
    "private/enable_cancel_on_disconnect": _cancel_on_disconnect_method(True),
    "private/disable_cancel_on_disconnect": _cancel_on_disconnect_method(False),
    "admin/create_instrument": _admin(p.NewInstrumentParams, admin.create_instrument, admin.instrument_answer),
    "admin/pause": _admin(p.InstrumentsSelector, admin.pause, admin.pause_answer),
    "admin/resume": _admin(p.InstrumentsSelector, admin.resume, admin.pause_answer),
    "admin/halt": _admin(p.NoParams, admin.set_halt(True), admin.halt_answer(True)),
    "admin/end_halt": _admin(p.NoParams, admin.set_halt(False), admin.halt_answer(False)),
    "admin/set_index_price": _admin(p.IndexPriceParams, admin.set_index_price, admin.index_answer),
    "admin/settle": _admin(p.SettleParams, admin.settle, admin.settle_answer),
    "admin/set_rules": _admin(p.NewRulesParams, admin.set_rules, admin.rules_answer),
    "admin/deposit": _admin(p.PaymentParams, admin.deposit, admin.payment_answer),
    "admin/withdraw": _admin(p.PaymentParams, admin.withdraw, admin.payment_answer),
    "admin/suspend": _admin(p.UserRef, admin.set_suspended(True), admin.suspension_answer),
    "admin/reinstate": _admin(p.UserRef, admin.set_suspended(False), admin.suspension_answer),
    "admin/set_limits": _admin(p.UserLimitsParams, admin.set_limits, admin.limits_answer),
    "admin/cancel_all": _admin(p.UserInstrumentFilter, admin.cancel_user_orders, trading.cancel_all_answer),
    "admin/get_account": _admin(p.UserRef, admin.get_account),
}
