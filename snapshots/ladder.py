"""The ladder of snapshots: dense at the end of a journal, sparser with age. Decides what to save and what to delete.

All decisions follow from the seqs, times and origins of the snapshots, and from the measured speed of a replay. A rung
is a snapshot that the exchange or its follower saved; one that was made by hand stays and counts for no gap, because it
may be deleted at any time.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

US_PER_SECOND = 1_000_000
# The newest rungs stay, however close they are: a start takes an older one if the newest is damaged.
NEWEST_KEPT = 8
# Within this many commands before the end, no gap between two rungs takes longer to replay than REPLAY_SECONDS_MAX.
DENSE_COMMANDS = 1_000_000
# A seek also restores a snapshot, which takes about a quarter of a second, and should take no more than two in all.
REPLAY_SECONDS_MAX = 1.2
# A rung is saved before the gap reaches the limit, because the follower looks only after each batch of commands.
SAVE_AFTER_SECONDS = 0.8
# A batch should take no longer. Should its commands take four times as long as those before, the limit still holds.
BATCH_SECONDS = 0.1
# A rung is also saved when this much exchange time has passed, if there were commands.
ACTIVE_SECONDS = 300
# Commands per second, until a replay was measured. Most machines replay twice as fast, so the first gaps are small.
RATE_ASSUMED = 4_000.0


class Rung(NamedTuple):
    """A snapshot after command `seq`; `is_manual` if it was made by hand."""

    seq: int
    is_manual: bool = False


def gap_max(age: int, dense_gap: int) -> int:
    """The longest gap in commands between two rungs, if `age` commands follow the younger of them.

    `dense_gap` holds up to an age of DENSE_COMMANDS; from there on the gap doubles whenever the age doubles.
    """
    return dense_gap << (max(age - 1, 0) // DENSE_COMMANDS).bit_length()


def dense_gap_of(commands_per_second: float) -> int:
    """The number of commands whose replay takes REPLAY_SECONDS_MAX; with RATE_ASSUMED if the speed is 0 (unknown)."""
    return max(1, int(REPLAY_SECONDS_MAX * (commands_per_second or RATE_ASSUMED)))


def excess(rungs: Iterable[Rung], dense_gap: int) -> list[Rung]:
    """The rungs that can be deleted, oldest first. A gap that is too long already does not grow.

    Of what is left beyond the newest, any two neighbouring gaps are together longer than the limit of their age. So at
    most 2 * DENSE_COMMANDS / dense_gap + NEWEST_KEPT + 1 are left of the last DENSE_COMMANDS, and at most
    DENSE_COMMANDS / dense_gap + 1 more for each doubling of the age.
    """
    automatic = sorted(rung for rung in set(rungs) if not rung.is_manual)
    if not automatic:
        return []
    head_seq, deleted, before_seq = automatic[-1].seq, [], 0
    for rung, following in pairwise(automatic[: -NEWEST_KEPT + 1]):
        if following.seq - before_seq <= gap_max(head_seq - following.seq, dense_gap):
            deleted.append(rung)
        else:
            before_seq = rung.seq
    return deleted


def why_kept(rungs: Sequence[Rung], dense_gap: int) -> dict[Rung, str]:
    """The reason why each snapshot is kept, for people."""
    automatic = sorted(rung for rung in rungs if not rung.is_manual)
    deleted = set(excess(rungs, dense_gap))
    reasons: dict[Rung, str] = {}
    for rung in rungs:
        if rung.is_manual:
            reasons[rung] = "made by hand"
        elif rung in deleted:
            reasons[rung] = "not needed, deleted after the next save"
        elif rung in automatic[-NEWEST_KEPT:]:
            reasons[rung] = f"one of the newest {NEWEST_KEPT}"
        else:
            times = gap_max(automatic[-1].seq - rung.seq, dense_gap) // dense_gap
            reasons[rung] = f"every {REPLAY_SECONDS_MAX * times:,g} s of replay"
    return reasons


class SavePolicy:
    """Decides when a follower saves a snapshot, from the CPU time that its replay takes.

    `every` overrides this: save every `every` commands, never if it is 0. `rungs` are the snapshots that exist; the
    follower may begin before the newest of them. `commands_per_second` is the slowest speed known so far, 0: unknown.
    """

    def __init__(
        self, every: int | None, rungs: Iterable[Rung], seq: int, ts_us: int, commands_per_second: float
    ) -> None:
        self._every = every
        self._seqs = sorted(rung.seq for rung in rungs if not rung.is_manual)
        self._last_seq, self._last_ts_us = seq, ts_us
        self._seq, self._ts_us = seq, ts_us
        self._cpu_us = self._last_cpu_us = 0
        # Commands per second of the last batch.
        self.last_speed = commands_per_second or RATE_ASSUMED
        # The end and the speed of each measured span within the last DENSE_COMMANDS. The first is the known speed.
        self._speeds = [(seq, commands_per_second)] if commands_per_second else []

    @property
    def commands_per_second(self) -> float:
        """The slowest speed of a span between two snapshots, within the last DENSE_COMMANDS; 0 if none was measured."""
        return min((speed for _, speed in self._speeds), default=0.0)

    def batch(self, count_max: int) -> int:
        """The number of commands to replay before the next look, up to `count_max`."""
        return max(1, min(count_max, int(BATCH_SECONDS * self.last_speed)))

    @property
    def newest_seq(self) -> int:
        """The seq of the newest snapshot; 0 if there is none."""
        return self._seqs[-1] if self._seqs else 0

    def replayed(self, seq: int, ts_us: int, cpu_us: int) -> None:
        """The follower has applied the commands up to `seq`, the last at `ts_us`, in `cpu_us` of CPU time."""
        if seq == self._seq:
            return
        if cpu_us:
            self.last_speed = (seq - self._seq) * US_PER_SECOND / cpu_us
        # Before the first command there is no time.
        self._last_ts_us = self._last_ts_us or ts_us
        self._seq, self._ts_us, self._last_cpu_us = seq, ts_us, cpu_us
        self._cpu_us += cpu_us
        passed = [known for known in self._seqs if self._last_seq < known <= seq]
        if passed and passed[-1] != self._last_seq:
            # The commands of this batch after the snapshot took at most the whole batch.
            self._last_seq, self._last_ts_us, self._cpu_us = passed[-1], ts_us, cpu_us

    @property
    def is_due(self) -> bool:
        """True if the follower should save a snapshot now."""
        if self._every is not None:
            return bool(self._every) and self._seq - self.newest_seq >= self._every
        if self._seq == self._last_seq or not self._is_gap_ahead():
            return False
        cpu_seconds, next_seconds = self._cpu_us / US_PER_SECOND, self._last_cpu_us / US_PER_SECOND
        is_long = cpu_seconds >= SAVE_AFTER_SECONDS or cpu_seconds + next_seconds >= REPLAY_SECONDS_MAX
        is_behind = self._seq < self.newest_seq
        return is_long or (not is_behind and self._ts_us - self._last_ts_us >= ACTIVE_SECONDS * US_PER_SECOND)

    def saved(self) -> None:
        """The follower has saved a snapshot of the last command that it applied."""
        if self._cpu_us:
            speed = (self._seq - self._last_seq) * US_PER_SECOND / self._cpu_us
            self._speeds = [entry for entry in self._speeds if entry[0] > self._seq - DENSE_COMMANDS]
            self._speeds.append((self._seq, speed))
        self._seqs = sorted({*self._seqs, self._seq})
        self._last_seq, self._last_ts_us, self._cpu_us = self._seq, self._ts_us, 0

    def _is_gap_ahead(self) -> bool:
        """True if the next snapshot that exists is too far from the last one."""
        following = next((known for known in self._seqs if known > self._seq), None)
        if following is None:
            return True
        dense_gap = dense_gap_of(self.commands_per_second)
        return following - self._last_seq > gap_max(self.newest_seq - following, dense_gap)
