"""The administrator's methods: how they become commands, and how they are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exchange.domain.commands import (
    CancelUserOrders,
    ChangeRules,
    Command,
    CreateInstrument,
    Deposit,
    PauseInstrument,
    PauseSeries,
    ResumeInstrument,
    ResumeSeries,
    SetHalt,
    SetIndexPrice,
    SetLimits,
    SetSuspended,
    SettleSeries,
    Withdraw,
)
from exchange.domain.reasons import Reason
from exchange.domain.rules import validation_error
from exchange.gateway import params as p
from exchange.gateway.caller import Caller
from exchange.gateway.instrument_ids import canonical_id, canonical_id_or_none
from exchange.gateway.jsonrpc import invalid_params, refused
from exchange.projections.views import Change


def create_instrument(caller: Caller, params: p.NewInstrumentParams) -> Command:
    return CreateInstrument(canonical_id(params.instrument_id, caller.views), params.tick_size, params.min_size)


def instrument_answer(_caller: Caller, change: Change) -> Any:
    return {"instrument": next(iter(change.instruments.values())), "seq": change.seq}


def pause(caller: Caller, params: p.InstrumentsSelector) -> Command:
    if params.instrument_id is not None:
        return PauseInstrument(_one_instrument(caller, params))
    return PauseSeries(params.asset, params.expiration)


def resume(caller: Caller, params: p.InstrumentsSelector) -> Command:
    if params.instrument_id is not None:
        return ResumeInstrument(_one_instrument(caller, params))
    return ResumeSeries(params.asset, params.expiration)


def pause_answer(caller: Caller, change: Change) -> Any:
    return instrument_answer(caller, change) if change.count is None else {"count": change.count, "seq": change.seq}


def deposit(_caller: Caller, params: p.PaymentParams) -> Command:
    return Deposit(params.user_id, params.amount)


def withdraw(_caller: Caller, params: p.PaymentParams) -> Command:
    return Withdraw(params.user_id, params.amount)


def payment_answer(caller: Caller, change: Change) -> Any:
    return caller.views.balance(next(iter(change.balances)))


def get_account(caller: Caller, params: p.UserRef) -> Any:
    if params.user_id not in caller.views.balances.users:
        raise refused(Reason.UNKNOWN_USER)
    return caller.views.account(params.user_id)


def set_index_price(_caller: Caller, params: p.IndexPriceParams) -> Command:
    return SetIndexPrice(params.asset, params.price, params.forced)


def index_answer(_caller: Caller, change: Change) -> Any:
    return change.index


def settle(_caller: Caller, params: p.SettleParams) -> Command:
    return SettleSeries(params.asset, params.expiration, params.price)


def settle_answer(_caller: Caller, change: Change) -> Any:
    (settlement,) = change.settlements
    return settlement


def set_halt(halted: bool) -> Callable[[Caller, p.NoParams], Command]:
    return lambda caller, params: SetHalt(halted)


def halt_answer(halted: bool) -> Callable[[Caller, Change], Any]:
    return lambda caller, change: {"halted": halted, "seq": change.seq}


def set_suspended(suspended: bool) -> Callable[[Caller, p.UserRef], Command]:
    return lambda caller, params: SetSuspended(params.user_id, suspended)


def suspension_answer(caller: Caller, change: Change) -> Any:
    suspended = caller.views.balances.users[change.user_id].suspended
    return {"user_id": change.user_id, "suspended": suspended, "seq": change.seq}


def set_limits(_caller: Caller, params: p.UserLimitsParams) -> Command:
    return SetLimits(params.user_id, params.open_orders_max, params.position_max)


def limits_answer(caller: Caller, change: Change) -> Any:
    """The user's own limits; null where those of the rules hold."""
    funds = caller.views.balances.users[change.user_id]
    return {
        "user_id": change.user_id,
        "open_orders_max": funds.open_orders_max,
        "position_max": funds.position_max_milli,
        "seq": change.seq,
    }


def cancel_user_orders(caller: Caller, params: p.UserInstrumentFilter) -> Command:
    return CancelUserOrders(params.user_id, canonical_id_or_none(params.instrument_id, caller.views))


def set_rules(_caller: Caller, params: p.NewRulesParams) -> Command:
    sentence = validation_error(params.rules)
    if sentence is not None:
        raise invalid_params("rules", sentence, Reason.INVALID_RULES.value)
    return ChangeRules(params.rules)


def rules_answer(caller: Caller, change: Change) -> Any:
    return {"rules": caller.views.rules, "seq": change.seq}


def _one_instrument(caller: Caller, params: p.InstrumentsSelector) -> str:
    assert params.instrument_id is not None
    for name in ("asset", "expiration"):
        if getattr(params, name) is not None:
            raise invalid_params(name, f"either one instrument_id, or all of an asset or an expiration, not {name} too")
    return canonical_id(params.instrument_id, caller.views)
