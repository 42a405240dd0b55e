"""What clients missed on their streams, from the journal: recovered as at a start, and from there command by command.

The texts are made as they are made live. As a process of its own it writes a line for each notification.
"""

import logging
import signal
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from exchange.catch_up.request import CatchUpRequest
from exchange.catch_up.streams import Key, encode, key_of, update_of
from exchange.domain.commands import decode_command
from exchange.engine.engine import Engine
from exchange.engine.recovery import recover
from exchange.journal.errors import JournalDamagedError, JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head, Record
from exchange.subprocesses import set_up_subprocess

RECORDS_AT_ONCE = 1_000  # in one reading, which ends before the client is waited for: a long one would swell the WAL

_log = logging.getLogger(__name__)


class ReplayedMessage(NamedTuple):
    """A notification of command `seq`."""

    seq: int
    channel_name: str
    text: bytes


def replay_messages(engine: Engine, records: Iterable[Record], wanted: Collection[Key]) -> Iterator[ReplayedMessage]:
    """What the commands that follow `engine` told on the wanted streams."""
    for record in records:
        _, change = engine.step(record, decode_command(record.payload))
        for (channel_name, _), text in encode(update_of(change, engine.views), wanted):
            yield ReplayedMessage(record.seq, channel_name, text)


def messages_of(path: Path, missed: CatchUpRequest) -> Iterator[ReplayedMessage]:
    """What was missed, from the journal at `path`. Raises a JournalError."""
    engine = recover(path, _log.info, lambda done, total: None, up_to=missed.from_seq - 1).engine
    return replay_messages(engine, _records(path, engine.head, missed.up_to), keys_of(missed))


def keys_of(missed: CatchUpRequest) -> set[Key]:
    return {key_of(name, missed.user_id) for name in missed.channels}


def arguments_of(path: Path, missed: CatchUpRequest) -> tuple[str, ...]:
    """What the process is called with."""
    return str(path), str(missed.from_seq), str(missed.up_to), missed.user_id, *missed.channels


def parse(line: bytes) -> ReplayedMessage:
    """A line that the process wrote."""
    seq, channel_name, text = line.split(b" ", 2)
    return ReplayedMessage(int(seq), channel_name.decode(), text)


def _records(path: Path, head: Head, up_to: int) -> Iterator[Record]:
    with open_journal_reader(path) as reader:
        while head.seq < up_to:
            records = list(reader.records(head, min(head.seq + RECORDS_AT_ONCE, up_to)))
            if not records:
                raise JournalDamagedError(f"{path} ends with seq {head.seq}: seq {up_to} was to be there")
            yield from records
            head = Head(records[-1].seq, records[-1].ts_us, records[-1].hash)


def main() -> None:
    """The process that looks back once."""
    set_up_subprocess()
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end without a word when nobody listens any more
    path, from_seq, up_to, user_id, *channels = sys.argv[1:]
    missed = CatchUpRequest(int(from_seq), int(up_to), user_id, tuple(channels))
    try:
        for seq, channel_name, text in messages_of(Path(path), missed):
            sys.stdout.buffer.write(b"%d %b %b\n" % (seq, channel_name.encode(), text))
        sys.stdout.buffer.flush()
    except JournalError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
