"""Carrying a journal: as lines of JSON and back, byte for byte, and as a copy of the file while the exchange runs."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, event_rows, replay
from exchange.journal.atomic_journal import Draft, new_journal, refuse_existing, refuse_leftovers
from exchange.journal.errors import JournalDamagedError, JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import EventRow, Record, check_link
from exchange.journal.schema import connect_read_only

_COMMANDS_AT_ONCE = 5_000
_PAGES_AT_ONCE = 2_000
_STANDARD = Path("-")


class ExportLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One command. `command` is its text as it was recorded, `hash` in hexadecimal."""

    seq: int
    ts_us: int
    hash: str
    command: msgspec.Raw


_decode_line = msgspec.json.Decoder(ExportLine).decode
_encode = msgspec.json.Encoder().encode


def export_lines(path: Path, first_seq: int, last_seq: int, out: Path, progress: Progress) -> int:
    """Write commands `first_seq` to `last_seq` to the file `out`, `-` for standard output; returns how many.

    The same journal gives the same bytes, also where a name ending with .gz asks for compression.
    """
    with open_journal_reader(path) as reader, opened_for_writing(out) as file:
        before = reader.head_at(first_seq - 1)
        assert before is not None, "the span was not looked up"
        for count, record in enumerate(reader.records(before, last_seq), 1):
            line = ExportLine(record.seq, record.ts_us, record.hash.hex(), msgspec.Raw(record.payload.encode()))
            file.write(_encode(line) + b"\n")
            progress(count, last_seq - first_seq + 1)
    return last_seq - first_seq + 1


def import_lines(source: Path, new_path: Path, progress: Progress) -> Engine:
    """Make the journal at `new_path` from the lines of `source`, `-` for standard input: all of it or nothing.

    Every line is checked to continue the one before, and carried out, so that the events are there as well. Returns
    the exchange as it is then. Raises a JournalError that names the line.
    """
    refuse_leftovers(new_path)
    engine = Engine()
    with new_journal(new_path) as draft, opened_for_reading(source) as file:
        records: list[Record] = []
        rows: list[EventRow] = []
        for number, text in enumerate(file, 1):
            try:
                record = _record(text)
                check_link(engine.head, record)
                rows += event_rows([(record.seq, replay(engine, record))])
            except JournalDamagedError as error:
                raise JournalError(f"line {number} of {source} cannot be imported: {error}") from error
            records.append(record)
            if len(records) >= _COMMANDS_AT_ONCE:
                _write(draft, records, rows)
                progress(number, number)
        if not engine.head.seq:
            raise JournalError(f"{source} holds no command: there is nothing to import")
        _write(draft, records, rows)
    return engine


def backup(path: Path, new_path: Path, progress: Progress) -> int:
    """Copy the journal's file as it is at one moment, also while an exchange writes to it. Returns its last seq.

    Archives, snapshots and the administrator's secret are not in it. Raises a JournalError.
    """
    refuse_leftovers(new_path)
    with closing(connect_read_only(path)) as source, new_journal(new_path) as draft:
        source.execute("BEGIN")  # one moment for all of it, however long it takes
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()

        def told(_status: int, left: int, total: int) -> None:
            progress(total - left, total)

        source.backup(draft.connection, pages=_PAGES_AT_ONCE, progress=told)
        draft.connection.execute("PRAGMA journal_mode = DELETE")  # the copy is one file, without others beside it
        row = draft.connection.execute("SELECT max(seq) FROM commands").fetchone()
    return int(row[0] or 0)


@contextmanager
def opened_for_writing(out: Path) -> Iterator[IO[bytes]]:
    """A new file, compressed where its name ends with .gz; standard output for `-`.

    Nothing is overwritten (a pipe or a device is written to), and nothing is left where the block fails.
    """
    if out == _STANDARD:
        yield sys.stdout.buffer
        return
    is_new = not out.exists() or out.is_file()
    if is_new:
        refuse_existing(out)
    with out.open("xb" if is_new else "wb") as plain:
        try:
            if out.suffix == ".gz":
                with gzip.GzipFile("", "wb", fileobj=plain, mtime=0) as file:
                    yield cast(IO[bytes], file)
            else:
                yield plain
            plain.flush()
        except BaseException:
            if is_new:
                out.unlink(missing_ok=True)
            raise


@contextmanager
def opened_for_reading(source: Path) -> Iterator[IO[bytes]]:
    """As `opened_for_writing`. A JournalError where what should be compressed is not."""
    try:
        if source == _STANDARD:
            yield sys.stdin.buffer
        elif source.suffix == ".gz":
            with gzip.open(source) as file:
                yield cast(IO[bytes], file)
        else:
            with source.open("rb") as plain:
                yield plain
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise JournalError(f"{source} is not what its name says: {error}") from error


def _record(text: bytes) -> Record:
    try:
        line = _decode_line(text)
        return Record(line.seq, line.ts_us, bytes(line.command).decode(), bytes.fromhex(line.hash))
    except (msgspec.MsgspecError, ValueError) as error:
        raise JournalDamagedError(f"it is no exported command ({error})") from error


def _write(draft: Draft, records: list[Record], rows: list[Any]) -> None:
    connection = draft.connection
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO commands (seq, ts_us, payload, hash) VALUES (?, ?, ?, ?)", records)
    connection.executemany("INSERT INTO events (seq, n, payload) VALUES (?, ?, ?)", rows)
    connection.execute("COMMIT")
    records.clear()
    rows.clear()
