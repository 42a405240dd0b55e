"""`exchange journal info`: what a journal contains, its rules, and the process that writes to it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from exchange.amounts import iso_time
from exchange.cli.options import db_option, json_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.cli.rule_text import RULE_COLUMNS, rule_rows
from exchange.domain.commands import ChangeRules, Fork, Genesis, decode_command
from exchange.domain.rules import Rules
from exchange.engine.alarm import Alarm, standing_alarm
from exchange.engine.engine import Engine
from exchange.journal.lock import LockOwner, lock_owner
from exchange.journal.opening import journal_files, open_journal_reader
from exchange.journal.records import Checkpoint
from exchange.journal.sql_union import connect_union
from exchange.runtime.follower import HOW_TO_DEAL, FollowerStatus, read_status
from exchange.runtime.storage import Storage, StorageUsage, storage_of
from exchange.snapshots.store import DamagedSnapshotError, SnapshotStore, unpack

_RULES_CHANGED = """
SELECT payload FROM commands WHERE kind = 'change_rules'
AND NOT EXISTS (SELECT * FROM events WHERE events.seq = commands.seq AND events.kind = 'refused')
ORDER BY seq DESC LIMIT 1
"""


class Info(msgspec.Struct):
    """Summary of a journal. `size_bytes` includes SQLite's write-ahead log; `commands` counts them by kind.

    Hashes are in hexadecimal: of the last command, and of the first one if its archive is there.
    """

    path: str
    size_bytes: int
    schema: int
    rules: Rules | None
    forked_from: Fork | None
    first_seq: int
    first_ts_us: int
    last_seq: int
    last_ts_us: int
    last_hash: str | None
    genesis_hash: str | None
    commands: dict[str, int]
    events_seq: int
    snapshots: list[int]
    archives: list[str]
    follower: FollowerStatus | None
    alarm: Alarm | None
    holder: LockOwner | None
    storage: Storage

    @property
    def written_by(self) -> str:
        if self.holder is None:
            return "none: no exchange is running on it"
        pid = f"process {self.holder.pid}" if self.holder.pid else "a process"
        return f"{pid}, listening on {self.holder.url}" if self.holder.url else f"{pid}, not listening yet"


@click.command()
@db_option
@json_option
def info(path: Path, as_json: bool) -> None:
    """Show contents, rules and status of the journal.

    Exit code 1 if the follower has raised an alarm.

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


def read_info(path: Path) -> Info:
    """Collect the summary of the journal at `path` and its archives. Raises JournalError."""
    with open_journal_reader(path) as reader:
        archives = [str(file) for file in journal_files(path)[:-1]]
        base = reader.bases[0]
        genesis = reader.head_at(1)
    with contextlib.closing(connect_union(path)) as connection:
        (schema,) = connection.execute("PRAGMA main.user_version").fetchone()
        first = connection.execute("SELECT seq, ts_us, payload FROM commands ORDER BY seq LIMIT 1").fetchone()
        last = connection.execute("SELECT seq, ts_us, hash FROM commands ORDER BY seq DESC LIMIT 1").fetchone()
        kinds = connection.execute("SELECT kind, count(*) FROM commands GROUP BY kind ORDER BY 2 DESC, 1").fetchall()
        _, fork = connection.execute("SELECT max(seq), payload FROM commands WHERE kind = 'fork'").fetchone()
        change = connection.execute(_RULES_CHANGED).fetchone()
        (events_seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    first_seq, first_ts_us, payload = first or (0, 0, None)
    last_seq, last_ts_us, last_hash = last or (0, 0, None)
    return Info(
        path=str(path),
        size_bytes=_size_bytes(path),
        schema=schema,
        rules=_rules(payload if change is None else change[0], base),
        forked_from=None if fork is None else msgspec.json.decode(fork, type=Fork),
        first_seq=first_seq,
        first_ts_us=first_ts_us,
        last_seq=last_seq,
        last_ts_us=last_ts_us,
        last_hash=None if last_hash is None else last_hash.hex(),
        genesis_hash=None if genesis is None else genesis.hash.hex(),
        commands=dict(kinds),
        events_seq=events_seq,
        snapshots=SnapshotStore(path).seqs(),
        archives=archives,
        follower=read_status(path),
        alarm=standing_alarm(path),
        holder=lock_owner(path),
        storage=storage_of(path),
    )


def _size_bytes(path: Path) -> int:
    log = path.with_name(path.name + "-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _rules(recorded: str | None, base: Checkpoint) -> Rules | None:
    """The rules in the last `recorded` command that sets them; if it is in an archive, those of the base state."""
    with contextlib.suppress(msgspec.MsgspecError, DamagedSnapshotError):
        if recorded is not None and isinstance(command := decode_command(recorded), Genesis | ChangeRules):
            return command.rules
        if base.head.seq:
            return Engine.restore(unpack(base.snapshot)).state.rules
    return None


def _print(found: Info) -> None:
    about = table("journal", found.path)
    fork = found.forked_from
    add_rows(
        about,
        (
            *([("forked from", f"{fork.parent} after its seq {fork.parent_seq}")] if fork else []),
            ("size", f"{found.size_bytes:,} bytes"),
            *_sizes(found.storage),
            ("schema", str(found.schema)),
            ("first command", _at(found.first_seq, found.first_ts_us)),
            ("last command", _at(found.last_seq, found.last_ts_us)),
            *([("hash", found.last_hash)] if found.last_hash else []),
            ("events", f"recorded up to seq {found.events_seq}"),
            ("snapshots", ", ".join(f"seq {seq}" for seq in found.snapshots) or "none"),
            *(("archive", archive) for archive in found.archives),
            ("written by", found.written_by),
            *([("follower", _followed(found.follower))] if found.follower else []),
            *([("ALARM", f"{found.alarm.text}. {HOW_TO_DEAL}")] if found.alarm else []),
        ),
    )
    rules = table(*RULE_COLUMNS, optional=RULE_COLUMNS[2:])
    if found.rules is not None:
        add_rows(rules, rule_rows(found.rules))
    kinds = table("command", ">count")
    add_rows(kinds, ((kind, f"{count:,}") for kind, count in found.commands.items()))
    print_tables(about, rules, kinds)


def _sizes(storage: Storage) -> Iterator[tuple[str, str]]:
    """The size of each kind of file that there is, and the space that a command takes in it."""
    for name, usage in _usages(storage):
        if usage.size_bytes and usage.commands:
            yield f"{name} size", f"{usage.size_bytes:,} bytes, {usage.bytes_per_command:,.0f} bytes a command"
    if storage.warning is not None:
        yield "WARNING", storage.warning


def _usages(storage: Storage) -> list[tuple[str, StorageUsage]]:
    names = ("journal", "history", "snapshots", "archives")
    return list(zip(names, (storage.journal, storage.history, storage.snapshots, storage.archives), strict=True))


def _followed(status: FollowerStatus) -> str:
    snapshot = f"snapshot at seq {status.snapshot_seq}" if status.snapshot_seq else "no snapshot yet"
    compared = f", digests verified up to seq {status.compared_seq}" if status.compared_seq else ""
    return f"up to seq {status.seq}, {snapshot}{compared}"


def _at(seq: int, ts_us: int) -> str:
    return f"seq {seq}, {iso_time(ts_us)}" if seq else "none"
