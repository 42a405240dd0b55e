"""The part of a journal that a question is about, and the limits of a timeline."""

from typing import NamedTuple

BUCKETS_MAX = 2_000
# Marks in one answer.
MARKS_MAX = 1_000
# Moments of one profit history.
PROFIT_POINTS_MAX = 2_000
# Commands, trades or seconds of one step.
STEPS_MAX = 1_000


class SeqRange(NamedTuple):
    """The commands of an answer about the past. None: from the first, or to the last command."""

    from_seq: int | None = None
    to_seq: int | None = None
    start_us: int | None = None
    end_us: int | None = None
