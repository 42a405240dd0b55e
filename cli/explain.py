"""`exchange explain`: the history of an order, and the effect of a command."""

from pathlib import Path

import click

from exchange.amounts import contracts, iso_time, usdc
from exchange.cli.options import db_option, json_option
from exchange.cli.output import print_json, sentence_line
from exchange.cli.progress import ReplayBar
from exchange.cli.record_text import fields_text, record_line
from exchange.domain.commands import encode_command
from exchange.domain.reasons import REFUSALS
from exchange.history.event_text import describe
from exchange.history.explain import CommandStory, OrderStory, QueuePosition, explain_command, explain_order
from exchange.history_db.order_text import step_sentence
from exchange.projections.order_timeline import (
    PlacedStep,
    RefusedStep,
    TimelineStep,
    TriggerPlacedStep,
    is_open,
    kind_of,
)


@click.command()
@click.argument("order_id", type=click.IntRange(1), required=False)
@click.option(
    "--seq",
    type=click.IntRange(1),
    help="Explain the command with this sequence number: its effect, or the reason of its refusal.",
)
# Earlier versions replayed the commands of an order unless they were told to trust the recorded events.
@click.option("--fast", is_flag=True, hidden=True, expose_value=False)
@db_option
@json_option
def explain(order_id: int | None, seq: int | None, path: Path, as_json: bool) -> None:
    """Show the history of an order, or the effect of a command.

    Each step of an order has its user and its reason.
    A refused order has no ORDER_ID; find its sequence number (seq) in the client's error or in `exchange journal tail`.
    Both are read from the history, which `exchange journal verify` compares with the commands. The figures behind a
    refusal need a short replay.

    \b
    Examples:
      exchange explain 17
      exchange explain --seq 1234
      exchange explain 17 --json | jq '.steps[].step'
    """
    if (order_id is None) == (seq is None):
        raise click.UsageError("expected either ORDER_ID or --seq")
    story: OrderStory | CommandStory
    with ReplayBar() as bar:
        if order_id is not None:
            story = explain_order(path, order_id, _report, bar)
        else:
            assert seq is not None
            story = explain_command(path, seq, _report, bar)
    if as_json:
        print_json(story)
    elif isinstance(story, OrderStory):
        _print_order(story)
    else:
        _print_command(story)


def _report(sentence: str) -> None:
    click.echo(sentence, err=True)


def _print_order(story: OrderStory) -> None:
    placed = story.steps[0]
    assert isinstance(placed, PlacedStep | TriggerPlacedStep), "the history of an order does not begin with its placing"
    click.echo(f"order {story.order_id} of {placed.user_id} in {placed.instrument_id}\n")
    for step in story.steps:
        click.echo(sentence_line((str(step.seq), -8), (iso_time(step.ts_us), 27), sentence=_sentence(step, placed)))
    if story.queue is not None:
        click.echo(f"\n{_still_open(story.queue)} (at seq {story.seq})")
    elif isinstance(placed, TriggerPlacedStep) and is_open(story.steps):
        click.echo(f"\nstill untriggered (at seq {story.seq})")


def _sentence(step: TimelineStep, placed: PlacedStep | TriggerPlacedStep) -> str:
    sentence = step_sentence(step, placed)
    return f"{sentence}; see --seq {step.seq}" if isinstance(step, RefusedStep) else sentence


def _print_command(story: CommandStory) -> None:
    click.echo(record_line(story.seq, story.ts_us, encode_command(story.command).decode()))
    if story.refused is None:
        click.echo("\nevents:")
        for event in story.events:
            click.echo(sentence_line(("", 0), (kind_of(event), 24), sentence=describe(event)))
        return
    refusal = REFUSALS[story.refused.reason]
    click.echo(f"\nrefused, no effect: {refusal.message} ({refusal.code}, {story.refused.reason})")
    click.echo(f"  {refusal.detail}")
    for name, value in story.refused.figures.items():
        click.echo("  " + fields_text({name: value}))


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
