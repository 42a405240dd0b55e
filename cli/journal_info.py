"""What `exchange journal info` finds out about a journal, by reading only."""

import contextlib
from pathlib import Path

import msgspec

from exchange.domain.commands import Genesis, decode_command
from exchange.domain.rules import Rules
from journal.lock import Holder, holder_of
from journal.schema import connect_read_only
from snapshots.store import SnapshotStore


class Info(msgspec.Struct):
    """`size_bytes`: with what SQLite still has in its write-ahead log. `commands`: how many of each kind."""

    path: str
    size_bytes: int
    schema: int
    rules: Rules | None
    first_seq: int
    first_ts_us: int
    last_seq: int
    last_ts_us: int
    commands: dict[str, int]
    events_seq: int
    snapshots: list[int]
    holder: Holder | None

    @property
    def written_by(self) -> str:
        if self.holder is None:
            return "nobody: no exchange is running on it"
        pid = f"process {self.holder.pid}" if self.holder.pid else "a process"
        return f"{pid}, listening on {self.holder.url}" if self.holder.url else f"{pid}, not listening yet"


def read_info(path: Path) -> Info:
    """Everything about the journal at `path`. Raises a JournalError."""
    with contextlib.closing(connect_read_only(path)) as connection:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        first = connection.execute("SELECT seq, ts_us, payload FROM commands ORDER BY seq LIMIT 1").fetchone()
        last = connection.execute("SELECT seq, ts_us FROM commands ORDER BY seq DESC LIMIT 1").fetchone()
        kinds = connection.execute("SELECT kind, count(*) FROM commands GROUP BY kind ORDER BY 2 DESC, 1").fetchall()
        (events_seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
    first_seq, first_ts_us, genesis = first or (0, 0, None)
    last_seq, last_ts_us = last or (0, 0)
    return Info(
        path=str(path),
        size_bytes=_size_bytes(path),
        schema=schema,
        rules=_rules(genesis),
        first_seq=first_seq,
        first_ts_us=first_ts_us,
        last_seq=last_seq,
        last_ts_us=last_ts_us,
        commands=dict(kinds),
        events_seq=events_seq,
        snapshots=[int(file.stem) for file in SnapshotStore(path).files() if file.stem.isdigit()],
        holder=holder_of(path),
    )


def _size_bytes(path: Path) -> int:
    log = path.with_name(path.name + "-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _rules(payload: str | None) -> Rules | None:
    if payload is None:
        return None
    with contextlib.suppress(msgspec.MsgspecError):
        command = decode_command(payload)
        if isinstance(command, Genesis):
            return command.rules
    return None
