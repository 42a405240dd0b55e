"""Which options the demo's makers quote."""

from exchange.domain.instruments import parse_instrument_id
from exchange.projections.wire_types import Ticker


def is_quoted(tickers: list[Ticker]) -> bool:
    """True if every option is offered, and every option in the money is bid for."""
    for one in tickers:
        terms = parse_instrument_id(one.instrument_id)
        is_in_money = (terms.option_type == "call") == (terms.strike_micros < (one.index_micros or 0))
        if not one.best_ask_micros or (is_in_money and not one.best_bid_micros):
            return False
    return bool(tickers)
