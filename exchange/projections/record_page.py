"""Which of many records an answer has."""

from typing import NamedTuple


class RecordPage(NamedTuple):
    """At most `count_max` records with an id below `before`, from `start_us` to `end_us`, the newest first.

    The times are those of the commands that made the records; both are included, and None is no bound.
    """

    count_max: int
    before: int | None = None
    start_us: int | None = None
    end_us: int | None = None
