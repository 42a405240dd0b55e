"""How long and how large a measurement is: all of it, a quick one, or a tiny one that only proves that it runs."""

from pathlib import Path
from typing import NamedTuple


class Scale(NamedTuple):
    """`seconds`: of one load; `minutes`: of the long load; `share`: of the full sizes.

    `against`: another checkout, whose matcher is measured too.
    """

    rounds: int = 5
    seconds: float = 2.5
    minutes: float = 10.0
    share: float = 1.0
    against: Path | None = None

    def sized(self, full: int, least: int = 1) -> int:
        """A number of things at this scale."""
        return max(least, round(full * self.share))

    @property
    def warm_up_seconds(self) -> float:
        """The part of a load that is not measured."""
        return min(0.5, self.seconds / 2)

    @property
    def is_full(self) -> bool:
        """True if the sizes are those of the goals."""
        return self.share == 1


FULL = Scale()
QUICK = Scale(rounds=2, seconds=0.6, minutes=0.5, share=0.1)
TINY = Scale(rounds=1, seconds=0.1, minutes=0.005, share=0.002)
