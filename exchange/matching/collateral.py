"""What sellers must keep aside. Profile `cash_secured`: a short contract locks its strike."""

from exchange.domain.units import MILLI_PER_CONTRACT
from exchange.matching.book import Book


def collateral_micros(book: Book, uncovered_milli: int) -> int:
    """Collateral for `uncovered_milli` contracts sold or offered beyond those held; 0 where that is not positive.

    Exact: a strike is a whole number of USDC.
    """
    if uncovered_milli <= 0:
        return 0
    return book.strike_micros * uncovered_milli // MILLI_PER_CONTRACT


def coverable_milli(book: Book, available_micros: int) -> int:
    """How many contracts beyond those held `available_micros` can back."""
    return available_micros * MILLI_PER_CONTRACT // book.strike_micros
