"""The methods of the protocol: who may call them, what they take, which command they become, how they are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from exchange import __version__
from exchange.domain.commands import Command, OpenAccount, SetCancelOnDisconnect
from exchange.domain.reasons import Reason
from exchange.domain.units import RESERVED_USERS
from exchange.domain.words import Side
from exchange.gateway import administration, reading, trading
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
    rehearse: Callable[[Session, Any], Any] | None = None


def _auth(session: Session, params: p.Auth) -> Any:
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
        return session.enter(user_id)
    return OpenAccount(user_id, 0 if user_id == "admin" else session.desk.rules.starting_cash_micros)


def _auth_answer(session: Session, change: Change) -> Any:
    return session.enter(change.user_id)


def _invalid_credentials(detail: str) -> RpcError:
    return RpcError(1020, "Invalid credentials", "invalid_credentials", detail)


def _subscribe(session: Session, params: p.Subscribe) -> Any:
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


def _unsubscribe(session: Session, params: p.Unsubscribe) -> Any:
    return session.unsubscribe(_channels(session, params))


def _channels(session: Session, params: p.Subscribe | p.Unsubscribe) -> list[Channel]:
    channels = [parse_channel(name, session.views) for name in params.channels]
    if not session.user_id and any(channel.is_private for channel in channels):
        raise must_authenticate()
    return channels


def _test(session: Session, _params: p.Nothing) -> Any:
    session.prove_alive()
    return {"version": __version__}


def _set_heartbeat(session: Session, interval_seconds: int | None) -> Any:
    session.set_heartbeat(interval_seconds)
    return "ok"


def _cancel_on_disconnect_method(enabled: bool) -> Method:
    def set_cancel_on_disconnect(session: Session, _params: p.Nothing) -> Command:
        still_enabled = session.set_cancel_on_disconnect(enabled)
        return SetCancelOnDisconnect(session.user_id, still_enabled)

    return Method(
        "private",
        p.Decoder(p.Nothing),
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
    method = _private(p.Place, trading.place(side), trading.order_answer)
    return method._replace(rehearse=trading.rehearse(side))


METHODS: dict[str, Method] = {
    "public/auth": Method("public", p.Decoder(p.Auth), _auth, _auth_answer, Reason.ACCOUNT_EXISTS, waits=True),
    "public/subscribe": _public(p.Subscribe, _subscribe),
    "public/unsubscribe": _public(p.Unsubscribe, _unsubscribe),
    "public/test": _public(p.Nothing, _test),
    "public/set_heartbeat": _public(p.Beat, lambda session, params: _set_heartbeat(session, params.interval)),
    "public/disable_heartbeat": _public(p.Nothing, lambda session, params: _set_heartbeat(session, None)),
    "public/get_time": _public(p.Nothing, lambda session, params: {"ts_us": session.desk.now_us()}),
    "public/get_status": _public(p.Nothing, reading.status),
    "public/get_instruments": _public(p.OfAsset, reading.instruments),
    "public/get_order_book": _public(p.OrderBook, reading.order_book),
    "public/get_trades": _public(p.Trades, reading.trades),
    "public/get_ticker": _public(p.OneInstrument, reading.ticker),
    "public/get_tickers": _public(p.OfAsset, reading.tickers),
    "public/get_index_price": _public(p.OneAsset, reading.index_price),
    "public/get_settlements": _public(p.Settlements, reading.settlements),
    "public/get_delivery_prices": _public(p.DeliveryPrices, reading.delivery_prices),
    "public/get_insurance": _public(p.Nothing, reading.insurance),
    "public/get_rules": _public(p.Nothing, reading.rules),
    "private/buy": _order_method("bid"),
    "private/sell": _order_method("ask"),
    "private/edit": _private(p.Edit, trading.edit, trading.order_answer),
    "private/cancel": _private(p.Cancel, trading.cancel, trading.cancel_answer),
    "private/cancel_all": _private(p.InInstrument, trading.cancel_all, trading.cancel_all_answer),
    "private/close_position": _private(p.Close, trading.close_position, trading.order_answer, waits=True),
    "private/get_margin": _private(p.Margin, trading.get_margin),
    "private/explain_order": _private(p.OneOrder, trading.explain_order, trading.explain_answer, waits=True),
    "private/get_open_orders": _private(p.InInstrument, reading.open_orders),
    "private/get_order_history": _private(p.History, reading.order_history),
    "private/get_user_trades": _private(p.History, reading.user_trades),
    "private/get_settlements": _private(p.UserSettlements, reading.user_settlements),
    "private/get_balance": _private(p.Nothing, reading.balance),
    "private/get_account": _private(p.Nothing, reading.account),
    "private/enable_cancel_on_disconnect": _cancel_on_disconnect_method(True),
    "private/disable_cancel_on_disconnect": _cancel_on_disconnect_method(False),
    "admin/create_instrument": _admin(
        p.NewInstrument, administration.create_instrument, administration.instrument_answer
    ),
    "admin/pause": _admin(p.Instruments, administration.pause, administration.pause_answer),
    "admin/resume": _admin(p.Instruments, administration.resume, administration.pause_answer),
    "admin/halt": _admin(p.Nothing, administration.set_halt(True), administration.halt_answer(True)),
    "admin/end_halt": _admin(p.Nothing, administration.set_halt(False), administration.halt_answer(False)),
    "admin/set_index_price": _admin(p.IndexPrice, administration.set_index_price, administration.index_answer),
    "admin/settle": _admin(p.SettlePrice, administration.settle, administration.settle_answer),
    "admin/set_rules": _admin(p.NewRules, administration.set_rules, administration.rules_answer),
    "admin/deposit": _admin(p.Payment, administration.deposit, administration.payment_answer),
    "admin/withdraw": _admin(p.Payment, administration.withdraw, administration.payment_answer),
    "admin/suspend": _admin(p.OneUser, administration.set_suspended(True), administration.suspension_answer),
    "admin/reinstate": _admin(p.OneUser, administration.set_suspended(False), administration.suspension_answer),
    "admin/set_limits": _admin(p.UserLimits, administration.set_limits, administration.limits_answer),
    "admin/cancel_all": _admin(p.UserInInstrument, administration.cancel_user_orders, trading.cancel_all_answer),
    "admin/get_account": _admin(p.OneUser, administration.get_account),
}
