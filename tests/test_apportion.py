"""The largest remainder method: nothing is lost, and no share is off by a whole micro."""

from hypothesis import given
from hypothesis import strategies as st

from exchange.matching.apportion import apportion

WEIGHTS = st.lists(st.integers(1, 2**53), min_size=1, max_size=20)


def test_the_micros_that_are_left_go_to_the_largest_remainders() -> None:
    # 33.33, 33.33 and 33.34; then 0.5 and 0.5, of which the first is rounded up.
    assert apportion(100, [3_333, 3_333, 3_334]) == [33, 33, 34]
    assert apportion(1, [5, 5]) == [1, 0]
    assert apportion(0, [5, 5]) == [0, 0]
    assert apportion(0, []) == []


@given(st.integers(0, 2**53), WEIGHTS)
def test_shares_sum_to_the_total_and_are_nearly_in_proportion(total: int, weights: list[int]) -> None:
    shares = apportion(total, weights)
    assert sum(shares) == total
    for share, weight in zip(shares, weights, strict=True):
        # The exact share is total * weight / sum(weights), and the given one is it, rounded up or down.
        assert share >= 0 and abs(share * sum(weights) - total * weight) < sum(weights)
