"""Brings the history of a journal up to date, or writes it anew, by a replay from the nearest snapshot."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock, Timeout

from exchange.engine.alarm import Alarm, standing_alarm
from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, Report, replay_step, restore_base, restore_newest
from exchange.free_space import why_no_space
from exchange.history_db.file import (
    HistoryError,
    NoHistoryError,
    alarm_of,
    head_of,
    history_path,
    open_history,
    open_history_file,
)
from exchange.history_db.writer import HistoryWriter
from exchange.journal.errors import CommandsLostError
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.journal.records import Head
from exchange.journal.schema import is_writable
from exchange.journal.write_ahead_log import sync_journal

COMMANDS_AT_ONCE = 2_000
# How long a reader waits until the follower has written the commands that the journal holds.
WAIT_SECONDS = 10.0
_LOOK_SECONDS = 0.02
_OF_SQLITE = ("", "-wal", "-shm")


class HistoryBusyError(HistoryError):
    """Another process writes the history."""


def update_history(path: Path, report: Report, progress: Progress, anew: bool = False) -> Head:
    """Write the history of the journal at `path` up to the journal's last command. Return the last command in it.

    With `anew` the whole history is written again. If another process writes it, this waits for a while until that
    process has written the last command. While an alarm stands, the history ends at the last command whose digests
    matched; `report` receives a sentence about it. If the disk is almost full, a history that exists stays as it is.
    Raises JournalError, HistoryError.
    """
    alarm = standing_alarm(path)
    if alarm is not None:
        report(alarm.end_of_history)
    try:
        with history_lock(path), open_journal_reader(path) as reader:
            if (head_seq := reader.head().seq) < (known_seq := _seq_of(path)):
                raise _lost(path, head_seq, known_seq)
            last_seq = _last_seq(reader, alarm)
            problem = _why_no_space(path)
            if problem is not None and (anew or not _seq_of(path)):
                raise HistoryError(problem)
            if anew or (alarm is not None and _seq_of(path) > last_seq):
                delete_history(path)
            elif head := complete_head(reader, alarm):
                return head
            elif problem is not None:
                report(f"the history ends at seq {_seq_of(path)}: {problem}")
                return Head(_seq_of(path))
            return _update(reader, report, progress, alarm)
    except HistoryBusyError:
        if anew:
            raise
        return _wait(path, alarm)


def end_history(path: Path, report: Report) -> None:
    """End the history, if there is one, where the standing alarm ends it. Raises as `update_history` does."""
    if history_path(path).exists():
        update_history(path, report, lambda done, total: None)


def _last_seq(reader: JournalReader, alarm: Alarm | None) -> int:
    """The last command that belongs into the history."""
    last_seq = reader.head().seq
    return last_seq if alarm is None else min(last_seq, max(alarm.compared_seq, reader.bases[0].head.seq))


def _lost(path: Path, head_seq: int, known_seq: int) -> CommandsLostError:
    """The error that keeps a history from being written again: it may have the only copy of these commands."""
    return CommandsLostError(
        head_seq + 1,
        f"{path} ends with seq {head_seq}, but {history_path(path)} has seq {known_seq}: the journal lost commands",
    )


def _why_no_space(path: Path) -> str | None:
    return why_no_space(path.absolute().parent, "rows of the history")


def _text_of(alarm: Alarm | None) -> str | None:
    return None if alarm is None else alarm.end_of_history


def _seq_of(path: Path) -> int:
    """The last command in the history; 0 if there is no history."""
    try:
        with closing(open_history(path)) as connection:
            return head_of(connection).seq
    except HistoryError:
        return 0


def open_current_history(path: Path, report: Report, progress: Progress) -> sqlite3.Connection:
    """Bring the history of the journal at `path` up to date, and open it for reading. Raises JournalError.

    `report` receives a sentence if another process writes the history and has not reached the journal's present end.
    A reader who may not write next to the journal gets the history there if it is complete, otherwise a new one.
    """
    with open_journal_reader(path) as reader:
        if not is_writable(path):
            return _open_unwritable(reader, report, progress)
        before_seq = _seq_of(path)
        last_seq = _last_seq(reader, standing_alarm(path))
    head = update_history(path, report, progress)
    if head.seq < last_seq:
        progressed = "is behind" if head.seq > before_seq else "has written nothing: look into the server's log"
        report(
            f"the history ends with seq {head.seq} and the journal with seq {last_seq}: the process that writes the "
            f"history runs, but {progressed}"
        )
    return open_history(path)


def _open_unwritable(reader: JournalReader, report: Report, progress: Progress) -> sqlite3.Connection:
    """Open a history that is complete, or one in a temporary folder, whose file is deleted once it is open.

    A history next to another user's journal would belong to the reader, and its owner could not write it.
    """
    alarm = standing_alarm(reader.path)
    if complete_head(reader, alarm) is not None:
        return open_history(reader.path)
    with TemporaryDirectory(prefix="exchange-history-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / history_path(reader.path).name
        if problem := _why_no_space(file):
            raise HistoryError(problem)
        report(f"you may not write next to {reader.path}, so its history is written into {folder} for this command")
        with closing(HistoryWriter(file)) as writer:
            fill_history(reader, writer, report, progress, alarm)
        return open_history_file(file, is_constant=True)


@contextmanager
def history_lock(path: Path, timeout_seconds: float = 0) -> Iterator[None]:
    """Hold the right to write the history of the journal at `path`. Raises HistoryBusyError after the timeout."""
    file = history_path(path)
    lock = FileLock(file.with_name(file.name + ".lock"))
    try:
        lock.acquire(timeout=timeout_seconds)
    except Timeout:
        raise HistoryBusyError(f"{file} is being written by another process: stop the exchange first") from None
    except OSError as error:
        raise HistoryError(f"{file} cannot be written ({error.strerror}): check the rights of its folder") from error
    with lock:
        yield


def open_fitting_writer(reader: JournalReader, report: Report) -> HistoryWriter:
    """A writer that continues the history of this journal; a new one if there is none that fits.

    A history of another journal is moved aside. Raises CommandsLostError if it has later commands than the journal: it
    may have the only copy of them. The caller holds the history's lock.
    """
    file = history_path(reader.path)
    try:
        writer = HistoryWriter(file)
    except NoHistoryError as error:
        report(f"{error}; it is written anew now")
        delete_history(reader.path)
        return HistoryWriter(file)
    head, known = writer.head, reader.head()
    if not head.seq or reader.head_at(head.seq) == head:
        return writer
    writer.close()
    if head.seq > known.seq:
        raise _lost(reader.path, known.seq, head.seq)
    aside = file.with_name(f"{file.name}.seq-{head.seq}")
    for end in _OF_SQLITE:
        if (part := file.with_name(file.name + end)).exists():
            part.replace(aside.with_name(aside.name + end))
    report(
        f"{file} has another command at seq {head.seq} than the journal. It is kept as {aside.name}, and a new one is "
        "written"
    )
    return HistoryWriter(file)


def engine_for(reader: JournalReader, writer: HistoryWriter, up_to: int, report: Report) -> Engine:
    """The engine from the newest snapshot at or before both `up_to` and the end of the history.

    A journal whose first commands are missing begins with the state that it stores; an empty history takes this over.
    """
    first = reader.bases[0].head.seq
    if writer.head.seq >= first and writer.head.seq:
        return restore_newest(reader.path, reader, min(up_to, writer.head.seq), report)
    engine = restore_base(reader, first)
    if first:
        writer.seed(engine)
    return engine


def delete_history(path: Path) -> None:
    """Delete the history of the journal at `path`. The caller holds its lock."""
    for end in _OF_SQLITE:
        file = history_path(path)
        file.with_name(file.name + end).unlink(missing_ok=True)


def complete_head(reader: JournalReader, alarm: Alarm | None) -> Head | None:
    """The end of the history if nothing is missing in it, else None. A writer would first read the newest rows."""
    try:
        connection = open_history(reader.path)
    except HistoryError:
        return None
    with closing(connection):
        head = head_of(connection)
        (answered_seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM answer").fetchone()
        if alarm_of(connection) != _text_of(alarm):
            return None
    last_seq = _last_seq(reader, alarm)
    is_complete = head.seq == last_seq and head == reader.head_at(head.seq)
    return head if is_complete and not any(reader.answer_times(answered_seq + 1, head.seq)) else None


def _update(reader: JournalReader, report: Report, progress: Progress, alarm: Alarm | None) -> Head:
    writer = open_fitting_writer(reader, report)
    try:
        return fill_history(reader, writer, report, progress, alarm)
    except sqlite3.Error as error:
        raise HistoryError(f"{history_path(reader.path)} cannot be written ({error}): free some space") from error
    finally:
        writer.close()


def fill_history(
    reader: JournalReader, writer: HistoryWriter, report: Report, progress: Progress, alarm: Alarm | None
) -> Head:
    """Write the commands that a history lacks, up to where `alarm` ends it. Return the last command in it."""
    last_seq = _last_seq(reader, alarm)
    writer.set_alarm(_text_of(alarm))
    if writer.head.seq >= last_seq:
        writer.flush(new_answers(reader, writer))
        return writer.head
    engine = engine_for(reader, writer, last_seq, report)
    begin_seq = engine.head.seq
    for record in reader.records(engine.head, last_seq):
        command, events, change = replay_step(engine, record)
        if record.seq > writer.head.seq:
            writer.add(record, command, events, change, engine)
            if record.seq % COMMANDS_AT_ONCE == 0:
                sync_journal(reader.path)
                writer.flush([])
                if (problem := _why_no_space(writer.path)) is not None:
                    raise HistoryError(f"the history ends at seq {record.seq}: {problem}")
        progress(record.seq - begin_seq, last_seq - begin_seq)
    sync_journal(reader.path)
    writer.flush([])
    writer.flush(new_answers(reader, writer))
    return writer.head


def new_answers(reader: JournalReader, writer: HistoryWriter) -> list[tuple[int, int]]:
    """The recorded times of answers that the history does not have yet."""
    times = reader.answer_times(writer.answered_seq + 1, writer.seq)
    return [(seq, answered_us) for seq, _, answered_us in times]


def _wait(path: Path, alarm: Alarm | None) -> Head:
    """Wait until the process that writes the history has reached the journal's present end."""
    with open_journal_reader(path) as reader:
        last_seq = _last_seq(reader, alarm)
    until = time.monotonic() + WAIT_SECONDS
    head = Head()
    while time.monotonic() < until:
        try:
            connection = open_history(path)
        except NoHistoryError:
            time.sleep(_LOOK_SECONDS)
            continue
        try:
            head = head_of(connection)
        finally:
            connection.close()
        if head.seq >= last_seq:
            break
        time.sleep(_LOOK_SECONDS)
    return head
