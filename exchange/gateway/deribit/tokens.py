"""Access and refresh tokens: they stand for a login for a limited time, in the memory of this process only."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import NamedTuple

from exchange.keys.credentials import Login

ACCESS_SECONDS = 900
REFRESH_SECONDS = 86_400
TOKEN_BYTES = 32
SESSION_BYTES = 9
# The oldest pairs are forgotten beyond this number, so that logins again and again do not fill the memory.
TOKENS_MAX = 10_000


class TokenPair(NamedTuple):
    """Two tokens of one login. Tokens that were refreshed are of the same session."""

    access: str
    refresh: str
    session: str


class _Given(NamedTuple):
    login: Login
    session: str
    end_seconds: float


class Tokens:
    """The tokens that were given out. `now_seconds` is a clock that never goes back."""

    def __init__(self, now_seconds: Callable[[], float]) -> None:
        self._now_seconds = now_seconds
        # By token, in the order in which they were given out.
        self._access: dict[str, _Given] = {}
        self._refresh: dict[str, _Given] = {}

    def give(self, login: Login, session: str = "") -> TokenPair:
        """Make a pair of tokens for a login, of this session or of a new one."""
        session = session or secrets.token_urlsafe(SESSION_BYTES)
        pair = TokenPair(secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(TOKEN_BYTES), session)
        now_seconds = self._now_seconds()
        self._access[pair.access] = _Given(login, session, now_seconds + ACCESS_SECONDS)
        self._refresh[pair.refresh] = _Given(login, session, now_seconds + REFRESH_SECONDS)
        for given in (self._access, self._refresh):
            if len(given) > TOKENS_MAX:
                del given[next(iter(given))]
        return pair

    def login_of(self, access: str) -> Login | None:
        """The login that an access token stands for; None if it is unknown or expired."""
        given = self._valid(self._access, access)
        return None if given is None else given.login

    def login_of_refresh(self, refresh: str) -> Login | None:
        """The login that a refresh token stands for. It stays valid."""
        given = self._valid(self._refresh, refresh)
        return None if given is None else given.login

    def take_refresh(self, refresh: str) -> tuple[Login, str] | None:
        """The login that a refresh token stands for, and its session. Each is valid once."""
        given = self._valid(self._refresh, refresh)
        self._refresh.pop(refresh, None)
        return None if given is None else (given.login, given.session)

    def end(self, session: str) -> None:
        """Forget the tokens of a session."""
        for tokens in (self._access, self._refresh):
            for token in [token for token, given in tokens.items() if given.session == session]:
                del tokens[token]

    def _valid(self, tokens: dict[str, _Given], token: str) -> _Given | None:
        # 256 random bits: a look-up in a dict tells nobody how close a guess was.
        given = tokens.get(token)
        return given if given is not None and self._now_seconds() < given.end_seconds else None
