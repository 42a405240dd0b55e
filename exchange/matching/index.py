"""The index of an asset in the matcher: its price and average, the smiles of its series, the phase of its market."""

from exchange.domain.index_window import IndexWindow
from exchange.domain.smile import Smile

# Values of `IndexState.reopens_us`: the asset waits for an index price, and the run of the server has ended normally.
CANCEL_ONLY = 0
ENDED = -1


class IndexState(IndexWindow):
    """The index price with its average, the smiles of its series and the phase of its market.

    `listed` is a cache: the strike and the day for which all series are already listed. `smiles` are those of the live
    expirations, by expiration_us; only in a fair market. `reopens_us` is the time until which only post-only orders are
    accepted, CANCEL_ONLY or ENDED; None in an open market.
    """

    __slots__ = ("listed", "reopens_us", "smiles")

    def __init__(self, price_micros: int, ts_us: int, window_sum: int = 0, window_us: int = 0) -> None:
        super().__init__(price_micros, ts_us, window_sum, window_us)
        self.listed: tuple[int, int] | None = None
        self.smiles: dict[int, Smile] = {}
        self.reopens_us: int | None = None
