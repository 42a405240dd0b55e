"""The steps in the life of an order as sentences for people."""

from exchange.amounts import contracts, usdc
from exchange.domain.reasons import REFUSALS
from exchange.history_db.trigger_text import link_text, linked_cause, step_text
from exchange.projections.order_timeline import (
    CancelledStep,
    EditedStep,
    FilledStep,
    PlacedStep,
    RefusedStep,
    RepeatedStep,
    TimelineStep,
    TriggerActivatedStep,
    TriggerEditedStep,
    TriggerEndedStep,
    TriggerPlacedStep,
)


def step_sentence(step: TimelineStep, placed: PlacedStep | TriggerPlacedStep) -> str:
    """Describe a step in the life of an order, whose first step is `placed`.

    A fill names its counterparty if the step has one.
    """
    match step:
        case TriggerPlacedStep() | TriggerActivatedStep() | TriggerEditedStep() | TriggerEndedStep():
            return step_text(step, placed.user_id)
        case PlacedStep():
            return _placed(step)
        case EditedStep(cause="linked_order"):
            before = contracts(step.previous_remaining_milli)
            return f"made smaller by a fill of its linked order, to {contracts(step.remaining_milli)}, before {before}"
        case EditedStep(cause="reduce_only"):
            before = contracts(step.previous_remaining_milli)
            return f"shrunk with the position to {contracts(step.remaining_milli)}, before {before}"
        case EditedStep():
            place = "kept its place in the queue" if step.kept_place else "moved to the back of the queue"
            return (
                f"edited by {placed.user_id} to {contracts(step.remaining_milli)} at {usdc(step.price_micros)}"
                f"{_requested(step)}, before {contracts(step.previous_remaining_milli)} "
                f"at {usdc(step.previous_price_micros)}: {place}"
            )
        case FilledStep():
            return _filled(step, placed)
        case RepeatedStep():
            return f"sent again by {placed.user_id} under its client_order_id: nothing changed"
        case RefusedStep():
            what = "an edit" if step.command == "edit_order" else "a cancellation"
            return f"{what} by {placed.user_id} was refused: {_reason(step)}"
        case CancelledStep():
            return _cancelled(step, placed)


def _requested(step: PlacedStep | EditedStep) -> str:
    """The price that the user sent, if a post-only order got another one."""
    return "" if step.requested_price_micros is None else f" (sent at {usdc(step.requested_price_micros)})"


def _placed(step: PlacedStep) -> str:
    deal = "buy" if step.side == "bid" else "sell"
    price = "at market" if step.price_micros is None else f"at {usdc(step.price_micros)}"
    terms = [f"{deal} {contracts(step.size_milli)} {price}", step.time_in_force]
    terms += [f"post-only{_requested(step)}"] if step.post_only else []
    terms += ["reduce-only"] if step.reduce_only else []
    terms += [f"showing {contracts(step.display_milli)}"] if step.display_milli is not None else []
    terms += [f"client_order_id {step.client_order_id}"] if step.client_order_id is not None else []
    terms += [f"label {step.label}"] if step.label is not None else []
    whose = step.user_id
    if step.trigger_order_id is not None:
        whose = f"trigger order {step.trigger_order_id} of {step.user_id}"
    if step.liquidation:
        position = "short" if step.side == "bid" else "long"
        whose = f"the exchange for {step.user_id}, to liquidate a {position} position"
    return f"placed by {whose}: {', '.join(terms)}{link_text(step)}"


def _filled(step: FilledStep, placed: PlacedStep | TriggerPlacedStep) -> str:
    whose = _counterparty(step)
    edited = ", which was edited" if step.liquidity == "maker" and step.command == "edit_order" else ""
    how = f"by {whose}{edited}" if step.liquidity == "maker" else f"against {whose}"
    fee = f", fee {usdc(step.fee_micros)}" if step.fee_micros else ""
    rest = f"; {contracts(step.remaining_milli)} remain" if step.remaining_milli else ""
    shows = f", {contracts(step.refilled_milli)} shown again at the back of the queue" if step.refilled_milli else ""
    completely = "" if step.remaining_milli else "completely "
    return f"filled {completely}{how}: {contracts(step.size_milli)} at {usdc(step.price_micros)}{fee}{rest}{shows}"


def _counterparty(step: FilledStep) -> str:
    other = step.counterparty
    if other is None:
        return "an order of another user"
    kind = "liquidation order" if other.liquidation else "market order" if other.type == "market" else "order"
    return f"{other.user_id}'s {kind} {other.order_id}"


def _cancelled(step: CancelledStep, placed: PlacedStep | TriggerPlacedStep) -> str:
    user_id, rest = placed.user_id, contracts(step.remaining_milli)
    match step.reason:
        case "user_request":
            how = f"by {user_id}, with all other orders" if step.command == "cancel_all" else f"by {user_id}"
        case "ioc_remainder":
            how = "because an ioc order cancels the rest that cannot trade at once"
        case "market_remainder":
            how = "because the book had no more orders for a market order"
        case "fok_unfilled":
            how = "because a fok order must fill completely at once"
        case "self_trade_prevention":
            how = f"by self-trade prevention when {user_id}'s order {step.by_order_id} would have traded with it"
        case "instrument_expired":
            how = f"because {placed.instrument_id} expired"
        case "day_end":
            how = "because the day ended: it was a day order"
        case "cancel_on_disconnect" if step.command == "start_session":
            how = f"because the exchange had crashed and {user_id} has cancel-on-disconnect"
        case "cancel_on_disconnect":
            how = f"because {user_id} disconnected (cancel-on-disconnect)"
        case "insufficient_balance" if step.command in ("end_day", "settle_series", "change_rules"):
            how = f"because {user_id} had too little cash left for it"
        case "insufficient_balance":
            how = "because the cash was used up"
        case "admin":
            how = "by the administrator"
        case "nothing_to_reduce":
            how = "because no position was left for this reduce-only order"
        case "linked_order":
            how = linked_cause(step)
        case "liquidation":
            how = f"because {user_id} was liquidated: the cash was below the maintenance margin"
        case "mmp_trigger":
            how = "because fills reached a limit of its MMP group"
        case "mmp_removed":
            how = f"because {user_id} removed its MMP group"
        case _:
            how = f"({step.reason})"
    return f"cancelled {how}; {rest} remained"


def _reason(step: RefusedStep) -> str:
    return f"{REFUSALS[step.reason].message} ({step.reason})"
