"""How long and how large a measurement is: all of it, a quick one, or a tiny one that only proves that it runs."""

from pathlib import Path
from typing import NamedTuple


class Scale(NamedTuple):
    """`seconds`: of one load; `minutes`: of the long load; `share`: of the full sizes.

    `against`: another checkout, whose matcher is measured too. `builds`: whether missing journals are built.
    """

    rounds: int = 5
    seconds: float = 3.0
    minutes: float = 10.0
    share: float = 1.0
    against: Path | None = None
    builds: bool = True

    def sized(self, full: int, least: int = 1) -> int:
        """A number of things at this scale."""
        return max(least, round(full * self.share))

    @property
    def warm_up_seconds(self) -> float:
        """The part of a load that is not measured."""
        return min(1.0, self.seconds / 2)


FULL = Scale()
QUICK = Scale(rounds=3, seconds=0.8, minutes=0.5, share=0.1)
TINY = Scale(rounds=1, seconds=0.1, minutes=0.005, share=0.002, builds=False)
