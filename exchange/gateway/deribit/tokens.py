"""Access and refresh tokens: they stand for a login for a limited time, in the memory of this process only."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import NamedTuple

from exchange.keys.credentials import Login

ACCESS_SECONDS = 900
REFRESH_SECONDS = 86_400
TOKEN_BYTES = 32
# The oldest pairs are forgotten beyond this number, so that logins again and again do not fill the memory.
TOKENS_MAX = 10_000


class TokenPair(NamedTuple):
    """Two tokens of one login."""

    access: str
    refresh: str


class Tokens:
    """The tokens that were given out. `now_seconds` is a clock that never goes back."""

    def __init__(self, now_seconds: Callable[[], float]) -> None:
        self._now_seconds = now_seconds
        # By token, in the order in which they were given out, with the end of each.
        self._access: dict[str, tuple[Login, float]] = {}
        self._refresh: dict[str, tuple[Login, float]] = {}

    def give(self, login: Login) -> TokenPair:
        """Make a pair of tokens for a login."""
        pair = TokenPair(secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(TOKEN_BYTES))
        now_seconds = self._now_seconds()
        self._access[pair.access] = login, now_seconds + ACCESS_SECONDS
        self._refresh[pair.refresh] = login, now_seconds + REFRESH_SECONDS
        for given in (self._access, self._refresh):
            if len(given) > TOKENS_MAX:
                del given[next(iter(given))]
        return pair

    def login_of(self, access: str) -> Login | None:
        """The login that an access token stands for; None if it is unknown or expired."""
        return self._valid(self._access, access)

    def take_refresh(self, refresh: str) -> Login | None:
        """The login that a refresh token stands for. Each is valid once."""
        login = self._valid(self._refresh, refresh)
        self._refresh.pop(refresh, None)
        return login

    def _valid(self, given: dict[str, tuple[Login, float]], token: str) -> Login | None:
        # 256 random bits: a look-up in a dict tells nobody how close a guess was.
        login, end_seconds = given.get(token, (None, 0.0))
        return login if self._now_seconds() < end_seconds else None
