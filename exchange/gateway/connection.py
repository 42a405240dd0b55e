"""The methods that act on the caller's connection: subscriptions, heartbeats, cancel-on-disconnect."""

from __future__ import annotations

from msgspec import UNSET

from exchange import __version__
from exchange.domain.commands import Command, SetCancelOnDisconnect
from exchange.domain.enums import CancelScope
from exchange.gateway import params as p
from exchange.gateway import results as r
from exchange.gateway.caller import Caller
from exchange.gateway.channels import Channel, parse_channel
from exchange.gateway.jsonrpc import invalid_params, must_authenticate
from exchange.projections.fold import Change


def subscribe(caller: Caller, params: p.SubscribeParams) -> list[str] | r.SubscribeResult:
    """Subscribe to channels. With `from_seq`, streams catch up from that command before they go live."""
    channels = _channels(caller, params)
    if params.from_seq is None:
        return caller.connection.subscribe(channels)
    first_seq, next_seq = caller.exchange.first_seq, caller.connection.next_seq
    if params.from_seq > next_seq:
        detail = f"the next command is {next_seq}: use that seq or an earlier one"
        raise invalid_params("from_seq", detail, "from_seq_ahead", next_seq=next_seq)
    if params.from_seq < first_seq:
        detail = (
            f"commands before {first_seq} are in a missing archive: use that seq or a later one, or restore the archive"
        )
        raise invalid_params("from_seq", detail, "from_seq_archived", first_seq=first_seq)
    return r.SubscribeResult(caller.connection.subscribe(channels, params.from_seq), next_seq)


def unsubscribe(caller: Caller, params: p.UnsubscribeParams) -> list[str]:
    return caller.connection.unsubscribe(_channels(caller, params))


def test(caller: Caller, _params: p.NoParams) -> r.VersionResult:
    """Answer `public/test`, which also answers a heartbeat's test request."""
    caller.connection.on_test_reply()
    return r.VersionResult(__version__)


def set_heartbeat(caller: Caller, params: p.HeartbeatParams) -> r.Ok:
    caller.connection.set_heartbeat(params.interval)
    return "ok"


def disable_heartbeat(caller: Caller, _params: p.NoParams) -> r.Ok:
    caller.connection.set_heartbeat(None)
    return "ok"


def enable_cancel_on_disconnect(caller: Caller, params: p.CancelOnDisconnectParams) -> Command:
    return _switch_cancel_on_disconnect(caller, params.scope)


def disable_cancel_on_disconnect(caller: Caller, _params: p.CommandParams) -> Command:
    return _switch_cancel_on_disconnect(caller, None)


def _switch_cancel_on_disconnect(caller: Caller, scope: CancelScope | None) -> Command:
    """Switch it for the caller's connection; None: off. The command says which orders depend on the connection."""
    before = caller.connection.order_mark
    is_enabled_for_user = caller.connection.set_cancel_on_disconnect(scope)
    now = caller.connection.order_mark
    return SetCancelOnDisconnect(caller.user_id, is_enabled_for_user, now, before if now is UNSET else UNSET)


def cancel_on_disconnect_answer(_caller: Caller, change: Change) -> r.SeqResult:
    return r.SeqResult(change.seq)


def undo_cancel_on_disconnect(caller: Caller) -> None:
    caller.connection.undo_cancel_on_disconnect()


def _channels(caller: Caller, params: p.SubscribeParams | p.UnsubscribeParams) -> list[Channel]:
    channels = [parse_channel(name, caller.views) for name in params.channels]
    if not caller.user_id and any(channel.is_private for channel in channels):
        raise must_authenticate()
    return channels
