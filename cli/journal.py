"""`exchange journal`: what is recorded."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from exchange.amounts import contracts, iso_time, short_time, usdc
from exchange.cli.journal_info import Info, read_info
from exchange.cli.options import db_option, json_option
from exchange.cli.output import add_rows, columns, console, print_json, table
from exchange.domain.units import US_PER_SECOND
from exchange.journal.reader import JournalReader
from exchange.journal.records import Head, Record
from exchange.runtime.follower import HOW_TO_DEAL, FollowerStatus
from exchange.runtime.rule_settings import flat_settings

_LOOK_SECONDS = 0.1  # between two looks at a journal that is followed
_SWITCHES = ("enabled", "halted", "suspended")  # what a command turns on, or off


@click.group()
def journal() -> None:
    """Read what is recorded, also while the exchange runs."""


@journal.command()
@click.option("-n", "count", type=click.IntRange(0), default=20, show_default=True, help="How many commands.")
@click.option("-f", "--follow", is_flag=True, help="Go on with those that come, until Ctrl-C.")
@db_option
@json_option
def tail(count: int, follow: bool, path: Path, as_json: bool) -> None:
    """Show the last commands, oldest first: seq, time, kind, user, instrument, and the rest of it.

    \b
    Examples:
      exchange journal tail -n 5 --follow
      exchange journal tail --json | jq .command
    """
    with contextlib.suppress(KeyboardInterrupt), JournalReader(path) as reader:
        for record in _records(reader, count, follow):
            if as_json:
                command = msgspec.Raw(record.payload.encode())
                print_json({"seq": record.seq, "ts_us": record.ts_us, "hash": record.hash.hex(), "command": command})
            else:
                click.echo(record_line(record.seq, record.ts_us, record.payload))


@journal.command()
@db_option
@json_option
def info(path: Path, as_json: bool) -> None:
    """Show what the journal is: its size, its rules, what is in it, and who is writing to it.

    Exit code 1 while an alarm of the follower stands.

    \b
    Example:
      exchange journal info
    """
    found = read_info(path)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if found.alarm is not None:
        raise click.exceptions.Exit(1)


def _records(reader: JournalReader, count: int, follow: bool) -> Iterator[Record]:
    head = reader.head()
    newest = reader.newest(count)
    yield from newest
    if newest:
        head = Head(newest[-1].seq, newest[-1].ts_us, newest[-1].hash)
    while follow:
        for record in reader.records(head):
            head = Head(record.seq, record.ts_us, record.hash)
            yield record
        version = reader.data_version()
        while reader.data_version() == version:
            time.sleep(_LOOK_SECONDS)


def record_line(seq: int, ts_us: int, payload: str) -> str:
    """A command in one line: seq, time, kind, user, instrument, and the rest of it."""
    fields = msgspec.json.decode(payload, type=dict[str, Any])
    kind, user_id = str(fields.pop("kind", "?")), str(fields.pop("user_id", None) or "")
    instrument_id = str(fields.pop("instrument_id", None) or "")
    return columns(
        (str(seq), -8),
        (iso_time(ts_us), 27),
        (kind, 17),
        (user_id, 10),
        (instrument_id, 25),
        (_place_order(fields) if kind == "place_order" else fields_text(fields), 0),
    )


def _place_order(fields: dict[str, Any]) -> str:
    """`bid 1 @ 1.50 gtc`, and what else there is."""
    size, price = contracts(fields.pop("size_milli")), fields.pop("price_micros")
    side, type_, time_in_force = fields.pop("side"), fields.pop("type"), fields.pop("time_in_force")
    where = "market" if type_ == "market" else f"@ {usdc(price)}"
    return f"{side} {size} {where} {time_in_force} {fields_text(fields)}"


def fields_text(fields: dict[str, Any]) -> str:
    """Every field that says something, in units for people."""
    return " ".join(f"{_bare(name)}={_value(name, value)}" for name, value in fields.items() if _says(name, value))


def _says(name: str, value: Any) -> bool:
    """False is left out where it is what one expects."""
    return value is not None and (value is not False or name in _SWITCHES) and value != ""


def _bare(name: str) -> str:
    for unit in ("_micros", "_milli", "_us"):
        name = name.removesuffix(unit)
    return name


def _value(name: str, value: Any) -> str:
    match value:
        case dict():
            return "{" + fields_text(value) + "}"
        case list():
            return "[" + ", ".join(_value(name, inner) for inner in value) + "]"
        case bool():
            return "yes" if value else "no"
        case int() if name.endswith("_micros"):
            return usdc(value)
        case int() if name.endswith("_milli"):
            return contracts(value)
        case int() if name.endswith("_us"):
            return iso_time(value)
        case int() if name == "expiration_s":
            return short_time(value * US_PER_SECOND)
        case _:
            return str(value)


def _print(found: Info) -> None:
    about = table("journal", found.path)
    fork = found.forked_from
    add_rows(
        about,
        (
            *([("forked from", f"{fork.parent} after its seq {fork.parent_seq}")] if fork else []),
            ("size", f"{found.size_bytes:,} bytes"),
            ("schema", str(found.schema)),
            ("first command", _at(found.first_seq, found.first_ts_us)),
            ("last command", _at(found.last_seq, found.last_ts_us)),
            ("events", f"recorded up to seq {found.events_seq}"),
            ("snapshots", ", ".join(f"seq {seq}" for seq in found.snapshots) or "none"),
            *(("archive", archive) for archive in found.archives),
            ("written by", found.written_by),
            *([("followed", _followed(found.follower))] if found.follower else []),
            *([("ALARM", f"{found.alarm.text}. {HOW_TO_DEAL}")] if found.alarm else []),
        ),
    )
    rules = table("rule", "")
    if found.rules is not None:
        add_rows(rules, flat_settings(found.rules).items())
    kinds = table("command", ">count")
    add_rows(kinds, ((kind, f"{count:,}") for kind, count in found.commands.items()))
    console().print(about, "", rules, "", kinds, sep="\n")


def _followed(status: FollowerStatus) -> str:
    snapshot = f"snapshot at seq {status.snapshot_seq}" if status.snapshot_seq else "no snapshot yet"
    compared = f", digests the same up to seq {status.compared_seq}" if status.compared_seq else ""
    return f"up to seq {status.seq}, {snapshot}{compared}"


def _at(seq: int, ts_us: int) -> str:
    return f"seq {seq}, {iso_time(ts_us)}" if seq else "none"
