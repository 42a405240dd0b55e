"""`exchange explain`: why an order became what it is, and why a command was refused."""

from pathlib import Path

import click

from exchange.amounts import contracts, iso_time, usdc
from exchange.cli.options import db_option, json_option
from exchange.cli.output import columns, print_json
from exchange.cli.progress import ReplayBar
from exchange.cli.record_text import fields_text, record_line
from exchange.domain.commands import encode_command
from exchange.domain.reasons import REFUSALS
from exchange.history.event_text import describe
from exchange.history.explain import CommandStory, OrderStory, QueuePosition, explain_command, explain_order
from exchange.projections.order_timeline import (
    CancelledStep,
    EditedStep,
    FilledStep,
    PlacedStep,
    RefusedStep,
    RepeatedStep,
    TimelineStep,
    kind_of,
)


@click.command()
@click.argument("order_id", type=click.IntRange(1), required=False)
@click.option("--seq", type=click.IntRange(1), help="Explain what command SEQ did, or why it was refused.")
@click.option("--fast", is_flag=True, help="Believe the recorded events of ORDER_ID without replaying its commands.")
@db_option
@json_option
def explain(order_id: int | None, seq: int | None, fast: bool, path: Path, as_json: bool) -> None:
    """Tell the life of an order: placed, edited, filled, ended, by whom and why. Or what one command did.

    A refused order has no ORDER_ID: the error that the client got, and `exchange journal tail`, have its seq. What is
    recorded is proven: where the events are not what the commands cause, that is said, with exit code 1.

    \b
    Examples:
      exchange explain 17
      exchange explain --seq 1234
      exchange explain 17 --json | jq '.steps[].step'
    """
    if (order_id is None) == (seq is None):
        raise click.UsageError("name an ORDER_ID, or a command with --seq, one of the two")
    if fast and seq is not None:
        raise click.UsageError("--fast goes with ORDER_ID: what a command did is always worked out")
    story: OrderStory | CommandStory
    with ReplayBar() as bar:
        if order_id is not None:
            story = explain_order(path, order_id, bar, fast)
        else:
            assert seq is not None
            story = explain_command(path, seq, bar)
    if as_json:
        print_json(story)
    elif isinstance(story, OrderStory):
        _print_order(story)
    else:
        _print_command(story)


def _print_order(story: OrderStory) -> None:
    placed = story.steps[0]
    assert isinstance(placed, PlacedStep), "a life that does not begin with its placing"
    click.echo(f"order {story.order_id} of {placed.user_id} in {placed.instrument_id}\n")
    for step in story.steps:
        click.echo(columns((str(step.seq), -8), (iso_time(step.ts_us), 27), (_sentence(step, placed), 0)))
    if story.queue is not None:
        click.echo(f"\n{_still_open(story.queue)} (at seq {story.seq})")


def _print_command(story: CommandStory) -> None:
    click.echo(record_line(story.seq, story.ts_us, encode_command(story.command).decode()))
    if story.refused is None:
        click.echo("\nwhat it caused:")
        for event in story.events:
            click.echo("  " + columns((kind_of(event), 24), (describe(event), 0)))
        return
    refusal = REFUSALS[story.refused.reason]
    click.echo(f"\nrefused, and changed nothing: {refusal.message} ({refusal.code}, {story.refused.reason})")
    click.echo(f"  {refusal.detail}")
    for name, value in story.refused.figures.items():
        click.echo("  " + fields_text({name: value}))


def _sentence(step: TimelineStep, placed: PlacedStep) -> str:
    match step:
        case PlacedStep():
            return _placed(step)
        case EditedStep():
            place = "kept its place in the queue" if step.kept_place else "went to the back of the queue"
            return (
                f"edited by {placed.user_id} to {usdc(step.price_micros)}, {contracts(step.remaining_milli)} to go, "
                f"from {usdc(step.previous_price_micros)}, {contracts(step.previous_remaining_milli)} to go: {place}"
            )
        case FilledStep():
            return _filled(step, placed)
        case RepeatedStep():
            return f"sent again by {placed.user_id} under its client_order_id: nothing changed"
        case RefusedStep():
            what = "an edit" if step.command == "edit_order" else "a cancellation"
            return f"{what} by {placed.user_id} was refused: {_reason(step)}; see --seq {step.seq}"
        case CancelledStep():
            return _cancelled(step, placed)


