"""Requests about the past: with `at_seq` or `at_ts_us`, a method that reads answers as it did at that moment.

A process of its own answers them from the history (`exchange/past`), with the same handlers and the same texts.
"""

from __future__ import annotations

from functools import partial

import msgspec

from exchange.gateway import params as p
from exchange.gateway.caller import Caller, Inquiry
from exchange.gateway.exchange_port import PastQuestion
from exchange.gateway.jsonrpc import RpcError, invalid_params
from exchange.gateway.methods import Method
from exchange.gateway.other_account import account_asked_for


def is_past(method: Method, params: p.Params) -> bool:
    """True if the history must answer this request."""
    if method.always_past or (isinstance(params, p.RangeParams) and params.needs_history):
        return True
    return isinstance(params, p.ReadParams) and (params.at_seq is not None or params.at_ts_us is not None)


def as_inquiry(name: str, method: Method) -> Method:
    """The method `name` as one that asks the history. Later requests of the connection wait for its answer."""
    return method._replace(handle=partial(_ask, name, method.access == "private"), answer=_answer, waits=True)


def unknown_moment(param: str, detail: str) -> RpcError:
    """The error of a request about a moment that the exchange does not know."""
    return invalid_params(param, detail, "unknown_moment")


def _ask(name: str, is_private: bool, caller: Caller, params: p.ReadParams) -> Inquiry:
    at_seq, at_ts_us = _moment(caller, params)
    user_id = account_asked_for(caller, params) if is_private else caller.user_id
    question = PastQuestion(name, msgspec.Raw(msgspec.json.encode(params)), user_id, at_seq, at_ts_us)
    return Inquiry(partial(caller.exchange.ask_past, question))


def _moment(caller: Caller, params: p.ReadParams) -> tuple[int | None, int | None]:
    """The moment of a question. Raises RpcError if it has not come yet."""
    views, at_seq, at_ts_us = caller.views, params.at_seq, params.at_ts_us
    if at_seq is not None and at_ts_us is not None:
        raise invalid_params("at_seq", "give at_seq or at_ts_us, not both")
    if at_ts_us is None:
        seq = views.seq if at_seq is None else at_seq
        if seq > views.seq:
            raise unknown_moment("at_seq", f"there is no command {seq} yet: the last one is command {views.seq}")
        return seq, None
    # Times of commands rise, so that the last one may be ahead of the clock.
    if at_ts_us > (now_us := max(caller.exchange.now_us(), views.ts_us)):
        raise unknown_moment("at_ts_us", f"{at_ts_us} is in the future: exchange time is {now_us}")
    # No later command can have a time before now, so the last one is known.
    return (views.seq, None) if at_ts_us >= views.ts_us else (None, at_ts_us)


def _answer(_caller: Caller, outcome: msgspec.Raw | RpcError) -> msgspec.Raw:
    if isinstance(outcome, RpcError):
        raise outcome
    return outcome
