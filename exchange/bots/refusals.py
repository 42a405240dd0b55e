"""The quotes of a maker that the exchange refused: when to repeat each of them, and how far to step back."""

from typing import NamedTuple

from exchange.bots.view import QuoteKey, View
from exchange.domain.enums import Side
from exchange.domain.units import US_PER_SECOND

POST_ONLY_CODE = 1021
BAD_PRICE_CODE = 1005
WAIT_MAX_SECONDS = 16
# The refused quotes of one option and side that still make the next one step back further.
STEPS_MAX = 8


class _Refused(NamedTuple):
    times: int
    retry_us: int
    steps_back: int


class Refusals:
    """The refused quotes, by option and side, until a quote is accepted."""

    def __init__(self) -> None:
        self._refused: dict[QuoteKey, _Refused] = {}

    def note(self, view: View) -> list[QuoteKey]:
        """Note the new refusals of the view. Return the quotes that would have traded, although they are post-only.

        A quote that would have traded or had a bad price is repeated at once, the second time further from the market.
        Any other one waits: 2 s, and twice as long each time.
        """
        crossed = []
        for key, code in view.refused.items():
            before = self._refused.get(key, _Refused(0, 0, 0))
            times = before.times + 1
            is_price = code in (POST_ONLY_CODE, BAD_PRICE_CODE)
            wait_s = 0 if is_price else min(2**times, WAIT_MAX_SECONDS)
            steps = min(before.steps_back + 1, STEPS_MAX) if is_price and before.times else before.steps_back
            self._refused[key] = _Refused(times, view.now_us + wait_s * US_PER_SECOND, steps)
            if code == POST_ONLY_CODE:
                crossed.append(key)
        view.refused.clear()
        return crossed

    def accept(self, instrument_id: str, side: Side) -> None:
        """Forget the refusals of a quote that is open where it should be."""
        self._refused.pop((instrument_id, side), None)

    def waits(self, instrument_id: str, side: Side, now_us: int) -> bool:
        """True if it is too early to repeat the quote."""
        refused = self._refused.get((instrument_id, side))
        return refused is not None and refused.retry_us > now_us

    def steps_back(self, instrument_id: str, side: Side) -> int:
        """How many steps further from the market the quote goes."""
        refused = self._refused.get((instrument_id, side))
        return refused.steps_back if refused is not None else 0
