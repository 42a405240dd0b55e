"""`private/what_if`: the account as it would be in an edited history, which a process of its own replays."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import msgspec

from exchange.gateway import params as p
from exchange.gateway.caller import Caller, Inquiry
from exchange.gateway.exchange_port import WhatIfQuestion
from exchange.gateway.jsonrpc import RpcError, invalid_params
from exchange.gateway.limits import WHAT_IF_CREDITS, WHAT_IF_POINTS_MAX
from exchange.gateway.other_account import account_asked_for


def what_if(caller: Caller, params: p.WhatIfParams) -> Inquiry:
    """Ask the process. The parameters are checked first, as far as the history is not needed."""
    caller.quota.charge(WHAT_IF_CREDITS)
    user_id = account_asked_for(caller, params)
    if not (params.without_orders or params.rules or params.index_paths):
        raise invalid_params("without_orders", "expected a change: without_orders, rules or index_paths")
    last_seq = caller.views.seq if params.to_seq is None else params.to_seq
    if last_seq > caller.views.seq:
        detail = f"there is no command {last_seq} yet: the last one is command {caller.views.seq}"
        raise invalid_params("to_seq", detail, "unknown_moment")
    if params.from_seq is not None and params.from_seq > last_seq:
        raise invalid_params("from_seq", f"from_seq {params.from_seq} is after {last_seq}: give an earlier one")
    if params.from_seq is not None and not params.rules:
        raise invalid_params("from_seq", "from_seq says from where on the rules hold: give rules, or leave it out")
    _check_paths(caller, params)
    question = WhatIfQuestion(user_id, msgspec.Raw(msgspec.json.encode(params)), last_seq)
    return Inquiry(partial(caller.exchange.ask_what_if, question))


def what_if_answer(_caller: Caller, outcome: msgspec.Raw | RpcError) -> msgspec.Raw:
    """The answer of the process, or its error."""
    if isinstance(outcome, RpcError):
        raise outcome
    return outcome


def _check_paths(caller: Caller, params: p.WhatIfParams) -> None:
    if sum(map(len, params.index_paths.values())) > WHAT_IF_POINTS_MAX:
        raise invalid_params("index_paths", f"at most {WHAT_IF_POINTS_MAX} points are possible: give fewer")
    for asset, points in params.index_paths.items():
        if asset not in caller.views.indexes:
            raise invalid_params("index_paths", f"{asset} has no index price", "unknown_asset")
        times = [ts_us for ts_us, _ in points]
        if not times or any(second <= first for first, second in pairwise(times)):
            raise invalid_params("index_paths", f"the times of {asset} must rise, and there must be one at least")
