"""The administrator's methods: their commands and their results."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import dropwhile, islice

from msgspec import UNSET

from exchange.domain.commands import (
    CancelUserOrders,
    ChangeRules,
    Command,
    CreateInstrument,
    Deposit,
    PauseInstrument,
    PauseSeries,
    ResetAccount,
    ResumeInstrument,
    ResumeSeries,
    SetHalt,
    SetIndexPrice,
    SetLimits,
    SetSuspended,
    SettleSeries,
    Withdraw,
)
from exchange.domain.events import LiquidationStarted, Refused
from exchange.domain.expirations import expirations_error
from exchange.domain.forwards import distance_error
from exchange.domain.instruments import has_decimal_strike
from exchange.domain.reasons import Reason
from exchange.domain.rules import floor_error, validation_error, version_error
from exchange.gateway import params as p
from exchange.gateway import results as r
from exchange.gateway.caller import Caller, Inquiry
from exchange.gateway.instrument_ids import canonical_id, canonical_id_or_none
from exchange.gateway.jsonrpc import invalid_params, read_only_replay, refused
from exchange.projections import wire_types as w
from exchange.projections.fold import Change
from exchange.projections.wire_types import AccountView, Balance, IndexPrice, Settlement


def create_instrument(caller: Caller, params: p.NewInstrumentParams) -> Command:
    instrument_id = canonical_id(params.instrument_id, caller.views)
    is_decimal = True if has_decimal_strike(instrument_id) else UNSET
    return CreateInstrument(instrument_id, params.tick_size, params.min_size, is_decimal)


def instrument_answer(_caller: Caller, change: Change) -> r.InstrumentResult:
    return r.InstrumentResult(next(iter(change.instruments.values())), change.seq)


def pause(caller: Caller, params: p.InstrumentsSelector) -> Command:
    if params.instrument_id is not None:
        return PauseInstrument(_one_instrument(caller, params))
    return PauseSeries(params.asset, params.expiration)


def resume(caller: Caller, params: p.InstrumentsSelector) -> Command:
    if params.instrument_id is not None:
        return ResumeInstrument(_one_instrument(caller, params))
    return ResumeSeries(params.asset, params.expiration)


def pause_answer(_caller: Caller, change: Change) -> r.PauseResult:
    if change.count is not None:
        return r.PauseResult(count=change.count, seq=change.seq)
    return r.PauseResult(instrument=next(iter(change.instruments.values())), seq=change.seq)


def deposit(_caller: Caller, params: p.PaymentParams) -> Command:
    return Deposit(params.user_id, params.amount)


def withdraw(_caller: Caller, params: p.PaymentParams) -> Command:
    return Withdraw(params.user_id, params.amount)


def reset_account(_caller: Caller, params: p.AccountSelector) -> Command:
    return ResetAccount(params.user_id)


def reset_answer(caller: Caller, change: Change) -> Balance:
    return caller.views.balance(change.user_id)


def payment_answer(caller: Caller, change: Change) -> Balance:
    return caller.views.balance(next(iter(change.balances)))


def get_account(caller: Caller, params: p.UserRef) -> AccountView:
    if params.user_id not in caller.views.balances.users:
        raise refused(Reason.UNKNOWN_USER)
    return caller.views.account(params.user_id)


def get_accounts(caller: Caller, params: p.AccountsParams) -> r.AccountsResult:
    views = caller.views
    user_ids: Iterable[str] = views.balances.users
    if params.after is not None:
        if params.after not in views.balances.users:
            raise invalid_params("after", "no account has this user_id", Reason.UNKNOWN_USER.value)
        user_ids = islice(dropwhile(lambda user_id: user_id != params.after, user_ids), 1, None)
    page = islice(user_ids, params.count)
    return r.AccountsResult([views.account_summary(user_id) for user_id in page], views.seq)


def set_index_price(_caller: Caller, params: p.IndexPriceParams) -> Command:
    return SetIndexPrice(params.asset, params.price, params.forced)


def index_answer(_caller: Caller, change: Change) -> IndexPrice:
    assert change.index is not None, "an index command without an index price"
    return change.index


def settle(_caller: Caller, params: p.SettleParams) -> Command:
    return SettleSeries(params.asset, params.expiration, params.price)


def settle_answer(_caller: Caller, change: Change) -> Settlement:
    (settlement,) = change.settlements
    return settlement


def set_halt(halted: bool) -> Callable[[Caller, p.CommandParams], Command]:
    return lambda caller, params: SetHalt(halted)


def halt_answer(halted: bool) -> Callable[[Caller, Change], r.HaltResult]:
    return lambda caller, change: r.HaltResult(halted, change.seq)


def confirm_time(caller: Caller, _params: p.NoParams) -> r.ConfirmedTime:
    """Accept the time of a system clock that jumped. Changes nothing if it did not jump."""
    jump_us = caller.exchange.confirm_time()
    return r.ConfirmedTime(caller.exchange.now_us(), jump_us)


def get_metrics(caller: Caller, _params: p.NoParams) -> Inquiry:
    return Inquiry(caller.exchange.ask_metrics)


def metrics_answer(caller: Caller, metrics: dict[str, float]) -> r.MetricsResult:
    return r.MetricsResult(caller.exchange.now_us(), {**metrics})


def set_suspended(suspended: bool) -> Callable[[Caller, p.SuspensionParams], Command]:
    return lambda caller, params: SetSuspended(params.user_id, suspended)


def suspension_answer(caller: Caller, change: Change) -> r.SuspensionResult:
    suspended = caller.views.balances.users[change.user_id].suspended
    return r.SuspensionResult(change.user_id, suspended, change.seq)


def set_limits(_caller: Caller, params: p.UserLimitsParams) -> Command:
    return SetLimits(params.user_id, params.open_orders_max, params.position_max)


def limits_answer(caller: Caller, change: Change) -> r.UserLimitsResult:
    funds = caller.views.balances.users[change.user_id]
    return r.UserLimitsResult(change.user_id, funds.open_orders_max, funds.position_max_milli, change.seq)


def cancel_user_orders(caller: Caller, params: p.UserInstrumentFilter) -> Command:
    return CancelUserOrders(params.user_id, canonical_id_or_none(params.instrument_id, caller.views))


def set_rules(caller: Caller, params: p.NewRulesParams) -> ChangeRules:
    before = caller.views.rules_version
    after = before if params.rules_version is None else params.rules_version
    if sentence := version_error(before, after):
        raise invalid_params("rules_version", sentence, Reason.INVALID_RULES.value)
    sentence = validation_error(params.rules, after)
    if sentence is None:
        now_us = caller.exchange.now_us()
        sentence = expirations_error(params.rules, after, now_us) or distance_error(params.rules, after, now_us)
    if sentence is not None:
        raise invalid_params("rules", sentence, Reason.INVALID_RULES.value)
    insurance = caller.views.balances.users.get("insurance")
    if sentence := floor_error(caller.views.rules, params.rules, 0 if insurance is None else insurance.cash_micros):
        raise invalid_params("rules", sentence, Reason.INVALID_RULES.value)
    return ChangeRules(params.rules, UNSET if after == before else after)


def dry_run_rules(caller: Caller, params: p.NewRulesParams) -> r.RulesDryRunResult:
    """Carry out the change in a copy of the state. Takes time in proportion to all accounts, orders and positions."""
    command = set_rules(caller, params)
    if caller.exchange.is_read_only:
        raise read_only_replay()
    events = caller.exchange.dry_run_rules(command)
    if isinstance(events[0], Refused):
        raise refused(events[0].reason)
    liquidated = [event.user_id for event in events if isinstance(event, LiquidationStarted)]
    after = caller.views.rules_version if params.rules_version is None else params.rules_version
    return r.RulesDryRunResult(params.rules, after, liquidated, caller.views.seq, True)


def rules_answer(caller: Caller, change: Change) -> w.RulesResult:
    return w.RulesResult(caller.views.rules, change.seq, caller.views.rules_version)


def _one_instrument(caller: Caller, params: p.InstrumentsSelector) -> str:
    assert params.instrument_id is not None
    for name in ("asset", "expiration"):
        if getattr(params, name) is not None:
            raise invalid_params(name, f"instrument_id selects one instrument: leave out {name}, or instrument_id")
    return canonical_id(params.instrument_id, caller.views)
