"""`exchange journal info`: what a journal contains, its rules, and the process that writes to it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from exchange.amounts import iso_time
from exchange.cli.options import db_option, json_option
from exchange.cli.output import add_rows, print_json, print_tables, table
from exchange.cli.progress import ReplayBar
from exchange.cli.rule_text import RULE_COLUMNS, rule_rows
from exchange.domain.commands import Fork, Genesis, decode_command
from exchange.domain.rules import Rules
from exchange.engine.alarm import Alarm, standing_alarm
from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, restore_newest
from exchange.history_db.file import head_of
from exchange.history_db.past_views import PastViews
from exchange.history_db.update import complete_head, open_current_history
from exchange.journal.errors import JournalError
from exchange.journal.lock import LockOwner, lock_owner
from exchange.journal.opening import journal_files, open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import KindSummary, Record
from exchange.journal.schema import schema_of
from exchange.runtime.follower import HOW_TO_DEAL, FollowerStatus, read_status
from exchange.runtime.storage import Storage, StorageUsage, storage_of
from exchange.snapshots.store import DamagedSnapshotError, SnapshotStore, unpack


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
    with ReplayBar() as bar:
        found = read_info(path, bar)
    if as_json:
        print_json(found)
    else:
        _print(found)
    if found.alarm is not None:
        raise click.exceptions.Exit(1)


def read_info(path: Path, progress: Progress = lambda done, total: None) -> Info:
    """Collect the summary of the journal at `path` and its archives. Raises JournalError."""
    with open_journal_reader(path) as reader:
        head, base = reader.head(), reader.bases[0].head
        kinds = reader.kinds()
        genesis = reader.head_at(1)
        first = next(reader.records_where(base.seq + 1, base.seq + 1), None)
        fork = _last(reader, kinds, "fork")
        return Info(
            path=str(path),
            size_bytes=_size_bytes(path),
            schema=schema_of(path),
            rules=_rules(reader, kinds, progress),
            forked_from=None if fork is None else msgspec.json.decode(fork.payload, type=Fork),
            first_seq=0 if first is None else first.seq,
            first_ts_us=0 if first is None else first.ts_us,
            last_seq=0 if first is None else head.seq,
            last_ts_us=0 if first is None else head.ts_us,
            last_hash=None if first is None else head.hash.hex(),
            genesis_hash=None if genesis is None else genesis.hash.hex(),
            commands={
                kind: kinds[kind].commands for kind in sorted(kinds, key=lambda kind: (-kinds[kind].commands, kind))
            },
            events_seq=reader.events_seq() if reader.events_seq() > base.seq else 0,
            snapshots=SnapshotStore(path).seqs(),
            archives=[str(file) for file in journal_files(path)[:-1]],
            follower=read_status(path),
            alarm=standing_alarm(path),
            holder=lock_owner(path),
            storage=storage_of(path),
        )


def _size_bytes(path: Path) -> int:
    log = path.with_name(path.name + "-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _last(reader: JournalReader, kinds: dict[str, KindSummary], kind: str) -> Record | None:
    """The last command of this kind; None if there is none."""
    if kind not in kinds:
        return None
    seq = kinds[kind].last_seq
    return next(reader.records_where(seq, seq), None)


def _rules(reader: JournalReader, kinds: dict[str, KindSummary], progress: Progress) -> Rules | None:
    """The rules after the last command; None if they cannot be read.

    A change of rules may have been refused, as the history or a later snapshot tells.
    """
    with contextlib.suppress(msgspec.MsgspecError, DamagedSnapshotError, JournalError):
        if "change_rules" in kinds:
            if complete_head(reader, standing_alarm(reader.path)) is None:
                engine = restore_newest(reader.path, reader, reader.head().seq, lambda sentence: None)
                if engine.head.seq >= kinds["change_rules"].last_seq:
                    return engine.state.rules
            history = open_current_history(reader.path, lambda sentence: None, progress)
            with contextlib.closing(history):
                return PastViews(history, head_of(history).seq).rules
        if reader.bases[0].head.seq:
            return Engine.restore(unpack(reader.bases[0].snapshot)).state.rules
        genesis = next(reader.records_where(1, 1), None)
        if genesis is not None and isinstance(command := decode_command(genesis.payload), Genesis):
            return command.rules
    return None


def _print(found: Info) -> None:
    about = table("journal", "", wrapped=("",))
    fork = found.forked_from
    add_rows(
        about,
        (
            ("file", found.path),
            *([("forked from", f"{fork.parent} after its seq {fork.parent_seq}")] if fork else []),
            *([] if found.storage.journal.commands else [("size", f"{found.size_bytes:,} bytes")]),
            *_sizes(found.storage),
            ("schema", str(found.schema)),
            ("first command", _at(found.first_seq, found.first_ts_us)),
            ("last command", _at(found.last_seq, found.last_ts_us)),
            *([("hash", found.last_hash)] if found.last_hash else []),
            *([("old events", f"up to seq {found.events_seq}")] if found.events_seq else []),
            ("snapshots", _span(found.snapshots)),
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


def _span(seqs: list[int]) -> str:
    """The number of snapshots, and the first and the last of them; `exchange snapshot list` lists them."""
    if not seqs:
        return "none"
    return f"seq {seqs[0]}" if len(seqs) == 1 else f"{len(seqs)}, from seq {seqs[0]} to seq {seqs[-1]}"


def _followed(status: FollowerStatus) -> str:
    snapshot = f"snapshot at seq {status.snapshot_seq}" if status.snapshot_seq else "no snapshot yet"
    compared = f", digests verified up to seq {status.compared_seq}" if status.compared_seq else ""
    return f"up to seq {status.seq}, {snapshot}{compared}"


def _at(seq: int, ts_us: int) -> str:
    return f"seq {seq}, {iso_time(ts_us)}" if seq else "none"
