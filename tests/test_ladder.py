"""The ladder of snapshots: a table of what is deleted, and a property that holds after any saves and prunes."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.snapshots.ladder import (
    ACTIVE_SECONDS,
    DENSE_COMMANDS,
    NEWEST_KEPT,
    REPLAY_SECONDS_MAX,
    US_PER_SECOND,
    Rung,
    SavePolicy,
    dense_gap_of,
    excess,
    gap_max,
    why_kept,
)

DENSE_GAP = 20_000


@pytest.mark.parametrize(
    ("age", "times"),
    [
        (0, 1),
        (1, 1),
        (1_000_000, 1),
        (1_000_001, 2),
        (2_000_000, 2),
        (2_000_001, 4),
        (4_000_000, 4),
        (4_000_001, 8),
        (64_000_000, 64),
    ],
)
def test_the_gap_doubles_with_the_age(age: int, times: int) -> None:
    assert gap_max(age, DENSE_GAP) == DENSE_GAP * times


def rungs(*seqs: int) -> list[Rung]:
    return [Rung(seq) for seq in seqs]


# Eight rungs at the end, which stay whatever else is there.
NEWEST = tuple(range(3_000_000, 3_000_000 + NEWEST_KEPT))


@pytest.mark.parametrize(
    ("given", "deleted"),
    [
        pytest.param((), (), id="nothing"),
        pytest.param((1, 2, 3), (), id="the newest stay, however close"),
        # From 2,000,007 on the gap is DENSE_GAP, before it twice as much.
        pytest.param((2_900_000, 2_910_000, 2_920_000, *NEWEST), (2_910_000,), id="two gaps fit into one"),
        pytest.param((2_900_000, 2_915_000, 2_930_000, *NEWEST), (), id="together they are too long"),
        pytest.param((2_900_000, 2_910_000, 2_950_000, *NEWEST), (), id="a long gap is not made longer"),
        pytest.param((1_900_000, 1_920_000, 1_940_000, *NEWEST), (1_920_000,), id="older: two gaps"),
        pytest.param((100_000, 140_000, 180_000, *NEWEST), (140_000,), id="still older: four gaps"),
        pytest.param((40_000, 79_000, *NEWEST), (40_000,), id="the first gap begins with the journal"),
    ],
)
def test_what_is_deleted(given: tuple[int, ...], deleted: tuple[int, ...]) -> None:
    assert [rung.seq for rung in excess(rungs(*given), DENSE_GAP)] == list(deleted)


def test_manual_snapshots_stay_and_close_no_gap() -> None:
    manual = [Rung(seq, is_manual=True) for seq in (2_905_000, 2_915_000)]
    given = rungs(2_900_000, 2_910_000, 2_920_000, *NEWEST) + manual
    assert excess(given, DENSE_GAP) == rungs(2_910_000)
    reasons = why_kept(given, DENSE_GAP)
    assert [reasons[rung] for rung in manual] == ["made by hand"] * 2
    assert reasons[Rung(2_910_000)] == "not needed, deleted after the next save"
    assert reasons[Rung(2_920_000)] == "every 1.2 s of replay"
    assert reasons[Rung(3_000_000)] == "one of the newest 8"


class Journal:
    """Commands with a cost, a follower that saves by the policy, and snapshots that other processes save."""

    def __init__(self, seed: int, cpu_us_per_command: int) -> None:
        self._random = random.Random(seed)
        self._middle_us = cpu_us_per_command
        self.seq = self.ts_us = 0
        # CPU time of a replay up to a seq.
        self.cpu_us = {0: 0}
        self.rungs: set[Rung] = set()
        self.policy = SavePolicy(None, [], 0, 0, 0.0)

    def follow(self, commands: int) -> None:
        cost_us = self._random.randint(self._middle_us // 2, self._middle_us * 2)
        end_seq = self.seq + commands
        while self.seq < end_seq:
            count = min(self.policy.batch(2_000), end_seq - self.seq)
            took_us = count * cost_us
            self.cpu_us[self.seq + count] = self.cpu_us[self.seq] + took_us
            self.seq += count
            self.ts_us += self._random.randint(1, 10_000_000)
            self.policy.replayed(self.seq, self.ts_us, took_us)
            if self.policy.is_due:
                self.save()
                self.policy.saved()
                self.prune()

    def save(self, is_manual: bool = False) -> None:
        self.rungs.add(Rung(self.seq, is_manual))

    def prune(self) -> None:
        deleted = excess(self.rungs, dense_gap_of(self.policy.commands_per_second))
        assert not any(rung.is_manual for rung in deleted)
        self.rungs -= set(deleted)

    def restart(self) -> None:
        """The exchange saves when it stops; the next follower begins at the second newest and knows the speed."""
        self.save()
        self.prune()
        seqs = sorted(rung.seq for rung in self.rungs)
        seq = seqs[-2] if len(seqs) > 1 else 0
        policy = SavePolicy(None, self.rungs, seq, self.ts_us, self.policy.commands_per_second)
        if self.seq > seq:
            policy.replayed(self.seq, self.ts_us, self.cpu_us[self.seq] - self.cpu_us[seq])
        self.policy = policy

    def check(self) -> None:
        seqs = sorted({0, *(rung.seq for rung in self.rungs if not rung.is_manual), self.seq})
        for before, after in pairwise(seqs):
            if after > self.seq - DENSE_COMMANDS:
                assert self.cpu_us[after] - self.cpu_us[before] <= REPLAY_SECONDS_MAX * US_PER_SECOND, (before, after)
        dense_gap = dense_gap_of(self.policy.commands_per_second)
        automatic = [rung.seq for rung in self.rungs if not rung.is_manual]
        recent = [seq for seq in automatic if seq > self.seq - DENSE_COMMANDS]
        assert len(recent) <= 2 * DENSE_COMMANDS // dense_gap + NEWEST_KEPT + 2
        doublings = max(0, self.seq // DENSE_COMMANDS).bit_length()
        assert len(automatic) - len(recent) <= doublings * (DENSE_COMMANDS // dense_gap + 2)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 1_000),
    st.sampled_from([20, 60, 150, 400]),
    st.lists(st.sampled_from(["follow", "follow", "leap", "manual", "restart", "prune"]), max_size=40),
)
def test_no_gap_exceeds_the_limit_after_any_saves_and_prunes(seed: int, cost_us: int, actions: list[str]) -> None:
    journal = Journal(seed, cost_us)
    made = 0
    for action in actions:
        match action:
            case "follow":
                journal.follow(20_000)
            case "leap":
                journal.follow(500_000)
            case "manual":
                journal.save(is_manual=True)
            case "restart":
                journal.restart()
            case "prune":
                journal.prune()
        made = len({rung for rung in journal.rungs if rung.is_manual})
        journal.check()
    assert made == len({rung for rung in journal.rungs if rung.is_manual})


def test_batches_become_smaller_if_commands_take_longer() -> None:
    policy = SavePolicy(None, [], 0, 0, 0.0)
    assert policy.batch(2_000) == 400
    policy.replayed(400, 1, 4_000)
    assert policy.batch(2_000) == 2_000
    policy.replayed(2_400, 2, 2_000_000)
    assert policy.batch(2_000) == 100


def test_a_snapshot_is_due_after_enough_replay_or_time() -> None:
    policy = SavePolicy(None, [], 0, 0, 0.0)
    assert not policy.is_due
    policy.replayed(10, 1, 1_000_000)
    # A second batch that takes as long would exceed the limit.
    assert policy.is_due
    policy.saved()
    assert policy.commands_per_second == pytest.approx(10)
    policy.replayed(20, ACTIVE_SECONDS * US_PER_SECOND, 1)
    assert not policy.is_due
    policy.replayed(21, 1 + ACTIVE_SECONDS * US_PER_SECOND, 1)
    assert policy.is_due
    policy.saved()
    # Nothing happened since: no snapshot, however long it takes.
    policy.replayed(21, 2 + 9 * ACTIVE_SECONDS * US_PER_SECOND, 0)
    assert not policy.is_due


@pytest.mark.parametrize(("every", "due_at"), [(0, []), (100, [100, 200, 300])])
def test_a_number_of_commands_overrides_the_ladder(every: int, due_at: list[int]) -> None:
    policy, found = SavePolicy(every, [], 0, 0, 0.0), []
    for seq in range(50, 301, 50):
        policy.replayed(seq, seq * 10**9, 5_000_000)
        if policy.is_due:
            policy.saved()
            found.append(seq)
    assert found == due_at


def test_a_follower_that_begins_early_fills_only_gaps() -> None:
    """Existing rungs at 24,000 and 36,000 are close enough; from 36,000 to 200,000 the replay takes too long."""
    policy, found = SavePolicy(None, rungs(12_000, 24_000, 36_000, 200_000), 0, 0, 10_000.0), []
    for seq in range(2_000, 220_001, 2_000):
        policy.replayed(seq, seq, 200_000)
        if policy.is_due:
            policy.saved()
            found.append(seq)
    assert found[0] > 36_000
    assert all(after - before <= 12_000 for before, after in pairwise(sorted([36_000, *found, 200_000])))
    assert found[-1] > 200_000
