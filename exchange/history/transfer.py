"""Export to and import from lines of JSON."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, event_rows, replay
from exchange.journal.atomic_journal import Draft, new_journal, refuse_existing, refuse_leftovers
from exchange.journal.errors import JournalDamagedError, JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import EventRow, Record, check_link

_COMMANDS_AT_ONCE = 5_000
_STANDARD = Path("-")


class ExportLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One exported command. `command` is its recorded text, `hash` is in hexadecimal."""

    seq: int
    ts_us: int
    hash: str
    command: msgspec.Raw


_decode_line = msgspec.json.Decoder(ExportLine).decode
_encode = msgspec.json.Encoder().encode


def export_lines(path: Path, first_seq: int, last_seq: int, out: Path, progress: Progress) -> int:
    """Write commands `first_seq` to `last_seq` to the file `out` and return their number. Raises JournalError.

    `-` is standard output. A name that ends with .gz is compressed. The same journal always gives the same bytes.
    """
    with open_journal_reader(path) as reader, opened_for_writing(out) as file:
        before = reader.head_at(first_seq - 1)
        assert before is not None, "the caller must pass a range that the journal holds"
        for count, record in enumerate(reader.records(before, last_seq), 1):
            line = ExportLine(record.seq, record.ts_us, record.hash.hex(), msgspec.Raw(record.payload.encode()))
            file.write(_encode(line) + b"\n")
            progress(count, last_seq - first_seq + 1)
    return last_seq - first_seq + 1


def import_lines(source: Path, new_path: Path, progress: Progress) -> Engine:
    """Make the journal at `new_path` from the lines of `source` and return its engine, all or nothing.

    `-` is standard input. Every line must continue the chain of hashes. Every command is replayed, so that the new
    journal has its events too. Raises JournalError that names the line.
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
            raise JournalError(f"{source} contains no command: expected lines from `exchange journal export`")
        _write(draft, records, rows)
    return engine


@contextmanager
def opened_for_writing(out: Path) -> Iterator[IO[bytes]]:
    """Open a new file for writing; standard output for `-`. A file whose name ends with .gz is compressed.

    An existing file is never overwritten, but a pipe or a device can be written to. If the block fails, the new file is
    deleted. Raises JournalError.
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
    """Open a file for reading; standard input for `-`. A file whose name ends with .gz is decompressed.

    Raises JournalError if it is not a valid compressed file.
    """
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
        raise JournalError(f"{source} is not a valid .gz file: {error}") from error


def _record(text: bytes) -> Record:
    try:
        line = _decode_line(text)
        return Record(line.seq, line.ts_us, bytes(line.command).decode(), bytes.fromhex(line.hash))
    except (msgspec.MsgspecError, ValueError) as error:
        raise JournalDamagedError(f"it is not an exported command ({error})") from error


def _write(draft: Draft, records: list[Record], rows: list[Any]) -> None:
    connection = draft.connection
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO commands (seq, ts_us, payload, hash) VALUES (?, ?, ?, ?)", records)
    connection.executemany("INSERT INTO events (seq, n, payload) VALUES (?, ?, ?)", rows)
    connection.execute("COMMIT")
    records.clear()
    rows.clear()
