"""What clients missed on their streams: from memory where it was told just now, else from the journal.

The journal is read by a process of its own, which recovers as a start would and goes on from there command by command:
the exchange never pauses for it, and the texts are made as they are made live.
"""

import asyncio
import logging
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from exchange.domain.commands import decode_command
from exchange.gateway.desk import Missed
from exchange.gateway.limits import JOURNAL_READERS_MAX, STALL_SECONDS
from exchange.gateway.streams import Key, Recent, Told, key_of, texts, told_of
from exchange.runtime.core import Core
from exchange.runtime.recovery import recover
from exchange.runtime.workers import begin_as_worker, worker
from journal.archives import archives_of
from journal.errors import JournalDamagedError, JournalError
from journal.reader import JournalReader
from journal.records import Head, Record

TOLD_AT_ONCE = 500  # commands, from memory: then it is everybody else's turn
RECORDS_AT_ONCE = 1_000  # in one reading, which ends before the client is waited for: a long one would swell the WAL
CHUNK_SIZE = 64 * 1024  # bytes

_log = logging.getLogger(__name__)

Take = Callable[[str, bytes], None]
Done = Callable[[str | None], None]


class Backfiller:
    """All backfills of a running exchange: at most JOURNAL_READERS_MAX read the journal, others wait their turn.

    `flush` has what was taken sent.
    """

    def __init__(self, path: Path, recent: Recent, flush: Callable[[], None]) -> None:
        self.path = path
        self.recent = recent
        self.flush = flush
        self.readers = asyncio.Semaphore(JOURNAL_READERS_MAX)
        self._backfills: set[_Backfill] = set()
        with JournalReader(path) as reader:
            self._first_seq = reader.bases[-1].head.seq + 1  # in the journal itself, archives left aside

    @property
    def first_seq(self) -> int:
        """The first command that is here, in the journal or in an archive beside it."""
        if self._first_seq == 1:
            return 1
        archives = archives_of(self.path, self._first_seq)
        return archives[0].first_seq if archives else self._first_seq

    def start(self, missed: Missed, take: Take, done: Done) -> "_Backfill":
        """As `Desk.backfill`."""
        backfill = _Backfill(self, missed, take, done)
        self._backfills.add(backfill)
        backfill.task.add_done_callback(lambda _: self._backfills.discard(backfill))
        return backfill

    async def stop(self) -> None:
        """End what is under way."""
        for backfill in self._backfills:
            backfill.end()
        await asyncio.gather(*(backfill.task for backfill in self._backfills), return_exceptions=True)


class _Backfill:
    """One backfill, as a task."""

    def __init__(self, backfiller: Backfiller, missed: Missed, take: Take, done: Done) -> None:
        self._backfiller = backfiller
        self._missed = missed
        self._take = take
        self._done = done
        self._told = backfiller.recent.between(missed.from_seq, missed.up_to)
        self._room = asyncio.Event()
        self._room.set()
        self._is_ended = False
        self.task = asyncio.get_running_loop().create_task(self._run())

    def pause(self, is_paused: bool) -> None:
        (self._room.clear if is_paused else self._room.set)()

    def end(self) -> None:
        if not self._is_ended:  # a second time would end the waiting for its process, too
            self._is_ended = True
            self.task.cancel()

    async def _run(self) -> None:
        error: str | None = None
        try:
            if self._told is not None:
                await self._recall(self._told)
            else:
                async with self._backfiller.readers:
                    await self._read_journal()
        except TimeoutError:
            error = f"nothing of what was missed was taken for {STALL_SECONDS} seconds"
        except Exception:  # whatever it was, the client must not take the rest for the whole
            _log.exception("commands %d to %d could not be looked back at", self._missed.from_seq, self._missed.up_to)
            error = "what was missed could not be read from the journal; the server's log says more"
        self._done(error)
        self._backfiller.flush()

    async def _recall(self, told: list[Told]) -> None:
        wanted = _wanted(self._missed)
        for start in range(0, len(told), TOLD_AT_ONCE):
            some = told[start : start + TOLD_AT_ONCE]
            await self._hand_over([(key[0], text) for one in some for key, text in texts(one, wanted)])

    async def _read_journal(self) -> None:
        from_seq, up_to, user_id, channels = self._missed
        arguments = str(self._backfiller.path), str(from_seq), str(up_to), user_id, *channels
        async with worker(__name__, *arguments, stdout=PIPE) as process:
            assert process.stdout is not None
            rest = b""
            while chunk := await process.stdout.read(CHUNK_SIZE):
                *lines, rest = (rest + chunk).split(b"\n")
                await self._hand_over([_parse(line) for line in lines])
            code = await process.wait()
        if code or rest:
            raise JournalError(f"the process that reads the journal ended with code {code}")

    async def _hand_over(self, missed: list[tuple[str, bytes]]) -> None:
        """Have some of it sent, and wait until the client takes more."""
        for channel_name, text in missed:
            self._take(channel_name, text)
        self._backfiller.flush()
        async with asyncio.timeout(STALL_SECONDS):
            await self._room.wait()
        await asyncio.sleep(0)  # others get their turn; and where this was ended meanwhile, it goes no further


def told_again(core: Core, records: Iterable[Record], wanted: Collection[Key]) -> Iterator[tuple[Key, bytes]]:
    """What the commands that follow `core` told on the wanted streams."""
    for record in records:
        _, change = core.step(record, decode_command(record.payload))
        yield from texts(told_of(change, core.views), wanted)


def look_back(path: Path, missed: Missed) -> Iterator[tuple[Key, bytes]]:
    """What was missed, from the journal at `path`. Raises a JournalError."""
    core = recover(path, _log.info, lambda done, total: None, up_to=missed.from_seq - 1).core
    return told_again(core, _records(path, core.head, missed.up_to), _wanted(missed))


def _records(path: Path, head: Head, up_to: int) -> Iterator[Record]:
    with JournalReader(path) as reader:
        while head.seq < up_to:
            records = list(reader.records(head, min(head.seq + RECORDS_AT_ONCE, up_to)))
            if not records:
                raise JournalDamagedError(f"{path} ends with seq {head.seq}: seq {up_to} was to be there")
            yield from records
            head = Head(records[-1].seq, records[-1].ts_us, records[-1].hash)


def _wanted(missed: Missed) -> set[Key]:
    return {key_of(name, missed.user_id) for name in missed.channels}


def _parse(line: bytes) -> tuple[str, bytes]:
    channel_name, _, text = line.partition(b" ")
    return channel_name.decode(), text


def main() -> None:
    """The process that looks back once: a line for each notification, with the channel's name before it."""
    begin_as_worker()
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # end without a word when nobody listens any more
    path, from_seq, up_to, user_id, *channels = sys.argv[1:]
    missed = Missed(int(from_seq), int(up_to), user_id, tuple(channels))
    try:
        for (channel_name, _), text in look_back(Path(path), missed):
            sys.stdout.buffer.write(b"%b %b\n" % (channel_name.encode(), text))
        sys.stdout.buffer.flush()
    except JournalError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
