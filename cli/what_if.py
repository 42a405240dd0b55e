"""`exchange what-if`: replay an edited history and compare it with the real one."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from exchange.amounts import cash, contracts, price_decimals, usdc
from exchange.cli.current_views import read_views
from exchange.cli.names import nearest_users
from exchange.cli.options import MOMENT, USER, Parsed, db_option, json_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.cli.progress import ReplayBar
from exchange.cli.record_text import record_line
from exchange.domain.commands import encode_command
from exchange.domain.events import (
    BalanceChanged,
    DebtRepaid,
    Event,
    InstrumentCreated,
    InstrumentStateChanged,
    LiquidationStarted,
    MarginsChanged,
    MarksSet,
    OrderAccepted,
    OrderCancelled,
    OrderEdited,
    OrderRepeated,
    PositionChanged,
    Refused,
    RulesChanged,
    ShortfallCovered,
    Traded,
)
from exchange.domain.reasons import REFUSALS
from exchange.history.comparison import Comparison, OutcomeChange, Pair, UserChange
from exchange.history.edits import EditError, Edits, Insertion, read_insertions
from exchange.history.event_text import describe
from exchange.history.moment import Moment
from exchange.history.what_if import what_if as compare
from exchange.runtime.rule_settings import RulesError

# Limits of the text output; --json has all commands and events.
_COMMANDS_SHOWN_MAX = 20
_EVENTS_SHOWN_MAX = 12
# Events whose figures shift with every earlier difference, so that they are not compared.
_NOT_COMPARED = (
    BalanceChanged,
    DebtRepaid,
    LiquidationStarted,
    MarginsChanged,
    MarksSet,
    PositionChanged,
    RulesChanged,
    ShortfallCovered,
)
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")


def _seqs(text: str) -> tuple[int, int]:
    """`100` or `100-120`, both ends included."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a sequence number or a range; expected 100 or 100-120")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last:
        raise ValueError(f"{text!r} is not a range; expected FIRST-LAST with 1 <= FIRST <= LAST")
    return first, last


@click.command("what-if")
@click.option(
    "--drop",
    "drops",
    type=Parsed("seq or range", _seqs),
    multiple=True,
    help="Leave out this command, or all commands in a range such as 100-120. Repeatable.",
)
@click.option(
    "--without",
    type=USER,
    multiple=True,
    help="Leave out all commands of this user, including the opening of the account. Repeatable.",
)
@click.option(
    "--insert",
    "inserts",
    type=(click.IntRange(1), click.Path(path_type=Path)),
    metavar="SEQ FILE",
    multiple=True,
    help="Carry out the commands in FILE (one JSON object per line) right after command SEQ. Repeatable.",
)
@click.option(
    "--set",
    "rules",
    metavar="NAME=VALUE",
    multiple=True,
    help="Use this value of a rule for the whole history. Repeatable.",
)
@click.option(
    "--to",
    "moment",
    type=MOMENT,
    metavar="SEQ|TIME",
    help="Compare up to here: sequence number or time (docs/operations.md, Times).  [default: now]",
)
@db_option
@json_option
def what_if(
    drops: tuple[tuple[int, int], ...],
    without: tuple[str, ...],
    inserts: tuple[tuple[int, Path], ...],
    rules: tuple[str, ...],
    moment: Moment | None,
    path: Path,
    as_json: bool,
) -> None:
    """Replay the history with changes and show the differences.

    The journal is not changed. Options can be combined. Commands keep their times. A command that refers to an order
    refers to the same order in the edited history, even if its id differs. The lines of FILE have the form that
    `exchange journal tail --json` prints under .command.

    \b
    Examples:
      exchange what-if --drop 1234
      exchange what-if --without bob --to 2026-02-20T12:00:00Z
      exchange what-if --insert 1234 commands.jsonl
      exchange what-if --set fees=100/200 --set self_trade_prevention=off
    """
    if not (drops or without or inserts or rules):
        raise click.UsageError("expected at least one change: --drop, --without, --insert or --set")
    if without:
        _require_users(without, path)
    try:
        inserted: dict[int, list[Insertion]] = {}
        for seq, file in inserts:
            inserted.setdefault(seq, []).extend(read_insertions(file))
        with ReplayBar() as bar:
            found = compare(path, Edits(drops, without, inserted, rules), moment or Moment(), bar)
    except (EditError, RulesError) as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        print_json(found)
    else:
        _print(found)


