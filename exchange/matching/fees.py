"""Fees of fills, deliveries and liquidations, and the part of a bid's lock that covers them."""

from msgspec import UNSET

from exchange.domain.rules import Fees, IndexFees, Rules, market_of
from exchange.domain.units import MILLI_PER_CONTRACT, PPM, US_PER_DAY


class FeeSchedule:
    """The fees of the rules, in parts per million (ppm) of the premium and of the index.

    `cap_ppm` limits a fee by the index to a part of the premium; it is 0 if fills cost no fee by the index. `are_none`
    is true if fills cost no fee at all.
    """

    __slots__ = (
        "are_none",
        "cap_ppm",
        "daily_delivery_ppm",
        "delivery_cap_ppm",
        "delivery_ppm",
        "liquidation_cap_ppm",
        "liquidation_ppm",
        "maker_index_ppm",
        "maker_premium_ppm",
        "taker_index_ppm",
        "taker_premium_ppm",
    )

    def __init__(self, premium: Fees, index: IndexFees | None) -> None:
        """`index` are the fees by the index; None if the rules have no market."""
        is_by_index = index is not None and bool(index.maker_ppm or index.taker_ppm)
        self.maker_premium_ppm = premium.maker_premium_ppm
        self.taker_premium_ppm = premium.taker_premium_ppm
        self.maker_index_ppm = index.maker_ppm if index is not None else 0
        self.taker_index_ppm = index.taker_ppm if index is not None else 0
        self.cap_ppm = index.cap_ppm if index is not None and is_by_index else 0
        self.delivery_ppm = index.delivery_ppm if index is not None else 0
        self.delivery_cap_ppm = index.delivery_cap_ppm if index is not None else 0
        self.daily_delivery_ppm = self.delivery_ppm
        self.liquidation_ppm = self.liquidation_cap_ppm = 0
        if index is not None and index.daily_delivery_ppm is not UNSET:
            self.daily_delivery_ppm = index.daily_delivery_ppm
        if index is not None and index.liquidation_ppm is not UNSET:
            self.liquidation_ppm, self.liquidation_cap_ppm = index.liquidation_ppm, index.cap_ppm
        self.are_none = not (self.maker_premium_ppm or self.taker_premium_ppm or is_by_index)

    def maker_fee_micros(self, cost_micros: int, size_milli: int, index_micros: int) -> int:
        """Fee of the maker for one fill; `cost_micros` is the premium of the whole fill."""
        by_index = _capped(index_micros * size_milli, self.maker_index_ppm, cost_micros, self.cap_ppm)
        return cost_micros * self.maker_premium_ppm // PPM + by_index

    def taker_fee_micros(self, cost_micros: int, size_milli: int, index_micros: int) -> int:
        """Fee of the taker for one fill; `cost_micros` is the premium of the whole fill."""
        by_index = _capped(index_micros * size_milli, self.taker_index_ppm, cost_micros, self.cap_ppm)
        return cost_micros * self.taker_premium_ppm // PPM + by_index

    def delivery_fee_micros(self, payout_micros: int, size_milli: int, delivery_micros: int, expiration_us: int) -> int:
        """Fee of an account that is paid at settlement; `payout_micros` is positive."""
        ppm = self.delivery_ppm if is_friday(expiration_us) else self.daily_delivery_ppm
        return _capped(delivery_micros * size_milli, ppm, payout_micros, self.delivery_cap_ppm)

    def liquidation_fee_micros(self, cost_micros: int, size_milli: int, index_micros: int) -> int:
        """Fee of a liquidated account, for the insurance; `cost_micros` is the premium of the whole size."""
        return _capped(index_micros * size_milli, self.liquidation_ppm, cost_micros, self.liquidation_cap_ppm)

    def bid_lock_micros(self, price_micros: int, remaining_milli: int) -> int:
        """Return the sum that a resting bid locks: its cost, and the highest fee that its fills can cost."""
        cost = price_micros * remaining_milli // MILLI_PER_CONTRACT
        if self.are_none:
            return cost
        highest_ppm = max(self.maker_premium_ppm, self.taker_premium_ppm)
        return cost + cost * highest_ppm // PPM + cost * self.cap_ppm // PPM


def fee_schedule_of(rules: Rules) -> FeeSchedule:
    """Return the fees of these rules."""
    market = market_of(rules)
    return FeeSchedule(rules.fees, market.fees if market is not None else None)


def is_friday(ts_us: int) -> bool:
    """True on Fridays (UTC), when weekly and monthly options expire."""
    # 1970-01-01 was a Thursday.
    return ts_us // US_PER_DAY % 7 == 1


def _capped(notional_milli: int, ppm: int, premium_micros: int, cap_ppm: int) -> int:
    """`ppm` of the notional (micros * millicontracts), at most `cap_ppm` of the premium; both are rounded down."""
    return min(notional_milli * ppm // (MILLI_PER_CONTRACT * PPM), premium_micros * cap_ppm // PPM)
