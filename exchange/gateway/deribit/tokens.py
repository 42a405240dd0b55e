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
# Beyond these numbers the oldest pairs are forgotten, so that logins again and again do not fill the memory. Those of
# one user end first, so that no user can end the tokens of others.
USER_TOKENS_MAX = 200
TOKENS_MAX = 100_000


class TokenPair(NamedTuple):
    """Two tokens of one login. Tokens that were refreshed are of the same session."""

    access: str
    refresh: str
    session: str


class _Given(NamedTuple):
    login: Login
    session: str
    end_seconds: float


class _Kept:
    """Tokens of one kind, in the order in which they were given out."""

    def __init__(self) -> None:
        self.given: dict[str, _Given] = {}
        self._of_user: dict[str, dict[str, None]] = {}

    def add(self, token: str, given: _Given) -> None:
        """Add a token, and forget the oldest one of its user, or of all, if there are too many."""
        of_user = self._of_user.setdefault(given.login.user_id, {})
        if len(of_user) >= USER_TOKENS_MAX:
            self.remove(next(iter(of_user)))
        elif len(self.given) >= TOKENS_MAX:
            self.remove(next(iter(self.given)))
        self.given[token] = given
        self._of_user.setdefault(given.login.user_id, {})[token] = None

    def remove(self, token: str) -> None:
        """Forget a token, if it is known."""
        given = self.given.pop(token, None)
        if given is not None:
            user_id = given.login.user_id
            del self._of_user[user_id][token]
            if not self._of_user[user_id]:
                del self._of_user[user_id]

    def of_session(self, user_id: str, session: str) -> list[str]:
        """Return the tokens of a session of this user."""
        return [token for token in self._of_user.get(user_id, {}) if self.given[token].session == session]


class Tokens:
    """The tokens that were given out. `now_seconds` is a clock that never goes back."""

    def __init__(self, now_seconds: Callable[[], float]) -> None:
        self._now_seconds = now_seconds
        self._access = _Kept()
        self._refresh = _Kept()

    def give(self, login: Login, session: str = "") -> TokenPair:
        """Make a pair of tokens for a login, of this session or of a new one."""
        session = session or secrets.token_urlsafe(SESSION_BYTES)
        pair = TokenPair(secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(TOKEN_BYTES), session)
        now_seconds = self._now_seconds()
        self._access.add(pair.access, _Given(login, session, now_seconds + ACCESS_SECONDS))
        self._refresh.add(pair.refresh, _Given(login, session, now_seconds + REFRESH_SECONDS))
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
        self._refresh.remove(refresh)
        return None if given is None else (given.login, given.session)

    def end(self, user_id: str, session: str) -> None:
        """Forget the tokens of a session of this user."""
        for tokens in (self._access, self._refresh):
            for token in tokens.of_session(user_id, session):
                tokens.remove(token)

    def _valid(self, tokens: _Kept, token: str) -> _Given | None:
        # 256 random bits: a look-up in a dict tells nobody how close a guess was.
        given = tokens.given.get(token)
        return given if given is not None and self._now_seconds() < given.end_seconds else None
