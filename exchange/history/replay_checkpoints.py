"""The past of a replay: restores it at any moment from the nearest image.

Images are the snapshots of the journal, checkpoints in memory, which a replay over a long distance leaves on its way,
and copies of the exchange shortly before the targets of the last moves. One thread at a time uses these classes.
"""

import contextlib
import gc
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from exchange.domain.events import Event, Traded
from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, no_garbage_collection, replay, restore_newest
from exchange.history.trade_search import seqs_of_trades
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.runtime.clock import thread_cpu_us
from exchange.snapshots.store import Snapshot, SnapshotStore, pack, unpack

CHECKPOINTS_MAX = 64
CHECKPOINT_BYTES_MAX = 512 * 1024 * 1024
# CPU time of a replay between two checkpoints. To leave one takes about a third of it.
CHECKPOINT_EVERY_US = 1_500_000
# To restore an image takes about as long as to replay this many commands.
RESTORE_COMMANDS = 1_000
# A move leaves a copy this many commands before its target, because the next move may be a short one back.
BACK_COMMANDS = 1_000
# A copy shares most of its bytes with the others.
COPIES_MAX = 4


class Checkpoints:
    """Compressed images by seq, limited in number and bytes. Beyond a limit, the ones that are closest together go."""

    def __init__(self, count_max: int = CHECKPOINTS_MAX, bytes_max: int = CHECKPOINT_BYTES_MAX) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._images: dict[int, bytes] = {}
        self._seqs: list[int] = []

    @property
    def seqs(self) -> list[int]:
        """The seqs of the images, in order."""
        return self._seqs

    @property
    def size_bytes(self) -> int:
        """The bytes of all images."""
        return sum(map(len, self._images.values()))

    def add(self, engine: Engine) -> None:
        """Keep an image of the engine, unless it alone exceeds the limit."""
        seq, image = engine.head.seq, pack(engine.snapshot())
        if seq in self._images or len(image) > self._bytes_max:
            return
        self._images[seq] = image
        insort(self._seqs, seq)
        while len(self._seqs) > self._count_max or self.size_bytes > self._bytes_max:
            self._drop_one(seq)

    def newest(self, up_to: int) -> int | None:
        """The seq of the newest image at or before `up_to`."""
        index = bisect_right(self._seqs, up_to)
        return self._seqs[index - 1] if index else None

    def image(self, seq: int) -> Snapshot:
        """The image of `seq`."""
        return unpack(self._images[seq])

    def _drop_one(self, added_seq: int) -> None:
        """Drop the image whose neighbours are closest to each other; never the one just added."""
        around = [0, *self._seqs, self._seqs[-1]]
        gaps = [
            (around[index + 1] - around[index - 1], around[index])
            for index in range(1, len(around) - 1)
            if around[index] != added_seq
        ]
        _, seq = min(gaps)
        self._seqs.remove(seq)
        del self._images[seq]


