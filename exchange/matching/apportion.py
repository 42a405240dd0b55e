"""Division of a whole number of micros among several accounts without loss: the largest remainder method."""

from collections.abc import Sequence


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Divide `total` in proportion to `weights`; the shares sum to `total` exactly. O(n log n).

    Each share is rounded down. The micros that are left go one by one to the largest remainders, and among equal
    remainders to the earlier share. `total` must not be negative, and `weights` must be positive.

    Source: the largest remainder method (Hamilton's) with the Hare quota.
    """
    if not total:
        return [0] * len(weights)
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    left = total - sum(shares)
    if left:
        # `sorted` is stable, so that equal remainders stay in order.
        by_remainder = sorted(range(len(weights)), key=lambda n: -(total * weights[n] % whole))
        for n in by_remainder[:left]:
            shares[n] += 1
    return shares
