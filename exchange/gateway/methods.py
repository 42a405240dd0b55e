"""The methods of the protocol: who may call them, what they take, which command they become, how they are answered."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from exchange import __version__
from exchange.domain.commands import (
    CancelAll,
    CancelOrder,
    Command,
    CreateInstrument,
    Deposit,
    EditOrder,
    OpenAccount,
    PauseInstrument,
    PlaceOrder,
    ResumeInstrument,
    SetCancelOnDisconnect,
    Withdraw,
)
from exchange.domain.reasons import Reason
from exchange.domain.units import RESERVED_USERS
from exchange.domain.words import Side
from exchange.gateway import params as p
from exchange.gateway.channels import Channel, canonical, parse_channel
from exchange.gateway.jsonrpc import RpcError, internal_error, invalid_params, must_authenticate, refused
from exchange.projections.life import Step
from exchange.projections.shapes import OrderView, UserTrade
from exchange.projections.views import Change

if TYPE_CHECKING:
    from exchange.gateway.session import Session

Access = Literal["public", "private", "admin"]


class OrderResult(msgspec.Struct, omit_defaults=True):
    """The answer to an order: the order as it is after the command, and what it traded."""

    order: OrderView
    trades: list[UserTrade]
    seq: int
    duplicate: bool = False


class Inquiry(NamedTuple):
    """A question that takes its time: `ask` is given whom to tell what was found."""

    ask: Callable[[Callable[[Any], None]], None]


class Method(NamedTuple):
    """`handle` takes a session and its parameters and returns the result, or what will bring it about: a command or an
    inquiry, of which `answer` then makes the result.

    For a command `answer` is given what it changed, and `undo` takes back what `handle` did to the session
    when it could not be recorded. A refusal for `ignores` is as good as success. One that `waits` is not under way
    together with others of its connection.
    """

    access: Access
    decode: p.Decoder
    handle: Callable[[Session, Any], Any]
    answer: Callable[[Session, Any], Any] | None = None
    ignores: Reason | None = None
    undo: Callable[[Session], None] | None = None
    waits: bool = False


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


def _order_name(params: p.Edit | p.Cancel | p.OneOrder) -> tuple[int | None, str | None]:
    if (params.order_id is None) == (params.client_order_id is None):
        raise invalid_params("order_id", "name the order by order_id or by client_order_id, one of the two")
    return params.order_id, params.client_order_id


def _place(side: Side) -> Callable[[Session, p.Place], Command]:
    def place(session: Session, params: p.Place) -> Command:
        is_market = params.type == "market"
        if is_market and params.price is not None:
            raise invalid_params("price", "a market order has no price; leave it out, or send a limit order")
        if not is_market and params.price is None:
            raise invalid_params("price", "a limit order needs a price, in micros of USDC", "missing_param")
        time_in_force = p.TIMES_IN_FORCE[params.time_in_force or ("ioc" if is_market else "gtc")]
        if is_market and time_in_force not in ("ioc", "fok"):
            raise invalid_params("time_in_force", "a market order is ioc or fok: it never rests")
        if params.post_only and time_in_force in ("ioc", "fok"):
            raise invalid_params("post_only", "a post-only order must be able to rest: send a limit order, gtc or day")
        return PlaceOrder(
            session.user_id,
            canonical(params.instrument_id, session.views),
            side,
            params.type,
            time_in_force,
            params.price,
            params.amount,
            params.post_only,
            params.client_order_id,
        )

    return place


def _edit(session: Session, params: p.Edit) -> Command:
    if params.amount is None and params.price is None:
        raise invalid_params("amount", "give a new amount, a new price, or both", "missing_param")
    return EditOrder(session.user_id, *_order_name(params), params.price, params.amount)


def _cancel(session: Session, params: p.Cancel) -> Command:
    return CancelOrder(session.user_id, *_order_name(params), _canonical_or_none(session, params.instrument_id))


def _cancel_all(session: Session, params: p.InInstrument) -> Command:
    return CancelAll(session.user_id, _canonical_or_none(session, params.instrument_id))


def _order_answer(session: Session, change: Change) -> Any:
    order = change.order
    assert order is not None, "an order command without an order"
    if change.duplicate:
        return OrderResult(order, session.views.tape.trades_of_order(session.user_id, order.order_id), change.seq, True)
    trades = [
        trade for owner, trade in change.user_trades if owner == session.user_id and trade.order_id == order.order_id
    ]
    return OrderResult(order, trades, change.seq)


def _cancel_answer(_session: Session, change: Change) -> Any:
    return {"order": change.order, "seq": change.seq}


def _cancel_all_answer(_session: Session, change: Change) -> Any:
    order_ids = list(change.orders)
    return {"cancelled": len(order_ids), "order_ids": order_ids, "seq": change.seq}


def _explain_order(session: Session, params: p.OneOrder) -> Any:
    order_id, client_order_id = _order_name(params)
    if client_order_id is not None:
        order = session.views.orders.newest_named(session.user_id, client_order_id)
        order_id = None if order is None else order.order_id
    if order_id is None:
        raise refused(Reason.ORDER_NOT_FOUND)
    return Inquiry(partial(session.desk.explain, session.user_id, order_id))


def _explain_answer(_session: Session, steps: list[Step] | None) -> Any:
    if steps is None:
        raise internal_error()
    if not steps:
        raise refused(Reason.ORDER_NOT_FOUND)
    return {"steps": steps}


def _open_orders(session: Session, params: p.InInstrument) -> Any:
    return session.views.orders.open_orders(session.user_id, _listed_or_none(session, params.instrument_id))


def _order_history(session: Session, params: p.History) -> Any:
    instrument_id = _listed_or_none(session, params.instrument_id)
    return session.views.orders.history(session.user_id, params.count, params.before, instrument_id)


def _user_trades(session: Session, params: p.History) -> Any:
    instrument_id = _listed_or_none(session, params.instrument_id)
    return session.views.tape.user_trades(session.user_id, params.count, params.before, instrument_id)


def _order_book(session: Session, params: p.OrderBook) -> Any:
    instrument_id, views = _listed(session, params.instrument_id), session.views
    depth = views.depths[instrument_id]
    return {
        "instrument_id": instrument_id,
        "seq": views.seq,
        "ts_us": views.ts_us,
        "bids": depth.bids(params.depth),
        "asks": depth.asks(params.depth),
    }


def _trades(session: Session, params: p.Trades) -> Any:
    return session.views.tape.trades(_listed(session, params.instrument_id), params.count, params.before)


def _instruments(session: Session, params: p.OfAsset) -> Any:
    return session.views.live_instruments(params.asset)


def _create_instrument(session: Session, params: p.NewInstrument) -> Command:
    return CreateInstrument(canonical(params.instrument_id, session.views), params.tick_size, params.min_size)


def _instrument_answer(_session: Session, change: Change) -> Any:
    return {"instrument": change.instrument, "seq": change.seq}


def _payment_answer(session: Session, change: Change) -> Any:
    return session.views.balance(change.balances[0])


def _listed(session: Session, instrument_id: str) -> str:
    """The canonical id of a listed instrument, expired ones included; RpcError 1004."""
    instrument_id = canonical(instrument_id, session.views)
    if instrument_id not in session.views.instruments:
        raise refused(Reason.INSTRUMENT_NOT_FOUND)
    return instrument_id


def _listed_or_none(session: Session, instrument_id: str | None) -> str | None:
    return None if instrument_id is None else _listed(session, instrument_id)


def _canonical_or_none(session: Session, instrument_id: str | None) -> str | None:
    return None if instrument_id is None else canonical(instrument_id, session.views)


METHODS: dict[str, Method] = {
    "public/auth": Method("public", p.Decoder(p.Auth), _auth, _auth_answer, Reason.ACCOUNT_EXISTS, waits=True),
    "public/subscribe": Method("public", p.Decoder(p.Subscribe), _subscribe),
    "public/unsubscribe": Method("public", p.Decoder(p.Unsubscribe), _unsubscribe),
    "public/test": Method("public", p.Decoder(p.Nothing), _test),
    "public/set_heartbeat": Method(
        "public", p.Decoder(p.Beat), lambda session, params: _set_heartbeat(session, params.interval)
    ),
    "public/disable_heartbeat": Method(
        "public", p.Decoder(p.Nothing), lambda session, params: _set_heartbeat(session, None)
    ),
    "public/get_time": Method("public", p.Decoder(p.Nothing), lambda session, params: {"ts_us": session.desk.now_us()}),
    "public/get_instruments": Method("public", p.Decoder(p.OfAsset), _instruments),
    "public/get_order_book": Method("public", p.Decoder(p.OrderBook), _order_book),
    "public/get_trades": Method("public", p.Decoder(p.Trades), _trades),
    "private/buy": Method("private", p.Decoder(p.Place), _place("bid"), _order_answer),
    "private/sell": Method("private", p.Decoder(p.Place), _place("ask"), _order_answer),
    "private/edit": Method("private", p.Decoder(p.Edit), _edit, _order_answer),
    "private/cancel": Method("private", p.Decoder(p.Cancel), _cancel, _cancel_answer),
    "private/cancel_all": Method("private", p.Decoder(p.InInstrument), _cancel_all, _cancel_all_answer),
    "private/explain_order": Method("private", p.Decoder(p.OneOrder), _explain_order, _explain_answer, waits=True),
    "private/get_open_orders": Method("private", p.Decoder(p.InInstrument), _open_orders),
    "private/get_order_history": Method("private", p.Decoder(p.History), _order_history),
    "private/get_user_trades": Method("private", p.Decoder(p.History), _user_trades),
    "private/get_balance": Method(
        "private", p.Decoder(p.Nothing), lambda session, params: session.views.balance(session.user_id)
    ),
    "private/get_account": Method(
        "private", p.Decoder(p.Nothing), lambda session, params: session.views.account(session.user_id)
    ),
    "private/enable_cancel_on_disconnect": _cancel_on_disconnect_method(True),
    "private/disable_cancel_on_disconnect": _cancel_on_disconnect_method(False),
    "admin/create_instrument": Method("admin", p.Decoder(p.NewInstrument), _create_instrument, _instrument_answer),
    "admin/pause": Method(
        "admin",
        p.Decoder(p.OneInstrument),
        lambda session, params: PauseInstrument(canonical(params.instrument_id, session.views)),
        _instrument_answer,
    ),
    "admin/resume": Method(
        "admin",
        p.Decoder(p.OneInstrument),
        lambda session, params: ResumeInstrument(canonical(params.instrument_id, session.views)),
        _instrument_answer,
    ),
    "admin/deposit": Method(
        "admin",
        p.Decoder(p.Payment),
        lambda session, params: Deposit(params.user_id, params.amount),
        _payment_answer,
    ),
    "admin/withdraw": Method(
        "admin",
        p.Decoder(p.Payment),
        lambda session, params: Withdraw(params.user_id, params.amount),
        _payment_answer,
    ),
}
