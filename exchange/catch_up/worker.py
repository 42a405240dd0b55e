"""The subprocess that replays missed notifications from the journal.

It recovers the exchange as at a start and applies command after command from there. The notifications are encoded by
the same code as live ones. It writes one line for each: seq, channel name, text.
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
from exchange.inside_subprocess import end_with, set_up_subprocess
from exchange.journal.errors import JournalDamagedError, JournalError
from exchange.journal.opening import open_journal_reader
from exchange.journal.records import Head, Record

# Records that are read in one transaction. It ends before the process waits for its client, because SQLite cannot
# shorten its write-ahead log while a reader's transaction is open.
RECORDS_AT_ONCE = 1_000

_log = logging.getLogger(__name__)


class ReplayedMessage(NamedTuple):
    """A notification of command `seq`."""

    seq: int
    channel_name: str
    text: bytes


def replay_messages(engine: Engine, records: Iterable[Record], wanted: Collection[Key]) -> Iterator[ReplayedMessage]:
    """Apply the records to `engine` and yield their notifications on the wanted streams."""
    for record in records:
        _, change = engine.step(record, decode_command(record.payload))
        for (channel_name, _), text in encode(update_of(change, engine.views, wanted), wanted):
            yield ReplayedMessage(record.seq, channel_name, text)


def messages_of(path: Path, request: CatchUpRequest) -> Iterator[ReplayedMessage]:
    """Yield the notifications of a request from the journal at `path`. Raises a JournalError."""
    engine = recover(path, _log.info, lambda done, total: None, up_to=request.from_seq - 1).engine
    return replay_messages(engine, _records(path, engine.head, request.up_to), keys_of(request))


def keys_of(request: CatchUpRequest) -> set[Key]:
    """The keys of the requested streams."""
    return {key_of(name, request.user_id) for name in request.channels}


def arguments_of(path: Path, request: CatchUpRequest) -> tuple[str, ...]:
    """The arguments of the subprocess."""
    return str(path), str(request.from_seq), str(request.up_to), request.user_id, *request.channels


def parse(line: bytes) -> ReplayedMessage:
    """Decode one line of the subprocess's output."""
    seq, channel_name, text = line.split(b" ", 2)
    return ReplayedMessage(int(seq), channel_name.decode(), text)


def _records(path: Path, head: Head, up_to: int) -> Iterator[Record]:
    with open_journal_reader(path) as reader:
        while head.seq < up_to:
            records = list(reader.records(head, min(head.seq + RECORDS_AT_ONCE, up_to)))
            if not records:
                raise JournalDamagedError(f"{path} ends with seq {head.seq}, but seq {up_to} was expected")
            yield from records
            head = Head(records[-1].seq, records[-1].ts_us, records[-1].hash)


def main() -> None:
    """Replay the request in the arguments, then exit."""
    set_up_subprocess()
    if hasattr(signal, "SIGPIPE"):
        # End silently when the exchange has closed the pipe.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    path, from_seq, up_to, user_id, *channels = sys.argv[1:]
    request = CatchUpRequest(int(from_seq), int(up_to), user_id, tuple(channels))
    try:
        for seq, channel_name, text in messages_of(Path(path), request):
            sys.stdout.buffer.write(b"%d %b %b\n" % (seq, channel_name.encode(), text))
        sys.stdout.buffer.flush()
    except JournalError as error:
        end_with(str(error))


if __name__ == "__main__":
    main()
