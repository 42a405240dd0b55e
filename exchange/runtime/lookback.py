"""What clients missed on their streams, from the journal: recovered as at a start, and from there command by command.

The texts are made as they are made live. As a process of its own it writes a line for each notification.
"""

import logging
import signal
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from exchange.domain.commands import decode_command
from exchange.gateway.desk import Missed
from exchange.gateway.streams import Key, key_of, texts, told_of
from exchange.runtime.core import Core
from exchange.runtime.recovery import recover
from exchange.runtime.workers import begin_as_worker
from journal.errors import JournalDamagedError, JournalError
from journal.reader import JournalReader
from journal.records import Head, Record

RECORDS_AT_ONCE = 1_000  # in one reading, which ends before the client is waited for: a long one would swell the WAL

_log = logging.getLogger(__name__)


class Found(NamedTuple):
    """A notification of command `seq`."""

    seq: int
    channel_name: str
    text: bytes


def told_again(core: Core, records: Iterable[Record], wanted: Collection[Key]) -> Iterator[Found]:
    """What the commands that follow `core` told on the wanted streams."""
    for record in records:
        _, change = core.step(record, decode_command(record.payload))
        for (channel_name, _), text in texts(told_of(change, core.views), wanted):
            yield Found(record.seq, channel_name, text)


def look_back(path: Path, missed: Missed) -> Iterator[Found]:
    """What was missed, from the journal at `path`. Raises a JournalError."""
    core = recover(path, _log.info, lambda done, total: None, up_to=missed.from_seq - 1).core
    return told_again(core, _records(path, core.head, missed.up_to), wanted_by(missed))


def wanted_by(missed: Missed) -> set[Key]:
    return {key_of(name, missed.user_id) for name in missed.channels}


def arguments_of(path: Path, missed: Missed) -> tuple[str, ...]:
    """What the process is called with."""
    return str(path), str(missed.from_seq), str(missed.up_to), missed.user_id, *missed.channels


def parse(line: bytes) -> Found:
    """A line that the process wrote."""
    seq, channel_name, text = line.split(b" ", 2)
    return Found(int(seq), channel_name.decode(), text)


def _records(path: Path, head: Head, up_to: int) -> Iterator[Record]:
    with JournalReader(path) as reader:
        while head.seq < up_to:
            records = list(reader.records(head, min(head.seq + RECORDS_AT_ONCE, up_to)))
            if not records:
                raise JournalDamagedError(f"{path} ends with seq {head.seq}: seq {up_to} was to be there")
            yield from records
            head = Head(records[-1].seq, records[-1].ts_us, records[-1].hash)


def main() -> None:
    """The process that looks back once."""
    begin_as_worker()
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end without a word when nobody listens any more
    path, from_seq, up_to, user_id, *channels = sys.argv[1:]
    missed = Missed(int(from_seq), int(up_to), user_id, tuple(channels))
    try:
        for seq, channel_name, text in look_back(Path(path), missed):
            sys.stdout.buffer.write(b"%d %b %b\n" % (seq, channel_name.encode(), text))
        sys.stdout.buffer.flush()
    except JournalError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