class ReplayPast:
    """Computes the exchange after any command of the journal at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.checkpoints = Checkpoints()
        # Copies of the exchange by seq, the one that was used last at the end. None of them ever changes.
        self._copies: dict[int, Engine] = {}

    def distance_to(self, seq: int) -> int:
        """The cost to restore the exchange after `seq`, in commands to replay."""
        return seq - self._newest_image(seq) + RESTORE_COMMANDS

    def engine_at(self, seq: int, progress: Progress) -> Engine:
        """The exchange after command `seq`, from the nearest image before it. Raises a JournalError.

        It leaves a copy shortly before `seq`, so that further ways back are short.
        """
        with open_journal_reader(self._path) as reader, _frozen_afterwards():
            return self._engine_at(reader, seq, progress)

    def seq_of_trade(self, before_seq: int, count: int, lowest_seq: int, progress: Progress) -> int:
        """The seq of the `count`-th trading command before `before_seq`; `lowest_seq` if there is none from there on.

        Reads the history if there is one that fits, otherwise replays from image to image. Raises a JournalError.
        """
        with open_journal_reader(self._path) as reader, no_garbage_collection():
            traded = seqs_of_trades(reader, lowest_seq, before_seq - 1, count)
            if traded is None:
                traded, first_seq = [], before_seq
                while len(traded) < count and first_seq > lowest_seq:
                    last_seq, first_seq = first_seq - 1, max(lowest_seq, self._newest_image(first_seq - 2) + 1)
                    traded = self._traded(reader, first_seq, last_seq, progress) + traded
        return traded[-count] if len(traded) >= count else lowest_seq

    def _traded(self, reader: JournalReader, first_seq: int, last_seq: int, progress: Progress) -> list[int]:
        """The seqs of the commands that trade in a replay."""
        engine = self._engine_at(reader, first_seq - 1, progress)
        replayed = self._replay(engine, reader, last_seq, progress)
        found = [engine.head.seq for events in replayed if has_traded(events)]
        engine.state.dismantle()
        return found

    def _engine_at(self, reader: JournalReader, seq: int, progress: Progress) -> Engine:
        """Restore and replay."""
        engine = self._nearest(reader, seq)
        try:
            deque(self._replay(engine, reader, seq, progress), maxlen=0)
        except BaseException:
            engine.state.dismantle()
            raise
        return engine

    def _replay(self, engine: Engine, reader: JournalReader, seq: int, progress: Progress) -> Iterator[list[Event]]:
        """Replay up to `seq`, and yield the events of each command. Leaves a copy and checkpoints on the way."""
        total, cpu_us, left_at = seq - engine.head.seq, thread_cpu_us(), 0
        for done, record in enumerate(reader.records(engine.head, seq), 1):
            yield replay(engine, record)
            progress(done, total)
            if record.seq == seq - BACK_COMMANDS and done > BACK_COMMANDS:
                self._keep_copy(engine)
            # The clock is read rarely: it takes as long as a small command. The last part leaves no checkpoint, because
            # to make one takes as long as to replay a part of it.
            if done % 100 == 0 and total - done >= done - left_at and thread_cpu_us() - cpu_us > CHECKPOINT_EVERY_US:
                self.checkpoints.add(engine)
                cpu_us, left_at = thread_cpu_us(), done

    def _newest_image(self, up_to: int) -> int:
        """The seq of the newest image at or before `up_to`; 0 if there is none."""
        on_disk = [known for known in SnapshotStore(self._path).seqs() if known <= up_to]
        copied = [known for known in self._copies if known <= up_to]
        return max([*on_disk[-1:], self.checkpoints.newest(up_to) or 0, *copied])

    def _nearest(self, reader: JournalReader, seq: int) -> Engine:
        newest = self._newest_image(seq)
        if copied := self._copies.pop(newest, None):
            self._copies[newest] = copied
            return copied.copy()
        if newest and self.checkpoints.newest(seq) == newest:
            return Engine.restore(self.checkpoints.image(newest))
        return restore_newest(self._path, reader, seq, lambda sentence: None)

    def _keep_copy(self, engine: Engine) -> None:
        """Keep a copy, and drop the one that was not used for longest if there are too many."""
        self._copies[engine.head.seq] = engine.copy()
        if len(self._copies) > COPIES_MAX:
            self._copies.pop(next(iter(self._copies))).state.dismantle()


@contextlib.contextmanager
def _frozen_afterwards() -> Iterator[None]:
    """Disable garbage collection, and exclude from later ones the objects that exist in the end.

    A collection looks at each object of the new state: this takes as long as to replay 1,000 commands. So a state that
    is needed no more must be dismantled.
    """
    with no_garbage_collection():
        yield
        gc.freeze()


def has_traded(events: list[Event]) -> bool:
    """True if one of the events is a trade."""
    return any(isinstance(event, Traded) for event in events)