def _placed(step: PlacedStep) -> str:
    deal = "buy" if step.side == "bid" else "sell"
    price = "at market" if step.price_micros is None else f"at {usdc(step.price_micros)}"
    terms = [f"{deal} {contracts(step.size_milli)} {price}", step.time_in_force]
    terms += ["post-only"] if step.post_only else []
    terms += ["reduce-only"] if step.reduce_only else []
    terms += [f"client_order_id {step.client_order_id}"] if step.client_order_id is not None else []
    whose = f"the exchange for {step.user_id}, to buy back a short" if step.liquidation else step.user_id
    return f"placed by {whose}: {', '.join(terms)}"


def _filled(step: FilledStep, placed: PlacedStep) -> str:
    other = step.counterparty
    assert other is not None, "a fill without a counterparty"
    kind = "liquidation order" if other.liquidation else "market order" if other.type == "market" else "order"
    whose = f"{other.user_id}'s {kind} {other.order_id}"
    edited = ", which was edited" if step.liquidity == "maker" and step.command == "edit_order" else ""
    how = f"by {whose}{edited}" if step.liquidity == "maker" else f"against {whose}"
    fee = f", fee {usdc(step.fee_micros)}" if step.fee_micros else ""
    rest = f"; {contracts(step.remaining_milli)} to go" if step.remaining_milli else ""
    completely = "" if step.remaining_milli else "completely "
    return f"filled {completely}{how}: {contracts(step.size_milli)} at {usdc(step.price_micros)}{fee}{rest}"


def _cancelled(step: CancelledStep, placed: PlacedStep) -> str:
    user_id, rest = placed.user_id, contracts(step.remaining_milli)
    match step.reason:
        case "user_request":
            how = f"by {user_id}, with all others" if step.command == "cancel_all" else f"by {user_id}"
        case "ioc_remainder":
            how = "as ioc: nothing more could be traded at once"
        case "market_remainder":
            how = "as market: the book had nothing more to trade with"
        case "fok_unfilled":
            how = "as fok: not all of it could be filled at once"
        case "self_trade_prevention":
            how = f"by self-trade prevention when {user_id}'s order {step.by_order_id} would have traded with it"
        case "instrument_expired":
            how = f"because {placed.instrument_id} expired"
        case "day_end":
            how = "because the day ended: it was a day order"
        case "cancel_on_disconnect" if step.command == "start_session":
            how = f"because the exchange had crashed and {user_id} has cancel-on-disconnect"
        case "cancel_on_disconnect":
            how = f"because the connection of {user_id} was gone (cancel-on-disconnect)"
        case "insufficient_balance" if step.command in ("end_day", "settle_series", "change_rules"):
            how = f"because {user_id} had not enough cash left for it"
        case "insufficient_balance":
            how = "because the money ran out"
        case "admin":
            how = "by the administrator"
        case "liquidation":
            how = f"because {user_id} was liquidated: the cash was below the maintenance margin"
        case _:
            how = f"({step.reason})"
    return f"cancelled {how}; {rest} was left"


def _reason(step: RefusedStep) -> str:
    return f"{REFUSALS[step.reason].message} ({step.reason})"


def _still_open(queue: QueuePosition) -> str:
    behind = f" behind {_contracts(queue.ahead_milli)}" if queue.ahead_milli else ""
    return (
        f"still open: {contracts(queue.remaining_milli)} of {contracts(queue.size_milli)} remain, "
        f"{_ordinal(queue.place)} in the queue at {usdc(queue.price_micros)}{behind}"
    )


def _contracts(milli: int) -> str:
    return f"{contracts(milli)} {'contract' if milli == 1_000 else 'contracts'}"


def _ordinal(number: int) -> str:
    if 10 < number % 100 < 14:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