def _require_users(user_ids: tuple[str, ...], path: Path) -> None:
    """Refuse an unknown user before the replay."""
    known = read_views(path).balances.users
    for user_id in user_ids:
        if user_id not in known:
            raise click.UsageError(f"--without {user_id}: there is no such account{nearest_users(user_id, known)}")


def _print(found: Comparison) -> None:
    click.echo(
        f"replayed seq {found.fork_seq + 1} to {found.last_seq} twice: {_commands(found.dropped)} dropped, "
        f"{_commands(len(found.inserted))} inserted"
    )
    for insertion in found.inserted:
        click.echo(f"  {insertion.where}: {_line(_outcome(insertion.edited))}")
    if found.is_same:
        click.echo("no other command has another outcome, and all accounts end the same")
        return
    click.echo(f"{_commands(found.changed)} with another outcome")
    if found.first_change is not None:
        click.echo("\nfirst difference:")
        _print_change(found.first_change)
    _print_all("accepted in the real history, refused in the edited one:", found.impossible)
    _print_all("refused in the real history, accepted in the edited one:", found.possible)
    _print_users(found)


def _print_change(change: OutcomeChange) -> None:
    click.echo(record_line(change.seq, change.ts_us, encode_command(change.command).decode()))
    real, edited = _outcome(change.real), _outcome(change.edited)
    same = 0
    if max(len(real), len(edited)) > _EVENTS_SHOWN_MAX:
        same = next((n for n, pair in enumerate(zip(real, edited, strict=False)) if pair[0] != pair[1]), 0)
    click.echo(f"    real    {_line(real, same)}")
    click.echo(f"    edited  {_line(edited, same)}")
    if real == edited:
        fields = list(_differing_fields(change.real, change.edited))
        for field in fields[:_EVENTS_SHOWN_MAX]:
            click.echo(f"    differs {field}")
        if len(fields) > _EVENTS_SHOWN_MAX or not fields:
            click.echo("    the difference is in events that are not shown here: --json prints all of them")


def _differing_fields(real: list[Event], edited: list[Event]) -> Iterator[str]:
    """The fields that differ between events of the same words, such as `remaining 1, edited 0.5`.

    Ids differ as a matter of course, and balances, margins, positions and marks are not compared.
    """
    for one, other in zip(_compared(real), _compared(edited), strict=False):
        if type(one) is not type(other):
            return
        for name in one.__struct_fields__:
            before, after = getattr(one, name), getattr(other, name)
            if before != after and not name.endswith("order_id") and name != "trade_id":
                yield f"{_label(one)}{_figure(name, before)}, edited {_figure(name, after, named=False)}"


def _compared(events: list[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, _NOT_COMPARED)]


def _label(event: Event) -> str:
    order_id = getattr(event, "order_id", None)
    return f"order {order_id}: " if order_id is not None else f"{event.__struct_config__.tag}: "


def _figure(name: str, value: object, named: bool = True) -> str:
    """A field in the units of the other output, with or without its name."""
    shown = str(value)
    if isinstance(value, int) and name.endswith("_micros"):
        name, shown = name.removesuffix("_micros"), usdc(value)
    elif isinstance(value, int) and name.endswith("_milli"):
        name, shown = name.removesuffix("_milli"), contracts(value)
    return f"{name.replace('_', ' ')} {shown}" if named else shown


def _print_all(title: str, changes: list[OutcomeChange]) -> None:
    if changes:
        click.echo(f"\n{title}")
    for change in changes[:_COMMANDS_SHOWN_MAX]:
        _print_change(change)
    if len(changes) > _COMMANDS_SHOWN_MAX:
        click.echo(f"    and {len(changes) - _COMMANDS_SHOWN_MAX} more: --json prints all of them")


def _print_users(found: Comparison) -> None:
    if not found.users:
        click.echo("\nall accounts end with the same cash and the same positions")
        return
    click.echo()
    amounts = [
        found.total_cash_micros,
        *(pair for user in found.users for pair in (user.cash_micros, user.total_pnl_micros)),
    ]
    decimals = _decimals(amounts)
    rows = [
        (user.user_id, _cash(user.cash_micros, decimals), _cash(user.total_pnl_micros, decimals), _counts(user.fills))
        for user in found.users
    ]
    _print_pairs(("cash", "profit", "fills"), [*rows, ("total", _cash(found.total_cash_micros, decimals))])
    if any(user.positions_milli for user in found.users):
        click.echo()
        positions = table("user", "position", *_pair_columns("contracts"))
        add_rows(
            positions,
            (
                (user.user_id, instrument_id, *_contracts(held))
                for user in found.users
                for instrument_id, held in user.positions_milli.items()
            ),
        )
        print_tables(positions)
    _print_settlements(
        [user for user in found.users if user.settled_micros.difference or user.shortfall_micros.difference]
    )


