"""Slows down the guessing of secrets: each failed attempt on an account makes the next one from that address wait.

Nobody else waits: another address may enter the account, and the same address another account.
"""

import ipaddress
from collections import OrderedDict

# Failures on one connection that close it.
FAILURES_MAX = 5
FIRST_WAIT_SECONDS = 1.0
WAIT_SECONDS_MAX = 300.0
# Pairs of account and address in memory. The oldest is forgotten for a new one.
PAIRS_MAX = 10_000
# The addresses of one customer of an internet provider share these bits.
_IPV6_BITS = 64


class Throttle:
    """The failed attempts of each account from each address. A loopback address never waits."""

    def __init__(self) -> None:
        # By account and address: the number of failures, and the time in seconds before which no attempt is checked.
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def wait_seconds(self, user_id: str, address: str, now_seconds: float) -> float:
        """How long the next attempt has to wait; 0: it need not."""
        _, until_seconds = self._failures.get((user_id, network_of(address)), (0, 0.0))
        return max(0.0, until_seconds - now_seconds)

    def failed(self, user_id: str, address: str, now_seconds: float) -> None:
        """Note a failed attempt. The wait doubles with each one."""
        if is_loopback(address):
            return
        pair = user_id, network_of(address)
        count = self._failures.pop(pair, (0, 0.0))[0] + 1
        wait_seconds = min(FIRST_WAIT_SECONDS * 2 ** min(count - 1, 30), WAIT_SECONDS_MAX)
        self._failures[pair] = count, now_seconds + wait_seconds
        if len(self._failures) > PAIRS_MAX:
            self._failures.popitem(last=False)

    def succeeded(self, user_id: str, address: str) -> None:
        """Forget the failures of this account from this address."""
        self._failures.pop((user_id, network_of(address)), None)


def is_loopback(address: str) -> bool:
    """True for an address of this machine, and for a client in this process, which has none."""
    try:
        return not address or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def network_of(address: str) -> str:
    """The address, or the network of an IPv6 address that one customer has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((int(parsed), _IPV6_BITS), strict=False))
