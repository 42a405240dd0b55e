"""The methods of the protocol: who may call them, what they take, which command they become, how they are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from exchange import __version__
from exchange.domain.commands import Command, OpenAccount, SetCancelOnDisconnect
from exchange.domain.enums import Side
from exchange.domain.reasons import Reason
from exchange.domain.units import RESERVED_USERS
from exchange.gateway import admin, queries, trading
from exchange.gateway import params as p
from exchange.gateway.channels import Channel, parse_channel
from exchange.gateway.jsonrpc import RpcError, invalid_params, must_authenticate
from exchange.projections.views import Change

if TYPE_CHECKING:
    from exchange.gateway.session import Session

Access = Literal["public", "private", "admin"]


class Method(NamedTuple):
    """`handle` takes a session and its parameters and returns the result, or what will bring it about: a command or an
    inquiry, of which `answer` then makes the result.

    For a command `answer` is given what it changed, and `undo` takes back what `handle` did to the session
    when it could not be recorded. A refusal for `ignores` is as good as success. One that `waits` is not under way
    together with others of its connection. Where its `dry_run` is asked for, `rehearse` gives the result instead.
    """

    access: Access
    decode: p.Decoder
    handle: Callable[[Session, Any], Any]
    answer: Callable[[Session, Any], Any] | None = None
    ignores: Reason | None = None
    undo: Callable[[Session], None] | None = None
    waits: bool = False
    dry_run: Callable[[Session, Any], Any] | None = None


def _auth(session: Session, params: p.AuthParams) -> Any:
    """Enter an account. One that is not known is opened, with the starting cash of the rules."""
    user_id = params.client_id
    if user_id == "admin":
        if not session.desk.is_admin_secret(params.client_secret):
            raise _invalid_credentials("the administrator's secret is in the file that `exchange init` wrote")
    elif user_id in RESERVED_USERS:
        raise _invalid_credentials(f"{user_id!r} is the exchange's own account")
    if session.user_id not in ("", user_id):
        raise _invalid_credentials(f"this connection is {session.user_id!r}'s; open another one for {user_id!r}")
    if user_id in session.views.balances.users:
        return session.log_in(user_id)
    return OpenAccount(user_id, 0 if user_id == "admin" else session.desk.rules.starting_cash_micros)


def _auth_answer(session: Session, change: Change) -> Any:
    return session.log_in(change.user_id)


def _invalid_credentials(detail: str) -> RpcError:
    return RpcError(1020, "Invalid credentials", "invalid_credentials", detail)


def _subscribe(session: Session, params: p.SubscribeParams) -> Any:
    """Join channels; with `from_seq`, streams are filled from that command on before they go live."""
    channels = _channels(session, params)
    if params.from_seq is None:
        return session.subscribe(channels)
    first_seq, next_seq = session.desk.first_seq, session.feeds.recent.next_seq
    if params.from_seq > next_seq:
        detail = f"the next command is {next_seq}: ask from that one, or from an earlier one"
        raise invalid_params("from_seq", detail, "from_seq_ahead", next_seq=next_seq)
    if params.from_seq < first_seq:
        detail = (
            f"commands before {first_seq} are in an archive that is not here: ask from that one, or have it put back"
        )
        raise invalid_params("from_seq", detail, "from_seq_archived", first_seq=first_seq)
    return {"channels": session.subscribe(channels, params.from_seq), "seq": next_seq}


def _unsubscribe(session: Session, params: p.UnsubscribeParams) -> Any:
    return session.unsubscribe(_channels(session, params))


def _channels(session: Session, params: p.SubscribeParams | p.UnsubscribeParams) -> list[Channel]:
    channels = [parse_channel(name, session.views) for name in params.channels]
    if not session.user_id and any(channel.is_private for channel in channels):
        raise must_authenticate()
    return channels


def _test(session: Session, _params: p.NoParams) -> Any:
    session.on_test_reply()
    return {"version": __version__}


def _set_heartbeat(session: Session, interval_seconds: int | None) -> Any:
    session.set_heartbeat(interval_seconds)
    return "ok"


def _cancel_on_disconnect_method(enabled: bool) -> Method:
    def set_cancel_on_disconnect(session: Session, _params: p.NoParams) -> Command:
        still_enabled = session.set_cancel_on_disconnect(enabled)
        return SetCancelOnDisconnect(session.user_id, still_enabled)

    return Method(
        "private",
        p.Decoder(p.NoParams),
        set_cancel_on_disconnect,
        lambda session, change: {"seq": change.seq},
        undo=lambda session: session.undo_cancel_on_disconnect(),
        waits=True,
    )


def _public(shape: type[p.Params], handle: Callable[[Session, Any], Any]) -> Method:
    return Method("public", p.Decoder(shape), handle)


def _private(
    shape: type[p.Params],
    handle: Callable[[Session, Any], Any],
    answer: Callable[[Session, Any], Any] | None = None,
    waits: bool = False,
) -> Method:
    return Method("private", p.Decoder(shape), handle, answer, waits=waits)


def _admin(
    shape: type[p.Params],
    handle: Callable[[Session, Any], Any],
    answer: Callable[[Session, Any], Any] | None = None,
) -> Method:
    return Method("admin", p.Decoder(shape), handle, answer)


def _order_method(side: Side) -> Method:
    method = _private(p.PlaceParams, trading.place(side), trading.order_answer)
    return method._replace(dry_run=trading.dry_run(side))


METHODS: dict[str, Method] = {
    "public/auth": Method("public", p.Decoder(p.AuthParams), _auth, _auth_answer, Reason.ACCOUNT_EXISTS, waits=True),
    "public/subscribe": _public(p.SubscribeParams, _subscribe),
    "public/unsubscribe": _public(p.UnsubscribeParams, _unsubscribe),
    "public/test": _public(p.NoParams, _test),
    "public/set_heartbeat": _public(
        p.HeartbeatParams, lambda session, params: _set_heartbeat(session, params.interval)
    ),
    "public/disable_heartbeat": _public(p.NoParams, lambda session, params: _set_heartbeat(session, None)),
    "public/get_time": _public(p.NoParams, lambda session, params: {"ts_us": session.desk.now_us()}),
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
