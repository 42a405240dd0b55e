"""Export to and import from lines of JSON."""

import gzip
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, cast

import msgspec

from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, replay
from exchange.journal.atomic_journal import Draft, new_journal, refuse_existing, refuse_leftovers
from exchange.journal.errors import JournalDamagedError, JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Record, check_link
from exchange.journal.write_ahead_log import sync_journal
from exchange.outside_text import InputError, opened_lines, source_name

# An import writes so many commands, or characters of them, in one transaction.
_COMMANDS_AT_ONCE = 5_000
_CHARACTERS_AT_ONCE = 8 * 1024 * 1024
_STANDARD = Path("-")


# A number that fits into a column of SQLite.
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class ExportLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One exported command. `command` is its recorded text, `hash` is in hexadecimal."""

    seq: _Number
    ts_us: _Number
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
        sync_journal(path)
        for count, record in enumerate(reader.records(before, last_seq), 1):
            line = ExportLine(record.seq, record.ts_us, record.hash.hex(), msgspec.Raw(record.payload.encode()))
            file.write(_encode(line) + b"\n")
            progress(count, last_seq - first_seq + 1)
    return last_seq - first_seq + 1


def import_lines(source: Path, new_path: Path, progress: Progress) -> Engine:
    """Make the journal at `new_path` from the lines of `source` and return its engine, all or nothing.

    `-` is standard input. Every line must continue the chain of hashes. Every command is replayed, to
    prove that this program can read it. The lines are never all in memory. Raises InputError if a line is not an
    exported command, and JournalError if it does not continue the chain; both name the line.
    """
    refuse_leftovers(new_path)
    engine, name = Engine(), source_name(source)
    with new_journal(new_path) as draft, opened_lines(source) as lines:
        records: list[Record] = []
        characters = 0
        for number, text in enumerate(lines, 1):
            if text.isspace():
                continue
            where = f"{name}, line {number}"
            record = _record(text, where)
            try:
                check_link(engine.head, record)
                replay(engine, record)
            except JournalDamagedError as error:
                raise JournalError(f"{where}: the command cannot be imported: {error}") from error
            records.append(record)
            characters += len(text)
            if len(records) >= _COMMANDS_AT_ONCE or characters >= _CHARACTERS_AT_ONCE:
                _write(draft, records)
                characters = 0
                progress(number, number)
        if not engine.head.seq:
            raise InputError(f"{name} contains no command: expected lines from `exchange journal export`")
        _write(draft, records)
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


def _record(text: str, where: str) -> Record:
    try:
        line = _decode_line(text)
        return Record(line.seq, line.ts_us, bytes(line.command).decode(), bytes.fromhex(line.hash))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: the line is not an exported command ({error})") from error


def _write(draft: Draft, records: list[Record]) -> None:
    connection = draft.connection
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO commands (seq, ts_us, payload, hash) VALUES (?, ?, ?, ?)", records)
    connection.execute("COMMIT")
    records.clear()
