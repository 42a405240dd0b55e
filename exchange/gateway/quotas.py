"""Quotas: what an address, a user and a connection may use. Each connection has one `ConnectionQuota`.

    of               connections   credits             accounts that logins open
    all              yes                               yes
    one address      yes           yes                 yes
    one user         yes           yes
    one connection                 before its login

No limit of an address applies to the exempt ones: by default, the loopback addresses. A request costs one credit, and
some cost more (`exchange/gateway/limits.py`). A connection also has a number of requests a second, whatever they cost.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from http import HTTPStatus

from exchange.gateway.handshake import HandshakeRefusal
from exchange.gateway.jsonrpc import RpcError, rate_limited
from exchange.gateway.limits import CONNECT_SECONDS, SECONDS_PER_HOUR, GatewayLimits
from exchange.gateway.rate_limiter import TokenBucket

Clock = Callable[[], int]


class AddressQuota:
    """The connections from one address."""

    def __init__(self, limits: GatewayLimits, now_us: Clock) -> None:
        self.connections = 0
        # The recent work for these connections, for the order of turns.
        self.worked_seconds = 0.0
        self.credits = _per_second(limits.credits_per_second_per_address, now_us)
        self.accounts = _per_hour(limits.accounts_per_hour_per_address, now_us)

    @property
    def is_unused(self) -> bool:
        """True if a new quota would be the same."""
        buckets = (self.credits, self.accounts)
        return not self.connections and all(bucket is None or bucket.is_full for bucket in buckets)


class UserQuota:
    """The connections that are logged in as one user."""

    def __init__(self, limits: GatewayLimits, now_us: Clock) -> None:
        self.connections = 0
        self.credits = _per_second(limits.credits_per_second_per_user, now_us)

    @property
    def is_unused(self) -> bool:
        """True if a new quota would be the same."""
        return not self.connections and (self.credits is None or self.credits.is_full)


class Quotas:
    """The quotas of all addresses and users."""

    def __init__(self, limits: GatewayLimits, now_us: Clock) -> None:
        self.limits = limits
        self.now_us = now_us
        self.accounts = _per_hour(limits.accounts_per_hour, now_us)
        self.addresses: dict[str, AddressQuota] = {}
        self.users: dict[str, UserQuota] = {}
        self._connections = 0
        self._exempt = [ipaddress.ip_network(text) for text in limits.exempt_addresses]

    def admit(self, address: str) -> ConnectionQuota | HandshakeRefusal:
        """The quota of a new connection from this address, or the reason to refuse it."""
        if self._connections >= self.limits.connections_max:
            return HandshakeRefusal(HTTPStatus.SERVICE_UNAVAILABLE, "the exchange has too many connections\n")
        quota = None if self._is_exempt(address) else self._address(address)
        if quota is not None:
            quota.worked_seconds += CONNECT_SECONDS
            maximum = self.limits.connections_per_address_max
            if maximum and quota.connections >= maximum:
                text = f"{address} has {maximum} connections already: close one first\n"
                return HandshakeRefusal(HTTPStatus.TOO_MANY_REQUESTS, text)
            quota.connections += 1
        self._connections += 1
        return ConnectionQuota(self.limits, self.now_us, self, quota)

    def leave(self) -> None:
        """A connection was closed."""
        self._connections -= 1

    def user(self, user_id: str) -> UserQuota:
        """The quota of this user."""
        if user_id not in self.users:
            self.users[user_id] = UserQuota(self.limits, self.now_us)
        return self.users[user_id]

    def on_tick(self) -> None:
        """Forget addresses and users that have used nothing for a while. Called every second."""
        for quota in self.addresses.values():
            quota.worked_seconds /= 2
        self.addresses = {name: quota for name, quota in self.addresses.items() if not quota.is_unused}
        self.users = {name: quota for name, quota in self.users.items() if not quota.is_unused}

    def _address(self, address: str) -> AddressQuota:
        if address not in self.addresses:
            self.addresses[address] = AddressQuota(self.limits, self.now_us)
        return self.addresses[address]

    def _is_exempt(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None) or found
        return any(mapped in network for network in self._exempt)


class ConnectionQuota:
    """The quota of one connection. Without `quotas` it is a client in this process, which has its own rate only."""

    def __init__(
        self, limits: GatewayLimits, now_us: Clock, quotas: Quotas | None = None, address: AddressQuota | None = None
    ) -> None:
        self.address = address
        self._limits = limits
        self._quotas = quotas
        self._user_id = ""
        self._user: UserQuota | None = None
        # The requests that were refused because a rate was exceeded.
        self.refused = 0
        self._requests = _per_second(limits.requests_per_second, now_us)
        # Its credits before a login.
        self._own = None if quotas is None else _per_second(limits.credits_per_second_per_user, now_us)
        self._buckets = self._with_credits(self._own)

    def take(self) -> None:
        """Count one request, which costs a credit. Raises RpcError 1007 if a rate is exceeded."""
        requests = self._requests
        if requests is not None and (wait_ms := requests.wait_ms(1)):
            detail = f"at most {self._limits.requests_per_second} requests a second on one connection"
            raise self._refusal(detail, wait_ms)
        for bucket, whose in self._buckets:
            if wait_ms := bucket.wait_ms(1):
                detail = f"{whose} has no credits left: each request costs one, and some cost more"
                raise self._refusal(detail, wait_ms)
        if requests is not None:
            requests.take(1)
        self.charge(1)

    def charge(self, count: int) -> None:
        """Take credits for work that a request caused. If none are left, later requests are refused."""
        for bucket, _ in self._buckets:
            bucket.take(count)

    def check_login(self, user_id: str) -> None:
        """Raise RpcError if the user has too many connections."""
        maximum = self._limits.connections_per_user_max
        if self._quotas is None or not maximum or user_id == self._user_id:
            return
        if self._quotas.user(user_id).connections >= maximum:
            detail = f"{user_id!r} has {maximum} connections already: close one first"
            raise RpcError("too_many_connections", detail)

    def log_in(self, user_id: str) -> None:
        """Use the credits of the user from now on."""
        if self._quotas is not None and user_id != self._user_id:
            self._leave_user()
            self._user_id, self._user = user_id, self._quotas.user(user_id)
            self._user.connections += 1
            self._buckets = self._with_credits(self._user.credits)

    def log_out(self) -> None:
        """Use the connection's own credits again."""
        if self._user is not None:
            self._leave_user()
            self._user_id = ""
            self._buckets = self._with_credits(self._own)

    def open_account(self) -> None:
        """Count an account that a login opens. Raises RpcError 1007 if there were too many."""
        if self._quotas is None:
            return
        buckets = [self._quotas.accounts] if self.address is None else [self._quotas.accounts, self.address.accounts]
        for bucket in buckets:
            if bucket is not None and (wait_ms := bucket.wait_ms(1)):
                raise rate_limited("too many accounts were opened: log in to an existing one, or wait", wait_ms)
        for bucket in buckets:
            if bucket is not None:
                bucket.take(1)

    def close(self) -> None:
        """The connection is closed."""
        self._leave_user()
        if self._quotas is not None:
            self._quotas.leave()
            if self.address is not None:
                self.address.connections -= 1
            self._quotas = None

    def _leave_user(self) -> None:
        if self._user is not None:
            self._user.connections -= 1
            self._user = None

    def _refusal(self, detail: str, wait_ms: int) -> RpcError:
        """The error of a request that exceeds a rate, with the credits of the bucket that has the fewest."""
        self.refused += 1
        buckets = [bucket for bucket, _ in self._buckets] or [bucket for bucket in [self._requests] if bucket]
        remaining = min((bucket.tokens for bucket in buckets), default=0)
        return rate_limited(detail, wait_ms, remaining_credits=remaining)

    def _with_credits(self, own: TokenBucket | None) -> tuple[tuple[TokenBucket, str], ...]:
        """The buckets of credits, each with its owner."""
        user = f"the user {self._user_id!r}" if self._user_id else "the connection"
        of_address = None if self.address is None else self.address.credits
        pairs = ((own, user), (of_address, "the address"))
        return tuple((bucket, whose) for bucket, whose in pairs if bucket is not None)


def _per_second(rate: int, now_us: Clock) -> TokenBucket | None:
    """A bucket that holds one second's worth; None: no limit."""
    return TokenBucket(rate, rate, now_us) if rate else None


def _per_hour(count: int, now_us: Clock) -> TokenBucket | None:
    """A bucket that holds one hour's worth; None: no limit."""
    return TokenBucket(count / SECONDS_PER_HOUR, count, now_us) if count else None
