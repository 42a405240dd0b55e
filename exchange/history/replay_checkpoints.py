"""The past of a replay: restores it at any moment from the nearest image, and finds the commands that traded.

Images are the snapshots of the journal, and checkpoints in memory, which a replay over a long distance leaves on its
way. One thread at a time uses these classes.
"""

from array import array
from bisect import bisect_left, bisect_right, insort
from pathlib import Path

from exchange.domain.events import Event, Traded
from exchange.engine.engine import Engine
from exchange.engine.recovery import Progress, no_garbage_collection, replay, restore_newest
from exchange.journal.opening import open_journal_reader
from exchange.journal.protocols import JournalReader
from exchange.runtime.clock import thread_cpu_us
from exchange.snapshots.store import SnapshotStore, pack, unpack

CHECKPOINTS_MAX = 64
CHECKPOINT_BYTES_MAX = 512 * 1024 * 1024
# CPU time of a replay between two checkpoints. To leave one takes about a third of it.
CHECKPOINT_EVERY_US = 1_500_000
# To restore an image takes about as long as to replay this many commands.
RESTORE_COMMANDS = 2_000
# Trades whose seqs are remembered.
TRADES_MAX = 1_000_000


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

    def restore(self, seq: int) -> Engine:
        """The engine as it was when the image of `seq` was added."""
        return Engine.restore(unpack(self._images[seq]))

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


class TradeSeqs:
    """The seqs of commands that traded, within one range of commands that were replayed: after `low`, up to `high`."""

    def __init__(self, seq: int = 0) -> None:
        self.low = self.high = seq
        self._seqs = array("q")

    def note(self, seq: int, events: list[Event]) -> None:
        """Take the events of a replayed command. A command that does not continue the range begins a new one."""
        if self.low < seq <= self.high:
            return
        if seq != self.high + 1 or len(self._seqs) > TRADES_MAX:
            self.low, self._seqs = seq - 1, array("q")
        self.high = seq
        if any(isinstance(event, Traded) for event in events):
            self._seqs.append(seq)

    def join(self, following: "TradeSeqs") -> None:
        """Add the range that begins where this one ends."""
        assert self.high == following.low, "the ranges do not touch"
        self.high = following.high
        self._seqs.extend(following._seqs)

    def before(self, seq: int, count: int) -> int | None:
        """The seq of the `count`-th trading command before `seq`; None if the range does not hold it."""
        if not self.low < seq <= self.high + 1:
            return None
        index = bisect_left(self._seqs, seq) - count
        return self._seqs[index] if index >= 0 else None


class ReplayPast:
    """Computes the exchange after any command of the journal at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.checkpoints = Checkpoints()
        self.trades = TradeSeqs()

    def distance_to(self, seq: int) -> int:
        """The cost to restore the exchange after `seq`, in commands to replay."""
        return seq - self._newest_image(seq) + RESTORE_COMMANDS

    def engine_at(self, seq: int, progress: Progress) -> Engine:
        """The exchange after command `seq`, from the nearest image before it. Raises a JournalError."""
        with open_journal_reader(self._path) as reader, no_garbage_collection():
            return self._engine_at(reader, seq, progress)

    def seq_of_trade(self, before_seq: int, count: int, lowest_seq: int, progress: Progress) -> int:
        """The seq of the `count`-th trading command before `before_seq`; `lowest_seq` if there is none from there on.

        Replays what was not replayed yet. Raises a JournalError.
        """
        known = self.trades
        if not known.low < before_seq <= known.high + 1:
            known = TradeSeqs(before_seq - 1)
        while (found := known.before(before_seq, count)) is None and known.low >= lowest_seq:
            known = self._with_earlier(known, lowest_seq, progress)
        self.trades = known
        return lowest_seq if found is None else max(found, lowest_seq)

    def _with_earlier(self, known: TradeSeqs, lowest_seq: int, progress: Progress) -> TradeSeqs:
        """The range `known`, and before it that from the nearest image on, but from `lowest_seq` at the earliest."""
        start_seq = max(lowest_seq - 1, self._newest_image(known.low - 1))
        earlier = TradeSeqs(start_seq)
        with open_journal_reader(self._path) as reader, no_garbage_collection():
            engine = self._engine_at(reader, start_seq, progress)
            for record in reader.records(engine.head, known.low):
                earlier.note(record.seq, replay(engine, record))
                progress(record.seq - start_seq, known.low - start_seq)
        earlier.join(known)
        return earlier

    def _engine_at(self, reader: JournalReader, seq: int, progress: Progress) -> Engine:
        engine = self._nearest(reader, seq)
        total, cpu_us = seq - engine.head.seq, thread_cpu_us()
        for done, record in enumerate(reader.records(engine.head, seq), 1):
            self.trades.note(record.seq, replay(engine, record))
            progress(done, total)
            # The clock is read rarely: it takes as long as a small command.
            if done % 100 == 0 and thread_cpu_us() - cpu_us > CHECKPOINT_EVERY_US:
                self.checkpoints.add(engine)
                cpu_us = thread_cpu_us()
        return engine

    def _newest_image(self, up_to: int) -> int:
        """The seq of the newest image at or before `up_to`; 0 if there is none."""
        on_disk = [known for known in SnapshotStore(self._path).seqs() if known <= up_to]
        return max([*on_disk[-1:], self.checkpoints.newest(up_to) or 0])

    def _nearest(self, reader: JournalReader, seq: int) -> Engine:
        known = self.checkpoints.newest(seq) or 0
        if any(known < on_disk <= seq for on_disk in SnapshotStore(self._path).seqs()) or not known:
            return restore_newest(self._path, reader, seq, lambda sentence: None)
        return self.checkpoints.restore(known)