def _print_settlements(users: list[UserChange]) -> None:
    if users:
        click.echo()
        decimals = _decimals(pair for user in users for pair in (user.settled_micros, user.shortfall_micros))
        rows = [
            (user.user_id, _cash(user.settled_micros, decimals), _cash(user.shortfall_micros, decimals))
            for user in users
        ]
        _print_pairs(("settled", "shortfall"), rows)


def _print_pairs(names: Sequence[str], rows: Iterable[tuple[str, *tuple[tuple[str, str, str], ...]]]) -> None:
    """Print pairs of each user next to each other. On a narrow terminal each pair has a row of its own."""
    wide = table("user", *(column for name in names for column in _pair_columns(name)))
    tall = table("user", "", ">real", ">edited", ">difference")
    for user_id, *pairs in rows:
        add_rows(wide, [(user_id, *(cell for pair in pairs for cell in pair))])
        add_rows(tall, ((user_id, name, *pair) for name, pair in zip(names, pairs, strict=False)))
    print_tables(wide if wide.fits() else tall)


def _outcome(events: list[Event]) -> list[str]:
    """The events of a command in words, without balances, positions, listings and marks."""
    return list(_words(events)) or ["nothing"]


def _line(words: list[str], same: int = 0) -> str:
    """Join the words in one line, without the first `same` ones, which both histories share, and up to a limit."""
    more = len(words) - same - _EVENTS_SHOWN_MAX
    shown = words[same : same + _EVENTS_SHOWN_MAX]
    return ", ".join([*(["..."] if same else []), *shown, *([f"and {more} more"] if more > 0 else [])])


def _words(events: list[Event]) -> Iterator[str]:
    for event in events:
        match event:
            case BalanceChanged() | MarginsChanged() | PositionChanged() | MarksSet():
                pass
            case InstrumentCreated() | InstrumentStateChanged():
                pass
            case OrderAccepted() if event.liquidation is True:
                size, limit = contracts(event.size_milli), usdc(event.price_micros)
                yield f"order {event.order_id} placed to liquidate {event.user_id}, {size} @ {limit}"
            case Refused():
                yield f"refused: {REFUSALS[event.reason].message} ({event.reason})"
            case OrderAccepted():
                yield f"order {event.order_id} accepted"
            case OrderRepeated():
                yield f"order {event.order_id} exists already, nothing changed"
            case OrderEdited():
                yield f"order {event.order_id} edited to {contracts(event.size_milli)} @ {usdc(event.price_micros)}"
            case Traded():
                fees = event.maker_fee_micros + event.taker_fee_micros
                yield (
                    f"{contracts(event.size_milli)} @ {usdc(event.price_micros)} traded with {event.maker_user_id}'s "
                    f"order {event.maker_order_id}" + (f", fees {usdc(fees)}" if fees else "")
                )
            case OrderCancelled():
                yield f"{event.user_id}'s order {event.order_id} cancelled ({event.reason})"
            case _:
                yield describe(event)


def _pair_columns(name: str) -> tuple[str, str, str]:
    return f">{name}", ">edited", ">difference"


def _decimals(pairs: Iterable[Pair]) -> int:
    return price_decimals(amount for pair in pairs for amount in (pair.real, pair.edited))


def _cash(pair: Pair, decimals: int) -> tuple[str, str, str]:
    return cash(pair.real, decimals), cash(pair.edited, decimals), _signed(cash(pair.difference, decimals))


def _contracts(pair: Pair) -> tuple[str, str, str]:
    return contracts(pair.real), contracts(pair.edited), _signed(contracts(pair.difference))


def _counts(pair: Pair) -> tuple[str, str, str]:
    return str(pair.real), str(pair.edited), _signed(str(pair.difference))


def _signed(text: str) -> str:
    return text if text.startswith("-") or not text.strip("0.") else f"+{text}"


def _commands(count: int) -> str:
    return f"{count} {'command' if count == 1 else 'commands'}"
